package main

import (
	"context"
	"time"

	"waybill/ledger"
)

// overdueEvery is the time between two looks for entries that wait for their files for too long.
const overdueEvery = 10 * time.Second

// overdue tells of entries that have waited for files which belong to them for longer than receive.within, and rejects those that were held for the whole of a file that was
// cut off for longer than read.within.
func (d *daemon) overdue(ctx context.Context) error {
	tick := time.NewTicker(overdueEvery)
	defer tick.Stop()
	for {
		if err := whileAny(ctx, d.ledger.Overdue, func(e ledger.Entry) {
			d.log.Warn("a file has not come in time", "job", e.Job, "entry", e.ID, "file", e.Name, "reason", e.Reason)
		}); err != nil && ctx.Err() == nil {
			d.log.Error("cannot look for files that have not come", "error", err)
		}
		if err := whileAny(ctx, d.ledger.Expire, func(e ledger.Entry) {
			d.log.Warn("rejected", "job", e.Job, "entry", e.ID, "file", e.Name, "reason", e.Reason)
		}); err != nil && ctx.Err() == nil {
			d.log.Error("cannot reject what was held for its time", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// whileAny looks, a set at a time, for as long as anything is found: after an outage much may be due at once.
func whileAny(ctx context.Context, look func(context.Context) ([]ledger.Entry, error), tell func(ledger.Entry)) error {
	for ctx.Err() == nil {
		list, err := look(ctx)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			tell(e)
		}
	}
	return ctx.Err()
}
