package watcher

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

const (
	knownAtMost = 150_000   // files remembered, about 40 bytes each; the ledger is asked about more at every look
	knownFor    = time.Hour // after which the ledger is asked about each again: it notes once a day that they are still there
)

// A mark stands for one version of one file. At 128 bits two files do not share one.
type mark [2]uint64

// known remembers files that the ledger said it knows, so that a look at a large folder in which nothing is new costs its
// listing and no more. What a look does not see is forgotten at its end. It serves one goroutine, but for recheck.
type known struct {
	now     func() time.Time
	seeds   [2]maphash.Seed
	from    time.Time
	recheck atomic.Bool
	before  map[mark]struct{} // seen by the last look
	current map[mark]struct{} // seen by this one
}

func newKnown(now func() time.Time) *known {
	return &known{now: now, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, before: map[mark]struct{}{}, current: map[mark]struct{}{}}
}

// begin starts a look.
func (k *known) begin() {
	clear(k.current)
	if now := k.now(); k.recheck.Swap(false) || now.Sub(k.from) > knownFor {
		clear(k.before)
		k.from = now
	}
}

// end ends a look that saw everything.
func (k *known) end() { k.before, k.current = k.current, k.before }

// has reports whether the ledger knows this version of path.
func (k *known) has(path, version string) bool {
	m := k.mark(path, version)
	if _, yes := k.before[m]; !yes {
		return false
	}
	k.current[m] = struct{}{}
	return true
}

// add remembers that the ledger knows this version of path.
func (k *known) add(path, version string) {
	if len(k.current) < knownAtMost {
		k.current[k.mark(path, version)] = struct{}{}
	}
}

func (k *known) mark(path, version string) (m mark) {
	for i, seed := range k.seeds {
		var h maphash.Hash
		h.SetSeed(seed)
		h.WriteString(path)
		h.WriteByte(0) // in no path
		h.WriteString(version)
		m[i] = h.Sum64()
	}
	return m
}
