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
	return format{name: "csv", tabular: true, keys: append([]string{"delimiter"}, tableKeys()...),
		check: checkCSV, decoder: newCSV, parts: newCSVParts, encoder: newCSVEncoder, partsEncoder: newCSVParted,
		writes: strings.Fields(csvWriting + " delimiter"), checkWriting: checkCSVWriting}
}

// tableKeys are those of csv and tsv.
func tableKeys() []string {
	return []string{"quote", "titles", "columns", "skip", "comment", "footer", "kind", "ignore"}
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
	ps = append(ps, checkEdges(o)...)
	ps = append(ps, oneOf("columns.extra", o.Columns.Extra, ignore, reject)...)
	return append(ps, oneOf("columns.missing", o.Columns.Missing, reject, ignore)...)
}

// checkEdges looks at what says which lines are no rows.
func checkEdges(o Options) (ps []Problem) {
	for _, k := range []struct {
		key   string
		lines int
	}{{"skip", o.Skip}, {"footer", o.Footer}} {
		if k.lines < 0 || k.lines > 1000 {
			ps = append(ps, Problem{k.key, fmt.Sprintf("%d is no number of lines: write 1 to 1000", k.lines)})
		}
	}
	if o.Titles != nil && *o.Titles > 0 && *o.Titles <= o.Skip {
		ps = append(ps, Problem{"titles", fmt.Sprintf("line %d is one of those that skip passes over", *o.Titles)})
	}
	d, q := separators(o.Delimiter, o.Quote)
	if c := o.Comment; c != "" && (len(c) > 10 || strings.TrimSpace(c) != c || c[0] == d || c[0] == q || strings.ContainsAny(c, "\r\n")) {
		ps = append(ps, Problem{"comment", fmt.Sprintf("%q cannot start a comment: write up to 10 characters that no row starts with, as \"#\"", c)})
	}
	return ps
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
	edged  bool // some lines are no rows, or the last one is the trailer
	shop   workshop
	tables []csvTable
	kind   int         // the column of the kind from 0, -1 to look for it among the titles
	layout *lineLayout // nil: all rows are records of one kind
}

func newCSV(o Options, wants []Want) (Decoder, []Problem) {
	return newCSVParts(o, []Part{{Wants: wants}})
}

// Decode reads the records of a file.
func (d *csvDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		w := open(b, d.o, on)
		defer d.shop.back(on, w)
		r := &csvReading{d: d, scan: newCSVScan(w, d.delim, d.quote, d.o.Limits), tables: make([]csvColumns, len(d.tables)), kindAt: d.kind}
		r.scan.comment = []byte(d.o.Comment)
		if d.layout != nil {
			d.layout.run(r, yield)
			return
		}
		if err := r.head(); err != nil {
			if !errors.Is(err, io.EOF) {
				yield(nil, err)
			}
			return
		}
		r.at = r.tables[0].at
		r.rec.Cells = make([]Cell, len(r.at))
		for {
			ok, err := r.record()
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
	columns int   // how many cells a row has, -1: rows have nothing in common
	first   bool  // the scanner already stands on the first row, from which the columns were counted

	tables []csvColumns // by those of the decoder
	kindAt int          // the column of the kind
	stage  csvStage
	last   bool     // the first row is the last line
	names  []string // numbers of columns, as many as were needed
}

// record reads the next record; false without error when the line is blank.
func (r *csvReading) record() (bool, error) {
	s := r.scan
	if !r.first {
		if r.d.edged {
			if _, err := r.edge(); err != nil {
				return false, err
			}
		}
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
