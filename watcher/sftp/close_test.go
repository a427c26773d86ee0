package sftp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waybill/watcher"
)

func TestAClosedFileIsMovedAndNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i, want := range []string{"done/a.csv", "done/a.1.csv", "done/a.2.csv", "done/a.3.csv", "done/a.4.csv"} {
		b.write("a.csv", strings.Repeat("x", i+1))
		if where := b.close(b.listed("a.csv"), done); where != want {
			t.Errorf("moved to %s, want %s", where, want)
		}
		b.gone("a.csv")
	}
	for i, name := range []string{"done/a.csv", "done/a.1.csv", "done/a.2.csv"} {
		if text := b.read(name); len(text) != i+1 {
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
	b.write("failed/a.csv.rejects.json", "somebody else's")
	for i, want := range []string{"failed/a.csv", "failed/a.1.csv"} {
		b.write("a.csv", strings.Repeat("x", i+1))
		f := b.listed("a.csv")
		for range 2 { // the second time it was done already
			if where := b.close(f, failed); where != want {
				t.Errorf("moved to %s, want %s", where, want)
			}
		}
	}
	if text := b.read("failed/a.csv.rejects.json"); text != "somebody else's" {
		t.Errorf("overwritten by %q", text)
	}
	for _, name := range []string{"failed/a.csv.rejects.1.json", "failed/a.1.csv.rejects.json"} {
		if text := b.read(name); text != string(failed.Report) {
			t.Errorf("the report is %q", text)
		}
	}
	names, err := os.ReadDir(b.path("failed"))
	must(t, err)
	if len(names) != 5 {
		t.Errorf("in failed: %v", names)
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
	b := newBench(t)
	for _, change := range []change{recursive, deleting} {
		b := onServer(t, b.sshd, brisk(), change)
		b.write("a.csv", "read")
		f := b.listed("a.csv")
		b.write("a.csv", "not read")
		if _, err := b.Close(context.Background(), f, done); !errors.Is(err, watcher.ErrChanged) {
			t.Errorf("got %v", err)
		}
		if text := b.read("a.csv"); text != "not read" {
			t.Errorf("holds %q", text)
		}
	}
}

func TestWhatWasMovedByMistakeIsPutBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.csv", "read")
	f := b.listed("a.csv")
	b.write("done/a.csv", "unread") // it took the place of the other between look and rename
	b.write("a.csv", "newer still") // and the partner was quick
	conn, _, err := b.server.get(t.Context())
	must(t, err)
	c := closing{s: b.Source, ctx: t.Context(), on: conn.session, f: f, how: done}
	if err := c.putBack("done/a.csv"); !errors.Is(err, watcher.ErrChanged) {
		t.Errorf("got %v", err)
	}
	if b.read("a.csv") != "newer still" || b.read("a.1.csv") != "unread" {
		t.Error("lost or overwritten")
	}
	b.gone("done/a.csv")
}

func TestADeletedFileIsGoneAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	b := newBench(t, deleting)
	b.write("a.csv", "x")
	f := b.listed("a.csv")
	for range 2 {
		if where := b.close(f, failed); where != "" {
			t.Errorf("said to be at %q", where)
		}
	}
	if left, err := os.ReadDir(b.path("")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAFileThatIsLeftIsNotTouched(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *Options, s *watcher.Settings) { s.Done = "leave" })
	b.write("a.csv", "x")
	if where := b.close(b.listed("a.csv"), done); where != "a.csv" {
		t.Errorf("said to be at %q", where)
	}
	b.read("a.csv")
}

func TestAFolderThatMayNotBeWrittenKeepsItsFiles(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{"read-only folder": "", "read-only archive": "done"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.write("a.csv", "x")
			b.write("b.csv", "x")
			b.write("done/other.csv", "x")
			files := b.list()
			must(t, os.Chmod(b.path(folder), 0o555))
			t.Cleanup(func() { _ = os.Chmod(b.path(folder), 0o755) })
			for name, f := range files {
				where, err := b.Close(context.Background(), f, done)
				if where != name || !errors.Is(err, watcher.ErrLeft) {
					t.Errorf("got %q, %v", where, err)
				}
			}
			if n := b.log.count("left where they are"); n != 1 {
				t.Errorf("warned %d times, want once", n)
			}
		})
	}
}

func TestNamesOfAnyBytesAreReadAndMoved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	names := []string{"-rf", "new\nline.csv", "bad\xff\xfe.csv", "rtl\u202egpj.csv", "\x1b[31mred.csv", " ", "CON", strings.Repeat("x", 246) + ".csv", "a;rm -rf *", "naïve.csv", "*?[a]"}
	for _, name := range names {
		for _, text := range []string{"first", "another"} {
			b.write(name, text)
			f := b.listed(name)
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
			seen[as] = true
		}
	})
}

func TestAFreeNumberIsFoundAfterAnUnbrokenRow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, _, err := b.server.get(t.Context())
	must(t, err)
	c := closing{s: b.Source, ctx: t.Context(), on: conn.session}
	for n := range 40 {
		if got, err := c.free("done", "a.csv", 0); got != n || err != nil {
			t.Fatalf("got %d (%v), want %d", got, err, n)
		}
		b.write("done/"+numbered("a.csv", n), fmt.Sprint(n))
	}
}
