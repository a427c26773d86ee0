package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/testenv"
	"waybill/watcher"
)

// step is how far apart the places are at which a connection is cut: all of them with WAYBILL_SFTP_CUTS=all.
func step(usual int64) int64 {
	if os.Getenv("WAYBILL_SFTP_CUTS") == "all" {
		return 1
	}
	return usual
}

// behind is a source whose way to an OpenSSH server leads through a proxy.
func behind(t testing.TB, s *testenv.SSHD, tm timing, changes ...change) (*bench, *proxy) {
	t.Helper()
	p := newProxy(t, s.Addr)
	return onServer(t, s, tm, append(changes, func(o *Options, _ *watcher.Settings) { o.Address = p.addr() })...), p
}

// R7: whatever byte a fetch of 64 KiB is cut at, in either direction, the file arrives whole. One place in twenty with a server
// in this process, fewer with OpenSSH.
func TestAFetchCutAtAnyByteArrivesWhole(t *testing.T) {
	t.Parallel()
	text := noise(64 << 10)
	s := testenv.OpenSSH(t)
	s.Write(t, "out/a.csv", text)
	t.Run("OpenSSH", func(t *testing.T) {
		cutFetch(t, step(997), text, func() (*bench, *proxy) { return behind(t, s, brisk()) })
	})
	t.Run("in process", func(t *testing.T) {
		host := newKey(t)
		f := newFake(t, answering(newTree(map[string]string{"out/a.csv": text}).answer), host)
		o := f.options(host.PublicKey())
		cutFetch(t, step(20), text, func() (*bench, *proxy) {
			p := newProxy(t, o.Address)
			return source(t, o, brisk(), func(o *Options, _ *watcher.Settings) { o.Address = p.addr() }), p
		})
	})
}

func cutFetch(t *testing.T, step int64, text string, way func() (*bench, *proxy)) {
	b, p := way()
	f := b.Listed("a.csv")
	p.kick() // the next connection is counted from its first byte
	if got, err := b.Content(f); err != nil || got != text {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	total := [2]int64{p.count[0].Load(), p.count[1].Load()}
	if total[1] < int64(len(text)) {
		t.Fatalf("only %d bytes passed", total[1])
	}
	var wg sync.WaitGroup
	places := make(chan [2]int64)
	for range 4 {
		b, p := way()
		wg.Go(func() {
			for cut := range places {
				p.mu.Lock()
				p.cut = cut
				p.mu.Unlock()
				p.kick()
				got, err := b.insist(f)
				if err != nil || got != text {
					t.Errorf("cut %v: %d bytes, %v", cut, len(got), err)
				}
				if n := len(b.server.ahead) + len(b.server.files); n > 0 {
					t.Errorf("cut %v: %d places are still taken", cut, n)
				}
			}
		})
	}
	n := 0
	for way, bytes := range total {
		for at := int64(1); at < bytes; at += step {
			cut := [2]int64{}
			cut[way] = at
			places <- cut
			n++
		}
	}
	close(places)
	wg.Wait()
	t.Logf("cut at %d of %d places", n, total[0]+total[1])
}

// insist reads f; a connection that breaks before it is open is the watcher's to come again for.
func (b *bench) insist(f watcher.File) (text string, err error) {
	for range 10 {
		if text, err = b.Content(f); err == nil {
			break
		}
		pause(20 * time.Millisecond)
	}
	return text, err
}

func pause(d time.Duration) { <-time.After(d) }

// R7, and reported failure 11: a rename, or its answer, is lost.
func TestReported11AClosingCutAnywhereMovesTheFileOnceAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := testenv.OpenSSH(t)
	for name, how := range map[string]change{"move": recursive, "delete": deleting} {
		b, p := behind(t, s, brisk(), how)
		direct := onServer(t, s, brisk(), how)
		measure := func() [2]int64 {
			b.Write("a.csv", "x")
			f := direct.Listed("a.csv")
			p.kick()
			b.CloseNow(f, failed)
			return [2]int64{p.count[0].Load(), p.count[1].Load()}
		}
		measure()
		total := measure()
		n := 0
		for way, bytes := range total {
			for at := int64(1); at < bytes; at += step(83) {
				n++
				for _, sub := range []string{"failed", "done"} {
					must(t, os.RemoveAll(b.Path(sub)))
				}
				b.Write("a.csv", fmt.Sprint(n, way))
				f := direct.Listed("a.csv")
				p.mu.Lock()
				p.cut[way] = at
				p.mu.Unlock()
				p.kick()
				var where string
				var err error
				for range 10 {
					if where, err = b.Close(t.Context(), f, failed); err == nil {
						break
					}
					pause(20 * time.Millisecond)
				}
				must(t, err)
				left, err := os.ReadDir(b.Path(""))
				must(t, err)
				switch {
				case name == "delete" && (where != "" || len(left) > 0):
					t.Errorf("cut %d at %d: %q, left %v", way, at, where, left)
				case name == "move":
					if where != "failed/a.csv" || b.Read(where) != fmt.Sprint(n, way) || b.Read("failed/a.csv.rejects.json") != string(failed.Report) || exists(b.Path("a.csv")) {
						t.Errorf("cut %d at %d: moved to %q", way, at, where)
					}
					names, err := os.ReadDir(b.Path("failed"))
					must(t, err)
					for _, e := range names {
						if e.Name() != "a.csv" && e.Name() != "a.csv.rejects.json" && !strings.HasPrefix(e.Name(), ".waybill-") {
							t.Errorf("cut %d at %d: %s was left", way, at, e.Name())
						}
					}
				}
			}
		}
		t.Logf("%s: cut at %d of %d places", name, n, total[0]+total[1])
	}
}

// hasty are times in which a dead peer is noticed at once.
func hasty() timing {
	tm := brisk()
	tm.dial, tm.handshake, tm.keepalive, tm.silence = 500*time.Millisecond, 500*time.Millisecond, 100*time.Millisecond, 2*time.Second
	tm.patience, tm.resume = 600*time.Millisecond, 300*time.Millisecond
	return tm
}

// R8, and reported failure 9: a peer that hangs without a word, in each phase.
func TestReported9ADeadPeerIsNoticedInEveryPhase(t *testing.T) {
	t.Parallel()
	for way, hang := range map[string]func(*testenv.SSHD, *proxy) func(){
		"the way is blocked": func(_ *testenv.SSHD, p *proxy) func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			close(p.stall)
			return func() {
				p.mu.Lock()
				p.stall = make(chan struct{})
				p.mu.Unlock()
				p.kick()
			}
		},
		"the server is stopped": func(s *testenv.SSHD, _ *proxy) func() {
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
				if took > 5*time.Second {
					t.Errorf("noticed after %s", took)
				}
				if n := len(b.server.ahead) + len(b.server.files); n > 0 {
					t.Errorf("%d places are still taken", n)
				}
				b.server.mu.Lock()
				b.server.due = time.Time{}
				b.server.mu.Unlock()
				for range 20 {
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
	now := time.Now()
	b.server.now = func() time.Time { return now }
	for range 3600 {
		b.unlistable()
		now = now.Add(time.Second)
	}
	if n := b.server.connects; n < 8 || n > 40 {
		t.Errorf("%d tries in an hour", n)
	}
	s.Start(t)
	now = now.Add(tm.longest)
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
	<-b.server.alive().done
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
