package watcher_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/watcher"
)

// setFull fills the disk, but for files of up to room bytes, or empties it.
func (b *book) setFull(full bool, room int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full, b.room = full, room
}

func (y *yard) logged(text string, want int) {
	y.t.Helper()
	if got := y.log.Count(text); got != want {
		y.t.Errorf("logged %q %d times, want %d:\n%s", text, got, want, y.log.Text())
	}
}

func TestAFullDiskIsToldOnceAndOnceThatItIsOver(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for i := range 300 {
		y.write(fmt.Sprintf("%d.csv", i), "text")
	}
	w, err := os.Create(y.path("open.csv")) // whose note cannot be written either
	must(t, err)
	t.Cleanup(func() { _ = w.Close() })
	y.book.setFull(true, 0)
	opened := 0
	y.src.open = func(watcher.File) error {
		y.book.mu.Lock()
		defer y.book.mu.Unlock()
		opened++
		return nil
	}
	y.scan()
	opened = 0
	for range 600 { // ten minutes
		y.clock.Pass(time.Second)
		y.scan()
	}
	if opened < 5 || opened > 30 {
		t.Errorf("tried %d times in ten minutes", opened)
	}
	y.logged("level=WARN", 1)
	y.logged("again", 0)
	if s := y.Status(); s.Error != ledger.ErrFull.Error() || s.Waiting != 301 || s.Notes[0].Reason == "" {
		t.Errorf("status %+v", s)
	}
	y.book.setFull(false, 0)
	for range 4 {
		y.clock.Pass(time.Minute)
		y.scan()
	}
	y.logged("level=WARN", 1)
	y.logged("there is room for files again", 1)
	if s := y.Status(); len(y.book.files) != 300 || s.Error != "" || s.Waiting != 1 {
		t.Errorf("%d landed, status %+v", len(y.book.files), s)
	}
}

func TestSmallFilesLandWhileThereIsNoRoomForALargeOne(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.write("large.csv", strings.Repeat("x", 1000))
	y.book.setFull(true, 100)
	y.scan()
	for i := range 20 {
		y.write(fmt.Sprintf("%d.csv", i), "small")
		y.clock.Pass(2 * time.Second)
		y.scan()
	}
	if n := len(y.book.files); n < 19 {
		t.Errorf("%d small files landed", n)
	}
	y.logged("level=WARN", 1)
	y.logged("again", 0)
	must(t, os.Remove(y.path("large.csv"))) // somebody gave it up
	for range 4 {
		y.clock.Pass(time.Minute)
		y.scan()
	}
	y.logged("there is room for files again", 1)
	if s := y.Status(); s.Error != "" {
		t.Errorf("status %+v", s)
	}
}

func TestTheStatusSaysThatClosedFilesCannotBeMovedUntilOneCan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"left":        {fmt.Errorf("%w: %w", watcher.ErrLeft, syscall.EROFS), "closed files cannot be moved: read-only file system"},
		"tried again": {errors.New("input/output error"), "closed files cannot be moved: input/output error"},
		"busy":        {watcher.ErrBusy, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			y.src.close = func(watcher.File) error { return c.err }
			y.write("a.csv", "a")
			y.scan()
			y.closeAll()
			y.scan()
			if s := y.Status(); s.Error != c.want {
				t.Errorf("status %q, want %q", s.Error, c.want)
			}
			y.src.close = nil
			y.write("b.csv", "b")
			y.scan()
			y.closeAll()
			if s := y.Status(); s.Error != "" {
				t.Errorf("status %q after a close", s.Error)
			}
		})
	}
}
