package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"waybill/formats"
	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// panicsMost is how often an entry is worked when the job panics: that may be for want of something that is there the next time.
const panicsMost = 5

// A panicError is a panic of a plan.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the job panicked: %v\n%s", e.value, e.stack) }

// hopeless tells a failure that no later attempt can mend: it returns why the entry is to be held until a person has looked at it, and ""
// when it is to be tried again.
func hopeless(e ledger.Entry, err error) string {
	var damaged *spool.CorruptError
	var panicked *panicError
	var unwritable *formats.ValueError
	switch {
	case errors.As(err, &unwritable):
		return unwritable.Error()
	case errors.As(err, &damaged):
		return damaged.Error()
	case errors.Is(err, store.ErrNotFound):
		return fmt.Sprintf("what it is made of is not kept any more (%v): cancel it, and have the file sent again", err)
	case errors.As(err, &panicked) && e.Attempts+1 >= panicsMost:
		what, _, _ := strings.Cut(fmt.Sprint(panicked.value), "\n") // of a goroutine of its own it has a stack behind it, for the log
		return fmt.Sprintf("the job panicked at attempt %d: %s: mend the job or the file, or report it as a mistake of waybill; approve works it once more", e.Attempts+1, what)
	}
	return ""
}

// hold makes done the piece of an entry that cannot be worked, and reports whether it has: else the entry is to be tried again.
func (w *Worker) hold(ctx context.Context, p *Plan, done *piece, err error) bool {
	if ctx.Err() != nil || errors.Is(err, ledger.ErrGone) {
		return false
	}
	reason := hopeless(done.entry, err)
	if reason == "" {
		return false
	}
	w.Log.Error("an entry cannot be worked, it is held", "job", p.name, "entry", done.entry.ID, "error", err)
	done.outcome = ledger.Outcome{State: ledger.Held, Reason: reason, Config: p.config}
	done.after, done.told = ledger.Held, "it cannot be worked at present, for a reason that does not lie with the file"
	return true
}
