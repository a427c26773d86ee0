package formats

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
)

const (
	sheetRows    = 1 << 20
	sheetColumns = 1 << 14
)

// A sheetScan reads the rows of a sheet, one after the other, as they stand in the file: rows and cells that are not there cost nothing.
type sheetScan struct {
	*partScan
	book *workbook
	part *partReader

	row     int64 // number of the row at hand
	rowAt   int64 // its offset in the part
	hidden  bool
	cells   []sheetCell // that hold something
	arena   []byte      // what they hold
	visited int64       // cells up to the last one of each row, were they all there
	column  int
	take    func(column int) bool // which columns to look into, from 1; nil: all
	dates   func(column int) bool // columns in which a bare number stands for a date; nil: none
}

// A sheetCell is what one cell holds.
type sheetCell struct {
	column   int // from 1
	kind     Kind
	from, to int    // in the arena
	shared   []byte // instead
	bad      string // what is wrong with it
	passed   bool   // not looked into
}

func (w *workbook) openSheet(part string) (*sheetScan, error) {
	r, err := w.box.open(part, w.o.Limits.MaxSheet, "max_sheet")
	if err != nil {
		return nil, err
	}
	s := &sheetScan{partScan: newPartScan(r, part, int(w.o.Limits.MaxField)), book: w, part: r}
	if err := s.toRows(); err != nil {
		r.close()
		return nil, err
	}
	return s, nil
}

// toRows goes to the beginning of the rows.
func (s *sheetScan) toRows() error {
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

// nextRow reads a row; io.EOF behind the last.
func (s *sheetScan) nextRow() error {
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

func (s *sheetScan) readRow() error {
	before := s.row
	if err := s.rowTag(); err != nil {
		return err
	}
	if s.row <= before || s.row > sheetRows {
		return s.wrong(fmt.Sprintf("row %d stands behind row %d; rows count upwards to %d", s.row, before, sheetRows))
	}
	s.rowAt = s.offset()
	s.cells, s.arena, s.column = s.cells[:0], s.arena[:0], 0
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
		return s.limit("max_sheet_cells", fmt.Sprintf("the sheet spans more than max_sheet_cells, %d", s.book.o.Limits.MaxSheetCells))
	}
	return nil
}

func (s *sheetScan) rowTag() error {
	s.row, s.hidden = s.row+1, false
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
				return s.wrong(fmt.Sprintf("%q is no number of a row", cut(value)))
			}
			s.row = n
		case "hidden":
			s.hidden = string(value) == "1" || string(value) == "true"
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

func (s *sheetScan) wrong(reason string) *FileError { return s.limit("", reason) }

func (s *sheetScan) limit(setting, reason string) *FileError {
	return &FileError{Line: s.row, Offset: s.offset(), Limit: setting, Reason: s.partScan.part + ": " + reason}
}

// readCell reads the cell whose tag is at hand.
func (s *sheetScan) readCell() error {
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
			column, row, ok := splitName(value)
			if !ok || row != s.row || column <= before || column > sheetColumns {
				return s.wrong(fmt.Sprintf("the cell %q stands in row %d behind %s", cut(value), s.row, cellName(before, s.row)))
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
	if s.take != nil && !s.take(s.column) {
		return s.pass()
	}
	c.from = len(s.arena)
	if err := s.contents(&c); err != nil {
		return err
	}
	cell := sheetCell{column: s.column, from: c.from}
	if err := s.value(&c, &cell); err != nil {
		return err
	}
	if cell.to = len(s.arena); cell.kind != Absent || cell.bad != "" {
		s.cells = append(s.cells, cell)
	}
	return nil
}

// pass goes over a cell nobody asks for and only sees whether there is something in it.
func (s *sheetScan) pass() error {
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
				s.cells = append(s.cells, sheetCell{column: s.column, passed: true})
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
func (s *sheetScan) contents(c *cellParts) error {
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
func (s *sheetScan) bounded(c *cellParts) error {
	l := &s.book.o.Limits
	if len(s.arena)-c.from > int(l.MaxField) {
		return s.limit("max_field", fmt.Sprintf("the cell %s is longer than max_field, %s", cellName(s.column, s.row), l.MaxField))
	}
	if len(s.arena) > int(l.MaxRecord) {
		return s.limit("max_record", fmt.Sprintf("row %d is longer than max_record, %s", s.row, l.MaxRecord))
	}
	return nil
}

// valueText takes the text of a v.
func (s *sheetScan) valueText(c *cellParts) error {
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
				return s.wrong(fmt.Sprintf("the cell %s holds what is no text of XML in UTF-8", cellName(s.column, s.row)))
			}
		}
	}
}

// splitName takes B7 apart.
func splitName(b []byte) (column int, row int64, ok bool) {
	i := 0
	for i < len(b) && i < 4 && b[i] >= 'A' && b[i] <= 'Z' {
		column = column*26 + int(b[i]-'A') + 1
		i++
	}
	row, ok = digitsOf(b[i:])
	return column, row, ok && column > 0
}

// cellName is B7 for column 2 and row 7.
func cellName(column int, row int64) string {
	return columnLetters(column) + strconv.FormatInt(row, 10)
}

func columnLetters(column int) string {
	var b [4]byte
	i := len(b)
	for ; column > 0 && i > 0; column = (column - 1) / 26 {
		i--
		b[i] = byte('A' + (column-1)%26)
	}
	return string(b[i:])
}
