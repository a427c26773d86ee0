package formats

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// An xmlBuilder makes elements of JSON values.
type xmlBuilder struct {
	w     *xmlWriting
	tour  jsonTour
	out   []byte
	path  [][]byte        // names of the elements that are open, for errors
	names map[string]bool // that have been found good, of elements and, with @, of attributes
	attrs bool            // the value has some somewhere
}

const (
	mostXMLNames = 1000 // that are remembered
	mostXMLAttrs = 2000 // of one element
)

func newXMLBuilder(w *xmlWriting) *xmlBuilder {
	return &xmlBuilder{w: w, tour: jsonTour{p: newMessageParser().(*jsonParser)}, names: map[string]bool{}}
}

// element appends the element that a JSON value becomes. spaces are its declarations of namespaces.
func (m *xmlBuilder) element(dst, json []byte, name string, spaces []byte) ([]byte, error) {
	if err := m.tour.p.judged(json); err != nil {
		return dst, err
	}
	if !utf8.Valid(json) {
		return dst, &ValueError{Value: cut(json), Reason: "the text is not valid UTF-8"}
	}
	m.out, m.path = dst, m.path[:0]
	m.tour.in, m.tour.i = json, 0
	m.attrs = bytes.Contains(json, []byte(`"@`))
	var err error
	if m.tour.next() == '[' {
		err = m.fail(json, "a list cannot be an XML document, nor a record in one: name its elements inside an object")
	} else {
		err = m.value([]byte(name), spaces)
	}
	out := m.out
	m.out, m.tour.in = nil, nil
	return out, err
}

func (m *xmlBuilder) fail(value []byte, format string, args ...any) error {
	return &ValueError{Field: string(bytes.Join(m.path, []byte{'.'})), Value: cut(value), Reason: fmt.Sprintf(format, args...)}
}

// value writes the value at hand as one element, or several.
func (m *xmlBuilder) value(name, spaces []byte) error {
	k := &m.tour
	switch k.next() {
	case '[':
		return m.list(name)
	case '{':
		return m.object(name, spaces)
	case 'n':
		k.skip()
		if m.w.nilName == "" && len(m.path) > 0 {
			return nil
		}
		m.open(name, spaces)
		if m.w.nilName != "" {
			m.out = append(append(append(m.out, ' '), m.w.nilName...), `="true"`...)
		}
		m.out = append(m.out, "/>"...)
		return nil
	}
	m.open(name, spaces)
	m.out = append(m.out, '>')
	from := len(m.out)
	if err := m.text(k.scalar(), false); err != nil {
		return err
	}
	m.close(name, from)
	return nil
}

func (m *xmlBuilder) open(name, spaces []byte) {
	m.out = append(append(append(m.out, '<'), name...), spaces...)
}

// close ends an element whose content begins at from.
func (m *xmlBuilder) close(name []byte, from int) {
	if len(m.out) == from {
		m.out = append(m.out[:from-1], "/>"...)
		return
	}
	m.out = append(append(append(m.out, "</"...), name...), '>')
}

// list writes an element for each value of a list.
func (m *xmlBuilder) list(name []byte) error {
	k := &m.tour
	for k.i++; k.next() != ']'; {
		if k.in[k.i] == '[' {
			return m.fail(nil, "a list in a list has no place in XML: name its elements inside an object")
		}
		if err := m.value(name, nil); err != nil {
			return err
		}
	}
	k.i++
	return nil
}

// object writes an element with what is in it.
func (m *xmlBuilder) object(name, spaces []byte) error {
	k := &m.tour
	m.open(name, spaces)
	from := k.i + 1
	if m.attrs {
		if err := m.attributes(from); err != nil {
			return err
		}
	}
	m.out = append(m.out, '>')
	content := len(m.out)
	for k.i = from; k.next() != '}'; {
		key := k.scalar()
		m.path = append(m.path, key)
		var err error
		switch {
		case len(key) > 0 && key[0] == '@':
			k.skip()
		case string(key) == "#text":
			if c := k.next(); c == '{' || c == '[' {
				err = m.fail(nil, "text is one value, not a list or an object")
			} else if c == 'n' {
				k.skip()
			} else {
				err = m.text(k.scalar(), false)
			}
		default:
			if err = m.name(key); err == nil {
				err = m.value(key, nil)
			}
		}
		if err != nil {
			return err
		}
		m.path = m.path[:len(m.path)-1]
	}
	k.i++
	m.close(name, content)
	return nil
}

// attributes writes those of the object whose members begin at i, wherever among them they stand.
func (m *xmlBuilder) attributes(i int) error {
	k := &m.tour
	written := 0
	for k.i = i; k.next() != '}'; {
		key := k.scalar()
		if len(key) == 0 || key[0] != '@' {
			k.skip()
			continue
		}
		m.path = append(m.path, key)
		if err := m.name(key); err != nil {
			return err
		}
		switch c := k.next(); {
		case c == '{', c == '[':
			return m.fail(nil, "an attribute is one value, not a list or an object")
		case written == mostXMLAttrs:
			return m.fail(nil, "an element has more than %d attributes", mostXMLAttrs)
		case c == 'n':
			k.skip()
		default:
			written++
			m.out = append(append(append(m.out, ' '), key[1:]...), `="`...)
			if err := m.text(k.scalar(), true); err != nil {
				return err
			}
			m.out = append(m.out, '"')
		}
		m.path = m.path[:len(m.path)-1]
	}
	return nil
}

// name sees that a member, which is none of those that the configuration names, can be called what it is.
func (m *xmlBuilder) name(key []byte) error {
	if m.names[string(key)] {
		return nil
	}
	if err := m.w.Name(string(key)); err != nil {
		m.path = m.path[:len(m.path)-1]
		return m.fail(key, "%s", err)
	}
	if len(m.names) < mostXMLNames {
		m.names[string(key)] = true
	}
	return nil
}

func (m *xmlBuilder) text(text []byte, attr bool) error {
	if bad := badXMLText(text); bad >= 0 {
		return m.fail(text, "the character %U cannot stand in XML, not even by its number: take it out by an expression, or refuse it by pattern", bad)
	}
	m.out = escapeXML(m.out, text, attr)
	return nil
}

// badXMLText finds a character that XML 1.0 cannot hold, -1 for none.
func badXMLText(text []byte) rune {
	for i, c := range text {
		if xmlClass[c]&textPlain != 0 {
			continue
		}
		switch {
		case c < ' ' && c != '\r':
			return rune(c)
		case c == 0xEF && i+2 < len(text) && text[i+1] == 0xBF && text[i+2] >= 0xBE:
			return 0xFFC0 | rune(text[i+2]&0x3F)
		}
	}
	return -1
}

// escapeXML writes text so that every reader gets it as it is: line ends by their numbers where a reader would change them.
func escapeXML(dst, text []byte, attr bool) []byte {
	from := 0
	for i, c := range text {
		if xmlClass[c]&attrPlain != 0 && c != '>' {
			continue
		}
		by := ""
		switch c {
		case '<':
			by = "&lt;"
		case '>':
			by = "&gt;"
		case '&':
			by = "&amp;"
		case '\r':
			by = "&#13;"
		}
		if attr {
			switch c {
			case '"':
				by = "&quot;"
			case '\n':
				by = "&#10;"
			case '\t':
				by = "&#9;"
			}
		}
		if by != "" {
			dst = append(append(dst, text[from:i]...), by...)
			from = i + 1
		}
	}
	return append(dst, text[from:]...)
}
