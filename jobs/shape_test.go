package jobs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waybill/formats"
	"waybill/ledger"
)

const shapedRead = `
receive: {source: s}
read:
  format: json
  records: $.orders
  fields:
    no: {required: true}
    note: {}
    total: {type: decimal, required: true}
    buyer: {type: object, fields: {name: {required: true}}}
    lines: {type: list, required: true, fields: {sku: {required: true}, qty: {type: integer, required: true}}}
check: {allow_rejects: 9}
`

const shapedFile = `{"orders": [
 {"no": "A-1", "note": "<urgent>", "total": 24.50, "buyer": {"name": "É"}, "lines": [{"sku": "S", "qty": 1}, {"sku": "T", "qty": 2}]},
 {"no": "A-2", "total": 0, "lines": []}]}`

func TestBodiesAreLaidOutAsTheySay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send  string
		media string
		want  []string
	}{
		"xml": {`{to: erp, as: xml, root: ord:Order, namespaces: {"": "urn:a", ord: "urn:b"}, body: {"@no": =no, ord:Total: {"@currency": EUR, "#text": =total}, Line: {=each: lines, "@n": =position, sku: =sku}, Note: =note, Buyer: {=when: 'buyer != nil', Name: =buyer.name}, tag: [x, =no]}}`,
			"application/xml; charset=utf-8", []string{
				xmlHead + `<ord:Order xmlns="urn:a" xmlns:ord="urn:b" no="A-1"><ord:Total currency="EUR">24.50</ord:Total><Line n="1"><sku>S</sku></Line><Line n="2"><sku>T</sku></Line><Note>&lt;urgent&gt;</Note><Buyer><Name>É</Name></Buyer><tag>x</tag><tag>A-1</tag></ord:Order>`,
				xmlHead + `<ord:Order xmlns="urn:a" xmlns:ord="urn:b" no="A-2"><ord:Total currency="EUR">0</ord:Total><tag>x</tag><tag>A-2</tag></ord:Order>`}},
		"xml of the record itself": {`{to: erp, as: xml, root: o}`, "application/xml; charset=utf-8", []string{
			xmlHead + `<o><no>A-1</no><note>&lt;urgent&gt;</note><total>24.50</total><buyer><name>É</name></buyer><lines><sku>S</sku><qty>1</qty></lines><lines><sku>T</sku><qty>2</qty></lines></o>`,
			xmlHead + `<o><no>A-2</no><total>0</total></o>`}},
		"xml in another encoding, with null": {`{to: erp, as: xml, root: o, encoding: iso-8859-5, missing: "null", namespaces: {xsi: "http://www.w3.org/2001/XMLSchema-instance"}, body: {n: =note, b: =buyer.name}}`,
			"application/xml; charset=iso-8859-5", []string{
				"<?xml version=\"1.0\" encoding=\"iso-8859-5\"?>\n" + `<o xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><n>&lt;urgent&gt;</n><b>&#201;</b></o>`,
				"<?xml version=\"1.0\" encoding=\"iso-8859-5\"?>\n" + `<o xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><n xsi:nil="true"/><b xsi:nil="true"/></o>`}},
		"form": {`{to: erp, as: form, body: {no: =no, note: =note, sku: '=map(lines, .sku)', kind: [a, =total]}}`, "application/x-www-form-urlencoded", []string{
			"no=A-1&note=%3Curgent%3E&sku=S&sku=T&kind=a&kind=24.50", "no=A-2&kind=a&kind=0"}},
		"text":            {`{to: erp, as: text, body: '=no + ": " + (note ?? "-")'}`, "text/plain; charset=utf-8", []string{"A-1: <urgent>", "A-2: -"}},
		"text of nothing": {`{to: erp, as: text, body: =note}`, "text/plain; charset=utf-8", []string{"<urgent>", ""}},
		"json, as ever":   {`{to: erp, as: json, body: {no: =no}}`, "application/json", []string{`{"no":"A-1"}`, `{"no":"A-2"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got, media []string
			o, err := compile(t, shapedRead+"send: ["+c.send+"]").Run(t.Context(), input("o.json", shapedFile), func(r *Rendered) error {
				got, media = append(got, string(r.Message.Body)), append(media, r.Message.Header(":content-type"))
				return nil
			})
			if err != nil || o.State != ledger.Accepted {
				t.Fatal(err, show(o))
			}
			if d := cmp.Diff(c.want, got); d != "" || len(slices.Compact(media)) != 1 || media[0] != c.media {
				t.Errorf("%v\n%s", media, d)
			}
		})
	}
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func TestAllRecordsBecomeOneXMLDocument(t *testing.T) {
	t.Parallel()
	p := compile(t, shapedRead+`
send:
  - {to: f, each: file, as: xml, root: Orders, element: Order, namespaces: {"": "urn:o"}, when: '=total > 0', body: {"@no": =no, Line: {=each: lines, sku: =sku}}}
  - {to: f, each: file, as: xml, root: Orders, element: Order, encoding: windows-1252}
  - {to: f, each: file, as: xml, root: Orders, element: Order, when: '=total > 99', no_rows: write}
`)
	in, files := input("o.json", shapedFile), &memory{}
	in.Files = files
	o, got := runs(t, p, in)
	if o.State != ledger.Accepted || strings.Count(got, ":content-type=application/xml; charset=utf-8") != 2 || len(files.files) != 3 {
		t.Fatal(show(o), got)
	}
	for i, want := range []string{
		xmlHead + "<Orders xmlns=\"urn:o\">\n" + `<Order no="A-1"><Line><sku>S</sku></Line><Line><sku>T</sku></Line></Order>` + "\n</Orders>\n",
		"<?xml version=\"1.0\" encoding=\"windows-1252\"?>\n<Orders>\n<Order><no>A-1</no><note>&lt;urgent&gt;</note><total>24.50</total><buyer><name>\xc9</name></buyer><lines><sku>S</sku><qty>1</qty></lines><lines><sku>T</sku><qty>2</qty></lines></Order>\n<Order><no>A-2</no><total>0</total></Order>\n</Orders>\n",
		xmlHead + "<Orders>\n</Orders>\n",
	} {
		if got := files.files[i].String(); got != want {
			t.Errorf("file %d:\n%q\nwant\n%q", i+1, got, want)
		}
	}
}

// Rows of a query are what a database holds: its JSON has been seen by nobody.
func TestRowsOfAQueryBecomeXML(t *testing.T) {
	t.Parallel()
	p := compile(t, `
schedule: {cron: "0 * * * *"}
query: {connection: shop, sql: select}
check: {allow_rejects: 5}
send: [{to: f, each: window, as: xml, root: all, element: row}]
`)
	in, files := input("", ""), &memory{}
	in.Files = files
	cell := func(k formats.Kind, s string) []formats.Cell { return []formats.Cell{{Kind: k, Bytes: []byte(s)}} }
	in.Rows = &Rows{Columns: []string{"x"}, All: func(yield func([]formats.Cell, error) bool) {
		_ = yield(cell(formats.Tree, "{\"a\":\n[1]}"), nil) && yield(cell(formats.Text, "\x01"), nil) && yield(cell(formats.Tree, `{"a b":1}`), nil) && yield(cell(formats.Null, ""), nil)
	}}
	o, _ := runs(t, p, in)
	want := `accepted, 4 records, 1 messages, 2 rejected
2/0 x "\\x01" the character U+0001 cannot stand in XML, not even by its number: take it out by an expression, or refuse it by pattern
3/0 x "a b" "a b" cannot be the name of an element: it begins with a letter or _, and holds letters, digits, - _ . and at most one prefix with a colon`
	if got := show(o); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := files.files[0].String(); got != xmlHead+"<all>\n<row><x><a>1</a></x></row>\n<row/>\n</all>\n" {
		t.Errorf("%s", got)
	}
}

// What a format or an encoding cannot hold is a reject of its record, and not a failure of the whole that comes again for ever.
func TestWhatCannotBeWrittenIsAReject(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ send, want string }{
		"a character that XML cannot hold": {`{to: erp, as: xml, root: r, body: {a: {b: =note}}}`, `a.b "x\x01" the character U+0001`},
		"in a file":                        {`{to: f, each: file, as: xml, root: r, element: e, body: {"@b": =note}}`, `@b "x\x01" the character U+0001`},
		"an encoding of csv":               {`{to: f, each: file, as: csv, encoding: iso-8859-1, columns: [{title: Note, value: =euro}]}`, `Note "€" the character '€' has no place in iso-8859-1`},
		"a cell of a sheet":                {`{to: f, each: file, as: xlsx, columns: [{title: Long, value: '=repeat("x", 40000)'}]}`, `Long "xxx`},
		"a column of fixed width":          {`{to: f, each: file, as: fixed, columns: [{title: Short, value: '=euro + "12"', width: 2}]}`, `Short "€12" takes 3 columns, but its place has 2`},
		"a value that is not there":        {`{to: erp, body: =none}`, `body "" has no value here, and an empty message is no JSON`},
		"a list that is not there":         {`{to: f, each: file, body: {=each: nones, a: =a}}`, `body "" has no value here, and an empty message is no JSON`},
		"an encoding of a text":            {`{to: erp, as: text, encoding: iso-8859-1, body: =euro}`, ` "€" the character '€' has no place in iso-8859-1`},
	} {
		p := compile(t, "receive: {source: s}\nread: {format: json, fields: {note: {required: true}, euro: {required: true}, none: {}, nones: {type: list, fields: {a: {}}}}}\nsend: ["+c.send+"]")
		in := input("f", `{"note":"x\u0001","euro":"€"}`)
		in.Files = &memory{}
		o, _ := runs(t, p, in)
		if o.State != ledger.Rejected || len(o.Rejects) != 1 || !strings.HasPrefix(o.Rejects[0].Field+` "`+o.Rejects[0].Value+`" `+o.Rejects[0].Reason, strings.TrimSuffix(c.want, `xxx`)) {
			t.Errorf("%s: %s\nwant %s", name, show(o), c.want)
		}
	}
}

func TestWhatALayoutHasNoPlaceForIsToldAtLoad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send string
		want []string
	}{
		"names": {`{to: erp, as: xml, root: r, body: {1a: =no, "p:b": =no, "@xmlns": x, "@ok": x, c: {"d e": x}}}`, []string{
			`body.1a: "1a" cannot be the name of an element: it begins with a letter or _, and holds letters, digits, - _ . and at most one prefix with a colon`,
			`body.p:b: the prefix of "p:b" is not declared: write it into namespaces`,
			`body.@xmlns: "xmlns" declares a namespace: write it into namespaces`,
			`body.c.d e: "d e" cannot be the name of an element: it begins with a letter or _, and holds letters, digits, - _ . and at most one prefix with a colon`,
		}},
		"lists": {`{to: erp, as: xml, root: r, body: {a: [x, [y]], b: [{=each: lines, s: =sku}], "@c": [x], "#text": {d: x}}}`, []string{
			"body.a[1]: is a list in a list, which has no place here",
			"body.b[0].=each: makes a list in a list, which has no place here",
			"body.@c: is one value in XML, not a list or a mapping",
			"body.#text: is one value in XML, not a list or a mapping",
		}},
		"a list at the top":     {`{to: erp, as: xml, root: r, body: [x]}`, []string{"body: is a list: name it inside a mapping"}},
		"each at the top":       {`{to: erp, as: xml, root: r, body: {=each: lines, s: =sku}}`, []string{"body.=each: makes a list, and a document is one element: name it inside a mapping"}},
		"no root":               {`{to: erp, as: xml, body: {a: x}}`, []string{"root: missing: an XML document needs the name of the element around all"}},
		"element of a message":  {`{to: erp, as: xml, root: r, element: e, body: {a: x}}`, []string{"element: does not go with xml"}},
		"file without element":  {`{to: f, each: file, as: xml, root: r}`, []string{"element: missing: say what the element of each record is called"}},
		"columns of xml":        {`{to: f, each: file, as: xml, root: r, element: e, columns: [{title: a, value: =no}]}`, []string{"columns: do not go with xml: write body, or leave it out for the fields as they are"}},
		"root of json":          {`{to: erp, root: r, body: {a: x}}`, []string{"root: does not go with json"}},
		"form":                  {`{to: erp, as: form, body: {a: {b: x}, c: [x, [y]], l: {=each: lines, s: =sku}}}`, []string{"body.a: is a mapping inside a form, which has no place for it", "body.c[1]: is a list in a list, which has no place here", "body.l: is a mapping inside a form, which has no place for it"}},
		"form of one value":     {`{to: erp, as: form, body: =no}`, []string{"body: is one value, where as: form takes a mapping of names and values"}},
		"form of the record":    {`{to: erp, as: form}`, []string{"body: is missing, and a form has no place for the field lines, which is a list"}},
		"text":                  {`{to: erp, as: text, body: {a: x}}`, []string{"body: is a mapping, where as: text takes one value"}},
		"text of a list":        {`{to: erp, as: text, body: [x]}`, []string{"body: is a list, where as: text takes one value"}},
		"text of the record":    {`{to: erp, as: text}`, []string{"body: is missing: as: text takes one value"}},
		"text as a file":        {`{to: f, each: file, as: text}`, []string{"as: text goes with each: record; a file is one of csv, tsv, json, ndjson, xml, fixed, xlsx, protobuf"}},
		"ndjson as a message":   {`{to: erp, as: ndjson}`, []string{"as: ndjson goes with each: file or window; a message of one record is one of json, xml, form, text, protobuf, csv, tsv, fixed, xlsx"}},
		"a body for some":       {`{to: erp, body: {=when: 'n == 1', a: x}}`, []string{"body.=when: would leave the whole body out: write the condition beside body, as when, or around the parts that it is about"}},
		"a format of dates":     {`{to: f, each: file, as: xlsx, columns: [{title: a, value: =n, format: "dd.mm.yyyy"}, {title: b, value: =no, format: "0.00"}, {title: c, value: =day, format: "%d"}, {title: d, value: =day, format: "#,##0"}]}`, []string{`columns[0].format: "dd.mm.yyyy" shows dates, and not an integer: write it in a spreadsheet's terms, as #,##0.00`, "columns[1].format: goes with dates, times and numbers, not with string", `columns[2].format: "%d" is a format of strftime: write it in a spreadsheet's terms, as dd.mm.yyyy hh:mm`, `columns[3].format: "#,##0" shows no date: write it in a spreadsheet's terms, as dd.mm.yyyy hh:mm`}},
		"a format of texts":     {`{to: f, each: file, as: csv, columns: [{title: a, value: =no, format: "%d"}]}`, []string{"columns[0].format: goes with dates and times, not with string"}},
		"a width of csv":        {`{to: f, each: file, as: csv, columns: [{title: a, value: =no, width: 3}]}`, []string{"columns[0].width: does not go with csv"}},
		"fixed without columns": {`{to: f, each: file, as: fixed}`, []string{"columns: are missing: fixed needs them"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := "receive: {source: s}\nread: {format: json, fields: {no: {required: true}, n: {type: integer, required: true}, day: {type: date, required: true}, lines: {type: list, required: true, fields: {sku: {}}}}}\nsend: [" + c.send + "]"
			_, problems := Compile("j", parseOptions(t, job), Environment{})
			var got []string
			for _, p := range problems {
				got = append(got, strings.TrimPrefix(p.String(), "send[0]."))
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	_, problems := Compile("j", parseOptions(t, "receive: {source: s}\nread: {format: csv, fields: {'a b': {}}}\nsend: [{to: erp, as: xml, root: r}]"), Environment{})
	if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), `send[0].body: is missing, and the field a b cannot be written as it is: "a b" cannot be`) {
		t.Error(problems)
	}
}

// The acknowledgement of design example 02, as far as there are the names that it uses.
const toldInXML = `
acknowledge:
  - after: [accepted, rejected]
    to: sender
    name: "OrderResponseSimple-{entry.number}.xml"
    as: xml
    root: OrderResponseSimple
    namespaces: {"": "urn:oasis:names:specification:ubl:schema:xsd:OrderResponseSimple-2", cac: "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2", cbc: "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"}
    body:
      cbc:ID: =entry.number
      cbc:AcceptedIndicator: '=outcome.state == "accepted"'
      cac:OrderReference: {cbc:ID: =file.stem}
      Fault: {=each: outcome.faults, "@line": =line, "#text": =reason}
  - {after: rejected, to: sender, as: xml}
  - {after: rejected, to: sender, as: text, encoding: windows-1252, body: =outcome.text}
`

func TestSendersAreToldInXML(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines+toldInXML)
	in := Input{Entry: ledger.Entry{ID: 7, Partner: "acme", Received: p.now()}, Partner: Partner{Name: "acme"}, File: ledger.File{Path: "É.csv"},
		Blob: formats.Blob{Name: "É.csv", Reader: strings.NewReader("no;qty\nA-1;m<any\n"), Size: 17}}
	out, err := p.worker.Jobs().Plan("orders").Try(t.Context(), in, 1)
	p.must(err)
	if len(out.Told) != 3 {
		t.Fatalf("%+v", out)
	}
	if got, want := out.Told[0], (TrialNotice{Name: "out/OrderResponseSimple-7.xml", Text: xmlHead + `<OrderResponseSimple xmlns="urn:oasis:names:specification:ubl:schema:xsd:OrderResponseSimple-2" ` +
		`xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2" xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">` +
		`<cbc:ID>7</cbc:ID><cbc:AcceptedIndicator>false</cbc:AcceptedIndicator><cac:OrderReference><cbc:ID>É</cbc:ID></cac:OrderReference><Fault line="2">is no integer</Fault></OrderResponseSimple>`}); got.Name != want.Name ||
		strings.SplitN(got.Text, `<Fault line="2">`, 2)[0] != strings.SplitN(want.Text, `<Fault line="2">`, 2)[0] || !strings.HasSuffix(got.Text, "</Fault></OrderResponseSimple>") {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := out.Told[1]; got.Name != "out/É.7.ack.xml" || !strings.HasPrefix(got.Text, xmlHead+"<acknowledgement><acknowledgement>1</acknowledgement><state>rejected</state>") ||
		!strings.Contains(got.Text, "<value>m&lt;any</value>") {
		t.Errorf("%+v", got)
	}
	if got := out.Told[2]; got.Name != "out/É.7.ack.txt" || !strings.HasPrefix(got.Text, "É.csv was rejected as a whole") {
		t.Errorf("%+v", got)
	}
}
