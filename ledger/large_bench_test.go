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
