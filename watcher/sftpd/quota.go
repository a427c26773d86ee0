package sftpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"waybill/ledger"
)

// A usage is what lies in a mailbox, as far as is known: it is counted at a session's start and followed from then on. What was processed
// meanwhile is only seen when it is counted anew.
type usage struct {
	known bool
	ledger.Use
	at   time.Time // when it was counted
	took time.Duration
}

// countShare is how many times as long as a count took the next one waits: a partner who asks without end costs a tenth of a processor.
const countShare = 10

// due reports whether the mailbox may be counted now.
func (u *usage) due(now time.Time) bool {
	return !u.known || now.Sub(u.at) >= countShare*u.took
}

// take counts what an upload adds, or refuses it: for want of room on the disk, which is everybody's, or in the quota. It is called with
// box.mu free.
func (b *mailbox) take(ctx context.Context, a *Account, files, bytes int64) error {
	if err := b.files.Ledger.Room(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.lacks(ctx, a, files, bytes); err != nil {
		return err
	}
	b.quota.Files += files
	b.quota.Bytes += bytes
	return nil
}

// lacks reports why so much more cannot be taken, after another count where that may say otherwise. b.mu is held.
func (b *mailbox) lacks(ctx context.Context, a *Account, files, bytes int64) error {
	fits := b.fits(a, files, bytes)
	if (fits != nil || !b.quota.known) && b.quota.due(b.files.Now()) {
		if err := b.count(ctx, a); err != nil {
			return err
		}
		fits = b.fits(a, files, bytes)
	}
	return fits
}

func (b *mailbox) fits(a *Account, files, bytes int64) error {
	q := a.Quota
	if q.Files > 0 && files > 0 && b.quota.Files+files > q.Files {
		return full("the mailbox is full: it may hold %d files; take some away, or wait until what was dropped is processed", q.Files)
	}
	if q.Bytes > 0 && bytes > 0 && b.quota.Bytes+bytes > q.Bytes {
		return full("the mailbox is full: it may hold %d bytes; take something away, or wait until what was dropped is processed", q.Bytes)
	}
	return nil
}

func full(format string, most int64) error {
	return &refused{code: wireFailure, passing: true, text: fmt.Sprintf(format, most)}
}

// lighter says that there is less in the mailbox than is known: the next count need not wait.
func (b *mailbox) lighter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quota.at = time.Time{}
}

// give takes back what take counted.
func (b *mailbox) give(files, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quota.Files -= files
	b.quota.Bytes -= bytes
}

// used returns what lies in the mailbox.
func (b *mailbox) used(ctx context.Context, a *Account) (ledger.Use, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quota.due(b.files.Now()) {
		if err := b.count(ctx, a); err != nil {
			return ledger.Use{}, err
		}
	}
	return b.quota.Use, nil
}

// count counts what lies in the mailbox: files in folders, what waits in the ledger, and uploads that are not on disk.
func (b *mailbox) count(ctx context.Context, a *Account) error {
	var u ledger.Use
	at := b.files.Now()
	seen := map[ledger.Mailbox]bool{}
	for _, f := range a.Folders {
		of := b.of(&f)
		if f.Source == "" || seen[of] {
			continue
		}
		seen[of] = true
		w, err := b.files.Ledger.Use(ctx, of, "")
		if err != nil {
			return err
		}
		u.Files += w.Files
		u.Bytes += w.Bytes
	}
	d, err := b.disk(ctx, a)
	if err != nil {
		return err
	}
	u.Files += d.Files
	u.Bytes += d.Bytes
	for up := range b.all {
		if up.counted.Load() && (!up.onDisk || up.aside != "") {
			u.Files++
			u.Bytes += up.size.Load()
		}
	}
	b.quota = usage{known: true, Use: u, at: at, took: b.files.Now().Sub(at)}
	return nil
}

// disk measures the files of the mailbox, and the folders that the partner has made: these take room, too.
func (b *mailbox) disk(ctx context.Context, a *Account) (u ledger.Use, err error) {
	var walk func(path string, deep int) error
	walk = func(path string, deep int) error {
		if deep > maxDeep {
			return nil
		}
		return b.jail.each(path, func(name string) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			m, err := b.jail.stat(filepath.Join(path, name))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case m.folder():
				full := filepath.Join(path, name)
				if at, err := a.locate(full); err == nil && at.folder != nil && at.rest != "" {
					u.Files++
				}
				return walk(full, deep+1)
			}
			u.Files++
			u.Bytes += m.size
			return nil
		})
	}
	return u, walk("", 0)
}

// each calls do for the names in the folder at path, in no order, without keeping them.
func (j *jail) each(path string, do func(name string) error) error {
	d, err := j.list(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for {
		list, err := d.Readdirnames(256)
		for _, name := range list {
			if err := do(name); err != nil {
				_ = d.Close()
				return err
			}
		}
		if err != nil {
			closeErr := d.Close()
			if errors.Is(err, io.EOF) {
				return closeErr
			}
			return &os.PathError{Op: "list", Path: path, Err: err}
		}
	}
}
