package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"waybill/ledger"
)

const (
	// Intake stops while less than this is free, whichever is less: what is under way must still be worked and delivered.
	leastFree  = 1 << 30 // bytes
	leastShare = 20      // a twentieth of the file system
	// ballastSize is what the ledger can still write once the disk is full all the same.
	ballastSize = 64 << 20
	ballastName = "ballast"
	roomEvery   = time.Second
)

// A space is what a file system has.
type space struct{ free, total uint64 }

// spaceOf asks the file system of a folder.
func spaceOf(folder string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return space{}, fmt.Errorf("how much is free in %s: %w", folder, err)
	}
	unit := uint64(s.Bsize) //nolint:gosec // a size
	return space{s.Bavail * unit, s.Blocks * unit}, nil
}

// reserve keeps room on the disk: intake stops before there is none, and a file of ballast is given up when the ledger itself
// finds none. Its methods may be called on any goroutine.
type reserve struct {
	folder  string
	spaceOf func(folder string) (space, error)
	ballast int64
	log     *slog.Logger

	mu  sync.Mutex
	why string // intake is paused, "" while it is not
}

func newReserve(folder string, log *slog.Logger) *reserve {
	return &reserve{folder: folder, spaceOf: spaceOf, ballast: ballastSize, log: log}
}

// enough is asked before anything of a size is taken in, 0 if that is not known. What it cannot find out keeps nothing from going on.
func (r *reserve) enough(size int64) error {
	s, err := r.spaceOf(r.folder)
	switch {
	case err != nil:
		return nil
	case s.free >= s.least() && s.free-s.least() >= uint64(max(size, 0)): //nolint:gosec // not negative
		return nil
	case s.free >= s.least():
		return fmt.Errorf("it has %d MiB, %s (%w)", size>>20, s, ledger.ErrFull)
	}
	return fmt.Errorf("intake is paused, %s (%w)", s, ledger.ErrFull)
}

func (s space) least() uint64 { return min(leastFree, s.total/leastShare) }

func (s space) String() string {
	return fmt.Sprintf("%d MiB of %d MiB are free and at least %d MiB are wanted", s.free>>20, s.total>>20, s.least()>>20)
}

// paused says why intake is paused, "" while it is not.
func (r *reserve) paused() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why
}

// look notes whether intake is paused, says when that changes, and sees to the ballast.
func (r *reserve) look() {
	s, err := r.spaceOf(r.folder)
	if err != nil {
		r.log.Warn("cannot tell how much room there is", "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.why
	r.why = ""
	if s.free < s.least() {
		r.why = "intake is paused: " + s.String()
	}
	switch {
	case was == "" && r.why != "":
		r.log.Warn("intake is paused until there is more room in the data folder", "free", s.free, "least", s.least())
	case was != "" && r.why == "":
		r.log.Info("there is room again, intake goes on", "free", s.free)
	}
	if wanted := s.least() + 4*uint64(r.ballast); s.free < wanted { //nolint:gosec // a size
		return
	}
	if err := r.load(); err != nil {
		r.log.Warn("cannot keep room for the ledger", "error", err)
	}
}

func (r *reserve) file() string { return filepath.Join(r.folder, ballastName) }

// load makes the ballast, unless it is there.
func (r *reserve) load() error {
	if info, err := os.Stat(r.file()); err == nil && info.Size() == r.ballast {
		return nil
	}
	f, err := os.OpenFile(r.file(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = unix.Fallocate(int(f.Fd()), 0, 0, r.ballast); errors.Is(err, unix.EOPNOTSUPP) { //nolint:gosec // a descriptor
		for block, n := make([]byte, 1<<20), int64(0); n < r.ballast; n += int64(len(block)) {
			if _, err = f.Write(block); err != nil {
				break
			}
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(r.file()))
	}
	return nil
}

// give gives the ballast up: the ledger found no room.
func (r *reserve) give() {
	err := os.Remove(r.file())
	switch {
	case err == nil:
		r.log.Warn("the disk is full: the ballast was given up, so that the ledger can go on", "bytes", r.ballast)
	case !errors.Is(err, fs.ErrNotExist):
		r.log.Error("the disk is full, and the ballast cannot be given up", "error", err)
	}
}

// keepRoom looks after the reserve until ctx ends.
func (d *daemon) keepRoom(ctx context.Context) error {
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	for {
		if d.db.WasFull() {
			d.room.give()
		}
		d.room.look()
		select {
		case <-ctx.Done():
			return nil
		case <-d.db.Failed():
			return d.db.Err()
		case <-tick.C:
		}
	}
}
