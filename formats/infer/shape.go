package infer

import "slices"

// A shape is what was seen at one place of the records.
type shape struct {
	name    string // of the member
	seen    int    // how often it was there, null or not
	column  column // of its scalars
	objects int    // how often it was an object
	members []*shape
	byName  map[string]*shape // of the members, where they are many
	lists   int               // how often it was a list
	items   int               // of all of these
	most    int               // of one
	element *shape
}

func (s *shape) member(name string) *shape {
	if len(s.members) <= fewMembers {
		if i := slices.IndexFunc(s.members, func(m *shape) bool { return m.name == name }); i >= 0 {
			return s.members[i]
		}
	} else if m := s.byName[name]; m != nil {
		return m
	}
	m := &shape{name: name}
	s.members = append(s.members, m)
	switch n := len(s.members); {
	case n == fewMembers+1:
		s.byName = make(map[string]*shape, 2*n)
		for _, m := range s.members {
			s.byName[m.name] = m
		}
	case n > fewMembers:
		s.byName[name] = m
	}
	return m
}

// fewMembers are found fastest by looking at each: an object whose members are named by what they are about may have a great many.
const fewMembers = 32

// add counts one value.
func (s *shape) add(v *value) {
	s.seen++
	switch v.kind {
	case object:
		s.objects++
		for i := range v.items {
			s.member(v.keys[i]).add(&v.items[i])
		}
	case list:
		s.lists++
		s.items += len(v.items)
		s.most = max(s.most, len(v.items))
		if s.element == nil {
			s.element = new(shape)
		}
		for i := range v.items {
			s.element.add(&v.items[i])
		}
	default:
		s.column.add(v)
	}
}

// merge adds what another shape has counted.
func (s *shape) merge(o *shape) {
	s.seen += o.seen
	s.column.merge(&o.column)
	s.objects += o.objects
	for _, m := range o.members {
		s.member(m.name).merge(m)
	}
	s.lists, s.items, s.most = s.lists+o.lists, s.items+o.items, max(s.most, o.most)
	if o.element != nil {
		if s.element == nil {
			s.element = new(shape)
		}
		s.element.merge(o.element)
	}
}

// scalars is how often it was a text, a number, a boolean or nothing.
func (s *shape) scalars() int { return s.seen - s.objects - s.lists }

// markup makes of what an XML tree does not tell apart what it stands for: one element of several that stood alone is a list of
// one, and a text that elsewhere has attributes beside it is the text of such an element.
func (s *shape) markup() {
	if s.lists > 0 && s.seen > s.lists {
		alone := &shape{seen: s.seen - s.lists, column: s.column, objects: s.objects, members: s.members}
		if s.element == nil {
			s.element = new(shape)
		}
		s.element.merge(alone)
		s.items += alone.seen
		s.most = max(s.most, 1)
		s.lists, s.column, s.objects, s.members = s.seen, column{}, 0, nil
	}
	if n := s.scalars(); s.objects > 0 && n > 0 {
		inner := s.member("#text")
		inner.seen += n
		inner.column.merge(&s.column)
		s.objects, s.column = s.objects+n, column{}
	}
	for _, m := range s.members {
		m.markup()
	}
	if s.element != nil {
		s.element.markup()
	}
}
