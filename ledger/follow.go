package ledger

import (
	"context"
	"fmt"
	"math"
)

// LastEvent returns the number of the newest event, 0 when there is none.
func (l *Ledger) LastEvent(ctx context.Context) (id int64, err error) {
	if err = l.db.Reader(ctx).QueryRow(`SELECT COALESCE(MAX(id), 0) FROM events`).Scan(&id); err != nil {
		return 0, fmt.Errorf("look for the newest event: %w", err)
	}
	return id, nil
}

// Events returns up to n events that came after one, oldest first: what is told to those who look on.
func (l *Ledger) Events(ctx context.Context, after int64, n int) ([]Event, error) {
	return l.events(ctx, "follow events", `WHERE id > ? ORDER BY id LIMIT ?`, after, n)
}

// EventsBack returns up to n events that came before one, newest first; before 0 it begins with the newest.
func (l *Ledger) EventsBack(ctx context.Context, before int64, n int) ([]Event, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return l.events(ctx, "look back at events", `WHERE id < ? ORDER BY id DESC LIMIT ?`, before, n)
}

func (l *Ledger) events(ctx context.Context, what, where string, from int64, n int) ([]Event, error) {
	rows, err := collect(l.db.Reader(ctx), scanEvent, `SELECT `+eventColumns+` FROM events `+where, from, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	list := make([]Event, len(rows))
	for i, r := range rows {
		if list[i], err = r.event(); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	return list, nil
}
