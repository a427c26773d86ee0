package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// keyAttribute is where a file keeps the key of its message.
const keyAttribute = "user.waybill.key"

// renameNew renames within f and never overwrites. Not every file system can do that in one step; a link
// and a removal come to the same, except that a crash between them leaves the hidden name as well.
func renameNew(f *folder, from, to string) error {
	fd := int(f.dir.Fd())
	err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		if err := f.root.Link(from, to); err != nil {
			return err
		}
		return f.root.Remove(from)
	}
	if err != nil {
		return &fs.PathError{Op: "rename", Path: to, Err: err}
	}
	return nil
}

// lock locks file until it is closed. File systems without locks go without.
func lock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy
	}
	if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOLCK) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// writeKey keeps key with file where the file system can; where not, a repeat is recognised by its bytes.
func writeKey(file *os.File, key string) {
	_ = unix.Fsetxattr(int(file.Fd()), keyAttribute, []byte(key), 0)
}

func readKey(file *os.File) (string, bool) {
	value := make([]byte, 256)
	n, err := unix.Fgetxattr(int(file.Fd()), keyAttribute, value)
	if err != nil {
		return "", false
	}
	return string(value[:n]), true
}
