package jobs

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"waybill/formats"
	"waybill/formats/jsonvalue"
	"waybill/jobs/expression"
)

// field is one declared field, ready to check cells and to write them.
type field struct {
	name     string
	kind     expression.Kind
	cell     int  // index of its cell; -1: computed
	tree     bool // raw, or a list or object whose fields nobody declared: JSON text, passed on as it is
	required bool
	trim     bool
	keep     bool   // an empty text is a value
	fallback *value // of a field that is not there

	number    number
	implied   implied
	low, high []byte // canonical, nil: open
	length    *span
	pattern   *matcher
	oneOf     [][]byte
	yes, no   [][]byte
	limited   bool // any of low, high, length, pattern, oneOf
	layout    *layout
	program   *expression.Program // computed
	needs     needs
	fields    []field // of a list or an object
}

// value is a checked cell: its canonical text, which lives as long as the record, or its rows.
type value struct {
	set  bool
	text []byte
	rows [][]value
}

// maker turns cells into values. What it makes stays valid until reset.
type maker struct {
	arena  []byte
	values []value
	rows   [][]value
	utf8   bool // cells come from a query: nobody has looked at their bytes yet
}

func (m *maker) reset() { m.arena, m.values, m.rows = m.arena[:0], m.values[:0], m.rows[:0] }

// fault is what is wrong with one field.
type fault struct {
	field  string
	value  []byte
	reason string
}

func (f *fault) Error() string { return "field " + f.field + ": " + f.reason }

// absent reports whether the cell holds nothing for a field, whatever its type.
func (f *field) absent(k formats.Kind, text []byte) bool {
	switch k {
	case formats.Absent:
		return true
	case formats.Null:
		return !f.tree || f.kind != expression.KindAny
	case formats.Text:
		return len(text) == 0 && !f.keep
	}
	return false
}

// make checks one cell and puts the value into v. On a fault v is not set.
func (m *maker) make(f *field, c *formats.Cell, v *value) *fault {
	text := c.Bytes
	if c.Kind == formats.Text && f.trim {
		text = trimSpace(text)
	}
	v.set, v.rows = false, nil
	if f.absent(c.Kind, text) {
		if f.fallback != nil {
			*v = *f.fallback
		} else if f.required {
			return &fault{f.name, nil, "is missing"}
		}
		return nil
	}
	if m.utf8 && !utf8.Valid(text) {
		return &fault{f.name, text, "is not UTF-8"}
	}
	if c.Kind == formats.Nested {
		return m.nested(f, c, v)
	}
	if f.kind == expression.KindString && c.Kind == formats.Text {
		v.text = text
	} else {
		var reason string
		if v.text, reason = m.canonical(f, c.Kind, text); reason != "" {
			return &fault{f.name, text, reason}
		}
	}
	if f.limited {
		if reason := f.limits(text, v.text); reason != "" {
			return &fault{f.name, text, reason}
		}
	}
	v.set = true
	return nil
}

func trimSpace(b []byte) []byte {
	if trimmed(b) {
		return b
	}
	return bytes.TrimSpace(b)
}

// trimmed reports that b is neither empty nor has spaces at its ends, where that is seen at a glance.
func trimmed(b []byte) bool {
	return len(b) > 0 && b[0]-'!' < utf8.RuneSelf-'!' && b[len(b)-1]-'!' < utf8.RuneSelf-'!'
}

// canonical is the text of a cell as it goes on, and what is wrong with it.
func (m *maker) canonical(f *field, k formats.Kind, cell []byte) (text []byte, reason string) {
	if f.tree {
		return m.treeText(f, k, cell)
	}
	if k == formats.Tree {
		return nil, "is a list or an object, not " + f.kind.Noun()
	}
	if f.implied != (implied{}) && (k == formats.Text || k == formats.Number) {
		if cell, reason = m.spell(f, cell); reason != "" {
			return nil, reason
		}
		k = formats.Number // its mark is a point
	}
	switch f.kind {
	case expression.KindString:
		if k == formats.Bool {
			return nil, "is true or false, not text"
		}
		return cell, ""
	case expression.KindInteger:
		text, rest, ok := f.numberOf(k).integer(m.arena, cell)
		m.arena = rest
		if !ok {
			return nil, "is not an integer of at most 64 bits"
		}
		return text, ""
	case expression.KindDecimal:
		return m.decimal(f, k, cell)
	case expression.KindNumber:
		return m.float(f, k, cell)
	case expression.KindBoolean:
		return f.boolean(k, cell)
	case expression.KindBytes:
		return m.base64(cell)
	}
	return m.time(f, k, cell)
}

// numberOf is how numbers are written in a cell: JSON's own have a point whatever the file says of its texts.
func (f *field) numberOf(k formats.Kind) *number {
	if k == formats.Number {
		return &number{point: '.'}
	}
	return &f.number
}

func (m *maker) decimal(f *field, k formats.Kind, cell []byte) ([]byte, string) {
	n := f.numberOf(k)
	text, rest, ok := n.decimal(m.arena, cell)
	m.arena = rest
	if ok {
		return text, ""
	}
	if k == formats.Number { // an exponent
		if d, err := expression.ParseDecimal(cell); err == nil {
			return []byte(d.String()), ""
		}
	}
	return nil, "is not a decimal number written with " + strconv.QuoteRune(rune(n.point))
}

func (m *maker) float(f *field, k formats.Kind, cell []byte) ([]byte, string) {
	text, rest, ok := f.numberOf(k).decimal(m.arena, cell)
	m.arena = rest
	if ok {
		return text, ""
	}
	v, err := strconv.ParseFloat(string(cell), 64)
	if err != nil || v != v || v-v != 0 {
		return nil, "is not a number"
	}
	at := len(m.arena)
	m.arena = strconv.AppendFloat(m.arena, v, 'g', -1, 64)
	return m.arena[at:], ""
}

func (f *field) boolean(k formats.Kind, cell []byte) ([]byte, string) {
	if k == formats.Bool {
		return cell, ""
	}
	if holds(f.yes, cell) {
		return []byte("true"), ""
	}
	if holds(f.no, cell) {
		return []byte("false"), ""
	}
	return nil, fmt.Sprintf("is neither true (%s) nor false (%s)", bytes.Join(f.yes, []byte(", ")), bytes.Join(f.no, []byte(", ")))
}

func holds(list [][]byte, text []byte) bool {
	return slices.ContainsFunc(list, func(b []byte) bool { return bytes.Equal(b, text) })
}

func (m *maker) base64(cell []byte) ([]byte, string) {
	at := len(m.arena)
	if bytes.ContainsAny(cell, " \t\r\n") { // XML and mail break it into lines
		for _, c := range cell {
			if c > ' ' {
				m.arena = append(m.arena, c)
			}
		}
		cell, at = m.arena[at:len(m.arena):len(m.arena)], len(m.arena)
	}
	m.arena = slices.Grow(m.arena, len(cell))
	if _, err := base64.StdEncoding.Strict().Decode(m.arena[at:at+base64.StdEncoding.DecodedLen(len(cell))], cell); err != nil {
		return nil, "is not base64"
	}
	return cell, ""
}

func (m *maker) time(f *field, k formats.Kind, cell []byte) ([]byte, string) {
	if k == formats.Date {
		return m.moment(f, cell)
	}
	if k != formats.Text {
		return nil, "is not " + f.kind.Noun() + " written as text"
	}
	if f.layout.steps != "" && f.kind != expression.KindDateTime {
		text, rest, ok := f.layout.iso(m.arena, cell, f.kind)
		m.arena = rest
		if !ok {
			return nil, "is not " + f.kind.Noun() + " written as " + f.layout.format
		}
		return text, ""
	}
	t, ok := f.layout.parse(cell)
	if !ok || t.Year() < 0 || t.Year() > 9999 {
		return nil, "is not " + f.kind.Noun() + " written as " + f.layout.shown(f.kind)
	}
	at := len(m.arena)
	m.arena = t.AppendFormat(m.arena, isoForm(f.kind))
	return m.arena[at:], ""
}

func isoForm(k expression.Kind) string {
	switch k {
	case expression.KindDate:
		return isoDate
	case expression.KindTime:
		return isoTime
	}
	return isoDateTime
}

func (l *layout) shown(k expression.Kind) string {
	if l.format != "" {
		return l.format
	}
	return "2026-03-31T08:15:00+02:00"
}

// treeText is the JSON text of whatever the cell holds.
func (m *maker) treeText(f *field, k formats.Kind, cell []byte) ([]byte, string) {
	text := cell
	switch k {
	case formats.Null:
		text = []byte("null")
	case formats.Text, formats.Date:
		at := len(m.arena)
		m.arena = jsonvalue.AppendString(m.arena, cell)
		text = m.arena[at:]
	}
	switch {
	case f.kind == expression.KindList && text[0] != '[':
		return nil, "is not a list"
	case f.kind == expression.KindObject && text[0] != '{':
		return nil, "is not an object"
	}
	return text, ""
}

// limits checks min, max, length, pattern and one_of; text is canonical.
func (f *field) limits(cell, text []byte) string {
	if f.low != nil && f.order(text, f.low) < 0 {
		return "is less than " + string(f.low)
	}
	if f.high != nil && f.order(text, f.high) > 0 {
		return "is greater than " + string(f.high)
	}
	if f.length != nil {
		if n := int64(utf8.RuneCount(text)); !f.length.holds(n) {
			return fmt.Sprintf("has %d characters, not %s", n, f.length)
		}
	}
	if f.pattern != nil && !f.pattern.matches(cell) {
		return "does not match " + f.pattern.String()
	}
	if f.oneOf != nil && !holds(f.oneOf, text) {
		return "is none of " + string(bytes.Join(f.oneOf, []byte(", ")))
	}
	return ""
}

func (f *field) order(a, b []byte) int {
	switch f.kind {
	case expression.KindInteger, expression.KindDecimal:
		return compare(a, b)
	case expression.KindNumber:
		x, _ := strconv.ParseFloat(string(a), 64)
		y, _ := strconv.ParseFloat(string(b), 64)
		return cmp.Compare(x, y)
	case expression.KindDateTime:
		x, _ := time.Parse(isoDateTime, string(a))
		y, _ := time.Parse(isoDateTime, string(b))
		return x.Compare(y)
	}
	return bytes.Compare(a, b)
}

// nested checks the elements of a list, or the fields of an object.
func (m *maker) nested(f *field, c *formats.Cell, v *value) *fault {
	if f.length != nil && !f.length.holds(int64(len(c.Rows))) {
		return &fault{f.name, nil, fmt.Sprintf("has %d elements, not %s", len(c.Rows), f.length)}
	}
	v.text, v.rows = nil, m.newRows(len(c.Rows))
	for i, cells := range c.Rows {
		v.rows[i] = m.newRow(len(f.fields))
		for j := range f.fields {
			g := &f.fields[j]
			bad := m.make(g, &cells[g.cell], &v.rows[i][j])
			if bad == nil {
				continue
			}
			bad.field = f.name + "." + bad.field
			if f.kind == expression.KindList {
				bad.field = fmt.Sprintf("%s[%d]%s", f.name, i+1, bad.field[len(f.name):])
			}
			return bad
		}
	}
	v.set = true
	return nil
}

func (m *maker) newRow(n int) []value {
	at := len(m.values)
	m.values = append(m.values, make([]value, n)...)
	return m.values[at : at+n : at+n]
}

func (m *maker) newRows(n int) [][]value {
	at := len(m.rows)
	m.rows = append(m.rows, make([][]value, n)...)
	return m.rows[at : at+n : at+n]
}

// copy keeps v beyond the record it was made from.
func (m *maker) copy(v value) value {
	if v.text != nil {
		at := len(m.arena)
		m.arena = append(m.arena, v.text...)
		v.text = m.arena[at:len(m.arena):len(m.arena)]
	}
	if v.rows == nil {
		return v
	}
	rows := m.newRows(len(v.rows))
	for i, row := range v.rows {
		rows[i] = m.newRow(len(row))
		for j := range row {
			rows[i][j] = m.copy(row[j])
		}
	}
	v.rows = rows
	return v
}
