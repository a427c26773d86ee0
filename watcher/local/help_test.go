package local

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"waybill/watcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A logbook keeps what is logged.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// A bench is a folder with a source that watches it.
type bench struct {
	*Source
	t     testing.TB
	dir   string
	clock *clock
	log   *logbook
}

func newBench(t testing.TB, change ...func(*Options, *watcher.Settings)) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), clock: newClock(), log: &logbook{}}
	o, s := Options{Path: b.dir}, watcher.Settings{}
	for _, c := range change {
		c(&o, &s)
	}
	src, err := New(o, s, b.clock.Now, slog.New(slog.NewTextHandler(b.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.Source = src
	return b
}

func recursive(o *Options, _ *watcher.Settings) { o.Recursive = true }

func deleting(_ *Options, s *watcher.Settings) { s.Done, s.Failed = "delete", "delete" }

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// gone fails the test if name is there.
func (b *bench) gone(name string) {
	b.t.Helper()
	if _, err := os.Lstat(b.path(name)); !errors.Is(err, os.ErrNotExist) {
		b.t.Errorf("%q is still there (%v)", name, err)
	}
}

// list returns what is there, by path.
func (b *bench) list() map[string]watcher.File {
	b.t.Helper()
	files := map[string]watcher.File{}
	for f, err := range b.List(context.Background()) {
		if err != nil {
			b.t.Fatal(err)
		}
		files[f.Path] = f
	}
	return files
}

// listed returns one listed file.
func (b *bench) listed(name string) watcher.File {
	b.t.Helper()
	f, ok := b.list()[name]
	if !ok {
		b.t.Fatalf("%q is not listed", name)
	}
	return f
}

func (b *bench) ready(f watcher.File) (bool, string) {
	b.t.Helper()
	ok, reason, _, err := b.Ready(context.Background(), f)
	if err != nil {
		b.t.Fatal(err)
	}
	return ok, reason
}

// content opens f and reads it.
func (b *bench) content(f watcher.File) (string, error) {
	r, err := b.Open(context.Background(), f)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

func (b *bench) close(f watcher.File, how watcher.Closing) string {
	b.t.Helper()
	where, err := b.Close(context.Background(), f, how)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.Sync(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	return where
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
