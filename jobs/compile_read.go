package jobs

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"waybill/formats"
	"waybill/jobs/expression"
)

// read compiles how a file becomes records.
func (c *compiler) read(o *Read) {
	r := &c.plan.reader
	if o.Short == "none" {
		r.none = true
		return
	}
	c.convert(o.Convert)
	if r.within = incompleteFor; o.Within != nil {
		r.within = *o.Within
		if o.Format != "edifact" && o.Format != "avro" && c.whole("read.format") {
			c.problem("read.within", "goes with edifact and avro: a file of another format does not tell that it was cut off")
		}
	}
	r.open = len(o.Fields) == 0 && len(o.Records.Kinds) == 0
	c.around(o)
	c.kinds(o)
	c.decoder(o)
	c.totals(o)
	for i := range r.kinds {
		k := &r.parts[i]
		all := c.scope(k.fields)
		if r.open {
			all.expression = all.expression.Open()
		}
		if k.onlySrc != "" {
			k.only = c.condition(all, k.path+".only", k.onlySrc)
		}
		k.order(r.totals)
	}
	switch {
	case o.Group == nil || !c.whole("read.group"):
	case r.open:
		if c.whole("read.fields") {
			c.problem("read.group", "needs declared fields")
		}
	case !r.named:
		c.group(o.Group)
	}
}

// kinds compiles what records there are.
func (c *compiler) kinds(o *Read) {
	r := &c.plan.reader
	if len(o.Records.Kinds) == 0 {
		k := segment{path: "read", onlySrc: o.Only}
		k.fields, k.wants = c.fields("read.fields", o, o.Fields)
		k.record = k.fields
		r.parts, r.kinds = append([]segment{k}, r.parts...), 1
		return
	}
	for _, key := range []struct {
		name string
		set  bool
	}{{"fields", len(o.Fields) > 0}, {"only", o.Only != ""}, {"group", o.Group != nil}} {
		if key.set {
			c.problem("read."+key.name, "does not go with several kinds of records, each of which has its own: see read.records")
		}
	}
	var parts []segment
	for i := range o.Records.Kinds {
		kind := &o.Records.Kinds[i]
		k := segment{path: "read.records." + kind.Name, name: kind.Name, kind: kind.Kind, onlySrc: kind.Only}
		if len(kind.Fields) == 0 && c.whole(k.path+".fields") {
			c.problem(k.path+".fields", "are missing")
		}
		k.fields, k.wants = c.fields(k.path+".fields", o, kind.Fields)
		k.record = k.fields
		parts = append(parts, k)
	}
	r.parts, r.kinds, r.named = append(parts, r.parts...), len(parts), true
}

func (c *compiler) decoder(o *Read) {
	if p := c.plan.options; p.Query == nil && (p.Schedule != nil || !c.whole("query")) {
		return // reported, or to be seen when the query is known
	}
	r := &c.plan.reader
	if c.plan.options.Query != nil {
		if o.Format != "" {
			c.problem("read.format", "does not go with query: its rows are no file")
		}
		if len(r.parts) > 1 || r.named {
			c.problem("read", "has parts of a file, a header or kinds of records, which do not go with query: its rows are no file")
		}
		return
	}
	options := o.Options
	options.Raw, options.Records, options.Files = r.open, o.Records.Path, c.env.Files
	parts := make([]formats.Part, len(r.parts))
	for i, p := range r.parts {
		parts[i] = formats.Part{Role: p.role, Name: p.name, Kind: p.kind, Wants: p.wants}
	}
	d, problems := formats.NewParts(options, parts)
	r.decoder, r.files = d, options.Files
	for _, p := range problems {
		c.problem("read."+p.Path, "%s", p.Text)
	}
}

// order puts the fields that `only` and totals need first, so that a record that does not count is not rejected for the others.
func (p *segment) order(totals []total) {
	wanted := make([]bool, len(p.fields))
	var want func(n needs)
	want = func(n needs) {
		for _, d := range n {
			if d.field >= 0 && !wanted[d.field] {
				wanted[d.field] = true
				want(p.fields[d.field].needs)
			}
		}
	}
	if p.only != nil {
		want(p.only.needs)
	}
	for _, i := range p.totals {
		want(needs{{field: totals[i].field}})
	}
	for i := range p.fields {
		if wanted[i] {
			p.first = append(p.first, i)
		} else {
			p.rest = append(p.rest, i)
		}
	}
}

// fields compiles the fields of a record, of a list or of an object.
func (c *compiler) fields(path string, read *Read, list []Field) (fields []field, wants []formats.Want) {
	names := map[string]bool{}
	for i := range list {
		o := &list[i]
		at := path + "." + o.Name
		switch {
		case expression.Reserved(o.Name):
			c.problem(at, "is a name of the language, choose another one and say from: %s", o.Name)
		case names[o.Name]:
			c.problem(at, "stands there twice")
		}
		names[o.Name] = true
		if !c.whole(at) { // others may use it as they like
			if c.whole(at+".type") && c.whole(at+".format") && c.whole(at+".decimal") && c.whole(at+".value") && c.whole("read.decimal") {
				c.field(at, read, o) // for its mistakes
			}
			fields = append(fields, field{name: o.Name, kind: expression.KindAny, tree: true, required: true, cell: -1})
			continue
		}
		f := c.field(at, read, o)
		if o.Value != "" {
			c.compute(at, o, &f, fields)
		} else {
			f.cell = len(wants)
			wants = append(wants, c.want(at, read, o, &f))
		}
		fields = append(fields, f)
	}
	return fields, wants
}

func (c *compiler) want(at string, read *Read, o *Field, f *field) formats.Want {
	w := formats.Want{Name: o.Name, From: o.From, Column: o.Column, Kind: o.Kind, Must: f.required, Date: f.bareMoment()}
	w.Number = f.kind >= expression.KindInteger && f.kind <= expression.KindNumber && first(o.Decimal, read.Decimal) == ""
	switch {
	case o.Kind == "" && len(w.From) == 0 && w.Column == "":
		w.From = []string{o.Name}
	case o.Kind != "" && f.kind == expression.KindList && !f.required:
		f.fallback = &value{set: true} // no line follows: an empty list
	}
	w.List, w.Object = f.kind == expression.KindList, f.kind == expression.KindObject
	if len(o.Fields) == 0 {
		return w
	}
	if !w.List && !w.Object {
		c.problem(at+".fields", "go with type list or object, not with %s", f.kind)
		return w
	}
	f.fields, w.Fields = c.fields(at+".fields", read, o.Fields)
	f.tree = false
	return w
}

// compute compiles a computed field; it may use the fields above it.
func (c *compiler) compute(at string, o *Field, f *field, above []field) {
	f.cell = -1
	if len(o.From) > 0 || o.Column != "" {
		c.problem(at+".value", "does not go with from or column: a field is read or computed")
	}
	s := c.computed(c.scope(above), at+".value", o.Value)
	if s == nil {
		return
	}
	f.program, f.needs = s.program, s.needs
	got := s.program.Type()
	if o.Type == "" {
		f.kind = got.Kind
		f.tree = got.Kind == expression.KindAny || got.Kind == expression.KindList || got.Kind == expression.KindObject
	}
	if !expression.Of(f.kind).Accepts(got) {
		c.problem(at+".value", "gives %s, but the field is %s", got.Kind.Noun(), f.kind.Noun())
	}
	f.required = f.required || !got.Optional
}

// field compiles what is said of one field.
func (c *compiler) field(at string, read *Read, o *Field) field {
	f := field{name: o.Name, required: o.Required != nil && *o.Required, trim: o.Trim, keep: o.Empty == "text", cell: -1}
	f.kind, f.tree = kindOf(o.Type)
	f.number = number{point: '.'}
	if mark := first(o.Decimal, read.Decimal); mark != "" {
		if mark != "." && mark != "," {
			c.problem(at+".decimal", "%q is no decimal mark: write . or ,", mark)
		} else {
			f.number.point = mark[0]
		}
	}
	marks := o.Thousands
	if len(marks) == 0 {
		marks = read.Thousands
	}
	for _, m := range marks {
		if m == "" || strings.Contains(m, string(rune(f.number.point))) || strings.ContainsAny(m, "0123456789+-") {
			c.problem(at+".thousands", "%q cannot stand between thousands", m)
			continue
		}
		f.number.thousands = append(f.number.thousands, []byte(m))
	}
	c.implied(at, o, &f)
	c.times(at, read, o, &f)
	c.booleans(at, o, &f)
	c.bounds(at, o, &f)
	return f
}

// first is the first of the list that is not zero.
func first[T comparable](list ...T) T { return cmp.Or(list...) }

func kindOf(word string) (k expression.Kind, tree bool) {
	switch word {
	case "":
		return expression.KindString, false
	case "raw":
		return expression.KindAny, true
	}
	for k := expression.KindString; k <= expression.KindObject; k++ {
		if k.String() == word {
			return k, k >= expression.KindList
		}
	}
	return expression.KindString, false
}

func (f *field) timely() bool {
	return f.kind == expression.KindDate || f.kind == expression.KindTime || f.kind == expression.KindDateTime
}

func (c *compiler) times(at string, read *Read, o *Field, f *field) {
	if !f.timely() {
		if o.Format != "" {
			c.problem(at+".format", "goes with date, time and datetime, not with %s", f.kind)
		}
		if o.Century != 0 {
			c.problem(at+".century", "goes with date and datetime, not with %s", f.kind)
		}
		return
	}
	zone := c.env.Zone
	if name := first(o.Zone, read.Zone); name != "" {
		z, err := time.LoadLocation(name)
		if err != nil {
			c.problem(at+".zone", "%q is no zone: write a name such as Europe/Paris", name)
		} else {
			zone = z
		}
	}
	form := o.Format
	if form == "" && f.kind == expression.KindDate {
		form = "%Y-%m-%d"
	} else if form == "" && f.kind == expression.KindTime {
		form = "%H:%M:%S"
	}
	if form != "" {
		if err := expression.CheckFormat(form, true); err != nil {
			c.fail(at+".format", err)
		}
	}
	f.layout = newLayout(form, zone)
	switch {
	case o.Century != 0 && !strings.Contains(form, "%y"):
		c.problem(at+".century", "goes with a format that has %%y, a year of two digits")
	case o.Century != 0 && f.layout.steps == "":
		c.problem(at+".century", "goes with formats of digits alone, as %%d%%m%%y")
	case o.Century != 0 && (o.Century < 1 || o.Century > 9900):
		c.problem(at+".century", "%d is no year: write the first of the hundred, as 1970", o.Century)
	case o.Century != 0:
		f.layout.century = o.Century
	}
}

func (c *compiler) booleans(at string, o *Field, f *field) {
	if f.kind != expression.KindBoolean {
		if len(o.TrueIs) > 0 || len(o.FalseIs) > 0 {
			c.problem(at+".true_is", "goes with boolean, not with %s", f.kind)
		}
		return
	}
	texts := func(list []string, own string) [][]byte {
		if len(list) == 0 {
			list = []string{own}
		}
		var out [][]byte
		for _, s := range list {
			out = append(out, []byte(s))
		}
		return out
	}
	f.yes, f.no = texts(o.TrueIs, "true"), texts(o.FalseIs, "false")
	for _, s := range o.TrueIs {
		if slices.Contains(o.FalseIs, s) {
			c.problem(at+".false_is", "%q stands in true_is too", s)
		}
	}
}
