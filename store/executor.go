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

// TryExecutor takes the executor's lock for this process, which command describes to others. *HeldError when another has it.
func (db *DB) TryExecutor(command string) (*Executor, error) {
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
		return nil, errors.Join(fmt.Errorf("write executor.lock: %w", err), f.Close())
	}
	db.executor = &Executor{db: db, f: f}
	return db.executor, nil
}

// ExecutorOf returns who executes in folder, and false when nobody does.
func ExecutorOf(folder string) (Holder, bool, error) {
	f, err := lockExecutor(folder)
	var held *HeldError
	switch {
	case errors.As(err, &held):
		return held.Holder, true, nil
	case err != nil:
		return Holder{}, false, err
	}
	return Holder{}, false, f.Close()
}

func lockExecutor(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, "executor.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open executor.lock: %w", err)
	}
	err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	defer func() { _ = f.Close() }()
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock executor.lock: %w", err)
	}
	held := &HeldError{}
	// The file may be half written by a holder that has just come: then there is no name to tell.
	if text, err := io.ReadAll(io.LimitReader(f, 4096)); err == nil {
		_ = json.Unmarshal(text, &held.Holder)
	}
	return nil, held
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
