package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"waybill/failpoint"
	"waybill/outbox"
)

var _ outbox.Target = (*Target)(nil)

// group is how many messages share the syncs of their folders.
const group = 64

// A piece is one message on its way to disk.
type piece struct {
	index  int
	m      *outbox.Message
	name   string // below the folder, as it is in the end
	marker string // "" without one
	took   time.Duration
	err    error
}

// Deliver writes each message as a file. A message that cannot have a name or a place of its own is
// refused; a folder that is missing, full or closed to us is unavailable: a share that is not
// mounted comes back without anybody touching waybill, and retry.give_up bounds the wait.
func (t *Target) Deliver(ctx context.Context, ms []outbox.Message, done func(i int, r outbox.Receipt, err error)) error {
	if len(ms) == 0 {
		return nil
	}
	root, err := os.OpenRoot(t.folder)
	if err != nil {
		err = t.unavailable("open the folder", err)
		for i := range ms {
			done(i, outbox.Receipt{}, err)
		}
		return nil
	}
	defer func() { _ = root.Close() }() // nothing was written through it
	for from := 0; from < len(ms); from += group {
		pieces := make([]piece, min(group, len(ms)-from))
		for i := range pieces {
			pieces[i] = piece{index: from + i, m: &ms[from+i]}
		}
		w := &writer{t: t, root: root, folders: map[string]*folder{}}
		w.deliver(ctx, pieces)
		w.close()
		for _, p := range pieces {
			if p.err != nil {
				done(p.index, outbox.Receipt{}, p.err)
				continue
			}
			done(p.index, outbox.Receipt{Text: p.name, Took: p.took.Milliseconds()}, nil)
		}
	}
	return nil
}

// A writer brings one group to disk.
type writer struct {
	t    *Target
	root *os.Root

	mu      sync.Mutex
	folders map[string]*folder // opened so far, by path below root
}

// deliver brings a group to disk: files, their folders, then markers and their folders, so that no marker
// outlives in a crash the file it stands for.
func (w *writer) deliver(ctx context.Context, pieces []piece) {
	w.each(ctx, pieces, func(p *piece) { p.err = w.write(ctx, p) })
	w.syncFolders(pieces, func(p *piece) string { return path.Dir(p.name) })
	failpoint.Hit("file/folder-synced")
	marked := false
	for _, p := range pieces {
		marked = marked || p.err == nil && p.marker != ""
	}
	if !marked {
		return
	}
	failpoint.Hit("file/marking")
	w.each(context.WithoutCancel(ctx), pieces, func(p *piece) { // the files are there: finish
		if p.err == nil && p.marker != "" {
			p.err = w.mark(p)
		}
	})
	w.syncFolders(pieces, func(p *piece) string {
		if p.marker == "" {
			return ""
		}
		return path.Dir(p.marker)
	})
}

// each does do for every piece, as many at once as the target allows.
func (w *writer) each(ctx context.Context, pieces []piece, do func(*piece)) {
	todo := make(chan *piece)
	var all sync.WaitGroup
	for range min(len(pieces), cap(w.t.slots)) {
		all.Go(func() {
			for p := range todo {
				select {
				case w.t.slots <- struct{}{}:
					do(p)
					<-w.t.slots
				case <-ctx.Done():
					p.err = errors.Join(p.err, ctx.Err())
				}
			}
		})
	}
	for i := range pieces {
		todo <- &pieces[i]
	}
	close(todo)
	all.Wait()
}

// write brings one file to its name.
func (w *writer) write(ctx context.Context, p *piece) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	start := w.t.now()
	name, marker := p.m.Header(":name"), p.m.Header(":marker")
	if err := checkName(name); err != nil {
		return outbox.Refused(fmt.Errorf("write a file in %s: %w", w.t.folder, err))
	}
	if marker != "" {
		if err := checkName(marker); err != nil {
			return outbox.Refused(fmt.Errorf("write a marker in %s: %w", w.t.folder, err))
		}
	}
	exists := p.m.Header(":exists")
	switch exists {
	case existsNumber, existsSame, existsReplace:
	case "":
		exists = w.t.exists
	default:
		return outbox.Refused(fmt.Errorf("write %s in %s: exists is %q: write number, same-or-fail or replace in the job", name, w.t.folder, exists))
	}
	actual, err := w.place(ctx, p.m, name, exists)
	if err != nil {
		return w.judge(name, err)
	}
	p.name, p.took = actual, w.t.now().Sub(start)
	if marker != "" {
		p.marker = markerOf(marker, name, actual)
	}
	return nil
}

// syncFolders makes the names of pieces durable: one sync a folder, however many of its files are new.
func (w *writer) syncFolders(pieces []piece, folder func(*piece) string) {
	synced := map[string]error{}
	for i := range pieces {
		p := &pieces[i]
		dir := folder(p)
		if p.err != nil || dir == "" {
			continue
		}
		err, known := synced[dir]
		if !known {
			err = w.syncFolder(dir)
			synced[dir] = err
		}
		if err != nil {
			p.err = w.judge(p.name, err)
		}
	}
}

func (w *writer) syncFolder(dir string) error {
	f, err := w.folder(dir)
	if err != nil {
		return err
	}
	return f.dir.Sync()
}

// judge says whose fault err is and adds what a person can do about it.
func (w *writer) judge(name string, err error) error {
	var known *outbox.Error
	switch {
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EILSEQ), errors.Is(err, syscall.EINVAL):
		return outbox.Refused(fmt.Errorf("write %s in %s: %w: this file system does not take that name", name, w.t.folder, err))
	case notFolder(err):
		return outbox.Refused(fmt.Errorf("write %s in %s: %w: a file stands where the name needs a folder", name, w.t.folder, err))
	case escapes(err):
		return outbox.Refused(fmt.Errorf("write %s in %s: %w: a link leads out of the folder", name, w.t.folder, err))
	}
	return w.t.unavailable("write "+name, err)
}

// unavailable is the error for what the machine's keeper can mend.
func (t *Target) unavailable(what string, err error) error {
	remedy := "look at the folder and its disk"
	switch {
	case notFolder(err):
		return outbox.Stopped(fmt.Errorf("%s in %s: %w: that is not a folder: correct file.folder, then resume the destination", what, t.folder, err))
	case errors.Is(err, os.ErrNotExist):
		remedy = "create the folder or mount its share; waybill does not create it, lest it fill the place of an unmounted one"
	case errors.Is(err, os.ErrPermission):
		remedy = "let the service's user write there (owner, group, or ReadWritePaths of its systemd unit; group: needs membership)"
	case errors.Is(err, syscall.EROFS):
		remedy = "mount it for writing, or add it to ReadWritePaths of the systemd unit"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "free space or inodes there; delivery goes on by itself"
	}
	return outbox.Unavailable(fmt.Errorf("%s in %s: %w: %s", what, t.folder, err, remedy))
}
