package formats

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// fixedEncoder writes columns of fixed widths. What is too long for its column is an error: nothing is ever cut.
type fixedEncoder struct {
	columns []fixedColumn
	end     string
	charset string // "": UTF-8
	replace bool
	comma   bool           // the decimal mark
	width   func(rune) int // columns of a character; nil: one
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
	if len(columns) == 0 {
		return nil, []Problem{{"columns", "missing: fixed needs columns"}}
	}
	e := &fixedEncoder{end: "\r\n", charset: w.Encoding, replace: w.Unmappable == replace, comma: w.Decimal == ",",
		width: widthOf(Options{Unit: w.Unit, Encoding: w.Encoding})}
	switch w.Lines {
	case lf:
		e.end = "\n"
	case endsNone:
		e.end = ""
	}
	var ps []Problem
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
		e.columns = append(e.columns, column)
	}
	return e, ps
}

// Encode writes the rows.
func (e *fixedEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	check := newTextChecker(e.charset, e.replace)
	out := rowWriter{w: w, recode: check.recode}
	err := out.each(rows, len(e.columns), func(n int64, row []Value) error {
		for i, v := range row {
			c := &e.columns[i]
			text, columns, err := e.text(check, c, v)
			if err != nil {
				return fmt.Errorf("write row %d, column %q: %w", n, c.title, err)
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

// Checks tells beforehand what does not fit.
func (e *fixedEncoder) Checks() func(column int, v Value) error {
	check := newTextChecker(e.charset, e.replace)
	return func(column int, v Value) error {
		_, _, err := e.text(check, &e.columns[column], v)
		return inColumn(err, e.columns[column].title)
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
	columns = utf8.RuneCount(text)
	if e.width != nil && columns < len(text) {
		columns = 0
		for i := 0; i < len(text); {
			r, n := utf8.DecodeRune(text[i:])
			if columns++; r >= utf8.RuneSelf {
				columns += e.width(r) - 1
			}
			i += n
		}
	}
	if columns > c.width {
		return nil, 0, &ValueError{Value: cut(v.Bytes), Reason: fmt.Sprintf("takes %s, but its place has %d: what is too long is not cut", counted(columns, "column"), c.width)}
	}
	return text, columns, nil
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
