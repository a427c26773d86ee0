package sftpd

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"waybill/ledger"
)

// Refused logins in the journal: the first few of a minute each, then one line for all that follow, so that a flood does
// not fill the ledger.
const (
	denialsEach  = 20
	denialsEvery = time.Minute
)

// denials notes who was refused.
type denials struct {
	mu      sync.Mutex
	now     func() time.Time
	note    func(kind string, detail map[string]any)
	since   time.Time // of this minute; zero: nothing yet
	each    int
	more    int
	reasons map[string]int
	peers   map[netip.Prefix]struct{} // bounded
	total   int64
}

const denialPeers = 1000

func newDenials(now func() time.Time, note func(kind string, detail map[string]any)) *denials {
	return &denials{now: now, note: note, reasons: map[string]int{}, peers: map[netip.Prefix]struct{}{}}
}

// A denial is one connection that did not log in.
type denial struct {
	address netip.AddrPort
	user    string
	client  string
	stage   string // why, in a word that is one of few
	why     string
	legacy  bool
}

func (r *denials) add(x denial) {
	r.mu.Lock()
	r.total++
	sum := r.turn()
	r.each++
	single := r.each <= denialsEach
	if !single {
		r.more++
		r.reasons[x.stage]++
		if len(r.peers) < denialPeers {
			r.peers[block(x.address.Addr())] = struct{}{}
		}
	}
	r.mu.Unlock()
	if sum != nil {
		r.note("login refused", sum)
	}
	if single {
		detail := map[string]any{"address": x.address.String(), "reason": x.stage}
		for key, text := range map[string]string{"partner": x.user, "client": x.client, "why": x.why} {
			if text != "" {
				detail[key] = shown(text)
			}
		}
		if x.legacy {
			detail["legacy"] = true
		}
		r.note("login refused", detail)
	}
}

// turn begins a new minute, and returns the sum of the last one if there is any. The caller holds the lock.
func (r *denials) turn() (sum map[string]any) {
	now := r.now()
	if now.Sub(r.since) < denialsEvery && !now.Before(r.since) {
		return nil
	}
	if r.more > 0 {
		sum = map[string]any{"count": r.more, "addresses": len(r.peers), "reasons": r.reasons, "since": r.since.UTC().Format(time.RFC3339)}
	}
	r.since, r.each, r.more = now, 0, 0
	r.reasons, r.peers = map[string]int{}, map[netip.Prefix]struct{}{}
	return sum
}

// flush notes the sum of a minute that is over.
func (r *denials) flush() {
	r.mu.Lock()
	sum := r.turn()
	r.mu.Unlock()
	if sum != nil {
		r.note("login refused", sum)
	}
}

// run flushes until ctx ends, and then once more.
func (r *denials) run(ctx context.Context) {
	tick := time.NewTicker(denialsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.flush()
		case <-ctx.Done():
			r.mu.Lock()
			r.since = time.Time{}
			r.mu.Unlock()
			r.flush()
			return
		}
	}
}

// shown makes what a stranger wrote fit to be kept and read.
func shown(text string) string {
	const longest = 200
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return ledger.Shown(text)
}
