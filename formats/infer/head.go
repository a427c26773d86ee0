package infer

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"waybill/formats"
)

// partOf is what the parts of one thing are called: they are a list of it, and no records.
var partOf = regexp.MustCompile(`(?i)(line|item|position|pos|row|detail|part|step|ligne|poste|posten|zeile|строка|позиция|товар)s?$`)

// several is how many elements of one name are more than the parts of one thing mostly are.
const several = 20

// headedIn finds elements of one name that stand beside a head, and are the records: they are called as the document is, as Order in Orders, or hold lists of
// their own, or are very many; and they have most of the document in them. An order with its lines is one record.
func headedIn(root string, v *value) (path []string, why string) {
	whole := weight(v)
	level := []within{{[]string{root}, v}}
	for depth := 0; depth < 5 && len(level) > 0; depth++ {
		var below []within
		for _, at := range level {
			for i, key := range at.v.keys {
				inner := &at.v.items[i]
				if inner.kind == object {
					below = append(below, within{append(slices.Clone(at.path), key), inner})
				}
				if strings.HasPrefix(key, "@") || inner.kind != list || len(inner.items) < 2 || !allObjects(inner.items) {
					continue
				}
				if why := records(at.path[len(at.path)-1], key, inner, whole); why != "" {
					return append(slices.Clone(at.path), key), why
				}
			}
		}
		level = below
	}
	return nil, ""
}

// within is a value and where it stands.
type within struct {
	path []string
	v    *value
}

// records says why elements below one called so are records, "" when they may be its parts. whole is the weight of the document.
func records(holder, name string, elements *value, whole int) string {
	n, own := len(elements.items), weight(elements)
	if partOf.MatchString(name) {
		return ""
	}
	if 4*own > whole && len(holder) > len(name) && strings.HasPrefix(strings.ToLower(holder), strings.ToLower(name)) {
		return fmt.Sprintf("%d of it stand below %s", n, holder)
	}
	switch {
	case 2*own <= whole:
		return ""
	case slices.ContainsFunc(elements.items, func(e value) bool { return slices.ContainsFunc(e.items, holdsList) }):
		return fmt.Sprintf("%d of it stand there, with lists of their own", n)
	case n >= several:
		return fmt.Sprintf("%d of it stand there", n)
	}
	return ""
}

func holdsList(v value) bool {
	return v.kind == list && allObjects(v.items) || v.kind == object && slices.ContainsFunc(v.items, holdsList)
}

// headMost bounds the fields of a header.
const headMost = 40

// head proposes what stands once around the records, as fields of the header.
func (p *Proposal) head(m *maker, samples []Sample) error {
	if p.at == nil {
		return nil
	}
	o := p.Options
	o.Records, o.Raw = "", true
	d, problems := formats.New(o, nil)
	if len(problems) > 0 {
		return nil
	}
	around := &shape{}
	for _, s := range samples {
		v, err := document(d, s)
		if err != nil || v == nil {
			return err
		}
		rest := m.around(v, p.at)
		around.add(&rest)
	}
	p.leaves(m, &namer{taken: map[string]bool{}, reserved: m.reserved}, around, nil, len(samples))
	if len(p.Header) == headMost {
		p.Notes = append(p.Notes, fmt.Sprintf("of what stands around the records only the first %d values are proposed as fields of the header", headMost))
	}
	return nil
}

// document is a whole document as one value, below the name of its root in XML; nil where it cannot be read as one: it may be too large, or broken.
func document(d formats.Decoder, s Sample) (*value, error) {
	b, end, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer end()
	for rec, err := range d.Decode(b) {
		if err != nil || rec.Cells[0].Kind != formats.Tree {
			return nil, nil //nolint:nilerror // reading the records says what is wrong
		}
		v, err := valueOf(rec.Cells[0].Bytes)
		if err != nil || v.kind != object {
			return nil, nil //nolint:nilerror // as above
		}
		if bytes.HasPrefix(rec.Raw, []byte("<")) {
			v = value{kind: object, keys: []string{rootName(rec.Raw)}, items: []value{v}}
		}
		return &v, nil
	}
	return nil, nil
}

// around is what stands in a document outside of the records: neither lists, nor long texts, nor what only counts.
func (m *maker) around(v *value, path []string) value {
	out := value{kind: object}
	for i, key := range v.keys {
		inner := &v.items[i]
		within := len(path) > 0 && path[0] == key
		switch {
		case within && len(path) == 1, m.xml && markupOnly.MatchString(key), !m.xml && paging.MatchString(key):
		case inner.kind == object:
			rest := path[:0:0]
			if within {
				rest = path[1:]
			}
			below := m.around(inner, rest)
			out.keys, out.items = append(out.keys, key), append(out.items, below)
		case inner.kind != list && len(inner.text) <= longest:
			out.keys, out.items = append(out.keys, key), append(out.items, *inner)
		}
	}
	return out
}

// longest is how long a text of a head may be, in bytes, before it is taken for content.
const longest = 200

// markupOnly is what XML says of itself.
var markupOnly = regexp.MustCompile(`^@(xmlns|schemaLocation|noNamespaceSchemaLocation)`)

// leaves proposes the fields of a header: each value by its path from the root of the document.
func (p *Proposal) leaves(m *maker, n *namer, s *shape, path []string, of int) {
	for _, part := range s.members {
		at := append(slices.Clone(path), part.name)
		if part.objects > 0 {
			p.leaves(m, n, part, at, of)
		}
		odd := !m.xml && slices.ContainsFunc(at, func(name string) bool { return !isIdentifier(name) })
		if part.scalars() == 0 || part.objects > 0 || odd || len(p.Header) == headMost {
			continue
		}
		f := &Field{Name: n.name(at[min(1, len(at)-1):]...), From: m.fromRoot(at)}
		f.scalar(&part.column, part.seen == of, of)
		p.Header = append(p.Header, f)
	}
}

// fromRoot writes a path from the root of the document.
func (m *maker) fromRoot(path []string) string {
	if !m.xml {
		return "$." + m.join(path)
	}
	return "/" + m.join(path)
}
