package formats

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"waybill/formats/jsonvalue"
)

// A pbScalar is how a value that is no message is shown.
type pbScalar struct {
	kind   protoreflect.Kind
	values map[int32][]byte // of an enum
}

func scalarOf(f protoreflect.FieldDescriptor) pbScalar {
	s := pbScalar{kind: f.Kind()}
	if f.Enum() == nil {
		return s
	}
	s.values = map[int32][]byte{}
	for k := range f.Enum().Values().Len() {
		v := f.Enum().Values().Get(k)
		if _, twice := s.values[int32(v.Number())]; !twice {
			s.values[int32(v.Number())] = []byte(v.Name())
		}
	}
	return s
}

// zero is what a field without presence holds when it is left out.
func (s pbScalar) zero() Cell {
	switch s.kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return Cell{Kind: Text, Bytes: []byte{}}
	case protoreflect.BoolKind:
		return Cell{Kind: Bool, Bytes: []byte("false")}
	case protoreflect.EnumKind:
		if name, ok := s.values[0]; ok {
			return Cell{Kind: Text, Bytes: name}
		}
	}
	return Cell{Kind: Number, Bytes: []byte("0")}
}

// wire is the wire type of a single value.
func (s pbScalar) wire() int {
	switch s.kind {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return wire32
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return wire64
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return wireBytes
	case protoreflect.GroupKind:
		return wireStart
	}
	return wireVarint
}

// value makes the cell of a value, as JSON has it, but numbers of 64 bits as numbers.
func (m *pbMaker) value(s *pbScalar, t *pbToken, off int) (Cell, *pbBad) {
	at := len(m.room)
	switch v := t.value; s.kind {
	case protoreflect.StringKind:
		if len(t.bytes) > int(m.limits.MaxField) {
			return Cell{}, m.longField(t, off)
		}
		if !utf8.Valid(t.bytes) {
			return Cell{}, badPB(off+t.body+invalidAt(t.bytes), "the text in field %d is not valid UTF-8: is it the right schema?", t.number)
		}
		return Cell{Kind: Text, Bytes: t.bytes}, nil
	case protoreflect.BytesKind:
		if len(t.bytes) > int(m.limits.MaxField) {
			return Cell{}, m.longField(t, off)
		}
		m.room = base64.StdEncoding.AppendEncode(m.room, t.bytes)
		return Cell{Kind: Text, Bytes: m.room[at:len(m.room):len(m.room)]}, nil
	case protoreflect.BoolKind:
		if v != 0 {
			return Cell{Kind: Bool, Bytes: wordTrue}, nil
		}
		return Cell{Kind: Bool, Bytes: wordFalse}, nil
	case protoreflect.EnumKind:
		if name, ok := s.values[int32(v)]; ok {
			return Cell{Kind: Text, Bytes: name}, nil
		}
		m.room = strconv.AppendInt(m.room, int64(int32(v)), 10)
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		m.room = strconv.AppendInt(m.room, int64(int32(v)), 10)
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		m.room = strconv.AppendInt(m.room, int64(v), 10)
	case protoreflect.Sint32Kind:
		m.room = strconv.AppendInt(m.room, int64(int32(uint32(v)>>1)^-int32(v&1)), 10)
	case protoreflect.Sint64Kind:
		m.room = strconv.AppendInt(m.room, int64(v>>1)^-int64(v&1), 10)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		m.room = strconv.AppendUint(m.room, uint64(uint32(v)), 10)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		m.room = strconv.AppendUint(m.room, v, 10)
	case protoreflect.FloatKind:
		return m.float(float64(math.Float32frombits(uint32(v))), 32), nil
	case protoreflect.DoubleKind:
		return m.float(math.Float64frombits(v), 64), nil
	}
	return Cell{Kind: Number, Bytes: m.room[at:len(m.room):len(m.room)]}, nil
}

func (m *pbMaker) longField(t *pbToken, off int) *pbBad {
	return &pbBad{off + t.from, "max_field", "field " + strconv.Itoa(t.number) + " is longer than max_field, " + m.limits.MaxField.String()}
}

// float makes the cell of a number with a fraction.
func (m *pbMaker) float(v float64, bits int) Cell {
	at, kind := len(m.room), Number
	if m.room = jsonvalue.AppendFloat(m.room, v, bits); m.room[len(m.room)-1] > '9' {
		kind = Text
	}
	return Cell{Kind: kind, Bytes: m.room[at:len(m.room):len(m.room)]}
}

var (
	wordTrue  = []byte("true")
	wordFalse = []byte("false")
)
