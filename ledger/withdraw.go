package ledger

import (
	"context"
	"errors"
	"fmt"

	"waybill/store"
)

// ErrTaken says that a file cannot be withdrawn any more; compare with errors.Is.
var ErrTaken = errors.New("it cannot be withdrawn any more")

// A TakenError says why a file cannot be withdrawn. It is [ErrTaken].
type TakenError struct {
	Entry int64
	State State
}

func (e *TakenError) Error() string {
	if e.State.final() || e.State == Failed {
		return fmt.Sprintf("it has been processed already (#%d is %s)", e.Entry, e.State)
	}
	return fmt.Sprintf("it is being processed already (#%d is %s)", e.Entry, e.State)
}

// Is makes it ErrTaken.
func (e *TakenError) Is(target error) bool { return target == ErrTaken }

// Withdraw takes back what waits under a path, all versions of it: its entries are cancelled, which frees their identities, and the files
// are closed. It does so whole or not at all: when an entry has gone further than received, the error is a [*TakenError]; ErrNotFound when
// nothing waits there. Whoever works on an entry meanwhile gets ErrGone.
func (l *Ledger) Withdraw(ctx context.Context, m Mailbox, path, by string, note *Event) error {
	by = Shown(by)
	err := l.db.Tx(ctx, func(tx *store.Tx) error {
		now := l.clock()
		files, err := collect(tx, scanFile, `SELECT `+fileColumns+` FROM files f WHERE f.source = `+ofSource+` AND f.path = ? AND `+waits+` ORDER BY f.id`,
			l.nameNow(Source, m.Source), m.path(path), m.Trial)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return ErrNotFound
		}
		for _, f := range files {
			if err := l.withdraw(tx, f, by, note); err != nil {
				return err
			}
			if _, err := tx.Exec(`UPDATE files SET state = 'closed', reason = ?, closed = ? WHERE id = ?`, "withdrawn by "+by, store.Millis(now), f.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("withdraw %s of %s: %w", Shown(path), m.Partner, err)
	}
	return nil
}

// withdraw cancels the entries of one file.
func (l *Ledger) withdraw(tx *store.Tx, f File, by string, note *Event) error {
	now := l.clock()
	list, err := entriesWith(tx, f.ID, "")
	if err != nil {
		return err
	}
	var open []Entry
	for _, e := range list {
		switch e.State {
		case Held, Received:
			open = append(open, e)
		case Duplicate, Rejected, Cancelled: // nothing was made of it
		default:
			return &TakenError{Entry: e.ID, State: e.State}
		}
	}
	for _, e := range open {
		if _, err := tx.Exec(`UPDATE entries SET state = 'cancelled', reason = ?, identity = NULL, finished = ? WHERE id = ?`,
			"withdrawn by "+by, store.Millis(now), e.ID); err != nil {
			return err
		}
		if err := l.disband(tx, now, e, f.ID); err != nil {
			return err
		}
	}
	return l.noteFor(tx, note, now, open)
}
