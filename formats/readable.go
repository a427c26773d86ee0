package formats

import (
	"bytes"
	"unicode/utf8"
)

// Readable turns text of an encoding, which "" says is UTF-8, into UTF-8, for people to read; it leaves the byte order mark of any other out. It is false where the
// bytes are no text of that encoding; only where all are there does the last character have to be whole.
func Readable(text []byte, encoding string, all bool) (string, bool) {
	c, known := findCharset(encoding)
	if encoding == "" || known && c.name == UTF8 {
		if !all {
			text = text[:len(text)-partial(text)]
		}
		return string(text), utf8.Valid(text)
	}
	bom, said, err := startOf(text)
	if !known || err != nil {
		return "", false
	}
	if said == UTF8 { // to one byte a character these are three of them
		bom, said = 0, ""
	}
	if c, err = c.marked(said, text); err != nil {
		return "", false
	}
	out, used, bad := c.turner().turn(nil, text[bom:], all)
	return string(out), bad == "" && (!all || used == len(text)-bom) && bytes.IndexByte(out, 0) < 0
}

// partial is how many bytes at the end are the beginning of a character of UTF-8.
func partial(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
