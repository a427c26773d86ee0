package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/ledger"
)

// refusalsInARow is after how many landings that the ledger refused one after the other a scan gives up for now: the
// disk is full or the store has stopped, and the remaining files would only fail as well.
const refusalsInARow = 3

// A scan is one look at everything a source holds.
type scan struct {
	w     *Watcher
	set   []ledger.Arrival // not yet compared with the ledger
	notes []ledger.Waiting // not yet written
	small []landing        // found complete, to be landed together
	bytes int64            // of them
	seen  int
	held  int                 // files that wait
	taken int                 // files that are landed
	busy  map[string]struct{} // being landed when the ledger was asked: it may not have known them yet
	shown []Note
	next  time.Duration // until something is due
	err   error         // the first file that could not be looked at
}

// ScanOnce looks at everything the source holds, and returns when what it found complete has landed. Errors of single
// files are in the ledger's notes and in Status. Not to be called while Run runs.
func (w *Watcher) ScanOnce(ctx context.Context) error {
	if err := w.check(); err != nil {
		return err
	}
	_, _, err := w.scan(ctx)
	w.landers.Wait()
	if err == nil && w.wasDoubtful() {
		_, _, err = w.scan(ctx)
		w.landers.Wait()
	}
	w.complain(err)
	return err
}

// scan looks at everything once. Landings it starts may go on after it. next is until when to look again at the latest.
func (w *Watcher) scan(ctx context.Context) (next, looking time.Duration, err error) {
	start := w.opts.Now()
	w.refused.Store(0)
	w.blocked = 0
	s := &scan{w: w, next: w.opts.Poll}
	w.known.begin()
	w.room.begin()
	err = s.list(ctx)
	end := w.opts.Now()
	if err == nil {
		over, lacking := w.room.end()
		if over {
			w.log.Info("there is room for files again")
		}
		if lacking {
			s.next = min(s.next, roomQuiet)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.known.end()
		err = s.err
		w.status.Scanned, w.status.Took = end, end.Sub(start)
		w.status.Seen, w.status.Waiting, w.status.Notes = s.seen, s.held, s.shown
	}
	return s.next, s.looking(end.Sub(start)), err
}

// looking is the part of a scan's time that went into files which there was nothing to do about. Waiting until files have
// landed is no part of it, nor is finding those that have.
func (s *scan) looking(took time.Duration) time.Duration {
	if s.seen == 0 {
		return took
	}
	return time.Duration(float64(took-s.w.blocked) * float64(s.seen-s.taken) / float64(s.seen))
}

// list streams the listing through sets.
func (s *scan) list(ctx context.Context) error {
	for f, err := range s.w.src.List(ctx) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrAway):
			return err
		case err != nil:
			s.err = cmp.Or(s.err, err)
		default:
			if err := s.see(ctx, f); err != nil {
				return err
			}
		}
	}
	return s.flush(ctx)
}

// see takes in one listed file.
func (s *scan) see(ctx context.Context, f File) error {
	if Ignored(f.Path) || s.w.isCompanion(f.Path) {
		return nil
	}
	s.seen++
	wanted := s.w.opts.Wanted(f.Path)
	switch {
	case f.Skip != "" && !wanted:
		return nil // neither readable nor asked for
	case f.Skip != "":
		s.note(f, "not taken: "+f.Skip, 0)
	case !wanted:
		s.note(f, "no job takes this name", 0)
	case !s.w.known.has(f.Path, f.Version):
		s.set = append(s.set, s.w.arrival(f))
	}
	if len(s.set) >= SetSize || len(s.notes) >= SetSize {
		return s.flush(ctx)
	}
	return nil
}

// flush compares the set with the ledger, takes what is new and writes the notes.
func (s *scan) flush(ctx context.Context) error {
	if len(s.set) > 0 {
		s.busy = s.w.busyNow()
		unknown, err := s.w.intake.Unknown(ctx, s.w.name, s.set)
		if err != nil {
			return fmt.Errorf("compare the listing with the ledger: %w", err)
		}
		s.remember(unknown)
		if !s.w.sorted { // most listings have no order; within a set older files land first
			slices.SortFunc(unknown, func(a, b ledger.Arrival) int {
				return cmp.Or(a.ModTime.Compare(b.ModTime), strings.Compare(a.Path, b.Path))
			})
		}
		for _, a := range unknown {
			if err := s.consider(ctx, File{Path: a.Path, Version: a.Version, Size: a.Size, ModTime: a.ModTime}); err != nil {
				return err
			}
		}
		if err := s.landSet(ctx); err != nil {
			return err
		}
	}
	if len(s.notes) > 0 {
		switch err := s.w.intake.Waiting(ctx, s.w.name, s.notes); {
		case errors.Is(err, ledger.ErrFull):
			s.w.noted.clear()
			s.w.lacksRoom(-1, err)
		case err != nil:
			s.w.noted.clear()
			return err
		}
		s.notes = s.notes[:0]
	}
	return nil
}

// remember keeps of the set what is not unknown, and empties it.
func (s *scan) remember(unknown []ledger.Arrival) {
	paths := make(map[string]struct{}, len(unknown))
	for _, a := range unknown {
		paths[a.Path] = struct{}{}
	}
	for _, a := range s.set {
		if _, yes := paths[a.Path]; !yes {
			s.w.known.add(a.Path, a.Version)
		}
	}
	s.set = s.set[:0]
}

// consider takes a file that the ledger does not know, if it is complete. The error ends the scan.
func (s *scan) consider(ctx context.Context, f File) error {
	w := s.w
	if _, was := s.busy[f.Path]; was || w.isBusy(f.Path) {
		s.next = min(s.next, time.Second) // another version may lie there meanwhile
		w.room.ask()
		return nil
	}
	l := landing{file: f, version: f.Version}
	if c, ok := w.companion(f.Path); ok {
		v, err := w.accompanied(ctx, f, c)
		if err != nil {
			return s.failed(ctx, l, err)
		}
		if v.reason != "" {
			s.note(f, v.reason, v.wait)
			return nil
		}
		l.version, l.vouch = f.Version+" "+v.file.Version, v
	}
	switch wait, reason, yes := w.files.waits(f.Path, l.version); {
	case yes && reason == noRoom():
		w.room.ask()
		s.show(f, reason, wait)
		return nil
	case yes:
		s.note(f, reason, wait)
		return nil
	}
	if !w.proves(l) {
		ok, reason, wait, err := w.src.Ready(ctx, f)
		switch {
		case err != nil:
			return s.failed(ctx, l, err)
		case !ok:
			s.note(f, reason, wait)
			return nil
		}
		l.ready = true
	}
	if wait, yes := w.room.waits(w.isLanding()); yes {
		s.show(f, noRoom(), wait)
		return nil
	}
	if w.refused.Load() >= refusalsInARow {
		return fmt.Errorf("the ledger takes no files now; the last reason is logged with the file")
	}
	s.taken++
	if l.ready && !w.inSets(l) {
		return w.land(ctx, l)
	}
	return s.gather(ctx, l)
}

// failed notes that a file could not be looked at. The error is one that ends the scan.
func (s *scan) failed(ctx context.Context, l landing, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ErrAway) {
		return err
	}
	if reason, wait, ok := s.w.fails(l, err); ok {
		s.note(l.file, reason, wait)
	}
	return nil
}

// note remembers why f is not taken now. wait is until it is looked at again at the latest, 0 for the next rescan.
func (s *scan) note(f File, reason string, wait time.Duration) {
	if n := s.show(f, reason, wait); s.w.noted.first(n) {
		s.notes = append(s.notes, n)
	}
}

// show is note without the ledger.
func (s *scan) show(f File, reason string, wait time.Duration) ledger.Waiting {
	n := ledger.Waiting{Arrival: s.w.arrival(f), Reason: reason}
	if wait > 0 {
		s.next = min(s.next, wait)
		n.Until = s.w.opts.Now().Add(wait)
	}
	s.held++
	if len(s.shown) < notesShown {
		s.shown = append(s.shown, Note{Path: ledger.Shown(f.Path), Reason: reason, Until: n.Until})
	}
	return n
}

// arrival returns f as the ledger knows it.
func (w *Watcher) arrival(f File) ledger.Arrival {
	return ledger.Arrival{Source: w.name, Path: f.Path, Version: f.Version, Size: f.Size, ModTime: f.ModTime}
}
