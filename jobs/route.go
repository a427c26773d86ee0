package jobs

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"maps"

	"waybill/formats"
	"waybill/jobs/expression"
	"waybill/outbox"
)

// route is one compiled `send`.
type route struct {
	name        string // destination, and for the second route to it "destination#2"
	origin      string // the same with the oldest name of the destination, for keys
	destination string
	each        string // record, file, window
	of          *segment
	when        *source
	key         []*source
	headers     []header
	query       []header // of the URL
	body        []instruction
	plain       bool   // no body: the record itself
	shaper      shaper // what a body becomes that is not to be JSON; nil: it is
	null        bool
	encoder     formats.PartsEncoder                      // each file or window; nil: the original bytes
	rowCheck    func(part int, row []formats.Value) error // which rows it cannot write although it can their values; nil: none
	rows        []written                                 // the kinds of its rows; none: each is one value
	head, tail  *written                                  // what stands around them; nil: nothing
	totals      []total                                   // over its rows
	empty       bool                                      // written even without records
	judge       outbox.Judge
	marked      bool // has a marker
	open        bool // records without declared fields
}

// A shaper lays out a body that is rendered as JSON.
type shaper interface {
	Append(dst, json []byte) ([]byte, error)
}

// header is a header or a parameter of a message.
type header struct {
	name     string
	value    *source              // nil: template
	template *expression.Template // nil: value
	needs    needs
	fixed    string // when neither varies
	constant bool
}

// A Route is what a plan sends to one destination.
type Route struct {
	Name        string // stable within the job: the destination's name, then "name#2" …
	Destination string
	Each        string // record, file or window
	Judge       outbox.Judge
}

// Routes lists what the plan sends where, by Rendered.Route.
func (p *Plan) Routes() []Route {
	list := make([]Route, len(p.routes))
	for i, r := range p.routes {
		list[i] = Route{Name: r.name, Destination: r.destination, Each: r.each, Judge: r.judge}
	}
	return list
}

func (c *compiler) check(o Check) {
	for i, rule := range o.Record {
		path := fmt.Sprintf("check.record[%d]", i)
		k := c.partOf(path, "for", rule.For)
		if k == nil {
			continue
		}
		if that := c.condition(c.recordScope(k), path+".that", rule.That); that != nil {
			k.rules = append(k.rules, ruleOf(that, rule.Say))
		}
	}
	if o.Unique != nil {
		c.unique(o.Unique)
	}
	c.sequence(o.Sequence)
	c.plan.claims = c.claim("check.file", o.File, false)
	c.plan.blocks = c.claim("check.block", o.Block, true)
	if len(o.Block) > 0 && !c.plan.reader.blocks && c.whole("read.block") {
		c.problem("check.block", "needs read.block, which says what a block is")
	}
	if c.plan.reader.none && (len(o.Record) > 0 || o.Unique != nil || len(o.Block) > 0) {
		c.problem("check", "does not go with read: none, which has no records")
	}
}

// unique compiles the key that occurs once.
func (c *compiler) unique(o *Unique) {
	k := c.partOf("check.unique", "of", o.Of)
	if k == nil {
		return
	}
	c.record = c.recordScope(k)
	u := &unique{part: k, same: first(o.Same, "skip"), other: first(o.Other, "reject")}
	path := "check.unique.key"
	if q := c.plan.options.Query; q != nil && q.Window != nil && q.Window.Key != "" {
		path = "query.window.key"
	}
	u.key = c.keys(path, o.Key)
	if len(o.Key) == 0 {
		c.problem(path, "is missing")
	}
	c.plan.unique = u
}

func ruleOf(that *source, say string) rule {
	if say == "" {
		say = "does not hold: " + that.program.Source()
	}
	return rule{that, say}
}

// keys compiles the parts of a key: none may be a plain text or absent.
func (c *compiler) keys(path string, parts []string) []*source {
	var list []*source
	for i, src := range parts {
		at := path
		if len(parts) > 1 {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		s := c.computed(c.record, at, src)
		if s == nil {
			continue
		}
		if s.program.Type().Optional {
			c.problem(at, "%s may be absent: make the field required, or write a second choice behind ??", src)
		}
		list = append(list, s)
	}
	return list
}

func (c *compiler) routes(list []Send) {
	if len(list) == 0 {
		c.problem("send", "is missing: nothing would be sent")
	}
	seen := map[string]int{}
	for i := range list {
		o := &list[i]
		path := fmt.Sprintf("send[%d]", i)
		r := &route{name: o.To, destination: o.To, each: first(o.Each, "record"), null: o.Missing == "null", open: c.plan.reader.open}
		if seen[o.To]++; seen[o.To] > 1 {
			r.name = fmt.Sprintf("%s#%d", o.To, seen[o.To])
		}
		r.known(first(c.env.Formerly[o.To], o.To))
		k := &c.plan.reader.parts[0]
		switch {
		case c.plan.reader.none || o.untouched():
			if o.For != "" {
				c.problem(path+".for", "does not go with the file's original bytes")
			}
		case len(o.Records.Kinds) > 0 && r.each != "record": // of which records each kind of rows is made it says itself
			if o.For != "" {
				c.problem(path+".for", "does not go with records, each of which has its own")
			}
		default:
			if k = c.partOf(path, "for", o.For); k == nil {
				continue
			}
		}
		c.record = c.recordScope(k)
		if r.of = k; len(o.Records.Kinds) == 0 || r.each == "record" {
			k.routes = append(k.routes, len(c.plan.routes))
		}
		c.route(path, o, r)
		c.plan.routes = append(c.plan.routes, r)
	}
}

// known sets the oldest name of the destination.
func (r *route) known(origin string) { r.origin = origin + strings.TrimPrefix(r.name, r.destination) }

func (c *compiler) route(path string, o *Send, r *route) {
	if !c.whole(path + ".each") {
		return // nobody knows what it is to be
	}
	if c.plan.reader.none {
		if o.Each == "window" {
			c.problem(path+".each", "window goes with query")
		}
		r.each = "file"
	}
	c.shape(path, o, r)
	scope := c.record
	if r.each != "record" {
		scope = c.fileScope() // a message for all records cannot name the fields of one
	}
	if o.When != "" && len(o.Records.Kinds) > 0 && r.each != "record" {
		c.problem(path+".when", "does not go with records, each of which has its own")
	} else if o.When != "" {
		r.when = c.condition(c.record, path+".when", o.When)
	}
	if r.each == "record" {
		r.key = c.keys(path+".key", o.Key)
		if len(o.Key) == 0 && c.plan.options.Query != nil {
			c.problem(path+".key", "is missing: rows of a query have no place of their own, so say what identifies one")
		}
	} else if len(o.Key) > 0 {
		c.problem(path+".key", "goes with each: record; a message for the whole entry has the entry's key")
	}
	c.kind(path, o, r)
	c.headers(path, o, r, scope)
	c.content(path, o, r)
	if o.When != "" && r.each != "record" && r.encoder == nil && !c.plan.reader.none {
		c.problem(path+".when", "does not go with the file's original bytes: leave it out, or say what is written with columns, body or as")
	}
	r.judge = c.judge(path, o)
}

// shape checks that each fits what starts the job.
func (c *compiler) shape(path string, o *Send, r *route) {
	switch {
	case r.each == "file" && c.plan.options.Query != nil:
		c.problem(path+".each", "file goes with receive; write window for the rows of a query")
	case r.each == "window" && c.plan.options.Query == nil:
		c.problem(path+".each", "window goes with query; write file for what a file holds")
	}
	if o.To == "" {
		c.problem(path+".to", "is missing: name a destination")
	} else if !c.whole(path + ".to") {
		return
	} else if kind, ok := c.env.Destinations[o.To]; c.env.Destinations != nil && !ok {
		c.problem(path+".to", "there is no destination %s%s", o.To, known(slices.Sorted(maps.Keys(c.env.Destinations))))
	} else if kind == "file" && o.Name == "" {
		c.problem(path+".name", "is missing: a file needs a name")
	}
	if o.Key != nil && len(o.Key) == 0 {
		c.problem(path+".key", "is empty")
	}
}

// untouched reports whether the file's original bytes are sent.
func (o *Send) untouched() bool {
	return o.Each == "file" && document(&o.Body) == nil && len(o.Columns) == 0 && o.Writing.Format == "" && o.parts() == ""
}

func known(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; there are " + strings.Join(names, ", ")
}

// kind refuses keys that the destination's kind knows nothing of.
func (c *compiler) kind(path string, o *Send, r *route) {
	kind := c.env.Destinations[o.To]
	if kind == "" {
		return
	}
	for _, k := range []struct{ key, kinds, value string }{
		{"method", "http", o.Method}, {"path", "http", o.Path}, {"query", "http", strings.Repeat("x", len(o.Query))},
		{"success", "http", o.Success}, {"capture", "http", strings.Repeat("x", len(o.Capture))},
		{"routing_key", "amqp", o.RoutingKey}, {"exchange", "amqp", o.Exchange},
		{"headers", "http amqp", strings.Repeat("x", len(o.Headers))},
		{"name", "file", o.Name}, {"exists", "file", o.Exists}, {"marker", "file", o.Marker},
	} {
		if k.value != "" && !slices.Contains(strings.Fields(k.kinds), kind) {
			c.problem(path+"."+k.key, "does not go with %s, which is a destination of kind %s", o.To, kind)
		}
	}
	if kind == "amqp" && o.RoutingKey == "" {
		c.problem(path+".routing_key", "is missing: without one no queue gets the message")
	}
	if kind == "file" && r.each == "record" && o.Name != "" && !strings.Contains(o.Name, "{") {
		c.problem(path+".name", "is the same for every record: write a field into it, or each: file")
	}
}

// headers compiles what goes beside the body, the instructions to the target first.
func (c *compiler) headers(path string, o *Send, r *route, s *scope) {
	add := func(h header, ok bool) {
		if ok {
			r.headers = append(r.headers, h)
		}
	}
	text := func(name, value string) { add(header{name: name, fixed: value, constant: true}, value != "") }
	text(":method", o.Method)
	add(c.template(s, path+".path", ":path", o.Path, expression.ModeURLPath))
	for _, name := range slices.Sorted(maps.Keys(o.Query)) {
		v := c.value(s, path+".query."+name, o.Query[name])
		if v != nil {
			r.query = append(r.query, header{name: url.QueryEscape(name), value: v})
		}
	}
	add(c.template(s, path+".routing_key", ":routing_key", o.RoutingKey, expression.ModeText))
	text(":exchange", o.Exchange)
	add(c.template(s, path+".name", ":name", o.Name, expression.ModeFileName))
	text(":exists", o.Exists)
	r.marked = o.Marker != ""
	add(c.template(c.markerScope(s), path+".marker", ":marker", o.Marker, expression.ModeFileName))
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		if strings.HasPrefix(name, ":") || strings.ContainsAny(name, " \r\n") || name == "" {
			c.problem(path+".headers."+name, "is no name of a header")
			continue
		}
		v := c.value(s, path+".headers."+name, o.Headers[name])
		if v != nil {
			add(header{name: name, value: v, fixed: string(v.literal), constant: v.fixed}, true)
		}
	}
}

// markerScope is s with {name}, the name of the file that the marker is for.
func (c *compiler) markerScope(s *scope) *scope {
	names := append(slices.Clone(c.names), expression.Field{Name: "name", Type: expression.Of(expression.KindString)})
	return &scope{expression: c.scoped(types(s.fields), names...), fields: s.fields}
}

func (c *compiler) template(s *scope, path, name, src string, mode expression.Mode) (header, bool) {
	if src == "" {
		return header{}, false
	}
	t, err := s.expression.Template(src, mode)
	if err != nil {
		c.fail(path, err)
		return header{}, false
	}
	h := header{name: name, template: t}
	if h.fixed, h.constant = t.Literal(); h.constant {
		return h, true
	}
	for _, n := range t.Names() {
		h.needs = append(h.needs, need{n, s.index(n)})
	}
	return h, true
}
