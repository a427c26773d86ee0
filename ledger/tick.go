package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill/failpoint"
	"waybill/store"
)

// WindowMark is the name of the mark at which the window of a job's next tick begins.
const WindowMark = "window"

// Tick makes the entry of a job's due instant, once: made is false when it is there already, also when retention has
// removed it since. In the same transaction window is given the mark of the job (zero when it has none) and fixes
// [since, till); the mark moves to till. A window of zero times leaves the mark alone.
func (l *Ledger) Tick(ctx context.Context, job string, due time.Time, window func(mark time.Time) (since, till time.Time)) (e Entry, made bool, err error) {
	name := due.UTC().Format(time.RFC3339)
	identity := tickIdentity(name)
	err = l.db.Tx(ctx, func(tx *store.Tx) error {
		made = false
		if err := l.unchanged(tx); err != nil {
			return err
		}
		job = l.nameNow(Job, job)
		old, err := claimant(tx, job, identity)
		if err != nil || old != 0 {
			if e, err = entryByID(tx, old); errors.Is(err, store.ErrNotFound) {
				e, err = Entry{ID: old, Kind: OfTick, Job: job, Run: 1, Name: name, Identity: identity, State: Delivered}, nil
			}
			return err
		}
		mark, err := getMark(tx, job, WindowMark)
		if err != nil {
			return err
		}
		e = Entry{Kind: OfTick, Job: job, Run: 1, Name: name, Identity: identity, Verdict: Fresh, State: Received, Received: l.clock()}
		e.Since, e.Till = window(mark.At)
		if err := insertEntry(tx, &e); err != nil {
			return err
		}
		made = true
		if !e.Till.After(mark.At) { // the mark only moves on
			return nil
		}
		return l.SetMark(tx, job, WindowMark, Mark{At: e.Till})
	})
	failpoint.Hit("ledger/ticked")
	if err != nil {
		return Entry{}, false, fmt.Errorf("tick of %s at %s: %w", job, name, err)
	}
	return e, made, nil
}

func tickIdentity(name string) string { return "tick:" + name }

// claimant returns the entry that has an identity, 0 when it is free.
func claimant(r store.Reader, job, identity string) (int64, error) {
	var id int64
	err := r.QueryRow(`SELECT id FROM entries WHERE job = `+ofJob+` AND identity = ? UNION ALL SELECT entry FROM identities WHERE job = `+ofJob+` AND identity = ? LIMIT 1`,
		job, identity, job, identity).Scan(&id)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return id, err
}

// A Mark is what a job remembers from one entry to the next: where a window or a sequence stands.
type Mark struct {
	At   time.Time // to the millisecond
	Text string
}

// Mark returns a mark of a job, the zero Mark when it is not set.
func (l *Ledger) Mark(ctx context.Context, job, name string) (Mark, error) {
	m, err := getMark(l.db.Reader(ctx), job, name)
	if err != nil {
		return m, fmt.Errorf("mark %s of %s: %w", name, job, err)
	}
	return m, nil
}

func getMark(r store.Reader, job, name string) (Mark, error) {
	var m Mark
	var at int64
	err := r.QueryRow(`SELECT at, text FROM marks WHERE job = ? AND name = ?`, job, name).Scan(&at, &m.Text)
	if errors.Is(err, store.ErrNotFound) {
		return Mark{}, nil
	}
	m.At = orZero(at)
	return m, err
}

// SetMark sets a mark of a job in the caller's transaction.
func (l *Ledger) SetMark(tx *store.Tx, job, name string, m Mark) error {
	var at int64
	if !m.At.IsZero() {
		at = store.Millis(m.At)
	}
	_, err := tx.Exec(`INSERT INTO marks (job, name, at, text) VALUES (?, ?, ?, ?)
		ON CONFLICT (job, name) DO UPDATE SET at = excluded.at, text = excluded.text`, job, name, at, m.Text)
	if err != nil {
		return fmt.Errorf("set mark %s of %s: %w", name, job, err)
	}
	return nil
}
