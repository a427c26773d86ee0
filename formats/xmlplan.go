package formats

import (
	"fmt"
	"slices"
	"strings"
)

// An xmlPlan says what to take out of the document around the records; of the records each kind has its own state to begin with. The
// paths of all wants together make a machine of states: an element for which there is none is read, but nothing of it is kept.
type xmlPlan struct {
	root   *xmlState  // nil: nothing
	outer  []xmlOuter // paths that start at the document, by their slots
	early  int        // the first slots, which header and records need: the others may come late
	spaces []string   // namespaces that paths ask for, by id
	names  int        // how many names paths have
}

// An xmlOuter is a path that starts at the document, and whose it is.
type xmlOuter struct {
	want *xmlWant
	path *xmlPath
	part string // "header.", "trailer." or ""
}

// An xmlWant is one field, or several in an element of its own.
type xmlWant struct {
	name   string
	paths  []*xmlPath // the first that leads to something counts
	list   bool
	object bool
	fields []xmlWant
}

// An xmlState is what is wanted of an element.
type xmlState struct {
	text  bool      // its text
	attrs []xmlEdge // its attributes of these names
	few   []xmlEdge
	many  map[string]xmlEdge // instead, when there are many
	other *xmlState          // for children of any other name
}

// An xmlEdge leads to what is wanted of a child.
type xmlEdge struct {
	name string
	id   int32
	to   *xmlState
}

// child returns the state of a child element and the id of its name.
func (s *xmlState) child(local []byte) (*xmlState, int32) {
	if s.many != nil {
		if e, ok := s.many[string(local)]; ok {
			return e.to, e.id
		}
		return s.other, anyName
	}
	for i := range s.few {
		if e := &s.few[i]; e.name == string(local) {
			return e.to, e.id
		}
	}
	return s.other, anyName
}

// An xmlNode is a place below which something is wanted, before the machine is made.
type xmlNode struct {
	number int
	kids   []xmlKid
	text   bool
	attrs  []int32
}

type xmlKid struct {
	name int32
	to   *xmlNode
}

// xmlMaker makes plans; all plans of a decoder share their names.
type xmlMaker struct {
	namespaces map[string]string
	names      []string
	spaces     []string
	nodes      int
	problems   []Problem
}

func (m *xmlMaker) problem(path, format string, args ...any) {
	m.problems = append(m.problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (m *xmlMaker) node() *xmlNode {
	m.nodes++
	return &xmlNode{number: m.nodes}
}

func number(list *[]string, s string) int32 {
	i := slices.Index(*list, s)
	if i < 0 {
		i = len(*list)
		*list = append(*list, s)
	}
	return int32(i)
}

// bind gives a name its ids.
func (m *xmlMaker) bind(n *xmlName) {
	n.id, n.space = anyName, anyName
	if n.local != "*" {
		n.id = number(&m.names, n.local)
	}
	if n.prefix != "" {
		n.space = number(&m.spaces, m.namespaces[n.prefix])
	}
}

// grow makes the nodes along a path and returns the last.
func (m *xmlMaker) grow(n *xmlNode, p *xmlPath) *xmlNode {
	for i := range p.steps {
		st := &p.steps[i]
		m.bind(&st.xmlName)
		at := slices.IndexFunc(n.kids, func(k xmlKid) bool { return k.name == st.id })
		if at < 0 {
			at = len(n.kids)
			n.kids = append(n.kids, xmlKid{st.id, m.node()})
		}
		n = n.kids[at].to
		for _, t := range st.tests {
			if t.path != nil {
				m.value(m.grow(n, t.path), t.path)
			}
		}
	}
	p.near = len(p.steps) == 1 && p.steps[0].id != anyName && p.steps[0].space == anyName && len(p.steps[0].tests) == 0
	return n
}

// value marks what of an element is wanted.
func (m *xmlMaker) value(n *xmlNode, p *xmlPath) {
	if p.attr == nil {
		n.text = true
		return
	}
	m.bind(p.attr)
	if !slices.Contains(n.attrs, p.attr.id) {
		n.attrs = append(n.attrs, p.attr.id)
	}
}

// state merges nodes that one element may lead to, as * and a name do, into one state.
func (m *xmlMaker) state(nodes []*xmlNode, made map[string]*xmlState) *xmlState {
	if len(nodes) == 0 {
		return nil
	}
	var key strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&key, "%d ", n.number)
	}
	if s := made[key.String()]; s != nil {
		return s
	}
	s := &xmlState{}
	made[key.String()] = s
	var names []int32
	var others []*xmlNode
	for _, n := range nodes {
		s.text = s.text || n.text
		for _, id := range n.attrs {
			if !slices.ContainsFunc(s.attrs, func(e xmlEdge) bool { return e.id == id }) {
				s.attrs = append(s.attrs, xmlEdge{name: m.names[id], id: id})
			}
		}
		for _, k := range n.kids {
			if k.name == anyName {
				others = append(others, k.to)
			} else if !slices.Contains(names, k.name) {
				names = append(names, k.name)
			}
		}
	}
	s.other = m.state(others, made)
	for _, name := range names {
		to := slices.Clone(others)
		for _, n := range nodes {
			for _, k := range n.kids {
				if k.name == name {
					to = append(to, k.to)
				}
			}
		}
		s.add(xmlEdge{m.names[name], name, m.state(to, made)})
	}
	return s
}

func (s *xmlState) add(e xmlEdge) {
	if s.many == nil && len(s.few) < few {
		s.few = append(s.few, e)
		return
	}
	if s.many == nil {
		s.many = map[string]xmlEdge{}
		for _, f := range s.few {
			s.many[f.name] = f
		}
	}
	s.many[e.name] = e
}

// wants compiles wants below a node. For a path that starts at the document root decides; it is nil inside lists and objects. Without at all paths start there.
func (m *xmlMaker) wants(list []Want, prefix string, at *xmlNode, root func(*xmlPath) (*xmlNode, error)) []xmlWant {
	var out []xmlWant
	for _, w := range list {
		where := prefix + w.Name
		x := xmlWant{name: w.Name, list: w.List, object: w.Object}
		switch {
		case w.Kind != "":
			m.problem(where+".kind", "goes with formats of lines (fixed, csv): write from with the path of the list")
		case w.Column != "":
			m.problem(where+".column", "xml has no columns: write from")
		case len(w.From) == 0:
			m.problem(where, "missing: write from with the path of the value")
		}
		for i, from := range w.From {
			p, err := parseXMLPath(from, m.namespaces)
			start := at
			switch {
			case err == nil && p.attr != nil && len(w.Fields) > 0:
				err = fmt.Errorf("%q leads to an attribute, which has no fields", from)
			case err == nil && p.root && root == nil:
				err = fmt.Errorf("%q starts at the document, which is not possible inside a list or object: take it as a field of the record", from)
			case err == nil && !p.root && at == nil:
				err = fmt.Errorf("%q starts nowhere: write the whole path from the root element on, as /Orders/@version", from)
			case err == nil && p.root:
				start, err = root(p)
			}
			if err != nil {
				m.problem(where+".from", "%s", err)
				continue
			}
			x.paths = append(x.paths, p)
			m.below(&x, w, where, m.grow(start, p), i == 0)
		}
		out = append(out, x)
	}
	return out
}

// below marks what is wanted of an element that a path of a want leads to. What is wrong with its fields is told once.
func (m *xmlMaker) below(x *xmlWant, w Want, where string, n *xmlNode, tell bool) {
	if len(w.Fields) == 0 {
		m.value(n, x.paths[len(x.paths)-1])
		return
	}
	before := len(m.problems)
	x.fields = m.wants(w.Fields, where+".fields.", n, nil)
	if !tell {
		m.problems = m.problems[:before]
	}
}
