package sftpd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A jail is one partner's mailbox as a folder. Nothing outside it can be reached through it, whatever lies in it and whoever changes
// that meanwhile: the kernel is asked to stay beneath it, to follow no link and to cross no mount, and every name is then used relative to its
// folder's descriptor. Where the kernel cannot be asked, each folder on the way is opened one after the other, with the same rules.
type jail struct {
	root *os.File
	dev  uint64
	walk bool // without openat2
}

// openJail opens the mailbox at path, which is there.
func openJail(path string) (*jail, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	j := &jail{root: os.NewFile(uintptr(fd), path)}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = j.root.Close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	j.dev = st.Dev
	return j, nil
}

func (j *jail) close() error { return j.root.Close() }

// at opens path as flags say, never waiting.
func (j *jail) at(path string, flags int, mode uint32) (*os.File, error) {
	if path == "" {
		path = "."
	}
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW
	if flags&(unix.O_DIRECTORY|unix.O_PATH) == 0 {
		flags |= unix.O_NOCTTY | unix.O_NONBLOCK // a named pipe has no end until somebody writes it
	}
	how := unix.OpenHow{
		Flags: uint64(flags), Mode: uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	if j.walk {
		return j.step(path, flags, mode)
	}
	for range 100 { // a rename in the way makes the kernel give up with EAGAIN
		fd, err := unix.Openat2(int(j.root.Fd()), path, &how)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case unix.EINTR, unix.EAGAIN:
			continue
		case unix.ENOSYS, unix.EPERM: // before Linux 5.6, or kept from us by a seccomp filter that does not know it
			return j.step(path, flags, mode)
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: unix.EAGAIN}
}

// step is at without openat2: one folder after the other, through no link.
func (j *jail) step(path string, flags int, mode uint32) (*os.File, error) {
	names := strings.Split(path, "/")
	dir, own := int(j.root.Fd()), false
	for i, name := range names {
		last := i == len(names)-1
		how, m := unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(0)
		if last {
			how, m = flags, mode
		}
		fd, err := -1, error(unix.EINVAL)
		if name != "" && name != ".." {
			fd, err = unix.Openat(dir, name, how, m)
		}
		if own {
			_ = unix.Close(dir)
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Dev != j.dev || st.Mode&unix.S_IFMT == unix.S_IFLNK {
			_ = unix.Close(fd)
			return nil, &os.PathError{Op: "open", Path: path, Err: unix.EXDEV}
		}
		if last {
			return os.NewFile(uintptr(fd), path), nil
		}
		dir, own = fd, true
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: unix.EINVAL}
}

// folder opens the folder at path for use with the calls that take one.
func (j *jail) folder(path string) (*os.File, error) {
	return j.at(path, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// beside runs do with the folder of path, and its last name.
func (j *jail) beside(op, path string, do func(dir int, name string) error) error {
	above, name := split(path)
	if name == "" || name == "." || name == ".." {
		return &os.PathError{Op: op, Path: path, Err: unix.EINVAL}
	}
	dir, err := j.folder(above)
	if err != nil {
		return err
	}
	err = do(int(dir.Fd()), name)
	if closeErr := dir.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return &os.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

// A meta is what the file system tells of a name in a mailbox.
type meta struct {
	mode   uint32
	size   int64
	mtime  time.Time
	ctime  time.Time // cannot be set by anybody
	inode  uint64
	single bool // has no second name
}

func newMeta(st *unix.Stat_t) meta {
	return meta{mode: st.Mode, size: st.Size, mtime: time.Unix(0, st.Mtim.Nano()), ctime: time.Unix(0, st.Ctim.Nano()), inode: st.Ino, single: st.Nlink == 1}
}

func (m meta) folder() bool { return m.mode&unix.S_IFMT == unix.S_IFDIR }

// plain reports whether it is a file that may be touched: regular, with no second name that could lie elsewhere.
func (m meta) plain() bool { return m.mode&unix.S_IFMT == unix.S_IFREG && m.single }

// stat looks at path without following or opening it.
func (j *jail) stat(path string) (m meta, err error) {
	var st unix.Stat_t
	if path == "" {
		err = unix.Fstat(int(j.root.Fd()), &st)
	} else {
		err = j.beside("stat", path, func(dir int, name string) error {
			return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		})
	}
	if err == nil && st.Dev != j.dev {
		err = &os.PathError{Op: "stat", Path: path, Err: unix.EXDEV}
	}
	if err != nil {
		return meta{}, err
	}
	return newMeta(&st), nil
}

// metaOf looks at an open file.
func metaOf(f *os.File) (meta, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return meta{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return newMeta(&st), nil
}

// open opens a plain file. Anything else is fs.ErrNotExist, as if it were not there.
func (j *jail) open(path string, flags int) (*os.File, meta, error) {
	f, err := j.at(path, flags, 0)
	if err != nil {
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EISDIR) {
			err = &os.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return nil, meta{}, err
	}
	m, err := metaOf(f)
	if err == nil && !m.plain() {
		err = &os.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if err != nil {
		_ = f.Close()
		return nil, meta{}, err
	}
	return f, m, nil
}

// make makes a file that must not be there. Whoever is killed before he says what it is leaves one that was not closed by its sender.
func (j *jail) make(path string) (*os.File, error) {
	return j.at(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, uint32(modeBroken))
}

// makeFolder makes the folder path in one that is there.
func (j *jail) makeFolder(path string) error {
	return j.beside("mkdir", path, func(dir int, name string) error { return unix.Mkdirat(dir, name, 0o770) })
}

// makeFolders makes the folder path and those it lies in, where they are missing.
func (j *jail) makeFolders(path string) error {
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if err := j.makeFolder(path[:i]); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	m, err := j.stat(path)
	if err == nil && !m.folder() {
		err = fmt.Errorf("%s is not a folder", path)
	}
	return err
}

// remove removes a file, and never a folder.
func (j *jail) remove(path string) error {
	return j.beside("remove", path, func(dir int, name string) error { return unix.Unlinkat(dir, name, 0) })
}

// removeFolder removes an empty folder.
func (j *jail) removeFolder(path string) error {
	return j.beside("rmdir", path, func(dir int, name string) error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
}

// rename gives a file another name in the mailbox, in the place of what has it.
func (j *jail) rename(from, to string) error {
	return j.beside("rename", from, func(dir int, name string) error {
		return j.beside("rename", to, func(toDir int, toName string) error {
			return unix.Renameat(dir, name, toDir, toName)
		})
	})
}

// moveOut moves a file out of the mailbox, to a path that is not a client's.
func (j *jail) moveOut(path, to string) error {
	return j.beside("rename", path, func(dir int, name string) error {
		return unix.Renameat(dir, name, unix.AT_FDCWD, to)
	})
}

// linkOut gives a file a second name, at a path that is not a client's.
func (j *jail) linkOut(path, to string) error {
	return j.beside("link", path, func(dir int, name string) error {
		return unix.Linkat(dir, name, unix.AT_FDCWD, to, 0)
	})
}

// list opens the folder at path for reading its names.
func (j *jail) list(path string) (*os.File, error) {
	f, err := j.at(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	// os wants to know that it is a folder that was opened.
	return f, nil
}
