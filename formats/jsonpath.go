package formats

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A step of a path goes into a member of an object, or into an element of a list.
type step struct {
	name string
	at   int // of the element; -1: a member
}

var errPath = errors.New("is no path: write names joined by dots, with [0] for an element and [\"any key\"] for an odd name")

// parsePath reads `["$."] name *( "." name | "[" N "]" | '["any key"]' )`. "$" alone is the root.
func parsePath(s string) (steps []step, root bool, err error) {
	rest := s
	if rest == "$" {
		return nil, true, nil
	}
	if strings.HasPrefix(rest, "$.") || strings.HasPrefix(rest, "$[") {
		root, rest = true, rest[1:]
	} else if !strings.HasPrefix(rest, "[") {
		rest = "." + rest
	}
	for rest != "" {
		var st step
		st, rest, err = parseStep(rest)
		if err != nil {
			return nil, false, fmt.Errorf("%q %w", s, err)
		}
		steps = append(steps, st)
	}
	if len(steps) == 0 {
		return nil, false, fmt.Errorf("%q %w", s, errPath)
	}
	return steps, root, nil
}

func parseStep(s string) (step, string, error) {
	if s[0] == '.' {
		end := strings.IndexAny(s[1:], ".[") + 1
		if end == 0 {
			end = len(s)
		}
		if end == 1 {
			return step{}, "", errPath
		}
		return step{name: s[1:end], at: -1}, s[end:], nil
	}
	if !strings.HasPrefix(s, "[") {
		return step{}, "", errPath
	}
	if quoted, err := strconv.QuotedPrefix(s[1:]); err == nil && quoted[0] == '"' {
		rest, closed := strings.CutPrefix(s[1+len(quoted):], "]")
		name, err := strconv.Unquote(quoted)
		if err != nil || !closed {
			return step{}, "", errPath
		}
		return step{name: name, at: -1}, rest, nil
	}
	digits, rest, closed := strings.Cut(s[1:], "]")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || !closed {
		return step{}, "", errPath
	}
	return step{at: int(n)}, rest, nil
}

// A node is a place in a JSON value below which something is wanted: the wanted paths as a tree.
type node struct {
	members map[string]*node
	few     []member // the same while there are few: looking through them is faster
	items   map[int]*node
	leaves  []leaf
}

type member struct {
	name string
	to   *node
}

// A leaf is a place whose value is wanted.
type leaf struct {
	cell   int   // where it goes
	rows   *plan // nil: the value itself; else its elements, taken apart
	object bool  // only an object is taken apart
}

// apart tells whether a list or object that starts with c is taken apart.
func (l leaf) apart(c byte) bool { return l.rows != nil && (c == '{' || !l.object) }

// A plan says what to take out of one object: the record, or an element of a list.
type plan struct {
	top   *node
	width int           // cells shown, one a want
	slots int           // cells in all: the second and later places of a want have cells of their own
	other []alternative // those places, in order
	roots []rooted      // the slots filled from the document
}

// An alternative is a slot to take a want's value from when its cell is absent.
type alternative struct{ cell, slot int }

// A rooted slot is filled with one of the values around the records.
type rooted struct{ slot, outer int }

// around is what is wanted of a document around its records.
type around struct {
	root  *node
	slots int
	names []string // of the fields, by slot, for error texts
}

const few = 8

// member finds the node below an object's member, nil when nothing there is wanted.
func (n *node) member(key []byte) *node {
	if n == nil {
		return nil
	}
	if n.members != nil {
		return n.members[string(key)]
	}
	for i := range n.few {
		if n.few[i].name == string(key) {
			return n.few[i].to
		}
	}
	return nil
}

func (n *node) item(i int) *node {
	if n == nil || n.items == nil {
		return nil
	}
	return n.items[i]
}

// inner tells whether something is wanted below.
func (n *node) inner() bool { return n != nil && (n.few != nil || n.members != nil || n.items != nil) }

// grow makes the nodes along a path and returns the last.
func (n *node) grow(steps []step) *node {
	for _, st := range steps {
		var next *node
		if st.at < 0 {
			next = n.growMember(st.name)
		} else {
			if n.items == nil {
				n.items = map[int]*node{}
			}
			if next = n.items[st.at]; next == nil {
				next = &node{}
				n.items[st.at] = next
			}
		}
		n = next
	}
	return n
}

func (n *node) growMember(name string) *node {
	if at := n.member([]byte(name)); at != nil {
		return at
	}
	next := &node{}
	if n.members == nil && len(n.few) < few {
		n.few = append(n.few, member{name, next})
		return next
	}
	if n.members == nil {
		n.members = map[string]*node{}
		for _, m := range n.few {
			n.members[m.name] = m.to
		}
		n.few = nil
	}
	n.members[name] = next
	return next
}

// A planner compiles wants.
type planner struct {
	around  *around // nil: inside lists and objects, where nothing can start at the document
	outside bool    // all paths start there
	lines   bool    // lists may be made of the lines that follow: nothing is taken for them
	part    string  // whose fields they are, for error texts
}

// compile turns wants into a plan.
func (c planner) compile(wants []Want, prefix string) (*plan, []Problem) {
	p := &plan{top: &node{}, width: len(wants), slots: len(wants)}
	var ps []Problem
	for i, w := range wants {
		path := prefix + w.Name
		var rows *plan
		if len(w.Fields) > 0 && (w.Kind == "" || !c.lines) {
			var inner []Problem
			rows, inner = planner{}.compile(w.Fields, path+".fields.")
			ps = append(ps, inner...)
		}
		switch {
		case w.Kind != "" && c.lines:
			if len(w.From) > 0 {
				ps = append(ps, Problem{path + ".from", "does not go with kind: the list is made of the lines that follow"})
			}
			continue
		case w.Kind != "":
			ps = append(ps, Problem{path + ".kind", "goes with formats of lines (fixed, csv, ndjson): write from with the path of the list"})
		case w.Column != "":
			ps = append(ps, Problem{path + ".column", "json has no columns: write from"})
		case len(w.From) == 0:
			ps = append(ps, Problem{path, "missing: write from with the path of the value"})
		}
		for k, from := range w.From {
			slot := i
			if k > 0 {
				slot = p.slots
				p.slots++
				p.other = append(p.other, alternative{i, slot})
			}
			if err := c.want(p, w.Name, from, leaf{slot, rows, w.Object}); err != nil {
				ps = append(ps, Problem{path + ".from", err.Error()})
			}
		}
	}
	return p, ps
}

func (c planner) want(p *plan, name, from string, l leaf) error {
	steps, root, err := parsePath(from)
	switch {
	case err != nil:
		return err
	case root && c.around == nil:
		return fmt.Errorf("%q starts at the document, which is not possible inside a list or object: take it as a field of the record", from)
	}
	at := p.top
	if root || c.outside {
		at = c.around.root
		p.roots = append(p.roots, rooted{l.cell, c.around.slots})
		l.cell = c.around.slots
		c.around.slots++
		c.around.names = append(c.around.names, fmt.Sprintf("field %s%s (%s)", c.part, name, from))
	}
	at = at.grow(steps)
	at.leaves = append(at.leaves, l)
	return nil
}

// settle moves the first value that is present to the cell of its want.
func (p *plan) settle(cells []Cell) {
	for _, a := range p.other {
		if cells[a.cell].Kind == Absent {
			cells[a.cell] = cells[a.slot]
		}
	}
}
