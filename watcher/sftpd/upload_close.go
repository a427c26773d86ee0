package sftpd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"waybill/failpoint"
	"waybill/ledger"
	"waybill/spool"
	"waybill/watcher/wire"
)

// headSize is how much of a file is judged at the door.
const headSize = 64 << 10

// close is the client's CLOSE. When it returns nil the file has landed, or, where its name is temporary, is kept.
func (u *upload) close(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return u.usable()
	}
	if u.behind != nil && u.err == nil { // nothing was written: it leaves the other alone
		u.ended = true
		u.box.let(u)
		return nil
	}
	if u.removed.Load() {
		return errors.Join(u.usable(), u.discard())
	}
	if u.err != nil {
		return u.refuse(ctx, u.err)
	}
	if err := u.whole(); err != nil {
		return errors.Join(err, u.keep(ctx, false))
	}
	if u.resumes && !u.touched && u.looked() {
		return u.keep(ctx, false)
	}
	if u.temporary() {
		return u.keep(ctx, true)
	}
	return u.land(ctx)
}

// looked reports whether an upload to which nothing was added was opened to be looked at, or to have its time set. One that was opened to be
// written, and to no other end, is complete: psftp goes on so with an upload of which all came but its CLOSE.
func (u *upload) looked() bool {
	return u.flags&(wire.FlagCreate|wire.FlagAppend) == 0 && (u.flags&wire.FlagRead != 0 || !u.mtime.IsZero() || u.written.front == 0)
}

// broken ends an upload whose connection is gone. What was sent is kept, to be resumed.
func (u *upload) broken(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.giveUp(ctx)
}

// giveUp is broken with mu held.
func (u *upload) giveUp(ctx context.Context) error {
	switch {
	case u.ended:
		return nil
	case u.removed.Load() || u.err != nil || u.behind != nil || u.written.front == 0 && !u.resumes:
		return u.discard()
	}
	return u.keep(ctx, false)
}

// discard drops what was sent.
func (u *upload) discard() error {
	u.ended = true
	err := u.box.erase(u)
	u.release()
	if u.counted.Load() {
		u.box.give(1, u.size.Load())
	}
	return err
}

// release lets go of name and file.
func (u *upload) release() {
	u.box.let(u)
	if u.digest != nil {
		u.digest.stop()
		_ = u.file.Close() // what matters was synced
	}
	u.forget()
}

// keep leaves the upload in the mailbox: whole, so that a rename lands it, or only what came without a gap. An upload whose name another
// has by now has nowhere to be kept.
func (u *upload) keep(ctx context.Context, whole bool) error {
	u.box.mu.Lock()
	held := u.held
	u.box.mu.Unlock()
	if !held {
		return u.discard()
	}
	u.ended = true
	err := u.grow(ctx, u.size.Load()) // an empty one is a file, too
	if err == nil && u.file == nil {
		err = u.spill()
	}
	if err != nil { // nothing of it can be kept, and nothing of it counts
		return errors.Join(err, u.discard())
	}
	defer u.release()
	mode := modeWhole
	if !whole {
		mode = modeBroken
		size := u.size.Load()
		if err := u.file.Truncate(u.written.front); err != nil {
			return err
		}
		u.box.give(0, size-u.written.front)
		u.size.Store(u.written.front)
	}
	if !u.mtime.IsZero() {
		if err := setTimes(u.file, u.mtime); err != nil {
			return err
		}
	}
	failpoint.Hit("sftpd/keeping")
	if err := u.file.Sync(); err != nil {
		return &spool.SyncError{Path: u.file.Name(), Err: err}
	}
	if err := u.file.Chmod(mode); err != nil {
		return err
	}
	failpoint.Hit("sftpd/kept")
	if !whole {
		return nil
	}
	return u.remember()
}

// remember keeps the digest of a whole file for its renaming, which mostly comes at once.
func (u *upload) remember() error {
	m, err := metaOf(u.file)
	if err != nil {
		return err
	}
	digest, blank, err := u.digest.sum(u.size.Load())
	if err != nil {
		return fmt.Errorf("read back %s: %w", u, err)
	}
	u.box.mu.Lock()
	defer u.box.mu.Unlock()
	if !u.held {
		return nil // another has taken the name meanwhile
	}
	if len(u.box.sums) >= maxSums {
		clear(u.box.sums)
	}
	u.box.sums[u.lies] = sum{inode: m.inode, size: m.size, digest: digest, blank: blank}
	return nil
}

// land makes a file of the upload that has landed when it returns nil.
func (u *upload) land(ctx context.Context) error {
	u.ended = true
	defer u.release()
	if err := u.unwanted(); err != nil {
		return u.refuse(ctx, err)
	}
	in, blank, err := u.incoming(ctx)
	if err != nil {
		if u.renamed { // Adopt leaves it one name
			err = errors.Join(err, u.box.unpoint(u))
		}
		return u.refuse(ctx, err)
	}
	a := u.arrival()
	if u.renamed && !u.linked {
		if err := u.box.pointCopied(u, a); err != nil {
			in.Abandon()
			return u.refuse(ctx, err)
		}
	}
	failpoint.Hit("sftpd/landing")
	_, entries, err := u.box.files.Ledger.LandSpooled(ctx, a, ledger.Spooled{Incoming: in, Blank: blank, Event: u.event("uploaded")})
	failpoint.Hit("sftpd/landed")
	switch {
	case err == nil:
		e := u.box.erase(u) // there is one where the bytes were copied, or it was renamed
		failpoint.Hit("sftpd/erased")
		if e == nil {
			e = u.box.unpoint(u)
		}
		if e != nil {
			u.box.files.Log.Error("remove an upload that has landed", "partner", u.box.partner, "path", shownPath("/"+u.at.path), "error", e)
		}
		u.box.files.count(a.Source)
		return rejected(entries)
	case u.renamed: // it is still there under the name that it had
		if e := in.Withdraw(ctx); e != nil {
			return errors.Join(err, e) // the next start finds out whether it has landed
		}
		return errors.Join(err, u.box.unpoint(u))
	case u.counted.Load():
		u.box.give(1, u.size.Load())
	}
	return errors.Join(err, u.box.erase(u))
}

// unwanted says that no job takes a file of this name. What would lie there and never be looked at is better told to its sender at once.
func (u *upload) unwanted() error {
	f := u.at.folder
	switch {
	case f.Keep || u.box.files.Ledger.Takes(u.arrival()):
		return nil
	case len(f.Names) == 0:
		return refusal(wireFailure, "no job takes a file of this name")
	}
	return refusal(wireFailure, "no job takes a file of this name: it is to be like %s", strings.Join(f.Names, ", "))
}

// refuse drops an upload that breaks a rule, and has the ledger remember why. A fault of ours is no reason of the sender's, nor is what is the case here
// at the moment, such as a full mailbox: nothing is rejected then, it is to be sent again as it is.
func (u *upload) refuse(ctx context.Context, why error) error {
	a := u.arrival()
	if u.renamed { // it is still there under the name that it had
		u.ended = true
		u.release()
	} else {
		why = errors.Join(why, u.discard())
	}
	var r *refused
	if !errors.As(why, &r) || r.passing || !u.box.files.ration.admit(u.box.partner, "refused", r.text) {
		return why
	}
	_, err := u.box.files.Ledger.Refuse(ctx, a, r.text, u.event("refused", "reason", r.text))
	return errors.Join(why, err)
}

// rejected returns the reason why no job takes a file that jobs were meant to take: it is a duplicate, and their policy is to reject those.
func rejected(entries []ledger.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	for _, e := range entries {
		if e.State != ledger.Rejected {
			return nil
		}
	}
	return refusal(wireFailure, "rejected as #%d: %s", entries[0].ID, entries[0].Reason)
}

// incoming judges the first bytes and puts the content into the spool.
func (u *upload) incoming(ctx context.Context) (*spool.Incoming, bool, error) {
	if err := u.box.files.Ledger.Room(); err != nil { // before its bytes leave the mailbox
		return nil, false, err
	}
	head := u.memory
	if u.file != nil {
		head = make([]byte, min(u.size.Load(), headSize))
		if _, err := u.file.ReadAt(head, 0); err != nil {
			return nil, false, fmt.Errorf("read back %s: %w", u, err)
		}
	}
	if admit := u.box.files.Admit; admit != nil {
		if err := admit.Admit(ctx, u.arrival(), head); err != nil {
			return nil, false, &refused{code: wireFailure, text: err.Error()}
		}
	}
	if u.file == nil || u.renamed && u.size.Load() <= spool.Inline { // of the latter the file stays until the row is committed
		var blank ledger.Blankness
		blank.Look(head)
		in, err := u.box.files.Spool.Keep(ctx, head)
		return in, blank.Blank(), err
	}
	sum, blank, err := u.summed()
	if err != nil {
		return nil, false, fmt.Errorf("read back %s: %w", u, err)
	}
	if err := u.file.Chmod(modeWhole); err != nil {
		return nil, false, err
	}
	in, err := u.box.files.Spool.Adopt(ctx, u.file, sum, func(to string) error { return u.box.moveTo(u, to) })
	return in, blank, err
}

// summed returns the SHA-256 of the file.
func (u *upload) summed() ([]byte, bool, error) {
	if u.known != nil {
		return u.known.digest, u.known.blank, nil
	}
	return u.digest.sum(u.size.Load())
}

// arrival is what the ledger is told of it.
func (u *upload) arrival() ledger.Arrival {
	a := ledger.Arrival{Source: u.at.folder.Source, Path: u.box.partner + "/" + u.at.rest, Version: fresh(), Size: u.size.Load(), ModTime: u.mtime,
		Partner: u.box.partner, Trial: u.at.folder.Trial}
	if a.ModTime.IsZero() {
		a.ModTime = u.box.files.Now()
	}
	return a
}

// event is one about the upload.
func (u *upload) event(kind string, more ...any) *ledger.Event {
	return &ledger.Event{Kind: kind, Detail: u.session.detail(append(more, "path", "/"+u.at.path, "size", u.size.Load())...)}
}
