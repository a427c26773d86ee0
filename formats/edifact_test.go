package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"waybill/formats/formatstest"
)

// interchange puts messages, each of them segments without UNH and UNT, between UNB and UNZ.
func interchange(messages ...[]string) string {
	var b strings.Builder
	b.WriteString("UNB+UNOA:3+S:14+R:14+260131:1200+77'\n")
	for i, m := range messages {
		fmt.Fprintf(&b, "UNH+%d+ORDERS:D:96A:UN'\n", i+1)
		for _, s := range m {
			b.WriteString(s + "'\n")
		}
		fmt.Fprintf(&b, "UNT+%d+%d'\n", len(m)+2, i+1)
	}
	fmt.Fprintf(&b, "UNZ+%d+77'\n", len(messages))
	return b.String()
}

var ediOrder = []string{"BGM+220+A-1+9", "DTM+137:20260131:102", "RFF+ON:77", "RFF+CT:88", "NAD+BY+541::9", "CTA+OC+:Ann", "NAD+SU+401::9", "CUX+2:EUR:9",
	"LIN+1++4711:EN", "QTY+21:8", "RFF+LI:1", "PRI+AAA:1.50", "RFF+XX:5", "LIN+2++4712:EN", "PIA+1+X:SA", "QTY+12:1", "QTY+21:9",
	"ALC+A", "PCD+3:20", "ALC+C", "MOA+8:5", "DTM+2:20260202:102", "PRI+AAA:2", "UNS+S", "MOA+79:30", "CNT+2:2"}

func list(name, from string, fields ...Want) Want {
	return Want{Name: name, From: []string{from}, List: true, Fields: fields}
}

func place1(name, from string) Want { return Want{Name: name, From: []string{from}} }

// TestGroupsOfSegments: what belongs to a row, and what is seen from outside.
func TestGroupsOfSegments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wants []Want
		want  string
	}{
		"single segments hide nothing": {[]Want{list("refs", "RFF", place1("kind", "RFF.1.1"), place1("no", "RFF.1.2")), place1("buyer", "NAD[BY].2.1")},
			`[["ON" "77" | "CT" "88" | "LI" "1" | "XX" "5"] "541"]`},
		"what stands in a group is not seen outside": {[]Want{list("lines", "LIN", place1("q", "QTY[21].1.2")), list("refs", "RFF", place1("no", "RFF.1.2")), place1("li", "RFF[LI].1.2"), place1("price", "PRI.1.2")},
			`[["8" | "9"] ["77" | "88"] ∅ ∅]`},
		"a group ends where another begins, with what it asks for": {[]Want{
			list("parties", "NAD", place1("role", "NAD.1"), place1("contact", "CTA.2.2")), place1("currency", "CUX.1.2"),
			list("lines", "LIN", place1("sku", "LIN.3.1"), place1("price", "PRI.1.2"))},
			`[["BY" "Ann" | "SU" ∅] "EUR" ["4711" "1.50" | "4712" "2"]]`},
		"without another it goes on": {[]Want{list("parties", "NAD", place1("role", "NAD.1"), place1("contact", "CTA.2.2")), place1("currency", "CUX.1.2"), place1("total", "MOA[79].1.2")},
			`[["BY" "Ann" | "SU" ∅] ∅ "30"]`},
		"groups in groups": {[]Want{list("lines", "LIN", place1("sku", "LIN.3.1"),
			list("allowances", "ALC", place1("kind", "ALC.1"), place1("share", "PCD.1.2"), place1("amount", "MOA.1.2")), place1("day", "DTM[2].1.2"), place1("price", "PRI.1.2"))},
			`[["4711" ∅ ∅ "1.50" | "4712" ["A" "20" ∅ | "C" ∅ "5"] "20260202" "2"]]`},
		"the last line ends with UNS": {[]Want{list("lines", "LIN", place1("last", "RFF[XX].1.2"), place1("total", "MOA[79].1.2")), place1("total", "MOA[79].1.2")},
			`[["5" ∅ | ∅ ∅] "30"]`},
		"qualified rows end at any of the name": {[]Want{list("buyers", "NAD[BY]", place1("id", "NAD.2.1"), place1("contact", "CTA.2.2")), list("sellers", "NAD[SU]", place1("contact", "CTA.2.2"))},
			`[["541" "Ann"] [∅]]`},
		"an object is the first": {[]Want{{Name: "r", From: []string{"RFF[XX]", "RFF"}, Object: true, Fields: []Want{place1("no", "RFF.1.2")}}}, `[["5"]]`},
		"numbers of a message":   {[]Want{place1("n", "UNT.1"), place1("kind", "UNH.2.1"), place1("release", "UNH.2.3"), place1("sender", "UNB.2.1")}, `["28" "ORDERS" "96A" "S"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(decoder(t, Options{Format: "edifact"}, c.wants...), blobOf(interchange(ediOrder)))
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("%s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestDecimalMarkOfUNAIsGivenToNumbers(t *testing.T) {
	t.Parallel()
	text := "UNA:+,? '" + interchange([]string{"QTY+21:4,5", "FTX+4,5", "QTY+12:4.5"})
	number := func(name, from string) Want { return Want{Name: name, From: []string{from}, Number: true} }
	got, err := read(decoder(t, Options{Format: "edifact"}, number("a", "QTY.1.2"), place1("b", "QTY.1.2"), place1("c", "FTX.1"), number("d", "QTY[12].1.2")), blobOf(text))
	if err != nil || fmt.Sprint(got) != `["4.5" "4,5" "4,5" "4.5"]` {
		t.Errorf("%s, %v", got, err)
	}
	if got, _ := read(decoder(t, Options{Format: "edifact"}, number("a", "QTY.1.2")), blobOf(strings.TrimPrefix(text, "UNA:+,? '"))); fmt.Sprint(got) != `["4,5"]` {
		t.Errorf("without UNA: %s", got)
	}
}

func TestEnvelopeOfEDIFACT(t *testing.T) {
	t.Parallel()
	parts := []Part{{Role: Header, Wants: []Want{place1("from", "UNB.2.1"), place1("ref", "UNB.5")}},
		{Role: Body, Name: "orders", Kind: "ORDERS", Wants: columnsAt("BGM.2")}, {Role: Body, Name: "answers", Kind: "ORDRSP:D", Wants: columnsAt("BGM.1")},
		{Role: Trailer, Wants: []Want{place1("count", "UNZ.1")}}}
	both := interchange([]string{"BGM+220+A"}, []string{"BGM+231+B"}, []string{"BGM+7+C"})
	both = strings.Replace(strings.Replace(both, "UNH+2+ORDERS", "UNH+2+ORDRSP", 1), "UNH+3+ORDERS", "UNH+3+INVOIC", 1)
	run := func(parts []Part, text string) (list []string, end error) {
		t.Helper()
		d, ps := NewParts(Options{Format: "edifact"}, parts)
		if ps != nil {
			t.Fatal(ps)
		}
		for rec, err := range d.Decode(blobOf(text)) {
			if err != nil {
				return list, err
			}
			list = append(list, fmt.Sprintf("%d %d:%d %s", rec.Part, rec.Line, rec.Number, show(rec.Cells)))
		}
		return list, nil
	}
	if got, err := run(parts, both); err != nil || fmt.Sprint(got) != `[0 1:0 "S" "77" 1 2:1 "A" 2 5:2 "231" 3 11:0 "3"]` {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := run(parts, both+both); err == nil || !strings.Contains(err.Error(), "line 12, column 1: the file holds several interchanges, each with a header of its own") {
		t.Errorf("%s, %v", got, err)
	}
	parts[0].Role, parts[3].Role = BlockHeader, BlockTrailer
	if got, err := run(parts, both+both); err != nil || len(got) != 8 || got[4] != `0 12:0 "S" "77"` || got[7] != `3 22:0 "3"` {
		t.Errorf("%s, %v", got, err)
	}
}

func columnsAt(places ...string) []Want {
	var ws []Want
	for _, p := range places {
		ws = append(ws, place1(p, p))
	}
	return ws
}

func TestWrongPlacesInMessages(t *testing.T) {
	t.Parallel()
	for want, parts := range map[string][]Part{
		`fields.a.from: "BGM" is no place in a message: write the segment, the element and the component, as BGM.2, DTM[137].1.2 or NAD[BY].2.1`: {{Wants: []Want{place1("a", "BGM")}}},
		`fields.a.from: "bgm.1" is no place`:                                               {{Wants: []Want{place1("a", "bgm.1")}}},
		`fields.a.from: "BGM.0" is no place`:                                               {{Wants: []Want{place1("a", "BGM.0")}}},
		`fields.a.from: "BGM.1.x" is no place`:                                             {{Wants: []Want{place1("a", "BGM.1.x")}}},
		`fields.a.from: "BGM[.1" is no place`:                                              {{Wants: []Want{place1("a", "BGM[.1")}}},
		`fields.a.from: "BGM[].1" is no place`:                                             {{Wants: []Want{place1("a", "BGM[].1")}}},
		`fields.a.from: "BGM[x]y.1" is no place`:                                           {{Wants: []Want{place1("a", "BGM[x]y.1")}}},
		`fields.a.from: "UNZ.1" stands behind the messages: take it as a field of the t`:   {{Wants: []Want{place1("a", "UNZ.1")}}},
		`fields.a.from: "LIN.1" is no segment to begin a row with: write its name, as LIN`: {{Wants: []Want{list("a", "LIN.1", place1("b", "LIN.1"))}}},
		`fields.a.fields.b.from: "UNH.1" stands in no row`:                                 {{Wants: []Want{list("a", "LIN", place1("b", "UNH.1"))}}},
		`fields.a: a list or object needs fields`:                                          {{Wants: []Want{{Name: "a", From: []string{"LIN"}, List: true}}}},
		`fields.a.column: edifact has no columns`:                                          {{Wants: []Want{{Name: "a", Column: "3"}}}},
		`header.fields.a.from: "BGM.1" stands elsewhere: here there is UNB only`:           {{}, {Role: Header, Wants: []Want{place1("a", "BGM.1")}}},
		`block.trailer.fields.a.from: "UNB.1" stands elsewhere: here there is UNZ only`:    {{}, {Role: BlockTrailer, Wants: []Want{place1("a", "UNB.1")}}},
		`header.fields.a: there are no lists or objects around messages`:                   {{}, {Role: Header, Wants: []Want{list("a", "UNB", place1("b", "UNB.1"))}}},
		`records.x.kind: "orders" is no type of message`:                                   {{Name: "x", Kind: "orders"}},
	} {
		if _, ps := NewParts(Options{Format: "edifact"}, parts); len(ps) == 0 || !strings.HasPrefix(ps[0].String(), want) {
			t.Errorf("%s, want %s", ps, want)
		}
	}
	if ps := (Options{Format: "edifact", Records: "orders"}).Validate(); fmt.Sprint(ps) != `[records: "orders" is no type of message: write for example ORDERS, or ORDERS:D:96A]` {
		t.Error(ps)
	}
}

func TestEveryEarlyEndOfAnInterchangeIsIncomplete(t *testing.T) {
	t.Parallel()
	text := strings.TrimSuffix(interchange(ediOrder), "'\n")
	d := decoder(t, Options{Format: "edifact"}, columnsAt("BGM.2")...)
	for n := 1; n <= len(text); n++ {
		var f *FileError
		if _, err := read(d, blobOf(text[:n])); !errors.As(err, &f) || !f.Incomplete {
			t.Fatalf("after %q: %v", text[:n], err)
		}
	}
	if _, err := read(d, blobOf(text+"'")); err != nil {
		t.Error(err)
	}
}

func TestLimitsOfEDIFACT(t *testing.T) {
	t.Parallel()
	mib := strings.Repeat("x", 1<<20)
	lines := make([]string, 500_001)
	for i := range lines {
		lines[i] = "LIN"
	}
	for name, c := range map[string]struct {
		text, limit string
		line        int64
	}{
		"segment that does not end": {"UNB+UNOA:3+S'UNH+1+ORDERS'FTX+" + strings.Repeat(mib, 9), "max_record", 0},
		"message":                   {interchange(slices.Repeat([]string{"FTX+" + mib[:1<<19]}, 17)), "max_record", 0},
		"message that does not end": {interchange(slices.Repeat([]string{"FTX+" + mib[:1<<19]}, 17))[:17<<19], "max_record", 0},
		"field":                     {interchange([]string{"BGM+" + mib + "x"}), "max_field", 2},
		"rows":                      {interchange(lines), "max_cells", 2},
		"UNB":                       {"UNB+UNOA:3+" + strings.Repeat(mib, 9), "max_record", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fileError(t, decoder(t, Options{Format: "edifact"}, place1("a", "BGM.1"), list("l", "LIN", place1("b", "LIN.1"))), blobOf(c.text))
			wantLimit(t, f, c.limit)
			if f.Line != c.line && c.line > 0 {
				t.Errorf("line %d, want %d", f.Line, c.line)
			}
		})
	}
}

// endlessEDI is an interchange of so many messages.
func endlessEDI(messages int) io.Reader {
	message := []byte("UNH+1+ORDERS:D:96A:UN'\n" + strings.Join(ediOrder, "'\n") + "'\nUNT+28+1'\n")
	return io.MultiReader(strings.NewReader("UNB+UNOA:3+S:14+R:14+260131:1200+77'\n"), &formatstest.Endless{Text: message, Left: int64(messages * len(message))}, strings.NewReader(fmt.Sprintf("UNZ+%d+77'\n", messages)))
}

// TestTwoMillionSegmentsAreReadInFlatMemory is not parallel: it measures memory.
func TestTwoMillionSegmentsAreReadInFlatMemory(t *testing.T) {
	messages := dose(t, 2_000_000, 200_000) / (len(ediOrder) + 2)
	d := decoder(t, Options{Format: "edifact"}, place1("no", "BGM.2"), list("lines", "LIN", place1("sku", "LIN.3.1"), place1("q", "QTY[21].1.2")))
	n := 0
	most := peak(t, endlessEDI(messages), func(r io.Reader) {
		for rec, err := range d.Decode(Blob{Reader: r, Size: -1}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; show(rec.Cells) != `"A-1" ["4711" "8" | "4712" "9"]` {
				t.Fatalf("record %d: %s", n, show(rec.Cells))
			}
		}
	})
	if n != messages || most > 2<<20 {
		t.Errorf("%d messages of %d, %d bytes in memory", n, messages, most)
	}
}

// An ediModel is a message as a writer knows it.
type ediModel [][][]string // segments, of elements, of components; the first element is the name

func (s ediService) write(b *strings.Builder, m ediModel, sep string) {
	for _, seg := range m {
		for i, element := range seg {
			if i > 0 {
				b.WriteByte(s.element)
			}
			for k, c := range element {
				if k > 0 {
					b.WriteByte(s.part)
				}
				for _, r := range c {
					if r < 0x80 && bytes.IndexByte([]byte{s.part, s.element, s.release, s.repeat, s.end}, byte(r)) >= 0 && r != ' ' {
						b.WriteByte(s.release)
					}
					b.WriteRune(r)
				}
			}
		}
		b.WriteByte(s.end)
		b.WriteString(sep)
	}
}

// TestWhatAWriterWritesIsRead writes messages from a model, with any separators, and reads them.
func TestWhatAWriterWritesIsRead(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "edifact"}, place1("a", "BGM.1"), place1("b", "BGM.2.3"), list("l", "LIN", place1("c", "LIN.1.2"), place1("q", "QTY[é+].2")))
	rapid.Check(t, func(t *rapid.T) {
		marks := []byte(rapid.Permutation([]byte("+:'?*~|^!;#%")).Draw(t, "marks"))
		s := ediService{marks[0], marks[1], rapid.SampledFrom([]byte(".,")).Draw(t, "decimal"), marks[2], marks[3], marks[4]}
		if rapid.Bool().Draw(t, "no repetition") {
			s.repeat = ' '
		}
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab é+:'?*~|^!;#%.,")))
		element := rapid.SliceOfN(text, 1, 3)
		segment := func(name string) *rapid.Generator[[][]string] {
			return rapid.Custom(func(t *rapid.T) [][]string {
				return append([][]string{{name}}, rapid.SliceOfN(element, 0, 3).Draw(t, name)...)
			})
		}
		at := func(seg [][]string, e, c int) string {
			if e >= len(seg) || c > len(seg[e]) || seg[e][c-1] == "" {
				return "∅"
			}
			return fmt.Sprintf("%q", seg[e][c-1])
		}
		var b strings.Builder
		fmt.Fprintf(&b, "UNA%s", []byte{s.part, s.element, s.decimal, s.release, s.repeat, s.end})
		sep := rapid.SampledFrom([]string{"", "\n", "\r\n", " \n"}).Draw(t, "between segments")
		s.write(&b, ediModel{{{"UNB"}, {"UNOY", "4"}, {"S"}, {"R"}, {"1"}, {"77"}}}, sep)
		var want []string
		n := rapid.IntRange(0, 3).Draw(t, "messages")
		for i := range n {
			m := ediModel{{{"UNH"}, {fmt.Sprint(i)}, {"ORDERS", "D"}}, segment("BGM").Draw(t, "bgm")}
			line := at(m[1], 1, 1) + " " + at(m[1], 2, 3) + " "
			rows := []string{}
			for range rapid.IntRange(0, 3).Draw(t, "lines") {
				lin, qty := segment("LIN").Draw(t, "lin"), segment("QTY").Draw(t, "qty")
				if len(qty) > 1 && rapid.Bool().Draw(t, "qualified") {
					qty[1][0] = "é+"
				}
				q := "∅"
				if len(qty) > 1 && qty[1][0] == "é+" {
					q = at(qty, 2, 1)
				}
				m = append(m, lin, segment("PIA").Draw(t, "pia"), qty)
				rows = append(rows, at(lin, 1, 2)+" "+q)
			}
			if line += "[" + strings.Join(rows, " | ") + "]"; len(rows) == 0 {
				line = strings.TrimSuffix(line, "[]") + "∅"
			}
			m = append(m, [][]string{{"UNT"}, {fmt.Sprint(len(m) + 1)}, {fmt.Sprint(i)}})
			s.write(&b, m, sep)
			want = append(want, line)
		}
		s.write(&b, ediModel{{{"UNZ"}, {fmt.Sprint(n)}, {"77"}}}, sep)
		r := io.Reader(strings.NewReader(b.String()))
		if rapid.Bool().Draw(t, "slowly") {
			r = iotest.OneByteReader(r)
		}
		got, err := read(d, Blob{Reader: r, Size: -1})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q\n%s, %v\nwant %s", b.String(), got, err, want)
		}
	})
}

func FuzzEDIFACT(f *testing.F) {
	formatstest.Seeds(f, "testdata/edifact/*.edi")
	whole := decoder(f, Options{Format: "edifact", Raw: true, Limits: fuzzLimits})
	fields := decoder(f, Options{Format: "edifact", Raw: true, Records: "ORDERS", Limits: fuzzLimits},
		place1("a", "BGM.2"), place1("b", "UNB.5"), list("l", "LIN", place1("c", "LIN.3.1"), list("d", "ALC", place1("e", "PCD.1.2"))), Want{Name: "q", From: []string{"QTY[21].1.2"}, Number: true})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range []Decoder{whole, fields} {
			rows, _, end := heldEDI(t, d, data)
			same(t, d, data, rows, end)
		}
	})
}

// heldEDI is held for a format that has errors of a file without a place.
func heldEDI(t *testing.T, d Decoder, data []byte) ([][]string, int, error) {
	t.Helper()
	var f *FileError
	if _, err := read(d, Blob{Reader: bytes.NewReader(data), Size: int64(len(data))}); errors.As(err, &f) && strings.HasPrefix(f.Reason, "records:") {
		t.SkipNow()
	}
	return held(t, d, Blob{Reader: bytes.NewReader(data), Size: int64(len(data))})
}

func BenchmarkEDIFACT(b *testing.B) {
	const messages = 2000
	data, err := io.ReadAll(endlessEDI(messages))
	if err != nil {
		b.Fatal(err)
	}
	wants := []Want{place1("no", "BGM.2"), place1("day", "DTM[137].1.2"), place1("buyer", "NAD[BY].2.1"),
		list("lines", "LIN", place1("sku", "LIN.3.1"), place1("q", "QTY[21].1.2"), place1("price", "PRI[AAA].1.2"))}
	b.Run("decode", func(b *testing.B) { benchDecode(b, decoder(b, Options{Format: "edifact"}, wants...), data, messages) })
	b.Run("undeclared", func(b *testing.B) { benchDecode(b, decoder(b, Options{Format: "edifact"}), data, messages) })
	b.Run("floor=split", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for rest := data; len(rest) > 0; {
				seg, after, _ := bytes.Cut(rest, []byte("'"))
				for _, e := range bytes.Split(bytes.TrimSpace(seg), []byte("+")) {
					n += len(bytes.Split(e, []byte(":")))
				}
				rest = after
			}
			if n == 0 {
				b.Fatal("nothing")
			}
		}
	})
}
