package formats

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
)

// An avroValue turns the bytes of a record into JSON. Its functions tell whether they could; if not, fail says why and the rest of the
// file cannot be read, for nothing but the values themselves says where they end.
type avroValue struct {
	limits Limits
	data   []byte // of the block
	i      int
	out    []byte
	path   []string // fields that are being read
	fail   failure
	odd    string // what is wrong with the record, though it is clear where it ends
}

func (v *avroValue) failAt(i int, format string, args ...any) bool {
	v.fail = failure{at: i, reason: v.where() + fmt.Sprintf(format, args...)}
	return false
}

func (v *avroValue) overAt(i int, limit, format string, args ...any) bool {
	v.failAt(i, format, args...)
	v.fail.limit = limit
	return false
}

// wrong notes what is wrong with the record.
func (v *avroValue) wrong(format string, args ...any) bool {
	if v.odd == "" {
		v.odd = v.where() + fmt.Sprintf(format, args...)
	}
	v.out = append(v.out, "null"...)
	return true
}

// where names the field that is being read.
func (v *avroValue) where() string {
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
func (v *avroValue) value(t *avroType, depth int) bool {
	switch t.kind {
	case avroNull:
		v.out = append(v.out, "null"...)
	case avroBoolean:
		return v.boolean()
	case avroInt, avroLong:
		n, ok := v.long()
		return ok && v.number(t, n)
	case avroFloat:
		b, ok := v.take(4)
		return ok && v.float(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
	case avroDouble:
		b, ok := v.take(8)
		return ok && v.float(math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
	case avroBytes:
		b, ok := v.bytes()
		return ok && v.binary(t, b)
	case avroFixed:
		b, ok := v.take(t.size)
		return ok && v.binary(t, b)
	case avroString:
		b, ok := v.bytes()
		return ok && v.text(b)
	case avroEnum:
		n, ok := v.long()
		if !ok {
			return false
		}
		if n < 0 || n >= int64(len(t.symbols)) {
			return v.wrong("the symbol %d of the %d that there are", n, len(t.symbols))
		}
		v.out = append(v.out, t.symbols[n]...)
	case avroUnion:
		n, ok := v.long()
		if !ok {
			return false
		}
		if n < 0 || n >= int64(len(t.union)) {
			return v.failAt(v.i, "the branch %d of a union of %d types", n, len(t.union))
		}
		return v.value(t.union[n], depth)
	case avroRecord:
		return v.deeper(depth) && v.record(t, depth)
	default:
		return v.deeper(depth) && v.items(t, depth)
	}
	return true
}

func (v *avroValue) deeper(depth int) bool {
	if depth > v.limits.MaxDepth {
		return v.overAt(v.i, "max_depth", "values are nested deeper than %d (max_depth)", v.limits.MaxDepth)
	}
	return true
}

// fits tells whether the record is not yet longer than it may be.
func (v *avroValue) fits() bool {
	if len(v.out) > int(v.limits.MaxRecord) {
		return v.overAt(v.i, "max_record", "the record is longer than max_record, %s, as JSON", v.limits.MaxRecord)
	}
	return true
}

func (v *avroValue) record(t *avroType, depth int) bool {
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
func (v *avroValue) items(t *avroType, depth int) bool {
	begin, end := byte('['), byte(']')
	if t.kind == avroMap {
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
			if t.kind == avroMap && !v.key() || !v.value(t.of, depth+1) || !v.fits() {
				return false
			}
		}
	}
}

func (v *avroValue) key() bool {
	b, ok := v.bytes()
	if !ok {
		return false
	}
	if !utf8.Valid(b) {
		return v.failAt(v.i, "a key of a map is not valid UTF-8")
	}
	v.out = append(AppendJSONString(v.out, b), ':')
	return true
}

// long reads a number.
func (v *avroValue) long() (int64, bool) {
	n, next, ok := uvarint(v.data, v.i)
	if !ok {
		return 0, v.failAt(v.i, "a number that is cut off, or has more than 64 bits")
	}
	v.i = next
	return int64(n>>1) ^ -int64(n&1), true
}

// take passes so many bytes.
func (v *avroValue) take(n int) ([]byte, bool) {
	if n > len(v.data)-v.i {
		return nil, v.failAt(v.i, "a value of %d bytes, where %d are left of the block", n, len(v.data)-v.i)
	}
	b := v.data[v.i : v.i+n : v.i+n]
	v.i += n
	return b, true
}

// bytes passes what stands behind its length.
func (v *avroValue) bytes() ([]byte, bool) {
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

func (v *avroValue) boolean() bool {
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

func (v *avroValue) text(b []byte) bool {
	if !utf8.Valid(b) {
		return v.wrong("a text that is not valid UTF-8")
	}
	v.out = AppendJSONString(v.out, b)
	return true
}

func (v *avroValue) float(f float64, bits int) bool {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		v.out = append(appendFloat(append(v.out, '"'), f, bits), '"')
		return true
	}
	v.out = appendFloat(v.out, f, bits)
	return true
}

// binary writes bytes: a decimal as a number, what nobody knows the meaning of as base64.
func (v *avroValue) binary(t *avroType, b []byte) bool {
	switch t.logical {
	case avroDecimal:
		return v.decimal(b, t.scale)
	case avroUUID:
		v.out = append(v.out, '"')
		for i, n := range []int{4, 2, 2, 2, 6} {
			if i > 0 {
				v.out = append(v.out, '-')
			}
			v.out = hex.AppendEncode(v.out, b[:n])
			b = b[n:]
		}
		v.out = append(v.out, '"')
	case avroDuration:
		le := binary.LittleEndian
		ms := le.Uint32(b[8:])
		v.out = fmt.Appendf(v.out, `"P%dM%dDT%d.%03dS"`, le.Uint32(b), le.Uint32(b[4:]), ms/1000, ms%1000)
	default:
		v.out = append(base64.StdEncoding.AppendEncode(append(v.out, '"'), b), '"')
	}
	return true
}

// decimal writes a number of which the bytes, the most significant first, are the digits without a point.
func (v *avroValue) decimal(b []byte, scale int) bool {
	const most = 416 // bytes, which so many digits need
	if len(b) > most {
		return v.wrong("a decimal of more than %d digits", avroDigits)
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
func (v *avroValue) number(t *avroType, n int64) bool {
	if t.kind == avroInt && n != int64(int32(n)) {
		return v.wrong("%d, which is no int of 32 bits", n)
	}
	const day = 86400
	switch t.logical {
	case avroDate:
		return v.moment(n*day, 0, time.DateOnly, "")
	case avroTimeMillis, avroTimeMicros:
		units := int64(1e3)
		if t.logical == avroTimeMicros {
			units = 1e6
		}
		if n < 0 || n >= day*units {
			return v.wrong("%d is no time of day", n)
		}
		return v.moment(n/units, n%units*(1e9/units), time.TimeOnly, "")
	case avroMillis, avroMicros, avroNanos:
		return v.instant(n, [...]int64{1e3, 1e6, 1e9}[t.logical-avroMillis], "Z")
	case avroLocalMillis, avroLocalMicros, avroLocalNanos:
		return v.instant(n, [...]int64{1e3, 1e6, 1e9}[t.logical-avroLocalMillis], "")
	}
	v.out = strconv.AppendInt(v.out, n, 10)
	return true
}

// instant writes so many units since 1970, of which a second has some.
func (v *avroValue) instant(n, units int64, zone string) bool {
	seconds, rest := n/units, n%units
	if rest < 0 {
		seconds, rest = seconds-1, rest+units
	}
	return v.moment(seconds, rest*(1e9/units), "2006-01-02T15:04:05", zone)
}

func (v *avroValue) moment(seconds, nanos int64, layout, zone string) bool {
	if seconds < firstSecond || seconds > lastSecond {
		return v.wrong("a time that is not in the years 1 to 9999")
	}
	v.out = time.Unix(seconds, 0).UTC().AppendFormat(append(v.out, '"'), layout)
	v.out = append(append(appendFraction(v.out, nanos), zone...), '"')
	return true
}
