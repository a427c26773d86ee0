package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"waybill/failpoint"
	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/wire"
)

// looks bounds how often a close starts anew because its connection was lost.
const looks = 3

// maxNumber bounds the numbers that names in done and failed may get.
const maxNumber = 1 << 20

// errEndless ends a closing that a server draws out: those of the source's other files wait for it.
var errEndless = errors.New("it could not be closed")

// A closing is a file on its way out.
type closing struct {
	s   *Source
	ctx context.Context
	on  *session
	f   watcher.File
	how watcher.Closing
}

// Close implements [watcher.Source]. Each step looks first at what is there, so that it can be repeated: after a crash, and
// when the answer to a request was lost and nobody knows whether it was carried out.
func (s *Source) Close(ctx context.Context, f watcher.File, how watcher.Closing) (where string, err error) {
	what := s.fates[how.Fate]
	if what == "leave" || s.o.ReadOnce {
		return f.Path, nil // the ledger knows it: it is never new again
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.server.timing.grace, errEndless)
	defer cancel()
	step := func(on *session) (err error) {
		c := closing{s: s, ctx: ctx, on: on, f: f, how: how}
		if what == "delete" {
			return c.remove()
		}
		where, err = c.move()
		return err
	}
	for range looks {
		err = s.server.use(ctx, step)
		var lost lostError
		if !errors.As(err, &lost) || ctx.Err() != nil {
			break
		}
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errEndless) {
		err = fmt.Errorf("%w within %s: is every name taken there, or the server very slow?", cause, s.server.timing.grace)
	}
	if errors.Is(err, fs.ErrPermission) {
		var status *wire.StatusError
		errors.As(err, &status)
		s.once("closed files are left where they are, for the server does not let them be moved: ask the partner for the right to do so, or write `"+string(how.Fate)+": leave`", "error", err)
		return f.Path, fmt.Errorf("%w: %w: they are left where they are; ask the partner to let this user write the folder, or write `%s: leave`", watcher.ErrLeft, status, how.Fate)
	}
	return where, s.named("close", f.Path, err)
}

// look is lstat of a path below the folder.
func (c *closing) look(below string) (attributes, error) { return c.on.lstat(c.ctx, c.s.full(below)) }

// is reports whether the file at a path is the version to close.
func (c *closing) is(a attributes) bool { return a.skip() == "" && a.version() == c.f.Version }

// move moves the file into the folder of its fate and returns its path there.
func (c *closing) move() (string, error) {
	target := c.how.Fate.Folder(c.f.Path)
	name := path.Base(c.f.Path)
	a, err := c.look(c.f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.moved(target, name)
	case err != nil:
		return "", err
	case !c.is(a):
		return "", watcher.ErrChanged
	}
	failpoint.Hit("sftp/moving")
	as := ""
	if _, made := c.s.made.Load(target); made {
		as, err = c.renameNew(c.f.Path, target, name)
	}
	if as == "" || err != nil { // no folder yet, or not any more: not all servers say so
		if err = c.makeFolder(target); err != nil {
			return "", err
		}
		c.s.made.Store(target, true)
		as, err = c.renameNew(c.f.Path, target, name)
	}
	if err != nil {
		return "", err
	}
	failpoint.Hit("sftp/moved")
	where := target + "/" + as
	if err := c.putBack(where); err != nil {
		return "", err
	}
	return where, c.report(target, as)
}

// putBack undoes a rename that caught another version: one that took the file's place after it was looked at, and
// that nobody has read.
func (c *closing) putBack(where string) error {
	a, err := c.look(where)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the server said that it was moved to %s, and it is not there", ledger.Shown(where))
	}
	if err != nil || c.is(a) {
		return err
	}
	if _, err := c.renameNew(where, path.Dir(c.f.Path), path.Base(c.f.Path)); err != nil {
		return fmt.Errorf("put back what was moved by mistake to %s: %w", ledger.Shown(where), err)
	}
	return watcher.ErrChanged
}

// moved finishes a move that may have been made before: the file is gone from its place.
func (c *closing) moved(target, name string) (string, error) {
	for n := range maxNumber {
		as := watcher.Numbered(name, n)
		a, err := c.look(target + "/" + as)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", nil // somebody else took it away
		case err != nil:
			return "", err
		case c.is(a):
			return target + "/" + as, c.report(target, as)
		}
	}
	return "", nil
}

// makeFolder makes a folder below the source's, and those above it.
func (c *closing) makeFolder(below string) error {
	full := ""
	for part := range strings.SplitSeq(below, "/") {
		full = path.Join(full, part)
		a, err := c.look(full)
		switch {
		case err == nil && a.isFolder():
			continue
		case err == nil:
			return fmt.Errorf("%s is no folder: %s", ledger.Shown(full), a.skip())
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := c.on.mkdir(c.ctx, c.s.full(full)); err != nil {
			if a, again := c.look(full); again != nil || !a.isFolder() { // another was quicker
				return fmt.Errorf("make folder %s: %w", ledger.Shown(full), err)
			}
		}
	}
	return nil
}

// renameNew renames a file to name in a folder, or to name with a number when that is taken, and returns what it became.
// It never overwrites.
func (c *closing) renameNew(old, folder, name string) (as string, err error) {
	n := 0
	for range 100 { // others may be quicker, or the server does not know what it says
		if n, err = c.free(folder, name, n); err != nil {
			return "", err
		}
		as = watcher.Numbered(name, n)
		err := c.rename(old, path.Join(folder, as))
		if !errors.Is(err, fs.ErrExist) {
			return as, err
		}
	}
	return "", fmt.Errorf("rename to %s: the server says that the name is free, and that it is taken", ledger.Shown(path.Join(folder, as)))
}

// rename renames a file to a name at which nothing was a moment ago (else fs.ErrExist).
//
// RENAME is tried first: servers refuse it when the name is taken, OpenSSH in one step with the renaming. It does so by
// a hard link, which Linux allows the owner of a file only; where the server fails though nothing is in the way,
// posix-rename@openssh.com does it, onto a name that was reserved first, because it overwrites.
func (c *closing) rename(old, to string) error {
	err := c.on.rename(c.ctx, c.s.full(old), c.s.full(to))
	var refused *wire.StatusError
	if err == nil || !errors.As(err, &refused) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, there := c.look(to); there == nil {
		return fmt.Errorf("rename to %s: %w", ledger.Shown(to), fs.ErrExist)
	}
	if _, ok := c.on.extensions[wire.PosixRename]; !ok {
		return err
	}
	h, reserved := c.on.openFile(c.ctx, c.s.full(to), wire.FlagWrite|wire.FlagCreate|wire.FlagExcl)
	if reserved != nil {
		return err // the folder may not be written: what RENAME said is the reason
	}
	if err := c.on.closeHandle(c.ctx, h); err != nil {
		return err
	}
	if posix := c.on.posixRename(c.ctx, c.s.full(old), c.s.full(to)); posix != nil {
		var lost lostError
		if !errors.As(posix, &lost) {
			_ = c.on.remove(c.ctx, c.s.full(to)) // what was reserved; if that fails an empty file stays, and harms nobody
		}
		return posix
	}
	return nil
}

// free returns a number from least on that is not taken in a folder for name.
func (c *closing) free(folder, name string, least int) (int, error) {
	var fault error
	taken := func(n int) bool {
		if fault != nil {
			return false
		}
		_, err := c.look(path.Join(folder, watcher.Numbered(name, n)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			fault = err
		}
		return err == nil
	}
	n := watcher.FreeNumber(least, taken)
	return n, fault
}

// remove deletes the file. It is first renamed to a hidden name that belongs to this version, so that a file which takes its
// place meanwhile is not deleted unread.
func (c *closing) remove() error {
	hidden := path.Join(path.Dir(c.f.Path), ".waybill-"+strings.ReplaceAll(c.f.Version, " ", "-")+"-"+path.Base(c.f.Path)+".tmp")
	if len(path.Base(hidden)) > 255 {
		hidden = hidden[:len(hidden)-(len(path.Base(hidden))-255)]
	}
	// One that was left by a crash comes first: it may even be another version, caught and not put back any more.
	if err := c.unlink(hidden); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	a, err := c.look(c.f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !c.is(a):
		return watcher.ErrChanged
	}
	failpoint.Hit("sftp/moving")
	err = c.rename(c.f.Path, hidden)
	var refused *wire.StatusError
	if errors.As(err, &refused) && !errors.Is(err, fs.ErrNotExist) {
		// Some servers let files be deleted and not renamed.
		return c.on.remove(c.ctx, c.s.full(c.f.Path))
	}
	if err != nil {
		return err
	}
	failpoint.Hit("sftp/moved")
	return c.unlink(hidden)
}

// unlink deletes what lies under a hidden name if it is the version to close, and puts it back if it is not.
func (c *closing) unlink(hidden string) error {
	a, err := c.look(hidden)
	if err != nil {
		return err
	}
	if !c.is(a) {
		return c.putBack(hidden)
	}
	return c.on.remove(c.ctx, c.s.full(hidden))
}
