package ledger

import (
	"context"
	"fmt"
	"slices"

	"waybill/store"
)

// Refuse notes that an arrival was turned away at the door, so that its sender knows that it is not here: its name, size and reason are kept,
// no bytes. Each job that would take it has an entry for it, rejected with that reason; where there is none, the event tells. It frees
// or claims no identity. The entries are returned.
func (l *Ledger) Refuse(ctx context.Context, a Arrival, reason string, note *Event) ([]Entry, error) {
	if a.Kind == "" {
		a.Kind = OfFile
	}
	reason = cut(onLine(reason), 1000)
	var list []Entry
	err := l.db.Tx(ctx, func(tx *store.Tx) error {
		list = nil
		now := l.clock()
		a.Source = l.nameNow(Source, a.Source)
		source, err := tx.Number(Source, a.Source)
		if err != nil {
			return err
		}
		file, err := tx.Insert(`INSERT INTO files (source, path, version, size, mtime, state, reason, seen, closed, partner, trial)
			VALUES (?, ?, ?, ?, ?, 'closed', ?, ?, ?, ?, ?)`,
			source, []byte(a.Path), a.Version, a.Size, modTime(a.ModTime), RefusedBecause+reason, store.Millis(now), store.Millis(now), a.Partner, a.Trial)
		if err != nil {
			return err
		}
		for _, p := range l.route(a) {
			e := Entry{Kind: a.Kind, Job: p.Job, Run: 1, File: file, Source: a.Source, Name: Shown(a.Path), Verdict: Fresh, State: Rejected,
				Reason: RefusedBecause + reason, Received: now, Finished: now, Partner: a.Partner, Trial: a.Trial}
			if err := insertEntry(tx, &e); err != nil {
				return err
			}
			if err := l.Record(tx, Event{At: now, Kind: string(Rejected), Entry: e.ID, Detail: map[string]any{"reason": e.Reason}}); err != nil {
				return err
			}
			if slices.Contains(p.Owes, Rejected) {
				if err := l.Owe(tx, e, Rejected, e.Reason, ""); err != nil {
					return err
				}
			}
			list = append(list, e)
		}
		return l.noteFor(tx, note, now, list)
	})
	if err != nil {
		return nil, fmt.Errorf("refuse %s from %s: %w", Shown(a.Path), a.Source, err)
	}
	return list, nil
}

// RefusedBecause is how the reason of what was turned away at the door begins.
const RefusedBecause = "refused at the door: "
