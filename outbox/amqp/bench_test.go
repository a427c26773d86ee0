package amqp

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"waybill/outbox"
	"waybill/testenv"
)

// P4: go test -run '^$' -bench . -benchtime 100000x ./outbox/amqp
//
// Messages of 200 bytes into one durable queue: persistent, mandatory, confirmed, at most benchWindow unconfirmed.
// BenchmarkFloor is the client alone with deferred confirms. BenchmarkDeliver is the target, called as the outbox calls it; it
// runs the floor on as many messages in turn with it, so that both meet the same machine, and reports its share of the floor's rate.
const (
	benchWindow = defaultWindow
	benchBatch  = 1000 // what a pass of the outbox delivers at once
	benchPasses = 3    // how many passes the outbox has under way
	benchTurn   = 5 * benchBatch
)

func BenchmarkFloor(b *testing.B) {
	f := newFloor(b, testenv.RabbitMQ(b))
	b.ReportAllocs()
	b.ResetTimer()
	f.publish(b, b.N)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkDeliver(b *testing.B) {
	broker := testenv.RabbitMQ(b)
	f := newFloor(b, broker)
	target := target(b, Options{URL: broker.URL, Exchange: "bench", RoutingKey: "bench.one", Window: benchWindow}, Limits{})
	deliverAll(b, target, 1) // connect, as the floor has
	var ours, floor time.Duration
	turn := func(sum *time.Duration, fn func()) {
		if _, err := f.ch.QueuePurge("bench", false); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		fn()
		*sum += time.Since(began)
	}
	b.ResetTimer()
	for from := 0; from < b.N; from += benchTurn {
		n := min(benchTurn, b.N-from)
		if from/benchTurn%2 == 0 {
			turn(&ours, func() { deliverAll(b, target, n) })
			turn(&floor, func() { f.publish(b, n) })
		} else { // neither is always the first
			turn(&floor, func() { f.publish(b, n) })
			turn(&ours, func() { deliverAll(b, target, n) })
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "ns/op")
	b.ReportMetric(float64(b.N)/ours.Seconds(), "messages/s")
	b.ReportMetric(float64(b.N)/floor.Seconds(), "floor-messages/s")
	b.ReportMetric(100*floor.Seconds()/ours.Seconds(), "%-of-floor")
}

// floor is the client alone.
type floor struct {
	ch      *amqp091.Channel
	returns chan amqp091.Return
	body    []byte
}

func newFloor(b *testing.B, broker *testenv.Broker) *floor {
	ch := channel(b, broker.URL)
	exchange(b, ch, "bench", "topic", "bench.#", nil)
	if err := ch.Confirm(false); err != nil {
		b.Fatal(err)
	}
	return &floor{ch: ch, returns: ch.NotifyReturn(make(chan amqp091.Return, benchWindow)), body: benchBody()}
}

func benchBody() []byte {
	body := make([]byte, 200)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	return body
}

func (f *floor) publish(b *testing.B, n int) {
	away := make(chan *amqp091.DeferredConfirmation, benchWindow)
	var wg sync.WaitGroup
	wg.Go(func() {
		for c := range away {
			if !c.Wait() {
				b.Error("nack")
			}
		}
	})
	for i := range n {
		c, err := f.ch.PublishWithDeferredConfirm("bench", "bench.one", true, false, amqp091.Publishing{
			DeliveryMode: 2, MessageId: fmt.Sprintf("key-%d", i), ContentType: "application/json", Body: f.body,
		})
		if err != nil {
			b.Fatal(err)
		}
		away <- c
	}
	close(away)
	wg.Wait()
	if len(f.returns) > 0 {
		b.Error("returned")
	}
}

// deliverAll delivers n messages in batches, as many at once as the outbox.
func deliverAll(b *testing.B, target *Target, n int) {
	body := benchBody()
	headers := []outbox.Header{{Name: ":content-type", Value: "application/json"}}
	batches := make(chan []outbox.Message)
	var wg sync.WaitGroup
	for range benchPasses {
		wg.Go(func() {
			for ms := range batches {
				if err := target.Deliver(b.Context(), ms, func(_ int, _ outbox.Receipt, err error) {
					if err != nil {
						b.Error(err)
					}
				}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for from := 0; from < n; from += benchBatch {
		ms := make([]outbox.Message, 0, benchBatch)
		for i := from; i < min(from+benchBatch, n); i++ {
			ms = append(ms, outbox.Message{Key: fmt.Sprintf("key-%d", i), Headers: headers, Body: body, Size: int64(len(body))})
		}
		batches <- ms
	}
	close(batches)
	wg.Wait()
}
