package formats

import (
	"fmt"
	"io"
	"strings"
)

// hit tells whether the element that was just opened is a record.
func (k *xmlWalk) hit() bool {
	n := len(k.p.open)
	if n == 0 || k.w.data()[0] != '<' {
		return false
	}
	c := k.p.buf[1]
	return c != '/' && c != '!' && c != '?' && int(k.p.open[n-1].at) == max(1, len(k.d.steps))
}

// record reads the record whose start tag is next; it has been opened once to see that it is one.
func (k *xmlWalk) record() error {
	if err := k.ahead(); err != nil {
		return err
	}
	p := k.p
	base := len(p.open) - 1
	p.pop()
	p.tree, p.copies = &k.tree, false
	k.rec.Number++
	last := k.rec.Offset
	k.rec.Offset = k.w.offset(0)
	k.rec.Line = k.w.lineAt(k.rec.Line, last)
	i := -1
	for {
		p.reset(k.w.data(), k.w.err == io.EOF)
		p.arena.reset()
		if i = k.element(base); i >= 0 {
			break
		}
		for len(p.open) > base {
			p.open[len(p.open)-1].state = nil
			p.pop()
		}
		p.takers = p.takers[:0]
		if err := k.again(); err != nil {
			return err
		}
	}
	if i > int(k.d.o.Limits.MaxRecord) {
		return k.refuse(0, "max_record", fmt.Sprintf("record %d is longer than max_record, %s", k.rec.Number, k.d.o.Limits.MaxRecord))
	}
	value := p.buf[:i:i]
	if err := k.hand(value); err != nil {
		return err
	}
	k.w.start += i
	p.tree, p.copies, p.empty = &k.header, true, false
	return nil
}

// element reads the record to its end.
func (k *xmlWalk) element(base int) int {
	p := k.p
	i := p.start(0)
	if i < 0 {
		return -1
	}
	o := &p.open[base]
	o.state, o.spot = k.d.plan.top, 0
	k.tree.reset()
	k.tree.spots[0].space = o.space
	if !p.keep(0, o) {
		return -1
	}
	if p.empty {
		p.pop()
		return i
	}
	for len(p.open) > base {
		if i == len(p.buf) {
			return p.endText(i)
		}
		if i = p.step(i); i < 0 {
			return -1
		}
	}
	return i
}

// hand makes the cells of a record and gives it to who asked for it.
func (k *xmlWalk) hand(value []byte) error {
	k.rec.Raw = nil
	if k.d.o.Raw {
		k.rec.Raw = value
	}
	k.taker.reset()
	plan := k.d.plan
	if len(plan.wants) == 0 {
		k.cells = append(k.cells[:0], Cell{Kind: Tree, Bytes: k.p.treeOf(value)})
	} else {
		k.fields(plan)
	}
	if k.taker.full {
		return k.refuse(0, "max_cells", fmt.Sprintf("the lists of record %d give more than %d fields (max_cells)", k.rec.Number, k.taker.most))
	}
	k.rec.Cells = k.cells
	if !k.yield(&k.rec, nil) {
		return errStopped
	}
	return nil
}

// fields makes the cells of the fields.
func (k *xmlWalk) fields(plan *xmlPlan) {
	k.cells = k.cells[:0]
	for i := range plan.wants {
		w := &plan.wants[i]
		c := Cell{}
		for _, p := range w.paths {
			switch {
			case p.root:
				c = k.outer[p.slot]
			case p.own == nil || k.isRoot(p.own):
				c = k.taker.cell(&k.tree, 0, w, p)
			}
			if c.Kind != Absent {
				break
			}
		}
		k.cells = append(k.cells, c)
	}
}

// isRoot tells whether the record, which is the root element, has a name.
func (k *xmlWalk) isRoot(n *xmlName) bool {
	local := k.root[strings.IndexByte(k.root, ':')+1:]
	return (n.local == "*" || n.local == local) && (n.space == anyName || n.space == k.tree.spots[0].space)
}

// ahead finds the values around the records when the first one begins: where not all stand before it, and the file can be read
// again, in a second reading.
func (k *xmlWalk) ahead() error {
	if k.late {
		return nil
	}
	k.late, k.known = true, true
	for slot := range k.outer {
		k.outer[slot] = cloneCell(k.around(slot))
		k.known = k.known && k.outer[slot].Kind != Absent
	}
	if k.known || k.blob.ReaderAt == nil {
		return nil
	}
	on := k.d.shop.borrow()
	second := k.d.reading(k.blob.again(), on)
	defer k.d.shop.back(on, second.w)
	if err := second.document(); err != nil {
		return err
	}
	for slot := range k.outer {
		k.outer[slot] = second.around(slot)
	}
	k.known = true
	return nil
}
