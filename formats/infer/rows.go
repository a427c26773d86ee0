package infer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"waybill/formats"
)

// rowsMost bounds the rows whose kinds are looked at; kindText is how long the text may be that tells one.
const (
	rowsMost = 2000
	kindText = 12
)

// LookRows proposes kinds of rows for files of csv and tsv whose rows begin with what they are, as H, L and T, nil where they do not: rows of one kind have one number of cells,
// and kinds have others. A table whose rows are all alike is left to Look.
func LookRows(o formats.Options, samples []Sample, reserved func(string) bool) *Proposal {
	o.Titles, o.Skip = new(int), 0
	var files [][][]string
	for _, s := range samples {
		rows, err := rowsOf(o, s)
		if err != nil || len(rows) == 0 {
			return nil // what is wrong is told by Look
		}
		files = append(files, rows)
	}
	l, rows := rowLayout(files)
	if l == nil {
		return nil
	}
	o.Titles, o.Kind = nil, "1"
	p := &Proposal{Options: o, Why: map[string]string{"kind": fmt.Sprintf("the rows begin with one of %d texts, and those of one have one number of cells", len(rows))}, Blocks: l.blocks}
	if l.header != "" {
		p.Header, p.HeaderKind = rowFields(rows[l.header], reserved), l.header
	}
	if l.trailer != "" {
		p.Trailer, p.TrailerKind = rowFields(rows[l.trailer], reserved), l.trailer
	}
	for _, k := range l.kinds {
		p.Kinds = append(p.Kinds, &Kind{Name: "kind_" + identifierOf(k), Text: k, Fields: rowFields(rows[k], reserved)})
		p.Records += len(rows[k])
	}
	p.Notes = append(p.Notes, "rows of several kinds are told by their first cell: header and trailer, kinds and their names are guesses")
	p.mark()
	return p
}

// rowsOf are the rows of one sample, whatever numbers of cells they have.
func rowsOf(o formats.Options, s Sample) (rows [][]string, err error) {
	b, end, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer end()
	o.Raw = true
	d, problems := formats.New(o, nil)
	if len(problems) > 0 {
		return nil, fmt.Errorf("read %s: %s", s.Name, problems[0])
	}
	o.Encoding = formats.UTF8 // of what was decoded
	single, _ := formats.New(o, nil)
	for rec, err := range d.Decode(b) {
		var other *formats.RecordError
		switch {
		case len(rows) == rowsMost:
			return rows, nil
		case errors.As(err, &other) && other.Raw != nil: // not as many cells as in the first row
			row, err := rowOf(single, other.Raw)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		case err != nil:
			return nil, err
		default:
			rows = append(rows, texts(rec.Row))
		}
	}
	return rows, nil
}

// rowOf reads one row by itself.
func rowOf(d formats.Decoder, raw []byte) (row []string, err error) {
	for rec, err := range d.Decode(formats.Blob{Reader: strings.NewReader(string(raw)), Size: int64(len(raw))}) {
		if err != nil {
			return nil, err
		}
		return texts(rec.Row), nil
	}
	return nil, errors.New("there is no row")
}

func texts(cells [][]byte) []string {
	list := make([]string, len(cells))
	for i, c := range cells {
		list[i] = strings.TrimSpace(string(c))
	}
	return list
}

// rowLayout finds rows of several kinds, nil where there are none.
func rowLayout(files [][][]string) (*layout, map[string][][]string) {
	l, rows := &layout{lines: map[string][][]rune{}}, map[string][][]string{}
	back := false
	firsts, lasts := map[string]bool{}, map[string]bool{}
	for _, file := range files {
		before := ""
		for _, row := range file {
			kind := row[0]
			if len(row) < 2 || kind == "" || len(kind) > kindText {
				return nil, nil
			}
			if rows[kind] == nil {
				l.kinds = append(l.kinds, kind)
			}
			if len(l.kinds) > kindsMost {
				return nil, nil
			}
			rows[kind] = append(rows[kind], row)
			l.lines[kind] = append(l.lines[kind], nil) // they are counted
			back = back || kind != before && slices.Index(l.kinds, kind) < slices.Index(l.kinds, before)
			before = kind
		}
		firsts[file[0][0]], lasts[before] = true, true
	}
	if len(l.kinds) < 2 || !alike(l.kinds) || !countsTell(rows) || len(firsts) != 1 || !codes(l.kinds) && slices.ContainsFunc(files, titled) {
		return nil, nil
	}
	last := files[0][len(files[0])-1][0]
	framed := len(lasts) == 1 && last != l.kinds[0] && l.frame(len(files), l.kinds[0], last)
	if !framed && !back {
		return nil, nil
	}
	l.kinds = slices.DeleteFunc(l.kinds, func(k string) bool { return k == l.header || k == l.trailer })
	most := 0
	for _, k := range l.kinds {
		most = max(most, len(rows[k]))
	}
	if most < 2 {
		return nil, nil
	}
	return l, rows
}

// alike reports whether texts are of one sort, as names of kinds are: all of letters, or all digits of one length.
func alike(kinds []string) bool {
	only := func(is func(rune) bool) bool {
		return !slices.ContainsFunc(kinds, func(k string) bool { return strings.ContainsFunc(k, func(r rune) bool { return !is(r) }) })
	}
	long := func(k string) bool { return len(k) != len(kinds[0]) }
	return only(unicode.IsLetter) || only(unicode.IsDigit) && !slices.ContainsFunc(kinds, long)
}

// codes reports whether texts are capitals of one length, as HDR and LIN, which no titles are above what they are of.
func codes(kinds []string) bool {
	return !slices.ContainsFunc(kinds, func(k string) bool { return len(k) != len(kinds[0]) || k != strings.ToUpper(k) })
}

// countsTell reports whether the rows of each kind have one number of cells, and not all kinds the same. Where rows of a table only end with a delimiter more than
// its titles do they are alike: empty cells at the end make no difference.
func countsTell(rows map[string][][]string) bool {
	counts := map[int]bool{}
	for _, list := range rows {
		most := 0
		for _, row := range list {
			if len(row) != len(list[0]) {
				return false
			}
			most = max(most, filled(row))
		}
		counts[most] = true
	}
	return len(counts) > 1
}

// filled counts the cells of a row up to the last one that is not empty.
func filled(row []string) int {
	n := len(row)
	for n > 0 && row[n-1] == "" {
		n--
	}
	return n
}

// titled reports whether one of the first rows, above which a report may say what it is, holds the titles of those behind it: words, each another one, and
// beneath one of them numbers.
func titled(rows [][]string) bool {
	for i, titles := range rows[:min(3, len(rows)-1)] {
		below := rows[i+1]
		if n := filled(titles); n != filled(below) || !words(titles[:n]) {
			continue
		}
		for j := range below[:filled(below)] {
			if numeral(below[j]) {
				return true
			}
		}
	}
	return false
}

// words reports whether cells have letters and no digits, each another text.
func words(cells []string) bool {
	seen := map[string]bool{}
	for _, c := range cells {
		if seen[c] || !strings.ContainsFunc(c, unicode.IsLetter) || strings.ContainsFunc(c, unicode.IsDigit) {
			return false
		}
		seen[c] = true
	}
	return true
}

// numeral reports whether a cell is a number or a date: digits, and nothing that is a letter.
func numeral(cell string) bool {
	return strings.ContainsFunc(cell, unicode.IsDigit) && !strings.ContainsFunc(cell, unicode.IsLetter)
}

// rowFields proposes fields for rows of one kind, all but the cell that tells it.
func rowFields(rows [][]string, reserved func(string) bool) (list []*Field) {
	n := &namer{taken: map[string]bool{}, reserved: reserved}
	for i := 1; i < len(rows[0]); i++ {
		var all column
		for _, row := range rows {
			all.add(&value{kind: text, text: row[i]})
		}
		f := &Field{Column: strconv.Itoa(i + 1)}
		f.Name = n.name("column " + f.Column)
		f.scalar(&all, true, len(rows))
		list = append(list, f)
	}
	return list
}
