package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// normal turns the other Go types in which a value may arrive into the one that
// stands at its Kind.
func normal(v any) any {
	switch v := v.(type) {
	case nil, string, int64, Decimal, bool, map[string]any, []any, float64, Date, TimeOfDay, time.Time, []byte:
		return v
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		if v > math.MaxInt64 {
			d, _ := ParseDecimal(fmt.Sprint(v))
			return d
		}
		return int64(v)
	case float32:
		return float64(v)
	case json.Number:
		return normalNumber(v)
	case map[string]string:
		return normalMap(v)
	case []string:
		return normalList(v)
	case []map[string]any:
		return normalList(v)
	}
	return v
}

func normalNumber(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	if d, err := ParseDecimal(string(n)); err == nil {
		return d
	}
	return string(n)
}

func normalMap[V any](m map[string]V) map[string]any {
	result := make(map[string]any, len(m))
	for k, v := range m {
		result[k] = v
	}
	return result
}

func normalList[V any](l []V) []any {
	result := make([]any, len(l))
	for i, v := range l {
		result[i] = v
	}
	return result
}

// kindOf is the kind of a normal value.
func kindOf(v any) Kind {
	switch v.(type) {
	case string:
		return KindString
	case int64:
		return KindInteger
	case Decimal:
		return KindDecimal
	case float64:
		return KindNumber
	case bool:
		return KindBoolean
	case Date:
		return KindDate
	case TimeOfDay:
		return KindTime
	case time.Time:
		return KindDateTime
	case []byte:
		return KindBytes
	case []any:
		return KindList
	case map[string]any:
		return KindObject
	}
	return KindAny
}

// noun is what v is, for an error.
func noun(v any) string {
	if v == nil {
		return "an absent value"
	}
	if k := kindOf(v); k != KindAny {
		return k.Noun()
	}
	return fmt.Sprintf("a Go value of type %T", v)
}

// toDecimal is the exact value of a number of any kind.
func toDecimal(v any) (Decimal, error) {
	switch v := v.(type) {
	case int64:
		return NewDecimal(v, 0), nil
	case Decimal:
		return v, nil
	case float64:
		return decimalFromFloat(v)
	case nil:
		return Decimal{}, errors.New("a number is absent here")
	}
	return Decimal{}, fmt.Errorf("a number is needed here, not %s", noun(v))
}

// Coerce makes v a value of kind t.Kind where nothing is lost: an integer
// becomes a decimal, a whole decimal an integer. Absent stays absent.
func Coerce(v any, t Type) (any, error) {
	v = normal(v)
	if v == nil || t.Kind == KindAny || kindOf(v) == t.Kind {
		return v, nil
	}
	switch t.Kind {
	case KindDecimal:
		if kindOf(v) == KindInteger || kindOf(v) == KindNumber {
			return toDecimal(v)
		}
	case KindInteger:
		if d, err := toDecimal(v); err == nil {
			if i, ok := d.Int64(); ok {
				return i, nil
			}
			return nil, fmt.Errorf("%s is not a whole number that fits in 64 bits: write round(…)", d)
		}
	case KindNumber:
		if d, err := toDecimal(v); err == nil {
			return d.Float64(), nil
		}
	}
	return nil, fmt.Errorf("%s is needed, not %s", t.Kind.Noun(), noun(v))
}
