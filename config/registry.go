package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A Registry says which Go types the sections of the file are decoded into. Each function returns a pointer to a new
// struct; see the package comment for the tags of its fields.
type Registry struct {
	Source      Union
	Destination Union
	Connection  func() any
	Table       func() any
	Job         func() any
	Partner     func() any
	SFTPServer  func() any
	Later       []string // further top-level keys that belong to later versions
}

// A Union is an item that has the keys of Common and exactly one key out of Kinds.
type Union struct {
	Common func() any // nil: no common keys
	Kinds  map[string]func() any
	Later  []string // kinds that belong to later versions
}

// A field is one key of a struct, as its tags describe it.
type field struct {
	index    []int
	typ      reflect.Type
	name     string // "" for the key and the scalar of a struct
	doc      string
	as       string
	enum     []string
	preset   *string // the tag default
	required bool
	one      bool   // a list may be given as its only element
	ref      string // section that the text must name an item of
}

// A plan is what the decoder and the schema know about one struct type.
type plan struct {
	fields  []field // in order, without key and scalar
	key     *field  // takes the name under which the struct stands in its mapping
	scalar  *field  // takes a scalar that stands in place of the mapping
	items   *field  // takes the mapping as a whole: one key per item
	later   []string
	secrets bool // has a field typed as secret
}

func (p *plan) field(name string) (field, bool) {
	i := slices.IndexFunc(p.fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return field{}, false
	}
	return p.fields[i], true
}

func (p *plan) names() []string {
	var names []string
	for _, f := range p.fields {
		names = append(names, f.name)
	}
	return names
}

// plans are made once per load and type.
type plans map[reflect.Type]*plan

// of describes a struct type. It panics on types that the language has no form for: that is a mistake in the
// program, which any test that calls Schema with the registry finds.
func (ps plans) of(t reflect.Type) *plan {
	if p := ps[t]; p != nil {
		return p
	}
	p := new(plan)
	ps[t] = p
	p.add(t, nil)
	for _, f := range p.fields {
		if slices.Contains(p.later, f.name) {
			panic(fmt.Sprintf("config: %s: key %q is both known and later", t, f.name))
		}
	}
	return p
}

func (p *plan) add(t reflect.Type, prefix []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		if later := sf.Tag.Get("later"); later != "" {
			p.later = append(p.later, split(later)...)
			continue
		}
		name, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		index := append(slices.Clone(prefix), i)
		switch {
		case option == "inline":
			p.add(sf.Type, index)
			continue
		case !sf.IsExported() || name == "-" || name == "" && option == "":
			continue
		}
		f := newField(sf, name, index)
		p.secrets = p.secrets || f.as == "secret"
		switch option {
		case "key":
			p.key = &f
		case "scalar":
			p.scalar = &f
		case "items":
			p.items = &f
		default:
			p.fields = append(p.fields, f)
		}
	}
}

func newField(sf reflect.StructField, name string, index []int) field {
	f := field{
		index: index, typ: sf.Type, name: name,
		doc: sf.Tag.Get("doc"), as: sf.Tag.Get("as"), enum: split(sf.Tag.Get("enum")),
		required: sf.Tag.Get("required") == "true", one: sf.Tag.Get("one") == "true", ref: sf.Tag.Get("ref"),
	}
	if text, ok := sf.Tag.Lookup("default"); ok {
		f.preset = &text
	}
	return f
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	parts := strings.Split(list, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

// A shape is the form a type has in the file.
type shape int

const (
	scalarShape shape = iota
	rawShape          // yaml.Node: decoded by someone else
	pointerShape
	structShape
	listShape
	entriesShape // slice of structs with a key, written as a mapping
	tableShape   // map[string]T
)

func (ps plans) shape(t reflect.Type) shape {
	switch {
	case t == reflect.TypeFor[yaml.Node]():
		return rawShape
	case t.Kind() == reflect.Pointer:
		return pointerShape
	case reflect.PointerTo(t).Implements(textType):
		return scalarShape
	case t.Kind() == reflect.Struct:
		return structShape
	case t.Kind() == reflect.Slice && ps.keyed(t.Elem()):
		return entriesShape
	case t.Kind() == reflect.Slice:
		return listShape
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		return tableShape
	case scalarKind(t):
		return scalarShape
	}
	panic(fmt.Sprintf("config: no form in the file for type %s", t))
}

func (ps plans) keyed(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && ps.shape(t) == structShape && ps.of(t).key != nil
}

func scalarKind(t reflect.Type) bool {
	k := t.Kind()
	return t == reflect.TypeFor[time.Duration]() || k == reflect.String || k == reflect.Bool || k == reflect.Float64 ||
		k >= reflect.Int && k <= reflect.Uint64
}

// secretWords collects the names of all keys typed as secret, so that a line can be masked even where the file does not parse.
func (ps plans) secretWords(r Registry) []string {
	var words []string
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		switch ps.shape(t) {
		case pointerShape, listShape, entriesShape, tableShape:
			walk(t.Elem())
		case structShape:
			if seen[t] {
				return
			}
			seen[t] = true
			if items := ps.of(t).items; items != nil {
				walk(items.typ)
			}
			for _, f := range ps.of(t).fields {
				if f.as == "secret" {
					words = append(words, f.name)
				}
				walk(f.typ)
			}
		}
	}
	for _, make := range r.factories() {
		walk(reflect.TypeOf(make()))
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func (r Registry) factories() []func() any {
	all := []func() any{r.Connection, r.Table, r.Job, r.Partner, r.SFTPServer, r.Source.Common, r.Destination.Common}
	for _, u := range []Union{r.Source, r.Destination} {
		for _, kind := range u.kinds() {
			all = append(all, u.Kinds[kind])
		}
	}
	return slices.DeleteFunc(all, func(f func() any) bool { return f == nil })
}

func (u Union) kinds() []string {
	var names []string
	for name := range u.Kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
