package outbox

import (
	"math/rand/v2"
	"sync"
	"time"

	"waybill/store"
)

// Health is what a courier knows of its destination.
type Health struct {
	State     string    `json:"state"`              // healthy, suspect, paused
	Reason    string    `json:"reason,omitempty"`   // the last failure, or why it is paused
	Since     time.Time `json:"since,omitzero"`     // suspect: since when
	Next      time.Time `json:"next,omitzero"`      // suspect or told to wait: not before
	Confirmed time.Time `json:"confirmed,omitzero"` // last confirmation, zero when none since start
}

// health decides whose fault a failure is. See the package comment.
//
// A failure is judged by what came after it: when the message fails again, the failure before counts if the destination
// has confirmed another meanwhile and was not suspect in between. So an outage counts against nobody, however often it
// comes and goes, and a message that alone fails is found out.
type health struct {
	mu        sync.Mutex
	retry     Retry
	confirmed time.Time // last confirmation
	confirms  int64     // number of them
	streak    int       // failures since the last
	suspect   bool
	since     time.Time // suspect: since when, on the clock that does not jump
	epoch     int       // times it became suspect
	trials    int       // failed trials in a row
	next      time.Time // suspect: the next trial
	asked     time.Time // Retry-After: the destination asked for nothing before, whatever else it confirms
	reason    string
	failed    map[messageID]failed // messages that wait for another try
}

// failed is when a message last failed, counted in what the destination did.
type failed struct {
	epoch    int
	confirms int64
	attempt  attempt // without what was answered
}

// messageID names a message by where it stands.
type messageID struct {
	batch int64
	index int
}

const (
	// failedMost bounds the memory for failed messages; beyond it they are forgotten, which only means more patience.
	failedMost = 50_000
	// suspectStreak is how many failures in a row make a destination suspect.
	suspectStreak = 3
)

func (h *health) set(o Options) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retry = o.Retry
}

// success notes a confirmation; it reports whether the destination was suspect until now.
func (h *health) success(id messageID, now time.Time) (recovered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.confirmed = now
	h.confirms++
	h.streak = 0
	recovered = h.suspect
	h.suspect, h.trials, h.next = false, 0, time.Time{}
	if len(h.failed) > 0 {
		delete(h.failed, id)
	}
	return recovered
}

// failure notes a failed try. counts says whether it counts against the message, with the one before, which is returned; suspect,
// whether the destination has become suspect just now.
func (h *health) failure(id messageID, now time.Time, err *Error, trial bool) (counts, suspect bool, earlier attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reason = err.Error()
	if err.After > 0 {
		h.asked = later(h.asked, now.Add(min(err.After, h.retry.Longest)))
	}
	before, known := h.failed[id]
	counts = known && before.epoch == h.epoch && h.confirms > before.confirms
	h.streak++
	switch {
	case h.suspect && trial: // what was under way when it became suspect says nothing new
		h.trials++
		h.next = later(h.next, now.Add(h.retry.wait(h.trials+1)))
	case h.suspect:
	case h.streak >= suspectStreak && now.Sub(h.confirmed) >= h.retry.Pause: // several at once beside confirmed ones are no outage
		h.suspect, h.since, h.trials = true, now, 0
		h.epoch++
		h.next = later(h.next, now.Add(h.retry.wait(1)))
		counts, suspect = false, true
	}
	if h.failed == nil || len(h.failed) >= failedMost {
		h.failed = map[messageID]failed{}
	}
	h.failed[id] = failed{h.epoch, h.confirms, attempt{At: store.Millis(now), Error: h.reason, Status: err.Status}}
	return counts, suspect, before.attempt
}

// away is how long the destination has been suspect.
func (h *health) away(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.suspect {
		return 0
	}
	return now.Sub(h.since)
}

// forget ends what is known of a message that is out of the way.
func (h *health) forget(id messageID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.failed, id)
}

// ready tells whether deliveries may begin now; if not, when to look again.
func (h *health) ready(now time.Time) (suspect bool, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.suspect, max(0, later(h.next, h.asked).Sub(now))
}

func (h *health) snapshot() Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Health{State: "healthy", Next: later(h.next, h.asked), Confirmed: h.confirmed}
	if h.suspect {
		s.State, s.Since = "suspect", h.since
		s.Reason = h.reason
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// wait is the pause after the n-th failure (from 1), with jitter: between half and the whole of it, so that
// many messages that failed together do not come back together.
func (r Retry) wait(n int) time.Duration {
	d := float64(r.Pause)
	for range n - 1 {
		if d *= r.Factor; d >= float64(r.Longest) {
			break
		}
	}
	d = min(d, float64(r.Longest))
	return time.Duration(d/2 + rand.Float64()*d/2) //nolint:gosec // jitter is not a secret
}
