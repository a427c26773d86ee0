package crash_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTheReceiverComesLater has files dropped while nobody listens: the messages wait, none is burnt.
func TestTheReceiverComesLater(t *testing.T) {
	t.Parallel()
	l := newLandscape(t)
	// The port is ours, but connections are not answered: they are reset.
	l.must(l.out.Listener.Close())
	l.due()
	l.usual()
	p := l.serve("")
	p.until(func() bool {
		return p.over() || l.states("orders", "accepted") == 5 && l.states("events", "accepted") == 2
	})
	l.out.again()
	p.until(func() bool { return p.over() || l.partner() && l.drained() })
	p.stop()
	if _, repeats := l.check(); repeats != 0 {
		t.Errorf("%d messages came twice, although nothing was killed", repeats)
	}
}

// TestTheDataFolderIsFull takes the data folder's space away while files come, and gives it back. What cannot be kept stays where it
// lies; the daemon may say so and end, as a service that is started again.
func TestTheDataFolderIsFull(t *testing.T) {
	t.Parallel()
	l := newLandscape(t)
	l.must(os.Mkdir(l.data, 0o700))
	if err := unix.Mount("tmpfs", l.data, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("SKIPPED, a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(l.data, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l.out.Start()
	l.due()
	p := l.serve("")
	p.until(func() bool { return p.over() || p.ready() })
	files, ends := 0, 0
	for cycle := range dose(t, 3) {
		l.fill(1 << 20)
		for range 12 {
			l.order(fmt.Sprintf("wave%d", files), 100, 1500)
			l.event(fmt.Sprintf("wave%d", files), 5, 10)
			files++
		}
		if cycle == 0 {
			l.usual()
		}
		// It is full when the ledger cannot take a row any more, or the daemon has given up.
		p.until(func() bool { return p.over() || p.says("full") || p.says("no space left") })
		said := p.lines()
		if !eventually(time.Second, p.over) && p.lines()-said > 300 {
			t.Errorf("it wrote %d lines in a second while there was no space:\n%s", p.lines()-said, p.tail())
		}
		l.must(os.Remove(filepath.Join(l.data, "filler")))
		restart := func() {
			if p.over() {
				ends++
				p = l.serve("")
			}
		}
		p.until(func() bool { restart(); return l.partner() && l.drained() })
		p.forget()
	}
	p.stop()
	l.kills += ends // nothing more could be stored then
	_, repeats := l.check()
	t.Logf("%d files, the daemon ended %d times, %d messages came again", files, ends, repeats)
}

// fill takes all space of the data folder but some bytes.
func (l *landscape) fill(but int64) {
	l.t.Helper()
	f, err := os.Create(filepath.Join(l.data, "filler"))
	l.must(err)
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		l.t.Fatal(err)
	}
	info, err := f.Stat()
	l.must(err)
	l.must(errors.Join(f.Truncate(max(0, info.Size()-but)), f.Close()))
}
