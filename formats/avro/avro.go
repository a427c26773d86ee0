// Package avro reads object container files of Apache Avro: a header that brings the schema along, and behind it blocks of records, each packed
// by itself. Each record becomes a line of JSON, in flat memory and within limits: a block at a time is unpacked, however long the file is.
//
//	Source ─► header ─► block ─► unpacked ─► Record
//	           schema    codec                JSON
//
// Decimals stay exact, dates and times become ISO 8601, bytes base64. What is hostile about a file refuses it with a *fault.FileError; what is wrong with a
// record of which the end is known is said with the record. Which fields make a record is not known here: that is the format avro of package formats,
// which takes them out of the JSON.
package avro

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"waybill/formats/fault"
)

const (
	// Magic is what a container file begins with.
	Magic    = "Obj\x01"
	syncSize = 16 // bytes behind the header, and behind each block
)

// A Source gives the bytes of a file, in the order of the file.
type Source interface {
	Need(n int) ([]byte, error) // so many bytes from where it stands, fewer at the end of the file; valid until the next call
	Pass(n int)                 // goes on by so many of them
	Offset() int64              // of where it stands
}

// Limits bound what a file may cost; each is the setting of that name.
type Limits struct {
	MaxRecord   fault.Bytes // of the header, and of a record as JSON
	MaxField    fault.Bytes
	MaxPart     fault.Bytes // of a block, packed and unpacked
	MaxUnpacked fault.Bytes // of all blocks, and of all records as JSON
	MaxRatio    int
	MaxDepth    int
	MaxColumns  int
}

// A Record is one record of a file. It is valid until the next step of the iteration.
type Record struct {
	Number int64  // from 1
	Offset int64  // where it stands, where blocks are packed that of its block
	JSON   []byte // the record
	Wrong  string // what is wrong with it, "" for nothing; a value that is wrong is null in JSON
}

var errStopped = errors.New("stopped")

// Records reads the records of a file. An error ends it; that of a file is a *fault.FileError, any other that of the source.
func Records(from Source, l Limits) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		r := &reading{Source: from, limits: l, value: maker{limits: l}}
		defer func() {
			if r.codec != nil {
				r.codec.close()
			}
		}()
		if err := r.file(yield); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// A reading is the state of reading one file.
type reading struct {
	Source
	limits Limits
	value  maker
	rec    Record
	top    *schemaType
	sync   [syncSize]byte
	codec  *codec
	plain  int64 // bytes of all records, once unpacked
	shown  int64 // bytes of their JSON
}

func (r *reading) refuse(limit, format string, args ...any) *fault.FileError {
	return &fault.FileError{Offset: r.Offset(), Limit: limit, Reason: fmt.Sprintf(format, args...)}
}

// cutOff is the error of a file that ends where it cannot.
func (r *reading) cutOff(where string) error {
	e := r.refuse("", "the file ends inside %s: truncated?", where)
	e.Incomplete = true
	return e
}

func (r *reading) file(yield func(*Record, error) bool) error {
	head, err := r.Need(1)
	if err != nil || len(head) == 0 {
		return err
	}
	if err := r.header(); err != nil {
		return err
	}
	for {
		if head, err = r.Need(1); err != nil || len(head) == 0 {
			return err
		}
		if err := r.block(yield); err != nil {
			return err
		}
	}
}

// header reads what the file says of itself.
func (r *reading) header() error {
	magic, err := r.Need(len(Magic))
	switch {
	case err != nil:
		return err
	case string(magic) != Magic[:len(magic)]:
		return r.refuse("", "the file does not begin as an Avro container file does, with Obj and the byte 1")
	case len(magic) < len(Magic):
		return r.cutOff("its header")
	}
	r.Pass(len(magic))
	meta, err := r.meta()
	if err != nil {
		return err
	}
	sync, err := r.Need(syncSize)
	if err != nil {
		return err
	}
	if len(sync) < syncSize {
		return r.cutOff("its header")
	}
	copy(r.sync[:], sync)
	r.Pass(syncSize)
	if r.codec, err = newCodec(meta["avro.codec"], r.limits); err != nil {
		return r.refuse("", "the header: %s", err)
	}
	if r.top, err = compileSchema([]byte(meta["avro.schema"]), r.limits); err != nil {
		return r.refuse("", "the schema in its header: %s", err)
	}
	return nil
}

// meta reads the map of the header. Only what is known is kept.
func (r *reading) meta() (map[string]string, error) {
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
			if r.Offset() > int64(r.limits.MaxRecord) {
				return nil, r.refuse("max_record", "the header is longer than max_record, %s", r.limits.MaxRecord)
			}
		}
	}
}

// long reads a number of the header or of a block's beginning.
func (r *reading) long(where string) (int64, error) {
	head, err := r.Need(binary.MaxVarintLen64)
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
	r.Pass(size)
	return int64(n>>1) ^ -int64(n&1), nil
}

func (r *reading) text() (string, error) {
	n, err := r.long("its header")
	if err != nil {
		return "", err
	}
	if n < 0 || n > int64(r.limits.MaxField) {
		return "", r.refuse("max_field", "the header has a text of %d bytes, max_field is %s", n, r.limits.MaxField)
	}
	b, err := r.Need(int(n))
	if err != nil {
		return "", err
	}
	if len(b) < int(n) {
		return "", r.cutOff("its header")
	}
	r.Pass(int(n))
	return string(b), nil
}

// block reads the records of a block. Until then it is only known how many bytes it is said to have: no more are taken than limits allow.
func (r *reading) block(yield func(*Record, error) bool) error {
	where := fmt.Sprintf("the block at offset %d", r.Offset())
	count, err := r.long(where)
	if err != nil {
		return err
	}
	size, err := r.long(where)
	if err != nil {
		return err
	}
	most := r.limits.MaxPart
	if size < 0 || size > int64(most) {
		return r.refuse("max_part", "%s is said to have %d bytes, max_part is %s", where, size, most)
	}
	packed, err := r.Need(int(size) + syncSize)
	if err != nil {
		return err
	}
	if len(packed) < int(size)+syncSize {
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
	r.Pass(len(packed))
	return nil
}

// records reads so many records. Their offset is that of the block, or where blocks are not packed their own.
func (r *reading) records(data []byte, count int64, yield func(*Record, error) bool) error {
	v := &r.value
	v.data, v.i = data, 0
	for range count {
		from := v.i
		r.rec.Number++
		r.rec.Offset = r.place(v.i)
		v.out, v.path, v.odd = v.out[:0], v.path[:0], ""
		if !v.value(r.top, 1) || !v.fits() {
			return &fault.FileError{Offset: r.place(v.fail.at), Limit: v.fail.limit, Reason: fmt.Sprintf("record %d: %s", r.rec.Number, v.fail.reason)}
		}
		r.plain += int64(v.i - from)
		if bad := r.outgrown(); bad != nil {
			return bad
		}
		if r.rec.JSON, r.rec.Wrong = v.out, v.odd; !yield(&r.rec, nil) {
			return errStopped
		}
	}
	if v.i < len(data) {
		return &fault.FileError{Offset: r.place(v.i), Reason: fmt.Sprintf("%d bytes stand behind the last record of a block, record %d", len(data)-v.i, r.rec.Number)}
	}
	return nil
}

// outgrown counts a record. A value of no bytes, and a list of so many of them, is as long as JSON as its schema likes: what that comes to is held
// in the same bounds as what a packing comes to.
func (r *reading) outgrown() error {
	l := &r.limits
	r.shown += int64(len(r.value.out))
	switch at := r.place(r.value.i); {
	case r.shown > int64(l.MaxUnpacked):
		return &fault.FileError{Offset: at, Limit: "max_unpacked", Reason: fmt.Sprintf("the records up to record %d are longer than max_unpacked, %s, as JSON", r.rec.Number, l.MaxUnpacked)}
	case r.shown > fault.RatioFrom && r.shown/int64(l.MaxRatio) > r.plain:
		return &fault.FileError{Offset: at, Limit: "max_ratio", Reason: fmt.Sprintf("the records up to record %d are more than %d times as long as JSON as they are in their blocks (max_ratio)", r.rec.Number, l.MaxRatio)}
	}
	return nil
}

func (r *reading) place(i int) int64 {
	if r.codec.unpacks != nil {
		i = 0
	}
	return r.Offset() + int64(i)
}
