package jobs

import (
	"slices"

	"waybill/jobs/expression"
)

// group says how consecutive rows become one record: the fields that are kept, then the list.
type group struct {
	by    []int // fields of a row whose values keep rows together
	keep  []int // fields of a row that the record has; they must agree
	take  []int // fields of a row that go into the list
	apart bool  // reject rows whose key was there before, further up
}

func (c *compiler) group(o *Group) {
	r := &c.plan.reader.parts[0]
	find := func(path string, names []string) (list []int) {
		for _, name := range names {
			i := slices.IndexFunc(r.fields, func(f field) bool { return f.name == name })
			switch {
			case i < 0:
				c.problem(path, "there is no field %s", name)
			case slices.Contains(list, i):
				c.problem(path, "%s stands there twice", name)
			default:
				list = append(list, i)
			}
		}
		return list
	}
	g := &group{by: find("read.group.by", o.By), take: find("read.group.take", o.Take), apart: o.Apart != "process"}
	lines := field{name: o.Into, kind: expression.KindList, required: true, cell: -1}
	var record []field
	for i, f := range r.fields {
		if slices.Contains(g.take, i) {
			if slices.Contains(g.by, i) {
				c.problem("read.group.take", "%s is the group's key, which stands in the record", f.name)
			}
			continue
		}
		g.keep = append(g.keep, i)
		record = append(record, f)
		if f.name == o.Into {
			c.problem("read.group.into", "%s is the name of a field", o.Into)
		}
	}
	for _, i := range g.by {
		if f := &r.fields[i]; f.typ().Optional {
			c.problem("read.group.by", "%s may be absent: make it required", f.name)
		}
	}
	for _, i := range g.take {
		lines.fields = append(lines.fields, r.fields[i])
	}
	if o.Into == "" || expression.Reserved(o.Into) {
		c.problem("read.group.into", "%q cannot be the name of a field", o.Into)
	}
	r.group, r.record = g, append(record, lines)
}
