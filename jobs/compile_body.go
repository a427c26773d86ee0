package jobs

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"waybill/formats"
	"waybill/formats/jsonvalue"
	"waybill/jobs/expression"
)

// content compiles what a message or a file holds.
func (c *compiler) content(path string, o *Send, r *route) {
	body := document(&o.Body)
	if c.plan.reader.none {
		if part := o.parts(); part != "" {
			c.problem(path+"."+part, "does not go with read: none, which hands on the original bytes")
		}
		if body != nil || len(o.Columns) > 0 || o.Writing.Format != "" {
			c.problem(path+".body", "does not go with read: none, which hands on the original bytes")
		}
		return
	}
	var shape formats.Shape
	if r.each == "record" && !formats.Tabular(o.Writing.Format) {
		c.notRows(path, o)
		var media string
		r.shaper, shape, media = c.message(path, o.Writing)
		r.headers = append(r.headers, header{name: ":content-type", fixed: media, constant: true})
	} else if !c.file(path, o, r, body) {
		return
	} else if r.shaper != nil {
		shape = formats.ElementTree
	}
	r.plain = body == nil
	if body != nil {
		before := len(c.problems)
		r.body = c.root(c.record, path+".body", body, r.null)
		if len(c.problems) == before {
			c.shaped(path+".body", body, r.shaper, shape)
		}
		return
	}
	c.recordShaped(path, r.shaper, shape)
}

// notRows refuses what belongs to rows, in a message of one record that is made of none.
func (c *compiler) notRows(path string, o *Send) {
	if len(o.Columns) > 0 {
		c.problem(path+".columns", "go with rows: write as: csv, tsv, fixed or xlsx for a message of them, or each: file; any other message is made of body")
	}
	if part := o.parts(); part != "" {
		c.problem(path+"."+part, "goes with rows: write as: csv, tsv or fixed for a message of them, or each: file; any other message is all in body")
	}
	if o.NoRows == "write" {
		c.problem(path+".no_rows", "goes with files, and with messages made of rows (csv, tsv, fixed, xlsx): this one is always there")
	}
}

const jsonMedia = "application/json"

// message compiles how a message is laid out: nil is JSON.
func (c *compiler) message(path string, w formats.Writing) (shaper, formats.Shape, string) {
	if !c.whole(path + ".as") {
		return nil, formats.AnyTree, jsonMedia
	}
	w.Format, w.Files = first(w.Format, "json"), c.env.Files
	m, shape, problems := formats.NewMessage(w)
	for _, p := range problems {
		c.problem(path+"."+p.Path, "%s", p.Text)
	}
	if m == nil {
		return nil, shape, jsonMedia
	}
	return m, shape, m.MediaType()
}

// file compiles a route that writes rows: one file of those of all records or, with each: record, a message of those of one; it reports whether they are
// whole records, from a body.
func (c *compiler) file(path string, o *Send, r *route, body *yaml.Node) bool {
	r.empty = o.NoRows == "write"
	if o.untouched() {
		return false // the original bytes
	}
	as := first(o.Writing.Format, "ndjson")
	if o.Writing.Format == "" && len(o.Columns)+len(o.Records.Kinds) > 0 {
		as = "csv"
	}
	if body != nil && len(o.Columns) > 0 {
		c.problem(path+".columns", "do not go with body")
		return false
	}
	c.written(path, as, o, r, body)
	r.headers = append(r.headers, header{name: ":content-type", fixed: fileMedia(as, o.Encoding), constant: true})
	return len(o.Columns)+len(o.Records.Kinds) == 0 && !formats.Tabular(as)
}

// fileMedia is the media type of a file.
func fileMedia(as, encoding string) string {
	charset := "; charset=" + strings.ToLower(first(encoding, formats.UTF8))
	switch as {
	case "csv":
		return "text/csv" + charset
	case "tsv":
		return "text/tab-separated-values" + charset
	case "fixed":
		return "text/plain" + charset
	case "xml":
		return "application/xml" + charset
	case "ndjson":
		return "application/x-ndjson"
	case "protobuf":
		return "application/x-protobuf"
	case "xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	}
	return jsonMedia
}

// column compiles a column of a file.
func (c *compiler) column(s *scope, path, as string, o *Column) (column, bool) {
	v := c.value(s, path+".value", o.Value)
	if v == nil {
		return column{}, false
	}
	k := expression.KindAny
	if !v.fixed {
		k = v.program.Type().Kind
	}
	format := o.Format
	switch moment := k == expression.KindDate || k == expression.KindTime || k == expression.KindDateTime; {
	case format == "":
	case as == "xlsx":
		c.shown(path+".format", k, moment, format)
		format = "" // the cell keeps its value
	case !moment && k != expression.KindAny:
		c.problem(path+".format", "goes with dates and times, not with %s", k)
	default:
		if err := expression.CheckFormat(format, false); err != nil {
			c.fail(path+".format", err)
		}
	}
	return column{v, format, k}, true
}

// shown checks how the cells of a spreadsheet are to be shown against what they hold.
func (c *compiler) shown(path string, k expression.Kind, moment bool, format string) {
	number := k == expression.KindInteger || k == expression.KindDecimal || k == expression.KindNumber
	switch dates := formats.ShowsDates(format); {
	case k == expression.KindAny:
	case moment && !dates:
		c.problem(path, "%q shows no date: write it in a spreadsheet's terms, as dd.mm.yyyy hh:mm", format)
	case number && dates:
		c.problem(path, "%q shows dates, and not %s: write it in a spreadsheet's terms, as #,##0.00", format, k.Noun())
	case !moment && !number:
		c.problem(path, "goes with dates, times and numbers, not with %s", k)
	}
}

// document is the tree of a raw node, nil when there is none.
func document(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	if n == nil || n.Kind == 0 {
		return nil
	}
	return n
}

// root compiles a body. There is always one: what is said under a condition says so beside it.
func (c *compiler) root(s *scope, path string, n *yaml.Node, null bool) []instruction {
	if child(n, "=when") != nil && child(n, "=each") == nil {
		c.problem(path+".=when", "would leave the whole body out: write the condition beside body, as when, or around the parts that it is about")
		return nil
	}
	return c.node(s, path, n, null)
}

// node compiles one node of a body. Whatever it appends ends with a comma.
func (c *compiler) node(s *scope, path string, n *yaml.Node, null bool) []instruction {
	switch n.Kind {
	case yaml.MappingNode:
		return c.mapping(s, path, n, null)
	case yaml.SequenceNode:
		in := instruction{op: opObject, text: []byte("["), closes: ']'}
		for i, item := range n.Content {
			in.body = append(in.body, c.node(s, fmt.Sprintf("%s[%d]", path, i), item, null)...)
		}
		return []instruction{in}
	case yaml.ScalarNode:
		return c.scalar(s, path, n, null)
	}
	c.problem(path, "is neither a text, a list nor a mapping")
	return nil
}

// scalar compiles a text or an expression. Plain true and false are booleans; other plain texts stay texts.
func (c *compiler) scalar(s *scope, path string, n *yaml.Node, null bool) []instruction {
	plain := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	if plain && (n.Value == "true" || n.Value == "false") {
		return []instruction{{op: opText, text: []byte(n.Value + ",")}}
	}
	if plain && !expression.Plain(n.Value) {
		c.problem(path, "put %s in single quotes: without them only a plain =name may stand here", n.Value)
		return nil
	}
	v := c.value(s, path, n.Value)
	switch {
	case v == nil:
		return nil
	case v.fixed:
		return []instruction{{op: opText, text: append(jsonvalue.AppendString(nil, v.literal), ',')}}
	}
	in := instruction{op: opOptional, value: v}
	if !v.optional() {
		in.op = opRequired
	} else if null {
		in.op = opNull
	}
	in.plainly()
	return []instruction{in}
}

// mapping compiles an object, or with =each a list of them.
func (c *compiler) mapping(s *scope, path string, n *yaml.Node, null bool) []instruction {
	in := instruction{op: opObject, text: []byte("{"), closes: '}'}
	inner := s
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key, at := n.Content[i].Value, path+"."+n.Content[i].Value; key == "=each" {
			in.op, in.text = opEach, []byte("[")
			inner = c.each(s, at, n.Content[i+1].Value, &in)
		} else if strings.HasPrefix(key, "=") && key != "=when" {
			c.problem(at, "is no directive: there are =each and =when; a key that starts with = cannot be written")
		}
	}
	if inner == nil {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		at := path + "." + key
		if key == "=when" {
			before := len(c.problems)
			in.when = c.condition(inner, at, directive(value.Value))
			c.unshift(before, value.Value)
			continue
		}
		if strings.HasPrefix(key, "=") {
			continue
		}
		in.body = append(in.body, prefix(append(jsonvalue.AppendString(nil, []byte(key)), ':'), c.node(inner, at, value, null))...)
	}
	in.body = merge(in.body)
	return []instruction{in}
}

// directive is an expression whose = may be left out, since nothing else can stand there.
func directive(src string) string { return "=" + strings.TrimPrefix(src, "=") }

// unshift takes the = that directive put in front out of the offsets of the problems from there on.
func (c *compiler) unshift(from int, src string) {
	if strings.HasPrefix(src, "=") {
		return
	}
	for i := range c.problems[from:] {
		c.problems[from+i].Offset = max(0, c.problems[from+i].Offset-1)
	}
}

// prefix puts text before the first instruction.
func prefix(text []byte, program []instruction) []instruction {
	if len(program) > 0 {
		program[0].text = append(text, program[0].text...)
	}
	return program
}

// merge joins fixed text to the instruction behind it, where that cannot be left out.
func merge(program []instruction) []instruction {
	var out []instruction
	for _, in := range program {
		last := len(out) - 1
		always := in.op == opText || in.op == opRequired || in.op == opNull || in.op == opObject && in.when == nil
		if last >= 0 && out[last].op == opText && always {
			in.text = append(out[last].text, in.text...)
			out[last] = in
			continue
		}
		out = append(out, in)
	}
	return out
}

// each compiles the list that =each names and returns the scope of its elements.
func (c *compiler) each(s *scope, path, src string, in *instruction) *scope {
	before := len(c.problems)
	p, err := s.expression.Expr(directive(src))
	if err != nil {
		c.fail(path, err)
		c.unshift(before, src)
		return nil
	}
	t := p.Type()
	if t.Kind != expression.KindList && t.Kind != expression.KindAny {
		c.problem(path, "%s is %s, not a list", src, t.Kind.Noun())
		return nil
	}
	in.list = c.source(s, path, p)
	inner := &scope{up: s, each: true}
	var elem []expression.Field
	if in.list.ref != nil && len(in.list.ref.field().fields) > 0 {
		in.elem = in.list.ref
		inner.fields = in.elem.field().fields
		elem = types(inner.fields)
	} else {
		elem = t.Fields
	}
	inner.expression = s.expression.Each(elem)
	return inner
}
