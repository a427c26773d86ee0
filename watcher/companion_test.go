package watcher_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waybill/watcher"
	"waybill/watcher/watchertest"
)

func companion(name string) func(*watcher.Options) {
	return func(o *watcher.Options) {
		o.Companions = []watcher.Companion{{Name: name, Files: func(p string) bool { return strings.HasPrefix(p, "orders") }}}
	}
}

func TestAFileWaitsForItsCompanionAndLeavesWithIt(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"*.done": "orders.csv.done", "{stem}.ok": "orders.ok"} {
		y := newYard(t, companion(name))
		y.write("orders.csv", "x")
		y.write("other.csv", "x")
		y.scan()
		if got, want := y.book.reason("orders.csv"), "waits for its companion "+file; got != want {
			t.Errorf("noted %q, want %q", got, want)
		}
		if len(y.book.texts("other.csv")) != 1 {
			t.Error("other.csv waits for a companion that it does not need")
		}
		y.write(file, "")
		y.scan()
		y.closeAll()
		if len(y.book.texts("orders.csv")) != 1 || len(y.book.texts(file)) != 0 {
			t.Errorf("%s: landed: %d files, notes %v", name, len(y.book.files), y.book.notes)
		}
		y.has("done/orders.csv", "done/"+file)
	}
}

func TestADigestInTheCompanionIsChecked(t *testing.T) {
	t.Parallel()
	const text = "order;quantity\n"
	for name, digest := range map[string]string{
		"*.md5":    fmt.Sprintf("%x  orders.csv\n", md5.Sum([]byte(text))),
		"*.sha256": fmt.Sprintf("SHA256 (orders.csv) = %X\r\n", sha256.Sum256([]byte(text))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, companion(name))
			file := strings.Replace(name, "*", "orders.csv", 1)
			y.write("orders.csv", "order;quant")
			y.write(file, digest[:10])
			y.scan()
			if got := y.book.reason("orders.csv"); !strings.Contains(got, "holds no "+name[2:]+" digest for orders.csv") {
				t.Errorf("noted %q", got)
			}
			y.write(file, digest)
			y.scan()
			if got := y.book.reason("orders.csv"); !strings.Contains(got, "its digest is not the one its companion gives") {
				t.Errorf("noted %q", got)
			}
			if len(y.book.files) != 0 {
				t.Fatal("landed with a wrong digest")
			}
			y.write("orders.csv", text) // sent again, whole
			y.scan()
			if diff := cmp.Diff([]string{text}, y.book.texts("orders.csv")); diff != "" {
				t.Error(diff, y.book.notes)
			}
		})
	}
}

func TestACorrectedCompanionCountsAtOnce(t *testing.T) {
	t.Parallel()
	y := newYard(t, companion("*.md5"))
	y.write("orders.csv", "x")
	y.write("orders.csv.md5", fmt.Sprintf("%x", md5.Sum([]byte("y"))))
	y.scan()
	y.write("orders.csv.md5", fmt.Sprintf("%x", md5.Sum([]byte("x"))))
	y.scan()
	if len(y.book.files) != 1 {
		t.Errorf("not landed: %v", y.book.notes)
	}
}

func TestACompanionOfANewerVersionStays(t *testing.T) {
	t.Parallel()
	y := newYard(t, companion("*.done"))
	y.write("orders.csv", "old")
	y.write("orders.csv.done", "")
	y.scan()
	y.write("orders.csv", "newer")
	y.closeAll()
	y.has("orders.csv", "orders.csv.done")
	y.scan()
	if diff := cmp.Diff([]string{"old", "newer"}, y.book.texts("orders.csv")); diff != "" {
		t.Error(diff)
	}
}

func TestACompanionThatCannotWorkEndsTheWatcher(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"done", "*done", "*/x.done", "*", ""} {
		y := newYard(t, companion(name))
		if err := y.Run(context.Background()); err == nil || !strings.Contains(err.Error(), `write "*.done"`) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSettleWantsEqualLooksSomeTimeApart(t *testing.T) {
	t.Parallel()
	c := watchertest.NewClock()
	s := watcher.NewSettle(3, time.Second, c.Now)
	f := watcher.File{Path: "a", Version: "1"}
	var got []bool
	look := func(pass time.Duration) {
		c.Pass(pass)
		ok, _, wait := s.Look(f)
		if !ok && (wait <= 0 || wait > time.Second) {
			t.Errorf("wait %s", wait)
		}
		got = append(got, ok)
	}
	look(0)
	look(time.Second)
	look(time.Millisecond) // a hint came: no look
	f.Version = "2"
	look(time.Second) // first
	look(time.Second)
	look(-time.Hour) // no clock goes back, but if one did nothing would be taken early
	look(time.Second)
	if diff := cmp.Diff([]bool{false, false, false, false, false, false, true}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSettleIsBounded(t *testing.T) {
	t.Parallel()
	c := watchertest.NewClock()
	s := watcher.NewSettle(2, time.Second, c.Now)
	for i := range 10_000 {
		s.Look(watcher.File{Path: fmt.Sprint(i), Version: "1"})
	}
	if ok, reason, _ := s.Look(watcher.File{Path: "one more", Version: "1"}); ok || !strings.Contains(reason, "waits its turn") {
		t.Errorf("got %v, %q", ok, reason)
	}
	c.Pass(time.Hour) // they have vanished
	if _, reason, _ := s.Look(watcher.File{Path: "one more", Version: "1"}); !strings.Contains(reason, "look 1 of 2") {
		t.Errorf("got %q", reason)
	}
}

func TestTemporaryNamesAreIgnored(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		".x": true, "a.part": true, "a.csv.filepart": true, "a.tmp": true, "a.TMP": true, "a.!ut": true, "a.!": true, ".git/config": true, "x/.y/z": true,
		"a.csv": false, "part": false, "a.parts": false, "tmp": false, "a!.csv": false, "x.part/a.csv": false, "a.": false, "": false,
	} {
		if got := watcher.Ignored(name); got != want {
			t.Errorf("%q: ignored %v", name, got)
		}
	}
}

func FuzzDigestOfACompanion(f *testing.F) {
	f.Add("d41d8cd98f00b204e9800998ecf8427e  orders.csv\n")
	f.Add("MD5 (orders.csv) = d41d8cd98f00b204e9800998ecf8427e")
	f.Add("\\d41d8cd98f00b204e9800998ecf8427e *a\\nb\n\ufeff")
	f.Fuzz(func(t *testing.T, text string) {
		sum, err := watcher.Companion{Name: "*.md5"}.Sum([]byte(text), "orders.csv")
		if (err == nil) != (len(sum) == md5.Size) {
			t.Errorf("got %x, %v", sum, err)
		}
	})
}
