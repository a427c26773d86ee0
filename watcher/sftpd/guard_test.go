package sftpd

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"
)

func address(text string) netip.Addr { return netip.MustParseAddr(text) }

func TestPenaltiesGatherAsWithOpenSSH(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newPenalties(c.now, []Network{network("10.0.0.0/8")})
	a, neighbour := address("203.0.113.7"), address("203.0.113.8")
	for i := range 3 {
		p.add(a, penaltyFailed)
		if until := p.refused(a); !until.IsZero() {
			t.Fatalf("refused after %d failed logins", i+1)
		}
	}
	p.add(a, penaltyFailed) // 20 s, more than 15
	if until := p.refused(a); !until.Equal(c.now().Add(20 * time.Second)) {
		t.Errorf("until %s", until)
	}
	if !p.refused(neighbour).IsZero() || p.count() != 1 {
		t.Error("a neighbour is refused")
	}
	c.add(19 * time.Second)
	if p.refused(a).IsZero() {
		t.Error("let in before the time is over")
	}
	c.add(time.Second)
	if !p.refused(a).IsZero() || p.count() != 0 {
		t.Error("refused after the time is over")
	}
	for range 1000 {
		p.add(a, penaltySlow)
		p.add(address("10.1.2.3"), penaltySlow)
	}
	if until := p.refused(a); !until.Equal(c.now().Add(10 * time.Minute)) {
		t.Errorf("the most is 10 min: until %s", until)
	}
	if !p.refused(address("10.1.2.3")).IsZero() {
		t.Error("one who is exempt is refused")
	}
}

func TestOneIPv6NetworkIsOnePeer(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newPenalties(c.now, nil)
	for i := range 4 {
		p.add(address(fmt.Sprintf("2001:db8:1:2::%d", i)), penaltyFailed)
	}
	if p.refused(address("2001:db8:1:2:3:4:5:6")).IsZero() || !p.refused(address("2001:db8:1:3::1")).IsZero() {
		t.Error("a /64 is not one peer")
	}
	for range 4 {
		p.add(address("::ffff:192.0.2.1"), penaltyFailed)
	}
	if p.refused(address("192.0.2.1")).IsZero() || !p.refused(address("192.0.2.2")).IsZero() {
		t.Error("IPv4 within IPv6 is not that IPv4 address")
	}
}

func TestTheTableOfPenaltiesIsBoundedAndPermissive(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newPenalties(c.now, nil)
	p.most = 100
	peer := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }
	for i := range 10_000 {
		for range 2 {
			p.add(peer(i), penaltySlow)
		}
		if len(p.by) > 100 {
			t.Fatalf("%d entries", len(p.by))
		}
	}
	if p.refused(peer(9_999)).IsZero() {
		t.Error("the newest has no place")
	}
	c.add(time.Hour)
	p.add(peer(1), penaltyFailed)
	if n := p.count(); n != 0 {
		t.Errorf("%d are refused", n)
	}
}

// The gate keeps its bounds whatever happens, and who has no connection in it gets in as long as another has two.
func TestTheGateIsFair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := newGate(8, 3)
		var in []*slot
		peers := []netip.Prefix{}
		for i := range 6 {
			peers = append(peers, block(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})))
		}
		counts := func() map[netip.Prefix]int {
			n := map[netip.Prefix]int{}
			for _, s := range in {
				n[s.peer]++
			}
			return n
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(in) > 0 && rapid.Bool().Draw(t, "exit") {
				i := rapid.IntRange(0, len(in)-1).Draw(t, "who")
				g.exit(in[i])
				g.exit(in[i]) // twice is once
				in = slices.Delete(in, i, i+1)
				continue
			}
			peer := rapid.SampledFrom(peers).Draw(t, "peer")
			before := counts()
			heaviest := 0
			for _, n := range before {
				heaviest = max(heaviest, n)
			}
			out := false
			for _, other := range in {
				other.leave = func() { out = true }
			}
			speaks := rapid.Bool().Draw(t, "speaks")
			s, why := g.enter(peer, func() {}, func() bool { return speaks })
			fair := before[peer] < 3 && (len(in) < 8 || before[peer] < heaviest)
			if (s != nil) != fair || (s == nil) != (why != "") {
				t.Fatalf("peer with %d of %v: in %v, %q", before[peer], before, s != nil, why)
			}
			if s == nil {
				continue
			}
			if out != (len(in) == 8) {
				t.Fatalf("with %d in the gate, somebody gave way: %v", len(in), out)
			}
			in = slices.DeleteFunc(in, func(x *slot) bool { return !slices.Contains(g.by[x.peer], x) })
			in = append(in, s)
			if g.count() != len(in) || len(in) > 8 {
				t.Fatalf("%d in the gate, %d counted", len(in), g.count())
			}
		}
	})
}

// Of a crowd of addresses with one connection each, the one that waits longest gives way: who logs in does so soon.
func TestWhoWaitsLongestGivesWay(t *testing.T) {
	t.Parallel()
	for range 20 { // the order of a map is chance
		g := newGate(10, 10)
		var out []int
		for i := range 30 {
			if s, why := g.enter(block(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})), func() { out = append(out, i) }, func() bool { return false }); s == nil {
				t.Fatalf("%d: %s", i, why)
			}
		}
		if len(out) != 20 || !slices.IsSorted(out) || out[19] != 19 {
			t.Fatalf("%v", out)
		}
	}
}

// Who says nothing gives way before one who is about to log in, however many come.
func TestWhoSaysNothingGivesWayFirst(t *testing.T) {
	t.Parallel()
	for range 20 {
		g := newGate(10, 10)
		peer := func(i int) netip.Prefix { return block(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})) }
		gone := false
		if s, _ := g.enter(peer(0), func() { gone = true }, func() bool { return true }); s == nil {
			t.Fatal("no place")
		}
		for i := 1; i < 1000; i++ {
			if s, why := g.enter(peer(i), func() {}, func() bool { return false }); s == nil {
				t.Fatalf("%d: %s", i, why)
			}
		}
		if gone {
			t.Fatal("who speaks gave way to those who say nothing")
		}
	}
}

func TestGuessingOnePasswordIsSlowFromManyAddresses(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newSlowness(c.now)
	var waits []time.Duration
	for range 20 {
		waits = append(waits, s.wait("acme"))
		s.tried("acme", false)
	}
	if waits[4] != 0 || waits[5] != slowFirst || waits[6] != 2*slowFirst || waits[19] != slowMost {
		t.Errorf("%v", waits)
	}
	if s.wait("acme") != slowMost {
		t.Error("forgotten at once")
	}
	s.tried("acme", true)
	if s.wait("acme") != 0 {
		t.Error("slow after the right one")
	}
	for range 20 {
		s.tried("acme", false)
	}
	c.add(slowForget)
	if s.wait("acme") != 0 {
		t.Error("never forgotten")
	}
}

func TestAFloodOfRefusalsIsAFewNotes(t *testing.T) {
	t.Parallel()
	c := newClock()
	var notes []map[string]any
	d := newDenials(c.now, func(_ string, detail map[string]any) { notes = append(notes, detail) })
	for i := range 10_000 {
		d.add(denial{address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1), user: "root", stage: "permission denied", why: "unknown partner"})
	}
	if len(notes) != denialsEach || notes[0]["partner"] != "root" || notes[0]["why"] != "unknown partner" {
		t.Fatalf("%d notes, %v", len(notes), notes[0])
	}
	c.add(time.Minute)
	d.flush()
	if len(notes) != denialsEach+1 {
		t.Fatalf("%d notes", len(notes))
	}
	last := notes[denialsEach]
	if last["count"] != 10_000-denialsEach || last["addresses"] != denialPeers || last["reasons"].(map[string]int)["permission denied"] != 10_000-denialsEach {
		t.Errorf("%v", last)
	}
	c.add(time.Minute)
	if d.flush(); len(notes) != denialsEach+1 {
		t.Error("a quiet minute is noted")
	}
}

// Failed logins lock their address out, and nobody else: a partner with a key comes in from another one, whatever was done in his name.
func TestAThousandFailedPasswordsDoNotLockAPartnerOut(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, func(c *Config) { c.Options.Exempt = nil }, partner("acme", func(p *Partner) { p.Password = cheap("a good password") }, key.PublicKey()))
	for range 4 {
		if _, err := h.dialFrom("127.0.0.9", h.address, "acme", ssh.Password("wrong")); err == nil {
			t.Fatal("let in")
		}
		h.journal.wait(t, "login refused", nil)
	}
	locked := func() bool { return !h.server.penalties.refused(address("127.0.0.9")).IsZero() }
	for end := time.Now().Add(10 * time.Second); !locked(); {
		if time.Now().After(end) {
			t.Fatal("not locked out")
		}
		<-h.journal.more
	}
	if _, err := h.dialFrom("127.0.0.9", h.address, "acme", with(key)); err == nil {
		t.Error("an address that is locked out comes in")
	}
	h.journal.wait(t, "login refused", func(d map[string]any) bool { return d["reason"] == "locked out after failed logins" })
	for range 1000 {
		h.server.slowness.tried("acme", false)
	}
	c, err := h.dialFrom("127.0.0.10", h.address, "acme", with(key))
	if err != nil {
		t.Fatalf("the partner, by key: %v", err)
	}
	works(t, c)
	h.clock.add(10 * time.Minute)
	if c, err = h.dialFrom("127.0.0.9", h.address, "acme", with(key)); err != nil {
		t.Fatalf("after the time is over: %v", err)
	}
	works(t, c)
}
