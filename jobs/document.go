package jobs

import (
	"strings"

	"waybill/formats"
)

// sheet is what a message of rows is made in. It is used again by the next one.
type sheet struct {
	rows   []sheetRow
	values []formats.Value
	text   []byte
	room   int // bytes that the text may take
}

type sheetRow struct {
	of    *written
	cells spot // in pending
}

// Write appends what the encoder has written, as long as there is room.
func (s *sheet) Write(p []byte) (int, error) {
	if len(s.text)+len(p) > s.room {
		return 0, tooMuch(s.room)
	}
	s.text = append(s.text, p...)
	return len(p), nil
}

// document renders a message of rows: the file that the encoder of its route would write, were there this record alone. It is not there when the record becomes
// no row. Header and trailer know the record, so that what is wrong with them is wrong with it.
func (r *run) document(at int, f *frame) (body spot, there bool, err error) {
	p, s, route := r.pending, &r.sheet, r.p.routes[at]
	from, cells := len(p.bytes), len(p.cells)
	s.rows, s.text, s.room = s.rows[:0], s.text[:0], r.room
	add := func(w *written, f *frame) error {
		made, err := r.cells(at, w, f)
		s.rows = append(s.rows, sheetRow{w, made})
		return err
	}
	var totals rowTotals
	if err = r.becomes(route, f, func(i int, f *frame) error {
		w := &route.rows[i]
		err := add(w, f)
		if err == nil && len(w.totals) > 0 {
			totals.add(route.totals, w, r.values(s.rows[len(s.rows)-1].cells))
		}
		return err
	}); err != nil || len(s.rows) == 0 && !route.empty {
		return spot{}, false, err
	}
	if route.head != nil {
		if err = add(route.head, f); err != nil {
			return spot{}, false, r.inEdge(formats.Header, err)
		}
		last := len(s.rows) - 1
		head := s.rows[last]
		copy(s.rows[1:], s.rows[:last])
		s.rows[0] = head
	}
	if route.tail != nil {
		if err = r.ending(route, &totals, func() error { return add(route.tail, f) }); err != nil {
			return spot{}, false, r.inEdge(formats.Trailer, err)
		}
	}
	err = route.encoder.EncodeParts(s, func(yield func(formats.Row, error) bool) {
		for _, row := range s.rows {
			if !yield(formats.Row{Part: row.of.part, Values: r.values(row.cells)[:row.of.shown]}, nil) {
				return
			}
		}
	})
	p.bytes, p.cells = append(p.bytes[:from], s.text...), p.cells[:cells]
	return spot{from, len(p.bytes)}, true, err
}

// values are cells as an encoder takes them, until the next are asked for.
func (r *run) values(cells spot) []formats.Value {
	p := r.pending
	r.sheet.values = r.sheet.values[:0]
	for _, c := range p.cells[cells.from:cells.to] {
		r.sheet.values = append(r.sheet.values, formats.Value{Kind: c.kind, Bytes: p.bytes[c.from:c.to]})
	}
	return r.sheet.values
}

// inEdge says that what is wrong is in the header or the trailer of a message.
func (r *run) inEdge(role formats.Role, err error) error {
	f := r.faultOf(err)
	f.field = strings.TrimSuffix(role.String()+"."+f.field, ".")
	return &f
}
