package outbox

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"waybill/store"
)

// Waits between two tries at storing what there is no space for.
const (
	patienceFirst = 50 * time.Millisecond
	patienceMost  = 5 * time.Second
)

// patiently runs write in a transaction, again and again while there is no space for it or another process does not let us, until ctx
// ends. The first time it logs the complaint.
func (o *Outbox) patiently(ctx context.Context, log *slog.Logger, complaint string, write func(*store.Tx) error) error {
	for wait := patienceFirst; ; wait = min(2*wait, patienceMost) {
		err := o.db.Tx(context.Background(), write)
		if !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrBusy) {
			return err
		}
		if wait == patienceFirst {
			log.Error(complaint, "error", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-o.db.Failed():
		}
		timer.Stop()
		if ctx.Err() != nil || o.db.Err() != nil {
			return err
		}
	}
}
