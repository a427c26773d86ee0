package outbox

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"waybill/store"
)

// deliverFunc is a target made of one function.
type deliverFunc func(ctx context.Context, ms []Message, done func(int, Receipt, error)) error

func (f deliverFunc) Deliver(ctx context.Context, ms []Message, done func(int, Receipt, error)) error {
	return f(ctx, ms, done)
}

func TestDamagedMessagesAreSetAsideAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	r := newReceiver(func(Message, int) error { return nil })
	b := openBox(t, r, quick)
	if err := b.Pause(t.Context(), "erp", "to damage something"); err != nil {
		t.Fatal(err)
	}
	for i := int64(1); i <= 3; i++ {
		b.put(i, 2)
	}
	err := b.db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE payloads SET frames = x'00' WHERE batch = 2`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(t.Context(), "erp"); err != nil {
		t.Fatal(err)
	}
	for parent, dead := range map[int64]int64{1: 0, 2: 2, 3: 0} {
		if got := b.settled(parent); got != dead {
			t.Errorf("#%d: %d dead letters, want %d", parent, got, dead)
		}
	}
	ds, err := b.DeadLetters(t.Context(), DeadFilter{Parent: 2})
	if err != nil || len(ds) != 2 || ds[0].Kind != "damaged" || ds[1].Index == ds[0].Index {
		t.Fatalf("%v, %+v", err, ds)
	}
}

// A turn that looked for a pause before it began, and claims after it did, must not take what became ready in between.
func TestWhatBecomesReadyAfterAPauseIsNotClaimed(t *testing.T) {
	t.Parallel()
	b := openBox(t, newReceiver(func(Message, int) error { return nil }), quick)
	if err := b.Pause(t.Context(), "erp", "to see who looks"); err != nil {
		t.Fatal(err)
	}
	b.put(1, 2)
	c := newCourier(b.Outbox, Destination{Name: "erp"})
	if found, _, err := c.claim(t.Context(), time.Now()); err != nil || len(found) > 0 {
		t.Errorf("claimed %d batches, %v", len(found), err)
	}
	if found, err := c.oneFrom(t.Context(), 0); err != nil || found != nil {
		t.Errorf("claimed %+v for a trial, %v", found, err)
	}
}

// What was not handed over is no unknown, although its sending bit was stored before.
func TestMessagesThatWereNotTriedAreNotHeldAsUnknown(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	refused := 0
	target := deliverFunc(func(ctx context.Context, ms []Message, done func(int, Receipt, error)) error {
		mu.Lock()
		defer mu.Unlock()
		for i := range ms {
			switch {
			case ctx.Err() != nil:
				done(i, Receipt{}, ctx.Err())
			case refused < 12:
				refused++
				done(i, Receipt{}, Unavailable(errors.New("connection refused")))
			default:
				done(i, Receipt{Status: 201}, nil)
			}
		}
		return nil
	})
	b := openBox(t, target, Options{Unknown: IfUnknown{Mode: "hold"}, Concurrency: 8, Retry: Retry{Pause: time.Millisecond, Longest: 2 * time.Millisecond}})
	b.put(1, 16)
	if dead := b.settled(1); dead != 0 {
		t.Fatalf("%d messages were held by an outage in which nothing was ever sent", dead)
	}
}

func TestAReceiverThatNeverAnswersBecomesSuspectAlsoWithHold(t *testing.T) {
	t.Parallel()
	silent := deliverFunc(func(ctx context.Context, ms []Message, done func(int, Receipt, error)) error {
		for i := range ms {
			if ctx.Err() != nil {
				done(i, Receipt{}, ctx.Err())
				continue
			}
			done(i, Receipt{}, Unknown(errors.New("no answer within 30s")))
		}
		return nil
	})
	b := openBox(t, silent, Options{Unknown: IfUnknown{Mode: "hold"}, Retry: Retry{Pause: time.Hour, Longest: time.Hour}})
	b.put(1, 3000)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for b.Healths()["erp"].State != "suspect" {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it never became suspect")
		}
	}
	ds, err := b.DeadLetters(t.Context(), DeadFilter{Limit: 5000})
	if err != nil || len(ds) > passes*8 {
		t.Fatalf("%v; %d messages were held before it was suspect, want what was under way at most", err, len(ds))
	}
}

func TestALetterClosedWhileItsLotSettlesIsNotCounted(t *testing.T) {
	t.Parallel()
	b := openBox(t, newReceiver(func(Message, int) error { return Refused(errors.New("no")) }), quick)
	b.put(1, 2)
	b.settled(1)
	stale, err := b.Settled(t.Context(), 10)
	if err != nil || len(stale) != 1 {
		t.Fatalf("%v, %+v", err, stale)
	}
	ds, err := b.DeadLetters(t.Context(), DeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Discard(t.Context(), ds[0].ID, "discarded", "", nil); err != nil {
		t.Fatal(err)
	}
	finish := func() (still []Settled) {
		err := b.db.Tx(t.Context(), func(tx *store.Tx) (err error) {
			still, err = b.Finished(tx, stale)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return still
	}
	if still := finish(); len(still) != 1 || still[0].Dead != 1 {
		t.Fatalf("finished as %+v, want one open letter", still)
	}
	if err := b.Pause(t.Context(), "erp", "so that the letter waits"); err != nil {
		t.Fatal(err)
	}
	if err := b.Resend(t.Context(), Resend{ID: ds[1].ID}); err != nil {
		t.Fatal(err)
	}
	if still := finish(); len(still) != 0 {
		t.Fatalf("finished as %+v although a message waits", still)
	}
}

func TestAClockThatIsSetBackDelaysNothing(t *testing.T) {
	t.Parallel()
	r := newReceiver(func(m Message, try int) error {
		if m.Record == 1 && try == 1 {
			return Unavailable(errors.New("503"))
		}
		return nil
	})
	b := openBox(t, r, quick)
	b.put(1, 1)
	// What a clock three hours ahead left behind.
	b.settled(1)
	if err := b.Pause(t.Context(), "erp", "to set the clock"); err != nil {
		t.Fatal(err)
	}
	b.put(2, 1)
	err := b.db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE batches SET due = ? WHERE parent = 2`, store.Millis(time.Now().Add(3*time.Hour)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(t.Context(), "erp"); err != nil {
		t.Fatal(err)
	}
	if dead := b.settled(2); dead != 0 {
		t.Fatalf("%d dead letters", dead)
	}
}

func TestAPassIsBoundedByItsBytes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	largest := 0
	target := deliverFunc(func(_ context.Context, ms []Message, done func(int, Receipt, error)) error {
		sum := 0
		for i, m := range ms {
			sum += len(m.Body)
			done(i, Receipt{}, nil)
		}
		mu.Lock()
		defer mu.Unlock()
		largest = max(largest, sum)
		return nil
	})
	b := openBox(t, target, quick)
	if err := b.Pause(t.Context(), "erp", "until all wait"); err != nil {
		t.Fatal(err)
	}
	for parent := range int64(12) {
		lot := b.Lot(parent+1, 1, func(*store.Tx) error { return nil })
		if err := lot.Add(t.Context(), "erp", "orders/0", &Message{Key: "k", Body: make([]byte, 5<<20), Record: 1}); err != nil {
			t.Fatal(err)
		}
		if err := lot.Seal(); err != nil {
			t.Fatal(err)
		}
		if err := b.db.Tx(t.Context(), lot.Release); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Resume(t.Context(), "erp"); err != nil {
		t.Fatal(err)
	}
	for parent := range int64(12) {
		b.settled(parent + 1)
	}
	if largest > passBytes {
		t.Fatalf("a pass took %d bytes, at most %d", largest, passBytes)
	}
}
