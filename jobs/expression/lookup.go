package expression

import (
	"fmt"
	"maps"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// A Table is what lookup finds something in.
type Table struct {
	Type Type // of what is found; optional where nothing may be
	// Find gives what stands under a key; it is given the environment of the evaluation, which may say as of when. It may be called by many goroutines,
	// and changes nothing.
	Find func(env map[string]any, key string) (any, error)
}

// A Tables gives the tables that expressions may look into, by name.
type Tables map[string]func() Table

// With is the scope with tables to look into. A table is asked for when an expression is compiled that names it.
func (s *Scope) With(t Tables) *Scope {
	c := *s
	c.tables = t
	return &c
}

// lookupUse is how lookup is written.
const lookupUse = `lookup("table", key)`

// lookup is lookup("table", key): what a table of the configuration holds under a key.
func (c *compiler) lookup(n *ast.CallNode) term {
	if len(n.Arguments) != 2 {
		c.fail(n, "lookup takes 2 arguments, not %d: write %s", len(n.Arguments), lookupUse)
	}
	name, ok := n.Arguments[0].(*ast.StringNode)
	if !ok {
		c.fail(n.Arguments[0], "the name of a table is written out, it cannot be computed: write %s", lookupUse)
	}
	make, ok := c.scope.tables[name.Value]
	if !ok && len(c.scope.tables) == 0 {
		c.fail(n.Arguments[0], "there is no table %s: tables stand in the configuration under tables", name.Value)
	}
	if !ok {
		names := slices.Sorted(maps.Keys(c.scope.tables))
		c.fail(n.Arguments[0], "there is no table %s%s", name.Value, suggest(name.Value, names))
	}
	table := make()
	key := c.compile(n.Arguments[1])
	if c.need(key); key.typ.Kind != KindAny && !scalars.has(key.typ.Kind) {
		c.failAt(key.spot, "a key of a table is a text or a number, and %s", key.is())
	}
	at, of := c.at(n), key.code
	return term{typ: table.Type, spot: at, ref: "lookup(…)", code: func(r *run) (any, error) {
		if err := r.step(); err != nil {
			return nil, at.err(err)
		}
		v, err := of(r)
		if err != nil {
			return nil, err
		}
		if v == nil || !scalars.has(kindOf(v)) {
			return nil, key.spot.err(fmt.Errorf("a key of a table is a text or a number, not %s", noun(v)))
		}
		text, err := Text(v)
		if err != nil {
			return nil, at.err(err)
		}
		found, err := table.Find(r.env, text)
		if err != nil {
			return nil, at.err(err)
		}
		return found, nil
	}}
}
