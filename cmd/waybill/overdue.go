package main

import (
	"context"
	"time"
)

// overdueEvery is the time between two looks for entries that wait for their files for too long.
const overdueEvery = 10 * time.Second

// overdue tells of entries that have waited for files which belong to them for longer than receive.within, and rejects those that were held for the whole of a file that was
// cut off for longer than read.within.
func (d *daemon) overdue(ctx context.Context) error {
	tick := time.NewTicker(overdueEvery)
	defer tick.Stop()
	for {
		list, err := d.ledger.Overdue(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.Error("cannot look for files that have not come", "error", err)
		}
		for _, e := range list {
			d.log.Warn("a file has not come in time", "job", e.Job, "entry", e.ID, "file", e.Name, "reason", e.Reason)
		}
		if list, err = d.ledger.Expire(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("cannot reject what was held for its time", "error", err)
		}
		for _, e := range list {
			d.log.Warn("rejected", "job", e.Job, "entry", e.ID, "file", e.Name, "reason", e.Reason)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
