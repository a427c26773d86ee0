package watcher

import (
	"sync"
	"time"

	"waybill/ledger"
)

const (
	roomFirst = time.Second      // from the first landing for which there was no room to the next try; doubles
	roomQuiet = 10 * time.Second // without a file that fails, until it is over
	roomMost  = 25 * time.Second // and so how long after somebody made room files may still wait
)

// A room is whether the ledger has room for files. When it has none, every file would fail, and the notes about them as
// well: so one file is tried now and then, the others wait unnoted, and the log says once that it began and once that it is over.
type room struct {
	now func() time.Time

	mu      sync.Mutex
	lacking bool
	size    int64     // of the smallest file there was no room for, -1 if there was none even for a note
	tries   int       // that failed, since one did not
	due     time.Time // of the next try
	failed  time.Time // when the last one did
	fit     bool      // a file of that size has landed since
	asked   bool      // for, in this look
}

// noRoom is the reason that files wait for.
func noRoom() string { return ledger.ErrFull.Error() }

// begin starts a look.
func (r *room) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = false
}

// ask notes that somebody waits for room.
func (r *room) ask() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = true
}

// lacks notes that there was no room for size bytes, -1 for those of a note. It returns when to try again, and whether it is news.
func (r *room) lacks(size int64) (wait time.Duration, news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if news = !r.lacking; news {
		r.lacking, r.size, r.tries, r.due = true, size, 0, now
	}
	if size >= 0 && (r.size < 0 || size < r.size) {
		r.size = size
	}
	r.asked, r.failed, r.fit = true, now, false
	if !now.Before(r.due) { // else this one was begun before the last that failed
		r.due = now.Add(min(roomMost, roomFirst<<min(r.tries, 10)))
		r.tries++
	}
	return r.due.Sub(now), news
}

// fits notes that a file of size bytes was landed. It reports whether there is a want of room, and whether this file is the first
// to tell of its end: a small one may fit where others do not.
func (r *room) fits(size int64) (lacking, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries, r.due = 0, time.Time{}
	first = r.lacking && !r.fit && size >= r.size
	r.fit = r.fit || first
	return r.lacking, first
}

// end ends a look, and with it a want of room: when a file landed for which there was none, and none has failed for a while
// since, for one that fails leaves room to another; or when no file asks for room any more. It reports whether one is over, and whether
// one goes on.
func (r *room) end() (over, lacking bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	over = r.lacking && (!r.asked || r.fit && r.now().Sub(r.failed) >= roomQuiet)
	r.lacking = r.lacking && !over
	return over, r.lacking
}

// waits reports whether a file is not to be tried now, and for how long. After one that failed, one try at a time is under way.
func (r *room) waits(underway bool) (wait time.Duration, yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.lacking {
		return 0, false
	}
	r.asked = true
	wait = r.due.Sub(r.now())
	if underway && r.tries > 0 {
		wait = max(wait, roomFirst)
	}
	return wait, wait > 0
}

// trouble is why there is no room, "" while there is.
func (r *room) trouble() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lacking {
		return noRoom()
	}
	return ""
}

// lacksRoom notes that there was no room for a file of size bytes, -1 for a note, and returns when to try again.
func (w *Watcher) lacksRoom(size int64, err error) (wait time.Duration) {
	wait, news := w.room.lacks(size)
	if news {
		w.log.Warn("there is no room for files, they wait", "error", err)
	}
	return wait
}
