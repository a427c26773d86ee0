package outbox

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"waybill/failpoint"
	"waybill/store"
)

// Bounds of a batch.
const (
	batchCount = 1000
	batchBytes = 1 << 20
)

// A Lot takes the messages of one entry while the entry is read. Full batches are
// staged as they come, compressed and written on goroutines of their own; what has not filled a batch is written by Release
// itself, so that a small entry costs one transaction. Nothing staged can be claimed.
//
// Add, Seal, Release and Discard are called by one goroutine.
type Lot struct {
	out     *Outbox
	parent  int64
	token   int64
	guard   func(*store.Tx) error
	open    map[lane]*batch
	last    *batch // of open, that the last message went to; nil: none
	order   []lane
	seq     int
	staged  int
	outputs int // kept for it, see Keep
	count   int64

	full   chan *batch // nil until the first batch is full
	packed chan *batch
	room   chan struct{} // one for each piece of what is packed
	raw    chan contents // to be used again
	spare  chan *batch   // the same
	wg     sync.WaitGroup
	mu     sync.Mutex
	err    error
}

type lane struct{ destination, route string }

// A batch is what one row of batches and one of payloads are made of.
type batch struct {
	lane
	seq   int
	first int64
	count int
	contents

	frames []byte // the payload
}

// Lot begins a lot. guard is run in each staging transaction and fails it when the claim is no longer valid.
func (o *Outbox) Lot(parent, token int64, guard func(*store.Tx) error) *Lot {
	return &Lot{out: o, parent: parent, token: token, guard: guard, open: map[lane]*batch{}}
}

// Beside is the parent of lots that belong to parent, but that it does not wait for: how they end is nothing to it.
func Beside(parent int64) int64 { return -parent }

// parted undoes Beside.
func parted(parent int64) (_ int64, beside bool) { return max(parent, -parent), parent < 0 }

// Add takes one message; its bytes are copied.
func (l *Lot) Add(ctx context.Context, destination, route string, m *Message) error {
	k := lane{destination, route}
	b := l.last
	if b == nil || b.lane != k { // most messages go where the one before went
		if b = l.open[k]; b == nil {
			b = l.fresh(k, m.Record)
			l.open[k] = b
			l.order = append(l.order, k)
		}
		l.last = b
	}
	b.add(m)
	b.count++
	l.count++
	if b.count < batchCount && b.size() < batchBytes {
		return nil
	}
	delete(l.open, k)
	l.last = nil
	l.order = without(l.order, k)
	return l.stage(ctx, b)
}

func without(order []lane, k lane) []lane {
	kept := order[:0]
	for _, o := range order {
		if o != k {
			kept = append(kept, o)
		}
	}
	return kept
}

// fresh takes buffers that the stager has done with, if there are any.
func (l *Lot) fresh(k lane, first int64) *batch {
	b := &batch{}
	var raw contents
	select {
	case b = <-l.spare:
	default:
	}
	select {
	case raw = <-l.raw:
	default:
	}
	raw.block = b.block
	raw.reset()
	*b = batch{lane: k, seq: l.seq, first: first, contents: raw, frames: b.frames[:0]}
	l.seq++
	return b
}

func (b *batch) pack(o *Outbox) { b.frames = b.payload(b.frames[:0], o.encoder) }

func (l *Lot) insert(tx *store.Tx, b *batch, state string) error {
	destination, err := l.out.number(tx, b.destination)
	if err != nil {
		return err
	}
	id, err := tx.Insert(`INSERT INTO batches (parent, token, destination, route, seq, first, count, state, made)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		l.parent, l.token, destination, b.route, b.seq, b.first, b.count, state, store.Millis(l.out.now()))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO payloads (batch, keys, frames) VALUES (?, ?, ?)`, id, b.block, b.frames)
	return err
}

// Seal waits until all full batches are staged and prepares the rest for Release. Call it outside a transaction.
func (l *Lot) Seal() error {
	l.join()
	for _, k := range l.order {
		l.open[k].pack(l.out)
	}
	return l.failure()
}

// Count returns the number of messages taken so far.
func (l *Lot) Count() int64 { return l.count }

// Held returns how many bytes of messages Release has to write.
func (l *Lot) Held() int {
	n := 0
	for _, b := range l.open {
		n += b.size() + len(b.frames)
	}
	return n
}

// Staged reports whether something stands in the database already, so that the entry must be shown as working.
func (l *Lot) Staged() bool { return l.staged > 0 }

// Release makes the lot's batches ready, in the transaction that accepts the entry. Call Seal before it.
func (l *Lot) Release(tx *store.Tx) error { return ReleaseAll(tx, []*Lot{l}) }

// ReleaseAll is Release for several lots of one outbox, with a few statements for what none of them has staged.
func ReleaseAll(tx *store.Tx, lots []*Lot) error {
	var rows, payloads []any
	for _, l := range lots {
		if err := l.releaseStaged(tx); err != nil {
			return err
		}
		made := store.Millis(l.out.now())
		for _, k := range l.order {
			b := l.open[k]
			destination, err := l.out.number(tx, b.destination)
			if err != nil {
				return err
			}
			rows = append(rows, l.parent, l.token, destination, b.route, b.seq, b.first, b.count, made)
		}
	}
	ids, err := tx.InsertAll(`INSERT INTO batches (parent, token, destination, route, seq, first, count, made, state)`, `(?, ?, ?, ?, ?, ?, ?, ?, 'ready')`, rows)
	if err != nil {
		return err
	}
	for _, l := range lots {
		for _, k := range l.order {
			payloads = append(payloads, ids[len(payloads)/3], l.open[k].block, l.open[k].frames)
		}
	}
	if _, err := tx.InsertAll(`INSERT INTO payloads (batch, keys, frames)`, `(?, ?, ?)`, payloads); err != nil {
		return err
	}
	failpoint.Hit("outbox/released")
	tx.Notify(Topic)
	return nil
}

// releaseStaged makes ready what the lot has staged.
func (l *Lot) releaseStaged(tx *store.Tx) error {
	if l.staged == 0 {
		return nil
	}
	n, err := tx.Exec(`UPDATE batches SET state = 'ready' WHERE parent = ? AND token = ? AND state = 'staged'`, l.parent, l.token)
	if err != nil {
		return err
	}
	if n != int64(l.staged) {
		return fmt.Errorf("release lot of #%d: %d of %d staged batches are there", l.parent, n, l.staged)
	}
	return nil
}

// Discard ends a lot that is not to be released and deletes what it staged and kept. It works without a live context.
func (l *Lot) Discard(ctx context.Context) error {
	l.join()
	if l.staged == 0 && l.outputs == 0 {
		return nil
	}
	return l.out.DiscardStaged(context.WithoutCancel(ctx), l.parent, 0)
}

// DiscardStaged deletes, in chunks, the batches that are staged for parent under another token than keep, and the files
// written for them: what a killed process left behind.
func (o *Outbox) DiscardStaged(ctx context.Context, parent, keep int64) error {
	for {
		var n int64
		err := o.db.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM payloads WHERE batch IN (SELECT id FROM batches
				WHERE parent = ? AND token <> ? AND state = 'staged' ORDER BY id LIMIT 100)`, parent, keep)
			if err != nil {
				return err
			}
			n, err = tx.Exec(`DELETE FROM batches WHERE id IN (SELECT id FROM batches
				WHERE parent = ? AND token <> ? AND state = 'staged' ORDER BY id LIMIT 100)`, parent, keep)
			if err != nil || n > 0 {
				return err
			}
			return o.dropOutputs(tx, parent, keep)
		})
		failpoint.Hit("outbox/discarded")
		if err != nil || n == 0 {
			return err
		}
	}
}

// Copy adds all messages of another parent's lots, with their keys and bytes: a replay sends what was sent. count is how many
// there were; it returns false when they are not all there any more, and is ErrNoBytes when the file that is one of them is not.
func (l *Lot) Copy(ctx context.Context, from, count int64) (bool, error) {
	batches, err := l.out.Batches(ctx, from)
	if err != nil {
		return false, err
	}
	batches = slices.DeleteFunc(batches, func(b BatchInfo) bool { return b.Resent })
	for _, b := range batches {
		count -= int64(b.Count)
	}
	if count != 0 || len(batches) == 0 {
		return false, nil
	}
	for _, b := range batches {
		ms, err := l.out.batchMessages(ctx, b.ID)
		if err != nil {
			return false, err
		}
		for i := range ms {
			if ms[i].Object != 0 {
				if err := l.share(ctx, ms[i].Object, from); err != nil {
					return false, err
				}
			}
			if err := l.Add(ctx, b.Destination, b.Route, &ms[i]); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}
