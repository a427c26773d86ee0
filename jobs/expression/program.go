package expression

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Value is a literal or a program.
type Value struct {
	literal string
	program *Program
}

// Literal is the text, if the value is a literal.
func (v *Value) Literal() (string, bool) { return v.literal, v.program == nil }

// Program is the program, or nil if the value is a literal.
func (v *Value) Program() *Program { return v.program }

// Program is a compiled expression, safe for concurrent use.
type Program struct {
	source string
	typ    Type
	names  []string
	path   []string
	at     spot
	code   code
	slots  int
	runs   *sync.Pool // of *run
}

func newProgram(text string, from *source, t term, c *compiler) *Program {
	p := &Program{source: strings.TrimSpace(text), typ: t.typ, names: c.names, path: t.path, code: t.code, slots: c.slots}
	p.at = t.spot
	p.at.src = from
	p.runs = &sync.Pool{New: func() any { return &run{slots: make([]any, p.slots)} }}
	return p
}

// Path are the names of a plain reference a.b.c. The caller may then fetch the
// value by itself; Eval does so without an interpreter.
func (p *Program) Path() ([]string, bool) { return p.path, p.path != nil }

// Type is the type of the result. It may be optional.
func (p *Program) Type() Type { return p.typ }

// Names are the names of the scope that the program uses, each once: what has to
// be in the environment.
func (p *Program) Names() []string { return p.names }

// Source is the text of the expression, without the sign.
func (p *Program) Source() string { return p.source }

// Eval computes the result; nil is an absent one. The environment is only read.
func (p *Program) Eval(env map[string]any) (any, error) {
	if p.path != nil {
		v, err := follow(env, p.path)
		if err != nil {
			return nil, p.at.err(err)
		}
		return v, nil
	}
	r, _ := p.runs.Get().(*run)
	r.start(env)
	v, err := p.code(r)
	r.clear()
	p.runs.Put(r)
	if err != nil {
		return nil, p.at.err(err)
	}
	return v, nil
}

// Bool computes a result that is true or false.
func (p *Program) Bool(env map[string]any) (bool, error) {
	v, err := p.Eval(env)
	if err != nil {
		return false, err
	}
	switch b := v.(type) {
	case bool:
		return b, nil
	case nil:
		return false, p.at.err(errors.New("true or false is needed here, and the value is absent"))
	}
	return false, p.at.err(fmt.Errorf("true or false is needed here, not %s", noun(v)))
}
