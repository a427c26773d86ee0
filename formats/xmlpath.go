package formats

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An xmlPath leads from an element, or from the document, to a value:
//
//	["/"] step *( "/" step ) ["/@" name] | "@" name | "."
//	step = [prefix":"] (name | "*") *( "[" N "]" | "[" relpath "='text'" "]" )
//
// A name without a prefix means the element in any namespace; it is the same as local-name() of XPath.
type xmlPath struct {
	root  bool // it starts at the document
	slot  int  // of a path that does: where its value is kept
	steps []xmlStep
	attr  *xmlName // nil: the text of the element
	near  bool     // it is one name, in any namespace and without tests
	own   *xmlName // what the element it starts from must be called, where it was written from the document; nil: anything
}

type xmlStep struct {
	xmlName
	tests []xmlTest
}

// An xmlName is what a name in a path asks for. Until the plan is made the namespace is the prefix.
type xmlName struct {
	local  string // "*": any
	prefix string // "": any namespace
	id     int32  // of local in the plan, anyName for any
	space  int32  // of the namespace in the plan, anyName for any
}

const anyName = -1

// An xmlTest says which of the elements that a step leads to are meant.
type xmlTest struct {
	at   int      // the how manieth of them, from 1; 0: the one for which
	path *xmlPath // has
	text string   // this text
}

const mostTests = 8 // of one step

var errXMLPath = errors.New("is no path: write element names joined by /, with [2] for one of several, [Name='text'] for the one that has it, and /@name for an attribute at the end")

// parseXMLPath reads a path; prefixes are those of the configured namespaces.
func parseXMLPath(s string, namespaces map[string]string) (*xmlPath, error) {
	for _, bad := range []struct{ text, say string }{
		{"//", "holds //, which would look everywhere: write the whole path"},
		{"..", "holds .., but there is no way up: start from where both stand"},
		{"(", "holds a function, of which there are none here: compute a field instead"},
	} {
		if strings.Contains(withoutQuotes(s), bad.text) {
			return nil, fmt.Errorf("%q %s", s, bad.say)
		}
	}
	p := &xmlParse{rest: s, namespaces: namespaces}
	path, err := p.path(true)
	if err == nil && p.rest != "" {
		err = errXMLPath
	}
	if err != nil {
		return nil, fmt.Errorf("%q %w", s, err)
	}
	return path, nil
}

// withoutQuotes drops the quoted texts of a path.
func withoutQuotes(s string) string {
	var out strings.Builder
	quote := rune(0)
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
		case r == '\'' || r == '"':
			quote = r
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

type xmlParse struct {
	rest       string
	namespaces map[string]string
}

// skip passes a text that stands next.
func (p *xmlParse) skip(text string) bool {
	rest, ok := strings.CutPrefix(p.rest, text)
	p.rest = rest
	return ok
}

// path reads a path; tested says whether its steps may have tests.
func (p *xmlParse) path(tested bool) (*xmlPath, error) {
	out := &xmlPath{}
	if tested && p.skip("/") {
		out.root = true
	} else if p.skip(".") {
		return out, nil
	}
	for first := true; ; first = false {
		if p.skip("@") {
			name, err := p.name(false)
			if err == nil && first && out.root {
				err = errXMLPath
			}
			out.attr = &name
			return out, err
		}
		name, err := p.name(true)
		if err != nil {
			return nil, err
		}
		st := xmlStep{xmlName: name}
		for tested && p.skip("[") {
			test, err := p.test()
			if err != nil {
				return nil, err
			}
			st.tests = append(st.tests, test)
		}
		if len(st.tests) > mostTests {
			return nil, fmt.Errorf("has more than %d tests in one step", mostTests)
		}
		out.steps = append(out.steps, st)
		if !p.skip("/") {
			return out, nil
		}
	}
}

// name reads a name with its prefix.
func (p *xmlParse) name(star bool) (xmlName, error) {
	first, err := p.word(star)
	if err != nil {
		return xmlName{}, err
	}
	if first == "*" || !p.skip(":") {
		return xmlName{local: first}, nil
	}
	local, err := p.word(star)
	if err != nil {
		return xmlName{}, err
	}
	if _, known := p.namespaces[first]; !known {
		return xmlName{}, fmt.Errorf("has the prefix %q: say which namespace it stands for, namespaces: {%s: \"urn:…\"}", first, first)
	}
	return xmlName{prefix: first, local: local}, nil
}

func (p *xmlParse) word(star bool) (string, error) {
	if star && p.skip("*") {
		return "*", nil
	}
	n := 0
	for n < len(p.rest) {
		r, size := utf8.DecodeRuneInString(p.rest[n:])
		if r == ':' || !nameRune(r, n == 0) {
			break
		}
		n += size
	}
	if n == 0 {
		return "", errXMLPath
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word, nil
}

// test reads a test behind its bracket.
func (p *xmlParse) test() (xmlTest, error) {
	if digits, rest, closed := strings.Cut(p.rest, "]"); closed {
		if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
			if n == 0 {
				return xmlTest{}, errors.New("counts from 1: write [1] for the first")
			}
			p.rest = rest
			return xmlTest{at: int(n)}, nil
		}
	}
	path, err := p.path(false)
	if err != nil {
		return xmlTest{}, err
	}
	if !p.skip("=") || p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return xmlTest{}, errXMLPath
	}
	text, rest, closed := strings.Cut(p.rest[1:], p.rest[:1]+"]")
	if !closed {
		return xmlTest{}, errXMLPath
	}
	p.rest = rest
	return xmlTest{path: path, text: strings.TrimSpace(text)}, nil
}

// plain tells whether no step of a path has tests.
func plain(steps []xmlStep) bool {
	return !slices.ContainsFunc(steps, func(s xmlStep) bool { return len(s.tests) > 0 })
}

func (p *xmlPath) String() string {
	var b strings.Builder
	for i, s := range p.steps {
		if i > 0 || p.root {
			b.WriteByte('/')
		}
		if s.prefix != "" {
			b.WriteString(s.prefix + ":")
		}
		b.WriteString(s.local)
	}
	if p.attr != nil {
		b.WriteString("/@" + p.attr.local)
	}
	return b.String()
}

// nameRune tells whether a character may stand in a name (XML 1.0, fifth edition, 2.3).
func nameRune(r rune, first bool) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', r == ':':
		return true
	case r < 0x80:
		return !first && (r >= '0' && r <= '9' || r == '-' || r == '.')
	case r < 0xC0:
		return !first && r == 0xB7
	case r >= 0x300 && r <= 0x36F, r >= 0x203F && r <= 0x2040:
		return !first
	}
	return r != 0xD7 && r != 0xF7 && r != 0x37E && (r < 0x2000 || r >= 0x200C && r <= 0x200D || r >= 0x2070 && r <= 0x218F ||
		r >= 0x2C00 && r <= 0x2FEF || r >= 0x3001 && r <= 0xD7FF || r >= 0xF900 && r <= 0xFDCF || r >= 0xFDF0 && r <= 0xFFFD ||
		r >= 0x10000 && r <= 0xEFFFF)
}
