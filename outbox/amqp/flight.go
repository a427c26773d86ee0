package amqp

import (
	"context"
	"fmt"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"waybill/outbox"
)

const (
	grace     = 5 * time.Second // for what is under way when a Deliver is cancelled
	largeBody = 4 << 20         // from here on a message goes alone: the broker may find it too large
)

// A flight is one Deliver.
type flight struct {
	t     *Target
	s     *session
	done  func(i int, r outbox.Receipt, err error)
	away  []*parcel // published here and not settled, in order; head at next
	next  int
	timer *time.Timer

	exchange  string // the last that was known to take messages
	unknown   bool   // a message was reported as unknown
	cancelled bool   // ctx has ended: only what is under way is waited for
	silent    error  // why confirms are not waited for any more, nil while they are
}

func newFlight(t *Target, s *session, done func(i int, r outbox.Receipt, err error)) *flight {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &flight{t: t, s: s, done: done, timer: timer}
}

// run publishes ms, waits for the confirms and reports what could not be published.
func (f *flight) run(ctx context.Context, ms []outbox.Message) error {
	var err error
	i := 0
	for ; i < len(ms) && err == nil; i++ {
		if err = f.ready(ctx); err == nil {
			err = f.send(ctx, i, &ms[i])
		}
		if err != nil {
			break // i was not published
		}
	}
	f.settleAll(ctx)
	if f.unknown {
		err = untried(err) // the outbox has learnt of the failure; otherwise the first one tells it
	}
	for ; i < len(ms); i++ {
		f.done(i, outbox.Receipt{}, err)
		err = untried(err)
	}
	if err == nil && f.silent != nil {
		err = outbox.Unavailable(f.silent)
	}
	return err
}

// ready says whether another message may be published now.
func (f *flight) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.s.why(); err != nil {
		return err
	}
	if f.s.stale.Load() {
		return outbox.Unavailable(f.t.silent())
	}
	return nil
}

// send publishes one message, alone if it has to be. It reports a message that is refused; an error means
// that this one and those after it cannot be tried.
func (f *flight) send(ctx context.Context, i int, m *outbox.Message) error {
	l, err := f.t.letter(m, f.s.conn.Config.FrameSize)
	if err != nil {
		f.done(i, outbox.Receipt{}, err)
		return nil
	}
	if len(l.publishing.Body) >= largeBody || !f.known(l.exchange) {
		f.settleAll(ctx) // in order
		return f.alone(ctx, i, &l)
	}
	if err := f.slot(ctx); err != nil {
		return err
	}
	p := &parcel{index: i, exchange: l.exchange, routingKey: l.routingKey, key: l.publishing.MessageId, sent: f.t.now()}
	if err := f.s.publish(p, &l); err != nil {
		<-f.s.slots
		return f.t.lost(f.s.cause())
	}
	f.away = append(f.away, p)
	return nil
}

// known says whether the exchange took a message in this session.
func (f *flight) known(exchange string) bool {
	if f.exchange == exchange && exchange != "" {
		return true
	}
	if !f.s.known(exchange) {
		return false
	}
	f.exchange = exchange
	return true
}

// slot waits until one more message may be unconfirmed.
func (f *flight) slot(ctx context.Context) error {
	select {
	case f.s.slots <- struct{}{}:
		return nil
	default:
	}
	for {
		if f.next < len(f.away) {
			f.settleHead(ctx)
			f.sweep()
			if err := f.ready(ctx); err != nil {
				return err
			}
			select {
			case f.s.slots <- struct{}{}:
				return nil
			default: // another Deliver was faster
				continue
			}
		}
		f.timer.Reset(f.t.timeout)
		select { // nothing of ours waits for a flush: all of it is settled
		case f.s.slots <- struct{}{}:
			return f.took(ctx)
		case <-ctx.Done():
			return ctx.Err()
		case <-f.s.done:
			return f.t.lost(f.s.err)
		case <-f.timer.C:
			f.s.stale.Store(true)
			return outbox.Unavailable(f.t.silent())
		}
	}
}

// took gives the slot back if nothing may be published any more.
func (f *flight) took(ctx context.Context) error {
	f.timer.Stop()
	err := f.ready(ctx)
	if err != nil {
		<-f.s.slots
	}
	return err
}

// settleAll waits for everything that is under way.
func (f *flight) settleAll(ctx context.Context) {
	for f.next < len(f.away) {
		f.settleHead(ctx)
		f.sweep()
	}
	f.away, f.next = f.away[:0], 0
}

// sweep reports what is confirmed already.
func (f *flight) sweep() {
	for f.next < len(f.away) {
		select {
		case <-f.away[f.next].confirm.Done():
			f.report(f.away[f.next], true)
			f.next++
		default:
			return
		}
	}
}

// settleHead waits for the oldest message under way and reports it.
func (f *flight) settleHead(ctx context.Context) {
	p := f.away[f.next]
	f.next++
	select {
	case <-p.confirm.Done():
		f.report(p, true)
		return
	default:
	}
	f.s.wire.flush()
	f.report(p, f.wait(ctx, p.confirm.Done()))
}

// wait waits for a confirm: as long as the time-out, once cancelled no longer than the grace time altogether.
func (f *flight) wait(ctx context.Context, confirmed <-chan struct{}) bool {
	cancelled := ctx.Done()
	if f.cancelled {
		cancelled = nil // the timer runs
	} else if f.silent == nil {
		f.timer.Reset(f.t.timeout)
	}
	for {
		select {
		case <-confirmed:
			return true
		case <-cancelled:
			f.cancelled, cancelled = true, nil
			f.timer.Reset(min(grace, f.t.timeout))
		case <-f.timer.C:
			f.timer.Reset(0) // those behind have had their time, too
			f.silent = f.t.silent()
			if f.cancelled {
				f.silent = errInterrupted
			}
			f.s.stale.Store(true)
			return false
		}
	}
}

// report gives p's slot back and tells what became of it. answered says that its confirm came, or the end of the channel.
func (f *flight) report(p *parcel, answered bool) {
	returned := f.s.settle(p)
	<-f.s.slots
	switch {
	case returned != nil:
		f.done(p.index, outbox.Receipt{}, unroutable(returned))
	case !answered:
		f.unknown = true
		f.done(p.index, outbox.Receipt{}, outbox.Unknown(f.silent))
	case p.confirm.Acked():
		f.done(p.index, f.receipt(p), nil)
	case f.s.ch.IsClosed():
		f.unknown = true
		f.done(p.index, outbox.Receipt{}, fault(outbox.FaultUnknown, f.s.cause(), fmt.Errorf("connection lost before the confirm: %w", f.s.cause())))
	default:
		f.done(p.index, outbox.Receipt{}, nacked(p.exchange, p.routingKey))
	}
}

func (f *flight) receipt(p *parcel) outbox.Receipt {
	return outbox.Receipt{Text: address(p.exchange, p.routingKey), Took: f.t.now().Sub(p.sent).Milliseconds()}
}

// address is where a message went, for people.
func address(exchange, routingKey string) string {
	switch {
	case exchange == "":
		return "queue " + routingKey
	case routingKey == "":
		return exchange
	}
	return exchange + " " + routingKey
}

func unroutable(r *amqp091.Return) error {
	return &outbox.Error{Fault: outbox.FaultRefused, Status: int(r.ReplyCode), Err: fmt.Errorf(
		"returned as unroutable (%d %s): no queue is bound to exchange %q for routing key %q: bind one, or mend the routing key",
		r.ReplyCode, r.ReplyText, r.Exchange, r.RoutingKey)}
}

func nacked(exchange, routingKey string) error {
	return outbox.Unavailable(fmt.Errorf("the broker took the message to exchange %q with routing key %q and gave it back (nack): a queue is full or failed", exchange, routingKey))
}
