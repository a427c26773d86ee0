package store

import (
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Errors that callers act on; others are faults of the program or of the machine.
var (
	ErrNotFound = errors.New("no such row")
	ErrConflict = errors.New("the row conflicts with one that is there") // unique, check, not null, foreign key
	ErrFull     = errors.New("the disk or its quota is full: free space in the data folder")
	ErrBusy     = errors.New("another process has been writing for too long: try again")
	ErrClosed   = errors.New("the database is closed")
)

// errFatal marks what must stop the process: after it nobody knows what the disk holds.
var errFatal = errors.New("the ledger cannot be written: the process must end")

// translate turns the driver's errors into this package's, keeping their text.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CONSTRAINT:
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case lib.SQLITE_IOERR, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY:
		return fmt.Errorf("%w: %w", errFatal, err)
	}
	return err
}
