package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// schema is a JSON Schema, or a part of one.
type schema map[string]any

// schemas makes the schema of each struct type once, so that types may hold themselves.
type schemas struct {
	plans plans
	defs  map[string]schema
	names map[reflect.Type]string
}

// Schema is the JSON Schema (2020-12) of waybill.yaml, for editors. It is made from the same types as Load decodes into, and is
// the same bytes for the same types. It cannot say all that Load checks.
func Schema(r Registry) []byte {
	s := &schemas{plans: plans{}, defs: map[string]schema{}, names: map[reflect.Type]string{}}
	root := s.object(s.plans.of(topType))
	properties := root["properties"].(schema)
	s.section(properties, "vars", scalarText())
	s.section(properties, "connections", s.made(r.Connection))
	s.section(properties, "tables", s.made(r.Table))
	s.section(properties, "partners", s.made(r.Partner))
	server := properties["sftp_server"].(schema)
	for k, v := range s.made(r.SFTPServer) {
		server[k] = v
	}
	s.section(properties, "sources", s.union(r.Source))
	s.section(properties, "destinations", s.union(r.Destination))
	s.section(properties, "jobs", schema{"anyOf": []any{
		s.made(r.Job),
		schema{"type": "object", "required": []string{"use"}, "properties": schema{"use": schema{"type": "string", "description": "the job that this one takes over and changes"}}},
	}})
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "waybill.yaml"
	if len(s.defs) > 0 {
		root["$defs"] = s.defs
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("config: schema: %v", err)) // maps of texts cannot fail
	}
	return append(text, '\n')
}

// section sets what the items of a section are; its description is there already.
func (s *schemas) section(properties schema, name string, item schema) {
	p := properties[name].(schema)
	p["type"] = "object"
	p["additionalProperties"] = item
	if name != "vars" {
		p["propertyNames"] = schema{"pattern": namePattern}
	}
}

func (s *schemas) made(factory func() any) schema {
	if factory == nil {
		return schema{"type": "object", "additionalProperties": false}
	}
	return s.of(reflect.TypeOf(factory()).Elem(), field{})
}

func (s *schemas) union(u Union) schema {
	common := new(plan)
	if u.Common != nil {
		common = s.plans.of(reflect.TypeOf(u.Common()).Elem())
	}
	object := s.object(common)
	var one []any
	for _, kind := range u.kinds() {
		object["properties"].(schema)[kind] = s.made(u.Kinds[kind])
		one = append(one, schema{"required": []string{kind}})
	}
	if len(one) > 0 {
		object["oneOf"] = one
	}
	return object
}

// object is the schema of a struct written out.
func (s *schemas) object(p *plan) schema {
	properties := schema{}
	var required []string
	for _, f := range p.fields {
		properties[f.name] = s.member(f)
		if f.required {
			required = append(required, f.name)
		}
	}
	object := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		object["required"] = required
	}
	return object
}

func (s *schemas) member(f field) schema {
	member := schema{}
	for k, v := range s.of(f.typ, f) {
		member[k] = v
	}
	if f.doc != "" {
		member["description"] = f.doc
	}
	if f.preset != nil {
		member["default"] = *f.preset
	}
	return member
}

// of is the schema of a type under the tags of its field.
func (s *schemas) of(t reflect.Type, f field) schema {
	switch s.plans.shape(t) {
	case rawShape:
		return schema{}
	case pointerShape:
		return s.of(t.Elem(), f)
	case structShape:
		return s.reference(t)
	case listShape:
		element := s.of(t.Elem(), f.element())
		list := schema{"type": "array", "items": element}
		if f.one {
			return schema{"anyOf": []any{element, list}}
		}
		return list
	case entriesShape, tableShape:
		return schema{"type": "object", "additionalProperties": s.of(t.Elem(), f.element())}
	}
	return scalarSchema(t, f)
}

func (s *schemas) reference(t reflect.Type) schema {
	name, known := s.names[t]
	if !known {
		name = s.name(t)
		s.names[t] = name
		s.defs[name] = nil // taken
		p := s.plans.of(t)
		def := s.object(p)
		if p.items != nil {
			def = s.member(*p.items)
		}
		if p.scalar != nil {
			def = schema{"anyOf": []any{s.member(*p.scalar), def}}
		}
		s.defs[name] = def
	}
	return schema{"$ref": "#/$defs/" + name}
}

// name makes a name for a type that no other has: two packages may share their last element.
func (s *schemas) name(t reflect.Type) string {
	base := strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, t.String())
	name := base
	for i := 2; ; i++ {
		if _, taken := s.defs[name]; !taken {
			return name
		}
		name = fmt.Sprintf("%s_%d", base, i)
	}
}

// A reference may stand for any text.
const orReference = `|\$\{`

func scalarText() schema { return schema{"type": []string{"string", "number", "boolean"}} }

func scalarSchema(t reflect.Type, f field) schema {
	if len(f.enum) > 0 {
		words := []any{}
		for _, word := range f.enum {
			words = append(words, word)
			if word == "null" {
				words = append(words, nil) // as editors see it
			}
		}
		return schema{"anyOf": []any{schema{"enum": words}, schema{"type": "string", "pattern": `\$\{`}}}
	}
	patterns := map[string]string{
		"size": sizePattern, "rate": ratePattern, "share": sharePattern,
		"duration": durationPattern, "span": durationPattern + "|^forever$",
	}
	if t == reflect.TypeFor[time.Duration]() {
		f.as = "duration"
	}
	if pattern := patterns[f.as]; pattern != "" {
		return schema{"type": "string", "pattern": pattern + orReference}
	}
	switch k := t.Kind(); {
	case f.as == "expression":
		return schema{"type": "string", "pattern": "^=([^=]|$)"}
	case reflect.PointerTo(t).Implements(textType):
		return scalarText()
	case k == reflect.Bool:
		return schema{"type": []string{"boolean", "string"}, "pattern": "^(true|false)$" + orReference}
	case k == reflect.Float64:
		return schema{"type": []string{"number", "string"}, "pattern": numberPattern + orReference}
	case k >= reflect.Int && k <= reflect.Int64:
		return schema{"type": []string{"integer", "string"}, "pattern": integerPattern + orReference}
	case k >= reflect.Uint && k <= reflect.Uint64:
		return schema{"type": []string{"integer", "string"}, "pattern": integerPattern + orReference, "minimum": 0}
	}
	return scalarText()
}
