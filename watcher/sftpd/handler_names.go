package sftpd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/wire"
)

// remove takes away an unfinished upload, withdraws what waits, or deletes what was to be picked up.
func (h *handler) remove(ctx context.Context, raw string) error {
	at, err := h.session.Account.locate(raw)
	switch {
	case err != nil:
		return err
	case at.folder == nil || at.rest == "":
		return refusal(wireFailure, "it is a folder")
	case at.folder.Right == PickUp:
		return h.delete(ctx, at)
	}
	there, err := h.box.removePart(at)
	if err != nil {
		return err
	}
	if there {
		h.did(ctx, "upload removed", "path", "/"+at.path)
		return nil
	}
	err = h.files.Ledger.Withdraw(ctx, h.box.of(at.folder), at.rest, "partner "+h.box.partner, &ledger.Event{Kind: "withdrawn", Detail: h.session.detail("path", "/"+at.path)})
	_, lately := h.recent.find(at.path)
	var taken *ledger.TakenError
	switch {
	case errors.As(err, &taken):
		return refusal(wireDenied, "permission denied: %v", taken)
	case errors.Is(err, ledger.ErrNotFound) && lately:
		return refusal(wireDenied, "permission denied: it has been processed already")
	case errors.Is(err, ledger.ErrNotFound):
		return missing()
	}
	if err == nil {
		h.box.lighter()
		h.recent.forget(at.path)
	}
	return err
}

// removePart removes an upload that is not finished. One in progress is dropped when it is closed.
func (b *mailbox) removePart(at place) (there bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u := b.uploads[at.path]; u != nil {
		u.removed.Store(true)
		return true, b.displace(u)
	}
	m, err := b.jail.stat(at.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case m.folder():
		return false, refusal(wireFailure, "it is a folder")
	}
	return true, b.unlink(at.path, m)
}

// delete deletes a file to be picked up.
func (h *handler) delete(ctx context.Context, at place) error {
	if watcher.Ignored(at.rest) {
		return missing()
	}
	f, m, err := h.box.jail.open(at.path, unix.O_PATH)
	if err != nil {
		return err
	}
	_ = f.Close() // only looked at
	// The quota has it only if it was there at the last count, and most have come since: the next count sees that it is gone.
	if err := h.box.jail.remove(at.path); err != nil {
		return err
	}
	h.box.lighter()
	what := []any{"path", "/" + at.path, "size", m.size}
	h.noted(h.prove(ctx, "deleted", what...), "deleted", what...)
	return nil
}

// renamed carries out a rename and answers it. It goes on when the session ends: half of it would leave the file under neither name.
func (h *handler) renamed(ctx context.Context, p *wire.Packet, posix bool) error {
	h.files.note(h.session.ID, +1)
	defer h.files.note(h.session.ID, -1)
	err := h.rename(context.WithoutCancel(ctx), p.Path, p.Target, posix)
	return errors.Join(h.status(ctx, p.ID, err), h.out.Flush())
}

// rename gives an upload that was kept another name. An ordinary name lands it. posix says that what has the new name may be replaced.
func (h *handler) rename(ctx context.Context, from, to string, posix bool) error {
	source, err := h.session.Account.file(from, Drop)
	if err != nil {
		return err
	}
	target, err := h.session.Account.file(to, Drop)
	if err != nil {
		return err
	}
	if bad := badName(target.rest); bad != "" {
		return refusal(wireFailure, "%s: choose another", bad)
	}
	if source.path == target.path {
		return nil
	}
	m, err := h.box.jail.stat(source.path)
	if errors.Is(err, fs.ErrNotExist) {
		return h.noPart(ctx, source)
	}
	switch {
	case err != nil:
		return err
	case m.folder():
		return refusal(wire.Unsupported, "folders cannot be renamed: make another")
	case !m.plain():
		return refusal(wireDenied, "permission denied: it is no ordinary file")
	case watcher.Ignored(target.rest):
		err = h.box.renamePart(source, target, posix)
	case !m.isWhole():
		return refusal(wireFailure, "%s was not uploaded to its end: resume it or upload it again, and rename it then", shownPath("/"+source.path))
	default:
		if err = h.box.takes(target.folder); err == nil {
			err = h.box.landPart(ctx, h.session, source, target)
		}
		if err != nil {
			h.turnedAway(ctx, source.path, err)
			h.tell(target.path, err)
			return err
		}
		h.recent.add(target.path, m.size, h.files.Now())
	}
	if err != nil {
		return err
	}
	h.did(ctx, "renamed", "path", "/"+source.path, "to", "/"+target.path)
	return nil
}

// noPart says why what is not an unfinished upload cannot be renamed.
func (h *handler) noPart(ctx context.Context, at place) error {
	if h.box.inMemory(at.path) != nil {
		return refusal(wireFailure, "it is still being uploaded: close it first")
	}
	_, waits, err := h.box.waiting(ctx, at)
	if err != nil {
		return err
	}
	if _, lately := h.recent.find(at.path); waits || lately {
		return refusal(wireDenied, "permission denied: it was taken as it is when it was closed; upload under a name that ends in .part and rename that")
	}
	return missing()
}

// renamePart gives an unfinished upload another temporary name.
func (b *mailbox) renamePart(from, to place, posix bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uploads[from.path] != nil {
		return refusal(wireFailure, "it is still being uploaded: close it first")
	}
	m, err := b.jail.stat(to.path)
	there := err == nil
	if there && (m.folder() || !posix) || b.uploads[to.path] != nil {
		return refusal(wireFailure, "something has that name already")
	}
	if err := b.jail.rename(from.path, to.path); err != nil {
		return err
	}
	if there {
		b.quota.Files--
		b.quota.Bytes -= m.size
	}
	delete(b.sums, to.path)
	if s, ok := b.sums[from.path]; ok {
		b.sums[to.path] = s
		delete(b.sums, from.path)
	}
	return nil
}

// landPart lands a whole file under another name.
func (b *mailbox) landPart(ctx context.Context, s *Session, from, to place) error {
	u := &upload{box: b, session: s, at: to, lies: from.path, renamed: true, held: true, onDisk: true}
	u.counted.Store(true)
	if err := b.takePart(u); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.land(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m, err := b.jail.stat(to.path)
	if err == nil && m.plain() && b.uploads[to.path] == nil {
		return b.unlink(to.path, m) // an unfinished upload whose name the new file has taken
	}
	return nil
}

// takePart opens the file of an upload that lands by being renamed.
func (b *mailbox) takePart(u *upload) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uploads[u.lies] != nil {
		return refusal(wireFailure, "it is still being uploaded: close it first")
	}
	f, m, err := b.jail.open(u.lies, unix.O_RDWR)
	if err != nil {
		return err
	}
	if !m.isWhole() {
		_ = f.Close() // only looked at
		return refusal(wireFailure, "it was not uploaded to its end")
	}
	u.file, u.mtime = f, m.mtime // clients set it before they rename
	u.size.Store(m.size)
	u.written.front = m.size
	u.digest = digest(f, &b.files.buffers, b.hashing)
	if s, ok := b.sums[u.lies]; ok && s.inode == m.inode && s.size == m.size {
		u.known = &s
	} else {
		u.digest.reach(m.size)
	}
	delete(b.sums, u.lies)
	b.uploads[u.lies], b.all[u] = u, true
	return nil
}

func (h *handler) mkdir(ctx context.Context, raw string) error {
	at, err := h.session.Account.locate(raw)
	if err != nil {
		return err
	}
	if at.folder == nil || at.rest == "" {
		return refusal(wireFailure, "something has that name already")
	}
	if _, err := h.session.Account.file(raw, Drop); err != nil {
		return err
	}
	if bad := badName(at.rest); bad != "" {
		return refusal(wireFailure, "%s: choose another", bad)
	}
	if _, waits, err := h.box.waiting(ctx, at); err != nil || waits {
		return errors.Join(err, refusal(wireFailure, "something has that name already"))
	}
	if err := h.box.take(ctx, h.session.Account, 1, 0); err != nil { // folders take room, too
		return err
	}
	if err := h.box.jail.makeFolder(at.path); err != nil {
		h.box.give(1, 0)
		return err
	}
	return nil
}

func (h *handler) rmdir(ctx context.Context, raw string) error {
	at, err := h.session.Account.file(raw, Drop)
	if err != nil {
		return err
	}
	u, err := h.files.Ledger.Use(ctx, h.box.of(at.folder), at.rest)
	if err != nil {
		return err
	}
	h.box.mu.Lock()
	defer h.box.mu.Unlock()
	for name := range h.box.uploads {
		if _, in := within(at.path, name); in {
			u.Files++
		}
	}
	if u.Files > 0 {
		return refusal(wireFailure, "the folder is not empty")
	}
	if err := h.box.jail.removeFolder(at.path); err != nil {
		return err
	}
	h.box.quota.Files--
	return nil
}

// setstat changes attributes by name. Only the size of an unfinished upload, and its time, have an effect.
func (h *handler) setstat(ctx context.Context, p *wire.Packet) error {
	if p.Attrs.Has == wire.HasOwner {
		return refusal(wireDenied, "permission denied: files have no other owner here")
	}
	now, err := h.stat(ctx, p.Path)
	if err != nil {
		return err
	}
	at, err := h.session.Account.locate(p.Path)
	if err != nil {
		return err
	}
	sized := p.Attrs.Has&wire.HasSize != 0 && p.Attrs.Size != now.Size
	if at.folder == nil || at.rest == "" || at.folder.Right == PickUp {
		if sized {
			return refusal(wireDenied, "permission denied")
		}
		return nil
	}
	there, err := h.box.changePart(at, p.Attrs, sized)
	if err == nil && !there && sized {
		err = refusal(wireDenied, "permission denied: it was taken as it is")
	}
	return err
}

// changePart changes an unfinished upload that nobody has open, if there is one. Nobody can open or land it meanwhile: what they have counted and
// digested is to be what is there.
func (b *mailbox) changePart(at place, a wire.Attrs, sized bool) (there bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uploads[at.path] != nil {
		return false, nil
	}
	f, m, err := b.jail.open(at.path, unix.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if sized {
		err = b.cut(at, f, m, int64(min(a.Size, 1<<62)))
	}
	if a.Has&wire.HasTimes != 0 && err == nil {
		err = setTimes(f, time.Unix(int64(a.Mtime), 0))
	}
	return true, errors.Join(err, f.Close())
}

func setTimes(f *os.File, t time.Time) error {
	tv := unix.NsecToTimeval(t.UnixNano())
	return unix.Futimes(int(f.Fd()), []unix.Timeval{tv, tv})
}

// cut shortens an unfinished upload. b.mu is held.
func (b *mailbox) cut(at place, f *os.File, m meta, size int64) error {
	if size > m.sure() {
		return refusal(wireFailure, "bytes %d to %d were never written: go on at %d", m.sure(), size, m.sure())
	}
	delete(b.sums, at.path)
	if err := f.Chmod(modeBroken); err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	b.quota.Bytes -= m.size - size
	return nil
}

// statvfs tells how much room there is: of the quota, or of the disk where that is less.
func (h *handler) statvfs(ctx context.Context, p *wire.Packet) error {
	if _, err := h.session.Account.locate(p.Path); err != nil {
		return h.status(ctx, p.ID, err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(h.box.jail.root.Fd()), &st); err != nil {
		return h.status(ctx, p.ID, err)
	}
	size := uint64(st.Bsize)
	v := wire.Volume{BlockSize: size, Blocks: st.Blocks, Free: st.Bavail, Files: st.Files, FilesFree: st.Ffree, MaxLen: maxName}
	used, err := h.box.used(ctx, h.session.Account)
	if err != nil {
		return h.status(ctx, p.ID, err)
	}
	q := h.session.Account.Quota
	if q.Bytes > 0 {
		v.Blocks = min(v.Blocks, uint64(q.Bytes)/size)
		v.Free = min(v.Free, uint64(max(q.Bytes-used.Bytes, 0))/size)
	}
	if q.Files > 0 {
		v.Files = min(v.Files, uint64(q.Files))
		v.FilesFree = min(v.FilesFree, uint64(max(q.Files-used.Files, 0)))
	}
	return h.out.Volume(p.ID, v)
}
