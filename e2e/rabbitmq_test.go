package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"waybill/ledger"
	"waybill/outbox"
	"waybill/testenv"
)

// bus runs f on a channel of a new connection.
func bus(t testing.TB, b *testenv.Broker, f func(ch *amqp091.Channel) error) {
	t.Helper()
	c, err := amqp091.Dial(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // what counts has been answered
	ch, err := c.Channel()
	if err == nil {
		err = f(ch)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// take takes n messages from a queue.
func take(t testing.TB, b *testenv.Broker, queue string, n int) (list []amqp091.Delivery) {
	t.Helper()
	bus(t, b, func(ch *amqp091.Channel) error {
		in, err := ch.Consume(queue, "", true, false, false, false, nil)
		if err != nil {
			return err
		}
		limit := time.NewTimer(patience)
		defer limit.Stop()
		for len(list) < n {
			select {
			case d := <-in:
				list = append(list, d)
			case <-limit.C:
				return fmt.Errorf("%d of %d messages came from %s", len(list), n, queue)
			}
		}
		return nil
	})
	return list
}

func depth(t testing.TB, b *testenv.Broker, queue string) (n int) {
	t.Helper()
	bus(t, b, func(ch *amqp091.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		n = q.Messages
		return err
	})
	return n
}

const toRabbit = `
connections: {rabbit: {url: %q}}
sources: {drop: {folder: {path: drop}, poll: 1s}}
destinations:
  bus:
    amqp: {connection: rabbit, exchange: %s, kind: topic}
    retry: {pause: 50ms, longest: 300ms}
    rate: %s
jobs:
  orders:
    receive: {source: drop, files: "*.csv"}
    read: {format: csv, delimiter: ";", fields: {no: {required: true}, qty: {type: integer}, site: {required: true}}}
    send: [{to: bus, key: =no, routing_key: "orders.{site}", body: {order: =no, qty: =qty}}]
`

// rabbitHouse declares a topic exchange with a queue for some routing keys, and makes a house that sends to it.
func rabbitHouse(t *testing.T, b *testenv.Broker, name, rate string, keys ...string) *house {
	bus(t, b, func(ch *amqp091.Channel) error {
		if err := ch.ExchangeDeclare(name, "topic", true, false, false, false, nil); err != nil {
			return err
		}
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			return err
		}
		for _, key := range keys {
			if err := ch.QueueBind(name, key, name, false, nil); err != nil {
				return err
			}
		}
		return nil
	})
	return newHouse(t, fmt.Sprintf(toRabbit, b.URL, name, rate))
}

// ended waits until the only entry of orders has come to its end.
func ended(h *house, l *look) (e ledger.Entry) {
	h.t.Helper()
	h.until("the entry has come to its end", func() bool {
		list := l.entries(h.t, "orders")
		if len(list) == 1 {
			e = list[0]
		}
		return e.State == ledger.Delivered || e.State == ledger.Failed || e.State == ledger.Rejected
	})
	return e
}

func TestOrdersGoToRabbitMQ(t *testing.T) {
	t.Parallel()
	b := testenv.RabbitMQ(t)
	t.Run("routed and unroutable", func(t *testing.T) { routed(t, b) })
	t.Run("the broker is stopped in the middle", func(t *testing.T) { stopped(t, b) })
}

// routed sends to a queue for two of three sites; what cannot be routed is a dead letter until there is a queue for it.
func routed(t *testing.T, b *testenv.Broker) {
	h := rabbitHouse(t, b, "routed", "10000/s", "orders.W0", "orders.W1")
	h.serve()
	l := h.look()
	h.drop("1.csv", orders(0, 30))
	if e := ended(h, l); e.State != ledger.Failed || e.Messages != 30 || e.Dead != 10 {
		t.Fatalf("the entry is %s with %d messages, %d dead letters", e.State, e.Messages, e.Dead)
	}
	h.until("the file lies in failed", func() bool { return h.there("drop/failed/1.csv") })
	dead, err := l.outbox.DeadLetters(t.Context(), outbox.DeadFilter{})
	h.must(err)
	if len(dead) != 10 || dead[0].Kind != "refused" || !strings.Contains(dead[0].Reason, "NO_ROUTE") {
		t.Fatalf("dead letters: %d, the first %+v", len(dead), dead)
	}
	keys := map[string]bool{}
	check := func(list []amqp091.Delivery) {
		t.Helper()
		for _, d := range list {
			var body struct {
				Order string `json:"order"`
				Qty   int    `json:"qty"`
			}
			h.must(json.Unmarshal(d.Body, &body))
			if want := fmt.Sprintf("orders.W%d", body.Qty%3); d.RoutingKey != want || body.Order != fmt.Sprintf("A-%d", body.Qty) {
				t.Errorf("%s came with routing key %s, want %s", d.Body, d.RoutingKey, want)
			}
			if d.DeliveryMode != amqp091.Persistent || len(d.MessageId) != 36 || d.ContentType != "application/json" {
				t.Errorf("%s: delivery mode %d, message id %q, type %s", d.Body, d.DeliveryMode, d.MessageId, d.ContentType)
			}
			keys[d.MessageId] = true
		}
	}
	check(take(t, b, "routed", 20))
	bus(t, b, func(ch *amqp091.Channel) error { return ch.QueueBind("routed", "orders.*", "routed", false, nil) })
	for _, d := range dead {
		h.must(l.outbox.Resend(t.Context(), outbox.Resend{ID: d.ID, Note: "there is a queue now"}))
	}
	check(take(t, b, "routed", 10))
	h.until("the entry is delivered", func() bool { return l.entries(t, "orders")[0].State == ledger.Delivered })
	for _, d := range dead {
		if !keys[d.Key] {
			t.Errorf("%s was sent again under another key", d.Key)
		}
	}
	if len(keys) != 30 {
		t.Errorf("%d keys, want 30", len(keys))
	}
}

func stopped(t *testing.T, b *testenv.Broker) {
	const n = 3000
	h := rabbitHouse(t, b, "stopped", "1500/s", "orders.#")
	h.serve()
	l := h.look()
	h.drop("1.csv", orders(0, n))
	h.until("a part has arrived", func() bool { return depth(t, b, "stopped") > 300 })
	b.Stop(t)
	b.Start(t)
	if e := ended(h, l); e.State != ledger.Delivered || e.Dead != 0 {
		t.Fatalf("the entry is %s (%s) with %d dead letters", e.State, e.Reason, e.Dead)
	}
	all := depth(t, b, "stopped")
	keys := map[string]string{} // by body
	for _, d := range take(t, b, "stopped", all) {
		if old, ok := keys[string(d.Body)]; ok && old != d.MessageId {
			t.Errorf("%s came under two keys", d.Body)
		}
		keys[string(d.Body)] = d.MessageId
	}
	if len(keys) != n {
		t.Errorf("%d of %d orders arrived", len(keys), n)
	}
	t.Logf("%d of %d messages came twice", all-n, n)
	e := l.entries(t, "orders")[0]
	batches, err := l.outbox.Batches(context.Background(), e.ID)
	h.must(err)
	for _, batch := range batches {
		ms, err := l.outbox.Messages(context.Background(), batch, 0, batch.Count)
		h.must(err)
		for _, m := range ms {
			if keys[string(m.Body)] != m.Key {
				t.Errorf("%s came under key %s, accepted was %s", m.Body, keys[string(m.Body)], m.Key)
			}
		}
	}
}
