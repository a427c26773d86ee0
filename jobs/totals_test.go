package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"waybill/ledger"
	"waybill/outbox"
)

// totalsJob shows its totals as the reason of a check that never holds.
const totalsJob = `
receive: {source: s}
read:
  format: csv
  fields:
    account: {}
    amount: {type: decimal, decimal: ","}
    n: {type: integer}
    day: {type: date}
    at: {type: datetime}
    net: {value: '=amount == nil ? nil : amount * 2', type: decimal}
  totals:
    lines: {count: records}
    TOTALS
check:
  allow_rejects: 9
  file: [{that: '=CLAIM', say: "no"}]
send: [{to: erp, body: {n: =n}}]
`

func totalled1(t *testing.T, totals, claim, file string) string {
	t.Helper()
	p := compile(t, strings.NewReplacer("TOTALS", totals, "CLAIM", claim).Replace(totalsJob))
	o, err := p.Run(context.Background(), input("f", "account,amount,n,day,at\n"+file), func(*Rendered) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if o.State == ledger.Rejected {
		return o.Reason
	}
	return string(o.State)
}

func TestTotalsAreLeastGreatestAndHashed(t *testing.T) {
	t.Parallel()
	const lines = `12-345 678 90,"12,50",7,2026-03-31,2026-03-31T01:30:00+02:00
FR76 3000 6000,"-3,1",-9,2026-01-05,2026-03-31T00:15:00+01:00
,"0,999",,,
`
	for _, c := range []struct{ name, totals, claim, file, want string }{
		{"least and greatest numbers", "a: {min: amount}\n    b: {max: amount}\n    c: {min: n}\n    d: {max: n}",
			`(totals.a ?? 0) == -3.1 && (totals.b ?? 0) == 12.5 && (totals.c ?? 0) == -9 && (totals.d ?? 0) == 7`, lines, "accepted"},
		{"of a computed field", "a: {max: net}", `(totals.a ?? 0) == 25`, lines, "accepted"},
		{"dates", "a: {min: day}\n    b: {max: day}", `totals.a != nil && totals.b != nil && totals.a == date("2026-01-05", "%Y-%m-%d") && totals.b > totals.a`, lines, "accepted"},
		{"instants, whatever their zone", "a: {min: at}\n    b: {max: at}", `totals.a != nil && totals.b != nil && format(totals.a, "%H:%M") == "00:15" && totals.b > totals.a`, lines, "accepted"},
		{"there is none of no values", "a: {min: amount}", `totals.a == nil && totals.lines == 1`, "1,,,,\n", "accepted"},
		{"a hash total", "h: {hash: account}", `totals.h == 1234567890 + 7630006000`, lines, "accepted"},
		{"the last digits of it", "h: {hash: account, digits: 4}", `totals.h == 3890`, lines, "accepted"},
		{"a remainder", "h: {hash: account, modulo: 97}", `totals.h == 8864573890 % 97`, lines, "accepted"},
		{"of decimals, as X12 has it", "h: {hash: amount}", `totals.h == 1855`, `,"0,0018",,,` + "\n" + `,"-0,18",,,` + "\n" + `,"1,8",,,` + "\n" + `,"18,01",,,` + "\n", "accepted"},
		{"long values", "h: {hash: account, digits: 18}", `totals.h == 1`, strings.Repeat("9", 40) + ",,,,\n2,,,,\n", "accepted"},
		{"more than an integer holds", "h: {hash: account}", `totals.h > 0`, strings.Repeat("9", 20) + ",,,,\n",
			"totals.h: the hash total is more than an integer holds: say with digits how many of its last digits count"},
		{"a sum of hashes that is more", "h: {hash: account}", `totals.h > 0`, strings.Repeat("18000000000000000000,,,,\n", 2),
			"totals.h: the hash total is more than an integer holds: say with digits how many of its last digits count"},
		{"of an empty file", "h: {hash: account}\n    a: {max: n}", `totals.h == 0 && totals.a == nil`, "", "delivered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := totalled1(t, c.totals, c.claim, c.file); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestAHashTotalIsThatOfLongArithmetic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringMatching(`[0-9A-F .-]{0,30}`), 1, 9).Draw(t, "texts")
		digits := rapid.IntRange(1, 18).Draw(t, "digits")
		of := total{does: hashes, over: 1}
		for range digits {
			of.over *= 10
		}
		var got tally
		var want []byte // decimal digits, least first
		for _, s := range texts {
			got.digits(&of, []byte(s))
			var carry, at byte
			for i := len(s) - 1; i >= 0 || carry > 0; i-- {
				d := carry
				if i >= 0 {
					if s[i] < '0' || s[i] > '9' {
						continue
					}
					d += s[i] - '0'
				}
				if int(at) == len(want) {
					want = append(want, 0)
				}
				d += want[at]
				want[at], carry, at = d%10, d/10, at+1
			}
		}
		n := uint64(0)
		for i := min(len(want), digits) - 1; i >= 0; i-- {
			n = 10*n + uint64(want[i])
		}
		if got.hash != n || got.much {
			t.Errorf("%d, want %d", got.hash, n)
		}
	})
}

func TestWhatIsWrongWithATotalIsTold(t *testing.T) {
	t.Parallel()
	const job = `
receive: {source: s}
read:
  format: csv
  fields: {a: {}, n: {type: integer}, f: {type: number}, b: {type: boolean}}
  totals: {t: TOTAL}
check: {file: [{that: '=totals.t != 1', say: x}]}
send: [{to: erp, body: {n: =n}}]
`
	for total, want := range map[string]string{
		"{sum: n, min: n}":                 "read.totals.t: is one of sum: FIELD, min: FIELD, max: FIELD, hash: FIELD and count: KIND",
		"{min: a}":                         "read.totals.t.min: a is text: an integer, a decimal, a date, a time or a datetime has a least one",
		"{max: f}":                         "read.totals.t.max: f is a number: an integer, a decimal, a date, a time or a datetime has a greatest one",
		"{hash: b}":                        "read.totals.t.hash: b is a boolean: the digits of a string, an integer or a decimal make a hash total",
		"{hash: x}":                        "read.totals.t.hash: there is no field x",
		"{hash: a, digits: 19}":            "read.totals.t.digits: 19: from 1 to 18 digits can count",
		"{hash: a, digits: 3, modulo: 97}": "read.totals.t.modulo: does not go with digits, which is the remainder by a power of ten",
		"{hash: a, modulo: 1}":             "read.totals.t.modulo: 1: write a number from 2 to 1000000000000000000",
		"{sum: n, digits: 3, modulo: 2}":   "read.totals.t.digits: goes with hash",
		"{count: records, modulo: 3}":      "read.totals.t.modulo: goes with hash",
	} {
		_, problems := Compile("orders", parseOptions(t, strings.Replace(job, "TOTAL", total, 1)), Environment{})
		if len(problems) == 0 || problems[0].String() != want {
			t.Errorf("%s: %v, want %s", total, problems, want)
		}
	}
}

// figuresJob tells the sender what his trailer and our sums say.
const figuresJob = `
receive: {source: in, files: "*.csv"}
read:
  format: csv
  kind: 1
  header: {kind: H, fields: {day: {column: 2, type: date}}}
  trailer: {kind: T, fields: {lines: {column: 2, type: integer}, amount: {column: 3, type: decimal}}}
  records: {line: {kind: L, fields: {no: {column: 2, required: true}, amount: {column: 3, type: decimal}}}}
  totals: {lines: {count: records}, amount: {sum: amount, of: line}, most: {max: amount, of: line}}
check:
  file: [{that: '=totals.amount == trailer.amount', say: "the trailer has another sum"}]
send: [{to: erp, for: line, key: =no, body: {no: =no}}]
acknowledge:
  - after: [accepted, rejected, duplicate]
    to: sender
    body:
      state: =outcome.state
      day: =header.day
      year: '=header.day == nil ? nil : year(header.day)'
      declared: {lines: =trailer.lines, amount: =trailer.amount}
      counted: {lines: =totals.lines, amount: =totals.amount, most: =totals.most}
`

func TestTheSenderIsToldWhatHisTrailerSaysAndWhatWasCounted(t *testing.T) {
	t.Parallel()
	const lines = "H,2026-03-31\nL,A-1,12.50\nL,A-2,0.10\n"
	p := newPlant(t, "orders", figuresJob)
	p.run()
	for _, c := range []struct{ name, file, want string }{
		{"good", lines + "T,2,12.60\n", `{"counted":{"amount":12.60,"lines":2,"most":12.50},"day":"2026-03-31","declared":{"amount":12.60,"lines":2},"state":"accepted","year":2026}`},
		{"bad", lines + "T,2,12.61\n", `{"counted":{"amount":12.60,"lines":2,"most":12.50},"day":"2026-03-31","declared":{"amount":12.61,"lines":2},"state":"rejected","year":2026}`},
		{"cut", lines, `{"counted":{},"day":"2026-03-31","declared":{},"state":"rejected","year":2026}`},
		{"no header", "L,A-1,12.50\n", `{"counted":{},"declared":{},"state":"rejected"}`},
	} {
		id := p.drop("acme", c.name+".csv", c.file)
		p.await(id, ledger.Delivered, ledger.Rejected)
		if d := cmp.Diff(c.want, p.told(id)); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, d)
		}
	}
	again := p.drop("acme", "good.csv", lines+"T,2,12.60\n")
	p.await(again, ledger.Duplicate)
	if got := p.told(again); got != `{"counted":{},"declared":{},"state":"duplicate"}` {
		t.Error(got)
	}
	in := input("f.csv", lines+"T,2,12.60\n")
	trial, err := p.worker.Jobs().Plans[0].Try(t.Context(), in, 1)
	if err != nil || len(trial.Told) != 1 || canonicalJSON(t, trial.Told[0].Body) != `{"counted":{"amount":12.60,"lines":2,"most":12.50},"day":"2026-03-31","declared":{"amount":12.60,"lines":2},"state":"accepted","year":2026}` {
		t.Errorf("%s %v", trial.Told, err)
	}
}

// told is the one acknowledgement of an entry, its members in the order of their names.
func (p *plant) told(entry int64) string {
	p.t.Helper()
	var got []outbox.Message
	p.until(func() bool {
		p.sender.mu.Lock()
		defer p.sender.mu.Unlock()
		got = got[:0]
		for _, m := range p.sender.got {
			if strings.Contains(m.Header(":name"), fmt.Sprintf(".%d.ack.json", entry)) {
				got = append(got, m)
			}
		}
		return len(got) > 0
	}, func() string { return "there is no acknowledgement" })
	if len(got) != 1 {
		p.t.Errorf("%d acknowledgements", len(got))
	}
	return canonicalJSON(p.t, got[0].Body)
}

func canonicalJSON(t testing.TB, body []byte) string {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		t.Fatal(err)
	}
	for name, v := range raw {
		var inner map[string]json.RawMessage
		if json.Unmarshal(v, &inner) == nil {
			raw[name], _ = json.Marshal(inner)
		}
	}
	b, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFiguresKeptUnderAnotherConfigurationAreAbsent(t *testing.T) {
	t.Parallel()
	p := compile(t, figuresJob)
	a := Acknowledgement{State: ledger.Accepted, Partner: "acme", figures: `{"header":{"day":"2026-03-31"},"trailer":{"lines":"many"},"totals":{"lines":2}}`}
	in := input("f.csv", "")
	list, err := p.acknowledgements(&a, &in, 1)
	if err == nil || !strings.Contains(err.Error(), "what stood around the records was kept under another configuration: trailer: lines: an integer is needed, not text") {
		t.Error(err)
	}
	if len(list) != 1 || canonicalJSON(t, list[0].Body) != `{"counted":{"lines":2},"day":"2026-03-31","declared":{},"state":"accepted","year":2026}` {
		t.Errorf("%v", list)
	}
}
