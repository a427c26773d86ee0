package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill/store"
)

// pausedMark is the name of the mark of what is paused: a job ("job/NAME"), a source ("source/NAME") or a destination
// ("destination/NAME"; the outbox keeps these, as it pauses destinations by itself too).
const pausedMark = "paused"

// A Paused says that somebody paused a part of waybill.
type Paused struct {
	Subject string    `json:"subject"` // "job/NAME", "source/NAME", "destination/NAME"
	Why     string    `json:"why"`
	Since   time.Time `json:"since"`
}

// Pause pauses subject, in this and every later process, until Resume. It reports whether it was not paused before.
func (l *Ledger) Pause(ctx context.Context, subject, why, by string) (changed bool, err error) {
	err = l.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO marks (job, name, at, text) VALUES (?, ?, ?, ?) ON CONFLICT (job, name) DO NOTHING`,
			subject, pausedMark, store.Millis(l.clock()), why)
		if changed = n > 0; err != nil || !changed {
			return err
		}
		tx.Notify(TopicControls)
		return l.Record(tx, Event{Kind: "pause", Detail: map[string]any{"by": by, "subject": subject, "why": why}})
	})
	if err != nil {
		return false, fmt.Errorf("pause %s: %w", subject, err)
	}
	return changed, nil
}

// Resume ends Pause. It reports whether subject was paused.
func (l *Ledger) Resume(ctx context.Context, subject, by string) (changed bool, err error) {
	err = l.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM marks WHERE job = ? AND name = ?`, subject, pausedMark)
		if changed = n > 0; err != nil || !changed {
			return err
		}
		tx.Notify(TopicControls)
		tx.Notify(TopicEntries)
		return l.Record(tx, Event{Kind: "resume", Detail: map[string]any{"by": by, "subject": subject}})
	})
	if err != nil {
		return false, fmt.Errorf("resume %s: %w", subject, err)
	}
	return changed, nil
}

// IsPaused reports whether subject is paused.
func (l *Ledger) IsPaused(ctx context.Context, subject string) (bool, error) {
	var at int64
	err := l.db.Reader(ctx).QueryRow(`SELECT at FROM marks WHERE job = ? AND name = ?`, subject, pausedMark).Scan(&at)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("is %s paused: %w", subject, err)
	}
	return true, nil
}

// AllPaused returns everything that is paused, by subject.
func (l *Ledger) AllPaused(ctx context.Context) ([]Paused, error) {
	list, err := collect(l.db.Reader(ctx), func(scan func(...any) error) (Paused, error) {
		var p Paused
		var at int64
		err := scan(&p.Subject, &at, &p.Why)
		p.Since = store.Time(at)
		return p, err
	}, `SELECT job, at, text FROM marks WHERE name = ? ORDER BY job`, pausedMark)
	if err != nil {
		return nil, fmt.Errorf("what is paused: %w", err)
	}
	return list, nil
}
