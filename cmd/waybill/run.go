package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"waybill/jobs"
	"waybill/ledger"
	"waybill/store"
)

func (p *program) runOnce() *cobra.Command {
	o := runOptions{}
	c := &cobra.Command{
		Use:   "run JOB [FILE…]",
		Short: "Run one job now, with files or for its next window, and wait for the last confirmation",
		Long: `Runs one job now through the same ledger as the daemon: a file that was processed before is not processed again. It
waits until every message is confirmed or set aside. It may run beside the daemon, which then does the work.
Without FILE a scheduled job works the window that ends now.

--wait bounds the time that it waits for others: for the process that is at work, and for the last confirmation. Its own reading and
mapping takes the time it takes. What is not delivered then stays in the ledger, and the daemon goes on with it.

Exit codes: 0 all delivered, or nothing to do because it already was; 1 error; 2 wrong arguments or configuration;
3 rejects or dead letters; 4 held; 5 not yet delivered.`,
		Args: args(cobra.MinimumNArgs(1)),

		ValidArgsFunction: p.completeJob,
		RunE:              func(c *cobra.Command, list []string) error { return p.run(c.Context(), list[0], list[1:], o) },
	}
	c.Flags().DurationVar(&o.wait, "wait", 0, "wait no longer than this for the process at work and for the last confirmation (0: as long as it takes)")
	c.Flags().StringVar(&o.at, "at", "", "of a scheduled job: work the window that is due then (RFC 3339), instead of now")
	return c
}

type runOptions struct {
	wait time.Duration
	at   string
}

// runMost bounds the files of one run: delivery is restricted to their entries in one statement, see [outbox.Outbox.Only].
const runMost = 30_000

func (p *program) run(ctx context.Context, job string, files []string, o runOptions) error {
	l, err := p.load(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = l.close() }() // the process ends
	plan := l.jobs.Plan(job)
	if plan == nil {
		return usage("there is no job %s in %s", job, p.file)
	}
	if len(files) > runMost {
		return usage("%d files are too many at once: run them %d at a time", len(files), runMost)
	}
	if most := runMost / 1000; plan.Archive() && len(files) > most { // an archive has up to 1,000 files
		return usage("%d archives are too many at once: run them %d at a time", len(files), most)
	}
	if (len(files) == 0) != (plan.Options().Schedule != nil) {
		if len(files) == 0 {
			return usage("job %s works files: name one, waybill run %s FILE", job, job)
		}
		return usage("job %s works windows of its query: run it without files", job)
	}
	log := p.logger(l.config.Log)
	i, err := p.open(ctx, l.data(), log)
	if err != nil {
		return err
	}
	r := &runner{instance: i, land: &swap{cur: l}, plan: plan, options: o}
	r.worker = i.worker(r.land)
	err = r.do(ctx, files)
	return errors.Join(err, i.close())
}

// A runner is one `waybill run`.
type runner struct {
	*instance
	land     *swap
	plan     *jobs.Plan
	worker   *jobs.Worker
	options  runOptions
	archives []int64 // entries of the files that were named, where those are archives
	entries  []int64 // of the files that were named, then of the members of archives
	said     string  // what it waits for, as told the last time
}

func (r *runner) do(ctx context.Context, files []string) error {
	if err := r.named(ctx, r.land.now(), "waybill run "+r.plan.Name()); err != nil {
		return err
	}
	if err := r.held(ctx); err != nil {
		return err
	}
	if len(files) == 0 {
		if err := r.tick(ctx); err != nil {
			return err
		}
	}
	for _, name := range files {
		if err := r.land1(ctx, name); err != nil {
			return err
		}
	}
	if r.plan.Archive() {
		r.archives = slices.Clone(r.entries)
	}
	err := r.follow(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return r.report(context.WithoutCancel(ctx))
}

// held refuses to run a job that is paused, and says which of its destinations are: their messages will wait.
func (r *runner) held(ctx context.Context) error {
	paused, err := r.paused(ctx)
	if err != nil {
		return err
	}
	job := "job/" + r.plan.Name()
	if why, yes := paused[job]; yes {
		return fmt.Errorf("job %s is paused: %s; waybill resume %s", r.plan.Name(), ledger.Shown(why), job)
	}
	told := map[string]bool{}
	for _, route := range r.plan.Routes() {
		subject := "destination/" + route.Destination
		if why, yes := paused[subject]; yes && !told[subject] {
			told[subject] = true
			fmt.Fprintf(r.p.diag, "waybill: destination %s is paused: %s; its messages wait until waybill resume %s\n", route.Destination, ledger.Shown(why), subject)
		}
	}
	return nil
}

// land1 puts one file into the ledger. The version tells this landing from others, so that what was
// processed is recognised by its content, not by where it lies.
func (r *runner) land1(ctx context.Context, name string) error {
	f, info, err := openOrdinary(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	a := ledger.Arrival{
		Source: jobs.ManualSource + r.plan.Name(), Path: filepath.Base(name), Kind: ledger.Manual, Size: info.Size(), ModTime: info.ModTime(),
		Version: fmt.Sprintf("run %d", r.p.now().UnixNano()),
	}
	if a.Companions, err = companionsOf(r.plan, filepath.Dir(name), a); err != nil {
		return err
	}
	_, entries, err := r.ledger.Land(ctx, a, f)
	if err != nil {
		return err
	}
	for _, e := range entries {
		r.entries = append(r.entries, e.ID)
	}
	return nil
}

func (r *runner) tick(ctx context.Context) error {
	at := r.p.now()
	if r.options.at != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, r.options.at); err != nil {
			return usage("--at %s is no instant: write for example 2026-11-21T15:00:00+01:00", r.options.at)
		}
	}
	e, err := r.worker.Tick(ctx, r.plan, at.Truncate(time.Second))
	r.entries = append(r.entries, e.ID)
	return err
}

// follow returns when all entries have come to an end: it works and delivers them itself when no other process is at
// work in the data folder, else it looks on, and takes over when that process ends.
func (r *runner) follow(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	patience := r.patience()
	tell := time.NewTimer(tellFirst)
	defer tell.Stop()
	bar := r.progress()
	defer bar.done()
	for {
		x, err := r.db.TryExecutor("waybill run " + r.plan.Name())
		var held *store.HeldError
		if err != nil && !errors.As(err, &held) {
			return err
		}
		if x != nil {
			defer x.Release()
			return r.execute(ctx, bar)
		}
		over, err := r.over(ctx, bar)
		if over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-patience:
			return cmp.Or(r.tellLast(ctx, held.Holder), context.DeadlineExceeded)
		case <-tell.C:
			if err := r.tell(ctx, held.Holder); err != nil {
				return err
			}
			tell.Reset(tellAgain)
		case <-tick.C:
		}
	}
}

// patience ends when --wait does; without it, never.
func (r *runner) patience() <-chan time.Time {
	if r.options.wait <= 0 {
		return nil
	}
	return time.After(r.options.wait)
}

// execute works and delivers the runner's own entries, and no others.
func (r *runner) execute(ctx context.Context, bar *bar) error {
	r.outbox.Only(r.entries...)
	r.outbox.SetDestinations(r.land.now().destinations)
	stages, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, 1)
	wg.Go(func() {
		if err := r.outbox.Run(stages, grace); err != nil {
			failed <- err
		}
	})
	wg.Go(func() { r.watchProgress(stages, bar) })
	var patience <-chan time.Time
	began, told := r.p.now(), false
	for {
		if err := r.worker.Work(ctx, r.entries...); err != nil {
			return err
		}
		if patience == nil { // --wait bounds the wait for others, not the own work
			patience = r.patience()
		}
		if _, err := r.worker.Settle(ctx); err != nil {
			return err
		}
		if grown, err := r.members(ctx); grown || err != nil {
			if err != nil {
				return err
			}
			r.outbox.Only(r.entries...)
			continue
		}
		over, err := r.over(ctx, bar)
		if over || err != nil {
			return err
		}
		if !told && r.p.now().Sub(began) >= tellFirst {
			told = r.suspects()
		}
		if err := r.pause(ctx, patience, failed); err != nil {
			if !told && errors.Is(err, context.DeadlineExceeded) {
				r.suspects()
			}
			return err
		}
	}
}

// pause returns when there may be something to do.
func (r *runner) pause(ctx context.Context, patience <-chan time.Time, failed <-chan error) error {
	settled, end := r.db.Watch("settled")
	defer end()
	timer := time.NewTimer(50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-patience:
		return context.DeadlineExceeded
	case err := <-failed:
		return err
	case <-r.db.Failed():
		return r.db.Err()
	case <-settled:
	case <-timer.C:
	}
	return nil
}

// members adds the files that came out of archives by now, and reports whether there were any.
func (r *runner) members(ctx context.Context) (grown bool, err error) {
	if !r.plan.Archive() || len(r.entries) > len(r.archives) {
		return false, nil
	}
	for _, id := range r.archives {
		e, err := r.ledger.Entry(ctx, id)
		if err != nil {
			return false, err
		}
		if e.State == ledger.Received || e.State == ledger.Working {
			return false, nil // all archives first
		}
		list, err := r.ledger.Members(ctx, e)
		if err != nil {
			return false, err
		}
		for _, m := range list {
			r.entries, grown = append(r.entries, m.ID), true
		}
	}
	return grown, nil
}

// over reports whether nothing more will happen to the entries by itself.
func (r *runner) over(ctx context.Context, _ *bar) (bool, error) {
	if grown, err := r.members(ctx); grown || err != nil {
		return false, err
	}
	over, members := true, len(r.entries) > len(r.archives)
	for i, id := range r.entries {
		e, err := r.ledger.Entry(ctx, id)
		if err != nil {
			return false, err
		}
		switch e.State {
		case ledger.Received, ledger.Working:
			over = false
		case ledger.Accepted: // an archive is as far as its members are, which may be held
			over = over && members && r.plan.Archive() && i < len(r.archives)
		}
	}
	return over, nil
}

// report prints what became of the entries and returns the exit code.
func (r *runner) report(ctx context.Context) error {
	code := exitDone
	var shown []ledger.Entry
	for n, id := range r.entries {
		e, err := r.ledger.Entry(ctx, id)
		if err != nil {
			return err
		}
		shown = append(shown, e)
		if n < len(r.archives) && len(r.entries) > len(r.archives) && e.State == ledger.Accepted {
			continue // it is as far as its members are
		}
		code = max(code, codeOf(e))
	}
	if err := r.p.entries(shown); err != nil {
		return err
	}
	if code == exitDone {
		return nil
	}
	return exit{code: code}
}

func codeOf(e ledger.Entry) int {
	switch e.State {
	case ledger.Delivered, ledger.Duplicate:
		if e.Rejects > 0 {
			return exitRejects
		}
		return exitDone
	case ledger.Held:
		return exitHeld
	case ledger.Rejected, ledger.Failed, ledger.Cancelled:
		return exitRejects
	}
	return exitPending
}
