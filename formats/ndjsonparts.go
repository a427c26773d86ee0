package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// NDJSON of several parts: a member of each line tells what it is, as a cell does in CSV.

// ndjsonLayout reads lines of several kinds.
type ndjsonLayout struct {
	o      Options
	shop   workshop
	layout *lineLayout
	kind   *plan   // of the member that tells the kind; nil: none does
	tables []*plan // by number of table: what is taken out of a line
	slots  int     // the most that a table has
}

func newNDJSONParts(o Options, parts []Part) (Decoder, []Problem) {
	d := &ndjsonLayout{o: o}
	var ps []Problem
	if o.Kind != "" {
		d.kind, ps = d.plan([]Want{{Name: "kind", From: []string{o.Kind}}}, "")
		for i := range ps {
			ps[i].Path = "kind"
		}
	}
	layout, more := layLines(o, parts, func(_ Part, path string, wants []Want) []Problem {
		p, ps := d.plan(wants, path)
		d.tables = append(d.tables, p)
		return ps
	})
	d.layout = layout
	if ps = append(ps, more...); len(ps) > 0 {
		return nil, ps
	}
	return d, nil
}

// plan compiles what is taken out of a line. Lists of the lines that follow are not there.
func (d *ndjsonLayout) plan(wants []Want, path string) (*plan, []Problem) {
	p, ps := planner{around: &around{root: &node{}}, lines: true}.compile(asRoot(wants), path)
	if len(wants) == 0 {
		p = &plan{top: &node{leaves: []leaf{{}}}, width: 1, slots: 1}
	}
	d.slots = max(d.slots, p.slots)
	return p, ps
}

// Decode reads the lines of a file.
func (d *ndjsonLayout) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		w := open(b, d.o, on)
		defer d.shop.back(on, w)
		d.layout.run(&ndjsonReading{d: d, lines: newCSVScan(w, 0, 0, d.o.Limits), p: on.json(d.o.Limits), cells: make([]Cell, d.slots)}, yield)
	}
}

// ndjsonReading is the state of reading one file.
type ndjsonReading struct {
	d     *ndjsonLayout
	lines *csvScan
	p     *jsonParser
	line  []byte
	cells []Cell
}

// next goes to the next line that is not blank.
func (r *ndjsonReading) next() (last bool, err error) {
	for {
		if r.d.layout.last >= 0 {
			more, err := r.lines.remains(1)
			if err == nil && !more {
				err = io.EOF
			}
			if err == nil {
				more, err = r.lines.remains(2)
			}
			if err != nil {
				return false, err
			}
			last = !more
		}
		if r.line, err = r.lines.nextLine(); err != nil {
			return false, err
		}
		if len(bytes.TrimLeft(r.line, " \t\r")) > 0 {
			return last, nil
		}
	}
}

// show tells where the line stands.
func (r *ndjsonReading) show(rec *Record) {
	rec.Line, rec.Offset, rec.Raw = r.lines.line, r.lines.offset, r.line
}

// kind is the value of the member that tells the kind of the line.
func (r *ndjsonReading) kind() (text []byte, reason string) {
	rec := Record{Line: r.lines.line, Offset: r.lines.offset}
	if err := r.read(r.d.kind, &rec); err != nil {
		var bad *RecordError
		if errors.As(err, &bad) { // read returns no other
			return r.line, bad.Reason
		}
	}
	switch c := r.cells[0]; c.Kind {
	case Text, Number, Bool:
		return c.Bytes, ""
	case Absent, Null:
		return nil, fmt.Sprintf("the line has no member %s, which tells its kind", r.d.o.Kind)
	}
	return nil, fmt.Sprintf("the member %s, which tells the kind of the line, is a list or an object", r.d.o.Kind)
}

// take makes the cells of a record out of the line.
func (r *ndjsonReading) take(table int, rec *Record) error {
	p := r.d.tables[table]
	if err := r.read(p, rec); err != nil {
		return err
	}
	rec.Cells = r.cells[:p.width]
	return nil
}

// read takes the line apart; its error is a *RecordError.
func (r *ndjsonReading) read(p *plan, rec *Record) error {
	if err := ndjsonLine(r.p, p, r.line, r.cells[:p.slots], rec); err != nil {
		return err
	}
	if bad := r.p.complaint(rec, r.line, true); bad != nil {
		return bad
	}
	p.settle(r.cells[:p.slots])
	return nil
}

// ndjsonLine takes from one line what a plan asks for.
func ndjsonLine(p *jsonParser, of *plan, line []byte, cells []Cell, rec *Record) error {
	clear(cells)
	p.reset(line, true)
	end := p.value(0, of.top, cells, 1)
	if end >= 0 {
		if end = p.space(end); end < len(line) {
			end = p.failAt(end, "text after the end of the value: one line holds one value")
		}
	}
	if end < 0 {
		return p.bad(rec, line)
	}
	return nil
}
