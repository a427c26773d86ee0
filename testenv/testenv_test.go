package testenv

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBrokerKeepsItsDataWhenStoppedKilledAndStarted(t *testing.T) {
	t.Parallel()
	b := RabbitMQ(t)
	with := func(fn func(ch *amqp091.Channel)) {
		t.Helper()
		c, err := amqp091.Dial(b.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		ch, err := c.Channel()
		if err != nil {
			t.Fatal(err)
		}
		fn(ch)
	}
	with(func(ch *amqp091.Channel) {
		if _, err := ch.QueueDeclare("kept", true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		d, err := ch.PublishWithDeferredConfirm("", "kept", true, false, amqp091.Publishing{DeliveryMode: 2, Body: []byte("x")})
		if err != nil || !d.Wait() {
			t.Fatalf("publish: %v, confirmed %t", err, d != nil && d.Acked())
		}
	})
	b.Stop(t)
	if c, err := amqp091.Dial(b.URL); err == nil {
		_ = c.Close()
		t.Fatal("a stopped broker answered")
	}
	b.Start(t)
	b.Kill(t)
	b.Start(t)
	with(func(ch *amqp091.Channel) {
		d, ok, err := ch.Get("kept", true)
		if err != nil || !ok || string(d.Body) != "x" {
			t.Fatalf("message after stop, kill and start: %q, %t, %v", d.Body, ok, err)
		}
	})
}

func TestPostgresKeepsItsDataWhenStoppedKilledAndStarted(t *testing.T) {
	t.Parallel()
	p := PostgreSQL(t)
	p.Exec(t, "waybill", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
	p.Stop(t)
	if c, err := pgx.Connect(context.Background(), p.DSN); err == nil {
		_ = c.Close(context.Background())
		t.Fatal("a stopped server answered")
	}
	p.Start(t)
	p.Kill(t)
	p.Start(t)
	c, err := pgx.Connect(context.Background(), p.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	var n int
	if err := c.QueryRow(context.Background(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Fatalf("row after stop, kill and start: %d, %v", n, err)
	}
}
