package outbox

import (
	"strings"
	"testing"
)

// What is claimed is found by the index of what is ready, whatever has been delivered.
func TestWhatIsReadyIsFoundByItsIndex(t *testing.T) {
	t.Parallel()
	l := openBox(t, newReceiver(func(Message, int) error { return nil }), quick)
	for _, query := range []string{
		`SELECT b.id FROM batches b JOIN payloads p ON p.batch = b.id WHERE b.destination = ` + ofDestination + ` AND b.state = 'ready' AND b.id >= ? ORDER BY b.id LIMIT 1`,
		`SELECT count, done FROM batches WHERE destination = ` + ofDestination + ` AND state = 'ready' AND 1 = ?`,
	} {
		rows, err := l.db.Reader(t.Context()).Query("EXPLAIN QUERY PLAN "+query, "erp", 1)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, step)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, "batches_ready (destination=?") || strings.Contains(text, "TEMP B-TREE") || strings.Contains(text, "SCAN") {
			t.Errorf("%s:\n%s", query, text)
		}
	}
}
