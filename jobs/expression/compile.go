package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// term is a part of an expression, compiled.
type term struct {
	typ  Type
	code code
	spot spot

	ref   string   // how errors call it: order_no, .quantity; empty: no name
	key   string   // the same, unmistakable; empty: not a reference
	path  []string // of a plain reference to a name of the scope
	isNil bool     // the literal nil

	constant any // of a literal

	// keys of references that are known to be there if the term is true, or false
	whenTrue, whenFalse []string
}

// loop is a predicate that the compiler is in.
type loop struct {
	elem      Type
	slot      int   // of the element; its index stands behind it
	acc       *Type // of #acc, whose slot comes third; nil: there is none
	usesIndex bool
}

// local is a name given by let.
type local struct {
	name string
	typ  Type
	slot int
}

// compiler turns one tree into closures. Mistakes leave it as a failure.
type compiler struct {
	scope  *Scope
	src    *source
	names  []string // of the scope, that are used
	locals []local
	loops  []*loop
	known  []string // keys that a condition around has shown to be there
	slots  int
	nodes  int
}

func (c *compiler) at(n ast.Node) spot { return spot{c.src, n.Location()} }

// fail ends the compilation; the place is that of n.
func (c *compiler) fail(n ast.Node, format string, args ...any) {
	c.failAt(c.at(n), format, args...)
}

func (c *compiler) failAt(s spot, format string, args ...any) {
	panic(failure{s.err(fmt.Errorf(format, args...))})
}

// slot sets room for n values aside and says where it begins.
func (c *compiler) slot(n int) int {
	c.slots += n
	return c.slots - n
}

// compile is the one step over all kinds of node.
func (c *compiler) compile(n ast.Node) term {
	// Nodes are counted here too: a chain of comparisons shares what stands in
	// its middle, so that a small tree can be a large expression.
	if c.nodes++; c.nodes > maxNodes {
		c.fail(n, "the expression is too large, split it into computed fields")
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return term{typ: Type{Optional: true}, isNil: true, ref: "nil", spot: c.at(n), code: func(*run) (any, error) { return nil, nil }}
	case *ast.BoolNode:
		return c.literal(n, KindBoolean, n.Value)
	case *ast.StringNode:
		return c.literal(n, KindString, n.Value)
	case *ast.BytesNode:
		return c.literal(n, KindBytes, n.Value)
	case *ast.IntegerNode:
		return c.literal(n, KindInteger, int64(n.Value))
	case *ast.FloatNode:
		return c.decimal(n)
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.ChainNode: // absence travels along every path, so a?.b is a.b
		return c.compile(n.Node)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.object(n)
	case *ast.BuiltinNode:
		return c.builtin(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.SequenceNode:
		c.fail(n, "an expression has one result: only let may stand before a ;")
	}
	c.fail(n, "%s is not part of the language", n)
	return term{}
}

func (c *compiler) literal(n ast.Node, k Kind, v any) term {
	return term{typ: Of(k), constant: v, spot: c.at(n), code: func(*run) (any, error) { return v, nil }}
}

// decimal reads the literal from the text again: the parser has made a binary
// number of it.
func (c *compiler) decimal(n *ast.FloatNode) term {
	d, err := ParseDecimal(strings.ReplaceAll(c.at(n).written(), "_", ""))
	if err != nil {
		c.fail(n, "%w", err)
	}
	return c.literal(n, KindDecimal, d)
}

func (c *compiler) identifier(n *ast.IdentifierNode) term {
	name := n.Value
	for _, l := range slices.Backward(c.locals) {
		if l.name == name {
			slot := l.slot
			t := term{typ: l.typ, spot: c.at(n), ref: name, key: fmt.Sprint("$", slot)}
			t.code = func(r *run) (any, error) { return r.slots[slot], nil }
			return c.narrowed(t)
		}
	}
	typ, ok := c.scope.find(name)
	if !ok {
		c.fail(n, "%s", c.unknown(name))
	}
	if !slices.Contains(c.names, name) {
		c.names = append(c.names, name)
	}
	t := term{typ: typ, spot: c.at(n), ref: name, key: name, path: []string{name}}
	t.code = func(r *run) (any, error) { return normal(r.env[name]), nil }
	return c.narrowed(t)
}

// afterRecords says of names of what stands behind the records, or is counted, where they are known.
var afterRecords = map[string]string{
	"trailer": "in check.file and acknowledge, with what read.trailer names",
	"totals":  "in check.file and acknowledge, with what read.totals names, and in the trailer of a written file, with the totals beside it",
}

func (c *compiler) unknown(name string) string {
	switch _, isFunction := functions[name]; {
	case isFunction:
		return fmt.Sprintf("%s is a function: write %s(…)", name, name)
	case name == "position" || name == "up":
		return name + " is known only inside =each"
	case name == "None" || name == "null":
		return "unknown name " + name + ", an absent value is written nil"
	case name == "True" || name == "False" || name == "yes" || name == "no":
		return "unknown name " + name + ", booleans are true and false"
	}
	if where, ok := afterRecords[name]; ok && suggest(name, c.scope.all()) == "" {
		return "unknown name " + name + ", which is known once all records are read: " + where
	}
	if up, ok := c.scope.find("up"); ok && !c.scope.open {
		if _, ok, _ := up.field(name); ok {
			return fmt.Sprintf("unknown name %s, outside of the element it is up.%s", name, name)
		}
	}
	if n := unwritable(name, names(c.scope.fields)); n != "" {
		return "unknown name " + name + ": " + noExpression(n)
	}
	list := c.scope.all()
	for _, l := range c.locals {
		list = append(list, l.name)
	}
	if hint := suggest(name, list); hint != "" || len(c.loops) == 0 {
		return "unknown name " + name + hint
	}
	if _, ok, _ := c.loops[len(c.loops)-1].elem.field(name); ok {
		return fmt.Sprintf("unknown name %s, a field of the element is written .%s", name, name)
	}
	return "unknown name " + name
}

// narrowed takes the mark of absence from what a condition has shown to be there.
func (c *compiler) narrowed(t term) term {
	if t.typ.Optional && slices.Contains(c.known, t.key) {
		t.typ.Optional = false
	}
	return t
}

// knowing compiles with more references known to be there.
func (c *compiler) knowing(keys []string, compile func() term) term {
	before := len(c.known)
	c.known = append(c.known, keys...)
	t := compile()
	c.known = c.known[:before]
	return t
}

func (c *compiler) pointer(n *ast.PointerNode) term {
	if len(c.loops) == 0 {
		c.fail(n, "# stands for the element inside any(…), map(…) and their like only")
	}
	l := c.loops[len(c.loops)-1]
	slot := l.slot
	t := term{typ: l.elem, spot: c.at(n), ref: "#", key: fmt.Sprint("#", slot)}
	switch n.Name {
	case "":
	case "index":
		l.usesIndex = true
		t, slot = term{typ: Of(KindInteger), spot: c.at(n), ref: "#index"}, slot+1
	case "acc":
		if l.acc == nil {
			c.fail(n, "#acc is known inside reduce(…) only")
		}
		t, slot = term{typ: *l.acc, spot: c.at(n), ref: "#acc", key: fmt.Sprint("#", slot+2)}, slot+2
	default:
		c.fail(n, "unknown #%s, there are #, #index and #acc", n.Name)
	}
	t.code = func(r *run) (any, error) { return r.slots[slot], nil }
	return c.narrowed(t)
}

func (c *compiler) let(n *ast.VariableDeclaratorNode) term {
	if _, taken := c.scope.find(n.Name); taken && !c.scope.open || Reserved(n.Name) {
		c.fail(n, "%s is taken, give the variable another name", n.Name)
	}
	value := c.compile(n.Value)
	if value.isNil {
		c.fail(n, "a variable cannot be nil")
	}
	slot := c.slot(1)
	c.locals = append(c.locals, local{n.Name, value.typ, slot})
	body := c.compile(n.Expr)
	c.locals = c.locals[:len(c.locals)-1]
	set, get := value.code, body.code
	return term{typ: body.typ, spot: c.at(n), code: func(r *run) (any, error) {
		v, err := set(r)
		if err != nil {
			return nil, err
		}
		r.slots[slot] = v
		return get(r)
	}}
}

// need refuses what may be absent, where a value must be.
func (c *compiler) need(t term) term {
	if !t.typ.Optional || t.typ.Kind == KindAny && !t.isNil {
		return t // what nobody declared is looked at when it is there
	}
	switch {
	case t.isNil:
		c.failAt(t.spot, "nil has no value: it can only be compared with == and !=")
	case t.ref != "":
		c.failAt(t.spot, "%s may be absent: write (%s ?? a default), ask %s != nil first, or make the field required", t.ref, t.ref, t.ref)
	}
	c.failAt(t.spot, "this value may be absent: put it in parentheses with ?? and a default")
	return t
}

// needKind is need, and the value is one of the kinds.
func (c *compiler) needKind(t term, what string, set kindSet) term {
	c.need(t)
	if t.typ.Kind != KindAny && !set.has(t.typ.Kind) {
		c.failAt(t.spot, "%s needs %s, and %s", what, set, t.is())
	}
	return t
}

// is says what t is, with its name if it has one.
func (t term) is() string {
	if t.ref != "" {
		return t.ref + " is " + t.typ.Kind.Noun()
	}
	return "this is " + t.typ.Kind.Noun()
}

// kindSet is a set of kinds.
type kindSet uint16

func (s kindSet) has(k Kind) bool { return s&(1<<k) != 0 }

// numbers and their like are the sets that operators and functions ask for.
const (
	texts    kindSet = 1 << KindString
	integers kindSet = 1 << KindInteger
	numbers  kindSet = 1<<KindInteger | 1<<KindDecimal | 1<<KindNumber
	booleans kindSet = 1 << KindBoolean
	lists    kindSet = 1 << KindList
	objects  kindSet = 1 << KindObject
	moments  kindSet = 1<<KindDate | 1<<KindTime | 1<<KindDateTime
	scalars  kindSet = texts | numbers | booleans | moments | 1<<KindBytes
	anything kindSet = scalars | lists | objects | 1<<KindAny
)

// String is the set in a sentence.
func (s kindSet) String() string {
	switch s {
	case numbers:
		return "a number"
	case scalars:
		return "a single value"
	case numbers | texts | moments:
		return "a number, text, a date or a time"
	case moments:
		return "a date, a time or a datetime"
	}
	var words []string
	for k := range kinds {
		if s.has(k) {
			words = append(words, k.Noun())
		}
	}
	return strings.Join(words, " or ")
}
