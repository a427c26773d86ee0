package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"waybill/ledger"
	"waybill/outbox"
	"waybill/spool"
	"waybill/store"
)

// An Ask runs a query of a job for the half-open window [from, to); end is to be called when the rows have been read.
type Ask func(ctx context.Context, connection, query string, from, to time.Time) (rows *Rows, end func() error, err error)

// Config is what a worker needs.
type Config struct {
	DB     *store.DB
	Ledger *ledger.Ledger
	Spool  *spool.Spool
	Outbox *outbox.Outbox
	Ask    Ask
	Log    *slog.Logger
	Now    func() time.Time

	Scratch string // folder for the programs of read.convert, which is cleared before the first works; "": the system's for temporary files
}

// A Worker works the entries of all jobs: it claims them, runs their plans, and accepts them together with their messages.
type Worker struct {
	Config
	set     atomic.Pointer[Set]
	changed chan struct{}
	cleared sync.Once
}

// NewWorker makes a worker for the jobs of set.
func NewWorker(c Config, set *Set) *Worker {
	w := &Worker{Config: c, changed: make(chan struct{}, 1)}
	w.set.Store(set)
	w.Ledger.SetRouter(set)
	return w
}

// SetJobs replaces the jobs. Entries under way finish under the old ones.
func (w *Worker) SetJobs(set *Set) {
	w.set.Store(set)
	w.Ledger.SetRouter(set)
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Jobs returns the jobs of now.
func (w *Worker) Jobs() *Set { return w.set.Load() }

const (
	setMost    = 200     // entries accepted in one transaction
	setBytes   = 4 << 20 // and how many bytes of messages they may hold until then, which bounds memory
	perJob     = 2       // loops of a job, when its entries need not be worked one at a time
	idleLook   = 30 * time.Second
	retryFirst = time.Second
	retryMost  = 5 * time.Minute
)

// Run works until ctx ends; what is under way then may finish within grace. It returns when nothing is any more. An entry that is interrupted is worked anew
// later; that counts no attempt. When the jobs change, the loops of the old ones claim nothing more and end
// with what they have under way, while those of the new ones begin.
func (w *Worker) Run(ctx context.Context, grace time.Duration) error {
	w.clear()
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	var wg sync.WaitGroup
	defer wg.Wait()
	serial := map[string]chan struct{}{}
	for ctx.Err() == nil {
		claiming, stop := context.WithCancel(ctx)
		for _, p := range w.Jobs().Plans {
			if serial[p.origin] == nil {
				serial[p.origin] = make(chan struct{}, 1)
			}
			w.start(&wg, claiming, work, p, serial[p.origin])
		}
		wg.Go(func() { w.settle(claiming) })
		wg.Go(func() { w.acknowledge(claiming) })
		select {
		case <-ctx.Done():
		case <-w.changed:
		case <-w.DB.Failed():
			stop()
			cancel()
			return w.DB.Err()
		}
		stop()
	}
	return nil
}

// start begins the loops of one job. serial keeps an old and a new configuration of a job whose entries
// are worked one at a time from working at once.
func (w *Worker) start(wg *sync.WaitGroup, claiming, ctx context.Context, p *Plan, serial chan struct{}) {
	if p.one() {
		wg.Go(func() {
			select {
			case serial <- struct{}{}:
				w.loop(claiming, ctx, p)
				<-serial
			case <-claiming.Done():
			}
		})
	} else {
		for range perJob {
			wg.Go(func() { w.loop(claiming, ctx, p) })
		}
	}
	if p.options.Schedule != nil && !p.options.Drain {
		wg.Go(func() { w.schedule(claiming, p) })
	}
}

// loop claims and works the entries of one job until claiming ends; work under way goes on until ctx does.
func (w *Worker) loop(claiming, ctx context.Context, p *Plan) {
	woken, end := w.DB.Watch(ledger.TopicEntries)
	defer end()
	most := setMost
	if p.one() {
		most = 1
	}
	for claiming.Err() == nil {
		entries, paused, err := w.claim(claiming, p, most)
		switch {
		case err != nil && claiming.Err() == nil:
			w.Log.Error("cannot claim entries", "job", p.name, "error", err)
		case len(entries) > 0:
			w.works(ctx, p, entries)
			continue
		}
		if !w.wait(claiming, p, paused, woken) {
			return
		}
	}
}

// claim claims entries of a job, none while it is paused.
func (w *Worker) claim(ctx context.Context, p *Plan, most int) (list []ledger.Entry, paused bool, err error) {
	paused, err = w.Ledger.IsPaused(ctx, "job/"+p.name)
	if paused || err != nil {
		return nil, paused, err
	}
	list, err = w.Ledger.Claim(ctx, p.name, most)
	return list, false, err
}

// wait returns when there may be work, false when ctx has ended. While the job is paused nothing is due: its resumption wakes.
func (w *Worker) wait(ctx context.Context, p *Plan, paused bool, woken <-chan struct{}) bool {
	pause := idleLook
	if !paused {
		if due, err := w.Ledger.NextDue(ctx, p.name); err == nil && !due.IsZero() {
			pause = min(pause, max(time.Millisecond, due.Sub(w.Now())))
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-w.DB.Failed():
		return false
	case <-woken:
	case <-timer.C:
	}
	return true
}

// Work claims and works those of ids that can be worked now: what `waybill run` does with its own entries.
func (w *Worker) Work(ctx context.Context, ids ...int64) error {
	w.clear()
	entries, err := w.Ledger.ClaimOnly(ctx, ids...)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := w.Jobs().Plan(e.Job)
		if p == nil {
			w.Ledger.Release(e)
			return fmt.Errorf("#%d belongs to job %s, which is not configured", e.ID, e.Job)
		}
		w.works(ctx, p, []ledger.Entry{e})
	}
	return nil
}

// works works claimed entries, accepts them in sets, and gives the claims back.
func (w *Worker) works(ctx context.Context, p *Plan, entries []ledger.Entry) {
	defer func() {
		for _, e := range entries {
			w.Ledger.Release(e)
		}
	}()
	var ready []*piece
	held := 0
	near := w.ahead(ctx, entries)
	for _, e := range entries {
		done, err := w.work(ctx, p, e, near)
		if err != nil && !w.hold(ctx, p, done, err) {
			w.failed(ctx, e, err)
			continue
		}
		if done.lot.Staged() || done.unpacked != nil {
			w.accept(ctx, []*piece{done})
			continue
		}
		ready = append(ready, done)
		if held += done.lot.Held(); held > setBytes {
			w.accept(ctx, ready)
			ready, held = nil, 0
		}
	}
	w.accept(ctx, ready)
}

// pause returns after d, or when ctx or the ledger ends.
func (w *Worker) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.DB.Failed():
	case <-timer.C:
	}
}

// failed puts an entry back that could not be worked. Being interrupted is not failing.
func (w *Worker) failed(ctx context.Context, e ledger.Entry, err error) {
	if ctx.Err() != nil || errors.Is(err, ledger.ErrGone) {
		return
	}
	pause := retryFirst
	for range min(e.Attempts, 10) {
		pause = min(2*pause, retryMost)
	}
	w.Log.Error("an entry could not be worked, it will be tried again", "job", e.Job, "entry", e.ID, "after", pause, "error", err)
	if err := w.Ledger.Retry(context.WithoutCancel(ctx), e, w.Now().Add(pause), err.Error()); err != nil {
		w.Log.Error("cannot put an entry back", "job", e.Job, "entry", e.ID, "error", err)
		// It can be claimed again at once, so that without a pause a full disk would have it worked again and again.
		w.pause(ctx, retryFirst)
	}
}
