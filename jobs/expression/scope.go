package expression

// Scope is what an expression may refer to.
type Scope struct {
	fields []Field
	names  []Field
	open   bool
}

// NewScope is a scope.
func NewScope(fields []Field, names ...Field) *Scope { return &Scope{fields: fields, names: names} }

// Open is the scope where unknown names are Any.
func (s *Scope) Open() *Scope { c := *s; c.open = true; return &c }

// Each is the scope inside =each.
func (s *Scope) Each(elem []Field) *Scope { return s }

// Value compiles a key of kind value.
func (s *Scope) Value(src string) (*Value, error) { return &Value{}, nil }

// Expr compiles an expression.
func (s *Scope) Expr(src string) (*Program, error) { return &Program{}, nil }

// Condition is Expr for a place that needs true or false.
func (s *Scope) Condition(src string) (*Program, error) { return s.Expr(src) }

// Template compiles a template.
func (s *Scope) Template(src string, m Mode) (*Template, error) { return &Template{}, nil }

// Value is a literal or a program.
type Value struct {
	literal string
	program *Program
}

// Literal is the text, if the value is one.
func (v *Value) Literal() (string, bool) { return v.literal, v.program == nil }

// Program is the program, or nil if the value is a literal.
func (v *Value) Program() *Program { return v.program }

// Program is a compiled expression. It is safe for concurrent use.
type Program struct{ source string }

// Path is the plain reference that the program is.
func (p *Program) Path() ([]string, bool) { return nil, false }

// Type is the type of the result.
func (p *Program) Type() Type { return Type{} }

// Names are the root names that the program uses.
func (p *Program) Names() []string { return nil }

// Eval runs the program.
func (p *Program) Eval(env map[string]any) (any, error) { return nil, nil }

// Bool runs the program, whose result is a boolean.
func (p *Program) Bool(env map[string]any) (bool, error) { return false, nil }

// Source is the text of the program.
func (p *Program) Source() string { return p.source }

// Plain reports whether src may stand unquoted.
func Plain(src string) bool { return false }

// Mode says where a template's text goes.
type Mode uint8

// The modes.
const (
	ModeText Mode = iota
	ModeURLPath
	ModeURLQuery
	ModeFileName
)

// Template is a compiled template.
type Template struct{}

// Names are the root names that the template uses.
func (t *Template) Names() []string { return nil }

// Append appends the text.
func (t *Template) Append(dst []byte, env map[string]any) ([]byte, error) { return dst, nil }

// Literal is the text, if there are no holes.
func (t *Template) Literal() (string, bool) { return "", false }
