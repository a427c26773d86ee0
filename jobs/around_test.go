package jobs

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waybill/formats"
	"waybill/ledger"
)

// statementsJob reads bank statements as French banks send them (CFONB 120, AFB 120): blocks of an old balance (01), movements (04) with
// details (05) and a new balance (07).
const statementsJob = `
receive: {source: bank, files: "*.afb120"}
read:
  format: fixed
  encoding: iso-8859-1
  kind: 1-2
  block:
    header:  {kind: "01", fields: {number: {from: 3-7, type: integer}, account: {from: 22-32}, opening: {from: 91-104, type: decimal, scale: 2, sign: overpunch}}}
    trailer: {kind: "07", fields: {closing: {from: 91-104, type: decimal, scale: 2, sign: overpunch}}}
  records:
    movement:
      kind: "04"
      fields:
        date:    {from: 35-40, type: date, format: "%d%m%y", century: 1970}
        label:   {from: 49+31}
        number:  {from: 82-88}
        amount:  {from: 91-104, type: decimal, scale: 2, sign: overpunch, required: true}
        details: {type: list, kind: "05", fields: {text: {from: 49-118, required: true}}}
  ignore: ["08"]
  totals: {moved: {sum: amount, of: movement}, lines: {count: movement}}
check:
  allow_rejects: ALLOW
  block:
    - {that: '=header.opening + totals.moved == trailer.closing', say: "opening and movements do not give the closing balance"}
send:
  - to: ledger-api
    for: movement
    path: /accounts/{header.account}/movements
    key: [=header.account, =header.number, =record.line]
    body: {account: =header.account, statement: =header.number, date: =date, label: =label, amount: =amount, text: '=join(map(details, .text), " ")'}
`

// afb is one line of 120 columns: texts by the column they begin at.
func afb(at map[int]string) string {
	line := []rune(strings.Repeat(" ", 120))
	for from, text := range at {
		copy(line[from-1:], []rune(text))
	}
	return latin(string(line)) + "\r\n"
}

func opening(number, account, amount string) string {
	return afb(map[int]string{1: "01", 3: number, 22: account, 35: "300326", 91: amount})
}

func closing(amount string) string { return afb(map[int]string{1: "07", 35: "310326", 91: amount}) }

func movement(date, label, amount string) string {
	return afb(map[int]string{1: "04", 35: date, 49: label, 82: "0000001", 91: amount})
}

func detail(text string) string { return afb(map[int]string{1: "05", 49: text}) }

func statements(allow string) string { return strings.Replace(statementsJob, "ALLOW", allow, 1) }

var twoStatements = opening("00041", "00012345678", "0000000012345{") + // 1,234.50
	movement("310326", "VIREMENT EMIS", "0000000010000}") + detail("LOYER AVRIL") + detail("RÉF 4711") + // -1,000.00
	movement("310326", "REMISE CHÈQUES", "0000000000105E") + // 10.55
	closing("0000000002450E") + // 245.05
	afb(map[int]string{1: "08"}) +
	opening("00107", "00099999999", "0000000000000{") + movement("311269", "SOLDE", "0000000000000A") + closing("0000000000000A")

func TestStatementsOfABankAreReadByTheirBlocks(t *testing.T) {
	t.Parallel()
	o, text := runs(t, compile(t, statements("0")), input("r.afb120", twoStatements))
	golden(t, "statements.txt", show(o)+text)
}

func TestABlockThatDoesNotAddUpIsRejected(t *testing.T) {
	t.Parallel()
	bad := opening("00042", "00012345678", "0000000000000{") + movement("310326", "A", "0000000000100{") + movement("310326", "B", "0000000000100{") + closing("0000000000150{")
	good := opening("00043", "00012345678", "0000000000000{") + movement("310326", "C", "0000000000100{") + closing("0000000000100{")
	empty := opening("00044", "00012345678", "0000000000000{") + closing("0000000000001{")
	const says = "the block that begins here: opening and movements do not give the closing balance"
	for _, c := range []struct{ name, allow, file, want string }{
		{"none may be bad", "0", good + bad, "rejected 0 of 3: line 4: " + says + "|0/4 " + says},
		{"it is bad alone", "2", bad + good, `accepted 1 of 3: C|0/1 ` + says},
		{"behind a good one", "50%", good + bad + good, `accepted 2 of 4: C C|0/4 ` + says},
		{"too many are bad", "1", good + bad, `rejected 0 of 3: 2 of 3 records are bad, 1 allowed|0/4 ` + says},
		{"several", "0", bad + good + bad, "rejected 0 of 5: line 1: " + says + "|0/1 " + says + "|0/8 " + says},
		{"without records", "1", good + empty, `accepted 1 of 1: C|0/4 ` + says},
		{"without records, none may be bad", "0", empty, `rejected 0 of 0: line 1: ` + says + "|0/1 " + says},
		{"a bad record spoils the sum of its block", "9", bad[:244] + strings.Replace(bad[244:], "0000000000100{", "0000000000100X", 1) + good, `accepted 1 of 3: C|0/1 ` + says +
			`|2/3 amount does not end with a digit that bears a sign: 'X' is none of { A to I } J to R`},
		{"a bad record, none may be bad", "0", strings.Replace(bad, "0000000000100{", "0000000000100X", 1) + good, `rejected 0 of 3: 1 of 3 records are bad, none allowed` +
			`|1/2 amount does not end with a digit that bears a sign: 'X' is none of { A to I } J to R`},
		{"the header is bad", "9", strings.Replace(good, "0100043", "01000x3", 1), `rejected 0 of 0: line 1: block.header.number: is not an integer of at most 64 bits|0/1 block.header.number is not an integer of at most 64 bits`},
		{"the trailer is missing", "9", good[:len(good)-122], `rejected 0 of 1: line 2: the file ends in the block that began in line 1, without its block.trailer (kind 07): cut?` +
			`|0/2 line 2: the file ends in the block that began in line 1, without its block.trailer (kind 07): cut?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, labels(t, compile(t, statements(c.allow)), c.file)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// labels works statements and shows the labels of what would be sent, and the rejects.
func labels(t *testing.T, p *Plan, file string) string {
	t.Helper()
	var sent []string
	o, err := p.Run(context.Background(), input("f", file), func(r *Rendered) error {
		_, label, _ := strings.Cut(string(r.Message.Body), `"label":"`)
		label, _, _ = strings.Cut(label, `"`)
		sent = append(sent, label)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.State != ledger.Accepted {
		sent = []string{o.Reason}
	}
	s := fmt.Sprintf("%s %d of %d: %s", o.State, o.Messages, o.Records, strings.Join(sent, " "))
	for _, r := range o.Rejects {
		s += fmt.Sprintf("|%d/%d %s", r.Record, r.Line, strings.TrimSpace(r.Field+" "+r.Reason))
	}
	return s
}

// A block that is too long to be held back can only be rejected with its file.
func TestABlockThatIsTooLongToBeHeldBackRejectsTheFile(t *testing.T) {
	t.Parallel()
	long := opening("00042", "00012345678", "0000000000000{") + strings.Repeat(movement("310326", "A", "0000000000000{"), 150_000)
	p := compile(t, statements("99%"))
	for _, c := range []struct{ name, end, want string }{
		{"good", closing("0000000000000{"), "accepted"},
		{"bad", closing("0000000000150{"), "rejected"},
	} {
		emitted := 0
		o, err := p.Run(context.Background(), input("f", long+c.end), func(*Rendered) error { emitted++; return nil })
		if err != nil || string(o.State) != c.want || emitted == 0 {
			t.Errorf("%s: %s (%s), %d emitted, %v", c.name, o.State, o.Reason, emitted, err)
		}
	}
}

const controlJob = `
receive: {source: s}
read:
  format: fixed
  kind: 1
  header:  {kind: H, fields: {day: {from: 2-9, type: date, format: "%Y%m%d"}, shop: {from: 10-12, required: false}}}
  trailer: {kind: T, fields: {count: {from: 2-4, type: integer}, sum: {from: 5-10, type: decimal, scale: 2}}}
  records:
    sale:   {kind: S, only: '=sku != "TEST"', fields: {sku: {from: 2-5, required: true}, price: {from: 6-10, type: decimal, scale: 2, required: true}, net: {value: '=price / 2', type: decimal}}}
    refund: {kind: R, fields: {sku: {from: 2-5, required: true}, price: {from: 6-10, type: integer}}}
  totals: {all: {count: records}, sold: {sum: price, of: sale}, half: {sum: net, of: sale}, cents: {sum: price, of: refund}, sales: {count: sale}}
check:
  allow_rejects: ALLOW
  record: [{for: refund, that: '=price != nil', say: "a refund has a price"}]
  unique: {key: =sku, of: sale, other: reject, same: skip}
  file:
    - {that: '=totals.all == trailer.count', say: "the trailer counts other records"}
    - {that: '=totals.sold == trailer.sum && totals.half * 2 == totals.sold && totals.sales <= totals.all', say: "the trailer has another sum"}
    - {that: '=header.day >= date("2026-01-01", "%Y-%m-%d") && file.name == "f" && totals.cents < 500', say: "the file is of another year"}
send:
  - {to: erp, for: sale, key: [=header.day, =sku], path: '/{header.day:%Y}/sales', headers: {X-Shop: =header.shop}, body: {shop: =header.shop, sku: =sku, price: =price}}
  - {to: erp, for: refund, when: '=(price ?? 0) > 0', body: {day: =header.day, sku: =sku, at: {line: =record.line, n: =record.number}}}
  - {to: out, for: sale, each: file, name: "{header.day:%Y%m%d}.csv", columns: [{title: Day, value: =header.day}, {title: SKU, value: =sku}]}
  - {to: raw, each: file, name: "{header.day:%Y%m%d}.txt"}
`

func TestHeaderTrailerAndTotalsOfAFile(t *testing.T) {
	t.Parallel()
	in := input("f", "H20260331W01\nSA00100150\nRB00200007\nSTEST00001\nSC00300250\nT004000401\n")
	sink := &files{}
	in.Files = sink
	o, text := runs(t, compile(t, strings.Replace(controlJob, "ALLOW", "0", 1)), in)
	golden(t, "control.txt", show(o)+text+strings.Join(sink.written, "\n"))
}

func TestWhatIsWrongWithAFileAsAWholeRejectsIt(t *testing.T) {
	t.Parallel()
	const head, lines = "H20260331W01\n", "SA00100150\nRB00200007\nSTEST00001\nSC00300250\n"
	for _, c := range []struct{ name, allow, file, want string }{
		{"good", "0", head + lines + "T004000401\n", "accepted 5 of 4"},
		{"count and sum", "9", head + lines + "T003000400\n", "rejected 0 of 4: the trailer counts other records|0/0 the trailer counts other records|0/0 the trailer has another sum"},
		{"bad header", "9", "H2026x331W01\n" + lines + "T004000401\n", "rejected 0 of 0: line 1: header.day: is not a date written as %Y%m%d|0/1 header.day is not a date written as %Y%m%d"},
		{"header without a field", "9", "H            \n" + lines + "T004000401\n", "rejected 0 of 0: line 1: header.day: is missing|0/1 header.day is missing"},
		{"a field that may be missing", "0", "H20260331   \n" + lines + "T004000401\n", "accepted 5 of 4"},
		{"bad trailer", "9", head + lines + "T004\u20ac00401\n", "rejected 0 of 4: line 6: trailer.sum: is not a number of digits alone|0/6 trailer.sum is not a number of digits alone"},
		{"no trailer", "9", head + lines, "rejected 0 of 4: line 5: the file ends without its trailer (kind T): cut?|0/5 line 5: the file ends without its trailer (kind T): cut?"},
		{"an unreadable record counts", "1", head + "SA00100150\nRB0\nSTEST00001\nSC00300250\nT004000401\n", "accepted 4 of 4|2/3 price stands in columns 6 to 10, but the record ends with column 3; if blanks at the end were cut off, say short: pad"},
		{"a bad record, none may be bad", "0", head + "Sxxxx00150\nRB00200007\nR    00250\nT009000401\n", "rejected 0 of 3: 1 of 3 records are bad, none allowed|3/4 sku is missing"},
		{"a rule of one kind", "1", head + lines + "RD000     \nT005000401\n", "accepted 5 of 5|5/6 a refund has a price"},
		{"nothing but the frame", "0", head + "T000000000\n", "accepted 1 of 0"},
		{"an empty file", "0", "", "delivered 0 of 0: no records"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := input("f", c.file)
			in.Files = &files{}
			o, err := compile(t, strings.Replace(controlJob, "ALLOW", c.allow, 1)).Run(context.Background(), in, func(*Rendered) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s %d of %d", o.State, o.Messages, o.Records)
			if o.State != ledger.Accepted {
				got += ": " + o.Reason
			}
			for _, r := range o.Rejects {
				got += fmt.Sprintf("|%d/%d %s", r.Record, r.Line, strings.TrimSpace(r.Field+" "+r.Reason))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// What is around records is checked by whoever works them too, should a format not see to it.
func TestPartsThatDoNotStandAsTheyShouldRefuseTheFile(t *testing.T) {
	t.Parallel()
	p := compile(t, statements("0"))
	cells := func(texts ...string) []formats.Cell {
		list := make([]formats.Cell, len(texts))
		for i, s := range texts {
			if s != "" {
				list[i] = formats.Cell{Kind: formats.Text, Bytes: []byte(s)}
			}
		}
		return list
	}
	record := &formats.Record{Part: 0, Number: 1, Line: 2, Cells: cells("310326", "x", "1", "0000000000000{", "")}
	begins := &formats.Record{Part: 1, Line: 1, Cells: cells("41", "1", "0000000000000{")}
	ends := &formats.Record{Part: 2, Line: 3, Cells: cells("0000000000000{")}
	for _, c := range []struct {
		name  string
		parts []*formats.Record
		want  string
	}{
		{"as they should", []*formats.Record{begins, record, ends}, ""},
		{"outside", []*formats.Record{record}, "line 2: a record stands here outside of all blocks: read.block.header says how one begins"},
		{"behind", []*formats.Record{begins, ends, record}, "line 2: a record stands here outside of all blocks: read.block.header says how one begins"},
		{"end without a beginning", []*formats.Record{ends}, "line 3: a block ends here, and none has begun"},
		{"no end", []*formats.Record{begins, record}, "line 1: the block that begins here has no trailer: is the file cut off?"},
		{"no end before the next", []*formats.Record{begins, begins}, "line 1: a block begins here, and that of line 1 has had no trailer"},
	} {
		q := *p
		q.reader.decoder = fixedDecoder(c.parts)
		o, err := q.Run(context.Background(), input("f", "x"), func(*Rendered) error { return nil })
		if err != nil || o.Reason != c.want {
			t.Errorf("%s: %q, %v", c.name, o.Reason, err)
		}
	}
	q := *compile(t, strings.Replace(controlJob, "ALLOW", "0", 1))
	for want, parts := range map[string]fixedDecoder{
		"the file has no header":                                 {},
		"line 3: records begin here, and the file has no header": {{Part: 0, Line: 3, Cells: cells("1", "2")}},
		"the file has no trailer: is it cut off?":                {{Part: 2, Line: 1, Cells: cells("20260331", "")}},
	} {
		q.reader.decoder = parts
		in := input("f", "x")
		in.Files = &files{}
		o, err := q.Run(context.Background(), in, func(*Rendered) error { return nil })
		if err != nil || o.Reason != want {
			t.Errorf("%q, want %q (%v)", o.Reason, want, err)
		}
	}
}

// fixedDecoder yields what it holds.
type fixedDecoder []*formats.Record

func (d fixedDecoder) Decode(formats.Blob) iter.Seq2[*formats.Record, error] {
	return func(yield func(*formats.Record, error) bool) {
		for _, r := range d {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// files keeps what is written.
type files struct{ written []string }

type kept struct {
	all *files
	strings.Builder
}

func (f *files) Create(context.Context) (Output, error) { return &kept{all: f}, nil }

func (k *kept) Finish(context.Context) (object, size int64, err error) {
	k.all.written = append(k.all.written, k.String())
	return int64(len(k.all.written)), int64(k.Len()), nil
}

func (k *kept) Abort() error { return nil }

func TestWhatIsWrongWithPartsOfAFileIsToldByPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, job string
		want      []string
	}{
		{"kinds", `
receive: {source: s}
read:
  format: fixed
  kind: 1
  fields: {x: {from: 1}}
  only: '=x == "a"'
  records:
    a: {kind: A, only: =n, fields: {n: {from: 2, type: integer, required: true}, l: {type: list, kind: B, fields: {t: {from: 2}}}}}
    c: {kind: C, fields: {}}
  totals: {one: {sum: n}, two: {sum: x, of: a}, three: {count: d}, four: {sum: n, count: a}, five: {}, six: {sum: l, of: a}, seven: {count: a, of: a}}
check:
  record: [{that: '=n > 0', say: x}, {for: d, that: '=n > 0', say: x}]
  unique: {key: =n}
  block: [{that: '=totals.seven > 0', say: x}]
  file: [{that: '=trailer.x == 1', say: x}, {that: '=totals.eight > 0', say: x}]
send:
  - {to: erp}
  - {to: erp, for: b}
  - {to: erp, for: a, key: =x}
  - {to: out, for: a, each: file, name: x}
  - {to: out, each: file, name: "{header.x}"}
`, []string{
			"read.fields: does not go with several kinds of records, each of which has its own: see read.records",
			"read.only: does not go with several kinds of records, each of which has its own: see read.records",
			"read.records.c.fields: are missing",
			"read.records.a.only: a condition is true or false, and this is an integer: compare it with something",
			"read.totals.one.of: is missing: say which kind of records is meant, of: a or of: c",
			"read.totals.two.sum: there is no field x",
			"read.totals.three.count: there is no kind of records d; there are a, c, records",
			"read.totals.four: is one of sum: FIELD, min: FIELD, max: FIELD, hash: FIELD and count: KIND",
			"read.totals.five: is one of sum: FIELD, min: FIELD, max: FIELD, hash: FIELD and count: KIND",
			"read.totals.six.sum: l is a list: an integer or a decimal is added up",
			"read.totals.seven.of: goes with a field; count names the kind itself",
			"check.record[0].for: is missing: say which kind of records is meant, for: a or for: c",
			"check.record[1].for: there is no kind of records d; there are a, c",
			"check.unique.of: is missing: say which kind of records is meant, of: a or of: c",
			"check.block: needs read.block, which says what a block is",
			"check.file[0].that: *",
			"check.file[1].that: *",
			"send[0].for: is missing: say which kind of records is meant, for: a or for: c",
			"send[1].for: there is no kind of records b; there are a, c",
			"send[2].key: *",
			"send[3].for: does not go with the file's original bytes",
			"send[4].name: *",
		}},
		{"one kind", `
receive: {source: s}
read:
  format: csv
  records: x
  header: {fields: {n: {value: '=file.name + x'}, day: {required: false}}}
  block: {header: {kind: a, fields: {day: {}}}}
  fields:
    a: {scale: 2}
    b: {type: decimal, scale: 31, sign: overpunch}
    c: {sign: overpunch, century: 1970}
    d: {type: date, century: 1970}
    e: {type: date, format: "%d %b %y", century: 1970}
    f: {type: date, format: "%d%m%y", century: 99999}
    g: {value: =header.dya}
  totals: {one: {sum: a, of: b}}
send: [{to: erp, for: a, path: "/{header.day}"}]
`, []string{
			"read.block.header.fields.day: stands in read.header too: header.day would be either",
			"read.fields.a.scale: goes with decimal, not with string",
			"read.fields.b.scale: 31 is out of bounds: from 0 to 30",
			"read.fields.c.century: goes with date and datetime, not with string",
			"read.fields.c.sign: goes with integer and decimal, not with string",
			"read.fields.d.century: goes with a format that has %y, a year of two digits",
			"read.fields.e.century: goes with formats of digits alone, as %d%m%y",
			"read.fields.f.century: 99999 is no year: write the first of the hundred, as 1970",
			"read.fields.g.value: *",
			"read.header.fields.n.value: *",
			"read.records: *",
			"read.totals.one.of: goes with several kinds of records, and read.records names none: leave it out",
			"send[0].for: goes with several kinds of records, and read.records names none: leave it out",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, problems := Compile("j", parseOptions(t, c.job), Environment{})
			var got []string
			for _, p := range problems {
				line := p.String()
				if slices.Contains(c.want, p.Path+": *") {
					line = p.Path + ": *"
				}
				got = append(got, line)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

const stockJob = `
receive: {source: stock-webhook}
read:
  format: json
  header: {fields: {warehouse: {from: $.data.warehouse}, at: {from: $.timestamp, type: datetime}, note: {from: $.note, required: false}}}
  trailer: {fields: {count: {from: $.count, type: integer}}}
  records: $.data.items
  fields:
    sku: {from: sku, required: true}
    qty: {from: quantity, type: decimal, required: true}
  totals: {items: {count: records}}
check:
  file: [{that: '=totals.items == trailer.count', say: "the count is another"}]
send:
  - to: erp
    path: /stock/{header.warehouse}
    key: [=header.warehouse, =sku]
    body: {sku: =sku, warehouse: =header.warehouse, quantity: =qty, updated_at: =header.at, note: =header.note, loc: '=lookup("units", header.warehouse)'}
`

func TestTheHeaderOfADocumentIsReadBeforeItsRecords(t *testing.T) {
	t.Parallel()
	places, path := table(t, "places.csv", "code,place\nW1,Lyon\n", "by: code\nvalue: place\nmissing: hold")
	p, problems := Compile("stock", parseOptions(t, stockJob), Environment{Config: "cfg", Tables: map[string]*Table{"units": places}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if _, err := p.Snapshot(t.Context()); err != nil {
		t.Fatal(err, path)
	}
	for _, c := range []struct{ name, file, want string }{
		{"behind the records", `{"data": {"items": [{"sku": "A", "quantity": 1.50}, {"sku": "B", "quantity": 2}], "warehouse": "W1"}, "timestamp": "2026-03-31T08:00:00Z", "count": 2}`,
			`accepted 2 of 2: {"sku":"A","warehouse":"W1","quantity":1.50,"updated_at":"2026-03-31T08:00:00Z","loc":"Lyon"} {"sku":"B","warehouse":"W1","quantity":2,"updated_at":"2026-03-31T08:00:00Z","loc":"Lyon"}`},
		{"missing", `{"data": {"items": [{"sku": "A", "quantity": 1}]}, "timestamp": "2026-03-31T08:00:00Z", "count": 1}`,
			"rejected 0 of 0: line 1: header.warehouse: is missing|0/1 header.warehouse is missing"},
		{"another count", `{"timestamp": "2026-03-31T08:00:00Z", "count": 3, "data": {"warehouse": "W1", "items": []}}`, "rejected 0 of 0: the count is another|0/0 the count is another"},
		{"a place that the table lacks", `{"timestamp": "2026-03-31T08:00:00Z", "count": 1, "data": {"warehouse": "W2", "items": [{"sku": "A", "quantity": 1}]}}`,
			`held 0 of 1: table units has no "W2" (line 1): add it to places.csv; approve takes it with the table as it is then, and rejects records whose key is still missing`},
	} {
		in := input("f", c.file)
		in.Blob.ReaderAt = strings.NewReader(c.file)
		var bodies []string
		o, err := p.Run(t.Context(), in, func(r *Rendered) error { bodies = append(bodies, string(r.Message.Body)); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if o.State != ledger.Accepted {
			bodies = []string{o.Reason}
		}
		got := fmt.Sprintf("%s %d of %d: %s", o.State, o.Messages, o.Records, strings.Join(bodies, " "))
		for _, r := range o.Rejects {
			got += fmt.Sprintf("|%d/%d %s", r.Record, r.Line, strings.TrimSpace(r.Field+" "+r.Reason))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, d)
		}
	}
}

// FuzzStatements works any lines as statements of a bank: what is accepted adds up.
func FuzzStatements(f *testing.F) {
	f.Add(twoStatements, true)
	f.Add(opening("00042", "1", "0000000000000{")+movement("310326", "A", "0000000000100{")+closing("0000000000150{"), false)
	f.Add("01\n04\n05\n07\n", true)
	strict, loose := compile(f, statements("0")), compile(f, statements("60%"))
	f.Fuzz(func(t *testing.T, file string, some bool) {
		p := strict
		if some {
			p = loose
		}
		messages := int64(0)
		o, err := p.Run(context.Background(), input("f", file), func(*Rendered) error { messages++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if o.State == ledger.Accepted && (o.Messages != messages || o.Messages > o.Records || !some && o.Rejected > 0) {
			t.Errorf("%d messages, %d emitted, %d records, %d rejected", o.Messages, messages, o.Records, o.Rejected)
		}
	})
}
