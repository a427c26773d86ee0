package watcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"time"

	"waybill/failpoint"
	"waybill/ledger"
)

// A landing is a file on its way into the ledger.
type landing struct {
	file    File
	version string // what failures are remembered by: the file's version and its companion's
	vouch   vouch  // of its companion
	ready   bool   // Ready said so
}

// arriving is the file as the ledger is given it.
func (w *Watcher) arriving(l landing) ledger.Arrival {
	a := w.arrival(l.file)
	a.Companions = l.vouch.beside()
	return a
}

// land starts landing a file, as soon as a lander is free. The error is ctx's.
func (w *Watcher) land(ctx context.Context, l landing) error {
	if err := w.enter(ctx, w.slots); err != nil {
		return err
	}
	w.begins(l)
	w.landers.Go(func() {
		defer func() { <-w.slots }()
		defer w.ends(l)
		w.landed(ctx, l, w.take(ctx, l))
	})
	return nil
}

// enter waits for one of slots, and notes how long. The error is ctx's.
func (w *Watcher) enter(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	since := w.opts.Now()
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	w.blocked += w.opts.Now().Sub(since)
	return nil
}

// begins notes that files are being landed, ends that they are not any more.
func (w *Watcher) begins(set ...landing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range set {
		w.busy[l.file.Path] = struct{}{}
	}
}

func (w *Watcher) ends(set ...landing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range set {
		delete(w.busy, l.file.Path)
	}
}

// isBusy reports whether path is being landed.
func (w *Watcher) isBusy(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, yes := w.busy[path]
	return yes
}

// busyNow returns the files that are being landed.
func (w *Watcher) busyNow() map[string]struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.busy)
}

// isLanding reports whether any file is being landed.
func (w *Watcher) isLanding() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.busy) > 0
}

// landed deals with what became of a file that was to be landed.
func (w *Watcher) landed(ctx context.Context, l landing, err error) {
	if err == nil {
		w.refused.Store(0)
		w.files.forget(l.file.Path)
		w.mu.Lock()
		w.status.Landed++
		delete(w.doubts, l.file.Path)
		w.mu.Unlock()
		failpoint.Hit("watcher/landed")
		lacking, first := w.room.fits(l.file.Size)
		if first {
			w.files.forgive(noRoom())
		}
		if lacking {
			w.soon(0) // others waited for this one
		}
		return
	}
	if ctx.Err() != nil || errors.Is(err, ErrAway) {
		return // being stopped is not failing; and that the source went away is told by scanning
	}
	if errors.Is(err, ErrUnproven) {
		w.doubt(l.file)
		w.soon(0)
		return
	}
	reason, wait, ok := w.fails(l, err)
	if !ok {
		return
	}
	note := ledger.Waiting{Arrival: w.arrival(l.file), Reason: reason, Until: w.opts.Now().Add(wait)}
	switch err := w.intake.Waiting(ctx, w.name, []ledger.Waiting{note}); {
	case errors.Is(err, ledger.ErrFull):
		w.lacksRoom(-1, err)
	case err != nil:
		w.log.Warn("note a waiting file", "file", ledger.Shown(l.file.Path), "error", err)
	}
	w.soon(wait)
}

// take reads the file into the ledger.
func (w *Watcher) take(ctx context.Context, l landing) error {
	r, err := w.src.Open(ctx, l.file)
	if err != nil {
		return err
	}
	defer r.Close() // only read from; what matters was told by its last Read
	body := &witness{r: r}
	if l.vouch.digest != nil {
		body.r = &verifier{r: r, hash: l.vouch.companion.hash(), want: l.vouch.digest}
	}
	_, _, err = w.intake.Land(ctx, w.arriving(l), body)
	return w.blame(ctx, body, err)
}

// blame returns the error of a landing in the words of whose fault it is.
func (w *Watcher) blame(ctx context.Context, body *witness, err error) error {
	switch {
	case body.err != nil:
		return body.err // the file's fault, in its own words
	case err != nil && ctx.Err() == nil && !errors.Is(err, ledger.ErrFull):
		w.refused.Add(1)
	}
	return err
}

// fails remembers that a file could not be taken, and returns the reason to note and when it is tried again. It reports
// false when there is nothing to note: the file is gone.
func (w *Watcher) fails(l landing, err error) (reason string, wait time.Duration, noted bool) {
	f := l.file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.files.forget(f.Path)
		return "", 0, false
	case errors.Is(err, ErrBusy):
		reason = "somebody has it open for writing"
		wait, _ = w.files.fail(f.Path, l.version, reason)
		return reason, wait, true
	case errors.Is(err, ErrChanged):
		// The next listing shows it as another version. Only if it does not, patience is called for.
		reason = "changed while it was being taken"
		wait, _ = w.files.fail(f.Path, l.version, reason)
		return reason, wait, true
	case errors.Is(err, ledger.ErrFull):
		w.files.fail(f.Path, l.version, noRoom())
		wait = w.lacksRoom(f.Size, err)
		w.files.putOff(f.Path, 2*wait) // another has its turn before it
		return noRoom(), wait, true
	case errors.Is(err, errMismatch):
		reason = fmt.Sprintf("%s (%s): one of the two was not sent whole", errMismatch, ledger.Shown(l.vouch.companion.of(f.Path)))
	case errors.Is(err, fs.ErrPermission):
		reason = fmt.Sprintf("%s: let the user that waybill runs as read it", err)
	default:
		reason = err.Error()
	}
	wait, tries := w.files.fail(f.Path, l.version, reason)
	if tries == 1 {
		w.log.Warn("file cannot be taken", "file", ledger.Shown(f.Path), "error", err)
	}
	return reason, wait, true
}

// A witness remembers the error that reading ended with, so that a faulty file is told from a ledger that refuses.
type witness struct {
	io.Closer
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (w *witness) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
