package jobs

import (
	"slices"
	"strings"

	"waybill/jobs/expression"
)

// totals compiles the figures over the records.
func (c *compiler) totals(o *Read) {
	r := &c.plan.reader
	for i := range o.Totals {
		t := &o.Totals[i]
		at := "read.totals." + t.Name
		if !c.whole(at) {
			continue
		}
		if !c.totalName(at, t.Name) {
			continue
		}
		key, one := t.says()
		switch {
		case !one:
			c.problem(at, "is one of sum: FIELD, min: FIELD, max: FIELD, hash: FIELD and count: KIND")
		case r.open:
			c.problem(at, "needs declared fields")
		case key == "count":
			c.count(at, t)
		default:
			c.figure(at, key, t)
		}
	}
}

// totalName sees that expressions and templates can name a total, which is there for nothing else.
func (c *compiler) totalName(at, name string) bool {
	named := expression.IsName(name)
	if !named {
		c.problem(at, "%q cannot stand behind totals. in an expression: a name has letters, digits and _, and begins with no digit; write %s", name, expression.Named(name))
	}
	return named
}

// says is the key that says what a total is; one: there is one, and no second.
func (t *Total) says() (key string, one bool) {
	n := 0
	for _, k := range []struct{ key, value string }{{"sum", t.Sum}, {"count", t.Count}, {"min", t.Min}, {"max", t.Max}, {"hash", t.Hash}} {
		if k.value != "" {
			key, n = k.key, n+1
		}
	}
	return key, n == 1
}

// allRecords is what count says of all kinds of records.
const allRecords = "records"

func (c *compiler) count(at string, t *Total) {
	r := &c.plan.reader
	made := total{name: t.Name, field: -1, kind: expression.KindInteger}
	if t.Of != "" {
		c.problem(at+".of", "goes with a field; count names the kind itself")
	}
	c.whereHashed(at, t)
	if k := r.kindNamed(t.Count); k != nil {
		k.totals = append(k.totals, len(r.totals))
	} else if t.Count == allRecords {
		made.bad = true
		for i := range r.kinds {
			r.parts[i].totals = append(r.parts[i].totals, len(r.totals))
		}
	} else {
		c.problem(at+".count", "there is no kind of records %s; there are %s", t.Count, strings.Join(append(r.kindNames(), allRecords), ", "))
		return
	}
	c.addTotal(made)
}

// totalled says of each total over a field which kinds of fields it goes with.
var totalled = map[string]struct {
	does  totalling
	kinds []expression.Kind
	says  string
}{
	"sum": {sums, []expression.Kind{expression.KindInteger, expression.KindDecimal}, "an integer or a decimal is added up"},
	"min": {least, ordered, "an integer, a decimal, a date, a time or a datetime has a least one"},
	"max": {greatest, ordered, "an integer, a decimal, a date, a time or a datetime has a greatest one"},
	"hash": {hashes, []expression.Kind{expression.KindString, expression.KindInteger, expression.KindDecimal},
		"the digits of a string, an integer or a decimal make a hash total"},
}

// ordered are the kinds of which there is a least and a greatest.
var ordered = []expression.Kind{expression.KindInteger, expression.KindDecimal, expression.KindDate, expression.KindTime, expression.KindDateTime}

// figure compiles a total over a field.
func (c *compiler) figure(at, key string, t *Total) {
	r := &c.plan.reader
	k := c.partOf(at, "of", t.Of)
	if k == nil {
		return
	}
	name := t.over()
	i := slices.IndexFunc(k.fields, func(f field) bool { return f.name == name })
	if i < 0 {
		c.problem(at+"."+key, "there is no field %s", name)
		return
	}
	is := totalled[key]
	made := total{name: t.Name, does: is.does, field: i, kind: k.fields[i].kind}
	if !slices.Contains(is.kinds, made.kind) || k.fields[i].tree {
		c.problem(at+"."+key, "%s is %s: %s", name, made.kind.Noun(), is.says)
		return
	}
	if c.whereHashed(at, t); made.does == hashes {
		made.kind, made.over = expression.KindInteger, c.remainder(at, t)
	}
	k.totals = append(k.totals, len(r.totals))
	c.addTotal(made)
}

// whereHashed refuses what belongs to hash alone.
func (c *compiler) whereHashed(at string, t *Total) {
	if t.Hash != "" {
		return
	}
	if t.Digits != 0 {
		c.problem(at+".digits", "goes with hash")
	}
	if t.Modulo != 0 {
		c.problem(at+".modulo", "goes with hash")
	}
}

// mostDigits is how many digits of a hash total may count: as many as every integer of 64 bits has room for.
const mostDigits = 18

// remainder is what a hash total is a remainder by, 0 when it is whole.
func (c *compiler) remainder(at string, t *Total) uint64 {
	const most = 1_000_000_000_000_000_000 // 10^mostDigits
	switch {
	case t.Digits != 0 && t.Modulo != 0:
		c.problem(at+".modulo", "does not go with digits, which is the remainder by a power of ten")
	case t.Digits < 0 || t.Digits > mostDigits:
		c.problem(at+".digits", "%d: from 1 to %d digits can count", t.Digits, mostDigits)
	case t.Modulo < 0 || t.Modulo == 1 || t.Modulo > most:
		c.problem(at+".modulo", "%d: write a number from 2 to %d", t.Modulo, most)
	case t.Digits > 0:
		over := uint64(1)
		for range t.Digits {
			over *= 10
		}
		return over
	}
	return uint64(max(t.Modulo, 0))
}

func (c *compiler) addTotal(t total) {
	c.plan.reader.totals = append(c.plan.reader.totals, t)
	typ := expression.Of(t.kind)
	typ.Optional = t.does == least || t.does == greatest // of no records there is none
	c.claims.totals = append(c.claims.totals, expression.Field{Name: t.name, Type: typ})
}
