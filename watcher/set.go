package watcher

import (
	"context"
	"errors"
	"io"

	"waybill/ledger"
)

// A SetIntake is an Intake that lands many small files at once. Optional.
type SetIntake interface {
	// LandSet is Land for a set of files, with an error or nil for each.
	LandSet(ctx context.Context, list []ledger.Parcel) []error
}

// A Taker is a Source that can prove, while it opens a file, that nobody is writing it: then Ready is not asked before.
// Optional, called on many goroutines.
type Taker interface {
	// Take is Open for a file of which Ready was not asked. It is ErrUnproven where only Ready can tell.
	Take(ctx context.Context, f File) (io.ReadCloser, error)
}

// ErrUnproven says that a file may still be being written, and that Ready is to be asked; compare with errors.Is.
var ErrUnproven = errors.New("it is not proven that nobody is writing it")

// Bounds of a set of small files, and of how many sets land at a time, so that one is read while another is being written.
const (
	setFiles   = 128
	setBytes   = 1 << 20
	smallMost  = 64 << 10
	setsAtOnce = 3
)

// inSets reports whether l lands with others.
func (w *Watcher) inSets(l landing) bool {
	return w.sets != nil && w.opts.Landers > 1 && l.vouch.digest == nil && l.file.Size <= smallMost && w.room.trouble() == ""
}

// proves reports whether opening l tells whether it is complete.
func (w *Watcher) proves(l landing) bool {
	if w.taker == nil || !w.inSets(l) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doubts[l.file.Path] != l.file.Version
}

// doubt has Ready asked of f from the next look on.
func (w *Watcher) doubt(f File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubtful = true
	if len(w.doubts) >= watchedAtOnce {
		clear(w.doubts) // they will be doubted again
	}
	w.doubts[f.Path] = f.Version
}

// wasDoubtful reports whether there was a doubt since it was last asked.
func (w *Watcher) wasDoubtful() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.doubtful
	w.doubtful = false
	return was
}

// gather adds l to the set that lands next.
func (s *scan) gather(ctx context.Context, l landing) error {
	s.small = append(s.small, l)
	s.bytes += l.file.Size
	if len(s.small) < setFiles && s.bytes < setBytes {
		return nil
	}
	return s.landSet(ctx)
}

// landSet starts landing what was gathered, as soon as there is a slot. The error is ctx's.
func (s *scan) landSet(ctx context.Context) error {
	w, set := s.w, s.small
	s.small, s.bytes = nil, 0
	if len(set) == 0 {
		return nil
	}
	if err := w.enter(ctx, w.setSlots); err != nil {
		return err
	}
	w.begins(set...)
	w.landers.Go(func() {
		defer func() { <-w.setSlots }()
		defer w.ends(set...)
		w.takeSet(ctx, set)
	})
	return nil
}

// takeSet lands a set and deals with what became of each.
func (w *Watcher) takeSet(ctx context.Context, set []landing) {
	bodies := make([]witness, len(set))
	parcels := make([]ledger.Parcel, len(set))
	var before []fetched
	if d, ok := w.src.(Distant); ok {
		before = w.fetch(ctx, set, d.Beside())
	}
	for i, l := range set {
		parcels[i] = ledger.Parcel{Arrival: w.arriving(l), Open: func(ctx context.Context) (io.ReadCloser, error) {
			open := w.src.Open
			if !l.ready {
				open = w.taker.Take
			}
			if before != nil {
				open = func(context.Context, File) (io.ReadCloser, error) { return before[i].reader() }
			}
			b := &bodies[i]
			r, err := open(ctx, l.file)
			if err != nil {
				b.err = err
				return nil, err
			}
			b.r, b.Closer = r, r
			return b, nil
		}}
	}
	for i, err := range w.sets.LandSet(ctx, parcels) {
		w.landed(ctx, set[i], w.blame(ctx, &bodies[i], err))
	}
}
