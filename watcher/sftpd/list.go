package sftpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/wire"
)

const (
	listedAtOnce = 128  // names in one answer
	recentNames  = 1024 // uploads that a session remembers
)

func fileAttrs(size int64, t time.Time) wire.Attrs {
	sec := uint32(max(min(t.Unix(), 1<<32-1), 0))
	return wire.Attrs{Has: wire.HasSize | wire.HasOwner | wire.HasMode | wire.HasTimes, Size: uint64(max(size, 0)), Mode: 0o100600, Atime: sec, Mtime: sec}
}

func folderAttrs(t time.Time) wire.Attrs {
	a := fileAttrs(4096, t)
	a.Mode = 0o040700
	return a
}

// attrs of what lies in the mailbox.
func (m meta) attrs() wire.Attrs {
	if m.folder() {
		return folderAttrs(m.mtime)
	}
	return fileAttrs(m.size, m.mtime)
}

// shownPath is a path as a person may be shown it.
func shownPath(p string) string { return ledger.Shown(p) }

// name returns a line of a listing.
func (h *handler) name(name string, a wire.Attrs) wire.Name {
	kind := "-rw-------"
	if a.Mode&0o040000 != 0 {
		kind = "drwx------"
	}
	t := time.Unix(int64(a.Mtime), 0).UTC()
	when := t.Format("Jan _2 15:04")
	if age := h.files.Now().Sub(t); age > 180*24*time.Hour || age < -24*time.Hour {
		when = t.Format("Jan _2  2006")
	}
	return wire.Name{Name: name, Attrs: a,
		Long: fmt.Sprintf("%s    1 %-8s waybill  %8d %s %s", kind, h.box.partner, a.Size, when, shownPath(name))}
}

// stat tells of a path: what is in the mailbox, what waits, or what this session has just dropped, which may be processed already. Programs
// that look for what they sent would take its absence for a loss.
func (h *handler) stat(ctx context.Context, raw string) (wire.Attrs, error) {
	at, err := h.session.Account.locate(raw)
	if err != nil {
		return wire.Attrs{}, err
	}
	if at.folder == nil || at.rest == "" {
		return folderAttrs(h.session.Login), nil
	}
	if at.folder.Right == PickUp && watcher.Ignored(at.rest) {
		return wire.Attrs{}, missing()
	}
	if u := h.box.inMemory(at.path); u != nil {
		return u.attrs(h.files.Now()), nil
	}
	m, err := h.box.jail.stat(at.path)
	if err == nil && (m.folder() || m.plain()) {
		return m.attrs(), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wire.Attrs{}, err
	}
	if at.folder.Right == PickUp {
		return wire.Attrs{}, missing()
	}
	w, ok, err := h.box.waiting(ctx, at)
	if err != nil {
		return wire.Attrs{}, err
	}
	if ok {
		return fileAttrs(w.Size, w.Landed), nil
	}
	if r, ok := h.recent.find(at.path); ok {
		return fileAttrs(r.size, r.at), nil
	}
	return wire.Attrs{}, missing()
}

// inMemory returns the upload in progress under a name that has no file yet.
func (b *mailbox) inMemory(path string) *upload {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u := b.uploads[path]; u != nil && !u.onDisk {
		return u
	}
	return nil
}

// A listing is an open folder.
type listing struct {
	at    place
	stage int
	names []string // of the account's folders, then of uploads in memory
	dir   *os.File
	after string // the last of the names that wait
}

func (h *handler) opendir(ctx context.Context, p *wire.Packet) error {
	if err := h.room(); err != nil { // before anything is opened for it
		return h.status(ctx, p.ID, err)
	}
	l, err := h.list(p.Path)
	if err != nil {
		return h.status(ctx, p.ID, err)
	}
	return h.out.Handle(p.ID, h.add(l))
}

func (h *handler) list(raw string) (*listing, error) {
	at, err := h.session.Account.locate(raw)
	if err != nil {
		return nil, err
	}
	l := &listing{at: at, names: h.session.Account.below(at.path)}
	if at.folder == nil {
		return l, nil
	}
	if l.dir, err = h.box.jail.list(at.path); err != nil {
		return nil, err
	}
	return l, nil
}

// Close ends the listing.
func (l *listing) Close() error {
	if l.dir == nil {
		return nil
	}
	return l.dir.Close()
}

func (h *handler) readdir(ctx context.Context, p *wire.Packet) error {
	l, ok := h.handles[p.Handle].(*listing)
	if !ok {
		return h.status(ctx, p.ID, refusal(wireFailure, "no such handle of a folder"))
	}
	names, err := h.more(ctx, l)
	if err != nil {
		return h.status(ctx, p.ID, err)
	}
	return h.out.Names(p.ID, names...)
}

// more returns the next names: folders of the account, what lies in the folder, uploads in memory, and what waits. The end is io.EOF.
func (h *handler) more(ctx context.Context, l *listing) (names []wire.Name, err error) {
	for len(names) == 0 {
		switch l.stage {
		case 0:
			for _, n := range append([]string{".", ".."}, l.names...) {
				names = append(names, h.name(n, folderAttrs(h.session.Login)))
			}
			l.stage++
			if l.at.folder == nil {
				l.stage = 4
			}
		case 1:
			names, err = h.lying(l)
		case 2:
			names = h.arriving(l)
		case 3:
			names, err = h.waitingNames(ctx, l)
		default:
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// lying returns names in the folder of the mailbox.
func (h *handler) lying(l *listing) (names []wire.Name, err error) {
	list, err := l.dir.Readdirnames(listedAtOnce)
	if errors.Is(err, io.EOF) {
		l.stage++
		return nil, nil
	}
	for _, n := range list {
		full := path.Join(l.at.path, n)
		if l.at.folder.Right == PickUp && watcher.Ignored(n) || slices.Contains(l.names, n) {
			continue
		}
		if m, err := h.box.jail.stat(full); err == nil && (m.folder() || m.plain()) {
			names = append(names, h.name(n, m.attrs()))
		}
	}
	return names, err
}

// arriving returns the uploads into the folder that are in memory.
func (h *handler) arriving(l *listing) (names []wire.Name) {
	h.box.mu.Lock()
	defer h.box.mu.Unlock()
	for name, u := range h.box.uploads {
		if folder, last := split(name); folder == l.at.path && !u.onDisk {
			names = append(names, h.name(last, u.attrs(h.files.Now())))
		}
	}
	l.stage++
	if l.at.folder.Right == PickUp {
		l.stage++
	}
	return names
}

// waitingNames returns names of what waits in the ledger. An upload of the same name stands before it.
func (h *handler) waitingNames(ctx context.Context, l *listing) (names []wire.Name, err error) {
	list, err := h.files.Ledger.Dropped(ctx, h.box.of(l.at.folder), l.at.rest, l.after, listedAtOnce)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		l.after = f.Within()
		_, n := split(f.Path)
		full := path.Join(l.at.path, n)
		if h.box.inMemory(full) != nil {
			continue
		}
		if _, err := h.box.jail.stat(full); err == nil {
			continue
		}
		names = append(names, h.name(n, fileAttrs(f.Size, f.Landed)))
	}
	if len(list) < listedAtOnce {
		l.stage++
	}
	return names, nil
}

// recent is what a session has dropped lately.
type recent struct {
	mu    sync.Mutex
	names map[string]dropped
	order []string
}

type dropped struct {
	size int64
	at   time.Time
}

func (r *recent) add(path string, size int64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string]dropped{}
	}
	if _, there := r.names[path]; !there {
		if len(r.order) == recentNames {
			delete(r.names, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, path)
	}
	r.names[path] = dropped{size, at}
}

func (r *recent) find(path string) (dropped, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.names[path]
	return d, ok
}

func (r *recent) forget(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, path)
	r.order = slices.DeleteFunc(r.order, func(s string) bool { return s == path })
}
