package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waybill/watcher"
	"waybill/watcher/local"
)

func TestFilesThatArriveAreLandedAndMovedToDone(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *watcher.Options) { o.Now = time.Now })
	y.write("before.csv", "there before the start")
	start(t, y.Watcher)
	for i := range 200 {
		y.write(fmt.Sprintf("%03d.part", i), fmt.Sprint("text ", i))
		must(t, os.Rename(y.path(fmt.Sprintf("%03d.part", i)), y.path(fmt.Sprintf("%03d.csv", i))))
	}
	y.book.await(t, "201 closed files", func() bool { return y.book.closed() == 201 })
	left, err := os.ReadDir(y.dir)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	for i := range 200 {
		name := fmt.Sprintf("%03d.csv", i)
		if diff := cmp.Diff([]string{fmt.Sprint("text ", i)}, y.book.texts(name)); diff != "" {
			t.Error(name, diff)
		}
		y.has("done/" + name)
	}
	if s := y.Status(); s.Landed != 201 || s.Closed != 201 || s.Error != "" {
		t.Errorf("status %+v", s)
	}
}

func TestTenThousandFilesLandOnceEach(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const n = 10_000
	for i := range n {
		y.write(fmt.Sprintf("%d.csv", i), fmt.Sprint(i))
	}
	y.scan()
	y.scan()
	y.closeAll()
	if len(y.book.files) != n || y.book.closed() != n {
		t.Errorf("%d landed, %d closed", len(y.book.files), y.book.closed())
	}
	for _, f := range y.book.files {
		if f.text+".csv" != f.Path {
			t.Errorf("%s landed with %q", f.Path, f.text)
		}
	}
}

func TestAHalfWrittenFileWaits(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	w, err := os.Create(y.path("a.csv"))
	must(t, err)
	_, err = w.WriteString("half")
	must(t, err)
	y.write("b.csv", "whole")
	y.scan()
	if got := y.book.reason("a.csv"); got != "somebody has it open for writing" {
		t.Errorf("noted: %q", got)
	}
	if s := y.Status(); s.Seen != 2 || s.Waiting != 1 || len(s.Notes) != 1 || s.Notes[0].Path != "a.csv" {
		t.Errorf("status %+v", s)
	}
	_, err = w.WriteString(" and half")
	must(t, err)
	must(t, w.Close())
	y.scan()
	if diff := cmp.Diff([]string{"half and half"}, y.book.texts("a.csv")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"whole"}, y.book.texts("b.csv")); diff != "" {
		t.Error(diff)
	}
}

func TestAWriterThatClosesIsSoonNoticed(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *watcher.Options) { o.Now, o.Poll = time.Now, time.Hour })
	start(t, y.Watcher)
	w, err := os.Create(y.path("a.csv"))
	must(t, err)
	_, err = w.WriteString("text")
	must(t, err)
	y.book.await(t, "the file is noted", func() bool { return y.book.notes["a.csv"].Reason != "" })
	must(t, w.Close())
	y.book.await(t, "the file is closed", func() bool { return y.book.closed() == 1 })
}

func TestAFileThatIsAppendedToAfterItWasTakenLandsAgainAndIsNotMovedAsTheOld(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.write("a.csv", "one")
	y.scan()
	y.write("a.csv", "one and two")
	y.closeAll()
	y.has("a.csv")
	if c := y.book.files[0].closed; c == nil || !strings.Contains(c.Err, "another version") {
		t.Errorf("closed as %+v", c)
	}
	y.scan()
	y.closeAll()
	y.has("done/a.csv")
	if diff := cmp.Diff([]string{"one", "one and two"}, y.book.texts("a.csv")); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatVanishesBetweenListAndOpenIsForgotten(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.write("a.csv", "x")
	y.src.open = func(f watcher.File) error { return os.Remove(y.path(f.Path)) }
	y.scan()
	if len(y.book.files) != 0 || y.book.noted != 0 || y.log.Count("a.csv") != 0 {
		t.Errorf("%d files, %d notes", len(y.book.files), y.book.noted)
	}
}

func TestAFileThatChangesWhileItIsReadLandsOnlyAsTheNewVersion(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.write("a.csv", "old")
	y.src.open = func(watcher.File) error { y.src.open = nil; return nil }
	y.src.wrap = func(_ watcher.File, r io.ReadCloser) io.ReadCloser {
		y.src.wrap = nil
		y.write("a.part", "new")
		must(t, os.Rename(y.path("a.part"), y.path("a.csv")))
		return r
	}
	y.scan()
	if len(y.book.files) != 0 || !strings.Contains(y.book.reason("a.csv"), "changed") {
		t.Errorf("%d files, noted %q", len(y.book.files), y.book.reason("a.csv"))
	}
	y.scan()
	if diff := cmp.Diff([]string{"new"}, y.book.texts("a.csv")); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatCannotBeReadStopsNoOther(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.write("a.csv", "a")
	y.write("b.csv", "b")
	opened := 0
	y.src.open = func(f watcher.File) error {
		if f.Path == "a.csv" {
			opened++
			return &fs.PathError{Op: "open", Path: f.Path, Err: fs.ErrPermission}
		}
		return nil
	}
	y.scan()
	if want := "open a.csv: permission denied: let the user that waybill runs as read it"; y.book.reason("a.csv") != want {
		t.Errorf("noted %q", y.book.reason("a.csv"))
	}
	if len(y.book.texts("b.csv")) != 1 {
		t.Error("b.csv did not land")
	}
	y.scan()
	if opened != 1 {
		t.Errorf("opened %d times without a pause", opened)
	}
	y.clock.Pass(time.Minute)
	y.src.open = nil
	y.scan()
	if len(y.book.texts("a.csv")) != 1 {
		t.Error("a.csv did not land once it could be read")
	}
	if n := y.log.Count("cannot be taken"); n != 1 {
		t.Errorf("warned %d times", n)
	}
}

func TestABigFileHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *watcher.Options) { o.Now = time.Now })
	goOn := make(chan struct{})
	y.src.wrap = func(f watcher.File, r io.ReadCloser) io.ReadCloser {
		if f.Path == "big.csv" {
			return slow{r, goOn}
		}
		return r
	}
	y.write("big.csv", "big")
	start(t, y.Watcher)
	y.write("a.csv", "a")
	y.book.await(t, "the small one is closed", func() bool { return y.book.closed() == 1 })
	y.write("b.csv", "b")
	y.book.await(t, "the next one is closed", func() bool { return y.book.closed() == 2 })
	if s := y.Status(); s.Landing != 1 {
		t.Errorf("status %+v", s)
	}
	close(goOn)
	y.book.await(t, "the big one is closed", func() bool { return y.book.closed() == 3 })
}

type slow struct {
	io.ReadCloser
	goOn chan struct{}
}

func (s slow) Read(p []byte) (int, error) {
	<-s.goOn
	return s.ReadCloser.Read(p)
}

func TestWhatNobodyWantsIsLeftAndNoted(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *watcher.Options) { o.Wanted = func(p string) bool { return strings.HasSuffix(p, ".csv") } })
	y.write("notes.txt", "x")
	must(t, os.Symlink("a.csv", y.path("link.csv")))
	must(t, os.Mkdir(y.path("archive"), 0o755))
	y.scan()
	y.scan()
	got := map[string]string{}
	for path, n := range y.book.notes {
		got[path] = n.Reason
	}
	want := map[string]string{"notes.txt": "no job takes this name", "link.csv": "not taken: symbolic link"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if y.book.noted != 2 {
		t.Errorf("noted %d times", y.book.noted)
	}
	y.has("notes.txt", "link.csv")
}

func TestAFailedFileIsMovedWithItsReport(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.book.fails = func(p string) bool { return p == "bad.csv" }
	y.write("bad.csv", "x")
	y.write("good.csv", "x")
	y.scan()
	y.closeAll()
	y.has("failed/bad.csv", "failed/bad.csv.rejects.json", "done/good.csv")
	if where := y.book.files[slices.IndexFunc(y.book.files, func(f *bookFile) bool { return f.Path == "bad.csv" })].closed.Where; where != "failed/bad.csv" {
		t.Errorf("said to be at %q", where)
	}
}

func TestFilesThatCannotBeClosedKeepNobodyFromTheirTurn(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const n = 1200
	for i := range n {
		y.write(fmt.Sprintf("%04d.csv", i), "x")
	}
	y.scan()
	broken := errors.New("no space left")
	y.src.close = func(f watcher.File) error {
		if f.Path < "0700.csv" {
			return broken
		}
		return nil
	}
	for range 4 {
		y.closeAll()
	}
	if got := y.book.closed(); got != n-700 {
		t.Errorf("%d closed, want %d", got, n-700)
	}
	for range 30 {
		y.clock.Pass(10 * time.Minute)
		y.closeAll()
	}
	if got := y.book.closed(); got != n {
		t.Errorf("%d closed, want %d", got, n)
	}
	if c := y.book.files[0].closed; c.Err == "" && y.book.files[0].Path < "0700.csv" {
		t.Error("does not say that it was left")
	}
}

// What a far server has closed is told while it still closes the rest.
func TestARoundOfClosingsThatTakesLongIsToldInParts(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const n = 20
	for i := range n {
		y.write(fmt.Sprintf("%04d.csv", i), "x")
	}
	y.scan()
	y.src.close = func(f watcher.File) error {
		y.clock.Pass(300 * time.Millisecond)
		if f.Path < "0004.csv" {
			return errors.New("no space left")
		}
		return nil
	}
	y.closeAll()
	if got := y.book.closed(); got != n-4 || y.book.rounds < 4 {
		t.Errorf("%d of %d closed in %d rounds", got, n, y.book.rounds)
	}
}

func TestAFolderThatVanishesIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *watcher.Options) { o.Now, o.Poll = time.Now, 20*time.Millisecond })
	start(t, y.Watcher)
	y.write("a.csv", "x")
	y.book.await(t, "the first is closed", func() bool { return y.book.closed() == 1 })
	must(t, os.Rename(y.dir, y.dir+".old"))
	for y.Status().Error == "" {
		runtime.Gosched()
	}
	must(t, os.Mkdir(y.dir, 0o755))
	y.write("b.csv", "x")
	y.book.await(t, "the second is closed", func() bool { return y.book.closed() == 2 })
	for y.Status().Error != "" {
		runtime.Gosched()
	}
	if n := y.log.Count("its files wait"); n != 1 {
		t.Errorf("warned %d times: %s", n, y.log.Text())
	}
}

func TestWithoutHintsTheRescanFindsEverything(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	w := watcher.New("drop", mute{y.src}, y.book, y.book, watcher.Options{Now: time.Now, Poll: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	start(t, w)
	for i := range 50 {
		y.write(fmt.Sprintf("%d.csv", i), "x")
	}
	y.book.await(t, "all are closed", func() bool { return y.book.closed() == 50 })
}

func TestALedgerThatRefusesEndsTheScanAndLosesNothing(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *watcher.Options) { o.Landers = 1 })
	for i := range 100 {
		y.write(fmt.Sprintf("%d.csv", i), "x")
	}
	y.book.refuse = errors.New("disk full")
	if err := y.ScanOnce(context.Background()); err == nil {
		t.Error("the scan went on")
	}
	if n := y.log.Count("disk full"); n == 0 || n > 10 {
		t.Errorf("logged %d times", n)
	}
	if s := y.Status(); s.Error == "" {
		t.Errorf("status %+v", s)
	}
	y.book.refuse = nil
	y.clock.Pass(time.Minute)
	y.scan()
	if len(y.book.files) != 100 {
		t.Errorf("%d landed", len(y.book.files))
	}
}

func TestStoppingInterruptsALandingAndIsNoFailure(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *watcher.Options) { o.Now = time.Now })
	reached, goOn := make(chan struct{}), make(chan struct{})
	y.src.open = func(watcher.File) error {
		close(reached)
		<-goOn
		return context.Canceled
	}
	y.write("a.csv", "x")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- y.Run(ctx) }()
	<-reached
	cancel()
	select {
	case <-ended:
		t.Error("ended while a landing goes on")
	default:
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	if y.book.noted != 0 || y.log.Count("WARN") != 0 {
		t.Errorf("complained: %s", y.log.Text())
	}
}

func TestOlderFilesLandFirst(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *watcher.Options) { o.Landers = 1 })
	for i := range 50 {
		name := fmt.Sprintf("%d.csv", i)
		y.write(name, "x")
		at := time.Unix(int64(1000-i), 0)
		must(t, os.Chtimes(y.path(name), at, at))
	}
	y.scan()
	for i, f := range y.book.files {
		if want := fmt.Sprintf("%d.csv", 49-i); f.Path != want {
			t.Fatalf("file %d is %s, want %s", i, f.Path, want)
		}
	}
}

func BenchmarkRescanOfHundredThousandKnownFiles(b *testing.B) {
	y := newYard(b)
	const n = 100_000
	for i := range n {
		y.write(fmt.Sprintf("orders_%06d.csv", i), "")
	}
	y.scan()
	y.src.open = func(f watcher.File) error { b.Errorf("%s was opened", f.Path); return nil }
	y.scan()
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		y.scan()
	}
	b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
	if len(y.book.files) != n {
		b.Errorf("%d files", len(y.book.files))
	}
}

var (
	_ watcher.Source  = (*local.Source)(nil)
	_ watcher.Hinter  = (*local.Source)(nil)
	_ watcher.Syncer  = (*local.Source)(nil)
	_ watcher.Stater  = (*local.Source)(nil)
	_ watcher.Intake  = (*book)(nil)
	_ watcher.Archive = (*book)(nil)
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheLedgerIsAskedOnceAboutFilesThatStay(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for i := range 1200 {
		y.write(fmt.Sprintf("%d.csv", i), "x")
	}
	y.scan()
	y.scan() // now it is told that they are known
	asked := y.book.unknown
	ask := func(want int, why string) {
		t.Helper()
		y.scan()
		if got := y.book.unknown - asked; got != want {
			t.Errorf("%s: asked %d times, want %d", why, got, want)
		}
		asked = y.book.unknown
	}
	ask(0, "nothing has changed")
	y.write("7.csv", "other")
	must(t, os.Rename(y.path("8.csv"), y.path("new.csv")))
	ask(1, "two are new")
	if len(y.book.files) != 1202 {
		t.Errorf("%d files", len(y.book.files))
	}
	must(t, os.Remove(y.path("9.csv")))
	ask(1, "the two landed")
	ask(0, "nothing has changed")
	y.Recheck()
	ask(3, "jobs have changed")
	ask(0, "nothing has changed")
	y.clock.Pass(2 * time.Hour)
	ask(3, "it is time to say that they are still there")
}

// cpu is the processor time this process has used: on a busy machine it tells more than the time that passed.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkLatencyFromRenameToLanded(b *testing.B) {
	y := newYard(b, func(o *watcher.Options) { o.Now = time.Now })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- y.Run(ctx) }()
	var took []time.Duration
	for b.Loop() {
		name := fmt.Sprint(len(took))
		y.write(name+".part", "x")
		from := time.Now()
		must(b, os.Rename(y.path(name+".part"), y.path(name+".csv")))
		y.book.await(b, "it landed", func() bool { return len(y.book.files) == len(took)+1 })
		took = append(took, time.Since(from))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	cancel()
	must(b, <-ended)
}
