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
)

func TestListSkipsWhatIsNoOrdinaryFileAndSaysWhy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("plain.csv", "a;b")
	b.Write("linked.csv", "a;b")
	must(t, unix.Mkfifo(b.Path("pipe.csv"), 0o600))
	must(t, os.Symlink("/etc/passwd", b.Path("link.csv")))
	must(t, os.Mkdir(b.Path("x.csv"), 0o755))
	must(t, os.Link(b.Path("linked.csv"), t.TempDir()+"/foreign"))
	l, err := net.Listen("unix", b.Path("s"))
	must(t, err)
	defer l.Close()
	got := map[string]string{}
	for path, f := range b.All() {
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

func TestAFolderThatMayNotBeReadDoesNotStopTheListing(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive)
	open(t, b)
	b.Write("closed/x.csv", "x")
	b.Write("a.csv", "x")
	must(t, os.Chmod(b.Path("closed"), 0))
	t.Cleanup(func() { _ = os.Chmod(b.Path("closed"), 0o755) })
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
	b.Write("sub/a.csv.done", "")
	f, err := b.Stat(context.Background(), "sub/a.csv.done")
	if err != nil || f.Path != "sub/a.csv.done" || f.Skip != "" {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := b.Stat(context.Background(), "sub/b.csv.done"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that it is not there", err)
	}
	if _, err := b.Stat(context.Background(), "../"+b.Dir); err == nil {
		t.Error("looked outside the folder")
	}
}

func TestEveryNewFileHintsAtALook(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	hints, err := b.Hints(ctx)
	must(t, err)
	b.All() // puts the watch in place
	b.Write("a.csv", "x")
	<-hints
	b.Write("b.part", "x")
	must(t, os.Rename(b.Path("b.part"), b.Path("b.csv")))
	<-hints

	// A folder that is replaced hints by its end, and is watched again from the next listing on.
	must(t, os.Rename(b.Dir, b.Dir+".old"))
	<-hints
	must(t, os.Mkdir(b.Dir, 0o755))
	b.All()
	drain(hints)
	b.Write("c.csv", "x")
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
	if n := b.log.Count("WARN"); n != 0 {
		t.Errorf("warned %d times", n)
	}
}

func TestFoldersBelowHintAsWell(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive)
	ctx, cancel := context.WithCancel(context.Background())
	hints, err := b.Hints(ctx)
	must(t, err)
	b.All()
	must(t, os.Mkdir(b.Path("sub"), 0o755))
	<-hints
	b.All()
	drain(hints)
	b.Write("sub/a.csv", "x")
	<-hints
	cancel()
	for range hints {
	}
}

func BenchmarkListOfHundredThousandFiles(bm *testing.B) {
	const n = 100_000
	b := newBench(bm)
	for i := range n {
		f, err := os.Create(b.Path(fmt.Sprintf("orders_%06d.csv", i)))
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
	for dir := b.Dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = dir[:strings.LastIndexByte(dir, '/')] {
		must(t, os.Chmod(dir, 0o755))
	}
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}
