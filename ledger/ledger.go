package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"waybill/spool"
	"waybill/store"
)

// Topics that a commit may notify, see store's DB.Watch.
const (
	TopicEntries  = "entries"  // there is an entry to be worked
	TopicClosable = "closable" // a file can be closed
	TopicControls = "controls" // a command waits, or one was carried out
	TopicOwed     = "owed"     // an acknowledgement is to be made
)

// setSize is how many rows one set statement is about, at most.
const setSize = store.SetMost

// Options of a ledger.
type Options struct {
	Router Router           // nil: no arrival belongs to a job until SetRouter
	Node   string           // name of the event chain of a new ledger, which keeps it; "" is "local"
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: discard
	Max    int64            // largest file in bytes, 0: no limit
}

// A Ledger is the ledger of one database. Its methods may be called concurrently.
type Ledger struct {
	db     *store.DB
	spool  *spool.Spool
	router atomic.Pointer[Router]

	origins atomic.Pointer[Origins]           // see Adopt
	called  atomic.Pointer[map[string]string] // what was renamed while this process runs: the name of now

	room   atomic.Pointer[func(int64) error] // see SetRoom
	claims claims
	fresh  *fresh
	freed  atomic.Int64 // see freeIdentities
	node   string
	now    func() time.Time
	log    *slog.Logger
	max    int64
}

// New returns the ledger in db, whose bytes are in s.
func New(db *store.DB, s *spool.Spool, o Options) *Ledger {
	l := &Ledger{db: db, spool: s, node: o.Node, now: o.Now, log: o.Log, max: o.Max}
	if l.node == "" {
		l.node = "local"
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.fresh = &fresh{files: map[int64]freshFile{}}
	l.claims = &memory{db: db, now: l.now, held: map[int64]int64{}, fresh: l.fresh}
	l.SetRouter(o.Router)
	l.origins.Store(&Origins{})
	l.called.Store(&map[string]string{})
	return l
}

// SetRoom has enough asked before anything is landed, with its size as far as that is known: an error of it, which should be an ErrFull,
// refuses the arrival, so that it stays where it is.
func (l *Ledger) SetRoom(enough func(size int64) error) { l.room.Store(&enough) }

// Room asks whether there is room to take something in.
func (l *Ledger) Room() error { return l.roomFor(0) }

func (l *Ledger) roomFor(size int64) error {
	if ask := l.room.Load(); ask != nil {
		return (*ask)(size)
	}
	return nil
}

// SetRouter makes r answer from the next landing on. It is called at a reload.
func (l *Ledger) SetRouter(r Router) { l.router.Store(&r) }

// Takes reports whether any job would take an arrival.
func (l *Ledger) Takes(a Arrival) bool {
	if a.Kind == "" {
		a.Kind = OfFile
	}
	return len(l.route(a)) > 0
}

// route asks the router of now.
func (l *Ledger) route(a Arrival) []Policy {
	r := *l.router.Load()
	if r == nil {
		return nil
	}
	return r.Route(a)
}

// clock is now, to the millisecond that is stored.
func (l *Ledger) clock() time.Time { return store.Time(store.Millis(l.now())) }

// ErrGone says that an entry is no longer this worker's: it was cancelled meanwhile, or another claim has it. The worker
// drops what it did.
var ErrGone = errors.New("the entry was cancelled, or is worked under another claim")

// ErrNotFound says that there is no such entry or file.
var ErrNotFound = store.ErrNotFound

// A StateError refuses a command because of the state of its entry.
type StateError struct {
	Do    string // approve, cancel, replay
	Entry int64
	State State
	Need  string // what would be right, in words
}

func (e *StateError) Error() string {
	return fmt.Sprintf("%s #%d: it is %s: %s", e.Do, e.Entry, e.State, e.Need)
}

// instant turns a stored time into a time, zero for NULL.
func instant(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return store.Time(*ms)
}

// orZero is instant for columns that hold 0 instead of NULL.
func orZero(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return store.Time(ms)
}
