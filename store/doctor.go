package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unsafeSystems are file systems that lose or tear what SQLite has synced (statfs f_type, linux/magic.h).
var unsafeSystems = map[int64]string{
	0x01021994: "tmpfs", 0x858458f6: "ramfs", 0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x65735546: "FUSE",
	0x794c7630: "overlayfs", 0x01021997: "9p", 0x5346414f: "AFS",
}

// examineFolder refuses a data folder on a file system that does not keep what it confirms.
func examineFolder(o Options) error {
	var st unix.Statfs_t
	if err := unix.Statfs(o.Folder, &st); err != nil {
		return fmt.Errorf("look at the file system of %s: %w", o.Folder, err)
	}
	name, bad := unsafeSystems[int64(st.Type)]
	if !bad {
		return nil
	}
	if o.AcceptDataLoss {
		o.Log.Warn("the data folder's file system may lose what is confirmed", "folder", o.Folder, "system", name)
		return nil
	}
	return fmt.Errorf("data folder %s is on %s, which may lose what has been confirmed: choose a local disk (`data:`), or say --accept-data-loss", o.Folder, name)
}

// examineOwner refuses a ledger of another user: what this process would write beside it, that user could not open.
func examineOwner(path string) error {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", path, err)
	case int(st.Uid) == os.Geteuid():
		return nil
	}
	name := fmt.Sprintf("user %d", st.Uid)
	if u, err := user.LookupId(strconv.Itoa(int(st.Uid))); err == nil {
		name = u.Username
	}
	return fmt.Errorf("it belongs to %s: run waybill as that user (sudo -u %s waybill …)", name, name)
}

// closeToOthers sees to it that nobody else can read the ledger, which holds the bytes of small files and of messages: SQLite would make it
// as the umask says. Its side files get its mode when they are made.
func closeToOthers(path string) error {
	// Made without being opened: closing any descriptor of a database ends all locks that this process has on it.
	err := unix.Mknod(path, unix.S_IFREG|0o600, 0)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make the ledger: %w", err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(name, info.Mode().Perm()&^0o077)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("close the ledger to others: %w", err)
		}
	}
	return nil
}

// examineSettings reads the settings back from a connection, for a wrong name in a data source is silently ignored.
func examineSettings(ctx context.Context, conn *sql.Conn, o Options) error {
	for _, want := range []struct{ pragma, values, why string }{
		{"journal_mode", "wal", "readers would block the writer"},
		{"synchronous", "2 3", "a power cut would lose confirmed rows"},
		{"foreign_keys", "1", "rows could lose what they belong to"},
		{"trusted_schema", "0", "a tampered schema could run functions"},
	} {
		var got string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+want.pragma).Scan(&got); err != nil {
			return translate(err)
		}
		if strings.Contains(" "+want.values+" ", " "+got+" ") {
			continue
		}
		if o.AcceptDataLoss {
			o.Log.Warn("an unsafe database setting is in force", "setting", want.pragma, "value", got)
			continue
		}
		return fmt.Errorf("setting %s is %s: %s", want.pragma, got, want.why)
	}
	return nil
}
