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

func (o *Outbox) prune(ctx context.Context, keep time.Duration) (removed int64, err error) {
	before := store.Millis(o.now().Add(-keep))
	for ctx.Err() == nil {
		var n int64
		err := o.db.Tx(ctx, func(tx *store.Tx) (err error) {
			const old = `SELECT b.id FROM batches b WHERE b.state = 'done' AND b.settled = 0 AND b.finished < ?
				AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.batch = b.id AND d.state = 'open') ORDER BY b.id LIMIT ?`
			for _, from := range []string{`DELETE FROM payloads WHERE batch IN (`, `DELETE FROM dead_letters WHERE batch IN (`} {
				if _, err := tx.Exec(from+old+`)`, before, pruneMost); err != nil {
					return err
				}
			}
			n, err = tx.Exec(`DELETE FROM batches WHERE id IN (`+old+`)`, before, pruneMost)
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("remove delivered messages: %w", err)
		}
		removed += n
		if n < pruneMost {
			break
		}
	}
	err = o.db.Tx(ctx, func(tx *store.Tx) error {
		// Answers are younger than what they answer, so one that is older than all that is kept belongs to nothing.
		_, err := tx.Exec(`DELETE FROM answers WHERE at < ? AND at < (SELECT COALESCE(MIN(made), ?) FROM batches)`, before, before)
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("remove answers: %w", err)
	}
	return removed, nil
}
