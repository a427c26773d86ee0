package jobs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waybill/formats"
	"waybill/ledger"
)

// The name of a file may be no text: what is to hold it is rejected with its place, and does not break off.
func TestTextThatIsNoneIsRejectedBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	const read = "receive: {source: s}\nread: {format: csv, fields: {no: {required: true}}}\n"
	for name, c := range map[string]struct{ send, want string }{
		"header of json":  {`{to: f, each: file, as: json, columns: [{title: no, value: =no}], header: {columns: [{title: from, value: =file.name}]}}`, "the header of the file for f cannot be written: from: the text is not valid UTF-8"},
		"trailer of json": {`{to: f, each: file, as: ndjson, columns: [{title: no, value: =no}], trailer: {columns: [{title: a, value: b}, {title: from, value: =file.name}]}}`, "the trailer of the file for f cannot be written: from: the text is not valid UTF-8"},
		"header of xml":   {`{to: f, each: file, as: xml, root: r, element: e, header: {columns: [{title: "@from", value: =file.name}]}}`, "the header of the file for f cannot be written: @from: the text is not valid UTF-8"},
		"row of ndjson":   {`{to: f, each: file, as: ndjson, columns: [{title: no, value: =no}, {title: from, value: =file.name}]}`, "1 of 1 records are bad, none allowed"},
		"row of json":     {`{to: f, each: file, as: json, columns: [{title: no, value: =no}, {title: from, value: =file.name}]}`, "1 of 1 records are bad, none allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, made := input("a\xff.csv", "no\n1\n"), &files{}
			in.Files = made
			o, err := compile(t, read+"send:\n  - "+c.send).Run(t.Context(), in, func(*Rendered) error { return nil })
			if err != nil || o.State != ledger.Rejected || o.Reason != c.want || len(made.written) > 0 {
				t.Errorf("%v\n%s\nwant %s", err, show(o), c.want)
			}
			if strings.HasPrefix(name, "row") && (len(o.Rejects) != 1 || o.Rejects[0].Field != "from" || o.Rejects[0].Line != 2) {
				t.Errorf("%+v", o.Rejects)
			}
		})
	}
}

// A line without anything in it is no row for a reader, where there are header and trailer; where there are none it is a record like any other.
func TestBlankLinesOfFixedWidthAreNotWrittenWhereNobodyReadsThem(t *testing.T) {
	t.Parallel()
	const read = "receive: {source: s}\nread: {format: csv, header: {fields: {h: {column: 1, required: false}}}, fields: {no: {required: true}, a: {}}}\ncheck: {allow_rejects: 1}\n"
	const no = "the line would be blank, and a reader takes that for no row: give the rows kinds, or a column that is always filled"
	for name, c := range map[string]struct{ send, text, want string }{
		"a header":              {`header: {columns: [{title: h, value: =header.h, width: 4}]}, columns: [{title: no, value: =no, width: 2}]`, "\"\"\nno,a\n1,x\n", "the header of the file for f cannot be written: " + no},
		"a trailer":             {`columns: [{title: no, value: =no, width: 2}], trailer: {columns: [{title: h, value: '=header.h', width: 4}, {title: b, value: "", width: 2}]}`, "\"\"\nno,a\n1,x\n", "the trailer of the file for f cannot be written: " + no},
		"a record":              {`columns: [{title: a, value: =a, width: 2}], trailer: {columns: [{title: n, value: =totals.n, width: 4}]}, totals: {n: {count: records}}`, "h\nno,a\n1,x\n2,\n3,y\n", "x \ny \n   2\n|2 " + no},
		"a header of fill":      {`header: {columns: [{title: h, value: =header.h, width: 4, fill: "."}]}, columns: [{title: no, value: =no, width: 2}]`, "\"\"\nno,a\n1,x\n", "....\n1 \n"},
		"a header beside kinds": {`header: {columns: [{title: h, value: =header.h, width: 4}]}, records: {a: {kind: A, columns: [{title: a, value: =a, width: 2}]}}`, "\"\"\nno,a\n1,\n", "the header of the file for f cannot be written: " + no},
		"a header of kinds":     {`header: {kind: H, columns: [{title: h, value: =header.h, width: 4}]}, records: {a: {kind: A, columns: [{title: a, value: =a, width: 2}]}}`, "\"\"\nno,a\n1,\n", "H    \nA  \n"},
		"records alone":         {`columns: [{title: a, value: =a, width: 2}]`, "h\nno,a\n1,x\n2,\n", "x \n  \n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, made := writes(t, read, "{to: f, each: file, as: fixed, lines: lf, "+c.send+"}", c.text)
			got := strings.Join(made, "") + o.Reason
			for _, r := range o.Rejects {
				if o.State == ledger.Accepted {
					got += fmt.Sprintf("|%d %s", r.Record, r.Reason)
				}
			}
			if got != c.want {
				t.Errorf("%s\n%q\nwant %q", show(o), made, c.want)
			}
		})
	}
}

// Each window has a file of its own, with totals of its own; and work that is done again, as after a crash, counts nothing twice.
func TestEachWindowHasItsOwnHeaderTrailerAndTotals(t *testing.T) {
	t.Parallel()
	p := compile(t, `
schedule: {cron: "0 * * * *", zone: UTC}
query: {connection: c, sql: "select no, amount from t where at >= :from and at < :to", window: {}}
read: {fields: {no: {required: true}, amount: {type: decimal}}}
send:
  - to: f
    each: window
    name: "{window.from:%H}.csv"
    as: csv
    lines: lf
    no_rows: write
    header: {kind: H, columns: [{title: from, value: =window.from, format: "%H:%M"}, {title: to, value: =window.to, format: "%H:%M"}]}
    records: {row: {kind: R, columns: [{title: no, value: =no}, {title: amount, value: =amount}]}}
    trailer: {kind: T, columns: [{title: n, value: =totals.n}, {title: sum, value: =totals.sum}, {title: most, value: =totals.most}]}
    totals: {n: {count: row}, sum: {sum: amount, of: row}, most: {max: amount, of: row}}
`)
	rows := func(lines ...string) *Rows {
		return &Rows{Columns: []string{"no", "amount"}, All: func(yield func([]formats.Cell, error) bool) {
			for _, line := range lines {
				no, amount, _ := strings.Cut(line, " ")
				cells := []formats.Cell{{Kind: formats.Text, Bytes: []byte(no)}, {Kind: formats.Number, Bytes: []byte(amount)}}
				if amount == "" {
					cells[1] = formats.Cell{Kind: formats.Null}
				}
				if !yield(cells, nil) {
					return
				}
			}
		}}
	}
	for _, c := range []struct {
		hour int
		rows []string
		want string
	}{
		{8, []string{"a 0.10", "b 99999999999999999999999999999999.90", "c"}, "H,08:00,09:00\nR,a,0.10\nR,b,99999999999999999999999999999999.90\nR,c,\nT,3,100000000000000000000000000000000.00,99999999999999999999999999999999.90\n"},
		{9, []string{"d -3"}, "H,09:00,10:00\nR,d,-3\nT,1,-3,-3\n"},
		{10, nil, "H,10:00,11:00\nT,0,0,\n"},
		{8, []string{"a 0.10"}, "H,08:00,09:00\nR,a,0.10\nT,1,0.10,0.10\n"},
	} {
		in, made := input("", ""), &files{}
		in.Entry.Since = time.Date(2026, 3, 31, c.hour, 0, 0, 0, time.UTC)
		in.Entry.Till = in.Entry.Since.Add(time.Hour)
		in.Rows, in.Files = rows(c.rows...), made
		o, err := p.Run(t.Context(), in, func(*Rendered) error { return nil })
		if d := cmp.Diff([]string{c.want}, slices.Clone(made.written)); err != nil || d != "" {
			t.Errorf("%v %s\n%s", err, show(o), d)
		}
	}
}

// Rows that are called records are counted by that name, as records are that are read.
func TestAKindOfRowsMayBeCalledRecords(t *testing.T) {
	t.Parallel()
	const send = `{to: f, each: file, as: csv, lines: lf, records: {records: {kind: R, columns: [{title: no, value: =no}]}, big: {kind: B, when: '=no != "1"', columns: [{title: no, value: =no}]}},
    trailer: {kind: T, columns: [{title: n, value: =totals.n}, {title: big, value: =totals.big}]}, totals: {n: {count: records}, big: {count: big}}}`
	o, got := writes(t, "receive: {source: s}\nread: {format: csv, fields: {no: {required: true}}}\n", send, "no\n1\n2\n")
	if d := cmp.Diff([]string{"R,1\nR,2\nB,2\nT,2,1\n"}, got); d != "" {
		t.Errorf("%s\n%s", show(o), d)
	}
}

// Titles stand where they are read back: below a header that is the first line, and above rows that begin with their kind.
func TestTitlesOfWrittenFilesAreReadBack(t *testing.T) {
	t.Parallel()
	const read = "receive: {source: s}\nread: {format: csv, fields: {no: {required: true}}}\n"
	for name, c := range map[string]struct{ send, want, back string }{
		"kinds": {`{to: f, each: file, as: csv, lines: lf, titles: write, header: {kind: H, columns: [{title: d, value: =file.name}]}, records: {r: {kind: R, columns: [{title: no, value: =no}]}},
    trailer: {kind: T, columns: [{title: n, value: =totals.n}]}, totals: {n: {count: records}}}`, "kind,no\nH,f.json\nR,1\nR,2\nT,2\n", `
receive: {source: s}
read:
  format: csv
  kind: kind
  header: {kind: H, fields: {d: {column: 2}}}
  records: {r: {kind: R, fields: {no: {required: true}}}}
  trailer: {kind: T, fields: {n: {column: 2, type: integer}}}
send: [{to: f, for: r, body: {d: =header.d, no: =no}}]
`},
		"no kinds": {`{to: f, each: file, as: csv, lines: lf, header: {columns: [{title: d, value: =file.name}]}, columns: [{title: no, value: =no}],
    trailer: {columns: [{title: n, value: =totals.n}]}, totals: {n: {count: records}}}`, "f.json\nno\n1\n2\n2\n", `
receive: {source: s}
read: {format: csv, header: {fields: {d: {column: 1}}}, fields: {no: {required: true}}, trailer: {fields: {n: {column: 1, type: integer}}}}
send: [{to: f, body: {d: =header.d, no: =no}}]
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, made := writes(t, read, c.send, "no\n1\n2\n")
			if d := cmp.Diff([]string{c.want}, made); d != "" {
				t.Fatalf("%s\n%s", show(o), d)
			}
			var got []string
			o, err := compile(t, c.back).Run(t.Context(), input("back.csv", made[0]), func(r *Rendered) error {
				got = append(got, string(r.Message.Body))
				return nil
			})
			if d := cmp.Diff([]string{`{"d":"f.json","no":"1"}`, `{"d":"f.json","no":"2"}`}, got); err != nil || o.State != ledger.Accepted || d != "" {
				t.Errorf("%v %s\n%s", err, show(o), d)
			}
		})
	}
}
