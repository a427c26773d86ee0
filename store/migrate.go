package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"waybill/failpoint"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks the file as waybill's (PRAGMA application_id): "WBIL".
const applicationID = 0x5742494c

// migrate brings the schema to this program's version, one migration a transaction, so that a kill leaves the old or the new one. A
// ledger that another program version has migrated further is refused.
func (db *DB) migrate(ctx context.Context, conn *sql.Conn) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	at, err := schemaVersion(ctx, conn)
	if err != nil || at == len(names) {
		return err
	}
	var lock *os.File
	if at < len(names) {
		if lock, at, err = db.mayMigrate(ctx, conn, len(names)); err != nil {
			return err
		}
	}
	if at > len(names) {
		err = fmt.Errorf("its schema has version %d, this program knows %d: use the program that last ran here, or a newer one", at, len(names))
	}
	for ; at < len(names) && err == nil; at++ {
		if err = apply(ctx, conn, names[at], at+1); err != nil {
			err = fmt.Errorf("migrate to version %d (%s): %w", at+1, names[at], err)
		}
	}
	if lock != nil {
		err = errors.Join(err, lock.Close())
	}
	return err
}

// migrationPatience is how long a process waits for another that is migrating.
const migrationPatience = time.Minute

// mayMigrate takes the executor's lock and returns the schema's version then. Where another process has the lock because it is
// migrating, as when several are started at once in a new folder, it waits for that one: lock is nil when nothing is left to do.
func (db *DB) mayMigrate(ctx context.Context, conn *sql.Conn, want int) (lock *os.File, at int, err error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(migrationPatience)
	defer patience.Stop()
	for looks := 0; ; looks++ {
		lock, busy := lockExecutor(db.folder)
		var held *HeldError
		if busy != nil && !errors.As(busy, &held) {
			return nil, 0, busy
		}
		at, err := schemaVersion(ctx, conn)
		if err == nil && lock != nil {
			err = lock.Truncate(0) // else it would name a killed executor as the one that migrates
		}
		switch {
		case err != nil && lock != nil:
			return nil, at, errors.Join(err, lock.Close())
		case err != nil, lock != nil, at >= want:
			return lock, at, err
		case held.Holder.PID != 0 && looks > 10: // who migrates has no name; one who was killed left his until the next has truncated it
			return nil, at, fmt.Errorf("its schema has version %d and must be brought to %d, but %w: stop that first", at, want, held)
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return nil, at, fmt.Errorf("its schema has version %d and must be brought to %d, but %w: stop that first", at, want, held)
		case <-ctx.Done():
			return nil, at, context.Cause(ctx)
		}
	}
}

func schemaVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var app, version int
	// The version first: another process may be setting both.
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, translate(err)
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return 0, translate(err)
	}
	if app != applicationID && (app != 0 || version != 0) {
		return 0, fmt.Errorf("it is a database of another program (application id %#x)", app)
	}
	return version, nil
}

func apply(ctx context.Context, conn *sql.Conn, name string, version int) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"BEGIN IMMEDIATE", string(text),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID), fmt.Sprintf("PRAGMA user_version = %d", version), "COMMIT",
	} {
		failpoint.Hit("store/migrating")
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			_, back := conn.ExecContext(ctx, "ROLLBACK")
			return errors.Join(translate(err), translate(back))
		}
	}
	failpoint.Hit("store/migrated")
	return nil
}
