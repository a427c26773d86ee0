package sftpd

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"waybill/ledger"
)

// Refused uploads in the ledger: of each partner the first many, and then ten a minute; the rest of a minute is one row with their number, so that a program
// that sends the same again and again does not fill the ledger.
const (
	refusedBurst   = 200
	refusedEvery   = 6 * time.Second // for one more
	refusedSum     = time.Minute
	refusedReasons = 5 // told of the rest
)

// refusals bounds what is noted of refused uploads.
type refusals struct {
	mu  sync.Mutex
	now func() time.Time
	by  map[string]*tally // of partners who were refused lately
}

// A tally is what one partner may still have noted, and what was not.
type tally struct {
	left    int
	at      time.Time // when left was last added to
	more    int
	since   time.Time // of the first of these
	reasons map[string]int
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{now: now, by: map[string]*tally{}}
}

// admit reports whether one more refusal may be noted by itself. Otherwise it is counted.
func (r *refusals) admit(partner, reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	t := r.by[partner]
	if t == nil {
		t = &tally{left: refusedBurst, at: now, reasons: map[string]int{}}
		r.by[partner] = t
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
	if _, there := t.reasons[reason]; there || len(t.reasons) < refusedReasons {
		t.reasons[reason]++
	} else {
		t.reasons["other reasons"]++
	}
	return false
}

func (t *tally) refill(now time.Time) {
	if now.Before(t.at) { // the clock was set back
		t.at = now
	}
	n := int(min(now.Sub(t.at)/refusedEvery, refusedBurst))
	t.left = min(t.left+n, refusedBurst)
	t.at = t.at.Add(time.Duration(n) * refusedEvery)
	if t.left == refusedBurst {
		t.at = now
	}
}

// turn returns what was counted of each partner since the last turn, and forgets those of whom there is nothing to know.
func (r *refusals) turn() (sums []map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, partner := range slices.Sorted(maps.Keys(r.by)) {
		t := r.by[partner]
		if t.more > 0 {
			sums = append(sums, map[string]any{"partner": partner, "count": t.more, "reasons": t.reasons, "since": t.since.UTC().Format(time.RFC3339)})
			t.more, t.reasons = 0, map[string]int{}
			continue
		}
		if t.refill(r.now()); t.left == refusedBurst {
			delete(r.by, partner)
		}
	}
	return sums
}

// sumUp notes what was counted.
func (f *Files) sumUp(ctx context.Context) {
	for _, detail := range f.refusals.turn() {
		if err := f.note1(ctx, "refused", detail); err != nil {
			f.Log.Error("cannot note what happened", "kind", "refused", "detail", detail, "error", err)
		}
	}
}

// turnedAway notes that an upload was refused for what is the case here at the moment, and not for what it is: nothing is rejected, it is to be sent again.
func (h *handler) turnedAway(ctx context.Context, path string, why error) {
	reason := passing(why)
	if reason == "" || !h.files.refusals.admit(h.box.partner, reason) {
		return
	}
	h.did(ctx, "refused", "path", "/"+path, "reason", reason)
}

// passing is the reason of a refusal that will be over by itself; "" of any other.
func passing(err error) string {
	var r *refused
	switch {
	case errors.As(err, &r):
		if r.passing {
			return r.text
		}
		return ""
	case errors.Is(err, ledger.ErrFull), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return noRoom
	}
	return ""
}

// noRoom is what is said when there is none on the disk.
const noRoom = "the server has no room at the moment: send it again later"

// paused is the refusal of an upload into a folder whose source an operator has paused.
func paused() error {
	return &refused{code: wireFailure, passing: true, text: "nothing is taken into this folder at the moment, it is paused: send it again later"}
}
