package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waybill/store"
)

// A life is one process that delivers from a folder.
type life struct {
	*box
	stop func() error // ends it in order
}

// live starts one; parents are those it delivers for, none: all.
func live(t *testing.T, folder string, target Target, unknown string, parents ...int64) *life {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Folder: folder, AcceptDataLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := New(db, Config{})
	if err != nil {
		t.Fatal(err)
	}
	options := quick
	options.Unknown.Mode = unknown
	out.SetDestinations([]Destination{{Name: "erp", Target: target, Options: options}})
	if parents != nil {
		out.Only(parents...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- out.Run(ctx, time.Second) }()
	end := sync.OnceValue(func() error {
		cancel()
		err := <-ended
		_ = db.Close() // it may have failed
		return err
	})
	t.Cleanup(func() { _ = end() })
	return &life{&box{Outbox: out, t: t}, end}
}

// die ends the process as a crash would as far as the ledger goes: nothing more is stored.
func (l *life) die() {
	l.db.Fail(errors.New("killed"))
	_ = l.stop()
}

// stuck takes the first n messages and hangs with the next until it is cancelled.
func stuck(n int) (target Target, hangs chan struct{}) {
	hangs = make(chan struct{})
	var mu sync.Mutex
	taken := 0
	var once sync.Once
	return deliverFunc(func(ctx context.Context, ms []Message, done func(int, Receipt, error)) error {
		for i := range ms {
			mu.Lock()
			taken++
			mine := taken
			mu.Unlock()
			if mine > n {
				once.Do(func() { close(hangs) })
				<-ctx.Done()
				return ctx.Err()
			}
			done(i, Receipt{Status: 201}, nil)
		}
		return nil
	}), hangs
}

// doubts reads what may have been repeated at erp.
func (l *life) doubts() Doubts {
	l.t.Helper()
	found, err := l.Doubts(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return found["erp"]
}

// untilTakenOver waits until Run has noted that it delivers.
func (l *life) untilTakenOver() {
	l.t.Helper()
	for end := time.Now().Add(patience); ; {
		var at int64
		err := l.db.Reader(context.Background()).QueryRow(`SELECT at FROM marks WHERE job = '' AND name = 'delivering'`).Scan(&at)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			l.t.Fatal(err)
		}
	}
}

func TestWhatIsOpenWhenAProcessDiesMayBeRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unknown         string
		messages, taken int
		least, most     int // the checkpoint may or may not have been stored
	}{
		{"repeat", 5, 0, 5, 5},
		{"repeat", 250, 230, 20, 250},
		{"hold", 5, 0, 0, 0}, // its sending bits tell exactly
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			target, hangs := stuck(c.taken)
			first := live(t, folder, target, c.unknown)
			first.put(1, c.messages)
			<-hangs
			first.die()
			receiver := newReceiver(func(Message, int) error { return nil })
			second := live(t, folder, receiver, c.unknown)
			second.settled(1)
			got := second.doubts()
			if got.Total < c.least || got.Total > c.most {
				t.Errorf("%d messages may be repeated, want %d to %d", got.Total, c.least, c.most)
			}
			receiver.mu.Lock()
			again := c.taken - (c.messages - len(receiver.seen)) // what the first had confirmed and the second got
			receiver.mu.Unlock()
			if c.unknown == "repeat" && again > got.Total {
				t.Errorf("%d messages went out twice, at most %d were to", again, got.Total)
			}
			batches, err := second.Batches(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if of := got.Of(batches); of != got.Total {
				t.Errorf("%d messages of the entry, %d in all", of, got.Total)
			}
			second.put(2, 3)
			second.settled(2)
			if later, err := second.Batches(t.Context(), 2); err != nil || got.Of(later) != 0 {
				t.Errorf("%d messages of a later entry may have been repeated, %v", got.Of(later), err)
			}
			if err := second.stop(); err != nil {
				t.Fatal(err)
			}
			third := live(t, folder, receiver, c.unknown)
			third.untilTakenOver()
			if d := cmp.Diff(got, third.doubts()); d != "" {
				t.Errorf("after a stop in order (-before +after):\n%s", d)
			}
		})
	}
}

func TestAStopInOrderLeavesNoDoubtOfWhatWaits(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first := live(t, folder, newReceiver(func(Message, int) error { return Unavailable(errors.New("away")) }), "repeat")
	first.put(1, 10)
	first.untilTakenOver()
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := live(t, folder, newReceiver(func(Message, int) error { return nil }), "repeat")
	second.settled(1)
	if got := second.doubts(); got.Total != 0 {
		t.Errorf("%+v", got)
	}
}

func TestADoubtIsBoundedByWhatCanBeUnderWay(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	target, hangs := stuck(0)
	first := live(t, folder, target, "repeat")
	first.put(1, 2*doubtMost)
	<-hangs
	first.die()
	for n := 1; n <= 2; n++ { // each crash adds
		target, hangs = stuck(0)
		next := live(t, folder, target, "repeat")
		<-hangs
		if got := next.doubts(); got.Total != n*doubtMost || len(got.List) != n {
			t.Errorf("after %d crashes %+v", n, got)
		}
		next.die()
	}
}

func TestARunThatDiesLeavesADoubtOfItsOwnEntriesOnly(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	target, hangs := stuck(0)
	first := live(t, folder, target, "repeat", 2)
	first.put(1, 100)
	first.put(2, 7)
	<-hangs
	first.die()
	second := live(t, folder, newReceiver(func(Message, int) error { return nil }), "repeat")
	second.settled(1)
	if got := second.doubts(); got.Total != 7 {
		t.Errorf("%+v", got)
	}
}
