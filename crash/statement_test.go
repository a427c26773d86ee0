package crash_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// asItWas is a landscape in miniature, and asItIs what becomes of it: everything has another name, and a job waits for fewer files.
const (
	asItWas = `
data: %s
log: {level: info, format: json}
sources: {drop: {folder: {path: drop}, poll: 1s}, sets: {folder: {path: sets}, poll: 1s}}
destinations:
  api: {http: {url: %s}, retry: {pause: 20ms, longest: 200ms}}
jobs:
  orders:
    receive: {source: drop, files: "*.edi"}
    identity: {by: name+content}
    read: {format: edifact, within: 1h, fields: {no: {from: BGM.2, required: true}}}
    send: [{to: api, path: /orders, body: {order: =no}}]
  sets:
    receive: {source: sets, files: "{no}_lines.csv", together: {header: {files: "{no}_head.csv", format: csv, fields: {customer: {}}}, trailer: {files: "{no}_end.csv", format: csv, fields: {count: {}}}}}
    read: {format: csv, fields: {line_no: {required: true}}}
    send: [{to: api, path: /sets, body: {line: =line_no, customer: =header.customer}}]
`
	asItIs = `
data: %s
log: {level: info, format: json}
sources: {inbox: {formerly: drop, folder: {path: drop}, poll: 1s}, parts: {formerly: sets, folder: {path: sets}, poll: 1s}}
destinations:
  shop: {formerly: api, http: {url: %s}, retry: {pause: 20ms, longest: 200ms}}
jobs:
  purchases:
    formerly: orders
    receive: {source: inbox, files: "*.edi"}
    identity: {by: name+content}
    read: {format: edifact, within: 1h, fields: {no: {from: BGM.2, required: true}}}
    send: [{to: shop, path: /orders, body: {order: =no}}]
  parts:
    formerly: sets
    receive: {source: parts, files: "{no}_lines.csv", together: {header: {files: "{no}_head.csv", format: csv, fields: {customer: {}}}}}
    read: {format: csv, fields: {line_no: {required: true}}}
    send: [{to: shop, path: /sets, body: {line: =line_no, customer: =header.customer}}]
`
	interchange = "UNA:+.? '\nUNB+UNOC:3+ME:14+YOU:14+260101:1200+77'UNH+1+ORDERS:D:96A:UN'BGM+220+A-1+9'UNT+3+1'UNZ+1+77'"
	cutOff      = "UNA:+.? '\nUNB+UNOC:3+ME:14+YOU:14+260101:1200+78'UNH+1+ORDERS:D:96A:UN'BGM+220+A-2+9'UNT+3+1'"
)

// TestKilledAtEveryStatementOfAStart kills the daemon at one statement after the other of a start that has much to change in the ledger: jobs, sources and a destination are
// renamed, what a job waits for is looked at again, and what was held for its time is rejected. Whichever it was, the next start completes it; and a file that came
// before comes again, and is known. Statements that are about to be run die here, and commits: the one that a transaction was killed at is as if it had not begun.
func TestKilledAtEveryStatementOfAStart(t *testing.T) {
	t.Parallel()
	const lanes = 4
	for lane := range lanes {
		t.Run(fmt.Sprint("from ", lane+1), func(t *testing.T) {
			t.Parallel()
			l := bare(t, asItWas, "drop", "sets")
			l.before()
			deaths := 0
			for n := lane + 1; l.diesAtStatement(n); n += lanes {
				deaths++
				if n > 2000 {
					t.Fatal("no start ends")
				}
			}
			if deaths < 10 {
				t.Errorf("only %d deaths", deaths)
			}
			t.Logf("%d deaths", deaths)
		})
	}
}

// before brings the landscape to where each death begins, and keeps that.
func (l *landscape) before() {
	l.t.Helper()
	for name, text := range map[string]string{"drop/good.edi": interchange, "drop/cut.edi": cutOff, "sets/1_lines.csv": "line_no\nL-1\n", "sets/1_head.csv": "customer\nC-1\n"} {
		l.must(os.WriteFile(l.path(name), []byte(text), 0o600))
	}
	p := l.serve("")
	p.until(func() bool {
		return l.tally(map[string]string{"orders": "SELECT count(*) FROM entries WHERE state = 'delivered'", "held": "SELECT count(*) FROM entries WHERE state = 'held'",
			"closed": "SELECT count(*) FROM files WHERE state = 'closed'"}) == "closed:1 held:2 orders:1"
	})
	p.stop()
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
		l.must(db.Tx(ctx, func(tx *store.Tx) error { // its time is over
			_, err := tx.Exec(`UPDATE entries SET due = 1 WHERE state = 'held' AND due <> 0`)
			return err
		}))
	})
	l.must(os.WriteFile(l.path("waybill.yaml"), fmt.Appendf(nil, asItIs, l.data, l.out.URL), 0o600))
	l.must(os.CopyFS(l.path("before"), os.DirFS(l.data)))
}

// diesAtStatement begins at what before has kept, and reports whether the daemon has died at its nth statement; then, and else, it sees to the end.
func (l *landscape) diesAtStatement(n int) bool {
	l.t.Helper()
	for _, folder := range []string{l.data, l.path("drop"), l.path("sets")} { // copies of the files that wait would be other versions of them
		l.must(os.RemoveAll(folder))
		l.must(os.Mkdir(folder, 0o700))
	}
	l.must(os.CopyFS(l.data, os.DirFS(l.path("before"))))
	l.must(os.WriteFile(l.path("drop", "good.edi"), []byte(interchange), 0o600))
	ends := func() bool { return l.tally(afterwards) == "again:1 jobs:2 open:0 rejected:1 sent:2" }
	p := l.serve(fmt.Sprintf("store/statement:%d", n))
	p.until(func() bool { return p.over() || p.ready() && ends() })
	died := p.over()
	if !died {
		p.kill()
	} else if !p.killed() {
		l.t.Fatalf("statement %d: the daemon ended by itself:\n%s", n, p.tail())
	}
	p = l.serve("")
	p.until(func() bool { return p.over() || ends() })
	p.stop()
	if got := l.tally(afterwards); got != "again:1 jobs:2 open:0 rejected:1 sent:2" {
		l.t.Errorf("statement %d: %s", n, got)
	}
	keys := map[string]bool{}
	for _, a := range l.out.arrivals() {
		keys[a.Key+" "+a.Body] = true
	}
	if len(keys) != 2 {
		l.t.Errorf("statement %d: %v, want two messages under one key each", n, slices.Sorted(maps.Keys(keys)))
	}
	return died
}

// afterwards is what is counted when all is done.
var afterwards = map[string]string{
	"again":    `SELECT count(*) FROM entries WHERE state = 'duplicate' AND job = (SELECT id FROM names WHERE kind = 'job' AND name = 'purchases')`,
	"jobs":     `SELECT count(DISTINCT job) FROM entries WHERE job IN (SELECT id FROM names WHERE kind = 'job' AND name IN ('purchases', 'parts'))`,
	"open":     `SELECT (SELECT count(*) FROM entries WHERE state NOT IN ('delivered', 'rejected', 'duplicate')) + (SELECT count(*) FROM files WHERE state <> 'closed') + (SELECT count(*) FROM incomplete)`,
	"rejected": `SELECT count(*) FROM entries WHERE state = 'rejected'`,
	"sent":     `SELECT count(*) FROM entries WHERE state = 'delivered'`,
}

// tally tells the numbers that queries give, by name.
func (l *landscape) tally(queries map[string]string) (text string) {
	l.t.Helper()
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
		for _, name := range slices.Sorted(maps.Keys(queries)) {
			var n int
			l.must(db.Reader(ctx).QueryRow(queries[name]).Scan(&n))
			if text != "" {
				text += " "
			}
			text += fmt.Sprintf("%s:%d", name, n)
		}
	})
	return text
}
