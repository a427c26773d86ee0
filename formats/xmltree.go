package formats

import (
	"bytes"

	"waybill/formats/jsonvalue"
)

// A record of which no fields are declared becomes JSON: an element with attributes or children is an object, with "@name" for its
// attributes, its children by their names without prefix, lists where one stands several times, and "#text" for text beside
// them; any other element is its text.

// treeOf makes JSON of a record that has been read: nothing can be wrong with it any more.
func (p *xmlParser) treeOf(value []byte) []byte {
	t := &p.maker
	t.p, t.buf, t.i = p, value, 0
	t.out, t.text, t.members, t.spans = t.out[:0], t.text[:0], t.members[:0], t.spans[:0]
	t.element()
	tree := bytes.Clone(t.out)
	if t.buf = nil; cap(t.out)+cap(t.text) > mostTreeKept {
		*t = xmlTreeMaker{}
	}
	return tree
}

// mostTreeKept is how much room is kept from one record to the next.
const mostTreeKept = 1 << 20

// An xmlTreeMaker makes JSON of elements. What it gathers for those that are open lies on stacks, which are kept from one record to the next.
type xmlTreeMaker struct {
	p   *xmlParser
	buf []byte
	i   int

	out     []byte // JSON of the members of open elements, in the order in which they came; of one that has ended, its own instead
	text    []byte
	members []xmlMember
	spans   []xmlSpan
	key     []byte
}

// A member is what stands under one name in an element.
type xmlMember struct {
	mark        byte // of its name: @ of attributes, # of text, 0 of elements
	name        []byte
	first, last int // of its values, among the spans
}

// An xmlSpan is one value of a member.
type xmlSpan struct {
	from, to int // of out
	next     int // of the same member, 0: none
}

// An xmlFrame is where what belongs to one element begins.
type xmlFrame struct {
	out, text, members, spans int
	at                        map[string]int // of its members, where they are many
}

// fewXMLMembers are found fastest by looking at each.
const fewXMLMembers = 16

// add notes that what was written from from on is a value of a member.
func (t *xmlTreeMaker) add(f *xmlFrame, mark byte, name []byte, from int) {
	t.spans = append(t.spans, xmlSpan{from: from, to: len(t.out)})
	span := len(t.spans) - 1
	i := t.find(f, mark, name)
	if i < 0 {
		t.members = append(t.members, xmlMember{mark, name, span, span})
		if n := len(t.members) - f.members; n > fewXMLMembers {
			if f.at == nil {
				f.at = make(map[string]int, 2*n)
				for j, m := range t.members[f.members:] {
					f.at[string(m.mark)+string(m.name)] = f.members + j
				}
			}
			f.at[string(mark)+string(name)] = len(t.members) - 1
		}
		return
	}
	m := &t.members[i]
	t.spans[m.last].next, m.last = span, span
}

// find returns the member of a name, -1 when there is none yet.
func (t *xmlTreeMaker) find(f *xmlFrame, mark byte, name []byte) int {
	if f.at != nil {
		if i, there := f.at[string(mark)+string(name)]; there {
			return i
		}
		return -1
	}
	for i := f.members; i < len(t.members); i++ {
		if m := &t.members[i]; m.mark == mark && string(m.name) == string(name) {
			return i
		}
	}
	return -1
}

// json puts the object of an element behind its members.
func (t *xmlTreeMaker) json(f *xmlFrame) {
	t.out = append(t.out, '{')
	for i := f.members; i < len(t.members); i++ {
		m := &t.members[i]
		if i > f.members {
			t.out = append(t.out, ',')
		}
		if t.key = t.key[:0]; m.mark != 0 {
			t.key = append(t.key, m.mark)
		}
		t.key = append(t.key, m.name...)
		t.out = append(jsonvalue.AppendString(t.out, t.key), ':')
		if m.first == m.last {
			t.out = append(t.out, t.out[t.spans[m.first].from:t.spans[m.first].to]...)
			continue
		}
		t.out = append(t.out, '[')
		for s := m.first; ; s = t.spans[s].next {
			t.out = append(t.out, t.out[t.spans[s].from:t.spans[s].to]...)
			if s == m.last {
				break
			}
			t.out = append(t.out, ',')
		}
		t.out = append(t.out, ']')
	}
	t.out = append(t.out, '}')
}

// element reads the element at i and writes its JSON.
func (t *xmlTreeMaker) element() {
	f := xmlFrame{out: len(t.out), text: len(t.text), members: len(t.members), spans: len(t.spans)}
	t.i++
	t.name()
	for {
		t.i = t.space()
		switch t.buf[t.i] {
		case '/':
			t.i += 2
			t.whole(&f)
			return
		case '>':
			t.i++
			t.content(&f)
			t.whole(&f)
			return
		}
		name, prefixed := t.name()
		t.i = t.space() + 1
		t.i = t.space()
		quote := t.buf[t.i]
		n := bytes.IndexByte(t.buf[t.i+1:], quote)
		raw := t.buf[t.i+1 : t.i+1+n]
		t.i += n + 2
		if string(name) != "xmlns" && string(prefixed) != "xmlns" {
			from := len(t.out)
			t.out = jsonvalue.AppendString(t.out, t.p.plainText(raw, true))
			t.add(&f, '@', name, from)
		}
	}
}

// whole writes the JSON of an element in the place of that of its members.
func (t *xmlTreeMaker) whole(f *xmlFrame) {
	text, behind := t.text[f.text:], len(t.out)
	if len(t.members) == f.members {
		t.out = jsonvalue.AppendString(t.out, text)
	} else {
		if text = bytes.TrimSpace(text); len(text) > 0 {
			t.out = jsonvalue.AppendString(t.out, text)
			t.add(f, '#', []byte("text"), behind)
			behind = len(t.out)
		}
		t.json(f)
	}
	n := copy(t.out[f.out:], t.out[behind:])
	t.out, t.text, t.members, t.spans = t.out[:f.out+n], t.text[:f.text], t.members[:f.members], t.spans[:f.spans]
}

func (t *xmlTreeMaker) space() int {
	i := t.i
	for xmlClass[t.buf[i]]&xmlSpaces != 0 {
		i++
	}
	return i
}

// name reads a name and returns its local part and its prefix.
func (t *xmlTreeMaker) name() (local, prefix []byte) {
	from := t.i
	for {
		c := t.buf[t.i]
		if xmlClass[c]&(nameMore|nameWide) == 0 {
			break
		}
		t.i++
	}
	name := t.buf[from:t.i]
	if before, after, found := bytes.Cut(name, []byte{':'}); found {
		return after, before
	}
	return name, nil
}

// content reads what stands between the tags of an element, and the end tag.
func (t *xmlTreeMaker) content(f *xmlFrame) {
	for {
		n := bytes.IndexByte(t.buf[t.i:], '<')
		t.text = append(t.text, t.p.plainText(t.buf[t.i:t.i+n], false)...)
		t.i += n
		rest := t.buf[t.i:]
		switch {
		case rest[1] == '/':
			t.i += bytes.IndexByte(rest, '>') + 1
			return
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			end := bytes.Index(rest, []byte("]]>"))
			t.text = append(t.text, t.p.lineEnds(rest[len("<![CDATA["):end])...)
			t.i += end + 3
		case rest[1] == '!':
			t.i += 4 + bytes.Index(rest[4:], []byte("-->")) + 3
		case rest[1] == '?':
			t.i += bytes.Index(rest, []byte("?>")) + 2
		default:
			from := t.i
			t.i++
			name, _ := t.name()
			t.i = from
			out := len(t.out)
			t.element()
			t.add(f, 0, name, out)
		}
	}
}
