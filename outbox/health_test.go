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
		if _, suspect := h.failure(messageID{1, 1 + i}, now.Add(time.Duration(i)*time.Millisecond), gone, false); suspect {
			t.Fatal("suspect a moment after a confirmation")
		}
	}
	if _, suspect := h.failure(messageID{1, 9}, now.Add(2*time.Second), gone, false); !suspect {
		t.Fatal("not suspect although nothing was confirmed for longer than a pause")
	}
}

func TestAFailureCountsOnceAnotherMessageWasConfirmedSince(t *testing.T) {
	t.Parallel()
	h := &health{}
	h.set(Options{Concurrency: 1}.WithDefaults())
	now := time.Unix(1_000_000, 0)
	gone := &Error{Fault: FaultUnavailable, Err: errors.New("500")}
	for i := range 3 {
		if counts, _ := h.failure(messageID{1, 1}, now.Add(time.Duration(i)*time.Minute), gone, true); counts {
			t.Fatal("counted although nothing else was confirmed")
		}
	}
	h.success(messageID{1, 2}, now.Add(5*time.Minute))
	if counts, _ := h.failure(messageID{1, 1}, now.Add(6*time.Minute), gone, false); !counts {
		t.Fatal("not counted although another was confirmed since it first failed")
	}
}
