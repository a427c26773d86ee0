package ledger

import (
	"fmt"
	"testing"
	"time"

	"waybill/store"
)

// large is how many entries the ledgers of these benchmarks have.
const large = 300_000

// newLarge returns a ledger of one source and one job that has taken n files, which are delivered and closed.
func newLarge(b *testing.B, n int) *rig {
	b.Helper()
	r := newRig(b, orders())
	r.tx(func(tx *store.Tx) error { return r.fill(tx, "drop", "orders", n) })
	return r
}

// fill writes n files and entries at once.
func (r *rig) fill(tx *store.Tx, source, job string, n int) error {
	now := store.Millis(r.clock.now())
	from, err := tx.Number(Source, source)
	if err != nil {
		return err
	}
	of, err := tx.Number(Job, job)
	if err != nil {
		return err
	}
	const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)`
	_, err = tx.Exec(`INSERT INTO files (source, path, version, size, mtime, digest, state, reason, seen, landed, closed) `+numbers+`
		SELECT ?, CAST('orders_' || i || '.csv' AS BLOB), 'v' || i, 1000, 0, randomblob(32), 'closed', 'archived as done/orders_' || i || '.csv', ?, ?, ? FROM n`, n, from, now, now, now)
	if err == nil {
		_, err = tx.Exec(`INSERT INTO entries (kind, job, file, source, name, identity, verdict, state, records, messages, token, received, accepted, finished)
			SELECT 'file', ?, f.id, f.source, CAST(f.path AS TEXT), 'sha256:' || lower(hex(f.digest)), 'new', 'delivered', 10, 10, 4294967296 + f.id, ?, ?, ? FROM files f WHERE f.source = ?`,
			of, now, now, now, from)
	}
	return err
}

// What nobody else can write meanwhile is the longest that a rename keeps others waiting.
func BenchmarkRenameOfALargeJobAndSource(b *testing.B) {
	r := newLarge(b, large)
	job, source := "orders", "drop"
	var longest time.Duration
	for i := 0; b.Loop(); i++ {
		to := []Named{{Job, fmt.Sprint("orders", i), job}, {Source, fmt.Sprint("drop", i), source}}
		began := time.Now()
		if err := r.Adopt(ctx, to, noRows, func(Origins) {}); err != nil {
			b.Fatal(err)
		}
		longest = max(longest, time.Since(began))
		job, source = to[0].Name, to[1].Name
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
}

// What a person or a timer asks of a ledger with a long past. Where it writes, or could, nobody else does meanwhile.
func BenchmarkAskALargeLedger(b *testing.B) {
	r := newRig(b, orders())
	r.tx(func(tx *store.Tx) error { return r.fill(tx, "other", "exports", 1) })
	r.tx(func(tx *store.Tx) error { return r.fill(tx, "drop", "orders", large) })
	day := r.clock.now().Add(-24 * time.Hour)
	must := func(b *testing.B, n int, err error) {
		if err != nil {
			b.Fatal(n, err)
		}
	}
	list := func(f Filter) func(b *testing.B) {
		return func(b *testing.B) {
			es, err := r.List(ctx, f)
			must(b, len(es), err)
		}
	}
	for _, c := range []struct {
		name string
		ask  func(b *testing.B)
	}{
		{"list the newest", list(Filter{})},
		{"list of a job that has few", list(Filter{Jobs: []string{"exports"}})},
		{"list of jobs that have few", list(Filter{Jobs: []string{"exports", "none"}})},
		{"list of a state that few have", list(Filter{States: []State{Rejected}})},
		{"list of open states", list(Filter{States: []State{Held, Received, Failed}})},
		{"list of a source that has few", list(Filter{Source: "other"})},
		{"list of a partner that has none", list(Filter{Partner: "acme"})},
		{"list by text", list(Filter{Text: "nowhere"})},
		{"list since", list(Filter{Since: day})},
		{"show", func(b *testing.B) {
			_, err := r.Entry(ctx, 1)
			must(b, 0, err)
		}},
		{"why", func(b *testing.B) {
			s, err := r.Why(ctx, "in/orders_777.csv")
			must(b, len(s), err)
		}},
		{"why, of what never came", func(b *testing.B) {
			s, err := r.Why(ctx, "in/nothing.csv")
			must(b, len(s), err)
		}},
		{"status of a day in which all came", func(b *testing.B) {
			n, err := r.Counts(ctx, day)
			must(b, len(n), err)
		}},
		{"status of a day in which nothing came", func(b *testing.B) {
			n, err := r.Counts(ctx, r.clock.now().Add(time.Hour))
			must(b, len(n), err)
		}},
		{"next due", func(b *testing.B) {
			_, err := r.NextDue(ctx, "orders")
			must(b, 0, err)
		}},
		{"owing", func(b *testing.B) {
			n, err := r.Owing(ctx)
			must(b, len(n), err)
		}},
		{"mailboxes", func(b *testing.B) {
			n, err := r.Mailboxes(ctx)
			must(b, len(n), err)
		}},
		{"expire", func(b *testing.B) {
			es, err := r.Expire(ctx)
			must(b, len(es), err)
		}},
		{"overdue", func(b *testing.B) {
			es, err := r.Overdue(ctx)
			must(b, len(es), err)
		}},
		{"regather", func(b *testing.B) {
			must(b, 0, r.Regather(ctx, func(string) bool { return true }, func(Entry) {}))
		}},
		{"claim", func(b *testing.B) {
			for _, e := range r.claim("orders", setSize) {
				r.Release(e)
			}
		}},
		{"prune what is young", func(b *testing.B) {
			p, err := r.Prune(ctx, Retain{Files: time.Hour, Entries: time.Hour, Identities: time.Hour})
			must(b, int(p.Entries), err)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.ask(b)
			}
		})
	}
}
