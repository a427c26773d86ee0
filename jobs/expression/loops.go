package expression

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// builtin compiles a call of a name that the parser knows. Most of them are
// functions like any other; those whose second argument is computed once for
// each element of the first are here.
func (c *compiler) builtin(n *ast.BuiltinNode) term {
	if !isPredicate(n.Name) {
		return c.function(n, n.Name, n.Arguments)
	}
	if len(n.Arguments) == 0 {
		c.fail(n, "%s needs a list", n.Name)
	}
	list := c.needKind(c.compile(n.Arguments[0]), n.Name, lists)
	switch n.Name {
	case "all":
		return c.hits(n, list, Of(KindBoolean), aMiss, func(seen, hits int) any { return hits == seen })
	case "any":
		return c.hits(n, list, Of(KindBoolean), aHit, func(_, hits int) any { return hits > 0 })
	case "none":
		return c.hits(n, list, Of(KindBoolean), aHit, func(_, hits int) any { return hits == 0 })
	case "one":
		return c.hits(n, list, Of(KindBoolean), theEnd, func(_, hits int) any { return hits == 1 })
	case "count":
		return c.count(n, list)
	case "filter":
		return c.filter(n, list)
	case "map":
		return c.mapped(n, list)
	case "sum":
		return c.sum(n, list)
	case "groupBy":
		return c.groupBy(n, list)
	case "sortBy":
		return c.sortBy(n, list)
	case "reduce":
		return c.reduce(n, list)
	}
	return c.find(n, list, strings.Contains(n.Name, "Last"), strings.HasSuffix(n.Name, "Index"))
}

// isPredicate holds for the names whose arguments the parser reads so.
func isPredicate(name string) bool {
	switch name {
	case "all", "any", "none", "one", "count", "filter", "map", "sum", "groupBy", "sortBy", "reduce",
		"find", "findLast", "findIndex", "findLastIndex":
		return true
	}
	return false
}

// body is a predicate, compiled, with where it finds its element.
type body struct {
	term
	loop *loop
}

func (c *compiler) body(n ast.Node, list term) body {
	return c.bodyWith(n, list, nil)
}

func (c *compiler) bodyWith(n ast.Node, list term, acc *Type) body {
	if p, ok := n.(*ast.PredicateNode); ok {
		n = p.Node
	}
	l := &loop{elem: list.typ.elem(), slot: c.slot(3), acc: acc}
	c.loops = append(c.loops, l)
	t := c.compile(n)
	c.loops = c.loops[:len(c.loops)-1]
	return body{t, l}
}

func (c *compiler) condition(n *ast.BuiltinNode, list term) body {
	b := c.body(n.Arguments[1], list)
	c.needKind(b.term, n.Name, booleans)
	return b
}

// over runs what gives a list, and does something with that.
func over(list term, at spot, do func(r *run, l []any) (any, error)) code {
	return func(r *run) (any, error) {
		v, err := list.code(r)
		if err != nil {
			return nil, err
		}
		l, ok := v.([]any)
		if !ok {
			return nil, at.err(fmt.Errorf("a list is needed here, not %s", noun(v)))
		}
		return do(r, l)
	}
}

// visit computes the predicate for the i-th element.
func (b body) visit(r *run, i int, item any) (any, error) {
	if err := r.step(); err != nil {
		return nil, b.spot.err(err)
	}
	r.slots[b.loop.slot] = normal(item)
	if b.loop.usesIndex {
		r.slots[b.loop.slot+1] = int64(i)
	}
	return b.code(r)
}

func (b body) holds(r *run, i int, item any) (bool, error) {
	v, err := b.visit(r, i, item)
	if err != nil {
		return false, err
	}
	hit, ok := v.(bool)
	if !ok {
		return false, b.spot.err(fmt.Errorf("true or false is needed here, not %s", noun(v)))
	}
	return hit, nil
}

// until says which element ends a count.
type until uint8

const (
	theEnd until = iota
	aHit
	aMiss
)

// hits counts the elements that a condition holds for, and those that were looked at.
func (c *compiler) hits(n *ast.BuiltinNode, list term, typ Type, end until, result func(seen, hits int) any) term {
	b, at := c.condition(n, list), c.at(n)
	return term{typ: typ, spot: at, code: over(list, at, func(r *run, l []any) (any, error) {
		hits := 0
		for i, item := range l {
			hit, err := b.holds(r, i, item)
			if err != nil {
				return nil, err
			}
			if hit {
				hits++
			}
			if hit && end == aHit || !hit && end == aMiss {
				return result(i+1, hits), nil
			}
		}
		return result(len(l), hits), nil
	})}
}

func (c *compiler) count(n *ast.BuiltinNode, list term) term {
	if len(n.Arguments) == 1 {
		return c.function(n, "len", n.Arguments)
	}
	return c.hits(n, list, Of(KindInteger), theEnd, func(_, hits int) any { return int64(hits) })
}

func (c *compiler) filter(n *ast.BuiltinNode, list term) term {
	b, at := c.condition(n, list), c.at(n)
	return term{typ: list.typ, spot: at, code: over(list, at, func(r *run, l []any) (any, error) {
		kept := []any{}
		for i, item := range l {
			hit, err := b.holds(r, i, item)
			if err != nil {
				return nil, err
			}
			if hit {
				kept = append(kept, item)
			}
		}
		if err := r.takeElements(len(kept)); err != nil {
			return nil, at.err(err)
		}
		return kept, nil
	})}
}

func (c *compiler) mapped(n *ast.BuiltinNode, list term) term {
	b, at := c.body(n.Arguments[1], list), c.at(n)
	return term{typ: ListOf(b.typ), spot: at, code: over(list, at, func(r *run, l []any) (any, error) {
		if err := r.takeElements(len(l)); err != nil {
			return nil, at.err(err)
		}
		results := make([]any, len(l))
		for i, item := range l {
			var err error
			if results[i], err = b.visit(r, i, item); err != nil {
				return nil, err
			}
		}
		return results, nil
	})}
}

func (c *compiler) find(n *ast.BuiltinNode, list term, last, index bool) term {
	b, at := c.condition(n, list), c.at(n)
	typ := list.typ.elem().optional()
	if index {
		typ = Of(KindInteger).optional()
	}
	return term{typ: typ, spot: at, code: over(list, at, func(r *run, l []any) (any, error) {
		for i := range l {
			if last {
				i = len(l) - 1 - i
			}
			hit, err := b.holds(r, i, l[i])
			switch {
			case err != nil:
				return nil, err
			case hit && index:
				return int64(i), nil
			case hit:
				return normal(l[i]), nil
			}
		}
		return nil, nil
	})}
}

// sum of nothing is 0; elements that are decimals make a decimal.
func (c *compiler) sum(n *ast.BuiltinNode, list term) term {
	if len(n.Arguments) == 1 {
		return c.function(n, "sum", n.Arguments)
	}
	b, at := c.body(n.Arguments[1], list), c.at(n)
	c.needKind(b.term, "sum", numbers)
	typ := arithmeticType(b.typ, b.typ)
	add, zero := operations["+"], zeroOf(typ)
	return term{typ: typ, spot: at, code: over(list, at, func(r *run, l []any) (any, error) {
		total := zero
		for i, item := range l {
			v, err := b.visit(r, i, item)
			if err != nil {
				return nil, err
			}
			if total, err = add.apply(total, v); err != nil {
				return nil, at.err(err)
			}
		}
		return total, nil
	})}
}

func zeroOf(t Type) any {
	if t.Kind == KindDecimal {
		return Decimal{}
	}
	return int64(0)
}

// groupBy makes an object: a list of elements under the text of each key.
func (c *compiler) groupBy(n *ast.BuiltinNode, list term) term {
	b, at := c.body(n.Arguments[1], list), c.at(n)
	c.needKind(b.term, "groupBy", scalars)
	return term{typ: Of(KindObject), spot: at, code: over(list, at, func(r *run, l []any) (any, error) {
		groups := map[string][]any{}
		for i, item := range l {
			v, err := b.visit(r, i, item)
			if err != nil {
				return nil, err
			}
			name, err := Text(v)
			if err == nil {
				err = r.take(64 + len(name))
			}
			if err != nil {
				return nil, at.err(err)
			}
			groups[name] = append(groups[name], item)
		}
		result := make(map[string]any, len(groups))
		for name, group := range groups {
			result[name] = group
		}
		return result, nil
	})}
}

// sortBy orders by a key, and leaves what has the same key in its order.
func (c *compiler) sortBy(n *ast.BuiltinNode, list term) term {
	b, at, sign := c.body(n.Arguments[1], list), c.at(n), 1
	c.needKind(b.term, "sortBy", numbers|texts|moments)
	if len(n.Arguments) == 3 {
		switch direction := c.compile(n.Arguments[2]).constant; direction {
		case "asc":
		case "desc":
			sign = -1
		default:
			c.fail(n.Arguments[2], `the direction is "asc" or "desc"`)
		}
	}
	type keyed struct{ key, item any }
	return term{typ: list.typ, spot: at, code: over(list, at, func(r *run, l []any) (any, error) {
		if err := r.takeElements(3 * len(l)); err != nil {
			return nil, at.err(err)
		}
		pairs := make([]keyed, len(l))
		for i, item := range l {
			key, err := b.visit(r, i, item)
			if err != nil {
				return nil, err
			}
			pairs[i] = keyed{key, item}
		}
		var wrong error
		slices.SortStableFunc(pairs, func(a, b keyed) int {
			order, err := compare(a.key, b.key)
			wrong = cmp.Or(wrong, err)
			return sign * order
		})
		if wrong != nil {
			return nil, at.err(wrong)
		}
		sorted := make([]any, len(pairs))
		for i, p := range pairs {
			sorted[i] = p.item
		}
		return sorted, nil
	})}
}

// reduce computes #acc anew for each element, from what stands third on.
func (c *compiler) reduce(n *ast.BuiltinNode, list term) term {
	if len(n.Arguments) != 3 {
		c.fail(n, "reduce needs a value to begin with: reduce(list, #acc + .quantity, 0)")
	}
	initial := c.need(c.compile(n.Arguments[2]))
	acc := initial.typ
	b := c.bodyWith(n.Arguments[1], list, &acc)
	if wider := unify(acc, c.need(b.term).typ); wider.Kind != acc.Kind {
		acc = wider
		b = c.bodyWith(n.Arguments[1], list, &acc)
	}
	at, first := c.at(n), converted(initial, acc)
	return term{typ: acc, spot: at, code: over(list, at, func(r *run, l []any) (any, error) {
		value, err := first(r)
		if err != nil {
			return nil, err
		}
		for i, item := range l {
			r.slots[b.loop.slot+2] = value
			if value, err = b.visit(r, i, item); err != nil {
				return nil, err
			}
		}
		return value, nil
	})}
}
