// Package store is waybill's database: it opens and migrates it, runs
// transactions, says who may execute work, and wakes those who wait for a change.
// It is the only package that knows a dialect. Today that is SQLite, as one file in the data folder.
//
// # Writing
//
// One connection writes. Callers hand functions to DB.Tx; a writer goroutine runs what has queued
// while the previous commit was syncing as one group, each function between
// SAVEPOINT and RELEASE, then commits once. So one fsync serves all callers of a group, and each still learns its own
// outcome: an error or a panic rolls back that function's savepoint alone.
//
//	Tx ──► queue ──► BEGIN IMMEDIATE
//	                   SAVEPOINT, fn, RELEASE   (once for each caller)
//	                 COMMIT (fsync) ──► every caller is answered
//
// When the engine itself rolls back in the middle (disk full, I/O error), every
// caller of the group fails. An I/O error, corruption or a failed COMMIT closes the database for good: Failed is
// closed and the process must end, because after a failed fsync nobody knows what the disk holds. A full disk is the exception: SQLite
// notices it before it syncs, nothing of the group is kept, and later groups are tried again.
//
// # Several processes
//
// Any process may write short rows. Only the holder of executor.lock migrates, works jobs and delivers (TryExecutor).
// A process without the lock holds a shared lock on writers.lock while it wants to write; the
// executor looks there between groups and steps aside for a moment.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Options say which database to open and how.
type Options struct {
	Folder         string           // data folder: ledger.db and the locks beside it; made with mode 0700 when missing
	AcceptDataLoss bool             // go on although the folder or a setting cannot keep what it confirms (tmpfs, NFS)
	Log            *slog.Logger     // nil: none
	Now            func() time.Time // nil: time.Now
	Readers        int              // connections for reading; 0: twice the processors, at least 4
}

// A DB is an open database. All methods may be called from any goroutine.
type DB struct {
	folder  string
	log     *slog.Logger
	now     func() time.Time
	writer  *writer
	readers *reads
	topics  topics
	closers []io.Closer
	full    atomic.Bool // see WasFull

	mu       sync.Mutex
	executor *Executor
	failed   chan struct{}
	err      error
}

// Open opens the database in o.Folder, makes it when there is none, and migrates it when it is older than this
// program and no other process executes. It refuses a folder or a setting that loses confirmed rows in a power cut, unless told otherwise.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	if err := examineFolder(o); err != nil {
		return nil, err
	}
	db := &DB{folder: o.Folder, log: o.Log, now: o.Now, failed: make(chan struct{})}
	if err := db.open(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", db.path(), err), db.closeAll())
	}
	return db, nil
}

func (db *DB) path() string { return filepath.Join(db.folder, "ledger.db") }

func (db *DB) open(ctx context.Context, o Options) error {
	if err := examineOwner(db.path()); err != nil {
		return err
	}
	if err := closeToOthers(db.path()); err != nil {
		return err
	}
	pool, err := sql.Open("sqlite", dataSource(db.path(), false))
	if err != nil {
		return err
	}
	db.closers = append(db.closers, pool)
	pool.SetMaxOpenConns(1)
	conn, err := connect(ctx, pool)
	if err != nil {
		return err
	}
	db.closers = append(db.closers, conn)
	if err := db.migrate(ctx, conn); err != nil {
		return err
	}
	if err := examineSettings(ctx, conn, o); err != nil {
		return err
	}
	if err := db.openReaders(o); err != nil {
		return err
	}
	gate, err := openGate(db.folder)
	if err != nil {
		return err
	}
	db.closers = append(db.closers, gate)
	db.writer = newWriter(db, conn, gate)
	return nil
}

// connectPatience is how long connect goes on.
const connectPatience = 10 * time.Second

// connect makes the first connection. Of several processes that make a new database one brings it to a log; for the others SQLite does not wait as it does else, for
// each holds what another needs.
func connect(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(connectPatience)
	defer patience.Stop()
	for {
		conn, err := pool.Conn(ctx)
		if err = translate(err); !errors.Is(err, ErrBusy) {
			return conn, err
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (db *DB) openReaders(o Options) error {
	pool, err := sql.Open("sqlite", dataSource(db.path(), true))
	if err != nil {
		return err
	}
	db.closers = append(db.closers, pool)
	n := o.Readers
	if n == 0 {
		n = max(4, 2*runtime.GOMAXPROCS(0))
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	db.readers = &reads{pool: pool}
	return nil
}

// dataSource names the settings of 5-reliability (docs/architecture.md, Settings); they hold on every connection.
func dataSource(path string, readOnly bool) string {
	q := url.Values{}
	for _, p := range []string{
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "trusted_schema(OFF)",
		"cell_size_check(ON)", "mmap_size(0)", "journal_size_limit(67108864)", "wal_autocheckpoint(4000)", "temp_store(MEMORY)",
	} {
		q.Add("_pragma", p)
	}
	if readOnly {
		q.Add("_pragma", "query_only(ON)")
	} else {
		// What a large group changes must fit, else pages go to the log before the commit, and again with it, and all checksums after them are made anew.
		q.Add("_pragma", "cache_size(-4096)")
	}
	q.Set("_txlock", "immediate")
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return u.String()
}

// Folder returns the data folder.
func (db *DB) Folder() string { return db.folder }

// Failed is closed when the database can no longer be trusted and the process must end; Err then says why.
func (db *DB) Failed() <-chan struct{} { return db.failed }

// Err returns why the database failed, nil while it has not.
func (db *DB) Err() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.err
}

// Fail tells the database that what was written beside it may be lost, as after a failed fsync: then a row that refers to it must not
// become durable. As after a failed commit, later transactions are refused with err, Failed is closed, and the process must end. Only the first
// failure counts.
func (db *DB) Fail(err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.err == nil {
		db.err = err
		close(db.failed)
	}
}

// Close waits for the group that is being written, refuses later ones, and closes all connections and locks.
func (db *DB) Close() error {
	if db.writer != nil {
		db.writer.stop()
	}
	db.mu.Lock()
	x := db.executor
	db.mu.Unlock()
	if x != nil {
		x.Release()
	}
	return db.closeAll()
}

func (db *DB) closeAll() error {
	var errs []error
	if db.readers != nil {
		errs = append(errs, db.readers.close())
	}
	for i := len(db.closers) - 1; i >= 0; i-- {
		if err := db.closers[i].Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
			errs = append(errs, err)
		}
	}
	db.closers = nil
	return errors.Join(errs...)
}
