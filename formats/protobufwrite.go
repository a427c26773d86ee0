package formats

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// pbMessage writes messages from their JSON, as the libraries of Protobuf read it (ProtoJSON). A member that the schema does not have is refused.
type pbMessage struct{ proto *protoSchema }

func checkPBWriting(w Writing) []Problem {
	if w.Schema == "" {
		return []Problem{{"schema", "missing: name the .proto file that describes the messages"}}
	}
	_, ps := compileProto(w.Schema, "message", w.Message, w.Files)
	return ps
}

func newPBMessage(w Writing) Message {
	schema, _ := compileProto(w.Schema, "message", w.Message, w.Files) // checked before
	return pbMessage{schema}
}

// MediaType is the one that most libraries send.
func (pbMessage) MediaType() string { return "application/x-protobuf" }

// Append makes the bytes of a message.
func (p pbMessage) Append(dst, json []byte) ([]byte, error) {
	m := dynamicpb.NewMessage(p.proto.message)
	if err := (protojson.UnmarshalOptions{Resolver: p.proto.types}).Unmarshal(json, m); err != nil {
		reason := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "proto:"), "\u00a0", " ") // which the library varies
		return dst, &ValueError{Value: cut(json), Reason: fmt.Sprintf("it is no message %s: %s", p.proto.message.FullName(), strings.TrimSpace(reason))}
	}
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, m)
	if err != nil {
		return dst, &ValueError{Value: cut(json), Reason: err.Error()}
	}
	return out, nil
}

// pbEncoder writes messages, each behind its length.
type pbEncoder struct{ message pbMessage }

func newProtobufEncoder(w Writing, columns []Column) (Encoder, []Problem) {
	if len(columns) > 0 {
		return nil, []Problem{{"columns", "do not go with protobuf, whose messages are described by schema: write body"}}
	}
	return pbEncoder{newPBMessage(w).(pbMessage)}, nil
}

// Append makes the bytes of one record, to be handed to Encode as a Verbatim value.
func (e pbEncoder) Append(dst, json []byte) ([]byte, error) {
	message, err := e.message.Append(nil, json)
	if err != nil {
		return dst, err
	}
	return appendDelimited(dst, message), nil
}

// Encode writes all records.
func (e pbEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	out := rowWriter{w: w}
	err := out.each(rows, 1, func(n int64, row []Value) (err error) {
		if row[0].Kind == Verbatim {
			out.buf = append(out.buf, row[0].Bytes...)
		} else if out.buf, err = e.Append(out.buf, row[0].Bytes); err != nil {
			err = fmt.Errorf("write row %d: %w", n, err)
		}
		return err
	})
	if err != nil {
		return err
	}
	return out.flush(true)
}
