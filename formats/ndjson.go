package formats

import (
	"bytes"
	"errors"
	"io"
	"iter"
)

// NDJSON: one JSON value a line. A line that is no JSON is a bad record, since it is clear where the
// next one starts.

func ndjsonFormat() format {
	return format{name: "ndjson", keys: []string{"schema", "kind", "ignore"}, decoder: newNDJSON, parts: newNDJSONParts, encoder: newNDJSONEncoder, partsEncoder: newNDJSONParted, checkWriting: checkJSONWriting}
}

type ndjsonDecoder struct {
	o        Options
	shop     workshop
	plan     *plan
	declared bool
}

func newNDJSON(o Options, wants []Want) (Decoder, []Problem) {
	whole, ps := planner{around: &around{root: &node{}}}.compile(asRoot(wants), "fields.")
	if len(ps) > 0 {
		return nil, ps
	}
	if len(wants) == 0 {
		whole = &plan{top: &node{leaves: []leaf{{}}}, width: 1, slots: 1}
	}
	return &ndjsonDecoder{o: o, plan: whole, declared: len(wants) > 0}, nil
}

// Decode reads the lines of a file.
func (d *ndjsonDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		w := open(b, d.o, on)
		defer d.shop.back(on, w)
		lines := newCSVScan(w, 0, 0, d.o.Limits)
		p := on.json(d.o.Limits)
		cells := make([]Cell, d.plan.slots)
		rec := Record{}
		for {
			line, err := lines.nextLine()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(nil, err)
				}
				return
			}
			if len(bytes.TrimLeft(line, " \t\r")) == 0 {
				continue
			}
			rec.Number++
			rec.Line, rec.Offset, rec.Raw = lines.line, lines.offset, nil
			if d.o.Raw {
				rec.Raw = line
			}
			bad := d.read(p, line, cells, &rec)
			switch {
			case bad == nil && !yield(&rec, nil), bad != nil && !yield(nil, bad):
				return
			}
		}
	}
}

// read takes one line apart.
func (d *ndjsonDecoder) read(p *jsonParser, line []byte, cells []Cell, rec *Record) error {
	if err := ndjsonLine(p, d.plan, line, cells, rec); err != nil {
		return err
	}
	if bad := p.complaint(rec, line, d.declared); bad != nil {
		return bad
	}
	d.plan.settle(cells)
	rec.Cells = cells[:d.plan.width]
	return nil
}

// bad is the error of a record that is no JSON.
func (p *jsonParser) bad(rec *Record, value []byte) error {
	at := p.fail.at
	e := newRecordError(rec, value, p.fail.reason)
	e.Offset += int64(at)
	return e
}

// complaint is the error of a record that is good JSON, but not what is wanted; nil when it is.
func (p *jsonParser) complaint(rec *Record, value []byte, declared bool) error {
	value = bytes.TrimLeft(value, " \t\r\n")
	switch {
	case declared && value[0] != '{':
		return newRecordError(rec, value, "the record is not an object")
	case p.odd != "":
		return newRecordError(rec, value, p.odd)
	}
	return nil
}

func newRecordError(rec *Record, value []byte, reason string) *RecordError {
	return &RecordError{Record: rec.Number, Line: rec.Line, Offset: rec.Offset, Value: cut(value), Reason: reason, Raw: bytes.Clone(rec.Raw)}
}
