package sftpd

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// What a connection that does not log in costs its address, as OpenSSH's PerSourcePenalties.
const (
	penaltyFailed  = 5 * time.Second // a partner's name, and not his key or password
	penaltyUnknown = 5 * time.Second // no partner's name
	penaltyNothing = time.Second     // left without trying
	penaltySlow    = 10 * time.Second

	penaltyLeast = 15 * time.Second // what must have gathered before anything is refused
	penaltyMost  = 10 * time.Minute
	penaltyTable = 65536
)

// penalties remember for how long an address is refused. The table is bounded, and permissive: when it is full, the
// penalty that ends soonest of a few goes, so that a flood of addresses frees some and never locks out all.
type penalties struct {
	mu     sync.Mutex
	now    func() time.Time
	exempt []Network
	most   int
	by     map[netip.Prefix]penalty
}

type penalty struct {
	until  time.Time
	active bool // gathered enough once; stays so until it ends
}

func newPenalties(now func() time.Time, exempt []Network) *penalties {
	return &penalties{now: now, exempt: exempt, most: penaltyTable, by: map[netip.Prefix]penalty{}}
}

// add gives an address a penalty.
func (t *penalties) add(a netip.Addr, cost time.Duration) {
	if cost <= 0 || len(t.exempt) > 0 && admitted(t.exempt, a) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, peer := t.now(), block(a)
	p, known := t.by[peer]
	if !known && len(t.by) >= t.most {
		t.makeRoom(now)
	}
	if p.until.Before(now) {
		p = penalty{until: now}
	}
	p.until = p.until.Add(cost)
	if end := now.Add(penaltyMost); p.until.After(end) {
		p.until = end
	}
	p.active = p.active || p.until.Sub(now) > penaltyLeast
	t.by[peer] = p
}

// makeRoom drops what is over among a few entries, else the one of them that ends soonest.
func (t *penalties) makeRoom(now time.Time) {
	const few = 16
	var soonest netip.Prefix
	var first time.Time
	seen := 0
	for peer, p := range t.by { // begins anywhere
		if p.until.Before(now) {
			delete(t.by, peer)
			return
		}
		if first.IsZero() || p.until.Before(first) {
			soonest, first = peer, p.until
		}
		if seen++; seen == few {
			break
		}
	}
	delete(t.by, soonest)
}

// refused says until when an address is refused; the zero time when it is not.
func (t *penalties) refused(a netip.Addr) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, peer, now := penalty{}, block(a), t.now()
	if p = t.by[peer]; p.until.IsZero() {
		return time.Time{}
	}
	if !p.until.After(now) {
		delete(t.by, peer)
		return time.Time{}
	}
	if !p.active {
		return time.Time{}
	}
	return p.until
}

// count is how many addresses are refused now; it walks the table.
func (t *penalties) count() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, p := range t.by {
		if p.active && p.until.After(now) {
			n++
		}
	}
	return n
}

// slowness makes guessing one name's password slow, from however many addresses it comes. It knows no names, only which of
// a few buckets a name falls into, so that it is the same for names that exist and those that do not, and bounded. It
// concerns passwords alone: a key is never slowed.
type slowness struct {
	mu      sync.Mutex
	now     func() time.Time
	seed    maphash.Seed
	buckets [1024]bucket
}

type bucket struct {
	failures int
	last     time.Time
}

// Slowing begins after a few failures, doubles, and is forgotten when nobody tries for a while.
const (
	slowAfter  = 5
	slowFirst  = 100 * time.Millisecond
	slowMost   = 5 * time.Second
	slowForget = 10 * time.Minute
)

func newSlowness(now func() time.Time) *slowness {
	return &slowness{now: now, seed: maphash.MakeSeed()}
}

func (s *slowness) bucket(name string) *bucket {
	return &s.buckets[maphash.String(s.seed, name)%uint64(len(s.buckets))]
}

// wait is how long a password for this name waits before it is looked at.
func (s *slowness) wait(name string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bucket(name)
	if s.now().Sub(b.last) >= slowForget {
		b.failures = 0
	}
	if b.failures < slowAfter {
		return 0
	}
	return min(slowMost, slowFirst<<min(b.failures-slowAfter, 10))
}

// tried notes a password that was wrong, or right.
func (s *slowness) tried(name string, right bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bucket(name)
	b.last = s.now()
	if right {
		b.failures = 0
	} else {
		b.failures++
	}
}
