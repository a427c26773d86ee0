package jobs

import (
	"bytes"
	"math"
)

// number says how numbers are written in a file.
type number struct {
	point     byte     // decimal mark
	thousands [][]byte // marks between thousands
}

// integer returns text as JSON writes an integer, without copying where it is written so already; else appended to dst.
// ok is false when it is none, or does not fit 64 bits.
func (n *number) integer(dst, text []byte) (canon, rest []byte, ok bool) {
	if bare := unpadded(text); plainInteger(bare) {
		return bare, dst, true
	}
	start := len(dst)
	dst, fraction, ok := n.canonical(dst, text)
	canon = dst[start:]
	if !ok || fraction || !fits64(canon) {
		return nil, dst[:start], false
	}
	return canon, dst, true
}

// decimal is integer for decimals: every digit stays, 24.910 as 24.910.
func (n *number) decimal(dst, text []byte) (canon, rest []byte, ok bool) {
	if n.point == '.' {
		if bare := unpadded(text); plainDecimal(bare) {
			return bare, dst, true
		}
	}
	start := len(dst)
	dst, _, ok = n.canonical(dst, text)
	if !ok {
		return nil, dst[:start], false
	}
	return dst[start:], dst, true
}

// unpadded is a number without the zeros that fill its columns.
func unpadded(text []byte) []byte {
	for len(text) > 1 && text[0] == '0' && text[1]-'0' <= 9 {
		text = text[1:]
	}
	return text
}

// plainInteger: an optional minus and at most 18 digits, the first not 0 unless alone.
func plainInteger(text []byte) bool {
	t := text
	if len(t) > 1 && t[0] == '-' {
		t = t[1:]
		if t[0] == '0' {
			return false
		}
	}
	if len(t) == 0 || len(t) > 18 || t[0] == '0' && len(t) > 1 {
		return false
	}
	for _, c := range t {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

func plainDecimal(text []byte) bool {
	if len(text) > 100 {
		return false
	}
	i := 0
	for i < len(text) && text[i]-'0' <= 9 {
		i++
	}
	if i == 0 || text[0] == '0' && i > 1 {
		return false
	}
	if i == len(text) {
		return true
	}
	if text[i] != '.' || i+1 == len(text) {
		return false
	}
	for _, c := range text[i+1:] {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// canonical takes out the sign +, leading zeros and marks between thousands (which must stand before three digits each),
// and writes the decimal mark as a point.
func (n *number) canonical(dst, text []byte) (out []byte, fraction, ok bool) {
	start := len(dst)
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		if text[0] == '-' {
			dst = append(dst, '-')
		}
		text = text[1:]
	}
	whole, digits := len(dst), 0
	run, marked := 0, false // digits since the last mark
	for len(text) > 0 {
		if c := text[0]; c-'0' <= 9 {
			if len(dst) == whole+1 && dst[whole] == '0' {
				dst = dst[:whole]
			}
			dst, text = append(dst, c), text[1:]
			digits++
			run++
			continue
		}
		mark := n.mark(text)
		if mark == 0 || digits == 0 || marked && run != 3 || run > 3 {
			break
		}
		text, run, marked = text[mark:], 0, true
	}
	if marked && run != 3 || digits > 500 {
		return dst, false, false
	}
	if len(text) > 0 && text[0] == n.point {
		if digits == 0 {
			dst = append(dst, '0')
		}
		dst, text, fraction = append(dst, '.'), text[1:], true
		at := len(dst)
		for len(text) > 0 && text[0]-'0' <= 9 {
			dst, text = append(dst, text[0]), text[1:]
		}
		digits = len(dst) - at
	}
	if len(text) > 0 || digits == 0 || digits > 500 {
		return dst, fraction, false
	}
	return unsignZero(dst, start), fraction, true
}

// unsignZero makes 0 of -0, and 0.00 of -0.00.
func unsignZero(dst []byte, start int) []byte {
	if dst[start] != '-' || len(bytes.Trim(dst[start+1:], "0.")) > 0 {
		return dst
	}
	return append(dst[:start], dst[start+1:]...)
}

// mark returns the length of the thousands mark at the head of text, 0 when there is none.
func (n *number) mark(text []byte) int {
	for _, m := range n.thousands {
		if bytes.HasPrefix(text, m) {
			return len(m)
		}
	}
	return 0
}

func fits64(canon []byte) bool {
	digits, limit := canon, uint64(math.MaxInt64)
	if canon[0] == '-' {
		digits, limit = canon[1:], limit+1
	}
	if len(digits) > 19 {
		return false
	}
	var v uint64
	for _, c := range digits {
		v = v*10 + uint64(c-'0')
	}
	return v <= limit
}

// compare orders two canonical decimals.
func compare(a, b []byte) int {
	negA, negB := a[0] == '-', b[0] == '-'
	switch {
	case negA && !negB:
		return -1
	case !negA && negB:
		return 1
	case negA:
		return compareDigits(b[1:], a[1:])
	}
	return compareDigits(a, b)
}

func compareDigits(a, b []byte) int {
	wholeA, fracA := cutPoint(a)
	wholeB, fracB := cutPoint(b)
	if len(wholeA) != len(wholeB) {
		return len(wholeA) - len(wholeB)
	}
	if c := bytes.Compare(wholeA, wholeB); c != 0 {
		return c
	}
	return bytes.Compare(bytes.TrimRight(fracA, "0"), bytes.TrimRight(fracB, "0"))
}

func cutPoint(a []byte) (whole, fraction []byte) {
	for i, c := range a {
		if c == '.' {
			return a[:i], a[i+1:]
		}
	}
	return a, nil
}
