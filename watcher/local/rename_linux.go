package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"waybill/watcher"
)

// renameNew renames a file to name, or name with a number when that is taken, and returns what it became. It never
// overwrites.
func renameNew(from *handle, old string, to *handle, name string) (as string, err error) {
	as = watcher.Numbered(name, 0)
	for n := 0; ; {
		err := rename(from, old, to, as)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return as, err
		}
		n = free(to, name, n+1)
		as = watcher.Numbered(name, n)
	}
}

// free returns a number from least on that is not taken in dir for name.
func free(dir *handle, name string, least int) int {
	return watcher.FreeNumber(least, func(n int) bool { _, err := statAt(dir, watcher.Numbered(name, n)); return err == nil })
}

// rename renames a file to a name that must be free (else fs.ErrExist).
func rename(from *handle, old string, to *handle, as string) error {
	err := unix.Renameat2(from.fd, old, to.fd, as, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		err = renameReserved(from, old, to, as)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: old, New: as, Err: err}
	}
	return nil
}

// renameReserved does so where the file system cannot refuse to overwrite (NFS): it takes the name first, with an
// empty file, and renames over that.
func renameReserved(from *handle, old string, to *handle, as string) error {
	fd, err := unix.Openat(to.fd, as, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	err = unix.Renameat(from.fd, old, to.fd, as)
	if err != nil {
		_ = unix.Unlinkat(to.fd, as, 0) // ours and empty
	}
	return err
}

// readAt reads at most limit bytes, and one more to tell that there are more, of name in dir.
func readAt(dir *handle, name string, limit int64) ([]byte, error) {
	fd, err := unix.Openat(dir.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // only read from
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// writeNew makes a durable file called name, or name with a number, in dir; the folder is still to be synced. Nobody sees
// half of it.
func writeNew(dir *handle, name string, data []byte) error {
	const hidden = ".waybill-report.tmp" // closing is done on one goroutine
	if err := unix.Unlinkat(dir.fd, hidden, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "delete", Path: hidden, Err: err}
	}
	fd, err := unix.Openat(dir.fd, hidden, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return &os.PathError{Op: "create", Path: hidden, Err: err}
	}
	f := os.NewFile(uintptr(fd), hidden)
	if _, err = io.Copy(f, bytes.NewReader(data)); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = renameNew(dir, hidden, dir, name)
	return err
}
