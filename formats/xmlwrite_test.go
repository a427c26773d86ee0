package formats

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

const xmlDeclared = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func xmlMessageOf(t testing.TB, w Writing) Message {
	t.Helper()
	w.Format = "xml"
	m, shape, ps := NewMessage(w)
	if ps != nil || shape != ElementTree {
		t.Fatal(shape, ps)
	}
	return m
}

func TestXMLMessages(t *testing.T) {
	t.Parallel()
	ubl := map[string]string{"": "urn:response", "cbc": "urn:basic?a=1&b=2"}
	for name, c := range map[string]struct {
		w    Writing
		json string
		want string
	}{
		"elements in their order": {Writing{Root: "order"}, `{"b":"x","a":1.50,"c":true}`, `<order><b>x</b><a>1.50</a><c>true</c></order>`},
		"attributes and text":     {Writing{Root: "a"}, `{"@id":"7","#text":"t","b":{"@x":1,"#text":2}}`, `<a id="7">t<b x="1">2</b></a>`},
		"late attributes":         {Writing{Root: "a"}, `{"b":{"c":1},"@id":"7"}`, `<a id="7"><b><c>1</c></b></a>`},
		"lists":                   {Writing{Root: "a"}, `{"l":[1,{"x":2},null,"z"],"none":[]}`, `<a><l>1</l><l><x>2</x></l><l>z</l></a>`},
		"namespaces":              {Writing{Root: "R", Namespaces: ubl}, `{"cbc:ID":"1","xml:lang":"fr"}`, `<R xmlns="urn:response" xmlns:cbc="urn:basic?a=1&amp;b=2"><cbc:ID>1</cbc:ID><xml:lang>fr</xml:lang></R>`},
		"null":                    {Writing{Root: "a"}, `{"b":null,"@c":null,"#text":null}`, `<a/>`},
		"nil":                     {Writing{Root: "a", Namespaces: map[string]string{"xsi": xsiURI}}, `{"b":null}`, `<a xmlns:xsi="` + xsiURI + `"><b xsi:nil="true"/></a>`},
		"empty":                   {Writing{Root: "a"}, `{"b":"","c":{}}`, `<a><b/><c/></a>`},
		"text of the root":        {Writing{Root: "a"}, `"x"`, `<a>x</a>`},
		"null of the root":        {Writing{Root: "a"}, `null`, `<a/>`},
		"escapes":                 {Writing{Root: "a"}, `{"@q":"\"<&>'\n\t\r","t":"\"<&>]]>'\n\t\r","e":"\u00e9\ud83d\ude00\/"}`, "<a q=\"&quot;&lt;&amp;&gt;'&#10;&#9;&#13;\"><t>\"&lt;&amp;&gt;]]&gt;'\n\t&#13;</t><e>é😀/</e></a>"},
		"blanks in the tree":      {Writing{Root: "a"}, " { \"b\" : [ 1 , 2 ] , \"@c\" : \"d\" } ", `<a c="d"><b>1</b><b>2</b></a>`},
		"names of any script":     {Writing{Root: "Заказ"}, `{"Номер":"1"}`, `<Заказ><Номер>1</Номер></Заказ>`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := xmlMessageOf(t, c.w).Append([]byte("before"), []byte(c.json))
			if want := "before" + xmlDeclared + c.want; err != nil || string(got) != want {
				t.Errorf("%s, %v\nwant %s", got, err, want)
			}
		})
	}
}

func TestXMLInOtherEncodings(t *testing.T) {
	t.Parallel()
	for encoding, want := range map[string]string{
		"windows-1251": "<?xml version=\"1.0\" encoding=\"windows-1251\"?>\n<\xc7 a=\"&#233;\">\xc6&#128512;</\xc7>",
		"us-ascii":     "<?xml version=\"1.0\" encoding=\"us-ascii\"?>\n<Z a=\"&#233;\">&#1046;&#128512;</Z>",
		"utf-16":       "",
		"utf-16be":     "",
		"gb18030":      "",
	} {
		root := "З"
		if encoding == "us-ascii" {
			root = "Z"
		}
		w := Writing{Root: root, Encoding: encoding}
		m := xmlMessageOf(t, w)
		for range 2 { // the byte order mark comes again
			got, err := m.Append(nil, []byte(`{"@a":"é","#text":"Ж😀"}`))
			if err != nil || want != "" && string(got) != want {
				t.Errorf("%s: %q, %v", encoding, got, err)
			}
			if back, err := xmlBack(string(got)); err != nil || back != `{"@a":"é","#text":"Ж😀"}` {
				t.Errorf("%s: read as %s, %v", encoding, back, err)
			}
		}
		if media := m.MediaType(); media != "application/xml; charset="+encoding {
			t.Error(media)
		}
	}
}

// xmlBack reads a document as one record without fields.
func xmlBack(text string) (string, error) {
	d, ps := New(Options{Format: "xml"}, nil)
	if ps != nil {
		return "", ps[0].error()
	}
	got := ""
	for rec, err := range d.Decode(blobOf(text)) {
		if err != nil {
			return got, err
		}
		got += string(rec.Cells[0].Bytes)
	}
	return got, nil
}

func (p Problem) error() error { return errors.New(p.String()) }

func TestXMLWhatCannotBeWrittenIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	for json, want := range map[string]string{
		`{"a":{"b":"x\u0001"}}`:        `a.b: the character U+0001 cannot stand in XML, not even by its number: take it out by an expression, or refuse it by pattern`,
		`{"a":{"@b":"\u0000"}}`:        `a.@b: the character U+0000 cannot stand`,
		`{"a":"\uFFFE"}`:               `a: the character U+FFFE cannot`,
		"{\"a\":\"\uFFFF\"}":           `a: the character U+FFFF cannot`,
		`{"a":{"1b":1}}`:               `a: "1b" cannot be the name of an element`,
		`{"a":{"@b c":1}}`:             `a: "b c" cannot be the name of an attribute`,
		`{"x:a":1}`:                    `the prefix of "x:a" is not declared`,
		`{"":1}`:                       `"" cannot be the name`,
		`{"@":1}`:                      `"" cannot be the name of an attribute`,
		`{"@xmlns":"urn:x"}`:           `"xmlns" declares a namespace: write it into namespaces`,
		`{"@xmlns:p":"urn:x"}`:         `"xmlns:p" declares a namespace`,
		`{"a":[[1]]}`:                  `a: a list in a list has no place in XML`,
		`{"@a":[1]}`:                   `@a: an attribute is one value`,
		`{"#text":{}}`:                 `#text: text is one value`,
		`[1]`:                          `a list cannot be an XML document`,
		`{"a":1,"a":2}`:                `"{\"a\":1,\"a\":2}" is not JSON: at 7: `,
		`{`:                            `"{" is not JSON`,
		"{\"a\":\"\xff\"}":             `the text is not valid UTF-8`,
		`{"a` + "\u0000" + `":1}`:      `is not JSON`,
		`{"a:b:c":1}`:                  `"a:b:c" cannot be the name`,
		`{"xml:lang":1,"xmlns:a":"b"}`: `the prefix of "xmlns:a" is not declared`,
	} {
		got, err := xmlMessageOf(t, Writing{Root: "r"}).Append([]byte("x"), []byte(json))
		var bad *ValueError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) || string(got) != "x" {
			t.Errorf("%s: %q, %v\nwant %s", json, got, err, want)
		}
	}
}

func TestXMLProblemsOfWriting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w    Writing
		want string
	}{
		"no root":          {Writing{}, "root: missing"},
		"bad root":         {Writing{Root: "a b"}, `root: "a b" cannot be the name`},
		"undeclared":       {Writing{Root: "p:a"}, `root: the prefix of "p:a" is not declared`},
		"bad prefix":       {Writing{Root: "a", Namespaces: map[string]string{"1": "u"}}, `namespaces.1: "1" is no prefix`},
		"no address":       {Writing{Root: "a", Namespaces: map[string]string{"p": ""}}, "namespaces.p: missing"},
		"reserved":         {Writing{Root: "a", Namespaces: map[string]string{"xml": "u"}}, "namespaces.xml: belongs to XML itself"},
		"twice":            {Writing{Root: "a", Namespaces: map[string]string{"p": "u", "q": "u"}}, "namespaces.q: stands for the same namespace as p"},
		"mainframes":       {Writing{Root: "a", Encoding: "cp037"}, "encoding: cp037 is of mainframes"},
		"not in the root":  {Writing{Root: "Ж", Encoding: "iso-8859-1"}, `root: "Ж" cannot be written in iso-8859-1, which lacks 'Ж'`},
		"element":          {Writing{Root: "a", Element: "b"}, "element: does not go with xml"},
		"delimiter":        {Writing{Root: "a", Delimiter: ";"}, "delimiter: does not go with xml"},
		"unknown encoding": {Writing{Root: "a", Encoding: "koi9"}, `encoding: unknown encoding "koi9"`},
	} {
		c.w.Format = "xml"
		if _, _, ps := NewMessage(c.w); len(ps) != 1 || !strings.HasPrefix(ps[0].String(), c.want) {
			t.Errorf("%s: %v, want %s", name, ps, c.want)
		}
	}
	if _, ps := NewEncoder(Writing{Format: "xml", Root: "a"}, nil); len(ps) != 1 || !strings.HasPrefix(ps[0].String(), "element: missing") {
		t.Errorf("a file without element: %v", ps)
	}
	if _, ps := NewEncoder(Writing{Format: "xml", Root: "a", Element: "b"}, titled("x")); len(ps) != 1 || !strings.HasPrefix(ps[0].String(), "columns: do not go") {
		t.Errorf("a file with columns: %v", ps)
	}
}

func TestXMLFilesAreOneDocument(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w    Writing
		rows [][]Value
		want string
	}{
		"none": {Writing{Root: "all", Element: "one"}, nil, xmlDeclared + "<all>\n</all>\n"},
		"some": {Writing{Root: "p:all", Element: "p:one", Namespaces: map[string]string{"p": "u"}},
			[][]Value{{val(Tree, `{"@n":1,"a":"x"}`)}, {val(Verbatim, "<p:one/>")}, {val(Text, "<")}, {val(Number, "1")}},
			xmlDeclared + "<p:all xmlns:p=\"u\">\n<p:one n=\"1\"><a>x</a></p:one>\n<p:one/>\n<p:one>&lt;</p:one>\n<p:one>1</p:one>\n</p:all>\n"},
		"koi8-r": {Writing{Root: "all", Element: "one", Encoding: "koi8-r"}, [][]Value{{val(Tree, `"Ж€"`)}},
			"<?xml version=\"1.0\" encoding=\"koi8-r\"?>\n<all>\n<one>\xf6&#8364;</one>\n</all>\n"},
	} {
		c.w.Format = "xml"
		e, ps := NewEncoder(c.w, nil)
		if ps != nil {
			t.Fatal(ps)
		}
		var out bytes.Buffer
		if err := e.Encode(&out, rowsOf(c.rows...)); err != nil || out.String() != c.want {
			t.Errorf("%s: %q, %v\nwant %q", name, out.String(), err, c.want)
		}
	}
	e, _ := NewEncoder(Writing{Format: "xml", Root: "a", Element: "b"}, nil)
	err := e.Encode(io.Discard, rowsOf([]Value{val(Tree, "1")}, []Value{val(Tree, `{"x y":1}`)}))
	if err == nil || !strings.HasPrefix(err.Error(), `write row 2: "x y" cannot be the name`) {
		t.Error(err)
	}
}

// xmlBodyTree draws what a body may be made of, and what the reader makes of the document: texts alone, no empty lists, no list of one.
func xmlBodyTree(depth int) *rapid.Generator[string] {
	name := rapid.SampledFrom([]string{"a", "b", "c", "long-name.1", "Ж"})
	return rapid.Custom(func(t *rapid.T) string {
		text := func() string {
			b, _ := json.Marshal(strings.ReplaceAll(strings.ReplaceAll(rapid.String().Draw(t, "text"), "\uFFFD", ""), "\x00", ""))
			return string(b)
		}
		if depth == 0 || rapid.IntRange(0, 2).Draw(t, "kind") == 0 {
			return text()
		}
		var members []string
		for _, n := range rapid.SliceOfNDistinct(name, 0, 2, rapid.ID[string]).Draw(t, "attributes") {
			members = append(members, `"@`+n+`":`+text())
		}
		for _, n := range rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "names") {
			if rapid.IntRange(0, 3).Draw(t, "list") > 0 {
				members = append(members, `"`+n+`":`+xmlBodyTree(depth-1).Draw(t, "member"))
				continue
			}
			items := rapid.SliceOfN(xmlBodyTree(depth-1), 2, 3).Draw(t, "items")
			members = append(members, `"`+n+`":[`+strings.Join(items, ",")+"]")
		}
		return "{" + strings.Join(members, ",") + "}"
	})
}

func TestXMLWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	m := xmlMessageOf(t, Writing{Root: "root"})
	rapid.Check(t, func(t *rapid.T) {
		body := xmlBodyTree(3).Draw(t, "body")
		text, err := m.Append(nil, []byte(body))
		if err != nil {
			if strings.Contains(err.Error(), "cannot stand in XML") {
				return
			}
			t.Fatal(err)
		}
		back, err := xmlBack(string(text))
		if err != nil || !sameBody(t, back, body) {
			t.Fatalf("%s\n%s\nread as %s, %v", body, text, back, err)
		}
	})
}

// sameBody compares values and the order of members.
func sameBody(t *rapid.T, a, b string) bool {
	return normalJSON(t, a) == normalJSON(t, b)
}

func normalJSON(t *rapid.T, s string) string {
	d := json.NewDecoder(strings.NewReader(s))
	var out strings.Builder
	for {
		token, err := d.Token()
		if err == io.EOF {
			return out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(token)
		if _, ok := token.(json.Delim); ok {
			out.WriteString(token.(json.Delim).String())
			continue
		}
		out.Write(b)
		out.WriteByte(' ')
	}
}

// FuzzXMLWritten writes any JSON: what comes out is a document that two readers take, with the same text in it.
func FuzzXMLWritten(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"@a":"\u0009","b":[1,{"c":null}],"#text":"x"}`, `"\ud83d\ude00"`, `{"p:a":{"@p:b":"<&>\r"}}`, `[]`, `{"a":"\\\""}`, "{\"Ж\" : [ ] }"} {
		f.Add(s)
	}
	w := Writing{Root: "p:r", Namespaces: map[string]string{"p": "urn:p", "xsi": xsiURI}}
	f.Fuzz(func(t *testing.T, body string) {
		text, err := xmlMessageOf(t, w).Append(nil, []byte(body))
		if err != nil {
			var bad *ValueError
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid([]byte(body)) || !utf8.Valid(text) {
			t.Fatalf("%q became %q", body, text)
		}
		if _, err := xmlBack(string(text)); err != nil && !strings.Contains(err.Error(), "max_") {
			t.Fatalf("%q became %q, which is refused: %v", body, text, err)
		}
		d := xml.NewDecoder(bytes.NewReader(text))
		for {
			if _, err := d.Token(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("%q became %q, which encoding/xml refuses: %v", body, text, err)
			}
		}
	})
}

func TestFormAndTextMessages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w          Writing
		json, want string
		media      string
	}{
		"form":            {Writing{Format: "form"}, `{"a":"x y&é","b":[1,true,"]"],"c":null,"d":[],"e":1.50}`, "a=x+y%26%C3%A9&b=1&b=true&b=%5D&e=1.50", "application/x-www-form-urlencoded"},
		"form of nothing": {Writing{Format: "form"}, `{}`, "", "application/x-www-form-urlencoded"},
		"text":            {Writing{Format: "text"}, `"a\n\"é\""`, "a\n\"é\"", "text/plain; charset=utf-8"},
		"text of numbers": {Writing{Format: "text"}, `1.50`, "1.50", "text/plain; charset=utf-8"},
		"text of nothing": {Writing{Format: "text"}, `null`, "", "text/plain; charset=utf-8"},
		"windows-1252":    {Writing{Format: "text", Encoding: "windows-1252", Unmappable: "replace"}, `"é€Ж"`, "\xe9\x80?", "text/plain; charset=windows-1252"},
	} {
		m, _, ps := NewMessage(c.w)
		if ps != nil {
			t.Fatal(ps)
		}
		if got, err := m.Append(nil, []byte(c.json)); err != nil || string(got) != c.want || m.MediaType() != c.media {
			t.Errorf("%s: %q, %s, %v", name, got, m.MediaType(), err)
		}
	}
	for body, want := range map[string]string{
		`form {"a":{"b":1}}`: "a: a form has no place", `form {"a":[[1]]}`: "a: a form has no place", `form "x"`: "a form is made of named values", `form {`: "is not JSON",
		`text {"a":1}`: "a list or an object has no text", `text "`: "is not JSON", "text \"\xff\"": "not valid UTF-8",
	} {
		layout, body, _ := strings.Cut(body, " ")
		m, _, _ := NewMessage(Writing{Format: layout})
		var bad *ValueError
		if _, err := m.Append(nil, []byte(body)); !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %s: %v, want %s", layout, body, err, want)
		}
	}
	for layout, want := range map[string]string{
		"ndjson": "as: ndjson goes with each: file or window; a message of one record is one of json, xml, form, text, protobuf, csv, tsv, fixed, xlsx", "txt": `as: unknown layout "txt", did you mean "text"?`,
	} {
		if _, _, ps := NewMessage(Writing{Format: layout}); len(ps) != 1 || !strings.HasPrefix(ps[0].String(), want) {
			t.Errorf("%s: %v", layout, ps)
		}
	}
	if m, _, ps := NewMessage(Writing{Format: "json"}); m != nil || ps != nil {
		t.Error("json is as it is", m, ps)
	}
}
