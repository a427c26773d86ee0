package xlsx

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// entity reads a reference to a character, &amp; or &#x41;, and its length; 0 when it is none.
func entity(b []byte) (rune, int) {
	const most = 12
	end := bytes.IndexByte(b[:min(len(b), most)], ';')
	if end < 0 {
		return 0, 0
	}
	name := string(b[1:end])
	switch name {
	case "amp":
		return '&', end + 1
	case "lt":
		return '<', end + 1
	case "gt":
		return '>', end + 1
	case "quot":
		return '"', end + 1
	case "apos":
		return '\'', end + 1
	}
	if len(name) < 2 || name[0] != '#' {
		return 0, 0
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	r := rune(n)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(r) || n < ' ' && n != '\t' && n != '\n' && n != '\r' {
		return 0, 0
	}
	return r, end + 1
}

// unescape decodes what a spreadsheet writes for characters that XML cannot hold, _x000D_, in place of the text from on.
func unescape(dst []byte, from int) []byte {
	if !bytes.Contains(dst[from:], []byte("_x")) {
		return dst
	}
	to := from
	for i := from; i < len(dst); {
		r, n := escapedRune(dst[i:])
		if n == 0 {
			dst[to] = dst[i]
			to++
			i++
			continue
		}
		to += utf8.EncodeRune(dst[to:i+n], r) // at most 4 bytes for 7, or for 14 of a pair
		i += n
	}
	return dst[:to]
}

// escapedRune reads one such character and its length, 0 when there is none. A NUL stays as it is written: no text holds one.
func escapedRune(b []byte) (rune, int) {
	r, ok := EscapedUnit(b)
	if !ok || r == 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 7
	}
	low, ok := EscapedUnit(b[7:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, 0
	}
	return r, 14
}

// EscapedUnit reads what a text begins with, if it is a character written as _x0041_; one that means just that is written with an escape of its own.
func EscapedUnit(b []byte) (rune, bool) {
	if len(b) < 7 || b[0] != '_' || b[1] != 'x' || b[6] != '_' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}
