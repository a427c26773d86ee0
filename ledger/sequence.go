package ledger

import (
	"context"
	"errors"
	"fmt"

	"waybill/store"
)

// A Sequence is how far the numbers of a job have come, for one of the things that it counts. It is written only by the transaction that
// accepts an entry.
type Sequence struct {
	Value int64 // the last number
	Entry int64 // which brought it; 0: none has come yet
}

// A Step takes a sequence on with an entry. What stands in Before is what the entry was judged by.
type Step struct {
	Key    []byte // of what is counted
	Per    string // the same for people
	Last   int64  // the greatest number that the entry has
	Before Sequence
}

// An Await is why an entry is held: numbers before its own are missing. It goes on by itself when Need has come.
type Await struct {
	Key  []byte
	Need int64
}

// errMoved says that somebody else took a sequence on meanwhile: the entry is to be judged anew.
var errMoved = errors.New("the sequence went on meanwhile")

// Sequence returns how far a sequence of a job has come.
func (l *Ledger) Sequence(ctx context.Context, job string, key []byte) (Sequence, error) {
	s, err := sequence(l.db.Reader(ctx), job, key)
	if err != nil {
		return s, fmt.Errorf("look up a sequence of job %s: %w", job, err)
	}
	return s, nil
}

func sequence(r store.Reader, job string, key []byte) (s Sequence, err error) {
	err = r.QueryRow(`SELECT value, entry FROM sequences WHERE job = ? AND key = ?`, job, key).Scan(&s.Value, &s.Entry)
	if errors.Is(err, store.ErrNotFound) {
		return Sequence{}, nil
	}
	return s, err
}

// Repeats reports whether a run of the same entry before e was accepted: e brings no number that was not counted.
func (l *Ledger) Repeats(ctx context.Context, e Entry) (bool, error) {
	if e.Origin == 0 {
		return false, nil
	}
	var n int64
	err := l.db.Reader(ctx).QueryRow(`SELECT COUNT(*) FROM entries WHERE (id = ? OR origin = ?) AND id <> ? AND trial = 0
		AND state IN ('accepted', 'delivered', 'failed')`, e.Origin, e.Origin, e.ID).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for runs before #%d: %w", e.ID, err)
	}
	return n > 0, nil
}

// Advance takes the sequences of a job on, in the transaction that accepts the entry, and lets those go on that were held for want of
// these numbers. It fails when a sequence is not where it was when the entry was judged. A sequence never goes back.
func (l *Ledger) Advance(tx *store.Tx, job string, e Entry, steps []Step) error {
	for _, s := range steps {
		if err := l.advance(tx, job, e, s); err != nil {
			return fmt.Errorf("take the sequence of #%d on: %w", e.ID, err)
		}
	}
	return nil
}

func (l *Ledger) advance(tx *store.Tx, job string, e Entry, s Step) error {
	now, err := sequence(tx, job, s.Key)
	switch {
	case err != nil:
		return err
	case now != s.Before:
		return errMoved
	case now.Entry != 0 && s.Last <= now.Value:
		return nil
	}
	_, err = tx.Exec(`INSERT INTO sequences (job, key, per, value, entry, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (job, key) DO UPDATE SET value = excluded.value, entry = excluded.entry, at = excluded.at`,
		job, s.Key, cut(Shown(s.Per), valueLimit), s.Last, e.ID, store.Millis(l.clock()))
	if err != nil {
		return err
	}
	waiting, err := collect(tx, scanID, `DELETE FROM awaited WHERE job = ? AND key = ? AND need <= ? RETURNING entry`, job, s.Key, s.Last)
	if err != nil {
		return err
	}
	for _, id := range waiting {
		if err := l.resume(tx, id, e, s); err != nil {
			return err
		}
	}
	return nil
}

// resume lets an entry go on that was held because a number before its own was missing.
func (l *Ledger) resume(tx *store.Tx, id int64, by Entry, s Step) error {
	e, err := entryByID(tx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (e.State != Held || id == by.ID) {
		return nil
	}
	if err != nil {
		return err
	}
	reason := ""
	if e.Rerender() {
		reason = e.anew()
	}
	if _, err := tx.Exec(`UPDATE entries SET state = 'received', reason = ?, hold = '', due = 0 WHERE id = ?`, reason, id); err != nil {
		return err
	}
	tx.Notify(TopicEntries)
	return l.Record(tx, Event{Kind: "resume", Entry: id, Detail: map[string]any{"because": fmt.Sprintf("number %d came with #%d", s.Last, by.ID), "held": e.Reason}})
}

// AwaitNumber notes, in the transaction that holds an entry, what it waits for. It fails when that has come since the
// entry was judged.
func (l *Ledger) AwaitNumber(tx *store.Tx, job string, e Entry, a Await) error {
	now, err := sequence(tx, job, a.Key)
	if err == nil && now.Entry != 0 && now.Value >= a.Need {
		err = errMoved // what it would wait for came meanwhile, and nobody would let it go on
	}
	if err == nil {
		_, err = tx.Exec(`DELETE FROM awaited WHERE entry = ?`, e.ID)
	}
	if err == nil {
		_, err = tx.Exec(`INSERT INTO awaited (job, key, need, entry) VALUES (?, ?, ?, ?)`, job, a.Key, a.Need, e.ID)
	}
	if err != nil {
		return fmt.Errorf("note what #%d waits for: %w", e.ID, err)
	}
	return nil
}
