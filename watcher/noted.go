package watcher

import (
	"hash/maphash"
	"time"

	"waybill/ledger"
)

// notedAgain is after how long a note is given to the ledger again, for it may have dropped it.
const notedAgain = time.Hour

// noted remembers which notes the ledger has, so that a folder full of files that wait is not noted at every look. It
// is bounded, and forgets all at once. It serves one goroutine.
type noted struct {
	now  func() time.Time
	seed maphash.Seed
	from time.Time
	sums map[uint64]struct{}
}

// first reports whether n was not seen before.
func (d *noted) first(n ledger.Waiting) bool {
	if now := d.now(); len(d.sums) >= 10*watchedAtOnce || now.Sub(d.from) > notedAgain {
		d.clear()
		d.from = now
	}
	sum := maphash.Comparable(d.seed, [3]string{n.Arrival.Path, n.Arrival.Version, n.Reason})
	_, before := d.sums[sum]
	d.sums[sum] = struct{}{}
	return !before
}

// clear forgets all notes.
func (d *noted) clear() { clear(d.sums) }
