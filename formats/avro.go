package formats

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"waybill/formats/fault"
)

// Avro: object container files. A header brings the schema along; behind it come blocks of records, each packed by itself. Each record is
// turned into a line of JSON, of which the fields are taken as of any other: paths, lists and limits are those of JSON.

func avroFormat() format {
	return format{name: "avro", check: checkAvro, decoder: newAvro}
}

func checkAvro(o Options) []Problem {
	if o.Encoding != "" {
		return []Problem{{"encoding", "does not go with avro, whose texts are UTF-8"}}
	}
	return nil
}

const (
	avroMagic = "Obj\x01"
	avroSync  = 16 // bytes behind the header, and behind each block
)

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
		o := d.lines.o
		r := &avroReading{byteWindow: openBytes(b, o.Limits, on), d: d.lines, parser: on.json(o.Limits), cells: make([]Cell, d.lines.plan.slots), value: avroValue{limits: o.Limits}}
		defer func() {
			d.lines.shop.back(on, &window{buf: r.buf})
			if r.codec != nil {
				r.codec.close()
			}
		}()
		if err := r.file(yield); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// An avroReading is the state of reading one file.
type avroReading struct {
	byteWindow
	d      *ndjsonDecoder
	parser *jsonParser
	cells  []Cell
	value  avroValue
	rec    Record
	top    *avroType
	sync   [avroSync]byte
	codec  *avroCodec
	plain  int64 // bytes of all records, once unpacked
	shown  int64 // bytes of their JSON
}

func (r *avroReading) limits() *Limits { return &r.d.o.Limits }

// cutOff is the error of a file that ends where it cannot.
func (r *avroReading) cutOff(where string) error {
	e := r.refuse("", "the file ends inside %s: truncated?", where)
	e.Incomplete = true
	return e
}

func (r *avroReading) file(yield func(*Record, error) bool) error {
	head, err := r.need(1)
	if err != nil || len(head) == 0 {
		return err
	}
	if err := r.header(); err != nil {
		return err
	}
	for {
		if head, err = r.need(1); err != nil || len(head) == 0 {
			return err
		}
		if err := r.block(yield); err != nil {
			return err
		}
	}
}

// header reads what the file says of itself.
func (r *avroReading) header() error {
	magic, err := r.need(len(avroMagic))
	switch {
	case err != nil:
		return err
	case string(magic) != avroMagic[:len(magic)]:
		return r.refuse("", "the file does not begin as an Avro container file does, with Obj and the byte 1")
	case len(magic) < len(avroMagic):
		return r.cutOff("its header")
	}
	r.start += len(magic)
	meta, err := r.meta()
	if err != nil {
		return err
	}
	sync, err := r.need(avroSync)
	if err != nil {
		return err
	}
	if len(sync) < avroSync {
		return r.cutOff("its header")
	}
	copy(r.sync[:], sync)
	r.start += avroSync
	if r.codec, err = newAvroCodec(meta["avro.codec"], *r.limits()); err != nil {
		return r.refuse("", "the header: %s", err)
	}
	if r.top, err = compileAvro([]byte(meta["avro.schema"]), *r.limits()); err != nil {
		return r.refuse("", "the schema in its header: %s", err)
	}
	return nil
}

// meta reads the map of the header. Only what is known is kept.
func (r *avroReading) meta() (map[string]string, error) {
	meta := map[string]string{}
	for {
		n, err := r.long("its header")
		if err == nil && n < 0 {
			_, err = r.long("its header")
			n = -n
		}
		if err != nil || n == 0 {
			return meta, err
		}
		for ; n != 0; n-- { // each takes two bytes or more of the file
			key, err := r.text()
			if err != nil {
				return nil, err
			}
			value, err := r.text()
			if err != nil {
				return nil, err
			}
			if key == "avro.schema" || key == "avro.codec" {
				meta[key] = value
			}
			if r.offset() > int64(r.limits().MaxRecord) {
				return nil, r.refuse("max_record", "the header is longer than max_record, %s", r.limits().MaxRecord)
			}
		}
	}
}

// long reads a number of the header or of a block's beginning.
func (r *avroReading) long(where string) (int64, error) {
	head, err := r.need(binary.MaxVarintLen64)
	if err != nil {
		return 0, err
	}
	n, size := binary.Uvarint(head)
	switch {
	case size == 0 && len(head) < binary.MaxVarintLen64:
		return 0, r.cutOff(where)
	case size <= 0:
		return 0, r.refuse("", "a number in %s has more than 64 bits", where)
	}
	r.start += size
	return int64(n>>1) ^ -int64(n&1), nil
}

func (r *avroReading) text() (string, error) {
	n, err := r.long("its header")
	if err != nil {
		return "", err
	}
	if n < 0 || n > int64(r.limits().MaxField) {
		return "", r.refuse("max_field", "the header has a text of %d bytes, max_field is %s", n, r.limits().MaxField)
	}
	b, err := r.need(int(n))
	if err != nil {
		return "", err
	}
	if len(b) < int(n) {
		return "", r.cutOff("its header")
	}
	r.start += int(n)
	return string(b), nil
}

// block reads the records of a block. Until then it is only known how many bytes it is said to have: no more are taken than limits allow.
func (r *avroReading) block(yield func(*Record, error) bool) error {
	where := fmt.Sprintf("the block at offset %d", r.offset())
	count, err := r.long(where)
	if err != nil {
		return err
	}
	size, err := r.long(where)
	if err != nil {
		return err
	}
	most := r.limits().MaxPart
	if size < 0 || size > int64(most) {
		return r.refuse("max_part", "%s is said to have %d bytes, max_part is %s", where, size, most)
	}
	packed, err := r.need(int(size) + avroSync)
	if err != nil {
		return err
	}
	if len(packed) < int(size)+avroSync {
		return r.cutOff(where)
	}
	if !bytes.Equal(packed[size:], r.sync[:]) {
		return r.refuse("", "%s does not end where it says", where)
	}
	data, refused := r.codec.unpack(packed[:size])
	if refused != nil {
		return r.refuse(refused.limit, "%s: %s", where, refused.reason)
	}
	if count < 0 || count > int64(len(data)) {
		return r.refuse("", "%s is said to hold %d records, in %d bytes", where, count, len(data))
	}
	if err := r.records(data, count, yield); err != nil {
		return err
	}
	r.start += len(packed)
	return nil
}

// records reads so many records. Their offset is that of the block, or where blocks are not packed their own.
func (r *avroReading) records(data []byte, count int64, yield func(*Record, error) bool) error {
	v := &r.value
	v.data, v.i = data, 0
	for range count {
		from := v.i
		r.rec.Number++
		r.rec.Offset = r.place(v.i)
		v.out, v.path, v.odd = v.out[:0], v.path[:0], ""
		if !v.value(r.top, 1) || !v.fits() {
			return &FileError{Offset: r.place(v.fail.at), Limit: v.fail.limit, Reason: fmt.Sprintf("record %d: %s", r.rec.Number, v.fail.reason)}
		}
		r.plain += int64(v.i - from)
		if bad := r.outgrown(); bad != nil {
			return bad
		}
		if bad := r.hand(yield); bad != nil {
			return bad
		}
	}
	if v.i < len(data) {
		return &FileError{Offset: r.place(v.i), Reason: fmt.Sprintf("%d bytes stand behind the last record of a block, record %d", len(data)-v.i, r.rec.Number)}
	}
	return nil
}

// outgrown counts a record. A value of no bytes, and a list of so many of them, is as long as JSON as its schema likes: what that comes to is held
// in the same bounds as what a packing comes to.
func (r *avroReading) outgrown() error {
	l := r.limits()
	r.shown += int64(len(r.value.out))
	switch at := r.place(r.value.i); {
	case r.shown > int64(l.MaxUnpacked):
		return &FileError{Offset: at, Limit: "max_unpacked", Reason: fmt.Sprintf("the records up to record %d are longer than max_unpacked, %s, as JSON", r.rec.Number, l.MaxUnpacked)}
	case r.shown > fault.RatioFrom && r.shown/int64(l.MaxRatio) > r.plain:
		return &FileError{Offset: at, Limit: "max_ratio", Reason: fmt.Sprintf("the records up to record %d are more than %d times as long as JSON as they are in their blocks (max_ratio)", r.rec.Number, l.MaxRatio)}
	}
	return nil
}

func (r *avroReading) place(i int) int64 {
	if r.codec.unpacks != nil {
		i = 0
	}
	return r.offset() + int64(i)
}

// hand gives a record to who asked for it.
func (r *avroReading) hand(yield func(*Record, error) bool) error {
	r.rec.Raw = nil
	if r.d.o.Raw {
		r.rec.Raw = r.value.out
	}
	var bad error
	if r.value.odd != "" {
		bad = newRecordError(&r.rec, r.value.out, r.value.odd)
	} else {
		bad = r.d.read(r.parser, r.value.out, r.cells, &r.rec)
	}
	if bad != nil {
		return r.reject(bad, yield)
	}
	if !yield(&r.rec, nil) {
		return errStopped
	}
	return nil
}

// reject tells what is wrong with a record.
func (r *avroReading) reject(bad error, yield func(*Record, error) bool) error {
	var of *RecordError
	if errors.As(bad, &of) {
		of.Offset = r.rec.Offset // not that in the JSON
	}
	if !yield(nil, bad) {
		return errStopped
	}
	return nil
}
