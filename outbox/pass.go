package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"waybill/failpoint"
	"waybill/store"
)

// Bounds of what a crash can repeat: outcomes are stored at least so often.
const (
	checkpointEvery = 250 * time.Millisecond
	checkpointMost  = 200
)

// errSuspect cancels what is under way when its destination has become suspect.
var errSuspect = errors.New("the destination is suspect: not tried")

// A pass delivers what is open in some batches and stores the outcomes.
type pass struct {
	c       *courier
	dest    Destination
	batches []*leased
	only    int            // index of the message on trial, or all
	skipped map[place]bool // asked about without an answer: not in this pass
	open    []place        // the messages to be tried, by index of what Deliver gets
	stop    context.CancelCauseFunc

	storing sync.Mutex // the batches' bitmaps and histories
	broken  bool       // a checkpoint failed: nothing more is stored
	stuck   bool       // what was about to be sent could not be stored

	mu      sync.Mutex
	results []result // not stored yet
	due     time.Time
	flush   chan struct{}
}

// place is where a message stands.
type place struct{ batch, index int }

// result is what became of one message.
type result struct {
	place
	receipt Receipt
	err     error
	at      time.Time
	repeat  bool    // its outcome is unknown, and it will be sent again
	untried bool    // nothing of it went out
	earlier attempt // the failure before, when err counts
}

func newPass(c *courier, batches []*leased, only int) *pass {
	dest, _ := c.current()
	return &pass{c: c, dest: dest, batches: batches, only: only, flush: make(chan struct{}, 1)}
}

func (p *pass) run(ctx context.Context) {
	p.settleUnknown(ctx)
	ms := p.choose()
	var storing sync.WaitGroup
	ended := make(chan struct{})
	storing.Go(func() { p.checkpoints(ctx, ended) })
	if len(ms) > 0 {
		p.deliver(ctx, ms)
	}
	close(ended)
	storing.Wait()
	if err := p.checkpoint(ctx); err != nil {
		p.c.log().Error("cannot store what was delivered", "error", err)
	}
}

// choose lists the open messages; those of a batch that has waited too long are set aside instead.
func (p *pass) choose() []Message {
	var ms []Message
	now := p.c.out.now()
	for bi, b := range p.batches {
		if b.damage != nil {
			p.damaged(bi, now)
			continue
		}
		expired := p.only != all && p.expired(b, now)
		for i := range b.messages {
			at := place{bi, i}
			switch {
			case b.done.has(i):
			case p.only == all && b.trouble[i].later(now):
				p.wait(store.Time(b.trouble[i].Due))
				p.add(result{place: at, at: now, untried: true})
			case expired:
				p.add(result{place: at, at: now, err: &Error{
					Fault: faultExpired,
					Err:   fmt.Errorf("the destination has been away for longer than give_up: %s", p.dest.Options.Retry.GiveUp),
				}})
			case p.only != all && p.only != i, p.skipped[at]:
			default:
				ms = append(ms, b.messages[i])
				p.open = append(p.open, at)
			}
		}
	}
	return ms
}

// damaged sets a batch aside that cannot be read back: the others go on.
func (p *pass) damaged(bi int, now time.Time) {
	b := p.batches[bi]
	p.c.log().Error("stored messages are damaged, they are set aside", "entry", b.parent, "batch", b.id, "error", b.damage)
	b.messages = make([]Message, b.count)
	for i := range b.count {
		if !b.done.has(i) {
			p.add(result{place: place{bi, i}, at: now, err: &Error{Fault: faultDamaged, Err: b.damage}})
		}
	}
}

// expiryTrials is how long a destination must have been tried in vain by this process before what is older than give_up
// is set aside: a start after a long stop, or a clock that jumps, is no reason yet.
const expiryTrials = 10 * time.Minute

// expired reports whether a batch has waited longer than give_up for a destination that is away.
func (p *pass) expired(b *leased, now time.Time) bool {
	giveUp := p.dest.Options.Retry.GiveUp
	return giveUp > 0 && now.Sub(b.made) > giveUp && p.c.health.away(now) >= min(giveUp, expiryTrials)
}

// wait makes what is left of the batches due at until at the latest.
func (p *pass) wait(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due.IsZero() || until.Before(p.due) {
		p.due = until
	}
}

// deliver hands the messages to the target: all at once where repeats do no harm, else in windows whose sending bits are stored first.
func (p *pass) deliver(ctx context.Context, ms []Message) {
	_, limiter := p.c.current()
	window := len(ms)
	careful := p.dest.Options.Unknown.Mode != "repeat"
	if careful {
		window = max(1, p.dest.Options.Concurrency)
	}
	if limiter != nil {
		window = min(window, limiter.Burst())
	}
	for from := 0; from < len(ms); from += window {
		till := min(from+window, len(ms))
		if limiter != nil && limiter.WaitN(ctx, till-from) != nil {
			return
		}
		if careful {
			if err := p.markSending(from, till); err != nil {
				p.c.log().Error("cannot store what is about to be sent", "error", err)
				p.stuck = true
				return
			}
		}
		p.window(ctx, ms, from, till)
		if ctx.Err() != nil {
			return
		}
	}
}

// window delivers ms[from:till] and sees that each is accounted for.
func (p *pass) window(ctx context.Context, ms []Message, from, till int) {
	reported := make([]bool, till-from)
	var mu sync.Mutex
	failpoint.Hit("outbox/delivering")
	err := p.dest.Target.Deliver(ctx, ms[from:till], func(i int, r Receipt, err error) {
		mu.Lock()
		again := reported[i]
		reported[i] = true
		mu.Unlock()
		if !again {
			p.report(ctx, from+i, r, err)
		}
	})
	failpoint.Hit("outbox/delivered")
	for i, was := range reported {
		if !was {
			if err == nil {
				err = errors.New("the target did not say what became of it")
			}
			p.report(ctx, from+i, Receipt{}, Unknown(err))
		}
	}
}

// report takes the outcome of one message, from any goroutine.
func (p *pass) report(ctx context.Context, i int, r Receipt, err error) {
	at := p.open[i]
	id := messageID{p.batches[at.batch].id, at.index}
	now := p.c.out.now()
	if err == nil {
		if p.c.health.success(id, now) {
			p.c.log().Info("the destination is back")
		}
		p.add(result{place: at, receipt: r, at: now})
		return
	}
	cut := errors.Is(err, context.Canceled) || errors.Is(err, errSuspect)
	if cut && ctx.Err() != nil && FaultOf(err) != FaultUnknown { // cut off in the middle it may have arrived
		p.untried(at, now)
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Fault: FaultUnavailable, Err: err}
	}
	if e.Untried {
		p.untried(at, now)
		return
	}
	p.failed(id, at, e, now)
}

// untried takes back what was said of a message before it was handed over: it did not go out.
func (p *pass) untried(at place, now time.Time) {
	if p.dest.Options.Unknown.Mode != "repeat" {
		p.add(result{place: at, at: now, untried: true})
	}
}

func (p *pass) failed(id messageID, at place, e *Error, now time.Time) {
	switch {
	case e.Alone:
		p.c.health.success(id, now) // the rest of it is there
		waits := *e
		waits.Fault = faultAlone
		p.add(result{place: at, err: &waits, at: now})
		return
	case e.Fault == FaultRefused:
		p.c.health.success(id, now) // it answered: it is there
		p.add(result{place: at, err: e, at: now})
		return
	case e.Fault == FaultStopped:
		switch why, err := p.c.out.Paused(context.Background(), p.c.name()); {
		case err == nil && why != "": // another message was told so before
		default:
			p.c.log().Error("the destination is paused until somebody acts (waybill resume)", "error", e)
			if err := p.c.out.Pause(context.Background(), p.c.name(), e.Error()); err != nil {
				p.c.log().Error("cannot pause the destination", "error", err)
			}
		}
		p.c.stopPasses()
		p.untried(at, now)
		return
	}
	counts, suspect, earlier := p.c.health.failure(id, now, e, p.only != all)
	if suspect {
		p.c.log().Warn("the destination is suspect: its messages wait, one at a time is tried", "error", e)
		p.c.stopPasses()
	}
	if e.Fault == FaultUnknown && p.dest.Options.Unknown.Mode != "repeat" {
		p.add(result{place: at, err: e, at: now})
		return
	}
	waits := *e
	if waits.Fault = faultWaits; counts {
		waits.Fault = faultCounts
	}
	p.add(result{place: at, at: now, err: &waits, earlier: earlier, repeat: e.Fault == FaultUnknown})
}

// Faults that only the outbox gives.
const (
	faultWaits   Fault = -1 // failed, not counted against the message
	faultCounts  Fault = -2 // failed at a destination that confirms others
	faultExpired Fault = -3 // waited longer than give_up
	faultDamaged Fault = -4 // cannot be read back
	faultAlone   Fault = -5 // its own place at the destination cannot be reached
)

func (p *pass) add(r result) {
	p.mu.Lock()
	p.results = append(p.results, r)
	full := len(p.results) >= checkpointMost
	p.mu.Unlock()
	if full {
		select {
		case p.flush <- struct{}{}:
		default:
		}
	}
}

// checkpoints stores outcomes while the pass goes on.
func (p *pass) checkpoints(ctx context.Context, ended <-chan struct{}) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		case <-p.flush:
		}
		if err := p.checkpoint(ctx); err != nil {
			p.c.log().Error("cannot store what was delivered", "error", err)
		}
	}
}
