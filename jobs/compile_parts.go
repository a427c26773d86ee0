package jobs

import (
	"fmt"
	"slices"
	"strings"

	"waybill/formats"
	"waybill/jobs/expression"
)

// claims are the names that checks of a file and of a block know.
type claims struct {
	header, blockHeader   []expression.Field
	trailer, blockTrailer []expression.Field
	totals                []expression.Field
}

// around compiles what stands around the records, and makes names of it.
func (c *compiler) around(o *Read) {
	r := &c.plan.reader
	add := func(s *Section, role formats.Role) []expression.Field {
		if s == nil {
			return nil
		}
		p := segment{role: role, kind: s.Kind, path: "read." + role.String()}
		if len(s.Fields) == 0 && c.whole(p.path+".fields") {
			c.problem(p.path+".fields", "are missing")
		}
		p.fields, p.wants = c.fields(p.path+".fields", o, sectionFields(s.Fields))
		p.record = p.fields
		p.order(nil)
		r.parts = append(r.parts, p)
		return types(p.fields)
	}
	n := &c.claims
	if o.Header != nil {
		n.header = add(o.Header, formats.Header)
	}
	c.header(n.header)
	if o.Block != nil {
		r.blocks = true
		if o.Block.Header == nil && c.whole("read.block.header") {
			c.problem("read.block.header", "is missing: it says where a block begins")
		}
		n.blockHeader = add(o.Block.Header, formats.BlockHeader)
		for _, f := range n.blockHeader {
			if slices.ContainsFunc(n.header, func(g expression.Field) bool { return g.Name == f.Name }) {
				c.problem("read.block.header.fields."+f.Name, "stands in read.header too: header.%s would be either", f.Name)
			}
		}
		c.header(slices.Concat(n.header, n.blockHeader))
		n.blockTrailer = add(o.Block.Trailer, formats.BlockTrailer)
	}
	if o.Trailer != nil {
		n.trailer = add(o.Trailer, formats.Trailer)
	}
	r.header = len(n.header)+len(n.blockHeader) > 0
}

// header makes header.NAME known, of a header with these fields.
func (c *compiler) header(fields []expression.Field) { c.names = named(c.names, "header", fields) }

// named are names with one more, an object with these fields; it takes the place of one that was there.
func named(names []expression.Field, name string, fields []expression.Field) []expression.Field {
	names = slices.DeleteFunc(slices.Clone(names), func(f expression.Field) bool { return f.Name == name })
	if len(fields) == 0 {
		return names
	}
	return append(names, expression.Field{Name: name, Type: expression.Type{Kind: expression.KindObject, Fields: fields}})
}

// sectionFields are fields of what stands around records: each must be there unless it says otherwise.
func sectionFields(list []Field) []Field {
	list = slices.Clone(list)
	for i := range list {
		if f := &list[i]; f.Required == nil && f.Default == "" && f.Value == "" && f.Kind == "" {
			f.Required = new(true)
		}
	}
	return list
}

func (r *reader) kindNames() (list []string) {
	for i := range r.kinds {
		if name := r.parts[i].name; name != "" {
			list = append(list, name)
		}
	}
	return list
}

// kindNamed is one of several kinds of records; nil when there is none of that name.
func (r *reader) kindNamed(name string) *segment {
	for i := range r.kinds {
		if r.named && r.parts[i].name == name {
			return &r.parts[i]
		}
	}
	return nil
}

// partOf finds the kind of records that a check or a route is about, by what stands at key.
func (c *compiler) partOf(path, key, name string) *segment {
	r := &c.plan.reader
	switch k := r.kindNamed(name); {
	case k != nil:
		return k
	case !r.named && name == "":
		return &r.parts[0]
	case !r.named:
		c.problem(path+"."+key, "goes with several kinds of records, and read.records names none: leave it out")
	case name == "":
		c.problem(path+"."+key, "is missing: say which kind of records is meant, %s: %s", key, strings.Join(r.kindNames(), " or "+key+": "))
	default:
		c.problem(path+"."+key, "there is no kind of records %s; there are %s", name, strings.Join(r.kindNames(), ", "))
	}
	return nil
}

// claimScope is where the names of a check of the file, or of a block, are looked up.
func (c *compiler) claimScope(block bool) *scope {
	n := &c.claims
	header, trailer := n.header, n.trailer
	if block {
		header, trailer = slices.Concat(n.header, n.blockHeader), n.blockTrailer
	}
	names := named(c.fileNames(), "header", header)
	names = named(names, "trailer", trailer)
	names = named(names, "totals", n.totals)
	return c.bare(slices.DeleteFunc(names, func(f expression.Field) bool { return f.Name == "record" }))
}

// fileNames are the names that mean the same for all records of a file.
func (c *compiler) fileNames() []expression.Field { return named(c.names, "header", c.claims.header) }

// fileScope is where the names of a message for the whole file are looked up.
func (c *compiler) fileScope() *scope { return c.bare(c.fileNames()) }

// bare is a scope without a record.
func (c *compiler) bare(names []expression.Field) *scope {
	s := &scope{expression: c.scoped(nil, names...)}
	if c.open {
		s.expression = s.expression.Open()
	}
	return s
}

// claim compiles the checks of a file or of a block.
func (c *compiler) claim(path string, list []Claim, block bool) (rules []rule) {
	if len(list) == 0 {
		return nil
	}
	s := c.claimScope(block)
	for i, o := range list {
		if that := c.condition(s, fmt.Sprintf("%s[%d].that", path, i), o.That); that != nil {
			that.once = -1 // its names change from block to block
			rules = append(rules, ruleOf(that, o.Say))
		}
	}
	return rules
}
