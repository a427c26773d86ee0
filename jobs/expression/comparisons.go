package expression

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

func (c *compiler) equality(n *ast.BinaryNode, left, right term) term {
	same := n.Operator == "=="
	if left.isNil || right.isNil {
		return c.absence(n, left, right, same)
	}
	c.need(left)
	c.need(right)
	if !comparable(left.typ, right.typ) {
		c.fail(n, "%s compares %s with %s, which are never the same%s", n.Operator, left.typ.Kind.Noun(), right.typ.Kind.Noun(), compareHint(left, right))
	}
	return c.both(n, Of(KindBoolean), left, right, func(r *run, a, b any) (any, error) {
		is, err := equal(r, a, b)
		return is == same, err
	})
}

func comparable(a, b Type) bool {
	return a.Kind == KindAny || b.Kind == KindAny || a.Kind == b.Kind || a.numeric() && b.numeric()
}

func compareHint(left, right term) string {
	for _, pair := range [][2]term{{left, right}, {right, left}} {
		number, text := pair[0], pair[1]
		switch {
		case !number.typ.numeric() || text.typ.Kind != KindString:
		case text.constant != nil:
			return ": write the number without quotes"
		default:
			return fmt.Sprintf(": write decimal(%s), or text(%s)", orValue(text), orValue(number))
		}
	}
	return ""
}

func orValue(t term) string {
	if t.ref == "" {
		return "…"
	}
	return t.ref
}

// absence is == nil and != nil.
func (c *compiler) absence(n *ast.BinaryNode, left, right term, same bool) term {
	if left.isNil && right.isNil {
		c.fail(n, "nil is nil: name what may be absent")
	}
	asked := left
	if left.isNil {
		asked = right
	}
	if !asked.typ.Optional && asked.typ.Kind != KindAny && asked.key != "" && !slices.Contains(c.known, asked.key) {
		c.fail(n, "%s is never absent, so comparing it with nil says nothing", asked.ref)
	}
	t := term{typ: Of(KindBoolean), spot: c.at(n)}
	if asked.key != "" {
		// Where a.b is there, so is a.
		keys := []string{asked.key}
		for i, b := range []byte(asked.key) {
			if b == '.' || b == '[' {
				keys = append(keys, asked.key[:i])
			}
		}
		if same {
			t.whenFalse = keys
		} else {
			t.whenTrue = keys
		}
	}
	of := asked.code
	t.code = func(r *run) (any, error) {
		v, err := of(r)
		return (v == nil) == same, err
	}
	return t
}

func (c *compiler) order(n *ast.BinaryNode, left, right term) term {
	const ordered = numbers | texts | moments
	c.needKind(left, n.Operator, ordered)
	c.needKind(right, n.Operator, ordered)
	if !comparable(left.typ, right.typ) {
		c.fail(n, "%s compares %s with %s, which have no order%s", n.Operator, left.typ.Kind.Noun(), right.typ.Kind.Noun(), compareHint(left, right))
	}
	var holds func(order int) bool
	switch n.Operator {
	case "<":
		holds = func(o int) bool { return o < 0 }
	case "<=":
		holds = func(o int) bool { return o <= 0 }
	case ">":
		holds = func(o int) bool { return o > 0 }
	default:
		holds = func(o int) bool { return o >= 0 }
	}
	return c.both(n, Of(KindBoolean), left, right, func(r *run, a, b any) (any, error) {
		o, err := compare(a, b)
		return holds(o), err
	})
}

// in asks whether a list has an element, or an object a name.
func (c *compiler) in(n *ast.BinaryNode, left, right term) term {
	c.needKind(left, "in", scalars)
	c.needKind(right, "in", lists|objects)
	wanted := right.typ.elem()
	if right.typ.Kind == KindObject {
		wanted = Of(KindString)
	}
	if !comparable(left.typ, wanted) {
		c.fail(n, "in looks for %s among values that are each %s%s", left.typ.Kind.Noun(), wanted.Kind.Noun(), compareHint(left, term{typ: wanted}))
	}
	return c.both(n, Of(KindBoolean), left, right, func(r *run, a, b any) (any, error) {
		switch among := b.(type) {
		case []any:
			for _, v := range among {
				if err := r.step(); err != nil {
					return nil, err
				}
				if is, err := equal(r, a, v); is || err != nil {
					return is, err
				}
			}
			return false, nil
		case map[string]any:
			name, ok := a.(string)
			_, has := among[name]
			return ok && has, nil
		}
		return nil, fmt.Errorf("in looks in a list or an object, not in %s", noun(b))
	})
}

func (c *compiler) interval(n *ast.BinaryNode, left, right term) term {
	c.needKind(left, "..", integers)
	c.needKind(right, "..", integers)
	low, hasLow := left.constant.(int64)
	high, hasHigh := right.constant.(int64)
	if hasLow && hasHigh {
		if err := checkInterval(low, high); err != nil {
			c.fail(n, "%w", err)
		}
	}
	return c.both(n, ListOf(Of(KindInteger)), left, right, func(r *run, a, b any) (any, error) {
		low, isLow := a.(int64)
		high, isHigh := b.(int64)
		if !isLow || !isHigh {
			return nil, fmt.Errorf("a range goes from integer to integer, not from %s to %s", noun(a), noun(b))
		}
		if low > high {
			return []any{}, nil
		}
		if err := checkInterval(low, high); err != nil {
			return nil, err
		}
		if err := r.takeElements(2 * int(high-low+1)); err != nil {
			return nil, err
		}
		list := make([]any, 0, high-low+1)
		for i := range high - low + 1 {
			list = append(list, low+i)
		}
		return list, nil
	})
}

func checkInterval(low, high int64) error {
	if low <= high && uint64(high)-uint64(low) >= maxRange {
		return fmt.Errorf("the range %d..%d has more than %d elements", low, high, maxRange)
	}
	return nil
}

var errPattern = errors.New("the pattern is longer than 1000 characters")

func (c *compiler) search(n *ast.BinaryNode, left, right term) term {
	c.needKind(left, n.Operator, texts)
	c.needKind(right, n.Operator, texts)
	var holds func(r *run, text, part string) (bool, error)
	switch n.Operator {
	case "contains":
		holds = plainSearch(strings.Contains)
	case "startsWith":
		holds = plainSearch(strings.HasPrefix)
	case "endsWith":
		holds = plainSearch(strings.HasSuffix)
	default:
		holds = c.pattern(right)
	}
	return c.both(n, Of(KindBoolean), left, right, func(r *run, a, b any) (any, error) {
		text, isText := a.(string)
		part, isPart := b.(string)
		if !isText || !isPart {
			return nil, fmt.Errorf("%s needs text and text, not %s and %s", n.Operator, noun(a), noun(b))
		}
		return holds(r, text, part)
	})
}

func plainSearch(f func(text, part string) bool) func(*run, string, string) (bool, error) {
	return func(_ *run, text, part string) (bool, error) { return f(text, part), nil }
}

// pattern is matches. Patterns are those of Go (RE2): no input makes them slow.
func (c *compiler) pattern(right term) func(*run, string, string) (bool, error) {
	if literal, ok := right.constant.(string); ok {
		re, err := regexp.Compile(literal)
		if err != nil {
			c.failAt(right.spot, "%w", err)
		}
		return func(_ *run, text, _ string) (bool, error) { return re.MatchString(text), nil }
	}
	return func(r *run, text, pattern string) (bool, error) {
		if len(pattern) > 1000 {
			return false, errPattern
		}
		if err := r.take(1000 * len(pattern)); err != nil {
			return false, err
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return false, err
		}
		return re.MatchString(text), nil
	}
}
