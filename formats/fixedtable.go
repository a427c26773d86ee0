package formats

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// A fixedTable says what to take out of the lines of one kind.
type fixedTable struct {
	wants  []Want
	places [][]place // by index of wants
	least  int       // columns that a record must have
	last   int       // the want that asks for the last of them, -1: none
}

func newFixedTable(o Options, path string, wants []Want) (fixedTable, []Problem) {
	t := fixedTable{wants: wants, least: o.Length, last: -1}
	var ps []Problem
	for i, w := range wants {
		path := path + w.Name
		switch {
		case w.Kind != "" && len(w.From) > 0:
			ps = append(ps, Problem{path + ".from", "does not go with kind: the list is made of the lines that follow"})
		case w.Kind != "":
		case len(w.Fields) > 0:
			ps = append(ps, Problem{path, "a line of fixed width holds no lists or objects: use group, or kind for a list of the lines that follow"})
		case w.Column != "":
			ps = append(ps, Problem{path + ".column", "goes with csv and xlsx: write from with the columns, as 7-12"})
		}
		var places []place
		for _, from := range w.From {
			p, err := parsePlace(from)
			if end := max(p.from, p.to); err == nil && o.Length > 0 && end > o.Length {
				err = fmt.Errorf("%q lies beyond length, %d", from, o.Length)
			}
			if err != nil {
				ps = append(ps, Problem{path + ".from", err.Error()})
				continue
			}
			places = append(places, p)
			if len(places) == 1 && p.to > t.least {
				t.least, t.last = p.to, i
			}
		}
		t.places = append(t.places, places)
	}
	return t, ps
}

// kind is the text that tells which kind of line it is.
func (r *fixedReading) kind() (text []byte, reason string) {
	p := r.d.kind
	if p.from > r.columns {
		return nil, fmt.Sprintf("the line ends with column %d, before its kind, which stands in %s", r.columns, p)
	}
	from, end := r.offset(p.from-1), r.offset(min(p.to, r.columns))
	if from < 0 || end < 0 {
		return nil, fmt.Sprintf("the kind of the line stands in %s, which cut a character of several bytes: is unit: characters meant?", p)
	}
	return r.text[from:end], ""
}

// take makes the cells of a record out of the line.
func (r *fixedReading) take(table int, rec *Record) error {
	d, t, line := r.d, &r.d.tables[table], r.text
	if r.columns < t.least && d.o.TooShort != shortPad || d.o.Length > 0 && r.columns > d.o.Length {
		return r.badLength(t, rec)
	}
	rec.Cells = sized(rec.Cells, max(1, len(t.wants)))
	if len(t.wants) == 0 {
		if r.row == nil {
			r.names, r.row = []string{"line"}, make([][]byte, 1)
		}
		r.row[0] = line
		rec.Names, rec.Row = r.names, r.row
		rec.Cells[0] = Cell{Kind: Text, Bytes: line}
		return nil
	}
	rec.Names, rec.Row = nil, nil
	for i := range t.wants {
		c := Cell{}
		for _, p := range t.places[i] {
			if p.from > r.columns {
				continue
			}
			to := p.to
			if to == 0 || to > r.columns {
				to = r.columns
			}
			from, end := r.offset(p.from-1), r.offset(to)
			if from < 0 || end < 0 {
				return r.cutCharacter(t, rec, i, p, from < 0)
			}
			c = Cell{Kind: Text, Bytes: line[from:end:end]}
			break
		}
		rec.Cells[i] = c
	}
	return nil
}

// sized is a slice of so many cells; what they hold does not matter.
func sized(cells []Cell, n int) []Cell {
	if cap(cells) < n {
		return make([]Cell, n)
	}
	return cells[:n]
}

func (r *fixedReading) badLength(t *fixedTable, rec *Record) error {
	e := newRecordError(rec, r.text, fmt.Sprintf("the record has %s, there should be %d", counted(r.columns, "column"), r.d.o.Length))
	switch {
	case r.columns > t.least && r.d.o.Length > 0:
	case t.last >= 0:
		e.Field = t.wants[t.last].Name
		e.Reason = fmt.Sprintf("stands in %s, but the record ends with column %d", t.places[t.last][0], r.columns)
	}
	if r.columns < t.least {
		e.Reason += "; if blanks at the end were cut off, say short: pad"
	}
	return e
}

func (r *fixedReading) cutCharacter(t *fixedTable, rec *Record, want int, p place, first bool) error {
	at := p.to
	if first {
		at = p.from
	}
	e := newRecordError(rec, r.text, fmt.Sprintf("stands in %s, but column %d lies inside a character of several bytes: is unit: characters meant?", p, at))
	e.Field = t.wants[want].Name
	return e
}

// behind reports whether what stands behind a line, the last of a record of fixed width, is in no field: none goes on to the end of the line, and the line
// reaches to the end of all.
func behind(lines []byte, wants []Want) bool {
	columns := utf8.RuneCount(lines[bytes.LastIndexAny(lines, "\r\n")+1:])
	for _, w := range wants {
		for _, from := range w.From {
			if at, err := parsePlace(from); err != nil || at.to == 0 || at.to > columns {
				return false
			}
		}
		if !behind(lines, w.Fields) {
			return false
		}
	}
	return true
}
