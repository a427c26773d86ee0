package formats

import (
	"bytes"

	"waybill/formats/jsonvalue"
)

// An xmlTree holds what was kept of one element: of the record, or of the document around the records. The element itself is the first.
type xmlTree struct {
	spots []xmlSpot
	attrs []xmlTaken
	hits  []int32 // elements that paths led to
	first []int32 // by name: the first element of it right below the record; 0: none
	bytes int     // in copies
}

// An xmlSpot is an element that a path may lead to.
type xmlSpot struct {
	name, space int32 // ids of the plan
	next        int32 // the next one below the same element; 0: none
	child, last int32 // the first and the last one below it; 0: none
	attr        int32 // where its attributes start
	attrs       int32 // and how many there are
	null        bool  // xsi:nil
	text        []byte
}

// An xmlTaken is an attribute that a path may lead to.
type xmlTaken struct {
	name, space int32
	value       []byte
}

func (t *xmlTree) size() int { return len(t.spots) + len(t.attrs) }

// reset leaves the element alone.
func (t *xmlTree) reset() {
	t.spots = append(t.spots[:0], xmlSpot{name: anyName, space: anyName})
	t.attrs, t.hits, t.bytes = t.attrs[:0], t.hits[:0], 0
	clear(t.first)
}

// named makes room for elements of so many names.
func (t *xmlTree) named(names int) { t.first = make([]int32, names) }

// add puts an element below another one.
func (t *xmlTree) add(parent, name, space int32) int32 {
	n := int32(len(t.spots))
	t.spots = append(t.spots, xmlSpot{name: name, space: space, attr: int32(len(t.attrs))})
	p := &t.spots[parent]
	if p.child == 0 {
		p.child = n
	} else {
		t.spots[p.last].next = n
	}
	p.last = n
	if parent == 0 && name >= 0 && t.first[name] == 0 {
		t.first[name] = n
	}
	return n
}

// find appends the elements that steps lead to from one to hits, as long as there are fewer than most from base on.
func (t *xmlTree) find(from int32, steps []xmlStep, base, most int) {
	if len(steps) == 0 {
		t.hits = append(t.hits, from)
		return
	}
	st := &steps[0]
	var seen [mostTests]int // how many elements came as far as each test
	for c := t.spots[from].child; c != 0; c = t.spots[c].next {
		s := &t.spots[c]
		if st.id != anyName && s.name != st.id || st.space != anyName && s.space != st.space || !t.passes(c, st.tests, &seen) {
			continue
		}
		t.find(c, steps[1:], base, most)
		if len(t.hits)-base >= most {
			return
		}
	}
}

// passes tells whether an element is one that the tests mean.
func (t *xmlTree) passes(c int32, tests []xmlTest, seen *[mostTests]int) bool {
	for i := range tests {
		test := &tests[i]
		if test.at > 0 {
			if seen[i]++; seen[i] != test.at {
				return false
			}
		} else if !t.holds(c, test) {
			return false
		}
	}
	return true
}

// holds tells whether an element has the text that a test asks for; white space around it does not count.
func (t *xmlTree) holds(c int32, test *xmlTest) bool {
	base := len(t.hits)
	t.find(c, test.path.steps, base, 1<<30)
	found := false
	for _, h := range t.hits[base:] {
		if v, ok := t.value(h, test.path); ok && string(bytes.TrimSpace(v.Bytes)) == test.text {
			found = true
			break
		}
	}
	t.hits = t.hits[:base]
	return found
}

// value is what a path asks for of the element that its steps led to.
func (t *xmlTree) value(at int32, p *xmlPath) (Cell, bool) {
	s := &t.spots[at]
	switch {
	case p.attr != nil:
		for _, a := range t.attrs[s.attr : s.attr+s.attrs] {
			if a.name == p.attr.id && (p.attr.space == anyName || a.space == p.attr.space) {
				return Cell{Kind: Text, Bytes: a.value}, true
			}
		}
		return Cell{}, false
	case s.null:
		return Cell{Kind: Null, Bytes: s.text}, true
	}
	return Cell{Kind: Text, Bytes: s.text}, true
}

// An xmlTaker makes cells of what was kept.
type xmlTaker struct {
	cells arena[Cell]
	lists arena[[]Cell]
	taken int
	most  int
	full  bool // there are more cells than may be
}

func (k *xmlTaker) reset() {
	k.cells.reset()
	k.lists.reset()
	k.taken, k.full = 0, false
}

// cell is what a path of a want leads to from one element.
func (k *xmlTaker) cell(t *xmlTree, from int32, w *xmlWant, p *xmlPath) Cell {
	if p.near && from == 0 && !w.list && len(w.fields) == 0 { // nearly always
		at := t.first[p.steps[0].id]
		if at == 0 {
			return Cell{}
		}
		if c, ok := t.value(at, p); ok {
			return c
		}
	}
	base := len(t.hits)
	most := 1
	if w.list || p.attr != nil {
		most = 1 << 30
	}
	t.find(from, p.steps, base, most)
	defer func() { t.hits = t.hits[:base] }()
	hits := len(t.hits) - base
	if hits == 0 {
		return Cell{}
	}
	if len(w.fields) > 0 {
		rows := k.lists.take(hits)
		for i := range rows {
			rows[i] = k.row(t, t.hits[base+i], w.fields)
		}
		return Cell{Kind: Nested, Rows: rows}
	}
	if w.list {
		return k.texts(t, base, p)
	}
	for i := range hits {
		if c, ok := t.value(t.hits[base+i], p); ok {
			return c
		}
	}
	return Cell{}
}

// texts makes a JSON list of the texts that a path leads to, for a list whose fields nobody described.
func (k *xmlTaker) texts(t *xmlTree, base int, p *xmlPath) Cell {
	out := []byte{'['}
	for _, h := range t.hits[base:] {
		if c, ok := t.value(h, p); ok {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = jsonvalue.AppendString(out, bytes.TrimSpace(c.Bytes))
		}
	}
	return Cell{Kind: Tree, Bytes: append(out, ']')}
}

// row makes the cells of one element of a list, or of an object.
func (k *xmlTaker) row(t *xmlTree, from int32, fields []xmlWant) []Cell {
	if k.taken += len(fields); k.taken > k.most {
		k.full = true
		return nil
	}
	cells := k.cells.take(len(fields))
	for i := range fields {
		w := &fields[i]
		cells[i] = Cell{}
		for _, p := range w.paths {
			if cells[i] = k.cell(t, from, w, p); cells[i].Kind != Absent {
				break
			}
		}
	}
	return cells
}
