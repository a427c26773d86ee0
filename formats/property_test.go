package formats

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// cellText draws texts with what matters to CSV and JSON in them.
func cellText() *rapid.Generator[string] {
	letters := rapid.SampledFrom([]rune(`ab1,;"'\ =-é€😀` + "\t\n\r\u00a0\u2028{}[]:"))
	return rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(letters, 0, 6).Draw(t, "letters"))
	})
}

func table(t *rapid.T) (rows [][]string) {
	width := rapid.IntRange(1, 5).Draw(t, "width")
	for range rapid.IntRange(0, 6).Draw(t, "height") {
		rows = append(rows, rapid.SliceOfN(cellText(), width, width).Draw(t, "row"))
	}
	return rows
}

// texts decodes into the text of every cell.
func texts(d Decoder, b Blob) (rows [][]string, err error) {
	for rec, err := range d.Decode(b) {
		if err != nil {
			return rows, err
		}
		var row []string
		for _, c := range rec.Cells {
			row = append(row, string(c.Bytes))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// TestCSVReadsWhatTheStandardLibraryReads: the standard library makes LF of CRLF inside quotes and skips
// rows of one empty cell, so neither is drawn.
func TestCSVReadsWhatTheStandardLibraryReads(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "csv", Titles: ptr(0)})
	rapid.Check(t, func(t *rapid.T) {
		var text bytes.Buffer
		w := csv.NewWriter(&text)
		w.UseCRLF = rapid.Bool().Draw(t, "crlf")
		var rows [][]string
		for _, row := range table(t) {
			for i := range row {
				row[i] = strings.ReplaceAll(row[i], "\r", "")
			}
			if len(row) == 1 && row[0] == "" {
				continue
			}
			if w.UseCRLF && strings.Contains(strings.Join(row, ""), "\n") {
				continue // written as CRLF, which we keep
			}
			rows = append(rows, row)
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		r := drip{bytes.NewReader(text.Bytes()), rapid.IntRange(1, 9).Draw(t, "at a time")}
		got, err := texts(d, Blob{Reader: r, Size: 0})
		if err != nil || fmt.Sprint(got) != fmt.Sprint(rows) {
			t.Fatalf("%q: %q, %v", text.String(), got, err)
		}
	})
}

func valuesOf(rows [][]string) iter.Seq2[[]Value, error] {
	return func(yield func([]Value, error) bool) {
		for _, row := range rows {
			vs := make([]Value, len(row))
			for i, c := range row {
				vs[i] = Value{Kind: Text, Bytes: []byte(c)}
			}
			if !yield(vs, nil) {
				return
			}
		}
	}
}

func numbered(n int) []string { return numbers(nil, n) }

func TestCSVWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := table(t)
		if len(rows) == 0 {
			return
		}
		delim := rapid.SampledFrom([]string{",", ";", "\t", "|"}).Draw(t, "delimiter")
		quote := rapid.SampledFrom([]string{`"`, "'"}).Draw(t, "quote")
		ends := rapid.SampledFrom([]string{"lf", "crlf"}).Draw(t, "lines")
		e, ps := NewEncoder(Writing{Format: "csv", Delimiter: delim, Quote: quote, Lines: ends, Formulas: "keep"}, titled(numbered(len(rows[0]))...))
		if ps != nil {
			t.Fatal(ps)
		}
		var text bytes.Buffer
		if err := e.Encode(&text, valuesOf(rows)); err != nil {
			t.Fatal(err)
		}
		d, ps := New(Options{Format: "csv", Delimiter: delim, Quote: quote}, nil)
		if ps != nil {
			t.Fatal(ps)
		}
		got, err := texts(d, blobOf(text.String()))
		if err != nil || !slices.EqualFunc(got, rows, slices.Equal) {
			t.Fatalf("%q: %q, %v", text.String(), got, err)
		}
	})
}

// jsonValue draws a JSON value as text.
func jsonValue(depth int) *rapid.Generator[string] {
	space := rapid.SampledFrom([]string{"", "", " ", "\n", "\t "})
	return rapid.Custom(func(t *rapid.T) string {
		kind := rapid.IntRange(0, 6).Draw(t, "kind")
		if depth == 0 {
			kind %= 5
		}
		s := func() string { return space.Draw(t, "space") }
		switch kind {
		case 0:
			return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "word")
		case 1:
			return rapid.SampledFrom([]string{"0", "-0", "10", "-1.50", "1e5", "12E-3", "9007199254740993"}).Draw(t, "number")
		case 2, 3:
			b, err := json.Marshal(cellText().Draw(t, "text"))
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		case 4:
			return `"\u00e9\ud83d\ude00\/"`
		case 5:
			items := rapid.SliceOfN(jsonValue(depth-1), 0, 3).Draw(t, "items")
			return "[" + s() + strings.Join(items, s()+","+s()) + s() + "]"
		}
		var members []string
		for _, name := range rapid.SliceOfNDistinct(cellText(), 0, 3, rapid.ID[string]).Draw(t, "names") {
			b, err := json.Marshal(name)
			if err != nil {
				t.Fatal(err)
			}
			members = append(members, string(b)+s()+":"+s()+jsonValue(depth-1).Draw(t, "member"))
		}
		return "{" + s() + strings.Join(members, ","+s()) + s() + "}"
	})
}

func TestJSONReadsWhatTheStandardLibraryReads(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "json"})
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(jsonValue(3), 1, 4).Draw(t, "items")
		text := "[" + strings.Join(items, " ,\n") + "]"
		r := drip{strings.NewReader(text), rapid.IntRange(1, 9).Draw(t, "at a time")}
		i := 0
		for rec, err := range d.Decode(Blob{Reader: r, Size: 0}) {
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			want := compactJSON(t, items[i])
			got := string(rec.Cells[0].Bytes)
			if rec.Cells[0].Kind == Text {
				var s string
				if err := json.Unmarshal([]byte(items[i]), &s); err != nil {
					t.Fatal(err)
				}
				want = s
			}
			if got != want {
				t.Fatalf("%s: record %d is %s, want %s", text, i+1, got, want)
			}
			i++
		}
		if i != len(items) {
			t.Fatalf("%s: %d records", text, i)
		}
	})
}

func compactJSON(t *rapid.T, s string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(s)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestJSONRefusesWhatTheStandardLibraryRefuses damages good texts. What only we refuse (duplicate members, depth, bad
// characters) is what makes it one way.
func TestJSONRefusesWhatTheStandardLibraryRefuses(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "json"})
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(jsonValue(3).Draw(t, "value"))
		for range rapid.IntRange(1, 3).Draw(t, "damages") {
			if len(text) == 0 {
				return
			}
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			if rapid.Bool().Draw(t, "drop") {
				text = slices.Delete(text, at, at+1)
			} else {
				text[at] = rapid.SampledFrom([]byte(`{}[],:"\0-.e`+"\x01 \xff")).Draw(t, "byte")
			}
		}
		ours := len(bytes.TrimSpace(text)) > 0 && readable(d, text)
		if ours && !(json.Valid(text) && utf8.Valid(text)) {
			t.Fatalf("%q is taken", text)
		}
	})
}

func readable(d Decoder, text []byte) bool {
	for _, err := range d.Decode(Blob{Reader: bytes.NewReader(text), Size: -1}) {
		if err != nil {
			return false
		}
	}
	return true
}

// TestEveryCutOfTheBufferGivesTheSame reads records that lie in every way across the ends of the window.
func TestEveryCutOfTheBufferGivesTheSame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o                Options
		head, text, tail string
		want             string
	}{
		"csv":          {Options{Format: "csv"}, "a,b\r\n", "é1,\"2\"\"\r\n3\"\r\n", "", "\"é1\" \"2\\\"\\r\\n3\""},
		"windows-1252": {Options{Format: "csv", Encoding: "windows-1252"}, "a,b\n", "\xe9\x80,\x80\n", "", "\"é€\" \"€\""},
		"json":         {Options{Format: "json"}, "[", `{"é":"\ud83d\ude00","n":[1.5e3, true]},`, "{}]", `{"é":"\ud83d\ude00","n":[1.5e3,true]}`},
		"ndjson":       {Options{Format: "ndjson"}, "", `{"é":"\u00e9"}` + "\n", "", `{"é":"\u00e9"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := decoder(t, c.o)
			for pad := range len(c.text) + 2 {
				const records = 700
				text := strings.Repeat("\n", pad) + c.head + strings.Repeat(c.text, records) + c.tail
				got, err := read(d, Blob{Reader: strings.NewReader(text), Size: 0}) // the smallest window
				if err != nil || len(got) < records {
					t.Fatalf("pad %d: %d records, %v", pad, len(got), err)
				}
				for i, g := range got[:records] {
					if g != c.want {
						t.Fatalf("pad %d: record %d is %s", pad, i+1, g)
					}
				}
			}
		})
	}
}

func TestPositionsAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	text := "\xef\xbb\xbfa,b\n1,\"x\ny\"\n\n\"é\",2\n3,4\n"
	var got []string
	for rec, err := range decoder(t, Options{Format: "csv", Raw: true}).Decode(blobOf(text)) {
		if err != nil {
			t.Fatal(err)
		}
		if at := text[rec.Offset:]; !strings.HasPrefix(at, string(rec.Raw)) {
			t.Errorf("record %d: offset %d leads to %q", rec.Number, rec.Offset, at)
		}
		got = append(got, fmt.Sprintf("%d:%d:%d:%v:%q", rec.Number, rec.Line, rec.Offset, rec.Names, rec.Raw))
	}
	want := `[1:2:7:[a b]:"1,\"x\ny\"" 2:5:16:[a b]:"\"é\",2" 3:6:23:[a b]:"3,4"]`
	if fmt.Sprint(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	text = ` {"items" : [ {"a":1} , {"a":"é"},{"a":1}] }`
	for rec, err := range decoder(t, Options{Format: "json", Records: "items", Raw: true}).Decode(blobOf(text)) {
		if err != nil {
			t.Fatal(err)
		}
		if len(rec.Raw) == 0 || !strings.HasPrefix(text[rec.Offset:], string(rec.Raw)) {
			t.Errorf("record %d: offset %d, raw %q", rec.Number, rec.Offset, rec.Raw)
		}
	}
}

func TestRejectsCarryTheRecord(t *testing.T) {
	t.Parallel()
	for o, want := range map[string]string{
		"csv":    `record 2 line 3 offset 8 value "x" raw "x": the row has 1 cell, there should be 2`,
		"ndjson": `record 1 line 1 offset 1 value "a,b" raw "a,b": unexpected "a", there should be a value`,
	} {
		var got string
		for _, err := range decoder(t, Options{Format: o, Raw: true}).Decode(blobOf("a,b\n1,2\nx\n")) {
			if e, ok := err.(*RecordError); ok && got == "" {
				got = fmt.Sprintf("record %d line %d offset %d value %q raw %q: %s", e.Record, e.Line, e.Offset, e.Value, e.Raw, e.Reason)
			}
		}
		want = strings.Replace(want, "offset 1 ", "offset 0 ", 1)
		if got != want {
			t.Errorf("%s: %s\nwant %s", o, got, want)
		}
	}
}

func TestHeaderBehindTheRecordsNeedsASecondReading(t *testing.T) {
	t.Parallel()
	text := `{"items":[{"a":1}],"no":7}`
	d := decoder(t, Options{Format: "json", Records: "items"}, Want{Name: "no", From: []string{"$.no"}}, Want{Name: "a", From: []string{"a"}})
	if got, err := read(d, seekable(text)); err != nil || fmt.Sprint(got) != "[7 1]" {
		t.Errorf("seekable: %q, %v", got, err)
	}
	got, err := read(d, blobOf(text))
	if err == nil || !strings.Contains(err.Error(), "stands behind the records") || fmt.Sprint(got) != "[∅ 1]" {
		t.Errorf("streaming: %q, %v", got, err)
	}
	if got, err := read(d, seekable(`{"items":[{"a":1},{"a":2}]}`)); err != nil || fmt.Sprint(got) != "[∅ 1 ∅ 2]" {
		t.Errorf("without: %q, %v", got, err)
	}
}

func TestBreakingOffStopsReading(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Format: "csv"}, {Format: "json"}, {Format: "ndjson"}} {
		text := `[{"a":1},{"a":2},`
		if o.Format != "json" {
			text = "{}\n{}\n{}\n"
		}
		n := 0
		for range decoder(t, o).Decode(blobOf(text)) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%s: %d steps", o.Format, n)
		}
	}
}

func TestTroubleInReadingIsNotTheFilesFault(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Format: "csv"}, {Format: "json"}, {Format: "ndjson"}} {
		r := io.MultiReader(strings.NewReader("[\n"), iotest.ErrReader(errGone))
		_, err := read(decoder(t, o), Blob{Reader: r, Size: -1})
		if err == nil || !strings.Contains(err.Error(), "read at offset 2: the disk is gone") {
			t.Errorf("%s: %v", o.Format, err)
		}
	}
}

var errGone = fmt.Errorf("the disk is gone")
