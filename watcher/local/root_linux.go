package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"waybill/watcher"
)

// A root is the watched folder, open for one operation. A folder that is replaced is thus found again by its name.
type root struct {
	dir *handle
	dev uint64
}

// open opens the watched folder. The error is watcher.ErrAway.
func (s *Source) open() (*root, error) {
	fd, err := openFolder(s.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", watcher.ErrAway, &os.PathError{Op: "open", Path: s.path, Err: err})
	}
	r := &root{dir: &handle{fd: fd, name: s.path}}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		r.close()
		return nil, fmt.Errorf("%w: stat %s: %w", watcher.ErrAway, s.path, err)
	}
	r.dev = st.Dev
	return r, nil
}

func openFolder(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func (r *root) close() { r.dir.Close() } // only looked through

// at opens path below the root: beneath it, through no link, on its file system, never waiting.
func (r *root) at(path string, flags int) (*handle, error) {
	if !filepath.IsLocal(path) {
		return nil, &os.PathError{Op: "open", Path: path, Err: unix.EINVAL}
	}
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NOCTTY
	if flags&unix.O_DIRECTORY == 0 {
		flags |= unix.O_NONBLOCK // a named pipe has no end until somebody writes it
	}
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for range 100 { // a rename in the way makes the kernel give up with EAGAIN
		fd, err := unix.Openat2(r.dir.fd, path, &how)
		switch err {
		case nil:
			return &handle{fd: fd, name: path}, nil
		case unix.EINTR, unix.EAGAIN:
			continue
		case unix.ENOSYS, unix.EPERM: // before Linux 5.6, or kept from us by a seccomp filter that does not know it
			return r.atPlain(path, flags)
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: unix.EAGAIN}
}

// atPlain does the same without openat2: os.Root keeps below the folder, the device tells other file systems.
func (r *root) atPlain(path string, flags int) (*handle, error) {
	below, err := os.OpenRoot(r.dir.name)
	if err != nil {
		return nil, err
	}
	defer below.Close() // only looked through
	opened, err := below.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	defer opened.Close() // what goes on is its duplicate
	fd, err := unix.FcntlInt(opened.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := &handle{fd: fd, name: path}
	m, err := metaOf(f)
	if err == nil && m.dev != r.dev {
		err = &os.PathError{Op: "open", Path: path, Err: unix.EXDEV}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// folder opens the folder at path ("" is the root's own).
func (r *root) folder(path string) (*handle, error) {
	if path == "" {
		path = "."
	}
	return r.at(path, unix.O_RDONLY|unix.O_DIRECTORY)
}

// parent opens the folder that path lies in.
func (r *root) parent(path string) (dir *handle, base string, err error) {
	i := strings.LastIndexByte(path, '/')
	dir, err = r.folder(path[:max(i, 0)])
	return dir, path[i+1:], err
}

// make opens the folder at path and makes what of it is missing. made lists the folders that got a new one.
func (r *root) make(path string) (dir *handle, made []string, err error) {
	if dir, err = r.folder(path); !errors.Is(err, unix.ENOENT) {
		return dir, nil, err
	}
	above := ""
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		parent, base, err := r.parent(path[:i])
		if err != nil {
			return nil, nil, err
		}
		err = unix.Mkdirat(parent.fd, base, 0o770)
		parent.Close()
		switch {
		case err == nil:
			made = append(made, above)
		case !errors.Is(err, unix.EEXIST):
			return nil, nil, &os.PathError{Op: "mkdir", Path: path[:i], Err: err}
		}
		above = path[:i]
	}
	dir, err = r.folder(path)
	return dir, made, err
}

// stat looks at path without following or opening it.
func (r *root) stat(path string) (meta, error) {
	dir, base, err := r.parent(path)
	if err != nil {
		return meta{}, err
	}
	defer dir.Close()
	return statAt(dir, base)
}

// A meta is what the file system tells of a file.
type meta struct {
	dev, ino, nlink uint64
	mode            uint32
	size            int64
	mtime, ctime    int64 // Unix nanoseconds
}

func newMeta(st *unix.Stat_t) meta {
	return meta{
		dev: st.Dev, ino: st.Ino, nlink: uint64(st.Nlink), mode: st.Mode, size: st.Size,
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
	}
}

// statAt looks at name in dir.
func statAt(dir *handle, name string) (meta, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return meta{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return newMeta(&st), nil
}

// metaOf looks at an open file.
func metaOf(f *handle) (meta, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return meta{}, &os.PathError{Op: "stat", Path: f.name, Err: err}
	}
	return newMeta(&st), nil
}

// version tells versions of a path apart: inode, size, time of the last change to the content and to anything.
func (m meta) version() string {
	b := make([]byte, 0, 64)
	b = strconv.AppendUint(b, m.ino, 10)
	for _, n := range [...]int64{m.size, m.mtime, m.ctime} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	return string(b)
}

// content is version without its last part, which a rename changes.
func content(version string) string { return version[:max(strings.LastIndexByte(version, ' '), 0)] }

// skip says why a file is never to be taken, "" when it is an ordinary one.
func (m meta) skip() string {
	switch m.mode & unix.S_IFMT {
	case unix.S_IFREG:
		if m.nlink > 1 {
			return "it has a second name (hard link), perhaps outside the folder"
		}
		return ""
	case unix.S_IFDIR:
		return "folder"
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFIFO:
		return "named pipe"
	case unix.S_IFSOCK:
		return "socket"
	}
	return "device"
}

// file returns m as a listed file.
func (m meta) file(path string) watcher.File {
	return watcher.File{Path: path, Version: m.version(), Size: m.size, ModTime: time.Unix(0, m.mtime), Skip: m.skip()}
}

// isRemote reports whether the folder is on a file system that others may change behind this kernel's back: no event
// tells of it, and no lease holds them off.
func (r *root) isRemote() bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(r.dir.fd, &st); err != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return true
	}
	return false
}
