package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// CSV as RFC 4180 has it, read strictly: a quote opens a cell only at its start and closes it only
// before a delimiter or a line end; every row has as many cells as there are titles. What RFC 4180
// leaves open: lines end with LF or CRLF, empty lines are skipped, a carriage return alone is refused
// outside quotes and kept inside.

func csvFormat() format {
	return format{name: "csv", keys: []string{"delimiter", "quote", "titles", "columns"},
		check: checkCSV, decoder: newCSV, encoder: newCSVEncoder,
		writes: strings.Fields(csvWriting + " delimiter"), checkWriting: checkCSVWriting}
}

func checkCSV(o Options) []Problem {
	var ps []Problem
	if o.Delimiter != "" && !separates(o.Delimiter) {
		ps = append(ps, Problem{"delimiter", fmt.Sprintf("%q cannot stand between cells: write one ASCII character, as \";\" or \"\\t\"", o.Delimiter)})
	}
	if o.Quote != "" && o.Quote != noQuote && !separates(o.Quote) {
		ps = append(ps, Problem{"quote", fmt.Sprintf("%q cannot stand around cells: write one ASCII character, or none", o.Quote)})
	}
	if d, q := separators(o.Delimiter, o.Quote); d == q {
		ps = append(ps, Problem{"quote", "the same character as the delimiter"})
	}
	if o.Titles != nil && (*o.Titles < 0 || *o.Titles > 1000) {
		ps = append(ps, Problem{"titles", fmt.Sprintf("%d is no line that titles could stand in: write 1 to 1000, or 0 for no titles", *o.Titles)})
	}
	ps = append(ps, oneOf("columns.extra", o.Columns.Extra, ignore, reject)...)
	return append(ps, oneOf("columns.missing", o.Columns.Missing, reject, ignore)...)
}

const (
	noQuote = "none"
	ignore  = "ignore"
	reject  = "reject"
)

// separates tells whether a character can be a delimiter or a quote: one byte of UTF-8 and of every
// encoding to come, and no part of a line end.
func separates(s string) bool {
	return len(s) == 1 && s[0] < 0x80 && s[0] != 0 && s[0] != '\r' && s[0] != '\n'
}

// separators returns delimiter and quote; no quote is 0, which no text holds.
func separators(delimiter, quote string) (d, q byte) {
	d, q = ',', '"'
	if delimiter != "" {
		d = delimiter[0]
	}
	switch {
	case quote == noQuote:
		q = 0
	case quote != "":
		q = quote[0]
	}
	return d, q
}

// csvDecoder reads CSV and TSV.
type csvDecoder struct {
	o      Options
	delim  byte
	quote  byte
	titles int
	shop   workshop
	wants  []Want
	fixed  []int // by index of wants: the column from 0, -1 to look for it among the titles
}

func newCSV(o Options, wants []Want) (Decoder, []Problem) {
	d := &csvDecoder{o: o, titles: 1, wants: wants}
	d.delim, d.quote = separators(o.Delimiter, o.Quote)
	if o.Titles != nil {
		d.titles = *o.Titles
	}
	var ps []Problem
	for _, w := range wants {
		at, p := d.columnOf(w)
		d.fixed = append(d.fixed, at)
		ps = append(ps, p...)
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return d, nil
}

// Decode reads the records of a file.
func (d *csvDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		w := open(b, d.o, on)
		defer d.shop.back(on, w)
		r := &csvReading{d: d, scan: newCSVScan(w, d.delim, d.quote, d.o.Limits)}
		if err := r.head(); err != nil {
			if !errors.Is(err, io.EOF) {
				yield(nil, err)
			}
			return
		}
		for {
			ok, err := r.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				var bad *RecordError
				if !yield(nil, err) || !errors.As(err, &bad) {
					return
				}
			case ok && !yield(&r.rec, nil):
				return
			}
		}
	}
}

// csvReading is the state of reading one file.
type csvReading struct {
	d       *csvDecoder
	scan    *csvScan
	rec     Record
	at      []int // by index of cells: the column, -1 when the file has none
	columns int   // how many cells a row has
	first   bool  // the scanner already stands on the first row, from which the columns were counted
}

// next reads the next record; false without error when the line is blank.
func (r *csvReading) next() (bool, error) {
	s := r.scan
	if !r.first {
		if err := s.next(); err != nil {
			return false, err
		}
	}
	r.first = false
	if s.blank(r.columns) {
		return false, nil
	}
	r.rec.Number++
	switch {
	case s.bad != "":
		return false, r.reject(s.bad)
	case len(s.row) != r.columns:
		return false, r.reject(fmt.Sprintf("the row has %s, there should be %d%s", counted(len(s.row), "cell"), r.columns, r.hint()))
	}
	r.rec.Line, r.rec.Offset, r.rec.Row = s.line, s.offset, s.row
	if r.d.o.Raw {
		r.rec.Raw = s.raw
	}
	for i, at := range r.at {
		if at >= 0 {
			c := &r.rec.Cells[i]
			c.Kind, c.Bytes = Text, s.row[at]
		}
	}
	return true, nil
}

func (r *csvReading) hint() string {
	if len(r.scan.row) > r.columns && r.d.quote != 0 {
		return fmt.Sprintf("; a cell that holds %q must stand in %c", r.d.delim, r.d.quote)
	}
	return ""
}

func (r *csvReading) reject(reason string) *RecordError {
	e := &RecordError{Record: r.rec.Number, Line: r.scan.line, Offset: r.scan.offset, Value: cut(r.scan.raw), Reason: reason}
	if r.d.o.Raw {
		e.Raw = bytes.Clone(r.scan.raw)
	}
	return e
}

// cut shortens a value for an error.
func cut(b []byte) string {
	const most = 200
	if len(b) <= most {
		return string(b)
	}
	return string(b[:most-cutCharacter(b[:most])])
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
