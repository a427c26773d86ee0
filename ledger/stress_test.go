package ledger

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"waybill/store"
)

// Landing, working, cancelling and finishing at once: each entry is worked under one claim at a time and comes to one end.
func TestManyHandsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	const files = 300
	var landed, working sync.WaitGroup
	var busy sync.Map // entry → being worked
	var ended atomic.Int64
	stop := make(chan struct{})
	for i := range 8 {
		landed.Go(func() {
			for j := i; j < files; j += 8 {
				_, es, err := r.Land(ctx, arrival(fmt.Sprint("f", j), "v"), strings.NewReader(fmt.Sprint("content ", j)))
				if err != nil {
					t.Error(err)
					continue
				}
				if j%10 == 0 && r.Cancel(ctx, es[0].ID, "ops") == nil {
					ended.Add(1)
				}
			}
		})
	}
	for range 4 {
		working.Go(func() {
			for {
				es, err := r.Claim(ctx, "orders", 7)
				if err != nil {
					t.Error(err)
					return
				}
				if len(es) > 0 {
					ended.Add(workSet(t, r, &busy, es))
					continue
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	landed.Wait()
	close(stop)
	working.Wait()
	if n := ended.Load(); n != files {
		t.Errorf("%d entries came to an end, want %d", n, files)
	}
	if n := r.count(`SELECT COUNT(*) FROM files WHERE state = 'closable'`); n != files {
		t.Errorf("%d files closable, want %d", n, files)
	}
	if _, err := r.Verify(ctx); err != nil {
		t.Error(err)
	}
}

// workSet accepts and finishes what was claimed, except those it puts back, and returns how many came to an end by it.
func workSet(t *testing.T, r *rig, busy *sync.Map, es []Entry) int64 {
	var list []Worked
	for _, e := range es {
		if _, twice := busy.LoadOrStore(e.ID, true); twice {
			t.Errorf("#%d is worked twice at once", e.ID)
		}
		if e.Token%5 != 0 { // the others are interrupted
			list = append(list, Worked{e, Outcome{State: Accepted}})
		}
	}
	var done []Finish
	err := r.db.Tx(ctx, func(tx *store.Tx) error {
		gone, err := r.AcceptAll(tx, list)
		if err != nil {
			return err
		}
		lost := map[int64]bool{}
		for _, e := range gone {
			lost[e.ID] = true
		}
		for _, w := range list {
			if !lost[w.Entry.ID] {
				done = append(done, Finish{Entry: w.Entry.ID})
			}
		}
		return nil
	})
	if err == nil {
		err = r.db.Tx(ctx, func(tx *store.Tx) error { return r.Finish(tx, done) })
	}
	if err != nil {
		t.Error(err)
	}
	for _, e := range es {
		busy.Delete(e.ID)
		r.Release(e)
	}
	return int64(len(done))
}
