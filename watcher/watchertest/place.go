// Package watchertest is what the tests of watchers share: [Run], the suite that every kind of source whose files lie in a folder passes,
// the [Place] it works on, a [Logbook] and a [Clock].
//
// The suite holds what [watcher.Source] promises whatever is behind it; what is particular to a kind it tests itself.
package watchertest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/watcher"
)

// A Logbook keeps what is logged.
type Logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *Logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Count is how often text was logged.
func (l *Logbook) Count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// Text is all that was logged.
func (l *Logbook) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A Clock is moved by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns one that stands.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)} }

// Now is what it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass moves it on.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A Place is a folder of this machine and a source that watches it, from near or from afar.
type Place struct {
	T      testing.TB
	Source watcher.Source
	Dir    string
	Put    func(name, text string) // writes a file so that the source may read and move it; nil: it just is written
}

// must fails the test where there is an error.
func (p *Place) must(err error) {
	p.T.Helper()
	if err != nil {
		p.T.Fatal(err)
	}
}

// Path is where name is on this machine.
func (p *Place) Path(name string) string { return filepath.Join(p.Dir, name) }

// Write makes or replaces a file, and the folders above it.
func (p *Place) Write(name, text string) {
	p.T.Helper()
	if p.Put != nil {
		p.Put(name, text)
		return
	}
	p.must(os.MkdirAll(filepath.Dir(p.Path(name)), 0o755))
	p.must(os.WriteFile(p.Path(name), []byte(text), 0o644))
}

// Read returns what a file holds.
func (p *Place) Read(name string) string {
	p.T.Helper()
	text, err := os.ReadFile(p.Path(name))
	p.must(err)
	return string(text)
}

// Gone fails the test if name is there.
func (p *Place) Gone(name string) {
	p.T.Helper()
	if _, err := os.Lstat(p.Path(name)); !errors.Is(err, fs.ErrNotExist) {
		p.T.Errorf("%q is still there (%v)", name, err)
	}
}

// Look returns what the source lists, by path, and what it tells.
func (p *Place) Look() (files map[string]watcher.File, errs []error) {
	files = map[string]watcher.File{}
	for f, err := range p.Source.List(context.Background()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files[f.Path] = f
	}
	return files, errs
}

// All returns what the source lists, by path.
func (p *Place) All() map[string]watcher.File {
	p.T.Helper()
	files, errs := p.Look()
	if len(errs) > 0 {
		p.T.Fatal(errs)
	}
	return files
}

// Listed returns one listed file.
func (p *Place) Listed(name string) watcher.File {
	p.T.Helper()
	f, ok := p.All()[name]
	if !ok {
		p.T.Fatalf("%q is not listed", name)
	}
	return f
}

// Content opens f and reads it.
func (p *Place) Content(f watcher.File) (string, error) {
	r, err := p.Source.Open(context.Background(), f)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

// CloseNow closes f, and ends the round that this is.
func (p *Place) CloseNow(f watcher.File, how watcher.Closing) string {
	p.T.Helper()
	where, err := p.Source.Close(context.Background(), f, how)
	p.must(err)
	if s, ok := p.Source.(watcher.Syncer); ok {
		p.must(s.Sync(context.Background()))
	}
	return where
}
