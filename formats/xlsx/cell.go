package xlsx

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waybill/formats/fault"
)

// Digits is how many digits a spreadsheet keeps of a number.
const Digits = 15

// value makes of what stands in the file what the cell holds. The error is the file's; what is wrong with the cell is in it.
func (s *Rows) value(c *cellParts, cell *Cell) error {
	text := s.arena[c.from:]
	if !c.there || c.kind != typeFormula && c.kind != typeInline && len(text) == 0 {
		if c.formula {
			cell.Bad = "the formula has no value kept with it: open and save the file with a spreadsheet program"
		}
		return nil
	}
	cell.Kind = Text
	switch c.kind {
	case typeNumber:
		s.number(c, cell)
	case typeShared:
		return s.fromTable(c, cell)
	case typeInline:
	case typeFormula:
		s.arena = unescape(s.arena, c.from)
	case typeBool:
		s.boolean(c, cell)
	case typeError:
		cell.Bad = fmt.Sprintf("the cell holds the error %s", fault.Cut(text))
	case typeDate:
		s.isoDate(c, cell)
	default:
		cell.Bad = "the cell is of a type that is not known"
	}
	return nil
}

func (s *Rows) fromTable(c *cellParts, cell *Cell) error {
	table, err := s.book.shared()
	if err != nil {
		return err
	}
	text := bytes.TrimSpace(s.arena[c.from:])
	n, ok := digitsOf(text)
	if ok {
		cell.shared, ok = table.get(uint64(n))
	}
	if !ok {
		cell.Bad = fmt.Sprintf("the cell refers to text %s of the workbook, which has %d", fault.Cut(text), len(table.refs))
	}
	s.arena = s.arena[:c.from]
	return nil
}

func (s *Rows) boolean(c *cellParts, cell *Cell) {
	cell.Kind = Bool
	switch text := string(s.arena[c.from:]); text {
	case "1", "true":
		s.arena = append(s.arena[:c.from], "true"...)
	case "0", "false":
		s.arena = append(s.arena[:c.from], "false"...)
	default:
		cell.Bad = "neither true nor false"
	}
}

// isoDate takes a date that is written as one, as Strict Open XML has it.
func (s *Rows) isoDate(c *cellParts, cell *Cell) {
	cell.Kind = Date
	text := string(s.arena[c.from:])
	text = strings.TrimSuffix(text, "Z") // spreadsheets know no zones
	for _, form := range []string{"2006-01-02", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "15:04:05.999999999"} {
		t, err := time.Parse(form, text)
		if err != nil {
			continue
		}
		if form == "2006-01-02T15:04" {
			form = "2006-01-02T15:04:05"
		}
		s.arena = t.AppendFormat(s.arena[:c.from], form)
		return
	}
	cell.Bad = "the cell should hold a date"
}

// number gives a number as it is meant, or the date it stands for.
func (s *Rows) number(c *cellParts, cell *Cell) {
	raw := bytes.TrimSpace(s.arena[c.from:])
	look := shape(0)
	if c.style >= 0 && c.style < len(s.book.styles) {
		look = s.book.styles[c.style]
	}
	if look == 0 && (s.Dates == nil || !s.Dates(s.column)) {
		cell.Kind = Number
		if plainDigits(raw) && len(raw) == len(s.arena)-c.from {
			return
		}
		number, reason := appendNumber(nil, raw)
		s.arena, cell.Bad = append(s.arena[:c.from], number...), reason
		return
	}
	cell.Kind = Date
	moment, reason := appendMoment(nil, raw, look, s.book.since04)
	s.arena, cell.Bad = append(s.arena[:c.from], moment...), reason
}

// plainDigits tells numbers that are exact as they stand: few digits, no exponent, no needless zeros.
func plainDigits(b []byte) bool {
	if len(b) > 1 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > Digits || b[0] == '0' && len(b) > 1 && b[1] != '.' {
		return false
	}
	point := false
	for i, c := range b {
		switch {
		case c-'0' <= 9:
		case c == '.' && !point && i > 0 && i < len(b)-1:
			point = true
		default:
			return false
		}
	}
	return true
}

// appendNumber writes a number without exponent and with the digits that are meant. A spreadsheet keeps numbers as binary fractions
// of 15 decimal digits and writes 17, so that 19.9 stands there as 19.899999999999999. Whole numbers without exponent are exact however long, since
// whoever writes them so knows every digit; long ones with an exponent have lost their last digits.
func appendNumber(dst, raw []byte) ([]byte, string) {
	n, ok := splitNumber(raw)
	switch {
	case !ok:
		return dst, fmt.Sprintf("%q is no number", fault.Cut(raw))
	case len(n.digits) == 0:
		return append(dst, '0'), ""
	case !n.exponent && !n.fraction && len(raw) <= 500:
		return n.append(dst), ""
	case n.point > Digits:
		return dst, fmt.Sprintf("precision: the last digits of %s are lost, a spreadsheet keeps %d: have the column written as text", fault.Cut(raw), Digits)
	case len(n.digits) > 17 && !n.exponent && len(n.digits) <= 500: // no spreadsheet writes so many: they are meant
		return n.append(dst), ""
	}
	if len(n.digits) > Digits {
		v, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return dst, fmt.Sprintf("%q is no number", fault.Cut(raw))
		}
		n, _ = splitNumber(strconv.AppendFloat(nil, v, 'e', Digits-1, 64))
	}
	if n.point < -300 {
		return dst, fmt.Sprintf("%s is too small a number", fault.Cut(raw))
	}
	return n.append(dst), ""
}

// numeral is a number taken apart: 0.digits × 10^point, without zeros at either end.
type numeral struct {
	digits             []byte
	point              int
	negative           bool
	fraction, exponent bool
}

func splitNumber(raw []byte) (n numeral, ok bool) {
	i := 0
	if i < len(raw) && (raw[i] == '-' || raw[i] == '+') {
		n.negative = raw[i] == '-'
		i++
	}
	some, behind, trailing := false, false, 0
	for ; i < len(raw); i++ {
		c := raw[i]
		if c == '.' && !behind {
			behind, n.fraction = true, true
			continue
		}
		if c-'0' > 9 {
			break
		}
		some = true
		if !behind && (len(n.digits) > 0 || c != '0') {
			n.point++
		}
		if behind && len(n.digits) == 0 && c == '0' {
			n.point--
			continue
		}
		if len(n.digits) == 0 && c == '0' {
			continue
		}
		n.digits = append(n.digits, c)
		if trailing++; c != '0' {
			trailing = 0
		}
	}
	n.digits = n.digits[:len(n.digits)-trailing]
	if i < len(raw) && (raw[i] == 'e' || raw[i] == 'E') {
		e, err := strconv.Atoi(string(raw[i+1:]))
		if err != nil || e > 1000 || e < -1000 {
			return n, false
		}
		n.point, n.exponent, i = n.point+e, true, len(raw)
	}
	return n, some && i == len(raw)
}

// append writes it without exponent.
func (n *numeral) append(dst []byte) []byte {
	if n.negative {
		dst = append(dst, '-')
	}
	if n.point <= 0 {
		dst = append(dst, "0."...)
		for range -n.point {
			dst = append(dst, '0')
		}
		return append(dst, n.digits...)
	}
	if n.point < len(n.digits) {
		return append(append(append(dst, n.digits[:n.point]...), '.'), n.digits[n.point:]...)
	}
	dst = append(dst, n.digits...)
	for range n.point - len(n.digits) {
		dst = append(dst, '0')
	}
	return dst
}
