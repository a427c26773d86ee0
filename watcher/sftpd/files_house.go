package sftpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"waybill/ledger"
)

const (
	partAge    = 24 * time.Hour // an upload that was not gone on with for so long is given up
	sweepEvery = 10 * time.Minute
)

// Run takes away uploads that were never finished, every ten minutes, and notes how much was not noted by itself, until ctx ends. accounts are those of now. [Files.SumUp] is for
// when nobody is served any more.
func (f *Files) Run(ctx context.Context, accounts func() []*Account) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { f.ration.run(ctx) })
	sweep := func() {
		if _, err := f.Sweep(ctx, accounts()); err != nil && ctx.Err() == nil {
			f.Log.Error("take away unfinished uploads", "error", err)
		}
	}
	sweep()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			sweep()
		}
	}
}

// parts calls do for the unfinished uploads in the drop folders of an account.
func (b *mailbox) parts(ctx context.Context, a *Account, do func(Part, meta) error) error {
	var walk func(at string, deep int) error
	walk = func(at string, deep int) error {
		return b.jail.each(at, func(name string) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			full := path.Join(at, name)
			m, err := b.jail.stat(full)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case m.folder() && deep < maxDeep && !a.isFolder(full):
				return walk(full, deep+1)
			case !m.plain():
				return nil
			}
			b.mu.Lock()
			busy := b.uploads[full] != nil
			b.mu.Unlock()
			return do(Part{Partner: b.partner, Path: full, Size: m.size, Changed: m.ctime, Whole: m.isWhole(), Busy: busy}, m)
		})
	}
	for _, d := range a.Folders {
		if d.Right != Drop {
			continue
		}
		if err := walk(d.Path, 0); err != nil {
			return fmt.Errorf("look for unfinished uploads of %s: %w", b.partner, err)
		}
	}
	return nil
}

// isFolder reports whether path is a folder of the account itself.
func (a *Account) isFolder(path string) bool {
	return slices.ContainsFunc(a.Folders, func(f Folder) bool { return f.Path == path })
}

// Sweep takes away uploads that nobody went on with for a day, and returns how many, and the empty folders of those who are no partners any more.
func (f *Files) Sweep(ctx context.Context, accounts []*Account) (n int, err error) {
	var errs []error
	for _, a := range accounts {
		box, err := f.enter(ctx, a)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = box.parts(ctx, a, func(p Part, m meta) error {
			if p.Busy || f.Now().Sub(m.ctime) < partAge {
				return nil
			}
			if gone, err := box.expire(p.Path, m); !gone || err != nil {
				return err
			}
			n++
			return f.ration.Note(ctx, "upload expired", map[string]any{"partner": p.Partner, "path": ledger.Shown("/" + p.Path), "size": p.Size})
		})
		errs = append(errs, err, f.leave(box))
	}
	errs = append(errs, f.sweepLeft(ctx, accounts))
	return n, errors.Join(errs...)
}

// expire removes an upload unless somebody went on with it meanwhile.
func (b *mailbox) expire(path string, m meta) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, err := b.jail.stat(path)
	if err != nil || b.uploads[path] != nil || now.inode != m.inode || now.ctime != m.ctime {
		return false, nil
	}
	return true, b.unlink(path, m)
}

// SumUp notes how much was not noted by itself until now.
func (f *Files) SumUp(ctx context.Context) { f.ration.sumUp(ctx) }

// afterPowerCut takes away what was being written when the machine went down, once for each start of the machine: such files have
// their length, but not for sure their bytes, and would be resumed at the end. A killed process leaves what it wrote.
func (f *Files) afterPowerCut(ctx context.Context, box *mailbox, a *Account) error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = []byte("unknown\n") // then every start is one of the machine
	}
	mark := filepath.Join(f.Folder, boots, box.partner)
	if was, err := os.ReadFile(mark); err == nil && bytes.Equal(was, boot) && string(boot) != "unknown\n" {
		return nil
	}
	err = box.parts(ctx, a, func(p Part, m meta) error {
		if p.Busy || m.mode&unix.S_IXOTH == 0 {
			return nil
		}
		if _, err := box.expire(p.Path, m); err != nil {
			return err
		}
		return f.ration.Note(ctx, "upload broken", map[string]any{"partner": p.Partner, "path": ledger.Shown("/" + p.Path), "size": p.Size,
			"reason": "the machine went down while it was sent: it is to be sent anew"})
	})
	if err != nil {
		return err
	}
	return os.WriteFile(mark, boot, 0o600)
}
