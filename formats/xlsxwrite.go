package formats

import (
	"archive/zip"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"waybill/formats/xlsx"
)

const (
	cellCharacters = 32_767 // characters that a cell may hold
	widest         = 60     // of a column, in characters
	decimals       = 6      // up to so many are shown as they are written
	sampleAll      = 256 << 10
)

// Styles of the cells that are written, by their place in styles.xml; those of numbers with decimals follow.
const (
	stylePlain = iota
	styleTitle
	styleDate
	styleTime
	styleMoment
	styleGuarded // text that would be taken for a formula when it is typed
	styleDecimals
)

// xlsxEncoder writes a workbook of one sheet: numbers, dates and booleans as such, text never as a formula.
type xlsxEncoder struct {
	columns []xlsxColumn
	codes   []string // number formats of the columns, each once
	titles  bool
	guard   bool
	sheet   string
	deflate *sync.Pool // of *flate.Writer: one takes a MiB, and a message may be a workbook
}

// An xlsxColumn is how a column looks.
type xlsxColumn struct {
	title string
	width int  // characters; 0: as the first rows need
	style int  // of what its format is for; 0: as the value says
	dates bool // the format is one of dates and times, not of numbers
}

func checkXLSXWriting(w Writing) []Problem {
	ps := oneOf("titles", w.Titles, write, skip)
	if reason := badSheetName(w.Sheet); w.Sheet != "" && reason != "" {
		ps = append(ps, Problem{"sheet", fmt.Sprintf("%q cannot be the name of a sheet: %s", w.Sheet, reason)})
	}
	return append(ps, oneOf("formulas", w.Formulas, guard, keep)...)
}

// badSheetName tells why a spreadsheet would not take a name, "" where it does.
func badSheetName(name string) string {
	switch {
	case len(utf16.Encode([]rune(name))) > 31:
		return "it has more than 31 characters"
	case strings.ContainsAny(name, `[]:*?/\`):
		return `it holds one of [ ] : * ? / \`
	case strings.HasPrefix(name, "'"), strings.HasSuffix(name, "'"):
		return "it begins or ends with an apostrophe"
	case strings.EqualFold(name, "history"):
		return "spreadsheets keep it for themselves"
	case !utf8.ValidString(name) || badXMLText([]byte(name)) >= 0 || strings.TrimSpace(name) == "":
		return "it is not made of characters that can be seen"
	}
	return ""
}

func newXLSXEncoder(w Writing, columns []Column) (Encoder, []Problem) {
	switch {
	case len(columns) == 0:
		return nil, []Problem{{"columns", "missing: xlsx needs columns"}}
	case len(columns) > xlsx.MaxColumns:
		return nil, []Problem{{"columns", fmt.Sprintf("a sheet has at most %d columns", xlsx.MaxColumns)}}
	}
	e := &xlsxEncoder{titles: w.Titles != skip, guard: w.Formulas != keep, sheet: cmp.Or(w.Sheet, "Sheet1"), deflate: &sync.Pool{}}
	var ps []Problem
	for i, c := range columns {
		path := fmt.Sprintf("columns[%d].", i)
		if c.Width < 0 || c.Width > 255 {
			ps = append(ps, Problem{path + "width", fmt.Sprintf("%d is no width: a column has 1 to 255 characters", c.Width)})
		}
		if c.Align != "" || c.Fill != "" {
			ps = append(ps, Problem{path + "align", "and fill do not go with xlsx, but with fixed"})
		}
		column := xlsxColumn{title: c.Title, width: c.Width, dates: xlsx.ShowsDates(c.Format)}
		if c.Format != "" {
			if err := xlsx.CheckCode(c.Format); err != nil {
				ps = append(ps, Problem{path + "format", err.Error()})
			}
			column.style = e.styleOf(c.Format)
		}
		e.columns = append(e.columns, column)
	}
	return e, ps
}

// styleOf is the style of a number format.
func (e *xlsxEncoder) styleOf(code string) int {
	i := slices.Index(e.codes, code)
	if i < 0 {
		i = len(e.codes)
		e.codes = append(e.codes, code)
	}
	return styleDecimals + decimals + i
}

// Checks tells beforehand what a cell cannot hold.
func (e *xlsxEncoder) Checks() func(column int, v Value) error {
	return func(column int, v Value) error { return inColumn(checkCell(v), e.columns[column].title) }
}

func checkCell(v Value) error {
	switch {
	case v.Kind == Null, v.Kind == Absent:
	case !utf8.Valid(v.Bytes):
		return &ValueError{Value: cut(v.Bytes), Reason: "the text is not valid UTF-8"}
	case len(v.Bytes) > cellCharacters:
		if n := utf8.RuneCount(v.Bytes); n > cellCharacters {
			return &ValueError{Value: cut(v.Bytes), Reason: fmt.Sprintf("a cell of a sheet holds at most %d characters, this text has %d", cellCharacters, n)}
		}
	}
	return nil
}

// Encode writes the titles and the rows. How wide the columns are is taken from the first of them. The same rows give the same bytes.
func (e *xlsxEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, e.compressor)
	for _, part := range e.parts() {
		if err := writePart(z, part.name, part.text); err != nil {
			return err
		}
	}
	part, err := z.CreateHeader(&zip.FileHeader{Name: "xl/worksheets/sheet1.xml", Method: zip.Deflate})
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	s := &sheetWriter{e: e, out: rowWriter{w: part}, widths: make([]int, len(e.columns))}
	if err := s.rows(rows); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

func writePart(z *zip.Writer, name, text string) error {
	part, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	if err == nil {
		_, err = io.WriteString(part, text)
	}
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

// sheetWriter writes the rows. The first are kept back until it is known how wide the columns are, which stands before them.
type sheetWriter struct {
	e      *xlsxEncoder
	out    rowWriter
	widths []int // characters, until they are written
	begun  bool
	row    int64
}

func (s *sheetWriter) rows(rows iter.Seq2[[]Value, error]) error {
	if s.e.titles {
		row := make([]Value, len(s.e.columns))
		for i, t := range s.e.columns {
			row[i] = Value{Kind: Text, Bytes: []byte(t.title)}
		}
		if err := s.add(row, true); err != nil {
			return err
		}
	}
	n := int64(0)
	for row, err := range rows {
		if err != nil {
			return err
		}
		if n++; len(row) != len(s.e.columns) {
			return fmt.Errorf("write row %d: it has %d values for %d columns", n, len(row), len(s.e.columns))
		}
		if err := s.add(row, false); err != nil {
			return fmt.Errorf("write row %d, %w", n, err)
		}
		if len(s.out.buf) < sampleAll && !s.begun {
			continue
		}
		if err := s.flush(false); err != nil {
			return err
		}
	}
	s.begin()
	s.out.buf = append(s.out.buf, "</sheetData></worksheet>"...)
	return s.out.flush(true)
}

func (s *sheetWriter) flush(all bool) error {
	s.begin()
	return s.out.flush(all)
}

// begin puts what stands above the rows before those that were kept back.
func (s *sheetWriter) begin() {
	if s.begun {
		return
	}
	s.begun = true
	var head bytes.Buffer
	head.WriteString(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n" + `<worksheet xmlns="` + mainNamespace + `">`)
	if s.e.titles {
		head.WriteString(`<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>`)
	}
	head.WriteString(`<cols>`)
	for i, n := range s.widths {
		n = cmp.Or(s.e.columns[i].width, min(widest, max(8, n+2)))
		fmt.Fprintf(&head, `<col min="%d" max="%d" width="%d" customWidth="1"/>`, i+1, i+1, n)
	}
	head.WriteString(`</cols><sheetData>`)
	s.out.buf = append(head.Bytes(), s.out.buf...)
}

func (s *sheetWriter) add(row []Value, title bool) error {
	if s.row++; s.row > xlsx.MaxRows {
		return &ValueError{Reason: fmt.Sprintf("a sheet has at most %d rows: write csv, or several files", xlsx.MaxRows)}
	}
	b := append(s.out.buf, `<row r="`...)
	b = append(strconv.AppendInt(b, s.row, 10), `">`...)
	for i, v := range row {
		var err error
		from := len(b)
		if b, err = s.cell(b, i, v, title); err != nil {
			return fmt.Errorf("column %q: %w", s.e.columns[i].title, err)
		}
		if !s.begun && len(b) > from {
			s.widths[i] = max(s.widths[i], min(widest, utf8.RuneCount(v.Bytes)))
		}
	}
	s.out.buf = append(b, "</row>"...)
	return nil
}

func (s *sheetWriter) cell(b []byte, i int, v Value, title bool) ([]byte, error) {
	open := func(style int, kind string) {
		b = append(append(b, `<c r="`...), xlsx.Letters(i+1)...)
		b = append(strconv.AppendInt(b, s.row, 10), '"')
		if style != stylePlain {
			b = append(strconv.AppendInt(append(b, ` s="`...), int64(style), 10), '"')
		}
		b = append(append(b, kind...), '>')
	}
	switch v.Kind {
	case Null, Absent:
		return b, nil
	case Number:
		if style, ok := numberStyle(v.Bytes); ok {
			if c := &s.e.columns[i]; c.style > 0 && !c.dates {
				style = c.style
			}
			open(style, "")
			return append(append(append(b, "<v>"...), v.Bytes...), "</v></c>"...), nil
		}
	case Bool:
		open(stylePlain, ` t="b"`)
		if string(v.Bytes) == "true" {
			return append(b, "<v>1</v></c>"...), nil
		}
		return append(b, "<v>0</v></c>"...), nil
	case Date:
		if serial, style, ok := serialOf(v.Bytes); ok {
			if c := &s.e.columns[i]; c.style > 0 && c.dates {
				style = c.style
			}
			open(style, "")
			b = strconv.AppendFloat(append(b, "<v>"...), serial, 'f', -1, 64)
			return append(b, "</v></c>"...), nil
		}
	}
	if err := checkCell(v); err != nil {
		return b, err
	}
	style := stylePlain
	switch {
	case title:
		style = styleTitle
	case s.e.guard && v.Kind == Text && formula(v.Bytes):
		style = styleGuarded
	}
	open(style, ` t="inlineStr"`)
	b = appendXMLText(append(b, `<is><t xml:space="preserve">`...), v.Bytes)
	return append(b, "</t></is></c>"...), nil
}

// numberStyle tells whether a spreadsheet keeps every digit of a number, and how to show as many decimals as it is written with. One
// that it would not keep goes as text.
func numberStyle(b []byte) (int, bool) {
	digits, behind := 0, -1
	for i, c := range b {
		switch {
		case c-'0' <= 9:
			if digits > 0 || c != '0' {
				digits++
			}
			if behind >= 0 {
				behind++
			}
		case c == '.' && behind < 0 && i > 0 && i < len(b)-1:
			behind = 0
		case c == '-' && i == 0 && len(b) > 1:
		default: // an exponent
			return 0, false
		}
	}
	if behind > 0 && behind <= decimals {
		return styleDecimals + behind - 1, digits <= xlsx.Digits
	}
	return stylePlain, digits <= xlsx.Digits && len(b) > 0 && len(b) < 30
}

// serialOf is the number of a date. Zones are unknown to spreadsheets: the time is that of the clock in its zone. Days before
// March 1900, in which spreadsheets do not agree, go as text.
func serialOf(b []byte) (serial float64, style int, ok bool) {
	text := string(b)
	for _, f := range []struct {
		form  string
		style int
	}{{"2006-01-02", styleDate}, {time.RFC3339Nano, styleMoment}, {"2006-01-02T15:04:05.999999999", styleMoment}, {"15:04:05.999999999", styleTime}} {
		t, err := time.Parse(f.form, text)
		if err != nil {
			continue
		}
		day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
		serial = float64(t.Sub(day).Round(time.Millisecond)/time.Millisecond) / xlsx.DayMillis
		if f.style != styleTime {
			days := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix()/86_400 - time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).Unix()/86_400
			serial += float64(days)
		}
		return serial, f.style, f.style == styleTime || serial > 60 && serial < xlsx.LastDay+1
	}
	return 0, 0, false
}

// appendXMLText writes text so that it is read as it is: characters that XML cannot hold as _x0001_, and what looks like that escaped.
func appendXMLText(b, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '&':
			b = append(b, "&amp;"...)
		case c == '<':
			b = append(b, "&lt;"...)
		case c == '>':
			b = append(b, "&gt;"...)
		case c < ' ' && c != '\t' && c != '\n':
			b = fmt.Appendf(b, "_x%04X_", c)
		case c == 0xEF && bytes.HasPrefix(text[i:], []byte("\uFFFE")), c == 0xEF && bytes.HasPrefix(text[i:], []byte("\uFFFF")):
			b = fmt.Appendf(b, "_xFFF%X_", text[i+2]-0xB0)
			i += 2
		case c == '_':
			if _, ok := xlsx.EscapedUnit(text[i:]); ok {
				b = append(b, "_x005F"...)
			}
			b = append(b, '_')
		default:
			b = append(b, c)
		}
	}
	return b
}
