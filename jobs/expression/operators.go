package expression

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

func (c *compiler) unary(n *ast.UnaryNode) term {
	operand := c.compile(n.Node)
	of, at := operand.code, c.at(n)
	if n.Operator == "not" || n.Operator == "!" {
		c.needKind(operand, n.Operator, booleans)
		return term{typ: Of(KindBoolean), spot: at, whenTrue: operand.whenFalse, whenFalse: operand.whenTrue,
			code: func(r *run) (any, error) {
				b, err := truth(r, of, at)
				return !b, err
			}}
	}
	c.needKind(operand, n.Operator, numbers)
	if n.Operator == "+" {
		return operand
	}
	t := term{typ: arithmeticType(operand.typ, operand.typ), spot: at}
	if operand.constant != nil {
		v, err := negate(operand.constant)
		if err != nil {
			c.fail(n, "%w", err)
		}
		return c.literal(n, t.typ.Kind, v)
	}
	t.code = func(r *run) (any, error) {
		v, err := of(r)
		if err != nil {
			return nil, err
		}
		if v, err = negate(v); err != nil {
			return nil, at.err(err)
		}
		return v, nil
	}
	return t
}

// truth runs code that gives a boolean.
func truth(r *run, of code, at spot) (bool, error) {
	v, err := of(r)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, at.err(fmt.Errorf("true or false is needed here, not %s", noun(v)))
	}
	return b, nil
}

func (c *compiler) binary(n *ast.BinaryNode) term {
	switch n.Operator {
	case "&&", "and", "||", "or":
		return c.logic(n)
	case "??":
		return c.coalesce(n)
	}
	left, right := c.compile(n.Left), c.compile(n.Right)
	switch n.Operator {
	case "==", "!=":
		return c.equality(n, left, right)
	case "<", "<=", ">", ">=":
		return c.order(n, left, right)
	case "in":
		return c.in(n, left, right)
	case "..":
		return c.interval(n, left, right)
	case "contains", "startsWith", "endsWith", "matches":
		return c.search(n, left, right)
	}
	operation, ok := operations[n.Operator]
	if !ok {
		c.fail(n, "%s is not an operator of this language", n.Operator)
	}
	return c.arithmetic(n, operation, left, right)
}

// both makes a term of two that are computed one after the other.
func (c *compiler) both(n ast.Node, typ Type, left, right term, apply func(r *run, a, b any) (any, error)) term {
	at, first, second := c.at(n), left.code, right.code
	return term{typ: typ, spot: at, code: func(r *run) (any, error) {
		if err := r.step(); err != nil {
			return nil, at.err(err)
		}
		a, err := first(r)
		if err != nil {
			return nil, err
		}
		b, err := second(r)
		if err != nil {
			return nil, err
		}
		r.work(a)
		r.work(b)
		v, err := apply(r, a, b)
		if err != nil {
			return nil, at.err(err)
		}
		return v, nil
	}}
}

func (c *compiler) logic(n *ast.BinaryNode) term {
	left := c.needKind(c.compile(n.Left), n.Operator, booleans)
	and := n.Operator == "&&" || n.Operator == "and"
	shown := left.whenFalse
	if and {
		shown = left.whenTrue
	}
	right := c.needKind(c.knowing(shown, func() term { return c.compile(n.Right) }), n.Operator, booleans)
	t := term{typ: Of(KindBoolean), spot: c.at(n)}
	if and {
		t.whenTrue = append(left.whenTrue[:len(left.whenTrue):len(left.whenTrue)], right.whenTrue...)
	} else {
		t.whenFalse = append(left.whenFalse[:len(left.whenFalse):len(left.whenFalse)], right.whenFalse...)
	}
	at, first, second := t.spot, left.code, right.code
	t.code = func(r *run) (any, error) {
		b, err := truth(r, first, at)
		if err != nil {
			return nil, err
		}
		if b == and {
			b, err = truth(r, second, at)
		}
		return b, err
	}
	return t
}

func (c *compiler) coalesce(n *ast.BinaryNode) term {
	left, right := c.compile(n.Left), c.compile(n.Right)
	if left.isNil {
		c.fail(n, "nil ?? a value is always that value")
	}
	given := left
	given.typ = left.typ.present()
	typ := either(given, right)
	first, second := converted(left, typ), converted(right, typ)
	return term{typ: typ, spot: c.at(n), code: func(r *run) (any, error) {
		v, err := first(r)
		if err != nil || v != nil {
			return v, err
		}
		return second(r)
	}}
}

// converted is the code of t where the type is a wider one: an integer becomes a
// decimal, so that what is declared a decimal is one.
func converted(t term, wider Type) code {
	if wider.Kind != KindDecimal || t.typ.Kind == KindDecimal || t.isNil {
		return t.code
	}
	of, at := t.code, t.spot
	return func(r *run) (any, error) {
		v, err := of(r)
		if err != nil || v == nil {
			return nil, err
		}
		d, err := toDecimal(v)
		if err != nil {
			return nil, at.err(err)
		}
		return d, nil
	}
}

// either is the type of a value that comes from one of two places.
func either(a, b term) Type {
	switch {
	case a.isNil:
		return b.typ.optional()
	case b.isNil:
		return a.typ.optional()
	}
	return unify(a.typ, b.typ)
}

func (c *compiler) conditional(n *ast.ConditionalNode) term {
	cond := c.needKind(c.compile(n.Cond), "a condition", booleans)
	yes := c.knowing(cond.whenTrue, func() term { return c.compile(n.Exp1) })
	no := c.knowing(cond.whenFalse, func() term { return c.compile(n.Exp2) })
	typ := either(yes, no)
	at, test, first, second := cond.spot, cond.code, converted(yes, typ), converted(no, typ)
	return term{typ: typ, spot: at, code: func(r *run) (any, error) {
		b, err := truth(r, test, at)
		if err != nil {
			return nil, err
		}
		if b {
			return first(r)
		}
		return second(r)
	}}
}

func arithmeticType(a, b Type) Type {
	switch {
	case a.Kind == KindInteger && b.Kind == KindInteger:
		return Of(KindInteger)
	case a.numeric() && b.numeric(), a.Kind == KindDecimal, b.Kind == KindDecimal:
		return Of(KindDecimal)
	}
	return Type{}
}

func (c *compiler) arithmetic(n *ast.BinaryNode, o operation, left, right term) term {
	if n.Operator == "+" && (left.typ.Kind == KindString || right.typ.Kind == KindString) {
		return c.concatenation(n, left, right)
	}
	c.needKind(left, n.Operator, numbers)
	c.needKind(right, n.Operator, numbers)
	typ := arithmeticType(left.typ, right.typ)
	if o.integers == nil && typ.Kind != KindAny {
		typ = Of(KindDecimal)
	}
	if n.Operator == "/" || n.Operator == "%" {
		if d, err := toDecimal(right.constant); right.constant != nil && err == nil && d.Sign() == 0 {
			c.fail(n, "division by zero")
		}
	}
	plus, cost := n.Operator == "+", 0
	if n.Operator == "**" || n.Operator == "^" {
		cost = 100 // of multiplications, of numbers that grow long
	}
	return c.both(n, typ, left, right, func(r *run, a, b any) (any, error) {
		if text, ok := a.(string); ok && plus {
			return concatenate(r, text, b)
		}
		r.steps -= cost
		return o.apply(a, b)
	})
}

func (c *compiler) concatenation(n *ast.BinaryNode, left, right term) term {
	for _, t := range []term{left, right} {
		if c.need(t); t.typ.Kind != KindString && t.typ.Kind != KindAny {
			c.failAt(t.spot, "+ joins text with text, and %s: write text(%s)", t.is(), orValue(t))
		}
	}
	return c.both(n, Of(KindString), left, right, func(r *run, a, b any) (any, error) {
		text, ok := a.(string)
		if !ok {
			return nil, fmt.Errorf("+ joins text with text, not with %s: write text(…)", noun(a))
		}
		return concatenate(r, text, b)
	})
}

func concatenate(r *run, a string, b any) (any, error) {
	text, ok := b.(string)
	if !ok {
		return nil, fmt.Errorf("+ joins text with text, not with %s: write text(…)", noun(b))
	}
	if err := r.take(len(a) + len(text)); err != nil {
		return nil, err
	}
	return a + text, nil
}
