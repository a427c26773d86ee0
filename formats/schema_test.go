package formats

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"waybill/formats/formatstest"
)

const orderXSD = `<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:o" xmlns="urn:o" elementFormDefault="qualified">
  <xs:include schemaLocation="parts/line.xsd"/>
  <xs:element name="orders"><xs:complexType><xs:sequence>
    <xs:element name="order" maxOccurs="unbounded"><xs:complexType><xs:sequence>
      <xs:element name="id" type="xs:string"/>
      <xs:element name="line" type="Line" minOccurs="0" maxOccurs="unbounded"/>
    </xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>`

const lineXSD = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:o" xmlns="urn:o" elementFormDefault="qualified">
  <xs:complexType name="Line"><xs:sequence><xs:element name="qty" type="xs:positiveInteger"/></xs:sequence><xs:attribute name="sku" use="required"/></xs:complexType>
</xs:schema>`

// schemaFiles are the files of the tests.
func schemaFiles(name string) ([]byte, error) {
	files := map[string]string{
		"schemas/order.xsd": orderXSD, "schemas/parts/line.xsd": lineXSD,
		"bad.xsd":       `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:none/></xs:schema>`,
		"no.xsd":        `<xs:schema`,
		"away.xsd":      `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:include schemaLocation="http://example.com/x.xsd"/><xs:element name="a" type="T"/></xs:schema>`,
		"dtd.xsd":       `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"/>`,
		"../order.json": `{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"lines":{"type":"array","items":{"$ref":"parts/line.json"}}}}`,
		"../parts/line.json": `{"type":"object","additionalProperties":false,"properties":{"sku":{"type":"string"},"qty":{"type":"integer","minimum":1},
			"big":{"const":9007199254740993},"at":{"type":"string","format":"date-time"}}}`,
		"bad.json":  `{"type":"objekt"}`,
		"no.json":   `{`,
		"away.json": `{"$ref":"https://example.com/x.json"}`,
	}
	if text, ok := files[path.Clean(name)]; ok {
		return []byte(text), nil
	}
	return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
}

func TestXMLIsComparedWithItsSchema(t *testing.T) {
	t.Parallel()
	o := Options{Format: "xml", Schema: "schemas/order.xsd", Records: "/orders/order", Files: schemaFiles}
	d := decoder(t, o, Want{Name: "id", From: []string{"id"}})
	in := func(body string) string {
		return "<?xml version=\"1.0\"\n encoding=\"windows-1252\"?>\n<orders xmlns=\"urn:o\">\n" + body + "</orders>\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"right":            {in("<order><id>caf\xe9</id><line sku=\"a\"><qty>1</qty></line></order>\n"), `["café"] <nil>`},
		"a wrong value":    {in("<order><id>a</id>\n<line sku=\"a\"><qty>0</qty></line></order>\n"), `["a"] line 5, column `},
		"two wrong":        {in("<order><id>a</id>\n<line><qty>x</qty></line></order>\n"), `["a"] line 5, column `},
		"a wrong order":    {in("<order><line sku=\"a\"><qty>1</qty></line><id>a</id></order>\n"), `["a"] line 4, column `},
		"another root":     {"<other/>", `[] records: there is no /orders/order`},
		"a document type":  {"<!DOCTYPE orders []><orders/>", `[] line 1, column 1: `},
		"not well formed":  {in("<order><id>a</id></ordr>"), `[] line 4, column `},
		"cut off":          {"<orders xmlns=\"urn:o\"><order><id>a</id></order>", `["a"] line 1, column `},
		"another encoding": {"\xff\xfe<\x00o\x00/\x00>\x00", `[] records: there is no`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := read(d, seekable(c.text))
			if got := fmt.Sprintf("%s %v", lines, err); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			var f *FileError
			if errors.As(err, &f) && strings.HasPrefix(name, "a wrong") && (!strings.Contains(f.Reason, "it is not as schemas/order.xsd says: ") || f.Err == nil) {
				t.Error(f.Reason)
			}
		})
	}
}

func TestTheFirstFaultsOfADocumentAreTold(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "xml", Schema: "schemas/order.xsd", Records: "/orders/order", Files: schemaFiles}, Want{Name: "id", From: []string{"id"}})
	text := "<orders xmlns=\"urn:o\">" + strings.Repeat("\n<order><id/><line sku=\"a\"><qty>0</qty></line></order>", 30) + "</orders>"
	f := fileError(t, d, blobOf(text))
	if f.Line != 2 || strings.Count(f.Reason, "; line ") != mostSchemaFaults-1 || !strings.Contains(f.Reason, "; line 11: ") || !strings.HasSuffix(f.Reason, "; and perhaps more") {
		t.Error(f)
	}
}

func TestSchemasAreCompiledWhenTheConfigurationIsLoaded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format, schema, want string
	}{
		{"xml", "schemas/order.xsd", ""},
		{"xml", "none.xsd", "schema: open none.xsd: file does not exist"},
		{"xml", "bad.xsd", "schema: bad.xsd:1:"},
		{"xml", "no.xsd", "schema: "},
		{"xml", "away.xsd", "schema: "},
		{"xml", "dtd.xsd", "schema: "},
		{"json", "../order.json", ""},
		{"ndjson", "../order.json", ""},
		{"json", "none.json", "schema: open none.json: file does not exist"},
		{"json", "bad.json", "schema: "},
		{"json", "no.json", "schema: no.json is no JSON: "},
		{"json", "away.json", "schema: https://example.com/x.json is not fetched: keep the schema in a file and refer to that"},
		{"csv", "x", "schema: does not go with format csv, only with json, ndjson, xml, protobuf"},
	} {
		_, ps := New(Options{Format: c.format, Schema: c.schema, Files: schemaFiles}, nil)
		text := ""
		if len(ps) > 0 {
			text = ps[0].String()
		}
		if c.want == "" && text != "" || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s: %s\nwant %s", c.schema, text, c.want)
		}
		t.Log(text)
	}
}

func TestJSONIsComparedWithItsSchema(t *testing.T) {
	t.Parallel()
	o := Options{Format: "json", Schema: "../order.json", Records: "orders", Files: schemaFiles}
	got, err := read(decoder(t, o, columns("id")...), blobOf(`{"orders":[{"id":"a","lines":[{"sku":"x","qty":1,"big":9007199254740993,"at":"2026-01-31T10:00:00Z"}]},
{"id":7},
{"id":"c","lines":[{},{"qty":0,"sku":1,"x":1,"at":"yesterday"}]},
{"id":"d","lines":[{"big":9007199254740992}]}]}`))
	want := []string{`"a"`,
		`reject line 2: field id: is not as the schema says: got number, want string`,
		`reject line 3: field lines[1]: is not as the schema says: additional properties 'x' not allowed; `,
		`reject line 4: field lines[0].big: is not as the schema says: value must be 9007199254740993`}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%q, %v", got, err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%s\nwant %s", got[i], want[i])
		}
	}
	if !strings.HasSuffix(got[2], "; and 1 more") {
		t.Error(got[2])
	}
	o.Format, o.Records, o.Raw = "ndjson", "", true
	for rec, err := range decoder(t, o).Decode(blobOf("{\"id\":\"a\"}\n{}\n")) {
		var bad *RecordError
		if errors.As(err, &bad) && bad.Record == 2 && bad.Line == 2 && bad.Reason == "is not as the schema says: missing property 'id'" {
			continue
		}
		if err != nil || string(rec.Raw) != `{"id":"a"}` {
			t.Errorf("%v, %v", rec, err)
		}
	}
}

func TestSchemasOfSamples(t *testing.T) {
	t.Parallel()
	const samples = "../../shared/samples"
	files := func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(samples, name)) }
	text := func(name string) Blob {
		data, err := files(name)
		if err != nil {
			t.Skipf("samples are not here: %v", err)
		}
		return seekable(string(data))
	}
	good := text("gadz/message-v1.json")
	d := decoder(t, Options{Format: "json", Schema: "gadz/message-v1.schema.json", Files: files}, columns("event_name")...)
	if got, err := read(d, good); err != nil || fmt.Sprint(got) != `["request.gapps.account.create"]` {
		t.Errorf("%s, %v", got, err)
	}
	data, _ := files("gadz/message-v1.json")
	for old, now := range map[string]string{`"softerror"`: `"oops"`, `"event_sender_id"`: `"sender"`, "2016-05-29T15:03:50+00:00": "yesterday", `"data": {"id": "12453"}`: `"data": []`} {
		got, err := read(d, blobOf(strings.Replace(string(data), old, now, 1)))
		if err != nil || len(got) != 1 || !strings.Contains(got[0], "is not as the schema says") {
			t.Errorf("%s: %s, %v", now, got, err)
		}
	}
	lacking := func(name string) ([]byte, error) { // the samples lack a file that the others include
		text, err := files(name)
		if errors.Is(err, os.ErrNotExist) {
			return []byte(`<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"/>`), nil
		}
		return text, err
	}
	for file, schema := range map[string]string{"batchml/batch-production-record-v0401.xml": "batchml/BatchML-BatchProductionRecord.xsd", "batchml/cough-syrup-master-recipe-batchml-v02.xml": "batchml/BatchML-GeneralRecipe.xsd"} {
		d, ps := New(Options{Format: "xml", Schema: schema, Files: lacking}, nil)
		if ps != nil {
			t.Logf("%s: %s", schema, ps)
			continue
		}
		if f := fileError(t, d, text(file)); f.Line < 1 || !strings.Contains(f.Reason, "it is not as "+schema+" says: ") {
			t.Error(f)
		} else {
			t.Log(f)
		}
	}
}

func TestADocumentIsComparedInFlatMemory(t *testing.T) { // not parallel: it measures memory
	d := decoder(t, Options{Format: "xml", Schema: "schemas/order.xsd", Records: "/orders/order", Files: schemaFiles}, Want{Name: "id", From: []string{"id"}})
	one := []byte("<order><id>a</id><line sku=\"a\"><qty>1</qty></line></order>\n")
	records := dose(t, 200_000, 40_000)
	n := 0
	most := peak(t, io.MultiReader(strings.NewReader("<orders xmlns=\"urn:o\">"), &formatstest.Endless{Text: one, Left: int64(records * len(one))}, strings.NewReader("</orders>")), func(r io.Reader) {
		for _, err := range d.Decode(Blob{Reader: r, Size: -1}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	})
	if n != records || most > 4<<20 {
		t.Errorf("%d records, %d bytes in memory", n, most)
	}
}
