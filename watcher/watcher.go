package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"waybill/ledger"
)

// notesShown bounds the waiting files that a Status lists.
const notesShown = 20

// A Watcher runs one source. Make it with New.
type Watcher struct {
	name    string
	src     Source
	stater  Stater // nil where the source has none
	taker   Taker  // as well
	sorted  bool   // the source's order is the order of landing
	intake  Intake
	sets    SetIntake // nil where the intake has none
	archive Archive
	opts    Options
	log     *slog.Logger

	slots     chan struct{} // one per lander
	setSlots  chan struct{} // one per set of small files
	landers   sync.WaitGroup
	again     chan time.Duration // a lander asks for a look before the next rescan
	files     *patience          // that could not be landed
	originals *patience          // that could not be closed
	known     *known             // what the ledger need not be asked again; scanning only
	noted     *noted             // what the ledger was told; scanning only
	blocked   time.Duration      // of the last look: until landers were free; scanning only
	room      *room              // whether the ledger has any
	refused   atomic.Int32       // landings in a row that the ledger refused for another reason

	mu       sync.Mutex
	busy     map[string]struct{} // paths being landed
	doubts   map[string]string   // version by path: opening it proved nothing
	doubtful bool                // one was added
	status   Status
	away     bool   // the last look found the source away
	stuck    string // why the last file could not be closed
}

// A Status is what a watcher is doing, for `waybill status`.
type Status struct {
	Source  string        `json:"source"`
	Scanned time.Time     `json:"scanned,omitzero"`  // end of the last look at everything
	Took    time.Duration `json:"took"`              // how long that look took
	Seen    int           `json:"seen"`              // files it saw, without temporary ones
	Waiting int           `json:"waiting"`           // of these: not taken yet
	Notes   []Note        `json:"notes,omitempty"`   // the first of them
	Landing int           `json:"landing,omitempty"` // being landed now
	Landed  int64         `json:"landed"`            // since the start
	Closed  int64         `json:"closed"`            // since the start
	Error   string        `json:"error,omitempty"`   // what keeps the source from working
}

// A Note says why a file is not taken yet.
type Note struct {
	Path   string    `json:"path"` // as ledger.Shown shows it
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // looked at again at the latest
}

// New makes the watcher of the source called name. Run starts it.
func New(name string, src Source, intake Intake, archive Archive, o Options) *Watcher {
	o = o.fill()
	sorter, ok := src.(Sorter)
	sorted := ok && sorter.Sorted()
	if sorted {
		o.Landers = 1
	}
	w := &Watcher{
		name: name, src: src, intake: intake, archive: archive, opts: o, sorted: sorted,
		log:       o.Log.With("source", name),
		slots:     make(chan struct{}, o.Landers),
		setSlots:  make(chan struct{}, setsAtOnce),
		again:     make(chan time.Duration, 1),
		files:     newPatience(o.Now, 500*time.Millisecond, max(o.Poll, 5*time.Minute)),
		originals: newPatience(o.Now, time.Second, 5*time.Minute),
		known:     newKnown(o.Now),
		room:      &room{now: o.Now},
		noted:     &noted{now: o.Now, seed: maphash.MakeSeed(), sums: map[uint64]struct{}{}},
		busy:      map[string]struct{}{},
		doubts:    map[string]string{},
		status:    Status{Source: name},
	}
	w.stater, _ = src.(Stater)
	w.taker, _ = src.(Taker)
	w.sets, _ = intake.(SetIntake)
	return w
}

// Run watches until ctx ends, and returns when nothing of it runs any more. A file whose reading is interrupted is taken
// again at the next start. The error is for a watcher that cannot work as it is configured.
func (w *Watcher) Run(ctx context.Context) error {
	if l, ok := w.src.(Leaver); ok {
		defer l.Leave()
	}
	if err := w.check(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer w.landers.Wait()
	wg.Go(func() { w.closing(ctx) })
	hints := w.hints(ctx)
	w.scanning(ctx, hints)
	if hints != nil {
		for range hints { // the source closes it when what feeds it has ended
		}
	}
	return nil
}

// check reports what is wrong with the configuration.
func (w *Watcher) check() error {
	for _, c := range w.opts.Companions {
		if err := c.check(); err != nil {
			return fmt.Errorf("watch %s: %w", w.name, err)
		}
		if w.stater == nil {
			return fmt.Errorf("watch %s: companion %q: this kind of source cannot look at single files", w.name, c.Name)
		}
	}
	return nil
}

// Status returns what the watcher is doing. It may be called on any goroutine.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Landing = len(w.busy)
	s.Error = cmp.Or(s.Error, w.room.trouble(), w.stuck)
	return s
}

// Recheck has the next look ask the ledger about every file, for jobs have changed and may take files that none took before.
// It may be called on any goroutine.
func (w *Watcher) Recheck() {
	w.known.recheck.Store(true)
	w.soon(0)
}

// hints asks the source for hints; nil when there are none.
func (w *Watcher) hints(ctx context.Context) <-chan struct{} {
	h, ok := w.src.(Hinter)
	if !ok {
		return nil
	}
	c, err := h.Hints(ctx)
	if err != nil {
		w.log.Warn("no hints: new files are found by looking", "every", w.opts.Poll, "error", err)
		return nil
	}
	return c
}

// scanning looks at the source until ctx ends: at every hint, when something is due, and at least every Poll.
func (w *Watcher) scanning(ctx context.Context, hints <-chan struct{}) {
	failures := 0
	for {
		next, looking, err := w.scan(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			next = min(w.opts.Poll, time.Second<<min(failures, 10))
			failures++
		} else {
			failures = 0
		}
		w.complain(err)
		// Looking takes at most a fifth of the time, however many hints come and however large the folder is.
		quiet := max(0, min(4*looking, time.Second, next))
		if !pause(ctx, quiet) {
			return
		}
		if hints = w.await(ctx, hints, next-quiet); ctx.Err() != nil {
			return
		}
	}
}

// await returns at a hint, after wait, or when ctx ends. It returns hints, or nil once that channel is closed.
func (w *Watcher) await(ctx context.Context, hints <-chan struct{}, wait time.Duration) <-chan struct{} {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	end := w.opts.Now().Add(wait)
	for {
		select {
		case <-ctx.Done():
			return hints
		case _, ok := <-hints:
			if !ok {
				return nil
			}
			return hints
		case d := <-w.again:
			timer.Reset(max(0, min(d, end.Sub(w.opts.Now()))))
		case <-timer.C:
			return hints
		}
	}
}

// soon asks for a look within d.
func (w *Watcher) soon(d time.Duration) {
	select {
	case w.again <- d:
	default: // another file asked; the rescan finds this one
	}
}

// complain logs err once, and once more when it is over.
func (w *Watcher) complain(err error) {
	text := ""
	if errors.Is(err, ledger.ErrFull) {
		w.lacksRoom(-1, err)
		return // not the source's fault, and told in its own words
	}
	if err != nil {
		text = err.Error()
	}
	w.mu.Lock()
	before, away := w.status.Error, w.away
	w.status.Error, w.away = text, errors.Is(err, ErrAway)
	w.mu.Unlock()
	switch {
	case text == before, away && errors.Is(err, ErrAway):
	case text == "":
		w.log.Info("source works again")
	case errors.Is(err, ErrAway):
		w.log.Warn("source is away, its files wait", "error", err)
	default:
		w.log.Warn("look at source", "error", err)
	}
}

// pause waits for d and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
