package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"waybill/formats"
	"waybill/jobs/expression"
)

// TableOptions says what lookup("NAME", key) finds.
type TableOptions struct {
	File            string `yaml:"file" required:"true" doc:"where the rows stand; it is looked at again before each entry that needs it, and read again when it has changed"`
	By              string `yaml:"by" required:"true" doc:"the field whose text is looked for; each occurs once"`
	Value           string `yaml:"value" doc:"the field that lookup gives; left out: the row, an object of all its fields"`
	Missing         string `yaml:"missing" enum:"reject,hold,null" default:"reject" doc:"what a key that is not there does: reject the record, hold the entry until somebody has seen to it, or be absent"`
	formats.Options `yaml:",inline"`
	Records         string  `yaml:"records" doc:"json, xml: the path of the rows; xlsx: name or number of the sheet"`
	Decimal         string  `yaml:"decimal" doc:"decimal mark of numbers written as text, a point by default"`
	Fields          []Field `yaml:"fields" doc:"the fields of a row by name; left out: the columns as texts, or what JSON holds"`
}

// A Table is the rows of a file by one of their fields. It is safe for concurrent use. What an expression finds is of the file as it was when
// it was last read.
type Table struct {
	name    string
	options TableOptions
	path    string
	decoder formats.Decoder
	fields  []field // nil: those of the file
	by      int     // the field by which; of undeclared ones it is found while reading
	value   int     // the field that is given; -1: the row

	now     func() time.Time
	reading sync.Mutex
	file    tableFile // as it was last read; with reading
	rows    atomic.Pointer[tableRows]
}

// NewTable compiles a table whose file stands at path. It reads nothing until it is refreshed or looked into. The clock tells for how long a file has looked
// the same, see tableSettled; its date does not matter.
func NewTable(name string, o TableOptions, path string, zone *time.Location, now func() time.Time) (*Table, []Problem) {
	if zone == nil {
		zone = time.UTC
	}
	c := &compiler{env: Environment{Zone: zone}, plan: &Plan{}}
	t := &Table{name: name, options: o, path: path, by: -1, value: -1, now: now}
	options := o.Options
	options.Records = o.Records
	if options.Format == "" {
		options.Format = strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	}
	read := &Read{Options: options, Decimal: o.Decimal}
	var wants []formats.Want
	t.fields, wants = c.fields("fields", read, slices.Clone(o.Fields))
	if len(t.fields) > 0 {
		t.by, t.value = c.fieldNamed(t.fields, "by", o.By), c.fieldNamed(t.fields, "value", o.Value)
		if t.by >= 0 {
			t.fields[t.by].required = true
			if t.fields[t.by].nested() {
				c.problem("by", "%s is %s: a key is a text or a number", o.By, t.fields[t.by].kind.Noun())
			}
		}
	}
	for _, f := range t.fields {
		switch {
		case f.program != nil:
			c.problem("fields."+f.name+".value", "does not go with tables: their fields are read")
		case len(f.fields) > 0:
			c.problem("fields."+f.name+".fields", "do not go with tables: take the list or the object as raw")
		}
	}
	d, problems := formats.New(options, wants)
	for _, p := range problems {
		if p.Path == "format" && o.Format == "" {
			p.Path, p.Text = "file", fmt.Sprintf("its ending %q says not how it is laid out: write format", filepath.Ext(path))
		}
		c.problem(p.Path, "%s", p.Text)
	}
	if t.decoder = d; len(c.problems) > 0 {
		return nil, c.problems
	}
	return t, nil
}

// fieldNamed finds a field by what stands at key; -1 when there is nothing.
func (c *compiler) fieldNamed(fields []field, key, name string) int {
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if i < 0 && name != "" {
		c.problem(key, "there is no field %s", name)
	}
	return i
}

func (t *Table) read(ctx context.Context, f *os.File, is os.FileInfo) (*tableRows, error) {
	made := newTableRows()
	for rec, err := range t.decoder.Decode(formats.Blob{Name: t.path, Reader: f, ReaderAt: f, Size: is.Size()}) {
		if err != nil {
			return nil, err
		}
		if rec.Number%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := made.add(t, rec); err != nil {
			return nil, fmt.Errorf("%s: %w", place{number: rec.Number, line: rec.Line}, err)
		}
	}
	return made, nil
}

// scoped is a scope of expressions that may look into the tables of the configuration.
func (c *compiler) scoped(fields []expression.Field, names ...expression.Field) *expression.Scope {
	tables := expression.Tables{}
	for name, t := range c.env.Tables {
		tables[name] = func() expression.Table {
			if t == nil {
				return expression.Table{}
			}
			if !slices.Contains(c.plan.tables, t) {
				c.plan.tables = append(c.plan.tables, t)
			}
			return t.expression()
		}
	}
	return expression.NewScope(fields, names...).With(tables)
}

// expression is the table as expressions see it.
func (t *Table) expression() expression.Table {
	typ := expression.Of(expression.KindAny)
	switch {
	case t.value >= 0:
		typ = t.fields[t.value].typ()
	case t.fields != nil:
		typ = expression.Type{Kind: expression.KindObject, Fields: types(t.fields)}
	case t.options.Value == "":
		typ = expression.Of(expression.KindObject)
	}
	if t.options.Missing == "null" {
		typ.Optional = true
	}
	return expression.Table{Type: typ, Find: t.find}
}

// find gives what stands under a key, to an evaluation with this environment.
func (t *Table) find(env map[string]any, key string) (any, error) {
	rows, err := t.rowsFor(env)
	if err != nil {
		return nil, err
	}
	v, found, err := rows.find(t, key)
	if err != nil || found || t.options.Missing == "null" {
		return v, err
	}
	return nil, &unlisted{table: t.name, file: t.options.File, key: key, hold: t.options.Missing == "hold"}
}

// unlisted is a key that a table lacks.
type unlisted struct {
	table, file, key string
	hold             bool
}

func (u *unlisted) Error() string {
	return fmt.Sprintf("table %s has no %q", u.table, clip([]byte(u.key)))
}
