package outbox

import (
	"errors"
	"testing"
	"time"
)

func TestRetryAfterHoldsWhateverElseIsConfirmed(t *testing.T) {
	t.Parallel()
	h := &health{}
	h.set(Options{Concurrency: 8}.WithDefaults())
	now := time.Unix(1_000_000, 0)
	busy := &Error{Fault: FaultUnavailable, After: 7 * time.Second, Err: errors.New("503")}
	h.failure(messageID{1, 1}, now, busy, false)
	h.success(messageID{1, 2}, now.Add(time.Millisecond))
	if _, wait := h.ready(now.Add(time.Second)); wait != 6*time.Second {
		t.Fatalf("wait %s, want the rest of 7s", wait)
	}
}

func TestFailuresBesideConfirmationsAreNoOutage(t *testing.T) {
	t.Parallel()
	h := &health{}
	h.set(Options{Concurrency: 8}.WithDefaults())
	now := time.Unix(1_000_000, 0)
	gone := &Error{Fault: FaultUnavailable, Err: errors.New("connection reset")}
	h.success(messageID{1, 0}, now)
	for i := range 5 {
		if _, suspect, _ := h.failure(messageID{1, 1 + i}, now.Add(time.Duration(i)*time.Millisecond), gone, false); suspect {
			t.Fatal("suspect a moment after a confirmation")
		}
	}
	if _, suspect, _ := h.failure(messageID{1, 9}, now.Add(2*time.Second), gone, false); !suspect {
		t.Fatal("not suspect although nothing was confirmed for longer than a pause")
	}
}

func TestAFailureCountsWhenItsMessageFailsAgainAfterOthersWereConfirmed(t *testing.T) {
	t.Parallel()
	h := &health{}
	h.set(Options{}.WithDefaults())
	now := time.Unix(1_000_000, 0)
	gone := &Error{Fault: FaultUnavailable, Err: errors.New("500")}
	if counts, _, _ := h.failure(messageID{1, 1}, now, gone, false); counts {
		t.Fatal("a first failure counted")
	}
	if counts, _, _ := h.failure(messageID{1, 1}, now.Add(time.Second), gone, false); counts {
		t.Fatal("counted although nothing else was confirmed")
	}
	h.success(messageID{1, 2}, now.Add(2*time.Second))
	if counts, _, _ := h.failure(messageID{1, 1}, now.Add(3*time.Second), gone, false); !counts {
		t.Fatal("not counted although another was confirmed since it last failed")
	}
}

func TestAnOutageThatComesAndGoesCountsAgainstNobody(t *testing.T) {
	t.Parallel()
	h := &health{}
	h.set(Options{}.WithDefaults())
	now := time.Unix(1_000_000, 0)
	gone := &Error{Fault: FaultUnavailable, Err: errors.New("connection refused")}
	for flap := range 10 {
		for i := range 20 {
			now = now.Add(time.Second)
			trial, _ := h.ready(now)
			if counts, _, _ := h.failure(messageID{1, i}, now, gone, trial); counts {
				t.Fatalf("flap %d: the failure of message %d counted", flap, i)
			}
			if trial {
				break // one at a time from here
			}
		}
		now = now.Add(time.Second)
		h.success(messageID{2, flap}, now)
	}
}
