package sftp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/wire"
)

const (
	sortedAtOnce = 100_000 // files put in order at a time, …
	sortedBytes  = 8 << 20 // … unless their paths take more than this: with 80 bytes each, all together 20 MB
	longestName  = 1024    // bytes of a name
	foldersAhead = 10_000  // folders that wait to be listed
	readdirIdle  = 1_000   // answers without a name but . and .., one after the other, before a folder is given up
)

// A lister is one look at all there is.
type lister struct {
	s       *Source
	ctx     context.Context
	session *session
	yield   func(watcher.File, error) bool
	root    string // what the server calls the folder, "" when it does not say
	folders []string
	names   int           // seen
	folds   int           // folders entered
	waited  time.Duration // for answers
	partly  bool          // something could not be looked at
	sorted  []watcher.File
	bytes   int  // of the paths of these
	stopped bool // the reader has enough
}

// List implements [watcher.Source]. One READDIR is under way at a time, and what it brought is yielded before the next: the
// server keeps the rest.
func (s *Source) List(ctx context.Context) iter.Seq2[watcher.File, error] {
	return func(yield func(watcher.File, error) bool) {
		l := &lister{s: s, ctx: ctx, yield: yield, folders: []string{""}}
		s.marks.begin()
		var handle string
		err := s.server.use(ctx, func(on *session) (err error) {
			l.session = on
			handle, err = on.handle(ctx, wire.Begin(wire.Opendir).Text(s.full("")))
			return err
		})
		if err != nil {
			if !errors.Is(err, watcher.ErrAway) {
				err = s.server.away(fmt.Errorf("list folder %s: %w", ledger.Shown(s.full("")), err))
			}
			yield(watcher.File{}, err)
			return
		}
		l.root, _ = l.session.realpath(ctx, s.full("")) // only to recognise links to folders; not all servers know it
		if l.walk(handle); !l.stopped && !l.partly && ctx.Err() == nil {
			s.marks.end()
		}
	}
}

// walk lists folder after folder. handle is the first one's.
func (l *lister) walk(handle string) {
	for len(l.folders) > 0 && !l.stopped && l.ctx.Err() == nil {
		last := len(l.folders) - 1
		below := l.folders[last]
		l.folders = l.folders[:last]
		var err error
		if below != "" {
			handle, err = l.enter(below)
		}
		if err == nil {
			err = l.folder(below, handle)
		}
		var lost lostError
		var slow *slowError
		switch {
		case err == nil, l.ctx.Err() != nil:
		case errors.Is(err, fs.ErrNotExist) && below != "": // gone since it was seen
		case errors.As(err, &lost), errors.As(err, &slow), below == "":
			l.stop(l.s.server.away(fmt.Errorf("list folder %s: %w", ledger.Shown(l.s.full(below)), err)))
		default:
			l.tell(fmt.Errorf("list folder %s: %w", ledger.Shown(below), err))
		}
	}
	l.flush()
}

// enter opens a folder below, unless it leads elsewhere.
func (l *lister) enter(below string) (handle string, err error) {
	l.folds++
	defer l.waiting(&err)()
	if l.root != "" {
		// READDIR of some servers shows a link to a folder as that folder: it may lead out, or round in a circle.
		real, err := l.session.realpath(l.ctx, l.s.full(below))
		if err != nil {
			return "", err
		}
		if want := strings.TrimSuffix(l.root, "/") + "/" + below; real != want {
			return "", fmt.Errorf("is a link to %s, which is not followed", ledger.Shown(wire.Cut(real)))
		}
	}
	return l.session.handle(l.ctx, wire.Begin(wire.Opendir).Text(l.s.full(below)))
}

// folder yields the files of one open folder, and adds the folders in it to those to be listed.
func (l *lister) folder(below, handle string) error {
	defer l.session.forget(handle)
	prefix := below
	if below != "" {
		prefix += "/"
	}
	refused, first, empty := 0, "", 0
	for !l.stopped && l.ctx.Err() == nil {
		a, err := l.more(handle)
		if err != nil {
			return err
		}
		empty++
		for n, err := range a.Names() {
			if err != nil {
				l.refuse(below, refused, first)
				return ended(err)
			}
			if n.Name == "." || n.Name == ".." {
				continue
			}
			empty = 0
			if l.names++; l.names > l.s.o.Names {
				l.stop(fmt.Errorf("more than %d names: the rest is not looked at; clear the folder up, or raise names", l.s.o.Names))
				return nil
			}
			if bad(n.Name) {
				if refused++; refused == 1 {
					first = n.Name
				}
				continue
			}
			attrs := attributes(n.Attrs)
			attrs.kindFrom(n.Long)
			if l.entry(prefix, n.Name, attrs); l.stopped {
				return nil
			}
		}
		if empty > readdirIdle {
			return wire.Broken("a listing that does not end")
		}
	}
	return nil
}

// more asks for the next names of a folder.
func (l *lister) more(handle string) (a wire.Answer, err error) {
	defer l.waiting(&err)()
	return l.session.ask(l.ctx, wire.Begin(wire.Readdir).Text(handle))
}

// A slowError ends a look at a server that answers just enough not to be taken for dead: nothing new of the source would be found meanwhile.
type slowError struct {
	names int
	took  time.Duration
}

func (e *slowError) Error() string {
	return fmt.Sprintf("the server has listed %d names in %s, which is too slow: the look is ended and begun anew later", e.names, e.took.Round(time.Second))
}

// waiting counts how long answers are waited for, until what it returns is called: landing what was listed takes its own time. It sets err when that is too long
// for what has come: a name a second, after the grace.
func (l *lister) waiting(err *error) func() {
	server := l.s.server
	begun := server.now()
	return func() {
		l.waited += server.now().Sub(begun)
		if most := server.timing.grace + time.Duration(l.names+l.folds)*server.timing.listed; *err == nil && l.waited > most {
			*err = &slowError{l.names, l.waited}
		}
	}
}

// ended is err, unless it says no more than that there is no more.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// refuse tells of the names of a folder that are none.
func (l *lister) refuse(below string, n int, first string) {
	if n > 0 {
		l.tell(fmt.Errorf("folder %s: %d names are refused, for they are empty or too long or hold \"/\" or a zero byte: the first is %q", ledger.Shown(below), n, wire.Cut(first)))
	}
}

// bad reports whether a name is none: it would lead elsewhere, or nowhere.
func bad(name string) bool {
	return name == "" || len(name) > longestName || strings.ContainsAny(name, "/\x00")
}

// entry takes in one name.
func (l *lister) entry(prefix, name string, a attributes) {
	path := prefix + name
	if watcher.Ignored(name) || l.s.excluded(path, name) {
		return
	}
	if a.isFolder() {
		if l.s.fates.Reserved(path) {
			return
		}
		if l.s.o.Recursive {
			l.descend(path)
			return
		}
	}
	if !l.s.included(path, name) {
		return
	}
	f := file(path, a)
	l.s.marks.listed(f.Path, f.Version)
	if l.s.o.ReadOnce && !a.tells(wire.HasSize) && a.isFile() {
		f.Skip = "" // mailboxes do not always know
	}
	if !l.s.ordered() {
		l.give(f, nil)
		return
	}
	l.sorted = append(l.sorted, f)
	if l.bytes += len(f.Path); len(l.sorted) >= sortedAtOnce || l.bytes >= sortedBytes {
		l.flush()
	}
}

// descend adds a folder to those to be listed.
func (l *lister) descend(path string) {
	switch {
	case strings.Count(path, "/")+1 >= l.s.o.Depth:
		l.tell(fmt.Errorf("folder %s is not looked into: it is deeper than %d; raise depth", ledger.Shown(path), l.s.o.Depth))
	case len(l.folders) >= foldersAhead:
		l.tell(fmt.Errorf("folder %s is not looked into: there are more than %d", ledger.Shown(path), foldersAhead))
	default:
		l.folders = append(l.folders, path)
	}
}

// give yields.
func (l *lister) give(f watcher.File, err error) {
	if !l.stopped && !l.yield(f, err) {
		l.stopped = true
	}
}

// tell yields an error, after which the look goes on.
func (l *lister) tell(err error) {
	l.partly = true
	l.give(watcher.File{}, err)
}

// stop yields what is left and an error, and ends the look.
func (l *lister) stop(err error) {
	l.flush()
	l.tell(err)
	l.stopped = true
}

// flush yields what was put in order.
func (l *lister) flush() {
	slices.SortFunc(l.sorted, func(a, b watcher.File) int {
		byName := strings.Compare(a.Path, b.Path)
		if l.s.o.Order == "name" {
			return byName
		}
		return cmp.Or(a.ModTime.Compare(b.ModTime), byName)
	})
	for _, f := range l.sorted {
		l.give(f, nil)
	}
	l.sorted, l.bytes = l.sorted[:0], 0
}

// file is what the watcher is told.
func file(path string, a attributes) watcher.File {
	f := watcher.File{Path: path, Version: a.version(), ModTime: a.modTime(), Skip: a.skip()}
	if f.Skip == "" {
		f.Size = int64(a.Size)
	}
	return f
}

// included reports whether a file is asked for.
func (s *Source) included(full, name string) bool {
	return len(s.o.Include) == 0 || matches(s.o.Include, full, name)
}

// excluded reports whether a file or folder is asked not to be looked at.
func (s *Source) excluded(full, name string) bool { return matches(s.o.Exclude, full, name) }

func matches(patterns []string, full, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		subject := name
		if strings.Contains(pattern, "/") {
			subject = full
		}
		ok, err := path.Match(pattern, subject)
		return ok && err == nil // checked by New
	})
}

// Stat implements [watcher.Stater].
func (s *Source) Stat(ctx context.Context, path string) (f watcher.File, err error) {
	err = s.server.use(ctx, func(on *session) error {
		a, err := on.lstat(ctx, s.full(path))
		if err == nil {
			f = file(path, a)
		}
		return err
	})
	return f, s.named("look at", path, err)
}

// named says what an error is about, unless it is about the server as a whole.
func (s *Source) named(what, path string, err error) error {
	if err == nil || errors.Is(err, watcher.ErrAway) {
		return err
	}
	return fmt.Errorf("%s %s: %w", what, ledger.Shown(path), err)
}
