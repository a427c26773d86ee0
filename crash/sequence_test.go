package crash_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// inSequence is a job whose files are numbered per shop.
const inSequence = `
data: %s
sources: {drop: {folder: {path: drop}, poll: 1s}}
destinations:
  api: {http: {url: %s}, concurrency: 1, retry: {pause: 20ms, longest: 200ms}}
jobs:
  sales:
    receive: {source: drop, files: "{shop}-{no}.csv"}
    read: {format: csv, fields: {sku: {required: true}}}
    check: {sequence: {value: '=integer(file.part.no)', per: =file.part.shop, first: 1}}
    send: [{to: api, path: /sales, key: [=file.part.shop, =file.part.no, =sku], body: {shop: =file.part.shop, no: =file.part.no, sku: =sku}}]
`

// ordering are the steps around judging, holding, accepting and resuming numbered files.
var ordering = [][]string{
	{"jobs/accepting"}, {"jobs/accepted"}, {"jobs/accepted:2"}, {"ledger/accepting:2"}, {"jobs/accepted", "jobs/accepted"},
}

// TestKilledBetweenNumberedFiles kills the daemon while numbered files arrive in order and out of it: each is worked once, none before the
// one before it, and none stays held.
func TestKilledBetweenNumberedFiles(t *testing.T) {
	t.Parallel()
	for _, at := range ordering {
		t.Run(strings.Join(at, " then "), func(t *testing.T) {
			t.Parallel()
			sequenceDeath(t, at)
		})
	}
}

func sequenceDeath(t *testing.T, at []string) {
	l := bare(t, inSequence, "drop", "events")
	const each = 5
	drop := func(shop string, numbers ...int) {
		for _, n := range numbers {
			l.must(os.WriteFile(l.path("drop", fmt.Sprintf("%s-%d.csv", shop, n)), fmt.Appendf(nil, "sku\n%s%d\n", shop, n), 0o600))
		}
	}
	drop("a", 1, 2)
	drop("b", 5, 3)
	l.die(at)
	drop("a", 5, 4)
	drop("b", 4, 2)
	p := l.serve("")
	p.until(func() bool { return l.states("sales", "held") == 6 }) // all that came too early
	drop("a", 3)
	drop("b", 1)
	p.until(l.drained)
	p.stop()
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
		for query, want := range map[string]int{
			`SELECT count(*) FROM entries`:                           2 * each,
			`SELECT count(*) FROM entries WHERE state = 'delivered'`: 2 * each,
			`SELECT count(*) FROM awaited`:                           0,
			`SELECT count(*) FROM sequences WHERE value = 5`:         2,
			`SELECT COALESCE(sum(count), 0) FROM batches`:            2 * each,
		} {
			var n int
			l.must(db.Reader(ctx).QueryRow(query).Scan(&n))
			if n != want {
				t.Errorf("%s: %d, want %d", query, n, want)
			}
		}
	})
	l.acceptedInOrder()
}

// acceptedInOrder compares the order in which files were accepted; that in which their messages arrive is nobody's promise.
func (l *landscape) acceptedInOrder() {
	l.t.Helper()
	accepted := map[byte]string{}
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
		rows, err := db.Reader(ctx).Query(`SELECT e.name FROM events v JOIN json_each(COALESCE(v.entries, json_array(v.entry))) j JOIN entries e ON e.id = j.value
			WHERE v.kind = 'accepted' ORDER BY v.id, j.key`)
		l.must(err)
		defer func() { _ = rows.Close() }() // only read
		for rows.Next() {
			var name string
			l.must(rows.Scan(&name))
			accepted[name[0]] += strings.TrimSuffix(name[len("a-"):], ".csv")
		}
		l.must(rows.Err())
	})
	if accepted['a'] != "12345" || accepted['b'] != "12345" {
		l.t.Errorf("accepted out of order, twice or not at all: %v", accepted)
	}
}
