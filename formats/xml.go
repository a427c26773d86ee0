package formats

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
)

// XML 1.0 with namespaces, read strictly and without a document type: no DOCTYPE, so no entities but the five of XML itself, and
// nothing is ever fetched. The elements that one path leads to are the records: each is read whole. What stands around them is only
// walked over, so that a file may be longer than memory.

func xmlFormat() format {
	return format{name: "xml", keys: []string{"records", "namespaces"}, depth: 200, check: checkXML, decoder: newXML}
}

func checkXML(o Options) []Problem {
	var ps []Problem
	for prefix, uri := range o.Namespaces {
		if p := (&xmlParse{rest: prefix}); uri == "" || !wholeName(p) {
			ps = append(ps, Problem{"namespaces." + prefix, "a prefix is a name, and stands for the address of a namespace, which is not empty"})
		}
	}
	sort.Slice(ps, func(i, j int) bool { return ps[i].Path < ps[j].Path })
	if _, err := recordsPath(o); err != nil {
		ps = append(ps, Problem{"records", err.Error()})
	}
	return ps
}

func wholeName(p *xmlParse) bool {
	_, err := p.word(false)
	return err == nil && p.rest == ""
}

// recordsPath reads the path of the records, nil when the root element is the record.
func recordsPath(o Options) ([]xmlStep, error) {
	if o.Records == "" {
		return nil, nil
	}
	p, err := parseXMLPath(o.Records, o.Namespaces)
	switch {
	case err != nil:
		return nil, err
	case p.attr != nil || len(p.steps) == 0:
		return nil, fmt.Errorf("%q leads to no element: write the names from the root element on, as /Orders/Order", o.Records)
	case !plain(p.steps):
		return nil, fmt.Errorf("%q has a test in brackets: records are all elements of that path, only: chooses among them", o.Records)
	}
	return p.steps, nil
}

type xmlDecoder struct {
	o     Options
	shop  workshop
	steps []xmlStep // of the path to the records; nil: the root element is the record
	plan  *xmlPlan
}

func newXML(o Options, wants []Want) (Decoder, []Problem) {
	d := &xmlDecoder{o: o}
	d.steps, _ = recordsPath(o) // checked before
	m := &xmlMaker{namespaces: o.Namespaces}
	for i := range d.steps {
		m.bind(&d.steps[i].xmlName)
	}
	d.plan = &xmlPlan{}
	top, root := m.node(), m.node()
	d.plan.wants = m.wants(wants, "fields.", top, func(p *xmlPath) (*xmlNode, error) {
		if len(d.steps) <= 1 && len(p.steps) > 0 && len(p.steps[0].tests) == 0 { // the record is the root element
			first := p.steps[0].xmlName
			m.bind(&first)
			p.root, p.own, p.steps = false, &first, p.steps[1:]
			return top, nil
		}
		return root, d.around(p)
	})
	if len(m.problems) > 0 {
		return nil, m.problems
	}
	made := map[string]*xmlState{}
	d.plan.top, d.plan.spaces = m.state([]*xmlNode{top}, made), m.spaces
	for i := range d.plan.wants {
		for _, p := range d.plan.wants[i].paths {
			if p.root {
				p.slot = len(d.plan.outer)
				d.plan.outer = append(d.plan.outer, xmlOuter{&d.plan.wants[i], p})
			}
		}
	}
	if len(d.plan.outer) > 0 {
		d.plan.root = m.state([]*xmlNode{root}, made)
	}
	return d, nil
}

// around sees that a path from the document does not lead into the records, or to the text of what holds them.
func (d *xmlDecoder) around(p *xmlPath) error {
	n := min(len(p.steps), len(d.steps))
	for i := range n {
		if a, b := p.steps[i].local, d.steps[i].local; a != b && a != "*" && b != "*" {
			return nil
		}
	}
	if len(p.steps) < len(d.steps) && p.attr != nil {
		return nil
	}
	return fmt.Errorf("%q holds the records, or is part of them: inside a record paths do not start with /", p)
}

// Decode reads the records of a document.
func (d *xmlDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
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

func (d *xmlDecoder) reading(b Blob, on *bench) *xmlWalk {
	w := open(b, d.o, on)
	w.passed = &passage{}
	if on.xml == nil {
		on.xml = newXMLParser(d.o.Limits, d.plan)
	}
	on.xml.begin()
	return &xmlWalk{d: d, w: w, p: on.xml, blob: b, outer: make([]Cell, len(d.plan.outer))}
}

// pathOf writes a path to the records as the configuration does.
func pathOf(steps []xmlStep) string {
	return (&xmlPath{root: true, steps: slices.Clone(steps)}).String()
}
