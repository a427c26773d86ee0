package formats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Protobuf: messages of one type, each behind its length as a varint, as the libraries write them (parseDelimitedFrom, protodelim).
// The .proto file is compiled when the configuration is loaded. What is wanted is taken from the bytes along a plan; what nobody
// wants is passed over.

func protobufFormat() format {
	return format{name: "protobuf", keys: []string{"records", "schema", "unknown"}, check: checkProtobuf, decoder: newProtobuf,
		writes: []string{"schema", "message"}, checkWriting: checkPBWriting, encoder: newProtobufEncoder}
}

func checkProtobuf(o Options) []Problem {
	ps := oneOf("unknown", o.Unknown, "ignore", reject)
	if o.Schema == "" {
		ps = append(ps, Problem{"schema", "missing: name the .proto file that describes the messages"})
	}
	if o.Encoding != "" {
		ps = append(ps, Problem{"encoding", "does not go with protobuf, whose texts are UTF-8"})
	}
	return ps
}

type pbDecoder struct {
	o     Options
	proto *protoSchema
	plan  *pbPlan                           // nil: messages as they are
	known map[protoreflect.FullName]*pbNode // every message there can be; nil: unknown fields are ignored
	shop  workshop
}

func newProtobuf(o Options, wants []Want) (Decoder, []Problem) {
	schema, ps := compileProto(o.Schema, "records", o.Records, o.Files)
	if len(ps) > 0 {
		return nil, ps
	}
	d := &pbDecoder{o: o, proto: schema}
	if o.Unknown == reject {
		d.known = map[protoreflect.FullName]*pbNode{}
		everyMessage(schema.message, d.known)
	}
	if len(wants) == 0 {
		return d, nil
	}
	d.plan, ps = compilePB(schema.message, wants, "fields.")
	if len(ps) > 0 {
		return nil, ps
	}
	return d, nil
}

// Decode reads the messages of a file.
func (d *pbDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		r := &pbReading{d: d, byteWindow: openBytes(b, d.o.Limits, on), maker: pbMaker{limits: d.o.Limits, proto: d.proto}}
		defer func() { d.shop.back(on, &window{buf: r.buf}) }()
		if err := r.file(yield); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// pbReading is the state of reading one file.
type pbReading struct {
	byteWindow
	d     *pbDecoder
	maker pbMaker
	rec   Record
}

// length reads how long the next message is; io.EOF when there is none.
func (r *pbReading) length() (int, error) {
	head, err := r.Need(binary.MaxVarintLen64)
	if err != nil {
		return 0, err
	}
	if len(head) == 0 {
		return 0, io.EOF
	}
	n, size := binary.Uvarint(head)
	switch {
	case size == 0 && len(head) < binary.MaxVarintLen64:
		return 0, r.refuse("", "the file ends inside the length of message %d: truncated?", r.rec.Number+1)
	case size <= 0:
		return 0, r.refuse("", "the length of message %d is no number of 64 bits: does each message stand behind its length?", r.rec.Number+1)
	case n > uint64(r.d.o.Limits.MaxRecord):
		return 0, r.refuse("max_record", "message %d is said to have %d bytes, more than max_record, %s: does each message stand behind its length?", r.rec.Number+1, n, r.d.o.Limits.MaxRecord)
	}
	r.Pass(size)
	return int(n), nil
}

func (r *pbReading) file(yield func(*Record, error) bool) error {
	for {
		before := r.Offset()
		n, err := r.length()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		message, err := r.Need(n)
		if err != nil {
			return err
		}
		if len(message) < n {
			return r.refuse("", "the file ends inside message %d, of whose %d bytes %d are there: truncated?", r.rec.Number+1, n, len(message))
		}
		r.rec.Number++
		r.rec.Offset = before
		cells, bad := r.maker.record(r.d, message)
		from := r.Offset()
		r.Pass(n)
		if r.rec.Raw = nil; r.d.o.Raw {
			r.rec.Raw = message
		}
		r.rec.Cells = cells
		switch {
		case bad != nil && bad.limit != "":
			return &FileError{Offset: from + int64(bad.at), Limit: bad.limit, Reason: fmt.Sprintf("message %d: %s", r.rec.Number, bad.reason)}
		case bad != nil:
			if !yield(nil, &RecordError{Record: r.rec.Number, Offset: from + int64(bad.at), Reason: fmt.Sprintf("offset %d: %s", from+int64(bad.at), bad.reason)}) {
				return errStopped
			}
		case !yield(&r.rec, nil):
			return errStopped
		}
	}
}

// A pbBad is what is wrong with a message.
type pbBad struct {
	at     int // behind the beginning of the message
	limit  string
	reason string
}

func badPB(at int, format string, args ...any) *pbBad {
	return &pbBad{at: at, reason: fmt.Sprintf(format, args...)}
}

// Wire types.
const (
	wireVarint = iota
	wire64
	wireBytes
	wireStart
	wireEnd
	wire32
)

const mostNumber = 1<<29 - 1

// A pbToken is one field as it stands in the bytes.
type pbToken struct {
	number int
	wire   int
	value  uint64 // of a number
	bytes  []byte // of a text, a message or a group, without its end
	from   int    // of the field
	body   int    // of bytes
}

// token reads the field at i and returns where the next one is. Groups are passed over whole.
func (m *pbMaker) token(data []byte, i, off, depth int) (t pbToken, next int, bad *pbBad) {
	t.from = i
	tag, i, ok := uvarint(data, i)
	if !ok {
		return t, 0, badPB(off+t.from, "the message ends inside a field, or its number has more than 64 bits")
	}
	t.wire = int(tag & 7)
	if tag>>3 == 0 || tag>>3 > mostNumber {
		return t, 0, badPB(off+t.from, "there is no field %d: is it the right schema?", tag>>3)
	}
	t.number = int(tag >> 3)
	switch t.wire {
	case wireVarint:
		if t.value, i, ok = uvarint(data, i); !ok {
			return t, 0, badPB(off+t.from, "the number in field %d is cut off, or has more than 64 bits", t.number)
		}
	case wire64:
		if len(data)-i < 8 {
			return t, 0, badPB(off+t.from, "field %d is cut off", t.number)
		}
		t.value = binary.LittleEndian.Uint64(data[i:])
		i += 8
	case wire32:
		if len(data)-i < 4 {
			return t, 0, badPB(off+t.from, "field %d is cut off", t.number)
		}
		t.value = uint64(binary.LittleEndian.Uint32(data[i:]))
		i += 4
	case wireBytes:
		n, at, ok := uvarint(data, i)
		if !ok || n > uint64(len(data)-at) {
			return t, 0, badPB(off+t.from, "field %d is said to have %d bytes, %d are left", t.number, n, max(0, len(data)-at))
		}
		i = at + int(n)
		t.bytes, t.body = data[at:i:i], at
	case wireStart:
		return m.group(t, data, i, off, depth)
	default:
		return t, 0, badPB(off+t.from, "field %d has the wire type %d, which does not stand there: is it the right schema?", t.number, t.wire)
	}
	return t, i, nil
}

// group passes over a group, whose first field would be at i.
func (m *pbMaker) group(t pbToken, data []byte, i, off, depth int) (pbToken, int, *pbBad) {
	if depth >= m.limits.MaxDepth {
		return t, 0, &pbBad{off + t.from, "max_depth", fmt.Sprintf("groups are nested deeper than %d (max_depth)", m.limits.MaxDepth)}
	}
	t.body = i
	for {
		from := i
		tag, at, ok := uvarint(data, i)
		if !ok {
			return t, 0, badPB(off+t.from, "the group of field %d does not end", t.number)
		}
		if tag&7 == wireEnd {
			if int(min(tag>>3, math.MaxInt32)) != t.number {
				return t, 0, badPB(off+from, "the group of field %d ends as that of field %d", t.number, tag>>3)
			}
			t.bytes = data[t.body:from:from]
			return t, at, nil
		}
		var bad *pbBad
		if _, i, bad = m.token(data, i, off, depth+1); bad != nil {
			return t, 0, bad
		}
	}
}

// uvarint reads a number of up to 64 bits at i.
func uvarint(data []byte, i int) (v uint64, next int, ok bool) {
	if i < len(data) && data[i] < 0x80 {
		return uint64(data[i]), i + 1, true
	}
	v, n := binary.Uvarint(data[min(i, len(data)):])
	return v, i + n, n > 0
}
