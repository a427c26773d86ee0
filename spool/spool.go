// Package spool keeps bytes durably and hands them back.
//
// An object of up to [Inline] bytes lies in its row, so that a thousand small files cost one shared
// commit. A larger one is a file below the spool's folder, under a random name:
//
//	tmp/NAME      being written, or about to be removed
//	ab/NAME       kept; ab are the first two digits of NAME
//
// The order in which a large object becomes durable is fixed: write to tmp, check the length, fsync,
// close, rename, fsync the folder, and then the row, in the transaction of whoever refers to it. So
// a crash leaves at most a file that no row names, and [Spool.Sweep] takes exactly those.
//
//	killed after           what is left            what becomes of it
//	write, fsync, close    tmp/NAME                swept after a day
//	rename, folder fsync   ab/NAME without a row   swept after a day
//	the commit             ab/NAME and its row     kept
//
// Objects are never shared: each row that refers to one has its own, and removes it with [Spool.Remove]
// in the transaction in which it lets go. The file of a removed row is left to the sweep.
//
// A failed fsync is a [*SyncError]. It is never tried again, because the kernel may have dropped the pages
// and would report success the second time: the process has to stop, so the database is told ([store.DB.Fail]).
package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"waybill/store"
)

// Inline is the size in bytes up to which an object lies in the database.
const Inline = 64 << 10

// temporary is the sub folder of files that are not kept yet, or no longer.
const temporary = "tmp"

// Options of a spool.
type Options struct {
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: discard
}

// A Spool keeps the objects of one ledger. Its methods may be called concurrently, and several processes may
// use one folder.
type Spool struct {
	db      *store.DB
	folder  string
	now     func() time.Time
	log     *slog.Logger
	sync    func(*os.File) error // fsync; tests have it fail
	buffers sync.Pool            // *[]byte of Inline+1: one more tells "full" from "longer"

	mu   sync.Mutex
	made [256]bool // sub folders known to be durable
}

// An Object is a kept run of bytes.
type Object struct {
	ID     int64
	Size   int64  // bytes
	Digest []byte // SHA-256
}

// Open returns the spool in folder, which it makes when it is missing.
func Open(db *store.DB, folder string, o Options) (*Spool, error) {
	s := &Spool{db: db, folder: folder, now: o.Now, log: o.Log, sync: (*os.File).Sync}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.buffers.New = func() any {
		b := make([]byte, Inline+1)
		return &b
	}
	if err := s.makeFolders(); err != nil {
		return nil, fmt.Errorf("open spool %s: %w", folder, err)
	}
	return s, nil
}

// makeFolders makes the spool's folder and tmp.
func (s *Spool) makeFolders() error {
	if err := os.MkdirAll(filepath.Join(s.folder, temporary), 0o700); err != nil {
		return err
	}
	// Also when nothing was made: the process that made them may have been killed before this.
	if err := s.syncFolder(s.folder); err != nil {
		return err
	}
	return s.syncFolder(filepath.Dir(s.folder))
}

// makeSub makes the sub folder number i when it is missing, and makes sure once that it is durable: another
// process may have made it and been killed before it did.
func (s *Spool) makeSub(i byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[i] {
		return nil
	}
	if err := os.Mkdir(filepath.Join(s.folder, subName(i)), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.syncFolder(s.folder); err != nil {
		return err
	}
	s.made[i] = true
	return nil
}

func subName(i byte) string { return fmt.Sprintf("%02x", i) }

// path returns where the kept file name lies.
func (s *Spool) path(name string) string { return filepath.Join(s.folder, name[:2], name) }

func (s *Spool) temp(name string) string { return filepath.Join(s.folder, temporary, name) }

// A SyncError says that the operating system could not make bytes durable. The process must stop, and
// go on from what is on disk when it is started again; it must not try again.
type SyncError struct {
	Path string
	Err  error
}

func (e *SyncError) Error() string {
	return fmt.Sprintf("fsync %s: %v: what was written may be lost, so waybill must stop; look at the disk, then start it again", e.Path, e.Err)
}

func (e *SyncError) Unwrap() error { return e.Err }

// A fullError says that there was no room, in the words of the database, which is told the same: what cannot be kept is one
// trouble, wherever it shows first. Which file was being written helps nobody, for its name is random.
type fullError struct{ cause error }

func (e *fullError) Error() string { return store.ErrFull.Error() }

func (e *fullError) Unwrap() []error { return []error{store.ErrFull, e.cause} }

// failed is the error of a step that the operating system refused.
func failed(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &fullError{err}
	}
	return fmt.Errorf("spool: %w", err)
}

// A TooLargeError says that there were more bytes than allowed.
type TooLargeError struct{ Max int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("larger than the limit of %d bytes", e.Max)
}

// A CorruptError says that an object is not what was kept.
type CorruptError struct {
	Object int64
	Path   string // "" when it lies in the database
	Reason string
}

func (e *CorruptError) Error() string {
	where := "in the database"
	if e.Path != "" {
		where = "in " + e.Path
	}
	return fmt.Sprintf("object %d %s is damaged: %s: restore it from a backup, or have the file sent again", e.Object, where, e.Reason)
}

// syncFolder makes renames in a folder durable.
func (s *Spool) syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(s.fsync(d), d.Close())
}

// fsync makes what was written to f durable. When it cannot, nothing that is written later can be relied on: the database fails.
func (s *Spool) fsync(f *os.File) error {
	err := s.sync(f)
	if err == nil {
		return nil
	}
	err = &SyncError{Path: f.Name(), Err: err}
	s.db.Fail(err)
	return err
}
