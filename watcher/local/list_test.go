package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"waybill/watcher"
)

func TestListSkipsWhatIsNoOrdinaryFileAndSaysWhy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("plain.csv", "a;b")
	b.write("linked.csv", "a;b")
	must(t, unix.Mkfifo(b.path("pipe.csv"), 0o600))
	must(t, os.Symlink("/etc/passwd", b.path("link.csv")))
	must(t, os.Mkdir(b.path("x.csv"), 0o755))
	must(t, os.Link(b.path("linked.csv"), t.TempDir()+"/foreign"))
	l, err := net.Listen("unix", b.path("s"))
	must(t, err)
	defer l.Close()
	got := map[string]string{}
	for path, f := range b.list() {
		got[path] = f.Skip
	}
	want := map[string]string{
		"plain.csv": "", "pipe.csv": "named pipe", "link.csv": "symbolic link", "x.csv": "folder", "s": "socket",
		"linked.csv": "it has a second name (hard link), perhaps outside the folder",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListNeitherShowsTemporaryFilesNorWhatItClosed(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive)
	for _, name := range []string{".a.csv", "a.part", "b.csv.filepart", "c.tmp", "d.!ut", "E.PART", ".hidden/x.csv", "done/x.csv", "failed/x.csv", "sub/done/y.csv", "sub/deep/z.csv", "a.csv"} {
		b.write(name, "x")
	}
	var got []string
	for path := range b.list() {
		got = append(got, path)
	}
	if diff := cmp.Diff(map[string]bool{"a.csv": true, "sub/done/y.csv": true, "sub/deep/z.csv": true}, set(got)); diff != "" {
		t.Error(diff)
	}
}

func TestFoldersAreOrdinaryWhenNothingIsMovedToThem(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive, deleting)
	b.write("done/x.csv", "x")
	b.listed("done/x.csv")
}

func TestAFolderThatIsGoneIsAwayAndThatComesBackIsListed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, os.Remove(b.dir))
	var errs []error
	for _, err := range b.List(context.Background()) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], watcher.ErrAway) || !errors.Is(errs[0], os.ErrNotExist) {
		t.Fatalf("got %v, want that the source is away", errs)
	}
	must(t, os.Mkdir(b.dir, 0o755))
	b.write("a.csv", "x")
	b.listed("a.csv")
}

func TestAFolderThatMayNotBeReadDoesNotStopTheListing(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive)
	open(t, b)
	b.write("closed/x.csv", "x")
	b.write("a.csv", "x")
	must(t, os.Chmod(b.path("closed"), 0))
	t.Cleanup(func() { _ = os.Chmod(b.path("closed"), 0o755) })
	asNobody(t, func() {
		var files, errs []string
		for f, err := range b.List(context.Background()) {
			if err != nil {
				errs = append(errs, err.Error())
				continue
			}
			files = append(files, f.Path)
		}
		if fmt.Sprint(files) != "[a.csv]" || len(errs) != 1 || !strings.Contains(errs[0], "closed") {
			t.Errorf("listed %v, errors %v", files, errs)
		}
	})
}

func TestStat(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("sub/a.csv.done", "")
	f, err := b.Stat(context.Background(), "sub/a.csv.done")
	if err != nil || f.Path != "sub/a.csv.done" || f.Skip != "" {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := b.Stat(context.Background(), "sub/b.csv.done"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that it is not there", err)
	}
	if _, err := b.Stat(context.Background(), "../"+b.dir); err == nil {
		t.Error("looked outside the folder")
	}
}

func TestEveryNewFileHintsAtALook(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	hints, err := b.Hints(ctx)
	must(t, err)
	b.list() // puts the watch in place
	b.write("a.csv", "x")
	<-hints
	b.write("b.part", "x")
	must(t, os.Rename(b.path("b.part"), b.path("b.csv")))
	<-hints

	// A folder that is replaced hints by its end, and is watched again from the next listing on.
	must(t, os.Rename(b.dir, b.dir+".old"))
	<-hints
	must(t, os.Mkdir(b.dir, 0o755))
	b.list()
	drain(hints)
	b.write("c.csv", "x")
	<-hints
	cancel()
	for range hints {
	}
}

func TestAnOverflowOfEventsHintsAtALook(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	hints, err := b.Hints(ctx)
	must(t, err)
	b.hints.Errors <- fsnotify.ErrEventOverflow
	<-hints
	cancel()
	for range hints {
	}
	if n := b.log.count("WARN"); n != 0 {
		t.Errorf("warned %d times", n)
	}
}

func TestFoldersBelowHintAsWell(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive)
	ctx, cancel := context.WithCancel(context.Background())
	hints, err := b.Hints(ctx)
	must(t, err)
	b.list()
	must(t, os.Mkdir(b.path("sub"), 0o755))
	<-hints
	b.list()
	drain(hints)
	b.write("sub/a.csv", "x")
	<-hints
	cancel()
	for range hints {
	}
}

func BenchmarkListOfHundredThousandFiles(bm *testing.B) {
	const n = 100_000
	b := newBench(bm)
	for i := range n {
		f, err := os.Create(b.path(fmt.Sprintf("orders_%06d.csv", i)))
		if err != nil {
			bm.Fatal(err)
		}
		f.Close()
	}
	bm.ReportAllocs()
	for bm.Loop() {
		seen := 0
		for _, err := range b.List(context.Background()) {
			if err != nil {
				bm.Fatal(err)
			}
			seen++
		}
		if seen != n {
			bm.Fatalf("saw %d files", seen)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open lets everybody look into the folder of b.
func open(t *testing.T, b *bench) {
	t.Helper()
	for dir := b.dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = dir[:strings.LastIndexByte(dir, '/')] {
		must(t, os.Chmod(dir, 0o755))
	}
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

func set(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}
