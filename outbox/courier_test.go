package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// receiver is a target in memory that a test bends to its will; real targets are tested in their own packages.
type receiver struct {
	mu   sync.Mutex
	seen map[string]int    // deliveries confirmed, by key
	body map[string]string // first body seen, by key
	tell func(m Message, try int) error
	try  map[string]int
	more chan struct{}
}

func newReceiver(tell func(m Message, try int) error) *receiver {
	return &receiver{seen: map[string]int{}, body: map[string]string{}, try: map[string]int{}, tell: tell, more: make(chan struct{}, 1)}
}

func (r *receiver) Deliver(ctx context.Context, ms []Message, done func(int, Receipt, error)) error {
	for i, m := range ms {
		if ctx.Err() != nil {
			done(i, Receipt{}, ctx.Err())
			continue
		}
		r.mu.Lock()
		r.try[m.Key]++
		if was, ok := r.body[m.Key]; ok && was != string(m.Body) {
			panic("one key with two bodies: " + m.Key)
		}
		r.body[m.Key] = string(m.Body)
		err := r.tell(m, r.try[m.Key])
		if err == nil {
			r.seen[m.Key]++
		}
		r.mu.Unlock()
		done(i, Receipt{Status: 201, Captures: []Capture{{Name: "id", Value: "R-" + m.Key}}}, err)
	}
	return nil
}

type box struct {
	*Outbox
	t *testing.T
}

func openBox(t *testing.T, target Target, o Options) *box {
	t.Helper()
	return openTelling(t, target, o, nil)
}

func openTelling(t *testing.T, target Target, o Options, log *slog.Logger) *box {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Folder: t.TempDir(), AcceptDataLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := New(db, Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	out.SetDestinations([]Destination{{Name: "erp", Target: target, Options: o}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := out.Run(ctx, time.Second); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &box{Outbox: out, t: t}
}

// put releases a lot of n messages for parent.
func (b *box) put(parent int64, n int) {
	b.t.Helper()
	lot := b.Lot(parent, 1, func(*store.Tx) error { return nil })
	for i := range n {
		m := Message{Key: fmt.Sprintf("k%d-%d", parent, i), Ref: fmt.Sprintf("A-%d-%d", parent, i), Record: int64(i + 1), Body: fmt.Appendf(nil, `{"n":%d}`, i)}
		if err := lot.Add(b.t.Context(), "erp", "orders/0", &m); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := lot.Seal(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.db.Tx(b.t.Context(), lot.Release); err != nil {
		b.t.Fatal(err)
	}
}

// patience is how long anything may take before it counts as never.
const patience = 2 * time.Minute

// settled waits until parent has settled and returns its open dead letters.
func (b *box) settled(parent int64) int64 {
	b.t.Helper()
	woken, end := b.db.Watch(SettledTopic)
	defer end()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		lots, err := b.Settled(b.t.Context(), 1000)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, l := range lots {
			if l.Parent == parent {
				ds, err := b.DeadLetters(b.t.Context(), DeadFilter{Parent: parent})
				if err != nil {
					b.t.Fatal(err)
				}
				return int64(len(ds))
			}
		}
		select {
		case <-woken:
		case <-limit.C:
			b.t.Fatalf("#%d has not settled", parent)
		}
	}
}

var quick = Options{Retry: Retry{Pause: 5 * time.Millisecond, Longest: 20 * time.Millisecond}, Concurrency: 4}

func TestEveryMessageOfALotIsConfirmedOnce(t *testing.T) {
	t.Parallel()
	r := newReceiver(func(Message, int) error { return nil })
	b := openBox(t, r, quick)
	b.put(7, 2500)
	if dead := b.settled(7); dead != 0 {
		t.Fatalf("%d dead letters", dead)
	}
	if len(r.seen) != 2500 {
		t.Fatalf("%d messages arrived, want 2500", len(r.seen))
	}
	for k, n := range r.seen {
		if n != 1 {
			t.Fatalf("%s arrived %d times", k, n)
		}
	}
	for _, key := range []string{"k7-1234", "A-7-1234", "R-k7-1234"} {
		found, err := b.Trace(t.Context(), key, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || found[0].State != "delivered" || found[0].Record != 1235 || found[0].Receipt.Status != 201 {
			t.Fatalf("trace %s: %+v", key, found)
		}
	}
}

func TestARefusedMessageBecomesADeadLetterAndItsNeighboursGoOn(t *testing.T) {
	t.Parallel()
	r := newReceiver(func(m Message, try int) error {
		if m.Key == "k1-3" && try == 1 {
			return Refused(errors.New("no such article"))
		}
		return nil
	})
	b := openBox(t, r, quick)
	b.put(1, 10)
	if dead := b.settled(1); dead != 1 {
		t.Fatalf("%d dead letters, want 1", dead)
	}
	ds, err := b.DeadLetters(t.Context(), DeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(ds) != 1 || ds[0].Kind != "refused" || ds[0].Reason != "no such article" || ds[0].Record != 4 || len(ds[0].History) != 1 {
		t.Fatalf("dead letters: %+v", ds)
	}
	lots, err := b.Settled(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := b.Finished(tx, lots)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Resend(t.Context(), Resend{ID: ds[0].ID, Note: "article made"}); err != nil {
		t.Fatal(err)
	}
	if dead := b.settled(1); dead != 0 || r.seen["k1-3"] != 1 {
		t.Fatalf("after the resend: %d dead letters, %d arrivals", dead, r.seen["k1-3"])
	}
	if err := b.Resend(t.Context(), Resend{ID: ds[0].ID}); !errors.Is(err, ErrNotOpen) {
		t.Fatalf("a second resend: %v", err)
	}
}

func TestAnOutageBurnsNoAttempts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	failures := 0
	r := newReceiver(func(Message, int) error {
		mu.Lock()
		defer mu.Unlock()
		if failures < 40 {
			failures++
			return Unavailable(errors.New("connection refused"))
		}
		return nil
	})
	b := openBox(t, r, Options{Retry: Retry{Attempts: 2, Pause: time.Millisecond, Longest: 2 * time.Millisecond}, Concurrency: 4})
	b.put(1, 20)
	if dead := b.settled(1); dead != 0 || len(r.seen) != 20 {
		t.Fatalf("%d dead letters, %d of 20 arrived", dead, len(r.seen))
	}
}

func TestAPoisonousMessageNeitherBlocksOthersNorLivesForEver(t *testing.T) {
	t.Parallel()
	r := newReceiver(func(m Message, _ int) error {
		if m.Key == "k1-0" {
			return Unknown(errors.New("500"))
		}
		return nil
	})
	o := quick
	o.Concurrency = 1
	b := openBox(t, r, o)
	b.put(1, 5)
	// While it is retried, others are confirmed: that is what shows whose fault it is.
	for i := int64(2); ; i++ {
		b.put(i, 1)
		if dead := b.settled(i); dead != 0 {
			t.Fatalf("#%d: %d dead letters", i, dead)
		}
		ds, err := b.DeadLetters(t.Context(), DeadFilter{})
		if err != nil {
			t.Fatal(err)
		}
		if len(ds) == 1 {
			if ds[0].Kind != "exhausted" || ds[0].Key != "k1-0" {
				t.Fatalf("dead letter: %+v", ds[0])
			}
			break
		}
	}
	if dead := b.settled(1); dead != 1 {
		t.Fatalf("%d dead letters, want 1", dead)
	}
	if len(r.try) == 0 || r.try["k1-0"] < 4 {
		t.Fatalf("it was tried %d times, want at least 4", r.try["k1-0"])
	}
}

func TestAStoppedDestinationIsPausedUntilResumed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	wrong := true
	r := newReceiver(func(Message, int) error {
		mu.Lock()
		defer mu.Unlock()
		if wrong {
			return Stopped(errors.New("401: look at the API key"))
		}
		return nil
	})
	b := openBox(t, r, quick)
	woken, end := b.db.Watch(Topic)
	defer end()
	b.put(1, 50)
	for {
		why, err := b.Paused(t.Context(), "erp")
		if err != nil {
			t.Fatal(err)
		}
		if why != "" {
			break
		}
		<-woken
	}
	mu.Lock()
	wrong = false
	mu.Unlock()
	if err := b.Resume(t.Context(), "erp"); err != nil {
		t.Fatal(err)
	}
	if dead := b.settled(1); dead != 0 || len(r.seen) != 50 {
		t.Fatalf("%d dead letters, %d of 50 arrived", dead, len(r.seen))
	}
}

func TestAnUnknownOutcomeIsHeldWhenTheDestinationSaysSo(t *testing.T) {
	t.Parallel()
	r := newReceiver(func(m Message, _ int) error {
		if m.Key == "k1-1" {
			return Unknown(errors.New("no answer within 5s"))
		}
		return nil
	})
	o := quick
	o.Unknown.Mode = "hold"
	b := openBox(t, r, o)
	b.put(1, 3)
	if dead := b.settled(1); dead != 1 {
		t.Fatalf("%d dead letters, want 1", dead)
	}
	ds, err := b.DeadLetters(t.Context(), DeadFilter{Kind: "unknown"})
	if err != nil || len(ds) != 1 {
		t.Fatalf("%v, %+v", err, ds)
	}
	if r.try["k1-1"] != 1 {
		t.Fatalf("it was sent %d times, want once", r.try["k1-1"])
	}
	if err := b.Discard(t.Context(), ds[0].ID, "delivered", "seen in their log", nil); err != nil {
		t.Fatal(err)
	}
	if dead := b.settled(1); dead != 0 {
		t.Fatalf("%d dead letters after it was resolved", dead)
	}
}

func TestADiscardedLotLeavesNothing(t *testing.T) {
	t.Parallel()
	b := openBox(t, newReceiver(func(Message, int) error { return nil }), quick)
	lot := b.Lot(1, 1, func(*store.Tx) error { return nil })
	for i := range 3500 {
		m := Message{Key: fmt.Sprint(i), Body: []byte("{}")}
		if err := lot.Add(t.Context(), "erp", "orders/0", &m); err != nil {
			t.Fatal(err)
		}
	}
	if err := lot.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := b.db.Reader(t.Context()).QueryRow(`SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM payloads)`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d rows are left (%v)", n, err)
	}
}

// underWay is a target whose first calls lose all their messages, cancelled or not, as connections do that break.
type underWay struct {
	mu    sync.Mutex
	calls int
}

func (u *underWay) Deliver(_ context.Context, ms []Message, done func(int, Receipt, error)) error {
	u.mu.Lock()
	u.calls++
	lost := u.calls <= passes
	u.mu.Unlock()
	for i := range ms {
		if lost {
			done(i, Receipt{}, Unavailable(errors.New("connection reset")))
			continue
		}
		done(i, Receipt{}, nil)
	}
	return nil
}

func TestAShortOutageIsOverSoonHoweverManyMessagesWereUnderWay(t *testing.T) {
	t.Parallel()
	// Were each failure to double the wait, it would be an hour.
	b := openBox(t, &underWay{}, Options{Retry: Retry{Pause: time.Millisecond, Longest: time.Hour}, Concurrency: 64})
	for i := range int64(20) {
		b.put(i+1, 100)
	}
	for i := range int64(20) {
		if dead := b.settled(i + 1); dead != 0 {
			t.Fatalf("#%d: %d dead letters", i+1, dead)
		}
	}
}
