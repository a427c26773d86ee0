package jobs

import (
	"fmt"

	"waybill/formats/jsonvalue"
	"waybill/jobs/expression"
)

// source is where a value of the output comes from: a literal, a field, or a program. A field costs no interpreter.
type source struct {
	path    string // in the configuration
	literal []byte // text
	fixed   bool   // literal
	ref     *ref
	program *expression.Program
	needs   needs
	once    int // index into run.once of a program that gives the same for the whole run; -1: none
}

// ref leads to a declared field: up so many frames, then by index through objects.
type ref struct {
	up     int
	path   []int
	fields []*field // beside path
}

func (r *ref) field() *field { return r.fields[len(r.fields)-1] }

// value is the field's value at a frame; nil when an object on the way is absent.
func (r *ref) value(f *frame) *value {
	for range r.up {
		f = f.up
	}
	v := &f.row[r.path[0]]
	for _, i := range r.path[1:] {
		if !v.set {
			return nil
		}
		v = &v.rows[0][i]
	}
	return v
}

// constant is the value of a source that is the same for the whole run.
type constant struct {
	made  bool
	value any
	json  []byte
}

// eval runs the program of s.
func (r *run) eval(s *source, f *frame) (any, error) {
	env, err := r.env(s.needs, f)
	if err == nil {
		var v any
		if v, err = s.program.Eval(env); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", s.path, err)
}

// truth runs the program of s, which gives true or false.
func (r *run) truth(s *source, f *frame) (bool, error) {
	if s.ref != nil && s.ref.field().kind == expression.KindBoolean {
		v := s.ref.value(f)
		return v != nil && v.set && len(v.text) == 4, nil
	}
	env, err := r.env(s.needs, f)
	if err == nil {
		var ok bool
		if ok, err = s.program.Bool(env); err == nil {
			return ok, nil
		}
	}
	return false, fmt.Errorf("%s: %w", s.path, err)
}

// constant evaluates what is the same for the whole run.
func (r *run) constant(s *source, f *frame) (*constant, error) {
	c := &r.once[s.once]
	if c.made {
		return c, nil
	}
	v, err := r.eval(s, f)
	if err != nil {
		return nil, err
	}
	if c.json, err = expression.AppendJSON(c.json[:0], v); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	c.value, c.made = v, true
	return c, nil
}

// appendJSON appends the value of s as JSON; there is false when it is absent.
func (r *run) appendJSON(dst []byte, s *source, f *frame, null bool) (out []byte, there bool, err error) {
	switch {
	case s.fixed:
		return jsonvalue.AppendString(dst, s.literal), true, nil
	case s.ref != nil:
		v := s.ref.value(f)
		if v == nil || !v.set {
			return dst, false, nil
		}
		return appendValue(dst, s.ref.field(), v, null), true, nil
	case s.once >= 0:
		c, err := r.constant(s, f)
		if err != nil || c.value == nil {
			return dst, false, err
		}
		return append(dst, c.json...), true, nil
	}
	v, err := r.eval(s, f)
	if err != nil || v == nil {
		return dst, false, err
	}
	if dst, err = expression.AppendJSON(dst, v); err != nil {
		return dst, false, fmt.Errorf("%s: %w", s.path, err)
	}
	return dst, true, nil
}

// appendText appends the value of s as text; there is false when it is absent.
func (r *run) appendText(dst []byte, s *source, f *frame) (out []byte, there bool, err error) {
	switch {
	case s.fixed:
		return append(dst, s.literal...), true, nil
	case s.ref != nil && !s.ref.field().nested():
		v := s.ref.value(f)
		if v == nil || !v.set {
			return dst, false, nil
		}
		return append(dst, v.text...), true, nil
	case s.once >= 0:
		c, err := r.constant(s, f)
		if err != nil || c.value == nil {
			return dst, false, err
		}
		if dst, err = expression.AppendText(dst, c.value); err != nil {
			return dst, false, fmt.Errorf("%s: %w", s.path, err)
		}
		return dst, true, nil
	}
	v, err := r.eval(s, f)
	if err != nil || v == nil {
		return dst, false, err
	}
	if dst, err = expression.AppendText(dst, v); err != nil {
		return dst, false, fmt.Errorf("%s: %w", s.path, err)
	}
	return dst, true, nil
}

func (f *field) nested() bool {
	return f.tree || f.kind == expression.KindList || f.kind == expression.KindObject
}

// appendValue appends a declared field as JSON, every digit as it was written.
func appendValue(dst []byte, f *field, v *value, null bool) []byte {
	if f.tree {
		return append(dst, v.text...)
	}
	switch f.kind {
	case expression.KindObject:
		return appendRow(dst, f.fields, v.rows[0], null)
	case expression.KindList:
		dst = append(dst, '[')
		for i, row := range v.rows {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendRow(dst, f.fields, row, null)
		}
		return append(dst, ']')
	}
	return appendStyled(dst, v.text, styleOf(f.kind))
}

// appendRow appends a record, or an element of a list, with its fields in their order.
func appendRow(dst []byte, fields []field, row []value, null bool) []byte {
	dst = append(dst, '{')
	first := true
	for i := range fields {
		if !row[i].set && !null {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(jsonvalue.AppendString(dst, []byte(fields[i].name)), ':')
		if row[i].set {
			dst = appendValue(dst, &fields[i], &row[i], null)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}
