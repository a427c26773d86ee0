package formats

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// attributes passes the attributes of the tag that starts at tag, and its end.
func (p *xmlParser) attributes(i, tag int) int {
	for {
		before := i
		if i = p.space(i); i == len(p.buf) {
			return p.endTag(tag)
		}
		switch c := p.buf[i]; {
		case c == '>':
			return i + 1
		case c == '/' && i+1 == len(p.buf):
			return p.endTag(tag)
		case c == '/' && p.buf[i+1] == '>':
			p.empty = true
			return i + 2
		case i == before:
			return p.failAt(i, "unexpected %s in a tag", shown(p.buf[i:]))
		case len(p.attrs) >= p.limits.MaxColumns:
			p.fail = failure{tag, "max_columns", "an element has more than " + strconv.Itoa(p.limits.MaxColumns) + " attributes (max_columns)"}
			return -1
		}
		from := i
		if i = p.name(i, "an attribute"); i < 0 {
			return -1
		}
		a := xmlAttr{at: from, name: p.buf[from:i:i], local: p.buf[from+p.colon+1 : i : i], space: -1}
		if p.colon > 0 {
			a.prefix = p.buf[from : from+p.colon]
		}
		if i = p.equals(i, tag); i < 0 {
			return -1
		}
		if i = p.value(i, &a); i < 0 {
			return -1
		}
		p.attrs = append(p.attrs, a)
	}
}

// endTag is called where the bytes end in the tag that starts at tag: it may be longer than a field, but not than a record.
func (p *xmlParser) endTag(tag int) int {
	if p.final {
		return p.failAt(len(p.buf), "the text ends inside a tag: truncated?")
	}
	p.short = true
	return -1
}

// equals passes the equals sign behind the name of an attribute.
func (p *xmlParser) equals(i, tag int) int {
	if i = p.space(i); i == len(p.buf) {
		return p.endTag(tag)
	}
	if p.buf[i] != '=' {
		return p.failAt(i, "unexpected %s, there should be = and the value of the attribute", shown(p.buf[i:]))
	}
	if i = p.space(i + 1); i == len(p.buf) {
		return p.endTag(tag)
	}
	return i
}

// value passes the value of an attribute.
func (p *xmlParser) value(i int, a *xmlAttr) int {
	quote := p.buf[i]
	if quote != '"' && quote != '\'' {
		return p.failAt(i, "unexpected %s, the value of an attribute stands in quotes", shown(p.buf[i:]))
	}
	i++
	from := i
	for {
		for i < len(p.buf) && xmlClass[p.buf[i]]&attrPlain != 0 {
			i++
		}
		if i == len(p.buf) {
			return p.end(from, "the value of an attribute")
		}
		switch c := p.buf[i]; c {
		case quote:
			if i-from > int(p.limits.MaxField) {
				return p.over(from, "the value of an attribute")
			}
			a.value = p.buf[from:i:i]
			return i + 1
		case '"', '\'':
			i++
		case '\t', '\n', '\r':
			a.odd = true
			i++
		case '<':
			return p.failAt(i, "a < in the value of an attribute: it must be written &lt;")
		default:
			a.odd = a.odd || c == '&'
			if i = p.special(i, c); i < 0 {
				return -1
			}
		}
	}
}

// scope takes in the namespaces that the tag declares, and sees that no attribute stands twice.
func (p *xmlParser) scope() bool {
	prefixed := 0
	for i := range p.attrs {
		a := &p.attrs[i]
		switch {
		case string(a.prefix) == "xmlns":
			if !p.declare(a, a.local) {
				return false
			}
		case len(a.prefix) == 0 && string(a.local) == "xmlns":
			if !p.declare(a, nil) {
				return false
			}
		case len(a.prefix) > 0:
			prefixed++
		}
	}
	for i := range p.attrs {
		a := &p.attrs[i]
		if len(a.prefix) == 0 || string(a.prefix) == "xmlns" {
			continue
		}
		if a.space = p.lookup(a.prefix); a.space < 0 {
			p.failAt(a.at, "the prefix %q of the attribute %s stands for no namespace: its xmlns:%s is missing", cut(a.prefix), cut(a.name), cut(a.prefix))
			return false
		}
	}
	return p.unique(func(a, b *xmlAttr) int { return bytes.Compare(a.name, b.name) }) &&
		(prefixed < 2 || p.unique(p.byMeaning))
}

// byMeaning orders attributes by the namespace and the local part of their names; those without a prefix are all told apart already.
func (p *xmlParser) byMeaning(a, b *xmlAttr) int {
	if a.space < 0 || b.space < 0 {
		if a.space == b.space {
			return bytes.Compare(a.name, b.name)
		}
		return a.space - b.space
	}
	if c := bytes.Compare(p.spaces[a.space].uri, p.spaces[b.space].uri); c != 0 {
		return c
	}
	return bytes.Compare(a.local, b.local)
}

// unique sees that no two attributes are the same by the order given.
func (p *xmlParser) unique(order func(a, b *xmlAttr) int) bool {
	const pairwise = 16 // attributes up to which comparing each with each is faster
	twice := func(a *xmlAttr) bool {
		p.failAt(a.at, "the attribute %s stands twice in one tag", cut(a.name))
		return false
	}
	if len(p.attrs) <= pairwise {
		for i := range p.attrs {
			for j := range i {
				if order(&p.attrs[i], &p.attrs[j]) == 0 {
					return twice(&p.attrs[i])
				}
			}
		}
		return true
	}
	p.sorted = append(p.sorted[:0], p.attrs...)
	slices.SortStableFunc(p.sorted, func(a, b xmlAttr) int { return order(&a, &b) })
	for i := 1; i < len(p.sorted); i++ {
		if order(&p.sorted[i-1], &p.sorted[i]) == 0 {
			return twice(&p.sorted[i])
		}
	}
	return true
}

// declare brings a namespace into scope.
func (p *xmlParser) declare(a *xmlAttr, prefix []byte) bool {
	uri := p.valueOf(a)
	bad := ""
	switch {
	case string(prefix) == "xmlns":
		bad = "the prefix xmlns cannot be declared"
	case string(prefix) == "xml" && string(uri) != xmlSpace1:
		bad = "the prefix xml stands for " + xmlSpace1 + " and nothing else"
	case string(uri) == xmlnsURI, string(prefix) != "xml" && string(uri) == xmlSpace1:
		bad = "a namespace of XML itself cannot be declared"
	case len(uri) == 0 && len(prefix) > 0:
		bad = "a prefix cannot stand for the empty namespace"
	}
	if bad != "" {
		p.failAt(a.at, "%s", bad)
		return false
	}
	from := len(p.uris)
	p.uris = append(append(p.uris, prefix...), uri...)
	kept := p.uris[from:len(p.uris):len(p.uris)]
	p.spaces = append(p.spaces, xmlSpace{kept[:len(prefix):len(prefix)], kept[len(prefix):], p.spaceID(uri)})
	if len(p.uris) > int(p.limits.MaxRecord) {
		p.fail = failure{a.at, "max_record", "the namespaces in scope take more than max_record, " + p.limits.MaxRecord.String()}
		return false
	}
	return true
}

// lookup finds the namespace that a prefix stands for, -1 when it stands for none.
func (p *xmlParser) lookup(prefix []byte) int {
	for i := len(p.spaces) - 1; i >= 0; i-- {
		if string(p.spaces[i].prefix) == string(prefix) {
			return i
		}
	}
	return -1
}

// markup passes what starts with <!: a comment or CDATA.
func (p *xmlParser) markup(i int) int {
	rest := p.buf[i:]
	for _, m := range []struct{ open, close, what string }{
		{"<!--", "--", "a comment"},
		{"<![CDATA[", "]]>", "CDATA"},
		{"<!DOCTYPE", "", "the text"},
	} {
		if len(rest) < len(m.open) {
			if strings.HasPrefix(m.open, string(rest)) && !p.final {
				return p.end(i, m.what)
			}
			continue
		}
		if string(rest[:len(m.open)]) != m.open {
			continue
		}
		from := i + len(m.open)
		switch m.close {
		case "":
			return p.failAt(i, "a document type (DOCTYPE), which is not read: it could define entities and fetch files; the sender must leave it out")
		case "--":
			return p.comment(from)
		}
		return p.cdata(i, from)
	}
	return p.failAt(i, "unexpected %q, which is neither a tag nor a comment", cut(rest[:min(len(rest), 12)]))
}

func (p *xmlParser) comment(from int) int {
	i := p.held(from, "--", "a comment")
	switch {
	case i < 0:
		return -1
	case i+2 == len(p.buf):
		return p.end(from, "a comment")
	case p.buf[i+2] != '>':
		return p.failAt(i, "-- inside a comment, which may not hold it")
	}
	return i + 3
}

func (p *xmlParser) cdata(tag, from int) int {
	if len(p.open) == 0 {
		return p.failAt(tag, "text outside the root element")
	}
	i := p.held(from, "]]>", "CDATA")
	if i < 0 {
		return -1
	}
	if raw := p.buf[from:i:i]; len(p.takers) > 0 {
		if bytes.IndexByte(raw, '\r') >= 0 {
			raw = p.lineEnds(raw)
		}
		if !p.take(from, raw) {
			return -1
		}
	}
	if i = p.said(from, i); i < 0 {
		return -1
	}
	return i + 3
}

// lineEnds makes every line end a line feed.
func (p *xmlParser) lineEnds(raw []byte) []byte {
	out := p.arena.take(len(raw))[:0]
	for i, c := range raw {
		switch {
		case c != '\r':
			out = append(out, c)
		case i+1 == len(raw) || raw[i+1] != '\n':
			out = append(out, '\n')
		}
	}
	return out
}

// instruction passes a processing instruction.
func (p *xmlParser) instruction(i int) int {
	end := p.name(i+2, "an instruction")
	if end < 0 {
		return -1
	}
	target := p.buf[i+2 : end]
	switch {
	case p.colon >= 0:
		return p.failAt(i, "the name of an instruction holds a colon")
	case strings.EqualFold(string(target), "xml"):
		return p.failAt(i, "an XML declaration that does not stand at the very start")
	case xmlClass[p.buf[end]]&xmlSpaces == 0 && p.buf[end] != '?':
		return p.failAt(end, "unexpected %s in an instruction", shown(p.buf[end:]))
	}
	if at := p.held(end, "?>", "an instruction"); at >= 0 {
		return at + 2
	}
	return -1
}
