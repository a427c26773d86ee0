package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func paths(pairs ...string) []Want { return places(pairs...) }

func TestJSONHeaderAndTrailerStandAroundTheRecords(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Header, Wants: append(paths("wh", "$.data.warehouse", "at", "timestamp"), Want{Name: "who", From: []string{"by", "$.author"}})},
		{Role: Body, Wants: append(paths("sku", "sku"), Want{Name: "site", From: []string{"$.site"}})},
		{Role: Trailer, Wants: append(paths("count", "data.count"), Want{Name: "sums", From: []string{"sums"}, List: true, Fields: columns("k")})},
	}
	checkParts(t, Options{Format: "json", Records: "$.data.items"}, parts, []partsCase{
		{`{"timestamp":"t","author":"a","site":"s","data":{"warehouse":"W","items":[{"sku":1},{"sku":2}],"count":2}}`,
			`header "W" "t" "a"; 1 "s"; 2 "s"; trailer 2 ∅`},
		{`{"data":{"items":[{"sku":1}],"warehouse":"W","count":1},"timestamp":"t","site":"s","by":"b","author":"a","sums":[{"k":1},{"k":"2"}]}`,
			`header "W" "t" "b"; 1 "s"; trailer 1 [1 | "2"]`},
		{`{"data":{"items":[],"warehouse":"W"}}`, `header "W" ∅ ∅; trailer ∅ ∅`},
		{`{"data":{"items":null,"warehouse":"W"}}`, `header "W" ∅ ∅; trailer ∅ ∅`},
		{`{"data":{"items":{"sku":1}}}`, `header ∅ ∅ ∅; 1 ∅; trailer ∅ ∅`},
		{`{"data":{"items":[7,{"sku":8}]}}`, `header ∅ ∅ ∅; reject line 1: the record is not an object; 8 ∅; trailer ∅ ∅`},
		{`{"data":{}}`, ` ! records: there is no $.data.items in the document`},
		{``, ``},
		{` `, ``},
		{`{"data":{"items":[{"sku":1}`, ` ! line 1, column 28: the text ends inside a JSON value: truncated?`},
		{`{"data":{"items":[{"sku":1}]}} x`, ` ! line 1, column 32: text after the end of the document`},
	})
	d := partsDecoder(t, Options{Format: "json", Records: "$.data.items"}, parts...)
	lines, err := readParts(d, parts, blobOf(`{"data":{"items":[{"sku":1}],"count":3},"timestamp":"t"}`))
	if want := "line 1, column 56: field header.at (timestamp) stands behind the records; in a file that can only be read once it must stand before them"; fmt.Sprint(err) != want || len(lines) != 2 {
		t.Errorf("in a stream: %q, %v", lines, err)
	}
	lines, err = readParts(d, parts, blobOf(`{"timestamp":"t","data":{"items":[{"sku":1}],"count":3}}`))
	if got := strings.Join(lines, "; "); got != `header ∅ "t" ∅; 1 ∅; trailer 3 ∅` || err != nil {
		t.Errorf("a trailer in a stream: %s, %v", got, err)
	}
}

func TestAJSONDocumentThatIsTheRecordHasAHeaderToo(t *testing.T) {
	t.Parallel()
	parts := []Part{{Role: Header, Wants: paths("h", "$.h")}, {Wants: paths("a", "a.b", "h", "$.h")}, {Role: Trailer, Wants: paths("t", "t")}}
	checkParts(t, Options{Format: "json"}, parts, []partsCase{
		{`{"a":{"b":1},"t":2,"h":3}`, `header 3; 1 3; trailer 2`},
		{`[{"a":{"b":1}}]`, `header ∅; 1 ∅; trailer ∅`},
		{`7`, ` ! line 1: the record is not an object`},
	})
	open := []Part{{Role: Header, Wants: paths("h", "h")}, {}}
	checkParts(t, Options{Format: "json"}, open, []partsCase{{`{"a":1,"h":3}`, `header 3; {"a":1,"h":3}`}})
}

func TestJSONRecordsOfSeveralKinds(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Name: "order", Kind: "orders", Wants: paths("id", "id", "day", "$.day")},
		{Name: "return", Kind: "more.returns", Wants: paths("no", "no")},
		{Role: Header, Wants: paths("day", "day")},
	}
	checkParts(t, Options{Format: "json"}, parts, []partsCase{
		{`{"orders":[{"id":1}],"x":[1],"more":{"returns":[{"no":5},{"no":6}]},"day":"d"}`, `header "d"; order 1 "d"; return 5; return 6`},
		{`{"more":{"returns":[{"no":5}],"y":0},"orders":[{"id":1}]}`, `header ∅; return 5; order 1 ∅`},
		{`{"orders":[]}`, `header ∅`},
		{`{"x":[]}`, ` ! records: there is no orders and no more.returns in the document`},
	})
}

func TestWhatIsWrongWithPartsOfDocumentsIsToldByPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o     Options
		parts []Part
		want  string
	}{
		{Options{}, []Part{{Name: "a", Kind: "x"}, {Name: "b", Kind: "x.y"}}, `[records.b.kind: "x.y" holds other records, or is part of them]`},
		{Options{}, []Part{{Name: "a", Kind: "x.y"}, {Name: "b", Kind: "x"}}, `[records.b.kind: "x" holds other records, or is part of them]`},
		{Options{}, []Part{{Name: "a", Kind: "x"}, {Name: "b", Kind: "x"}}, `[records.b.kind: "x" holds other records, or is part of them]`},
		{Options{}, []Part{{Name: "a", Kind: "x"}, {Name: "b"}}, `[records.b.kind: missing: where there are several kinds of records each says the path that leads to it records: "" holds other records, or is part of them]`},
		{Options{Records: "z"}, []Part{{Name: "a", Kind: "x"}}, `[records: does not go with kinds of records, each of which has its own path]`},
		{Options{Records: "z"}, []Part{{}, {Role: BlockHeader, Kind: "x"}}, `[block.header: does not go with format json, only with those of lines: take what belongs to a record with its fields]`},
		{Options{Records: "z"}, []Part{{}, {Role: Header}}, `[header.fields: missing: name what is to be taken]`},
		{Options{Records: "z"}, []Part{{}, {Role: Header, Kind: "h", Wants: paths("a", "z[0].a")}}, `[header.kind: does not go with format json: it is made of values around the records header.fields.a.from: "z[0].a" holds the records, or is part of them]`},
		{Options{}, []Part{{Role: Trailer, Wants: paths("a", "a..b")}}, `[records: missing: header and trailer stand around records trailer.fields.a.from: "a..b" is no path: write names joined by dots, with [0] for an element and ["any key"] for an odd name]`},
		{Options{}, []Part{{Wants: []Want{{Name: "a", List: true, Kind: "x", From: []string{"a"}}}}}, `[fields.a.kind: goes with formats of lines (fixed, csv, ndjson): write from with the path of the list]`},
	} {
		c.o.Format = "json"
		d, ps := NewParts(c.o, c.parts)
		if got := fmt.Sprint(ps); got != c.want || d != nil {
			t.Errorf("%+v: %s, want %s", c.parts, got, c.want)
		}
	}
}

// TestAHeaderBehindManyRecordsIsFoundInFlatMemory reads a document of 60 MB with a max_record of 4 KiB; the second reading of another ends where all is found.
func TestAHeaderBehindManyRecordsIsFoundInFlatMemory(t *testing.T) {
	t.Parallel()
	parts := []Part{{Role: Header, Wants: paths("h", "meta.h")}, {Wants: paths("a", "a")}}
	d := partsDecoder(t, Options{Format: "json", Records: "list", Limits: Limits{MaxRecord: 4 << 10}}, parts...)
	item := `{"a":"` + strings.Repeat("x", 1000) + `"},`
	rows := dose(t, 20_000, 5_000)
	many := strings.Repeat(item, rows)
	read := func(text string) (header string, n int, taken int64) {
		at := &countingReaderAt{r: strings.NewReader(text)}
		for rec, err := range d.Decode(Blob{Reader: strings.NewReader(text), ReaderAt: at, Size: int64(len(text))}) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Part == 0 {
				header = show(rec.Cells)
			} else {
				n++
			}
		}
		return header, n, at.n
	}
	header, n, taken := read(`{"list":[` + many + `{"a":1}],"meta":{"big":[` + many + `0],"h":"found"}}`)
	if header != `"found"` || n != rows+1 || taken == 0 {
		t.Errorf("behind: %s, %d records, %d bytes read again", header, n, taken)
	}
	header, n, taken = read(`{"meta":{"h":"found"},"list":[` + many + `{"a":1}]}`)
	if header != `"found"` || n != rows+1 || taken != 0 {
		t.Errorf("before: %s, %d records, %d bytes read again", header, n, taken)
	}
	header, n, taken = read(`{"list":[{"a":1}],"meta":{"h":"found"},"rest":[` + many + `0]}`)
	if header != `"found"` || n != 1 || taken > 1<<20 {
		t.Errorf("soon behind: %s, %d records, %d bytes read again", header, n, taken)
	}
}

// countingReaderAt counts what is read.
type countingReaderAt struct {
	r io.ReaderAt
	n int64
}

func (c *countingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// TestJSONPartsAreThoseOfTheDocument compares with the document as the standard library reads it, whatever the order of its members.
func TestJSONPartsAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Header, Wants: paths("a", "a", "b", "$.o.b")},
		{Name: "x", Kind: "xs", Wants: paths("v", "v", "a", "$.a")},
		{Name: "y", Kind: "o.ys", Wants: paths("v", "v")},
		{Role: Trailer, Wants: paths("c", "o.c", "a", "a")},
	}
	d := partsDecoder(t, Options{Format: "json"}, parts...)
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.Custom(func(t *rapid.T) string {
			var items []string
			for range rapid.IntRange(0, 4).Draw(t, "n") {
				items = append(items, fmt.Sprintf(`{"w":[{}],"v":%d}`, rapid.IntRange(0, 9).Draw(t, "v")))
			}
			return "[" + strings.Join(items, " ,\n") + "]"
		})
		object := func(members ...string) string {
			kept := rapid.SliceOfNDistinct(rapid.SampledFrom(members), 0, len(members), rapid.ID[string]).Draw(t, "members")
			return "{" + strings.Join(rapid.Permutation(kept).Draw(t, "order"), ", ") + "}"
		}
		inner := object(`"b": "B"`, `"ys":`+list.Draw(t, "ys"), `"c":[1]`, `"z":{"a":1}`)
		text := object(`"a": true`, `"xs":`+list.Draw(t, "xs"), `"o":`+inner, `"q":{"xs":[{}]}`)
		var doc struct {
			A  json.RawMessage
			Xs []struct{ V json.RawMessage }
			O  struct {
				B, C json.RawMessage
				Ys   []struct{ V json.RawMessage }
			}
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		at := func(m json.RawMessage) string {
			if m == nil {
				return "∅"
			}
			return string(m)
		}
		var xs, ys []string
		for _, x := range doc.Xs {
			xs = append(xs, "x "+at(x.V)+" "+at(doc.A))
		}
		for _, y := range doc.O.Ys {
			ys = append(ys, "y "+at(y.V))
		}
		masked := strings.Replace(text, `"q":{"xs":[{}]}`, "", 1) // those lead nowhere
		if strings.Index(masked, `"ys"`) < strings.Index(masked, `"xs"`) {
			xs, ys = ys, xs
		}
		want := append(append([]string{"header " + at(doc.A) + " " + at(doc.O.B)}, append(xs, ys...)...), "trailer "+at(doc.O.C)+" "+at(doc.A))
		got, err := readParts(d, parts, seekable(text))
		if !strings.Contains(masked, "s\"") { // neither of the lists
			var bad *FileError
			if !errors.As(err, &bad) {
				t.Fatalf("%s: %v", text, err)
			}
			return
		}
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%s\n%s\n%v\nwant\n%s", text, strings.Join(got, "\n"), err, strings.Join(want, "\n"))
		}
	})
}

// FuzzJSONParts reads documents with header, trailer and two kinds of records.
func FuzzJSONParts(f *testing.F) {
	for _, s := range []string{`{"h":1,"a":[{"x":1}],"b":{"c":[{"y":2}]},"t":2}`, `{"a":[1],"h":{}}`, `{"b":{"c":{}}}`, `[]`, ``} {
		f.Add([]byte(s))
	}
	parts := []Part{{Role: Header, Wants: paths("h", "h")}, {Name: "a", Kind: "a", Wants: paths("x", "x", "h", "$.h")}, {Name: "c", Kind: "b.c", Wants: paths("y", "y")}, {Role: Trailer, Wants: paths("t", "t")}}
	d := partsDecoder(f, Options{Format: "json", Limits: fuzzLimits}, parts...)
	f.Fuzz(func(t *testing.T, data []byte) {
		inOrder(t, d, parts, data)
		_, _ = readParts(d, parts, Blob{Reader: bytes.NewReader(data), Size: -1}) // once only
	})
}
