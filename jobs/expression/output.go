package expression

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"waybill/formats/jsonvalue"
)

// Text is a scalar as text: numbers with the digits they have, dates and times
// as ISO 8601 writes them, bytes in base64. Lists and objects have no text, and
// neither has an absent value.
func Text(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := AppendText(nil, v)
	return string(b), err
}

// AppendText appends what Text gives.
func AppendText(dst []byte, v any) ([]byte, error) {
	switch v := normal(v).(type) {
	case string:
		return append(dst, v...), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case Decimal:
		return v.append(dst), nil
	case float64:
		return appendFloat(dst, v)
	case bool:
		return strconv.AppendBool(dst, v), nil
	case Date:
		return v.append(dst), nil
	case TimeOfDay:
		return v.append(dst), nil
	case time.Time:
		return v.AppendFormat(dst, time.RFC3339Nano), nil
	case []byte:
		return base64.StdEncoding.AppendEncode(dst, v), nil
	case nil:
		return dst, errors.New("an absent value has no text: write ?? and a default")
	case []any:
		return dst, errors.New(`a list has no text: write join(…, ", ")`)
	default:
		return dst, fmt.Errorf("%s has no text", noun(v))
	}
}

// appendFloat writes a number as encoding/json does.
func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, fmt.Errorf("%v %w", f, errNotFinite)
	}
	return jsonvalue.AppendFloat(dst, f, 64), nil
}

// maxDepth is how deep a value may be nested that is to be written.
const maxDepth = 200

// AppendJSON appends v as JSON: decimals as they are written, dates as ISO text,
// bytes in base64, objects in the order of their names, nil as null.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	w := writer{dst: dst, end: len(dst) + maxRoom, left: maxSteps}
	err := w.value(v, 0)
	return w.dst, err
}

// writer writes JSON. It has an end, as lists that hold the same list twice, and
// so on, are small in memory and endless on paper.
type writer struct {
	dst  []byte
	end  int // of dst
	left int // values
}

func (w *writer) value(v any, depth int) (err error) {
	w.left--
	switch {
	case w.left < 0:
		return fmt.Errorf("write JSON: more than %d values", maxSteps)
	case depth > maxDepth:
		return fmt.Errorf("write JSON: nested deeper than %d", maxDepth)
	case len(w.dst) > w.end:
		return fmt.Errorf("write JSON: longer than %d MiB", maxRoom>>20)
	}
	switch v := normal(v).(type) {
	case nil:
		w.dst = append(w.dst, "null"...)
	case string:
		w.dst, err = appendQuoted(w.dst, v)
	case int64, Decimal, float64, bool:
		w.dst, err = AppendText(w.dst, v)
	case []any:
		return w.list(v, depth)
	case map[string]any:
		return w.object(v, depth)
	default: // the rest is text that needs no escapes
		w.dst, err = AppendText(append(w.dst, '"'), v)
		w.dst = append(w.dst, '"')
	}
	return err
}

func (w *writer) list(list []any, depth int) error {
	w.dst = append(w.dst, '[')
	for i, item := range list {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if err := w.value(item, depth+1); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, ']')
	return nil
}

func (w *writer) object(object map[string]any, depth int) (err error) {
	w.dst = append(w.dst, '{')
	for i, name := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if w.dst, err = appendQuoted(w.dst, name); err != nil {
			return err
		}
		w.dst = append(w.dst, ':')
		if err = w.value(object[name], depth+1); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, '}')
	return nil
}

// appendQuoted writes a JSON string with the fewest escapes. Text that is not
// UTF-8 is an error: replacing what cannot be read would change it silently.
func appendQuoted(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return dst, fmt.Errorf("write JSON: %q is not valid UTF-8", clip(s))
	}
	return jsonvalue.AppendString(dst, []byte(s)), nil
}
