package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// xmlDocument writes records in a root element that has attributes and elements of its own: those of the header before the records, those
// of the trailer behind them.
type xmlDocument struct {
	xmlEncoder
	parts []jsonPart
}

func newXMLParted(w Writing, parts []WrittenPart) (PartsEncoder, []Problem) {
	d := &xmlDocument{xmlEncoder: xmlEncoder{newXMLWriting(w)}}
	_, ps := besides(parts, "an element")
	for _, p := range parts {
		switch {
		case p.Kind != "":
			ps = append(ps, Problem{p.path() + "kind", "does not go with xml, where header and trailer are elements beside those of the records"})
		case p.Role == Body && p.Name != "":
			ps = append(ps, Problem{"records." + p.Name, "does not go with xml, which has records of one kind: element says what they are called"})
		case p.Role == Body && len(p.Columns) > 0:
			ps = append(ps, Problem{"columns", "do not go with xml: write body, or leave it out for the fields as they are"})
		case p.Role != Body:
			ps = append(ps, d.named(p)...)
		}
	}
	e, bad := newRowsEncoder(w, parts, jsonEncoder{})
	d.parts = e.parts
	return d, append(ps, bad...)
}

// named sees that the titles of a header or a trailer can be the names of elements, and those of a header of attributes.
func (d *xmlDocument) named(p WrittenPart) (ps []Problem) {
	for i, c := range p.Columns {
		path := fmt.Sprintf("%scolumns[%d].title", p.path(), i)
		if err := d.Name(c.Title); err != nil {
			ps = append(ps, Problem{path, err.Error()})
		} else if c.Title == "#text" || c.Title[0] == '@' && p.Role == Trailer {
			ps = append(ps, Problem{path, fmt.Sprintf("%q has no place there: attributes stand in the header, and all else is an element", c.Title)})
		} else if c.Title == d.element {
			ps = append(ps, Problem{path, fmt.Sprintf("%q is what the element of each record is called: a reader would take this for one", c.Title)})
		}
	}
	return ps
}

// EncodeParts writes the root element, with what is in it.
func (d *xmlDocument) EncodeParts(w io.Writer, rows iter.Seq2[Row, error]) error {
	out := rowWriter{w: w, recode: d.recoder()}
	m := d.builders.Get().(*xmlBuilder)
	defer d.builders.Put(m)
	p := newJSONParser(Limits{MaxField: 1 << 30}.WithDefaults())
	out.buf = d.head(out.buf)
	begun := false
	begin := func() {
		if !begun {
			out.buf = append(append(append(append(out.buf, '<'), d.root...), d.spaces...), ">\n"...)
		}
		begun = true
	}
	width := func(i int) (Role, int) { return d.parts[i].role, max(1, len(d.parts[i].names)) }
	err := out.parts(rows, width, func(n int64, row Row) (err error) {
		part := &d.parts[row.Part]
		switch part.role {
		case Header:
			begun = true
			err = d.around(&out, m, p, part, row.Values, d.spaces, true)
		case Trailer:
			begin()
			err = d.around(&out, m, p, part, row.Values, nil, false)
		default:
			begin()
			err = d.record(&out, m, row.Values[0])
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", rowName(part.role, n), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	begin()
	out.buf = append(append(append(out.buf, "</"...), d.root...), ">\n"...)
	return out.flush(true)
}

// around writes the elements of a header, behind the start of the root element with its attributes, or of a trailer.
func (d *xmlDocument) around(out *rowWriter, m *xmlBuilder, p *jsonParser, part *jsonPart, row []Value, spaces []byte, start bool) error {
	json, err := part.object(nil, p, row)
	if err != nil {
		return err
	}
	whole, err := m.element(nil, json, d.root, spaces)
	if err != nil {
		return err
	}
	inside, filled := bytes.CutSuffix(whole, []byte("</"+d.root+">"))
	if !filled {
		inside = append(bytes.TrimSuffix(inside, []byte("/>")), '>') // nothing is in it
	}
	if !start {
		inside = bytes.TrimPrefix(inside, []byte("<"+d.root+">"))
	}
	if out.buf = append(out.buf, inside...); len(inside) > 0 {
		out.buf = append(out.buf, '\n')
	}
	return nil
}

// CheckParts tells beforehand what cannot be written of a header or a trailer; of records Append does.
func (d *xmlDocument) CheckParts() func(part, column int, v Value) error {
	p := newJSONParser(Limits{MaxField: 1 << 30}.WithDefaults())
	return func(part, column int, v Value) error {
		row := make([]Value, len(d.parts[part].names))
		for i := range row {
			row[i].Kind = Absent
		}
		row[column] = v
		m := d.builders.Get().(*xmlBuilder)
		defer d.builders.Put(m)
		err := d.around(&rowWriter{}, m, p, &d.parts[part], row, nil, true)
		var bad *ValueError
		if errors.As(err, &bad) && bad.Field == "" {
			bad.Field = d.parts[part].titles[column]
		}
		return err
	}
}
