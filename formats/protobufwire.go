package formats

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// A pbMaker makes cells of messages. What it makes stays valid until the next record.
type pbMaker struct {
	limits Limits
	proto  *protoSchema
	room   []byte // texts that stand nowhere so
	cells  arena[Cell]
	rows   arena[[]Cell]
	ints   arena[int]
	taken  int // fields taken from lists
}

// A pbFrame is what a plan fills.
type pbFrame struct {
	cells  []Cell
	counts []int // items seen of lists of which single ones are wanted
	places []int // of objects, behind the beginning of the message
}

// record makes the cells of a message.
func (m *pbMaker) record(d *pbDecoder, data []byte) ([]Cell, *pbBad) {
	m.room, m.taken = m.room[:0], 0
	m.cells.reset()
	m.rows.reset()
	m.ints.reset()
	if d.known != nil {
		if bad := m.check(d.known, d.known[d.proto.message.FullName()], data, 0, 0); bad != nil {
			return nil, bad
		}
	}
	if d.plan == nil {
		cells := m.cells.take(1)
		text, bad := m.json(d.proto.message, data, 0)
		cells[0] = Cell{Kind: Tree, Bytes: text}
		return cells, bad
	}
	return m.row(d.plan, data, 0)
}

// row makes the cells of a plan.
func (m *pbMaker) row(p *pbPlan, data []byte, off int) ([]Cell, *pbBad) {
	f := pbFrame{cells: m.cells.take(p.slots)}
	copy(f.cells, p.fresh)
	if p.counts > 0 {
		f.counts = m.ints.take(p.counts)
		clear(f.counts)
	}
	if len(p.later)+len(p.trees) > 0 {
		f.places = m.ints.take(p.slots)
		clear(f.places)
	}
	if bad := m.fields(p.top, data, off, &f); bad != nil {
		return nil, bad
	}
	for i := range p.later {
		if bad := m.object(&p.later[i], &f); bad != nil {
			return nil, bad
		}
	}
	for i := range p.trees {
		if bad := m.tree(&p.trees[i], &f); bad != nil {
			return nil, bad
		}
	}
	for _, a := range p.other {
		if f.cells[a.cell].Kind == Absent {
			f.cells[a.cell] = f.cells[a.slot]
		}
	}
	return f.cells[:p.width], nil
}

// object makes a row of the bytes that were gathered for it.
func (m *pbMaker) object(l *pbLeaf, f *pbFrame) *pbBad {
	c := &f.cells[l.slot]
	if c.Kind == Absent {
		return nil
	}
	row, bad := m.row(l.rows, c.Bytes, f.places[l.slot])
	if bad != nil {
		return bad
	}
	rows := m.rows.take(1)
	rows[0] = row
	*c = Cell{Kind: Nested, Rows: rows}
	return nil
}

// message takes what is wanted from a message within the record; off is where it begins.
func (m *pbMaker) message(n *pbNode, data []byte, off int, f *pbFrame) *pbBad {
	for i := range n.zeroes {
		if z := &n.zeroes[i]; f.cells[z.slot].Kind == Absent {
			f.cells[z.slot] = z.cell
		}
	}
	return m.fields(n, data, off, f)
}

// fields takes what is wanted from the fields of a message.
func (m *pbMaker) fields(n *pbNode, data []byte, off int, f *pbFrame) *pbBad {
	short := m.limits.MaxField >= shortText
	for i := 0; i < len(data); {
		if short {
			if next := n.text(data, i, f.cells); next > i {
				i = next
				continue
			}
		}
		t, next, bad := m.token(data, i, off, 0)
		if bad != nil {
			return bad
		}
		i = next
		var e *pbEdge
		if t.number < len(n.edges) {
			e = n.edges[t.number]
		} else {
			e = n.large[t.number]
		}
		if e == nil {
			continue
		}
		if e.wires&(1<<t.wire) == 0 {
			return badPB(off+t.from, "field %d (%s) has the wire type %d, which does not go with its type: is it the right schema?", t.number, e.desc.Name(), t.wire)
		}
		if !e.want {
			continue
		}
		if bad := m.field(e, &t, data[t.from:next:next], off, f); bad != nil {
			return bad
		}
	}
	return nil
}

// field takes one field; raw is all of its bytes.
func (m *pbMaker) field(e *pbEdge, t *pbToken, raw []byte, off int, f *pbFrame) *pbBad {
	for _, slot := range e.clears {
		f.cells[slot] = Cell{}
	}
	many := e.list || e.keyed
	for _, slot := range e.tree {
		piece := t.bytes
		if many {
			piece = raw
		}
		f.gather(slot, Tree, piece, off+t.body)
	}
	switch {
	case e.keyed:
		return m.entry(e, t, off, f)
	case e.packed && t.wire == wireBytes:
		return m.unpacked(e, t, off, f)
	case e.list:
		return m.listed(e, t, off, f)
	}
	for i := range e.all {
		if l := &e.all[i]; l.rows != nil {
			f.gather(l.slot, Nested, t.bytes, off+t.body)
		} else if bad := m.scalar(&e.of, t, off, &f.cells[l.slot]); bad != nil {
			return bad
		}
	}
	if e.one != nil {
		return m.message(e.one, t.bytes, off+t.body, f)
	}
	return nil
}

// gather keeps bytes for the end of the message. What stands twice is merged by joining the bytes.
func (f *pbFrame) gather(slot int, kind Kind, piece []byte, at int) {
	c := &f.cells[slot]
	if c.Kind != kind || c.Bytes == nil {
		if piece == nil {
			piece = []byte{}
		}
		*c, f.places[slot] = Cell{Kind: kind, Bytes: piece}, at
		return
	}
	c.Bytes = append(c.Bytes[:len(c.Bytes):len(c.Bytes)], piece...)
}

func (m *pbMaker) scalar(s *pbScalar, t *pbToken, off int, c *Cell) (bad *pbBad) {
	*c, bad = m.value(s, t, off)
	return bad
}

// unpacked takes the items of a list that stand in one field.
func (m *pbMaker) unpacked(e *pbEdge, t *pbToken, off int, f *pbFrame) *pbBad {
	if e.items == nil {
		return nil
	}
	for i := 0; i < len(t.bytes); {
		one := pbToken{number: t.number, wire: e.of.wire(), from: t.from, body: t.body + i}
		ok := true
		switch one.wire {
		case wireVarint:
			one.value, i, ok = uvarint(t.bytes, i)
		case wire32:
			if ok = len(t.bytes)-i >= 4; ok {
				one.value, i = uint64(t.bytes[i])|uint64(t.bytes[i+1])<<8|uint64(t.bytes[i+2])<<16|uint64(t.bytes[i+3])<<24, i+4
			}
		default:
			if ok = len(t.bytes)-i >= 8; ok {
				for k := range 8 {
					one.value |= uint64(t.bytes[i+k]) << (8 * k)
				}
				i += 8
			}
		}
		if !ok {
			return badPB(off+t.from, "the list in field %d (%s) ends inside a number", t.number, e.desc.Name())
		}
		if bad := m.listed(e, &one, off, f); bad != nil {
			return bad
		}
	}
	return nil
}

// listed takes one item of a list.
func (m *pbMaker) listed(e *pbEdge, t *pbToken, off int, f *pbFrame) *pbBad {
	for i := range e.all {
		l := &e.all[i]
		if bad := m.addRow(l, t, off, &f.cells[l.slot]); bad != nil {
			return bad
		}
	}
	if e.items == nil {
		return nil
	}
	at := f.counts[e.count]
	f.counts[e.count]++
	if target := e.items[at]; target != nil {
		return m.target(target, &e.of, t, off, f)
	}
	return nil
}

// addRow adds a row to a list.
func (m *pbMaker) addRow(l *pbLeaf, t *pbToken, off int, c *Cell) *pbBad {
	if m.taken += l.rows.width; m.taken > m.limits.MaxCells {
		return &pbBad{off + t.from, "max_cells", fmt.Sprintf("the lists of one record give more than %d fields (max_cells)", m.limits.MaxCells)}
	}
	row, bad := m.row(l.rows, t.bytes, off+t.body)
	if bad != nil {
		return bad
	}
	rows := c.Rows
	if len(rows) == cap(rows) {
		rows = append(m.rows.take(max(4, 2*len(rows)))[:0], rows...)
	}
	*c = Cell{Kind: Nested, Rows: append(rows, row)}
	return nil
}

// entry takes one entry of a map.
func (m *pbMaker) entry(e *pbEdge, t *pbToken, off int, f *pbFrame) *pbBad {
	for i := range e.all {
		l := &e.all[i]
		if bad := m.addRow(l, t, off, &f.cells[l.slot]); bad != nil {
			return bad
		}
	}
	if e.keys == nil {
		return nil
	}
	keyed := scalarOf(e.desc.MapKey())
	key, value := keyed.zero(), pbToken{number: 2, bytes: []byte{}, from: t.body, body: t.body}
	for i := 0; i < len(t.bytes); {
		one, next, bad := m.token(t.bytes, i, off+t.body, 0)
		if bad != nil {
			return bad
		}
		i = next
		switch {
		case one.number == 1 && one.wire == keyed.wire():
			if bad := m.scalar(&keyed, &one, off+t.body, &key); bad != nil {
				return bad
			}
		case one.number == 2 && one.wire == e.of.wire():
			value = one
			value.from, value.body = one.from+t.body, one.body+t.body
		case one.number <= 2:
			return badPB(off+t.body+one.from, "an entry of the map in field %d (%s) has the wire type %d, which does not go with its type: is it the right schema?", t.number, e.desc.Name(), one.wire)
		}
	}
	target := e.keys[string(key.Bytes)]
	if target == nil {
		return nil
	}
	for _, slot := range target.slots() { // the last of a key counts
		f.cells[slot] = Cell{}
	}
	return m.target(target, &e.of, &value, off, f)
}

// target takes one item.
func (m *pbMaker) target(to *pbTarget, of *pbScalar, t *pbToken, off int, f *pbFrame) *pbBad {
	for i := range to.leaves {
		if l := &to.leaves[i]; l.rows != nil {
			f.gather(l.slot, Nested, t.bytes, off+t.body)
		} else if bad := m.scalar(of, t, off, &f.cells[l.slot]); bad != nil {
			return bad
		}
	}
	for _, slot := range to.tree {
		f.gather(slot, Tree, t.bytes, off+t.body)
	}
	if to.one != nil {
		return m.message(to.one, t.bytes, off+t.body, f)
	}
	return nil
}

// everyMessage makes a node of each message that a message may hold.
func everyMessage(desc protoreflect.MessageDescriptor, known map[protoreflect.FullName]*pbNode) {
	if known[desc.FullName()] != nil {
		return
	}
	known[desc.FullName()] = newPBNode(desc)
	for i := range desc.Fields().Len() {
		if in := desc.Fields().Get(i).Message(); in != nil {
			everyMessage(in, known)
		}
	}
}

// check looks for fields that the schema does not know.
func (m *pbMaker) check(known map[protoreflect.FullName]*pbNode, n *pbNode, data []byte, off, depth int) *pbBad {
	if depth > m.limits.MaxDepth {
		return &pbBad{off, "max_depth", fmt.Sprintf("messages are nested deeper than %d (max_depth)", m.limits.MaxDepth)}
	}
	for i := 0; i < len(data); {
		t, next, bad := m.token(data, i, off, depth)
		if bad != nil {
			return bad
		}
		i = next
		e := n.edge(t.number)
		if e == nil || e.wires&(1<<t.wire) == 0 {
			return badPB(off+t.from, "message %s has no field %d of this kind, and unknown: reject is said", n.desc.FullName(), t.number)
		}
		if in := e.desc.Message(); in != nil {
			if bad := m.check(known, known[in.FullName()], t.bytes, off+t.body, depth+1); bad != nil {
				return bad
			}
		}
	}
	return nil
}
