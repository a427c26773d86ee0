package formats

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"waybill/formats/jsonvalue"
)

// XML is written of JSON values, so that a body is the same tree whatever it becomes:
//
//	an object      an element; its member "@name" is an attribute, "#text" text, any other an element inside, in their order
//	a list         an element for each, under the same name
//	null           an element with xsi:nil where that namespace is declared, else nothing
//	anything else  the text of an element
//
// It is what the reader makes of a record of which no fields are declared, the other way round.

// xmlWriting is how the elements of one message or file are called.
type xmlWriting struct {
	root, element string
	spaces        []byte          // the declarations of namespaces, as attributes
	prefixes      map[string]bool // that may stand before names
	nilName       string          // of the attribute for null; "": nothing is written for it
	charset       string          // "": UTF-8
	builders      *sync.Pool
}

func checkXMLMessage(w Writing) (ps []Problem) {
	if w.Root == "" {
		ps = append(ps, Problem{"root", "missing: an XML document needs the name of the element around all"})
	}
	return append(ps, checkXMLWriting(w)...)
}

func checkXMLFile(w Writing) (ps []Problem) {
	if w.Element == "" {
		ps = append(ps, Problem{"element", "missing: say what the element of each record is called"})
	}
	return append(checkXMLMessage(w), ps...)
}

func checkXMLWriting(w Writing) []Problem {
	if c, _ := findCharset(w.Encoding); c.ebcdic {
		return []Problem{{"encoding", c.name + " is of mainframes, in which XML is not written"}}
	}
	var ps []Problem
	seen := map[string]string{}
	for _, prefix := range slices.Sorted(maps.Keys(w.Namespaces)) {
		uri, path := w.Namespaces[prefix], strings.TrimSuffix("namespaces."+prefix, ".")
		switch {
		case prefix != "" && !wholeName(&xmlParse{rest: prefix}):
			ps = append(ps, Problem{path, fmt.Sprintf("%q is no prefix: it is a name, or empty for names without one", prefix)})
		case strings.EqualFold(prefix, "xml"), strings.EqualFold(prefix, "xmlns"), uri == xmlnsURI, uri == xmlSpace1:
			ps = append(ps, Problem{path, "belongs to XML itself, and is not declared: xml:lang can be written as it is"})
		case uri == "" || badXMLText([]byte(uri)) >= 0:
			ps = append(ps, Problem{path, "missing: a prefix stands for the address of a namespace"})
		case prefix != "" && seen[uri] != "":
			ps = append(ps, Problem{path, fmt.Sprintf("stands for the same namespace as %s: one is enough", seen[uri])})
		}
		if prefix != "" {
			seen[uri] = prefix
		}
	}
	if len(ps) > 0 {
		return ps
	}
	x := newXMLWriting(w)
	for _, n := range [][2]string{{"root", w.Root}, {"element", w.Element}} {
		if n[1] == "" {
			continue
		}
		if err := x.name([]byte(n[1]), false); err != nil {
			ps = append(ps, Problem{n[0], err.Error()})
		}
	}
	return ps
}

func newXMLWriting(w Writing) *xmlWriting {
	x := &xmlWriting{root: w.Root, element: w.Element, prefixes: map[string]bool{"xml": true}}
	if c, _ := findCharset(w.Encoding); w.Encoding != "" && !c.utf8() {
		x.charset = c.name
	}
	for _, prefix := range slices.Sorted(maps.Keys(w.Namespaces)) {
		uri := w.Namespaces[prefix]
		x.spaces = append(x.spaces, " xmlns"...)
		if prefix != "" {
			x.spaces = append(append(x.spaces, ':'), prefix...)
			x.prefixes[prefix] = true
		}
		x.spaces = append(escapeXML(append(x.spaces, `="`...), []byte(uri), true), '"')
		if uri == xsiURI && prefix != "" {
			x.nilName = prefix + ":nil"
		}
	}
	x.builders = &sync.Pool{New: func() any { return newXMLBuilder(x) }}
	return x
}

// Name tells what is wrong with the name of a member of a body.
func (x *xmlWriting) Name(member string) error {
	if member == "#text" {
		return nil
	}
	name, attr := strings.CutPrefix(member, "@")
	return x.name([]byte(name), attr)
}

// name sees that a name can be written.
func (x *xmlWriting) name(name []byte, attr bool) error {
	prefix, local, prefixed := strings.Cut(string(name), ":")
	if !prefixed {
		prefix, local = "", prefix
	}
	what := "an element"
	if attr {
		what = "an attribute"
	}
	switch {
	case attr && (prefix == "xmlns" || !prefixed && local == "xmlns"):
		return fmt.Errorf("%q declares a namespace: write it into namespaces", name)
	case !plainXMLName(local) || prefixed && !plainXMLName(prefix):
		return fmt.Errorf("%q cannot be the name of %s: it begins with a letter or _, and holds letters, digits, - _ . and at most one prefix with a colon", cut(name), what)
	case prefixed && !x.prefixes[prefix]:
		return fmt.Errorf("the prefix of %q is not declared: write it into namespaces", cut(name))
	}
	if x.charset != "" {
		if _, bad := newRecoder(x.charset, false).writable(name); bad != 0 {
			return fmt.Errorf("%q cannot be written in %s, which lacks %q", cut(name), x.charset, bad)
		}
	}
	return nil
}

// plainXMLName tells whether a text is a name without a prefix.
func plainXMLName(s string) bool {
	for i, r := range s {
		if r == ':' || r == utf8.RuneError || !nameRune(r, i == 0) {
			return false
		}
	}
	return s != "" && len(s) < 1000
}

// head appends what stands before the root element.
func (x *xmlWriting) head(dst []byte) []byte {
	name := cmp.Or(x.charset, UTF8)
	if strings.HasPrefix(name, "utf") {
		name = strings.ToUpper(name)
	}
	return append(append(append(dst, `<?xml version="1.0" encoding="`...), name...), "\"?>\n"...)
}

// recoder turns the text into the encoding of the document; nil: it is that already.
func (x *xmlWriting) recoder() *recoder {
	if x.charset == "" {
		return nil
	}
	r := newRecoder(x.charset, false)
	r.numbered = true
	return r
}

// xmlMessage writes a document for each value.
type xmlMessage struct{ *xmlWriting }

func newXMLMessage(w Writing) Message { return xmlMessage{newXMLWriting(w)} }

// MediaType names the encoding too, as what transports say of it counts for more than the declaration.
func (x xmlMessage) MediaType() string {
	return "application/xml; charset=" + strings.ToLower(cmp.Or(x.charset, UTF8))
}

func (x xmlMessage) Append(dst, json []byte) ([]byte, error) {
	m := x.builders.Get().(*xmlBuilder)
	defer x.builders.Put(m)
	from := len(dst)
	dst, err := m.element(x.head(dst), json, x.root, x.spaces)
	if err != nil {
		return dst[:from], err
	}
	if r := x.recoder(); r != nil {
		dst = append(dst[:from], r.recode(slices.Clone(dst[from:]))...)
	}
	return dst, nil
}

// xmlEncoder writes one document of many records.
type xmlEncoder struct{ *xmlWriting }

func newXMLEncoder(w Writing, columns []Column) (Encoder, []Problem) {
	if len(columns) > 0 {
		return nil, []Problem{{"columns", "do not go with xml: write body, or leave it out for the fields as they are"}}
	}
	return xmlEncoder{newXMLWriting(w)}, nil
}

// Encode writes the root element and in it one element a row. A Verbatim value is such an element already.
func (e xmlEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	out := rowWriter{w: w, recode: e.recoder()}
	m := e.builders.Get().(*xmlBuilder)
	defer e.builders.Put(m)
	out.buf = append(append(append(append(e.head(out.buf), '<'), e.root...), e.spaces...), ">\n"...)
	err := out.each(rows, 1, func(n int64, row []Value) error {
		if err := e.record(&out, m, row[0]); err != nil {
			return fmt.Errorf("write row %d: %w", n, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	out.buf = append(append(append(out.buf, "</"...), e.root...), ">\n"...)
	return out.flush(true)
}

// record writes the element of one record.
func (e xmlEncoder) record(out *rowWriter, m *xmlBuilder, v Value) (err error) {
	switch v.Kind {
	case Verbatim:
		out.buf = append(out.buf, v.Bytes...)
	case Text, Date:
		out.buf, err = m.element(out.buf, jsonvalue.AppendString(nil, v.Bytes), e.element, nil)
	default:
		out.buf, err = m.element(out.buf, v.Bytes, e.element, nil)
	}
	out.buf = append(out.buf, '\n')
	return err
}

// Append makes the element of one record, to be handed to Encode as a Verbatim value.
func (e xmlEncoder) Append(dst, json []byte) ([]byte, error) {
	m := e.builders.Get().(*xmlBuilder)
	defer e.builders.Put(m)
	from := len(dst)
	dst, err := m.element(dst, json, e.element, nil)
	if err != nil {
		return dst[:from], err
	}
	return dst, nil
}
