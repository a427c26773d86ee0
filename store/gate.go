package store

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A gate lets the executor, which commits group after group, see that another process wants to write: the other holds a
// shared lock on the gate's file while it tries. The kernel drops the lock with the process, so a killed one blocks nobody.
type gate struct{ f *os.File }

// gapMost bounds how long the executor steps aside between two groups.
const gapMost = 20 * time.Millisecond

func openGate(path string) (*gate, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the writers' gate: %w", err)
	}
	return &gate{f: f}, nil
}

func (g *gate) Close() error { return g.f.Close() }

// queue shows that this process wants to write; leave ends that.
func (g *gate) queue() (leave func(), err error) {
	if err := flock(g.f, unix.LOCK_SH); err != nil {
		return nil, fmt.Errorf("queue at the writers' gate: %w", err)
	}
	return func() { _ = flock(g.f, unix.LOCK_UN) }, nil
}

// stepAside returns when no other process is at the gate, or after gapMost.
func (g *gate) stepAside() {
	if g.clear() {
		return
	}
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	patience := time.NewTimer(gapMost)
	defer patience.Stop()
	for {
		select {
		case <-tick.C:
			if g.clear() {
				return
			}
		case <-patience.C:
			return
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
