package formats

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"slices"
	"unicode/utf8"
)

// fixedEncoder writes columns of fixed widths. What is too long for its column is an error: nothing is ever cut.
type fixedEncoder struct {
	parts   []fixedPart
	end     string
	charset string // "": UTF-8
	replace bool
	comma   bool           // the decimal mark
	width   func(rune) int // columns of a character; nil: one
}

// A fixedPart is one part of a file that is written.
type fixedPart struct {
	role    Role
	lead    []byte // before each row: its kind
	columns []fixedColumn
}

type fixedColumn struct {
	title string
	width int
	align string // "": numbers right, all else left
	fill  byte
}

const (
	left  = "left"
	right = "right"
)

func checkFixedWriting(w Writing) []Problem {
	ps := oneOf("unit", w.Unit, "characters", unitBytes)
	ps = append(ps, oneOf("lines", w.Lines, crlf, lf, endsNone)...)
	if c, _ := findCharset(w.Encoding); w.Unit == unitBytes && c.wide != noOrder {
		ps = append(ps, Problem{"unit", "bytes does not go with " + c.name + ", where a character takes two of them or four: write characters"})
	}
	return ps
}

func newFixedEncoder(w Writing, columns []Column) (Encoder, []Problem) {
	e, ps := newFixedPartsEncoder(w, []WrittenPart{{Columns: columns}})
	return e, ps
}

func newFixedParted(w Writing, parts []WrittenPart) (PartsEncoder, []Problem) {
	e, ps := newFixedPartsEncoder(w, parts)
	return e, ps
}

func newFixedPartsEncoder(w Writing, parts []WrittenPart) (*fixedEncoder, []Problem) {
	e := &fixedEncoder{end: "\r\n", charset: w.Encoding, replace: w.Unmappable == replace, comma: w.Decimal == ",",
		width: widthOf(Options{Unit: w.Unit, Encoding: w.Encoding})}
	switch w.Lines {
	case lf:
		e.end = "\n"
	case endsNone:
		e.end = ""
	}
	var ps []Problem
	check := newTextChecker(e.charset, e.replace)
	first, kinds := 0, 0 // the length of the first part; how long the longest kind is
	for _, p := range parts {
		kinds = max(kinds, e.columns([]byte(p.Kind)))
	}
	for i, p := range parts {
		if len(p.Columns) == 0 {
			ps = append(ps, Problem{p.path() + "columns", "missing: fixed needs columns"})
			continue
		}
		columns, length, bad := newFixedColumns(p.Columns)
		ps = append(ps, p.in(bad)...)
		part := fixedPart{role: p.Role, columns: columns}
		if p.Kind != "" {
			kind := fixedColumn{title: kindTitle, width: kinds, fill: ' '}
			text, wide, err := e.text(check, &kind, Value{Kind: Text, Bytes: []byte(p.Kind)})
			if err != nil {
				ps = append(ps, Problem{p.path() + "kind", err.Error()})
			}
			part.lead, length = e.place(nil, &kind, Text, text, kinds-wide), length+kinds
		}
		e.parts = append(e.parts, part)
		if i == 0 {
			first = length
		} else if e.end == "" && length != first && len(ps) == 0 {
			ps = append(ps, Problem{p.path() + "columns", fmt.Sprintf("take %s, those of %s %d: with lines: none all are of one length, so give the last one another width", counted(length, "column"), parts[0].name(), first)})
		}
	}
	return e, ps
}

// newFixedColumns makes the columns of one part; length is how much of a line they take.
func newFixedColumns(columns []Column) (made []fixedColumn, length int, ps []Problem) {
	for i, c := range columns {
		path := fmt.Sprintf("columns[%d].", i)
		if c.Width < 1 || c.Width > 1<<20 {
			ps = append(ps, Problem{path + "width", "missing: say how many columns it takes"})
		}
		ps = append(ps, oneOf(path+"align", c.Align, left, right)...)
		column := fixedColumn{c.Title, c.Width, c.Align, ' '}
		if c.Fill != "" {
			if column.fill = c.Fill[0]; len(c.Fill) > 1 || column.fill < ' ' || column.fill > '~' {
				ps = append(ps, Problem{path + "fill", fmt.Sprintf("%q cannot fill a column: write one ASCII character, as 0", c.Fill)})
			}
		}
		made = append(made, column)
		length += c.Width
	}
	return made, length, ps
}

// Encode writes the rows.
func (e *fixedEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	return e.EncodeParts(w, onlyRows(rows))
}

// EncodeParts writes the rows.
func (e *fixedEncoder) EncodeParts(w io.Writer, rows iter.Seq2[Row, error]) error {
	check := newTextChecker(e.charset, e.replace)
	out := rowWriter{w: w, recode: check.recode}
	err := out.parts(rows, func(i int) (Role, int) { return e.parts[i].role, len(e.parts[i].columns) }, func(n int64, row Row) error {
		part := &e.parts[row.Part]
		out.buf = append(out.buf, part.lead...)
		for i, v := range row.Values {
			c := &part.columns[i]
			text, columns, err := e.text(check, c, v)
			if err != nil {
				return fmt.Errorf("write %s, column %q: %w", rowName(part.role, n), c.title, err)
			}
			out.buf = e.place(out.buf, c, v.Kind, text, c.width-columns)
		}
		out.buf = append(out.buf, e.end...)
		return nil
	})
	if err != nil {
		return err
	}
	return out.flush(true)
}

// Checks tells beforehand what cannot be written.
func (e *fixedEncoder) Checks() func(column int, v Value) error {
	check := e.CheckParts()
	return func(column int, v Value) error { return check(0, column, v) }
}

// CheckParts tells beforehand what cannot be written.
func (e *fixedEncoder) CheckParts() func(part, column int, v Value) error {
	check := newTextChecker(e.charset, e.replace)
	return func(part, column int, v Value) error {
		c := &e.parts[part].columns[column]
		_, _, err := e.text(check, c, v)
		return inColumn(err, c.title)
	}
}

// CheckRows tells which lines would be blank: of a file of several parts a reader takes those for no rows. One that begins with its kind is none of them, and
// where all are records of one kind a blank one is one of them.
func (e *fixedEncoder) CheckRows() func(part int, row []Value) error {
	if len(e.parts) < 2 || !slices.ContainsFunc(e.parts, func(p fixedPart) bool { return len(p.lead) == 0 }) {
		return nil
	}
	return func(part int, row []Value) error {
		if len(e.parts[part].lead) > 0 {
			return nil
		}
		for i, c := range e.parts[part].columns {
			text := row[i].Bytes
			if k := row[i].Kind; k == Null || k == Absent {
				text = nil
			}
			if len(bytes.Trim(text, blankLine)) > 0 || c.fill != ' ' && e.columns(text) < c.width {
				return nil
			}
		}
		return &ValueError{Reason: "the line would be blank, and a reader takes that for no row: give the rows kinds, or a column that is always filled"}
	}
}

// text is what is to stand in a column, and how many of its columns it takes.
func (e *fixedEncoder) text(check textChecker, c *fixedColumn, v Value) (text []byte, columns int, err error) {
	if v.Kind == Null || v.Kind == Absent {
		return nil, 0, nil
	}
	if i := bytes.IndexAny(v.Bytes, "\r\n\x00"); i >= 0 {
		return nil, 0, &ValueError{Value: cut(v.Bytes), Reason: fmt.Sprintf("%q cannot stand in a line of fixed width", v.Bytes[i])}
	}
	if text, err = check.text(v.Bytes); err != nil {
		return nil, 0, err
	}
	if columns = e.columns(text); columns > c.width {
		return nil, 0, &ValueError{Value: cut(v.Bytes), Reason: fmt.Sprintf("takes %s, but its place has %d: what is too long is not cut", counted(columns, "column"), c.width)}
	}
	return text, columns, nil
}

// columns is how many columns a text takes.
func (e *fixedEncoder) columns(text []byte) int {
	columns := utf8.RuneCount(text)
	if e.width == nil || columns == len(text) {
		return columns
	}
	columns = 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if columns++; r >= utf8.RuneSelf {
			columns += e.width(r) - 1
		}
		i += n
	}
	return columns
}

// place appends a text with what fills its column up. A sign stays in front of zeros.
func (e *fixedEncoder) place(dst []byte, c *fixedColumn, kind Kind, text []byte, rest int) []byte {
	from := len(dst)
	if toRight := c.align == right || c.align == "" && kind == Number; toRight {
		if kind == Number && c.fill == '0' && len(text) > 0 && text[0] == '-' {
			dst, text = append(dst, '-'), text[1:]
		}
		dst, rest = fill(dst, c.fill, rest), 0
	}
	dst = append(dst, text...)
	if e.comma && kind == Number {
		if i := bytes.IndexByte(dst[from:], '.'); i >= 0 {
			dst[from+i] = ','
		}
	}
	return fill(dst, c.fill, rest)
}

func fill(dst []byte, by byte, n int) []byte {
	for range n {
		dst = append(dst, by)
	}
	return dst
}
