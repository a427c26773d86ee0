package formats

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Members keep the order in which they came first, and values of one name theirs, however many there are and whatever stands between them.
func TestTreesOfXMLKeepTheirOrder(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "xml", Records: "/r/e"})
	for _, names := range []int{1, 2, fewXMLMembers, fewXMLMembers + 1, 100} {
		var doc, want strings.Builder
		doc.WriteString(`<r xmlns:x="u"><e n1="&lt;" a="2"> t&amp;`)
		want.WriteString(`{"@n1":"<","@a":"2"`)
		for round := range 3 {
			for i := range names {
				fmt.Fprintf(&doc, `<x:n%d k="%d">v<!-- c --><![CDATA[%d]]></x:n%d>`, i, i, round, i)
			}
		}
		for i := range names {
			fmt.Fprintf(&want, `,"n%d":[{"@k":"%d","#text":"v0"},{"@k":"%d","#text":"v1"},{"@k":"%d","#text":"v2"}]`, i, i, i, i)
		}
		doc.WriteString("u <l/><l><m>1</m><m>2</m></l></e><e/><e>x</e></r>")
		want.WriteString(`,"l":["",{"m":["1","2"]}],"#text":"t&u"}|""|"x"`)
		var got []string
		for rec, err := range d.Decode(blobOf(doc.String())) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(rec.Cells[0].Bytes))
		}
		if s := strings.Join(got, "|"); s != want.String() {
			t.Errorf("%d names:\n%s, want\n%s", names, s, want.String())
		}
	}
}

func BenchmarkXMLWithoutFields(b *testing.B) {
	text := []byte("<orders>" + strings.Repeat(`<order no="A-1"><day>2026-11-21</day><customer><name>Acme &amp; Sons</name><city>Lyon</city></customer>`+
		`<line><sku>4006381333931</sku><qty>3</qty></line><line><sku>4006381333948</sku><qty>1</qty></line></order>`, 20000) + "</orders>")
	d, problems := New(Options{Format: "xml", Records: "/orders/order"}, nil)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range d.Decode(Blob{Reader: bytes.NewReader(text), Size: int64(len(text))}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
