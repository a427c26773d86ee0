package infer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"waybill/formats"
)

// A Sample is one file. Open opens it anew each time; end is called when the blob has been read.
type Sample struct {
	Name string
	Open func() (b formats.Blob, end func(), err error)
}

// Most bounds what is looked at: records of all samples together.
const Most = 20_000

// A Proposal is how files such as the samples may be read.
type Proposal struct {
	Options formats.Options
	Unpack  []string          // packings around the samples
	Members []string          // patterns of the files in archives that are taken, none where all are
	Decimal string            // for all fields; "" where a point or nothing
	Why     map[string]string // evidence, by key of the configuration
	Only    string            // which records count
	Header  []*Field          // what stands once around the records, or before them
	Trailer []*Field          // what stands once behind them
	Fields  []*Field
	Kinds   []*Kind // instead of Fields where records are of several kinds
	Blocks  bool    // header and trailer are those of blocks

	HeaderKind, TrailerKind string // what tells their lines

	Records int      // how many were looked at
	Skipped int      // records that could not be read
	Notes   []string // what else there is to know

	at       []string // names on the way to the records of a document
	messages []value  // of an interchange
}

// Look reads the samples as the options say and proposes fields. With records left out of the options it looks for those, too. reserved tells
// the names that no field can have.
func Look(o formats.Options, samples []Sample, reserved func(string) bool) (*Proposal, error) {
	p := &Proposal{Options: o, Why: map[string]string{}}
	m := &maker{dialect: dialect{xml: o.Format == "xml"}, reserved: reserved}
	if o.Records == "" && (o.Format == "json" || o.Format == "xml") {
		if err := p.records(m, samples); err != nil {
			return nil, err
		}
	}
	root, titles, err := p.gather(samples, p.Options)
	if err != nil && p.titled() { // perhaps two columns have one title, which cannot be read by title
		first := p.Options
		first.Titles = new(int)
		var again error
		if root, titles, again = p.gather(samples, first); again != nil {
			return nil, err
		}
		p.Options, p.Only = first, "=record.number > 1"
		p.Why["titles"] = err.Error()
		p.Why["only"] = "the first line is no record; its titles cannot be used, so that columns go by number"
	} else if err != nil {
		return nil, err
	}
	if p.Records == 0 && p.Skipped == 0 && p.titled() { // nothing but titles
		first := p.Options
		first.Titles = new(int)
		if _, titles, err = p.gather(samples, first); err != nil {
			return nil, err
		}
	}
	if m.xml {
		root.markup()
	}
	if o.Format == "ndjson" {
		p.turns(root)
	}
	switch o.Format {
	case "csv", "tsv", "xlsx":
		p.Fields = p.columns(m, root, titles)
	case "json", "ndjson", "avro", "xml":
		p.Fields = m.record(root)
	case "edifact":
		p.interchange(m)
	default:
		p.Notes = append(p.Notes, "fields of "+o.Format+" are not proposed: a record is what the format gives")
	}
	if err := p.head(m, samples); err != nil {
		return nil, err
	}
	p.mark()
	if p.Records > 0 && p.Records < fewRecords {
		p.Notes = append(p.Notes, "of so few records nobody can tell what is always there: compare with the description of the file")
	}
	return p, nil
}

// fewRecords is how many show little.
const fewRecords = 5

// records finds where the records of documents stand.
func (p *Proposal) records(m *maker, samples []Sample) error {
	o := p.Options
	o.Raw = true
	d, problems := formats.New(o, nil)
	if len(problems) > 0 {
		return fmt.Errorf("read %s: %s", samples[0].Name, problems[0])
	}
	b, end, err := samples[0].Open()
	if err != nil {
		return err
	}
	defer end()
	for rec, err := range d.Decode(b) {
		if err != nil {
			return nil //nolint:nilerror // reading the records says what is wrong
		}
		v, err := valueOf(rec.Cells[0].Bytes)
		if err != nil || rec.Cells[0].Kind != formats.Tree {
			return nil //nolint:nilerror // a document that is one value has no records in it
		}
		if m.xml {
			p.at, p.Why["records"] = elementIn(rootName(rec.Raw), &v)
		} else if v.kind == object && bytes.HasPrefix(bytes.TrimSpace(rec.Raw), []byte("{")) {
			p.at, p.Why["records"] = m.listIn(&v)
		}
		if p.at != nil && m.xml {
			p.Options.Records = "/" + strings.Join(p.at, "/")
		} else if p.at != nil {
			p.Options.Records = m.join(p.at)
		}
		return nil
	}
	return nil
}

// rootName is the name of the element that a text begins with, without its prefix.
func rootName(raw []byte) string {
	name := string(raw[1:])
	if i := strings.IndexAny(name, " \t\r\n/>"); i >= 0 {
		name = name[:i]
	}
	if _, local, ok := strings.Cut(name, ":"); ok {
		return local
	}
	return name
}

// titled reports whether the first line of the files holds titles.
func (p *Proposal) titled() bool {
	return (p.Options.Format == "csv" || p.Options.Format == "tsv") && (p.Options.Titles == nil || *p.Options.Titles == 1)
}

// gather counts the records of all samples, read as the options say.
func (p *Proposal) gather(samples []Sample, o formats.Options) (root *shape, titles []string, err error) {
	root = &shape{}
	p.Records, p.Skipped, p.Notes = 0, 0, nil
	for _, s := range samples {
		names, err := p.read(s, o, root)
		if err != nil {
			return nil, nil, err
		}
		if titles == nil {
			titles = names
		}
	}
	return root, titles, nil
}

// read counts the records of one sample. Where the options know of no titles but the first line holds them, it is no record.
func (p *Proposal) read(s Sample, o formats.Options, root *shape) (titles []string, err error) {
	d, problems := formats.New(o, nil)
	if len(problems) > 0 {
		return nil, fmt.Errorf("read %s: %s", s.Name, problems[0])
	}
	b, end, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer end()
	for rec, err := range d.Decode(b) {
		var bad *formats.RecordError
		var whole *formats.FileError
		switch {
		case errors.As(err, &bad):
			p.Skipped++
			continue
		case errors.As(err, &whole) && whole.Incomplete && p.Records > 0:
			p.Notes = append(p.Notes, fmt.Sprintf("%s would be held, for it is not complete: %s", s.Name, err))
			return titles, nil
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", s.Name, err)
		}
		if titles == nil && p.titled() && o.Titles != nil && *o.Titles == 0 {
			for _, cell := range rec.Row {
				titles = append(titles, string(cell))
			}
			continue
		}
		if p.Records == Most {
			p.Notes = append(p.Notes, fmt.Sprintf("only the first %d records were looked at", Most))
			break
		}
		p.Records++
		v, err := recordOf(rec)
		if err != nil {
			return nil, fmt.Errorf("read %s: record %d: %w", s.Name, rec.Number, err)
		}
		if titles == nil {
			titles = slices.Clone(rec.Names)
		}
		if root.add(&v); o.Format == "edifact" && len(p.messages) < messagesMost {
			p.messages = append(p.messages, v)
		}
	}
	return titles, nil
}

// recordOf is a record as one value.
func recordOf(rec *formats.Record) (value, error) {
	if rec.Names == nil {
		if len(rec.Cells) == 0 {
			return value{}, nil
		}
		return cellOf(&rec.Cells[0])
	}
	v := value{kind: object}
	for i := range rec.Cells {
		item, err := cellOf(&rec.Cells[i])
		if err != nil {
			return v, err
		}
		v.keys, v.items = append(v.keys, strconv.Itoa(i+1)), append(v.items, item) // titles may be there twice
	}
	return v, nil
}

func cellOf(c *formats.Cell) (value, error) {
	switch c.Kind {
	case formats.Text:
		return value{kind: text, text: string(c.Bytes)}, nil
	case formats.Number:
		return value{kind: number, text: string(c.Bytes)}, nil
	case formats.Bool:
		return value{kind: boolean, text: string(c.Bytes)}, nil
	case formats.Date:
		return value{kind: moment, text: string(c.Bytes)}, nil
	case formats.Tree:
		return valueOf(c.Bytes)
	}
	return value{}, nil
}

// columns proposes the fields of a table.
func (p *Proposal) columns(m *maker, root *shape, titles []string) (list []*Field) {
	n := &namer{taken: map[string]bool{}, reserved: m.reserved}
	untitled := p.Options.Titles != nil && *p.Options.Titles == 0
	if p.Records == 0 && !untitled { // only titles: they tell names, if no more
		for i := range titles {
			root.members = append(root.members, &shape{name: strconv.Itoa(i + 1)})
		}
	}
	for i, s := range root.members {
		title := ""
		if i < len(titles) && (!untitled || p.Only != "") && titles[i] != s.name { // which stands where there is no title
			title = strings.TrimSpace(titles[i])
		}
		f := &Field{}
		if title == "" || untitled {
			f.Column = s.name
			f.Name = n.name(cmp.Or(title, "column "+s.name))
		} else if f.Name = n.name(title); f.Name != title {
			f.From = title
		}
		f.scalar(&s.column, true, root.objects)
		list = append(list, f)
	}
	return list
}

// mark says the decimal mark of the whole file where its fields agree, and in the fields where they do not.
func (p *Proposal) mark() {
	count := map[string]int{}
	p.each(func(f *Field) {
		if f.Decimal != "" {
			count[f.Decimal]++
		}
	})
	if count[","] > 0 && count[","] >= count["."] {
		p.Decimal = ","
	}
	p.each(func(f *Field) {
		if f.Decimal == p.Decimal || f.Decimal == "." && p.Decimal == "" {
			f.Decimal = ""
		}
	})
}

// each visits all fields.
func (p *Proposal) each(visit func(*Field)) {
	each(p.Header, visit)
	each(p.Trailer, visit)
	each(p.Fields, visit)
	for _, k := range p.Kinds {
		each(k.Fields, visit)
	}
}

// each visits fields and those in them.
func each(list []*Field, visit func(*Field)) {
	for _, f := range list {
		visit(f)
		each(f.Fields, visit)
	}
}
