package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// An Executor is the right to migrate, work jobs and deliver, held by at most one process per data folder.
type Executor struct {
	db *DB
	f  *os.File
}

// Holder is who has the executor's lock, as its file tells.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// A HeldError says that another process executes.
type HeldError struct{ Holder Holder }

func (e *HeldError) Error() string {
	if e.Holder.PID == 0 {
		return "another waybill process is at work in this data folder"
	}
	return fmt.Sprintf("%q (process %d) has been at work in this data folder since %s",
		e.Holder.Command, e.Holder.PID, e.Holder.Since.Format(time.RFC3339))
}

// namePatience is how long a holder may be without a name: it is migrating the ledger, which on a busy machine takes its time, or has just come.
const namePatience = 5 * time.Second

// TryExecutor takes the executor's lock for this process, which command describes to others. *HeldError when another has it.
func (db *DB) TryExecutor(command string) (*Executor, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(namePatience)
	defer patience.Stop()
	for {
		x, err := db.tryExecutor(command)
		var held *HeldError
		if !errors.As(err, &held) || held.Holder.PID != 0 {
			return x, err
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return nil, err
		}
	}
}

func (db *DB) tryExecutor(command string) (*Executor, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.executor != nil {
		return nil, errors.New("this process already executes")
	}
	f, err := lockExecutor(db.folder)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(Holder{PID: os.Getpid(), Command: command, Since: db.now().UTC()})
	if err == nil {
		err = errors.Join(f.Truncate(0), writeAt(f, append(text, '\n')))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", lockName, err), f.Close())
	}
	db.executor = &Executor{db: db, f: f}
	return db.executor, nil
}

// Executing reports whether this process has the executor's lock.
func (db *DB) Executing() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.executor != nil
}

// ExecutorOf returns who executes in folder, and false when nobody does. It only looks: it is in nobody's way.
func ExecutorOf(folder string) (Holder, bool, error) {
	f, err := os.Open(filepath.Join(folder, lockName))
	if errors.Is(err, os.ErrNotExist) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, fmt.Errorf("open %s: %w", lockName, err)
	}
	defer func() { _ = f.Close() }()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := fcntl(f, unix.F_OFD_GETLK, &lock); err != nil {
		return Holder{}, false, fmt.Errorf("look at the lock of %s: %w", lockName, err)
	}
	if lock.Type == unix.F_UNLCK {
		return Holder{}, false, nil
	}
	return holderIn(f), true, nil
}

const lockName = "executor.lock"

// lockExecutor takes the lock: of the open file description, not by flock, because such a one can be looked at without taking it.
func lockExecutor(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", lockName, err)
	}
	err = fcntl(f, unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if err == nil {
		return f, nil
	}
	defer func() { _ = f.Close() }()
	if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("lock %s: %w", lockName, err)
	}
	return nil, &HeldError{holderIn(f)}
}

// fcntl repeats the call when a signal interrupts it.
func fcntl(f *os.File, how int, lock *unix.Flock_t) error {
	for {
		err := unix.FcntlFlock(f.Fd(), how, lock)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// holderIn reads the holder's name. It may be half written by one that has just come: then there is none to tell.
func holderIn(f *os.File) (h Holder) {
	if text, err := io.ReadAll(io.LimitReader(f, 4096)); err == nil {
		_ = json.Unmarshal(text, &h)
	}
	return h
}

func writeAt(f *os.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

// Release gives the right back; it may be called again.
func (x *Executor) Release() {
	x.db.mu.Lock()
	defer x.db.mu.Unlock()
	if x.db.executor != x {
		return
	}
	x.db.executor = nil
	_ = x.f.Truncate(0) // only a courtesy: the lock goes with the descriptor
	_ = x.f.Close()
}
