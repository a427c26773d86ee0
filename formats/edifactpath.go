package formats

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An ediPath is a place in a message: SEG["[" qualifier "]"] "." element ["." component]. The qualifier is the first component of the
// first element. A list or an object names a segment only.
type ediPath struct {
	tag       uint32
	qualifier string
	element   int // from 1; 0: the segment
	component int // from 1
}

// parseEDIPath reads QTY[21].1.2, BGM.2 or, for a list or object, LIN or NAD[BY].
func parseEDIPath(s string, segment bool) (p ediPath, err error) {
	name, rest, found := strings.Cut(s, ".")
	if q := strings.IndexByte(s, '['); q >= 0 && (!found || q < len(name)) {
		end := strings.IndexByte(s, ']')
		if end < q+2 {
			return p, badEDIPath(s, segment)
		}
		name, p.qualifier, rest = s[:q], s[q+1:end], s[end+1:]
		rest, found = strings.CutPrefix(rest, ".")
		if !found && rest != "" {
			return p, badEDIPath(s, segment)
		}
	}
	if len(name) != 3 || !isTag([]byte(name)) || segment == found {
		return p, badEDIPath(s, segment)
	}
	p.tag = tagOf(name)
	if segment {
		return p, nil
	}
	element, component, deep := strings.Cut(rest, ".")
	if !deep {
		component = "1"
	}
	if p.element, p.component = placeNumber(element), placeNumber(component); p.element == 0 || p.component == 0 {
		return p, badEDIPath(s, segment)
	}
	return p, nil
}

func badEDIPath(s string, segment bool) error {
	if segment {
		return fmt.Errorf("%q is no segment to begin a row with: write its name, as LIN, or with a qualifier, NAD[BY]", s)
	}
	return fmt.Errorf("%q is no place in a message: write the segment, the element and the component, as BGM.2, DTM[137].1.2 or NAD[BY].2.1", s)
}

func tagOf(name string) uint32 {
	return uint32(name[0])<<16 | uint32(name[1])<<8 | uint32(name[2])
}

func placeNumber(s string) int {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || s[0] == '0' {
		return 0
	}
	return int(n)
}

// An ediPlan says what to take out of a message, or out of the segments of one row.
type ediPlan struct {
	wants  []ediWant
	leaves []ediLeaf // scalars and lists of single segments, by want
	groups []uint32  // tags that begin a group
	asked  []uint32  // tags that anything here or below asks for
	unb    []ediLeaf // of what stands around the message
	deep   bool      // of a row
}

type ediWant struct {
	name   string
	paths  []ediPath
	rows   *ediPlan // of a list or an object
	object bool
	number bool
	group  bool // its rows hold more than one segment
}

// An ediLeaf is a place whose value goes into a cell.
type ediLeaf struct {
	ediPath
	want, rank int // rank: by order of the want's places
}

// ediScope is what a plan is made for.
type ediScope int

const (
	ediMessage ediScope = iota
	ediRow
	ediEnvelope
)

// compileEDI turns wants into a plan. tags are the only segments there are, nil: any.
func compileEDI(wants []Want, prefix string, scope ediScope, tags []string) (*ediPlan, []Problem) {
	p := &ediPlan{deep: scope == ediRow}
	var ps []Problem
	for _, w := range wants {
		at := prefix + w.Name
		x := ediWant{name: w.Name, object: w.Object, number: w.Number}
		nested := w.List || w.Object
		switch {
		case w.Column != "":
			ps = append(ps, Problem{at + ".column", "edifact has no columns: write from"})
		case nested && len(w.Fields) == 0:
			ps = append(ps, Problem{at, "a list or object needs fields, which say what to take from its segments"})
		case nested && scope == ediEnvelope:
			ps = append(ps, Problem{at, "there are no lists or objects around messages"})
		}
		for rank, from := range w.From {
			path, err := parseEDIPath(from, nested)
			if err == nil {
				err = p.place(&path, from, scope, tags)
			}
			if err != nil {
				ps = append(ps, Problem{at + ".from", err.Error()})
				continue
			}
			x.paths = append(x.paths, path)
			p.ask(path.tag)
			if leaf := (ediLeaf{path, len(p.wants), rank}); !nested && (path.tag == tagUNB || path.tag == tagUNG) && scope == ediMessage {
				p.unb = append(p.unb, leaf)
			} else if !nested {
				p.leaves = append(p.leaves, leaf)
			}
		}
		if len(w.Fields) > 0 {
			var inner []Problem
			x.rows, inner = compileEDI(w.Fields, at+".fields.", ediRow, nil)
			ps = append(ps, inner...)
			p.nest(&x)
		}
		p.wants = append(p.wants, x)
	}
	return p, ps
}

// place judges whether there can be such a segment where the plan looks.
func (p *ediPlan) place(path *ediPath, from string, scope ediScope, tags []string) error {
	name := from[:3]
	switch {
	case tags != nil && !slices.Contains(tags, name):
		return fmt.Errorf("%q stands elsewhere: here there is %s only", from, strings.Join(tags, " and "))
	case tags == nil && (path.tag == tagUNZ || path.tag == tagUNE):
		return fmt.Errorf("%q stands behind the messages: take it as a field of the trailer", from)
	case scope == ediRow && (path.tag == tagUNB || path.tag == tagUNG || path.tag == tagUNH || path.tag == tagUNT):
		return fmt.Errorf("%q stands in no row: take it as a field of the record", from)
	}
	return nil
}

func (p *ediPlan) ask(tag uint32) {
	if !slices.Contains(p.asked, tag) {
		p.asked = append(p.asked, tag)
	}
}

// nest takes in a list or an object.
func (p *ediPlan) nest(x *ediWant) {
	for _, tag := range x.rows.asked {
		p.ask(tag)
		x.group = x.group || !slices.ContainsFunc(x.paths, func(path ediPath) bool { return path.tag == tag })
	}
	if !x.group {
		return
	}
	for _, path := range x.paths {
		if !slices.Contains(p.groups, path.tag) {
			p.groups = append(p.groups, path.tag)
		}
	}
}
