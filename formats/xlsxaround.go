package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"waybill/formats/xlsx"
)

// Header and trailer of a workbook: cells by their names (B2), a header cell also by the text left of it, and trailer cells by the title of their column
// in the last row, which then is no record.

// An xlsxSide is where one field of a header or trailer stands.
type xlsxSide struct {
	name   string
	row    int64    // of a cell by its name; 0: none
	column int      // of that cell, or of the trailer's row; 0: by text
	text   []string // the label left of it, or the title of its column
	must   bool
	date   bool
}

func newXLSXParts(o Options, parts []Part) (Decoder, []Problem) {
	body := slices.IndexFunc(parts, func(p Part) bool { return p.Role == Body })
	var ps []Problem
	for i, p := range parts {
		switch at := p.path(); {
		case p.Role == BlockHeader, p.Role == BlockTrailer, p.Role == Body && (i != body || p.Name != ""):
			ps = append(ps, Problem{strings.TrimSuffix(at, "."), "does not go with format xlsx: a sheet holds records of one kind"})
		case p.Role != Body && p.Kind != "":
			ps = append(ps, Problem{at + "kind", "does not go with format xlsx: its cells are named, as B1"})
		case p.Role != Body && len(p.Wants) == 0:
			ps = append(ps, Problem{at + "fields", "missing: name what is to be taken"})
		}
	}
	if body < 0 {
		ps = append(ps, Problem{"records", "missing: header and trailer stand around records"})
	}
	if len(ps) > 0 {
		return nil, ps
	}
	made, ps := newXLSX(o, parts[body].Wants)
	d, ok := made.(*xlsxDecoder)
	if !ok {
		d = &xlsxDecoder{o: o}
	}
	d.body, d.header, d.tail = body, -1, -1
	for i, p := range parts {
		if p.Role == Body {
			continue
		}
		var sides []xlsxSide
		for _, w := range p.Wants {
			s, problem := d.side(p, w)
			ps = append(ps, problem...)
			sides = append(sides, s)
		}
		if p.Role == Header {
			d.header, d.above = i, sides
		} else {
			d.tail, d.below = i, sides
			d.lastRow = slices.ContainsFunc(sides, func(s xlsxSide) bool { return s.row == 0 })
		}
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return d, nil
}

// side compiles a field of a header or trailer.
func (d *xlsxDecoder) side(p Part, w Want) (s xlsxSide, ps []Problem) {
	path := p.path() + "fields." + w.Name
	problem := func(key, format string, args ...any) (xlsxSide, []Problem) {
		return s, []Problem{{path + key, fmt.Sprintf(format, args...)}}
	}
	s = xlsxSide{name: p.path() + w.Name, must: w.Must, date: w.Date}
	switch {
	case len(w.Fields) > 0 || w.Kind != "" || w.List || w.Object:
		return problem("", "a cell of xlsx holds no lists or objects")
	case w.Column != "" && p.Role == Header:
		return problem(".column", "goes with records and trailer: write from with the name of the cell, as B1, or the text left of it")
	case w.Column != "":
		at, err := ColumnNumber(w.Column)
		if err != nil {
			return problem(".column", "%s", err)
		}
		s.column = at
		return s, nil
	case len(w.From) == 0:
		return problem("", "missing: write from with the name of the cell, as B1")
	}
	if column, row, ok := xlsx.SplitName([]byte(w.From[0])); ok && row > 0 && len(w.From) == 1 {
		if column > xlsx.MaxColumns || row > xlsx.MaxRows {
			return problem(".from", "%q lies beyond any sheet", w.From[0])
		}
		s.column, s.row = column, row
		return s, nil
	}
	if d.titles == 0 {
		return problem(".from", "there are no titles (titles: 0): write the name of a cell, as B1%s", map[Role]string{Trailer: ", or column with its letter or number"}[p.Role])
	}
	s.text = w.From
	return s, nil
}

// top gives the header.
func (r *xlsxReading) top(yield func(*Record, error) bool) error {
	d := r.d
	if d.header < 0 {
		return nil
	}
	last := int64(0)
	for _, s := range d.above {
		if s.row == 0 {
			last = max(last, r.titles-1)
		}
		last = max(last, s.row)
	}
	cells := make([]Cell, len(d.above))
	s, err := r.book.Rows(r.part)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Dates = func(column int) bool { return datesOf(d.above, column, s.Row) }
	for {
		err := s.Next()
		if errors.Is(err, io.EOF) || err == nil && s.Row > last {
			break
		}
		if err == nil {
			err = r.pick(s, d.above, cells)
		}
		if err == nil && s.Row < r.titles {
			err = r.labels(s, cells)
		}
		if err != nil {
			return err
		}
	}
	for i, side := range d.above {
		if cells[i].Kind == Absent && side.must && side.row == 0 {
			return r.refuse(0, fmt.Sprintf("no cell above the titles holds %s, right of which field %s should stand", quoted(side.text), side.name))
		}
	}
	return r.give(&Record{Part: d.header, Line: 1, Cells: cells}, yield)
}

func quoted(texts []string) string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = strconv.Quote(t)
	}
	return strings.Join(list, " or ")
}

// datesOf tells whether a bare number in a cell is a date.
func datesOf(sides []xlsxSide, column int, row int64) bool {
	return slices.ContainsFunc(sides, func(s xlsxSide) bool { return s.date && s.row == row && s.column == column })
}

// pick takes cells by their names out of a row.
func (r *xlsxReading) pick(s *xlsx.Rows, sides []xlsxSide, into []Cell) error {
	for i, side := range sides {
		if side.row != s.Row {
			continue
		}
		for k := range s.Cells {
			if c := &s.Cells[k]; c.Column == side.column {
				if err := r.set(s, c, side.name, &into[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// set copies what a cell holds; without it the rest says nothing.
func (r *xlsxReading) set(s *xlsx.Rows, c *xlsx.Cell, name string, into *Cell) error {
	if c.Bad != "" {
		return r.refuse(s.Row, fmt.Sprintf("field %s: %s: %s", name, xlsx.CellName(c.Column, s.Row), c.Bad))
	}
	*into = Cell{Kind: sheetKinds[c.Kind], Bytes: bytes.Clone(s.Content(c))}
	return nil
}

// labels takes what stands right of the texts that fields name.
func (r *xlsxReading) labels(s *xlsx.Rows, into []Cell) error {
	for i, side := range r.d.above {
		if side.row > 0 || into[i].Kind != Absent {
			continue
		}
		found := false
		for k := range s.Cells {
			c := &s.Cells[k]
			text := bytes.TrimSpace(s.Content(c))
			if found && (len(text) > 0 || c.Bad != "") {
				if err := r.set(s, c, side.name, &into[i]); err != nil {
					return err
				}
				break
			}
			found = found || len(text) > 0 && anyOf([]string{string(text)}, side.text) == 0
		}
	}
	return nil
}

// bindTail finds the columns of the trailer's row.
func (r *xlsxReading) bindTail(titles []string) (missing []string) {
	r.tail = slices.Clone(r.d.below)
	for i := range r.tail {
		s := &r.tail[i]
		if s.column == 0 {
			if s.column = anyOf(titles, s.text) + 1; s.column == 0 && s.must {
				missing = append(missing, noColumn(s.text, s.name, titles))
			}
		}
		if s.column > 0 {
			r.wanted = append(r.wanted, s.column)
		}
	}
	r.end = make([]Cell, len(r.tail))
	return missing
}

// bottom gives the trailer, when the last row has been read; that is in held if the trailer is a row.
func (r *xlsxReading) bottom(held *xlsx.Rows, yield func(*Record, error) bool) error {
	if r.d.tail < 0 {
		return nil
	}
	rec := &Record{Part: r.d.tail, Cells: r.end}
	if r.d.lastRow {
		if held == nil {
			return r.refuse(0, "the sheet ends without the row of its trailer: cut?")
		}
		rec.Line, rec.Offset = held.Row, held.At
		for i, side := range r.tail {
			for k := range held.Cells {
				if c := &held.Cells[k]; side.row == 0 && c.Column == side.column {
					if err := r.set(held, c, side.name, &r.end[i]); err != nil {
						return err
					}
				}
			}
		}
	}
	return r.give(rec, yield)
}

// give hands on what is no record.
func (r *xlsxReading) give(rec *Record, yield func(*Record, error) bool) error {
	if !yield(rec, nil) {
		return errLeft
	}
	return nil
}
