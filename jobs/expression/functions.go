package expression

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// function is one that expressions can call.
type function struct {
	use      string    // how it is written, for errors
	params   []kindSet // what each argument may be; the last repeats if variadic
	least    int       // how many arguments there must be
	variadic bool
	gives    Kind
	typed    func(args []term) Type // instead of gives, where it depends on the arguments
	check    func(args []term) error
	run      func(r *run, args []any) (any, error)
}

// functions are all of them, by name.
var functions = merged(textFunctions, numberFunctions, listFunctions, timeFunctions, codeFunctions)

func merged(tables ...map[string]function) map[string]function {
	all := map[string]function{}
	for _, table := range tables {
		maps.Copy(all, table)
	}
	return all
}

// elsewhere says what to write instead of a function that other languages, or
// expr itself, have.
var elsewhere = map[string]string{
	"now":       "now() is off: an expression gives the same result whenever it runs; take a time from file, entry or window",
	"today":     "today() is off: an expression gives the same result whenever it runs; take a time from file, entry or window",
	"random":    "random() is off: an expression gives the same result whenever it runs; write uuid5(…) of something that stays",
	"uuid":      "uuid() is off: an expression gives the same result whenever it runs; write uuid5(namespace, text)",
	"md5":       "md5 is broken: write sha256(…), or crc32(…) for a mere checksum",
	"sha1":      "sha1 is broken: write sha256(…)",
	"int":       "write integer(…)",
	"float":     "write decimal(…), which is exact",
	"number":    "write decimal(…), which is exact",
	"string":    "write text(…)",
	"str":       "write text(…)",
	"hash":      "write sha256(…)",
	"pad":       "write padLeft(text, width, fill) or padRight(text, width, fill)",
	"substr":    "write substring(text, from, length)",
	"concat":    "write a + b for text, flatten([a, b]) for lists",
	"length":    "write len(…)",
	"size":      "write len(…)",
	"avg":       "write mean(…)",
	"average":   "write mean(…)",
	"duration":  "there are no durations: write addSeconds(…), addDays(…) or daysBetween(…)",
	"timezone":  "zones are given by name: local(t, \"Europe/Paris\")",
	"coalesce":  "write a ?? b",
	"if":        "write condition ? a : b",
	"toJSON":    "write json(…)",
	"contains":  "write text contains part",
	"hasPrefix": "write text startsWith part",
	"hasSuffix": "write text endsWith part",
}

// call is name(arguments), or record.text("column").
func (c *compiler) call(n *ast.CallNode) term {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		if callee.Value == "lookup" {
			return c.lookup(n)
		}
		return c.function(n, callee.Value, n.Arguments)
	case *ast.MemberNode:
		if t, ok := c.method(n, callee); ok {
			return t
		}
		if name, ok := callee.Property.(*ast.StringNode); ok {
			if f, known := functions[name.Value]; known {
				c.fail(n, "%s is a function, not a part of a value: write %s", name.Value, f.use)
			}
			c.fail(n, "there is no %s(…) to call", name.Value)
		}
	}
	c.fail(n, "only a function can be called, by its name")
	return term{}
}

// method is record.text("column"): a column that is no field, by its title. The
// caller puts a func(string) any under record.text.
func (c *compiler) method(n *ast.CallNode, callee *ast.MemberNode) (term, bool) {
	object, isName := callee.Node.(*ast.IdentifierNode)
	name, isText := callee.Property.(*ast.StringNode)
	if !isName || !isText || object.Value != "record" || name.Value != "text" {
		return term{}, false
	}
	if len(n.Arguments) != 1 {
		c.fail(n, `record.text needs the title of a column: record.text("N° commande")`)
	}
	record := c.identifier(object)
	title := c.needKind(c.compile(n.Arguments[0]), "record.text", texts)
	at, of := c.at(n), title.code
	return term{typ: Of(KindString).optional(), spot: at, ref: "record.text(…)", code: func(r *run) (any, error) {
		v, err := record.code(r)
		if err != nil {
			return nil, err
		}
		members, _ := v.(map[string]any)
		text, ok := members["text"].(func(string) any)
		if !ok {
			return nil, at.err(errors.New("this record has no columns with titles"))
		}
		column, err := of(r)
		if err != nil {
			return nil, err
		}
		name, ok := column.(string)
		if !ok {
			return nil, at.err(fmt.Errorf("the title of a column is text, not %s", noun(column)))
		}
		return normal(text(name)), nil
	}}, true
}

// function is a call of a function by its name.
func (c *compiler) function(n ast.Node, name string, arguments []ast.Node) term {
	f, ok := functions[name]
	if !ok {
		if hint, known := elsewhere[name]; known {
			c.fail(n, "%s", hint)
		}
		if _, isName := c.scope.find(name); isName {
			c.fail(n, "%s is not a function, leave out the parentheses", name)
		}
		c.fail(n, "unknown function %s%s", name, suggest(name, slices.Sorted(maps.Keys(functions))))
	}
	if len(arguments) < f.least || len(arguments) > len(f.params) && !f.variadic {
		c.fail(n, "%s takes %s, not %d: write %s", name, f.arity(), len(arguments), f.use)
	}
	args := make([]term, len(arguments))
	for i, a := range arguments {
		args[i] = c.argument(name, f, i, a)
	}
	if f.check != nil {
		if err := f.check(args); err != nil {
			c.fail(n, "%w", err)
		}
	}
	typ := Of(f.gives)
	if f.typed != nil {
		typ = f.typed(args)
	}
	return term{typ: typ, spot: c.at(n), code: c.calling(n, name, f, args)}
}

func (f function) arity() string {
	most := fmt.Sprint(len(f.params))
	switch {
	case f.variadic:
		return fmt.Sprintf("%d or more arguments", f.least)
	case f.least == 1 && most == "1":
		return "1 argument"
	case f.least == len(f.params):
		return most + " arguments"
	}
	return fmt.Sprintf("%d to %s arguments", f.least, most)
}

func (f function) param(i int) kindSet { return f.params[min(i, len(f.params)-1)] }

func (c *compiler) argument(name string, f function, i int, a ast.Node) term {
	t := c.compile(a)
	want := f.param(i)
	if c.need(t); t.typ.Kind == KindAny || want.has(t.typ.Kind) {
		return t
	}
	hint := ""
	switch {
	case want == texts && scalars.has(t.typ.Kind):
		hint = ": write text(" + orValue(t) + ")"
	case want == numbers && t.typ.Kind == KindString:
		hint = ": write decimal(" + orValue(t) + ")"
	case want.has(KindDate) && t.typ.Kind == KindString:
		hint = ": write date(" + orValue(t) + `, "%Y-%m-%d")`
	}
	c.failAt(t.spot, "%s needs %s, and %s%s", name, want, t.is(), hint)
	return t
}

// calling is the code of a call. The arguments stand in slots, so that a call
// allocates nothing of its own.
func (c *compiler) calling(n ast.Node, name string, f function, args []term) code {
	at, first, count := c.at(n), c.slot(len(args)), len(args)
	return func(r *run) (any, error) {
		if err := r.step(); err != nil {
			return nil, at.err(err)
		}
		for i := range args {
			v, err := args[i].code(r)
			if err != nil {
				return nil, err
			}
			if args[i].constant == nil && (v == nil || !f.param(i).has(kindOf(v))) {
				return nil, args[i].spot.err(fmt.Errorf("%s needs %s, not %s", name, f.param(i), noun(v)))
			}
			r.work(v)
			r.slots[first+i] = v
		}
		v, err := f.run(r, r.slots[first:first+count:first+count])
		if err != nil {
			return nil, at.err(err)
		}
		return v, nil
	}
}

// array is [a, b].
func (c *compiler) array(n *ast.ArrayNode) term {
	parts := make([]term, len(n.Nodes))
	var elem Type
	for i, node := range n.Nodes {
		parts[i] = c.compile(node)
		if i == 0 {
			elem = parts[i].typ
		} else {
			elem = either(term{typ: elem, isNil: allNil(parts[:i])}, parts[i])
		}
	}
	codes := make([]code, len(parts))
	for i, p := range parts {
		codes[i] = converted(p, elem)
	}
	at := c.at(n)
	return term{typ: ListOf(elem), spot: at, code: func(r *run) (any, error) {
		if err := r.takeElements(len(codes)); err != nil {
			return nil, at.err(err)
		}
		list := make([]any, len(codes))
		for i, of := range codes {
			var err error
			if list[i], err = of(r); err != nil {
				return nil, err
			}
		}
		return list, nil
	}}
}

func allNil(parts []term) bool {
	return !slices.ContainsFunc(parts, func(t term) bool { return !t.isNil })
}

// object is {a: b}.
func (c *compiler) object(n *ast.MapNode) term {
	typ := Of(KindObject)
	codes := make([]code, len(n.Pairs))
	for i, p := range n.Pairs {
		pair, _ := p.(*ast.PairNode)
		name, ok := pair.Key.(*ast.StringNode)
		if !ok {
			c.fail(pair.Key, "the name of a member is written out, it cannot be computed")
		}
		if slices.Contains(names(typ.Fields), name.Value) {
			c.fail(pair.Key, "the member %s stands there twice", name.Value)
		}
		value := c.compile(pair.Value)
		typ.Fields = append(typ.Fields, Field{name.Value, value.typ})
		codes[i] = value.code
	}
	members, at := names(typ.Fields), c.at(n)
	return term{typ: typ, spot: at, code: func(r *run) (any, error) {
		if err := r.take(64 * len(codes)); err != nil {
			return nil, at.err(err)
		}
		object := make(map[string]any, len(codes))
		for i, of := range codes {
			v, err := of(r)
			if err != nil {
				return nil, err
			}
			object[members[i]] = v
		}
		return object, nil
	}}
}

// Functions are the names of all functions, and of what goes through lists, in
// the form in which they are written.
func Functions() []string {
	uses := []string{
		"all(list, predicate)", "any(list, predicate)", "none(list, predicate)", "one(list, predicate)",
		"count(list, predicate)", "filter(list, predicate)", "map(list, value)", "find(list, predicate)",
		"findLast(list, predicate)", "findIndex(list, predicate)", "findLastIndex(list, predicate)",
		lookupUse, "groupBy(list, value)", `sortBy(list, value, "desc")`, "reduce(list, value, first)",
	}
	for _, f := range functions {
		uses = append(uses, f.use)
	}
	slices.SortFunc(uses, strings.Compare)
	return uses
}
