package formats

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// A Message lays out one JSON value, a body tree with its values filled in, as the body of a message. It is safe for concurrent use. A message made of
// columns is no such thing, but what an Encoder writes of one record: see Tabular.
type Message interface {
	Append(dst, json []byte) ([]byte, error) // an error that lies with the value is a *ValueError
	MediaType() string
}

// A Namer is a Message or an Encoder in which not every member may stand: it is asked while the configuration is loaded.
type Namer interface{ Name(member string) error }

// A messageFormat is one way to lay out a message that is no JSON.
type messageFormat struct {
	name  string
	keys  []string // of Writing
	check func(Writing) []Problem
	make  func(Writing) Message
	tree  Shape
}

// A Shape says what a body may be made of.
type Shape uint8

// Shapes of bodies.
const (
	AnyTree     Shape = iota // objects, lists and values, however deep
	ElementTree              // the same, but for lists that hold lists or are the whole
	FlatTree                 // one object of values, and of lists of values
	OneValue                 // a value alone
)

func messages() []messageFormat {
	return []messageFormat{
		{"json", nil, checkJSONWriting, nil, AnyTree},
		{"xml", []string{"encoding", "root", "namespaces"}, checkXMLMessage, newXMLMessage, ElementTree},
		{"form", nil, checkJSONWriting, func(Writing) Message { return formMessage{&sync.Pool{New: newMessageParser}} }, FlatTree},
		{"text", []string{"encoding", "unmappable"}, checkJSONWriting, newTextMessage, OneValue},
		{"protobuf", []string{"schema", "message"}, checkPBWriting, newPBMessage, AnyTree},
	}
}

func findMessage(name string) (*messageFormat, []Problem) {
	var names []string
	for _, m := range messages() {
		if m.name == name {
			return &m, nil
		}
		names = append(names, m.name)
	}
	names = append(names, tabular()...)
	if slices.Contains(written(), name) {
		return nil, []Problem{{"as", fmt.Sprintf("%s goes with each: file or window; a message of one record is one of %s", name, strings.Join(names, ", "))}}
	}
	return nil, []Problem{{"as", fmt.Sprintf("unknown layout %q%s: of a message there are %s", name, meant(name, names), strings.Join(names, ", "))}}
}

// NewMessage makes what lays out messages; it is nil for JSON, which bodies are already.
func NewMessage(w Writing) (Message, Shape, []Problem) {
	m, ps := findMessage(w.Format)
	if m == nil {
		return nil, AnyTree, ps
	}
	if ps = w.allowed(m.name, m.keys); len(ps) == 0 {
		ps = m.check(w)
	}
	if len(ps) > 0 || m.make == nil {
		return nil, m.tree, ps
	}
	return m.make(w), m.tree, nil
}

func newMessageParser() any {
	return newJSONParser(Limits{MaxField: 1 << 30, MaxDepth: 1000}.WithDefaults())
}

// judged sees that text is one JSON value.
func (p *jsonParser) judged(text []byte) error {
	p.reset(text, true)
	end := p.value(0, nil, nil, 1)
	if end >= 0 {
		if end = p.space(end); end < len(text) {
			end = p.failAt(end, "text after the end of the value")
		}
	}
	if end < 0 {
		return &ValueError{Value: cut(text), Reason: fmt.Sprintf("%q is not JSON: at %d: %s", cut(text), p.fail.at, p.fail.reason)}
	}
	return nil
}

// A jsonTour goes through good JSON.
type jsonTour struct {
	p  *jsonParser
	in []byte
	i  int
}

// next passes white space, commas and colons and returns what a value, or an end, begins with.
func (k *jsonTour) next() byte {
	for isSpace(k.in[k.i]) || k.in[k.i] == ',' || k.in[k.i] == ':' {
		k.i++
	}
	return k.in[k.i]
}

// str passes a string and returns what stands between its quotes.
func (k *jsonTour) str() []byte {
	from := k.i + 1
	for i := from; ; {
		n := bytes.IndexByte(k.in[i:], '"')
		slashes := 0
		for i+n-slashes > from && k.in[i+n-slashes-1] == '\\' {
			slashes++
		}
		i += n + 1
		if slashes%2 == 0 {
			k.i = i
			return k.in[from : i-1]
		}
	}
}

// scalar passes a number or a word, or a string, and returns its text.
func (k *jsonTour) scalar() []byte {
	if k.in[k.i] == '"' {
		raw := k.str()
		return k.p.unescape(raw, bytes.IndexByte(raw, '\\') >= 0)
	}
	from := k.i
	for k.i < len(k.in) && !isSpace(k.in[k.i]) && k.in[k.i] != ',' && k.in[k.i] != ']' && k.in[k.i] != '}' {
		k.i++
	}
	return k.in[from:k.i]
}

// skip passes a value.
func (k *jsonTour) skip() {
	for depth := 0; ; {
		switch k.next() {
		case '{', '[':
			depth++
			k.i++
		case '}', ']':
			depth--
			k.i++
		case '"':
			k.str()
		default:
			k.scalar()
		}
		if depth == 0 {
			return
		}
	}
}

// formMessage writes a form, as browsers post it.
type formMessage struct{ parsers *sync.Pool }

func (formMessage) MediaType() string { return "application/x-www-form-urlencoded" }

func (f formMessage) Append(dst, json []byte) ([]byte, error) {
	p := f.parsers.Get().(*jsonParser)
	defer f.parsers.Put(p)
	if err := p.judged(json); err != nil {
		return dst, err
	}
	k := &jsonTour{p: p, in: json}
	if k.next() != '{' {
		return dst, &ValueError{Value: cut(json), Reason: "a form is made of named values"}
	}
	from := len(dst)
	put := func(name string) error {
		switch k.next() {
		case '{', '[':
			return &ValueError{Field: name, Reason: "a form has no place for lists and objects inside others"}
		case 'n':
			k.skip()
			return nil
		}
		if len(dst) > from {
			dst = append(dst, '&')
		}
		dst = append(append(append(dst, url.QueryEscape(name)...), '='), url.QueryEscape(string(k.scalar()))...)
		return nil
	}
	for k.i++; k.next() != '}'; {
		name := string(k.scalar())
		if k.next() != '[' {
			if err := put(name); err != nil {
				return dst, err
			}
			continue
		}
		for k.i++; k.next() != ']'; {
			if err := put(name); err != nil {
				return dst, err
			}
		}
		k.i++
	}
	return dst, nil
}

// textMessage writes a value as it is.
type textMessage struct {
	parsers *sync.Pool
	charset string
	replace bool
}

func newTextMessage(w Writing) Message {
	return textMessage{&sync.Pool{New: newMessageParser}, cmp.Or(w.Encoding, UTF8), w.Unmappable == replace}
}

func (t textMessage) MediaType() string { return "text/plain; charset=" + t.charset }

func (t textMessage) Append(dst, json []byte) ([]byte, error) {
	p := t.parsers.Get().(*jsonParser)
	defer t.parsers.Put(p)
	if err := p.judged(json); err != nil {
		return dst, err
	}
	k := &jsonTour{p: p, in: json}
	switch k.next() {
	case '{', '[':
		return dst, &ValueError{Value: cut(json), Reason: "a list or an object has no text"}
	case 'n':
		return dst, nil
	}
	check := newTextChecker(t.charset, t.replace)
	text, err := check.text(k.scalar())
	if err != nil || check.recode == nil {
		return append(dst, text...), err
	}
	return append(dst, check.recode.recode(text)...), nil
}
