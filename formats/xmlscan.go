package formats

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Classes of bytes in XML. A class has a bit each, so that one look tells whether a byte ends a run.
const (
	nameFirst = 1 << iota // may start a name
	nameMore              // may stand in one
	nameWide              // part of a character beyond ASCII, which has to be looked at
	textPlain             // stands for itself in text
	attrPlain             // and in the value of an attribute
	xmlSpaces             // white space
	namePlain             // may stand in a name, and is neither a colon nor beyond ASCII
)

var xmlClass = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= utf8.RuneSelf:
			t[c] = nameWide
		case nameRune(rune(c), true):
			t[c] = nameFirst | nameMore
		case nameRune(rune(c), false):
			t[c] = nameMore
		}
		if c >= 0x20 && c != '<' && c != '&' && c != 0xEF {
			t[c] |= textPlain | attrPlain
		}
		if c == '\t' || c == '\n' {
			t[c] |= textPlain
		}
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			t[c] |= xmlSpaces
		}
		if t[c]&nameMore != 0 && c != ':' {
			t[c] |= namePlain
		}
	}
	t[']'] &^= textPlain
	t['"'] &^= attrPlain
	t['\''] &^= attrPlain
	return t
}()

func (p *xmlParser) failAt(i int, format string, args ...any) int {
	p.fail = failure{at: i, reason: fmt.Sprintf(format, args...)}
	return -1
}

// over is called where something that starts at from is longer than a field may be.
func (p *xmlParser) over(from int, what string) int {
	p.fail = failure{from, "max_field", fmt.Sprintf("%s is longer than max_field, %s", what, p.limits.MaxField)}
	return -1
}

// end is called where the bytes end inside what starts at from.
func (p *xmlParser) end(from int, what string) int {
	if len(p.buf)-from > int(p.limits.MaxField) {
		return p.over(from, what)
	}
	if p.final {
		return p.failAt(len(p.buf), "the text ends inside %s: truncated?", what)
	}
	p.short = true
	return -1
}

// name passes a name and remembers where its colon is, -1 for none.
func (p *xmlParser) name(i int, what string) int {
	from := i
	p.colon = -1
	if i < len(p.buf) && xmlClass[p.buf[i]]&(nameFirst|namePlain) == nameFirst|namePlain { // nearly always: ASCII without a prefix
		for i++; i < len(p.buf) && xmlClass[p.buf[i]]&namePlain != 0; i++ {
		}
		if i < len(p.buf) && p.buf[i] != ':' && xmlClass[p.buf[i]]&nameWide == 0 && i-from <= int(p.limits.MaxField) {
			return i
		}
		i = from
	}
	for ; i < len(p.buf); i++ {
		c := p.buf[i]
		k := xmlClass[c]
		switch {
		case c == ':':
			if p.colon >= 0 || i == from {
				return p.failAt(i, "a colon that parts no prefix from a name")
			}
			p.colon = i - from
		case k&nameFirst != 0, k&nameMore != 0 && i > from && p.colon != i-from-1:
		case k&nameWide != 0:
			if !utf8.FullRune(p.buf[i:]) {
				return p.end(from, what)
			}
			r, n := utf8.DecodeRune(p.buf[i:])
			if !nameRune(r, i == from || p.colon == i-from-1) {
				return p.failAt(i, "the character %q cannot stand in a name", r)
			}
			i += n - 1
		case i == from, p.colon == i-from-1:
			return p.failAt(i, "unexpected %s, there should be the name of %s", shown(p.buf[i:]), what)
		case i-from > int(p.limits.MaxField):
			return p.over(from, "a name")
		default:
			return i
		}
	}
	return p.end(from, what)
}

func (p *xmlParser) space(i int) int {
	for i < len(p.buf) && xmlClass[p.buf[i]]&xmlSpaces != 0 {
		i++
	}
	return i
}

// text passes the text up to the next tag and hands it on.
func (p *xmlParser) text(i int) int {
	from := i
	odd := false // it is not what it stands for: entities, carriage returns
	for {
		for i < len(p.buf) && xmlClass[p.buf[i]]&textPlain != 0 {
			i++
		}
		if i == len(p.buf) {
			if p.final && len(p.open) == 0 && len(p.buf)-from <= int(p.limits.MaxField) {
				break
			}
			return p.endText(from)
		}
		c := p.buf[i]
		if c == '<' {
			break
		}
		odd = odd || c == '&' || c == '\r'
		if i = p.special(i, c); i < 0 {
			return -1
		}
	}
	switch raw := p.buf[from:i:i]; {
	case len(raw) > int(p.limits.MaxField):
		return p.over(from, "a text")
	case len(p.open) == 0:
		if k := p.space(from); k < i {
			return p.failAt(k, "text outside the root element")
		}
	case len(p.takers) == 0:
	default:
		if odd {
			raw = p.plainText(raw, false)
		}
		if !p.take(from, raw) {
			return -1
		}
	}
	return i
}

func (p *xmlParser) endText(from int) int {
	switch {
	case len(p.open) == 0:
		return p.end(from, "the text")
	case !p.final && len(p.buf)-from <= int(p.limits.MaxField):
		p.short = true
		return -1
	}
	return p.end(from, fmt.Sprintf("the element <%s>", cut(p.nameOf(len(p.open)-1))))
}

// special passes a byte that does not stand for itself in text or in the value of an attribute.
func (p *xmlParser) special(i int, c byte) int {
	switch c {
	case '&':
		return p.entity(i)
	case '\r':
		return i + 1
	case ']':
		if i+2 < len(p.buf) {
			if p.buf[i+1] == ']' && p.buf[i+2] == '>' {
				return p.failAt(i, "]]> in a text, outside CDATA: its > must be written &gt;")
			}
		} else if !p.final {
			return p.end(i, "the text")
		}
		return i + 1
	case 0xEF:
		if i+2 >= len(p.buf) {
			return p.end(i, "a character")
		}
		if p.buf[i+1] != 0xBF || p.buf[i+2] < 0xBE {
			return i + 3
		}
		return p.failAt(i, "the character U+FFF%c, which no XML may hold", 'E'+p.buf[i+2]-0xBE)
	}
	return p.failAt(i, "the control character %#02x, which no XML may hold", c)
}

// entity passes one of the five entities, or a character by its number.
func (p *xmlParser) entity(i int) int {
	const longest = 12 // of what is any good: &#x0010FFFF;
	stop := min(len(p.buf), i+longest)
	n := bytes.IndexByte(p.buf[i:stop], ';')
	if n < 0 {
		if stop == len(p.buf) && !p.final {
			return p.end(i, "an entity")
		}
		if n = bytes.IndexAny(p.buf[i:stop], " <\n"); n < 0 {
			n = stop - i
		}
	} else if r := entityRune(p.buf[i+1 : i+n]); r > 0 {
		return i + n + 1
	}
	return p.failAt(i, "%q is no entity that may be here: there are &lt; &gt; &amp; &apos; &quot; and the numbers of characters, and & itself is written &amp;", cut(p.buf[i:i+n]))
}

// entityRune returns the character of an entity by its name or number, 0 when there is none.
func entityRune(name []byte) rune {
	switch string(name) {
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "amp":
		return '&'
	case "apos":
		return '\''
	case "quot":
		return '"'
	}
	if len(name) < 2 || name[0] != '#' {
		return 0
	}
	digits, base := name[1:], rune(10)
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	r := rune(0)
	for _, c := range digits {
		d := digit(c)
		if d < 0 || d >= base || r > utf8.MaxRune {
			return 0
		}
		r = r*base + d
	}
	if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || !utf8.ValidRune(r) || r == 0xFFFE || r == 0xFFFF {
		return 0
	}
	return r
}

// plainText returns what a text that was passed stands for. In the value of an attribute white space becomes blanks.
func (p *xmlParser) plainText(raw []byte, attr bool) []byte {
	out := p.arena.take(len(raw))[:0]
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '&':
			n := bytes.IndexByte(raw[i:], ';')
			out = utf8.AppendRune(out, entityRune(raw[i+1:i+n]))
			i += n
			continue
		case c == '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			c = '\n'
		}
		if attr && (c == '\n' || c == '\t') {
			c = ' '
		}
		out = append(out, c)
	}
	return out
}

// held passes what lies between i and a closing text: a comment, an instruction, CDATA. It returns the place of that text.
func (p *xmlParser) held(i int, closing, what string) int {
	from := i
	n := bytes.Index(p.buf[i:], []byte(closing))
	if n < 0 {
		return p.end(from, what)
	}
	if n > int(p.limits.MaxField) {
		return p.over(from, what)
	}
	for i < from+n {
		if c := p.buf[i]; xmlClass[c]&textPlain != 0 || c == '<' || c == '&' || c == ']' || c == '\r' {
			i++
		} else if i = p.special(i, c); i < 0 {
			return -1
		}
	}
	return from + n
}
