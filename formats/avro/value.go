package avro

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	integer "math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"waybill/formats/jsonvalue"
)

// A failure says why the rest of a file cannot be read.
type failure struct {
	at     int // in the block
	limit  string
	reason string
}

// A maker turns the bytes of a record into JSON. Its functions tell whether they could; if not, fail says why and the rest of the
// file cannot be read, for nothing but the values themselves says where they end.
type maker struct {
	limits Limits
	data   []byte // of the block
	i      int
	out    []byte
	path   []string // fields that are being read
	fail   failure
	odd    string // what is wrong with the record, though it is clear where it ends
}

func (v *maker) failAt(i int, format string, args ...any) bool {
	v.fail = failure{at: i, reason: v.where() + fmt.Sprintf(format, args...)}
	return false
}

func (v *maker) overAt(i int, limit, format string, args ...any) bool {
	v.failAt(i, format, args...)
	v.fail.limit = limit
	return false
}

// wrong notes what is wrong with the record.
func (v *maker) wrong(format string, args ...any) bool {
	if v.odd == "" {
		v.odd = v.where() + fmt.Sprintf(format, args...)
	}
	v.out = append(v.out, "null"...)
	return true
}

// where names the field that is being read.
func (v *maker) where() string {
	const most = 6 // of a path that leads back to itself
	if len(v.path) == 0 {
		return ""
	}
	if len(v.path) > most {
		return "field " + strings.Join(v.path[:most], ".") + ".…: "
	}
	return "field " + strings.Join(v.path, ".") + ": "
}

// value writes the value that is next.
func (v *maker) value(t *schemaType, depth int) bool {
	switch t.kind {
	case kindNull:
		v.out = append(v.out, "null"...)
	case kindBoolean:
		return v.boolean()
	case kindInt, kindLong:
		n, ok := v.long()
		return ok && v.number(t, n)
	case kindFloat:
		b, ok := v.take(4)
		return ok && v.float(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
	case kindDouble:
		b, ok := v.take(8)
		return ok && v.float(math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
	case kindBytes:
		b, ok := v.bytes()
		return ok && v.binary(t, b)
	case kindFixed:
		b, ok := v.take(t.size)
		return ok && v.binary(t, b)
	case kindString:
		b, ok := v.bytes()
		return ok && v.text(b)
	case kindEnum:
		n, ok := v.long()
		if !ok {
			return false
		}
		if n < 0 || n >= int64(len(t.symbols)) {
			return v.wrong("the symbol %d of the %d that there are", n, len(t.symbols))
		}
		v.out = append(v.out, t.symbols[n]...)
	case kindUnion:
		n, ok := v.long()
		if !ok {
			return false
		}
		if n < 0 || n >= int64(len(t.union)) {
			return v.failAt(v.i, "the branch %d of a union of %d types", n, len(t.union))
		}
		return v.value(t.union[n], depth)
	case kindRecord:
		return v.deeper(depth) && v.record(t, depth)
	default:
		return v.deeper(depth) && v.items(t, depth)
	}
	return true
}

func (v *maker) deeper(depth int) bool {
	if depth > v.limits.MaxDepth {
		return v.overAt(v.i, "max_depth", "values are nested deeper than %d (max_depth)", v.limits.MaxDepth)
	}
	return true
}

// fits tells whether the record is not yet longer than it may be.
func (v *maker) fits() bool {
	if len(v.out) > int(v.limits.MaxRecord) {
		return v.overAt(v.i, "max_record", "the record is longer than max_record, %s, as JSON", v.limits.MaxRecord)
	}
	return true
}

func (v *maker) record(t *schemaType, depth int) bool {
	v.out = append(v.out, '{')
	for i := range t.fields {
		f := &t.fields[i]
		if i > 0 {
			v.out = append(v.out, ',')
		}
		v.out = append(v.out, f.key...)
		v.path = append(v.path, f.name)
		if !v.value(f.of, depth+1) || !v.fits() {
			return false
		}
		v.path = v.path[:len(v.path)-1]
	}
	v.out = append(v.out, '}')
	return true
}

// items writes the items of an array or a map, which come in blocks, each behind its count.
func (v *maker) items(t *schemaType, depth int) bool {
	begin, end := byte('['), byte(']')
	if t.kind == kindMap {
		begin, end = '{', '}'
	}
	v.out = append(v.out, begin)
	for first := true; ; {
		n, ok := v.long()
		if ok && n < 0 { // and how long the block is, for who passes over it
			_, ok = v.long()
			n = -n
		}
		switch {
		case !ok:
			return false
		case n < 0:
			return v.failAt(v.i, "a count of items that is no number")
		case n == 0:
			v.out = append(v.out, end)
			return true
		}
		for range n { // each writes at least a byte, so that max_record ends it
			if !first {
				v.out = append(v.out, ',')
			}
			first = false
			if t.kind == kindMap && !v.key() || !v.value(t.of, depth+1) || !v.fits() {
				return false
			}
		}
	}
}

func (v *maker) key() bool {
	b, ok := v.bytes()
	if !ok {
		return false
	}
	if !utf8.Valid(b) {
		return v.failAt(v.i, "a key of a map is not valid UTF-8")
	}
	v.out = append(jsonvalue.AppendString(v.out, b), ':')
	return true
}

// long reads a number.
func (v *maker) long() (int64, bool) {
	if v.i < len(v.data) && v.data[v.i] < 0x80 { // as most are
		n := v.data[v.i]
		v.i++
		return int64(n>>1) ^ -int64(n&1), true
	}
	n, size := binary.Uvarint(v.data[v.i:])
	if size <= 0 {
		return 0, v.failAt(v.i, "a number that is cut off, or has more than 64 bits")
	}
	v.i += size
	return int64(n>>1) ^ -int64(n&1), true
}

// take passes so many bytes.
func (v *maker) take(n int) ([]byte, bool) {
	if n > len(v.data)-v.i {
		return nil, v.failAt(v.i, "a value of %d bytes, where %d are left of the block", n, len(v.data)-v.i)
	}
	b := v.data[v.i : v.i+n : v.i+n]
	v.i += n
	return b, true
}

// bytes passes what stands behind its length.
func (v *maker) bytes() ([]byte, bool) {
	at := v.i
	n, ok := v.long()
	switch {
	case !ok:
		return nil, false
	case n < 0 || n > int64(len(v.data)-v.i):
		return nil, v.failAt(at, "a value of %d bytes, where %d are left of the block", n, len(v.data)-v.i)
	case n > int64(v.limits.MaxField):
		return nil, v.overAt(at, "max_field", "a value is longer than max_field, %s", v.limits.MaxField)
	}
	return v.take(int(n))
}

func (v *maker) boolean() bool {
	b, ok := v.take(1)
	switch {
	case !ok:
		return false
	case b[0] == 0:
		v.out = append(v.out, "false"...)
	case b[0] == 1:
		v.out = append(v.out, "true"...)
	default:
		return v.wrong("the byte %d for a boolean, which is 0 or 1", b[0])
	}
	return true
}

func (v *maker) text(b []byte) bool {
	if !utf8.Valid(b) {
		return v.wrong("a text that is not valid UTF-8")
	}
	v.out = jsonvalue.AppendString(v.out, b)
	return true
}

func (v *maker) float(f float64, bits int) bool {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		v.out = append(jsonvalue.AppendFloat(append(v.out, '"'), f, bits), '"')
		return true
	}
	v.out = jsonvalue.AppendFloat(v.out, f, bits)
	return true
}

// binary writes bytes: a decimal as a number, what nobody knows the meaning of as base64.
func (v *maker) binary(t *schemaType, b []byte) bool {
	switch t.logical {
	case asDecimal:
		return v.decimal(b, t.scale)
	case asUUID:
		v.out = append(v.out, '"')
		for i, n := range []int{4, 2, 2, 2, 6} {
			if i > 0 {
				v.out = append(v.out, '-')
			}
			v.out = hex.AppendEncode(v.out, b[:n])
			b = b[n:]
		}
		v.out = append(v.out, '"')
	case asDuration:
		le := binary.LittleEndian
		ms := le.Uint32(b[8:])
		v.out = fmt.Appendf(v.out, `"P%dM%dDT%d.%03dS"`, le.Uint32(b), le.Uint32(b[4:]), ms/1000, ms%1000)
	default:
		v.out = append(base64.StdEncoding.AppendEncode(append(v.out, '"'), b), '"')
	}
	return true
}

// decimal writes a number of which the bytes, the most significant first, are the digits without a point.
func (v *maker) decimal(b []byte, scale int) bool {
	const most = 416 // bytes, which so many digits need
	if len(b) > most {
		return v.wrong("a decimal of more than %d digits", mostDigits)
	}
	n := new(integer.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(integer.Int).Lsh(integer.NewInt(1), uint(8*len(b))))
		v.out = append(v.out, '-')
	}
	digits := n.Abs(n).String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	point := len(digits) - scale
	v.out = append(v.out, digits[:point]...)
	if scale > 0 {
		v.out = append(append(v.out, '.'), digits[point:]...)
	}
	return true
}

// number writes a whole number as what it stands for.
func (v *maker) number(t *schemaType, n int64) bool {
	if t.kind == kindInt && n != int64(int32(n)) {
		return v.wrong("%d, which is no int of 32 bits", n)
	}
	const day = 86400
	switch t.logical {
	case asDate:
		return v.moment(n*day, 0, time.DateOnly, "")
	case asTimeMillis, asTimeMicros:
		units := int64(1e3)
		if t.logical == asTimeMicros {
			units = 1e6
		}
		if n < 0 || n >= day*units {
			return v.wrong("%d is no time of day", n)
		}
		return v.moment(n/units, n%units*(1e9/units), time.TimeOnly, "")
	case asMillis, asMicros, asNanos:
		return v.instant(n, [...]int64{1e3, 1e6, 1e9}[t.logical-asMillis], "Z")
	case asLocalMillis, asLocalMicros, asLocalNanos:
		return v.instant(n, [...]int64{1e3, 1e6, 1e9}[t.logical-asLocalMillis], "")
	}
	v.out = strconv.AppendInt(v.out, n, 10)
	return true
}

// instant writes so many units since 1970, of which a second has some.
func (v *maker) instant(n, units int64, zone string) bool {
	seconds, rest := n/units, n%units
	if rest < 0 {
		seconds, rest = seconds-1, rest+units
	}
	return v.moment(seconds, rest*(1e9/units), "2006-01-02T15:04:05", zone)
}

func (v *maker) moment(seconds, nanos int64, layout, zone string) bool {
	out, ok := jsonvalue.AppendMoment(append(v.out, '"'), seconds, nanos, layout)
	if !ok {
		return v.wrong("a time that is not in the years 1 to 9999")
	}
	v.out = append(append(out, zone...), '"')
	return true
}
