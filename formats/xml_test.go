package formats

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"waybill/formats/formatstest"
)

// An xmlElement is an element as the tests draw and compare it.
type xmlElement struct {
	name  string
	attrs [][2]string
	parts []any // string or *xmlElement
}

// json says of an element what a record without declared fields gives.
func (e *xmlElement) json() any {
	var text strings.Builder
	members := map[string][]any{}
	for _, a := range e.attrs {
		members["@"+a[0]] = append(members["@"+a[0]], a[1])
	}
	for _, p := range e.parts {
		switch p := p.(type) {
		case string:
			text.WriteString(p)
		case *xmlElement:
			members[p.name] = append(members[p.name], p.json())
		}
	}
	if len(members) == 0 {
		return text.String()
	}
	if t := strings.Trim(text.String(), " \t\r\n"); t != "" {
		members["#text"] = append(members["#text"], t)
	}
	out := map[string]any{}
	for name, values := range members {
		out[name] = values
		if len(values) == 1 {
			out[name] = values[0]
		}
	}
	return out
}

// parsed reads a document by the standard library.
func parsed(text []byte) (root *xmlElement, err error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var open []*xmlElement
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root, nil
		} else if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := &xmlElement{name: token.Name.Local}
			for _, a := range token.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					e.attrs = append(e.attrs, [2]string{a.Name.Local, a.Value})
				}
			}
			if len(open) > 0 {
				top := open[len(open)-1]
				top.parts = append(top.parts, e)
			} else {
				root = e
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				top := open[len(open)-1]
				top.parts = append(top.parts, string(token))
			}
		}
	}
}

func drawElement(t *rapid.T, depth int) *xmlElement {
	names := rapid.SampledFrom([]string{"a", "b", "c", "Ж", "d-1", "e.2"})
	texts := rapid.StringOfN(rapid.SampledFrom([]rune("ab <>&\"'Ж😀]é=/")), 0, 5, -1)
	e := &xmlElement{name: names.Draw(t, "name")}
	for _, n := range rapid.SliceOfNDistinct(names, 0, 3, rapid.ID).Draw(t, "attributes") {
		e.attrs = append(e.attrs, [2]string{n, texts.Draw(t, "value")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "parts") {
		if depth > 0 && rapid.Bool().Draw(t, "element") {
			e.parts = append(e.parts, drawElement(t, depth-1))
		} else {
			e.parts = append(e.parts, texts.Draw(t, "text"))
		}
	}
	return e
}

// write writes an element in one of the ways that there are.
func (e *xmlElement) write(t *rapid.T, b *strings.Builder) {
	blank := rapid.SampledFrom([]string{"", " ", "\n", "\t "})
	fmt.Fprintf(b, "<%s", e.name)
	for _, a := range e.attrs {
		quote := rapid.SampledFrom([]string{`"`, `'`}).Draw(t, "quote")
		fmt.Fprintf(b, " %s%s%s=%s%s%s%s", blank.Draw(t, ""), a[0], blank.Draw(t, ""), blank.Draw(t, ""), quote, escaped(t, a[1]), quote)
	}
	b.WriteString(blank.Draw(t, ""))
	if len(e.parts) == 0 && rapid.Bool().Draw(t, "empty") {
		b.WriteString("/>")
		return
	}
	b.WriteString(">")
	for _, p := range e.parts {
		switch p := p.(type) {
		case *xmlElement:
			p.write(t, b)
		case string:
			if !strings.Contains(p, "]") && rapid.Bool().Draw(t, "cdata") {
				fmt.Fprintf(b, "<![CDATA[%s]]>", p)
			} else {
				b.WriteString(escaped(t, p))
			}
		}
		if rapid.IntRange(0, 5).Draw(t, "comment") == 0 {
			b.WriteString(rapid.SampledFrom([]string{"<!-- <a> -->", "<?go on?>", "<!---->", "<?x?>"}).Draw(t, ""))
		}
	}
	fmt.Fprintf(b, "</%s%s>", e.name, blank.Draw(t, ""))
}

func escaped(t *rapid.T, text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case rapid.IntRange(0, 9).Draw(t, "by number") == 0:
			fmt.Fprintf(&b, rapid.SampledFrom([]string{"&#%d;", "&#x%x;", "&#x%X;"}).Draw(t, "form"), r)
		case strings.ContainsRune(`<>&"'`, r):
			b.WriteString(map[rune]string{'<': "&lt;", '>': "&gt;", '&': "&amp;", '"': "&quot;", '\'': "&apos;"}[r])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func sameJSON(got []byte, want any) bool {
	var g, w any
	text, err := json.Marshal(want)
	if err != nil || json.Unmarshal(got, &g) != nil || json.Unmarshal(text, &w) != nil {
		return false
	}
	return fmt.Sprint(g) == fmt.Sprint(w) && fmt.Sprintf("%T", g) == fmt.Sprintf("%T", w)
}

func TestXMLReadsWhatTheStandardLibraryReads(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "xml"})
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		e := drawElement(t, 3)
		e.write(t, &b)
		theirs, err := parsed([]byte(b.String()))
		if err != nil {
			t.Fatalf("%q: the standard library: %v", b.String(), err)
		}
		r := drip{strings.NewReader(b.String()), rapid.IntRange(1, 9).Draw(t, "at a time")}
		n := 0
		for rec, err := range d.Decode(Blob{Reader: r, Size: 0}) {
			if err != nil || !sameJSON(rec.Cells[0].Bytes, theirs.json()) || !sameJSON(rec.Cells[0].Bytes, e.json()) {
				t.Fatalf("%q: %v, %v, want %v", b.String(), rec, err, theirs.json())
			}
			n++
		}
		if n != 1 {
			t.Fatalf("%q: %d records", b.String(), n)
		}
	})
}

// walk finds what a path of plain names leads to, in the plainest way.
func (e *xmlElement) walk(steps []string) []*xmlElement {
	if len(steps) == 0 {
		return []*xmlElement{e}
	}
	var out []*xmlElement
	for _, p := range e.parts {
		if c, ok := p.(*xmlElement); ok && (steps[0] == "*" || steps[0] == c.name) {
			out = append(out, c.walk(steps[1:])...)
		}
	}
	return out
}

func (e *xmlElement) text() string {
	var b strings.Builder
	for _, p := range e.parts {
		switch p := p.(type) {
		case string:
			b.WriteString(p)
		case *xmlElement:
			b.WriteString(p.text())
		}
	}
	return b.String()
}

// TestPathsLeadWhereTheyShould compares paths of names and * with a walk over the drawn tree, in lists and alone.
func TestPathsLeadWhereTheyShould(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		e := drawElement(t, 3)
		e.write(t, &b)
		var wants []Want
		var paths [][]string
		for i := range rapid.IntRange(1, 4).Draw(t, "paths") {
			steps := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "*"}), 1, 3).Draw(t, "steps")
			paths = append(paths, steps)
			from := []string{strings.Join(steps, "/")}
			wants = append(wants, Want{Name: fmt.Sprint("one", i), From: from}, Want{Name: fmt.Sprint("all", i), From: from, List: true, Fields: columns(".")})
		}
		d, ps := New(Options{Format: "xml"}, wants)
		if ps != nil {
			t.Fatal(ps)
		}
		for rec, err := range d.Decode(blobOf(b.String())) {
			if err != nil {
				t.Fatal(err)
			}
			for i, steps := range paths {
				hits := e.walk(steps)
				one, all := rec.Cells[2*i], rec.Cells[2*i+1]
				if len(hits) != len(all.Rows) || (len(hits) == 0) != (one.Kind == Absent) {
					t.Fatalf("%q %v: %s, want %d", b.String(), steps, show(rec.Cells), len(hits))
				}
				for k, h := range hits {
					if string(all.Rows[k][0].Bytes) != h.text() || string(one.Bytes) != hits[0].text() {
						t.Fatalf("%q %v: %s, want %q", b.String(), steps, show(rec.Cells), h.text())
					}
				}
			}
		}
	})
}

func FuzzXML(f *testing.F) {
	formatstest.Seeds(f, "testdata/xml/*.xml")
	limits := fuzzLimits
	limits.MaxDepth = 20
	limits.MaxField = 200
	limits.MaxRecord = 2_000
	whole := decoder(f, Options{Format: "xml", Limits: limits})
	fields := decoder(f, Options{Format: "xml", Records: "/r/a", Namespaces: map[string]string{"n": "urn:p"}, Limits: limits},
		Want{Name: "t", From: []string{"."}}, Want{Name: "x", From: []string{"@x", "n:b[2]/@n:x", "*[@x='1']"}}, Want{Name: "l", List: true, From: []string{"b/c"}, Fields: columns("d", "@x")},
		Want{Name: "h", From: []string{"/r/h"}})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range []Decoder{whole, fields} {
			got, end := read(d, Blob{Reader: bytes.NewReader(data), Size: int64(len(data))})
			again, err := read(d, Blob{Reader: iotest.OneByteReader(bytes.NewReader(data)), Size: -1})
			if fmt.Sprint(got, end) != fmt.Sprint(again, err) {
				t.Fatalf("%q\nat once: %q, %v\nbyte by byte: %q, %v", data, got, end, again, err)
			}
			var fe *FileError
			if end != nil && (!errors.As(end, &fe) || fe.Reason == "") {
				t.Fatalf("not a file's error: %v", end)
			}
		}
		got, end := read(whole, Blob{Reader: bytes.NewReader(data), Size: -1})
		if end != nil || len(got) == 0 || bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) || sniffXML(data) != "" || declared(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))) != "" {
			return
		}
		theirs, err := parsed(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
		if err != nil {
			if strings.Contains(err.Error(), "invalid XML name") || strings.Contains(err.Error(), "expected element name") || strings.Contains(err.Error(), "expected attribute name") {
				return // of the fifth edition
			}
			t.Fatalf("%q: we take what the standard library refuses: %v", data, err)
		}
		var ours any
		if json.Unmarshal([]byte(got[0]), &ours) != nil {
			t.Fatalf("%q: %s", data, got[0])
		}
		text, _ := json.Marshal(theirs.json())
		var other any
		if err := json.Unmarshal(text, &other); err != nil || squeeze(ours) != squeeze(other) {
			t.Fatalf("%q: %v, the standard library: %v", data, ours, other)
		}
	})
}

// squeeze shows a value without its white space, which the standard library keeps in the values of attributes.
func squeeze(v any) string {
	return strings.NewReplacer(" ", "", "\n", "", "\t", "", "\r", "").Replace(fmt.Sprint(v))
}

func TestBillionLaughsIsRefusedAtTheDoctype(t *testing.T) { // hostile input 17
	t.Parallel()
	text := "<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [<!ENTITY lol \"lol\">" + strings.Repeat("<!ENTITY l \"&lol;&lol;\">", 1000) + "]>\n<lolz>&l;</lolz>"
	f := fileError(t, decoder(t, Options{Format: "xml"}), blobOf(text))
	if f.Line != 2 || f.Column != 1 || !strings.Contains(f.Reason, "DOCTYPE") {
		t.Errorf("%v", f)
	}
	f = fileError(t, decoder(t, Options{Format: "xml"}), blobOf("<a>\n&lol;</a>"))
	if f.Line != 2 || !strings.Contains(f.Reason, `"&lol" is no entity`) {
		t.Errorf("%v", f)
	}
}

func TestNothingOutsideTheFileIsFetched(t *testing.T) { // hostile input 18: there is no code for it, DOCTYPE is refused and XInclude is an element like others
	t.Parallel()
	for _, text := range []string{`<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x"><a/>`, `<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><a/>`} {
		if f := fileError(t, decoder(t, Options{Format: "xml"}), blobOf(text)); f.Line != 1 || !strings.Contains(f.Reason, "DOCTYPE") {
			t.Errorf("%v", f)
		}
	}
}

// Hostile input 19. Not parallel: it looks at the heap of the process.
func TestXMLDepthOfAMillionIsRefusedEarly(t *testing.T) {
	for _, o := range []Options{{Format: "xml"}, {Format: "xml", Records: "/b/c"}} {
		rest := &formatstest.Endless{Text: bytes.Repeat([]byte("<a>"), 1<<10), Left: 3_000_000}
		var f *FileError
		grown := peak(t, rest, func(r io.Reader) { f = fileError(t, decoder(t, o), Blob{Reader: r, Size: -1}) })
		wantLimit(t, f, "max_depth")
		if rest.Taken > 1<<20 || grown > 1<<20 {
			t.Errorf("%d bytes read, the heap grew by %d", rest.Taken, grown)
		}
	}
}

func TestDuplicateAttributesAmongManyAreFound(t *testing.T) { // hostile input 20
	t.Parallel()
	for _, n := range []int{1, 15, 16, 17, 1_998} {
		var text strings.Builder
		text.WriteString("<r>\n<a")
		for i := range n {
			fmt.Fprintf(&text, " m%d=''", i)
		}
		if _, err := read(decoder(t, Options{Format: "xml"}, columns("a")...), blobOf(text.String()+"/></r>")); err != nil {
			t.Errorf("%d attributes: %v", n, err)
		}
		f := fileError(t, decoder(t, Options{Format: "xml"}, columns("a")...), blobOf(text.String()+" m0=''/></r>"))
		if !strings.Contains(f.Reason, "the attribute m0 stands twice") || f.Line != 2 || f.Offset != int64(text.Len()+1) {
			t.Errorf("%d attributes: %v", n, f)
		}
	}
}

func TestXMLIsReadToTheEndOfTheFile(t *testing.T) { // hostile input 21
	t.Parallel()
	d := decoder(t, Options{Format: "xml", Records: "/r/a"}, columns(".")...)
	for tail, want := range map[string]string{"<r/>": "a second root element", "x": "text outside the root element", "<": "the text ends inside a tag: truncated?", "&amp;": "text outside the root element", "</r>": "an end tag outside the root element"} {
		got, err := read(d, blobOf("<r><a>1</a></r>\n"+tail))
		if len(got) != 1 || err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "line 2, column ") {
			t.Errorf("%q: %v, %v", tail, got, err)
		}
	}
}

func TestHugeTextsOfXMLAreRefusedWithoutBuffering(t *testing.T) { // hostile input 22
	t.Parallel()
	for name, c := range map[string]struct{ head, text, limit string }{
		"text":                     {"<r><a>", "x", "max_field"},
		"text not wanted":          {"<r><b>", "x", "max_field"},
		"text between records":     {"<r>", " ", "max_field"},
		"text before the root":     {"", " ", "max_field"},
		"text behind the root":     {"<r/>", "\n", "max_field"},
		"attribute":                {"<r><a x=\"", "x", "max_field"},
		"attribute of the root":    {"<r x=\"", "x", "max_field"},
		"comment":                  {"<r><!--", "x", "max_field"},
		"instruction":              {"<r><?x ", "x", "max_field"},
		"CDATA":                    {"<r><a><![CDATA[", "x", "max_field"},
		"name":                     {"<r><", "x", "max_field"},
		"name of an end":           {"<r></", "x", "max_field"},
		"name of an attribute":     {"<r ", "x", "max_field"},
		"blanks in a tag":          {"<r ", " ", "max_record"},
		"text in pieces":           {"<r><a>", "x<!-- -->", "max_field"},
		"text in pieces, CDATA":    {"<r><a>", "<![CDATA[xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]]>", "max_field"},
		"children":                 {"<r><a>", "<b/>", "max_record"},
		"wanted children":          {"<r><a>", "<c/>", "max_cells"},
		"values around":            {"<r>", "<h>x</h>", "max_cells"},
		"attributes":               {"<r><a", " a=''", ""},
		"bytes without meaning":    {"", "\xff", ""},
		"the XML declaration":      {"<?xml ", " ", ""},
		"text in pieces outside":   {"<r><h>", "x<!---->", "max_field"},
		"white space in an entity": {"<r><a>&", " ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := Limits{}
			if strings.HasPrefix(c.text, "<") || c.text == "x<!-- -->" || c.text == "x<!---->" { // every byte is parsed
				limits = Limits{MaxRecord: 1 << 20, MaxField: 64 << 10, MaxCells: 20_000}
			}
			d := decoder(t, Options{Format: "xml", Records: "/r/a", Limits: limits}, Want{Name: "a", From: []string{"."}}, Want{Name: "x", From: []string{"@x"}}, Want{Name: "c", List: true, From: []string{"c"}, Fields: columns("d")},
				Want{Name: "h", From: []string{"/r/h"}})
			rest := &formatstest.Endless{Text: bytes.Repeat([]byte(c.text), 4<<10), Left: 1 << 30}
			f := fileError(t, d, Blob{Reader: io.MultiReader(strings.NewReader(c.head), rest), Size: -1})
			if c.limit != "" {
				wantLimit(t, f, c.limit)
			}
			if rest.Taken > 20<<20 || f.Line > 1 || f.Offset < 0 {
				t.Errorf("%d bytes read: %v", rest.Taken, f)
			}
		})
	}
}

func TestDeclaredEncodingsAreThoseOfTheListOrRefused(t *testing.T) { // hostile input 23
	t.Parallel()
	d := decoder(t, Options{Format: "xml"}, columns("a")...)
	for name, want := range map[string]string{
		"ISO-8859-1": `["é"] <nil>`, "Windows-1252": `["é"] <nil>`, "latin1": `["é"] <nil>`, "KOI8-R": `["И"] <nil>`, "cp866": `["щ"] <nil>`,
		"UTF-7": `[] line 1: the file declares the encoding "UTF-7", which is not known here`, "x-evil": "[] line 1: the file declares the encoding",
		"UTF-8": "[] line 1, column 49: byte 0xe9 is not valid UTF-8",
	} {
		got, err := read(d, blobOf(fmt.Sprintf("<?xml version='1.0' encoding='%s'?><r>%s<a>\xe9</a></r>", name, strings.Repeat(" ", 9-min(9, len(name))))))
		if s := fmt.Sprint(got, " ", err); !strings.HasPrefix(s, want) {
			t.Errorf("%s: %s, want %s", name, s, want)
		}
	}
}

// TestTextGoesOutAsItCame: records are taken from the bytes as they stand and nothing is ever written as XML and read again, so that
// no round trip can change what a signature was made for. Prefixes that mean one thing to one reader and another to the next are
// refused.
func TestTricksWithNamespacesAreRefused(t *testing.T) { // hostile input 24
	t.Parallel()
	for text, want := range map[string]string{
		`<x::y xmlns:x="u"/>`:                          "a colon that parts no prefix",
		`<:x xmlns="u"/>`:                              "a colon that parts no prefix",
		`<x: xmlns:x="u"/>`:                            "should be the name",
		`<r :x="1"/>`:                                  "a colon that parts no prefix",
		`<r a:b:c="1" xmlns:a="u"/>`:                   "a colon that parts no prefix",
		`<r xmlns:x="u"></x:r>`:                        "the end tag </x:r> stands where <r> should end",
		`<x:r xmlns:x="u"></r>`:                        "the end tag </r> stands where <x:r> should end",
		`<x:r xmlns:x="u"><y:a/></x:r>`:                `the prefix "y"`,
		`<r x:a="1" y:a="2" xmlns:x="u" xmlns:y="u"/>`: "stands twice",
		`<r xmlns:x=""/>`:                              "the empty namespace",
		`<xmlns:r/>`:                                   `the prefix "xmlns"`,
		`<?x:y?><r/>`:                                  "the name of an instruction holds a colon",
	} {
		if _, err := read(decoder(t, Options{Format: "xml"}), blobOf(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestPlacesInLongXMLFiles(t *testing.T) {
	t.Parallel()
	const rows = 20_000
	text := "<r>\n" + strings.Repeat("<a>\n é</a>\n", rows)
	d := decoder(t, Options{Format: "xml", Records: "/r/a", Raw: true}, columns(".")...)
	n := int64(0)
	for rec, err := range d.Decode(Blob{Reader: strings.NewReader(text + "<b></a>"), Size: 0}) {
		var f *FileError
		if errors.As(err, &f) {
			if f.Line != 2*rows+2 || f.Column != 4 || f.Offset != int64(len(text)+3) {
				t.Errorf("%v, offset %d", f, f.Offset)
			}
			continue
		}
		n++
		if err != nil || rec.Line != 2*n || !strings.HasPrefix(text[rec.Offset:], string(rec.Raw)) || rec.Number != n || string(rec.Raw) != "<a>\n é</a>" {
			t.Fatalf("record %d: line %d, offset %d, %q, %v", rec.Number, rec.Line, rec.Offset, rec.Raw, err)
		}
	}
	if n != rows {
		t.Errorf("%d records", n)
	}
}

func TestFieldsBehindTheRecordsOfAFileThatOnlyStreamsAreRefused(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "xml", Records: "/r/a"}, columns(".", "/r/t")...)
	text := "<r><a>1</a><t>9</t></r>"
	if got, err := read(d, seekable(text)); err != nil || fmt.Sprint(got) != `["1" "9"]` {
		t.Errorf("%q, %v", got, err)
	}
	_, err := read(d, blobOf(text))
	if err == nil || !strings.Contains(err.Error(), "field /r/t: /r/t stands behind the records") {
		t.Errorf("%v", err)
	}
}

func TestARecordAcrossTheWindowIsReadWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<l><v>é&amp;</v></l>", 20_000)
	d := decoder(t, Options{Format: "xml", Records: "/r/a"}, Want{Name: "l", List: true, From: []string{"l"}, Fields: columns("v")}, Want{Name: "e", From: []string{"e"}})
	for pad := range 4 {
		text := "<r>" + strings.Repeat(" ", pad) + strings.Repeat("<a>"+long+"<e>x</e></a>", 3) + "</r>"
		got, err := read(d, Blob{Reader: strings.NewReader(text), Size: 0})
		if err != nil || len(got) != 3 || strings.Count(got[2], `"é&"`) != 20_000 || !strings.HasSuffix(got[1], `"x"`) {
			t.Errorf("pad %d: %d records, %v", pad, len(got), err)
		}
	}
}
