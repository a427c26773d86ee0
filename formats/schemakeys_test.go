package formats

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

const keysXSD = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="list"><xs:complexType><xs:sequence>
    <xs:element name="item" type="Item" minOccurs="0" maxOccurs="unbounded"/>
  </xs:sequence></xs:complexType>%s</xs:element>
  <xs:complexType name="Item"><xs:sequence><xs:element name="item" type="Item" minOccurs="0"/></xs:sequence>%s</xs:complexType>
</xs:schema>`

// keyed are the schemas of the tests: one for each way in which values are held.
func keyed(name string) ([]byte, error) {
	no := `<xs:attribute name="no"/>`
	unique := `<xs:unique name="u"><xs:selector xpath=".//item"/><xs:field xpath="@no"/></xs:unique>`
	switch name {
	case "unique.xsd":
		return fmt.Appendf(nil, keysXSD, unique, no), nil
	case "key.xsd":
		return fmt.Appendf(nil, keysXSD, strings.ReplaceAll(unique, "unique", "key"), no), nil
	case "keyref.xsd":
		ref := `<xs:keyref name="r" refer="u"><xs:selector xpath="item"/><xs:field xpath="@of"/></xs:keyref>`
		return fmt.Appendf(nil, keysXSD, unique+ref, no+`<xs:attribute name="of"/>`), nil
	case "id.xsd":
		return fmt.Appendf(nil, keysXSD, "", `<xs:attribute name="no" type="xs:ID"/>`), nil
	case "idref.xsd":
		return fmt.Appendf(nil, keysXSD, "", `<xs:attribute name="no" type="xs:ID"/><xs:attribute name="of" type="xs:IDREF"/>`), nil
	case "none.xsd":
		return fmt.Appendf(nil, keysXSD, "", no), nil
	}
	return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
}

// items is a document of n items with a number of their own each, written while it is read.
type items struct {
	n, of int
	rest  []byte
}

func (d *items) Read(b []byte) (int, error) {
	for len(d.rest) < len(b) && d.n <= d.of {
		switch d.n {
		case 0:
			d.rest = append(d.rest, "<list>\n<item no=\"n-0\"/>\n"...)
		case d.of:
			d.rest = append(d.rest, "</list>"...)
		default:
			d.rest = fmt.Appendf(d.rest, "<item no=\"n-%d\"/>\n", d.n)
		}
		d.n++
	}
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, d.rest)
	d.rest = append(d.rest[:0], d.rest[n:]...)
	return n, nil
}

func TestTheKeysOfADocumentTakeLittleMemory(t *testing.T) { // not parallel: it measures memory
	const most = 16 << 20
	records := dose(t, 200_000, 40_000)
	for _, c := range []struct {
		schema string
		keys   int
		full   bool
	}{{"none.xsd", 0, false}, {"unique.xsd", 0, true}, {"key.xsd", 0, true}, {"id.xsd", 0, true}, {"unique.xsd", 1_000_000, false}} {
		l := Limits{MaxKeys: c.keys}
		d := decoder(t, Options{Format: "xml", Schema: c.schema, Records: "/list/item", Files: keyed, Limits: l}, Want{Name: "no", From: []string{"@no"}})
		var last error
		n := 0
		got := peak(t, &items{of: records}, func(r io.Reader) {
			for _, err := range d.Decode(Blob{Reader: r, Size: -1}) {
				if last = err; err == nil {
					n++
				}
			}
		})
		t.Logf("%s, max_keys %d: %d items, %d bytes in memory, %d each", c.schema, c.keys, n, got, got/uint64(max(n, 1)))
		if n != records || c.keys == 0 && got > most {
			t.Errorf("%s: %d items, %d bytes in memory", c.schema, n, got)
		}
		var f *FileError
		switch {
		case !c.full && last != nil:
			t.Errorf("%s: %v", c.schema, last)
		case c.full && (!errors.As(last, &f) || f.Limit != "max_keys" || f.Line != 25_002 || !strings.Contains(f.Reason, "more than max_keys, 25000")):
			t.Errorf("%s: %v", c.schema, last)
		}
	}
}

func TestKeysOfADocumentAreCompared(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return "<list>" + strings.Repeat("<item>", n) + strings.Repeat("</item>", n) + "</list>"
	}
	long := strings.Repeat("n", mostKey+1)
	for name, c := range map[string]struct{ schema, text, limit, want string }{
		"unique":                 {"unique.xsd", `<list><item no="1"/><item no="2"/></list>`, "", ""},
		"twice":                  {"unique.xsd", `<list><item no="1"/><item no="1"/></list>`, "", "duplicate identity value"},
		"an ID twice":            {"id.xsd", `<list><item no="a"/><item no="a"/></list>`, "", "duplicate ID"},
		"no key":                 {"key.xsd", `<list><item/></list>`, "", "key field is missing"},
		"a reference to nothing": {"keyref.xsd", `<list><item no="1" of="2"/></list>`, "", "keyref does not resolve"},
		"an IDREF to nothing":    {"idref.xsd", `<list><item no="a" of="b"/></list>`, "", "IDREF does not resolve"},
		"a long key":             {"unique.xsd", `<list><item no="` + long + `"/></list>`, "max_keys", "is longer than 384 bytes"},
		"a long ID":              {"id.xsd", `<list><item no="` + long + `"/></list>`, "max_keys", "is longer than 384 bytes"},
		"many references":        {"keyref.xsd", `<list><item no="1" of="1"/>` + strings.Repeat(`<item of="1"/>`, 10) + `</list>`, "max_keys", "more than max_keys, 10,"},
		"many IDREFs":            {"idref.xsd", `<list><item no="a" of="a"/>` + strings.Repeat(`<item of="a"/>`, 10) + `</list>`, "max_keys", "more than max_keys, 10,"},
		"a long path":            {"unique.xsd", deep(400), "", "take more than 2KiB"},
		"a long path to an ID":   {"id.xsd", deep(400), "", "take more than 2KiB"},
		"a long namespace":       {"id.xsd", `<list xmlns:x="urn:` + long + long + `">` + deep(1) + deep(1) + deep(1) + `</list>`, "", "take more than 2KiB"},
		"a long path, no keys":   {"none.xsd", deep(400), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Format: "xml", Schema: c.schema, Records: "/list/item", Files: keyed, Limits: Limits{MaxKeys: 10, MaxDepth: 500}}
			_, err := read(decoder(t, o, Want{Name: "no", From: []string{"@no"}}), blobOf(c.text))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			var f *FileError
			if errors.As(err, &f) && f.Limit != c.limit {
				t.Errorf("limit %q, want %q", f.Limit, c.limit)
			}
		})
	}
}
