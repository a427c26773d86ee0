package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"waybill/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcome is what was reported of one message.
type outcome struct {
	receipt outbox.Receipt
	err     error
	times   int
}

func (o outcome) fault() outbox.Fault { return outbox.FaultOf(o.err) }

func (o outcome) untried() bool {
	var e *outbox.Error
	return errors.As(o.err, &e) && e.Untried || errors.Is(o.err, context.Canceled)
}

// deliver calls Deliver and returns what was reported; it fails the test when a message was not reported exactly once.
func deliver(t testing.TB, ctx context.Context, target *Target, ms []outbox.Message) ([]outcome, error) {
	t.Helper()
	var mu sync.Mutex
	out := make([]outcome, len(ms))
	err := target.Deliver(ctx, ms, func(i int, r outbox.Receipt, err error) {
		mu.Lock()
		defer mu.Unlock()
		out[i].receipt, out[i].err = r, err
		out[i].times++
	})
	for i, o := range out {
		if o.times != 1 {
			t.Errorf("message %d was reported %d times", i, o.times)
		}
	}
	return out, err
}

// confirmed fails the test unless every message was.
func confirmed(t testing.TB, out []outcome) {
	t.Helper()
	for i, o := range out {
		if o.err != nil {
			t.Fatalf("message %d: %v", i, o.err)
		}
	}
}

func target(t testing.TB, o Options, l Limits) *Target {
	t.Helper()
	target, problems := New(o, l, time.Now)
	if len(problems) > 0 {
		t.Fatalf("options: %v", problems)
	}
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return target
}

// messages makes n messages with distinct keys and bodies.
func messages(prefix string, n int, headers ...outbox.Header) []outbox.Message {
	ms := make([]outbox.Message, n)
	for i := range ms {
		ms[i] = outbox.Message{Key: fmt.Sprintf("%s-%d", prefix, i), Headers: headers, Body: fmt.Appendf(nil, `{"n":%d}`, i)}
		ms[i].Size = int64(len(ms[i].Body))
	}
	return ms
}

// channel opens a channel beside the target's; it is closed when the test ends.
func channel(t testing.TB, url string) *amqp091.Channel {
	t.Helper()
	c, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// exchange makes a durable exchange with a durable queue of the same name bound by key.
func exchange(t testing.TB, ch *amqp091.Channel, name, kind, key string, args amqp091.Table) {
	t.Helper()
	if err := ch.ExchangeDeclare(name, kind, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(name, key, name, false, nil); err != nil {
		t.Fatal(err)
	}
}

// take empties a queue.
func take(t testing.TB, ch *amqp091.Channel, queue string) []amqp091.Delivery {
	t.Helper()
	var out []amqp091.Delivery
	for {
		d, ok, err := ch.Get(queue, true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		out = append(out, d)
	}
}

// until calls fn until it says true, or fails the test after a while.
func until(t testing.TB, what string, fn func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !fn() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
