package formats

import (
	"errors"
	"iter"

	"waybill/formats/avro"
)

// Avro: object container files, which package avro reads. Each record is a line of JSON, of which the fields are taken as of any other: paths,
// lists and limits are those of JSON.

func avroFormat() format {
	return format{name: "avro", check: checkAvro, decoder: newAvro}
}

func checkAvro(o Options) []Problem {
	if o.Encoding != "" {
		return []Problem{{"encoding", "does not go with avro, whose texts are UTF-8"}}
	}
	return nil
}

type avroDecoder struct{ lines *ndjsonDecoder }

func newAvro(o Options, wants []Want) (Decoder, []Problem) {
	d, ps := newNDJSON(o, wants)
	if len(ps) > 0 {
		return nil, ps
	}
	return &avroDecoder{d.(*ndjsonDecoder)}, nil
}

// Decode reads the records of a file.
func (d *avroDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.lines.shop.borrow()
		l := d.lines.o.Limits
		file := openBytes(b, l, on)
		defer func() { d.lines.shop.back(on, &window{buf: file.buf}) }()
		parser, cells := on.json(l), make([]Cell, d.lines.plan.slots)
		limits := avro.Limits{MaxRecord: l.MaxRecord, MaxField: l.MaxField, MaxPart: l.MaxPart, MaxUnpacked: l.MaxUnpacked,
			MaxRatio: l.MaxRatio, MaxDepth: l.MaxDepth, MaxColumns: l.MaxColumns}
		var rec Record
		for one, err := range avro.Records(&file, limits) {
			if err == nil {
				err = d.record(one, parser, cells, &rec)
			}
			if err != nil && !yield(nil, err) || err == nil && !yield(&rec, nil) {
				return
			}
		}
	}
}

// record takes what is wanted out of a record.
func (d *avroDecoder) record(one *avro.Record, parser *jsonParser, cells []Cell, rec *Record) error {
	rec.Number, rec.Offset, rec.Raw = one.Number, one.Offset, nil
	if d.lines.o.Raw {
		rec.Raw = one.JSON
	}
	if one.Wrong != "" {
		return newRecordError(rec, one.JSON, one.Wrong)
	}
	err := d.lines.read(parser, one.JSON, cells, rec)
	if err != nil {
		var bad *RecordError
		if errors.As(err, &bad) {
			bad.Offset = rec.Offset // not that in the JSON
		}
	}
	return err
}
