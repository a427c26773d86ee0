package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"waybill/ledger"
)

// reserveOf is a reserve on a disk that the test fills as it likes.
func reserveOf(t *testing.T, s *space) (*reserve, *bytes.Buffer) {
	log := new(bytes.Buffer)
	r := newReserve(t.TempDir(), slog.New(slog.NewTextHandler(log, nil)))
	r.spaceOf = func(string) (space, error) { return *s, nil }
	r.ballast = 1 << 20
	return r, log
}

func TestIntakeStopsBeforeTheDiskIsFull(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, c := range []struct {
		space  space
		paused bool
	}{
		{space{free: gib - 1, total: 100 * gib}, true}, // a GiB is less than a twentieth
		{space{free: gib, total: 100 * gib}, false},
		{space{free: gib / 2, total: 11 * gib}, true}, // a twentieth is less than a GiB
		{space{free: gib / 2, total: 10 * gib}, false},
	} {
		s := c.space
		r, log := reserveOf(t, &s)
		r.look()
		if err := r.enough(0); errors.Is(err, ledger.ErrFull) != c.paused || (r.paused() != "") != c.paused {
			t.Errorf("%+v: %v, %q", c.space, err, r.paused())
		}
		r.look()
		if n := strings.Count(log.String(), "intake is paused"); n > 1 || (n == 1) != c.paused {
			t.Errorf("%+v: the log says it %d times", c.space, n)
		}
		s.free = s.total
		r.look()
		if r.enough(0) != nil || r.paused() != "" || strings.Contains(log.String(), "intake goes on") != c.paused {
			t.Errorf("%+v: it does not go on: %s", c.space, log)
		}
	}
}

func TestAFileThatIsLargerThanWhatIsFreeIsNotBegun(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	r, _ := reserveOf(t, &space{free: 10 * gib, total: 100 * gib})
	for size, fits := range map[int64]bool{-1: true, 0: true, 9 * gib: true, 9*gib + 1: false, 1 << 40: false} {
		if err := r.enough(size); errors.Is(err, ledger.ErrFull) == fits {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestTheBallastIsGivenUpAndMadeAgain(t *testing.T) {
	t.Parallel()
	s := space{free: 1 << 40, total: 1 << 40}
	r, log := reserveOf(t, &s)
	size := func() int64 {
		info, err := os.Stat(filepath.Join(r.folder, ballastName))
		if err != nil {
			return -1
		}
		return info.Size()
	}
	r.look()
	if size() != r.ballast {
		t.Fatalf("the ballast has %d bytes", size())
	}
	s.free = 0
	r.give()
	r.give()
	r.look()
	if size() != -1 || strings.Count(log.String(), "the ballast was given up") != 1 {
		t.Errorf("the ballast has %d bytes:\n%s", size(), log)
	}
	s.free = s.least() + 3*uint64(r.ballast) // too little to take any of it
	r.look()
	if size() != -1 {
		t.Error("the ballast was made while there is little room")
	}
	s.free = s.total
	r.look()
	if size() != r.ballast {
		t.Error("the ballast was not made again")
	}
}

func TestTheRoomOfARealFileSystemIsSeen(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("SKIPPED, a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r := newReserve(folder, slog.New(slog.DiscardHandler))
	r.ballast = 8 << 20
	r.look()
	if err := r.enough(0); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(folder, ballastName)); err != nil || info.Size() != r.ballast {
		t.Fatal(err)
	}
	filler := filepath.Join(folder, "filler")
	if err := os.WriteFile(filler, make([]byte, 54<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	r.look()
	if err := r.enough(0); !errors.Is(err, ledger.ErrFull) || r.paused() == "" {
		t.Errorf("with 2 of 64 MiB free: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.look()
	if err := r.enough(0); err != nil || r.paused() != "" {
		t.Errorf("with room again: %v, %s", err, r.paused())
	}
}
