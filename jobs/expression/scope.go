package expression

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// Scope is what an expression may refer to. It never changes.
type Scope struct {
	fields []Field // of the record, or of the element
	names  []Field // beside them: file, entry, record …
	open   bool    // any other name is Any
	tables Tables
}

// NewScope is the scope of a record with these fields, and with these names
// beside them.
func NewScope(fields []Field, names ...Field) *Scope {
	return &Scope{fields: slices.Clone(fields), names: slices.Clone(names)}
}

// Open is the scope of a record whose fields nobody declared: every other name
// is Any, and looked for when the expression runs.
func (s *Scope) Open() *Scope {
	return &Scope{fields: s.fields, names: s.names, open: true, tables: s.tables}
}

// Each is the scope inside =each: names mean the element, up.name the outside,
// and position counts from 1. elem are the fields of the element, nil if nobody
// declared them. The environment is the caller's to build that way.
func (s *Scope) Each(elem []Field) *Scope {
	outside := Type{Kind: KindObject}
	if !s.open {
		outside.Fields = append([]Field{}, s.fields...)
		for _, f := range s.names {
			if f.Name == "up" || f.Name == "position" {
				outside.Fields = append(outside.Fields, f)
			}
		}
	}
	inside := &Scope{fields: slices.Clone(elem), open: elem == nil, tables: s.tables}
	for _, f := range s.names {
		if f.Name != "up" && f.Name != "position" {
			inside.names = append(inside.names, f)
		}
	}
	inside.names = append(inside.names, Field{"up", outside}, Field{"position", Of(KindInteger)})
	return inside
}

func (s *Scope) find(name string) (Type, bool) {
	for _, list := range [][]Field{s.fields, s.names} {
		for _, f := range list {
			if f.Name == name {
				return f.Type, true
			}
		}
	}
	return Type{}, s.open
}

func (s *Scope) all() []string { return append(names(s.fields), names(s.names)...) }

// Value compiles a key of kind value: == and text is that text with one =, = and
// an expression is a program, anything else is text.
func (s *Scope) Value(src string) (*Value, error) {
	switch {
	case strings.HasPrefix(src, "=="):
		return &Value{literal: src[1:]}, nil
	case !strings.HasPrefix(src, "="):
		return &Value{literal: src}, nil
	}
	p, err := s.program(src)
	if err != nil {
		return nil, err
	}
	return &Value{program: p}, nil
}

// Expr compiles a key where text would be a mistake: key: order_no, without =,
// would give every message one key.
func (s *Scope) Expr(src string) (*Program, error) {
	if strings.HasPrefix(src, "==") || !strings.HasPrefix(src, "=") {
		remedy := `write = and an expression, ="…" for text that is meant`
		if isPath(src) {
			remedy = "write =" + src
		}
		return nil, &Error{Source: src, Text: "this is plain text where an expression must stand: " + remedy}
	}
	return s.program(src)
}

// Condition is Expr for a place that needs true or false: when, only, that,
// success. What is Any is looked at when it runs.
func (s *Scope) Condition(src string) (*Program, error) {
	p, err := s.Expr(src)
	if err != nil {
		return nil, err
	}
	switch t := p.typ; {
	case t.Kind != KindBoolean && t.Kind != KindAny:
		return nil, &Error{Source: src, Offset: 1, Text: fmt.Sprintf("a condition is true or false, and this is %s: compare it with something", t.Kind.Noun())}
	case t.Optional && t.Kind == KindBoolean:
		return nil, &Error{Source: src, Offset: 1, Text: "this may be absent: write (… ?? false)"}
	}
	return p, nil
}

// program compiles what stands behind the sign.
func (s *Scope) program(src string) (*Program, error) {
	from := &source{whole: src, skip: 1}
	if strings.TrimSpace(from.text()) == "" {
		return nil, &Error{Source: src, Text: "nothing stands behind the =: write == for the text ="}
	}
	return s.compile(from, from.text())
}

// compile compiles text, which stands at the beginning of from's.
func (s *Scope) compile(from *source, text string) (p *Program, err error) {
	switch {
	case len(text) > maxSource:
		return nil, &Error{Source: from.whole, Text: fmt.Sprintf("an expression has at most %d KiB", maxSource>>10)}
	case !utf8.ValidString(text):
		return nil, &Error{Source: strings.ToValidUTF8(from.whole, "\uFFFD"), Text: "an expression is UTF-8"}
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, s.syntaxError(from, text, err)
	}
	c := &compiler{scope: s, src: from}
	defer func() {
		if f, ok := recover().(failure); ok {
			p, err = nil, f.err
		}
	}()
	t := c.compile(tree.Node)
	if t.isNil {
		c.need(t)
	}
	return newProgram(text, from, t, c), nil
}

// syntaxError says what the parser found in the words of the house.
func (s *Scope) syntaxError(from *source, text string, err error) error {
	var e *file.Error
	if !errors.As(err, &e) {
		return &Error{Source: from.whole, Offset: from.skip, Text: err.Error(), Cause: err}
	}
	message := e.Message
	if at, name := s.unwritableAt(text, e.From); name != "" && message != "literal not terminated" {
		return &Error{Source: from.whole, Offset: from.skip + at, Text: noExpression(name), Cause: err}
	}
	switch {
	case strings.HasPrefix(message, "unexpected token EOF"), strings.HasPrefix(message, "unexpected end"):
		if at, bracket := unclosed(text); bracket != 0 {
			return &Error{Source: from.whole, Offset: from.skip + at, Cause: err,
				Text: fmt.Sprintf("this %c is never closed: the expression ends too early", bracket)}
		}
		message = "the expression ends too early"
	case strings.HasPrefix(message, `unexpected token Operator("=")`):
		message = "a single = says nothing here: == compares"
	case strings.HasPrefix(message, `unexpected token Operator("&")`):
		message = "a single & says nothing: write &&"
	case strings.HasPrefix(message, `unexpected token Operator("#")`), strings.HasPrefix(message, `unexpected token Operator(".")`):
		message = "# and .name stand for the element inside any(…), map(…) and their like only"
	case strings.HasPrefix(message, "unexpected token"):
		message = unexpected.ReplaceAllString(message, "unexpected $1")
	case strings.HasPrefix(message, "invalid integer literal"):
		message = "the integer is too large: write it with a point, as a decimal"
	case strings.HasPrefix(message, "invalid float literal"):
		message = "the decimal is too large"
	case strings.HasPrefix(message, "Operator ("):
		message = "put a ?? b in parentheses beside another operator"
	case message == "literal not terminated":
		message = "the closing quote is missing"
	}
	return spot{from, e.Location}.err(errors.New(message))
}

// unclosed finds the innermost bracket that nothing closes; 0 if there is none. Quotes are closed: the parser has seen that.
func unclosed(text string) (at int, bracket byte) {
	var open []int
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '(', '[', '{':
			open = append(open, i)
		case ')', ']', '}':
			open = open[:max(0, len(open)-1)]
		case '"', '\'', '`':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && c != '`' {
					i++
				}
			}
		}
	}
	if len(open) == 0 {
		return 0, 0
	}
	at = open[len(open)-1]
	return at, text[at]
}

var unexpected = regexp.MustCompile(`^unexpected token \w+\((".*")\)`)

// Plain reports whether src may stand unquoted in YAML: text, or = and a path.
// Of anything longer YAML would eat a part: a colon, a comma, a #.
func Plain(src string) bool {
	expr, ok := strings.CutPrefix(src, "=")
	return !ok || strings.HasPrefix(expr, "=") || isPath(expr)
}

// isPath follows the grammar: ident *( "." ident | "[" INT "]" ).
func isPath(s string) bool {
	n := ident(s)
	if n == 0 {
		return false
	}
	for s = s[n:]; s != ""; s = s[n:] {
		switch s[0] {
		case '.':
			n = ident(s[1:])
		case '[':
			if n = digits(s[1:]); n > 0 && (len(s) <= n+1 || s[n+1] != ']') {
				n = 0
			} else if n > 0 {
				n++
			}
		default:
			return false
		}
		if n == 0 {
			return false
		}
		n++
	}
	return true
}

// IsName reports whether expressions and templates can write name as it is, also behind a point: totals.name.
func IsName(name string) bool { return name != "" && ident(name) == len(name) }

// Named makes of a text a name that expressions can write.
func Named(text string) string {
	if text == "" {
		return "name"
	}
	name := []rune(text)
	for i, r := range name {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			name[i] = '_'
		}
	}
	if unicode.IsDigit(name[0]) {
		return "_" + string(name)
	}
	return string(name)
}

// unwritable is that one of the names which no expression can write, of which name is all that was taken for one: of order-no it is order.
func unwritable(name string, names []string) string {
	for _, n := range names {
		if !IsName(n) && strings.HasPrefix(n, name) && ident(n) == len(name) {
			return n
		}
	}
	return ""
}

// unwritableAt finds the name that no expression can write, and in which a text stops being one; at is where it begins. From counts characters.
func (s *Scope) unwritableAt(text string, from int) (at int, name string) {
	if all := []rune(text); from < len(all) {
		from = len(string(all[:from]))
	}
	for _, n := range names(s.fields) {
		if IsName(n) || n == "" {
			continue
		}
		if i := strings.Index(text, n); i >= 0 && i <= from && from <= i+len(n) && len(n) > len(name) {
			at, name = i, n
		}
	}
	return at, name
}

// noExpression says what to do about a field that is called so.
func noExpression(name string) string {
	return fmt.Sprintf("no expression can write the name of the field %q, call it %s and say from where it is read", name, Named(name))
}

// ident is the length of the identifier at the beginning of s.
func ident(s string) int {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return i
		}
	}
	return len(s)
}
