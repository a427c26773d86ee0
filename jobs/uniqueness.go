package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"waybill/ledger"
	"waybill/store"
)

// uniqueness looks keys up among those of accepted entries and of this one, and keeps the new ones. A kept key
// counts once its entry is accepted, for it bears the token of the claim that was accepted: nothing is flipped then. Keys of
// entries that were rejected, or staged by a killed process, never count.
func (w *Worker) uniqueness(p *Plan, e ledger.Entry) Uniqueness {
	if p.unique == nil {
		return nil
	}
	return func(ctx context.Context, keys []UniqueKey) error {
		err := w.DB.Tx(ctx, func(tx *store.Tx) error {
			if err := w.Ledger.Working(tx, e); err != nil {
				return err
			}
			for i := range keys {
				if err := w.lookUp(tx, p, e, &keys[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("look up keys: %w", err)
		}
		return nil
	}
}

// knownKey finds the newest content of a key that counts. A replay meets the keys of the run it repeats, and those are its own, also when retention has removed
// that run. An entry that is gone was accepted, and removed by retention, which took the keys of all others with it.
const knownKey = `SELECT k.digest, k.entry FROM keys k LEFT JOIN entries e ON e.id = k.entry
	WHERE k.job = ? AND k.key = ? AND (k.until IS NULL OR k.until > ?) AND (e.id IS NULL AND k.entry <> ? OR e.id = ? AND k.token = ?
		OR e.id <> ? AND k.token = e.token AND e.trial = 0 AND e.state IN ('accepted', 'delivered', 'failed') AND e.id <> ? AND COALESCE(e.origin, 0) <> ?)
	ORDER BY k.token DESC LIMIT 1`

func (w *Worker) lookUp(tx *store.Tx, p *Plan, e ledger.Entry, k *UniqueKey) error {
	now := w.Now()
	origin := first(e.Origin, -1)
	var digest []byte
	err := tx.QueryRow(knownKey, p.origin, k.Key[:], store.Millis(now), origin, e.ID, e.Token, e.ID, origin, origin).Scan(&digest, &k.Entry)
	switch {
	case err == nil && bytes.Equal(digest, k.Digest[:]):
		k.Found = FoundSame
		return nil
	case err == nil:
		k.Found = FoundOther
		if p.unique.other != "process" {
			return nil
		}
	case errors.Is(err, store.ErrNotFound):
		k.Found = NotFound
	default:
		return err
	}
	// The new content stands beside the old, under a later token, so that it is gone again if this entry comes to nothing.
	var until any
	if d := p.options.Check.Unique.For; d > 0 {
		until = store.Millis(now.Add(d))
	}
	_, err = tx.Exec(`INSERT INTO keys (job, key, digest, entry, record, token, until) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (job, key, token) DO UPDATE SET digest = excluded.digest, record = excluded.record`,
		p.origin, k.Key[:], k.Digest[:], e.ID, k.Record, e.Token, until)
	return err
}

// dropKeys removes the keys that an entry has kept under any claim: it was not accepted.
func (w *Worker) dropKeys(ctx context.Context, e ledger.Entry) error {
	return w.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM keys WHERE entry = ?`, e.ID)
		return err
	})
}

// expireMost is how many keys one transaction of Expire removes.
const expireMost = 1000

// Expire removes the keys of check.unique whose time is over, and returns how many.
func (w *Worker) Expire(ctx context.Context) (removed int64, err error) {
	for n := int64(expireMost); n == expireMost; removed += n {
		err = w.DB.Tx(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM keys WHERE (job, key, token) IN (SELECT job, key, token FROM keys WHERE until <= ? ORDER BY until LIMIT ?)`,
				store.Millis(w.Now()), expireMost)
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("remove keys whose time is over: %w", err)
		}
	}
	return removed, nil
}
