package jobs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"waybill/formats"
	"waybill/ledger"
)

// messages are the bodies that a job makes of a text, one for each message, with the media types before them.
func messages(t testing.TB, read, send, text string) (o ledger.Outcome, got []string) {
	t.Helper()
	o, err := compile(t, read+"send:\n  - "+send).Run(t.Context(), input("f.json", text), func(r *Rendered) error {
		got = append(got, fmt.Sprintf("%d %s\n%s", r.Message.Record, r.Message.Header(":content-type"), r.Message.Body))
		if r.Message.Size != int64(len(r.Message.Body)) {
			t.Errorf("a message of %d bytes says %d", len(r.Message.Body), r.Message.Size)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o, got
}

func TestAMessageMayBeMadeOfRows(t *testing.T) {
	t.Parallel()
	const inKinds = `
    header: {kind: H, columns: [{title: no, value: =noWIDTH4}, {title: day, value: =header.day, format: "%d.%m.%y"WIDTH8}]}
    records:
      order: {kind: O, columns: [{title: amount, value: =amountWIDTH8}]}
      line:  {kind: LL, each: =lines, when: '=n > 0', columns: [{title: pos, value: =positionWIDTH3}, {title: sku, value: =skuWIDTH4}, {title: n, value: =nWIDTH5}]}
    trailer: {kind: T, columns: [{title: lines, value: =totals.linesWIDTH4}, {title: pieces, value: =totals.piecesWIDTH5}, {title: record, value: =record.numberWIDTH4}]}
    totals: {lines: {count: line}, pieces: {sum: n, of: line}}`
	kinds := func(widths string) string {
		replace := []string{}
		for _, n := range []string{"8", "5", "4", "3"} {
			replace = append(replace, "WIDTH"+n, strings.ReplaceAll(widths, "N", n))
		}
		return strings.NewReplacer(replace...).Replace(inKinds)
	}
	const csv, tsv, fixed = "text/csv; charset=utf-8", "text/tab-separated-values; charset=utf-8", "text/plain; charset=utf-8"
	for name, c := range map[string]struct {
		send string
		want []string
	}{
		"csv": {`{to: f, as: csv, columns: [{title: No, value: =no}, {title: Amount, value: =amount}]}`,
			[]string{"1 " + csv + "\nNo,Amount\r\nA1,12.50\r\n", "2 " + csv + "\nNo,Amount\r\nA2,-3.1\r\n", "3 " + csv + "\nNo,Amount\r\nA3,\r\n"}},
		"csv of some": {`{to: f, as: csv, when: '=no == "A1"', lines: lf, delimiter: ";", decimal: ",", titles: skip, quote: "'", encoding: windows-1252, columns: [{title: a, value: =no}, {title: b, value: =amount}, {title: c, value: "é;"}, {title: d, value: "==1"}]}`,
			[]string{"1 text/csv; charset=windows-1252\nA1;12,50;'\xe9;';'=1\n"}},
		"lines": {`{to: f, as: csv, lines: lf, records: {line: {each: =lines, columns: [{title: order, value: =up.no}, {title: sku, value: =sku}]}}}`,
			[]string{"1 " + csv + "\norder,sku\nA1,X\nA1,Y;\nA1,Z\n"}},
		"lines, and none": {`{to: f, as: csv, lines: lf, no_rows: write, records: {line: {each: =lines, when: '=n > 2', columns: [{title: order, value: =up.no}, {title: sku, value: =sku}]}}}`,
			[]string{"1 " + csv + "\norder,sku\nA1,Z\n", "2 " + csv + "\norder,sku\n", "3 " + csv + "\norder,sku\n"}},
		"a header without a kind": {`{to: f, as: tsv, lines: lf, when: '=no != "A3"', header: {columns: [{title: no, value: =no}]}, records: {line: {each: =lines, columns: [{title: sku, value: =sku}]}}, trailer: {columns: [{title: n, value: =totals.n}]}, totals: {n: {count: records}}, no_rows: write}`,
			[]string{"1 " + tsv + "\nA1\nsku\nX\nY;\nZ\n3\n", "2 " + tsv + "\nA2\nsku\n0\n"}},
		"utf-16": {`{to: f, as: csv, when: '=no != "A3"', lines: lf, titles: skip, encoding: utf-16, columns: [{title: No, value: =no}]}`,
			[]string{"1 text/csv; charset=utf-16\n\xff\xfeA\x001\x00\n\x00", "2 text/csv; charset=utf-16\n\xff\xfeA\x002\x00\n\x00"}},
		"kinds in csv":   {"to: f\n    as: csv\n    lines: lf" + kinds(""), []string{"1 " + csv + "\nH,A1,31.03.26\nO,12.50\nLL,1,X,2\nLL,2,Z,3\nT,2,5,1\n", "2 " + csv + "\nH,A2,31.03.26\nO,-3.1\nT,0,0,2\n", "3 " + csv + "\nH,A3,31.03.26\nO,\nT,0,0,3\n"}},
		"kinds in fixed": {"to: f\n    when: '=no == \"A1\"'\n    as: fixed\n    lines: lf" + kinds(", width: N"), []string{"1 " + fixed + "\nH A1  31.03.26\nO    12.50\nLL  1X       2\nLL  2Z       3\nT    2    5   1\n"}},
		"fixed":          {`{to: f, as: fixed, lines: none, columns: [{title: No, value: =no, width: 4}, {title: Amount, value: =amount, width: 7, fill: "0"}]}`, []string{"1 " + fixed + "\nA1  0012.50", "2 " + fixed + "\nA2  -0003.1", "3 " + fixed + "\nA3  0000000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, got := messages(t, writtenRead, c.send, writtenInput)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s\n%s", show(o), d)
			}
		})
	}
}

// A workbook is a message like any other: rows of one kind, the same bytes for the same record, each of them read back.
func TestAMessageMayBeAWorkbook(t *testing.T) {
	t.Parallel()
	const send = `{to: f, as: xlsx, sheet: Order, records: {line: {each: =lines, columns: [{title: order, value: =up.no}, {title: sku, value: =sku}, {title: n, value: =n}]}}}`
	o, got := messages(t, writtenRead, send, writtenInput)
	_, again := messages(t, writtenRead, send, writtenInput)
	if len(got) != 1 || cmp.Diff(got, again) != "" {
		t.Fatalf("%s\n%q\n%q", show(o), got, again)
	}
	media, body, _ := strings.Cut(got[0], "\n")
	if want := "1 application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"; media != want {
		t.Errorf("it is %q, want %q", media, want)
	}
	back := input("order.xlsx", body)
	back.Blob.ReaderAt = strings.NewReader(body)
	_, rows := runs(t, compile(t, "receive: {source: s}\nread: {format: xlsx, fields: {order: {required: true}, sku: {required: true}, n: {type: integer, required: true}}}\nsend: [{to: f, body: '=order + sku + text(n)'}]"), back)
	for _, want := range []string{`"A1X2"`, `"A1Y;0"`, `"A1Z3"`} {
		if !strings.Contains(rows, want) {
			t.Errorf("%s is not in\n%s", want, rows)
		}
	}
}

// What a message of rows cannot hold rejects its record, and no other.
func TestWhatAMessageOfRowsCannotHoldRejectsItsRecord(t *testing.T) {
	t.Parallel()
	const read = "receive: {source: s}\nread: {format: csv, fields: {no: {required: true}, amount: {type: decimal, required: true}}}\ncheck: {allow_rejects: 2}\n"
	for name, c := range map[string]struct{ send, text, want string }{
		"a character":               {`{to: f, as: csv, encoding: windows-1252, columns: [{title: No, value: =no}]}`, "no,amount\n1,1\nЖ,2\n3,3\n", `2/3 No "Ж" the character 'Ж' has no place in windows-1252; say encoding: utf-8, or unmappable: replace`},
		"a width":                   {`{to: f, as: fixed, columns: [{title: No, value: =no, width: 2}]}`, "no,amount\n1,1\n123,2\n3,3\n", `2/3 No "123" takes 3 columns, but its place has 2: what is too long is not cut`},
		"a header":                  {`{to: f, as: fixed, header: {columns: [{title: No, value: =no, width: 2}]}, columns: [{title: a, value: =amount, width: 4}]}`, "no,amount\n1,1\n123,2\n3,3\n", `2/3 header.No "123" takes 3 columns, but its place has 2: what is too long is not cut`},
		"a trailer":                 {`{to: f, as: csv, columns: [{title: a, value: =amount}], totals: {s: {sum: a}}, trailer: {columns: [{title: s, value: '=1 / totals.s'}]}}`, "no,amount\n1,1\n2,0\n3,3\n", `2/3 trailer "" send[0].trailer.columns[0].value: =1 / totals.s: column 4: division by zero`},
		"a sum beyond all integers": {`{to: f, as: csv, columns: [{title: a, value: =no}], totals: {s: {hash: a}}, trailer: {columns: [{title: s, value: =totals.s}]}}`, "no,amount\n1,1\n99999999999999999999,0\n3,3\n", `2/3 trailer "" totals.s: the hash total is more than an integer holds: say with digits how many of its last digits count`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, got := messages(t, read, c.send, c.text)
			if rejects := strings.SplitN(show(o), "\n", 2); o.State != ledger.Accepted || len(got) != 2 || len(rejects) != 2 || rejects[1] != c.want {
				t.Errorf("%q\n%s\nwant %s", got, show(o), c.want)
			}
		})
	}
	o, got := messages(t, read, `{to: f, as: csv, lines: lf, titles: skip, encoding: windows-1252, unmappable: replace, columns: [{title: No, value: =no}]}`, "no,amount\nЖ,2\n")
	if d := cmp.Diff([]string{"1 text/csv; charset=windows-1252\n?\n"}, got); d != "" {
		t.Errorf("%s\n%s", show(o), d)
	}
}

// Where records are of several kinds, for says of which one is a message, and its rows are made of that one.
func TestAMessageOfRowsIsOfOneKindOfRecords(t *testing.T) {
	t.Parallel()
	const read = "receive: {source: s}\nread:\n  format: csv\n  kind: 1\n  records:\n    sale:   {kind: S, fields: {sku: {column: 2}, price: {column: 3, type: decimal}}}\n    refund: {kind: R, fields: {no: {column: 2}}}\n"
	o, got := messages(t, read, `{to: f, for: sale, as: csv, lines: lf, records: {refund: {kind: a, columns: [{title: s, value: =sku}]}, b: {kind: b, when: '=(price ?? 0) > 5', columns: [{title: p, value: =price}]}}}`, "S,x,9.00\nR,7\nS,y,1\n")
	if d := cmp.Diff([]string{"1 text/csv; charset=utf-8\na,x\nb,9.00\n", "3 text/csv; charset=utf-8\na,y\n"}, got); d != "" {
		t.Errorf("%s\n%s", show(o), d)
	}
}

func TestWhatIsWrongWithAMessageOfRowsIsToldAtLoad(t *testing.T) {
	t.Parallel()
	const a = `columns: [{title: a, value: =no}]`
	for name, c := range map[string]struct{ send, want string }{
		"no columns":        {`{to: f, as: csv}`, "send[0].columns: are missing: csv needs them"},
		"a body":            {`{to: f, as: csv, body: {a: =no}, ` + a + `}`, "send[0].columns: do not go with body"},
		"columns of json":   {`{to: f, ` + a + `}`, "send[0].columns: go with rows: write as: csv, tsv, fixed or xlsx for a message of them, or each: file; any other message is made of body"},
		"kinds of json":     {`{to: f, records: {a: {` + a + `}}}`, "send[0].records: goes with rows: write as: csv, tsv or fixed for a message of them, or each: file; any other message is all in body"},
		"totals of xml":     {`{to: f, as: xml, root: r, totals: {n: {count: records}}}`, "send[0].totals: goes with rows: write as: csv, tsv or fixed for a message of them, or each: file; any other message is all in body"},
		"no_rows of json":   {`{to: f, no_rows: write}`, "send[0].no_rows: goes with files, and with messages made of rows (csv, tsv, fixed, xlsx): this one is always there"},
		"a list of records": {`{to: f, as: csv, records: lines, ` + a + `}`, "send[0].records: does not go with csv"},
		"for of a kind":     {`{to: f, as: csv, records: {x: {for: b, ` + a + `}}}`, "send[0].records.x.for: does not go with a message, all rows of which are made of one record: write for beside to"},
		"kinds of xlsx":     {`{to: f, as: xlsx, records: {x: {` + a + `}, y: {` + a + `}}}`, "send[0].records.x: does not go with xlsx: files with it are csv, tsv, json, ndjson, xml, fixed"},
		"the only kind":     {`{to: f, as: xlsx, records: {x: {columns: [{title: a, value: =no, align: left}]}}}`, "send[0].records.x.columns[0].align: and fill do not go with xlsx, but with fixed"},
		"totals too early":  {`{to: f, as: csv, ` + a + `, header: {columns: [{title: n, value: =totals.n}]}, trailer: {columns: [{title: n, value: =totals.n}]}, totals: {n: {count: records}}}`, "send[0].header.columns[0].value: unknown name totals, which is known once all records are read: in check.file"},
		"no such total":     {`{to: f, as: csv, ` + a + `, trailer: {columns: [{title: n, value: =totals.m}]}, totals: {n: {count: records}}}`, "send[0].trailer.columns[0].value: totals has no field m"},
		"an empty message":  {`{to: f, as: fixed, no_rows: write, columns: [{title: a, value: =no, width: 3}]}`, "send[0].no_rows: would send an empty message: only titles, a header or a trailer are there without rows"},
		"one without titles": {`{to: f, as: csv, titles: skip, no_rows: write, ` + a + `}`,
			"send[0].no_rows: would send an empty message: only titles, a header or a trailer are there without rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := Compile("orders", parseOptions(t, writtenRead+"send:\n  - "+c.send), Environment{})
			if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want) {
				t.Errorf("%v\nwant %s", problems, c.want)
			}
		})
	}
}

// A message of rows is what the file would be, were its record the only one; and it is the same, under the same key, whenever it is rendered.
func TestAMessageOfRowsIsTheFileOfItsRecordAlone(t *testing.T) {
	t.Parallel()
	const read = `
receive: {source: s}
read: {format: json, records: orders, header: {fields: {day: {from: $.day, type: date}}}, fields: {no: {required: true}, name: {required: true}, amount: {type: decimal, required: true},
  lines: {type: list, required: true, fields: {sku: {required: true}, n: {type: integer, required: true}}}}}
`
	rapid.Check(t, func(rt *rapid.T) {
		as := rapid.SampledFrom([]string{"csv", "tsv", "fixed"}).Draw(rt, "as")
		send, _ := writtenBack(as, rapid.SampledFrom([]string{"lf", "crlf"}).Draw(rt, "lines"))
		name := rapid.StringMatching(`[A-Za-z0-9é;,"'|-]{1,9}`)
		var orders, want []string
		for i := range rapid.IntRange(1, 5).Draw(rt, "orders") {
			var lines []string
			for range rapid.IntRange(0, 3).Draw(rt, "lines") {
				lines = append(lines, fmt.Sprintf(`{"sku":"S%d","n":%d}`, rapid.IntRange(0, 9).Draw(rt, "sku"), rapid.IntRange(-5, 99).Draw(rt, "n")))
			}
			order := fmt.Sprintf(`{"no":"N%d","name":"%s","amount":%d.50,"lines":[%s]}`, i, strings.ReplaceAll(name.Draw(rt, "name"), `"`, `\"`),
				rapid.IntRange(-9999, 9999).Draw(rt, "amount"), strings.Join(lines, ","))
			orders = append(orders, order)
			o, alone := writes(t, read, send, `{"day":"2026-03-31","orders":[`+order+`]}`)
			if len(alone) != 1 {
				rt.Fatal(show(o))
			}
			want = append(want, alone[0])
		}
		p := compile(t, read+"send:\n  - "+strings.Replace(send, "each: file", "key: =no", 1))
		all := `{"day":"2026-03-31","orders":[` + strings.Join(orders, ",") + `]}`
		var got, keys []string
		for range 2 {
			o, err := p.Run(t.Context(), input("f.json", all), func(r *Rendered) error {
				got, keys = append(got, string(r.Message.Body)), append(keys, r.Message.Key)
				return nil
			})
			if err != nil || o.State != ledger.Accepted {
				rt.Fatal(show(o), err)
			}
		}
		n := len(want)
		if d := cmp.Diff(append(want, want...), got); d != "" || cmp.Diff(keys[:n], keys[n:]) != "" {
			rt.Fatalf("%s\n%s\n%q", all, d, keys)
		}
	})
}

// Bodies and rows of one record, sent in several ways, do not get in each other's way, and nothing is left of a record that was rejected.
func TestMessagesOfRowsStandBesideOthers(t *testing.T) {
	t.Parallel()
	p := compile(t, `
receive: {source: s}
read: {format: csv, fields: {no: {required: true}, a: {}}}
check: {allow_rejects: 100%}
send:
  - {to: a, body: {no: =no}}
  - {to: b, as: csv, titles: skip, lines: lf, columns: [{title: no, value: =no}, {title: a, value: =a}]}
  - {to: c, each: file, as: csv, titles: skip, lines: lf, columns: [{title: no, value: =no}]}
  - {to: d, as: fixed, lines: lf, columns: [{title: a, value: =a, width: 2}]}
`)
	var file, want strings.Builder
	file.WriteString("no,a\n")
	whole := ""
	for i := range 600 {
		a := fmt.Sprint(i % 101)
		fmt.Fprintf(&file, "%d,%s\n", i, a)
		if len(a) > 2 {
			continue
		}
		fmt.Fprintf(&want, "{\"no\":\"%d\"}|%d,%s\n|%-2s\n|", i, i, a, a)
		whole += fmt.Sprintf("%d\n", i)
	}
	in, made := input("f.csv", file.String()), &files{}
	in.Files = made
	var got strings.Builder
	o, err := p.Run(t.Context(), in, func(r *Rendered) error {
		if r.Object == 0 {
			got.Write(append(r.Message.Body, '|'))
		}
		return nil
	})
	if err != nil || o.Rejected != 5 || len(made.written) != 1 {
		t.Fatal(show(o), err, len(made.written))
	}
	if d := cmp.Diff(want.String(), got.String()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(whole, made.written[0]); d != "" {
		t.Error(d)
	}
	if !formats.Tabular("csv") || formats.Tabular("json") {
		t.Error("which formats are made of columns?")
	}
}
