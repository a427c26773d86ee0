package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// csvEncoder writes CSV and TSV.
type csvEncoder struct {
	parts   []csvPart
	delim   byte
	quote   byte
	end     string
	titles  bool
	kinds   bool   // rows begin with their kind: titles stand above all of them, as they do for a reader that finds the kind by its title
	guard   bool   // put an apostrophe before what a spreadsheet would take for a formula
	charset string // "": UTF-8
	replace bool
	comma   bool // the decimal mark
}

// A csvPart is one part of a file that is written.
type csvPart struct {
	role    Role
	lead    []byte   // before each row: its kind, as a cell
	columns []string // titles
}

// csvWriting are the keys that CSV and TSV share.
const csvWriting = "encoding unmappable quote lines titles formulas decimal"

func checkCSVWriting(w Writing) []Problem {
	var ps []Problem
	if w.Quote == noQuote {
		ps = append(ps, Problem{"quote", "none would leave cells that hold the delimiter open"})
	}
	ps = append(ps, checkCSV(Options{Delimiter: w.Delimiter, Quote: w.Quote})...)
	ps = append(ps, oneOf("lines", w.Lines, crlf, lf)...)
	ps = append(ps, oneOf("titles", w.Titles, write, skip)...)
	return append(ps, oneOf("formulas", w.Formulas, guard, keep)...)
}

func newCSVEncoder(w Writing, columns []Column) (Encoder, []Problem) {
	e, ps := newCSVPartsEncoder(w, []WrittenPart{{Columns: columns}})
	return e, ps
}

func newCSVParted(w Writing, parts []WrittenPart) (PartsEncoder, []Problem) {
	e, ps := newCSVPartsEncoder(w, parts)
	return e, ps
}

func newCSVPartsEncoder(w Writing, parts []WrittenPart) (*csvEncoder, []Problem) {
	kinds := kinded(parts)
	e := &csvEncoder{end: "\r\n", titles: w.Titles != skip && (!kinds || w.Titles == write), kinds: kinds, guard: w.Formulas != keep,
		charset: w.Encoding, replace: w.Unmappable == replace, comma: w.Decimal == ","}
	e.delim, e.quote = separators(w.Delimiter, w.Quote)
	if w.Lines == lf {
		e.end = "\n"
	}
	var ps []Problem
	bodies := 0
	for _, p := range parts {
		if len(p.Columns) == 0 {
			ps = append(ps, Problem{p.path() + "columns", "missing: " + w.Format + " needs columns"})
			continue
		}
		titles, bad := plainOnly(w.Format, p.Columns)
		ps = append(ps, p.in(bad)...)
		part := csvPart{role: p.Role, columns: titles}
		if p.Kind != "" {
			part.lead = append(e.cell(nil, []byte(p.Kind), false, false), e.delim) // who writes the configuration may call it "-"
		}
		e.parts = append(e.parts, part)
		if p.Role == Body {
			bodies++
		}
	}
	if bodies > 1 {
		if e.titles = false; w.Titles == write {
			ps = append(ps, Problem{"titles", "one line of titles does not go with several kinds of records"})
		}
	}
	for _, p := range parts {
		if e.titles && p.Role == Body {
			ps = append(ps, p.in(e.checkTitles(p.Columns))...)
		}
	}
	return e, ps
}

// checkTitles sees that the titles can be written.
func (e *csvEncoder) checkTitles(columns []Column) (ps []Problem) {
	check := newTextChecker(e.charset, e.replace)
	for i, c := range columns {
		if _, err := e.text(check, Value{Kind: Text, Bytes: []byte(c.Title)}); err != nil {
			ps = append(ps, Problem{fmt.Sprintf("columns[%d].title", i), fmt.Sprintf("%q cannot be written: %s", c.Title, err)})
		}
	}
	return ps
}

// Encode writes the titles and the rows.
func (e *csvEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	return e.EncodeParts(w, onlyRows(rows))
}

// EncodeParts writes the rows, with the titles below a header without a kind.
func (e *csvEncoder) EncodeParts(w io.Writer, rows iter.Seq2[Row, error]) error {
	check := newTextChecker(e.charset, e.replace)
	out := rowWriter{w: w, recode: check.recode}
	var number []byte
	titled := !e.titles
	add := func(n int64, row Row) error {
		part := &e.parts[row.Part]
		if !titled && (e.kinds || part.role != Header) {
			titled = true
			if err := e.writeTitles(&out, check); err != nil {
				return err
			}
		}
		out.buf = append(out.buf, part.lead...)
		for i, v := range row.Values {
			if i > 0 {
				out.buf = append(out.buf, e.delim)
			}
			text, err := e.text(check, v)
			if err != nil {
				return fmt.Errorf("write %s, column %q: %w", rowName(part.role, n), part.columns[i], err)
			}
			if e.comma && v.Kind == Number {
				number = withComma(number[:0], text)
				text = number
			}
			out.buf = e.cell(out.buf, text, v.Kind == Text, len(part.lead)+len(row.Values) == 1)
		}
		out.buf = append(out.buf, e.end...)
		return nil
	}
	if err := out.parts(rows, func(i int) (Role, int) { return e.parts[i].role, len(e.parts[i].columns) }, add); err != nil {
		return err
	}
	if !titled {
		if err := e.writeTitles(&out, check); err != nil {
			return err
		}
	}
	return out.flush(true)
}

// writeTitles writes the titles of the records.
func (e *csvEncoder) writeTitles(out *rowWriter, check textChecker) error {
	part := &e.parts[slices.IndexFunc(e.parts, func(p csvPart) bool { return p.role == Body })]
	titles := part.columns
	if len(part.lead) > 0 {
		out.buf = append(append(out.buf, kindTitle...), e.delim)
	}
	for i, t := range titles {
		if i > 0 {
			out.buf = append(out.buf, e.delim)
		}
		text, err := e.text(check, Value{Kind: Text, Bytes: []byte(t)})
		if err != nil {
			return fmt.Errorf("write row 0, column %q: %w", t, err)
		}
		out.buf = e.cell(out.buf, text, true, len(part.lead)+len(titles) == 1)
	}
	out.buf = append(out.buf, e.end...)
	return nil
}

// Checks tells beforehand what cannot be written.
func (e *csvEncoder) Checks() func(column int, v Value) error {
	check := e.CheckParts()
	return func(column int, v Value) error { return check(0, column, v) }
}

// CheckParts tells beforehand what cannot be written.
func (e *csvEncoder) CheckParts() func(part, column int, v Value) error {
	check := newTextChecker(e.charset, e.replace)
	return func(part, column int, v Value) error {
		_, err := e.text(check, v)
		return inColumn(err, e.parts[part].columns[column])
	}
}

// inColumn says which column a value that cannot be written was for.
func inColumn(err error, title string) error {
	var bad *ValueError
	if errors.As(err, &bad) {
		bad.Field = title
	}
	return err
}

// withComma writes a number with a comma as its decimal mark.
func withComma(dst, number []byte) []byte {
	for _, c := range number {
		if c == '.' {
			c = ','
		}
		dst = append(dst, c)
	}
	return dst
}

// text sees that a value can be written in the encoding of the file.
func (e *csvEncoder) text(check textChecker, v Value) ([]byte, error) {
	if v.Kind == Null || v.Kind == Absent {
		return nil, nil
	}
	if bytes.IndexByte(v.Bytes, 0) >= 0 {
		return nil, &ValueError{Value: cut(v.Bytes), Reason: "the text holds a NUL character, which csv cannot"}
	}
	return check.text(v.Bytes)
}

// cell appends a cell, in quotes where it needs them. An empty cell that is alone in its row is quoted,
// as an empty line is no row.
func (e *csvEncoder) cell(buf, text []byte, isText, alone bool) []byte {
	guarded := isText && e.guard && formula(text)
	switch {
	case e.bare(text) && !(alone && len(bytes.TrimSpace(text)) == 0):
		if guarded {
			buf = append(buf, '\'')
		}
		return append(buf, text...)
	}
	buf = append(buf, e.quote)
	if guarded {
		buf = append(buf, '\'')
	}
	for {
		i := bytes.IndexByte(text, e.quote)
		if i < 0 {
			break
		}
		buf = append(buf, text[:i+1]...)
		buf = append(buf, e.quote)
		text = text[i+1:]
	}
	return append(append(buf, text...), e.quote)
}

// byteOrderMark is U+FEFF in UTF-8.
const byteOrderMark = "\xEF\xBB\xBF"

// bare tells whether a cell can do without quotes. Blanks at the ends are quoted, because many readers drop them, and U+FEFF at the front, which at
// the start of a file would be its byte order mark.
func (e *csvEncoder) bare(text []byte) bool {
	for _, c := range text {
		if c == e.delim || c == e.quote || c == '\r' || c == '\n' {
			return false
		}
	}
	return len(text) == 0 || text[0] > ' ' && text[len(text)-1] > ' ' && (len(text) < 3 || string(text[:3]) != byteOrderMark)
}

// formula tells whether a spreadsheet would run the text (OWASP, CSV injection).
func formula(text []byte) bool {
	return len(text) > 0 && bytes.IndexByte([]byte("=+-@\t\r"), text[0]) >= 0
}
