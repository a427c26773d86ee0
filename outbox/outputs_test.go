package outbox

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"waybill/store"
)

// removals notes which objects are removed, and in how many transactions.
type removals struct {
	objects []int64
	in      map[*store.Tx]bool
}

func (r *removals) Open(context.Context, int64) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

func (r *removals) Remove(tx *store.Tx, objects ...int64) error {
	r.objects = append(r.objects, objects...)
	r.in[tx] = true
	return nil
}

// TestFilesOfRemovedMessagesGoInPages: a year's worth of them is no year's worth of commits; what another entry refers to, or messages are left of, stays.
func TestFilesOfRemovedMessagesGoInPages(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Options{Folder: t.TempDir(), AcceptDataLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	removed := &removals{in: map[*store.Tx]bool{}}
	o, err := New(db, Config{Bodies: removed})
	if err != nil {
		t.Fatal(err)
	}
	const many = 2*pruneMost + 50
	err = db.Tx(t.Context(), func(tx *store.Tx) error {
		for _, statement := range []string{
			`INSERT INTO outputs (object, parent, token) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, i, 1 FROM n`,
			`INSERT INTO outputs (object, parent, token) SELECT 7, ? + 1, 1`, // two refer to it
			`INSERT INTO batches (parent, token, destination, route, seq, first, count, state, made) SELECT p, 1, 1, 'r', 0, 0, 1, 'done', 0 FROM (SELECT 100 AS p UNION ALL SELECT ? + 1)`,
		} {
			if _, err := tx.Exec(statement, many); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if len(removed.objects) != many-2 || slices.Contains(removed.objects, 7) || slices.Contains(removed.objects, 100) || len(removed.in) > 3 {
		t.Errorf("%d objects are removed in %d transactions, want %d in 3, and neither 7 nor 100", len(removed.objects), len(removed.in), many-2)
	}
	left := map[int64]int64{}
	rows, err := db.Reader(t.Context()).Query(`SELECT object, parent FROM outputs`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var object, parent int64
		if err := rows.Scan(&object, &parent); err != nil {
			t.Fatal(err)
		}
		left[object] = parent
	}
	if err := rows.Err(); err != nil || len(left) != 2 || left[7] != many+1 || left[100] != 100 {
		t.Errorf("%v are left, %v", left, err)
	}
}
