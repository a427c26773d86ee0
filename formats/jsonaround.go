package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// jsonWalk is the state of reading one document.
type jsonWalk struct {
	d     *jsonDecoder
	w     *window
	p     *jsonParser
	blob  Blob
	yield func(*Record, error) bool // nil: only the values outside the records are looked for
	rec   Record
	side  Record // header, trailer
	cells []Cell // of the record, with the slots for alternatives
	fresh []Cell // values that start at the document, as they are read
	outer []Cell // and as they are kept
	got   int    // how many of those that are needed early have been seen
	known bool   // all of them that there are have been seen
	late  bool   // the records have begun: what is needed before them comes too late now
	inner bool   // a record is being read
	hit   bool   // records were found
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
	if k.d.whole != nil && c != '[' && k.yield != nil {
		err = k.wholeDocument()
	} else {
		err = k.walk(1, k.d.route, k.d.around.root)
	}
	if err != nil {
		return err
	}
	if !k.hit {
		return &FileError{Offset: -1, Reason: fmt.Sprintf("records: there is no %s in the document", strings.Join(k.d.paths, " and no "))}
	}
	if _, err = k.peek(); err == nil {
		return k.refuse(0, "", "text after the end of the document")
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if k.d.whole != nil && c != '[' {
		return nil
	}
	if err := k.begin(); err != nil {
		return err
	}
	return k.beside(k.d.tail)
}

// begin gives the header, before anything else. It finds what stands behind the records, in a second reading that ends as soon as all is found.
func (k *jsonWalk) begin() error {
	if k.late || k.yield == nil {
		return nil
	}
	k.late = true
	if k.known = k.got == k.d.early; !k.known && k.blob.ReaderAt != nil {
		on := k.d.shop.borrow()
		second := k.d.reading(k.blob.again(), on)
		defer k.d.shop.back(on, second.w)
		if err := second.document(); err != nil && !errors.Is(err, errStopped) {
			return err
		}
		copy(k.outer[:k.d.early], second.outer)
		k.known = true
	}
	return k.beside(k.d.header)
}

// beside gives a part that is made of values around the records, if there is one.
func (k *jsonWalk) beside(part int) error {
	if part < 0 || k.yield == nil {
		return nil
	}
	p := k.d.plans[part]
	cells := make([]Cell, p.slots)
	k.around(p, cells)
	p.settle(cells)
	return k.give(part, cells[:p.width])
}

// around puts the values of the document that a plan asks for into their cells.
func (k *jsonWalk) around(p *plan, cells []Cell) {
	for _, r := range p.roots {
		cells[r.slot] = k.outer[r.outer]
	}
}

// give hands a header or a trailer on.
func (k *jsonWalk) give(part int, cells []Cell) error {
	last := k.side.Offset
	k.side.Part, k.side.Cells, k.side.Offset = part, cells, k.w.offset(0)
	if part == k.d.header {
		k.side.Line, k.side.Offset = 1, 0
	} else {
		k.side.Line = k.w.lineAt(k.side.Line, last)
	}
	if !k.yield(&k.side, nil) {
		return errStopped
	}
	return nil
}

// take keeps a value that starts at the document.
func (k *jsonWalk) take(n *node, depth int) error {
	if _, err := k.whole(n, k.fresh, depth, true); err != nil {
		return err
	}
	for slot := range k.fresh {
		if k.fresh[slot].Kind == Absent || k.outer[slot].Kind != Absent {
			continue
		}
		early := slot < k.d.early
		if early && k.late && !k.known {
			return k.refuse(0, "", fmt.Sprintf("%s stands behind the records; in a file that can only be read once it must stand before them", k.d.around.names[slot]))
		}
		k.outer[slot] = cloneCell(k.fresh[slot])
		if early {
			k.got++
		}
	}
	if k.yield == nil && k.got == k.d.early {
		return errStopped // the rest is for the other reading
	}
	return nil
}

// wholeDocument reads a document that is the record, and gives what else is made of it.
func (k *jsonWalk) wholeDocument() error {
	d := k.d
	value, err := k.read(d.whole, 1)
	if err != nil {
		return err
	}
	body := d.route.part
	if bad := k.p.complaint(&k.rec, value, len(d.parts[body].Wants) > 0 || len(d.parts) > 1); bad != nil {
		if len(d.parts) > 1 { // it is the header's too
			return &FileError{Line: k.rec.Line, Offset: k.rec.Offset, Reason: bad.(*RecordError).Reason}
		}
		return k.hand(nil, bad)
	}
	d.whole.settle(k.cells)
	for _, part := range []int{d.header, body, d.tail} {
		if part < 0 {
			continue
		}
		cells := k.cells[d.cells[part][0]:d.cells[part][1]]
		if part == body {
			k.rec.Part, k.rec.Cells = part, cells
			err = k.hand(&k.rec, nil)
		} else {
			err = k.give(part, cells)
		}
		if err != nil {
			return err
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
