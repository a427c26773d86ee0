package jobs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wrong holds a job and the mistakes that Compile must find in it, all of them.
var wrong = []struct {
	name string
	job  string
	want []string
}{
	{"nothing starts it", `send: [{to: erp}]`, []string{
		"receive: is missing: say with receive or schedule what starts the job",
	}},
	{"nothing is read or sent", `receive: {source: s}`, []string{
		"read: is missing: write a format, or none to hand files on as they are",
		"send: is missing: nothing would be sent",
	}},
	{"fields", `
receive: {source: s}
read:
  format: csv
  fields:
    file: {}
    a: {type: integer, min: x, max: 1.5}
    b: {type: string, min: 1, length: 3..1}
    c: {pattern: '('}
    d: {type: date, format: "%Q", min: 31.12.2026}
    e: {format: "%Y"}
    f: {required: true, default: x}
    g: {type: boolean, true_is: [1], false_is: [1]}
    h: {from: x, value: =a}
    i: {value: a}
    j: {value: =k}
    k: {fields: {x: {}}}
    l: {type: decimal, decimal: "'", thousands: ["1"]}
    m: {type: integer, value: '="x"'}
    n: {type: integer, one_of: [1, two]}
    o: {type: datetime, zone: Mars/Base}
send: [{to: erp}]
`, []string{
		"read.fields.file: is a name of the language, choose another one and say from: file",
		`read.fields.a.min: "x" is not an integer of at most 64 bits`,
		`read.fields.a.max: "1.5" is not an integer of at most 64 bits`,
		"read.fields.b.min: min and max go with numbers, dates and times, not with string; for text there is length",
		`read.fields.b.length: "3..1" is not a length (5) or a range of lengths (1..20)`,
		"read.fields.c.pattern: error parsing regexp: missing closing ): `(`",
		`read.fields.d.format: *`,
		`read.fields.d.min: *`,
		"read.fields.e.format: goes with date, time and datetime, not with string",
		"read.fields.f.default: does not go with required: a field with a default is never missing",
		`read.fields.g.false_is: "1" stands in true_is too`,
		"read.fields.h.value: does not go with from or column: a field is read or computed",
		`read.fields.i.value: "a" is a plain text, which would be the same every time: write =a for the field`,
		"read.fields.j.value: *",
		"read.fields.k.fields: go with type list or object, not with string",
		`read.fields.l.decimal: "'" is no decimal mark: write . or ,`,
		`read.fields.l.thousands: "1" cannot stand between thousands`,
		"read.fields.m.value: gives text, but the field is an integer",
		`read.fields.n.one_of: "two" is not an integer of at most 64 bits`,
		`read.fields.o.zone: "Mars/Base" is no zone: write a name such as Europe/Paris`,
	}},
	{"group", `
receive: {source: s}
read:
  format: csv
  fields: {no: {}, sku: {}, qty: {}}
  group: {by: no, into: sku, take: [qty, price, qty]}
send: [{to: erp, key: =no}]
`, []string{
		"read.group.take: there is no field price",
		"read.group.take: qty stands there twice",
		"read.group.into: sku is the name of a field",
		"read.group.by: no may be absent: make it required",
		"send[0].key: =no may be absent: make the field required, or write a second choice behind ??",
	}},
	{"routes", `
receive: {source: s, files: ["/x", "{day", "{a}{a}", "{order-no}.csv"]}
read: {format: csv, fields: {no: {required: true}, note: {}, n: {type: integer, required: true}}}
check:
  record: [{that: '=n', say: x}, {that: '=nothing > 1', say: x}]
  unique: {key: no}
send:
  - {to: nowhere}
  - {to: erp, routing_key: x, key: no, when: '=no', path: "/o/{note}", body: {a: =nom, "=what": x, b: {c: '=n +'}, d: =n + 1}}
  - {to: bus, path: /x}
  - {to: folder}
  - {to: folder, name: x.json}
  - {to: erp, each: file, key: =no, as: csv}
  - {to: erp, each: window, as: camt}
  - {to: folder, each: file, name: x.csv, when: '=n > 1'}
  - {to: erp, success: '=response.statis == 1', capture: {id: response.body.id}}
`, []string{
		`receive.files[0]: "/x" is no pattern: write a name such as orders_*.csv, relative to the source's folder`,
		`receive.files[1]: "{day": write {name} or {name:%Y%m%d}`,
		`receive.files[2]: "{a}{a}" holds {a} twice`,
		`receive.files[3]: "{order-no}.csv": {order-no} cannot be named as file.part.order-no: a name has letters, digits and _, and begins with no digit; write {order_no}`,
		"check.record[0].that: *",
		"check.record[1].that: *",
		`check.unique.key: *`,
		"send[0].to: there is no destination nowhere; there are bus, erp, folder",
		"send[1].when: *",
		"send[1].key: *",
		"send[1].routing_key: does not go with erp, which is a destination of kind http",
		"send[1].path: *",
		"send[1].body.=what: is no directive: there are =each and =when; a key that starts with = cannot be written",
		"send[1].body.a: *",
		"send[1].body.b.c: *",
		"send[1].body.d: put =n + 1 in single quotes: without them only a plain =name may stand here",
		"send[2].path: does not go with bus, which is a destination of kind amqp",
		"send[2].routing_key: is missing: without one no queue gets the message",
		"send[3].name: is missing: a file needs a name",
		"send[4].name: is the same for every record: write a field into it, or each: file",
		"send[5].key: goes with each: record; a message for the whole entry has the entry's key",
		"send[5].columns: are missing: csv needs them",
		"send[6].each: window goes with query; write file for what a file holds",
		"send[6].as: *",
		"send[7].when: does not go with the file's original bytes: leave it out, or say what is written with columns, body or as",
		"send[8].success: *",
		"send[8].capture.id: *",
	}},
	{"totals that nobody can name", `
receive: {source: s}
read: {format: csv, fields: {no: {required: true}}, totals: {a b: {count: records}, a-b: {hash: no}, 1st: {count: records}, é_1: {count: records}}}
check: {file: [{that: '=totals.é_1 > 0', say: x}]}
send: [{to: erp}]
`, []string{
		`read.totals.a b: "a b" cannot stand behind totals. in an expression: a name has letters, digits and _, and begins with no digit; write a_b`,
		`read.totals.a-b: "a-b" cannot stand behind totals. in an expression: a name has letters, digits and _, and begins with no digit; write a_b`,
		`read.totals.1st: "1st" cannot stand behind totals. in an expression: a name has letters, digits and _, and begins with no digit; write _1st`,
	}},
	{"a query's rows need a key", `
schedule: {cron: "0 * * * *"}
query: {connection: shop, sql: select 1, window: {back: 10m}}
send: [{to: erp}, {to: folder, each: window, name: x.csv, columns: [{title: A, value: =a +}]}]
`, []string{
		"query.window.key: is missing: windows overlap, so say what tells their rows apart",
		"send[0].key: is missing: rows of a query have no place of their own, so say what identifies one",
		"send[1].columns[0].value: *",
	}},
}

func TestCompileReportsEveryMistakeWithItsPath(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{"erp": "http", "bus": "amqp", "folder": "file"}
	for _, c := range wrong {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, problems := Compile("j", parseOptions(t, c.job), Environment{Destinations: kinds})
			if p != nil {
				t.Error("got a plan all the same")
			}
			var got []string
			for _, p := range problems {
				line := p.String()
				// what other packages say is theirs to test
				if slices.Contains(c.want, p.Path+": *") {
					if len(p.Text) < 10 {
						t.Errorf("%s: says too little", line)
					}
					line = p.Path + ": *"
				}
				got = append(got, line)
			}
			want := slices.Clone(c.want)
			slices.Sort(got)
			slices.Sort(want)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s\n%s", d, strings.Join(got, "\n"))
			}
		})
	}
}

func TestAMistakeInAnExpressionHasItsOffset(t *testing.T) {
	t.Parallel()
	_, problems := Compile("j", parseOptions(t, "receive: {source: s}\nread: {format: csv, fields: {n: {required: true}}}\nsend: [{to: a, body: {x: '=n + nothing'}}]"), Environment{})
	if len(problems) != 1 || problems[0].Path != "send[0].body.x" || problems[0].Offset != strings.Index("=n + nothing", "nothing") {
		t.Errorf("got %+v", problems)
	}
}
