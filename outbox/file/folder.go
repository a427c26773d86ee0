package file

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// A folder is one folder below the target's, opened.
type folder struct {
	root *os.Root
	dir  *os.File // the same, to sync it and to rename in it
}

// folder opens dir, which is relative to the target's folder, and makes what is missing of it.
func (w *writer) folder(dir string) (*folder, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open(dir)
}

// open is folder with w.mu held.
func (w *writer) open(dir string) (*folder, error) {
	if f := w.folders[dir]; f != nil {
		return f, nil
	}
	if dir != "." {
		if err := w.make(dir); err != nil {
			return nil, err
		}
	}
	root, err := w.root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	f := &folder{root: root, dir: self}
	w.folders[dir] = f
	return f, nil
}

// make makes dir and syncs the folder it stands in, so that a power cut cannot take it away with what is in it.
func (w *writer) make(dir string) error {
	parent, err := w.open(path.Dir(dir))
	if err != nil {
		return err
	}
	name := path.Base(dir)
	if err := parent.root.Mkdir(name, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	if err := parent.root.Chmod(name, folderMode(w.t.mode)); err != nil {
		return err
	}
	if w.t.group >= 0 {
		if err := parent.root.Chown(name, -1, w.t.group); err != nil {
			return err
		}
	}
	return parent.dir.Sync()
}

// close closes all folders; what was written was synced before.
func (w *writer) close() {
	for _, f := range w.folders {
		_ = f.dir.Close()
		_ = f.root.Close()
	}
}

// notFolder reports that something else stands where a folder should; os.OpenRoot has a text of its own for it.
func notFolder(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || strings.HasSuffix(err.Error(), "not a directory")
}

// escapes reports the error of os.Root for a name that leads out of it; package os does not export it.
func escapes(err error) bool {
	return strings.Contains(err.Error(), "path escapes from parent")
}
