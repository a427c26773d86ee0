package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"waybill/outbox"
)

func acks(names ...string) (ms []outbox.Message) {
	for _, name := range names {
		ms = append(ms, outbox.Message{Key: "key of " + name, Body: []byte("{}\n"), Size: 3, Headers: []outbox.Header{{Name: ":name", Value: name}, {Name: ":exists", Value: "number"}}})
	}
	return ms
}

// delivered delivers and returns what became of each message, in their order.
func delivered(t *testing.T, target outbox.Target, ms []outbox.Message) []error {
	t.Helper()
	var mu sync.Mutex
	errs, told := make([]error, len(ms)), make([]int, len(ms))
	if err := target.Deliver(t.Context(), ms, func(i int, _ outbox.Receipt, err error) {
		mu.Lock()
		defer mu.Unlock()
		errs[i] = err
		told[i]++
	}); err != nil {
		t.Fatal(err)
	}
	for i, n := range told {
		if n != 1 {
			t.Errorf("message %d was reported %d times", i, n)
		}
	}
	return errs
}

// alone reports whether the error is nobody's concern but its own message's.
func alone(err error) bool {
	var e *outbox.Error
	return errors.As(err, &e) && e.Alone
}

func mailboxesFor(t *testing.T, partners ...string) *mailboxTarget {
	t.Helper()
	folder := t.TempDir()
	for _, p := range partners {
		if err := os.MkdirAll(filepath.Join(folder, p, "out"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return newMailboxTarget(folder, time.Now)
}

func TestAFullMailboxIsNothingToTheOthers(t *testing.T) {
	t.Parallel()
	m := mailboxesFor(t, "acme", "bolt")
	m.files = 3
	now := time.Now()
	m.now = func() time.Time { return now }
	errs := delivered(t, m, acks("acme/out/1", "acme/out/2", "bolt/out/1", "acme/out/3", "acme/out/4", "bolt/out/2"))
	for i, err := range errs {
		if full := i == 4; alone(err) != full || (err != nil) != full {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if !strings.Contains(errs[4].Error(), "acme/out: 3 files (9 bytes) lie there that were not picked up") {
		t.Error(errs[4])
	}
	// He takes them away, and it goes on by itself.
	for i := 1; i <= 3; i++ {
		if err := os.Remove(filepath.Join(m.folder, "acme", "out", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(ackLook)
	if errs := delivered(t, m, acks("acme/out/4")); errs[0] != nil {
		t.Error(errs[0])
	}
	m.bytes = 5
	now = now.Add(ackLook)
	if errs := delivered(t, m, acks("acme/out/5")); !alone(errs[0]) {
		t.Errorf("more bytes than may be: %v", errs[0])
	}
}

func TestABrokenMailboxIsNothingToTheOthers(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Log("root may write anywhere: a link that leads nowhere stands for a folder that cannot be written to")
	}
	m := mailboxesFor(t, "acme", "bolt")
	out := filepath.Join(m.folder, "acme", "out")
	if err := errors.Join(os.Remove(out), unix.Mkdir(out, 0o500)); err != nil {
		t.Fatal(err)
	}
	errs := delivered(t, m, acks("acme/out/1", "bolt/out/1"))
	if os.Getuid() != 0 && !alone(errs[0]) || errs[1] != nil {
		t.Errorf("%v", errs)
	}
	if err := ofOne(outbox.Unavailable(unix.EACCES)); !alone(err) {
		t.Error(err)
	}
	if err := ofOne(outbox.Unavailable(unix.ENOSPC)); alone(err) {
		t.Error("a disk without room is everybody's concern")
	}
	if err := ofOne(outbox.Refused(unix.EACCES)); alone(err) {
		t.Error("what is refused for good stays so")
	}
	m.folder = filepath.Join(m.folder, "gone")
	if errs := delivered(t, m, acks("acme/out/2")); alone(errs[0]) || outbox.FaultOf(errs[0]) != outbox.FaultUnavailable {
		t.Errorf("without mailboxes: %v", errs)
	}
}

// hung is a target that does not come back before it is let go.
type hung struct{ begun, free chan struct{} }

func (h hung) Deliver(_ context.Context, ms []outbox.Message, done func(i int, r outbox.Receipt, err error)) error {
	close(h.begun)
	<-h.free
	for i := range ms {
		done(i, outbox.Receipt{}, nil)
	}
	return nil
}

func TestAMailboxThatHangsIsNothingToTheOthers(t *testing.T) {
	t.Parallel()
	m := mailboxesFor(t, "acme", "bolt")
	h := hung{make(chan struct{}), make(chan struct{})}
	m.box["acme"] = &outTray{target: h, turn: make(chan struct{}, 1), folders: map[string]*heap{}}
	var all sync.WaitGroup
	all.Go(func() {
		if errs := delivered(t, m, acks("acme/out/1")); errs[0] != nil {
			t.Error(errs[0])
		}
	})
	<-h.begun
	errs := delivered(t, m, acks("acme/out/2", "bolt/out/1"))
	if !alone(errs[0]) || errs[1] != nil {
		t.Errorf("%v", errs)
	}
	close(h.free)
	all.Wait()
}
