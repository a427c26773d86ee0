// Package outboxtest checks that a kind of target keeps the contract of outbox.Target. The tests of every
// target call Run; what is particular to a kind it tests itself.
package outboxtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"waybill/outbox"
)

// patience is how long a Deliver may take before a test calls it hanging.
const patience = 2 * time.Minute

// A Side is a destination of a test's own and the target that delivers to it.
type Side struct {
	Target  outbox.Target
	Message func(n int) outbox.Message // the n-th message that the destination takes, the same at each call
	Refused func(n int) outbox.Message // one that it refuses for good; nil: this kind refuses nothing
	Effects func() map[string]int      // how often each key took effect there (a repeat that it recognises is none)
	Down    func()                     // takes the destination away, Up brings it back; nil: cannot be done
	Up      func()
	Hold    func() (release func()) // makes it keep its answers back until release; nil: cannot be done
}

// A Fixture makes destinations.
type Fixture struct {
	// Start brings up a destination that is empty, with a target that has at least four
	// deliveries under way at once where the kind knows such a thing. It cleans up through t.Cleanup.
	Start func(t *testing.T) Side
}

// Run checks the contract, one subtest a clause.
func Run(t *testing.T, f Fixture) {
	for _, clause := range []struct {
		name string
		test func(t *testing.T, s Side)
	}{
		{"every message is confirmed once and took effect once", confirmsEach},
		{"nothing to deliver is no fault", deliversNothing},
		{"Deliver may be called concurrently", deliversConcurrently},
		{"a refused message does not keep the others", goesOnAfterRefusal},
		{"a repeat with the same key takes no second effect", repeatsUnderSameKey},
		{"a delivery cancelled before it began tries nothing", triesNothingWhenCancelled},
		{"a delivery cancelled in the middle ends and reports truthfully", endsWhenCancelled},
		{"a destination that is away is unavailable, and is used again when it is back", survivesOutage},
	} {
		t.Run(clause.name, func(t *testing.T) {
			t.Parallel()
			clause.test(t, f.Start(t))
		})
	}
}

// Outcomes are what a Deliver reported.
type Outcomes struct {
	mu       sync.Mutex
	t        testing.TB
	closed   bool
	errs     map[int]error
	receipts map[int]outbox.Receipt
}

// Deliver calls target.Deliver, fails the test when an index is reported twice, out of range or after the return, or
// when Deliver hangs, and returns what was reported.
func Deliver(ctx context.Context, t testing.TB, target outbox.Target, ms []outbox.Message) *Outcomes {
	t.Helper()
	o := &Outcomes{t: t, errs: map[int]error{}, receipts: map[int]outbox.Receipt{}}
	ended := make(chan error, 1)
	go func() {
		ended <- target.Deliver(ctx, ms, func(i int, r outbox.Receipt, err error) { o.report(len(ms), i, r, err) })
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Logf("Deliver: %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("Deliver of %d messages has not ended after %v", len(ms), patience)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return o
}

func (o *Outcomes) report(n, i int, r outbox.Receipt, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		o.t.Errorf("message %d was reported after Deliver had returned", i)
		return
	}
	if i < 0 || i >= n {
		o.t.Errorf("message %d was reported, of %d", i, n)
	}
	if _, twice := o.errs[i]; twice {
		o.t.Errorf("message %d was reported twice", i)
	}
	o.errs[i], o.receipts[i] = err, r
}

// Err returns the error reported for message i, and whether any outcome was reported for it.
func (o *Outcomes) Err(i int) (err error, reported bool) {
	err, reported = o.errs[i]
	return err, reported
}

// Untried reports whether err says that nothing of its message went out and that no attempt counts.
func Untried(err error) bool {
	var e *outbox.Error
	return errors.As(err, &e) && e.Untried || errors.Is(err, context.Canceled)
}

// Receipt returns the receipt reported for message i.
func (o *Outcomes) Receipt(i int) outbox.Receipt { return o.receipts[i] }

// confirmed fails the test unless exactly n messages were reported, all of them confirmed.
func (o *Outcomes) confirmed(n int) {
	o.t.Helper()
	if len(o.errs) != n {
		o.t.Errorf("%d of %d messages were reported", len(o.errs), n)
	}
	for i, err := range o.errs {
		if err != nil {
			o.t.Errorf("message %d: %v", i, err)
		}
	}
}

func messages(make func(int) outbox.Message, from, n int) []outbox.Message {
	var ms []outbox.Message
	for i := range n {
		ms = append(ms, make(from+i))
	}
	return ms
}

// once fails the test unless exactly the keys of ms took effect, once each.
func once(t *testing.T, s Side, ms []outbox.Message) {
	t.Helper()
	effects := s.Effects()
	for _, m := range ms {
		if effects[m.Key] != 1 {
			t.Errorf("key %s took effect %d times, not once", m.Key, effects[m.Key])
		}
	}
	if len(effects) != len(ms) {
		t.Errorf("%d keys took effect, of %d messages", len(effects), len(ms))
	}
}

func confirmsEach(t *testing.T, s Side) {
	ms := messages(s.Message, 0, 50)
	Deliver(t.Context(), t, s.Target, ms).confirmed(len(ms))
	once(t, s, ms)
}

func deliversNothing(t *testing.T, s Side) {
	Deliver(t.Context(), t, s.Target, nil).confirmed(0)
	once(t, s, nil)
}

func deliversConcurrently(t *testing.T, s Side) {
	const calls, each = 4, 25
	all := messages(s.Message, 0, calls*each)
	var running sync.WaitGroup
	for part := range slices.Chunk(all, each) {
		running.Go(func() {
			err := s.Target.Deliver(t.Context(), part, func(i int, _ outbox.Receipt, err error) {
				if err != nil {
					t.Errorf("%s: %v", part[i].Key, err)
				}
			})
			if err != nil {
				t.Errorf("Deliver: %v", err)
			}
		})
	}
	running.Wait()
	once(t, s, all)
}

func goesOnAfterRefusal(t *testing.T, s Side) {
	if s.Refused == nil {
		t.Skip("this kind refuses nothing")
	}
	var ms, good []outbox.Message
	for i := range 24 {
		if i%4 == 1 {
			ms = append(ms, s.Refused(i))
			continue
		}
		m := s.Message(i)
		ms, good = append(ms, m), append(good, m)
	}
	o := Deliver(t.Context(), t, s.Target, ms)
	for i := range ms {
		err, reported := o.Err(i)
		switch {
		case !reported:
			t.Errorf("message %d was not reported", i)
		case i%4 != 1 && err != nil:
			t.Errorf("message %d beside a refused one: %v", i, err)
		case i%4 == 1 && (err == nil || outbox.FaultOf(err) != outbox.FaultRefused):
			t.Errorf("message %d should be refused, got: %v", i, err)
		}
	}
	once(t, s, good)
}

func repeatsUnderSameKey(t *testing.T, s Side) {
	ms := messages(s.Message, 0, 8)
	Deliver(t.Context(), t, s.Target, ms).confirmed(len(ms))
	for i := range ms {
		ms[i].Repeat = true
	}
	Deliver(t.Context(), t, s.Target, ms).confirmed(len(ms))
	once(t, s, ms)
}

func triesNothingWhenCancelled(t *testing.T, s Side) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ms := messages(s.Message, 0, 10)
	o := Deliver(ctx, t, s.Target, ms)
	for i := range ms {
		if err, reported := o.Err(i); !reported || !Untried(err) {
			t.Errorf("message %d: reported %v as %v, want it not tried", i, reported, err)
		}
	}
	once(t, s, nil)
}

// endsWhenCancelled holds the answers back, cancels, and lets them go while the grace time runs.
func endsWhenCancelled(t *testing.T, s Side) {
	if s.Hold == nil {
		t.Skip("this kind cannot be held up")
	}
	release := s.Hold()
	ctx, cancel := context.WithCancelCause(t.Context())
	ms := messages(s.Message, 0, 200)
	hold := time.AfterFunc(200*time.Millisecond, func() {
		cancel(fmt.Errorf("test: %w", context.Canceled))
		release()
	})
	defer hold.Stop()
	o := Deliver(ctx, t, s.Target, ms)
	effects, untried := s.Effects(), 0
	for i, m := range ms {
		err, reported := o.Err(i)
		switch {
		case !reported:
		case err == nil && effects[m.Key] != 1:
			t.Errorf("message %d was confirmed but took effect %d times", i, effects[m.Key])
		case Untried(err):
			untried++
			if effects[m.Key] != 0 {
				t.Errorf("message %d was reported as not tried but took effect", i)
			}
		}
	}
	t.Logf("%d of %d messages were not tried", untried, len(ms))
	cancel(nil)
}

func survivesOutage(t *testing.T, s Side) {
	if s.Down == nil {
		t.Skip("this kind cannot be taken away")
	}
	first := messages(s.Message, 0, 4)
	Deliver(t.Context(), t, s.Target, first).confirmed(len(first))
	s.Down()
	later := messages(s.Message, 4, 20)
	o := Deliver(t.Context(), t, s.Target, later)
	tried := 0
	for i := range later {
		err, reported := o.Err(i)
		if !reported || err == nil {
			t.Errorf("message %d to a destination that is away: reported %v as %v", i, reported, err)
			continue
		}
		if !Untried(err) {
			tried++
		}
		if f := outbox.FaultOf(err); f == outbox.FaultRefused || f == outbox.FaultStopped {
			t.Errorf("message %d to a destination that is away counts as fault %d: %v", i, f, err)
		}
	}
	if tried == 0 {
		t.Error("an outage was reported for no message: the outbox would not learn of it")
	}
	s.Up()
	Deliver(t.Context(), t, s.Target, later).confirmed(len(later))
	once(t, s, append(first, later...))
}
