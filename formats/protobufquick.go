package formats

import (
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// oneofs notes for each member of a oneof which slots the others fill: the last that comes counts.
func (n *pbNode) oneofs(seen map[*pbNode]bool) {
	if n == nil || seen[n] {
		return
	}
	seen[n] = true
	fields := n.desc.Fields()
	for i := range fields.Len() {
		e := n.edge(int(fields.Get(i).Number()))
		e.one.oneofs(seen)
		for _, t := range e.items {
			t.one.oneofs(seen)
		}
		for _, t := range e.keys {
			t.one.oneofs(seen)
		}
		if o := e.desc.ContainingOneof(); o != nil && !o.IsSynthetic() {
			for k := range o.Fields().Len() {
				if other := n.edge(int(o.Fields().Get(k).Number())); other != e {
					e.clears = append(e.clears, other.slots()...)
				}
			}
			slices.Sort(e.clears)
			e.want = e.want || len(e.clears) > 0
		}
		if number := int(e.desc.Number()); number < len(n.texts) && e.plainText() {
			n.texts[number] = int32(e.all[0].slot) + 1
		}
	}
}

// slots lists those that a field fills.
func (e *pbEdge) slots() []int {
	list := slices.Clone(e.tree)
	for _, l := range e.all {
		list = append(list, l.slot)
	}
	if e.one == nil {
		return list
	}
	fields := e.one.desc.Fields()
	for i := range fields.Len() {
		inner := e.one.edge(int(fields.Get(i).Number()))
		list = append(list, inner.slots()...)
		for _, t := range inner.items {
			list = append(list, t.slots()...)
		}
		for _, t := range inner.keys {
			list = append(list, t.slots()...)
		}
	}
	return list
}

func (t *pbTarget) slots() []int { return (&pbEdge{all: t.leaves, tree: t.tree, one: t.one}).slots() }

// plainText tells that a field is a text which fills one place and touches no other, as most fields do.
func (e *pbEdge) plainText() bool {
	return e.desc.Kind() == protoreflect.StringKind && !e.list && !e.keyed && len(e.all) == 1 && len(e.tree)+len(e.clears) == 0
}

// shortText is the length of a text that is one byte long as a varint.
const shortText = 1<<7 - 1

// text takes the field at i if it is a short one of those: its number and its length are one byte each. It returns where the next field
// is, or i where more is to be looked at.
func (n *pbNode) text(data []byte, i int, cells []Cell) int {
	if len(data)-i < 2 || data[i]&0x87 != wireBytes || data[i+1] > shortText {
		return i
	}
	slot, end := n.texts[data[i]>>3], i+2+int(data[i+1])
	if slot == 0 || end > len(data) {
		return i
	}
	text := data[i+2 : end : end]
	if !utf8.Valid(text) {
		return i
	}
	c := &cells[slot-1]
	c.Kind, c.Bytes = Text, text
	return end
}

// freshen notes what the slots of a plan hold when a message says nothing.
func (p *pbPlan) freshen() {
	p.fresh = make([]Cell, p.slots)
	for _, z := range p.top.zeroes {
		p.fresh[z.slot] = z.cell
	}
}
