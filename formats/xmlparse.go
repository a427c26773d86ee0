package formats

import (
	"bytes"
	"fmt"
)

// An xmlParser reads XML that stands in memory, strictly, and takes what is wanted out of it on the way. When the bytes end before
// what it reads does it says so (short) and is asked again with more. Its functions take the place to read at and return the place
// behind, or -1 with fail or short set.
type xmlParser struct {
	buf    []byte
	final  bool // no more bytes will come
	limits Limits
	plan   *xmlPlan

	short bool
	fail  failure
	colon int  // in the name that was passed last
	empty bool // the tag that was passed last is both start and end

	open   []xmlOpen // the elements that are open, the innermost last
	names  []byte    // their names
	spaces []xmlSpace
	uris   []byte // what spaces point into
	attrs  []xmlAttr
	sorted []xmlAttr
	takers []int // those of open that want their text

	top     *xmlState // what is wanted of the document
	tree    *xmlTree  // what is kept goes there
	copies  bool      // the buffer will not stay: keep copies
	keys    *xsdKeys  // a validator keeps the paths of elements, and their keys; nil: it does not
	pending int       // bytes of all that it may hold for elements that are open
	arena   arena[byte]
	maker   xmlTreeMaker
}

// An xmlOpen is an element whose end has not been seen.
type xmlOpen struct {
	name   int // where its name starts in names
	local  int // and its local part
	spaces int // how many namespaces were in scope before it
	uris   int
	space  int32 // of its name, as the plan numbers them
	state  *xmlState
	spot   int32  // where what is wanted of it goes
	ways   uint32 // of the kinds of records those whose paths lead to it, a bit each
	said   int    // bytes of text in it, where a validator keeps keys
	held   int    // bytes of what is in it that a validator may hold until it ends
	most   []int  // and in which place of a field; none while nothing is held

	text   []byte // what was seen of its text: one piece, or in buf
	pieces int
	buf    []byte
}

// An xmlSpace is a namespace that a prefix stands for.
type xmlSpace struct {
	prefix []byte
	uri    []byte
	id     int32 // of the plan, or anyName
}

// An xmlAttr is an attribute of the tag that was passed last.
type xmlAttr struct {
	at     int
	name   []byte
	local  []byte
	prefix []byte
	value  []byte // as written
	odd    bool   // the value is not what it stands for
	space  int    // its namespace, as an index; -1: none
}

const (
	xmlSpace1 = "http://www.w3.org/XML/1998/namespace"
	xmlnsURI  = "http://www.w3.org/2000/xmlns/"
	xsiURI    = "http://www.w3.org/2001/XMLSchema-instance"
)

func newXMLParser(l Limits, plan *xmlPlan) *xmlParser { return &xmlParser{limits: l, plan: plan} }

// begin makes ready for a document.
func (p *xmlParser) begin() {
	p.top, p.copies, p.pending = p.plan.root, true, 0
	p.open, p.names, p.spaces, p.uris, p.takers = p.open[:0], p.names[:0], p.spaces[:0], p.uris[:0], p.takers[:0]
	p.spaces = append(p.spaces, xmlSpace{[]byte("xml"), []byte(xmlSpace1), p.spaceID([]byte(xmlSpace1))})
}

func (p *xmlParser) reset(buf []byte, final bool) {
	p.buf, p.final, p.short, p.empty = buf, final, false, false
	p.fail = failure{}
}

func (p *xmlParser) spaceID(uri []byte) int32 {
	for i, s := range p.plan.spaces {
		if s == string(uri) {
			return int32(i)
		}
	}
	return anyName
}

func (p *xmlParser) nameOf(open int) []byte {
	end := len(p.names)
	if open+1 < len(p.open) {
		end = p.open[open+1].name
	}
	return p.names[p.open[open].name:end]
}

// step passes what is next: a tag, a text, a comment, an instruction.
func (p *xmlParser) step(i int) int {
	switch {
	case p.buf[i] != '<':
		return p.said(i, p.text(i))
	case i+1 == len(p.buf):
		return p.endText(i)
	}
	switch p.buf[i+1] {
	case '/':
		return p.close(i)
	case '!':
		return p.markup(i)
	case '?':
		return p.instruction(i)
	}
	if i = p.start(i); i >= 0 && p.empty {
		p.pop()
	}
	return i
}

// start passes a start tag.
func (p *xmlParser) start(i int) int {
	at := i
	from := i + 1
	if i = p.name(from, "an element"); i < 0 {
		return -1
	}
	name, colon := p.buf[from:i], p.colon
	p.attrs, p.empty = p.attrs[:0], false
	if i < len(p.buf) && p.buf[i] == '>' {
		i++
	} else if i = p.attributes(i, at); i < 0 {
		return -1
	}
	if len(p.open) >= p.limits.MaxDepth {
		p.fail = failure{at, "max_depth", fmt.Sprintf("elements are nested deeper than %d (max_depth)", p.limits.MaxDepth)}
		return -1
	}
	if !p.push(at, name, colon) {
		return -1
	}
	return i
}

// push opens an element.
func (p *xmlParser) push(at int, name []byte, colon int) bool {
	n := len(p.open)
	if n < cap(p.open) {
		p.open = p.open[:n+1]
	} else {
		p.open = append(p.open, xmlOpen{})
	}
	o := &p.open[n]
	o.name, o.spaces, o.uris = len(p.names), len(p.spaces), len(p.uris)
	o.local, o.space, o.state, o.spot, o.ways = colon+1, anyName, nil, -1, 0
	o.text, o.pieces, o.said, o.held, o.most = nil, 0, 0, 0, o.most[:0]
	p.names = append(p.names, name...)
	if len(p.names) > int(p.limits.MaxRecord) {
		p.fail = failure{at, "max_record", "the names of the elements that are open take more than max_record, " + p.limits.MaxRecord.String()}
		return false
	}
	if len(p.attrs) > 0 && !p.scope() || p.keys != nil && !(p.pathed(at) && p.keyed(at, o)) {
		return false
	}
	prefix := name[:max(0, colon)]
	if colon > 0 || len(p.plan.spaces) > 0 {
		s := p.lookup(prefix)
		if s < 0 && colon > 0 {
			p.failAt(at, "the prefix %q of <%s> stands for no namespace: its xmlns:%s is missing", cut(prefix), cut(name), cut(prefix))
			return false
		}
		if s >= 0 {
			o.space = p.spaces[s].id
		}
	}
	above, parent := p.top, int32(0)
	if n > 0 {
		above, parent = p.open[n-1].state, p.open[n-1].spot
	}
	if above == nil {
		return true
	}
	return p.want(at, o, name[colon+1:], above, parent)
}

// want finds out what is wanted of an element that has just been opened.
func (p *xmlParser) want(at int, o *xmlOpen, local []byte, above *xmlState, parent int32) bool {
	state, id := above.child(local)
	if state == nil {
		return true
	}
	o.state = state
	o.spot = p.tree.add(parent, id, o.space)
	return p.keep(at, o)
}

// keep takes what is wanted of the tag of an element.
func (p *xmlParser) keep(at int, o *xmlOpen) bool {
	if o.state.text {
		p.takers = append(p.takers, len(p.open)-1)
	}
	for i := range p.attrs {
		a := &p.attrs[i]
		if len(a.prefix) > 0 && string(a.local) == "nil" && a.space >= 0 && string(p.spaces[a.space].uri) == xsiURI {
			v := bytes.TrimSpace(a.value)
			p.tree.spots[o.spot].null = string(v) == "true" || string(v) == "1"
		}
		for _, w := range o.state.attrs {
			if w.name != string(a.local) || string(a.prefix) == "xmlns" {
				continue
			}
			space := int32(anyName)
			if a.space >= 0 {
				space = p.spaces[a.space].id
			}
			p.tree.attrs = append(p.tree.attrs, xmlTaken{w.id, space, p.lasting(p.valueOf(a))})
			p.tree.spots[o.spot].attrs++
		}
	}
	if p.tree.size() > p.limits.MaxCells {
		p.fail = failure{at, "max_cells", fmt.Sprintf("one record gives more than %d elements and attributes that fields ask for (max_cells)", p.limits.MaxCells)}
		return false
	}
	return true
}

// valueOf is what the value of an attribute stands for.
func (p *xmlParser) valueOf(a *xmlAttr) []byte {
	if a.odd {
		return p.plainText(a.value, true)
	}
	return a.value
}

func (p *xmlParser) lasting(b []byte) []byte {
	if p.copies {
		p.tree.bytes += len(b)
		return bytes.Clone(b)
	}
	return b
}

// close passes an end tag.
func (p *xmlParser) close(i int) int {
	n := len(p.open) - 1
	if n < 0 {
		return p.failAt(i, "an end tag outside the root element")
	}
	name := p.nameOf(n)
	rest := p.buf[i+2:]
	if len(rest) > len(name) && rest[len(name)] == '>' && string(rest[:len(name)]) == string(name) { // nearly always
		p.pop()
		return i + 2 + len(name) + 1
	}
	end := p.name(i+2, "an element")
	if end < 0 {
		return -1
	}
	if got := p.buf[i+2 : end]; !bytes.Equal(got, name) {
		return p.failAt(i, "the end tag </%s> stands where <%s> should end", cut(got), cut(name))
	}
	if end = p.space(end); end == len(p.buf) {
		return p.endText(i)
	}
	if p.buf[end] != '>' {
		return p.failAt(end, "unexpected %s in an end tag", shown(p.buf[end:]))
	}
	p.pop()
	return end + 1
}

// pop ends the innermost element.
func (p *xmlParser) pop() {
	n := len(p.open) - 1
	o := &p.open[n]
	if p.keys != nil {
		p.unkeyed(n)
	}
	if o.state != nil && o.state.text {
		p.takers = p.takers[:len(p.takers)-1]
		text := o.text
		switch {
		case p.copies:
			text = p.lasting(o.buf[:len(text)])
		case o.pieces > 1:
			text = p.arena.take(len(o.buf))
			copy(text, o.buf)
		}
		p.tree.spots[o.spot].text = text
	}
	p.names = p.names[:o.name]
	p.spaces, p.uris = p.spaces[:o.spaces], p.uris[:o.uris]
	p.open = p.open[:n]
}

// take adds a piece of text that stands at i to all open elements that want theirs.
func (p *xmlParser) take(i int, piece []byte) bool {
	for _, t := range p.takers {
		o := &p.open[t]
		o.pieces++
		if o.pieces == 1 && !p.copies {
			o.text = piece
			continue
		}
		switch {
		case o.pieces == 1:
			o.buf = o.buf[:0]
		case o.pieces == 2 && !p.copies:
			o.buf = append(o.buf[:0], o.text...)
		}
		o.buf = append(o.buf, piece...)
		o.text = o.buf
		if len(o.buf) > int(p.limits.MaxField) {
			p.over(i, "the text of <"+cut(p.nameOf(t))+">")
			return false
		}
	}
	return true
}
