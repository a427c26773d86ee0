package outbox

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of a pass, and of how many passes overlap so that the tail of one does not leave the connections idle.
const (
	passMessages = 1000
	passBatches  = 250
	passBytes    = 16 << 20
	passes       = 3
)

// A courier delivers the messages of one destination.
type courier struct {
	out    *Outbox
	label  atomic.Pointer[label]
	health health

	mu      sync.Mutex
	dest    Destination
	limiter *rate.Limiter
	active  map[*pass]bool // passes under way
	busy    map[int64]bool // batches under way
	after   messageID      // where the last trial was
	ended   chan struct{}  // rings when a pass has ended
	newer   int            // claims in a row of what is newer than all under way; of run only
	wg      sync.WaitGroup
}

func newCourier(o *Outbox, d Destination) *courier {
	c := &courier{out: o, busy: map[int64]bool{}, active: map[*pass]bool{}, ended: make(chan struct{}, 1)}
	c.call(d.Name)
	return c
}

// A label is how a courier calls its destination.
type label struct {
	name string
	log  *slog.Logger
}

func (c *courier) call(name string) {
	c.label.Store(&label{name, c.out.log.With("destination", name)})
}

func (c *courier) name() string      { return c.label.Load().name }
func (c *courier) log() *slog.Logger { return c.label.Load().log }

func (c *courier) set(d Destination) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.Options = d.Options.WithDefaults()
	c.dest = d
	c.limiter = d.Options.Rate.limiter()
	c.health.set(d.Options)
}

func (c *courier) current() (Destination, *rate.Limiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dest, c.limiter
}

// all is what only is when a pass is no trial.
const all = -1

// run claims and delivers until ctx ends, then waits for what is under way: it is cancelled after grace.
func (c *courier) run(ctx context.Context, grace time.Duration) {
	woken, end := c.out.db.Watch(Topic)
	defer end()
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for ctx.Err() == nil {
		wait, err := c.turn(work)
		if err != nil {
			c.log().Error("cannot look for messages to deliver", "error", err)
			wait = time.Second
		}
		if wait == 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-woken:
		case <-c.ended:
		case <-timer.C:
		case <-c.out.db.Failed():
			timer.Stop()
			cancel()
			c.wg.Wait()
			return
		}
		timer.Stop()
	}
	timer := time.AfterFunc(grace, cancel)
	defer timer.Stop()
	c.wg.Wait()
}

// idle is how long a courier sleeps when nothing wakes it.
const idle = 30 * time.Second

// turn starts what can be started now. It returns how long there is nothing more to do; 0 means look again at once.
func (c *courier) turn(ctx context.Context) (time.Duration, error) {
	if why, err := c.out.Paused(ctx, c.name()); why != "" || err != nil {
		return idle, err
	}
	now := c.out.now()
	suspect, wait := c.health.ready(now)
	if wait > 0 {
		return wait, nil
	}
	running := c.running()
	if suspect {
		if running > 0 {
			return idle, nil // the end of a pass rings
		}
		return c.trial(ctx)
	}
	if running >= passes {
		return idle, nil
	}
	batches, next, err := c.claim(ctx, now)
	if err != nil || len(batches) == 0 {
		return next, err
	}
	c.start(ctx, batches, all)
	return 0, nil
}

func (c *courier) running() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.active)
}

// stopPasses cancels what is under way: the messages that were not tried yet go back.
func (c *courier) stopPasses() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.active {
		p.stop(errSuspect)
	}
}

// restTime is how long the batches of a pass rest when it could not store something, so that a ledger that cannot be written
// does not make a receiver get the same messages without end.
const restTime = time.Second

func (c *courier) rest(ctx context.Context) {
	timer := time.NewTimer(restTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// start delivers the batches in a pass of its own: all that is open, or as a trial the message only of the only batch.
func (c *courier) start(ctx context.Context, batches []*leased, only int) {
	p := newPass(c, batches, only)
	ctx, p.stop = context.WithCancelCause(ctx)
	c.mu.Lock()
	c.active[p] = true
	c.mu.Unlock()
	c.wg.Go(func() {
		defer p.stop(nil)
		p.run(ctx)
		if p.broken {
			c.out.unsaved.Store(true)
		}
		if p.broken || p.stuck {
			c.rest(ctx)
		}
		c.mu.Lock()
		delete(c.active, p)
		for _, b := range batches {
			delete(c.busy, b.id)
		}
		c.mu.Unlock()
		select {
		case c.ended <- struct{}{}:
		default:
		}
	})
}
