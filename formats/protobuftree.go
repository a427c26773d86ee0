package formats

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"waybill/formats/jsonvalue"
)

// json writes a message as the libraries of Protobuf do (ProtoJSON): names in lower camel case, numbers of 64 bits in quotes, and the
// value of what has no presence also when the message does not say.
func (m *pbMaker) json(desc protoreflect.MessageDescriptor, data []byte, off int) ([]byte, *pbBad) {
	message := dynamicpb.NewMessage(desc)
	if err := m.parse(message, data); err != nil {
		return nil, badPB(off, "message %s: %s", desc.FullName(), err)
	}
	text, err := protojson.MarshalOptions{EmitDefaultValues: true, AllowPartial: true, Resolver: m.proto.types}.Marshal(message)
	if err != nil {
		return nil, badPB(off, "message %s: %s", desc.FullName(), err)
	}
	return compact(text), nil
}

// parse reads a message. The library panics on some bytes that are no message, as on a map's entry whose key stands twice with two wire types.
func (m *pbMaker) parse(message proto.Message, data []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the bytes are no such message: %v", v)
		}
	}()
	return proto.UnmarshalOptions{AllowPartial: true, Resolver: m.proto.types, RecursionLimit: m.limits.MaxDepth}.Unmarshal(data, message)
}

// compact drops the white space that protojson puts in at random.
func compact(text []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return text
	}
	return b.Bytes()
}

// tree turns the bytes that were gathered for a value into what JSON has for it.
func (m *pbMaker) tree(t *pbTree, f *pbFrame) (bad *pbBad) {
	c := &f.cells[t.slot]
	if c.Kind == Absent {
		return nil
	}
	if (t.desc.IsList() || t.desc.IsMap()) && !t.item {
		return m.many(t, c, f.places[t.slot])
	}
	desc, at := t.desc.Message(), f.places[t.slot]
	if desc.FullName() == "google.protobuf.Timestamp" {
		if text, ok := m.timestamp(c.Bytes); ok {
			*c = Cell{Kind: Text, Bytes: text}
			return nil
		}
	}
	text, bad := m.json(desc, c.Bytes, at)
	if bad != nil {
		return bad
	}
	*c = Cell{Kind: Tree, Bytes: text}
	switch text[0] { // of a well-known type
	case '"':
		plain := ""
		if err := json.Unmarshal(text, &plain); err != nil {
			return badPB(at, "message %s: %s", desc.FullName(), err)
		}
		*c = Cell{Kind: Text, Bytes: []byte(plain)}
	case '{', '[':
	case 'n':
		*c = Cell{Kind: Null, Bytes: text}
	case 't', 'f':
		c.Kind = Bool
	default:
		c.Kind = Number
	}
	return nil
}

// many makes the JSON of a whole list or map, of which the bytes of all fields were gathered.
func (m *pbMaker) many(t *pbTree, c *Cell, at int) *pbBad {
	desc := t.desc.ContainingMessage()
	message := dynamicpb.NewMessage(desc)
	err := m.parse(message, c.Bytes)
	var text []byte
	if err == nil {
		if !message.Has(t.desc) {
			*c = Cell{Kind: Tree, Bytes: []byte("[]")}
			if t.desc.IsMap() {
				c.Bytes = []byte("{}")
			}
			return nil
		}
		only := dynamicpb.NewMessage(desc)
		only.Set(t.desc, message.Get(t.desc))
		text, err = m.inner(only, t.desc)
	}
	if err != nil {
		return badPB(at, "field %s of message %s: %s", t.desc.Name(), desc.FullName(), err)
	}
	*c = Cell{Kind: Tree, Bytes: text}
	return nil
}

// inner writes the one field that a message has.
func (m *pbMaker) inner(only *dynamicpb.Message, field protoreflect.FieldDescriptor) ([]byte, error) {
	full, err := protojson.MarshalOptions{EmitDefaultValues: true, AllowPartial: true, Resolver: m.proto.types}.Marshal(only)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(full, &fields); err != nil {
		return nil, err
	}
	return compact(fields[field.JSONName()]), nil
}

// timestamp writes a google.protobuf.Timestamp as JSON has it; false where its bytes are not as they should be.
func (m *pbMaker) timestamp(data []byte) ([]byte, bool) {
	var seconds, nanos int64
	for i := 0; i < len(data); {
		tag, at, ok := uvarint(data, i)
		if !ok || tag&7 != wireVarint {
			return nil, false
		}
		v, next, ok := uvarint(data, at)
		switch {
		case !ok:
			return nil, false
		case tag>>3 == 1:
			seconds = int64(v)
		case tag>>3 == 2:
			nanos = int64(int32(v))
		}
		i = next
	}
	at := len(m.room)
	room, ok := jsonvalue.AppendMoment(m.room, seconds, nanos, "2006-01-02T15:04:05")
	if !ok {
		return nil, false
	}
	m.room = append(room, 'Z')
	return m.room[at:len(m.room):len(m.room)], true
}

// appendDelimited appends a message behind its length.
func appendDelimited(dst, message []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(message)))
	return append(dst, message...)
}
