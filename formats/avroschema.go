package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// An avroType is a type of the schema that a file brings along. Types that name themselves make it a graph, which may lead back to itself.
type avroType struct {
	kind    avroKind
	name    string // of record, enum, fixed: with its namespace
	fields  []avroField
	of      *avroType   // of an array's items, a map's values
	union   []*avroType // the branches
	symbols [][]byte    // as JSON
	size    int         // of fixed
	logical avroLogical
	scale   int // of decimal
}

// An avroField is a field of a record.
type avroField struct {
	name string // as errors show it
	key  []byte // as JSON, with the colon
	of   *avroType
}

type avroKind uint8

// Kinds of types; the first eight are named so in schemas.
const (
	avroNull avroKind = iota
	avroBoolean
	avroInt
	avroLong
	avroFloat
	avroDouble
	avroBytes
	avroString
	avroFixed
	avroEnum
	avroUnion
	avroArray
	avroMap
	avroRecord
)

var avroPrimitives = []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}

type avroLogical uint8

// What a type stands for beside what it is.
const (
	avroPlain avroLogical = iota
	avroDecimal
	avroUUID
	avroDuration
	avroDate
	avroTimeMillis
	avroTimeMicros
	avroMillis // since 1970
	avroMicros
	avroNanos
	avroLocalMillis // without a zone
	avroLocalMicros
	avroLocalNanos
)

// avroLogicals lists the logical types that are known, with what each may stand on. Others mean nothing, as the specification has it.
var avroLogicals = []struct {
	name    string
	logical avroLogical
	on      []avroKind
	size    int // of fixed, 0: any
}{
	{"decimal", avroDecimal, []avroKind{avroBytes, avroFixed}, 0},
	{"uuid", avroUUID, []avroKind{avroString, avroFixed}, 16},
	{"duration", avroDuration, []avroKind{avroFixed}, 12},
	{"date", avroDate, []avroKind{avroInt}, 0},
	{"time-millis", avroTimeMillis, []avroKind{avroInt}, 0},
	{"time-micros", avroTimeMicros, []avroKind{avroLong}, 0},
	{"timestamp-millis", avroMillis, []avroKind{avroLong}, 0},
	{"timestamp-micros", avroMicros, []avroKind{avroLong}, 0},
	{"timestamp-nanos", avroNanos, []avroKind{avroLong}, 0},
	{"local-timestamp-millis", avroLocalMillis, []avroKind{avroLong}, 0},
	{"local-timestamp-micros", avroLocalMicros, []avroKind{avroLong}, 0},
	{"local-timestamp-nanos", avroLocalNanos, []avroKind{avroLong}, 0},
}

const (
	avroDigits  = 1000 // that a decimal may have
	avroNameLen = 1000 // of a name with its namespace: each type below a namespace has it in its own name
)

// An avroCompiler turns the JSON of a schema into types.
type avroCompiler struct {
	named  map[string]*avroType
	limits Limits
}

func compileAvro(text []byte, l Limits) (*avroType, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind its end")
	}
	c := &avroCompiler{named: map[string]*avroType{}, limits: l}
	return c.compile(v, "", 1)
}

// compile makes the type that v describes; space is the namespace around it.
func (c *avroCompiler) compile(v any, space string, depth int) (*avroType, error) {
	if depth > c.limits.MaxDepth {
		return nil, fmt.Errorf("types are nested deeper than %d (max_depth)", c.limits.MaxDepth)
	}
	switch v := v.(type) {
	case string:
		if i := slices.Index(avroPrimitives, v); i >= 0 {
			return &avroType{kind: avroKind(i)}, nil
		}
		if len(v)+len(space) < avroNameLen {
			if t := c.named[fullName(v, space)]; t != nil {
				return t, nil
			}
		}
		return nil, fmt.Errorf("there is no type %q", cut([]byte(v)))
	case []any:
		t := &avroType{kind: avroUnion}
		for _, branch := range v {
			b, err := c.compile(branch, space, depth+1)
			if err != nil {
				return nil, err
			}
			t.union = append(t.union, b)
		}
		if len(t.union) == 0 {
			return nil, errors.New("a union of no types")
		}
		return t, nil
	case map[string]any:
		return c.object(v, space, depth)
	}
	return nil, errors.New("a type is a name, a list or an object")
}

// fullName is a name with its namespace.
func fullName(name, space string) string {
	if space == "" || strings.Contains(name, ".") {
		return name
	}
	return space + "." + name
}

func (c *avroCompiler) object(v map[string]any, space string, depth int) (t *avroType, err error) {
	kind, _ := v["type"].(string)
	switch kind {
	case "record", "error", "enum", "fixed":
		t, err = c.ownName(kind, v, space, depth)
	case "array":
		t, err = c.holder(avroArray, v["items"], space, depth)
	case "map":
		t, err = c.holder(avroMap, v["values"], space, depth)
	default:
		if t, err = c.compile(v["type"], space, depth+1); err == nil && !slices.Contains(avroPrimitives, kind) {
			return t, nil // what stands beside a type that is described elsewhere changes nothing of it
		}
	}
	if err != nil {
		return nil, err
	}
	return t, c.logical(t, v)
}

func (c *avroCompiler) holder(kind avroKind, of any, space string, depth int) (*avroType, error) {
	inner, err := c.compile(of, space, depth+1)
	return &avroType{kind: kind, of: inner}, err
}

// ownName makes a type that has a name, by which it may be meant again, also within itself.
func (c *avroCompiler) ownName(kind string, v map[string]any, space string, depth int) (*avroType, error) {
	name, _ := v["name"].(string)
	if name == "" {
		return nil, fmt.Errorf("a type %s without a name", kind)
	}
	if own, ok := v["namespace"].(string); ok {
		space = own
	}
	if len(name)+len(space) >= avroNameLen {
		return nil, fmt.Errorf("the name of a type, %q, is longer than %d bytes with its namespace", cut([]byte(name)), avroNameLen)
	}
	t := &avroType{name: fullName(name, space)}
	if c.named[t.name] != nil {
		return nil, fmt.Errorf("the type %q is there twice", cut([]byte(t.name)))
	}
	c.named[t.name] = t
	if i := strings.LastIndexByte(t.name, '.'); i >= 0 {
		space = t.name[:i]
	}
	switch kind {
	case "fixed":
		t.kind = avroFixed
		size, err := wholeNumber(v["size"], int64(c.limits.MaxField))
		if err != nil {
			return nil, fmt.Errorf("the size of %q: %w", cut([]byte(t.name)), err)
		}
		t.size = size
	case "enum":
		t.kind = avroEnum
		symbols, _ := v["symbols"].([]any)
		for _, s := range symbols {
			text, ok := s.(string)
			if !ok {
				return nil, fmt.Errorf("a symbol of %q is no text", cut([]byte(t.name)))
			}
			t.symbols = append(t.symbols, AppendJSONString(nil, []byte(text)))
		}
	default:
		t.kind = avroRecord
		return t, c.record(t, v["fields"], space, depth)
	}
	return t, nil
}

func (c *avroCompiler) record(t *avroType, v any, space string, depth int) error {
	fields, ok := v.([]any)
	if !ok {
		return fmt.Errorf("the record %q has no list of fields", cut([]byte(t.name)))
	}
	if len(fields) > c.limits.MaxColumns {
		return fmt.Errorf("the record %q has %d fields, more than max_columns, %d", cut([]byte(t.name)), len(fields), c.limits.MaxColumns)
	}
	seen := map[string]bool{}
	for _, f := range fields {
		f, _ := f.(map[string]any)
		name, _ := f["name"].(string)
		if name == "" || seen[name] {
			return fmt.Errorf("a field of the record %q has no name, or that of another", cut([]byte(t.name)))
		}
		seen[name] = true
		of, err := c.compile(f["type"], space, depth+1)
		if err != nil {
			return fmt.Errorf("%s: %w", shownName(name), err)
		}
		t.fields = append(t.fields, avroField{shownName(name), append(AppendJSONString(nil, []byte(name)), ':'), of})
	}
	return nil
}

// shownName is the name of a field in errors: in quotes where it holds what cannot be printed, and not as long as it likes.
func shownName(name string) string {
	short := cut([]byte(name))
	if quoted := strconv.Quote(short); short != name || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// logical notes what a type stands for. What does not go with it means nothing.
func (c *avroCompiler) logical(t *avroType, v map[string]any) error {
	name, _ := v["logicalType"].(string)
	for _, l := range avroLogicals {
		if l.name != name || !slices.Contains(l.on, t.kind) || t.kind == avroFixed && l.size > 0 && l.size != t.size {
			continue
		}
		if l.logical == avroDecimal {
			precision, err := wholeNumber(v["precision"], avroDigits)
			if err != nil {
				return fmt.Errorf("the precision of a decimal: %w", err)
			}
			if v["scale"] == nil {
				v["scale"] = json.Number("0")
			}
			if t.scale, err = wholeNumber(v["scale"], int64(precision)); err != nil {
				return fmt.Errorf("the scale of a decimal: %w", err)
			}
		}
		t.logical = l.logical
	}
	return nil
}

func wholeNumber(v any, most int64) (int, error) {
	text, _ := v.(json.Number)
	n, err := text.Int64()
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%q is no whole number from 0 to %d", cut([]byte(text)), most)
	}
	return int(n), nil
}
