package xlsx

import (
	"bytes"
	"fmt"
	"io"

	"waybill/formats/fault"
)

// Rows reads the rows of a sheet, one after the other, as they stand in the file: rows and cells that are not there cost nothing.
type Rows struct {
	*partScan
	book *Book
	part *partReader

	Row     int64 // number of the row at hand
	At      int64 // its offset in the part
	Hidden  bool
	Cells   []Cell // that hold something
	arena   []byte // what they hold
	visited int64  // cells up to the last one of each row, were they all there
	column  int
	Take    func(column int) bool // which columns to look into, from 1; nil: all
	Dates   func(column int) bool // columns in which a bare number stands for a date; nil: none
}

// A Cell is what one cell holds.
type Cell struct {
	Column   int // from 1
	Kind     Kind
	from, to int    // in the arena
	shared   []byte // instead
	Bad      string // what is wrong with it
	Passed   bool   // not looked into
}

// Kind says what a cell holds.
type Kind uint8

// Kinds of cells.
const (
	Absent Kind = iota
	Text
	Number
	Bool // "true" or "false"
	Date // a date, a time of day or both, as ISO 8601 text without a zone
)

// Content is what a cell holds.
func (s *Rows) Content(c *Cell) []byte {
	if c.shared != nil {
		return c.shared
	}
	return s.arena[c.from:c.to]
}

// Size is how many bytes the row at hand holds.
func (s *Rows) Size() int { return len(s.arena) }

// Hold keeps the row at hand while the next one is read.
func (s *Rows) Hold(into *Rows) {
	into.Row, into.At, into.Hidden = s.Row, s.At, s.Hidden
	into.Cells, into.arena = append(into.Cells[:0], s.Cells...), append(into.arena[:0], s.arena...)
}

// Close ends reading the sheet.
func (s *Rows) Close() { s.part.close() }

// Rows begins to read the sheet that stands in a part, as Sheet names it.
func (w *Book) Rows(part string) (*Rows, error) {
	r, err := w.box.open(part, w.o.Limits.MaxSheet, "max_sheet")
	if err != nil {
		return nil, err
	}
	s := &Rows{partScan: newPartScan(r, part, int(w.o.Limits.MaxField)), book: w, part: r}
	if err := s.toRows(); err != nil {
		r.close()
		return nil, err
	}
	return s, nil
}

// toRows goes to the beginning of the rows.
func (s *Rows) toRows() error {
	for {
		k, err := s.next()
		switch {
		case err != nil:
			return err
		case k == partEnd && s.depth() == 0:
			return s.fail("there is no sheetData")
		case k != partStart:
		case s.depth() == 1 && string(s.name) != "worksheet":
			return s.fail("this is no sheet of cells")
		case s.depth() == 2 && string(s.name) == "sheetData":
			return nil
		case s.depth() == 2:
			if err := s.skip(); err != nil {
				return err
			}
		}
	}
}

// Next reads a row; io.EOF behind the last.
func (s *Rows) Next() error {
	for {
		k, err := s.next()
		switch {
		case err != nil:
			return err
		case k == partEnd:
			return io.EOF
		case k == partText:
			continue
		case string(s.name) == "row":
			return s.readRow()
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
}

func (s *Rows) readRow() error {
	before := s.Row
	if err := s.rowTag(); err != nil {
		return err
	}
	if s.Row <= before || s.Row > MaxRows {
		return s.wrong(fmt.Sprintf("row %d stands behind row %d; rows count upwards to %d", s.Row, before, MaxRows))
	}
	s.At = s.offset()
	s.Cells, s.arena, s.column = s.Cells[:0], s.arena[:0], 0
	for {
		k, err := s.next()
		if err != nil {
			return err
		}
		if k == partEnd {
			break
		}
		if k == partText {
			continue
		}
		if string(s.name) != "c" {
			if err := s.skip(); err != nil {
				return err
			}
			continue
		}
		if err := s.readCell(); err != nil {
			return err
		}
	}
	if s.visited += int64(s.column) + 1; s.visited > int64(s.book.o.Limits.MaxSheetCells) {
		return s.Refusal("max_sheet_cells", fmt.Sprintf("the sheet spans more than max_sheet_cells, %d", s.book.o.Limits.MaxSheetCells))
	}
	return nil
}

func (s *Rows) rowTag() error {
	s.Row, s.Hidden = s.Row+1, false
	for rest := s.attrs; ; {
		name, value, more, ok := nextAttr(rest)
		if !ok {
			return nil
		}
		rest = more
		switch string(name) {
		case "r":
			n, ok := digitsOf(value)
			if !ok {
				return s.wrong(fmt.Sprintf("%q is no number of a row", fault.Cut(value)))
			}
			s.Row = n
		case "hidden":
			s.Hidden = string(value) == "1" || string(value) == "true"
		}
	}
}

// digitsOf reads a small number without signs.
func digitsOf(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 12 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func (s *Rows) wrong(reason string) *fault.FileError { return s.Refusal("", reason) }

// Refusal refuses the file at the row at hand, perhaps for a limit that it passes.
func (s *Rows) Refusal(setting, reason string) *fault.FileError {
	return &fault.FileError{Line: s.Row, Offset: s.offset(), Limit: setting, Reason: s.partScan.part + ": " + reason}
}

// readCell reads the cell whose tag is at hand.
func (s *Rows) readCell() error {
	c := cellParts{style: -1}
	before := s.column
	s.column++
	for rest := s.attrs; ; {
		name, value, more, ok := nextAttr(rest)
		if !ok {
			break
		}
		if rest = more; len(name) != 1 {
			continue
		}
		switch name[0] {
		case 'r':
			column, row, ok := SplitName(value)
			if !ok || row != s.Row || column <= before || column > MaxColumns {
				return s.wrong(fmt.Sprintf("the cell %q stands in row %d behind %s", fault.Cut(value), s.Row, CellName(before, s.Row)))
			}
			s.column = column
		case 's':
			if n, ok := digitsOf(value); ok {
				c.style = int(n)
			}
		case 't':
			c.kind = kindOfType(value)
		}
	}
	if s.Take != nil && !s.Take(s.column) {
		return s.pass()
	}
	c.from = len(s.arena)
	if err := s.contents(&c); err != nil {
		return err
	}
	cell := Cell{Column: s.column, from: c.from}
	if err := s.value(&c, &cell); err != nil {
		return err
	}
	if cell.to = len(s.arena); cell.Kind != Absent || cell.Bad != "" {
		s.Cells = append(s.Cells, cell)
	}
	return nil
}

// pass goes over a cell nobody asks for and only sees whether there is something in it.
func (s *Rows) pass() error {
	some := false
	for depth := s.depth(); ; {
		k, err := s.next()
		if err != nil {
			return err
		}
		switch {
		case k == partText && string(s.name) != "f":
			some = some || len(bytes.TrimSpace(s.text)) > 0
		case k == partEnd && s.depth() < depth:
			if some {
				s.Cells = append(s.Cells, Cell{Column: s.column, Passed: true})
			}
			return nil
		}
	}
}

// cellParts are what stands in the file for a cell.
type cellParts struct {
	style   int
	kind    byte // of its type
	from    int  // of its text in the arena
	formula bool
	there   bool // there is a value, even if it is empty
}

// Types of cells, by a letter.
const (
	typeNumber  = 0
	typeShared  = 's'
	typeInline  = 'i'
	typeFormula = 'f' // the text that a formula gave
	typeBool    = 'b'
	typeError   = 'e'
	typeDate    = 'd'
	typeUnknown = '?'
)

func kindOfType(t []byte) byte {
	switch string(t) {
	case "n", "":
		return typeNumber
	case "s":
		return typeShared
	case "inlineStr":
		return typeInline
	case "str":
		return typeFormula
	case "b":
		return typeBool
	case "e":
		return typeError
	case "d":
		return typeDate
	}
	return typeUnknown
}

// contents reads the elements of a cell.
func (s *Rows) contents(c *cellParts) error {
	depth := s.depth()
	for {
		k, err := s.next()
		switch {
		case err != nil:
			return err
		case k == partEnd && s.depth() < depth:
			return nil
		case k != partStart:
			continue
		}
		switch string(s.name) {
		case "v":
			err = s.valueText(c)
		case "is":
			c.there = true
			s.arena, err = richText(s.partScan, s.arena, s.book.o.Limits.MaxField)
		case "f":
			c.formula = true
			err = s.skip()
		default:
			err = s.skip()
		}
		if err != nil {
			return err
		}
		if err := s.bounded(c); err != nil {
			return err
		}
	}
}

// bounded holds the limits on what a cell and a row may hold.
func (s *Rows) bounded(c *cellParts) error {
	l := &s.book.o.Limits
	if len(s.arena)-c.from > int(l.MaxField) {
		return s.Refusal("max_field", fmt.Sprintf("the cell %s is longer than max_field, %s", CellName(s.column, s.Row), l.MaxField))
	}
	if len(s.arena) > int(l.MaxRecord) {
		return s.Refusal("max_record", fmt.Sprintf("row %d is longer than max_record, %s", s.Row, l.MaxRecord))
	}
	return nil
}

// valueText takes the text of a v.
func (s *Rows) valueText(c *cellParts) error {
	c.there = true
	for depth := s.depth(); ; {
		k, err := s.next()
		switch {
		case err != nil:
			return err
		case k == partEnd && s.depth() < depth:
			return nil
		case k == partText:
			var ok bool
			if s.arena, ok = appendText(s.arena, s.text, s.cdata); !ok {
				return s.wrong(fmt.Sprintf("the cell %s holds what is no text of XML in UTF-8", CellName(s.column, s.Row)))
			}
		}
	}
}
