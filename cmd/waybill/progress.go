package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"waybill/jobs"
	"waybill/ledger"
	"waybill/store"
)

// When a run that looks on while another process works says what it waits for: the first time, and from then on.
const (
	tellFirst = time.Second
	tellAgain = 5 * time.Second
)

// tell says what the other process has still to do, and what may keep it from that: its configuration may lack the job.
func (r *runner) tell(ctx context.Context, h store.Holder) error {
	line, err := r.waits(ctx, h)
	if line != "" {
		r.said = line
		fmt.Fprint(r.p.diag, line)
	}
	return err
}

// tellLast tells what is waited for when the time for it is over, unless just that was told.
func (r *runner) tellLast(ctx context.Context, h store.Holder) error {
	line, err := r.waits(ctx, h)
	if line != r.said {
		fmt.Fprint(r.p.diag, line)
	}
	return err
}

// waits is what the first entry that waits waits for, "" when none does.
func (r *runner) waits(ctx context.Context, h store.Holder) (string, error) {
	for _, id := range r.entries {
		e, err := r.ledger.Entry(ctx, id)
		if err != nil {
			return "", err
		}
		do, hint := "", ""
		switch e.State {
		case ledger.Received:
			do, hint = "work", fmt.Sprintf("; if it never does, its configuration has no job %s: waybill reload", e.Job)
		case ledger.Working:
			do = "work"
		case ledger.Accepted:
			do = "deliver"
			t, err := r.told(ctx)
			if err != nil {
				return "", err
			}
			waits, err := r.awaits(ctx, t, id)
			if err != nil {
				return "", err
			}
			if len(waits) > 0 {
				hint = ": " + waits[0]
			}
		default:
			continue
		}
		// One line, however many wait.
		return fmt.Sprintf("waybill: waits for %q (process %d) to %s #%d%s\n", h.Command, h.PID, do, id, hint), nil
	}
	return "", nil
}

// suspects says which destinations do not answer, and reports whether there are any.
func (r *runner) suspects() (told bool) {
	for name, h := range r.outbox.Healths() {
		if h.State != "healthy" && slices.ContainsFunc(r.plan.Routes(), func(route jobs.Route) bool { return route.Destination == name }) {
			fmt.Fprintf(r.p.diag, "waybill: %s is %s: %s; its messages wait\n", name, h.State, shown(h.Reason, 300))
			told = true
		}
	}
	return told
}

// A bar shows progress when a person looks on; else it does nothing.
type bar struct{ bar *progressbar.ProgressBar }

// progress makes the bar of a run: first records read, then messages delivered.
func (r *runner) progress() *bar {
	if r.p.json || !r.p.terminal(r.p.diag) {
		return &bar{}
	}
	return &bar{progressbar.NewOptions64(-1, progressbar.OptionSetWriter(r.p.diag), progressbar.OptionSetDescription(r.plan.Name()),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("msg"), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond))}
}

func (b *bar) set(done, of int64) {
	if b.bar == nil {
		return
	}
	if of > 0 {
		b.bar.ChangeMax64(of)
	}
	_ = b.bar.Set64(done) // only a picture
}

func (b *bar) done() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

// watchProgress moves the bar until ctx ends.
func (r *runner) watchProgress(ctx context.Context, b *bar) {
	if b.bar == nil {
		return
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var done, of int64
		for _, id := range r.entries {
			batches, err := r.outbox.Batches(ctx, id)
			if err != nil {
				return
			}
			for _, x := range batches {
				done += int64(x.Done)
				of += int64(x.Count)
			}
		}
		b.set(done, of)
	}
}
