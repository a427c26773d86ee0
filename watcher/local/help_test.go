package local

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"waybill/watcher"
	"waybill/watcher/watchertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is a folder with a source that watches it.
type bench struct {
	*Source
	*watchertest.Place
	t     testing.TB
	clock *watchertest.Clock
	log   *watchertest.Logbook
}

func newBench(t testing.TB, change ...func(*Options, *watcher.Settings)) *bench {
	t.Helper()
	b := &bench{t: t, clock: watchertest.NewClock(), log: &watchertest.Logbook{}, Place: &watchertest.Place{T: t, Dir: t.TempDir()}}
	o, s := Options{Path: b.Dir}, watcher.Settings{}
	for _, c := range change {
		c(&o, &s)
	}
	src, err := New(o, s, b.clock.Now, slog.New(slog.NewTextHandler(b.log, nil)))
	must(t, err)
	b.Source, b.Place.Source = src, src
	return b
}

func TestAFolderKeepsTheContractOfASource(t *testing.T) {
	t.Parallel()
	watchertest.Run(t, watchertest.Fixture{Start: func(t *testing.T, s watcher.Settings) *watchertest.Place {
		return newBench(t, recursive, func(_ *Options, own *watcher.Settings) { *own = s }).Place
	}})
}

func recursive(o *Options, _ *watcher.Settings) { o.Recursive = true }

func deleting(_ *Options, s *watcher.Settings) { s.Done, s.Failed = "delete", "delete" }

func (b *bench) ready(f watcher.File) (bool, string) {
	b.t.Helper()
	ok, reason, _, err := b.Ready(context.Background(), f)
	if err != nil {
		b.t.Fatal(err)
	}
	return ok, reason
}

// asNobody calls f on a thread that has no privileges, where there are any to give up, for root may do everything. f must
// stay on its goroutine. The thread ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if err := unix.Setfsgid(65534); err != nil {
			done <- err
			return
		}
		if err := unix.Setfsuid(65534); err != nil {
			done <- err
			return
		}
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			done <- err
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
