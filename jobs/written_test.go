package jobs

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"waybill/formats/formatstest"
	"waybill/ledger"
)

const writtenRead = `
receive: {source: s}
read:
  format: json
  records: orders
  header: {fields: {day: {from: $.day, type: date}}}
  fields:
    no:     {required: true}
    amount: {type: decimal}
    on:     {type: date}
    lines:  {type: list, fields: {sku: {required: true}, n: {type: integer, required: true}}}
check: {unique: {key: =no, same: skip, other: skip}}
`

const writtenInput = `{"day":"2026-03-31","orders":[
{"no":"A1","amount":12.50,"on":"2026-03-30","lines":[{"sku":"X","n":2},{"sku":"Y;","n":0},{"sku":"Z","n":3}]},
{"no":"A2","amount":-3.1,"on":"2026-01-05","lines":[]},
{"no":"A3"}]}`

// writes are the files that a job makes of a text.
func writes(t testing.TB, read, send, text string) (ledger.Outcome, []string) {
	t.Helper()
	in, made := input("f.json", text), &files{}
	in.Files = made
	o, _ := runs(t, compile(t, read+"send:\n  - "+send), in)
	return o, made.written
}

func TestWrittenFilesHaveHeaderTrailerAndKinds(t *testing.T) {
	t.Parallel()
	const kinds = `
    header: {kind: H, columns: [{title: day, value: =header.day, format: "%d.%m.%y"WIDTH8}, {title: job, value: =entry.jobWIDTH6}]}
    records:
      order: {kind: O, columns: [{title: no, value: =noWIDTH4}, {title: amount, value: =amountWIDTH8}]}
      line:  {kind: LL, each: =lines, when: '=n > 0', columns: [{title: order, value: =up.noWIDTH4}, {title: pos, value: =positionWIDTH3}, {title: sku, value: =skuWIDTH3}, {title: n, value: =nWIDTH5}]}
    trailer: {kind: T, columns: [{title: rows, value: =totals.rowsWIDTH4}, {title: lines, value: =totals.linesWIDTH4}, {title: sum, value: =totals.sumWIDTH8}, {title: pieces, value: =totals.piecesWIDTH5}]}
    totals: {rows: {count: records}, lines: {count: line}, sum: {sum: amount, of: order}, pieces: {sum: n, of: line}}`
	plain := strings.NewReplacer("WIDTH8", "", "WIDTH6", "", "WIDTH5", "", "WIDTH4", "", "WIDTH3", "")
	wide := strings.NewReplacer("WIDTH8", ", width: 8", "WIDTH6", ", width: 6", "WIDTH5", ", width: 5", "WIDTH4", ", width: 4", "WIDTH3", ", width: 3")
	for name, c := range map[string]struct{ send, want string }{
		"csv": {`{to: f, each: file, as: csv, lines: lf, decimal: ",", delimiter: ";",
    header: {columns: [{title: day, value: =header.day}]}, columns: [{title: No, value: =no}, {title: Amount, value: =amount}],
    trailer: {columns: [{title: n, value: =totals.n}, {title: sum, value: =totals.sum}]}, totals: {n: {count: records}, sum: {sum: Amount}}}`,
			"2026-03-31\nNo;Amount\nA1;12,50\nA2;-3,1\nA3;\n3;9,40\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, got := writes(t, writtenRead, c.send, writtenInput)
			if d := cmp.Diff([]string{c.want}, got); d != "" {
				t.Errorf("%s\n%s", show(o), d)
			}
		})
	}
	for as, want := range map[string]string{
		"csv":    "H,31.03.26,orders\nO,A1,12.50\nLL,A1,1,X,2\nLL,A1,2,Z,3\nO,A2,-3.1\nO,A3,\nT,5,2,9.40,5\n",
		"tsv":    "H\t31.03.26\torders\nO\tA1\t12.50\nLL\tA1\t1\tX\t2\nLL\tA1\t2\tZ\t3\nO\tA2\t-3.1\nO\tA3\t\nT\t5\t2\t9.40\t5\n",
		"fixed":  "H 31.03.26orders\nO A1     12.50\nLLA1    1X      2\nLLA1    2Z      3\nO A2      -3.1\nO A3          \nT    5   2    9.40    5\n",
		"ndjson": `{"kind":"H","day":"31.03.26","job":"orders"}` + "\n" + `{"kind":"O","no":"A1","amount":12.50}` + "\n" + `{"kind":"LL","order":"A1","pos":1,"sku":"X","n":2}` + "\n" + `{"kind":"LL","order":"A1","pos":2,"sku":"Z","n":3}` + "\n" + `{"kind":"O","no":"A2","amount":-3.1}` + "\n" + `{"kind":"O","no":"A3"}` + "\n" + `{"kind":"T","rows":5,"lines":2,"sum":9.40,"pieces":5}` + "\n",
	} {
		t.Run(as+" of kinds", func(t *testing.T) {
			t.Parallel()
			send, ends := plain.Replace(kinds), "\n    lines: lf"
			if as == "fixed" {
				send = wide.Replace(kinds)
			} else if as == "ndjson" {
				ends = ""
			}
			o, got := writes(t, writtenRead, "to: f\n    each: file\n    as: "+as+ends+send, writtenInput)
			if d := cmp.Diff([]string{want}, got); d != "" {
				t.Errorf("%s\n%s", show(o), d)
			}
		})
	}
}

func TestDocumentsHaveHeaderAndTrailer(t *testing.T) {
	t.Parallel()
	none := writtenInput[:strings.Index(writtenInput, "[")] + "[]}"
	for name, c := range map[string]struct{ send, text, want string }{
		"json": {`{to: f, each: file, as: json, columns: [{title: no, value: =no}, {title: amount, value: =amount}], header: {columns: [{title: day, value: =header.day}]},
    trailer: {columns: [{title: n, value: =totals.n}, {title: sum, value: =totals.sum}]}, totals: {n: {count: records}, sum: {sum: amount}}}`, writtenInput,
			`{"day":"2026-03-31",|"records":[|{"no":"A1","amount":12.50},|{"no":"A2","amount":-3.1},|{"no":"A3"}|],"n":3,"sum":9.40}|`},
		"json with a list of its own": {`{to: f, each: file, as: json, records: $.data.items, when: '=no == "A3"'}`, writtenInput, `{"data":{"items":[|{"no":"A3"}|]}}|`},
		"json without records": {`{to: f, each: file, as: json, no_rows: write, trailer: {columns: [{title: n, value: =totals.n}]}, totals: {n: {count: records}}}`, none,
			`{"records":[],"n":0}|`},
		"json with nothing around": {`{to: f, each: file, as: json, no_rows: write, header: {columns: [{title: a, value: '=file.size > 0 ? nil : 1'}]}, trailer: {columns: [{title: n, value: '=file.size > 0 ? nil : 1'}]}}`, none,
			`{"records":[]}|`},
		"xml": {`{to: f, each: file, as: xml, root: Orders, element: Order, namespaces: {"": urn:o}, body: {"@no": =no}, header: {columns: [{title: "@day", value: =header.day}, {title: From, value: '=entry.job + "<"'}]},
    trailer: {columns: [{title: Count, value: =totals.n}]}, totals: {n: {count: records}}}`, writtenInput,
			xmlHead + `<Orders xmlns="urn:o" day="2026-03-31"><From>orders&lt;</From>|<Order no="A1"/>|<Order no="A2"/>|<Order no="A3"/>|<Count>3</Count>|</Orders>|`},
		"xml without records": {`{to: f, each: file, as: xml, root: Orders, element: Order, no_rows: write, header: {columns: [{title: "@day", value: =header.day}]}, trailer: {columns: [{title: n, value: '=file.size > 0 ? nil : 1'}]}}`, none,
			xmlHead + `<Orders day="2026-03-31">|</Orders>|`},
		"xml with a trailer": {`{to: f, each: file, as: xml, root: Orders, element: Order, no_rows: write, trailer: {columns: [{title: n, value: =totals.n}]}, totals: {n: {count: records}}}`, none,
			xmlHead + `<Orders>|<n>0</n>|</Orders>|`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, got := writes(t, writtenRead, c.send, c.text)
			if len(got) != 1 || strings.ReplaceAll(got[0], "\n", "|") != strings.ReplaceAll(c.want, "\n", "|") {
				t.Errorf("%s\n%q\nwant %s", show(o), got, c.want)
			}
		})
	}
}

func TestTotalsOfAWrittenFileAreOfWhatIsWritten(t *testing.T) {
	t.Parallel()
	const send = `{to: f, each: file, as: ndjson, when: '=no != "A9"', no_rows: write,
    columns: [{title: no, value: =no}, {title: amount, value: '=amount == nil ? nil : amount * 2'}, {title: on, value: =on, format: "%d/%m/%y"}],
    totals: {n: {count: records}, least: {min: amount}, most: {max: amount}, first: {min: on}, last: {max: on}, hash: {hash: no, digits: 3}, sum: {sum: amount}},
    trailer: {columns: [{title: n, value: =totals.n}, {title: least, value: =totals.least}, {title: most, value: =totals.most}, {title: first, value: =totals.first},
      {title: last, value: =totals.last, format: "%Y%m%d"}, {title: hash, value: =totals.hash}, {title: sum, value: '=totals.sum + 0.10'}, {title: all, value: '=totals.n + 1'}]}}`
	for name, c := range map[string]struct{ text, want string }{
		"what when leaves out, or is known, does not count": {`{"day":"2026-03-31","orders":[{"no":"A1","amount":1,"on":"2026-02-01"},{"no":"A9","amount":9},{"no":"A1","amount":7},{"no":"A2","amount":0.05,"on":"2026-10-01"},{"no":"A3"}]}`,
			`{"no":"A1","amount":2,"on":"01/02/26"}|{"no":"A2","amount":0.10,"on":"01/10/26"}|{"no":"A3"}|` +
				`{"n":3,"least":0.10,"most":2,"first":"2026-02-01","last":"20261001","hash":6,"sum":2.20,"all":4}|`},
		"of no rows": {`{"day":"2026-03-31","orders":[]}`, `{"n":0,"hash":0,"sum":0.10,"all":1}|`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, made := input("f.json", c.text), &files{}
			in.Files, in.Unique = made, uniqueness()
			p := compile(t, writtenRead+"send:\n  - "+send)
			o, _ := runs(t, p, in)
			if got := strings.ReplaceAll(strings.Join(made.written, "#"), "\n", "|"); got != c.want {
				t.Errorf("%s\n%s\nwant %s", show(o), got, c.want)
			}
		})
	}
}

// A header and a trailer of the file as a whole that cannot be written reject it, with the place; so does a sum that no number holds.
func TestPartsThatCannotBeWrittenRejectTheFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ send, want string }{
		"header too long": {`{to: f, each: file, as: fixed, columns: [{title: no, value: =no, width: 4}], header: {columns: [{title: day, value: =header.day, width: 8}]}}`,
			"the header of the file for f cannot be written: day: takes 10 columns, but its place has 8: what is too long is not cut"},
		"trailer too long": {`{to: f, each: file, as: fixed, columns: [{title: no, value: =no, width: 4}], totals: {n: {count: records}}, trailer: {columns: [{title: n, value: '=totals.n + 1000', width: 3}]}}`,
			"the trailer of the file for f cannot be written: n: takes 4 columns, but its place has 3: what is too long is not cut"},
		"a header that cannot be made": {`{to: f, each: file, as: csv, columns: [{title: no, value: =no}], header: {columns: [{title: d, value: '=1 / (file.size - file.size)'}]}}`,
			"the header of the file for f cannot be written: "},
		"a trailer that cannot be made": {`{to: f, each: file, as: csv, columns: [{title: no, value: =no}], totals: {n: {count: records}}, trailer: {columns: [{title: d, value: '=1 / (totals.n - 3)'}]}}`,
			"the trailer of the file for f cannot be written: "},
		"a sum beyond all numbers": {`{to: f, each: file, as: csv, columns: [{title: x, value: '=9223372036854775807 - 1'}], totals: {s: {sum: x}}, trailer: {columns: [{title: s, value: =totals.s}]}}`,
			"the trailer of the file for f cannot be written: totals.s: the sum 27670116110564327418 is more than an integer holds: make the field a decimal"},
		"a hash total beyond all numbers": {`{to: f, each: file, as: csv, columns: [{title: x, value: '=repeat("9", 20)'}], totals: {s: {hash: x}}, trailer: {columns: [{title: s, value: =totals.s}]}}`,
			"the trailer of the file for f cannot be written: totals.s: the hash total is more than an integer holds"},
		"a character that the encoding lacks": {`{to: f, each: file, as: csv, encoding: windows-1252, columns: [{title: no, value: =no}], header: {columns: [{title: h, value: '="Ж" + file.name'}]}}`,
			"the header of the file for f cannot be written: h: the character 'Ж' has no place in windows-1252"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, made := writes(t, writtenRead, c.send, writtenInput)
			if o.State != ledger.Rejected || !strings.HasPrefix(o.Reason, c.want) || len(made) > 0 {
				t.Errorf("%s: %s, %q\nwant %s", o.State, o.Reason, made, c.want)
			}
		})
	}
}

func TestWhatIsWrongWithPartsOfAWrittenFileIsToldAtLoad(t *testing.T) {
	t.Parallel()
	const columns = `columns: [{title: no, value: =no}, {title: amount, value: =amount}, {title: on, value: =on}, {title: two, value: =no}, {title: two, value: =no}]`
	const tail = `trailer: {columns: [{title: x, value: x}]}`
	for name, c := range map[string]struct{ send, want string }{
		"a message":                   {`{to: f, header: {columns: [{title: a, value: b}]}}`, "send[0].header: goes with rows: write as: csv, tsv or fixed for a message of them, or each: file; any other message is all in body"},
		"xlsx":                        {`{to: f, each: file, as: xlsx, ` + columns + `, ` + tail + `}`, "send[0].trailer: does not go with xlsx: files with it are csv, tsv, json, ndjson, xml, fixed"},
		"kinds in protobuf":           {`{to: f, each: file, as: protobuf, records: {a: {columns: [{title: x, value: y}]}}}`, "send[0].schema: "},
		"kinds in xml":                {`{to: f, each: file, as: xml, root: r, element: e, records: {a: {columns: [{title: x, value: y}]}}}`, "send[0].records.a: does not go with xml, which has records of one kind: element says what they are called"},
		"kinds in json":               {`{to: f, each: file, as: json, records: {a: {columns: [{title: x, value: y}]}}}`, "send[0].records.a: does not go with json, whose list has records of one kind: write records: NAME for the member that holds it"},
		"a kind in json":              {`{to: f, each: file, as: json, header: {kind: H, columns: [{title: x, value: y}]}}`, "send[0].columns: have no kind"},
		"a list in csv":               {`{to: f, each: file, as: csv, records: items, ` + columns + `}`, "send[0].records: does not go with csv"},
		"a list that is a member":     {`{to: f, each: file, as: json, records: x.y, ` + tail + `}`, `send[0].records: "x", which holds the list of records, is a member of header or trailer too: name another one`},
		"a list at no name":           {`{to: f, each: file, as: json, records: "x[0]", ` + tail + `}`, `send[0].records: "x[0]" is no member that could hold the list of records: write its name, as items or data.items`},
		"a member of both":            {`{to: f, each: file, as: json, header: {columns: [{title: x, value: y}]}, ` + tail + `}`, `send[0].trailer.columns[0].title: "x" is a member of the header already`},
		"a member of one twice":       {`{to: f, each: file, as: json, header: {columns: [{title: x, value: y}, {title: x, value: z}]}}`, `send[0].header.columns[1].title: "x" cannot name a second member, nor one that is not UTF-8`},
		"an element of both":          {`{to: f, each: file, as: xml, root: r, element: e, header: {columns: [{title: x, value: y}]}, ` + tail + `}`, `send[0].trailer.columns[0].title: "x" is an element of the header already`},
		"the element of a record":     {`{to: f, each: file, as: xml, root: r, element: x, ` + tail + `}`, `send[0].trailer.columns[0].title: "x" is what the element of each record is called: a reader would take this for one`},
		"a kind that is replaced":     {`{to: f, each: file, as: csv, encoding: windows-1252, unmappable: replace, records: {a: {kind: Ж, columns: [{title: x, value: y}]}}}`, `send[0].records.a.kind: "Ж" has a character that windows-1252 lacks: no reader could go by it`},
		"a name of an element":        {`{to: f, each: file, as: xml, root: r, element: e, trailer: {columns: [{title: 1x, value: y}]}}`, `send[0].trailer.columns[0].title: "1x" cannot be the name of an element`},
		"an attribute behind":         {`{to: f, each: file, as: xml, root: r, element: e, trailer: {columns: [{title: "@x", value: y}]}}`, `send[0].trailer.columns[0].title: "@x" has no place there: attributes stand in the header, and all else is an element`},
		"totals in the header":        {`{to: f, each: file, as: csv, ` + columns + `, totals: {n: {count: records}}, ` + tail + `, header: {columns: [{title: n, value: =totals.n}]}}`, `send[0].header.columns[0].value: `},
		"the totals of what is read":  {`{to: f, each: file, as: csv, ` + columns + `, header: {columns: [{title: n, value: =totals.n}]}}`, `send[0].header.columns[0].value: unknown name totals, which is known once all records are read: in check.file`},
		"the trailer of what is read": {`{to: f, each: file, as: csv, columns: [{title: n, value: =trailer.n}]}`, `send[0].columns[0].value: unknown name trailer, which is known once all records are read: in check.file`},
		"record in the trailer": {`{to: f, each: file, as: csv, ` + columns + `, trailer: {columns: [{title: n, value: =record.number}]}}`,
			`send[0].trailer.columns[0].value: `},
		"an unknown total":                  {`{to: f, each: file, as: csv, ` + columns + `, totals: {sum: {sum: amount}}, trailer: {columns: [{title: n, value: =totals.som}]}}`, `send[0].trailer.columns[0].value: `},
		"a total of no column":              {`{to: f, each: file, as: csv, ` + columns + `, totals: {s: {sum: amont}}, ` + tail + `}`, `send[0].totals.s.sum: there is no column "amont"`},
		"of two columns":                    {`{to: f, each: file, as: csv, ` + columns + `, totals: {s: {hash: two}}, ` + tail + `}`, `send[0].totals.s.hash: there are two columns "two": give them titles of their own`},
		"of a text":                         {`{to: f, each: file, as: csv, ` + columns + `, totals: {s: {sum: no}}, ` + tail + `}`, `send[0].totals.s.sum: no is text: an integer or a decimal is added up`},
		"of a kind":                         {`{to: f, each: file, as: csv, ` + columns + `, totals: {s: {sum: amount, of: x}}, ` + tail + `}`, `send[0].totals.s.of: goes with several kinds of rows, and records names none: leave it out`},
		"two at once":                       {`{to: f, each: file, as: csv, ` + columns + `, totals: {s: {sum: amount, min: on}}, ` + tail + `}`, `send[0].totals.s: is one of sum: COLUMN, min: COLUMN, max: COLUMN, hash: COLUMN and count: KIND`},
		"a total of no column that is used": {`{to: f, each: file, as: csv, ` + columns + `, totals: {s: {sum: amont}}, trailer: {columns: [{title: s, value: '=totals.s + 1'}]}}`, `send[0].totals.s.sum: there is no column "amont"`},
		"a total of no field":               {`{to: f, each: file, as: ndjson, totals: {s: {sum: amont}}, ` + tail + `}`, `send[0].totals.s.sum: there is no field amont`},
		"of a field of text":                {`{to: f, each: file, as: ndjson, body: {a: =no}, totals: {s: {sum: no}}, ` + tail + `}`, `send[0].totals.s.sum: no is text: an integer or a decimal is added up`},
		"a count of nothing":                {`{to: f, each: file, as: csv, ` + columns + `, totals: {s: {count: rows}}, ` + tail + `}`, `send[0].totals.s.count: there is no kind of rows rows; there are records`},
		"totals for nobody":                 {`{to: f, each: file, as: csv, ` + columns + `, totals: {s: {count: records}}}`, `send[0].totals: are for the trailer, which is missing`},
		"which kind":                        {`{to: f, each: file, as: csv, records: {a: {columns: [{title: x, value: =amount}]}}, totals: {s: {sum: x}}, ` + tail + `}`, `send[0].totals.s.of: is missing: say which kind of rows has the column, one of a`},
		"no such kind":                      {`{to: f, each: file, as: csv, records: {a: {columns: [{title: x, value: =amount}]}}, totals: {s: {sum: x, of: b}}, ` + tail + `}`, `send[0].totals.s.of: there is no kind of rows b; there are a`},
		"columns and records":               {`{to: f, each: file, as: csv, ` + columns + `, records: {a: {columns: [{title: x, value: =amount}]}}}`, `send[0].columns: do not go with records, each kind of which has its own`},
		"a kind beside none":                {`{to: f, each: file, as: csv, ` + columns + `, header: {kind: H, columns: [{title: x, value: y}]}}`, `send[0].columns: have no kind, as other rows do: write them below records.NAME, with kind`},
		"a kind without one":                {`{to: f, each: file, as: csv, records: {a: {kind: A, columns: [{title: x, value: y}]}, b: {columns: [{title: x, value: y}]}}}`, `send[0].records.b.kind: missing: other rows have one, so that each row begins with its kind`},
		"the kind of another":               {`{to: f, each: file, as: csv, records: {a: {kind: A, columns: [{title: x, value: y}]}}, trailer: {kind: A, columns: [{title: x, value: y}]}}`, `send[0].trailer.kind: "A" is that of a already`},
		"a kind that is no text":            {`{to: f, each: file, as: csv, records: {a: {kind: "A ", columns: [{title: x, value: y}]}}}`, `send[0].records.a.kind: "A " cannot tell a row: a reader goes by plain text without blanks around it`},
		"titles of kinds":                   {`{to: f, each: file, as: csv, titles: write, records: {a: {columns: [{title: x, value: y}]}, b: {columns: [{title: x, value: y}]}}}`, `send[0].titles: one line of titles does not go with several kinds of records`},
		"each of no list":                   {`{to: f, each: file, as: csv, records: {a: {each: =no, columns: [{title: x, value: y}]}}}`, `send[0].records.a.each: =no is text, not a list`},
		"each without =":                    {`{to: f, each: file, as: csv, records: {a: {each: lines, columns: [{title: x, value: y}]}}}`, `send[0].records.a.each: `},
		"a field of the outside":            {`{to: f, each: file, as: csv, records: {a: {each: =lines, columns: [{title: x, value: =no}]}}}`, `send[0].records.a.columns[0].value: `},
		"a kind that is not read":           {`{to: f, each: file, as: csv, records: {a: {for: b, columns: [{title: x, value: y}]}}}`, `send[0].records.a.for: goes with several kinds of records, and read.records names none: leave it out`},
		"when of all":                       {`{to: f, each: file, as: csv, when: '=no != ""', records: {a: {columns: [{title: x, value: y}]}}}`, `send[0].when: does not go with records, each of which has its own`},
		"a width":                           {`{to: f, each: file, as: fixed, columns: [{title: no, value: =no, width: 4}], trailer: {columns: [{title: no, value: x}]}}`, `send[0].trailer.columns[0].width: missing: say how many columns it takes`},
		"a total with a blank":              {`{to: f, each: file, as: csv, ` + columns + `, totals: {a b: {count: records}}, ` + tail + `}`, `send[0].totals.a b: "a b" cannot stand behind totals. in an expression: a name has letters, digits and _, and begins with no digit; write a_b`},
		"a total with a dot":                {`{to: f, each: file, as: csv, ` + columns + `, totals: {a.b: {sum: amount}}, ` + tail + `}`, `send[0].totals.a.b: "a.b" cannot stand behind totals. in an expression: a name has letters, digits and _, and begins with no digit; write a_b`},
		"a total of no name":                {`{to: f, each: file, as: csv, ` + columns + `, totals: {"": {sum: amount}}, ` + tail + `}`, `send[0].totals.: "" cannot stand behind totals. in an expression: a name has letters, digits and _, and begins with no digit; write name`},
		"no columns in xml":                 {`{to: f, each: file, as: xml, root: r, element: e, header: {columns: []}}`, `send[0].header.columns: missing: they are elements, and in a header attributes of the root element, that stand around the records`},
		"no columns in json":                {`{to: f, each: file, as: json, header: {columns: []}}`, `send[0].header.columns: missing: they are members of the object`},
		"a header that is blank":            {`{to: f, each: file, as: fixed, header: {columns: [{title: a, value: "", width: 4}, {title: b, value: "  ", width: 2}]}, columns: [{title: no, value: =no, width: 4}]}`, `send[0].header.columns: the line would be blank, and a reader takes that for no row: give the rows kinds, or a column that is always filled`},
		"rows that are blank":               {`{to: f, each: file, as: fixed, records: {a: {columns: [{title: a, value: "", width: 4}]}}, trailer: {columns: [{title: no, value: x, width: 4}]}}`, `send[0].records.a.columns: the line would be blank, and a reader takes that for no row: give the rows kinds, or a column that is always filled`},
		"a title":                           {`{to: f, each: file, as: csv, encoding: windows-1252, columns: [{title: Ж, value: =no}]}`, `send[0].columns[0].title: "Ж" cannot be written: the character 'Ж' has no place in windows-1252; say encoding: utf-8, or unmappable: replace`},
		"lengths that differ":               {`{to: f, each: file, as: fixed, lines: none, columns: [{title: no, value: =no, width: 4}], trailer: {columns: [{title: no, value: x, width: 5}]}}`, `send[0].trailer.columns: take 5 columns, those of records 4: with lines: none all are of one length, so give the last one another width`},
		"a member twice":                    {`{to: f, each: file, as: ndjson, records: {a: {kind: A, columns: [{title: kind, value: x}]}}}`, `send[0].records.a.columns[0].title: "kind" cannot name a second member, nor one that is not UTF-8`},
		"a format of the total":             {`{to: f, each: file, as: csv, ` + columns + `, totals: {n: {count: records}}, trailer: {columns: [{title: n, value: =totals.n, format: "%d"}]}}`, `send[0].trailer.columns[0].format: goes with dates and times, not with integer`},
		"a total without its digits":        {`{to: f, each: file, as: csv, ` + columns + `, totals: {n: {sum: amount, digits: 3}}, ` + tail + `}`, `send[0].totals.n.digits: goes with hash`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := Compile("orders", parseOptions(t, writtenRead+"send:\n  - "+c.send), Environment{})
			if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want) {
				t.Errorf("%v\nwant %s", problems, c.want)
			} else if strings.HasSuffix(c.want, ": ") {
				t.Log(problems[0])
			}
		})
	}
}

// What a job writes with header, trailer and kinds, another reads by the same words, and finds the totals right.
func TestWrittenPartsAreReadBack(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`[A-Za-z0-9é;,"' .|-]{0,9}[A-Za-z]`)
	amount := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%d.%02d", rapid.IntRange(-9999, 9999).Draw(t, "whole"), rapid.IntRange(0, 99).Draw(t, "cents"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		var orders, want []string
		for i := range rapid.IntRange(1, 5).Draw(rt, "orders") {
			name, sum := text.Draw(rt, "name"), amount.Draw(rt, "amount")
			name = strings.TrimSpace(name)
			quoted := strings.ReplaceAll(name, `"`, `\"`)
			var lines []string
			for range rapid.IntRange(0, 3).Draw(rt, "lines") {
				lines = append(lines, fmt.Sprintf(`{"sku":"S%d","n":%d}`, rapid.IntRange(0, 9).Draw(rt, "sku"), rapid.IntRange(-5, 99).Draw(rt, "n")))
			}
			order := fmt.Sprintf(`{"no":"N%d","name":"%s","amount":%s,"lines":[%s]}`, i, quoted, sum, strings.Join(lines, ","))
			orders, want = append(orders, order), append(want, order)
		}
		file := `{"day":"2026-03-31","orders":[` + strings.Join(orders, ",") + `]}`
		const read = `
receive: {source: s}
read: {format: json, records: orders, header: {fields: {day: {from: $.day, type: date}}}, fields: {no: {required: true}, name: {required: true}, amount: {type: decimal, required: true},
  lines: {type: list, required: true, fields: {sku: {required: true}, n: {type: integer, required: true}}}}}
`
		as := rapid.SampledFrom([]string{"csv", "tsv", "fixed", "ndjson"}).Draw(rt, "as")
		send, back := writtenBack(as, rapid.SampledFrom([]string{"lf", "crlf"}).Draw(rt, "lines"))
		o, made := writes(t, read, send, file)
		if o.State != ledger.Accepted || len(made) != 1 {
			rt.Fatal(show(o))
		}
		var got []string
		again, err := compile(t, back).Run(t.Context(), input("back", made[0]), func(r *Rendered) error {
			got = append(got, string(r.Message.Body))
			return nil
		})
		if d := cmp.Diff(want, got); err != nil || again.State != ledger.Accepted || d != "" {
			rt.Fatalf("%s\n%s\n%s %v\n%s", file, made[0], show(again), err, d)
		}
	})
}

// What stands around the records of a document is read back by the paths of its members and elements.
func TestWrittenDocumentsAreReadBack(t *testing.T) {
	t.Parallel()
	const read = `
receive: {source: s}
read: {format: json, records: orders, header: {fields: {by: {from: $.by}}}, fields: {no: {required: true}, amount: {type: decimal, required: true}}}
`
	const check = `
  totals: {n: {count: records}, sum: {sum: amount}}
check: {file: [{that: '=totals.n == trailer.n && totals.sum == trailer.sum', say: "the trailer says something else"}]}
send: [{to: erp, body: {by: =header.by, no: =no, amount: =amount}}]
`
	const around = `    trailer: {columns: [{title: n, value: =totals.n}, {title: sum, value: =totals.sum}]}
    totals: {n: {count: records}, sum: {sum: amount}}`
	back := map[string][2]string{
		"json": {"records: data.list\n    columns: [{title: no, value: =no}, {title: amount, value: =amount}]\n    header: {columns: [{title: by, value: =header.by}]}\n" + around, `
receive: {source: s}
read:
  format: json
  records: data.list
  header: {fields: {by: {from: $.by}}}
  fields: {no: {required: true}, amount: {type: decimal, required: true}}
  trailer: {fields: {n: {from: $.n, type: integer}, sum: {from: $.sum, type: decimal}}}` + check},
		"ndjson": {"columns: [{title: no, value: =no}, {title: amount, value: =amount}]\n    header: {columns: [{title: by, value: =header.by}]}\n" + around, `
receive: {source: s}
read:
  format: ndjson
  header: {fields: {by: {}}}
  fields: {no: {required: true}, amount: {type: decimal, required: true}}
  trailer: {fields: {n: {type: integer}, sum: {type: decimal}}}` + check},
	}
	back["xml"] = [2]string{"root: Orders\n    element: Order\n    header: {columns: [{title: '@by', value: =header.by}]}\n" + around, `
receive: {source: s}
read:
  format: xml
  records: /Orders/Order
  header: {fields: {by: {from: /Orders/@by}}}
  fields: {no: {required: true}, amount: {type: decimal, required: true}}
  trailer: {fields: {n: {from: /Orders/n, type: integer}, sum: {from: /Orders/sum, type: decimal}}}` + check}
	rapid.Check(t, func(rt *rapid.T) {
		as := rapid.SampledFrom([]string{"json", "ndjson", "xml"}).Draw(rt, "as")
		by := rapid.StringMatching(`[A-Za-zé{}\[\],:]{1,9}`).Draw(rt, "by")
		var orders, want []string
		for i := range rapid.IntRange(1, 5).Draw(rt, "orders") {
			order := fmt.Sprintf(`"no":"N%d","amount":%d.%02d}`, i, rapid.IntRange(-99, 99).Draw(rt, "amount"), i)
			orders, want = append(orders, "{"+order), append(want, `{"by":"`+by+`",`+order)
		}
		o, made := writes(t, read, "to: f\n    each: file\n    as: "+as+"\n    "+back[as][0], `{"by":"`+by+`","orders":[`+strings.Join(orders, ",")+`]}`)
		if o.State != ledger.Accepted || len(made) != 1 {
			rt.Fatal(show(o))
		}
		var got []string
		again, err := compile(t, back[as][1]).Run(t.Context(), again(made[0]), func(r *Rendered) error {
			got = append(got, string(r.Message.Body))
			return nil
		})
		if d := cmp.Diff(want, got); err != nil || again.State != ledger.Accepted || d != "" {
			rt.Fatalf("%s\n%s %v\n%s", made[0], show(again), err, d)
		}
	})
}

// again is a file that can be read twice, as what is behind the records of a document is.
func again(text string) Input {
	in := input("back", text)
	in.Blob.ReaderAt = strings.NewReader(text)
	return in
}

// writtenBack is how the property test writes, and how it reads what it has written.
func writtenBack(as, ends string) (send, read string) {
	width, from, kind, keys := func(int) string { return "" }, func(i, _, _ int) string { return fmt.Sprint("column: ", i) }, "1", "\n    lines: "+ends
	switch as {
	case "ndjson":
		from = func(_, _, _ int) string { return "required: true" } // their names are their titles
		kind, keys = "kind", ""
	case "fixed":
		width = func(n int) string { return fmt.Sprint(", width: ", n) }
		from = func(_, i, n int) string { return fmt.Sprintf("from: %d+%d", i, n) }
		kind = "1-2"
	default:
		keys += "\n    formulas: keep"
	}
	c := func(title, value string, n int) string {
		return fmt.Sprintf("{title: %s, value: %s%s}", title, value, width(n))
	}
	send = "to: f\n    each: file\n    as: " + as + keys + `
    header: {kind: HD, columns: [` + c("day", "=header.day", 10) + `]}
    records:
      order: {kind: O, columns: [` + c("no", "=no", 4) + ", " + c("name", "=name", 12) + ", " + c("amount", "=amount", 12) + `]}
      line:  {kind: L, each: =lines, columns: [` + c("sku", "=sku", 4) + ", " + c("n", "=n", 6) + `]}
    trailer: {kind: T, columns: [` + c("orders", "=totals.orders", 6) + ", " + c("sum", "=totals.sum", 12) + ", " + c("least", "=totals.least", 12) + ", " + c("hash", "=totals.hash", 12) + `]}
    totals: {orders: {count: order}, sum: {sum: amount, of: order}, least: {min: amount, of: order}, hash: {hash: no, of: order}}`
	read = `
receive: {source: s}
read:
  format: ` + as + `
  kind: ` + kind + `
  header: {kind: HD, fields: {day: {` + from(2, 3, 10) + `, type: date}}}
  records:
    order:
      kind: O
      fields:
        no:     {` + from(2, 3, 4) + `, required: true}
        name:   {` + from(3, 7, 12) + `, required: true}
        amount: {` + from(4, 19, 12) + `, type: decimal, required: true}
        lines:  {type: list, kind: L, fields: {sku: {` + from(2, 3, 4) + `, required: true}, n: {` + from(3, 7, 6) + `, type: integer, required: true}}}
  trailer: {kind: T, fields: {orders: {` + from(2, 3, 6) + `, type: integer}, sum: {` + from(3, 9, 12) + `, type: decimal}, least: {` + from(4, 21, 12) + `, type: decimal}, hash: {` + from(5, 33, 12) + `, type: integer}}}
  totals: {orders: {count: order}, sum: {sum: amount, of: order}, least: {min: amount, of: order}, hash: {hash: no, of: order}}
check:
  file: [{that: '=totals.orders == trailer.orders && totals.sum == trailer.sum && (totals.least ?? 0) == trailer.least && totals.hash == trailer.hash && format(header.day, "%F") == "2026-03-31"', say: "the trailer says something else"}]
send: [{to: erp, for: order}]
`
	return send, read
}

// A file of many rows, with totals of all kinds and lists in its records, takes no more memory than one of few.
func TestHeaderTrailerAndTotalsAreWrittenInFlatMemory(t *testing.T) { // not in parallel: it looks at the heap of all
	p := compile(t, flatJob)
	const record = `{"no":12,"n":3,"lines":[{"x":"a"},{"x":"b"}]}` + "\n"
	const many = 200_000
	out := &counted{}
	in := input("f", "")
	in.Files, in.Blob.Reader = out, &formatstest.Endless{Text: []byte(record), Left: int64(len(record)) * many}
	o, err := p.Run(t.Context(), in, func(*Rendered) error { return nil })
	if err != nil || o.State != ledger.Accepted || o.Records != many {
		t.Fatal(show(o), err)
	}
	if got, want := string(out.last), "T,600000,600000,12,2400000\r\n"; !strings.HasSuffix(got, want) {
		t.Errorf("it ends with %q, want %q", got, want)
	}
	if out.heap > 64<<20 {
		t.Errorf("%d MiB of heap while it was written", out.heap>>20)
	}
}

const flatJob = `
receive: {source: s}
read: {format: ndjson, fields: {no: {type: integer, required: true}, n: {type: integer, required: true}, lines: {type: list, required: true, fields: {x: {required: true}}}}}
send:
  - to: f
    each: file
    as: csv
    header: {kind: H, columns: [{title: a, value: =file.name}]}
    records:
      a: {kind: A, columns: [{title: no, value: =no}, {title: n, value: =n}]}
      b: {kind: B, each: =lines, columns: [{title: x, value: =x}]}
    trailer: {kind: T, columns: [{title: n, value: =totals.n}, {title: s, value: =totals.s}, {title: m, value: =totals.m}, {title: h, value: =totals.h}]}
    totals: {n: {count: records}, s: {sum: n, of: a}, m: {min: no, of: a}, h: {hash: no, of: a, digits: 9}}
`

// counted is a file of which only the end is kept. It looks at the heap now and then.
type counted struct {
	last   []byte
	writes int
	heap   uint64
}

func (c *counted) Create(context.Context) (Output, error) { return c, nil }

func (c *counted) Write(p []byte) (int, error) {
	c.last = append(c.last[:0], p...)
	if c.writes++; c.writes%50 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		c.heap = max(c.heap, m.HeapAlloc)
	}
	return len(p), nil
}

func (c *counted) Finish(context.Context) (int64, int64, error) { return 1, 1, nil }
func (c *counted) Abort() error                                 { return nil }

// uniqueness knows the keys that it was asked for.
func uniqueness() Uniqueness {
	seen := map[[16]byte]bool{}
	return func(_ context.Context, keys []UniqueKey) error {
		for i := range keys {
			if seen[keys[i].Key] {
				keys[i].Found = FoundSame
			}
			seen[keys[i].Key] = true
		}
		return nil
	}
}

// Rows of several kinds that were read become rows of several kinds, in their order.
func TestKindsThatAreReadBecomeKindsThatAreWritten(t *testing.T) {
	t.Parallel()
	const read = `
receive: {source: s}
read:
  format: csv
  kind: 1
  records:
    sale:   {kind: S, fields: {sku: {column: 2}, price: {column: 3, type: decimal}}}
    refund: {kind: R, fields: {no: {column: 2}}}
`
	o, got := writes(t, read, `{to: f, each: file, as: csv, lines: lf, records: {refund: {kind: "-", columns: [{title: no, value: =no}]}, sale: {kind: "1", columns: [{title: sku, value: =sku}]},
    big: {kind: "2", for: sale, when: '=(price ?? 0) > 5', columns: [{title: price, value: =price}]}}}`, "S,x,9.00\nR,7\nS,y,1\n")
	if d := cmp.Diff([]string{"1,x\n2,9.00\n-,7\n1,y\n"}, got); d != "" {
		t.Errorf("%s\n%s", show(o), d)
	}
}
