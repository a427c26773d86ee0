package outbox

import (
	"fmt"
	"testing"
	"time"

	"waybill/store"
)

// What is asked of an outbox that has delivered 900,000 messages of 270,000 files, and of which 100,000 of 30,000 wait.
func BenchmarkAskALargeOutbox(b *testing.B) {
	db, err := store.Open(b.Context(), store.Options{Folder: b.TempDir(), AcceptDataLoss: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	o, err := New(db, Config{})
	if err != nil {
		b.Fatal(err)
	}
	now := store.Millis(time.Now())
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	must(db.Tx(b.Context(), func(tx *store.Tx) error {
		n, err := tx.Number(named, "erp")
		if err == nil {
			_, err = tx.Exec(`INSERT INTO batches (parent, token, destination, route, seq, first, count, state, answers, made, finished) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
				SELECT i, 1, ?, 'orders/0', 0, 0, 3, CASE WHEN i > 270000 THEN 'ready' ELSE 'done' END, '1', ?, CASE WHEN i > 270000 THEN NULL ELSE ? END FROM n`, n, now, now)
		}
		if err == nil {
			_, err = tx.Exec(`INSERT INTO payloads (batch, keys, frames) SELECT id, zeroblob(12), zeroblob(300) FROM batches`)
		}
		if err == nil {
			_, err = tx.Exec(`INSERT INTO answers (at, keys, frame) SELECT made, x'', zeroblob(5000) FROM batches WHERE id % 60 = 0`)
		}
		return err
	}))
	name := "erp"
	for _, c := range []struct {
		name string
		ask  func() error
	}{
		{"what waits", func() error { _, err := o.Waiting(b.Context()); return err }},
		{"batches of an entry", func() error { _, err := o.Batches(b.Context(), 777); return err }},
		{"dead letters", func() error { _, err := o.DeadLetters(b.Context(), DeadFilter{}); return err }},
		{"trace of what never was", func() error { _, err := o.Trace(b.Context(), "A-1001", 20); return err }},
		{"prune what is young", func() error { _, err := o.Prune(b.Context(), time.Hour); return err }},
		{"rename", func() error {
			was := name
			name = fmt.Sprint("erp", time.Now().UnixNano())
			return db.Tx(b.Context(), func(tx *store.Tx) error { return o.Rename(tx, was, name) })
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := c.ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
