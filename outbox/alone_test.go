package outbox

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A page is a log that can be read while it is written to.
type page struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *page) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(text)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// One mailbox that takes nothing is no outage of the destination that all mailboxes are, however long there is nothing for the others.
func TestWhatCannotReachItsOwnPlaceWaitsByItself(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	full.Store(true)
	tried := make(chan int, 100)
	r := newReceiver(func(m Message, try int) error {
		if m.Key == "k1-0" && full.Load() {
			select {
			case tried <- try:
			default:
			}
			return Alone(errors.New("the mailbox is full"))
		}
		return nil
	})
	o := quick
	o.Retry.Attempts = 3
	b := openBox(t, r, o)
	b.put(1, 1)
	for try := range tried { // far more often than attempts, and nothing else was confirmed
		if try == 8 {
			break
		}
	}
	if h := b.Healths()["erp"]; h.State != "healthy" {
		t.Errorf("the destination is %s: %s", h.State, h.Reason)
	}
	b.put(2, 3)
	if dead := b.settled(2); dead != 0 {
		t.Errorf("%d dead letters of others", dead)
	}
	full.Store(false)
	if dead := b.settled(1); dead != 0 {
		t.Errorf("%d dead letters", dead)
	}
}

func TestWhatIsSetAsideBesideAnEntryIsLogged(t *testing.T) {
	t.Parallel()
	r := newReceiver(func(Message, int) error { return Alone(errors.New("the mailbox is full")) })
	o := quick
	o.Retry.GiveUp = 100 * time.Millisecond
	log := &page{}
	b := openTelling(t, r, o, slog.New(slog.NewTextHandler(log, nil)))
	b.put(Beside(7), 1)
	if dead := b.settled(Beside(7)); dead != 1 {
		t.Errorf("%d dead letters, want 1", dead)
	}
	b.put(8, 1)
	if dead := b.settled(8); dead != 1 {
		t.Errorf("%d dead letters, want 1", dead)
	}
	ds, err := b.DeadLetters(t.Context(), DeadFilter{})
	if err != nil || len(ds) != 2 || ds[0].Kind != "expired" {
		t.Errorf("%+v, %v", ds, err)
	}
	const says = `msg="a message beside its entry is a dead letter (waybill dead list)" destination=erp entry=7 kind=expired error="the mailbox is full"`
	if text := log.String(); strings.Count(text, "a dead letter") != 1 || !strings.Contains(text, says) {
		t.Errorf("log:\n%s", text)
	}
}
