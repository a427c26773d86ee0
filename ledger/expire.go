package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"waybill/store"
)

const (
	endingQuery = `SELECT e.id FROM entries e WHERE e.state = 'held' AND e.due <> 0 AND e.due <= ? ORDER BY e.due LIMIT ?`

	// What has come in the place of an entry under the same name. Runs of the entry itself have its file.
	inPlaceQuery = `SELECT COALESCE(MIN(e.id), 0) FROM files f JOIN entries e ON e.file = f.id WHERE f.source = ` + ofSource + ` AND f.path = ? AND f.partner = ? AND f.id <> ?
		AND e.job = ` + ofJob + ` AND e.id > ? AND e.trial = 0 AND e.state NOT IN ('rejected', 'duplicate', 'cancelled')`

	// What is held for a time under the name of one that has come.
	supersedeQuery = `UPDATE entries SET due = ? WHERE state = 'held' AND due > ? AND job = ` + ofJob + ` AND id < ?
		AND file IN (SELECT id FROM files WHERE source = ` + ofSource + ` AND path = ? AND partner = ?)`
)

// Expire rejects entries that were held for a time, see [Outcome], when it has passed: with the reason they were held for, which is told to their senders as that of any
// reject is. Where another has come in the place of one it says so and tells nobody, who has heard of the other. It returns what it rejected. It may be repeated.
func (l *Ledger) Expire(ctx context.Context) (ended []Entry, err error) {
	now := l.clock()
	due, err := collect(l.db.Reader(ctx), scanID, endingQuery, store.Millis(now), 1)
	if err == nil && len(due) == 0 {
		return nil, nil
	}
	if err == nil {
		err = l.db.Tx(ctx, func(tx *store.Tx) error {
			ended = nil
			ids, err := collect(tx, scanID, endingQuery, store.Millis(now), setSize)
			for _, id := range ids {
				e, err := l.expire(tx, now, id)
				if err != nil {
					return fmt.Errorf("#%d: %w", id, err)
				}
				ended = append(ended, e)
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reject what was held for its time: %w", err)
	}
	return ended, nil
}

func (l *Ledger) expire(tx *store.Tx, now time.Time, id int64) (Entry, error) {
	e, err := entryByID(tx, id)
	if err != nil {
		return e, err
	}
	f, err := fileByID(tx, e.File)
	if err != nil {
		return e, err
	}
	other, err := inPlace(tx, e, f)
	if err != nil {
		return e, err
	}
	why := "; nothing came in its place in time"
	if other != 0 {
		why = fmt.Sprintf("; #%d came in its place", other)
	}
	e.Reason = cut(e.Reason, 3900) + why
	e.State, e.Hold, e.Identity, e.Due, e.Finished = Rejected, "", "", time.Time{}, now
	e.Rejects = 1
	if _, err := tx.Exec(`UPDATE entries SET state = 'rejected', reason = ?, hold = '', due = 0, identity = NULL, rejects = 1, finished = ? WHERE id = ?`,
		e.Reason, store.Millis(now), id); err != nil {
		return e, err
	}
	if _, err := tx.Exec(`DELETE FROM rejects WHERE entry = ?`, id); err != nil {
		return e, err
	}
	if err := keepRejects(tx, Entry{ID: id}, []Reject{{Reason: e.Reason}}); err != nil {
		return e, err
	}
	if other == 0 {
		if err := l.oweRejected(tx, e, f); err != nil {
			return e, err
		}
	}
	if err := l.Record(tx, Event{At: now, Kind: string(Rejected), Entry: id, Detail: map[string]any{"reason": e.Reason}}); err != nil {
		return e, err
	}
	return e, l.settle(tx, now, []int64{e.File})
}

// oweRejected takes note that the sender of a rejected entry is to be told, unless he was told the same of the run before it.
func (l *Ledger) oweRejected(tx *store.Tx, e Entry, f File) error {
	p, ok := l.policyOf(e, f)
	if !ok || !slices.Contains(p.Owes, Rejected) {
		return nil
	}
	before, err := l.Told(tx, e)
	if err != nil || before == Rejected {
		return err
	}
	return l.Owe(tx, e, Rejected, e.Reason, "")
}

// policyOf is what the job of an entry says of its file now, also one that takes nothing new; not ok when its names are other ones by now. A member belongs where its archive does.
func (l *Ledger) policyOf(e Entry, f File) (Policy, bool) {
	list := l.route(Arrival{Source: f.Source, Path: f.Archive(), Version: f.Version, Size: f.Size, ModTime: f.ModTime, Partner: f.Partner, Trial: f.Trial, Kind: e.Kind, Landed: true})
	i := slices.IndexFunc(list, func(p Policy) bool { return p.Job == e.Job })
	if i < 0 {
		return Policy{}, false
	}
	return list[i], true
}

// supersede has entries end at the next look that were held for a time under the name of one that has come: it takes their place. What is only tried takes nobody's.
func supersede(tx *store.Tx, now time.Time, e Entry, f File) error {
	if e.Trial || e.Verdict != Correction || e.State != Received && e.State != Held {
		return nil
	}
	_, err := tx.Exec(supersedeQuery, store.Millis(now), store.Millis(now), e.Job, e.ID, f.Source, []byte(f.Path), f.Partner)
	return err
}

// already has an entry end at the next look that is held for a time only now, after another has come in its place.
func already(tx *store.Tx, now time.Time, e Entry) error {
	f, err := fileByID(tx, e.File)
	if err != nil {
		return err
	}
	other, err := inPlace(tx, e, f)
	if err == nil && other != 0 {
		_, err = tx.Exec(`UPDATE entries SET due = ? WHERE id = ?`, store.Millis(now), e.ID)
	}
	return err
}

// inPlace is the first entry that has come in the place of another, 0 when none has.
func inPlace(tx *store.Tx, e Entry, f File) (other int64, err error) {
	err = tx.QueryRow(inPlaceQuery, f.Source, []byte(f.Path), f.Partner, f.ID, e.Job, e.ID).Scan(&other)
	return other, err
}
