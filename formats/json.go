package formats

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// JSON (RFC 8259). The elements of one list, or the document itself, are the records: each is read
// whole. What stands around them is only walked over, so that a file may be longer than memory.

func jsonFormat() format {
	return format{name: "json", keys: []string{"records", "schema"}, check: checkJSON, decoder: newJSON, parts: newJSONParts, encoder: newJSONEncoder, partsEncoder: newJSONParted, checkWriting: checkJSONWriting, writes: []string{"records"}}
}

func checkJSON(o Options) []Problem {
	if o.Records == "" {
		return nil
	}
	if _, _, err := parsePath(o.Records); err != nil {
		return []Problem{{"records", err.Error()}}
	}
	return nil
}

type jsonDecoder struct {
	o      Options
	shop   workshop
	parts  []Part
	plans  []*plan    // by index of parts
	route  *jsonRoute // to the records
	paths  []string   // to them, as configured
	around around     // what is wanted of the document
	early  int        // how many of its slots the header and the records need
	whole  *plan      // the record is the document: all parts in one
	cells  [][2]int   // by index of parts: which cells of that plan
	header int        // the part, -1: none
	tail   int        // the trailer
}

func newJSON(o Options, wants []Want) (Decoder, []Problem) {
	return newJSONParts(o, []Part{{Wants: wants}})
}

// newJSONParts compiles the parts: header and trailer are made of values of the document, wherever they stand in it, records of the elements of lists.
func newJSONParts(o Options, parts []Part) (Decoder, []Problem) {
	d := &jsonDecoder{o: o, parts: parts, plans: make([]*plan, len(parts)), route: &jsonRoute{part: -1}, around: around{root: &node{}}, header: -1, tail: -1}
	kinds, ps := treeParts(o, parts)
	for i, p := range parts {
		switch {
		case p.Role == Header:
			d.header = i
		case p.Role == Trailer:
			d.tail = i
			continue // its values may come late
		case p.Role == Body:
			ps = append(ps, d.lead(i, kinds[i])...)
		}
		ps = append(ps, d.compile(i)...)
	}
	d.early = d.around.slots
	if d.tail >= 0 {
		ps = append(ps, d.compile(d.tail)...)
	}
	if len(ps) > 0 {
		return nil, ps
	}
	if d.route.part >= 0 {
		d.compileWhole(d.route.part)
	}
	return d, nil
}

// compile makes the plan of a part.
func (d *jsonDecoder) compile(part int) []Problem {
	p := d.parts[part]
	if p.Role == Body && len(p.Wants) == 0 {
		d.plans[part] = &plan{top: &node{leaves: []leaf{{}}}, width: 1, slots: 1}
		return nil
	}
	c := planner{around: &d.around, outside: p.Role != Body, part: p.path()}
	plan, ps := c.compile(p.Wants, p.path()+"fields.")
	d.plans[part] = plan
	for _, w := range p.Wants {
		for _, f := range w.From {
			steps, root, err := parsePath(f)
			if err == nil && (root || c.outside) && d.overlaps(steps) {
				ps = append(ps, Problem{p.path() + "fields." + w.Name + ".from", fmt.Sprintf("%q holds the records, or is part of them", f)})
			}
		}
	}
	return ps
}

// compileWhole makes the plan for a document that is the record: both kinds of paths start there, and those of header and trailer.
func (d *jsonDecoder) compileWhole(body int) {
	var all []Want
	d.cells = make([][2]int, len(d.parts))
	for i, p := range d.parts {
		d.cells[i] = [2]int{len(all), len(all) + len(p.Wants)}
		all = append(all, p.Wants...)
	}
	c := planner{around: &around{root: &node{}}}
	d.whole, _ = c.compile(asRoot(all), "")
	if len(d.parts[body].Wants) == 0 {
		n := d.whole.slots
		d.whole.slots++
		d.whole.top.leaves = append(d.whole.top.leaves, leaf{cell: n})
		d.cells[body] = [2]int{n, n + 1}
	}
}

// treeParts sees what parts a document, of JSON or XML, may have, and returns the path of the records of each.
func treeParts(o Options, parts []Part) (kinds []string, ps []Problem) {
	kinds = make([]string, len(parts))
	bodies := 0
	for i, p := range parts {
		switch at := p.path(); {
		case p.Role == BlockHeader || p.Role == BlockTrailer:
			ps = append(ps, Problem{strings.TrimSuffix(at, "."), fmt.Sprintf("does not go with format %s, only with those of lines: take what belongs to a record with its fields", o.Format)})
		case p.Role != Body && p.Kind != "":
			ps = append(ps, Problem{at + "kind", "does not go with format " + o.Format + ": it is made of values around the records"})
		case p.Role != Body && len(p.Wants) == 0:
			ps = append(ps, Problem{at + "fields", "missing: name what is to be taken"})
		case p.Role == Body:
			bodies++
			kinds[i] = p.Kind
			if p.Kind == "" {
				kinds[i] = o.Records
			} else if o.Records != "" {
				ps = append(ps, Problem{"records", "does not go with kinds of records, each of which has its own path"})
			}
		}
	}
	for i, p := range parts {
		if bodies > 1 && p.Role == Body && p.Kind == "" {
			ps = append(ps, Problem{parts[i].path() + "kind", "missing: where there are several kinds of records each says the path that leads to it"})
		}
	}
	if bodies == 0 {
		ps = append(ps, Problem{"records", "missing: header and trailer stand around records"})
	}
	return kinds, ps
}

// A jsonRoute is a place on the way to the records.
type jsonRoute struct {
	steps []step // to what follows
	to    []*jsonRoute
	part  int // whose records stand here, -1: none
}

// member is the place below an object's member, nil when none leads on.
func (r *jsonRoute) member(name string) *jsonRoute {
	if r != nil {
		for i := range r.steps {
			if s := &r.steps[i]; s.at < 0 && s.name == name {
				return r.to[i]
			}
		}
	}
	return nil
}

func (r *jsonRoute) item(n int) *jsonRoute {
	if r != nil {
		for i := range r.steps {
			if r.steps[i].at == n {
				return r.to[i]
			}
		}
	}
	return nil
}

// lead makes the way to the records of a part.
func (d *jsonDecoder) lead(part int, path string) []Problem {
	var steps []step
	key := "records"
	if d.parts[part].Kind != "" {
		key = d.parts[part].path() + "kind"
	}
	if path != "" {
		var err error
		if steps, _, err = parsePath(path); err != nil {
			return []Problem{{key, err.Error()}}
		}
		d.paths = append(d.paths, path)
	}
	r := d.route
	for i, s := range steps {
		if r.part >= 0 {
			break
		}
		at := slices.Index(r.steps, s)
		if at < 0 {
			at = len(r.steps)
			r.steps, r.to = append(r.steps, s), append(r.to, &jsonRoute{part: -1})
		} else if i == len(steps)-1 {
			r = r.to[at]
			break
		}
		r = r.to[at]
	}
	if r.part >= 0 || len(r.steps) > 0 {
		return []Problem{{key, fmt.Sprintf("%q holds other records, or is part of them", path)}}
	}
	r.part = part
	return nil
}

// overlaps tells whether a path leads to what holds records, or into them.
func (d *jsonDecoder) overlaps(steps []step) bool {
	r := d.route
	if r.part >= 0 { // the document is the record
		return false
	}
	for _, s := range steps {
		at := slices.Index(r.steps, s)
		if at < 0 {
			return false
		}
		if r = r.to[at]; r.part >= 0 {
			return true
		}
	}
	return true
}

// asRoot drops the "$." of paths.
func asRoot(wants []Want) []Want {
	out := make([]Want, len(wants))
	for i, w := range wants {
		out[i] = w
		out[i].From = make([]string, len(w.From))
		for k, f := range w.From {
			if rest, ok := strings.CutPrefix(f, "$."); ok {
				f = rest
			} else if rest, ok := strings.CutPrefix(f, "$["); ok {
				f = "[" + rest
			}
			out[i].From[k] = f
		}
	}
	return out
}

// Decode reads the records of a document.
func (d *jsonDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		k := d.reading(b, on)
		defer d.shop.back(on, k.w)
		k.yield = yield
		if err := k.document(); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

func (d *jsonDecoder) reading(b Blob, on *bench) *jsonWalk {
	w := open(b, d.o, on)
	w.passed = &passage{}
	slots := d.around.slots
	for _, p := range d.plans {
		slots = max(slots, p.slots)
	}
	if d.whole != nil {
		slots = max(slots, d.whole.slots)
	}
	return &jsonWalk{d: d, w: w, p: on.json(d.o.Limits), blob: b, cells: make([]Cell, slots), fresh: make([]Cell, d.around.slots), outer: make([]Cell, d.around.slots)}
}

// errStopped unwinds a walk whose reader wants no more.
var errStopped = errors.New("stopped")
