package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill/failpoint"
	"waybill/store"
)

// An Owed is an acknowledgement that is to be made: its row is written by the transaction that brings the entry to a state, and removed
// by the one that puts the acknowledgement into the outbox.
type Owed struct {
	ID      int64 // rises, and never comes again
	Entry   int64
	Job     string
	After   State  // Accepted, Rejected, Held or Duplicate
	Reason  string // of that, for the partner
	Figures string // of the outcome
	At      time.Time
}

// Owe takes note, in the transaction that brings an entry to a state, that its sender is to be told. Figures are those of the outcome, "" where nothing was read.
func (l *Ledger) Owe(tx *store.Tx, e Entry, after State, reason, figures string) error {
	_, err := tx.Exec(`INSERT INTO owed (entry, after, reason, figures, at) VALUES (?, ?, ?, ?, ?)`,
		e.ID, after, cut(reason, 4000), figures, store.Millis(l.clock()))
	if err != nil {
		return fmt.Errorf("owe the sender of #%d word: %w", e.ID, err)
	}
	failpoint.Hit("ledger/owed")
	tx.Notify(TopicOwed)
	return nil
}

const owedColumns = `SELECT o.id, o.entry, COALESCE((SELECT ` + jobName + ` FROM entries e WHERE e.id = o.entry), ''), o.after, o.reason, o.figures, o.at FROM owed o`

func scanOwed(scan func(...any) error) (o Owed, err error) {
	var at int64
	err = scan(&o.ID, &o.Entry, &o.Job, &o.After, &o.Reason, &o.Figures, &at)
	o.At = store.Time(at)
	return o, err
}

// Owed returns up to n acknowledgements that are to be made, with a greater id than after, the oldest first.
func (l *Ledger) Owed(ctx context.Context, after int64, n int) ([]Owed, error) {
	list, err := collect(l.db.Reader(ctx), scanOwed, owedColumns+` WHERE id > ? ORDER BY id LIMIT ?`, after, n)
	if err != nil {
		return nil, fmt.Errorf("look for acknowledgements to be made: %w", err)
	}
	return list, nil
}

// OwedOf returns the acknowledgements of an entry that are still to be made.
func (l *Ledger) OwedOf(ctx context.Context, entry int64) ([]Owed, error) {
	list, err := collect(l.db.Reader(ctx), scanOwed, owedColumns+` WHERE entry = ? ORDER BY id`, entry)
	if err != nil {
		return nil, fmt.Errorf("acknowledgements to be made of #%d: %w", entry, err)
	}
	return list, nil
}

// Owing counts the acknowledgements that are to be made, by job.
func (l *Ledger) Owing(ctx context.Context) (map[string]int64, error) {
	type count struct {
		job string
		n   int64
	}
	list, err := collect(l.db.Reader(ctx), func(scan func(...any) error) (c count, err error) {
		err = scan(&c.job, &c.n)
		return c, err
	}, `SELECT `+jobName+`, COUNT(*) FROM owed o JOIN entries e ON e.id = o.entry GROUP BY e.job`)
	if err != nil {
		return nil, fmt.Errorf("count acknowledgements to be made: %w", err)
	}
	owing := map[string]int64{}
	for _, c := range list {
		owing[c.job] = c.n
	}
	return owing, nil
}

// Paid removes what is owed, in the transaction that puts it into the outbox.
func (l *Ledger) Paid(tx *store.Tx, o Owed) error {
	n, err := tx.Exec(`DELETE FROM owed WHERE id = ?`, o.ID)
	if err == nil && n == 0 {
		err = ErrGone
	}
	if err != nil {
		return fmt.Errorf("take off what is owed for #%d: %w", o.Entry, err)
	}
	return nil
}

// Waive removes what is owed without telling the sender, and says why in the history of the entry.
func (l *Ledger) Waive(ctx context.Context, o Owed, why string) error {
	return l.db.Tx(ctx, func(tx *store.Tx) error {
		if err := l.Paid(tx, o); err != nil {
			return err
		}
		return l.Record(tx, Event{Kind: "unacknowledged", Entry: o.Entry, Detail: map[string]any{"after": o.After, "reason": cut(why, 1000)}})
	})
}

// Told returns what the sender was last told of the runs of an entry before this one: what they came to, "" for the first.
func (l *Ledger) Told(tx *store.Tx, e Entry) (State, error) {
	if e.Origin == 0 {
		return "", nil
	}
	var s State
	err := tx.QueryRow(`SELECT state FROM entries WHERE (id = ? OR origin = ?) AND run < ? ORDER BY run DESC LIMIT 1`, e.Origin, e.Origin, e.Run).Scan(&s)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil // retention has removed it
	}
	if s == Delivered || s == Failed {
		s = Accepted
	}
	return s, err
}
