package sftpd

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"waybill/spool"
	"waybill/watcher"
	"waybill/watcher/wire"
)

// An upload is a handle that was opened for writing. Up to [spool.Inline] bytes it lies in memory, beyond that in a file: in
// the mailbox under its name, or aside when another has taken the name since.
//
// mu is taken before the mailbox's; never two uploads' but by one that holds no name for one that does.
type upload struct {
	box     *mailbox
	session *Session
	at      place
	lies    string // path of its file, which is at's but when it is being renamed
	flags   uint32
	size    atomic.Int64 // also read by listings
	counted atomic.Bool  // as a file, in the quota
	removed atomic.Bool  // its name was removed: it is dropped when it is closed

	// Guarded by box.mu.
	held   bool   // it has its name
	onDisk bool   // there is a file, under the name or aside
	aside  string // where that lies, "" under its name

	mu      sync.Mutex
	memory  []byte
	holds   int64 // bytes that are counted for it
	file    *os.File
	digest  *digester
	written extents
	gaps    bool    // the file is marked as having gaps
	touched bool    // something was written or cut
	renamed bool    // it lands by being renamed
	pointer string  // of one that is renamed: what tells of that
	linked  bool    // and has a second name, in the spool
	known   *sum    // its digest, when that is known already
	resumes bool    // it went on with what was there
	behind  *upload // opened beside one that holds the name; what is written first tells whether it goes on with that
	mtime   time.Time
	ended   bool
	err     error // the first failure: what comes after it is lost, and it never lands
}

// temporary reports whether the name is one that is only kept.
func (u *upload) temporary() bool { return watcher.Ignored(u.at.rest) }

// limit is the largest size that is taken, in bytes.
func (u *upload) limit() int64 {
	limit := int64(math.MaxInt64)
	for _, n := range [...]int64{u.session.Account.Quota.FileSize, u.box.files.Ledger.Max()} {
		if n > 0 {
			limit = min(limit, n)
		}
	}
	return limit
}

// small reports whether all of it lies in memory.
func (u *upload) small() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.file == nil
}

// usable reports why nothing more can be done with the handle.
func (u *upload) usable() error {
	if u.err != nil {
		return u.err
	}
	if u.removed.Load() {
		return refusal(wireFailure, "it was removed while it was uploaded")
	}
	if u.ended {
		return refusal(wireFailure, "this upload has ended: another connection went on with it")
	}
	return nil
}

// write writes p at off. A failure is remembered.
func (u *upload) write(ctx context.Context, p []byte, off uint64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.usable(); err != nil {
		return err
	}
	if u.behind != nil {
		if err := u.bind(ctx, off > 0 || u.flags&wire.FlagAppend != 0); err != nil {
			return u.fail(err)
		}
	}
	if u.flags&wire.FlagAppend != 0 {
		off = uint64(u.size.Load())
	}
	if limit := u.limit(); off > uint64(limit) || int64(off) > limit-int64(len(p)) {
		return u.fail(refusal(wireFailure, "the file is larger than the limit of %d bytes", limit))
	}
	u.touched = true
	from, to := int64(off), int64(off)+int64(len(p))
	if err := u.grow(ctx, max(to, u.size.Load())); err != nil {
		return u.fail(err)
	}
	if err := u.put(p, from); err != nil {
		return u.fail(err)
	}
	if !u.written.add(from, to) {
		return u.fail(refusal(wireFailure, "there are too many gaps in the file: write it from its beginning to its end"))
	}
	return u.follow()
}

// put writes the bytes to where the upload lies.
func (u *upload) put(p []byte, from int64) error {
	to := from + int64(len(p))
	if u.file == nil && to <= spool.Inline && u.hold(to) {
		if to > int64(len(u.memory)) {
			u.memory = append(u.memory, make([]byte, to-int64(len(u.memory)))...)
		}
		copy(u.memory[from:], p)
		return nil
	}
	if u.file == nil {
		if err := u.spill(); err != nil {
			return err
		}
	}
	if from < u.written.front {
		u.digest.rewrite(from)
	}
	_, err := u.file.WriteAt(p, from)
	return err
}

// follow tells the digest how far the file has come, and marks a file that has gaps, so that a killed process leaves none that could
// be taken for whole.
func (u *upload) follow() error {
	if u.file == nil {
		return nil
	}
	u.digest.reach(u.written.front)
	gaps := u.written.front < u.size.Load()
	if gaps == u.gaps {
		return nil
	}
	u.gaps = gaps
	mode := modeOpen
	if gaps {
		mode = modeGaps
	}
	return u.file.Chmod(mode)
}

// grow counts a new size.
func (u *upload) grow(ctx context.Context, size int64) error {
	files := int64(0)
	if !u.counted.Load() {
		files = 1
	}
	by := size - u.size.Load()
	if files == 0 && by <= 0 {
		return nil
	}
	if err := u.box.take(ctx, u.session.Account, files, by); err != nil {
		return err
	}
	u.counted.Store(true)
	u.size.Store(size)
	return nil
}

// fail remembers a failure.
func (u *upload) fail(err error) error {
	if u.err == nil {
		u.err = err
	}
	return err
}

// spill moves the upload from memory to a file.
func (u *upload) spill() error {
	f, err := u.box.place(u)
	if err != nil {
		return err
	}
	u.file, u.gaps = f, false
	u.digest = digest(f, &u.box.files.buffers, u.box.hashing)
	if _, err := f.WriteAt(u.memory, 0); err != nil {
		return err
	}
	u.forget()
	if err := f.Chmod(modeOpen); err != nil {
		return err
	}
	return u.follow()
}

// maxMemory bounds the uploads that lie in memory, of all partners: what comes when it is full goes to files, however small.
const maxMemory = 32 << 20

// hold reports whether the upload may have size bytes in memory.
func (u *upload) hold(size int64) bool {
	by := size - u.holds
	if by <= 0 {
		return true
	}
	if u.box.files.memory.Add(by) > maxMemory {
		u.box.files.memory.Add(-by)
		return false
	}
	u.holds = size
	return true
}

// forget gives back the memory.
func (u *upload) forget() {
	u.box.files.memory.Add(-u.holds)
	u.memory, u.holds = nil, 0
}

// read reads what was written so far.
func (u *upload) read(p []byte, off uint64) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.usable(); err != nil {
		return 0, err
	}
	if u.behind != nil || off >= uint64(u.size.Load()) {
		return 0, refusal(wire.EOF, "end of file")
	}
	if u.file == nil {
		return copy(p, u.memory[off:]), nil
	}
	n, err := u.file.ReadAt(p, int64(off))
	if n > 0 {
		err = nil
	}
	return n, err
}

// set changes attributes: the size, which cuts off or leaves a gap to be filled, and the time that the sender's file has. All others are accepted and
// have no effect.
func (u *upload) set(ctx context.Context, a wire.Attrs) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.usable(); err != nil {
		return err
	}
	if a.Has&wire.HasTimes != 0 {
		u.mtime = time.Unix(int64(a.Mtime), 0)
	}
	if a.Has&wire.HasSize == 0 {
		return nil
	}
	if limit := u.limit(); a.Size > uint64(limit) {
		return u.fail(refusal(wireFailure, "the file is larger than the limit of %d bytes", limit))
	}
	if u.behind != nil {
		if err := u.bind(ctx, a.Size > 0); err != nil {
			return u.fail(err)
		}
	}
	if err := u.resize(ctx, int64(a.Size)); err != nil {
		return u.fail(err)
	}
	return nil
}

// resize gives the upload another size.
func (u *upload) resize(ctx context.Context, size int64) error {
	u.touched = true
	was := u.size.Load()
	switch {
	case size == was:
		return u.grow(ctx, size)
	case size > was && u.file == nil && (size > spool.Inline || !u.hold(size)):
		if err := u.spill(); err != nil {
			return err
		}
	}
	if size > was {
		if err := u.grow(ctx, size); err != nil {
			return err
		}
	} else {
		u.box.give(0, was-size)
		u.size.Store(size)
	}
	if u.file == nil {
		u.memory = append(u.memory[:min(was, size)], make([]byte, max(size-was, 0))...)
		u.written.cut(size)
		return nil
	}
	if size < was {
		u.digest.rewrite(size)
	}
	u.written.cut(size)
	if err := u.file.Truncate(size); err != nil {
		return err
	}
	return u.follow()
}

// attrs are what a client sees of it.
func (u *upload) attrs(now time.Time) wire.Attrs {
	return fileAttrs(u.size.Load(), now)
}

// whole reports the first gap as an error.
func (u *upload) whole() error {
	size := u.size.Load()
	if end, gap := u.written.gap(size); gap {
		return refusal(wireFailure, "bytes %d to %d of %d were never written: the upload is kept up to there, go on at %d or begin anew", u.written.front, end, size, u.written.front)
	}
	return nil
}

// Modes of files in drop folders. They tell a process that starts anew what it finds.
const (
	modeWhole  os.FileMode = 0o600 // closed by its sender, and synced; only its name keeps it from landing
	modeBroken os.FileMode = 0o700 // not closed; what is there was sent, from the beginning on, and is synced
	modeOpen   os.FileMode = 0o701 // being written, from the beginning on
	modeGaps   os.FileMode = 0o711 // being written, with gaps
)

// isWhole reports whether a file in a drop folder was closed by its sender.
func (m meta) isWhole() bool { return m.mode&unix.S_IXUSR == 0 }

// sure returns how much of a file in a drop folder is known to have been sent.
func (m meta) sure() int64 {
	if m.mode&unix.S_IXGRP != 0 {
		return 0
	}
	return m.size
}

func (u *upload) String() string { return fmt.Sprintf("/%s", shownPath(u.at.path)) }
