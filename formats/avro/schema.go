package avro

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"waybill/formats/fault"
	"waybill/formats/jsonvalue"
)

// A schemaType is a type of the schema that a file brings along. Types that name themselves make it a graph, which may lead back to itself.
type schemaType struct {
	kind    kind
	name    string // of record, enum, fixed: with its namespace
	fields  []field
	of      *schemaType   // of an array's items, a map's values
	union   []*schemaType // the branches
	symbols [][]byte      // as JSON
	size    int           // of fixed
	logical logical
	scale   int // of decimal
}

// A field is a field of a record.
type field struct {
	name string // as errors show it
	key  []byte // as JSON, with the colon
	of   *schemaType
}

type kind uint8

// Kinds of types; the first eight are named so in schemas.
const (
	kindNull kind = iota
	kindBoolean
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindBytes
	kindString
	kindFixed
	kindEnum
	kindUnion
	kindArray
	kindMap
	kindRecord
)

var primitives = []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}

type logical uint8

// What a type stands for beside what it is.
const (
	asPlain logical = iota
	asDecimal
	asUUID
	asDuration
	asDate
	asTimeMillis
	asTimeMicros
	asMillis // since 1970
	asMicros
	asNanos
	asLocalMillis // without a zone
	asLocalMicros
	asLocalNanos
)

// logicals lists the logical types that are known, with what each may stand on. Others mean nothing, as the specification has it.
var logicals = []struct {
	name    string
	logical logical
	on      []kind
	size    int // of fixed, 0: any
}{
	{"decimal", asDecimal, []kind{kindBytes, kindFixed}, 0},
	{"uuid", asUUID, []kind{kindString, kindFixed}, 16},
	{"duration", asDuration, []kind{kindFixed}, 12},
	{"date", asDate, []kind{kindInt}, 0},
	{"time-millis", asTimeMillis, []kind{kindInt}, 0},
	{"time-micros", asTimeMicros, []kind{kindLong}, 0},
	{"timestamp-millis", asMillis, []kind{kindLong}, 0},
	{"timestamp-micros", asMicros, []kind{kindLong}, 0},
	{"timestamp-nanos", asNanos, []kind{kindLong}, 0},
	{"local-timestamp-millis", asLocalMillis, []kind{kindLong}, 0},
	{"local-timestamp-micros", asLocalMicros, []kind{kindLong}, 0},
	{"local-timestamp-nanos", asLocalNanos, []kind{kindLong}, 0},
}

const (
	mostDigits = 1000 // that a decimal may have
	mostName   = 1000 // of a name with its namespace: each type below a namespace has it in its own name
)

// A compiler turns the JSON of a schema into types.
type compiler struct {
	named  map[string]*schemaType
	limits Limits
}

func compileSchema(text []byte, l Limits) (*schemaType, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind its end")
	}
	c := &compiler{named: map[string]*schemaType{}, limits: l}
	return c.compile(v, "", 1)
}

// compile makes the type that v describes; space is the namespace around it.
func (c *compiler) compile(v any, space string, depth int) (*schemaType, error) {
	if depth > c.limits.MaxDepth {
		return nil, fmt.Errorf("types are nested deeper than %d (max_depth)", c.limits.MaxDepth)
	}
	switch v := v.(type) {
	case string:
		if i := slices.Index(primitives, v); i >= 0 {
			return &schemaType{kind: kind(i)}, nil
		}
		if len(v)+len(space) < mostName {
			if t := c.named[fullName(v, space)]; t != nil {
				return t, nil
			}
		}
		return nil, fmt.Errorf("there is no type %q", fault.Cut(v))
	case []any:
		t := &schemaType{kind: kindUnion}
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

func (c *compiler) object(v map[string]any, space string, depth int) (t *schemaType, err error) {
	kind, _ := v["type"].(string)
	switch kind {
	case "record", "error", "enum", "fixed":
		t, err = c.ownName(kind, v, space, depth)
	case "array":
		t, err = c.holder(kindArray, v["items"], space, depth)
	case "map":
		t, err = c.holder(kindMap, v["values"], space, depth)
	default:
		if t, err = c.compile(v["type"], space, depth+1); err == nil && !slices.Contains(primitives, kind) {
			return t, nil // what stands beside a type that is described elsewhere changes nothing of it
		}
	}
	if err != nil {
		return nil, err
	}
	return t, c.logical(t, v)
}

func (c *compiler) holder(kind kind, of any, space string, depth int) (*schemaType, error) {
	inner, err := c.compile(of, space, depth+1)
	return &schemaType{kind: kind, of: inner}, err
}

// ownName makes a type that has a name, by which it may be meant again, also within itself.
func (c *compiler) ownName(kind string, v map[string]any, space string, depth int) (*schemaType, error) {
	name, _ := v["name"].(string)
	if name == "" {
		return nil, fmt.Errorf("a type %s without a name", kind)
	}
	if own, ok := v["namespace"].(string); ok {
		space = own
	}
	if len(name)+len(space) >= mostName {
		return nil, fmt.Errorf("the name of a type, %q, is longer than %d bytes with its namespace", fault.Cut(name), mostName)
	}
	t := &schemaType{name: fullName(name, space)}
	if c.named[t.name] != nil {
		return nil, fmt.Errorf("the type %q is there twice", fault.Cut(t.name))
	}
	c.named[t.name] = t
	if i := strings.LastIndexByte(t.name, '.'); i >= 0 {
		space = t.name[:i]
	}
	switch kind {
	case "fixed":
		t.kind = kindFixed
		size, err := wholeNumber(v["size"], int64(c.limits.MaxField))
		if err != nil {
			return nil, fmt.Errorf("the size of %q: %w", fault.Cut(t.name), err)
		}
		t.size = size
	case "enum":
		t.kind = kindEnum
		symbols, _ := v["symbols"].([]any)
		for _, s := range symbols {
			text, ok := s.(string)
			if !ok {
				return nil, fmt.Errorf("a symbol of %q is no text", fault.Cut(t.name))
			}
			t.symbols = append(t.symbols, jsonvalue.AppendString(nil, []byte(text)))
		}
	default:
		t.kind = kindRecord
		return t, c.record(t, v["fields"], space, depth)
	}
	return t, nil
}

func (c *compiler) record(t *schemaType, v any, space string, depth int) error {
	fields, ok := v.([]any)
	if !ok {
		return fmt.Errorf("the record %q has no list of fields", fault.Cut(t.name))
	}
	if len(fields) > c.limits.MaxColumns {
		return fmt.Errorf("the record %q has %d fields, more than max_columns, %d", fault.Cut(t.name), len(fields), c.limits.MaxColumns)
	}
	seen := map[string]bool{}
	for _, f := range fields {
		f, _ := f.(map[string]any)
		name, _ := f["name"].(string)
		if name == "" || seen[name] {
			return fmt.Errorf("a field of the record %q has no name, or that of another", fault.Cut(t.name))
		}
		seen[name] = true
		of, err := c.compile(f["type"], space, depth+1)
		if err != nil {
			return fmt.Errorf("%s: %w", shownName(name), err)
		}
		t.fields = append(t.fields, field{shownName(name), append(jsonvalue.AppendString(nil, []byte(name)), ':'), of})
	}
	return nil
}

// shownName is the name of a field in errors: in quotes where it holds what cannot be printed, and not as long as it likes.
func shownName(name string) string {
	short := fault.Cut(name)
	if quoted := strconv.Quote(short); short != name || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// logical notes what a type stands for. What does not go with it means nothing.
func (c *compiler) logical(t *schemaType, v map[string]any) error {
	name, _ := v["logicalType"].(string)
	for _, l := range logicals {
		if l.name != name || !slices.Contains(l.on, t.kind) || t.kind == kindFixed && l.size > 0 && l.size != t.size {
			continue
		}
		if l.logical == asDecimal {
			precision, err := wholeNumber(v["precision"], mostDigits)
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
		return 0, fmt.Errorf("%q is no whole number from 0 to %d", fault.Cut(text), most)
	}
	return int(n), nil
}
