package infer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// messagesMost bounds the messages of an interchange that are looked at.
const messagesMost = 500

// A spot is a value of messages: which segment it stands in, and where in that.
type spot struct {
	path string // as from has it: DTM[137].1.2
	name string
	seen int
	all  column
}

// spots are values by their paths, in the order in which they were first seen.
type spots struct {
	list []*spot
	of   int // messages, or lines
}

// add counts a value, each spot once for each message or line.
func (s *spots) add(path, name, said string, here map[string]bool) {
	if here[path] || said == "" {
		return
	}
	here[path] = true
	i := slices.IndexFunc(s.list, func(p *spot) bool { return p.path == path })
	if i < 0 {
		i = len(s.list)
		s.list = append(s.list, &spot{path: path, name: name})
	}
	s.list[i].seen++
	s.list[i].all.add(&value{kind: text, text: said})
}

// interchange proposes the fields of EDIFACT messages: what qualified segments say, of the message and of its lines.
func (p *Proposal) interchange(m *maker) {
	head, lines := &spots{}, &spots{}
	types := map[string]bool{}
	for i := range p.messages {
		types[p.messages[i].member("type").text] = true
		message(&p.messages[i], head, lines)
	}
	if len(types) != 1 {
		p.Notes = append(p.Notes, fmt.Sprintf("messages are of %d types: make a job of each, or name one as records", len(types)))
		return
	}
	for name := range types {
		p.Options.Records, p.Why["records"] = name, share(len(p.messages), len(p.messages))
	}
	p.Fields = append([]*Field{{Name: "sender", From: "UNB.2.1", Required: true, Why: "of the interchange"}}, head.fields(m, "sender")...)
	if rows := lines.fields(m); len(rows) > 0 {
		list := &Field{Name: "lines", From: "LIN", Type: "list", Fields: rows, Why: fmt.Sprintf("%d below %d", lines.of, head.of)}
		p.Fields = append(p.Fields, list)
	}
	p.Notes = append(p.Notes, "of segments only what is commonly asked for is proposed: compare with the description of the message")
}

// fields proposes a field for each spot. The names given are taken.
func (s *spots) fields(m *maker, taken ...string) (list []*Field) {
	n := &namer{taken: map[string]bool{"lines": true}, reserved: m.reserved}
	for _, name := range taken {
		n.taken[name] = true
	}
	for _, at := range s.list {
		f := &Field{Name: n.name(at.name), From: at.path}
		f.scalar(&at.all, at.seen == s.of, s.of)
		f.Decimal, f.Thousands = "", "" // the file declares its mark
		switch names := f.Type == "integer" || f.Type == "decimal"; {
		case names && at.path != "LIN.1" && ediThing.MatchString(at.path):
			f.Type, f.Why = "", share(at.all.values, s.of)+"; text: what the segment says names something"
		case f.Type == "integer" && ediFigure.MatchString(at.path):
			f.Type = "decimal"
		}
		list = append(list, f)
	}
	return list
}

// message counts what the segments of one message say.
func message(v *value, head, lines *spots) {
	into, here := head, map[string]bool{}
	above := here
	head.of++
	for _, s := range v.member("segments").items {
		segment := ediSegment(s.items)
		switch segment.tag() {
		case "LIN":
			into, here = lines, map[string]bool{}
			lines.of++
		case "UNS":
			into, here = head, above
		}
		for _, at := range segment.spots() {
			into.add(at.path, at.name, segment.text(at.element, at.component), here)
		}
	}
}

// member is a member of an object, an empty value where it has none.
func (v *value) member(key string) *value {
	if i := slices.Index(v.keys, key); i >= 0 {
		return &v.items[i]
	}
	return &value{}
}

// An ediSegment is a segment as the format gives it: its name, then its elements as lists of components.
type ediSegment []value

func (s ediSegment) tag() string {
	if len(s) == 0 {
		return ""
	}
	return s[0].text
}

// text is a component; both are counted from 1.
func (s ediSegment) text(element, component int) string {
	if element >= len(s) || component > len(s[element].items) {
		return ""
	}
	return s[element].items[component-1].text
}

// A place of a value in a segment.
type ediSpot struct {
	path, name         string
	element, component int
}

// ediThing is where segments say names, ediFigure where they say figures.
var (
	ediThing  = regexp.MustCompile(`^(BGM|LIN|NAD|LOC|PIA|RFF|UNB)\b`)
	ediFigure = regexp.MustCompile(`^(QTY|MOA|PRI|PCD)\b`)
)

var ediQualifier = regexp.MustCompile(`^[A-Z0-9]{1,3}$`)

// spots are the places of a segment in which its value stands (UN/EDIFACT D.96A and later).
func (s ediSegment) spots() []ediSpot {
	element, component := 1, 2
	switch s.tag() {
	case "BGM":
		return []ediSpot{{"BGM.2", "document_no", 2, 1}}
	case "LIN":
		return []ediSpot{{"LIN.1", "line_no", 1, 1}, {"LIN.3.1", "item", 3, 1}}
	case "CUX":
		return []ediSpot{{"CUX.1.2", "currency", 1, 2}}
	case "IMD":
		return []ediSpot{{"IMD.3.4", "description", 3, 4}}
	case "DTM", "RFF", "QTY", "MOA", "PRI", "CNT", "PCD":
	case "NAD", "LOC", "PIA":
		element, component = 2, 1
	case "FTX":
		element, component = 4, 1
	default:
		return nil
	}
	q := s.text(1, 1)
	if !ediQualifier.MatchString(q) {
		return nil
	}
	name := strings.ToLower(s.tag() + "_" + q)
	if known := ediNames()[s.tag()+" "+q]; known != "" {
		name = known
	}
	return []ediSpot{{fmt.Sprintf("%s[%s].%d.%d", s.tag(), q, element, component), name, element, component}}
}

// ediNames are what common qualifiers stand for.
func ediNames() map[string]string {
	return map[string]string{
		"NAD BY": "buyer", "NAD SU": "supplier", "NAD SE": "seller", "NAD DP": "delivery_party", "NAD IV": "invoicee", "NAD CN": "consignee",
		"DTM 137": "document_date", "DTM 2": "delivery_requested", "DTM 35": "delivered_on", "DTM 61": "delivery_latest", "DTM 11": "despatched_on",
		"QTY 21": "quantity_ordered", "QTY 12": "quantity_despatched", "QTY 47": "quantity_invoiced", "QTY 145": "quantity_in_stock",
		"PRI AAA": "price_net", "PRI AAB": "price_gross", "MOA 203": "line_amount", "MOA 86": "amount_total",
		"CNT 2": "line_count", "RFF ON": "order_reference", "RFF CT": "contract_reference", "PIA 5": "product_id", "PIA 1": "product_id_also",
	}
}
