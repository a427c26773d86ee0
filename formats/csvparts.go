package formats

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A csvTable says what to take out of the rows of one kind.
type csvTable struct {
	name   string // before those of its fields: "header."
	wants  []Want
	fixed  []int // by index of wants: the column from 0, -1 to look for it among the titles
	strict bool  // rows have as many cells as there are titles
	above  bool  // they stand above the titles
}

// csvColumns are the columns of a table in one file.
type csvColumns struct {
	at []int // by index of wants: the column, -1 when the file has none; nil: all there are
}

// newCSVParts compiles the parts: rows are told apart by the cell in one column, or by standing first or last.
func newCSVParts(o Options, parts []Part) (Decoder, []Problem) {
	d := &csvDecoder{o: o, kind: -1}
	d.delim, d.quote = separators(o.Delimiter, o.Quote)
	ps := d.findTitles(parts)
	if o.Kind != "" {
		at, err := ColumnNumber(o.Kind)
		if _, digits := strconv.Atoi(o.Kind); err == nil && (digits == nil || d.titles == 0) {
			d.kind = at - 1
		} else if d.titles == 0 {
			ps = append(ps, Problem{"kind", err.Error() + "; there are no titles (titles: 0)"})
		}
	}
	layout, more := layLines(o, parts, func(p Part, path string, wants []Want) []Problem {
		t := csvTable{wants: wants, name: strings.TrimSuffix(path, "fields."), strict: p.Role == Body && len(d.tables) < len(parts), above: p.Role == Header && p.Kind == ""}
		var ps []Problem
		for _, w := range wants {
			at, p := d.columnOf(w, path+w.Name, t.above)
			t.fixed = append(t.fixed, at)
			ps = append(ps, p...)
		}
		d.tables = append(d.tables, t)
		return ps
	})
	if ps = append(ps, more...); len(ps) > 0 {
		return nil, ps
	}
	if layout.several || len(layout.details[0]) > 0 {
		d.layout = layout
	}
	d.edged = o.Footer > 0 || o.Comment != "" || layout.last >= 0
	return d, nil
}

// findTitles decides where the titles stand when nobody says so: behind what is skipped and the header; but rows of several kinds of which none is asked by title have none.
func (d *csvDecoder) findTitles(parts []Part) []Problem {
	above, byTitle := 0, false
	for _, p := range parts {
		if p.Role == Header && p.Kind == "" {
			above = 1
		}
		for _, w := range p.Wants {
			byTitle = byTitle || w.Column == "" && w.Kind == ""
			for _, f := range w.Fields {
				byTitle = byTitle || w.Kind != "" && f.Column == ""
			}
		}
	}
	switch {
	case d.o.Titles != nil:
		d.titles = *d.o.Titles
		if least := d.o.Skip + above; above > 0 && d.titles > 0 && d.titles <= least {
			return []Problem{{"titles", fmt.Sprintf("line %d is that of the header, which has no kind: the titles stand below it", d.titles)}}
		}
	case d.o.Kind == "" || byTitle:
		d.titles = d.o.Skip + above + 1
	}
	return nil
}

// columnOf finds the column that a want names by its place, from 0; -1 when it goes by the titles.
func (d *csvDecoder) columnOf(w Want, path string, above bool) (int, []Problem) {
	switch {
	case w.Kind != "":
		if len(w.From) > 0 {
			return -1, []Problem{{path + ".from", "does not go with kind: the list is made of the lines that follow"}}
		}
		return -1, nil
	case len(w.Fields) > 0:
		return -1, []Problem{{path, "a row of csv holds no lists or objects: use group, or kind for a list of the lines that follow"}}
	case w.Column != "":
		at, err := ColumnNumber(w.Column)
		if err == nil && at > d.o.Limits.MaxColumns {
			err = fmt.Errorf("column %s lies beyond max_columns, %d", w.Column, d.o.Limits.MaxColumns)
		}
		if err != nil {
			return -1, []Problem{{path + ".column", err.Error()}}
		}
		return at - 1, nil
	case above:
		return -1, []Problem{{path, "the header stands above the titles: write column with its letter or number"}}
	case len(w.From) == 0:
		return -1, []Problem{{path, "missing: write from with the title of the column, or column with its letter or number"}}
	case d.titles == 0:
		return -1, []Problem{{path + ".from", "there are no titles (titles: 0): write column with its letter or number"}}
	}
	return -1, nil
}

// bind finds the column of each want of all tables.
func (r *csvReading) bind(titles []string) error {
	d := r.d
	if r.columns >= 0 {
		r.rec.Names = numbers(titles, r.columns)
	}
	var missing []string
	named, all := make([]bool, max(0, r.columns)), false
	for i := range d.tables {
		t := &d.tables[i]
		if t.above {
			continue
		}
		all = all || len(t.wants) == 0 && t.strict
		r.tables[i], missing = r.bindTable(t, titles, named, missing)
	}
	if d.o.Kind != "" && d.kind < 0 {
		if r.kindAt = anyOf(titles, []string{d.o.Kind}); r.kindAt < 0 {
			missing = append(missing, fmt.Sprintf("no column %q, which tells the kind of a row%s", d.o.Kind, meant(d.o.Kind, titles)))
		}
	}
	if r.kindAt >= 0 && r.kindAt < len(named) {
		named[r.kindAt] = true
	}
	if len(missing) > 0 {
		return r.refuse(strings.Join(missing, "; ") + r.found(titles))
	}
	if all {
		return nil
	}
	return r.extra(titles, named)
}

func (r *csvReading) bindTable(t *csvTable, titles []string, named []bool, missing []string) (csvColumns, []string) {
	var c csvColumns
	if len(t.wants) == 0 {
		if t.strict && r.columns >= 0 {
			for i := range r.columns {
				c.at = append(c.at, i)
			}
		}
		return c, missing
	}
	c.at = make([]int, 0, len(t.wants))
	for i, w := range t.wants {
		at := t.fixed[i]
		if at < 0 && w.Kind == "" {
			at = anyOf(titles, w.From)
		}
		if w.Kind == "" && (at < 0 || t.strict && r.columns >= 0 && at >= r.columns) {
			if w.Must || r.d.o.Columns.Missing != ignore {
				missing = append(missing, r.missing(w, t.name+w.Name, titles))
			}
			at = -1
		}
		if at >= 0 && at < len(named) {
			named[at] = true
		}
		c.at = append(c.at, at)
	}
	return c, missing
}

// A csvStage is how far a file of several parts has been read.
type csvStage uint8

const (
	csvStart  csvStage = iota
	csvHeader          // the header that stands above the titles was given
	csvRows
)

// next goes to the next row, for the layout.
func (r *csvReading) next() (last bool, err error) {
	if r.stage == csvStart && r.d.layout.first >= 0 {
		r.stage, r.columns = csvHeader, -1
		if _, err := r.pass(r.d.o.Skip + 1); err != nil {
			return false, err
		}
		return r.row()
	}
	if r.stage != csvRows {
		r.stage = csvRows
		if err := r.head(); err != nil {
			return false, err
		}
		if r.first {
			r.first = false
			return r.last, nil
		}
	}
	return r.row()
}

// row goes to the next row that is not blank.
func (r *csvReading) row() (last bool, err error) {
	for {
		if last, err = r.edge(); err == nil {
			err = r.scan.next()
		}
		if err != nil || !r.scan.blank(r.columns) {
			return last, err
		}
	}
}

// show tells where the row stands.
func (r *csvReading) show(rec *Record) {
	s := r.scan
	rec.Line, rec.Offset, rec.Raw, rec.Row = s.line, s.offset, s.raw, s.row
	if rec.Names = r.rec.Names; len(s.row) != len(rec.Names) {
		if len(r.names) < len(s.row) {
			r.names = numbers(nil, len(s.row))
		}
		rec.Names = r.names[:len(s.row)]
	}
}

// kind is the cell that tells which kind of row it is.
func (r *csvReading) kind() (text []byte, reason string) {
	row := r.scan.row
	if r.kindAt >= len(row) {
		return nil, fmt.Sprintf("the row has %s, its kind should stand in column %d", counted(len(row), "cell"), r.kindAt+1)
	}
	return bytes.TrimSpace(row[r.kindAt]), ""
}

// take makes the cells of a record out of the row.
func (r *csvReading) take(table int, rec *Record) error {
	t, c, s := &r.d.tables[table], &r.tables[table], r.scan
	at := c.at
	switch {
	case s.bad != "":
		return newRecordError(rec, s.raw, s.bad)
	case t.strict && r.columns >= 0 && len(s.row) != r.columns:
		return newRecordError(rec, s.raw, fmt.Sprintf("the row has %s, there should be %d%s", counted(len(s.row), "cell"), r.columns, r.hint()))
	case t.above:
		at = t.fixed
	case len(t.wants) == 0: // all there are
		rec.Cells = rec.Cells[:0]
		for _, cell := range s.row {
			rec.Cells = append(rec.Cells, Cell{Kind: Text, Bytes: cell})
		}
		return nil
	}
	rec.Cells = sized(rec.Cells, len(at))
	for i, column := range at {
		rec.Cells[i] = Cell{}
		switch w := &t.wants[i]; {
		case column >= 0 && column < len(s.row):
			rec.Cells[i] = Cell{Kind: Text, Bytes: s.row[column]}
		case column >= 0 && (w.Must || r.d.o.Columns.Missing != ignore):
			e := newRecordError(rec, s.raw, fmt.Sprintf("stands in column %d, but the row has %s", column+1, counted(len(s.row), "cell")))
			e.Field = w.Name
			return e
		}
	}
	if r.columns >= 0 || r.d.o.Columns.Extra != reject {
		return nil
	}
	return r.extraCell(at, rec)
}

// extraCell refuses a row without titles for a cell that no field names.
func (r *csvReading) extraCell(at []int, rec *Record) error {
	for i, cell := range r.scan.row {
		named := i == r.kindAt
		for _, column := range at {
			named = named || column == i
		}
		if !named && len(bytes.TrimSpace(cell)) > 0 {
			return newRecordError(rec, cell, fmt.Sprintf("no field names column %d (columns.extra: reject)", i+1))
		}
	}
	return nil
}
