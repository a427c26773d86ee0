package outbox

import (
	"context"
	"errors"
	"fmt"

	"waybill/store"
)

// Files that a job wrote for its messages lie in the spool. The rows of outputs say which entries refer to them: that of
// the entry they were written for, and one for each replay that sends them again. An object goes with its last row, and a
// row goes with the messages of its entry, or when the entry comes to nothing.

// Keep takes note, in the transaction that keeps the object, that messages of the lot will refer to it. Discard removes it again.
func (l *Lot) Keep(tx *store.Tx, object int64) error {
	if err := l.guard(tx); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO outputs (object, parent, token) VALUES (?, ?, ?) ON CONFLICT (object, parent) DO UPDATE SET token = excluded.token`,
		object, l.parent, l.token)
	if err == nil {
		l.outputs++
	}
	return err
}

// ErrNoBytes says that retention has removed the bytes of a message.
var ErrNoBytes = errors.New("its bytes were removed by retention")

// share has the lot refer to the object of a message that is copied from another parent.
func (l *Lot) share(ctx context.Context, object, from int64) error {
	return l.out.db.Tx(ctx, func(tx *store.Tx) error {
		var there, kept int64
		err := tx.QueryRow(`SELECT o.id, EXISTS (SELECT 1 FROM outputs WHERE object = o.id AND parent = ?) FROM objects o WHERE o.id = ?`, from, object).Scan(&there, &kept)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return ErrNoBytes
		case err != nil || kept == 0: // the file's own bytes, which the ledger keeps
			return err
		}
		return l.Keep(tx, object)
	})
}

// dropOutputs removes the outputs of parent written under another token than keep, with the objects that nothing else refers to.
func (o *Outbox) dropOutputs(tx *store.Tx, parent, keep int64) error {
	return o.dropRows(tx, `SELECT object, parent FROM outputs WHERE parent = ? AND token <> ?`, parent, keep)
}

func (o *Outbox) dropRows(tx *store.Tx, query string, args ...any) error {
	type row struct{ object, parent int64 }
	var list []row
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.object, &r.parent); err != nil {
			return errors.Join(err, rows.Close())
		}
		list = append(list, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, r := range list {
		if _, err := tx.Exec(`DELETE FROM outputs WHERE object = ? AND parent = ?`, r.object, r.parent); err != nil {
			return err
		}
		var others int64
		if err := tx.QueryRow(`SELECT count(*) FROM outputs WHERE object = ?`, r.object).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			continue
		}
		if err := o.bodies.Remove(tx, r.object); err != nil {
			return err
		}
	}
	return nil
}

// tidy removes what entries left behind that came to an end without being worked again after a process was killed: staged batches, and outputs
// without messages.
func (o *Outbox) tidy(ctx context.Context) error {
	rows, err := o.db.Reader(ctx).Query(`SELECT DISTINCT b.parent FROM batches b WHERE b.state = 'staged'
		AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.id = b.parent AND e.state IN ('held', 'received', 'working'))`)
	if err != nil {
		return fmt.Errorf("look for staged messages: %w", err)
	}
	var parents []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return errors.Join(fmt.Errorf("look for staged messages: %w", err), rows.Close())
		}
		parents = append(parents, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("look for staged messages: %w", err)
	}
	for _, id := range parents {
		if err := o.DiscardStaged(ctx, id, 0); err != nil {
			return fmt.Errorf("remove staged messages of #%d: %w", id, err)
		}
	}
	if err := o.tidyOutputs(ctx); err != nil {
		return fmt.Errorf("remove files of removed messages: %w", err)
	}
	return nil
}

// idleOutputs are those of entries that have no messages and will have none.
const idleOutputs = `SELECT p.object, p.parent FROM outputs p WHERE p.object > ? AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.parent = p.parent)
	AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.id = p.parent AND e.state IN ('held', 'received', 'working', 'accepted'))`

// tidyOutputs removes idle outputs. All are looked at, in which nobody is to be kept from writing: so it looks for some before it takes hold, and looks at those again.
func (o *Outbox) tidyOutputs(ctx context.Context) error {
	for after := int64(0); ctx.Err() == nil; {
		idle, err := o.idle(ctx, after)
		if err != nil || len(idle) == 0 {
			return err
		}
		places, args := store.Set(idle)
		err = o.db.Tx(ctx, func(tx *store.Tx) error {
			return o.dropRows(tx, idleOutputs+` AND p.object IN `+places, append([]any{after}, args...)...)
		})
		if err != nil {
			return err
		}
		after = idle[len(idle)-1]
	}
	return nil
}

// idle returns the objects of up to pruneMost idle outputs after one, in order.
func (o *Outbox) idle(ctx context.Context, after int64) (objects []int64, err error) {
	rows, err := o.db.Reader(ctx).Query(idleOutputs+` ORDER BY p.object LIMIT ?`, after, pruneMost)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var object, parent int64
		if err := rows.Scan(&object, &parent); err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, rows.Err()
}
