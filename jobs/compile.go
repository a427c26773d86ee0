package jobs

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/jobs/convert"
	"waybill/jobs/expression"
	"waybill/ledger"
)

// Environment is what a job refers to outside itself.
type Environment struct {
	Zone         *time.Location           // of dates that name none; nil: UTC
	Destinations map[string]string        // kind by name (http, amqp, file); nil: not checked
	Formerly     map[string]string        // what destinations were called before, by name
	Sources      map[string]string        // kind by name (folder, mailboxes); nil: not checked
	Tables       map[string]*Table        // what lookup finds things in; nil: one that is not understood
	Absolute     func(path string) string // makes a path of the configuration a whole one; nil: it is one
	Files        formats.Files            // reads a file that the job names, as read.schema; nil: there are none
	Blind        bool                     // secrets were not read: nothing is decrypted
	Config       string                   // digest of the job's configuration, kept with its entries
	Whole        func(path string) bool   // whether what stands at path below the job was understood, see config.Config.Whole; nil: it was
}

// A Plan is a compiled job: records in, messages out. It is safe for concurrent use.
type Plan struct {
	name     string
	origin   string // the oldest name of the job, for keys
	options  Options
	config   string
	files    *Pattern   // nil: the job receives no files
	members  *Pattern   // of an archive; nil: all
	table    *timetable // nil: the job has no schedule
	reader   reader
	asides   []aside // files that belong to the one that is read
	unpacker *unpack.Unpacker
	blocks   []rule // check.block
	claims   []rule // check.file
	unique   *unique
	numbers  *numbering // check.sequence
	routes   []*route
	notices  []notice           // acknowledgements
	told     []expression.Field // what stood around the records, which they may tell of
	tables   []*Table           // that expressions look into
	zone     *time.Location
	once     int // number of constants

	partFiles []partFile         // of receive.together: what they are called
	gathers   bool               // its files land before their companions, or behind them
	converter *convert.Converter // nil: files are read as they are
}

// reader makes records of what a decoder gives.
type reader struct {
	none    bool          // read: none
	within  time.Duration // for which a file that was cut off is held
	open    bool          // nobody declared fields
	decoder formats.Decoder
	files   formats.Files // that the decoder reads
	parts   []segment     // by formats.Record.Part: the kinds of records, then what stands around them
	kinds   int           // how many of them are kinds of records
	named   bool          // read.records names them
	totals  []total
	header  bool // there is one, of the file or of a block
	blocks  bool
}

// segment is one part of a file: its records, or one of several kinds of them, or what stands around them.
type segment struct {
	role    formats.Role
	name    string // of one of several kinds of records
	kind    string // what tells it from other parts
	path    string // of its settings
	wants   []formats.Want
	fields  []field
	first   []int // fields that `only` needs, looked at before all others
	rest    []int
	only    *source
	onlySrc string
	group   *group
	record  []field // of a record: fields, or what group makes of them
	totals  []int   // to which its records add
	rules   []rule
	routes  []int // what is sent of its records
}

// rule is one check of a record.
type rule struct {
	that *source
	say  string
}

// unique is the key that occurs once.
type unique struct {
	part        *segment
	key         []*source
	same, other string
}

// Compile makes the plan of a job. It reports every mistake at once; the plan is nil when there is one. Of a job that was not
// understood in all its parts (see Environment.Whole) it reports what is wrong with the others, and nothing that may only
// follow from those.
func Compile(name string, o Options, env Environment) (*Plan, []Problem) {
	if env.Zone == nil {
		env.Zone = time.UTC
	}
	problems := overlap(&o)
	c := &compiler{problems: problems, env: env, plan: &Plan{name: name, origin: first(o.Formerly, name), options: o, config: env.Config, zone: env.Zone}}
	c.open = c.unsure(o)
	c.start(o)
	c.beside(o)
	c.asides(o)
	if o.Read != nil {
		c.read(o.Read)
	} else {
		c.plan.reader.open = true
		if o.Receive != nil {
			c.problem("read", "is missing: write a format, or none to hand files on as they are")
		}
	}
	if r := &c.plan.reader; len(r.parts) == 0 {
		r.parts, r.kinds = []segment{{path: "read"}}, 1
	}
	c.plan.told = c.claims.around()
	c.check(o.Check)
	c.routes(o.Send)
	c.notices(o)
	c.plan.once = c.once
	c.problems = slices.DeleteFunc(c.problems, func(p Problem) bool { return !c.whole(p.Path) })
	if len(c.problems) > 0 || !c.whole("") {
		return nil, c.problems
	}
	return c.plan, nil
}

// whole reports whether what stands at path was understood.
func (c *compiler) whole(path string) bool { return c.env.Whole == nil || c.env.Whole(path) }

// unsure reports whether there may be names that nobody can tell for mistakes elsewhere: then none in an expression is unknown.
func (c *compiler) unsure(o Options) bool {
	for _, part := range []string{"format", "fields", "records", "header", "trailer", "block", "totals", "kind", "group"} {
		if part != "fields" && !c.whole("read."+part) || part == "fields" && (o.Read == nil || len(o.Read.Fields) == 0) && !c.whole("read.fields") {
			return true
		}
	}
	if o.Receive == nil && o.Schedule == nil {
		return true // what starts the job gives it names
	}
	return o.Receive == nil && !c.whole("receive") || o.Schedule == nil && !c.whole("schedule")
}

// overlap makes a check.unique of query.window.key: rows of windows that overlap are sent once, and again when they changed.
func overlap(o *Options) []Problem {
	if o.Query == nil || o.Query.Window == nil {
		return nil
	}
	w := o.Query.Window
	switch {
	case w.Key == "" && w.Back > 0:
		return []Problem{{Path: "query.window.key", Text: "is missing: windows overlap, so say what tells their rows apart"}}
	case w.Key == "":
		return nil
	case o.Check.Unique != nil:
		return []Problem{{Path: "query.window.key", Text: "does not go with check.unique, which does the same"}}
	}
	o.Check.Unique = &Unique{Key: []string{w.Key}, For: max(30*24*time.Hour, 2*w.Back), Same: "skip", Other: "process"}
	return nil
}

type compiler struct {
	env      Environment
	plan     *Plan
	problems []Problem
	names    []expression.Field // beside the fields
	record   *scope             // of the kind of records at hand
	claims   claims
	once     int
	open     bool // see unsure
}

func (c *compiler) problem(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

// start checks what starts the job.
func (c *compiler) start(o Options) {
	switch {
	case o.Receive == nil && o.Schedule == nil && c.whole("schedule"):
		c.problem("receive", "is missing: say with receive or schedule what starts the job")
	case o.Receive != nil && o.Schedule != nil:
		c.problem("schedule", "does not go with receive: make two jobs of it")
	case o.Schedule != nil && o.Query == nil:
		c.problem("query", "is missing: a schedule needs rows to work on")
	case o.Receive != nil && o.Query != nil:
		c.problem("query", "goes with schedule, not with receive")
	}
	c.unpack(o)
	if o.Schedule != nil && o.Query != nil {
		table, path, err := newTimetable(*o.Schedule, o.Query.Window, c.env.Zone)
		if err != nil {
			c.problem(path, "%s", err)
		}
		c.plan.table = table
	}
	if o.Receive != nil {
		patterns := o.Receive.Files
		if len(patterns) == 0 {
			patterns = []string{"*"}
		}
		var problems []Problem
		c.plan.files, problems = NewPattern(patterns, o.Receive.Ignore)
		for _, p := range problems {
			c.problem("receive."+p.Path, "%s", p.Text)
		}
	}
}

// beside fills in the names beside the fields that this job can know.
func (c *compiler) beside(o Options) {
	text, number := expression.Of(expression.KindString), expression.Of(expression.KindInteger)
	instant := expression.Of(expression.KindDateTime)
	object := func(fields ...expression.Field) expression.Type {
		return expression.Type{Kind: expression.KindObject, Fields: fields}
	}
	c.names = []expression.Field{
		{Name: "entry", Type: object(expression.Field{Name: "number", Type: number}, expression.Field{Name: "run", Type: number},
			expression.Field{Name: "job", Type: text}, expression.Field{Name: "received", Type: instant})},
		{Name: "record", Type: object(expression.Field{Name: "number", Type: number}, expression.Field{Name: "line", Type: number})},
	}
	if o.Receive != nil {
		var parts []expression.Field
		if c.plan.files != nil {
			parts = c.plan.files.fields()
		}
		part := object(parts...)
		if len(parts) == 0 && c.whole("receive.files") {
			part.Fields = []expression.Field{}
		}
		file := []expression.Field{
			{Name: "name", Type: text}, {Name: "stem", Type: text}, {Name: "folder", Type: text}, {Name: "part", Type: part},
			{Name: "source", Type: text}, {Name: "size", Type: number}, {Name: "digest", Type: text}, {Name: "received", Type: instant}}
		if c.plan.unpacker != nil && c.plan.unpacker.Archive() {
			file = append(file, expression.Field{Name: "parent", Type: text})
		}
		c.names = append(c.names, expression.Field{Name: "file", Type: object(file...)},
			expression.Field{Name: "partner", Type: object(expression.Field{Name: "name", Type: text},
				expression.Field{Name: "vars", Type: expression.Of(expression.KindAny)})})
	}
	if o.Schedule != nil {
		c.names = append(c.names, expression.Field{Name: "window",
			Type: object(expression.Field{Name: "from", Type: instant}, expression.Field{Name: "to", Type: instant})})
	}
}

// runName tells the names whose values are the same for a whole run; that of header until another block begins.
func runName(name string) bool {
	return name == "file" || name == "entry" || name == "partner" || name == "window" || name == "header" || name == ledger.RoleCompanion
}

// scope is where names are looked up while compiling.
type scope struct {
	expression *expression.Scope
	fields     []field
	up         *scope
	each       bool
}

func (c *compiler) scope(fields []field) *scope {
	s := &scope{expression: c.scoped(types(fields), c.names...), fields: fields}
	if c.open {
		s.expression = s.expression.Open()
	}
	return s
}

// recordScope is the scope of a kind of records.
func (c *compiler) recordScope(k *segment) *scope {
	r := &c.plan.reader
	s := c.scope(k.record)
	if r.open && !r.none {
		s.expression = s.expression.Open()
	}
	return s
}

// types are the fields as expressions see them.
func types(fields []field) []expression.Field {
	list := make([]expression.Field, len(fields))
	for i := range fields {
		list[i] = expression.Field{Name: fields[i].name, Type: fields[i].typ()}
	}
	return list
}

func (f *field) typ() expression.Type {
	t := expression.Type{Kind: f.kind, Optional: !f.required && f.fallback == nil}
	if len(f.fields) > 0 {
		t.Fields = types(f.fields)
	}
	return t
}

// value compiles a key of kind value.
func (c *compiler) value(s *scope, path, src string) *source {
	v, err := s.expression.Value(src)
	if err != nil {
		c.fail(path, err)
		return nil
	}
	if text, ok := v.Literal(); ok {
		return &source{path: path, literal: []byte(text), fixed: true, once: -1}
	}
	return c.source(s, path, v.Program())
}

// computed compiles a key that refuses literals.
func (c *compiler) computed(s *scope, path, src string) *source {
	v := c.value(s, path, src)
	if v != nil && v.fixed {
		c.problem(path, "%q is a plain text, which would be the same every time: write =%s for the field", src, src)
		return nil
	}
	return v
}

// condition compiles an expression that gives true or false.
func (c *compiler) condition(s *scope, path, src string) *source {
	p, err := s.expression.Condition(src)
	if err != nil {
		c.fail(path, err)
		return nil
	}
	return c.source(s, path, p)
}

// fail reports what the language says of an expression or a template; the place in it becomes the offset.
func (c *compiler) fail(path string, err error) {
	var e *expression.Error
	if errors.As(err, &e) {
		c.problems = append(c.problems, Problem{path, e.Text, e.Offset})
		return
	}
	c.problem(path, "%s", err)
}

// source makes the cheapest form of a program: a field, a constant of the run, or the program.
func (c *compiler) source(s *scope, path string, p *expression.Program) *source {
	out := &source{path: path, program: p, once: -1}
	if steps, ok := p.Path(); ok {
		out.ref = s.ref(steps)
	}
	same := len(p.Names()) > 0
	for _, name := range p.Names() {
		out.needs = append(out.needs, need{name, s.index(name)})
		same = same && runName(name)
	}
	if same {
		out.once = c.once
		c.once++
	}
	return out
}

// index is the place of a field in the frame, -1 for other names.
func (s *scope) index(name string) int {
	return slices.IndexFunc(s.fields, func(f field) bool { return f.name == name })
}

// ref finds the field that a path leads to; nil when it leads elsewhere.
func (s *scope) ref(path []string) *ref {
	r := new(ref)
	for len(path) > 1 && path[0] == "up" && s.up != nil {
		s, path = s.up, path[1:]
		r.up++
	}
	fields := s.fields
	for _, name := range path {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 || len(r.fields) > 0 && r.field().kind != expression.KindObject {
			return nil
		}
		r.path, r.fields = append(r.path, i), append(r.fields, &fields[i])
		fields = fields[i].fields
	}
	return r
}

// optional reports whether the value may be absent.
func (s *source) optional() bool {
	return !s.fixed && (s.program.Type().Optional || s.program.Type().Kind == expression.KindAny)
}
