package avro

import (
	"bytes"
	"cmp"
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
	"slices"
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

	"waybill/formats/fault"
	"waybill/formats/jsonvalue"
)

const mark = "0123456789abcdef" // behind the header and each block

// A source gives the bytes of a reader.
type source struct {
	r      io.Reader
	room   [32 << 10]byte
	have   []byte
	offset int64
	err    error
}

func (s *source) Need(n int) ([]byte, error) {
	for len(s.have) < n && s.err == nil {
		var k int
		k, s.err = s.r.Read(s.room[:])
		s.have = append(s.have, s.room[:k]...)
	}
	if len(s.have) < n && !errors.Is(s.err, io.EOF) {
		return nil, s.err
	}
	return s.have[:min(n, len(s.have))], nil
}

func (s *source) Pass(n int) { s.have, s.offset = s.have[n:], s.offset+int64(n) }

func (s *source) Offset() int64 { return s.offset }

// limits are those that are given, the others as the configuration has them.
func limits(l Limits) Limits {
	return Limits{MaxRecord: cmp.Or(l.MaxRecord, 8<<20), MaxField: cmp.Or(l.MaxField, 1<<20), MaxPart: cmp.Or(l.MaxPart, 16<<20), MaxUnpacked: cmp.Or(l.MaxUnpacked, 8<<30),
		MaxRatio: cmp.Or(l.MaxRatio, 200), MaxDepth: cmp.Or(l.MaxDepth, 100), MaxColumns: cmp.Or(l.MaxColumns, 4096)}
}

// readAll reads a file: of each record what its field v holds, or what is wrong with it.
func readAll(t testing.TB, l Limits, text string) (lines []string) {
	t.Helper()
	for rec, err := range Records(&source{r: strings.NewReader(text)}, limits(l)) {
		var f *fault.FileError
		switch {
		case errors.As(err, &f):
			if f.Limit != "" {
				f.Reason = "[" + f.Limit + "] " + f.Reason
			}
			if f.Incomplete {
				f.Reason += " (incomplete)"
			}
			lines = append(lines, "refused "+f.Error())
		case err != nil:
			t.Fatal(err)
		case rec.Wrong != "":
			lines = append(lines, fmt.Sprintf("reject record %d: %s", rec.Number, rec.Wrong))
		default:
			var fields struct{ V json.RawMessage }
			if err := json.Unmarshal(rec.JSON, &fields); err != nil {
				t.Fatalf("%.200q: %v", rec.JSON, err)
			}
			lines = append(lines, string(fields.V))
		}
	}
	return lines
}

func hostile(t testing.TB, l Limits, text string) string {
	t.Helper()
	return strings.Join(readAll(t, l, text), " ")
}

// shown is an instant as a record has it.
func shown(at time.Time) string {
	out, _ := jsonvalue.AppendMoment(nil, at.Unix(), int64(at.Nanosecond()), "2006-01-02T15:04:05")
	return string(out) + "Z"
}

func zigzag(n int64) string { return string(binary.AppendVarint(nil, n)) }

func str(s string) string { return zigzag(int64(len(s))) + s }

// avroHead is a header.
func header(schema, codec string) string {
	return Magic + zigzag(2) + str("avro.schema") + str(schema) + str("avro.codec") + str(codec) + zigzag(0) + mark
}

func blockOf(count int64, packed string) string {
	return zigzag(count) + str(packed) + mark
}

// avroPacked packs a block.
func pack(t testing.TB, codec, plain string) string {
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

var codecs = []string{"null", "deflate", "snappy", "zstandard"}

// An drawing is a type as the library has it, and how its values are drawing: as the library takes them, and as JSON has them.
type drawing struct {
	schema any
	name   string // in a union
	draw   func(t *rapid.T) (native, want any)
}

// draw draws a type.
func draw(t *rapid.T, depth int, names *int) drawing {
	plain := func(name string, draw func(t *rapid.T) (any, any)) drawing { return drawing{name, name, draw} }
	logical := func(on, name string, draw func(t *rapid.T) (any, any)) drawing {
		return drawing{map[string]any{"type": on, "logicalType": name}, on + "." + name, draw}
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
			return f, json.Number(jsonvalue.AppendFloat(nil, f, 64))
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
			return at, shown(at)
		})
	case 7:
		return logical("long", "timestamp-micros", func(t *rapid.T) (any, any) {
			at := when(t, time.Microsecond)
			return at, shown(at)
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
		return drawing{map[string]any{"type": "enum", "name": name, "symbols": []string{"A", "B"}}, name, func(t *rapid.T) (any, any) {
			s := rapid.SampledFrom([]string{"A", "B"}).Draw(t, "symbol")
			return s, s
		}}
	case 11:
		return drawHolder(t, draw(t, depth+1, names))
	case 12:
		of := draw(t, depth+1, names)
		return drawing{[]any{"null", of.schema}, "", func(t *rapid.T) (any, any) {
			if of.name == "" || rapid.Bool().Draw(t, "null") { // a union in a union has no name
				return nil, nil
			}
			native, want := of.draw(t)
			return goavro.Union(of.name, native), want
		}}
	}
	return drawRecord(t, own(), depth, names)
}

// drawHolder draws an array or a map.
func drawHolder(t *rapid.T, of drawing) drawing {
	if _, union := of.schema.([]any); union || rapid.Bool().Draw(t, "array") {
		return drawing{map[string]any{"type": "array", "items": of.schema}, "array", func(t *rapid.T) (any, any) {
			natives, wants := []any{}, []any{}
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				native, want := of.draw(t)
				natives, wants = append(natives, native), append(wants, want)
			}
			return natives, wants
		}}
	}
	return drawing{map[string]any{"type": "map", "values": of.schema}, "map", func(t *rapid.T) (any, any) {
		natives, wants := map[string]any{}, map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			key := rapid.String().Draw(t, "key")
			natives[key], wants[key] = of.draw(t)
		}
		return natives, wants
	}}
}

func drawRecord(t *rapid.T, name string, depth int, names *int) drawing {
	var fields []any
	var of []drawing
	for i := range rapid.IntRange(1, 4).Draw(t, "fields") {
		of = append(of, draw(t, depth+1, names))
		fields = append(fields, map[string]any{"name": fmt.Sprintf("f%d", i), "type": of[i].schema})
	}
	return drawing{map[string]any{"type": "record", "name": name, "fields": fields}, name, func(t *rapid.T) (any, any) {
		natives, wants := map[string]any{}, map[string]any{}
		for i, f := range of {
			key := fmt.Sprintf("f%d", i)
			natives[key], wants[key] = f.draw(t)
		}
		return natives, wants
	}}
}

// avroFile writes records, a few in each block: by the library where it knows the codec.
func written(t *rapid.T, tb testing.TB, schema, codec string, natives []any) string {
	if codec == "zstandard" {
		c, err := goavro.NewCodec(schema)
		if err != nil {
			t.Fatal(err)
		}
		file := header(schema, codec)
		for _, n := range natives {
			plain, err := c.BinaryFromNative(nil, n)
			if err != nil {
				t.Fatal(err)
			}
			file += blockOf(1, pack(tb, codec, string(plain)))
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

func TestRecordsAreReadAsTheLibraryWroteIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		names := 0
		drawn := drawRecord(rt, "top", 0, &names)
		var natives, wants []any
		for range rapid.IntRange(1, 5).Draw(rt, "records") {
			native, want := drawn.draw(rt)
			natives, wants = append(natives, native), append(wants, want)
		}
		schema, err := json.Marshal(drawn.schema)
		if err != nil {
			rt.Fatal(err)
		}
		file := written(rt, t, string(schema), rapid.SampledFrom(codecs).Draw(rt, "codec"), natives)
		var got []any
		for rec, err := range Records(&source{r: strings.NewReader(file)}, limits(Limits{})) {
			if err != nil {
				rt.Fatalf("%s: %v", schema, err)
			}
			if rec.Wrong != "" || rec.Number != int64(len(got)+1) {
				rt.Fatalf("%+v", rec)
			}
			d := json.NewDecoder(bytes.NewReader(rec.JSON))
			d.UseNumber()
			var v any
			if err := d.Decode(&v); err != nil {
				rt.Fatalf("%s: %v", rec.JSON, err)
			}
			got = append(got, v)
		}
		if !reflect.DeepEqual(got, wants) {
			rt.Fatalf("%s\n got %v\nwant %v", schema, got, wants)
		}
	})
}

// What values are shown as, for types the library above does not have, and at the bounds of others.
func TestValues(t *testing.T) {
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
		{`"string"`, str("a\x00\"é"), `"a\u0000\"é"`},
		{`"string"`, str("a\xff"), "reject field v: a text that is not valid UTF-8"},
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
		{`{"type":"string","logicalType":"date"}`, str("x"), `"x"`},
		{number("of-tomorrow"), zigzag(7), "7"},
		{`{"type":{"type":"long","logicalType":"timestamp-millis"}}`, zigzag(0), `"1970-01-01T00:00:00Z"`},
		{fixed(2, `,"logicalType":"decimal","precision":4,"scale":2`), "\xff\xff", "-0.01"},
		{fixed(2, `,"logicalType":"decimal","precision":4,"scale":0`), "\x80\x00", "-32768"},
		{fixed(0, `,"logicalType":"decimal","precision":4,"scale":1`), "", "0.0"},
		{`{"type":"bytes","logicalType":"decimal","precision":4}`, str("\x01"), "1"},
		{`{"type":"bytes","logicalType":"decimal","precision":1000}`, str(strings.Repeat("a", 417)), "reject field v: a decimal of more than 1000 digits"},
		{fixed(16, `,"logicalType":"uuid"`), "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", `"00112233-4455-6677-8899-aabbccddeeff"`},
		{fixed(12, `,"logicalType":"duration"`), "\x01\x00\x00\x00\x02\x00\x00\x00\xbc\x0b\x00\x00", `"P1M2DT3.004S"`},
		{fixed(3, ""), "abc", `"YWJj"`},
		{`{"type":"enum","name":"e","symbols":["A","B"]}`, zigzag(1), `"B"`},
		{`{"type":"enum","name":"e","symbols":["A","B"]}`, zigzag(2), "reject field v: the symbol 2 of the 2 that there are"},
		{`["null","string"]`, zigzag(0), "null"},
		{`["null","string"]`, zigzag(1) + str("x"), `"x"`},
		{`{"type":"array","items":"int"}`, zigzag(-2) + zigzag(2) + zigzag(1) + zigzag(2) + zigzag(1) + zigzag(3) + zigzag(0), "[1,2,3]"},
		{`{"type":"map","values":"int"}`, zigzag(1) + str("k") + zigzag(1) + zigzag(0), `{"k":1}`},
		{`{"type":"record","name":"r","namespace":"a.b","fields":[{"name":"x","type":["null","r"]},{"name":"y","type":"a.b.r2"}]}`, "", `refused offset 0`},
		{`{"type":"record","name":"r","namespace":"a.b","fields":[{"name":"x","type":["null","r"]}]}`, zigzag(1) + zigzag(0), `{"x":{"x":null}}`},
	} {
		schema := `{"type":"record","name":"top","fields":[{"name":"first","type":"int"},{"name":"v","type":` + c.schema + `}]}`
		lines := readAll(t, Limits{}, header(schema, "null")+blockOf(2, zigzag(1)+c.bytes+zigzag(1)+c.bytes))
		got := strings.Join(lines, " ")
		if len(lines) == 2 && lines[0] == strings.Replace(lines[1], "record 2", "record 1", 1) { // the one behind it is not touched by what it is
			got = strings.Replace(lines[0], "record 1: ", "", 1)
		}
		if got != c.want && (c.want != "refused offset 0" || !strings.Contains(got, `there is no type "a.b.r2"`)) {
			t.Errorf("%s: %q\nwant %s", c.schema, got, c.want)
		}
	}
}

const schemaV = `{"type":"record","name":"r","fields":[{"name":"v","type":"string"}]}`

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	head := header(schemaV, "null")
	good := blockOf(1, str("a"))
	of := func(schema, data string) string {
		return header(`{"type":"record","name":"r","fields":[{"name":"v","type":`+schema+`}]}`, "null") + blockOf(1, data)
	}
	array := func(items string) string { return `{"type":"array","items":` + items + `}` }
	for name, c := range map[string]struct{ file, want string }{
		"nothing":                         {"", ""},
		"header alone":                    {head, ""},
		"no container file":               {"id;qty\n", "refused offset 0: the file does not begin as an Avro container file does, with Obj and the byte 1"},
		"magic cut off":                   {"Obj", "refused offset 0: the file ends inside its header: truncated? (incomplete)"},
		"header cut off":                  {head[:20], "refused offset 19: the file ends inside its header: truncated? (incomplete)"},
		"sync of the header cut off":      {head[:len(head)-1], "refused offset 104: the file ends inside its header: truncated? (incomplete)"},
		"header of 2^62 entries":          {Magic + zigzag(1<<62) + str("a") + str("b"), "refused offset 18: the file ends inside its header: truncated? (incomplete)"},
		"header of -2^63 entries":         {Magic + zigzag(-1<<63) + zigzag(1), "refused offset 15: the file ends inside its header: truncated? (incomplete)"},
		"text of 2^62 bytes in header":    {Magic + zigzag(1) + zigzag(1<<62), "refused offset 15: [max_field] the header has a text of 4611686018427387904 bytes, max_field is 1MiB"},
		"text of -1 bytes in header":      {Magic + zigzag(1) + zigzag(-1), "refused offset 6: [max_field] the header has a text of -1 bytes, max_field is 1MiB"},
		"number of 11 bytes":              {Magic + strings.Repeat("\xff", 11), "refused offset 4: a number in its header has more than 64 bits"},
		"no schema":                       {Magic + zigzag(0) + mark, "refused offset 21: the schema in its header: it is no JSON: EOF"},
		"schema that goes on":             {header(`"int" "int"`, "null"), "refused offset 62: the schema in its header: something stands behind its end"},
		"schema of no type":               {header(`7`, "null"), "refused offset 52: the schema in its header: a type is a name, a list or an object"},
		"schema of an unknown type":       {header(`{"type":"array","items":"x"}`, "null"), `refused offset 79: the schema in its header: there is no type "x"`},
		"schema 200 deep":                 {header(strings.Repeat(`{"type":"array","items":`, 200)+`"int"`+strings.Repeat("}", 200), "null"), "refused offset 5057: the schema in its header: types are nested deeper than 100 (max_depth)"},
		"schema of unions 200 deep":       {header(strings.Repeat(`[`, 200)+`"int"`+strings.Repeat("]", 200), "null"), "refused offset 457: the schema in its header: types are nested deeper than 100 (max_depth)"},
		"schema of types 200 deep":        {header(strings.Repeat(`{"type":`, 200)+`"int"`+strings.Repeat("}", 200), "null"), "refused offset 1857: the schema in its header: types are nested deeper than 100 (max_depth)"},
		"empty union":                     {header(`[]`, "null"), "refused offset 53: the schema in its header: a union of no types"},
		"a type twice":                    {header(`["int",{"type":"fixed","name":"f","size":1},{"type":"fixed","name":"f","size":2}]`, "null"), `refused offset 133: the schema in its header: the type "f" is there twice`},
		"fixed of 2^62 bytes":             {of(`{"type":"fixed","name":"f","size":4611686018427387904}`, ""), `refused offset 166: the schema in its header: v: the size of "f": "4611686018427387904" is no whole number from 0 to 1048576`},
		"fixed of -1 bytes":               {of(`{"type":"fixed","name":"f","size":-1}`, ""), `refused offset 149: the schema in its header: v: the size of "f": "-1" is no whole number from 0 to 1048576`},
		"decimal of 10^9 digits":          {of(`{"type":"bytes","logicalType":"decimal","precision":1000000000}`, ""), `refused offset 175: the schema in its header: v: the precision of a decimal: "1000000000" is no whole number from 0 to 1000`},
		"field twice":                     {header(`{"type":"record","name":"r","fields":[{"name":"v","type":"int"},{"name":"v","type":"int"}]}`, "null"), `refused offset 143: the schema in its header: a field of the record "r" has no name, or that of another`},
		"unknown codec":                   {header(schemaV, "xz"), `refused offset 118: the header: its blocks are packed with "xz": null, deflate, snappy, zstandard and bzip2 are read`},
		"block of 2^62 bytes":             {head + zigzag(1) + zigzag(1<<62), "refused offset 131: [max_part] the block at offset 120 is said to have 4611686018427387904 bytes, max_part is 16MiB"},
		"block of -1 bytes":               {head + zigzag(1) + zigzag(-1), "refused offset 122: [max_part] the block at offset 120 is said to have -1 bytes, max_part is 16MiB"},
		"block of 16 MiB that is not":     {head + zigzag(1) + zigzag(16<<20), "refused offset 125: the file ends inside the block at offset 120: truncated? (incomplete)"},
		"block of 2^62 records":           {head + blockOf(1<<62, str("a")), "refused offset 131: the block at offset 120 is said to hold 4611686018427387904 records, in 2 bytes"},
		"block of -1 records":             {head + blockOf(-1, str("a")), "refused offset 122: the block at offset 120 is said to hold -1 records, in 2 bytes"},
		"records of no bytes":             {of(`"null"`, ""), "refused offset 120: the block at offset 118 is said to hold 1 records, in 0 bytes"},
		"block with too few":              {head + blockOf(2, str("a")), `"a" refused offset 124: record 2: field v: a number that is cut off, or has more than 64 bits`},
		"block with too many":             {head + blockOf(1, str("a")+str("b")), `"a" refused offset 124: 2 bytes stand behind the last record of a block, record 1`},
		"another sync":                    {head + good + zigzag(1) + str(str("a")) + strings.ToUpper(mark), `"a" refused offset 142: the block at offset 140 does not end where it says`},
		"block cut off":                   {head + good[:len(good)-1], `refused offset 122: the file ends inside the block at offset 120: truncated? (incomplete)`},
		"text of 2^62 bytes":              {head + blockOf(1, zigzag(1<<62)+"a"), "refused offset 122: record 1: field v: a value of 4611686018427387904 bytes, where 1 are left of the block"},
		"text of -1 bytes":                {head + blockOf(1, zigzag(-1)+"a"), "refused offset 122: record 1: field v: a value of -1 bytes, where 1 are left of the block"},
		"text beyond max_field":           {head + blockOf(1, str(strings.Repeat("x", 1<<20+1))), "refused offset 125: [max_field] record 1: field v: a value is longer than max_field, 1MiB"},
		"record beyond max_record":        {of(array(`"string"`), zigzag(9)+strings.Repeat(str(strings.Repeat("x", 1<<20)), 9)+zigzag(0)), "refused offset 8388791: [max_record] record 1: field v: the record is longer than max_record, 8MiB, as JSON"},
		"record that grows as JSON":       {of(array(`"string"`), zigzag(3)+strings.Repeat(str(strings.Repeat("\x01", 1<<20)), 3)+zigzag(0)), "refused offset 2097311: [max_record] record 1: field v: the record is longer than max_record, 8MiB, as JSON"},
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
			got := hostile(t, Limits{}, c.file)
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

// TestBlocksThatAreBombs is not parallel: it looks at what the process allocates.
func TestBlocksThatAreBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 17<<20)
	for _, codec := range codecs[1:] {
		bomb := header(schemaV, codec) + blockOf(1, pack(t, codec, zeros))
		least := heapOf(func() {
			if got := hostile(t, Limits{}, bomb); !strings.Contains(got, "[max_part]") || !strings.Contains(got, "it unpacks to more than max_part, 16MiB") {
				t.Errorf("%s: %s", codec, got)
			}
		})
		if least > 40<<20 {
			t.Errorf("%s: %d bytes allocated", codec, least)
		}
		small := pack(t, codec, str(strings.Repeat("a", 1<<19)))
		if codec != "snappy" { // which packs to a twentieth at best
			many := header(schemaV, codec) + strings.Repeat(blockOf(1, small), 9)
			if got := hostile(t, Limits{}, many); !strings.Contains(got, "[max_ratio] the block at offset ") {
				t.Errorf("%s: %.200s", codec, got[max(0, len(got)-200):])
			}
		}
		if got := hostile(t, Limits{MaxUnpacked: 1 << 19}, header(schemaV, codec)+blockOf(1, small)); !strings.Contains(got, "[max_unpacked]") {
			t.Errorf("%s: %s", codec, got)
		}
		for what, packed := range map[string]string{"cut off": small[:len(small)-5], "nothing": "", "changed": strings.Repeat("\xff", 30)} {
			if got := hostile(t, Limits{}, header(schemaV, codec)+blockOf(1, packed)); !strings.HasPrefix(got, "refused offset ") {
				t.Errorf("%s, %s: %s", codec, what, got)
			}
		}
	}
	lie := string(binary.AppendUvarint(nil, 1<<31)) + "abcd"
	if got := hostile(t, Limits{}, header(schemaV, "snappy")+blockOf(1, lie)); !strings.Contains(got, "[max_part]") {
		t.Errorf("snappy that says it has 2 GiB: %s", got)
	}
	sum := pack(t, "snappy", str("a"))
	sum = sum[:len(sum)-1] + string([]byte{sum[len(sum)-1] ^ 1})
	if got := hostile(t, Limits{}, header(schemaV, "snappy")+blockOf(1, sum)); !strings.Contains(got, "its checksum is wrong") {
		t.Errorf("a wrong checksum: %s", got)
	}
	after := pack(t, "deflate", str("a")) + "x"
	if got := hostile(t, Limits{}, header(schemaV, "deflate")+blockOf(1, after)); !strings.Contains(got, "something stands behind what was packed") {
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

// TestSchemasThatAreBombs is not parallel: it looks at what the process allocates. A schema of one text may ask for far more memory or time than it has bytes,
// and so may a record of none.
func TestSchemasThatAreBombs(t *testing.T) {
	var types []string
	for i := range 1000 {
		types = append(types, fmt.Sprintf(`{"type":"enum","name":"e%d","symbols":["A"]},"e%d"`, i, i))
	}
	space := func(n int) string {
		return header(`{"type":"record","name":"r","namespace":"`+strings.Repeat("n", n)+`","fields":[{"name":"v","type":[`+strings.Join(types, ",")+`]}]}`, "null") + blockOf(1, zigzag(0)+zigzag(0))
	}
	for _, c := range []struct {
		name, file, want string
		l                Limits
		most             int64
	}{
		{"namespace of 400 KiB above 1,000 types", space(400 << 10), `the schema in its header: the name of a type, "r", is longer than 1000 bytes with its namespace`, Limits{}, 16 << 20},
		{"namespace that is not too long", space(900), `"A"`, Limits{}, 16 << 20},
		{"name of 400 KiB that is meant", header(`{"type":"record","name":"r","namespace":"n","fields":[{"name":"v","type":"`+strings.Repeat("x", 400<<10)+`"}]}`, "null"), `there is no type "xxx`, Limits{}, 16 << 20},
		{"records of four bytes that are 5 MB of JSON each", header(`{"type":"record","name":"r","fields":[{"name":"v","type":{"type":"array","items":"null"}}]}`, "null") + blockOf(1000, strings.Repeat(zigzag(1_000_000)+zigzag(0), 1000)),
			"[max_ratio] the records up to record 1 are more than 200 times as long as JSON as they are in their blocks (max_ratio)", Limits{}, 32 << 20},
		{"records that are longer as JSON than max_unpacked", header(schemaV, "null") + blockOf(100, strings.Repeat(str("a"), 100)),
			"[max_unpacked] the records up to record 34 are longer than max_unpacked, 300B, as JSON", Limits{MaxUnpacked: 300}, 1 << 20},
	} {
		var got string
		least := heapOf(func() { got = hostile(t, c.l, c.file) })
		if !strings.Contains(got, c.want) || least > c.most {
			t.Errorf("%s: %d bytes allocated: %.300s", c.name, least, got)
		}
	}
}

func TestNamesAreShownAsTheyCanBe(t *testing.T) {
	t.Parallel()
	of := func(name string) string {
		schema := `{"type":"record","name":"r","fields":[{"name":` + string(jsonvalue.AppendString(nil, []byte(name))) + `,"type":"boolean"},{"name":"v","type":"int"}]}`
		return hostile(t, Limits{}, header(schema, "null")+blockOf(1, "\x02\x00"))
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

func TestWhatStandsBesideTheNameOfATypeChangesNothingOfIt(t *testing.T) {
	t.Parallel()
	schema := `{"type":"record","name":"r","fields":[{"name":"v","type":{"type":"fixed","name":"f","size":2}},{"name":"w","type":{"type":"f","logicalType":"decimal","precision":4,"scale":2}}]}`
	if got := hostile(t, Limits{}, header(schema, "null")+blockOf(1, "abab")); got != `"YWI="` {
		t.Error(got)
	}
}

// TestZstandardIsHeldInMaxPart: a window is no size, and the library knows no bound below 1 KiB.
func TestZstandardIsHeldInMaxPart(t *testing.T) {
	t.Parallel()
	wide := "\x28\xB5\x2F\xFD\x00\x80" + "\x11\x00\x00" + "\x02a" // a window of 64 MiB for two bytes
	if got := hostile(t, Limits{}, header(schemaV, "zstandard")+blockOf(1, wide)); !strings.Contains(got, "[max_part] the block at offset 125: to unpack it takes a window of more than max_part, 16MiB") {
		t.Error(got)
	}
	small := pack(t, "zstandard", str(strings.Repeat("a", 500)))
	if got := hostile(t, Limits{MaxPart: 400}, header(schemaV, "zstandard")+blockOf(1, small)); !strings.Contains(got, "it unpacks to more than max_part, 400B") {
		t.Error(got)
	}
}

func FuzzRecords(f *testing.F) {
	schema := `{"type":"record","name":"r","fields":[{"name":"v","type":["null","string","r"]},{"name":"l","type":{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}},{"name":"m","type":{"type":"map","values":"double"}}]}`
	for _, codec := range codecs {
		one := zigzag(1) + str("a") + zigzag(1) + str("\x01\x02") + zigzag(0) + zigzag(0)
		f.Add([]byte(header(schema, codec) + blockOf(2, pack(f, codec, one+one))))
	}
	l := limits(Limits{MaxUnpacked: 64 << 10, MaxPart: 4096, MaxRecord: 1000, MaxField: 500, MaxColumns: 8, MaxDepth: 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		once, again := held(t, l, bytes.NewReader(data)), held(t, l, iotest.OneByteReader(bytes.NewReader(data)))
		if !slices.Equal(once, again) {
			t.Fatalf("%q\nbyte by byte %q", once, again)
		}
	})
}

// held reads a file and sees that limits hold and errors have positions.
func held(t *testing.T, l Limits, r io.Reader) (lines []string) {
	t.Helper()
	for rec, err := range Records(&source{r: r}, l) {
		var f *fault.FileError
		switch {
		case err != nil && (!errors.As(err, &f) || f.Offset < 0 || f.Reason == ""):
			t.Fatalf("no position: %v", err)
		case err != nil:
			lines = append(lines, err.Error())
		case rec.Offset <= 0 || rec.Number != int64(len(lines)+1) || rec.Wrong == "" && !json.Valid(rec.JSON) || len(rec.JSON) > int(l.MaxRecord):
			t.Fatalf("%+v", rec)
		default:
			lines = append(lines, fmt.Sprintf("%s %s", rec.JSON, rec.Wrong))
		}
	}
	return lines
}
