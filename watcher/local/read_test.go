package local

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"waybill/watcher"
)

func TestAFileThatSomebodyIsWritingIsNotReady(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w, err := os.Create(b.Path("a.csv"))
	must(t, err)
	_, err = w.WriteString("half")
	must(t, err)
	f := b.Listed("a.csv")
	b.clock.Pass(time.Hour) // age proves nothing
	ok, reason, wait, err := b.Ready(context.Background(), f)
	if ok || reason != "somebody has it open for writing" || wait <= 0 || wait > time.Second || err != nil {
		t.Fatalf("got %v, %q, %s, %v", ok, reason, wait, err)
	}
	if _, err := b.Content(f); !errors.Is(err, watcher.ErrBusy) {
		t.Fatalf("read half a file: %v", err)
	}
	_, err = w.WriteString(" and half")
	must(t, err)
	must(t, w.Close())
	f = b.Listed("a.csv")
	if ok, reason := b.ready(f); !ok {
		t.Fatalf("not ready: %s", reason)
	}
	if text, err := b.Content(f); text != "half and half" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestAFileThatSomebodyHasMappedForWritingIsNotReady(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("a.csv", strings.Repeat("x", 4096))
	w, err := os.OpenFile(b.Path("a.csv"), os.O_RDWR, 0)
	must(t, err)
	mem, err := unix.Mmap(int(w.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	must(t, w.Close())
	if ok, _ := b.ready(b.Listed("a.csv")); ok {
		t.Error("ready while it is mapped")
	}
	must(t, unix.Munmap(mem))
	if ok, reason := b.ready(b.Listed("a.csv")); !ok {
		t.Errorf("not ready: %s", reason)
	}
}

func TestWithoutLeasesAFileMustNotChangeForAWhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	open(t, b)
	b.Write("a.csv", "one")
	asNobody(t, func() {
		look := func() bool { ok, _ := b.ready(b.Listed("a.csv")); return ok }
		if os.Geteuid() != 0 {
			b.remote = true // its owner would be given a lease
		}
		if look() {
			t.Error("ready at the first look")
		}
		b.clock.Pass(time.Second)
		if look() {
			t.Error("ready before the pause is over")
		}
		b.clock.Pass(4 * time.Second)
		if !look() {
			t.Error("not ready after two equal looks")
		}
	})
	if n := b.log.Count("CAP_LEASE"); n > 1 {
		t.Errorf("warned %d times", n)
	}
}

// Who takes a file without having asked Ready gets it only where the lease proves that nobody writes it.
func TestTakingGivesWhatALeaseProvesAndDoubtsTheRest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	open(t, b)
	b.Write("a.csv", "one")
	f := b.Listed("a.csv")
	ctx := t.Context()
	r, err := b.Take(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if must(t, r.Close()); err != nil || string(text) != "one" {
		t.Fatalf("%q, %v", text, err)
	}
	writing, err := os.OpenFile(b.Path("a.csv"), os.O_WRONLY, 0)
	must(t, err)
	if r, err := b.Take(ctx, f); !errors.Is(err, watcher.ErrUnproven) {
		t.Errorf("while it is written: %v, %v", r, err)
	}
	must(t, writing.Close())
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, the rest: without root the owner is always given a lease")
	}
	asNobody(t, func() {
		if r, err := b.Take(ctx, f); !errors.Is(err, watcher.ErrUnproven) {
			t.Errorf("without leases: %v, %v", r, err)
		}
		if text, err := b.Content(f); err != nil || text != "one" { // once Ready has told, it is opened all the same
			t.Errorf("opened: %q, %v", text, err)
		}
	})
}

func TestChangesStartTheSettlingAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remote = true
	look := func() bool {
		f := b.Listed("a.csv")
		b.remote = true // the listing has found out that it is not
		ok, reason := b.ready(f)
		t.Log(reason)
		return ok
	}
	b.Write("a.csv", "one")
	if look() {
		t.Error("ready at the first look")
	}
	b.clock.Pass(5 * time.Second)
	b.Write("a.csv", "one and more")
	if look() {
		t.Error("ready though it grew")
	}
	b.clock.Pass(5 * time.Second)
	if !look() {
		t.Error("not ready")
	}
}

func TestReadingEndsWithChangedWhen(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(b *bench){
		"truncated": func(b *bench) { must(b.t, os.Truncate(b.Path("a.csv"), 10)) },
		"appended": func(b *bench) {
			f, err := os.OpenFile(b.Path("a.csv"), os.O_APPEND|os.O_WRONLY, 0)
			must(b.t, err)
			_, err = f.WriteString("more")
			must(b.t, errors.Join(err, f.Close()))
		},
		"replaced": func(b *bench) {
			b.Write("new.part", "other")
			must(b.t, os.Rename(b.Path("new.part"), b.Path("a.csv")))
		},
		"removed":      func(b *bench) { must(b.t, os.Remove(b.Path("a.csv"))) },
		"touched back": func(b *bench) { old := time.Unix(1, 0); must(b.t, os.Chtimes(b.Path("a.csv"), old, old)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, remote := range []bool{false, true} {
				b := newBench(t)
				b.Write("a.csv", strings.Repeat("0123456789", 100_000))
				f := b.Listed("a.csv")
				o, err := b.Open(context.Background(), f)
				must(t, err)
				r := o.(*reader)
				if remote {
					_, err := unix.FcntlInt(uintptr(r.file.fd), unix.F_SETLEASE, unix.F_UNLCK)
					must(t, err)
					r.unproven = errNoLease
				}
				_, err = io.ReadFull(r, make([]byte, 1000))
				must(t, err)
				done := make(chan struct{})
				go func() { // a writer is held off by the lease until the reader has noticed
					defer close(done)
					act(b)
				}()
				if held := name == "truncated" || name == "appended"; remote || !held {
					<-done
				} else {
					for stands(r.file) { // until the writer knocks
						runtime.Gosched()
					}
				}
				for err = error(nil); err == nil; {
					_, err = r.Read(make([]byte, 4096))
				}
				must(t, r.Close())
				<-done
				if !errors.Is(err, watcher.ErrChanged) {
					t.Errorf("remote %v: ended with %v", remote, err)
				}
			}
		})
	}
}

func TestNothingButTheListedFileIsOpened(t *testing.T) {
	t.Parallel()
	secret := t.TempDir() + "/secret"
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	for name, act := range map[string]func(b *bench){
		"link":   func(b *bench) { must(b.t, os.Symlink(secret, b.Path("sub/a.csv"))) },
		"pipe":   func(b *bench) { must(b.t, unix.Mkfifo(b.Path("sub/a.csv"), 0o600)) },
		"folder": func(b *bench) { must(b.t, os.Mkdir(b.Path("sub/a.csv"), 0o700)) },
		"hard link": func(b *bench) {
			must(b.t, os.Link(secret, b.Path("sub/a.csv")))
		},
		"other file": func(b *bench) { b.Write("sub/a.csv", "y") },
		"gone":       func(b *bench) {},
		"linked folder": func(b *bench) {
			must(b.t, os.Rename(b.Path("sub"), b.Path("sub.old")))
			must(b.t, os.Symlink(secret[:strings.LastIndexByte(secret, '/')], b.Path("sub")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, recursive)
			b.Write("sub/a.csv", "x")
			f := b.Listed("sub/a.csv")
			must(t, os.Remove(b.Path("sub/a.csv")))
			act(b)
			text, err := b.Content(f)
			if err == nil {
				t.Errorf("read %q", text)
			}
			if (name == "gone") != errors.Is(err, os.ErrNotExist) {
				t.Errorf("got %v", err)
			}
			if ok, _, _, _ := b.Ready(context.Background(), f); ok {
				t.Error("ready")
			}
			_, err = b.Close(context.Background(), f, watcher.Closing{Fate: watcher.Done})
			if name != "gone" && err == nil {
				t.Error("closed something else")
			}
		})
	}
}

func TestWithoutOpenat2TheSameHolds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("sub/a.csv", "x")
	must(t, os.Symlink("/etc/passwd", b.Path("link.csv")))
	must(t, unix.Mkfifo(b.Path("pipe.csv"), 0o600))
	r, err := b.Source.open()
	must(t, err)
	defer r.close()
	f, err := r.atPlain("sub/a.csv", unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	must(t, err)
	must(t, f.Close())
	for _, path := range []string{"link.csv", "../x", "/etc/passwd"} {
		if f, err := r.atPlain(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK); err == nil {
			f.Close()
			t.Errorf("opened %s", path)
		}
	}
	f, err = r.atPlain("pipe.csv", unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	must(t, err) // and did not wait for a writer
	must(t, f.Close())
}

func TestAFileThatMayNotBeReadSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	open(t, b)
	b.Write("a.csv", "x")
	must(t, os.Chmod(b.Path("a.csv"), 0))
	asNobody(t, func() {
		_, _, _, err := b.Ready(context.Background(), b.Listed("a.csv"))
		if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "a.csv") {
			t.Errorf("got %v", err)
		}
	})
}
