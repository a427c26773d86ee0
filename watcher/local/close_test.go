package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"waybill/watcher"
	"waybill/watcher/watchertest"
)

var (
	done   = watcher.Closing{Fate: watcher.Done}
	failed = watcher.Closing{Fate: watcher.Failed, Report: []byte(`{"rejects": 1}`), ReportName: "a.csv.rejects.json"}
)

func TestAReportDoesNotOverwriteEither(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("failed/a.csv.rejects.json", "somebody else's")
	b.Write("failed/.waybill-report.tmp", "left by a crash")
	b.Write("a.csv", "x")
	b.CloseNow(b.Listed("a.csv"), failed)
	if text := b.Read("failed/a.csv.rejects.json"); text != "somebody else's" {
		t.Errorf("overwritten by %q", text)
	}
	if text := b.Read("failed/a.csv.rejects.1.json"); text != string(failed.Report) {
		t.Errorf("the report is %q", text)
	}
}

func TestAFileThatIsBeingWrittenIsNotClosed(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Options, *watcher.Settings){recursive, deleting} {
		b := newBench(t, change)
		b.Write("a.csv", "x")
		f := b.Listed("a.csv")
		w, err := os.OpenFile(b.Path("a.csv"), os.O_WRONLY, 0)
		must(t, err)
		if _, err := b.Close(context.Background(), f, done); !errors.Is(err, watcher.ErrBusy) {
			t.Errorf("got %v", err)
		}
		must(t, w.Close())
		b.CloseNow(f, done)
		b.Gone("a.csv")
	}
}

func TestWhatWasMovedByMistakeIsPutBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("a.csv", "read")
	f := b.Listed("a.csv")
	b.Write("done/a.csv", "unread") // it took the place of the other between look and rename
	b.Write("a.csv", "newer still") // and the partner was quick
	r, err := b.Source.open()
	must(t, err)
	defer r.close()
	from, err := r.folder("")
	must(t, err)
	defer from.Close()
	to, err := r.folder("done")
	must(t, err)
	defer to.Close()
	c := closing{s: b.Source, r: &round{root: r}, f: f, how: done}
	if err := c.putBack(to, "a.csv", from, "a.csv"); !errors.Is(err, watcher.ErrChanged) {
		t.Errorf("got %v", err)
	}
	if b.Read("a.csv") != "newer still" || b.Read("a.1.csv") != "unread" {
		t.Error("lost or overwritten")
	}
	b.Gone("done/a.csv")
}

// A partner who replaces a file all the time: what is moved away is always what was read.
func TestReplacingWhileClosingMovesNothingUnread(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const n = 500
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			name := b.Path(fmt.Sprintf("%d.part", i))
			if os.WriteFile(name, fmt.Append(nil, i), 0o600) != nil || os.Rename(name, b.Path("a.csv")) != nil {
				t.Error("cannot write")
			}
		}
	})
	read := map[string]bool{}
	for !read[fmt.Sprint(n-1)] {
		for _, f := range b.All() {
			if text, err := b.Content(f); err == nil {
				if _, err := b.Close(context.Background(), f, done); err == nil {
					read[text] = true
				}
			}
		}
	}
	wg.Wait()
	moved, err := os.ReadDir(b.Path("done"))
	must(t, err)
	for _, m := range moved {
		if text := b.Read("done/" + m.Name()); !read[text] {
			t.Errorf("%s holds %s, which was not read", m.Name(), text)
		}
	}
}

func TestADeletedFileIsGoneAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	b := newBench(t, deleting)
	b.Write("a.csv", "x")
	f := b.Listed("a.csv")
	hidden := ".waybill-" + strings.ReplaceAll(content(f.Version), " ", "-") + ".tmp"
	must(t, os.Rename(b.Path("a.csv"), b.Path(hidden))) // killed here
	for range 2 {
		if where := b.CloseNow(f, failed); where != "" {
			t.Errorf("said to be at %q", where)
		}
	}
	b.Write("b.csv", "x")
	f = b.Listed("b.csv")
	b.CloseNow(f, done)
	if left, err := os.ReadDir(b.Dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAVersionThatWasCaughtByMistakeIsPutBackAfterACrash(t *testing.T) {
	t.Parallel()
	b := newBench(t, deleting)
	b.Write("a.csv", "read")
	f := b.Listed("a.csv")
	hidden := ".waybill-" + strings.ReplaceAll(content(f.Version), " ", "-") + ".tmp"
	b.Write("b.csv", "unread")
	must(t, os.Rename(b.Path("b.csv"), b.Path(hidden)))
	if _, err := b.Close(context.Background(), f, done); !errors.Is(err, watcher.ErrChanged) {
		t.Errorf("got %v", err)
	}
	if b.Read("a.csv") != "read" || b.Read("a.1.csv") != "unread" {
		t.Error("deleted what nobody read")
	}
}

func TestAFolderThatMayNotBeWrittenKeepsItsFiles(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(b *bench){
		"read-only folder":   func(b *bench) { must(b.t, os.Chmod(b.Dir, 0o555)) },
		"unwritable archive": func(b *bench) { must(b.t, os.Mkdir(b.Path("done"), 0o555)); must(b.t, os.Chmod(b.Dir, 0o777)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			open(t, b)
			b.Write("a.csv", "x")
			b.Write("b.csv", "x")
			files := b.All()
			prepare(b)
			t.Cleanup(func() { _ = os.Chmod(b.Dir, 0o755) })
			asNobody(t, func() {
				for name, f := range files {
					where, err := b.Close(context.Background(), f, done)
					if where != name || !errors.Is(err, watcher.ErrLeft) {
						t.Errorf("got %q, %v", where, err)
					}
				}
			})
			if n := b.log.Count("left where they are"); n != 1 {
				t.Errorf("warned %d times, want once", n)
			}
		})
	}
}

func TestWhereTheFileSystemCannotRefuseToOverwriteNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("a", "new")
	b.Write("taken", "old")
	r, err := b.Source.open()
	must(t, err)
	defer r.close()
	dir := r.dir
	if err := renameReserved(dir, "a", dir, "taken"); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v", err)
	}
	must(t, renameReserved(dir, "a", dir, "free"))
	if b.Read("taken") != "old" || b.Read("free") != "new" {
		t.Error("overwritten")
	}
	if err := renameReserved(dir, "a", dir, "other"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	b.Gone("other")
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		s    watcher.Settings
		want string
	}{
		{Options{}, watcher.Settings{}, "path is missing"},
		{Options{Path: "x"}, watcher.Settings{Done: "burn"}, "write move, delete or leave"},
	} {
		if _, err := New(c.o, c.s, watchertest.NewClock().Now, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
