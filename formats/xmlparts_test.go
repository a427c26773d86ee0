package formats

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestXMLHeaderAndTrailerStandAroundTheRecords(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Header, Wants: append(paths("version", "/КоммерческаяИнформация/@ВерсияСхемы", "owner", "/*/Владелец/Ид"), Want{Name: "who", From: []string{"/*/A", "/*/B[@k='2']"}})},
		{Role: Body, Wants: append(paths("no", "Номер"), Want{Name: "v", From: []string{"/*/@ВерсияСхемы"}})},
		{Role: Trailer, Wants: []Want{{Name: "sums", From: []string{"/*/Итог"}, List: true, Fields: columns("n")}}},
	}
	doc := func(attrs, inner string) string {
		return "<?xml version=\"1.0\"?>\n<КоммерческаяИнформация" + attrs + ">" + inner + "</КоммерческаяИнформация>"
	}
	checkParts(t, Options{Format: "xml", Records: "/КоммерческаяИнформация/Документ"}, parts, []partsCase{
		{doc(` ВерсияСхемы="2.10"`, `<Владелец><Ид>7</Ид></Владелец><A>a</A><Документ><Номер>1</Номер></Документ>`), `header "2.10" "7" "a"; "1" "2.10"; trailer ∅`},
		{doc("", `<Документ><Номер>1</Номер></Документ><Итог><n>1</n></Итог><Владелец><Ид>7</Ид></Владелец><B k="1">x</B><B k="2">b</B><Итог><n>2</n></Итог>`), `header ∅ "7" "b"; "1" ∅; trailer ["1" | "2"]`},
		{doc("", ``), `header ∅ ∅ ∅; trailer ∅`},
		{``, ``},
		{`<Другое/>`, ` ! records: there is no /КоммерческаяИнформация/Документ in the document, whose root element is <Другое>`},
		{doc("", `<Документ/>`) + "x", ` ! line 2, column 61: text outside the root element`},
	})
	d := partsDecoder(t, Options{Format: "xml", Records: "/*/Документ"}, []Part{{Role: Header, Wants: paths("owner", "/*/Владелец/Ид")}, {Wants: paths("no", "Номер")}}...)
	_, err := readParts(d, parts, blobOf(doc("", "<Документ/><Владелец><Ид>7</Ид></Владелец>")))
	if err == nil || !strings.Contains(err.Error(), "field header.owner: /*/Владелец/Ид stands behind the records; in a file that can only be read once") {
		t.Errorf("in a stream: %v", err)
	}
}

func TestXMLRecordsOfSeveralKinds(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Trailer, Wants: paths("n", "/o:All/o:Count")},
		{Name: "order", Kind: "/o:All/Orders/Order", Wants: paths("id", "@id", "site", "/All/Site")},
		{Name: "change", Kind: "/*/Changes/*", Wants: paths("of", "Of")},
		{Role: Header, Wants: paths("site", "/All/Site")},
	}
	checkParts(t, Options{Format: "xml", Namespaces: map[string]string{"o": "urn:o"}}, parts, []partsCase{
		{`<All xmlns="urn:o"><Site>s</Site><Orders><Order id="1"/><Change/><Order id="2"/></Orders><Changes><Change><Of>1</Of></Change></Changes><Orders><Order id="3"/></Orders><Changes><Other/></Changes><Count>4</Count></All>`,
			`header "s"; order "1" "s"; order "2" "s"; change "1"; order "3" "s"; change ∅; trailer "4"`},
		{`<All><Orders><Order id="1"/></Orders><Changes><Change/></Changes><Site>late</Site></All>`, `header "late"; change ∅; trailer ∅`},
		{`<All xmlns="urn:o"><Orders/></All>`, `header ∅; trailer ∅`},
		{`<All/>`, ` ! records: there is no /o:All/Orders/Order and no /*/Changes/* in the document, whose root element is <All>`},
	})
	for _, c := range []struct {
		parts []Part
		want  string
	}{
		{[]Part{{Name: "a", Kind: "/A/B"}, {Name: "b", Kind: "/*/B/C"}}, `[records.b.kind: "/*/B/C" holds other records, or is part of them]`},
		{[]Part{{Name: "a", Kind: "/A/B"}, {Name: "b", Kind: "/A/@x"}}, `[records.b.kind: "/A/@x" leads to no element: write the names from the root element on, as /Orders/Order]`},
		{[]Part{{Kind: "/A/B"}, {Role: Header, Wants: paths("v", "version")}}, `[header.fields.v.from: "version" starts nowhere: write the whole path from the root element on, as /Orders/@version]`},
		{[]Part{{Kind: "/A/B"}, {Role: Trailer, Wants: paths("v", "/A/B/C")}}, `[trailer.fields.v.from: "/A/B/C" holds the records, or is part of them]`},
		{[]Part{{Kind: "/A/B"}, {Role: Trailer, Wants: paths("v", "/A")}}, `[trailer.fields.v.from: "/A" holds the records, or is part of them]`},
		{[]Part{{}, {Role: Header, Wants: paths("v", "/A/@v")}}, `[header.fields.v.from: "/A/@v" holds the records, or is part of them]`},
		{[]Part{{Kind: "/A/B", Wants: []Want{{Name: "l", List: true, Kind: "x", From: []string{"C"}}}}}, `[fields.l.kind: goes with formats of lines (fixed, csv): write from with the path of the list]`},
	} {
		d, ps := NewParts(Options{Format: "xml"}, c.parts)
		if got := fmt.Sprint(ps); got != c.want || d != nil {
			t.Errorf("%+v: %s, want %s", c.parts, got, c.want)
		}
	}
}

// TestAnXMLHeaderBehindManyRecordsIsFoundInFlatMemory is as that of JSON.
func TestAnXMLHeaderBehindManyRecordsIsFoundInFlatMemory(t *testing.T) {
	t.Parallel()
	parts := []Part{{Role: Header, Wants: paths("h", "/D/Meta/H")}, {Wants: paths("a", "A")}}
	d := partsDecoder(t, Options{Format: "xml", Records: "/D/R", Limits: Limits{MaxRecord: 4 << 10}}, parts...)
	rows := dose(t, 20_000, 5_000)
	many := strings.Repeat("<R><A>"+strings.Repeat("x", 1000)+"</A></R>\n", rows)
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
	if header, n, taken := read("<D>" + many + "<Meta><Big>" + many + "</Big><H>found</H></Meta></D>"); header != `"found"` || n != rows || taken == 0 {
		t.Errorf("behind: %s, %d records, %d bytes read again", header, n, taken)
	}
	if header, n, taken := read("<D><Meta><H>found</H></Meta>" + many + "</D>"); header != `"found"` || n != rows || taken != 0 {
		t.Errorf("before: %s, %d records, %d bytes read again", header, n, taken)
	}
	if header, n, taken := read("<D><R/><Meta><H>fo<x/>und</H></Meta><Y>" + many + "</Y></D>"); header != `"found"` || n != 1 || taken > 1<<20 {
		t.Errorf("soon behind: %s, %d records, %d bytes read again", header, n, taken)
	}
}

// TestXMLPartsAreThoseOfTheDocument writes documents by a plan, their pieces in any order, and reads them as the plan says.
func TestXMLPartsAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Header, Wants: paths("v", "/D/@v", "h", "/D/H/T", "k", "/D/K/@k")},
		{Name: "a", Kind: "/D/As/A", Wants: paths("x", "X", "k", "/D/K/@k")},
		{Name: "b", Kind: "/D/B", Wants: paths("x", "@x")},
		{Role: Trailer, Wants: paths("n", "/D/N", "v", "/D/@v")},
	}
	d := partsDecoder(t, Options{Format: "xml"}, parts...)
	rapid.Check(t, func(t *rapid.T) {
		type piece struct{ text, gives string }
		pieces := []piece{{"<D2/>", ""}, {"<Q><B x='9'/></Q>", ""}, {"\n<!-- <B/> -->", ""}}
		v, h, k, n := "∅", "∅", "∅", "∅"
		root := "<D>"
		if rapid.Bool().Draw(t, "v") {
			v, root = `"1"`, "<D v='1'>"
		}
		if rapid.Bool().Draw(t, "h") {
			h = `"te"`
			pieces = append(pieces, piece{"<H><S>s</S><T>t<i>e</i></T></H>", ""})
		}
		if rapid.Bool().Draw(t, "k") {
			k = `"K"`
			pieces = append(pieces, piece{"<K k='K'/>", ""})
		}
		if rapid.Bool().Draw(t, "n") {
			n = `"5"`
			pieces = append(pieces, piece{"<N>5</N>", ""})
		}
		for range rapid.IntRange(0, 3).Draw(t, "bs") {
			x := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "x"))
			pieces = append(pieces, piece{"<B x='" + x + "'/>", `b "` + x + `"`})
		}
		for range rapid.IntRange(0, 2).Draw(t, "as") {
			p := piece{"<As>", ""}
			for range rapid.IntRange(0, 3).Draw(t, "a") {
				p.text += " <A><Y/><X>z</X></A>"
				p.gives += "\na \"z\" " + k
			}
			p.text, p.gives = p.text+"</As>", strings.TrimPrefix(p.gives, "\n")
			pieces = append(pieces, p)
		}
		want := []string{"header " + v + " " + h + " " + k}
		text := root
		for _, p := range rapid.Permutation(pieces).Draw(t, "order") {
			text += p.text
			if p.gives != "" {
				want = append(want, p.gives)
			}
		}
		text += "</D>"
		want = append(want, "trailer "+n+" "+v)
		b := seekable(text)
		b.Reader = drip{strings.NewReader(text), rapid.IntRange(1, 30).Draw(t, "at a time")}
		got, err := readParts(d, parts, b)
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%s\n%s\n%v\nwant\n%s", text, strings.Join(got, "\n"), err, strings.Join(want, "\n"))
		}
	})
}

// FuzzXMLParts reads documents with header, trailer and two kinds of records.
func FuzzXMLParts(f *testing.F) {
	for _, s := range []string{`<D><H>1</H><A x="1"/><L><C><Y>2</Y></C></L><T>3</T></D>`, `<D><A/><H/></D>`, `<D/>`, ``} {
		f.Add([]byte(s))
	}
	parts := []Part{{Role: Header, Wants: paths("h", "/D/H")}, {Name: "a", Kind: "/D/A", Wants: paths("x", "@x", "h", "/D/H")}, {Name: "c", Kind: "/D/L/C", Wants: paths("y", "Y")}, {Role: Trailer, Wants: paths("t", "/D/T")}}
	d := partsDecoder(f, Options{Format: "xml", Limits: fuzzLimits}, parts...)
	f.Fuzz(func(t *testing.T, data []byte) {
		inOrder(t, d, parts, data)
		_, _ = readParts(d, parts, Blob{Reader: bytes.NewReader(data), Size: -1}) // once only
	})
}
