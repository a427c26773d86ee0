package expression

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"
)

// Bounds of a decimal, so that a short text cannot stand for a huge number:
// 1e1000000000 would take a gigabyte as soon as something is added to it.
const (
	maxDigits   = 1000 // before and after the point, each
	maxExponent = maxDigits
)

// divisionDigits is how many digits a quotient keeps when it does not come out
// even, counted from its first digit that is not zero. It is rounded half away
// from zero, as round is.
const divisionDigits = 34

var (
	errNotDecimal  = errors.New("is not a decimal, such as 12.50")
	errLarge       = fmt.Errorf("has more than %d digits before or after the point", maxDigits)
	errZeroDivisor = errors.New("division by zero")
	errNotFinite   = errors.New("is not a finite number")
)

// Decimal is an exact decimal number. It keeps its scale: 24.910 stays 24.910.
// The zero value is 0. Compare with Equal or Cmp, not with ==.
type Decimal struct {
	small int64            // the coefficient, if wide is nil
	scale int32            // how many of its digits stand behind the point
	wide  *decimal.Decimal // what does not fit in 18 digits
}

// smallDigits is how many digits always fit in an int64.
const smallDigits = 18

// d is the number as the library has it.
func (d Decimal) d() decimal.Decimal {
	if d.wide != nil {
		return *d.wide
	}
	return decimal.New(d.small, -d.scale)
}

// fromWide is the number, small if it can be.
func fromWide(d decimal.Decimal) Decimal {
	if e := d.Exponent(); e <= 0 && e >= -smallDigits && d.NumDigits() <= smallDigits {
		return Decimal{small: d.CoefficientInt64(), scale: -e}
	}
	return Decimal{wide: &d}
}

// ParseDecimal reads digits with an optional sign, point and exponent.
func ParseDecimal[T string | []byte](text T) (Decimal, error) {
	s := string(text)
	if d, ok := parseSmall(s); ok {
		return d, nil
	}
	if !decimalSyntax(s) {
		return Decimal{}, fmt.Errorf("%q %w", clip(s), errNotDecimal)
	}
	if len(s) > 2*maxDigits+8 {
		return Decimal{}, fmt.Errorf("%q %w", clip(s), errLarge)
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return Decimal{}, fmt.Errorf("%q %w", clip(s), errNotDecimal)
	}
	result, err := bounded(d)
	if err != nil {
		return Decimal{}, fmt.Errorf("%q %w", clip(s), err)
	}
	return result, nil
}

// parseSmall reads what nearly every number is: at most 18 digits, no exponent.
func parseSmall(s string) (Decimal, bool) {
	rest := afterSign(s)
	if len(rest) > smallDigits+1 {
		return Decimal{}, false
	}
	d, point := Decimal{}, -1
	for i := range len(rest) {
		switch b := rest[i]; {
		case b >= '0' && b <= '9':
			d.small = d.small*10 + int64(b-'0')
		case b == '.' && point < 0:
			point = i
		default:
			return Decimal{}, false
		}
	}
	count := len(rest)
	if point >= 0 {
		count--
		d.scale = int32(len(rest) - point - 1)
	}
	if count == 0 || count > smallDigits {
		return Decimal{}, false
	}
	if s[0] == '-' {
		d.small = -d.small
	}
	return d, true
}

// decimalSyntax is narrower than the library's: one sign, at most one point,
// at least one digit, an exponent of at most four digits.
func decimalSyntax(s string) bool {
	s = afterSign(s)
	whole := digits(s)
	s = s[whole:]
	fraction := 0
	if s != "" && s[0] == '.' {
		fraction = digits(s[1:])
		s = s[1+fraction:]
	}
	if whole+fraction == 0 {
		return false
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = afterSign(s[1:])
	n := digits(s)
	return n == len(s) && n >= 1 && n <= 4
}

func afterSign(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// NewDecimal is coefficient × 10^-scale.
func NewDecimal(coefficient int64, scale int) Decimal {
	if scale < 0 || scale > smallDigits {
		return fromWide(decimal.New(coefficient, -int32(scale)))
	}
	return Decimal{small: coefficient, scale: int32(scale)}
}

// decimalFromFloat is the shortest decimal that reads back as f.
func decimalFromFloat(f float64) (Decimal, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Decimal{}, errNotFinite
	}
	return ParseDecimal(strconv.FormatFloat(f, 'g', -1, 64))
}

// bounded refuses a number whose digits would take too much room.
func bounded(d decimal.Decimal) (Decimal, error) {
	if e := d.Exponent(); e > maxExponent || e < -maxExponent || d.NumDigits() > 2*maxDigits {
		return Decimal{}, errLarge
	}
	return fromWide(d), nil
}

// String writes all digits, with the scale as it is and without an exponent.
func (d Decimal) String() string { return string(d.append(nil)) }

func (d Decimal) append(dst []byte) []byte {
	if d.wide != nil {
		return append(dst, d.wide.StringFixed(max(0, -d.wide.Exponent()))...)
	}
	u := uint64(d.small)
	if d.small < 0 {
		dst = append(dst, '-')
		u = -u
	}
	start := len(dst)
	dst = strconv.AppendUint(dst, u, 10)
	if d.scale == 0 {
		return dst
	}
	for len(dst)-start <= int(d.scale) {
		dst = slices.Insert(dst, start, '0')
	}
	return slices.Insert(dst, len(dst)-int(d.scale), '.')
}

// MarshalJSON writes a JSON number, exact.
func (d Decimal) MarshalJSON() ([]byte, error) { return d.append(nil), nil }

// Scale is how many digits stand after the point.
func (d Decimal) Scale() int { return int(max(0, -d.d().Exponent())) }

// Sign is -1, 0 or 1.
func (d Decimal) Sign() int { return d.d().Sign() }

// aligned are the coefficients of two small numbers at the greater of their
// scales, if they fit.
func aligned(d, e Decimal) (x, y int64, scale int32, ok bool) {
	if d.wide != nil || e.wide != nil {
		return 0, 0, 0, false
	}
	x, y, scale, ok = d.small, e.small, d.scale, true
	for s := d.scale; s < e.scale && ok; s++ {
		x, ok = mulIntegers(x, 10)
		scale = e.scale
	}
	for s := e.scale; s < d.scale && ok; s++ {
		y, ok = mulIntegers(y, 10)
	}
	return x, y, scale, ok
}

// Cmp compares the values: 1.0 and 1.00 are the same.
func (d Decimal) Cmp(e Decimal) int {
	if x, y, _, ok := aligned(d, e); ok {
		return cmp.Compare(x, y)
	}
	return d.d().Cmp(e.d())
}

// Equal reports whether the values are the same, whatever their scale.
func (d Decimal) Equal(e Decimal) bool { return d.Cmp(e) == 0 }

// Add is the exact sum.
func (d Decimal) Add(e Decimal) (Decimal, error) {
	if x, y, scale, ok := aligned(d, e); ok {
		if z, ok := addIntegers(x, y); ok {
			return Decimal{small: z, scale: scale}, nil
		}
	}
	return bounded(d.d().Add(e.d()))
}

// Sub is the exact difference.
func (d Decimal) Sub(e Decimal) (Decimal, error) {
	if x, y, scale, ok := aligned(d, e); ok {
		if z, ok := subIntegers(x, y); ok {
			return Decimal{small: z, scale: scale}, nil
		}
	}
	return bounded(d.d().Sub(e.d()))
}

// Mul is the exact product.
func (d Decimal) Mul(e Decimal) (Decimal, error) {
	if d.wide == nil && e.wide == nil && d.scale+e.scale <= smallDigits {
		if z, ok := mulIntegers(d.small, e.small); ok {
			return Decimal{small: z, scale: d.scale + e.scale}, nil
		}
	}
	return bounded(d.d().Mul(e.d()))
}

// Quo is the quotient: exact if it has at most 34 digits, else rounded to 34,
// half away from zero. Zeros behind the point that say nothing are left out.
func (d Decimal) Quo(e Decimal) (Decimal, error) {
	x, y := d.d(), e.d()
	switch {
	case y.IsZero():
		return Decimal{}, errZeroDivisor
	case x.IsZero():
		return Decimal{}, nil
	}
	// The first digit of the quotient stands at most one place below the
	// difference of the magnitudes, so this scale keeps enough of them.
	scale := divisionDigits - (magnitude(x) - magnitude(y))
	q, rest := x.QuoRem(y, int32(scale))
	if !rest.IsZero() {
		q = x.DivRound(y, int32(scale))
		if over := q.NumDigits() - divisionDigits; over > 0 {
			q = x.DivRound(y, int32(scale-over))
		}
	}
	return bounded(stripZeros(q))
}

// Mod is the rest of the division, with the sign of d.
func (d Decimal) Mod(e Decimal) (Decimal, error) {
	if e.Sign() == 0 {
		return Decimal{}, errZeroDivisor
	}
	return bounded(d.d().Mod(e.d()))
}

// Neg is -d.
func (d Decimal) Neg() Decimal {
	if d.wide == nil && d.small != math.MinInt64 {
		d.small = -d.small
		return d
	}
	return fromWide(d.d().Neg())
}

// Abs is d without its sign.
func (d Decimal) Abs() Decimal {
	if d.Sign() < 0 {
		return d.Neg()
	}
	return d
}

// Round rounds half away from zero, to places digits after the point (before
// it, if negative). The result has exactly that scale.
func (d Decimal) Round(places int) Decimal {
	r := d.d().Round(int32(places))
	if places >= 0 && -r.Exponent() < int32(places) {
		r = rescale(r, places)
	}
	return fromWide(r)
}

// Floor is the greatest whole number that is not above d.
func (d Decimal) Floor() Decimal { return fromWide(d.d().Floor()) }

// Ceil is the least whole number that is not below d.
func (d Decimal) Ceil() Decimal { return fromWide(d.d().Ceil()) }

// Int64 is the value as an integer, if it is one and fits.
func (d Decimal) Int64() (int64, bool) {
	if d.wide == nil && d.scale == 0 {
		return d.small, true
	}
	w := d.d()
	if !w.IsInteger() {
		return 0, false
	}
	b := w.BigInt()
	return b.Int64(), b.IsInt64()
}

// Float64 is the binary number nearest to the value.
func (d Decimal) Float64() float64 { f, _ := d.d().Float64(); return f }

// magnitude is the place of the first digit: 0 for 1 to 9.99, 1 for 10 …
func magnitude(d decimal.Decimal) int { return d.NumDigits() + int(d.Exponent()) - 1 }

// rescale appends zeros until d has the scale.
func rescale(d decimal.Decimal, scale int) decimal.Decimal {
	return d.Add(decimal.New(0, -int32(scale)))
}

// stripZeros takes zeros from behind the point.
func stripZeros(d decimal.Decimal) decimal.Decimal {
	low, high := int32(0), -d.Exponent()
	for low < high { // the least scale that still holds the value
		middle := (low + high) / 2
		if d.Truncate(middle).Equal(d) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return d.Truncate(low)
}

// clip shortens text for an error.
func clip(s string) string {
	if runes := []rune(s); len(runes) > 60 {
		return string(runes[:59]) + "…"
	}
	return s
}
