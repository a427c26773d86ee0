package formats

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"waybill/formats/formatstest"
)

// fileError reads a blob to its end, which must be a *FileError.
func fileError(t *testing.T, d Decoder, b Blob) *FileError {
	t.Helper()
	_, err := read(d, b)
	var f *FileError
	if !errors.As(err, &f) {
		t.Fatalf("ended with %v, want a *FileError", err)
	}
	return f
}

func wantLimit(t *testing.T, f *FileError, limit string) {
	t.Helper()
	if f.Limit != limit {
		t.Errorf("limit %q passed (%v), want %q", f.Limit, f, limit)
	}
}

// peak runs f and returns by how much the heap grew at most, as seen each time bytes are asked for.
func peak(t *testing.T, r io.Reader, f func(io.Reader)) uint64 {
	t.Helper()
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := &peeking{r: r}
	f(p)
	if p.most < before.HeapAlloc {
		return 0
	}
	return p.most - before.HeapAlloc
}

type peeking struct {
	r     io.Reader
	calls int
	most  uint64
}

func (p *peeking) Read(b []byte) (int, error) {
	if p.calls++; p.calls%4 == 0 && p.calls < 100 || p.calls%50 == 0 { // each is a collection of the whole heap
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		p.most = max(p.most, m.HeapAlloc)
	}
	return p.r.Read(b)
}

func TestUnclosedQuoteIsFoundWithinMaxRecord(t *testing.T) {
	t.Parallel()
	rest := &formatstest.Endless{Text: bytes.Repeat([]byte("x,y\n"), 16<<10), Left: 64 << 20}
	r := io.MultiReader(strings.NewReader("a,b\n1,2\n3,\"4\n"), rest)
	f := fileError(t, decoder(t, Options{Format: "csv"}, columns("a")...), Blob{Reader: r, Size: -1})
	wantLimit(t, f, "max_record")
	if f.Line != 3 {
		t.Errorf("the quote is said to be opened in line %d, want 3", f.Line)
	}
	if rest.Taken > 20<<20 {
		t.Errorf("%d bytes were read before the file was refused", rest.Taken)
	}
}

func TestLongLineIsRefusedWithoutReadingIt(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Format: "csv"}, {Format: "ndjson"}, {Format: "tsv", Quote: "none"}} {
		rest := &formatstest.Endless{Text: bytes.Repeat([]byte("a"), 64<<10), Left: 1 << 30}
		f := fileError(t, decoder(t, o, columns("a")...), Blob{Reader: io.MultiReader(strings.NewReader("a\n"), rest), Size: -1})
		wantLimit(t, f, "max_record")
		if f.Line != 2 || rest.Taken > 20<<20 {
			t.Errorf("%s: line %d, %d bytes read", o.Format, f.Line, rest.Taken)
		}
	}
}

func TestLimitsOfCSV(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20+1)
	for name, c := range map[string]struct{ text, limit string }{
		"columns of the titles": {strings.Repeat("a,", 1_000_000) + "a\n", "max_columns"},
		"columns of a row":      {"a,b\n" + strings.Repeat(",", 2000) + "\n", "max_columns"},
		"columns in quotes":     {"a,b\n\"\"" + strings.Repeat(",\"\"", 2000) + "\n", "max_columns"},
		"field":                 {"a,b\n" + long + ",1\n", "max_field"},
		"field in quotes":       {"a,b\n\"" + long + "\",1\n", "max_field"},
		"record in quotes":      {"a,b\n" + strings.Repeat("\""+long[:1<<19]+"\",", 17) + "\n", "max_record"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantLimit(t, fileError(t, decoder(t, Options{Format: "csv"}), blobOf(c.text)), c.limit)
		})
	}
	at := strings.Repeat("a", 1<<20)
	if got, err := read(decoder(t, Options{Format: "csv"}, columns("x")...), blobOf("x\n"+at+"\n")); err != nil || len(got) != 1 {
		t.Errorf("a field of exactly max_field: %d records, %v", len(got), err)
	}
}

func TestLimitsOfJSON(t *testing.T) {
	t.Parallel()
	mib := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct{ text, limit string }{
		"string":                  {`[{"a":"` + mib + `y"}]`, "max_field"},
		"number":                  {`[{"a":` + strings.Repeat("1", 1<<20+1) + `}]`, "max_field"},
		"record":                  {`[{"a":[` + strings.Repeat(`"`+mib[:1<<19]+`",`, 17) + `1]}]`, "max_record"},
		"document":                {`{"a":[` + strings.Repeat(`"`+mib[:1<<19]+`",`, 17) + `1]}`, "max_record"},
		"elements":                {`[{"lines":[` + strings.Repeat(`{},`, 500_000) + `{}]}]`, "max_cells"},
		"depth 10,001":            {strings.Repeat("[", 10_001), "max_depth"},
		"depth 10,001 of objects": {strings.Repeat(`{"a":`, 10_001), "max_depth"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wants := append(columns("a"), Want{Name: "l", From: []string{"lines"}, List: true, Fields: columns("x")})
			f := fileError(t, decoder(t, Options{Format: "json"}, wants...), blobOf(c.text))
			wantLimit(t, f, c.limit)
			if f.Offset < 0 {
				t.Errorf("no offset: %v", f)
			}
		})
	}
}

func TestMembersAroundTheRecordsAreBounded(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	text.WriteString("{")
	for i := range 200_000 {
		text.WriteString(`"m` + string(rune('a'+i%26)) + strings.Repeat("0", 3) + itoa(i) + `":1,`)
	}
	f := fileError(t, decoder(t, Options{Format: "json", Records: "items"}), blobOf(text.String()))
	wantLimit(t, f, "max_record")
}

func itoa(i int) string { b, _ := Bytes(i).MarshalText(); return string(b) }

func TestFileLargerThanMaxFileIsRefused(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{-1, 4 << 20} {
		r := &formatstest.Endless{Text: bytes.Repeat([]byte(strings.Repeat("1", 1022)+",\n"), 64), Left: 4 << 20}
		d := decoder(t, Options{Format: "csv", Limits: Limits{MaxFile: 1 << 20}})
		f := fileError(t, d, Blob{Reader: r, Size: size})
		wantLimit(t, f, "max_file")
		if f.Offset != 1<<20 {
			t.Errorf("offset %d", f.Offset)
		}
	}
	d := decoder(t, Options{Format: "csv", Limits: Limits{MaxFile: 8}})
	if got, err := read(d, blobOf("a,b\n1,2\n")); err != nil || len(got) != 1 {
		t.Errorf("a file of exactly max_file: %q, %v", got, err)
	}
}

// TestMemoryIsFlat is not parallel: it looks at the heap of the process.
func TestMemoryIsFlat(t *testing.T) {
	const size = 2 << 20
	for name, c := range map[string]struct {
		o                Options
		head, text, tail string
	}{
		"json trees":     {Options{Format: "json", Records: "items"}, `{"items":[`, `{"a": [ "some text to be copied, without blanks" ] , "b" : "\n"},`, "{}]}"},
		"csv":            {Options{Format: "csv"}, benchHead, benchRow, ""},
		"quoted csv":     {Options{Format: "csv"}, benchHead, "1,2,3,4,5,6,7,8,9,\"te\"\"n\"\n", ""},
		"ndjson":         {Options{Format: "ndjson"}, "", benchJSON + "\n", ""},
		"json":           {Options{Format: "json", Records: "items"}, `{"items":[`, benchJSON + ",\n", "{}]}"},
		"xml":            {Options{Format: "xml", Records: "/orders/order"}, benchXMLHead, benchXML, benchXMLTail},
		"xml trees":      {Options{Format: "xml", Records: "/orders/order"}, benchXMLHead, benchXML, benchXMLTail},
		"xml elsewhere":  {Options{Format: "xml", Records: "/orders/none"}, benchXMLHead, benchXML, benchXMLTail},
		"xml recoded":    {Options{Format: "xml", Records: "/orders/order"}, "<?xml version='1.0' encoding='windows-1251'?><orders>", "<order a='\xd4'>\xd4\xe8</order>\n", benchXMLTail},
		"fixed":          {Options{Format: "fixed", Ends: "none", Length: 8}, "", "AAAABBéC", ""},
		"json elsewhere": {Options{Format: "json", Records: "z"}, `{"items":[`, benchJSON + ",\n", `{}],"z":[{}]}`},
	} {
		var wants []Want
		if name == "json" || name == "ndjson" {
			wants = benchWants
		} else if name == "xml" {
			wants = benchXMLWants
		}
		d := decoder(t, c.o, wants...)
		rows := int64(size / len(c.text))
		body := &formatstest.Endless{Text: bytes.Repeat([]byte(c.text), 512), Left: rows * int64(len(c.text))}
		n := int64(0)
		grown := peak(t, io.MultiReader(strings.NewReader(c.head), body, strings.NewReader(c.tail)), func(r io.Reader) {
			for _, err := range d.Decode(Blob{Reader: r, Size: -1}) {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				n++
			}
		})
		if n < rows && !strings.HasSuffix(name, "elsewhere") {
			t.Errorf("%s: %d records of %d", name, n, rows)
		}
		if grown > 512<<10 {
			t.Errorf("%s: the heap grew by %d KiB", name, grown>>10)
		}
	}
}

// TestRecordsAreFree is not parallel: it counts the allocations of the process.
func TestRecordsAreFree(t *testing.T) {
	for name, c := range map[string]struct {
		o     Options
		wants []Want
		text  func(rows int) []byte
	}{
		"csv":          {Options{Format: "csv", Raw: true}, columns("id", "note"), func(n int) []byte { return lines(n, benchHead, benchRow) }},
		"quoted csv":   {Options{Format: "csv"}, columns("a", "b"), func(n int) []byte { return lines(n, "a,b\n", "\"x\ny\",\"z\"\"\"\n") }},
		"windows-1252": {Options{Format: "csv", Encoding: "windows-1252"}, columns("a"), func(n int) []byte { return lines(n, "a\n", "\xe9\x80\n") }},
		"ndjson":       {Options{Format: "ndjson"}, benchWants, func(n int) []byte { return lines(n, "", benchJSON+"\n") }},
		"json":         {Options{Format: "json"}, benchWants, func(n int) []byte { return append(lines(n, "[", benchJSON+","), "{}]"...) }},
		"xml": {Options{Format: "xml", Records: "/orders/order"}, append(benchXMLWants[:5:5],
			Want{Name: "l", List: true, From: []string{"price[@currency='EUR']", "price"}, Fields: columns("x")}), benchXMLFile},
		"json trees": {Options{Format: "json"}, nil, func(n int) []byte { return append(lines(n, "[", `{"a": "\n", "b" : [ 1 ]},`), "{}]"...) }},
	} {
		d := decoder(t, c.o, c.wants...)
		count := func(rows int) float64 {
			data := c.text(rows)
			return testing.AllocsPerRun(5, func() {
				for _, err := range d.Decode(Blob{Reader: bytes.NewReader(data), Size: -1}) {
					if err != nil {
						t.Fatal(err)
					}
				}
			})
		}
		if few, many := count(200), count(1_000); many > few+8 {
			t.Errorf("%s: %.0f allocations for 200 records, %.0f for 1,000", name, few, many)
		}
	}
}
