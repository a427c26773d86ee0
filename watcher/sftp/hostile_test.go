package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/testenv"
	"waybill/watcher"
	"waybill/watcher/wire"
)

// listing has a tree answer READDIR out of a function that returns names until it has none.
func listing(next func() []string) rule {
	return func(p wire.Packet) (reply, bool) {
		if p.Type != wire.Readdir {
			return nil, false
		}
		if list := next(); len(list) > 0 {
			return names(p, plain(3, 1_700_000_000), list...), true
		}
		return status(p, wire.EOF), true
	}
}

// onceNames gives names one time.
func onceNames(names ...string) func() []string {
	return func() []string { n := names; names = nil; return n }
}

// Hostile input 59: names that lead elsewhere.
func TestHostileNamesAreRefusedAndTold(t *testing.T) {
	t.Parallel()
	tr := newTree(nil)
	tr.instead(listing(onceNames(".", "..", "../x", "/etc/passwd", "a/b", "zero\x00.csv", "", strings.Repeat("x", 5000), "good.csv")))
	b, _ := onTree(t, tr)
	files, errs := b.Look()
	if len(files) != 1 || files["good.csv"].Size != 3 {
		t.Errorf("got %v", files)
	}
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "6 names are refused") || !strings.Contains(errs[0].Error(), `"../x"`) || errors.Is(errs[0], watcher.ErrAway) {
		t.Errorf("got %v", errs)
	}
}

// Hostile input 59: a listing without end is cut off, in flat memory. Not parallel: it looks at the heap of the process.
func TestAListingOfMillionsIsCutOffInFlatMemory(t *testing.T) {
	tr := newTree(nil)
	n := 0
	tr.instead(listing(func() []string {
		names := make([]string, 100)
		for i := range names {
			names[i] = fmt.Sprintf("file-%09d.csv", n)
			n++
		}
		return names
	}))
	b, _ := onTree(t, tr, func(o *Options, _ *watcher.Settings) { o.Names = 300_000 })
	seen, most := 0, uint64(0)
	var base, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	var last error
	for _, err := range b.List(t.Context()) {
		if err != nil {
			last = err
			continue
		}
		if seen++; seen%50_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if seen != 300_000 || last == nil || !strings.Contains(last.Error(), "more than 300000 names") {
		t.Errorf("%d files, then %v", seen, last)
	}
	if grown := int64(most) - int64(base.HeapAlloc); grown > 32<<20 {
		t.Errorf("%d MiB more on the heap", grown>>20)
	}
	// A READDIR that brings nothing, for ever, is no listing either.
	tr.instead(func(p wire.Packet) (reply, bool) { return names(p, wire.Attrs{}), p.Type == wire.Readdir })
	if err := b.unlistable(); !strings.Contains(err.Error(), "does not end") {
		t.Errorf("got %v", err)
	}
}

// Hostile input 59, and reported failure 7: what the server tells and what it sends are not the same.
func TestReported7NothingIsCutShortSilently(t *testing.T) {
	t.Parallel()
	text := noise(200_000)
	for name, c := range map[string]struct {
		before func(wire.Packet) reply // of READ
		listed int
		want   string // "" for the whole text
	}{
		"small packets":          {func(p wire.Packet) reply { return part(p, text, 700) }, 200_000, ""},
		"less than told":         {nil, 300_000, "it ended after 200000"},
		"more than told":         {nil, 100_000, "there is more after it"},
		"empty as told":          {nil, 0, "there is more after it"},
		"endless":                {func(p wire.Packet) reply { return data(p, noise(int(min(p.Length, 20_000)))) }, 200_000, "there is more after it"},
		"nothing, for ever":      {func(p wire.Packet) reply { return data(p, "") }, 200_000, "not SFTP"},
		"more than asked for":    {func(p wire.Packet) reply { return data(p, noise(int(p.Length)+1)) }, 200_000, "not SFTP"},
		"a packet of a gigabyte": {func(wire.Packet) reply { return reply{0x40, 0, 0, 0, byte(wire.AnswerData), 0, 0, 0, 1} }, 200_000, "not SFTP"},
		"an answer to nobody":    {func(p wire.Packet) reply { p.ID += 77; return data(p, "x") }, 200_000, "not SFTP"},
	} {
		tr := newTree(map[string]string{"out/a.csv": text})
		b, _ := onTree(t, tr)
		f := b.Listed("a.csv")
		f.Size = int64(c.listed)
		f.Version = fmt.Sprintf("%d %d", c.listed, tr.mtime)
		tr.instead(func(p wire.Packet) (reply, bool) {
			switch {
			case p.Type == wire.Fstat: // it lies here as well
				return attrs(p, plain(c.listed, tr.mtime)), true
			case p.Type == wire.Read && c.before != nil:
				return c.before(p), true
			}
			return nil, false
		})
		got, err := b.Content(f)
		switch {
		case c.want == "" && (err != nil || got != text):
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// Hostile input 59: a file is swapped between the look and the read.
func TestAFileThatIsSwappedIsNotTaken(t *testing.T) {
	t.Parallel()
	tr := newTree(map[string]string{"out/a.csv": "first"})
	b, _ := onTree(t, tr)
	f := b.Listed("a.csv")
	tr.locked(func() {
		tr.files["out/a.csv"] = "other"
		tr.mtime++
	})
	if _, err := b.Content(f); !errors.Is(err, watcher.ErrChanged) {
		t.Errorf("got %v", err)
	}
}

// Hostile input 59: links that lead round in a circle.
func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive)
	b.Write("sub/a.csv", "x")
	must(t, os.Symlink(".", b.Path("sub/loop")))
	must(t, os.Symlink("/etc", b.Path("etc")))
	must(t, os.Symlink("sub/a.csv", b.Path("link.csv")))
	files := b.All()
	if len(files) != 4 || files["sub/a.csv"].Skip != "" || files["link.csv"].Skip != "symbolic link" || files["etc"].Skip == "" {
		t.Errorf("got %v", files)
	}
	// A server that shows links as what they lead to.
	tr := newTree(nil)
	circle := func(p wire.Packet) (reply, bool) {
		switch p.Type {
		case wire.Opendir:
			return handle(p, "h"), true
		case wire.Readdir:
			tr.n++
			if tr.n%2 == 0 {
				return status(p, wire.EOF), true
			}
			return names(p, aFolder, "loop"), true
		}
		return nil, false
	}
	tr.instead(circle)
	c, _ := onTree(t, tr, recursive)
	files, errs := c.Look()
	if len(files) > 0 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "deeper than 16") {
		t.Errorf("got %v, %v", files, errs)
	}
	tr.instead(func(p wire.Packet) (reply, bool) {
		if p.Type == wire.Realpath {
			return names(p, aFolder, "/home/out"), true
		}
		return circle(p)
	})
	if _, errs := c.Look(); len(errs) != 1 || !strings.Contains(errs[0].Error(), "is a link to /home/out") {
		t.Errorf("got %v", errs)
	}
}

func TestAFolderOf100000NamesIsListed(t *testing.T) {
	t.Parallel()
	const n = 100_000
	b := newBench(t)
	for i := range n {
		f, err := os.OpenFile(filepath.Join(b.sshd.Folder, "out", fmt.Sprintf("orders_%06d.csv", i)), os.O_CREATE|os.O_WRONLY, 0o644)
		must(t, err)
		must(t, f.Close())
	}
	begin := time.Now()
	seen := 0
	for _, err := range b.List(t.Context()) {
		must(t, err)
		seen++
	}
	if seen != n {
		t.Errorf("%d files", seen)
	}
	t.Logf("%d names in %s", seen, time.Since(begin))
}

// The oldest of 100,000 files is the first, wherever the listing has it. Not parallel: it looks at the heap of the process.
func TestTheOldestOf100000NamesIsTheFirst(t *testing.T) {
	const n, later = 100_000, 30_000 // later: a second folder's worth, which is put in order by itself
	tr := newTree(nil)
	next := 0
	tr.instead(func(p wire.Packet) (reply, bool) {
		if p.Type != wire.Readdir {
			return nil, false
		}
		if next == n+later {
			return status(p, wire.EOF), true
		}
		next++
		// 7919 has no factor of n: each time of the first n is there once, in no order.
		return names(p, plain(3, uint32(1_500_000_000+next*7919%n)), fmt.Sprintf("orders_of_a_partner_%09d.csv", next)), true
	})
	b, _ := onTree(t, tr, func(o *Options, _ *watcher.Settings) { o.Order = "oldest" })
	var base, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	seen, most, last := 0, uint64(0), time.Time{}
	for f, err := range b.List(t.Context()) {
		must(t, err)
		if seen++; seen <= n && f.ModTime.Before(last) {
			t.Fatalf("file %d is of %s, and the one before it of %s", seen, f.ModTime, last)
		}
		if last = f.ModTime; seen == 1 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = now.HeapAlloc
		}
	}
	if seen != n+later {
		t.Errorf("%d files", seen)
	}
	if grown := int64(most) - int64(base.HeapAlloc); grown > 32<<20 {
		t.Errorf("%d MiB more on the heap", grown>>20)
	} else {
		t.Logf("%d KiB on the heap for %d names", grown>>10, n)
	}
}

// Putting names in order takes no more memory because they are long. Not parallel: it looks at the heap of the process.
func TestLongNamesArePutInOrderInFlatMemory(t *testing.T) {
	tr := newTree(nil)
	next := 0
	tr.instead(func(p wire.Packet) (reply, bool) {
		if p.Type != wire.Readdir {
			return nil, false
		}
		if next == 50_000 {
			return status(p, wire.EOF), true
		}
		next++
		return names(p, plain(3, 1_500_000_000), strings.Repeat("n", longestName-10)+fmt.Sprintf("%010d", next)), true
	})
	b, _ := onTree(t, tr, func(o *Options, _ *watcher.Settings) { o.Order = "name" })
	var base, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	seen, most := 0, uint64(0)
	for _, err := range b.List(t.Context()) {
		must(t, err)
		if seen++; seen%5_000 == 1 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if seen != 50_000 {
		t.Errorf("%d files", seen)
	}
	if grown := int64(most) - int64(base.HeapAlloc); grown > 24<<20 {
		t.Errorf("%d MiB more on the heap", grown>>20)
	}
}

func TestPatternsAndOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, recursive, func(o *Options, _ *watcher.Settings) {
		o.Include, o.Exclude, o.Order = []string{"*.csv", "x/*.xml"}, []string{"old", "b*"}, "oldest"
	})
	for i, name := range []string{"c.csv", "a.csv", "b.csv", "x/k.xml", "k.xml", "old/z.csv", "x/old.csv"} {
		b.Write(name, "x")
		must(t, os.Chtimes(b.Path(name), time.Time{}, time.Unix(int64(2_000_000_000-i), 0)))
	}
	order := func(how string) (names []string) {
		b.Source.o.Order = how
		for f, err := range b.List(t.Context()) {
			must(t, err)
			names = append(names, f.Path)
		}
		return names
	}
	if got := order("oldest"); !slices.Equal(got, []string{"x/old.csv", "x/k.xml", "a.csv", "c.csv"}) {
		t.Errorf("oldest: %v", got)
	}
	if got := order("name"); !slices.Equal(got, []string{"a.csv", "c.csv", "x/k.xml", "x/old.csv"}) {
		t.Errorf("name: %v", got)
	}
}

// Reported failure 1: a half-written file is taken although its age is right.
func TestReported1AFileThatIsStillWrittenIsNotReady(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := newBench(t, func(_ *Options, s *watcher.Settings) { s.Settle = watcher.Settling{Looks: 2, Pause: 5 * time.Second} })
	b.settle = watcher.NewSettle(2, 5*time.Second, func() time.Time { return now })
	ready := func() bool {
		ok, _, _, err := b.Ready(t.Context(), b.Listed("a.csv"))
		must(t, err)
		return ok
	}
	for i := range 10 { // a trickle, each pause a little shorter than the settle time
		b.Write("a.csv", strings.Repeat("x", i+1))
		must(t, os.Chtimes(b.Path("a.csv"), time.Time{}, time.Unix(1_000_000_000, 0))) // very old, it says
		if ready() {
			t.Fatalf("ready after %d writes", i+1)
		}
		now = now.Add(4900 * time.Millisecond)
	}
	now = now.Add(200 * time.Millisecond)
	if !ready() {
		t.Error("not ready though it has stopped")
	}
	b.Write("b.csv.filepart", "x")
	if _, there := b.All()["b.csv.filepart"]; there {
		t.Error("a file under its temporary name is listed")
	}
}

// Reported failure 3: the archive holds the name already.
func TestReported3TheSameNameEveryDayIsArchivedEveryDay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	seen := map[string]bool{}
	for day := range 30 {
		b.Write("orders.csv", strings.Repeat("x", day))
		where := b.CloseNow(b.Listed("orders.csv"), done)
		if seen[where] || len(b.Read(where)) != day {
			t.Fatalf("day %d: moved to %s", day, where)
		}
		seen[where] = true
	}
}

// Reported failure 4: the same name with new bytes, and different files taken as one.
func TestReported4VersionsTellFilesApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("a.csv", "same start, one")
	first := b.Listed("a.csv")
	b.Write("a.csv", "same start, another")
	if b.Listed("a.csv").Version == first.Version {
		t.Error("new bytes under the old version")
	}
	must(t, os.Chtimes(b.Path("a.csv"), time.Time{}, time.Unix(1_500_000_000, 0)))
	b.Write("b.csv", "")
	b.Write("c.csv", "")
	files := b.All()
	if len(files) != 3 {
		t.Errorf("got %v", files)
	}
	for _, name := range []string{"b.csv", "c.csv"} {
		if text, err := b.Content(files[name]); text != "" || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// Reported failure 5: one file that cannot be read keeps the others waiting.
func TestReported5OneBadFileStopsNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i, n := range []int{0, 1, 31, 32, 33} {
		b.Write(fmt.Sprintf("%d.csv", i), noise(n))
	}
	b.Write("denied.csv", "x")
	b.Write("gone.csv", "x")
	files := b.All()
	must(t, os.Chmod(b.Path("denied.csv"), 0))
	must(t, os.Remove(b.Path("gone.csv")))
	for name, f := range files {
		text, err := b.Content(f)
		switch {
		case name == "denied.csv" && !errors.Is(err, fs.ErrPermission), name == "gone.csv" && !errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: %v", name, err)
		case name != "denied.csv" && name != "gone.csv" && (err != nil || text != noise(int(f.Size))):
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// Reported failure 6: the server's clock is wrong, or changes.
func TestReported6TheServersClockDoesNotMatter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, at := range map[string]time.Time{
		"now": time.Now(), "an hour ago": time.Now().Add(-time.Hour), "in an hour": time.Now().Add(time.Hour),
		"1970": time.Unix(0, 0), "2038": time.Unix(1<<31, 0), "2100": time.Unix(4_102_444_800, 0),
	} {
		b.Write("a.csv", name)
		must(t, os.Chtimes(b.Path("a.csv"), time.Time{}, at))
		f := b.Listed("a.csv")
		ok, _, _, err := b.Ready(t.Context(), f)
		if !ok || err != nil {
			t.Errorf("%s: not ready: %v", name, err)
		}
		if text, err := b.Content(f); text != name || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if where := b.CloseNow(f, done); where == "" || b.Read(where) != name {
			t.Errorf("%s: moved to %q", name, where)
		}
	}
}

// Reported failure 8: a mailbox that deletes what is opened and refuses to be asked.
func TestReported8AMailboxIsReadOnce(t *testing.T) {
	t.Parallel()
	text := noise(100_000)
	tr := newTree(map[string]string{"out/a.csv": text, "out/b.csv": ""})
	tr.instead(func(p wire.Packet) (reply, bool) {
		switch p.Type {
		case wire.Fstat, wire.Lstat, wire.Realpath, wire.Rename, wire.Remove, wire.Mkdir:
			return status(p, wire.Unsupported), true
		}
		return nil, false
	})
	b, _ := onTree(t, tr, func(o *Options, _ *watcher.Settings) { o.ReadOnce = true })
	for name, f := range b.All() {
		got, err := b.Content(f)
		if err != nil || name == "a.csv" && got != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if _, err := b.Close(t.Context(), f, failed); err != nil {
			t.Error(err)
		}
	}
	tr.locked(func() { // the last CLOSE may still be on its way
		if n := tr.opened["out/a.csv"]; n != 1 || tr.stats > 0 {
			t.Errorf("opened %d times, asked about %d times", n, tr.stats)
		}
	})
	// A server that only refuses FSTAT needs no such care.
	tr.instead(func(p wire.Packet) (reply, bool) { return status(p, wire.Unsupported), p.Type == wire.Fstat })
	c, _ := onTree(t, tr)
	if got, err := c.Content(c.Listed("a.csv")); err != nil || got != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Reported failure 11: a server that says OK and keeps nothing, or less.
func TestReported11AnOKIsNotBelieved(t *testing.T) {
	t.Parallel()
	tr := newTree(map[string]string{"out/a.csv": "x"})
	tr.folders["out/done"], tr.folders["out/failed"] = true, true
	tr.instead(func(p wire.Packet) (reply, bool) {
		switch p.Type {
		case wire.Rename, wire.Mkdir, wire.Write:
			return status(p, wire.OK), true
		case wire.Lstat:
			if tr.folders[p.Path] {
				return attrs(p, aFolder), true
			}
		}
		return nil, false
	})
	b, _ := onTree(t, tr)
	f := b.Listed("a.csv")
	if where, err := b.Close(t.Context(), f, done); err == nil {
		t.Errorf("said to be moved to %s", where)
	}
	conn, _, err := b.server.get(t.Context())
	must(t, err)
	tr.locked(func() { tr.files["out/failed/.waybill-1-1700000000-report.tmp"] = "" }) // what it kept of the report
	c := closing{s: b.Source, ctx: t.Context(), on: conn.session, f: f, how: failed}
	if err := c.report("failed", "a.csv"); err == nil || !strings.Contains(err.Error(), "the server has 0") {
		t.Errorf("got %v", err)
	}
}

// A source that is stopped while much is under way leaves nothing behind.
func TestStoppingInTheMiddleLeavesNothing(t *testing.T) {
	t.Parallel()
	b := onServer(t, testenv.OpenSSH(t), brisk())
	b.Write("a.csv", noise(8<<20))
	f := b.Listed("a.csv")
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := b.Open(ctx, f)
		must(t, err)
		_, err = io.ReadFull(r, make([]byte, 100_000))
		must(t, err)
		cancel()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		must(t, r.Close())
		if _, err := b.Open(ctx, f); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if n := len(b.server.ahead) + len(b.server.files); n > 0 {
		t.Errorf("%d places are still taken", n)
	}
	if text, err := b.Content(f); err != nil || text != noise(8<<20) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
