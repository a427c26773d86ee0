package amqp

import (
	"context"
	"errors"

	"github.com/rabbitmq/amqp091-go"

	"waybill/outbox"
)

// alone publishes one message on a channel of its own and reports it, so that an error it causes hits no other and its
// outcome is certain. When it returns an error, it has reported nothing: this message and those after it cannot be delivered.
func (f *flight) alone(ctx context.Context, i int, l *letter) error {
	sent := f.t.now()
	// A blocked broker does not answer: the wait for the confirm below is bounded by itself.
	release := f.s.wire.limit(context.Background(), f.t.timeout)
	ch, err := f.s.conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	release()
	if err != nil {
		return f.t.lost(err)
	}
	returns := ch.NotifyReturn(make(chan amqp091.Return, 1))
	closes := ch.NotifyClose(make(chan *amqp091.Error, 1))
	confirm, err := ch.PublishWithDeferredConfirm(l.exchange, l.routingKey, true, false, l.publishing)
	if err != nil {
		return f.t.lost(errors.Join(err, f.s.cause()))
	}
	answered := f.wait(ctx, confirm.Done())
	if !answered {
		f.unknown = true
		f.done(i, outbox.Receipt{}, outbox.Unknown(f.silent))
		return nil
	}
	p := &parcel{index: i, exchange: l.exchange, routingKey: l.routingKey, sent: sent}
	return f.verdict(ch, p, l, confirm.Acked(), returns, closes)
}

// verdict reports what became of a message that went alone.
func (f *flight) verdict(ch *amqp091.Channel, p *parcel, l *letter, acked bool, returns <-chan amqp091.Return, closes <-chan *amqp091.Error) error {
	if !acked && ch.IsClosed() {
		var cause error = amqp091.ErrClosed
		if e := <-closes; e != nil {
			cause = e
		}
		err := f.t.rejected(l, cause)
		if outbox.FaultOf(err) == outbox.FaultStopped {
			return err // this one's outcome and that of all after it
		}
		f.unknown = outbox.FaultOf(err) == outbox.FaultUnknown
		f.done(p.index, outbox.Receipt{}, err)
		return nil
	}
	select {
	case r, ok := <-returns:
		if ok {
			f.s.know(l.exchange) // it is there
			f.done(p.index, outbox.Receipt{}, unroutable(&r))
			f.leave(ch)
			return nil
		}
	default:
	}
	if acked {
		f.s.know(l.exchange)
		f.done(p.index, f.receipt(p), nil)
	} else {
		f.done(p.index, outbox.Receipt{}, nacked(l.exchange, l.routingKey))
	}
	f.leave(ch)
	return nil
}

// leave closes a channel that did its work.
func (f *flight) leave(ch *amqp091.Channel) {
	release := f.s.wire.limit(context.Background(), f.t.timeout)
	defer release()
	_ = ch.Close() // an error is the connection's, and the session sees it
}
