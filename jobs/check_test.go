package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waybill/formats"
	"waybill/jobs/expression"
	"waybill/ledger"
)

const groupJob = `
receive: {source: s}
read:
  format: csv
  fields:
    no:  {required: true, pattern: '^\d+$'}
    to:  {}
    sku: {required: true}
  group: {by: no, into: lines, take: sku, apart: APART}
check: {allow_rejects: ALLOW}
send: [{to: erp, key: =no, body: {no: =no, skus: '=join(map(lines, .sku), ",")'}}]
`

func TestGroupsAreWholeOrRejected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, rows, apart, allow, want string }{
		{"consecutive rows", "1,x,a\n1,x,b\n2,y,c\n", "reject", "0", `accepted 2 of 3: {"no":"1","skus":"a,b"} {"no":"2","skus":"c"}`},
		{"a bad row rejects its group", "1,x,a\n1,x,\n2,y,c\n", "reject", "9",
			`accepted 1 of 3: {"no":"2","skus":"c"}|1/2 its group is rejected: line 3 is bad|2/3 sku is missing`},
		{"the first row is bad", "1,x,\n1,x,b\n2,y,c\n", "reject", "9",
			`accepted 1 of 3: {"no":"2","skus":"c"}|1/2 sku is missing|2/3 its group is rejected: line 2 is bad`},
		{"other fields disagree", "1,x,a\n1,y,b\n", "reject", "9",
			`delivered 0 of 2: nothing to send|1/2 its group is rejected: line 3 is bad|2/3 to differs from line 2 of the same group, which has "x"`},
		{"a key apart", "1,x,a\n2,y,b\n1,x,c\n1,x,d\n", "reject", "9",
			`accepted 2 of 4: {"no":"1","skus":"a"} {"no":"2","skus":"b"}|3/4 its group is rejected: rows of its key stand further up, apart from these|4/5 its group is rejected: rows of its key stand further up, apart from these`},
		{"a key apart may be fine", "1,x,a\n2,y,b\n1,x,c\n", "process", "0", `accepted 3 of 3: {"no":"1","skus":"a"} {"no":"2","skus":"b"} {"no":"1","skus":"c"}`},
		{"a row without a key spoils its neighbours", "1,x,a\n,x,b\n2,y,c\n3,y,d\n", "reject", "9",
			`accepted 1 of 4: {"no":"3","skus":"d"}|1/2 its group is rejected: line 3 may belong to it and cannot be read|2/3 no is missing|3/4 its group is rejected: line 3 may belong to it and cannot be read`},
		{"more than allowed", "1,x,a\n1,x,\n2,y,c\n", "reject", "1",
			`rejected 0 of 3: 2 of 3 records are bad, 1 allowed|1/2 its group is rejected: line 3 is bad|2/3 sku is missing`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, strings.NewReplacer("APART", c.apart, "ALLOW", c.allow).Replace(groupJob))
			if got := brief(t, p, "no,to,sku\n"+c.rows); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// brief works a file and shows what came of it in one line.
func brief(t testing.TB, p *Plan, file string) string {
	t.Helper()
	var bodies []string
	o, err := p.Run(context.Background(), input("f", file), func(r *Rendered) error {
		bodies = append(bodies, string(r.Message.Body))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.State != ledger.Accepted {
		bodies = []string{o.Reason}
	}
	s := fmt.Sprintf("%s %d of %d: %s", o.State, o.Messages, o.Records, strings.Join(bodies, " "))
	for _, r := range o.Rejects {
		s += fmt.Sprintf("|%d/%d %s", r.Record, r.Line, strings.TrimSpace(r.Field+" "+r.Reason))
	}
	return s
}

func TestAllowance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allow     string
		bad, rows int
		want      ledger.State
	}{
		{"0", 0, 10, ledger.Accepted}, {"0", 1, 10, ledger.Rejected}, {"2", 2, 10, ledger.Accepted}, {"2", 3, 10, ledger.Rejected},
		{"10%", 1, 10, ledger.Accepted}, {"10%", 2, 19, ledger.Rejected}, {"0.5%", 1, 200, ledger.Accepted}, {"100%", 3, 3, ledger.Delivered},
		{"0", 30_000, 30_000, ledger.Rejected},
	} {
		t.Run(fmt.Sprintf("%s with %d of %d", c.allow, c.bad, c.rows), func(t *testing.T) {
			t.Parallel()
			p := compile(t, "receive: {source: s}\nread: {format: csv, fields: {n: {type: integer}}}\ncheck: {allow_rejects: "+c.allow+"}\nsend: [{to: erp}]")
			file := "n\n" + strings.Repeat("x\n", c.bad) + strings.Repeat("1\n", c.rows-c.bad)
			o, _ := runs(t, p, input("f", file))
			if o.State != c.want {
				t.Errorf("got %s", show(o))
			}
			if len(o.Rejects) > mostRejects || int64(len(o.Rejects)) != min(o.Rejected, mostRejects) {
				t.Errorf("%d rejects are listed of %d", len(o.Rejects), o.Rejected)
			}
			if c.bad > tooMany && o.Records > tooMany+1 {
				t.Errorf("read on to record %d", o.Records)
			}
		})
	}
}

func TestUniqueKeys(t *testing.T) {
	t.Parallel()
	p := compile(t, `
receive: {source: s}
read: {format: csv, fields: {no: {required: true}, n: {type: integer}}}
check: {allow_rejects: 5, unique: {key: =no, same: skip, other: reject}}
send: [{to: erp, body: {no: =no}}]
`)
	in := input("f", "no,n\n1,1\n2,1\n1,1\n2,2\n3,3\n")
	seen := map[[16]byte][16]byte{}
	in.Unique = func(_ context.Context, keys []UniqueKey) error {
		for i := range keys {
			k := &keys[i]
			digest, again := seen[k.Key]
			switch {
			case !again:
				seen[k.Key] = k.Digest
			case digest == k.Digest:
				k.Found = FoundSame
			default:
				k.Found, k.Entry = FoundOther, 12
			}
		}
		return nil
	}
	o, got := runs(t, p, in)
	want := "accepted, 5 records, 3 messages, 1 rejected\n4/5  \"\" its key was there before, with another content (#12)"
	if show(o) != want {
		t.Errorf("got %s\nwant %s", show(o), want)
	}
	if n := strings.Count(got, `{"no":`); n != 3 {
		t.Errorf("%d messages went out:\n%s", n, got)
	}
}

func TestNumbersStayAsTheyWere(t *testing.T) {
	t.Parallel()
	n := number{point: ',', thousands: [][]byte{[]byte(" "), []byte("\u00a0"), []byte(".")}}
	point := number{point: '.'}
	for _, c := range []struct {
		n          *number
		text, want string
		integer    bool
	}{
		{&point, "24.910", "24.910", false}, {&point, "007.50", "7.50", false}, {&point, "+1", "1", true}, {&point, "-0", "0", true},
		{&point, "-0.00", "0.00", false}, {&point, ".5", "0.5", false}, {&point, "5.", "", false}, {&point, "1e3", "", false}, {&point, "", "", false},
		{&point, "-", "", false}, {&point, "1 000", "", false}, {&point, "0010", "10", true}, {&point, "12345678901234567890.123456789012345678901234567890", "12345678901234567890.123456789012345678901234567890", false},
		{&n, "1 234,50", "1234.50", false}, {&n, "1.234.567,8", "1234567.8", false}, {&n, "12 34,5", "", false}, {&n, "1234 567", "", false},
		{&n, "1\u00a0000", "1000", true}, {&n, ",5", "0.5", false}, {&n, " 5", "", false}, {&n, "5 ", "", false}, {&n, "1,5", "1.5", false},
		{&point, "9223372036854775807", "9223372036854775807", true}, {&point, "9223372036854775808", "", true}, {&point, "-9223372036854775808", "-9223372036854775808", true},
		{&point, "1.5", "", true},
	} {
		read := c.n.decimal
		if c.integer {
			read = c.n.integer
		}
		got, _, ok := read(nil, []byte(c.text))
		if string(got) != c.want || ok != (c.want != "") {
			t.Errorf("%q: got %q %t, want %q", c.text, got, ok, c.want)
		}
		if ok {
			if _, err := expression.ParseDecimal(got); err != nil {
				t.Errorf("%q: %v", c.text, err)
			}
		}
	}
}

func TestDecimalsCompareAsExpressionsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{1,4}(\.[0-9]{1,4})?`)
		var canon [2][]byte
		var exact [2]expression.Decimal
		for i := range canon {
			var ok bool
			if canon[i], _, ok = (&number{point: '.'}).decimal(nil, []byte(text.Draw(t, "number"))); !ok {
				t.Fatal("not read")
			}
			exact[i], _ = expression.ParseDecimal(canon[i])
		}
		if a, b := compare(canon[0], canon[1]), exact[0].Cmp(exact[1]); a > 0 != (b > 0) || a < 0 != (b < 0) {
			t.Fatalf("%s and %s: %d, but %d", canon[0], canon[1], a, b)
		}
	})
}

func TestTheSameFileGivesTheSameKeysAndBytes(t *testing.T) {
	t.Parallel()
	p := compile(t, ordersJob)
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString(latin("N° commande;Date;Site;Article;Qté;Prix;Urgent\n"))
		for range rapid.IntRange(0, 20).Draw(t, "rows") {
			fmt.Fprintf(&b, "A-%d;;W;%s;%d;%d,%02d;O\n", rapid.IntRange(1, 5).Draw(t, "no"), rapid.StringMatching(`[a-z"]{0,3}`).Draw(t, "sku"),
				rapid.IntRange(0, 9).Draw(t, "quantity"), rapid.IntRange(0, 9999).Draw(t, "price"), 7)
		}
		var got [2]string
		for i := range got {
			var out strings.Builder
			o, err := p.Run(context.Background(), input("orders_1.csv", b.String()), func(r *Rendered) error {
				fmt.Fprintf(&out, "%s %s\n", r.Message.Key, r.Message.Body)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			got[i] = show(o) + out.String()
		}
		if got[0] != got[1] {
			t.Fatalf("first %s\nthen %s", got[0], got[1])
		}
	})
}

func TestKeysFollowTheContentAndNotTheFile(t *testing.T) {
	t.Parallel()
	p := compile(t, "receive: {source: s}\nread: {format: csv, fields: {no: {required: true}, n: {}}}\nsend: [{to: a, key: =no}, {to: b, key: [=no, =record.number]}, {to: a, key: =no}, {to: c}]")
	keys := func(in Input) (list []string) {
		if _, err := p.Run(context.Background(), in, func(r *Rendered) error { list = append(list, r.Message.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		return list
	}
	first, second := input("one", "no,n\nA,1\nB,2\n"), input("two", "no,n\nA,1\nB,3\n")
	second.Entry.Identity = "content:other"
	a, b := keys(first), keys(second)
	same := []bool{true, true, true, false, false, false, false, false}
	for i := range same {
		if (a[i] == b[i]) != same[i] {
			t.Errorf("message %d: %s and %s", i, a[i], b[i])
		}
	}
	if a[0] == a[2] {
		t.Error("two routes to one destination share a key")
	}
	again := input("one", "no,n\nA,1\nB,2\n")
	again.Anew, again.Entry.Run = true, 2
	if c := keys(again); c[0] == a[0] || c[3] == a[3] {
		t.Error("what is rendered anew has the old key")
	}
}

// memory is Files in memory.
type memory struct{ files []*memoryFile }

type memoryFile struct {
	bytes.Buffer
	id      int64
	aborted bool
}

func (m *memory) Create(context.Context) (Output, error) {
	f := &memoryFile{id: int64(len(m.files) + 1)}
	m.files = append(m.files, f)
	return f, nil
}

func (f *memoryFile) Finish(context.Context) (int64, int64, error) {
	return f.id, int64(f.Len()), nil
}

func (f *memoryFile) Abort() error { f.aborted = true; return nil }

func TestOneFileForAllRecords(t *testing.T) {
	t.Parallel()
	p := compile(t, `
schedule: {cron: "0 * * * *"}
query: {connection: shop, sql: select}
send:
  - to: folder
    each: window
    name: "sales_{window.from:%Y-%m-%dT%H}.csv"
    marker: "{name}.ok"
    columns: [{title: Id, value: =id}, {title: Text, value: =text}, {title: Twice, value: '=id * 2'}, {title: Amount, value: =amount}]
  - {to: folder, each: window, name: all.ndjson, when: '=id > 1', body: {id: =id, at: =entry.number}}
  - {to: folder, each: window, name: none.csv, when: '=id > 9', no_rows: write, columns: [{title: Id, value: =id}]}
  - {to: folder, each: window, name: nothing.csv, when: '=id > 9', columns: [{title: Id, value: =id}]}
  - {to: erp, key: =id}
`)
	in := input("", "")
	in.Entry.Since, in.Entry.Till = in.Entry.Received, in.Entry.Received
	number := func(s string) formats.Cell { return formats.Cell{Kind: formats.Number, Bytes: []byte(s)} }
	in.Rows = &Rows{Columns: []string{"id", "text", "amount"}, All: func(yield func([]formats.Cell, error) bool) {
		_ = yield([]formats.Cell{number("1"), {Kind: formats.Text, Bytes: []byte("a;\"b\"")}, number("24.910")}, nil) &&
			yield([]formats.Cell{number("2"), {Kind: formats.Null}, number("0.10")}, nil)
	}}
	files := &memory{}
	in.Files = files
	o, got := runs(t, p, in)
	for i, f := range files.files {
		got += fmt.Sprintf("file %d, aborted %t\n%s", i+1, f.aborted, f.String())
	}
	golden(t, "window.txt", show(o)+"\n"+got)
}

func TestFilesAreGivenUpWithTheirEntry(t *testing.T) {
	t.Parallel()
	p := compile(t, "receive: {source: s}\nread: {format: csv, fields: {n: {type: integer}}}\nsend: [{to: f, each: file, as: ndjson}, {to: f, each: file}]")
	files := &memory{}
	in := input("f", "n\n"+strings.Repeat("1\n", mostPending)+"x\n")
	in.Files = files
	if o, got := runs(t, p, in); o.State != ledger.Rejected || got != "" || len(files.files) != 1 || !files.files[0].aborted {
		t.Errorf("got %s %s %v", show(o), got, files.files)
	}
}

func TestUntouchedFilesGoOnAsTheyAre(t *testing.T) {
	t.Parallel()
	p := compile(t, `
receive: {source: s, files: ["scan_{day:%Y%m%d}_*"]}
read: none
send: [{to: archive, name: "{file.part.day:%Y}/{file.name}"}]
`)
	o, got := runs(t, p, input("in/scan_20260331_1.pdf", "bytes"))
	golden(t, "untouched.txt", show(o)+"\n"+got)
}

func TestRecordsWithoutDeclaredFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ format, file, want string }{
		{"ndjson", "{\"a\": {\"b\": 1.50}, \"no\": \"x\"}\n{\"no\": 12345678901234567890}\n", `accepted 4 of 2: {"a":{"b":1.50},"no":"x"} {"no":"x","b":1.50} {"no":12345678901234567890} {"no":12345678901234567890}`},
		{"csv", "no,b\nx,\"1\n2\"\n", `accepted 2 of 1: {"no":"x","b":"1\n2"} {"no":"x"}`},
	} {
		p := compile(t, "receive: {source: s}\nread: {format: "+c.format+"}\nsend: [{to: erp, key: =no}, {to: erp, body: {no: =no, b: '=a?.b'}}]")
		if got := brief(t, p, c.file); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.format, got, c.want)
		}
	}
}

func TestFaultsOfTheFileRejectIt(t *testing.T) {
	t.Parallel()
	p := compile(t, "receive: {source: s}\nread: {format: csv, fields: {n: {required: true}}}\nsend: [{to: erp}]")
	for _, file := range []string{"m\n1\n", "n\n\"1\n", "n\n\xff\n"} {
		o, got := runs(t, p, input("f", file))
		if o.State != ledger.Rejected || o.Rejected != 1 || len(o.Rejects) != 1 || o.Rejects[0].Record != 0 && o.Rejects[0].Line == 0 {
			t.Errorf("%q: got %s %s", file, show(o), got)
		}
	}
}

func TestReadingThatFailsIsNoReject(t *testing.T) {
	t.Parallel()
	p := compile(t, "receive: {source: s}\nread: {format: csv, fields: {n: {required: true}}}\nsend: [{to: erp}]")
	broken := errors.New("disk on fire")
	in := input("f", "")
	in.Blob.Reader = failingReader{broken}
	if _, err := p.Run(context.Background(), in, func(*Rendered) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]ledger.State{"process": ledger.Delivered, "hold": ledger.Held, "reject": ledger.Rejected, "skip": ledger.Delivered} {
		p := compile(t, "receive: {source: s}\nidentity: {empty: "+action+"}\nread: {format: csv, fields: {n: {}}}\nsend: [{to: erp}]")
		if o, _ := runs(t, p, input("f", "n\n")); o.State != want || o.Verdict != ledger.Empty {
			t.Errorf("%s: got %s", action, show(o))
		}
	}
}

func TestOnlySkipsBeforeAnythingIsRejected(t *testing.T) {
	t.Parallel()
	p := compile(t, `
receive: {source: s}
read: {format: csv, only: '=kind == "O"', fields: {n: {type: integer, required: true}, kind: {required: true}}}
send: [{to: erp}]
`)
	want := `accepted 1 of 3: {"n":2,"kind":"O"}`
	if got := brief(t, p, "n,kind\nx,H\n2,O\n,T\n"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestPurchaseOrdersSample(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "shared", "samples", "csv", "smooks-purchase-orders.csv")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no sample smooks-purchase-orders.csv")
	}
	if err != nil {
		t.Fatal(err)
	}
	p := compile(t, `
receive: {source: s}
read:
  format: csv
  fields:
    line: {from: LINE_NUMBER, type: integer, required: true}
    upc: {from: UPC_NUMBER, required: true, pattern: '^\d{13}$'}
    quantity: {from: QUANTITY, type: integer, min: 1, required: true}
    price: {from: PRICE, type: decimal, required: true}
    day: {from: PO_DATE, type: date, format: "%Y%m%d", required: true}
    state: {from: STATE}
    zip: {from: POSTAL_CODE, required: true}
send: [{to: erp, body: {line: =line, upc: =upc, total: '=quantity * price', day: =day, state: =state, zip: =zip}}]
`)
	want := `accepted 3 of 3: {"line":1,"upc":"4000862141404","total":240,"day":"2002-08-30","zip":"65189"} ` +
		`{"line":2,"upc":"4000862141405","total":110,"day":"2002-08-30","zip":"AT6020"} {"line":3,"upc":"4000862141406","total":255,"day":"2002-08-30","zip":"VLT1117"}`
	if got := brief(t, p, string(text)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
