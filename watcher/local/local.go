// Package local is the kind of source that is a folder.
//
// The folder belongs to its partners as much as to waybill, so every step expects that they act at the same time: a name
// is opened without following links and without waiting (a named pipe, a link to somewhere else), what was opened is compared with
// what was listed, and a file is moved away only while it is the version that was read. A file is known by inode, size and
// both times; the device is left out, because its number may change with a restart and would make every file new.
//
// Nobody must be writing a file that is taken. On Linux a read lease proves it: the kernel grants one only while
// nobody has the file open for writing, and it is kept while the file is read, so that a writer who comes meanwhile
// is noticed. Where there are no leases, or others write behind the kernel's back (network file systems), a file
// must not change for a while instead.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"waybill/watcher"
)

// Options is what stands under folder: in a source.
type Options struct {
	Path      string `yaml:"path" required:"true" doc:"the folder"`
	Recursive bool   `yaml:"recursive" doc:"look into the folders below it as well"`
}

// A Source is one folder. It implements [watcher.Source], [watcher.Hinter], [watcher.Syncer] and [watcher.Stater].
type Source struct {
	path      string
	recursive bool
	fates     watcher.Fates
	log       *slog.Logger

	settle  *watcher.Settle
	writers map[string]int // how often in a row a file was found open for writing
	remote  bool           // files may change behind the kernel's back; as of the last listing
	round   *round         // of Close calls, until Sync

	warned sync.Map // by text: what was logged once

	mu    sync.Mutex
	hints *fsnotify.Watcher   // nil: none asked for
	dirty map[string]struct{} // folders whose changes Sync makes durable
}

// New makes the source of the folder o names. The folder need not be there yet.
func New(o Options, s watcher.Settings, now func() time.Time, log *slog.Logger) (*Source, error) {
	if o.Path == "" {
		return nil, errors.New("folder: path is missing: write the folder to watch")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", o.Path, err)
	}
	src := &Source{
		path: path, recursive: o.Recursive, log: log.With("folder", path),
		settle:  watcher.NewSettle(s.Settle.Looks, s.Settle.Pause, now),
		writers: map[string]int{},
		dirty:   map[string]struct{}{},
	}
	src.fates = s.Fates(func(fate watcher.Fate, text string) { err = fmt.Errorf("folder %s: %s: %s", o.Path, fate, text) })
	if err != nil {
		return nil, err
	}
	return src, nil
}

// once logs text as a warning the first time it is called with it.
func (s *Source) once(text string, args ...any) {
	if _, before := s.warned.LoadOrStore(text, true); !before {
		s.log.Warn(text, args...)
	}
}

// Hints implements [watcher.Hinter]. Listing a folder adds it to what is watched, so that a folder that was replaced is
// watched again from the next listing on, and nothing falls between the listing and the watch.
func (s *Source) Hints(ctx context.Context) (<-chan struct{}, error) {
	out := make(chan struct{}, 1)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch folder %s: %w: raise fs.inotify.max_user_instances", s.path, err)
	}
	s.setHints(w)
	go func() {
		defer close(out)
		defer w.Close() // nothing to be done about an error of a watch that is given up
		defer s.setHints(nil)
		s.hint(ctx, w, out)
	}()
	return out, nil
}

func (s *Source) setHints(w *fsnotify.Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hints = w
}

// hint turns events into hints until ctx ends. A new name is told at once; writing to a file is told at most ten
// times a second, because there is no event for the end of it.
func (s *Source) hint(ctx context.Context, w *fsnotify.Watcher, out chan<- struct{}) {
	const writing = 100 * time.Millisecond
	look := func() {
		select {
		case out <- struct{}{}:
		default: // one is waiting
		}
	}
	timer := time.NewTimer(writing)
	timer.Stop()
	pending := false
	for {
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case e, ok := <-w.Events:
			switch {
			case !ok:
				return
			case e.Name == s.path: // the folder itself was moved or removed
				look()
			case watcher.Ignored(e.Name[strings.LastIndexByte(e.Name, '/')+1:]):
			case e.Has(fsnotify.Create):
				look()
			case e.Has(fsnotify.Write) && !pending:
				pending = true
				timer.Reset(writing)
			}
		case <-timer.C:
			pending = false
			look()
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // that one only says that there was too much to tell
				s.once("watching the folder failed, new files are found by looking", "error", err)
			}
			look()
		}
	}
}
