package crash_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// inSets is a job whose entries are made of two files each, and one whose files have control files.
const inSets = `
data: %s
sources: {drop: {folder: {path: drop}}, days: {folder: {path: days}}}
destinations:
  api: {http: {url: %s}, retry: {pause: 20ms, longest: 200ms}}
jobs:
  orders:
    receive: {source: drop, files: "{no}_lines.csv", together: {header: {files: "{no}_head.csv", format: csv, fields: {customer: {}}}}}
    read: {format: csv, fields: {order_no: {required: true}}}
    send: [{to: api, path: /orders, key: =order_no, body: {order: =order_no, customer: =header.customer}}]
  days:
    receive: {source: days, files: "*.csv", companion: {name: "{stem}.ctl", format: csv, fields: {count: {type: integer}}}}
    read: {format: csv, fields: {order_no: {required: true}}, totals: {n: {count: records}}}
    check: {file: [{that: '=totals.n == companion.count', say: the counts differ}]}
    send: [{to: api, path: /days, key: =order_no, body: {order: =order_no, customer: '=text(companion.count)'}}]
`

// gathering are the steps from the first file of a set to its end; the last ones die once more on the way.
var gathering = [][]string{
	{"ledger/landing"}, {"ledger/landed"}, {"ledger/landed:2"}, {"ledger/gathering"}, {"ledger/gathering:2"}, {"watcher/landed"}, {"watcher/landed:2"},
	{"jobs/working"}, {"jobs/accepting"}, {"jobs/accepted"}, {"ledger/finishing"}, {"ledger/finished"}, {"watcher/closing"}, {"watcher/closed"}, {"ledger/closing"},
	{"ledger/gathering", "ledger/landed:2", "jobs/accepted"},
}

// TestKilledBetweenFilesThatBelongTogether kills the daemon between the files of a set, and between a file and its control file: each set is
// one entry, never half of one, and never two.
func TestKilledBetweenFilesThatBelongTogether(t *testing.T) {
	t.Parallel()
	for _, at := range gathering {
		t.Run(strings.Join(at, " then "), func(t *testing.T) {
			t.Parallel()
			gatherDeath(t, at)
		})
	}
}

func gatherDeath(t *testing.T, at []string) {
	l := bare(t, inSets, "drop", "days", "events")
	files := map[string]string{
		"drop/1_head.csv": "customer\nC-1\n", "drop/1_lines.csv": "order_no\nA-1\nA-2\n", "drop/2_lines.csv": "order_no\nB-1\n", "drop/2_head.csv": "customer\nC-2\n",
		"days/mon.csv": "order_no\nD-1\n", "days/mon.ctl": "count\n1\n", "days/tue.csv": "order_no\nE-1\n", "days/tue.ctl": "count\n2\n",
	}
	for name, text := range files {
		l.must(os.WriteFile(l.path(name), []byte(text), 0o600))
	}
	l.die(at)
	p := l.serve("")
	p.until(func() bool {
		for name := range files {
			if !l.gone(filepath.Split(name)) {
				return false
			}
		}
		return l.drained()
	})
	p.stop()
	bodies := map[string]bool{}
	for _, a := range l.out.arrivals() {
		bodies[a.Body] = true
	}
	want := []string{`{"order":"A-1","customer":"C-1"}`, `{"order":"A-2","customer":"C-1"}`, `{"order":"B-1","customer":"C-2"}`, `{"order":"D-1","customer":"1"}`}
	for _, body := range want {
		if !bodies[body] {
			t.Errorf("%s never arrived", body)
		}
	}
	if len(bodies) != len(want) {
		t.Errorf("%d messages arrived: %v", len(bodies), bodies)
	}
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
		for query, want := range map[string]int{
			`SELECT count(*) FROM entries`:                           4,
			`SELECT count(*) FROM entries WHERE state = 'delivered'`: 3,
			`SELECT count(*) FROM files WHERE state = 'closed'`:      8,
			`SELECT count(*) FROM companions`:                        4,
			`SELECT count(*) FROM incomplete`:                        0,
		} {
			var n int
			l.must(db.Reader(ctx).QueryRow(query).Scan(&n))
			if n != want {
				t.Errorf("%s: %d, want %d", query, n, want)
			}
		}
	})
	for _, name := range []string{"drop/done/1_head.csv", "drop/done/1_lines.csv", "days/done/mon.ctl", "days/failed/tue.csv", "days/failed/tue.ctl"} {
		if _, err := os.Stat(l.path(name)); err != nil {
			t.Error(err)
		}
	}
}
