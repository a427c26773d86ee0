package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

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
	if err != nil {
		return err
	}
	if at > len(names) {
		return fmt.Errorf("its schema has version %d, this program knows %d: use the program that last ran here, or a newer one", at, len(names))
	}
	if at == len(names) {
		return nil
	}
	lock, err := lockExecutor(db.folder)
	if err != nil {
		return fmt.Errorf("its schema has version %d and must be brought to %d, but %w: stop that first", at, len(names), err)
	}
	defer func() { _ = lock.Close() }()
	if at, err = schemaVersion(ctx, conn); err != nil {
		return err
	}
	for ; at < len(names); at++ {
		if err := apply(ctx, conn, names[at], at+1); err != nil {
			return fmt.Errorf("migrate to version %d (%s): %w", at+1, names[at], err)
		}
	}
	return nil
}

func schemaVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var app, version int
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return 0, translate(err)
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
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
