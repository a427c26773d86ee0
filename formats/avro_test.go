package formats

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/linkedin/goavro/v2"

	"waybill/formats/formatstest"
)

// avroFile is a file as the library writes it: what stands in front, and a block of records.
func avroFile(t testing.TB, schema, codec string, records ...any) (head, block string) {
	t.Helper()
	var b bytes.Buffer
	w, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: schema, CompressionName: codec})
	if err != nil {
		t.Fatal(err)
	}
	n := b.Len()
	if err := w.Append(records); err != nil {
		t.Fatal(err)
	}
	return b.String()[:n], b.String()[n:]
}

var avroCodecs = []string{"null", "deflate", "snappy"} // of the library

const avroV = `{"type":"record","name":"r","fields":[{"name":"v","type":"string"}]}`

func TestAvroFieldsAreTakenByPaths(t *testing.T) {
	t.Parallel()
	schema := `{"type":"record","name":"Order","fields":[{"name":"no","type":"string"},{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
		{"name":"sku","type":"string"},{"name":"qty","type":["null","int"]}]}}},{"name":"stock","type":{"type":"map","values":"long"}}]}`
	order := map[string]any{"no": "A-1", "stock": map[string]any{"a b": 9},
		"lines": []any{map[string]any{"sku": "x", "qty": goavro.Union("int", 3)}, map[string]any{"sku": "y", "qty": nil}}}
	wants := append(columns("no", "lines[1].sku", `stock["a b"]`, "nothing", "$.no"), list("lines", "lines", columns("sku", "qty")...), Want{Name: "either", From: []string{"gone", "no"}})
	for _, codec := range avroCodecs {
		head, block := avroFile(t, schema, codec, order, order)
		file := head + block + block
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
			if want := []string{one, one, one, one}; !slices.Equal(got, want) {
				t.Errorf("%s, %s:\n got %v\nwant %v", codec, how, got, want)
			}
		}
	}
}

func TestAvroRecordsThatAreWrongAreRejectedAndTheRestRead(t *testing.T) {
	t.Parallel()
	head, _ := avroFile(t, `{"type":"record","name":"r","fields":[{"name":"v","type":{"type":"map","values":"boolean"}}]}`, "null")
	data := "\x04\x02k\x01\x02k\x01\x00" + "\x02\x02k\x07\x00" + "\x02\x02k\x01\x00" // a key twice, a boolean of 7
	file := head + "\x06" + string(rune(2*len(data))) + data + head[len(head)-16:]
	var got []string
	for rec, err := range decoder(t, Options{Format: "avro", Raw: true}, columns("v")...).Decode(blobOf(file)) {
		if err != nil {
			bad := err.(*RecordError)
			got = append(got, fmt.Sprintf("%d: %s, raw %s", bad.Offset-int64(len(head)), err, bad.Raw))
			continue
		}
		got = append(got, fmt.Sprintf("%d: %s", rec.Offset-int64(len(head)), show(rec.Cells)))
	}
	want := []string{`2: record 1: the member "k" stands twice in one object, raw {"v":{"k":true,"k":true}}`,
		`10: record 2: field v: the byte 7 for a boolean, which is 0 or 1, raw {"v":{"k":null}}`, `15: {"k":true}`}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestAvroIsHeldInTheLimitsOfTheJob(t *testing.T) {
	t.Parallel()
	long := map[string]any{"v": strings.Repeat("a", 5000)}
	head, block := avroFile(t, avroV, "deflate", long, long)
	for limit, l := range map[string]Limits{"max_record": {MaxRecord: 4000}, "max_field": {MaxField: 4000}, "max_part": {MaxPart: 9000}, "max_unpacked": {MaxUnpacked: 9000},
		"max_file": {MaxFile: 100}, "": {MaxRatio: 100_000}} {
		_, err := read(decoder(t, Options{Format: "avro", Limits: l}, columns("v")...), blobOf(head+block))
		if f, ok := err.(*FileError); ok && f.Limit != limit || !ok && (limit != "" || err != nil) {
			t.Errorf("%q: %v", limit, err)
		}
	}
	wide, _ := avroFile(t, `{"type":"record","name":"r","fields":[{"name":"v","type":"string"},{"name":"w","type":{"type":"array","items":{"type":"array","items":"int"}}}]}`, "null")
	for want, l := range map[string]Limits{"(max_depth)": {MaxDepth: 2}, "more than max_columns, 1": {MaxColumns: 1}} {
		if f := fileError(t, decoder(t, Options{Format: "avro", Limits: l}), blobOf(wide)); !strings.Contains(f.Reason, want) {
			t.Errorf("%s: %v", want, f)
		}
	}
	many := strings.Repeat(block, 1000)
	if f := fileError(t, decoder(t, Options{Format: "avro", Limits: Limits{MaxRatio: 20}}), blobOf(head+many)); f.Limit != "max_ratio" {
		t.Error(f)
	}
}

func TestPickedRecordsOfAvroAreRefused(t *testing.T) {
	t.Parallel()
	head, block := avroFile(t, avroV, "null", map[string]any{"v": "a"}, map[string]any{"v": "b"})
	var out bytes.Buffer
	n, err := Picked(func() (Blob, func()) { return blobOf(head + block), func() {} }, Options{Format: "avro"}, []Part{{Wants: columns("v")}}, Pick{Reasons: map[int64]string{1: "odd"}}, &out)
	if n != 0 || out.Len() > 0 || err == nil || !strings.Contains(err.Error(), "format avro cannot be written") {
		t.Errorf("%d, %q, %v", n, out.String(), err)
	}
}

func TestAvroIsReadInFlatMemory(t *testing.T) { // not parallel: it measures memory
	const n = 5_000
	head, block := avroFile(t, avroV, "deflate", slices.Repeat([]any{map[string]any{"v": "A-1"}}, 100)...)
	count := 0
	file := io.MultiReader(strings.NewReader(head), &formatstest.Endless{Text: []byte(block), Left: int64(n * len(block))})
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

func BenchmarkAvro(b *testing.B) {
	schema := `{"type":"record","name":"r","fields":[{"name":"id","type":"string"},{"name":"sku","type":"string"},{"name":"qty","type":"int"},{"name":"price","type":"double"},
		{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"site","type":"string"},{"name":"city","type":"string"},{"name":"zip","type":"string"},{"name":"flag","type":"boolean"},
		{"name":"lines","type":{"type":"array","items":{"type":"record","name":"l","fields":[{"name":"no","type":"int"},{"name":"sku","type":"string"}]}}}]}`
	one := map[string]any{"id": "1000017", "sku": "AB-4711", "qty": 12, "price": 199.9, "day": time.Unix(20778*86400, 0), "site": "W1", "city": "Clermont-Ferrand", "zip": "63000", "flag": true,
		"lines": []any{map[string]any{"no": 1, "sku": "x"}, map[string]any{"no": 2, "sku": "y"}}}
	for _, codec := range avroCodecs {
		head, block := avroFile(b, schema, codec, slices.Repeat([]any{one}, 100)...)
		b.Run(codec, func(b *testing.B) {
			benchDecode(b, decoder(b, Options{Format: "avro", Limits: Limits{MaxRatio: 100_000}}, benchWants...), []byte(head+strings.Repeat(block, benchRows/100)), benchRows)
		})
	}
}
