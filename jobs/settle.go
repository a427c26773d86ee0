package jobs

import (
	"context"
	"time"

	"waybill/failpoint"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/store"
)

// settle finishes entries whose messages are all confirmed or set aside, until ctx ends.
func (w *Worker) settle(ctx context.Context) {
	w.whenever(ctx, outbox.SettledTopic, func() (more bool) {
		n, err := w.Settle(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("cannot finish delivered entries", "error", err)
		}
		return n > 0 && err == nil
	})
}

// whenever does something when a topic wakes it, and now and then, until ctx ends; at once again while there is more to do.
func (w *Worker) whenever(ctx context.Context, topic string, do func() (more bool)) {
	woken, end := w.DB.Watch(topic)
	defer end()
	timer := time.NewTicker(idleLook)
	defer timer.Stop()
	for ctx.Err() == nil {
		if do() {
			continue
		}
		select {
		case <-ctx.Done():
		case <-w.DB.Failed():
			return
		case <-woken:
		case <-timer.C:
		}
	}
}

const settleMost = 200

// Settle finishes up to 200 entries whose lots have settled and returns how many.
func (w *Worker) Settle(ctx context.Context) (int, error) {
	lots, err := w.Outbox.Settled(ctx, settleMost)
	if err != nil || len(lots) == 0 {
		return 0, err
	}
	failpoint.Hit("jobs/settling")
	err = w.DB.Tx(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		still, err := w.Outbox.Finished(tx, lots)
		if err != nil {
			return err
		}
		results := make([]ledger.Finish, 0, len(still))
		for _, l := range still {
			if l.Parent > 0 { // no entry waits for its acknowledgements
				results = append(results, ledger.Finish{Entry: l.Parent, Dead: l.Dead})
			}
		}
		return w.Ledger.Finish(tx, results)
	})
	failpoint.Hit("jobs/settled")
	return len(lots), err
}
