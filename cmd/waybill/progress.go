package main

import (
	"context"
	"time"

	"github.com/schollz/progressbar/v3"
)

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
