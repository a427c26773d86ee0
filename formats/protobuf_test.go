package formats

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"waybill/formats/formatstest"
	"waybill/formats/jsonvalue"
)

// testFiles reads below testdata.
func testFiles(path string) ([]byte, error) { return os.ReadFile(filepath.Join("testdata", path)) }

func shopOptions() Options {
	return Options{Format: "protobuf", Schema: "proto/shop.proto", Records: "shop.Order", Files: testFiles}
}

func shopSchema(t testing.TB) *protoSchema {
	t.Helper()
	s, ps := compileProto("proto/shop.proto", "records", "shop.Order", testFiles)
	if ps != nil {
		t.Fatal(ps)
	}
	return s
}

// drawMessage fills a message at random.
func drawMessage(t *rapid.T, desc protoreflect.MessageDescriptor, depth int) *dynamicpb.Message {
	m := dynamicpb.NewMessage(desc)
	set := func(name string, v protoreflect.Value) { m.Set(desc.Fields().ByName(protoreflect.Name(name)), v) }
	switch desc.FullName() {
	case "google.protobuf.Timestamp":
		set("seconds", protoreflect.ValueOfInt64(rapid.Int64Range(jsonvalue.First, jsonvalue.Last).Draw(t, "seconds")))
		set("nanos", protoreflect.ValueOfInt32(rapid.SampledFrom([]int32{0, 1, 1000, 120_000_000, 123_456_000, 999_999_999}).Draw(t, "nanos")))
		return m
	case "google.protobuf.Duration":
		set("seconds", protoreflect.ValueOfInt64(rapid.Int64Range(0, 315_576_000_000).Draw(t, "seconds")))
		return m
	case "google.protobuf.Value":
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			set("null_value", protoreflect.ValueOfEnum(0))
		case 1:
			set("number_value", protoreflect.ValueOfFloat64(rapid.Float64Range(-1e9, 1e9).Draw(t, "number")))
		case 2:
			set("string_value", protoreflect.ValueOfString(rapid.String().Draw(t, "text")))
		default:
			set("bool_value", protoreflect.ValueOfBool(true))
		}
		return m
	}
	for i := range desc.Fields().Len() {
		f := desc.Fields().Get(i)
		if !rapid.Bool().Draw(t, string(f.Name())) || f.Message() != nil && depth == 0 && !strings.HasPrefix(string(f.Message().FullName()), "google.") {
			continue
		}
		switch {
		case f.IsMap():
			for range rapid.IntRange(0, 2).Draw(t, "entries") {
				m.Mutable(f).Map().Set(drawValue(t, f.MapKey(), depth).MapKey(), drawValue(t, f.MapValue(), depth))
			}
		case f.IsList():
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				m.Mutable(f).List().Append(drawValue(t, f, depth))
			}
		default:
			m.Set(f, drawValue(t, f, depth))
		}
	}
	return m
}

func drawValue(t *rapid.T, f protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.SampledFrom([]int32{0, 1, 7, 9, -1}).Draw(t, "enum")))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if f.ContainingMessage().IsMapEntry() {
			return protoreflect.ValueOfInt32(rapid.Int32Range(-1, 1).Draw(t, "key"))
		}
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(math.Float32frombits(rapid.Uint32().Draw(t, "float")))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(math.Float64frombits(rapid.Uint64().Draw(t, "double")))
	case protoreflect.StringKind:
		if f.ContainingMessage().IsMapEntry() {
			return protoreflect.ValueOfString(rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "key"))
		}
		return protoreflect.ValueOfString(rapid.String().Draw(t, "text"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	}
	return protoreflect.ValueOfMessage(drawMessage(t, f.Message(), depth-1))
}

// shopWants asks for everything, in all ways.
func shopWants() []Want {
	wants := columns("id", "number", "i32", "u64", "s32", "s64", "f32", "f64", "g32", "g64", "weight", "price", "paid", "seal", "status", "maybe", "word",
		"total.units", "total.nanos", "total.currency", "total", "lines", "lines[0].sku", "lines[1].total.units", "lines[0]", "lines[0].parts[1].qty",
		"stock", `stock["a"]`, `stock["b"]`, "prices", `prices["-1"].units`, `prices["1"]`, `flags["true"]`, "deltas", "deltas[0]", "deltas[2]", "codes", "codes[1]",
		"history", "history[0]", "at", "took", "big", "note", "extra", "card", "cash", "cash.units", "barter.sku", "barter.voucher.units", "bonus", "later", "due", "far", "ratios", "ratios[1]", "anything")
	line := columns("sku", "qty", "price", "total.units", "total", "tags", "tags[0]", "gift", "voucher.units", "points")
	return append(wants, Want{Name: "rows", From: []string{"lines"}, List: true, Fields: append(slices.Clone(line), Want{Name: "parts", From: []string{"parts"}, List: true, Fields: columns("sku", "total.nanos")})},
		Want{Name: "money", From: []string{"cash"}, Object: true, Fields: columns("units", "currency")},
		Want{Name: "swap", From: []string{"barter"}, Object: true, Fields: line},
		Want{Name: "one", From: []string{"lines[1]"}, Object: true, Fields: line})
}

// equalJSON compares two documents, numbers as they are written.
func equalJSON(a, b []byte) bool {
	parse := func(text []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return err
		}
		return v
	}
	return reflect.DeepEqual(parse(a), parse(b))
}

// expected is what wants find in the JSON of a message.
func expected(wants []Want, v any) string {
	var out []string
	for _, w := range wants {
		at := any(v)
		steps, _, _ := parsePath(w.From[0])
		for _, st := range steps {
			switch x := at.(type) {
			case map[string]any:
				at = x[st.name]
				if st.at >= 0 {
					at = nil
				}
				if _, ok := x[st.name]; !ok {
					at = missing{}
				}
			case []any:
				if st.at < 0 || st.at >= len(x) {
					at = missing{}
				} else {
					at = x[st.at]
				}
			default:
				at = missing{}
			}
		}
		out = append(out, shownJSON(w, at))
	}
	return strings.Join(out, " ")
}

type missing struct{}

func shownJSON(w Want, v any) string {
	if _, none := v.(missing); none {
		return "∅"
	}
	if len(w.Fields) == 0 {
		text, _ := json.Marshal(v)
		return string(text)
	}
	var rows []string
	if w.Object {
		rows = append(rows, expected(w.Fields, v))
	} else {
		for _, item := range v.([]any) {
			rows = append(rows, expected(w.Fields, item))
		}
	}
	return "[" + strings.Join(rows, " | ") + "]"
}

// cellJSON is a cell as shownJSON shows a value; numbers of 64 bits are texts in JSON.
func cellJSON(w []Want, cells []Cell, wide func(string) bool) string {
	var out []string
	for i, c := range cells {
		switch {
		case c.Kind == Absent:
			out = append(out, "∅")
		case c.Kind == Nested:
			var rows []string
			for _, r := range c.Rows {
				rows = append(rows, cellJSON(w[i].Fields, r, wide))
			}
			out = append(out, "["+strings.Join(rows, " | ")+"]")
		default:
			var v any = json.RawMessage(c.Bytes)
			if c.Kind == Text || c.Kind == Number && wide(w[i].From[0]) {
				v = string(c.Bytes)
			}
			text, err := json.Marshal(v)
			if err == nil {
				var x any
				d := json.NewDecoder(bytes.NewReader(text))
				d.UseNumber()
				if err = d.Decode(&x); err == nil {
					text, _ = json.Marshal(x)
				}
			}
			if err != nil {
				return err.Error()
			}
			out = append(out, string(text))
		}
	}
	return strings.Join(out, " ")
}

func wideNumber(from string) bool {
	return slices.Contains([]string{"number", "u64", "s64", "f64", "g64", "total.units", `stock["a"]`, `stock["b"]`, "deltas[0]", "deltas[2]", "big", "cash.units", "barter.voucher.units",
		"bonus", "lines[1].total.units", `prices["-1"].units`, "units", "voucher.units"}, from)
}

// TestProtobufIsReadAsTheLibraryReadsIt draws messages, also two merged into one, and compares all that can be wanted of them with ProtoJSON.
func TestProtobufIsReadAsTheLibraryReadsIt(t *testing.T) {
	t.Parallel()
	s, wants := shopSchema(t), shopWants()
	d := decoder(t, shopOptions(), wants...)
	strict := shopOptions()
	strict.Unknown = reject
	again := decoder(t, strict, wants...)
	whole := decoder(t, shopOptions())
	rapid.Check(t, func(t *rapid.T) {
		var wire []byte
		for range rapid.IntRange(1, 2).Draw(t, "merged") {
			one, err := proto.Marshal(drawMessage(t, s.message, 2))
			if err != nil {
				t.Fatal(err)
			}
			wire = append(wire, one...)
		}
		m := dynamicpb.NewMessage(s.message)
		if err := proto.Unmarshal(wire, m); err != nil {
			t.Fatal(err)
		}
		text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
		if err != nil {
			t.Skip(err) // durations that were merged
		}
		var v any
		r := json.NewDecoder(bytes.NewReader(text))
		r.UseNumber()
		if err := r.Decode(&v); err != nil {
			t.Fatal(err)
		}
		want := expected(wants, v)
		for _, d := range []Decoder{d, again} {
			for rec, err := range d.Decode(blobOf(string(appendDelimited(nil, wire)))) {
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if got := cellJSON(wants, rec.Cells, wideNumber); got != want {
					t.Fatalf("%s\n got %s\nwant %s", text, got, want)
				}
			}
		}
		for rec, err := range whole.Decode(blobOf(string(appendDelimited(nil, wire)))) {
			if err != nil || !equalJSON(rec.Cells[0].Bytes, text) {
				t.Fatalf("%s, %v\nwant %s", rec.Cells[0].Bytes, err, text)
			}
		}
	})
}

// TestWhatIsWrittenAsProtobufIsRead writes the JSON of drawn messages and reads it again.
func TestWhatIsWrittenAsProtobufIsRead(t *testing.T) {
	t.Parallel()
	s, whole := shopSchema(t), decoder(t, shopOptions())
	e, ps := NewEncoder(Writing{Format: "protobuf", Schema: "proto/shop.proto", Message: "Order", Files: testFiles}, nil)
	if ps != nil {
		t.Fatal(ps)
	}
	rapid.Check(t, func(t *rapid.T) {
		var texts [][]byte
		for range rapid.IntRange(0, 3).Draw(t, "messages") {
			text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(drawMessage(t, s.message, 2))
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
		var file bytes.Buffer
		if err := e.Encode(&file, func(yield func([]Value, error) bool) {
			for _, text := range texts {
				if !yield([]Value{{Kind: Tree, Bytes: text}}, nil) {
					return
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		i := 0
		for rec, err := range whole.Decode(Blob{Reader: iotest.OneByteReader(&file), Size: -1}) {
			if err != nil || !equalJSON(rec.Cells[0].Bytes, texts[i]) {
				t.Fatalf("%s, %v\nwant %s", rec.Cells[0].Bytes, err, texts[i])
			}
			i++
		}
		if i != len(texts) {
			t.Fatalf("%d of %d", i, len(texts))
		}
	})
}

func TestWhatIsNoMessageIsNotWritten(t *testing.T) {
	t.Parallel()
	w := Writing{Format: "protobuf", Schema: "proto/shop.proto", Message: "shop.Order", Files: testFiles}
	m, _, ps := NewMessage(w)
	if ps != nil {
		t.Fatal(ps)
	}
	good, err := m.Append([]byte("x"), []byte(`{"id":"a","number":9223372036854775807,"status":"SENT","at":"2026-01-31T10:00:00+01:00","paid":true,"weight":1.5}`))
	if err != nil || good[0] != 'x' || m.MediaType() != "application/x-protobuf" {
		t.Fatal(err)
	}
	got, err := read(decoder(t, shopOptions(), columns("id", "number", "status", "at", "paid", "weight", "word")...), blobOf(wireMessage(good[1:])))
	if err != nil || fmt.Sprint(got) != `["a" 9223372036854775807 "SENT" "2026-01-31T09:00:00Z" true 1.5 ∅]` {
		t.Errorf("%s, %v", got, err)
	}
	for text, want := range map[string]string{
		`{"number":9223372036854775808}`: "it is no message shop.Order: ",
		`{"idd":"a"}`:                    `unknown field "idd"`,
		`[]`:                             "it is no message shop.Order: ",
	} {
		var bad *ValueError
		if out, err := m.Append([]byte("x"), []byte(text)); !errors.As(err, &bad) || !strings.Contains(bad.Reason, want) || string(out) != "x" {
			t.Errorf("%s: %v", text, err)
		}
	}
	for want, w := range map[string]Writing{
		"[schema: missing: name the .proto file that describes the messages]":            {Format: "protobuf"},
		"[schema: does not go with csv message: does not go with csv]":                   {Format: "csv", Schema: "x", Message: "y"},
		"[message: shop.proto has no message \"Ordr\": there are shop.Line, shop.Order]": {Format: "protobuf", Schema: "proto/shop.proto", Message: "Ordr", Files: testFiles},
	} {
		if _, ps := NewEncoder(w, nil); fmt.Sprint(ps) != want {
			t.Errorf("%s\nwant %s", ps, want)
		}
	}
	if _, ps := NewEncoder(w, []Column{{Title: "id"}}); fmt.Sprint(ps) != "[columns: do not go with protobuf, whose messages are described by schema: write body]" {
		t.Error(ps)
	}
}

func TestGroupsOfProtobuf2(t *testing.T) {
	t.Parallel()
	o := Options{Format: "protobuf", Schema: "proto/old.proto", Files: testFiles, Unknown: reject}
	text := `{"name":"x","part":[{"code":"a","deep":{"n":3}},{"code":"b"}],"single":{"code":"c"}}`
	e, ps := NewEncoder(Writing{Format: "protobuf", Schema: "proto/old.proto", Files: testFiles}, nil)
	if ps != nil {
		t.Fatal(ps)
	}
	var file bytes.Buffer
	if err := e.Encode(&file, func(yield func([]Value, error) bool) { yield([]Value{{Tree, []byte(text)}}, nil) }); err != nil {
		t.Fatal(err)
	}
	d := decoder(t, o, append(columns("name", "count", "single.code", "part[0].deep.n", "single"), list("parts", "part", columns("code", "deep.n")...))...)
	got, err := read(d, blobOf(file.String()))
	if err != nil || fmt.Sprint(got) != `["x" ∅ "c" 3 {"code":"c"} ["a" 3 | "b" ∅]]` {
		t.Errorf("%s, %v", got, err)
	}
}

// message puts fields, each of them with its number, behind a length.
func wireMessage(fields ...[]byte) string {
	return string(appendDelimited(nil, bytes.Join(fields, nil)))
}

func wireText(number int, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, protowire.Number(number), protowire.BytesType), text)
}

func wireNumber(number int, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, protowire.Number(number), protowire.VarintType), v)
}

// TestHostileProtobuf: what must be refused, and at which offset.
func TestHostileProtobuf(t *testing.T) {
	t.Parallel()
	good := wireMessage(wireText(1, "a"))
	groups := func(n int) []byte {
		var b []byte
		for range n {
			b = protowire.AppendTag(b, 900, protowire.StartGroupType)
		}
		for range n {
			b = protowire.AppendTag(b, 900, protowire.EndGroupType)
		}
		return b
	}
	cut := binary.AppendUvarint(nil, 9)
	for name, c := range map[string]struct{ text, want string }{
		"length 2^63":                   {good + string(binary.AppendUvarint(nil, 1<<63)), `"a" refused offset 4 max_record: message 2 is said to have 9223372036854775808 bytes, more than max_record, 8MiB: does each message stand behind its length?`},
		"length of 11 bytes":            {good + strings.Repeat("\xff", 11), `"a" refused offset 4: the length of message 2 is no number of 64 bits: does each message stand behind its length?`},
		"length of 70 bits":             {strings.Repeat("\xff", 9) + "\x7f", "refused offset 0: the length of message 1 is no number of 64 bits: does each message stand behind its length?"},
		"length cut off":                {good + "\xff\xff", `"a" refused offset 4: the file ends inside the length of message 2: truncated?`},
		"message cut off":               {good + string(cut) + "\x0a\x07abc", `"a" refused offset 5: the file ends inside message 2, of whose 9 bytes 5 are there: truncated?`},
		"max_record of nothing":         {string(binary.AppendUvarint(nil, 8<<20)), "refused offset 4: the file ends inside message 1, of whose 8388608 bytes 0 are there: truncated?"},
		"groups 100 deep":               {wireMessage(groups(101)) + good, "refused offset 202 max_depth: message 1: groups are nested deeper than 100 (max_depth)"},
		"groups 99 deep":                {wireMessage(groups(99), wireText(1, "b")), `"b"`},
		"group without an end":          {wireMessage(protowire.AppendTag(nil, 900, protowire.StartGroupType)) + good, `reject offset 1: the group of field 900 does not end "a"`},
		"group with another's end":      {wireMessage(protowire.AppendTag(protowire.AppendTag(nil, 900, protowire.StartGroupType), 901, protowire.EndGroupType)) + good, `reject offset 3: the group of field 900 ends as that of field 901 "a"`},
		"end of a group":                {wireMessage(protowire.AppendTag(nil, 900, protowire.EndGroupType)) + good, `reject offset 1: field 900 has the wire type 4, which does not stand there: is it the right schema? "a"`},
		"wire type 7":                   {"\x01\x0f" + good, `reject offset 1: field 1 has the wire type 7, which does not stand there: is it the right schema? "a"`},
		"field 0":                       {"\x02\x00\x01" + good, `reject offset 1: there is no field 0: is it the right schema? "a"`},
		"field 2^29":                    {wireMessage(binary.AppendUvarint(nil, 1<<32)) + good, `reject offset 1: there is no field 536870912: is it the right schema? "a"`},
		"field longer than its message": {wireMessage([]byte("\x0a\x05ab")) + good, `reject offset 1: field 1 is said to have 5 bytes, 2 are left "a"`},
		"field of 2^63 bytes":           {wireMessage(append([]byte{0x0a}, binary.AppendUvarint(nil, 1<<63)...)) + good, `reject offset 1: field 1 is said to have 9223372036854775808 bytes, 0 are left "a"`},
		"number cut off":                {wireMessage([]byte("\x10\xff")) + good, `reject offset 1: the number in field 2 is cut off, or has more than 64 bits "a"`},
		"fixed number cut off":          {wireMessage([]byte("\x3d\xff")) + good, `reject offset 1: field 7 is cut off "a"`},
		"wrong schema":                  {wireMessage(wireNumber(1, 7)) + good, `reject offset 1: field 1 (id) has the wire type 0, which does not go with its type: is it the right schema? "a"`},
		"not UTF-8":                     {wireMessage(wireText(1, "ab\xff")) + good, `reject offset 5: the text in field 1 is not valid UTF-8: is it the right schema? "a"`},
		"unknown field":                 {wireMessage(wireNumber(900, 7), wireText(1, "b")), `"b"`},
		"long text":                     {wireMessage(wireText(1, strings.Repeat("x", 1<<20+1))), "refused offset 3 max_field: message 1: field 1 is longer than max_field, 1MiB"},
		"lines of text":                 {"id;qty\nA-1;7\n", `reject offset 1: field 12 (price) has the wire type 4`},
		"nothing":                       {"", ""},
		"empty messages":                {"\x00\x00", `"" ""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for rec, err := range decoder(t, shopOptions(), columns("id")...).Decode(blobOf(c.text)) {
				var f *FileError
				var r *RecordError
				switch {
				case errors.As(err, &r):
					got = append(got, "reject "+r.Reason)
				case errors.As(err, &f) && f.Limit != "":
					got = append(got, fmt.Sprintf("refused %s %s: %s", f.Place(), f.Limit, f.Reason))
				case err != nil:
					got = append(got, "refused "+err.Error())
				default:
					got = append(got, show(rec.Cells))
				}
			}
			if text := strings.Join(got, " "); text != c.want && (name != "lines of text" || !strings.HasPrefix(text, "re")) {
				t.Errorf("\n got %s\nwant %s", text, c.want)
			}
		})
	}
}

func TestUnknownFieldsMayBeRejected(t *testing.T) {
	t.Parallel()
	o := shopOptions()
	o.Unknown = reject
	d := decoder(t, o, columns("id")...)
	deep := wireMessage(wireText(1, "a"), wireText(19, string(bytes.Join([][]byte{wireText(1, "s"), wireText(4, string(wireNumber(9, 1)))}, nil))))
	for text, want := range map[string]string{
		wireMessage(wireNumber(900, 1), wireText(1, "a")): "[reject record 1: offset 1: message shop.Order has no field 900 of this kind, and unknown: reject is said]",
		deep:                          "[reject record 1: offset 12: message shop.Money has no field 9 of this kind, and unknown: reject is said]",
		wireMessage(wireText(1, "a")): `["a"]`,
	} {
		if got, err := read(d, blobOf(text)); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s, %v\nwant %s", got, err, want)
		}
	}
	line := []byte{}
	for range 150 {
		line = wireText(9, string(line))
	}
	wantLimit(t, fileError(t, d, blobOf(wireMessage(wireText(19, string(line))))), "max_depth")
}

func TestWhatIsWrongWithASchemaOfProtobuf(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"one.proto":     "syntax = \"proto3\";\nmessage A { int32 x = 1; }\n",
		"bad.proto":     "syntax = \"proto3\";\nmessage A { int32 x = ; }\n",
		"imports.proto": "syntax = \"proto3\";\nimport \"none.proto\";\nmessage A { int32 x = 1; }\n",
		"empty.proto":   "syntax = \"proto3\";\n",
		"a/b/up.proto":  "syntax = \"proto3\";\nimport \"one.proto\";\nmessage B { A a = 1; message In { int32 y = 1; } }\n",
		"two.proto":     "syntax = \"proto3\";\nmessage A {}\nmessage B {}\n",
	}
	open := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
	for _, c := range []struct {
		schema, records string
		wants           []Want
		want            string
	}{
		{"one.proto", "", columns("x"), ""},
		{"one.proto", "A", columns("x"), ""},
		{"a/b/up.proto", "B", columns("a.x"), ""},
		{"a/b/up.proto", "B.In", columns("y"), ""},
		{"", "", nil, "schema: missing: name the .proto file that describes the messages"},
		{"none.proto", "", nil, "schema: open none.proto: file does not exist"},
		{"bad.proto", "", nil, "schema: bad.proto:2:23: syntax error: unexpected ';'"},
		{"imports.proto", "", nil, "schema: imports.proto:2:8: open none.proto: file does not exist"},
		{"empty.proto", "", nil, "records: there is no message in empty.proto"},
		{"two.proto", "", nil, "records: missing: say which message of two.proto is meant: A, B"},
		{"two.proto", "C", nil, `records: two.proto has no message "C", did you mean "A"?: there are A, B`},
		{"one.proto", "A", columns("y"), `fields.y.from: "y": message A has no field "y", did you mean "x"?`},
		{"one.proto", "A", columns("x.y"), `fields.x.y.from: "x.y": x is no message, nothing is in it`},
		{"one.proto", "A", columns("[0]"), `fields.[0].from: "[0]" leads to no field: write names joined by dots`},
		{"one.proto", "A", []Want{list("l", "x", columns("y")...)}, `fields.l.from: x is no message, it has no fields`},
		{"one.proto", "A", []Want{{Name: "c", Column: "3"}}, `fields.c.column: protobuf has no columns: write from`},
	} {
		_, ps := New(Options{Format: "protobuf", Schema: c.schema, Records: c.records, Files: open}, c.wants)
		text := ""
		if len(ps) > 0 {
			text = ps[0].String()
		}
		if text != c.want && (c.want == "" || !strings.HasPrefix(text, c.want)) {
			t.Errorf("%s %s: %s\nwant %s", c.schema, c.records, text, c.want)
		}
	}
	for from, want := range map[string]string{
		"lines.sku": `"lines.sku": lines is a list: write lines[0] for its first item, or take it as a field of type list`,
		"stock[0]":  `"stock[0]": stock is a map: write the key, as stock["key"]`,
		"stock.a.b": `"stock.a.b": an item of stock is no message, nothing is in it`,
		"total[0]":  `"total[0]": shop.Money is no list`,
	} {
		if _, ps := New(shopOptions(), columns(from)); len(ps) != 1 || ps[0].Text != want {
			t.Errorf("%s, want %s", ps, want)
		}
	}
}

func TestProtobufIsReadInFlatMemory(t *testing.T) { // not parallel: it measures memory
	one := []byte(wireMessage(wireText(1, "A-1"), wireNumber(2, 7), wireText(19, string(wireText(1, "sku")))))
	const n = 500_000
	d := decoder(t, shopOptions(), append(columns("id", "number"), list("lines", "lines", columns("sku")...))...)
	count := 0
	most := peak(t, &formatstest.Endless{Text: one, Left: int64(n * len(one))}, func(r io.Reader) {
		for rec, err := range d.Decode(Blob{Reader: r, Size: -1}) {
			if err != nil || len(rec.Cells) != 3 {
				t.Fatal(err)
			}
			count++
		}
	})
	if count != n || most > 2<<20 {
		t.Errorf("%d records, %d bytes in memory", count, most)
	}
}

func FuzzProtobuf(f *testing.F) {
	s := shopSchema(f)
	for _, text := range []string{`{}`, `{"id":"a","lines":[{"sku":"b","tags":["c"]}],"stock":{"a":"1"},"deltas":["1","-2"],"at":"2026-01-31T10:00:00Z","cash":{"units":"3"}}`} {
		m := dynamicpb.NewMessage(s.message)
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			f.Fatal(err)
		}
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(appendDelimited(appendDelimited(nil, wire), wire))
	}
	o := shopOptions()
	o.Limits, o.Raw = fuzzLimits, true
	wants := shopWants()
	d, whole := decoder(f, o, wants...), decoder(f, o)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range []Decoder{d, whole} {
			once, end := pbHeld(t, d, bytes.NewReader(data))
			again, ended := pbHeld(t, d, iotest.OneByteReader(bytes.NewReader(data)))
			if !slices.Equal(once, again) || fmt.Sprint(end) != fmt.Sprint(ended) {
				t.Fatalf("%q, %v\nbyte by byte %q, %v", once, end, again, ended)
			}
		}
	})
}

func pbHeld(t *testing.T, d Decoder, r io.Reader) (list []string, end error) {
	t.Helper()
	for rec, err := range d.Decode(Blob{Reader: r, Size: -1}) {
		var bad *RecordError
		var f *FileError
		switch {
		case errors.As(err, &bad):
			if bad.Offset < 0 || bad.Reason == "" {
				t.Fatalf("no position: %+v", bad)
			}
			list = append(list, bad.Error())
		case errors.As(err, &f):
			if f.Offset < 0 || f.Reason == "" {
				t.Fatalf("no position: %+v", f)
			}
			return list, err
		case err != nil:
			t.Fatal(err)
		default:
			if len(rec.Raw) > int(fuzzLimits.MaxRecord) {
				t.Fatalf("a record of %d bytes", len(rec.Raw))
			}
			if len(rec.Cells) > 1 { // of maps the order is any in a whole message
				list = append(list, show(rec.Cells[:17]))
			}
		}
	}
	return list, nil
}

// The record of P10: nine fields and two lines, as BenchmarkJSON has it.
func benchProto() []byte {
	line := func(no uint64, sku string) []byte {
		return wireText(9, string(append(wireNumber(1, no), wireText(2, sku)...)))
	}
	price := protowire.AppendFixed64(protowire.AppendTag(nil, 4, protowire.Fixed64Type), math.Float64bits(199.9))
	return []byte(wireMessage(wireText(1, "1000017"), wireText(2, "AB-4711"), wireNumber(3, 12), price, wireText(5, "2026-11-21"), wireText(6, "W1"),
		wireText(7, "Clermont-Ferrand"), wireNumber(8, 1), line(1, "x"), line(2, "y")))
}

const benchSchema = `syntax = "proto3";
message Order { string id = 1; string sku = 2; int64 qty = 3; double price = 4; string day = 5; string site = 6; string city = 7; bool flag = 8;
  message Line { int64 no = 1; string sku = 2; } repeated Line lines = 9; }`

func benchFiles(path string) ([]byte, error) {
	if path != "o.proto" {
		return nil, os.ErrNotExist
	}
	return []byte(benchSchema), nil
}

func BenchmarkProtobuf(b *testing.B) {
	data := bytes.Repeat(benchProto(), benchRows)
	o := Options{Format: "protobuf", Schema: "o.proto", Files: benchFiles}
	wants := append(columns("id", "sku", "qty", "price", "day", "site", "city", "flag"), list("lines", "lines", columns("no", "sku")...))
	b.Run("decode", func(b *testing.B) { benchDecode(b, decoder(b, o, wants...), data, benchRows) })
	b.Run("undeclared", func(b *testing.B) { benchDecode(b, decoder(b, o), data, benchRows) })
	b.Run("floor=protowire", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for rest := data; len(rest) > 0; n++ {
				message, k := protowire.ConsumeBytes(rest)
				rest = rest[k:]
				var o benchOrder
				if !o.parse(message) {
					b.Fatal("no message")
				}
			}
		}
	})
}

// benchOrder is what a program of its own would fill: the shortest honest loop.
type benchOrder struct {
	id, sku, day, site, city []byte
	qty                      int64
	price                    float64
	flag                     bool
	lines                    []benchLine
	room                     [4]benchLine
}

type benchLine struct {
	no  int64
	sku []byte
}

func (o *benchOrder) parse(b []byte) bool {
	o.lines = o.room[:0]
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch kind {
		case protowire.BytesType:
			text, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return false
			}
			b = b[n:]
			if number == 9 {
				o.lines = append(o.lines, benchLine{})
				if !o.lines[len(o.lines)-1].parse(text) {
					return false
				}
			} else if to := o.text(number); to == nil || !utf8.Valid(text) {
				return false
			} else {
				*to = text
			}
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return false
			}
			if b = b[n:]; number == 3 {
				o.qty = int64(v)
			} else {
				o.flag = v != 0
			}
		case protowire.Fixed64Type:
			v, n := protowire.ConsumeFixed64(b)
			if n < 0 {
				return false
			}
			b, o.price = b[n:], math.Float64frombits(v)
		}
	}
	return true
}

func (o *benchOrder) text(number protowire.Number) *[]byte {
	switch number {
	case 1:
		return &o.id
	case 2:
		return &o.sku
	case 5:
		return &o.day
	case 6:
		return &o.site
	case 7:
		return &o.city
	}
	return nil
}

func (l *benchLine) parse(b []byte) bool {
	for len(b) > 0 {
		_, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if kind == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return false
			}
			l.no, b = int64(v), b[n:]
			continue
		}
		if l.sku, n = protowire.ConsumeBytes(b); n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}
