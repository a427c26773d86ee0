package watcher

import (
	"sync"
	"time"
)

// patience remembers which files failed, so that each is tried again later and later instead of at every look. The zero
// value is not usable. It is bounded: a file that finds no room is simply tried at every rescan.
type patience struct {
	mu    sync.Mutex
	now   func() time.Time
	first time.Duration // wait after the first failure; doubles
	most  time.Duration
	files map[string]trouble
	swept time.Time
}

// trouble is what is known of one file that failed.
type trouble struct {
	version string
	reason  string
	tries   int
	due     time.Time
}

func newPatience(now func() time.Time, first, most time.Duration) *patience {
	return &patience{now: now, first: first, most: most, files: map[string]trouble{}}
}

// fail notes a failure and returns after how long, and after how many failures so far, to try again.
func (p *patience) fail(path, version, reason string) (wait time.Duration, tries int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	t := p.files[path]
	if t.version != version {
		t = trouble{version: version}
	}
	t.tries++
	t.reason = reason
	wait = p.most
	if shift := t.tries - 1; shift < 20 {
		wait = min(p.most, p.first<<shift)
	}
	t.due = now.Add(wait)
	if len(p.files) >= watchedAtOnce {
		p.sweep(now)
	}
	if _, there := p.files[path]; there || len(p.files) < watchedAtOnce {
		p.files[path] = t
	}
	return wait, t.tries
}

// sweep forgets files that were due long ago and are not asked about any more.
func (p *patience) sweep(now time.Time) {
	if since := now.Sub(p.swept); since >= 0 && since < p.first {
		return // or each of a million files would cost a look at all
	}
	p.swept = now
	for path, t := range p.files {
		if now.Sub(t.due) > staleLook {
			delete(p.files, path)
		}
	}
}

// waits reports whether this version is not to be tried yet, for how long, and why it failed.
func (p *patience) waits(path, version string) (wait time.Duration, reason string, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.files[path]
	if !ok || t.version != version {
		return 0, "", false
	}
	wait = t.due.Sub(p.now())
	return wait, t.reason, wait > 0
}

// forget drops what is known of a file, because it went well or is gone.
func (p *patience) forget(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.files, path)
}

// putOff has a file that failed wait for at least d.
func (p *patience) putOff(path string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.files[path]
	if due := p.now().Add(d); ok && due.After(t.due) {
		t.due = due
		p.files[path] = t
	}
}

// forgive has the files that failed for a reason tried again at once.
func (p *patience) forgive(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for path, t := range p.files {
		if t.reason == reason {
			delete(p.files, path)
		}
	}
}

// size is how many files are in trouble.
func (p *patience) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.files)
}
