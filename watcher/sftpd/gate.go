package sftpd

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
)

// block is what counts as one peer: an IPv4 address, or the /64 that an IPv6 address is out of.
func block(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such are one peer
	}
	return p
}

// A gate bounds the connections that have not logged in. When it is full, whoever has the most of them gives way to who has
// fewer, and of several who have as many one that says nothing: one peer, or a crowd of them, cannot keep a partner out.
type gate struct {
	mu         sync.Mutex
	most       int
	perAddress int
	places     int
	entered    int64
	by         map[netip.Prefix][]*slot // each the oldest first
}

// A slot is one connection in the gate.
type slot struct {
	peer  netip.Prefix
	order int64       // of entering
	leave func()      // ends the connection; called while the gate is locked, so it must not come back
	spoke func() bool // whether anything has come from it
}

func newGate(most, perAddress int) *gate {
	return &gate{most: most, perAddress: perAddress, by: map[netip.Prefix][]*slot{}}
}

// enter gives a connection a place, or says why not.
func (g *gate) enter(peer netip.Prefix, leave func(), spoke func() bool) (p *slot, refusal string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	own := len(g.by[peer])
	if own >= g.perAddress {
		return nil, "too many connections of this address that have not logged in"
	}
	if g.places >= g.most {
		heaviest := g.heaviest()
		if len(g.by[heaviest]) <= own {
			return nil, "too many connections that have not logged in"
		}
		oldest := g.by[heaviest][0]
		g.remove(oldest)
		oldest.leave()
	}
	g.entered++
	p = &slot{peer, g.entered, leave, spoke}
	g.by[peer] = append(g.by[peer], p)
	g.places++
	return p, ""
}

// heaviest is the peer with the most places; of several, one that has said nothing yet, where partners' programs speak at once; of these, the one
// who has waited longest, for who logs in does so soon.
func (g *gate) heaviest() (peer netip.Prefix) {
	var heavy []*slot // the oldest of each
	most := 0
	for _, places := range g.by {
		if len(places) > most {
			most, heavy = len(places), heavy[:0]
		}
		if len(places) == most {
			heavy = append(heavy, places[0])
		}
	}
	slices.SortFunc(heavy, func(a, b *slot) int { return cmp.Compare(a.order, b.order) })
	for _, s := range heavy { // mostly the first says nothing
		if !s.spoke() {
			return s.peer
		}
	}
	return heavy[0].peer
}

// exit frees a place. One that had to give way is free already.
func (g *gate) exit(p *slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(p)
}

func (g *gate) remove(p *slot) {
	for i, other := range g.by[p.peer] {
		if other != p {
			continue
		}
		g.places--
		rest := append(g.by[p.peer][:i:i], g.by[p.peer][i+1:]...)
		if len(rest) == 0 {
			delete(g.by, p.peer)
		} else {
			g.by[p.peer] = rest
		}
		return
	}
}

// count is how many are in the gate.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.places
}
