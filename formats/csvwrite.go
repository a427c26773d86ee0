package formats

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"slices"
	"unicode/utf8"
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
}

func newCSVEncoder(w Writing, columns []string) (Encoder, []Problem) {
	if len(columns) == 0 {
		return nil, []Problem{{"columns", "missing: csv needs columns"}}
	}
	e := &csvEncoder{columns: slices.Clone(columns), end: "\r\n", titles: w.Titles != skip, guard: w.Formulas != keep,
		charset: w.Encoding, replace: w.Unmappable == "replace"}
	e.delim, e.quote = separators(w.Delimiter, w.Quote)
	if w.Lines == lf {
		e.end = "\n"
	}
	return e, nil
}

// Encode writes the titles and the rows.
func (e *csvEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	out := rowWriter{w: w}
	if e.charset != "" {
		out.recode = newRecoder(e.charset, e.replace)
	}
	add := func(n int64, row []Value) error {
		for i, v := range row {
			if i > 0 {
				out.buf = append(out.buf, e.delim)
			}
			text, err := e.text(out.recode, v.Bytes)
			if err != nil {
				return fmt.Errorf("write row %d, column %q: %w", n, e.columns[i], err)
			}
			if v.Kind == Null || v.Kind == Absent {
				text = nil
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

// text sees that a value can be written in the encoding of the file.
func (e *csvEncoder) text(c *recoder, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errNotUTF8
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, errNUL
	}
	if c == nil {
		return text, nil
	}
	out, bad := c.writable(text)
	if bad != 0 {
		return nil, fmt.Errorf("the character %q has no place in %s; say encoding: utf-8, or unmappable: replace", bad, c.charset.name)
	}
	return out, nil
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
