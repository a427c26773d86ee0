package rest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"waybill/outbox"
)

const connections = 64

// sink takes requests and answers 201, like the receiver of figure P3.
func sink(b *testing.B) string {
	return serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}).URL
}

// BenchmarkFloor is the least a program can do with net/http: 64 loops, one POST each with a fixed
// key. BenchmarkDeliver beside it must reach 85 % of its rate.
func BenchmarkFloor(b *testing.B) {
	url := sink(b)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	body := []byte(`{"orderNumber":"WL-17","department":"Wagon-Lits","priority":"HIGH"}`)
	var next atomic.Int64
	var loops sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range connections {
		loops.Go(func() {
			for next.Add(1) <= int64(b.N) {
				r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/orders", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Idempotency-Key", `"8e03978e-40d5-43e8-bc93-6894a57f9324"`)
				answer, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
		})
	}
	loops.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkDeliver is the same work through Target, in batches of 1,000 as the outbox leases them.
func BenchmarkDeliver(b *testing.B) {
	target := start(b, Options{URL: sink(b)}, Limits{Concurrency: connections}, nil)
	headers := []outbox.Header{{Name: ":path", Value: "/orders"}, {Name: ":content-type", Value: "application/json"}}
	batch := make([]outbox.Message, 1000)
	for i := range batch {
		batch[i] = outbox.Message{
			Key: "8e03978e-40d5-43e8-bc93-" + strconv.Itoa(100_000_000_000+i), Headers: headers,
			Body: []byte(`{"orderNumber":"WL-17","department":"Wagon-Lits","priority":"HIGH"}`),
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= len(batch) {
		err := target.Deliver(context.Background(), batch[:min(left, len(batch))], func(_ int, _ outbox.Receipt, err error) {
			if err != nil {
				b.Error(err)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
