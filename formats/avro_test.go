package formats

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	integer "math/big"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"
)

const avroMark = "0123456789abcdef" // behind the header and each block

func zigzag(n int64) string { return string(binary.AppendVarint(nil, n)) }

func avroText(s string) string { return zigzag(int64(len(s))) + s }

// avroHead is a header.
func avroHead(schema, codec string) string {
	return avroMagic + zigzag(2) + avroText("avro.schema") + avroText(schema) + avroText("avro.codec") + avroText(codec) + zigzag(0) + avroMark
}

func avroBlock(count int64, packed string) string {
	return zigzag(count) + avroText(packed) + avroMark
}

// avroPacked packs a block.
func avroPacked(t testing.TB, codec, plain string) string {
	t.Helper()
	var b bytes.Buffer
	switch codec {
	case "null":
		return plain
	case "snappy":
		return string(binary.BigEndian.AppendUint32(snappy.Encode(nil, []byte(plain)), crc32.ChecksumIEEE([]byte(plain))))
	case "zstandard":
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		return string(z.EncodeAll([]byte(plain), nil))
	case "deflate":
		z, err := flate.NewWriter(&b, 6)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write([]byte(plain)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

var avroCodecs = []string{"null", "deflate", "snappy", "zstandard"}

// An avroDrawn is a type as the library has it, and how its values are drawn: as the library takes them, and as JSON has them.
type avroDrawn struct {
	schema any
	name   string // in a union
	draw   func(t *rapid.T) (native, want any)
}

// drawAvro draws a type.
func drawAvro(t *rapid.T, depth int, names *int) avroDrawn {
	plain := func(name string, draw func(t *rapid.T) (any, any)) avroDrawn { return avroDrawn{name, name, draw} }
	logical := func(on, name string, draw func(t *rapid.T) (any, any)) avroDrawn {
		return avroDrawn{map[string]any{"type": on, "logicalType": name}, on + "." + name, draw}
	}
	number := func(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }
	when := func(t *rapid.T, unit time.Duration) time.Time {
		return time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "s"), int64(time.Duration(rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).Truncate(unit))).UTC()
	}
	own := func() string { *names++; return fmt.Sprintf("n%d", *names) }
	last := 13
	if depth > 2 {
		last = 10
	}
	switch rapid.IntRange(0, last).Draw(t, "type") {
	case 0:
		return plain("boolean", func(t *rapid.T) (any, any) { b := rapid.Bool().Draw(t, "b"); return b, b })
	case 1:
		return plain("int", func(t *rapid.T) (any, any) { n := rapid.Int32().Draw(t, "i"); return n, number(int64(n)) })
	case 2:
		return plain("long", func(t *rapid.T) (any, any) { n := rapid.Int64().Draw(t, "l"); return n, number(n) })
	case 3:
		return plain("double", func(t *rapid.T) (any, any) {
			f := rapid.Float64().Draw(t, "d")
			return f, json.Number(appendFloat(nil, f, 64))
		})
	case 4:
		return plain("bytes", func(t *rapid.T) (any, any) {
			b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
			return b, base64.StdEncoding.EncodeToString(b)
		})
	case 5:
		return plain("string", func(t *rapid.T) (any, any) { s := rapid.String().Draw(t, "s"); return s, s })
	case 6:
		return logical("long", "timestamp-millis", func(t *rapid.T) (any, any) {
			at := when(t, time.Millisecond)
			return at, at.Format("2006-01-02T15:04:05") + string(appendFraction(nil, int64(at.Nanosecond()))) + "Z"
		})
	case 7:
		return logical("long", "timestamp-micros", func(t *rapid.T) (any, any) {
			at := when(t, time.Microsecond)
			return at, at.Format("2006-01-02T15:04:05") + string(appendFraction(nil, int64(at.Nanosecond()))) + "Z"
		})
	case 8:
		return logical("int", "date", func(t *rapid.T) (any, any) {
			at := when(t, time.Second).Truncate(24 * time.Hour)
			return at, at.Format(time.DateOnly)
		})
	case 9:
		scale := rapid.IntRange(0, 6).Draw(t, "scale")
		d := logical("bytes", "decimal", func(t *rapid.T) (any, any) {
			n := rapid.Int64().Draw(t, "decimal")
			ten := new(integer.Int).Exp(integer.NewInt(10), integer.NewInt(int64(scale)), nil)
			r := new(integer.Rat).SetFrac(integer.NewInt(n), ten)
			return r, json.Number(r.FloatString(scale))
		})
		d.schema.(map[string]any)["precision"], d.schema.(map[string]any)["scale"] = 20, scale
		return d
	case 10:
		name := own()
		return avroDrawn{map[string]any{"type": "enum", "name": name, "symbols": []string{"A", "B"}}, name, func(t *rapid.T) (any, any) {
			s := rapid.SampledFrom([]string{"A", "B"}).Draw(t, "symbol")
			return s, s
		}}
	case 11:
		return drawAvroHolder(t, drawAvro(t, depth+1, names))
	case 12:
		of := drawAvro(t, depth+1, names)
		return avroDrawn{[]any{"null", of.schema}, "", func(t *rapid.T) (any, any) {
			if of.name == "" || rapid.Bool().Draw(t, "null") { // a union in a union has no name
				return nil, nil
			}
			native, want := of.draw(t)
			return goavro.Union(of.name, native), want
		}}
	}
	return drawAvroRecord(t, own(), depth, names)
}

// drawAvroHolder draws an array or a map.
func drawAvroHolder(t *rapid.T, of avroDrawn) avroDrawn {
	if _, union := of.schema.([]any); union || rapid.Bool().Draw(t, "array") {
		return avroDrawn{map[string]any{"type": "array", "items": of.schema}, "array", func(t *rapid.T) (any, any) {
			natives, wants := []any{}, []any{}
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				native, want := of.draw(t)
				natives, wants = append(natives, native), append(wants, want)
			}
			return natives, wants
		}}
	}
	return avroDrawn{map[string]any{"type": "map", "values": of.schema}, "map", func(t *rapid.T) (any, any) {
		natives, wants := map[string]any{}, map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			key := rapid.String().Draw(t, "key")
			natives[key], wants[key] = of.draw(t)
		}
		return natives, wants
	}}
}

func drawAvroRecord(t *rapid.T, name string, depth int, names *int) avroDrawn {
	var fields []any
	var of []avroDrawn
	for i := range rapid.IntRange(1, 4).Draw(t, "fields") {
		of = append(of, drawAvro(t, depth+1, names))
		fields = append(fields, map[string]any{"name": fmt.Sprintf("f%d", i), "type": of[i].schema})
	}
	return avroDrawn{map[string]any{"type": "record", "name": name, "fields": fields}, name, func(t *rapid.T) (any, any) {
		natives, wants := map[string]any{}, map[string]any{}
		for i, f := range of {
			key := fmt.Sprintf("f%d", i)
			natives[key], wants[key] = f.draw(t)
		}
		return natives, wants
	}}
}

// avroFile writes records, a few in each block: by the library where it knows the codec.
func avroFile(t *rapid.T, tb testing.TB, schema, codec string, natives []any) string {
	if codec == "zstandard" {
		c, err := goavro.NewCodec(schema)
		if err != nil {
			t.Fatal(err)
		}
		file := avroHead(schema, codec)
		for _, n := range natives {
			plain, err := c.BinaryFromNative(nil, n)
			if err != nil {
				t.Fatal(err)
			}
			file += avroBlock(1, avroPacked(tb, codec, string(plain)))
		}
		return file
	}
	var b bytes.Buffer
	w, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: schema, CompressionName: codec})
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	for len(natives) > 0 {
		n := rapid.IntRange(1, len(natives)).Draw(t, "of a block")
		if err := w.Append(natives[:n]); err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		natives = natives[n:]
	}
	return b.String()
}

func TestAvroIsReadAsTheLibraryWroteIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		names := 0
		drawn := drawAvroRecord(rt, "top", 0, &names)
		var natives, wants []any
		for range rapid.IntRange(1, 5).Draw(rt, "records") {
			native, want := drawn.draw(rt)
			natives, wants = append(natives, native), append(wants, want)
		}
		schema, err := json.Marshal(drawn.schema)
		if err != nil {
			rt.Fatal(err)
		}
		file := avroFile(rt, t, string(schema), rapid.SampledFrom(avroCodecs).Draw(rt, "codec"), natives)
		var got []any
		for rec, err := range decoder(t, Options{Format: "avro"}).Decode(blobOf(file)) {
			if err != nil {
				rt.Fatalf("%s: %v", schema, err)
			}
			d := json.NewDecoder(bytes.NewReader(rec.Cells[0].Bytes))
			d.UseNumber()
			var v any
			if err := d.Decode(&v); err != nil || rec.Cells[0].Kind != Tree {
				rt.Fatalf("%s: %v", rec.Cells[0].Bytes, err)
			}
			got = append(got, v)
		}
		if !reflect.DeepEqual(got, wants) {
			rt.Fatalf("%s\n got %v\nwant %v", schema, got, wants)
		}
	})
}

// What avro values are shown as, for types the library above does not have, and at the bounds of others.
func TestAvroValues(t *testing.T) {
	t.Parallel()
	number := func(name string) string { return `{"type":"long","logicalType":"` + name + `"}` }
	fixed := func(size int, more string) string {
		return fmt.Sprintf(`{"type":"fixed","name":"f","size":%d%s}`, size, more)
	}
	for _, c := range []struct{ schema, bytes, want string }{
		{`"null"`, "", "null"},
		{`"float"`, "\x00\x00\xc0\x7f", `"NaN"`},
		{`"float"`, "\x00\x00\x80\xff", `"-Infinity"`},
		{`"float"`, "\xcd\xcc\xcc\x3d", "0.1"},
		{`"double"`, "\x9a\x99\x99\x99\x99\x99\xb9\x3f", "0.1"},
		{`"long"`, zigzag(-1 << 63), "-9223372036854775808"},
		{`"int"`, zigzag(1 << 31), "reject field v: 2147483648, which is no int of 32 bits"},
		{`"boolean"`, "\x02", "reject field v: the byte 2 for a boolean, which is 0 or 1"},
		{`"string"`, avroText("a\x00\"é"), `"a\x00\"é"`},
		{`"string"`, avroText("a\xff"), "reject field v: a text that is not valid UTF-8"},
		{number("timestamp-nanos"), zigzag(-1), `"1969-12-31T23:59:59.999999999Z"`},
		{number("local-timestamp-millis"), zigzag(1500), `"1970-01-01T00:00:01.500"`},
		{number("local-timestamp-micros"), zigzag(-1), `"1969-12-31T23:59:59.999999"`},
		{number("local-timestamp-nanos"), zigzag(1e9), `"1970-01-01T00:00:01"`},
		{number("timestamp-millis"), zigzag(1 << 62), "reject field v: a time that is not in the years 1 to 9999"},
		{number("time-micros"), zigzag(86_399_999_999), `"23:59:59.999999"`},
		{number("time-micros"), zigzag(86_400_000_000), "reject field v: 86400000000 is no time of day"},
		{`{"type":"int","logicalType":"time-millis"}`, zigzag(1), `"00:00:00.001"`},
		{`{"type":"int","logicalType":"time-millis"}`, zigzag(-1), "reject field v: -1 is no time of day"},
		{`{"type":"int","logicalType":"date"}`, zigzag(-719162), `"0001-01-01"`},
		{`{"type":"int","logicalType":"date"}`, zigzag(-719163), "reject field v: a time that is not in the years 1 to 9999"},
		{`{"type":"string","logicalType":"date"}`, avroText("x"), `"x"`},
		{number("of-tomorrow"), zigzag(7), "7"},
		{`{"type":{"type":"long","logicalType":"timestamp-millis"}}`, zigzag(0), `"1970-01-01T00:00:00Z"`},
		{fixed(2, `,"logicalType":"decimal","precision":4,"scale":2`), "\xff\xff", "-0.01"},
		{fixed(2, `,"logicalType":"decimal","precision":4,"scale":0`), "\x80\x00", "-32768"},
		{fixed(0, `,"logicalType":"decimal","precision":4,"scale":1`), "", "0.0"},
		{`{"type":"bytes","logicalType":"decimal","precision":4}`, avroText("\x01"), "1"},
		{`{"type":"bytes","logicalType":"decimal","precision":1000}`, avroText(strings.Repeat("a", 417)), "reject field v: a decimal of more than 1000 digits"},
		{fixed(16, `,"logicalType":"uuid"`), "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", `"00112233-4455-6677-8899-aabbccddeeff"`},
		{fixed(12, `,"logicalType":"duration"`), "\x01\x00\x00\x00\x02\x00\x00\x00\xbc\x0b\x00\x00", `"P1M2DT3.004S"`},
		{fixed(3, ""), "abc", `"YWJj"`},
		{`{"type":"enum","name":"e","symbols":["A","B"]}`, zigzag(1), `"B"`},
		{`{"type":"enum","name":"e","symbols":["A","B"]}`, zigzag(2), "reject field v: the symbol 2 of the 2 that there are"},
		{`["null","string"]`, zigzag(0), "null"},
		{`["null","string"]`, zigzag(1) + avroText("x"), `"x"`},
		{`{"type":"array","items":"int"}`, zigzag(-2) + zigzag(2) + zigzag(1) + zigzag(2) + zigzag(1) + zigzag(3) + zigzag(0), "[1,2,3]"},
		{`{"type":"map","values":"int"}`, zigzag(1) + avroText("k") + zigzag(1) + zigzag(0), `{"k":1}`},
		{`{"type":"map","values":"int"}`, zigzag(2) + avroText("k") + zigzag(1) + avroText("k") + zigzag(1) + zigzag(0), `reject the member "k" stands twice in one object`},
		{`{"type":"record","name":"r","namespace":"a.b","fields":[{"name":"x","type":["null","r"]},{"name":"y","type":"a.b.r2"}]}`, "", `refused offset 0`},
		{`{"type":"record","name":"r","namespace":"a.b","fields":[{"name":"x","type":["null","r"]}]}`, zigzag(1) + zigzag(0), `{"x":{"x":null}}`},
	} {
		schema := `{"type":"record","name":"top","fields":[{"name":"first","type":"int"},{"name":"v","type":` + c.schema + `}]}`
		d := decoder(t, Options{Format: "avro"}, columns("v")...)
		lines, err := read(d, blobOf(avroHead(schema, "null")+avroBlock(2, zigzag(1)+c.bytes+zigzag(1)+c.bytes)))
		got := "refused " + fmt.Sprint(err)
		if err == nil && len(lines) == 2 && lines[0] == strings.Replace(lines[1], "record 2", "record 1", 1) { // the one behind it is not touched by what it is
			got = strings.Replace(lines[0], "record 1: ", "", 1)
		}
		if got != c.want && (c.want != "refused offset 0" || !strings.Contains(got, `there is no type "a.b.r2"`)) {
			t.Errorf("%s: %v\nwant %s", c.schema, lines, c.want)
		}
	}
}

func TestAvroFieldsAreTakenByPaths(t *testing.T) {
	t.Parallel()
	schema := `{"type":"record","name":"Order","fields":[{"name":"no","type":"string"},{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
		{"name":"sku","type":"string"},{"name":"qty","type":["null","int"]}]}}},{"name":"stock","type":{"type":"map","values":"long"}}]}`
	order := avroText("A-1") + zigzag(2) + avroText("x") + zigzag(1) + zigzag(3) + avroText("y") + zigzag(0) + zigzag(0) + zigzag(1) + avroText("a b") + zigzag(9) + zigzag(0)
	wants := append(columns("no", "lines[1].sku", `stock["a b"]`, "nothing", "$.no"), list("lines", "lines", columns("sku", "qty")...), Want{Name: "either", From: []string{"gone", "no"}})
	for _, codec := range avroCodecs {
		file := avroHead(schema, codec) + avroBlock(1, avroPacked(t, codec, order)) + avroBlock(0, avroPacked(t, codec, "")) + avroBlock(2, avroPacked(t, codec, order+order))
		for how, r := range map[string]io.Reader{"at once": strings.NewReader(file), "byte by byte": iotest.OneByteReader(strings.NewReader(file))} {
			var got []string
			for rec, err := range decoder(t, Options{Format: "avro", Raw: true}, wants...).Decode(Blob{Reader: r, Size: -1}) {
				if err != nil {
					t.Fatalf("%s, %s: %v", codec, how, err)
				}
				got = append(got, show(rec.Cells))
				if want := `{"no":"A-1","lines":[{"sku":"x","qty":3},{"sku":"y","qty":null}],"stock":{"a b":9}}`; string(rec.Raw) != want || rec.Number != int64(len(got)) || rec.Line != 0 || rec.Offset == 0 {
					t.Errorf("%s: %+v", codec, rec)
				}
			}
			one := `"A-1" "y" 9 ∅ "A-1" ["x" 3 | "y" null] "A-1"`
			if want := []string{one, one, one}; !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s:\n got %v\nwant %v", codec, how, got, want)
			}
		}
	}
}

// hostileAvro is read with the field v.
func hostileAvro(t testing.TB, l Limits, file string) string {
	t.Helper()
	var got []string
	for rec, err := range decoder(t, Options{Format: "avro", Limits: l}, columns("v")...).Decode(blobOf(file)) {
		var f *FileError
		switch {
		case errors.As(err, &f):
			if f.Limit != "" {
				f.Reason = "[" + f.Limit + "] " + f.Reason
			}
			if f.Incomplete {
				f.Reason += " (incomplete)"
			}
			got = append(got, "refused "+f.Error())
		case err != nil:
			got = append(got, "reject "+err.Error())
		default:
			got = append(got, show(rec.Cells))
		}
	}
	return strings.Join(got, " ")
}

const avroV = `{"type":"record","name":"r","fields":[{"name":"v","type":"string"}]}`

func TestHostileAvro(t *testing.T) {
	t.Parallel()
	head := avroHead(avroV, "null")
	good := avroBlock(1, avroText("a"))
	of := func(schema, data string) string {
		return avroHead(`{"type":"record","name":"r","fields":[{"name":"v","type":`+schema+`}]}`, "null") + avroBlock(1, data)
	}
	array := func(items string) string { return `{"type":"array","items":` + items + `}` }
	for name, c := range map[string]struct{ file, want string }{
		"nothing":                         {"", ""},
		"header alone":                    {head, ""},
		"no container file":               {"id;qty\n", "refused offset 0: the file does not begin as an Avro container file does, with Obj and the byte 1"},
		"magic cut off":                   {"Obj", "refused offset 0: the file ends inside its header: truncated? (incomplete)"},
		"header cut off":                  {head[:20], "refused offset 19: the file ends inside its header: truncated? (incomplete)"},
		"sync of the header cut off":      {head[:len(head)-1], "refused offset 104: the file ends inside its header: truncated? (incomplete)"},
		"header of 2^62 entries":          {avroMagic + zigzag(1<<62) + avroText("a") + avroText("b"), "refused offset 18: the file ends inside its header: truncated? (incomplete)"},
		"header of -2^63 entries":         {avroMagic + zigzag(-1<<63) + zigzag(1), "refused offset 15: the file ends inside its header: truncated? (incomplete)"},
		"text of 2^62 bytes in header":    {avroMagic + zigzag(1) + zigzag(1<<62), "refused offset 15: [max_field] the header has a text of 4611686018427387904 bytes, max_field is 1MiB"},
		"text of -1 bytes in header":      {avroMagic + zigzag(1) + zigzag(-1), "refused offset 6: [max_field] the header has a text of -1 bytes, max_field is 1MiB"},
		"number of 11 bytes":              {avroMagic + strings.Repeat("\xff", 11), "refused offset 4: a number in its header has more than 64 bits"},
		"no schema":                       {avroMagic + zigzag(0) + avroMark, "refused offset 21: the schema in its header: it is no JSON: EOF"},
		"schema that goes on":             {avroHead(`"int" "int"`, "null"), "refused offset 62: the schema in its header: something stands behind its end"},
		"schema of no type":               {avroHead(`7`, "null"), "refused offset 52: the schema in its header: a type is a name, a list or an object"},
		"schema of an unknown type":       {avroHead(`{"type":"array","items":"x"}`, "null"), `refused offset 79: the schema in its header: there is no type "x"`},
		"schema 200 deep":                 {avroHead(strings.Repeat(`{"type":"array","items":`, 200)+`"int"`+strings.Repeat("}", 200), "null"), "refused offset 5057: the schema in its header: types are nested deeper than 100 (max_depth)"},
		"schema of unions 200 deep":       {avroHead(strings.Repeat(`[`, 200)+`"int"`+strings.Repeat("]", 200), "null"), "refused offset 457: the schema in its header: types are nested deeper than 100 (max_depth)"},
		"schema of types 200 deep":        {avroHead(strings.Repeat(`{"type":`, 200)+`"int"`+strings.Repeat("}", 200), "null"), "refused offset 1857: the schema in its header: types are nested deeper than 100 (max_depth)"},
		"empty union":                     {avroHead(`[]`, "null"), "refused offset 53: the schema in its header: a union of no types"},
		"a type twice":                    {avroHead(`["int",{"type":"fixed","name":"f","size":1},{"type":"fixed","name":"f","size":2}]`, "null"), `refused offset 133: the schema in its header: the type "f" is there twice`},
		"fixed of 2^62 bytes":             {of(`{"type":"fixed","name":"f","size":4611686018427387904}`, ""), `refused offset 166: the schema in its header: v: the size of "f": "4611686018427387904" is no whole number from 0 to 1048576`},
		"fixed of -1 bytes":               {of(`{"type":"fixed","name":"f","size":-1}`, ""), `refused offset 149: the schema in its header: v: the size of "f": "-1" is no whole number from 0 to 1048576`},
		"decimal of 10^9 digits":          {of(`{"type":"bytes","logicalType":"decimal","precision":1000000000}`, ""), `refused offset 175: the schema in its header: v: the precision of a decimal: "1000000000" is no whole number from 0 to 1000`},
		"field twice":                     {avroHead(`{"type":"record","name":"r","fields":[{"name":"v","type":"int"},{"name":"v","type":"int"}]}`, "null"), `refused offset 143: the schema in its header: a field of the record "r" has no name, or that of another`},
		"unknown codec":                   {avroHead(avroV, "xz"), `refused offset 118: the header: its blocks are packed with "xz": null, deflate, snappy, zstandard and bzip2 are read`},
		"block of 2^62 bytes":             {head + zigzag(1) + zigzag(1<<62), "refused offset 131: [max_part] the block at offset 120 is said to have 4611686018427387904 bytes, max_part is 16MiB"},
		"block of -1 bytes":               {head + zigzag(1) + zigzag(-1), "refused offset 122: [max_part] the block at offset 120 is said to have -1 bytes, max_part is 16MiB"},
		"block of 16 MiB that is not":     {head + zigzag(1) + zigzag(16<<20), "refused offset 125: the file ends inside the block at offset 120: truncated? (incomplete)"},
		"block of 2^62 records":           {head + avroBlock(1<<62, avroText("a")), "refused offset 131: the block at offset 120 is said to hold 4611686018427387904 records, in 2 bytes"},
		"block of -1 records":             {head + avroBlock(-1, avroText("a")), "refused offset 122: the block at offset 120 is said to hold -1 records, in 2 bytes"},
		"records of no bytes":             {of(`"null"`, ""), "refused offset 120: the block at offset 118 is said to hold 1 records, in 0 bytes"},
		"block with too few":              {head + avroBlock(2, avroText("a")), `"a" refused offset 124: record 2: field v: a number that is cut off, or has more than 64 bits`},
		"block with too many":             {head + avroBlock(1, avroText("a")+avroText("b")), `"a" refused offset 124: 2 bytes stand behind the last record of a block, record 1`},
		"another sync":                    {head + good + zigzag(1) + avroText(avroText("a")) + strings.ToUpper(avroMark), `"a" refused offset 142: the block at offset 140 does not end where it says`},
		"block cut off":                   {head + good[:len(good)-1], `refused offset 122: the file ends inside the block at offset 120: truncated? (incomplete)`},
		"text of 2^62 bytes":              {head + avroBlock(1, zigzag(1<<62)+"a"), "refused offset 122: record 1: field v: a value of 4611686018427387904 bytes, where 1 are left of the block"},
		"text of -1 bytes":                {head + avroBlock(1, zigzag(-1)+"a"), "refused offset 122: record 1: field v: a value of -1 bytes, where 1 are left of the block"},
		"text beyond max_field":           {head + avroBlock(1, avroText(strings.Repeat("x", 1<<20+1))), "refused offset 125: [max_field] record 1: field v: a value is longer than max_field, 1MiB"},
		"record beyond max_record":        {of(array(`"string"`), zigzag(9)+strings.Repeat(avroText(strings.Repeat("x", 1<<20)), 9)+zigzag(0)), "refused offset 8388791: [max_record] record 1: field v: the record is longer than max_record, 8MiB, as JSON"},
		"record that grows as JSON":       {of(array(`"string"`), zigzag(3)+strings.Repeat(avroText(strings.Repeat("\x01", 1<<20)), 3)+zigzag(0)), "refused offset 2097311: [max_record] record 1: field v: the record is longer than max_record, 8MiB, as JSON"},
		"array of 2^62 nulls":             {of(array(`"null"`), zigzag(1<<62)+zigzag(0)), "refused offset 155: [max_record] record 1: field v: the record is longer than max_record, 8MiB, as JSON"},
		"array of -2^63 nulls":            {of(array(`"null"`), zigzag(-1<<63)+zigzag(0)), "refused offset 156: record 1: field v: a count of items that is no number"},
		"array of 2^62 empty records":     {of(array(`{"type":"record","name":"n","fields":[]}`), zigzag(1<<62)+zigzag(0)), "refused offset 189: [max_record] record 1: field v: the record is longer than max_record, 8MiB, as JSON"},
		"record within itself":            {of(`"r"`, "a"), "refused offset 116: [max_depth] record 1: field v.v.v.v.v.v.…: values are nested deeper than 100 (max_depth)"},
		"arrays of themselves, 1000 deep": {of(array(`"r"`), strings.Repeat(zigzag(1), 1000)), "refused offset 193: [max_depth] record 1: field v.v.v.v.v.v.…: values are nested deeper than 100 (max_depth)"},
		"records that double, 60 deep":    {of(doubling(60), "a"), "refused"},
		"branch 2^62 of a union":          {of(`["null"]`, zigzag(1<<62)), "refused offset 132: record 1: field v: the branch 4611686018427387904 of a union of 1 types"},
		"branch -1 of a union":            {of(`["null"]`, zigzag(-1)), "refused offset 123: record 1: field v: the branch -1 of a union of 1 types"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := hostileAvro(t, Limits{}, c.file)
			if got != c.want && (c.want != "refused" || !strings.HasPrefix(got, c.want) || !strings.Contains(got, "[max_record]")) {
				t.Errorf("\n got %.400s\nwant %s", got, c.want)
			}
		})
	}
}

// doubling is a record of two records, each of two, and so on: an endless value of no bytes.
func doubling(n int) string {
	inner := `"null"`
	for i := range n {
		again := inner
		if i > 0 {
			again = fmt.Sprintf(`"d%d"`, i-1)
		}
		inner = fmt.Sprintf(`{"type":"record","name":"d%d","fields":[{"name":"a","type":%s},{"name":"b","type":%s}]}`, i, inner, again)
	}
	return inner
}

// TestAvroBlocksThatAreBombs is not parallel: it looks at what the process allocates.
func TestAvroBlocksThatAreBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 17<<20)
	for _, codec := range avroCodecs[1:] {
		bomb := avroHead(avroV, codec) + avroBlock(1, avroPacked(t, codec, zeros))
		least := heapOf(func() {
			if got := hostileAvro(t, Limits{}, bomb); !strings.Contains(got, "[max_part]") || !strings.Contains(got, "it unpacks to more than max_part, 16MiB") {
				t.Errorf("%s: %s", codec, got)
			}
		})
		if least > 40<<20 {
			t.Errorf("%s: %d bytes allocated", codec, least)
		}
		small := avroPacked(t, codec, avroText(strings.Repeat("a", 1<<19)))
		if codec != "snappy" { // which packs to a twentieth at best
			many := avroHead(avroV, codec) + strings.Repeat(avroBlock(1, small), 9)
			if got := hostileAvro(t, Limits{}, many); !strings.Contains(got, "[max_ratio] the block at offset ") {
				t.Errorf("%s: %.200s", codec, got[max(0, len(got)-200):])
			}
		}
		if got := hostileAvro(t, Limits{MaxUnpacked: 1 << 19}, avroHead(avroV, codec)+avroBlock(1, small)); !strings.Contains(got, "[max_unpacked]") {
			t.Errorf("%s: %s", codec, got)
		}
		for what, packed := range map[string]string{"cut off": small[:len(small)-5], "nothing": "", "changed": strings.Repeat("\xff", 30)} {
			if got := hostileAvro(t, Limits{}, avroHead(avroV, codec)+avroBlock(1, packed)); !strings.HasPrefix(got, "refused offset ") {
				t.Errorf("%s, %s: %s", codec, what, got)
			}
		}
	}
	lie := string(binary.AppendUvarint(nil, 1<<31)) + "abcd"
	if got := hostileAvro(t, Limits{}, avroHead(avroV, "snappy")+avroBlock(1, lie)); !strings.Contains(got, "[max_part]") {
		t.Errorf("snappy that says it has 2 GiB: %s", got)
	}
	sum := avroPacked(t, "snappy", avroText("a"))
	sum = sum[:len(sum)-1] + string([]byte{sum[len(sum)-1] ^ 1})
	if got := hostileAvro(t, Limits{}, avroHead(avroV, "snappy")+avroBlock(1, sum)); !strings.Contains(got, "its checksum is wrong") {
		t.Errorf("a wrong checksum: %s", got)
	}
	after := avroPacked(t, "deflate", avroText("a")) + "x"
	if got := hostileAvro(t, Limits{}, avroHead(avroV, "deflate")+avroBlock(1, after)); !strings.Contains(got, "something stands behind what was packed") {
		t.Errorf("a byte behind: %s", got)
	}
}

// heapOf is what the process allocates while a function runs.
func heapOf(do func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestAvroSchemasThatAreBombs is not parallel: it looks at what the process allocates. A schema of one text may ask for far more memory or time than it has bytes,
// and so may a record of none.
func TestAvroSchemasThatAreBombs(t *testing.T) {
	var types []string
	for i := range 1000 {
		types = append(types, fmt.Sprintf(`{"type":"enum","name":"e%d","symbols":["A"]},"e%d"`, i, i))
	}
	space := func(n int) string {
		return avroHead(`{"type":"record","name":"r","namespace":"`+strings.Repeat("n", n)+`","fields":[{"name":"v","type":[`+strings.Join(types, ",")+`]}]}`, "null") + avroBlock(1, zigzag(0)+zigzag(0))
	}
	for _, c := range []struct {
		name, file, want string
		l                Limits
		most             int64
	}{
		{"namespace of 400 KiB above 1,000 types", space(400 << 10), `the schema in its header: the name of a type, "r", is longer than 1000 bytes with its namespace`, Limits{}, 16 << 20},
		{"namespace that is not too long", space(900), `"A"`, Limits{}, 16 << 20},
		{"name of 400 KiB that is meant", avroHead(`{"type":"record","name":"r","namespace":"n","fields":[{"name":"v","type":"`+strings.Repeat("x", 400<<10)+`"}]}`, "null"), `there is no type "xxx`, Limits{}, 16 << 20},
		{"records of four bytes that are 5 MB of JSON each", avroHead(`{"type":"record","name":"r","fields":[{"name":"v","type":{"type":"array","items":"null"}}]}`, "null") + avroBlock(1000, strings.Repeat(zigzag(1_000_000)+zigzag(0), 1000)),
			"[max_ratio] the records up to record 1 are more than 200 times as long as JSON as they are in their blocks (max_ratio)", Limits{}, 32 << 20},
		{"records that are longer as JSON than max_unpacked", avroHead(avroV, "null") + avroBlock(100, strings.Repeat(avroText("a"), 100)),
			"[max_unpacked] the records up to record 34 are longer than max_unpacked, 300B, as JSON", Limits{MaxUnpacked: 300}, 1 << 20},
	} {
		var got string
		least := heapOf(func() { got = hostileAvro(t, c.l, c.file) })
		if !strings.Contains(got, c.want) || least > c.most {
			t.Errorf("%s: %d bytes allocated: %.300s", c.name, least, got)
		}
	}
}

func TestPickedRecordsOfAvroAreRefused(t *testing.T) {
	t.Parallel()
	file := avroHead(avroV, "null") + avroBlock(2, avroText("a\xff")+avroText("b"))
	var out bytes.Buffer
	n, err := Picked(func() (Blob, func()) { return blobOf(file), func() {} }, Options{Format: "avro"}, []Part{{Wants: columns("v")}}, Pick{Reasons: map[int64]string{1: "odd"}}, &out)
	if n != 0 || out.Len() > 0 || err == nil || !strings.Contains(err.Error(), "format avro cannot be written") {
		t.Errorf("%d, %q, %v", n, out.String(), err)
	}
}

func TestAvroNamesAreShownAsTheyCanBe(t *testing.T) {
	t.Parallel()
	of := func(name string) string {
		schema := `{"type":"record","name":"r","fields":[{"name":` + string(AppendJSONString(nil, []byte(name))) + `,"type":"boolean"},{"name":"v","type":"int"}]}`
		return hostileAvro(t, Limits{}, avroHead(schema, "null")+avroBlock(1, "\x02\x00"))
	}
	for name, want := range map[string]string{
		"größe":                      `field größe: `,
		"a b":                        `field a b: `,
		"a\x00\x1b[31m\nb":           `field "a\x00\x1b[31m\nb": `,
		`a"b`:                        `field "a\"b": `,
		strings.Repeat("x", 400<<10): `field "` + strings.Repeat("x", 200) + `": `,
	} {
		if got, want := of(name), "reject record 1: "+want+"the byte 2 for a boolean, which is 0 or 1"; got != want {
			t.Errorf("%.300q, want %s", got, want)
		}
	}
}

func TestAvroWhatStandsBesideTheNameOfATypeChangesNothingOfIt(t *testing.T) {
	t.Parallel()
	schema := `{"type":"record","name":"r","fields":[{"name":"v","type":{"type":"fixed","name":"f","size":2}},{"name":"w","type":{"type":"f","logicalType":"decimal","precision":4,"scale":2}}]}`
	if got := hostileAvro(t, Limits{}, avroHead(schema, "null")+avroBlock(1, "abab")); got != `"YWI="` {
		t.Error(got)
	}
}

// TestAvroZstandardIsHeldInMaxPart: a window is no size, and the library knows no bound below 1 KiB.
func TestAvroZstandardIsHeldInMaxPart(t *testing.T) {
	t.Parallel()
	wide := "\x28\xB5\x2F\xFD\x00\x80" + "\x11\x00\x00" + "\x02a" // a window of 64 MiB for two bytes
	if got := hostileAvro(t, Limits{}, avroHead(avroV, "zstandard")+avroBlock(1, wide)); !strings.Contains(got, "[max_part] the block at offset 125: to unpack it takes a window of more than max_part, 16MiB") {
		t.Error(got)
	}
	small := avroPacked(t, "zstandard", avroText(strings.Repeat("a", 500)))
	if got := hostileAvro(t, Limits{MaxPart: 400}, avroHead(avroV, "zstandard")+avroBlock(1, small)); !strings.Contains(got, "it unpacks to more than max_part, 400B") {
		t.Error(got)
	}
}

func TestAvroIsReadInFlatMemory(t *testing.T) { // not parallel: it measures memory
	block := avroBlock(100, avroPacked(t, "deflate", strings.Repeat(avroText("A-1"), 100)))
	const n = 5_000
	count := 0
	file := io.MultiReader(strings.NewReader(avroHead(avroV, "deflate")), &endless{text: []byte(block), left: int64(n * len(block))})
	most := peak(t, file, func(r io.Reader) {
		for _, err := range decoder(t, Options{Format: "avro"}, columns("v")...).Decode(Blob{Reader: r, Size: -1}) {
			if err != nil {
				t.Fatal(err)
			}
			count++
		}
	})
	if count != n*100 || most > 2<<20 {
		t.Errorf("%d records, %d bytes in memory", count, most)
	}
}

func FuzzAvro(f *testing.F) {
	schema := `{"type":"record","name":"r","fields":[{"name":"v","type":["null","string","r"]},{"name":"l","type":{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}},{"name":"m","type":{"type":"map","values":"double"}}]}`
	for _, codec := range avroCodecs {
		one := zigzag(1) + avroText("a") + zigzag(1) + avroText("\x01\x02") + zigzag(0) + zigzag(0)
		f.Add([]byte(avroHead(schema, codec) + avroBlock(2, avroPacked(f, codec, one+one))))
	}
	l := fuzzLimits
	l.MaxPart = 4096
	l.MaxRecord = 1000
	l.MaxField = 500
	o := Options{Format: "avro", Raw: true, Limits: l}
	whole, fields := decoder(f, o), decoder(f, o, append(columns("v", `m["a"]`), list("l", "l", columns("x")...))...)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range []Decoder{whole, fields} {
			once, end := avroHeld(t, d, l, bytes.NewReader(data))
			again, ended := avroHeld(t, d, l, iotest.OneByteReader(bytes.NewReader(data)))
			if !reflect.DeepEqual(once, again) || fmt.Sprint(end) != fmt.Sprint(ended) {
				t.Fatalf("%q, %v\nbyte by byte %q, %v", once, end, again, ended)
			}
		}
	})
}

func avroHeld(t *testing.T, d Decoder, l Limits, r io.Reader) (list []string, end error) {
	t.Helper()
	for rec, err := range d.Decode(Blob{Reader: r, Size: -1}) {
		var bad *RecordError
		var f *FileError
		switch {
		case errors.As(err, &bad):
			if bad.Offset <= 0 || bad.Reason == "" {
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
			if len(rec.Raw) > int(l.MaxRecord) || !json.Valid(rec.Raw) {
				t.Fatalf("a record of %d bytes: %q", len(rec.Raw), rec.Raw)
			}
			list = append(list, show(rec.Cells))
		}
	}
	return list, nil
}

func BenchmarkAvro(b *testing.B) {
	schema := `{"type":"record","name":"r","fields":[{"name":"id","type":"string"},{"name":"sku","type":"string"},{"name":"qty","type":"int"},{"name":"price","type":"double"},
		{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"site","type":"string"},{"name":"city","type":"string"},{"name":"zip","type":"string"},{"name":"flag","type":"boolean"},
		{"name":"lines","type":{"type":"array","items":{"type":"record","name":"l","fields":[{"name":"no","type":"int"},{"name":"sku","type":"string"}]}}}]}`
	one := avroText("1000017") + avroText("AB-4711") + zigzag(12) + "\xcd\xcc\xcc\xcc\xcc\xfc\x68\x40" + zigzag(20778) + avroText("W1") + avroText("Clermont-Ferrand") + avroText("63000") + "\x01" +
		zigzag(2) + zigzag(1) + avroText("x") + zigzag(2) + avroText("y") + zigzag(0)
	for _, codec := range avroCodecs {
		file := avroHead(schema, codec) + strings.Repeat(avroBlock(100, avroPacked(b, codec, strings.Repeat(one, 100))), benchRows/100)
		b.Run(codec, func(b *testing.B) {
			benchDecode(b, decoder(b, Options{Format: "avro", Limits: Limits{MaxRatio: 100_000}}, benchWants...), []byte(file), benchRows)
		})
	}
}
