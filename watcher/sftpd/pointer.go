package sftpd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"waybill/failpoint"
	"waybill/spool"
)

// A file that lands by being renamed has a name that its sender counts on until it has landed, so it gets a second one, in the spool, before the row is
// committed, and loses the first after that. Between the two nobody but this process may write to it: a pointer, a symbolic link called as the file is in the
// spool that holds the path of its name in the mailbox, leads the next process to what a killed one left.

// point gives the upload's file its second name.
func (b *mailbox) point(u *upload, to string) error {
	pointer := filepath.Join(b.files.pointers(), filepath.Base(to))
	if err := os.Symlink(filepath.Join(b.partner, u.lies), pointer); err != nil {
		return err
	}
	u.pointer, u.linked = pointer, true
	if err := syncFolder(b.files.pointers()); err != nil { // it is to be there whenever the second name is
		return err
	}
	failpoint.Hit("sftpd/pointed")
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.jail.linkOut(u.lies, to)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EMLINK) { // a file system without second names
		err = &os.LinkError{Op: "link", Old: u.lies, New: to, Err: unix.EXDEV} // as if it were another
	}
	if errors.Is(err, unix.EXDEV) { // it is copied, and pointed at as that
		u.pointer, u.linked = "", false
		err = errors.Join(err, os.Remove(pointer))
	}
	return err
}

// unpoint removes the pointer of an upload that has one name again. Before that, whether the other was removed must be sure.
func (b *mailbox) unpoint(u *upload) error {
	switch {
	case u.pointer == "":
		return nil
	case !u.linked: // it was copied
		return os.Remove(u.pointer)
	}
	folder, err := b.jail.list(folderOf(u.lies))
	if err != nil {
		return err
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return err
	}
	return os.Remove(u.pointer)
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close() // what matters is that it was not synced
		return &spool.SyncError{Path: path, Err: err}
	}
	return d.Close()
}

// settle brings to its end what a killed process was about to rename: what had landed loses its name in the mailbox, what had not its name in the spool.
func (f *Files) settle(ctx context.Context) error {
	list, err := os.ReadDir(f.pointers())
	if err != nil {
		return fmt.Errorf("open mailboxes: %w", err)
	}
	for _, e := range list {
		pointer := filepath.Join(f.pointers(), e.Name())
		settle := f.settleLinked
		if e.Type().IsRegular() {
			settle = f.settleCopied
		}
		switch err := settle(ctx, e.Name(), pointer); {
		case ctx.Err() != nil:
			return fmt.Errorf("open mailboxes: settle %s: %w", pointer, context.Cause(ctx))
		case err != nil: // only this one file is held up, and the next start tries again
			f.Log.Error("settle what was being renamed when the last process ended: if waybill did not lay it there, remove it", "pointer", pointer, "error", err)
		}
	}
	return nil
}

func (f *Files) settleLinked(ctx context.Context, name, pointer string) error {
	at, err := os.Readlink(pointer)
	if err != nil {
		return err
	}
	landed, err := f.Spool.Settle(ctx, name)
	if err != nil {
		return err
	}
	if partner, path, ok := strings.Cut(at, "/"); ok && landed {
		if err := f.unlinkLanded(partner, path, name); err != nil {
			return err
		}
	}
	return os.Remove(pointer)
}

// unlinkLanded removes the name in the mailbox of a file that has landed, unless another file has it by now.
func (f *Files) unlinkLanded(partner, path, name string) error {
	kept, err := os.Lstat(f.Spool.Where(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // retention has removed it since: what is left is a file like any other
	}
	if err != nil {
		return err
	}
	return f.inMailbox(partner, func(j *jail) error {
		return j.removeThat(path, func(m meta) bool {
			st, ok := kept.Sys().(*syscall.Stat_t)
			return ok && m.inode == st.Ino && j.dev == st.Dev
		})
	})
}
