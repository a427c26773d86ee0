package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"waybill/outbox"
)

// A Target sends messages to one URL. It is safe for concurrent use. Close it after the last Deliver.
type Target struct {
	base      url.URL
	fixed     []outbox.Header // with every request
	secrets   []string        // never to be kept, even if a receiver echoes them
	keyHeader string          // "" : the key is not sent
	keyQuoted bool
	timeout   time.Duration
	grace     time.Duration
	now       func() time.Time
	ask       *Question
	transport *http.Transport
	slots     chan struct{} // one for each request under way, over all calls

	lost atomic.Int64 // answers 404 in a row, see notFound
}

var (
	_ outbox.Target = (*Target)(nil)
	_ outbox.Asker  = (*Target)(nil)
)

// Close gives up idle connections.
func (t *Target) Close() error {
	t.transport.CloseIdleConnections()
	return nil
}

// Deliver sends each message as one request, several at once. After a fault that concerns all of them
// (credentials refused, nobody answers) it sends no more: the rest is reported as not tried, with an
// error that names that fault.
func (t *Target) Deliver(ctx context.Context, ms []outbox.Message, done func(i int, r outbox.Receipt, err error)) error {
	flight, land := t.flight(ctx)
	defer land()
	workers := min(len(ms), cap(t.slots))
	d := &delivery{t: t, ctx: ctx, flight: flight, ms: ms, done: done, patience: int64(max(workers, patience)), stop: make(chan struct{})}
	var all sync.WaitGroup
	for range workers - 1 {
		all.Go(d.work)
	}
	if workers > 0 {
		d.work()
	}
	all.Wait()
	return nil
}

// flight makes the context of requests under way: it outlives ctx by the grace time.
func (t *Target) flight(ctx context.Context) (context.Context, func()) {
	flight, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	grace := time.AfterFunc(t.grace, func() { cancel(errStopped) })
	grace.Stop()
	stop := context.AfterFunc(ctx, func() { grace.Reset(t.grace) })
	return flight, func() {
		stop()
		grace.Stop()
		cancel(nil)
	}
}

// patience is the least number of failures without any answer, one after the other, that end a delivery.
const patience = 3

// A delivery is one call of Deliver.
type delivery struct {
	t      *Target
	ctx    context.Context // cancelled: start nothing more
	flight context.Context
	ms     []outbox.Message
	done   func(i int, r outbox.Receipt, err error)
	next   atomic.Int64

	patience int64        // failures in a row, without any answer, after which the rest waits
	silent   atomic.Int64 // such failures now
	once     sync.Once
	stop     chan struct{} // closed when the rest is not to be tried
	why      error         // set before stop is closed
}

// work takes message after message until none is left.
func (d *delivery) work() {
	l := d.t.line(d.flight)
	defer l.close()
	for {
		i := int(d.next.Add(1)) - 1
		if i >= len(d.ms) {
			return
		}
		if err := d.enter(); err != nil {
			d.done(i, outbox.Receipt{}, err)
			continue
		}
		r, err := d.t.send(l, &d.ms[i])
		d.learn(err) // before the slot goes to another
		<-d.t.slots
		d.done(i, r, err)
	}
}

// enter waits for a free slot; it fails when the message is not to be tried.
func (d *delivery) enter() error {
	if err := d.ctx.Err(); err != nil { // a select picks at random: look at the reasons against it first
		return err
	}
	select {
	case <-d.stop:
		return untried(d.why)
	default:
	}
	select {
	case d.t.slots <- struct{}{}: // mostly, and this is cheaper than a select of three
		return nil
	default:
	}
	select {
	case d.t.slots <- struct{}{}:
		return nil
	case <-d.ctx.Done():
		return d.ctx.Err()
	case <-d.stop:
		return untried(d.why)
	}
}

// learn stops the delivery when err shows that the rest would fare no better.
func (d *delivery) learn(err error) {
	var e *outbox.Error
	if !errors.As(err, &e) || e.Status != 0 || e.Fault == outbox.FaultRefused {
		d.silent.Store(0)
	} else if d.silent.Add(1) >= d.patience {
		d.halt(err)
	}
	if e != nil && e.Fault == outbox.FaultStopped {
		d.halt(err)
	}
}

func (d *delivery) halt(why error) {
	d.once.Do(func() {
		d.why = why
		close(d.stop)
	})
}

// untried is the error of a message of which nothing went out. why is another's: its fault is not passed on.
func untried(why error) error {
	err := fmt.Errorf("not tried (%w): %v", context.Canceled, why)
	return &outbox.Error{Fault: outbox.FaultUnavailable, Untried: true, Err: err}
}

// send delivers one message.
func (t *Target) send(l *line, m *outbox.Message) (outbox.Receipt, error) {
	start := t.now()
	a, err := l.exchange(m, m.Judge != nil)
	if err != nil {
		return outbox.Receipt{}, err
	}
	r, err := t.verdict(m, a)
	if err != nil {
		return outbox.Receipt{}, err
	}
	r.Took = t.now().Sub(start).Milliseconds()
	return r, nil
}
