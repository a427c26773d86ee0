package jobs

import (
	"fmt"

	"waybill/formats"
	"waybill/ledger"
)

// fileRows renders what a record becomes in the file of a route: a row, none or several.
func (r *run) fileRows(at int, f *frame) error {
	p, route := r.pending, r.p.routes[at]
	r.head(at)
	return r.becomes(route, f, func(i int, f *frame) (err error) {
		d, w := draft{route: at, part: i}, &route.rows[i]
		if w.shown == 0 {
			d.body, err = r.body(route, f)
		}
		if err == nil && len(w.columns) > 0 {
			d.cells, err = r.cells(at, w, f)
		}
		p.messages = append(p.messages, d)
		return err
	})
}

// becomes goes through the rows that a record becomes, by the kinds of the route.
func (r *run) becomes(route *route, f *frame, row func(kind int, f *frame) error) error {
	before := r.pending.weight()
	for i := range route.rows {
		w := &route.rows[i]
		if w.of != r.part {
			continue
		}
		one := func(f *frame) (written bool, err error) {
			if w.when != nil {
				if ok, err := r.truth(w.when, f); err != nil || !ok {
					return false, err
				}
			}
			if err := row(i, f); err != nil {
				return false, err
			}
			if r.pending.weight()-before > r.room {
				return false, tooMuch(r.room)
			}
			return true, nil
		}
		var err error
		if w.each != nil {
			_, err = r.elements(w.each, f, one)
		} else {
			_, err = one(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// head makes the header of the file of a route, before its first row. One that cannot be made rejects the file.
func (r *run) head(at int) {
	w := r.p.routes[at].head
	if w == nil || r.out.heads[at] != nil {
		return
	}
	row, err := r.edge(at, w)
	r.out.heads[at] = row
	if err != nil && r.held == "" {
		r.rejects.wholly(*err)
	}
}

// tail hands the trailer of the file of a route to its encoder.
func (r *run) tail(at int, s *sink) error {
	route := r.p.routes[at]
	if route.tail == nil {
		return nil
	}
	var row []formats.Value
	var bad *ledger.Reject
	err := r.ending(route, &r.out.tallies[at], func() error {
		row, bad = r.edge(at, route.tail)
		return nil
	})
	switch {
	case err != nil:
		return r.broken(0, fmt.Sprintf("the trailer of the file for %s cannot be written: %s", route.name, err))
	case r.held != "":
		return errWhole
	case bad != nil:
		r.rejects.wholly(*bad)
		return errWhole
	}
	return s.push(formats.Row{Part: route.tail.part, Values: row})
}

// ending makes a trailer, in which totals are those of the rows that were written.
func (r *run) ending(route *route, t *rowTotals, trailer func() error) error {
	totals, err := figures(route.totals, t.list)
	if t.bad != nil {
		err = t.bad
	}
	if err != nil {
		return err
	}
	read, known := r.beside["totals"] // those of what was read
	defer func() {
		if r.beside["totals"] = read; !known {
			delete(r.beside, "totals")
		}
	}()
	r.beside["totals"] = totals
	return trailer()
}

// edge renders a row that stands around those of the records, or tells why it cannot be written.
func (r *run) edge(at int, w *written) ([]formats.Value, *ledger.Reject) {
	p, what := r.pending, "header"
	if w == r.p.routes[at].tail {
		what = "trailer"
	}
	bytes, cells := len(p.bytes), len(p.cells)
	made, err := r.cells(at, w, &r.around.bare)
	row := make([]formats.Value, 0, len(w.columns))
	if err != nil {
		f := r.faultOf(err)
		if f.field != "" {
			f.reason = f.field + ": " + f.reason
		}
		return row, &ledger.Reject{Value: clip(f.value), Reason: fmt.Sprintf("the %s of the file for %s cannot be written: %s", what, r.p.routes[at].name, f.reason)}
	}
	for _, c := range p.cells[made.from:made.to] {
		row = append(row, formats.Value{Kind: c.kind, Bytes: append([]byte(nil), p.bytes[c.from:c.to]...)})
	}
	p.bytes, p.cells = p.bytes[:bytes], p.cells[:cells]
	return row, nil
}

// rowTotals are the totals over the rows of one file, as far as they have come.
type rowTotals struct {
	list []tally
	bad  error // what could not be added up
}

// add takes the columns of a row in.
func (t *rowTotals) add(totals []total, w *written, row []formats.Value) {
	if len(t.list) == 0 && len(w.totals) > 0 {
		t.list = make([]tally, len(totals))
	}
	for _, i := range w.totals {
		now, of := &t.list[i], &totals[i]
		now.n++
		if of.does == counts || row[of.field].Kind == formats.Absent || t.bad != nil {
			continue
		}
		if err := now.take(of, row[of.field].Bytes); err != nil {
			t.bad = fmt.Errorf("totals.%s: %q %w", of.name, row[of.field].Bytes, err)
		}
	}
}
