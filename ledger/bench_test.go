package ledger

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"waybill/store"
)

func BenchmarkLandSmallFiles(b *testing.B) {
	r := newRig(b, orders())
	content := bytes.Repeat([]byte("order;sku;12\n"), 80) // about 1 KB
	var n atomic.Int64
	b.SetParallelism(16) // 32 callers on 2 cores
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			body := fmt.Appendf(nil, "%d\n%s", i, content)
			if _, _, err := r.Land(context.Background(), arrival(fmt.Sprint("orders_", i, ".csv"), "v"), bytes.NewReader(body)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkLookAtKnownFiles(b *testing.B) {
	r := newRig(b, orders())
	arrivals := make([]Arrival, 20_000)
	for i := range arrivals {
		arrivals[i] = arrival(fmt.Sprintf("in/orders_%08d.csv", i), fmt.Sprintf("%016x-%016x-%08x", i*7919, i*104729, i))
	}
	for chunk := range slices.Chunk(arrivals, setSize) {
		r.tx(func(tx *store.Tx) error {
			for _, a := range chunk {
				source, err := tx.Number(Source, a.Source)
				if err != nil {
					return err
				}
				_, err = tx.Exec(`INSERT INTO files (source, path, version, size, mtime, state, seen) VALUES (?, ?, ?, 0, 0, 'closed', ?)`,
					source, []byte(a.Path), a.Version, store.Millis(r.clock.now()))
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	for b.Loop() {
		unknown, err := r.Unknown(ctx, "drop", arrivals)
		if err != nil || len(unknown) != 0 {
			b.Fatal(len(unknown), err)
		}
	}
	b.ReportMetric(float64(b.N*len(arrivals))/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkAcceptAndFinish(b *testing.B) {
	r := newRig(b, orders())
	const n = 2000
	for b.Loop() {
		b.StopTimer()
		base := r.count(`SELECT COUNT(*) FROM entries`)
		for i := range n {
			r.one(fmt.Sprint("f", base, "-", i), fmt.Sprint(base, i))
		}
		b.StartTimer()
		for {
			list := r.claim("orders", setSize)
			if len(list) == 0 {
				break
			}
			worked := make([]Worked, len(list))
			done := make([]Finish, len(list))
			for i, e := range list {
				worked[i] = Worked{Entry: e, Outcome: Outcome{State: Accepted, Records: 1, Messages: 1}}
				done[i] = Finish{Entry: e.ID}
			}
			r.tx(func(tx *store.Tx) error { _, err := r.AcceptAll(tx, worked); return err })
			r.finish(done...)
			for _, e := range list {
				r.Release(e)
			}
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "entries/s")
}
