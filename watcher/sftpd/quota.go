package sftpd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"waybill/ledger"
)

// A usage is what lies in a mailbox, as far as is known: it is counted at a session's start and followed from then on. What was processed
// meanwhile is only seen when it is counted anew.
type usage struct {
	known bool
	ledger.Use
}

// take counts what an upload adds, or refuses it. It is called with box.mu free.
func (b *mailbox) take(ctx context.Context, a *Account, files, bytes int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quota.known && b.fits(a, files, bytes) == nil {
		b.quota.Files += files
		b.quota.Bytes += bytes
		return nil
	}
	if err := b.count(ctx, a); err != nil {
		return err
	}
	if err := b.fits(a, files, bytes); err != nil {
		return err
	}
	b.quota.Files += files
	b.quota.Bytes += bytes
	return nil
}

func (b *mailbox) fits(a *Account, files, bytes int64) error {
	q := a.Quota
	if q.Files > 0 && files > 0 && b.quota.Files+files > q.Files {
		return refusal(wireFailure, "the mailbox is full: it may hold %d files; take some away, or wait until what was dropped is processed", q.Files)
	}
	if q.Bytes > 0 && bytes > 0 && b.quota.Bytes+bytes > q.Bytes {
		return refusal(wireFailure, "the mailbox is full: it may hold %d bytes; take something away, or wait until what was dropped is processed", q.Bytes)
	}
	return nil
}

// give takes back what take counted.
func (b *mailbox) give(files, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quota.Files -= files
	b.quota.Bytes -= bytes
}

// count counts what lies in the mailbox: files in folders, what waits in the ledger, and uploads that are not on disk.
func (b *mailbox) count(ctx context.Context, a *Account) error {
	var u ledger.Use
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
	d, err := b.disk(ctx)
	if err != nil {
		return err
	}
	u.Files += d.Files
	u.Bytes += d.Bytes
	for up := range b.all {
		if !up.onDisk || up.aside != "" {
			u.Files++
			u.Bytes += up.size.Load()
		}
	}
	b.quota = usage{known: true, Use: u}
	return nil
}

// disk measures the files of the mailbox.
func (b *mailbox) disk(ctx context.Context) (u ledger.Use, err error) {
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
				return walk(filepath.Join(path, name), deep+1)
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
