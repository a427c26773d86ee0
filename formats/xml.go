package formats

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"

	"github.com/jacoelho/xsd"
)

// XML 1.0 with namespaces, read strictly and without a document type: no DOCTYPE, so no entities but the five of XML itself, and
// nothing is ever fetched. The elements that one path leads to are the records: each is read whole. What stands around them is only
// walked over, so that a file may be longer than memory.

func xmlFormat() format {
	return format{name: "xml", keys: []string{"records", "namespaces", "schema"}, depth: 200, check: checkXML, decoder: newXML, parts: newXMLParts,
		writes: []string{"encoding", "root", "element", "namespaces"}, checkWriting: checkXMLFile, encoder: newXMLEncoder, partsEncoder: newXMLParted}
}

func checkXML(o Options) []Problem {
	var ps []Problem
	for prefix, uri := range o.Namespaces {
		if p := (&xmlParse{rest: prefix}); uri == "" || !wholeName(p) {
			ps = append(ps, Problem{"namespaces." + prefix, "a prefix is a name, and stands for the address of a namespace, which is not empty"})
		}
	}
	sort.Slice(ps, func(i, j int) bool { return ps[i].Path < ps[j].Path })
	if o.Records != "" {
		if _, err := recordsPath(o.Records, o.Namespaces); err != nil {
			ps = append(ps, Problem{"records", err.Error()})
		}
	}
	return ps
}

func wholeName(p *xmlParse) bool {
	_, err := p.word(false)
	return err == nil && p.rest == ""
}

// recordsPath reads the path of records.
func recordsPath(path string, namespaces map[string]string) ([]xmlStep, error) {
	p, err := parseXMLPath(path, namespaces)
	switch {
	case err != nil:
		return nil, err
	case p.attr != nil || len(p.steps) == 0:
		return nil, fmt.Errorf("%q leads to no element: write the names from the root element on, as /Orders/Order", path)
	case !plain(p.steps):
		return nil, fmt.Errorf("%q has a test in brackets: records are all elements of that path, only: chooses among them", path)
	}
	return p.steps, nil
}

type xmlDecoder struct {
	engine *xsd.Engine // of the schema; nil: there is none
	keys   *xsdKeys    // of the schema, nil: it has none
	o      Options
	shop   workshop
	parts  []Part
	bodies []xmlBody
	plan   *xmlPlan
	header int // the part, -1: none
	tail   int // the trailer
	sides  map[int][]xmlWant
	simple bool // all that is wanted early of the document is one text each
}

// An xmlBody is one kind of records.
type xmlBody struct {
	part  int
	steps []xmlStep // to them
	top   *xmlState
	wants []xmlWant
}

const mostXMLKinds = 32 // of records: a bit each

func newXML(o Options, wants []Want) (Decoder, []Problem) {
	return newXMLParts(o, []Part{{Wants: wants}})
}

// newXMLParts compiles the parts: header and trailer are made of what stands around the records, wherever in the document.
func newXMLParts(o Options, parts []Part) (Decoder, []Problem) {
	d := &xmlDecoder{o: o, parts: parts, plan: &xmlPlan{}, header: -1, tail: -1, sides: map[int][]xmlWant{}, simple: true}
	kinds, ps := treeParts(o, parts)
	m := &xmlMaker{namespaces: o.Namespaces, problems: ps}
	for i, p := range parts {
		if p.Role == Body {
			d.lead(m, i, kinds[i])
		}
	}
	made, root := map[string]*xmlState{}, m.node()
	for i := range d.bodies {
		d.body(m, &d.bodies[i], root, made)
	}
	early := 0
	for i, p := range parts {
		switch p.Role {
		case Header:
			d.header = i
		case Trailer:
			d.tail = i
		default:
			continue
		}
		d.sides[i] = m.wants(p.Wants, p.path()+"fields.", nil, func(path *xmlPath) (*xmlNode, error) { return root, d.around(path, true) })
	}
	if o.Schema != "" {
		d.engine, d.keys, ps = compileXSD(o.Schema, o.Files)
		m.problems = append(m.problems, ps...)
	}
	if len(m.problems) > 0 {
		return nil, m.problems
	}
	for i := range d.bodies {
		d.outer(d.bodies[i].wants, "")
	}
	if d.header >= 0 {
		d.outer(d.sides[d.header], "header.")
	}
	if early = len(d.plan.outer); d.tail >= 0 {
		d.outer(d.sides[d.tail], "trailer.")
	}
	d.plan.early, d.plan.spaces, d.plan.names = early, m.spaces, len(m.names)
	if len(d.plan.outer) > 0 {
		d.plan.root = m.state([]*xmlNode{root}, made)
	}
	return d, nil
}

// lead adds the way to the records of a part; no path is that to the root element, whatever it is called.
func (d *xmlDecoder) lead(m *xmlMaker, part int, path string) {
	key := "records"
	if d.parts[part].Kind != "" {
		key = d.parts[part].path() + "kind"
	}
	steps := []xmlStep{{xmlName: xmlName{local: "*"}}}
	if path != "" {
		var err error
		if steps, err = recordsPath(path, d.o.Namespaces); err != nil {
			m.problem(key, "%s", err)
			return
		}
	}
	for _, b := range d.bodies {
		if n := min(len(steps), len(b.steps)); meet(steps[:n], b.steps[:n]) {
			m.problem(key, "%q holds other records, or is part of them", path)
			return
		}
	}
	if len(d.bodies) == mostXMLKinds {
		m.problem(key, "more than %d kinds of records", mostXMLKinds)
		return
	}
	for i := range steps {
		m.bind(&steps[i].xmlName)
	}
	d.bodies = append(d.bodies, xmlBody{part: part, steps: steps})
}

// body compiles what is wanted of one kind of records.
func (d *xmlDecoder) body(m *xmlMaker, b *xmlBody, root *xmlNode, made map[string]*xmlState) {
	p, top := d.parts[b.part], m.node()
	b.wants = m.wants(p.Wants, p.path()+"fields.", top, func(path *xmlPath) (*xmlNode, error) {
		if len(b.steps) == 1 && len(path.steps) > 0 && len(path.steps[0].tests) == 0 { // the record is the root element
			first := path.steps[0].xmlName
			m.bind(&first)
			path.root, path.own, path.steps = false, &first, path.steps[1:]
			return top, nil
		}
		return root, d.around(path, false)
	})
	b.top = m.state([]*xmlNode{top}, made)
}

// outer gives the paths of wants that start at the document their slots.
func (d *xmlDecoder) outer(wants []xmlWant, part string) {
	for i := range wants {
		w := &wants[i]
		for _, p := range w.paths {
			if p.root {
				p.slot = len(d.plan.outer)
				d.plan.outer = append(d.plan.outer, xmlOuter{w, p, part})
				d.simple = d.simple && (part == "trailer." || !w.list && len(w.fields) == 0)
			}
		}
	}
}

// meet tells whether one element may be on both ways.
func meet(a, b []xmlStep) bool {
	for i := range a {
		if x, y := a[i].local, b[i].local; x != y && x != "*" && y != "*" {
			return false
		}
	}
	return true
}

// around sees that a path from the document does not lead into the records, or to the text of what holds them.
func (d *xmlDecoder) around(p *xmlPath, outside bool) error {
	for _, b := range d.bodies {
		n := min(len(p.steps), len(b.steps))
		if !meet(p.steps[:n], b.steps[:n]) || len(p.steps) < len(b.steps) && p.attr != nil {
			continue
		}
		if outside {
			return fmt.Errorf("%q holds the records, or is part of them", p)
		}
		return fmt.Errorf("%q holds the records, or is part of them: inside a record paths do not start with /", p)
	}
	return nil
}

// Decode reads the records of a document.
func (d *xmlDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	if b.Size >= aheadFrom { // reading takes several times as long as what is done with a record; what is unpacked meanwhile has no size
		return ahead(d.decode(b))
	}
	return d.decode(b)
}

func (d *xmlDecoder) decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		k := d.reading(b, on)
		defer d.shop.back(on, k.w)
		k.yield = yield
		if err := d.compared(k); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// compared reads a document and, where there is a schema, compares it with that.
func (d *xmlDecoder) compared(k *xmlWalk) error {
	if d.engine == nil {
		return k.document()
	}
	run := beginXSD(d.engine, d.o.Schema, d.o.Limits)
	defer func() { _ = run.w.CloseWithError(errStopped) }() // when a reader of records panics
	k.w.tee = run.take
	return run.finish(k.document())
}

func (d *xmlDecoder) reading(b Blob, on *bench) *xmlWalk {
	w := open(b, d.o, on)
	w.passed = &passage{}
	if on.xml == nil {
		on.xml = newXMLParser(d.o.Limits, d.plan)
	}
	on.xml.keys = d.keys
	on.xml.begin()
	k := &xmlWalk{d: d, w: w, p: on.xml, blob: b, outer: make([]Cell, len(d.plan.outer))}
	k.header.named(d.plan.names)
	k.tree.named(d.plan.names)
	return k
}

// pathOf writes a path to the records as the configuration does.
func pathOf(steps []xmlStep) string {
	return (&xmlPath{root: true, steps: slices.Clone(steps)}).String()
}
