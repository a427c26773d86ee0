// Package jsonvalue writes single values as JSON has them: texts, numbers with a fraction, and moments as ISO 8601 shows them. It is the floor of all
// that makes JSON of something else: of a file, of an expression, of a template.
package jsonvalue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AppendString appends a text, which must be UTF-8, as a string. Only what must be escaped is. Text that needs no escape, as
// nearly all does, is looked at while it is copied, eight bytes at a time.
func AppendString(buf, text []byte) []byte {
	start := len(buf)
	buf = slices.Grow(buf, len(text)+2)[:start+len(text)+2]
	out := buf[start+1 : len(buf)-1]
	buf[start], buf[len(buf)-1] = '"', '"'
	i := 0
	for ; i+8 <= len(text); i += 8 {
		w := binary.LittleEndian.Uint64(text[i:])
		if mustEscape(w) {
			return appendEscaped(buf[:start], text)
		}
		binary.LittleEndian.PutUint64(out[i:], w)
	}
	for ; i < len(text); i++ {
		c := text[i]
		if !plain[c] {
			return appendEscaped(buf[:start], text)
		}
		out[i] = c
	}
	return buf
}

// plain marks the bytes that stand for themselves inside a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return t
}()

// mustEscape tells whether any of eight bytes cannot stand in a string: a control character, a quote or a backslash.
func mustEscape(w uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, slash := w^ones*'"', w^ones*'\\'
	return ((w-ones*0x20)&^w|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0
}

func appendEscaped(buf, text []byte) []byte {
	const hex = "0123456789abcdef"
	buf = append(buf, '"')
	from := 0
	for i, c := range text {
		if plain[c] {
			continue
		}
		buf = append(buf, text[from:i]...)
		from = i + 1
		if short := strings.IndexByte("\"\\\n\r\t\b\f", c); short >= 0 {
			buf = append(buf, '\\', `"\nrtbf`[short])
		} else {
			buf = append(buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(buf, text[from:]...), '"')
}

// AppendFloat appends a number of 32 or 64 bits; what JSON has no number for is a text without quotes: NaN, Infinity, -Infinity.
func AppendFloat(out []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(out, "NaN"...)
	case math.IsInf(v, 1):
		return append(out, "Infinity"...)
	case math.IsInf(v, -1):
		return append(out, "-Infinity"...)
	}
	at, form := len(out), byte('f')
	if abs := math.Abs(v); abs != 0 && (bits == 64 && (abs < 1e-6 || abs >= 1e21) || bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21)) {
		form = 'e'
	}
	out = strconv.AppendFloat(out, v, form, -1, bits)
	if n := len(out); form == 'e' && n-at >= 4 && out[n-4] == 'e' && out[n-3] == '-' && out[n-2] == '0' { // e-09 is e-9
		out[n-2] = out[n-1]
		out = out[:n-1]
	}
	return out
}

// Bounds of a moment, in seconds since 1970: the years 1 to 9999.
const (
	First = -62135596800
	Last  = 253402300799
)

// AppendMoment appends a moment in UTC, in seconds since 1970 and nanoseconds behind, with as many digits of a fraction as it needs, in threes; the layout is that of package time and
// ends with the seconds. It is false where the moment is none of the years 1 to 9999.
func AppendMoment(out []byte, seconds, nanos int64, layout string) ([]byte, bool) {
	if seconds < First || seconds > Last || nanos < 0 || nanos > 999_999_999 {
		return out, false
	}
	out = time.Unix(seconds, 0).UTC().AppendFormat(out, layout)
	if nanos == 0 {
		return out, true
	}
	out = fmt.Appendf(out, ".%09d", nanos)
	for range 2 {
		out = bytes.TrimSuffix(out, []byte("000"))
	}
	return out, true
}
