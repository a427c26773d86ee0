package expression

import (
	"fmt"
	"slices"
)

// Kind says what sort of value a field or an expression has.
type Kind uint8

// The kinds, with the Go value each has in an environment and as a result.
const (
	KindAny      Kind = iota // checked when the expression runs: nobody declared it
	KindString               // string
	KindInteger              // int64
	KindDecimal              // Decimal
	KindNumber               // float64, for fields that are binary numbers by declaration
	KindBoolean              // bool
	KindDate                 // Date
	KindTime                 // TimeOfDay
	KindDateTime             // time.Time
	KindBytes                // []byte
	KindList                 // []any
	KindObject               // map[string]any
	kinds
)

// kindNames are the words of the configuration; kindNouns stand in sentences.
var (
	kindNames = [kinds]string{"any", "string", "integer", "decimal", "number", "boolean", "date", "time", "datetime", "bytes", "list", "object"}
	kindNouns = [kinds]string{"a value", "text", "an integer", "a decimal", "a number", "a boolean", "a date", "a time", "a datetime", "bytes", "a list", "an object"}
)

// String is the word of the configuration: "string", "integer", "decimal" …
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Noun is the kind as it stands in a sentence: "text", "an integer" …
func (k Kind) Noun() string {
	if k < kinds {
		return kindNouns[k]
	}
	return k.String()
}

// Type is what is known of a value before anything runs.
type Type struct {
	Kind     Kind
	Optional bool    // the value may be absent (nil)
	Fields   []Field // of an object, and of the objects in a list; none: nobody declared them
	Elem     *Type   // of a list of something other than objects
}

// Field is a name with its type.
type Field struct {
	Name string
	Type Type
}

// String is the type as errors show it.
func (t Type) String() string {
	s := t.Kind.String()
	switch {
	case t.Kind == KindList && t.Elem != nil:
		s = "list of " + t.Elem.Kind.String()
	case t.Kind == KindList && t.Fields != nil:
		s = "list of object"
	}
	if t.Optional {
		s = "optional " + s
	}
	return s
}

// Of is the type of a kind that has no fields, and never is absent.
func Of(k Kind) Type { return Type{Kind: k} }

// ListOf is the type of a list whose elements are of type t.
func ListOf(t Type) Type {
	switch {
	case t.Kind == KindAny:
		return Type{Kind: KindList}
	case t.Kind == KindObject && !t.Optional:
		return Type{Kind: KindList, Fields: t.Fields}
	}
	return Type{Kind: KindList, Elem: &t}
}

// elem is the type of what stands in a list of type t.
func (t Type) elem() Type {
	switch {
	case t.Kind != KindList:
		return Type{}
	case t.Elem != nil:
		return *t.Elem
	case t.Fields != nil:
		return Type{Kind: KindObject, Fields: t.Fields}
	}
	return Type{}
}

func (t Type) optional() Type { t.Optional = true; return t }
func (t Type) present() Type  { t.Optional = false; return t }

func (t Type) numeric() bool {
	return t.Kind == KindInteger || t.Kind == KindDecimal || t.Kind == KindNumber
}

// field finds the member called name; open says that nobody declared the members.
func (t Type) field(name string) (found Type, ok, open bool) {
	if t.Fields == nil {
		return Type{}, false, true
	}
	for _, f := range t.Fields {
		if f.Name == name {
			return f.Type, true, false
		}
	}
	return Type{}, false, false
}

// Accepts reports whether a value of type from may be kept in a place of type
// t, after Coerce where the kinds differ. What is Any is decided by Coerce.
// Absence is not looked at: the place decides on that.
func (t Type) Accepts(from Type) bool {
	switch {
	case t.Kind == from.Kind, t.Kind == KindAny, from.Kind == KindAny:
		return true
	case t.Kind == KindDecimal, t.Kind == KindNumber:
		return from.numeric()
	}
	return false
}

// unify is the type of a value that is either of a or of b.
func unify(a, b Type) Type {
	u := Type{Optional: a.Optional || b.Optional}
	switch {
	case a.Kind == b.Kind:
		u.Kind = a.Kind
		if a.Kind == KindList {
			return unifyLists(a, b, u)
		}
		if sameFields(a.Fields, b.Fields) {
			u.Fields = a.Fields
		}
	case a.numeric() && b.numeric():
		u.Kind = KindDecimal
	}
	return u
}

func unifyLists(a, b, u Type) Type {
	l := ListOf(unify(a.elem(), b.elem()))
	l.Optional = u.Optional
	return l
}

func sameFields(a, b []Field) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].Type.Kind != b[i].Type.Kind || a[i].Type.Optional != b[i].Type.Optional {
			return false
		}
	}
	return true
}

func names(fields []Field) []string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.Name
	}
	return list
}

// reservedNames stand beside the fields of a record, or are words of the
// language.
var reservedNames = []string{
	"file", "entry", "record", "header", "trailer", "totals", "companion", "partner", "window", "position", "up", "batch",
	"step", "response", "answer", "outcome", "failure", "key",
	"true", "false", "nil", "not", "in", "and", "or", "let", "if", "else", "matches", "contains", "startsWith", "endsWith",
}

// Reserved reports whether no field may be called name.
func Reserved(name string) bool { return slices.Contains(reservedNames, name) }
