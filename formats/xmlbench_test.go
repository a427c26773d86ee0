package formats

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	"os"
)

// The file of P10: 250,000 records in 60 MB; here a part of it.
const (
	benchXMLHead = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<orders xmlns=\"urn:example:orders\">\n"
	benchXML     = "  <order id=\"1000017\" status=\"open\">\n    <sku>AB-4711</sku><qty>12</qty><price currency=\"EUR\">199.90</price>\n    <day>2026-11-21</day><site>W1</site><city>Clermont-Ferrand</city>\n    <zip>63000</zip><note>Câble &amp; prise, 2 m</note>\n  </order>\n"
	benchXMLTail = "</orders>\n"
)

var benchXMLWants = []Want{
	{Name: "id", From: []string{"@id"}}, {Name: "sku", From: []string{"sku"}}, {Name: "qty", From: []string{"qty"}}, {Name: "price", From: []string{"price"}},
	{Name: "currency", From: []string{"price/@currency"}}, {Name: "day", From: []string{"day"}}, {Name: "site", From: []string{"site"}},
	{Name: "city", From: []string{"city"}}, {Name: "zip", From: []string{"zip"}}, {Name: "note", From: []string{"note"}},
}

func benchXMLFile(records int) []byte {
	return append(lines(records, benchXMLHead, benchXML), benchXMLTail...)
}

func BenchmarkXML(b *testing.B) {
	data := benchXMLFile(benchRows)
	o := Options{Format: "xml", Records: "/orders/order"}
	b.Run("decode", func(b *testing.B) { benchDecode(b, decoder(b, o, benchXMLWants...), data, benchRows) })
	b.Run("nothing wanted", func(b *testing.B) {
		benchDecode(b, decoder(b, Options{Format: "xml", Records: "/orders/none"}, benchXMLWants...), data, 0)
	})
	b.Run("undeclared", func(b *testing.B) { benchDecode(b, decoder(b, o), data, benchRows) })
	b.Run("small file", func(b *testing.B) { benchDecode(b, decoder(b, o, benchXMLWants...), benchXMLFile(1), 1) })
	b.Run("floor=encoding/xml", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			d := xml.NewDecoder(bytes.NewReader(data))
			for {
				if _, err := d.RawToken(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("peer=xmllint --stream", func(b *testing.B) {
		lint, err := exec.LookPath("xmllint")
		if err != nil {
			b.Skip("xmllint is not installed: scripts/test-deps.sh")
		}
		file := filepath.Join(b.TempDir(), "orders.xml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if out, err := exec.Command(lint, "--stream", "--noout", file).CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
	})
}
