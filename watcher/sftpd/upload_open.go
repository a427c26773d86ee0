package sftpd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"waybill/ledger"
	"waybill/watcher/wire"
)

// of is what a folder of the mailbox is in the ledger.
func (b *mailbox) of(f *Folder) ledger.Mailbox {
	return ledger.Mailbox{Source: f.Source, Partner: b.partner, Trial: f.Trial}
}

// waiting returns what waits under a name, false when nothing does.
func (b *mailbox) waiting(ctx context.Context, at place) (ledger.File, bool, error) {
	f, err := b.files.Ledger.Waits(ctx, b.of(at.folder), at.rest)
	if errors.Is(err, ledger.ErrNotFound) {
		return f, false, nil
	}
	return f, err == nil, err
}

// open begins an upload, or goes on with one, as flags say.
func (b *mailbox) open(ctx context.Context, s *Session, at place, flags uint32) (*upload, error) {
	if bad := badName(at.rest); bad != "" {
		return nil, refusal(wireFailure, "%s: rename it", bad)
	}
	if err := b.takes(at.folder); err != nil {
		return nil, err
	}
	waits := false
	if flags&wire.FlagCreate == 0 || flags&wire.FlagExcl != 0 { // else what waits makes no difference
		var err error
		if _, waits, err = b.waiting(ctx, at); err != nil {
			return nil, err
		}
	}
	u := &upload{box: b, session: s, at: at, lies: at.path, flags: flags}
	b.mu.Lock()
	defer b.mu.Unlock()
	other := b.uploads[at.path]
	m, err := b.jail.stat(at.path)
	there := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case there && m.folder():
		return nil, refusal(wireFailure, "it is a folder")
	case there && !m.plain():
		return nil, refusal(wireDenied, "permission denied: it is no ordinary file")
	case flags&wire.FlagExcl != 0 && flags&wire.FlagCreate != 0 && (there || waits || other != nil):
		return nil, refusal(wireFailure, "something has that name already")
	case flags&wire.FlagCreate == 0 && !there && other == nil && waits:
		return nil, refusal(wireDenied, "permission denied: it was taken as it is; upload the whole file again to replace it")
	case flags&wire.FlagCreate == 0 && !there && other == nil:
		return nil, missing()
	case flags&wire.FlagTrunc == 0 && other != nil:
		u.behind = other
	case flags&wire.FlagTrunc == 0 && there:
		err = b.resume(u)
	case !there && other == nil: // one more
		if err = b.lacks(ctx, s.Account, 1, 1); err == nil {
			err = b.begin(u, m, there)
		}
	default:
		err = b.begin(u, m, there)
	}
	if err != nil {
		return nil, err
	}
	b.all[u] = true
	return u, nil
}

// takes reports why nothing more is taken into a folder now.
func (b *mailbox) takes(f *Folder) error {
	if b.files.Paused != nil && b.files.Paused(f.Source) {
		return paused()
	}
	return b.files.Ledger.Room()
}

// begin gives u its name, and takes it from who has it. b.mu is held.
func (b *mailbox) begin(u *upload, m meta, there bool) error {
	if m, err := b.jail.stat(folderOf(u.lies)); err != nil || !m.folder() {
		return missing()
	}
	var err error
	if other := b.uploads[u.lies]; other != nil {
		err = b.displace(other)
	} else if there {
		err = b.unlink(u.lies, m)
	}
	if err != nil {
		return err
	}
	u.held = true
	b.uploads[u.lies] = u
	return nil
}

// unlink removes a file that nobody has open. b.mu is held.
func (b *mailbox) unlink(path string, m meta) error {
	if err := b.jail.remove(path); err != nil {
		return err
	}
	b.quota.Files--
	b.quota.Bytes -= m.size
	delete(b.sums, path)
	return nil
}

// displace lets an upload in progress go on without its name. b.mu is held.
func (b *mailbox) displace(other *upload) error {
	if other.onDisk {
		to := filepath.Join(b.files.aside(), b.partner+"."+fresh())
		if err := b.jail.moveOut(other.lies, to); err != nil {
			return err
		}
		other.aside = to
	}
	other.held = false
	delete(b.uploads, other.lies)
	return nil
}

// resume lets u go on with the file that lies under its name. b.mu is held.
func (b *mailbox) resume(u *upload) error {
	f, m, err := b.jail.open(u.lies, unix.O_RDWR)
	if err != nil {
		return err
	}
	delete(b.sums, u.lies)
	sure := m.sure()
	if err = f.Chmod(modeOpen); err == nil && sure < m.size {
		err = f.Truncate(sure)
		b.quota.Bytes -= m.size - sure
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	u.file, u.resumes = f, true
	u.counted.Store(true)
	u.size.Store(sure)
	u.written.front = sure
	u.digest = digest(f, &b.files.buffers, b.hashing) // what is there is digested once something is added, or it lands
	u.held, u.onDisk = true, true
	b.uploads[u.lies] = u
	return nil
}

// bind settles what becomes of an upload that was opened, without cutting it off, beside one that is in progress: with on it goes on with what
// that has sent so far, whose connection is taken for dead; otherwise it is one of its own.
func (u *upload) bind(ctx context.Context, on bool) error {
	other := u.behind
	u.behind = nil
	if on {
		other.mu.Lock()
		err := other.giveUp(ctx)
		other.mu.Unlock()
		if err != nil {
			return err
		}
	}
	b := u.box
	b.mu.Lock()
	defer b.mu.Unlock()
	m, err := b.jail.stat(u.lies)
	there := err == nil
	if on && there && b.uploads[u.lies] == nil {
		return b.resume(u)
	}
	return b.begin(u, m, there)
}

// place makes the file of an upload: under its name, or aside.
func (b *mailbox) place(u *upload) (*os.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !u.held {
		path := filepath.Join(b.files.aside(), b.partner+"."+fresh())
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, modeBroken)
		if err != nil {
			return nil, err
		}
		u.onDisk, u.aside = true, path
		return f, nil
	}
	f, err := b.jail.make(u.lies)
	if err != nil {
		return nil, err
	}
	u.onDisk = true
	return f, nil
}

// let ends what the mailbox knows of an upload.
func (b *mailbox) let(u *upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uploads[u.lies] == u {
		delete(b.uploads, u.lies)
	}
	u.held = false
	delete(b.all, u)
	if u.aside == "" || !u.onDisk {
		return
	}
	// Its name was taken while it was kept, and nothing leads to it any more.
	u.onDisk = false
	b.quota.Files--
	b.quota.Bytes -= u.size.Load()
	if err := os.Remove(u.aside); err != nil {
		b.files.Log.Error("remove an upload whose name another has taken", "partner", b.partner, "error", err)
	}
}

// moveTo moves the upload's file to a path that is not a client's. One that is renamed keeps its name beside that.
func (b *mailbox) moveTo(u *upload, to string) error {
	if u.renamed {
		return b.point(u, to)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if u.aside != "" {
		err = os.Rename(u.aside, to)
	} else {
		err = b.jail.moveOut(u.lies, to)
	}
	if err == nil {
		u.onDisk = false
	}
	return err
}

// erase removes the upload's file.
func (b *mailbox) erase(u *upload) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !u.onDisk {
		return nil
	}
	u.onDisk = false
	if u.aside != "" {
		return os.Remove(u.aside)
	}
	return b.jail.remove(u.lies)
}
