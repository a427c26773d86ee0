package jobs

import (
	"waybill/formats/jsonvalue"
	"waybill/jobs/expression"
)

// A body is compiled to a flat program. Every value is followed by a comma, and what closes an object or a list writes
// over the last one: so a key that is left out leaves nothing behind, and the text between values is fixed.
type instruction struct {
	text   []byte // fixed text before the value
	op     operation
	value  *source // opRequired, opOptional
	column int     // from 1: value is that field of the frame, written as style says; 0: it is not so plain
	style  style
	when   *source       // opObject, opEach: nil for always
	list   *source       // opEach
	elem   *ref          // opEach: of a declared list
	body   []instruction // opObject, opEach
	closes byte          // opObject
}

type operation uint8

const (
	opText     operation = iota
	opRequired           // a value that must be there: its absence is an error
	opOptional           // text and value are left out together
	opNull               // an absent value is null
	opObject             // a part that opens with text and is closed; left out when `when` is false
	opEach               // a list with one object per element
)

// style says how the text of a field becomes JSON.
type style uint8

const (
	escaped style = iota // in quotes
	quoted               // in quotes; nothing in it needs an escape
	bare
)

// plainly makes an instruction write a field that stands in its own frame without looking where and what it is.
func (in *instruction) plainly() {
	ref := in.value.ref
	if ref == nil || ref.up > 0 || len(ref.path) > 1 {
		return
	}
	f := ref.field()
	switch {
	case f.tree:
		in.style = bare
	case f.kind == expression.KindObject || f.kind == expression.KindList:
		return
	default:
		in.style = styleOf(f.kind)
	}
	in.column = ref.path[0] + 1
}

func styleOf(k expression.Kind) style {
	switch k {
	case expression.KindInteger, expression.KindDecimal, expression.KindNumber, expression.KindBoolean:
		return bare
	case expression.KindString:
		return escaped
	}
	return quoted // dates, times, base64
}

func appendStyled(dst, text []byte, s style) []byte {
	switch s {
	case escaped:
		return jsonvalue.AppendString(dst, text)
	case bare:
		return append(dst, text...)
	}
	return append(append(append(dst, '"'), text...), '"')
}

// execute appends what the instructions make of the frame, with a comma behind every value.
func (r *run) execute(dst []byte, program []instruction, f *frame, null bool) (_ []byte, err error) {
	for i := range program {
		in := &program[i]
		start := len(dst)
		dst = append(dst, in.text...)
		there := true
		switch in.op {
		case opRequired, opOptional, opNull:
			if in.column > 0 {
				if v := &f.row[in.column-1]; v.set {
					dst = append(appendStyled(dst, v.text, in.style), ',')
					continue
				}
			}
			dst, there, err = r.appendJSON(dst, in.value, f, null)
			if err == nil && !there {
				dst, there, err = in.missing(dst)
			}
			dst = append(dst, ',')
		case opObject:
			dst, there, err = r.object(dst, in, f, null)
		case opEach:
			dst, there, err = r.each(dst, in, f, null)
		}
		if err != nil {
			return dst, err
		}
		if !there {
			dst = dst[:start]
		}
	}
	return dst, nil
}

func (in *instruction) missing(dst []byte) ([]byte, bool, error) {
	switch in.op {
	case opNull:
		return append(dst, "null"...), true, nil
	case opRequired:
		return dst, false, &fault{field: in.value.path, reason: "has no value"}
	}
	return dst, false, nil
}

func closeWith(dst []byte, c byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst[len(dst)-1] = c
	} else {
		dst = append(dst, c)
	}
	return append(dst, ',')
}

func (r *run) object(dst []byte, in *instruction, f *frame, null bool) ([]byte, bool, error) {
	if in.when != nil {
		if ok, err := r.truth(in.when, f); err != nil || !ok {
			return dst, false, err
		}
	}
	dst, err := r.execute(dst, in.body, f, null)
	if err != nil {
		return dst, false, err
	}
	return closeWith(dst, in.closes), true, nil
}

// each appends a list with one object per element of a list; in.text has opened it.
func (r *run) each(dst []byte, in *instruction, f *frame, null bool) (_ []byte, there bool, err error) {
	there, err = r.elements(in, f, func(e *frame) (written bool, err error) {
		if in.when != nil {
			if ok, err := r.truth(in.when, e); err != nil || !ok {
				return false, err
			}
		}
		dst = append(dst, '{')
		if dst, err = r.execute(dst, in.body, e, null); err == nil {
			if dst = closeWith(dst, '}'); len(dst) > r.brim {
				err = tooMuch(r.room)
			}
		}
		return true, err
	})
	if err != nil || !there {
		return dst, false, err
	}
	return closeWith(dst, ']'), true, nil
}

// elements goes through the elements of the list that an instruction names; there is false when there is no list. Position counts what is written.
func (r *run) elements(in *instruction, f *frame, each func(e *frame) (written bool, err error)) (there bool, err error) {
	e := r.frame(f)
	defer r.leave()
	one := func() error {
		e.position++
		written, err := each(e)
		if !written {
			e.position--
		}
		return err
	}
	if in.elem != nil {
		v := in.elem.value(f)
		if v == nil || !v.set {
			return false, nil
		}
		for _, row := range v.rows {
			e.turn(in.elem.field().fields, row)
			if err := one(); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	v, err := r.eval(in.list, f)
	if err != nil || v == nil {
		return false, err
	}
	list, ok := v.([]any)
	if !ok {
		return false, &fault{field: in.list.path, reason: "is not a list"}
	}
	for _, item := range list {
		e.turn(nil, nil)
		if e.open, ok = item.(map[string]any); !ok {
			return false, &fault{field: in.list.path, reason: "holds something that is not an object"}
		}
		if err := one(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// frame lends a frame one level below f.
func (r *run) frame(f *frame) *frame {
	if r.depth == len(r.frames) {
		r.frames = append(r.frames, new(frame))
	}
	e := r.frames[r.depth]
	r.depth++
	e.up, e.position = f, 0
	return e
}

func (r *run) leave() { r.depth-- }
