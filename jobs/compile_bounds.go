package jobs

import (
	"waybill/formats"
	"waybill/jobs/expression"
)

// bounds compiles min, max, length, pattern, one_of and default; their texts are read as the field's own are.
func (c *compiler) bounds(at string, o *Field, f *field) {
	ordered := f.kind >= expression.KindInteger && f.kind <= expression.KindDateTime && f.kind != expression.KindBoolean
	literal := func(key, text string) []byte {
		if text == "" {
			return nil
		}
		v, bad := f.literal(text)
		if bad != "" {
			c.problem(at+"."+key, "%q %s", text, bad)
		}
		return v
	}
	if !ordered && (o.Min != "" || o.Max != "") {
		c.problem(at+".min", "min and max go with numbers, dates and times, not with %s; for text there is length", f.kind)
	} else {
		f.low, f.high = literal("min", o.Min), literal("max", o.Max)
		if f.low != nil && f.high != nil && f.order(f.low, f.high) > 0 {
			c.problem(at+".max", "%s is less than min", o.Max)
		}
	}
	for _, s := range o.OneOf {
		f.oneOf = append(f.oneOf, literal("one_of", s))
	}
	if o.Length != "" {
		s, err := parseSpan(o.Length)
		if err != nil {
			c.problem(at+".length", "%s", err)
		}
		f.length = &s
	}
	if o.Pattern != "" {
		p, err := newMatcher(o.Pattern)
		if err != nil {
			c.problem(at+".pattern", "%s", err)
		}
		f.pattern = p
	}
	f.limited = f.low != nil || f.high != nil || f.length != nil || f.pattern != nil || f.oneOf != nil
	if o.Default != "" {
		if f.required {
			c.problem(at+".default", "does not go with required: a field with a default is never missing")
		}
		f.fallback = &value{set: true, text: literal("default", o.Default)}
		if len(o.Fields) > 0 {
			c.problem(at+".default", "does not go with fields")
		}
	}
}

// literal reads a text of the configuration as the field's canonical text. Numbers in the configuration have a point,
// dates may be written in the file's way or as ISO does.
func (f *field) literal(text string) (canon []byte, bad string) {
	g := *f
	g.number, g.implied = number{point: '.'}, implied{}
	kind, cell := formats.Text, []byte(text)
	if f.tree {
		kind = formats.Tree
		if _, err := decodeJSON(cell); err != nil {
			return nil, "is not JSON"
		}
	}
	if f.kind == expression.KindBoolean && (text == "true" || text == "false") {
		return cell, ""
	}
	var m maker
	canon, bad = m.canonical(&g, kind, cell)
	if bad != "" && f.timely() {
		l := *f.layout
		l.format, l.steps = isoStrftime(f.kind), ""
		g.layout = &l
		if iso, failed := m.canonical(&g, kind, cell); failed == "" {
			return iso, ""
		}
	}
	return canon, bad
}

func isoStrftime(k expression.Kind) string {
	switch k {
	case expression.KindDate:
		return "%Y-%m-%d"
	case expression.KindTime:
		return "%H:%M:%S"
	}
	return ""
}
