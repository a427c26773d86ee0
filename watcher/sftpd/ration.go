package sftpd

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// What a partner can do without end stands in the ledger bounded: of each kind the first many, and then ten a minute; the rest of a minute is one row with their
// number, so that no program that does the same again and again fills the ledger.
const (
	rationBurst   = 200
	rationEvery   = 6 * time.Second // for one more
	rationSum     = time.Minute
	rationReasons = 5 // told of the rest
)

// A ration is a Journal that keeps to that. What it does not pass on it counts.
type ration struct {
	to  Journal // nil: nothing is kept
	now func() time.Time
	log *slog.Logger

	mu sync.Mutex
	by map[deed]*tally // what partners did lately
}

// A deed is something of one kind that one partner did.
type deed struct{ partner, kind string }

// A tally is what of a deed may still be noted by itself, and what was not.
type tally struct {
	left    int
	at      time.Time // when left was last added to
	more    int
	since   time.Time // of the first of these
	reasons map[string]int
}

func newRation(to Journal, now func() time.Time, log *slog.Logger) *ration {
	return &ration{to: to, now: now, log: log, by: map[deed]*tally{}}
}

// Note implements [Journal].
func (r *ration) Note(ctx context.Context, kind string, detail map[string]any) error {
	partner, _ := detail["partner"].(string)
	if r.to == nil || !r.admit(partner, kind, why(detail)) {
		return nil
	}
	return r.to.Note(ctx, kind, detail)
}

// why is what of a detail many have in common: a reason, or where they came from.
func why(detail map[string]any) string {
	reason, _ := detail["reason"].(string)
	address, _ := detail["address"].(string)
	if a, err := netip.ParseAddrPort(address); err == nil {
		address = "from " + a.Addr().String()
	}
	return cmp.Or(reason, address)
}

// admit reports whether one more deed may be noted by itself. Otherwise it is counted.
func (r *ration) admit(partner, kind, reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, d := r.now(), deed{partner, kind}
	t := r.by[d]
	if t == nil {
		t = &tally{left: rationBurst, at: now, reasons: map[string]int{}}
		r.by[d] = t
	}
	t.refill(now)
	if t.left > 0 {
		t.left--
		return true
	}
	if t.more == 0 {
		t.since = now
	}
	t.more++
	switch _, there := t.reasons[reason]; {
	case reason == "":
	case there || len(t.reasons) < rationReasons:
		t.reasons[reason]++
	default:
		t.reasons["other reasons"]++
	}
	return false
}

func (t *tally) refill(now time.Time) {
	if now.Before(t.at) { // the clock was set back
		t.at = now
	}
	n := int(min(now.Sub(t.at)/rationEvery, rationBurst))
	t.left = min(t.left+n, rationBurst)
	t.at = t.at.Add(time.Duration(n) * rationEvery)
	if t.left == rationBurst {
		t.at = now
	}
}

// A rest is what was counted of a deed.
type rest struct {
	deed
	detail map[string]any
}

// turn returns what was counted since the last turn, and forgets of what there is nothing to know.
func (r *ration) turn() (list []rest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for d, t := range r.by {
		if t.more > 0 {
			list = append(list, rest{d, map[string]any{"partner": d.partner, "count": t.more, "reasons": t.reasons, "since": t.since.UTC().Format(time.RFC3339)}})
			t.more, t.reasons = 0, map[string]int{}
			continue
		}
		if t.refill(r.now()); t.left == rationBurst {
			delete(r.by, d)
		}
	}
	slices.SortFunc(list, func(a, b rest) int { return cmp.Or(cmp.Compare(a.partner, b.partner), cmp.Compare(a.kind, b.kind)) })
	return list
}

// sumUp notes what was counted.
func (r *ration) sumUp(ctx context.Context) {
	for _, s := range r.turn() {
		if r.to == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noting)
		if err := r.to.Note(ctx, s.kind, s.detail); err != nil {
			r.log.Error("cannot note what happened", "kind", s.kind, "detail", s.detail, "error", err)
		}
		cancel()
	}
}

// run sums up each minute until ctx ends, and then once more.
func (r *ration) run(ctx context.Context) {
	tick := time.NewTicker(rationSum)
	defer tick.Stop()
	defer r.sumUp(ctx)
	for {
		select {
		case <-tick.C:
			r.sumUp(ctx)
		case <-ctx.Done():
			return
		}
	}
}
