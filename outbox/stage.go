package outbox

import (
	"context"
	"fmt"

	"waybill/failpoint"
	"waybill/store"
)

// stageMost is how many full batches one transaction stages at most, so that they share its fsync: those that were
// compressed while the one before was being written.
const stageMost = 8

// What is packed waits for the disk in a queue that is long enough to bridge a checkpoint of the database: then there is work for
// the processors while it syncs. Its bound is in bytes, by the piece.
const (
	packedMost  = 64
	packedPiece = 64 << 10
)

// stage hands a full batch to the goroutines that compress and write, which it starts first if need be. They are two, so that
// the compressor does not wait for the disk.
func (l *Lot) stage(ctx context.Context, b *batch) error {
	if l.full == nil {
		l.full = make(chan *batch, 2)
		l.packed = make(chan *batch, packedMost)
		l.room = make(chan struct{}, packedMost)
		l.raw = make(chan contents, stageMost)
		l.spare = make(chan *batch, packedMost)
		l.wg.Go(l.packs)
		l.wg.Go(func() { l.stager(ctx) })
	}
	l.staged++
	l.full <- b
	return l.failure()
}

func (l *Lot) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// packs compresses the full batches; after a failure it only passes them on.
func (l *Lot) packs() {
	defer close(l.packed)
	for b := range l.full {
		if l.failure() == nil {
			b.pack(l.out)
		}
		select {
		case l.raw <- b.strip():
		default:
		}
		for range b.pieces() {
			l.room <- struct{}{}
		}
		l.packed <- b
	}
}

// stager writes what is packed; after a failure it only empties the channel.
func (l *Lot) stager(ctx context.Context) {
	var set []*batch
	for b := range l.packed {
		set = l.waiting(append(set[:0], b))
		if l.failure() == nil {
			failpoint.Hit("outbox/staging")
			if err := l.write(ctx, set); err != nil {
				l.mu.Lock()
				l.err = err
				l.mu.Unlock()
			}
			failpoint.Hit("outbox/staged")
		}
		for _, b := range set {
			for range b.pieces() {
				<-l.room
			}
			select {
			case l.spare <- b:
			default:
			}
		}
	}
}

// pieces is how much of the queue a packed batch takes.
func (b *batch) pieces() int { return min(1+len(b.frames)/packedPiece, packedMost) }

// strip takes off what is not needed once the payload is made, to be used again.
func (b *batch) strip() contents {
	raw := b.contents
	b.contents, raw.block = contents{block: raw.block}, nil
	return raw
}

// waiting adds to set what is packed already.
func (l *Lot) waiting(set []*batch) []*batch {
	for pieces := set[0].pieces(); len(set) < stageMost && pieces < packedMost; {
		select {
		case b, ok := <-l.packed:
			if !ok {
				return set
			}
			set = append(set, b)
			pieces += b.pieces()
		default:
			return set
		}
	}
	return set
}

// write stages a set of batches.
func (l *Lot) write(ctx context.Context, set []*batch) error {
	err := l.out.db.Tx(ctx, func(tx *store.Tx) error {
		if err := l.guard(tx); err != nil {
			return err
		}
		for _, b := range set {
			if err := l.insert(tx, b, "staged"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("stage batches %d to %d: %w", set[0].seq, set[len(set)-1].seq, err)
	}
	return nil
}

// join waits until all full batches are written.
func (l *Lot) join() {
	if l.full != nil {
		close(l.full)
		l.wg.Wait()
		l.full = nil
	}
}
