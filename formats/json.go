package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// JSON (RFC 8259). The elements of one list, or the document itself, are the records: each is read
// whole. What stands around them is only walked over, so that a file may be longer than memory.

func jsonFormat() format {
	return format{name: "json", keys: []string{"records"}, check: checkJSON, decoder: newJSON, encoder: newJSONEncoder}
}

func checkJSON(o Options) []Problem {
	if o.Records == "" {
		return nil
	}
	if _, _, err := parsePath(o.Records); err != nil {
		return []Problem{{"records", err.Error()}}
	}
	return nil
}

type jsonDecoder struct {
	o     Options
	shop  workshop
	steps []step
	plan  *plan
	whole *plan // the record is the document: both kinds of paths start there
	found int   // leaves of paths that start at the document
}

func newJSON(o Options, wants []Want) (Decoder, []Problem) {
	d := &jsonDecoder{o: o}
	if o.Records != "" {
		d.steps, _, _ = parsePath(o.Records) // checked before
	}
	var ps []Problem
	if d.plan, d.whole, ps = plansOf(wants); len(ps) > 0 {
		return nil, ps
	}
	d.found = len(d.plan.roots)
	for _, w := range wants {
		for _, f := range w.From {
			if steps, root, _ := parsePath(f); root && len(d.steps) > 0 && overlap(steps, d.steps) {
				ps = append(ps, Problem{"fields." + w.Name + ".from", fmt.Sprintf("%q holds the records, or is part of them", f)})
			}
		}
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return d, nil
}

// plansOf compiles wants for records inside a document and for a document that is the record.
func plansOf(wants []Want) (inner, whole *plan, ps []Problem) {
	if len(wants) == 0 {
		p := &plan{top: &node{leaves: []leaf{{}}}, root: &node{}, width: 1, slots: 1}
		return p, p, nil
	}
	if inner, ps = compile(wants, "fields.", false); len(ps) > 0 {
		return nil, nil, ps
	}
	whole, _ = compile(asRoot(wants), "fields.", false)
	return inner, whole, nil
}

// asRoot drops the "$." of paths.
func asRoot(wants []Want) []Want {
	out := make([]Want, len(wants))
	for i, w := range wants {
		out[i] = w
		out[i].From = make([]string, len(w.From))
		for k, f := range w.From {
			if rest, ok := strings.CutPrefix(f, "$."); ok {
				f = rest
			} else if rest, ok := strings.CutPrefix(f, "$["); ok {
				f = "[" + rest
			}
			out[i].From[k] = f
		}
	}
	return out
}

// overlap tells whether one path leads on from the other.
func overlap(a, b []step) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// Decode reads the records of a document.
func (d *jsonDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		k := d.reading(b, on)
		defer d.shop.back(on, k.w)
		k.yield = yield
		if err := k.document(); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

func (d *jsonDecoder) reading(b Blob, on *bench) *jsonWalk {
	w := open(b, d.o, on)
	w.passed = &passage{}
	return &jsonWalk{d: d, w: w, p: on.json(d.o.Limits), blob: b,
		cells: make([]Cell, max(d.plan.slots, d.whole.slots)), outer: make([]Cell, d.plan.slots)}
}

// errStopped unwinds a walk whose reader wants no more.
var errStopped = errors.New("stopped")

// jsonWalk is the state of reading one document.
type jsonWalk struct {
	d     *jsonDecoder
	w     *window
	p     *jsonParser
	blob  Blob
	yield func(*Record, error) bool // nil: only the values outside the records are looked for
	rec   Record
	cells []Cell // of the record, with the slots for alternatives
	outer []Cell // values that start at the document
	got   int    // how many of them have been seen
	known bool   // all of them that there are have been seen
	late  bool   // the records have gone out: what comes now comes too late
	hit   bool   // the records were found
	held  int    // bytes of member names kept
}

// document reads the whole text.
func (k *jsonWalk) document() error {
	c, err := k.peek()
	if errors.Is(err, io.EOF) {
		return nil // nothing in it: no records
	}
	if err != nil {
		return err
	}
	if len(k.d.steps) == 0 && c != '[' {
		err = k.record(k.d.whole, 1)
	} else {
		err = k.walk(1, 0, k.d.plan.root)
	}
	if err != nil {
		return err
	}
	if !k.hit {
		return &FileError{Offset: -1, Reason: fmt.Sprintf("records: there is no %s in the document", k.d.o.Records)}
	}
	if _, err = k.peek(); errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return k.refuse(0, "", "text after the end of the document")
}

// ahead looks for the values outside the records that stand behind them, in a second reading.
func (k *jsonWalk) ahead() error {
	if k.known = k.got == k.d.found; k.known || k.blob.ReaderAt == nil || k.yield == nil {
		return nil
	}
	on := k.d.shop.borrow()
	second := k.d.reading(k.blob.again(), on)
	defer k.d.shop.back(on, second.w)
	if err := second.document(); err != nil {
		return err
	}
	k.outer, k.known = second.outer, true
	return nil
}

// take keeps a value that starts at the document.
func (k *jsonWalk) take(n *node, depth int) error {
	if k.late && k.known {
		return k.walk(depth, off, nil)
	}
	if k.late {
		return k.refuse(0, "", "a field of the document ($.) stands behind the records; in a file that can only be read once it must stand before them")
	}
	if _, err := k.whole(n, k.outer, depth, false); err != nil {
		return err
	}
	k.got = 0
	for _, slot := range k.d.plan.roots {
		if k.outer[slot].Kind != Absent {
			k.outer[slot] = cloneCell(k.outer[slot])
			k.got++
		}
	}
	return nil
}

// cloneCell makes a cell that stays valid.
func cloneCell(c Cell) Cell {
	c.Bytes = bytes.Clone(c.Bytes)
	rows := c.Rows
	c.Rows = nil
	for _, row := range rows {
		cells := make([]Cell, len(row))
		for i := range row {
			cells[i] = cloneCell(row[i])
		}
		c.Rows = append(c.Rows, cells)
	}
	return c
}
