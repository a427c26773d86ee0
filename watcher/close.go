package watcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill/failpoint"
	"waybill/ledger"
)

const (
	closeSet = 500         // files closed in one round at most, which share the cost of making it durable
	closeFor = time.Second // after which a round ends all the same: a far server may take a minute for a set, and what is closed is told soon
	giveUp   = 20          // tries at closing one file: more than an hour
)

// closing closes files until ctx ends: when told that some may be, when one is due again, and every Poll.
func (w *Watcher) closing(ctx context.Context) {
	closable := w.opts.Closable
	told := ""
	for {
		next, err := w.closeAll(ctx)
		if ctx.Err() != nil {
			return
		}
		told = w.closingFails(err, told)
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case _, ok := <-closable:
			if !ok {
				closable = nil
			}
		case <-timer.C:
		}
		timer.Stop()
	}
}

// closingFails logs err unless it was told before, and once more when it is over. It returns what was told.
func (w *Watcher) closingFails(err error, told string) string {
	text := ""
	switch {
	case errors.Is(err, ErrAway): // told by scanning
	case errors.Is(err, ledger.ErrFull):
		text = noRoom() // however many files it is about
	case err != nil:
		text = err.Error()
	}
	switch {
	case text == told:
		return told
	case text == "":
		w.log.Info("files can be closed again")
	default:
		w.log.Warn("close files", "error", err)
	}
	w.sticks(text)
	return text
}

// CloseOnce closes what may be closed now.
func (w *Watcher) CloseOnce(ctx context.Context) error {
	_, err := w.closeAll(ctx)
	return err
}

// closeAll closes what may be closed, round after round. next is until when to come again at the latest.
func (w *Watcher) closeAll(ctx context.Context) (next time.Duration, err error) {
	next = w.opts.Poll
	for ctx.Err() == nil {
		// Files in trouble stand first in the list for as long as they are; they must not keep others from their turn.
		n := closeSet + w.originals.size()
		list, err := w.archive.Closable(ctx, w.name, n)
		if err != nil {
			return next, err
		}
		closed, due, over, err := w.round(ctx, list)
		if due > 0 {
			next = min(next, due)
		}
		if err != nil {
			return next, err
		}
		if closed == 0 || over && len(list) < n {
			return next, nil
		}
	}
	return next, ctx.Err()
}

// round closes the files of one list and returns how many, when the next of those that could not be is due, and whether it went over all of them.
func (w *Watcher) round(ctx context.Context, list []ledger.Closable) (n int, due time.Duration, over bool, err error) {
	var closed []ledger.ClosedFile
	var away error
	begun := w.opts.Now()
	over = true
	for _, c := range list {
		if ctx.Err() != nil || away != nil {
			break
		}
		if len(closed) > 0 && w.opts.Now().Sub(begun) >= closeFor {
			over = false
			break
		}
		if wait, _, yes := w.originals.waits(c.File.Path, c.File.Version); yes {
			due = sooner(due, wait)
			continue
		}
		done, wait, err := w.closeOne(ctx, c)
		switch {
		case errors.Is(err, ErrAway):
			away = err
		case err != nil:
			due = sooner(due, wait)
		default:
			closed = append(closed, done)
		}
	}
	if len(closed) > 0 {
		failpoint.Hit("watcher/closing")
	}
	final := context.WithoutCancel(ctx) // what was moved is told even while stopping
	if s, ok := w.src.(Syncer); ok {
		if err := s.Sync(final); err != nil {
			return 0, due, over, fmt.Errorf("make the closing of %d files of %s durable: %w", len(closed), w.name, err)
		}
	}
	if len(closed) == 0 {
		return 0, due, over, away
	}
	if err := w.archive.Closed(final, closed); err != nil {
		return 0, due, over, err
	}
	failpoint.Hit("watcher/closed")
	w.mu.Lock()
	w.status.Closed += int64(len(closed))
	w.mu.Unlock()
	return len(closed), due, over, away
}

// closeOne closes one file. With an error it is to be tried again after wait.
func (w *Watcher) closeOne(ctx context.Context, c ledger.Closable) (done ledger.ClosedFile, wait time.Duration, err error) {
	f := File{Path: c.File.Path, Version: c.File.Version, Size: c.File.Size, ModTime: c.File.ModTime}
	done = ledger.ClosedFile{ID: c.File.ID}
	done.Where, err = w.takeAway(ctx, f, c)
	switch {
	case err == nil:
		w.sticks("")
	case errors.Is(err, ErrLeft):
		w.sticks(err.Error())
	case ctx.Err() != nil, errors.Is(err, ErrAway):
		return done, 0, err
	case errors.Is(err, ErrChanged):
		done.Err = "another version stands in its place, which is a file of its own"
	default:
		if !errors.Is(err, ErrBusy) {
			w.sticks(fmt.Sprintf("%s: %s", ErrLeft, err))
		}
		wait, tries := w.originals.fail(f.Path, f.Version, err.Error())
		if tries == 1 {
			w.log.Warn("file cannot be closed yet", "file", ledger.Shown(f.Path), "error", err)
		}
		if tries < giveUp {
			return done, wait, err
		}
		done.Err = err.Error()
	}
	w.originals.forget(f.Path)
	return done, 0, nil
}

// sticks has the status say why a file could not be closed, "" for one that could.
func (w *Watcher) sticks(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuck = why
}

// takeAway has the source close f, and its companion before it: a file left behind by a crash is closed again, a
// companion left behind would vouch for the next file of that name.
func (w *Watcher) takeAway(ctx context.Context, f File, c ledger.Closable) (where string, err error) {
	how := Closing{Fate: Done}
	if c.Failed {
		how.Fate, how.ReportName = Failed, c.ReportName
		if c.Report != nil {
			if how.Report, err = c.Report(ctx); err != nil {
				return "", fmt.Errorf("read the reject report: %w", err)
			}
		}
	}
	if comp, ok := w.companion(f.Path); ok && w.stater != nil {
		if now, err := w.stater.Stat(ctx, f.Path); err == nil && now.Version == f.Version {
			if m, err := w.stater.Stat(ctx, comp.of(f.Path)); err == nil && m.Skip == "" {
				if _, err := w.src.Close(ctx, m, Closing{Fate: how.Fate}); err != nil && !errors.Is(err, ErrChanged) && !errors.Is(err, ErrLeft) {
					return "", fmt.Errorf("close its companion: %w", err)
				}
			}
		}
	}
	return w.src.Close(ctx, f, how)
}

// sooner returns the shorter of two waits, where 0 is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
