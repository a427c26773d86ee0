package sftp

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"waybill/testenv"
	"waybill/watcher"
)

// behind is a source whose way to an OpenSSH server leads through a proxy.
func behind(t testing.TB, s *testenv.SSHD, tm timing, changes ...change) (*bench, *testenv.Proxy) {
	t.Helper()
	p := testenv.NewProxy(t, s.Addr)
	return onServer(t, s, tm, append(changes, func(o *Options, _ *watcher.Settings) { o.Address = p.Addr() })...), p
}

// hasty are times in which a dead peer is noticed soon, and a living one of a busy machine is not taken for dead.
func hasty() timing {
	tm := brisk()
	tm.dial, tm.handshake, tm.keepalive, tm.silence = 3*time.Second, 3*time.Second, 300*time.Millisecond, 2*time.Second
	tm.patience, tm.resume = 1500*time.Millisecond, 300*time.Millisecond
	return tm
}

// R8, and reported failure 9: a peer that hangs without a word, in each phase.
func TestReported9ADeadPeerIsNoticedInEveryPhase(t *testing.T) {
	t.Parallel()
	for way, hang := range map[string]func(*testenv.SSHD, *testenv.Proxy) func(){
		"the way is blocked": func(_ *testenv.SSHD, p *testenv.Proxy) func() { return p.Stall() },
		"the server is stopped": func(s *testenv.SSHD, _ *testenv.Proxy) func() {
			s.Pause()
			return s.Resume
		},
	} {
		s := testenv.OpenSSH(t)
		for phase, act := range map[string]func(b *bench, f watcher.File, r io.Reader) error{
			"login": func(b *bench, _ watcher.File, _ io.Reader) error {
				b.server.drop()
				_, _, err := b.server.get(context.Background())
				return err
			},
			"list": func(b *bench, _ watcher.File, _ io.Reader) error {
				_, errs := b.Look()
				return errors.Join(errs...)
			},
			"stat": func(b *bench, f watcher.File, _ io.Reader) error {
				_, err := b.Stat(context.Background(), f.Path)
				return err
			},
			"open": func(b *bench, f watcher.File, _ io.Reader) error { _, err := b.Content(f); return err },
			"read": func(_ *bench, _ watcher.File, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
			"close": func(b *bench, f watcher.File, _ io.Reader) error {
				_, err := b.Close(context.Background(), f, done)
				return err
			},
			"idle": func(b *bench, _ watcher.File, _ io.Reader) error {
				c := b.server.alive()
				if c == nil { // a busy machine has been that slow
					return watcher.ErrAway
				}
				<-c.done
				return errors.Join(watcher.ErrAway, c.lost())
			},
		} {
			t.Run(way+", "+phase, func(t *testing.T) {
				b, p := behind(t, s, hasty())
				b.Write("a.csv", noise(8<<20))
				f := b.Listed("a.csv")
				r, err := b.Open(t.Context(), f)
				must(t, err)
				_, err = io.ReadFull(r, make([]byte, 10))
				must(t, err)
				begin := time.Now()
				resume := hang(s, p)
				err = act(b, f, r)
				took := time.Since(begin)
				_ = r.Close()
				resume()
				if !errors.Is(err, watcher.ErrAway) {
					t.Errorf("got %v", err)
				}
				if took > 25*time.Second { // with what is usual it is from 30 on
					t.Errorf("noticed after %s", took)
				}
				if n := len(b.server.ahead) + len(b.server.files); n > 0 {
					t.Errorf("%d places are still taken", n)
				}
				b.server.mu.Lock()
				b.server.due = time.Time{}
				b.server.mu.Unlock()
				for range 1000 {
					if _, errs := b.Look(); len(errs) == 0 {
						return
					}
					pause(50 * time.Millisecond)
				}
				t.Error("it does not come back")
			})
		}
	}
}

func TestAServerThatIsAwayIsTriedLessAndLessOften(t *testing.T) {
	t.Parallel()
	s := testenv.OpenSSH(t)
	tm := usual()
	b := onServer(t, s, tm)
	s.Kill(t)
	clock := newHand()
	b.on(clock)
	for range 3600 {
		b.unlistable()
		clock.forward(time.Second)
	}
	if n := b.server.connects; n < 8 || n > 40 {
		t.Errorf("%d tries in an hour", n)
	}
	s.Start(t)
	clock.forward(tm.longest)
	b.listable()
}

func TestSourcesOfOneServerShareOneConnection(t *testing.T) {
	t.Parallel()
	host := newKey(t)
	tr := newTree(map[string]string{"out/a": "1", "in/b": "2"})
	tr.folders["in"] = true
	f := newFake(t, answering(tr.answer), host)
	one := source(t, f.options(host.PublicKey()), brisk())
	o := f.options(host.PublicKey())
	o.Folder = "in"
	two, problems := New(o, Files{}, watcher.Settings{}, one.servers, one.Source.log)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for range 3 {
		one.Listed("a")
		for f, err := range two.List(t.Context()) {
			if err != nil || f.Path != "b" {
				t.Errorf("%v, %v", f, err)
			}
		}
	}
	two.Leave()
	one.Listed("a")
	if n := f.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestAnIdleConnectionIsClosedAndMadeAgain(t *testing.T) {
	t.Parallel()
	tm := brisk()
	tm.keepalive, tm.idle = 500*time.Millisecond, 500*time.Millisecond // a machine may be slow for a while
	b := onServer(t, testenv.OpenSSH(t), tm)
	b.listable()
	if c := b.server.alive(); c != nil { // else it was closed meanwhile
		<-c.done
	}
	b.listable()
	// Kicked while nobody looks: the next request finds out and is repeated.
	b.sshd.Kick()
	b.listable()
}

// A busy server refuses a second channel, and some refuse it from time to time.
func TestAChannelThatIsRefusedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	s := testenv.OpenSSH(t, "MaxSessions 0")
	b := onServer(t, s, brisk())
	if err := b.unlistable(); !strings.Contains(err.Error(), "begin SFTP") {
		t.Errorf("got %v", err)
	}
	var refused *refusedError
	if errors.As(b.unlistable(), &refused) {
		t.Error("a channel that is refused counts as a login that is")
	}
}

// Reported failure 9: connections that broke leave nothing behind, and the source comes back from each, however often. Not parallel: it counts.
func TestReported9ConnectionsThatBreakLeaveNothing(t *testing.T) {
	s := testenv.OpenSSH(t)
	b, p := behind(t, s, hasty())
	b.Write("a.csv", noise(1<<20))
	back := func() {
		t.Helper()
		for range 2000 {
			b.server.mu.Lock()
			b.server.due = time.Time{}
			b.server.mu.Unlock()
			files, errs := b.Look()
			if len(errs) == 0 && len(files) == 1 {
				return
			}
			pause(20 * time.Millisecond)
		}
		t.Fatal("it does not come back")
	}
	back()
	goroutines, files, served := runtime.NumGoroutine(), openFiles(t), s.Connections()
	f := b.Listed("a.csv")
	for i := range 16 {
		r, err := b.Open(t.Context(), f)
		must(t, err)
		_, err = io.ReadFull(r, make([]byte, 10))
		must(t, err)
		resume := func() {}
		switch {
		case i%8 == 0: // a black hole
			resume = p.Stall()
			_, _ = io.Copy(io.Discard, r)
		case i%2 == 0: // the server ends it
			s.Kick()
		default: // something in between does
			p.Kick()
		}
		must(t, r.Close())
		resume()
		back()
	}
	for i := 0; ; i++ { // what the other side has still to notice
		g, n := runtime.NumGoroutine(), openFiles(t)
		if g <= goroutines && n <= files && s.Connections() <= served {
			break
		}
		if i > 5000 {
			t.Fatalf("%d goroutines, %d files and %d processes of the server, before %d, %d and %d", g, n, s.Connections(), goroutines, files, served)
		}
		pause(20 * time.Millisecond)
	}
}

// openFiles is how many files and sockets this process has.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("SKIPPED, no /proc: %v", err)
	}
	return len(list)
}
