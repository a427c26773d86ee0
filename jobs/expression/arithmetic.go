package expression

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

var errOverflow = errors.New("the result does not fit in an integer of 64 bits: write one of the numbers with a point")

// maxPower is the greatest exponent of **.
const maxPower = 1000

// operation is an arithmetic operator on two present values.
type operation struct {
	integers func(a, b int64) (int64, bool) // nil: not closed over the integers
	decimals func(a, b Decimal) (Decimal, error)
}

// operations are the arithmetic operators; + on text is apart.
var operations = map[string]operation{
	"+":  {addIntegers, Decimal.Add},
	"-":  {subIntegers, Decimal.Sub},
	"*":  {mulIntegers, Decimal.Mul},
	"/":  {nil, Decimal.Quo},
	"%":  {modIntegers, Decimal.Mod},
	"**": {nil, power},
	"^":  {nil, power},
}

func (o operation) apply(a, b any) (any, error) {
	if x, ok := a.(int64); ok && o.integers != nil {
		if y, ok := b.(int64); ok {
			if z, ok := o.integers(x, y); ok {
				return z, nil
			}
			if y == 0 {
				return nil, errZeroDivisor
			}
			return nil, errOverflow
		}
	}
	x, err := toDecimal(a)
	if err != nil {
		return nil, err
	}
	y, err := toDecimal(b)
	if err != nil {
		return nil, err
	}
	z, err := o.decimals(x, y)
	if err != nil {
		return nil, err
	}
	return z, nil
}

func addIntegers(a, b int64) (int64, bool) { c := a + b; return c, (c > a) == (b > 0) }
func subIntegers(a, b int64) (int64, bool) { c := a - b; return c, (c < a) == (b > 0) }

func mulIntegers(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	c := a * b
	return c, c/b == a && (c < 0) == ((a < 0) != (b < 0)) && !(a == -1 && b == math.MinInt64)
}

func modIntegers(a, b int64) (int64, bool) {
	if b == 0 || b == -1 {
		return 0, b == -1
	}
	return a % b, true
}

func power(base, exponent Decimal) (Decimal, error) {
	n, ok := exponent.Int64()
	if !ok || n < 0 || n > maxPower {
		return Decimal{}, fmt.Errorf("the exponent must be a whole number from 0 to %d, not %s", maxPower, exponent)
	}
	result := NewDecimal(1, 0)
	for ; n > 0; n >>= 1 {
		var err error
		if n&1 == 1 {
			if result, err = result.Mul(base); err != nil {
				return Decimal{}, err
			}
		}
		if n > 1 {
			if base, err = base.Mul(base); err != nil {
				return Decimal{}, err
			}
		}
	}
	return result, nil
}

func negate(v any) (any, error) {
	if i, ok := v.(int64); ok {
		if i == math.MinInt64 {
			return nil, errOverflow
		}
		return -i, nil
	}
	d, err := toDecimal(v)
	return d.Neg(), err
}

// compare orders two present values of the same sort.
func compare(a, b any) (int, error) {
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y), nil
		}
	case string:
		if y, ok := b.(string); ok {
			return cmp.Compare(x, y), nil
		}
	case Date:
		if y, ok := b.(Date); ok {
			return x.Compare(y), nil
		}
	case TimeOfDay:
		if y, ok := b.(TimeOfDay); ok {
			return x.Compare(y), nil
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y), nil
		}
	}
	x, errX := toDecimal(a)
	y, errY := toDecimal(b)
	if errX != nil || errY != nil {
		return 0, fmt.Errorf("%s and %s have no order", noun(a), noun(b))
	}
	return x.Cmp(y), nil
}

// equal compares by value: numbers of all kinds exactly, instants whatever
// their zone, lists and objects in depth. Values of different sorts differ.
func equal(r *run, a, b any) (bool, error) {
	a, b = normal(a), normal(b)
	switch x := a.(type) {
	case nil:
		return b == nil, nil
	case string:
		y, ok := b.(string)
		return ok && x == y, nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y, nil
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y), nil
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		return equalLists(r, x, y)
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		return equalObjects(r, x, y)
	}
	order, err := compare(a, b)
	return err == nil && order == 0, nil
}

func equalLists(r *run, a, b []any) (bool, error) {
	for i := range a {
		if err := r.step(); err != nil {
			return false, err
		}
		if is, err := equal(r, a[i], b[i]); !is || err != nil {
			return false, err
		}
	}
	return true, nil
}

func equalObjects(r *run, a, b map[string]any) (bool, error) {
	for name := range a {
		if err := r.step(); err != nil {
			return false, err
		}
		v, ok := b[name]
		if !ok {
			return false, nil
		}
		if is, err := equal(r, a[name], v); !is || err != nil {
			return false, err
		}
	}
	return true, nil
}
