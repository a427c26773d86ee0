package watcher

import (
	"fmt"
	"time"
)

// watchedAtOnce bounds what is kept of files that wait, so that memory does not grow with a folder.
const watchedAtOnce = 10_000

// staleLook is when a file that is no longer asked about is forgotten.
const staleLook = 10 * time.Minute

// A Settle tells a finished file from one that is being written where nothing better can be had (network file systems,
// remote servers): its version must be the same at several looks, some time apart on the monotonic clock. It serves one
// goroutine.
type Settle struct {
	looks int
	pause time.Duration
	now   func() time.Time
	seen  map[string]look
	swept time.Time
}

// look is what is known of one file that settles.
type look struct {
	version string
	times   int
	last    time.Time // the last look that counted
}

// NewSettle asks for the given number of equal looks (2 when 0), pause apart (5 s when 0: longer than
// the attribute cache of NFS is young).
func NewSettle(looks int, pause time.Duration, now func() time.Time) *Settle {
	if looks <= 0 {
		looks = 2
	}
	if pause <= 0 {
		pause = 5 * time.Second
	}
	return &Settle{looks: looks, pause: pause, now: now, seen: map[string]look{}}
}

// Look takes a look at f and reports whether it has settled; if not, why, and how long to wait before the next look.
func (s *Settle) Look(f File) (ok bool, reason string, wait time.Duration) {
	now := s.now()
	l, known := s.seen[f.Path]
	switch {
	case !known && !s.room(now):
		return false, fmt.Sprintf("waits its turn: %d other files are being watched until they stop changing", watchedAtOnce), s.pause
	case !known || l.version != f.Version:
		l = look{version: f.Version, times: 1, last: now}
	case now.Before(l.last): // a clock without its monotonic part was set back
		l.last = now
	case now.Sub(l.last) >= s.pause:
		l.times, l.last = l.times+1, now
	}
	if l.times >= s.looks {
		delete(s.seen, f.Path)
		return true, "", 0
	}
	s.seen[f.Path] = l
	reason = fmt.Sprintf("waits until it stops changing: look %d of %d, %s apart", l.times, s.looks, s.pause)
	return false, reason, s.pause - now.Sub(l.last)
}

// room forgets files that went away when the table is full, and reports whether one more may be watched.
func (s *Settle) room(now time.Time) bool {
	if len(s.seen) < watchedAtOnce {
		return true
	}
	if since := now.Sub(s.swept); since >= 0 && since < s.pause {
		return false // or each of a million names would cost a look at all
	}
	s.swept = now
	for path, l := range s.seen {
		if now.Sub(l.last) > max(staleLook, 3*s.pause) {
			delete(s.seen, path)
		}
	}
	return len(s.seen) < watchedAtOnce
}
