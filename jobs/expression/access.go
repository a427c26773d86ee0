package expression

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// member is a.b, a["b"], a[0] and a[expression]. Absence of a makes the whole
// absent.
func (c *compiler) member(n *ast.MemberNode) term {
	object := c.compile(n.Node)
	if object.isNil {
		c.need(object)
	}
	if name, ok := n.Property.(*ast.StringNode); ok {
		return c.field(n, object, name.Value)
	}
	index := c.needKind(c.compile(n.Property), "what stands in [ ]", integers|texts)
	t := term{spot: c.at(n)}
	switch {
	case object.typ.Kind == KindList:
		c.needKind(index, "the place in a list", integers)
		t.typ = object.typ.elem()
	case object.typ.Kind == KindObject:
		c.needKind(index, "the name of a member", texts)
		t.typ = Type{}
	case object.typ.Kind != KindAny:
		c.failAt(object.spot, "%s, and has no elements%s", object.is(), substringHint(object))
	}
	t.typ.Optional = t.typ.Optional || object.typ.Optional
	if i, ok := index.constant.(int64); ok && object.ref != "" {
		t.ref = fmt.Sprintf("%s[%d]", object.ref, i)
		if object.key != "" {
			t.key = fmt.Sprintf("%s[%d]", object.key, i)
		}
	}
	of, by, at := object.code, index.code, t.spot
	t.code = func(r *run) (any, error) {
		v, err := of(r)
		if err != nil || v == nil {
			return nil, err
		}
		i, err := by(r)
		if err != nil {
			return nil, err
		}
		if v, err = element(v, i); err != nil {
			return nil, at.err(err)
		}
		return v, nil
	}
	return c.narrowed(t)
}

func substringHint(t term) string {
	if t.typ.Kind == KindString {
		return ": write substring(" + t.ref + ", from, length)"
	}
	return ""
}

func (c *compiler) field(n *ast.MemberNode, object term, name string) term {
	typ := Type{}
	switch object.typ.Kind {
	case KindAny:
	case KindObject:
		found, ok, open := object.typ.field(name)
		if !ok && !open {
			if whole := unwritable(name, names(object.typ.Fields)); whole != "" && object.ref != "" && object.ref != "#" {
				c.fail(n.Property, "%s has no field %s: write %s[%q] in single quotes", object.ref, name, object.ref, whole)
			}
			c.fail(n.Property, "%s has no field %s%s", object.called(), name, suggest(name, names(object.typ.Fields)))
		}
		typ = found
	case KindList:
		c.fail(n.Property, "%s is a list, and %s belongs to each of its elements: write map(%s, .%s)", object.called(), name, object.ref, name)
	default:
		c.fail(n.Property, "%s, and has no field %s", object.is(), name)
	}
	typ.Optional = typ.Optional || object.typ.Optional
	t := term{typ: typ, spot: c.at(n)}
	switch object.ref {
	case "":
	case "#":
		t.ref = "." + name
	default:
		t.ref = object.ref + "." + name
	}
	if object.key != "" {
		t.key = object.key + "." + name
	}
	if object.path != nil {
		t.path = append(object.path[:len(object.path):len(object.path)], name)
	}
	of, at := object.code, c.at(n.Property)
	t.code = func(r *run) (any, error) {
		v, err := of(r)
		if err != nil {
			return nil, err
		}
		if v, err = memberOf(v, name); err != nil {
			return nil, at.err(err)
		}
		return v, nil
	}
	return c.narrowed(t)
}

func (t term) called() string {
	switch t.ref {
	case "":
		return "this"
	case "#":
		return "the element"
	}
	return t.ref
}

// memberOf is the member of an object, or nil if it or the object is absent.
func memberOf(v any, name string) (any, error) {
	switch object := v.(type) {
	case map[string]any:
		return normal(object[name]), nil
	case nil:
		return nil, nil
	}
	return nil, fmt.Errorf("%s has no member %s", noun(v), name)
}

// element is the member of an object, or what stands in a list, counted from 0
// or, if negative, from its end.
func element(v, index any) (any, error) {
	switch list := v.(type) {
	case map[string]any:
		if name, ok := index.(string); ok {
			return normal(list[name]), nil
		}
	case []any:
		i, ok := index.(int64)
		if !ok {
			break
		}
		at := i
		if i < 0 {
			at += int64(len(list))
		}
		if at < 0 || at >= int64(len(list)) {
			return nil, fmt.Errorf("the list has %d elements, and none at %d", len(list), i)
		}
		return normal(list[at]), nil
	}
	if k := kindOf(index); k != KindString && k != KindInteger {
		return nil, fmt.Errorf("what stands in [ ] is text or an integer, not %s", noun(index))
	}
	return nil, fmt.Errorf("%s has no element %v", noun(v), index)
}

// follow fetches what a plain path leads to, without any program.
func follow(env map[string]any, path []string) (any, error) {
	v := normal(env[path[0]])
	for _, name := range path[1:] {
		var err error
		if v, err = memberOf(v, name); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// slice is a[from:to] of a list, and of the characters of a text.
func (c *compiler) slice(n *ast.SliceNode) term {
	list := c.needKind(c.compile(n.Node), "[from:to]", lists|texts)
	from, to := c.bound(n.From), c.bound(n.To)
	at, of := c.at(n), list.code
	return term{typ: list.typ, spot: at, code: func(r *run) (any, error) {
		v, err := of(r)
		if err != nil {
			return nil, err
		}
		size := 0
		var characters []rune
		items, isList := v.([]any)
		if isList {
			size = len(items)
		} else {
			text, ok := v.(string)
			if !ok {
				return nil, at.err(fmt.Errorf("[from:to] needs a list or text, not %s", noun(v)))
			}
			if err := r.take(4 * len(text)); err != nil {
				return nil, at.err(err)
			}
			characters = []rune(text)
			size = len(characters)
		}
		low, high, err := bounds(r, from, to, size)
		if err != nil {
			return nil, at.err(err)
		}
		if isList {
			return items[low:high:high], nil
		}
		return string(characters[low:high]), nil
	}}
}

// bound is the code of one end of a slice; nil if it is left out.
func (c *compiler) bound(n ast.Node) code {
	if n == nil {
		return nil
	}
	return c.needKind(c.compile(n), "the end of a slice", integers).code
}

// bounds are the ends within a list of size elements. What lies outside of it
// is cut off.
func bounds(r *run, from, to code, size int) (low, high int, err error) {
	if low, err = bounded1(r, from, 0, size); err != nil {
		return 0, 0, err
	}
	if high, err = bounded1(r, to, size, size); err != nil {
		return 0, 0, err
	}
	return low, max(low, high), nil
}

func bounded1(r *run, end code, absent, size int) (int, error) {
	if end == nil {
		return absent, nil
	}
	v, err := end(r)
	if err != nil {
		return 0, err
	}
	i, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("the end of a slice is an integer, not %s", noun(v))
	}
	if i < 0 {
		i += int64(size)
	}
	return int(min(max(i, 0), int64(size))), nil
}
