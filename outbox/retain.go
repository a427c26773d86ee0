package outbox

import (
	"context"
	"fmt"
	"time"

	"waybill/store"
)

// pruneMost is how many batches one transaction of Prune removes.
const pruneMost = 100

// Prune removes batches that were done longer than keep ago, with their payloads and answers; 0 keeps all. Those with open
// dead letters stay, for these are to be mended and sent again. Files that jobs wrote go with the messages of their entry, and what
// killed processes left of entries that came to nothing goes whatever keep is. It returns how many batches it removed.
func (o *Outbox) Prune(ctx context.Context, keep time.Duration) (removed int64, err error) {
	if keep > 0 {
		if removed, err = o.prune(ctx, keep); err != nil {
			return removed, err
		}
	}
	return removed, o.tidy(ctx)
}

// old returns up to pruneMost batches with a larger id than after that were finished before, oldest first. It reads only, so
// that looking holds nobody up.
func (o *Outbox) old(ctx context.Context, before, after int64) (ids []int64, err error) {
	rows, err := o.db.Reader(ctx).Query(`SELECT id FROM batches WHERE state = 'done' AND settled = 0 AND finished < ? AND id > ?
		ORDER BY id LIMIT ?`, before, after, pruneMost)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// remove deletes those of ids that have no open dead letter, with all that belongs to them.
func (o *Outbox) remove(ctx context.Context, ids []int64) (n int64, err error) {
	places, args := store.Set(ids)
	free := `(SELECT b.id FROM batches b WHERE b.id IN ` + places + ` AND b.state = 'done' AND b.settled = 0
		AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.batch = b.id AND d.state = 'open'))`
	err = o.db.Tx(ctx, func(tx *store.Tx) (err error) {
		for _, from := range []string{`DELETE FROM payloads WHERE batch IN `, `DELETE FROM dead_letters WHERE batch IN `} {
			if _, err := tx.Exec(from+free, args...); err != nil {
				return err
			}
		}
		n, err = tx.Exec(`DELETE FROM batches WHERE id IN `+free, args...)
		return err
	})
	return n, err
}

func (o *Outbox) prune(ctx context.Context, keep time.Duration) (removed int64, err error) {
	before := store.Millis(o.now().Add(-keep))
	for after := int64(0); ctx.Err() == nil; {
		ids, err := o.old(ctx, before, after)
		if err != nil {
			return removed, fmt.Errorf("remove delivered messages: %w", err)
		}
		if len(ids) == 0 {
			break
		}
		after = ids[len(ids)-1]
		n, err := o.remove(ctx, ids)
		if err != nil {
			return removed, fmt.Errorf("remove delivered messages: %w", err)
		}
		removed += n
	}
	if err := o.pruneAnswers(ctx, before); err != nil {
		return removed, fmt.Errorf("remove answers: %w", err)
	}
	return removed, nil
}

// pruneAnswers removes the oldest answers. They are younger than what they answer, so one that is older than all that is kept belongs to nothing.
func (o *Outbox) pruneAnswers(ctx context.Context, before int64) error {
	var oldest int64
	err := o.db.Reader(ctx).QueryRow(`SELECT COALESCE((SELECT made FROM batches ORDER BY id LIMIT 1), ?)`, before).Scan(&oldest)
	for n := int64(pruneMost); err == nil && n == pruneMost && ctx.Err() == nil; {
		err = o.db.Tx(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM answers WHERE id IN (SELECT a.id FROM (SELECT id, at FROM answers ORDER BY id LIMIT ?) a WHERE a.at < ?)`, pruneMost, min(before, oldest))
			return err
		})
	}
	return err
}
