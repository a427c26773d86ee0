package formats

import "bytes"

// A record of which no fields are declared becomes JSON: an element with attributes or children is an object, with "@name" for its
// attributes, its children by their names without prefix, lists where one stands several times, and "#text" for text beside
// them; any other element is its text.

// treeOf makes JSON of a record that has been read: nothing can be wrong with it any more.
func (p *xmlParser) treeOf(value []byte) []byte {
	t := &xmlTreeMaker{p: p, buf: value}
	return t.element()
}

type xmlTreeMaker struct {
	p   *xmlParser
	buf []byte
	i   int
}

// A member is what stands under one name in an element.
type xmlMember struct {
	name   string
	values [][]byte // JSON
}

// members are those of one element, in the order in which they came first.
type xmlMembers struct {
	list []xmlMember
	at   map[string]int
}

func (m *xmlMembers) add(name string, value []byte) {
	if m.at == nil {
		m.at = map[string]int{}
	}
	i, there := m.at[name]
	if !there {
		i = len(m.list)
		m.at[name] = i
		m.list = append(m.list, xmlMember{name: name})
	}
	m.list[i].values = append(m.list[i].values, value)
}

func (m *xmlMembers) json() []byte {
	out := []byte{'{'}
	for i, e := range m.list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(AppendJSONString(out, []byte(e.name)), ':')
		if len(e.values) == 1 {
			out = append(out, e.values[0]...)
			continue
		}
		out = append(out, '[')
		out = append(append(out, bytes.Join(e.values, []byte{','})...), ']')
	}
	return append(out, '}')
}

// element reads the element at i.
func (t *xmlTreeMaker) element() []byte {
	var m xmlMembers
	t.i++
	t.name()
	for {
		t.i = t.space()
		switch t.buf[t.i] {
		case '/':
			t.i += 2
			return t.whole(&m, nil)
		case '>':
			t.i++
			return t.whole(&m, t.content(&m))
		}
		name, prefixed := t.name()
		t.i = t.space() + 1
		t.i = t.space()
		quote := t.buf[t.i]
		n := bytes.IndexByte(t.buf[t.i+1:], quote)
		raw := t.buf[t.i+1 : t.i+1+n]
		t.i += n + 2
		if name != "xmlns" && prefixed != "xmlns" {
			m.add("@"+name, AppendJSONString(nil, t.p.plainText(raw, true)))
		}
	}
}

// whole is the JSON of an element.
func (t *xmlTreeMaker) whole(m *xmlMembers, text []byte) []byte {
	if len(m.list) == 0 {
		return AppendJSONString(nil, text)
	}
	if text = bytes.TrimSpace(text); len(text) > 0 {
		m.add("#text", AppendJSONString(nil, text))
	}
	return m.json()
}

func (t *xmlTreeMaker) space() int {
	i := t.i
	for xmlClass[t.buf[i]]&xmlSpaces != 0 {
		i++
	}
	return i
}

// name reads a name and returns its local part and its prefix.
func (t *xmlTreeMaker) name() (local, prefix string) {
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
		return string(after), string(before)
	}
	return string(name), ""
}

// content reads what stands between the tags of an element, and the end tag; it returns the text of it.
func (t *xmlTreeMaker) content(m *xmlMembers) (text []byte) {
	for {
		n := bytes.IndexByte(t.buf[t.i:], '<')
		text = append(text, t.p.plainText(t.buf[t.i:t.i+n], false)...)
		t.i += n
		rest := t.buf[t.i:]
		switch {
		case rest[1] == '/':
			t.i += bytes.IndexByte(rest, '>') + 1
			return text
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			end := bytes.Index(rest, []byte("]]>"))
			text = append(text, t.p.lineEnds(rest[len("<![CDATA["):end])...)
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
			m.add(name, t.element())
		}
	}
}
