package jobs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"waybill/formats"
	"waybill/jobs/expression"
	"waybill/ledger"
)

// Companion is the file that a sender lays beside each file: to say that it is complete, what its digest is, or what is in it.
type Companion struct {
	Short string `yaml:",scalar" doc:"its name, as name says it"`
	Name  string `yaml:"name" doc:"name of the file that says that another one is complete, * standing for the name of that (*.done), {stem} for that name without its ending ({stem}.ok)"`
	Aside `yaml:",inline"`
}

// Aside says how a file is read that belongs to another one: it has one record.
type Aside struct {
	formats.Options `yaml:",inline"`
	Records         string   `yaml:"records" doc:"json, xml: the path of its record; left out: the document, or its root element"`
	Decimal         string   `yaml:"decimal" doc:"decimal mark of numbers written as text, a point by default"`
	Thousands       []string `yaml:"thousands" one:"true" doc:"marks between thousands, taken out of numbers written as text"`
	Zone            string   `yaml:"zone" as:"zone" doc:"zone of dates that name none; left out: the configuration's"`
	Fields          []Field  `yaml:"fields" doc:"its fields by name; each must be there unless it says required: false"`
}

// Validate takes the short form for what it stands for.
func (c *Companion) Validate() error {
	if c.Name == "" {
		c.Name = c.Short
	}
	if c.Name == "" {
		return errors.New("name is missing: write \"*.done\", or \"{stem}.ctl\"")
	}
	return nil
}

// Reads reports whether the companion says something that the job needs.
func (c *Companion) Reads() bool { return c != nil && (c.Format != "" || len(c.Fields) > 0) }

// Of returns the path of the companion of the file at p.
func (c *Companion) Of(p string) string {
	if end, ok := strings.CutPrefix(c.Name, "{stem}"); ok {
		if ext := path.Ext(p); path.Base(p) != ext {
			p = strings.TrimSuffix(p, ext)
		}
		return p + end
	}
	return p + strings.TrimPrefix(c.Name, "*")
}

// A Beside is a file that belongs to the one that is worked.
type Beside struct {
	Name string // to be shown: escaped
	Blob formats.Blob
}

// aside reads a file that belongs to the one that is worked: its only record.
type aside struct {
	role string
	plan *Plan // of its only part
}

// Beside are the roles of the files that belong to each file of the job, and that it reads.
func (p *Plan) Beside() (roles []string) {
	for _, a := range p.asides {
		roles = append(roles, a.role)
	}
	return roles
}

// Belongs reports whether the file at path belongs to the one at lead, both as the source names them, and as what.
func (p *Plan) Belongs(lead, path string) (role string, ok bool) {
	if r := p.options.Receive; r != nil && r.Companion.Reads() && path == r.Companion.Of(lead) {
		return ledger.RoleCompanion, true
	}
	role, key, ok := p.together(path)
	if !ok || role == "" {
		return "", false
	}
	of, same, ok := p.together(lead)
	return role, ok && of == "" && same == key
}

// asides compiles how files are read that belong to another one, and makes names of them.
func (c *compiler) asides(o Options) {
	r := o.Receive
	if r == nil {
		return
	}
	if r.Companion.Reads() {
		c.companion(r.Companion)
		c.plan.gathers = c.env.Sources[r.Source] == mailboxes
	}
	switch {
	case r.Together == nil:
	case r.Companion.Reads():
		c.problem("receive.together", "does not go with a companion that is read: make it the header or the trailer")
	default:
		c.together(o)
	}
	if r.Within > 0 && r.Together == nil && !c.plan.gathers && c.whole("receive.together") && c.whole("receive.companion") {
		c.problem("receive.within", "goes with together, and with a companion that is read in mailboxes")
	}
}

// mailboxes is the kind of source where files land one by one, whatever belongs together.
const mailboxes = "mailboxes"

func (c *compiler) companion(o *Companion) {
	const at = "receive.companion"
	switch {
	case strings.HasSuffix(o.Name, ".md5"), strings.HasSuffix(o.Name, ".sha256"):
		c.problem(at+".name", "%s holds a digest, which is compared anyway: leave format and fields out", o.Name)
	case c.plan.unpacker != nil && c.plan.unpacker.Archive():
		c.problem(at, "does not go with the files of an archive: there it says that the archive is complete, and no more")
	}
	c.names = named(c.names, ledger.RoleCompanion, c.aside(ledger.RoleCompanion, at, &o.Aside))
}

func (c *compiler) aside(role, at string, o *Aside) []expression.Field {
	if len(o.Fields) == 0 && c.whole(at+".fields") {
		c.problem(at+".fields", "are missing: say what is to be read of it")
	}
	read := &Read{Options: o.Options, Decimal: o.Decimal, Thousands: o.Thousands, Zone: o.Zone}
	part := segment{path: at}
	part.fields, part.wants = c.fields(at+".fields", read, sectionFields(o.Fields))
	part.record = part.fields
	part.order(nil)
	options := o.Options
	options.Records, options.Files = o.Records, c.env.Files
	decoder, problems := formats.New(options, part.wants)
	for _, p := range problems {
		c.problem(at+"."+p.Path, "%s", p.Text)
	}
	c.plan.asides = append(c.plan.asides, aside{role: role,
		plan: &Plan{zone: c.plan.zone, reader: reader{decoder: decoder, files: options.Files, parts: []segment{part}, kinds: 1}}})
	return types(part.fields)
}

// asides reads what belongs to the file. What is wrong with it is wrong with the file.
func (r *run) asides() error {
	for i := range r.p.asides {
		a := &r.p.asides[i]
		beside, ok := r.in.Beside[a.role]
		if !ok {
			r.rejects.wholly(ledger.Reject{Reason: "its " + a.role + " is not there: drop both again"})
			return errWhole
		}
		o, err := r.aside(a, beside)
		if err != nil {
			return r.badAside(a, beside, err)
		}
		switch r.beside[a.role] = o; a.role {
		case roleHeader:
			r.around.header = o
		case roleTrailer:
			r.around.trailer = o
		}
	}
	return nil
}

// aside gives the record of a file.
func (r *run) aside(a *aside, beside Beside) (o map[string]any, err error) {
	sub := newRun(a.plan, r.in, r.beside)
	sub.ctx = r.ctx
	k := sub.part
	for rec, err := range a.plan.reader.decoder.Decode(beside.Blob) {
		switch {
		case err != nil:
			return nil, err
		case o != nil:
			return nil, &formats.FileError{Line: rec.Line, Offset: -1, Reason: "a second record begins here, and it has one"}
		}
		sub.source, sub.number, sub.line = rec, rec.Number, rec.Line
		sub.fill(k.rest)
		for _, f := range sub.faults {
			r.rejects.wholly(ledger.Reject{Field: a.role + "." + f.field, Value: clip(f.value), Reason: f.reason + within(beside.Name, rec.Line)})
		}
		switch {
		case sub.held != "":
			r.held = sub.held
			return nil, errWhole
		case len(sub.faults) > 0:
			return nil, errWhole
		}
		if o, err = object(k.fields, sub.row); err != nil {
			return nil, err
		}
	}
	if o == nil {
		return nil, &formats.FileError{Offset: -1, Reason: "it has no record"}
	}
	return o, nil
}

// badAside rejects the file for what is wrong with one that belongs to it. Other errors it returns.
func (r *run) badAside(a *aside, beside Beside, err error) error {
	var record *formats.RecordError
	var file *formats.FileError
	var reject ledger.Reject
	switch {
	case errors.As(err, &record):
		reject = ledger.Reject{Value: clip([]byte(record.Value)), Reason: record.Reason + within(beside.Name, record.Line)}
		if reject.Field = a.role; record.Field != "" {
			reject.Field += "." + record.Field
		}
	case errors.As(err, &file):
		c, bare := collector{}, *file
		bare.Line = 0 // it stands behind
		c.file(&bare)
		reject = ledger.Reject{Field: a.role, Reason: c.whole.Reason + within(beside.Name, file.Line)}
	default:
		return err
	}
	r.rejects.wholly(reject)
	return errWhole
}

// within says where in which file something stands.
func within(name string, line int64) string {
	if line > 0 {
		return fmt.Sprintf(" (%s, line %d)", name, line)
	}
	return " (" + name + ")"
}
