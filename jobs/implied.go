package jobs

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"waybill/jobs/expression"
)

// implied says what the digits of a number do not show.
type implied struct {
	scale     int  // how many of them stand behind the mark
	overpunch bool // the last of them bears the sign
}

// mostScale bounds scale.
const mostScale = 30

func (c *compiler) implied(at string, o *Field, f *field) {
	f.implied = implied{o.Scale, o.Sign == "overpunch"}
	switch {
	case o.Scale != 0 && f.kind != expression.KindDecimal:
		c.problem(at+".scale", "goes with decimal, not with %s", f.kind)
	case o.Scale < 0 || o.Scale > mostScale:
		c.problem(at+".scale", "%d is out of bounds: from 0 to %d", o.Scale, mostScale)
	}
	if f.implied.overpunch && f.kind != expression.KindDecimal && f.kind != expression.KindInteger {
		c.problem(at+".sign", "goes with integer and decimal, not with %s", f.kind)
	}
}

// punched are the digits that bear a sign, as punched cards had them: a zone punched over a digit. In EBCDIC they are C0 to C9 and D0 to
// D9, which become these characters in ASCII, and é and è for the zeros where the file was recoded with the French table (CCSID 297).
func punched(r rune) (digit byte, negative, ok bool) {
	switch {
	case r >= '0' && r <= '9':
		return byte(r), false, true
	case r == '{', r == 'é':
		return '0', false, true
	case r >= 'A' && r <= 'I':
		return byte(r-'A') + '1', false, true
	case r == '}', r == 'è':
		return '0', true, true
	case r >= 'J' && r <= 'R':
		return byte(r-'J') + '1', true, true
	}
	return 0, false, false
}

// spell writes a number with the sign and the mark that its digits only imply.
func (m *maker) spell(f *field, cell []byte) (text []byte, reason string) {
	digits, negative, last := cell, false, []byte(nil)
	if f.implied.overpunch {
		r, size := utf8.DecodeLastRune(cell)
		digit, minus, ok := punched(r)
		if !ok {
			return nil, fmt.Sprintf("does not end with a digit that bears a sign: %q is none of { A to I } J to R", r)
		}
		digits, negative, last = cell[:len(cell)-size], minus, []byte{digit}
	} else if len(digits) > 1 && (digits[0] == '-' || digits[0] == '+') {
		digits, negative = digits[1:], digits[0] == '-'
	}
	if bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) {
		if f.implied.scale > 0 && bytes.IndexByte(digits, f.number.point) >= 0 {
			return nil, fmt.Sprintf("has a decimal mark, but scale says that it has none and that %d digits stand behind it", f.implied.scale)
		}
		return nil, "is not a number of digits alone"
	}
	at := len(m.arena)
	if negative {
		m.arena = append(m.arena, '-')
	}
	n := len(digits) + len(last) - f.implied.scale // digits before the mark
	for ; n < 1; n++ {
		m.arena = append(m.arena, '0')
	}
	m.arena = append(append(m.arena, digits...), last...)
	if point := len(m.arena) - f.implied.scale; f.implied.scale > 0 {
		m.arena = append(m.arena, 0)
		copy(m.arena[point+1:], m.arena[point:])
		m.arena[point] = '.'
	}
	return m.arena[at:len(m.arena):len(m.arena)], ""
}
