package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// csvEncoder writes CSV and TSV.
type csvEncoder struct {
	columns []string
	delim   byte
	quote   byte
	end     string
	titles  bool
	guard   bool   // put an apostrophe before what a spreadsheet would take for a formula
	charset string // "": UTF-8
	replace bool
	comma   bool // the decimal mark
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
	if len(columns) == 0 {
		return nil, []Problem{{"columns", "missing: " + w.Format + " needs columns"}}
	}
	titles, ps := plainOnly(w.Format, columns)
	e := &csvEncoder{columns: titles, end: "\r\n", titles: w.Titles != skip, guard: w.Formulas != keep,
		charset: w.Encoding, replace: w.Unmappable == replace, comma: w.Decimal == ","}
	e.delim, e.quote = separators(w.Delimiter, w.Quote)
	if w.Lines == lf {
		e.end = "\n"
	}
	return e, ps
}

// Encode writes the titles and the rows.
func (e *csvEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	check := newTextChecker(e.charset, e.replace)
	out := rowWriter{w: w, recode: check.recode}
	var number []byte
	add := func(n int64, row []Value) error {
		for i, v := range row {
			if i > 0 {
				out.buf = append(out.buf, e.delim)
			}
			text, err := e.text(check, v)
			if err != nil {
				return fmt.Errorf("write row %d, column %q: %w", n, e.columns[i], err)
			}
			if e.comma && v.Kind == Number {
				number = withComma(number[:0], text)
				text = number
			}
			out.buf = e.cell(out.buf, text, v.Kind == Text, len(row) == 1)
		}
		out.buf = append(out.buf, e.end...)
		return nil
	}
	if e.titles {
		row := make([]Value, len(e.columns))
		for i, t := range e.columns {
			row[i] = Value{Kind: Text, Bytes: []byte(t)}
		}
		if err := add(0, row); err != nil {
			return err
		}
	}
	if err := out.each(rows, len(e.columns), add); err != nil {
		return err
	}
	return out.flush(true)
}

// Checks tells beforehand what cannot be written.
func (e *csvEncoder) Checks() func(column int, v Value) error {
	check := newTextChecker(e.charset, e.replace)
	return func(column int, v Value) error {
		_, err := e.text(check, v)
		return inColumn(err, e.columns[column])
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

// bare tells whether a cell can do without quotes. Blanks at the ends are quoted, because many readers drop them.
func (e *csvEncoder) bare(text []byte) bool {
	for _, c := range text {
		if c == e.delim || c == e.quote || c == '\r' || c == '\n' {
			return false
		}
	}
	return len(text) == 0 || text[0] > ' ' && text[len(text)-1] > ' '
}

// formula tells whether a spreadsheet would run the text (OWASP, CSV injection).
func formula(text []byte) bool {
	return len(text) > 0 && bytes.IndexByte([]byte("=+-@\t\r"), text[0]) >= 0
}
