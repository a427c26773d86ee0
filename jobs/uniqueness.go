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

func (w *Worker) lookUp(tx *store.Tx, p *Plan, e ledger.Entry, k *UniqueKey) error {
	now := w.Now()
	var digest []byte
	// A replay meets the keys of the run it repeats, and those are its own.
	err := tx.QueryRow(`SELECT k.digest, k.entry FROM keys k JOIN entries e ON e.id = k.entry
		WHERE k.job = ? AND k.key = ? AND (k.until IS NULL OR k.until > ?) AND k.token = CASE WHEN e.id = ? THEN ? ELSE e.token END
		AND (e.id = ? OR e.state IN ('accepted', 'delivered', 'failed')) AND e.id <> ? AND (e.origin IS NULL OR e.origin <> ?) LIMIT 1`,
		p.name, k.Key[:], store.Millis(now), e.ID, e.Token, e.ID, e.Origin, first(e.Origin, -1)).Scan(&digest, &k.Entry)
	switch {
	case err == nil && bytes.Equal(digest, k.Digest[:]):
		k.Found = FoundSame
		return nil
	case err == nil:
		k.Found = FoundOther
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	k.Found = NotFound
	var until any
	if d := p.options.Check.Unique.For; d > 0 {
		until = store.Millis(now.Add(d))
	}
	_, err = tx.Exec(`INSERT INTO keys (job, key, digest, entry, record, token, until) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (job, key, token) DO NOTHING`, p.name, k.Key[:], k.Digest[:], e.ID, k.Record, e.Token, until)
	return err
}
