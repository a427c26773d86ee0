package formats

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// plainText marks the bytes that stand for themselves inside a JSON string.
var plainText = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return t
}()

// str passes the string whose opening quote is at i, and tells whether it has escapes.
func (p *jsonParser) str(i int) (next int, escaped bool) {
	from := i
	i++
	for i < len(p.buf) {
		c := p.buf[i]
		switch {
		case plainText[c]:
			i++
			continue
		case c == '"':
			if i-from-1 > int(p.limits.MaxField) {
				return p.longText(from), false
			}
			return i + 1, escaped
		case c == '\\':
			escaped = true
			if i = p.escape(i); i < 0 {
				return -1, false
			}
		default:
			return p.failAt(i, fmt.Sprintf("the control character %#02x inside a string, which must be escaped", c)), false
		}
	}
	if len(p.buf)-from > int(p.limits.MaxField) {
		return p.longText(from), false
	}
	return p.end(), false
}

func (p *jsonParser) longText(from int) int {
	p.fail = failure{from, "max_field", fmt.Sprintf("a string is longer than max_field, %s", p.limits.MaxField)}
	return -1
}

// escape passes the escape whose backslash is at i.
func (p *jsonParser) escape(i int) int {
	if i+1 >= len(p.buf) {
		return p.end()
	}
	switch p.buf[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return p.failAt(i, fmt.Sprintf("a backslash before %s, which is no escape of JSON", shown(p.buf[i+1:])))
	}
	r, ok := p.hex(i)
	if !ok {
		return -1
	}
	if !utf16.IsSurrogate(r) {
		return i + 6
	}
	if i+7 >= len(p.buf) && !p.final {
		return p.end()
	}
	if i+7 < len(p.buf) && p.buf[i+6] == '\\' && p.buf[i+7] == 'u' {
		low, ok := p.hex(i + 6)
		if !ok {
			return -1
		}
		if utf16.DecodeRune(r, low) != utf8.RuneError {
			return i + 12
		}
	}
	return p.failAt(i, fmt.Sprintf("the escape \\u%04x is half of a character, the other half is missing", r))
}

// hex reads the four digits of the escape at i.
func (p *jsonParser) hex(i int) (rune, bool) {
	r := rune(0)
	for k := i + 2; k < i+6; k++ {
		if k >= len(p.buf) {
			p.end()
			return 0, false
		}
		d := digit(p.buf[k])
		if d < 0 {
			p.failAt(i, "four hexadecimal digits should follow \\u")
			return 0, false
		}
		r = r<<4 | d
	}
	return r, true
}

func digit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

// unescape returns the text of a string that str has passed.
func (p *jsonParser) unescape(s []byte, escaped bool) []byte {
	if !escaped {
		return s
	}
	out := p.text.take(len(s))[:0]
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		switch c := s[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := fourDigits(s[i+2:])
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, fourDigits(s[i+8:]))
				i += 6
			}
			out = utf8.AppendRune(out, r)
			i += 4
		default:
			out = append(out, c)
		}
		i += 2
	}
	return out
}

func fourDigits(s []byte) rune {
	return digit(s[0])<<12 | digit(s[1])<<8 | digit(s[2])<<4 | digit(s[3])
}

// number passes the number at i.
func (p *jsonParser) number(i int) int {
	from := i
	if p.buf[i] == '-' {
		i++
	}
	switch {
	case i < len(p.buf) && p.buf[i] == '0':
		i++
		if i < len(p.buf) && p.buf[i] >= '0' && p.buf[i] <= '9' {
			return p.failAt(from, "a number must not start with 0")
		}
	default:
		if i = p.digits(i); i < 0 {
			return -1
		}
	}
	if i < len(p.buf) && p.buf[i] == '.' {
		if i = p.digits(i + 1); i < 0 {
			return -1
		}
	}
	if i < len(p.buf) && (p.buf[i] == 'e' || p.buf[i] == 'E') {
		i++
		if i < len(p.buf) && (p.buf[i] == '+' || p.buf[i] == '-') {
			i++
		}
		if i = p.digits(i); i < 0 {
			return -1
		}
	}
	if i-from > int(p.limits.MaxField) {
		p.fail = failure{from, "max_field", fmt.Sprintf("a number is longer than max_field, %s", p.limits.MaxField)}
		return -1
	}
	if i == len(p.buf) && !p.final {
		return p.end()
	}
	return i
}

// digits passes one digit or more.
func (p *jsonParser) digits(i int) int {
	from := i
	for i < len(p.buf) && p.buf[i] >= '0' && p.buf[i] <= '9' {
		i++
	}
	if i == from {
		return p.unexpected(i, "a digit")
	}
	return i
}

// word passes one of the three words of JSON.
func (p *jsonParser) word(i int, word string) int {
	for k := range len(word) {
		if i+k >= len(p.buf) {
			return p.end()
		}
		if p.buf[i+k] != word[k] {
			return p.unexpected(i, "a value")
		}
	}
	return i + len(word)
}

// compact drops the white space outside strings from good JSON.
func (p *jsonParser) compact(s []byte, blanks int) []byte {
	if blanks == 0 {
		return s
	}
	out := p.text.take(len(s))[:0]
	inside := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case inside && c == '\\':
			out = append(out, c, s[i+1])
			i++
			continue
		case c == '"':
			inside = !inside
		case !inside && isSpace(c):
			continue
		}
		out = append(out, c)
	}
	return out
}

// shown quotes the character that b starts with, for an error.
func shown(b []byte) string {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError {
		return fmt.Sprintf("byte %#02x", b[0])
	}
	return strconv.Quote(string(b[:n]))
}

// An arena hands out slices that stay valid until it is reset. It keeps the largest piece of memory it
// ever needed, so that in the long run it allocates nothing.
type arena[T any] struct {
	free []T
	all  []T
}

func (a *arena[T]) reset() { a.free = a.all }

// take returns n items with what they held before.
func (a *arena[T]) take(n int) []T {
	if n > len(a.free) {
		a.all = make([]T, max(16, n, 2*len(a.all)))
		a.free = a.all
	}
	s := a.free[:n:n]
	a.free = a.free[n:]
	return s
}
