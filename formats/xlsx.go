package formats

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"waybill/formats/xlsx"
)

// XLSX (Office Open XML, transitional and strict) is read as a stream, row by row, out of one sheet. Numbers come as they are
// meant, dates as ISO text by the number formats of their cells, formulas by the value kept with them. Nothing is run or fetched, and of
// the parts of the file only those are unpacked that say what the cells hold, each within its limit.

func xlsxFormat() format {
	return format{name: "xlsx", tabular: true, keys: []string{"titles", "columns", "sheet", "hidden", "macros"},
		check: checkXLSX, decoder: newXLSX, parts: newXLSXParts, encoder: newXLSXEncoder,
		writes: []string{"titles", "formulas", "sheet"}, checkWriting: checkXLSXWriting}
}

func checkXLSX(o Options) []Problem {
	var ps []Problem
	if o.Encoding != "" {
		ps = append(ps, Problem{"encoding", "does not go with format xlsx, which is always UTF-8"})
	}
	if o.Titles != nil && (*o.Titles < 0 || *o.Titles > 1000) {
		ps = append(ps, Problem{"titles", fmt.Sprintf("%d is no row that titles could stand in: write 1 to 1000, or 0 for no titles", *o.Titles)})
	}
	ps = append(ps, oneOf("hidden", o.Hidden, take, skip)...)
	ps = append(ps, oneOf("macros", o.Macros, reject, allow)...)
	ps = append(ps, oneOf("columns.extra", o.Columns.Extra, ignore, reject)...)
	return append(ps, oneOf("columns.missing", o.Columns.Missing, reject, ignore)...)
}

const (
	take  = "take"
	allow = "allow"
)

// ShowsDates tells whether a number format of a spreadsheet shows dates or times.
func ShowsDates(code string) bool { return xlsx.ShowsDates(code) }

// xlsxDecoder reads one sheet of a workbook.
type xlsxDecoder struct {
	o       Options
	titles  int // row of the titles, 0 for none, -1 to look for it
	wants   []Want
	fixed   []int // by index of wants: the column from 1, 0 to look for it among the titles
	byTitle bool  // some want goes by its title

	body, header, tail int        // the parts, -1: none
	above, below       []xlsxSide // of header and trailer
	lastRow            bool       // the last row is that of the trailer
}

func newXLSX(o Options, wants []Want) (Decoder, []Problem) {
	d := &xlsxDecoder{o: o, titles: -1, wants: wants, header: -1, tail: -1}
	if o.Titles != nil {
		d.titles = *o.Titles
	}
	var ps []Problem
	for _, w := range wants {
		path := "fields." + w.Name
		at := 0
		switch {
		case w.List || w.Object:
			ps = append(ps, Problem{path, "a row of xlsx holds no lists or objects: use group"})
		case w.Column != "":
			var err error
			if at, err = ColumnNumber(w.Column); err == nil && at > min(o.Limits.MaxColumns, xlsx.MaxColumns) {
				err = fmt.Errorf("column %s lies beyond max_columns, %d", w.Column, min(o.Limits.MaxColumns, xlsx.MaxColumns))
			}
			if err != nil {
				ps = append(ps, Problem{path + ".column", err.Error()})
			}
		case len(w.From) == 0:
			ps = append(ps, Problem{path, "missing: write from with the title of the column, or column with its letter or number"})
		case d.titles == 0:
			ps = append(ps, Problem{path + ".from", "there are no titles (titles: 0): write column with its letter or number"})
		default:
			d.byTitle = true
		}
		d.fixed = append(d.fixed, at)
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return d, nil
}

// Decode reads the records of a file.
func (d *xlsxDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		at, size, drop, err := b.Anywhere(d.o.Limits, nil)
		if err != nil {
			yield(nil, err)
			return
		}
		defer drop()
		book, err := xlsx.Open(at, size, d.o.book())
		if err != nil {
			yield(nil, err)
			return
		}
		r := &xlsxReading{d: d, book: book}
		if r.part, err = book.Sheet(d.o.Sheet); err == nil {
			err = r.head()
		}
		switch {
		case errors.Is(err, io.EOF): // there is nothing in the sheet
			return
		case err == nil:
			if err = r.top(yield); err == nil {
				err = r.records(yield)
			}
		}
		if err != nil && !errors.Is(err, errLeft) {
			yield(nil, err)
		}
	}
}

// book says how a workbook is read.
func (o *Options) book() xlsx.Options {
	l := o.Limits
	return xlsx.Options{Macros: o.Macros == allow, Limits: xlsx.Limits{
		MaxRatio: l.MaxRatio, MaxRecord: l.MaxRecord, MaxField: l.MaxField, MaxSheet: l.MaxSheet, MaxPart: l.MaxPart,
		MaxStrings: l.MaxStrings, MaxSheetCells: l.MaxSheetCells,
	}}
}

// sheetKinds are the kinds of cells, as sheets have them.
var sheetKinds = [...]Kind{xlsx.Absent: Absent, xlsx.Text: Text, xlsx.Number: Number, xlsx.Bool: Bool, xlsx.Date: Date}

var errLeft = errors.New("the caller has enough")

// xlsxReading is the state of reading one file.
type xlsxReading struct {
	d      *xlsxDecoder
	book   *xlsx.Book
	part   string // the sheet
	titles int64  // their row, 0 for none
	width  int    // columns of the table: up to the last title, or to the last column that is wanted
	at     []int  // by index of cells: the column, 0 when the file has none
	slots  []int  // by column from 1: place in found, -1 when nobody asks for it
	dates  []bool // by column from 1: a bare number stands for a date
	found  []*xlsx.Cell
	rec    Record

	tail   []xlsxSide
	wanted []int  // columns that the trailer needs
	end    []Cell // of the trailer
}

// records gives the rows below the titles.
func (r *xlsxReading) records(yield func(*Record, error) bool) error {
	s, err := r.book.Rows(r.part)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Take = func(column int) bool {
		return column < len(r.slots) && r.slots[column] >= 0 || slices.Contains(r.wanted, column)
	}
	s.Dates = func(column int) bool {
		return column < len(r.dates) && r.dates[column] || len(r.tail) > 0 && datesOf(r.tail, column, s.Row)
	}
	var held *xlsx.Rows // a row that may be the last
	for {
		err := s.Next()
		if errors.Is(err, io.EOF) {
			if err = s.Rest(); err == nil {
				err = r.bottom(held, yield)
			}
			return err
		}
		if err == nil && len(r.tail) > 0 {
			err = r.pick(s, r.tail, r.end)
		}
		if err != nil {
			return err
		}
		if s.Row <= r.titles || s.Hidden && r.d.o.Hidden == skip || r.blank(s) {
			continue
		}
		row := s
		if r.d.lastRow {
			if held == nil {
				held = &xlsx.Rows{}
				s.Hold(held)
				continue
			}
			row = held
		}
		if err := r.hand(row, yield); err != nil {
			return err
		}
		if row == held {
			s.Hold(held)
		}
	}
}

// hand gives the record of a row.
func (r *xlsxReading) hand(s *xlsx.Rows, yield func(*Record, error) bool) error {
	if bad := r.record(s); bad != nil {
		if !yield(nil, bad) {
			return errLeft
		}
		return nil
	}
	return r.give(&r.rec, yield)
}

// blank tells whether a row holds nothing in the columns of the table.
func (r *xlsxReading) blank(s *xlsx.Rows) bool {
	for i := range s.Cells {
		c := &s.Cells[i]
		if (c.Column <= r.width || r.titles == 0) && (c.Passed || c.Bad != "" || c.Kind != xlsx.Text || len(s.Content(c)) > 0) {
			return false
		}
	}
	return true
}

// record makes the record of a row.
func (r *xlsxReading) record(s *xlsx.Rows) *RecordError {
	r.rec.Number++
	r.rec.Part = r.d.body
	r.rec.Line, r.rec.Offset = s.Row, s.At
	clear(r.found)
	for i := range s.Cells {
		c := &s.Cells[i]
		switch {
		case c.Column < len(r.slots) && r.slots[c.Column] >= 0:
			r.found[r.slots[c.Column]] = c
		case len(r.d.wants) == 0 && r.titles == 0:
			return r.reject(s, c, "", fmt.Sprintf("the first row has %s, this one more", counted(r.width, "column")))
		}
	}
	for i, column := range r.at {
		cell := &r.rec.Cells[i]
		*cell = Cell{}
		if column == 0 {
			continue
		}
		c := r.found[r.slots[column]]
		if c == nil {
			continue
		}
		if c.Bad != "" {
			return r.reject(s, c, r.fieldName(i), c.Bad)
		}
		cell.Kind, cell.Bytes = sheetKinds[c.Kind], s.Content(c)
	}
	return nil
}

func (r *xlsxReading) fieldName(i int) string {
	if len(r.d.wants) > 0 {
		return r.d.wants[i].Name
	}
	return r.rec.Names[i]
}

func (r *xlsxReading) reject(s *xlsx.Rows, c *xlsx.Cell, field, reason string) *RecordError {
	return &RecordError{Record: r.rec.Number, Line: s.Row, Offset: s.At, Field: field,
		Value: cut(s.Content(c)), Reason: xlsx.CellName(c.Column, s.Row) + ": " + reason}
}
