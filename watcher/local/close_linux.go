package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"waybill/failpoint"
	"waybill/ledger"
	"waybill/watcher"
)

// Close implements [watcher.Source].
func (s *Source) Close(_ context.Context, f watcher.File, how watcher.Closing) (where string, err error) {
	what := s.fates[how.Fate]
	if what == "leave" {
		return f.Path, nil // the ledger knows it: it is never new again
	}
	if s.round == nil {
		r, err := s.open()
		if err != nil {
			return "", err
		}
		s.round = &round{root: r, remote: r.isRemote(), folders: map[string]*handle{}}
	}
	s.round.trim(foldersMost)
	c := closing{s: s, r: s.round, f: f, how: how}
	if what == "delete" {
		err = c.remove()
	} else {
		where, err = c.move()
	}
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		s.once("closed files are left where they are, for they may not be moved: let the user that waybill runs as write the folder, or write `"+string(how.Fate)+": leave`", "error", err)
		if errno := unix.Errno(0); errors.As(err, &errno) {
			err = errno // the same for every file
		}
		return f.Path, fmt.Errorf("%w: %w: they are left where they are; let the user that waybill runs as write the folder, or write `%s: leave`", watcher.ErrLeft, err, how.Fate)
	case err != nil:
		return "", fmt.Errorf("close %s: %w", ledger.Shown(f.Path), err)
	}
	return where, nil
}

// A round is the folders that one round of Close calls works in. Sync ends it, so that a folder which is replaced is found
// again by its name in the next.
type round struct {
	*root
	remote  bool
	folders map[string]*handle
}

// folder opens the folder at path once.
func (r *round) folder(path string) (*handle, error) {
	if h := r.folders[path]; h != nil {
		return h, nil
	}
	h, err := r.root.folder(path)
	return r.keep(path, h, err)
}

// parent opens the folder that path lies in once.
func (r *round) parent(path string) (dir *handle, base string, err error) {
	i := strings.LastIndexByte(path, '/')
	dir, err = r.folder(path[:max(i, 0)])
	return dir, path[i+1:], err
}

// make opens the folder at path once, and makes what of it is missing.
func (r *round) make(path string) (dir *handle, made []string, err error) {
	if h := r.folders[path]; h != nil {
		return h, nil, nil
	}
	dir, made, err = r.root.make(path)
	dir, err = r.keep(path, dir, err)
	return dir, made, err
}

// foldersMost bounds the folders that are open at a time.
const foldersMost = 64

func (r *round) keep(path string, h *handle, err error) (*handle, error) {
	if err != nil {
		return nil, err
	}
	r.folders[path] = h
	return h, nil
}

// end closes all.
func (r *round) end() {
	r.trim(0)
	r.root.close()
}

// trim closes the folders when there are more than most of them.
func (r *round) trim(most int) {
	if len(r.folders) <= most {
		return
	}
	for _, h := range r.folders {
		h.Close() // only looked through
	}
	clear(r.folders)
}

// A closing is a file on its way out.
type closing struct {
	s   *Source
	r   *round
	f   watcher.File
	how watcher.Closing
}

// check makes sure that name in dir is the version to close, and that nobody is writing it.
func (c *closing) check(dir *handle, name string) error {
	m, err := statAt(dir, name)
	if err != nil {
		return err
	}
	if m.version() != c.f.Version {
		return watcher.ErrChanged
	}
	if c.r.remote {
		return nil
	}
	file, err := c.r.at(c.f.Path, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close() // gives the lease back
	if err := lease(file); errors.Is(err, watcher.ErrBusy) {
		return err
	}
	return nil
}

// move moves the file into the folder of its fate and returns its path there.
func (c *closing) move() (string, error) {
	from, name, err := c.r.parent(c.f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // gone with its folder
	}
	if err != nil {
		return "", err
	}
	target := c.how.Fate.Folder(c.f.Path)
	err = c.check(from, name)
	if errors.Is(err, fs.ErrNotExist) {
		return c.moved(target, name)
	}
	if err != nil {
		return "", err
	}
	to, made, err := c.r.make(target)
	if err != nil {
		return "", err
	}
	failpoint.Hit("local/moving")
	as, err := renameNew(from, name, to, name)
	if err != nil {
		return "", err
	}
	failpoint.Hit("local/moved")
	c.s.changed(append(made, path.Dir(c.f.Path), target)...)
	if err := c.putBack(to, as, from, name); err != nil {
		return "", err
	}
	return path.Join(target, as), c.report(to, as)
}

// putBack undoes a rename that caught another version: one that took the file's place after it was looked at, and
// that nobody has read.
func (c *closing) putBack(at *handle, as string, from *handle, name string) error {
	m, err := statAt(at, as)
	if err != nil || content(m.version()) == content(c.f.Version) {
		return err
	}
	if _, err := renameNew(at, as, from, name); err != nil {
		return fmt.Errorf("put back what was moved by mistake to %s: %w", ledger.Shown(as), err)
	}
	return watcher.ErrChanged
}

// moved finishes a move that may have been made before a crash: the file is gone from its place.
func (c *closing) moved(target, name string) (string, error) {
	to, err := c.r.folder(target)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	c.s.changed(path.Dir(c.f.Path), target)
	as := c.find(to, name)
	if as == "" {
		return "", nil // somebody else took it away
	}
	return path.Join(target, as), c.report(to, as)
}

// find returns the name under which the file lies in dir, "" when it does not.
func (c *closing) find(dir *handle, name string) string {
	for n := 0; ; n++ {
		as := watcher.Numbered(name, n)
		m, err := statAt(dir, as)
		if err != nil {
			return ""
		}
		if content(m.version()) == content(c.f.Version) {
			return as
		}
	}
}

// remove deletes the file. It is first renamed to a hidden name that belongs to this version, so that a file which takes its
// place meanwhile is not deleted unread.
func (c *closing) remove() error {
	dir, name, err := c.r.parent(c.f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	hidden := ".waybill-" + strings.ReplaceAll(content(c.f.Version), " ", "-") + ".tmp"
	// One that was left by a crash comes first: it may even be another version, caught and not put back any more.
	if err := c.unlink(dir, hidden, name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := c.check(dir, name); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	failpoint.Hit("local/moving")
	if err := rename(dir, name, dir, hidden); err != nil {
		return err
	}
	failpoint.Hit("local/moved")
	return c.unlink(dir, hidden, name)
}

// unlink deletes hidden if it is the version to close, and puts it back under name if it is not.
func (c *closing) unlink(dir *handle, hidden, name string) error {
	if err := c.putBack(dir, hidden, dir, name); err != nil {
		return err
	}
	c.s.changed(path.Dir(c.f.Path))
	if err := unix.Unlinkat(dir.fd, hidden, 0); err != nil {
		return &os.PathError{Op: "delete", Path: name, Err: err}
	}
	return nil
}

// report lays the reject report beside the file that was moved to dir under the name as.
func (c *closing) report(dir *handle, as string) error {
	if c.how.Report == nil {
		return nil
	}
	// orders.csv that became orders.1.csv is told of by orders.1.csv.rejects.json.
	name := path.Base(c.how.ReportName)
	if rest, ok := strings.CutPrefix(name, path.Base(c.f.Path)); ok {
		name = as + rest
	}
	for n := 0; ; n++ {
		old, err := readAt(dir, watcher.Numbered(name, n), int64(len(c.how.Report)))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err == nil && string(old) == string(c.how.Report) {
			return nil // laid before a crash
		}
	}
	if err := writeNew(dir, name, c.how.Report); err != nil {
		return fmt.Errorf("lay the reject report %s beside it: %w", ledger.Shown(name), err)
	}
	failpoint.Hit("local/reported")
	return nil
}

// changed remembers folders for Sync.
func (s *Source) changed(folders ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range folders {
		if f == "." {
			f = ""
		}
		s.dirty[f] = struct{}{}
	}
}

// Sync implements [watcher.Syncer]: each folder that closing changed is synced once.
func (s *Source) Sync(context.Context) error {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = map[string]struct{}{}
	s.mu.Unlock()
	if s.round != nil {
		s.round.end()
		s.round = nil
	}
	if len(dirty) == 0 {
		return nil
	}
	r, err := s.open()
	if err != nil {
		return err
	}
	defer r.close()
	for name := range dirty {
		dir, err := r.folder(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone with all that was in it
		}
		if err != nil {
			return err
		}
		err = unix.Fsync(dir.fd)
		dir.Close()
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) { // a file system that cannot, and need not
			return fmt.Errorf("sync folder %s: %w", ledger.Shown(name), err)
		}
	}
	return nil
}
