package formats

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// A pbPlan says what to take out of a message: the record, or one of a list.
type pbPlan struct {
	top    *pbNode
	width  int // cells shown, one a want
	slots  int // cells in all, with those for second and later places
	other  []alternative
	trees  []pbTree // slots that are made of their bytes when the message has been read
	later  []pbLeaf // objects, made so too: what stands twice is merged
	counts int      // lists of which single items are wanted
	fresh  []Cell   // what the slots hold before anything was read
}

// A pbTree is a value that is written as JSON does, once all its bytes are there.
type pbTree struct {
	slot int
	desc protoreflect.FieldDescriptor
	item bool // one item of a list or a map, not all of it
}

// A pbNode is a message in which something is wanted.
type pbNode struct {
	desc   protoreflect.MessageDescriptor
	edges  []*pbEdge // by number, as long as those are small
	large  map[int]*pbEdge
	zeroes []pbZero
	texts  [16]int32 // by number: the slot of a text that goes nowhere else, and 1; 0: none
}

// A pbZero is what a field without presence holds when the message does not say.
type pbZero struct {
	slot int
	cell Cell
}

const smallNumber = 64

// A pbEdge is a field of a message. Those that nobody wants are known by their wire types, so that a wrong schema shows.
type pbEdge struct {
	desc   protoreflect.FieldDescriptor
	wires  uint8 // wire types it may have, as bits
	packed bool
	list   bool
	keyed  bool // a map
	want   bool
	clears []int    // slots of the other members of its oneof
	of     pbScalar // of the field, of each item of a list, or of each value of a map
	all    []pbLeaf // of the field, or of each item of a list
	one    *pbNode  // the message in it
	tree   []int    // slots that take its bytes whole
	items  map[int]*pbTarget
	keys   map[string]*pbTarget
	count  int // index of its items
}

// A pbTarget is one item of a list, or of a map.
type pbTarget struct {
	leaves []pbLeaf
	one    *pbNode
	tree   []int
}

// A pbLeaf is a place for a value.
type pbLeaf struct {
	slot   int
	rows   *pbPlan // of a list or an object
	object bool
}

// edge finds a field.
func (n *pbNode) edge(number int) *pbEdge {
	if number < len(n.edges) {
		return n.edges[number]
	}
	return n.large[number]
}

func newPBNode(desc protoreflect.MessageDescriptor) *pbNode {
	n := &pbNode{desc: desc, edges: make([]*pbEdge, 0, smallNumber), large: map[int]*pbEdge{}}
	fields := desc.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		e := &pbEdge{desc: f, wires: wiresOf(f), list: f.IsList(), keyed: f.IsMap(), packed: f.IsList() && f.Kind() != protoreflect.StringKind && f.Kind() != protoreflect.BytesKind && f.Message() == nil, count: -1}
		if e.of = scalarOf(f); f.IsMap() {
			e.of = scalarOf(f.MapValue())
		}
		if number := int(f.Number()); number < smallNumber {
			for len(n.edges) <= number {
				n.edges = append(n.edges, nil)
			}
			n.edges[number] = e
		} else {
			n.large[number] = e
		}
	}
	return n
}

// wiresOf says which wire types a field may have.
func wiresOf(f protoreflect.FieldDescriptor) uint8 {
	var w uint8
	switch f.Kind() {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		w = 1 << wire32
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		w = 1 << wire64
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return 1 << wireBytes
	case protoreflect.GroupKind:
		return 1 << wireStart
	default:
		w = 1 << wireVarint
	}
	if f.IsList() {
		w |= 1 << wireBytes
	}
	return w
}

// pbCompiler makes a plan.
type pbCompiler struct {
	plan *pbPlan
}

// compilePB turns wants into a plan.
func compilePB(desc protoreflect.MessageDescriptor, wants []Want, prefix string) (*pbPlan, []Problem) {
	c := &pbCompiler{plan: &pbPlan{top: newPBNode(desc), width: len(wants), slots: len(wants)}}
	var ps []Problem
	for i, w := range wants {
		path := prefix + w.Name
		switch {
		case w.Column != "":
			ps = append(ps, Problem{path + ".column", "protobuf has no columns: write from"})
		case len(w.From) == 0:
			ps = append(ps, Problem{path, "missing: write from with the path of the value"})
		}
		for k, from := range w.From {
			slot := i
			if k > 0 {
				slot = c.plan.slots
				c.plan.slots++
				c.plan.other = append(c.plan.other, alternative{i, slot})
			}
			bad, err := c.want(from, w, slot, path)
			if err != nil {
				ps = append(ps, Problem{path + ".from", err.Error()})
			}
			if k == 0 {
				ps = append(ps, bad...)
			}
		}
	}
	if len(ps) == 0 {
		c.plan.top.oneofs(map[*pbNode]bool{})
		c.plan.freshen()
	}
	return c.plan, ps
}

// want makes the way to a value.
func (c *pbCompiler) want(from string, w Want, slot int, path string) ([]Problem, error) {
	steps, _, err := parsePath(strings.TrimPrefix(from, "$."))
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 || steps[0].at >= 0 {
		return nil, fmt.Errorf("%q leads to no field: write names joined by dots", from)
	}
	n := c.plan.top
	for {
		e, err := n.find(steps[0])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", from, err)
		}
		e.want = true
		steps = steps[1:]
		if len(steps) == 0 {
			return c.end(e, w, slot, n, path)
		}
		t := &pbTarget{}
		of := e.desc
		switch {
		case e.desc.IsMap():
			if steps[0].at >= 0 {
				return nil, fmt.Errorf("%q: %s is a map: write the key, as %s[\"key\"]", from, e.desc.Name(), e.desc.Name())
			}
			t, of = e.key(steps[0].name), e.desc.MapValue()
			steps = steps[1:]
		case e.desc.IsList():
			if steps[0].at < 0 {
				return nil, fmt.Errorf("%q: %s is a list: write %s[0] for its first item, or take it as a field of type list", from, e.desc.Name(), e.desc.Name())
			}
			t = e.item(steps[0].at, c.plan)
			steps = steps[1:]
		case e.desc.Message() == nil:
			return nil, fmt.Errorf("%q: %s is no message, nothing is in it", from, e.desc.Name())
		default:
			n = e.inner()
			continue
		}
		if len(steps) == 0 {
			return c.item(t, of, w, slot, path)
		}
		if of.Message() == nil {
			return nil, fmt.Errorf("%q: an item of %s is no message, nothing is in it", from, e.desc.Name())
		}
		if t.one == nil {
			t.one = newPBNode(of.Message())
		}
		n = t.one
	}
}

// find looks a field up by its name, or by its name in JSON.
func (n *pbNode) find(st step) (*pbEdge, error) {
	if st.at >= 0 {
		return nil, fmt.Errorf("%s is no list", n.desc.FullName())
	}
	fields := n.desc.Fields()
	f := fields.ByName(protoreflect.Name(st.name))
	if f == nil {
		f = fields.ByJSONName(st.name)
	}
	if f == nil {
		var names []string
		for i := range fields.Len() {
			names = append(names, string(fields.Get(i).Name()))
		}
		return nil, fmt.Errorf("message %s has no field %q%s", n.desc.FullName(), st.name, meant(st.name, names))
	}
	return n.edge(int(f.Number())), nil
}

func (e *pbEdge) inner() *pbNode {
	if e.one == nil {
		e.one = newPBNode(e.desc.Message())
	}
	return e.one
}

func (e *pbEdge) key(name string) *pbTarget {
	if e.keys == nil {
		e.keys = map[string]*pbTarget{}
	}
	if e.keys[name] == nil {
		e.keys[name] = &pbTarget{}
	}
	return e.keys[name]
}

func (e *pbEdge) item(at int, p *pbPlan) *pbTarget {
	if e.items == nil {
		e.items, e.count = map[int]*pbTarget{}, p.counts
		p.counts++
	}
	if e.items[at] == nil {
		e.items[at] = &pbTarget{}
	}
	return e.items[at]
}

// wrapped returns the field inside a well-known message that stands for a single value (google.protobuf.Int64Value), nil for others.
func wrapped(m protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	name := string(m.FullName())
	if !strings.HasPrefix(name, "google.protobuf.") || !strings.HasSuffix(name, "Value") || m.Fields().Len() != 1 || m.Fields().Get(0).IsList() {
		return nil
	}
	return m.Fields().Get(0)
}

// end takes a field as it is.
func (c *pbCompiler) end(e *pbEdge, w Want, slot int, n *pbNode, path string) ([]Problem, error) {
	f := e.desc
	switch {
	case len(w.Fields) > 0 && f.Message() == nil:
		return nil, fmt.Errorf("%s is no message, it has no fields", f.Name())
	case len(w.Fields) > 0 && w.Object && (f.IsList() || f.IsMap()):
		return nil, fmt.Errorf("%s is a list, not an object", f.Name())
	case len(w.Fields) > 0:
		rows, ps := compilePB(f.Message(), w.Fields, path+".fields.")
		many := f.IsList() || f.IsMap()
		e.all = append(e.all, pbLeaf{slot, rows, !many})
		if many {
			n.zeroes = append(n.zeroes, pbZero{slot, Cell{Kind: Nested}})
		} else {
			c.plan.later = append(c.plan.later, pbLeaf{slot, rows, true})
		}
		return ps, nil
	case f.IsList() || f.IsMap():
		n.zeroes = append(n.zeroes, pbZero{slot, Cell{Kind: Tree}})
	case f.Message() != nil:
		if v := wrapped(f.Message()); v != nil {
			in := e.inner()
			return c.end(in.wanted(v), w, slot, in, path)
		}
	default:
		e.all = append(e.all, pbLeaf{slot: slot})
		if !f.HasPresence() {
			n.zeroes = append(n.zeroes, pbZero{slot, scalarOf(f).zero()})
		}
		return nil, nil
	}
	e.tree = append(e.tree, slot)
	c.plan.trees = append(c.plan.trees, pbTree{slot, f, false})
	return nil, nil
}

func (n *pbNode) wanted(f protoreflect.FieldDescriptor) *pbEdge {
	e := n.edge(int(f.Number()))
	e.want = true
	return e
}

// item takes one item of a list or a map.
func (c *pbCompiler) item(t *pbTarget, of protoreflect.FieldDescriptor, w Want, slot int, path string) ([]Problem, error) {
	switch {
	case len(w.Fields) > 0 && of.Message() == nil:
		return nil, fmt.Errorf("an item of it is no message, it has no fields")
	case len(w.Fields) > 0:
		rows, ps := compilePB(of.Message(), w.Fields, path+".fields.")
		t.leaves = append(t.leaves, pbLeaf{slot, rows, true})
		c.plan.later = append(c.plan.later, pbLeaf{slot, rows, true})
		return ps, nil
	case of.Message() == nil:
		t.leaves = append(t.leaves, pbLeaf{slot: slot})
		return nil, nil
	}
	if v := wrapped(of.Message()); v != nil {
		if t.one == nil {
			t.one = newPBNode(of.Message())
		}
		return c.end(t.one.wanted(v), w, slot, t.one, path)
	}
	t.tree = append(t.tree, slot)
	c.plan.trees = append(c.plan.trees, pbTree{slot, of, true})
	return nil, nil
}
