package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"testing"
	"time"

	"waybill/watcher"
	"waybill/watcher/wire"
)

func TestFilesOfAllSizesAreReadWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sizes := []int{0, 1, 31, 32, 33, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 7, 5 << 20}
	for _, n := range sizes {
		b.Write("a.csv", noise(n))
		f := b.Listed("a.csv")
		if f.Size != int64(n) {
			t.Errorf("listed with %d bytes, want %d", f.Size, n)
		}
		if text, err := b.Content(f); err != nil || text != noise(n) {
			t.Errorf("%d bytes: read %d, %v", n, len(text), err)
		}
	}
	if n := len(b.server.ahead) + len(b.server.files); n > 0 {
		t.Errorf("%d places are still taken", n)
	}
}

func TestAFileThatMayNotBeReadSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("a.csv", "x")
	must(t, os.Chmod(b.Path("a.csv"), 0))
	if _, err := b.Content(b.Listed("a.csv")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

// The version that was listed is read, or none.
func TestAFileThatChangesWhileItIsReadIsNotTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, harm := range map[string]func(){
		"appended": func() {
			f, err := os.OpenFile(b.Path("a.csv"), os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteString("more")
			must(t, errors.Join(err, f.Close()))
		},
		"truncated": func() { must(t, os.Truncate(b.Path("a.csv"), 100_000)) },
		"replaced":  func() { b.Write("a.csv", noise(3 << 20)[1:]) },
		"touched":   func() { must(t, os.Chtimes(b.Path("a.csv"), time.Time{}, time.Unix(1_000_000_000, 0))) },
	} {
		b.Write("a.csv", noise(3<<20))
		f := b.Listed("a.csv")
		r, err := b.Open(context.Background(), f)
		must(t, err)
		_, err = io.ReadFull(r, make([]byte, 10_000))
		must(t, err)
		if name != "replaced" {
			harm()
			_, err = io.Copy(io.Discard, r)
			if !errors.Is(err, watcher.ErrChanged) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		must(t, r.Close())
		harm()
		if _, err := b.Content(f); !errors.Is(err, watcher.ErrChanged) {
			t.Errorf("%s before it is opened: got %v", name, err)
		}
	}
}

func TestReadOnceOpensAFileOnceAndAsksNothingMore(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options, _ *watcher.Settings) { o.ReadOnce = true })
	b.Write("a.csv", noise(100_000))
	f := b.Listed("a.csv")
	f.Size = 70_000 // mailboxes do not always know
	text, err := b.Content(f)
	if err != nil || text != noise(100_000) {
		t.Errorf("read %d bytes, %v", len(text), err)
	}
	if where := b.CloseNow(f, done); where != "a.csv" {
		t.Errorf("said to be at %q", where)
	}
	b.Read("a.csv")
}

// What a mailbox gives a second time may be less than the file, and its size is not relied on.
func TestAFileOfAMailboxIsNeverOpenedTwice(t *testing.T) {
	t.Parallel()
	text := noise(100_000)
	tr := newTree(map[string]string{"out/a.csv": text, "out/b.csv": text})
	broken, refused := true, true
	tr.instead(func(p wire.Packet) (reply, bool) {
		switch {
		case p.Type == wire.Read && p.Offset >= 65_536 && broken:
			return status(p, wire.Failure), true
		case p.Type == wire.Open && p.Path == "out/b.csv" && refused:
			return status(p, wire.PermissionDenied), true
		}
		return nil, false
	})
	b, _ := onTree(t, tr, func(o *Options, _ *watcher.Settings) { o.ReadOnce = true })
	a, other := b.Listed("a.csv"), b.Listed("b.csv")
	if got, err := b.Content(a); err == nil || got == text {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	tr.locked(func() { broken = false })
	for range 2 {
		if _, err := b.Content(a); !errors.Is(err, errOpened) {
			t.Errorf("got %v", err)
		}
		if again := b.Listed("a.csv"); again != a {
			t.Errorf("%+v", again)
		}
	}
	tr.locked(func() {
		if n := tr.opened["out/a.csv"]; n != 1 {
			t.Errorf("opened %d times", n)
		}
	})
	// One that was not let to be opened was not.
	if _, err := b.Content(other); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	tr.locked(func() { refused = false })
	if got, err := b.Content(other); err != nil || got != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// Gone and there again, it is another file.
	tr.locked(func() { delete(tr.files, "out/a.csv") })
	b.All()
	tr.locked(func() { tr.files["out/a.csv"] = text })
	if got, err := b.Content(b.Listed("a.csv")); err != nil || got != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestMarksAreBounded(t *testing.T) {
	t.Parallel()
	m := newMarks()
	for i := range marksKept + 1000 {
		if !m.set(strconv.Itoa(i), "1") {
			t.Fatalf("%d is marked already", i)
		}
	}
	if len(m.of) > marksKept {
		t.Errorf("%d marks", len(m.of))
	}
	m.begin()
	m.listed("1", "2")
	m.end()
	if len(m.of) != 0 {
		t.Errorf("%d marks of what is not listed", len(m.of))
	}
}
