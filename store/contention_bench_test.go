package store

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkWriterBesideBusyExecutor measures how long a process without the executor's lock waits for one short write while
// another commits group after group: 64 callers that never rest.
func BenchmarkWriterBesideBusyExecutor(b *testing.B) {
	folder := b.TempDir()
	db := open(b, folder)
	_, out := play(b, "executes and busy", folder)
	if _, err := out.ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	done := func() (n int64) {
		if err := db.Reader(b.Context()).QueryRow("SELECT sum(at) FROM marks WHERE job = 'busy'").Scan(&n); err != nil {
			b.Fatal(err)
		}
		return n
	}
	before, start := done(), time.Now()
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		begun := time.Now()
		n := len(took)
		if err := db.Tx(b.Context(), func(tx *Tx) error { return mark(tx, fmt.Sprint(n), n) }); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	b.ReportMetric(float64(done()-before)/time.Since(start).Seconds(), "busy-tx/s")
	slices.Sort(took)
	at := func(share float64) float64 {
		return took[min(len(took)-1, int(share*float64(len(took))))].Seconds() * 1000
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
}
