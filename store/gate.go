package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A gate lets the executor, which commits group after group, see that another process wants to write: the other holds a
// shared lock on the gate's file while it tries. The kernel drops the lock with the process, so a killed one blocks nobody.
//
// The executor steps aside for gapMost. If others are still at the gate then, they would go on for ever, one after the other, so
// it closes the turnstile before the gate until its own turn has come.
type gate struct{ f, turnstile *os.File }

// gapMost bounds how long the executor steps aside between two groups.
const gapMost = 20 * time.Millisecond

func openGate(folder string) (*gate, error) {
	f, err := os.OpenFile(filepath.Join(folder, "writers.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the writers' gate: %w", err)
	}
	turnstile, err := os.OpenFile(filepath.Join(folder, "turnstile.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the writers' gate: %w", err), f.Close())
	}
	return &gate{f, turnstile}, nil
}

func (g *gate) Close() error { return errors.Join(g.f.Close(), g.turnstile.Close()) }

// queue shows that this process wants to write; leave ends that.
func (g *gate) queue() (leave func(), err error) {
	if err = flock(g.turnstile, unix.LOCK_SH); err == nil {
		err = flock(g.f, unix.LOCK_SH)
		_ = flock(g.turnstile, unix.LOCK_UN)
	}
	if err != nil {
		return nil, fmt.Errorf("queue at the writers' gate: %w", err)
	}
	return func() { _ = flock(g.f, unix.LOCK_UN) }, nil
}

// stepAside returns when no other process is at the gate, or after gapMost, when no other may come to it until open is called.
func (g *gate) stepAside() (open func()) {
	open = func() {}
	if g.clear() {
		return open
	}
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	patience := time.NewTimer(gapMost)
	defer patience.Stop()
	for {
		select {
		case <-tick.C:
			if g.clear() {
				return open
			}
		case <-patience.C:
			if err := flock(g.turnstile, unix.LOCK_EX); err != nil {
				return open // it is only a matter of fairness
			}
			return func() { _ = flock(g.turnstile, unix.LOCK_UN) }
		}
	}
}

func (g *gate) clear() bool {
	if err := flock(g.f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return !errors.Is(err, unix.EWOULDBLOCK)
	}
	_ = flock(g.f, unix.LOCK_UN)
	return true
}

// flock repeats the call when a signal interrupts it.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
