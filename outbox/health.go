package outbox

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Health is what a courier knows of its destination.
type Health struct {
	State     string    // healthy, suspect, paused
	Reason    string    // the last failure, or why it is paused
	Next      time.Time // suspect or told to wait: not before
	Confirmed time.Time // last confirmation, zero when none since start
}

// health decides whose fault a failure is. See the package comment.
type health struct {
	mu        sync.Mutex
	retry     Retry
	confirmed time.Time // last confirmation
	streak    int       // uncounted failures since then
	limit     int       // streak that makes the destination suspect
	suspect   bool
	trials    int       // failed trials in a row
	next      time.Time // suspect: the next trial
	asked     time.Time // Retry-After: the destination asked for nothing before, whatever else it confirms
	reason    string
	first     map[messageID]time.Time // first failures of messages that wait for another try
}

// messageID names a message by where it stands.
type messageID struct {
	batch int64
	index int
}

// firstMost bounds the memory for first failures; beyond it they are forgotten, which only means more patience.
const firstMost = 50_000

func (h *health) set(o Options) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retry = o.Retry
	h.limit = min(max(o.Concurrency, 1), 3)
}

// success notes a confirmation; it reports whether the destination was suspect until now.
func (h *health) success(id messageID, now time.Time) (recovered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.confirmed = now
	h.streak = 0
	recovered = h.suspect
	h.suspect, h.trials, h.next = false, 0, time.Time{}
	if len(h.first) > 0 {
		delete(h.first, id)
	}
	return recovered
}

// failure notes a failed try. counts says whether it counts against the message: the destination has confirmed another
// since this one first failed. suspect says whether the destination has become suspect just now.
func (h *health) failure(id messageID, now time.Time, err *Error, trial bool) (counts, suspect bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reason = err.Error()
	if err.After > 0 {
		h.asked = later(h.asked, now.Add(min(err.After, h.retry.Longest)))
	}
	first, known := h.first[id]
	if known && h.confirmed.After(first) {
		return true, false
	}
	if !known {
		if h.first == nil || len(h.first) >= firstMost {
			h.first = map[messageID]time.Time{}
		}
		h.first[id] = now
	}
	if h.suspect {
		// What was under way when it became suspect says nothing new: only a trial makes the wait longer.
		if trial {
			h.trials++
			h.next = later(h.next, now.Add(h.retry.wait(h.trials+1)))
		}
		return false, false
	}
	// Several that fail at once beside others that are confirmed are no outage.
	if h.streak++; h.streak < h.limit || now.Sub(h.confirmed) < h.retry.Pause {
		return false, false
	}
	h.suspect, h.trials = true, 0
	h.next = later(h.next, now.Add(h.retry.wait(1)))
	return false, true
}

// forget ends what is known of a message that is out of the way.
func (h *health) forget(id messageID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.first, id)
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
		s.State = "suspect"
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
