package formats

import (
	"fmt"
	"io"
	"math/bits"
	"strings"
)

// hit tells whether the element that was just opened is a record, and of which kind, -1 when it is none.
func (k *xmlWalk) hit() int {
	n := len(k.p.open)
	if n == 0 || k.w.data()[0] != '<' {
		return -1
	}
	if c := k.p.buf[1]; c == '/' || c == '!' || c == '?' {
		return -1
	}
	for ways := k.p.open[n-1].ways; ways != 0; ways &= ways - 1 {
		if i := bits.TrailingZeros32(ways); len(k.d.bodies[i].steps) == n {
			return i
		}
	}
	return -1
}

// record reads the record whose start tag is next; it has been passed once to see that it is one, and ends at i.
func (k *xmlWalk) record(body, i int) error {
	if err := k.begin(false); err != nil {
		return err
	}
	k.body = &k.d.bodies[body]
	p := k.p
	base := len(p.open) - 1
	opened := p.open[base].state == nil // nobody else wants anything of it: it need not be passed again
	if !opened {
		p.pop()
	}
	p.tree, p.copies = &k.tree, false
	k.rec.Number++
	last := k.rec.Offset
	k.rec.Offset = k.w.offset(0)
	k.rec.Line = k.w.lineAt(k.rec.Line, last)
	for {
		if !opened {
			p.reset(k.w.data(), k.w.err == io.EOF)
			p.arena.reset()
			i = 0
		}
		opened = false
		if i = k.element(base, i); i >= 0 {
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

// element reads the record, whose start tag ends at i unless that is to be passed too, to its end.
func (k *xmlWalk) element(base, i int) int {
	p := k.p
	if i == 0 {
		if i = p.start(0); i < 0 {
			return -1
		}
	}
	o := &p.open[base]
	o.state, o.spot = k.body.top, 0
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
	if len(k.body.wants) == 0 {
		k.cells = append(k.cells[:0], Cell{Kind: Tree, Bytes: k.p.treeOf(value)})
	} else {
		k.fields(k.body.wants)
	}
	if k.taker.full {
		return k.refuse(0, "max_cells", fmt.Sprintf("the lists of record %d give more than %d fields (max_cells)", k.rec.Number, k.taker.most))
	}
	k.rec.Part, k.rec.Cells = k.body.part, k.cells
	if !k.yield(&k.rec, nil) {
		return errStopped
	}
	return nil
}

// fields makes the cells of the fields.
func (k *xmlWalk) fields(wants []xmlWant) {
	k.cells = k.cells[:0]
	for i := range wants {
		w := &wants[i]
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
