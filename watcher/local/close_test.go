package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"waybill/watcher"
)

var (
	done   = watcher.Closing{Fate: watcher.Done}
	failed = watcher.Closing{Fate: watcher.Failed, Report: []byte(`{"rejects": 1}`), ReportName: "a.csv.rejects.json"}
)

func TestAClosedFileIsMovedAndNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i, want := range []string{"done/a.csv", "done/a.1.csv", "done/a.2.csv"} {
		b.write("a.csv", fmt.Sprint(i))
		if where := b.close(b.listed("a.csv"), done); where != want {
			t.Errorf("moved to %s, want %s", where, want)
		}
		b.gone("a.csv")
	}
	for i, name := range []string{"done/a.csv", "done/a.1.csv", "done/a.2.csv"} {
		if text := b.read(name); text != fmt.Sprint(i) {
			t.Errorf("%s holds %q", name, text)
		}
	}
}

func TestAClosedFileKeepsItsFolder(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive)
	b.write("x/y/a.csv", "x")
	if where := b.close(b.listed("x/y/a.csv"), done); where != "done/x/y/a.csv" {
		t.Errorf("moved to %s", where)
	}
	b.read("done/x/y/a.csv")
}

func TestAReportIsLaidBesideAFailedFileUnderItsName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, want := range []string{"failed/a.csv", "failed/a.1.csv"} {
		b.write("a.csv", "x")
		if where := b.close(b.listed("a.csv"), failed); where != want {
			t.Errorf("moved to %s, want %s", where, want)
		}
		if text := b.read(want + ".rejects.json"); text != string(failed.Report) {
			t.Errorf("the report is %q", text)
		}
	}
	b.gone("failed/.waybill-report.tmp")
}

func TestAReportDoesNotOverwriteEither(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("failed/a.csv.rejects.json", "somebody else's")
	b.write("failed/.waybill-report.tmp", "left by a crash")
	b.write("a.csv", "x")
	b.close(b.listed("a.csv"), failed)
	if text := b.read("failed/a.csv.rejects.json"); text != "somebody else's" {
		t.Errorf("overwritten by %q", text)
	}
	if text := b.read("failed/a.csv.rejects.1.json"); text != string(failed.Report) {
		t.Errorf("the report is %q", text)
	}
}

func TestClosingMayBeRepeatedAfterACrash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("failed/a.csv", "older")
	b.write("a.csv", "x")
	f := b.listed("a.csv")
	b.close(f, watcher.Closing{Fate: watcher.Failed}) // killed before the report
	for range 2 {
		if where := b.close(f, failed); where != "failed/a.1.csv" {
			t.Errorf("said to be at %q", where)
		}
	}
	b.read("failed/a.1.csv.rejects.json")
	b.gone("failed/a.1.csv.rejects.1.json")
	must(t, os.Remove(b.path("failed/a.1.csv")))
	if where := b.close(f, failed); where != "" {
		t.Errorf("said to be at %q, but somebody took it", where)
	}
}

func TestAnotherVersionIsNotClosed(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Options, *watcher.Settings){recursive, deleting} {
		b := newBench(t, change)
		b.write("a.csv", "read")
		f := b.listed("a.csv")
		b.write("b.csv", "unread")
		must(t, os.Rename(b.path("b.csv"), b.path("a.csv")))
		if _, err := b.Close(context.Background(), f, done); !errors.Is(err, watcher.ErrChanged) {
			t.Errorf("got %v", err)
		}
		if text := b.read("a.csv"); text != "unread" {
			t.Errorf("holds %q", text)
		}
	}
}

func TestAFileThatIsBeingWrittenIsNotClosed(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Options, *watcher.Settings){recursive, deleting} {
		b := newBench(t, change)
		b.write("a.csv", "x")
		f := b.listed("a.csv")
		w, err := os.OpenFile(b.path("a.csv"), os.O_WRONLY, 0)
		must(t, err)
		if _, err := b.Close(context.Background(), f, done); !errors.Is(err, watcher.ErrBusy) {
			t.Errorf("got %v", err)
		}
		must(t, w.Close())
		b.close(f, done)
		b.gone("a.csv")
	}
}

func TestWhatWasMovedByMistakeIsPutBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.csv", "read")
	f := b.listed("a.csv")
	b.write("done/a.csv", "unread") // it took the place of the other between look and rename
	b.write("a.csv", "newer still") // and the partner was quick
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
	if b.read("a.csv") != "newer still" || b.read("a.1.csv") != "unread" {
		t.Error("lost or overwritten")
	}
	b.gone("done/a.csv")
}

// A partner who replaces a file all the time: what is moved away is always what was read.
func TestReplacingWhileClosingMovesNothingUnread(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const n = 500
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			name := b.path(fmt.Sprintf("%d.part", i))
			if os.WriteFile(name, fmt.Append(nil, i), 0o600) != nil || os.Rename(name, b.path("a.csv")) != nil {
				t.Error("cannot write")
			}
		}
	})
	read := map[string]bool{}
	for !read[fmt.Sprint(n-1)] {
		for _, f := range b.list() {
			if text, err := b.content(f); err == nil {
				if _, err := b.Close(context.Background(), f, done); err == nil {
					read[text] = true
				}
			}
		}
	}
	wg.Wait()
	moved, err := os.ReadDir(b.path("done"))
	must(t, err)
	for _, m := range moved {
		if text := b.read("done/" + m.Name()); !read[text] {
			t.Errorf("%s holds %s, which was not read", m.Name(), text)
		}
	}
}

func TestADeletedFileIsGoneAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	b := newBench(t, deleting)
	b.write("a.csv", "x")
	f := b.listed("a.csv")
	hidden := ".waybill-" + strings.ReplaceAll(content(f.Version), " ", "-") + ".tmp"
	must(t, os.Rename(b.path("a.csv"), b.path(hidden))) // killed here
	for range 2 {
		if where := b.close(f, failed); where != "" {
			t.Errorf("said to be at %q", where)
		}
	}
	b.write("b.csv", "x")
	f = b.listed("b.csv")
	b.close(f, done)
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAVersionThatWasCaughtByMistakeIsPutBackAfterACrash(t *testing.T) {
	t.Parallel()
	b := newBench(t, deleting)
	b.write("a.csv", "read")
	f := b.listed("a.csv")
	hidden := ".waybill-" + strings.ReplaceAll(content(f.Version), " ", "-") + ".tmp"
	b.write("b.csv", "unread")
	must(t, os.Rename(b.path("b.csv"), b.path(hidden)))
	if _, err := b.Close(context.Background(), f, done); !errors.Is(err, watcher.ErrChanged) {
		t.Errorf("got %v", err)
	}
	if b.read("a.csv") != "read" || b.read("a.1.csv") != "unread" {
		t.Error("deleted what nobody read")
	}
}

func TestAFolderThatMayNotBeWrittenKeepsItsFiles(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(b *bench){
		"read-only folder":   func(b *bench) { must(b.t, os.Chmod(b.dir, 0o555)) },
		"unwritable archive": func(b *bench) { must(b.t, os.Mkdir(b.path("done"), 0o555)); must(b.t, os.Chmod(b.dir, 0o777)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			open(t, b)
			b.write("a.csv", "x")
			b.write("b.csv", "x")
			files := b.list()
			prepare(b)
			t.Cleanup(func() { _ = os.Chmod(b.dir, 0o755) })
			asNobody(t, func() {
				for name, f := range files {
					where, err := b.Close(context.Background(), f, done)
					if where != name || !errors.Is(err, watcher.ErrLeft) {
						t.Errorf("got %q, %v", where, err)
					}
				}
			})
			if n := b.log.count("left where they are"); n != 1 {
				t.Errorf("warned %d times, want once", n)
			}
		})
	}
}

func TestNamesOfAnyBytesAreReadAndMoved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	names := []string{"-rf", "new\nline.csv", "bad\xff\xfe.csv", "rtl\u202egpj.csv", "\x1b[31mred.csv", " ", "CON", strings.Repeat("x", 251) + ".csv", "a;rm -rf *", "naïve.csv"}
	for _, name := range names {
		for _, text := range []string{"first", "second"} {
			b.write(name, text)
			f := b.listed(name)
			if ok, reason := b.ready(f); !ok {
				t.Fatalf("%q: not ready: %s", name, reason)
			}
			if got, err := b.content(f); got != text || err != nil {
				t.Errorf("%q: read %q, %v", name, got, err)
			}
			if where := b.close(f, done); b.read(where) != text {
				t.Errorf("%q: moved to %q", name, where)
			}
		}
	}
	if left := b.list(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestWhereTheFileSystemCannotRefuseToOverwriteNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a", "new")
	b.write("taken", "old")
	r, err := b.Source.open()
	must(t, err)
	defer r.close()
	dir := r.dir
	if err := renameReserved(dir, "a", dir, "taken"); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v", err)
	}
	must(t, renameReserved(dir, "a", dir, "free"))
	if b.read("taken") != "old" || b.read("free") != "new" {
		t.Error("overwritten")
	}
	if err := renameReserved(dir, "a", dir, "other"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	b.gone("other")
}

func TestNumberedNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.Byte().Filter(func(b byte) bool { return b != '/' && b != 0 }), 1, 255).Draw(t, "name"))
		seen := map[string]bool{}
		for n := range 300 {
			as := numbered(name, n)
			if len(as) > 255 || as == "" || seen[as] || path.Base(as) != as {
				t.Fatalf("name %d of %q is %q", n, name, as)
			}
			if n == 0 && as != name || path.Ext(as) != path.Ext(name) && len(path.Ext(name)) < 64 && strings.LastIndexByte(name, '.') > 0 {
				t.Fatalf("name %d of %q is %q", n, name, as)
			}
			seen[as] = true
		}
	})
}

func TestAFreeNumberIsFoundAfterAnUnbrokenRow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, err := b.Source.open()
	must(t, err)
	defer r.close()
	dir := r.dir
	for n := 1; n <= 70; n++ {
		if got := free(dir, "a.csv", 1); got != n {
			t.Fatalf("got %d, want %d", got, n)
		}
		b.write(numbered("a.csv", n), "")
	}
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
		if _, err := New(c.o, c.s, newClock().Now, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
