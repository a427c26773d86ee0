package sftpd

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"waybill/watcher/wire"
)

// open opens a file, for reading or for an upload.
func (h *handler) open(ctx context.Context, p *wire.Packet) error {
	if err := h.room(); err != nil {
		return h.status(ctx, p.ID, err)
	}
	const writing = wire.FlagWrite | wire.FlagAppend | wire.FlagCreate | wire.FlagTrunc
	if p.Flags&writing == 0 {
		d, err := h.download(ctx, p.Path)
		if err != nil {
			return h.status(ctx, p.ID, err)
		}
		return h.out.Handle(p.ID, h.add(d))
	}
	at, err := h.session.Account.file(p.Path, Drop)
	if err != nil {
		return h.status(ctx, p.ID, err)
	}
	h.settled(at.path)
	u, err := h.box.open(ctx, h.session, at, p.Flags)
	if err != nil {
		h.turnedAway(ctx, at.path, err)
		h.tell(at.path, err)
		return h.status(ctx, p.ID, err)
	}
	if p.Attrs.Has&wire.HasTimes != 0 {
		_ = u.set(ctx, wire.Attrs{Has: wire.HasTimes, Mtime: p.Attrs.Mtime})
	}
	h.files.note(h.session.ID, +1)
	return h.out.Handle(p.ID, h.add(u))
}

// settled waits until no upload of that name is being landed for this session.
func (h *handler) settled(name string) {
	h.mu.Lock()
	busy := h.pending[name] > 0
	h.mu.Unlock()
	if busy {
		h.closing.Wait()
	}
}

// close closes a handle. For an upload the answer comes when it has landed.
func (h *handler) close(ctx context.Context, p *wire.Packet) error {
	x, ok := h.handles[p.Handle]
	if !ok {
		return h.status(ctx, p.ID, refusal(wireFailure, "no such handle"))
	}
	delete(h.handles, p.Handle)
	h.box.handles.Add(-1)
	u, ok := x.(*upload)
	if !ok {
		return h.status(ctx, p.ID, h.finish(ctx, x))
	}
	h.mu.Lock()
	h.pending[u.at.path]++
	h.mu.Unlock()
	if u.small() && h.in.Waits() { // the client waits for this answer: one hand-over less
		h.closed(ctx, u, p.ID)
		return nil
	}
	id := p.ID
	h.slots <- struct{}{}
	h.closing.Go(func() {
		h.closed(ctx, u, id)
		<-h.slots
	})
	return nil
}

// closed lands an upload and answers.
func (h *handler) closed(ctx context.Context, u *upload, id uint32) {
	err := u.close(context.WithoutCancel(ctx)) // whoever sent CLOSE wants it landed, whether he waits for the answer or not
	switch {
	case err == nil && !u.temporary():
		h.recent.add(u.at.path, u.size.Load(), h.files.Now())
	case err != nil:
		h.turnedAway(ctx, u.at.path, err) // what was refused for what it is stands in the ledger already
		h.tell(u.at.path, err)
	}
	h.mu.Lock()
	if h.pending[u.at.path]--; h.pending[u.at.path] == 0 {
		delete(h.pending, u.at.path)
	}
	h.mu.Unlock()
	_ = h.status(ctx, id, err) // a writer that failed fails the loop
	_ = h.out.Flush()
	h.files.note(h.session.ID, -1) // only now: a session that has no upload in progress may be ended, and this one is to hear the answer
}

// tell shows a refusal to those who use OpenSSH's programs, which keep the text of a status to themselves but pass on
// what a server says on its standard error.
func (h *handler) tell(path string, err error) {
	e, ok := h.ch.(interface{ Stderr() io.ReadWriter })
	var r *refused
	if ok && errors.As(err, &r) && strings.HasPrefix(h.session.Client, "SSH-2.0-OpenSSH") {
		_, _ = io.WriteString(e.Stderr(), "/"+shownPath(path)+": "+r.text+"\r\n") // a courtesy
	}
}

// drop ends a handle whose client is gone.
func (h *handler) drop(ctx context.Context, x any) error {
	if u, ok := x.(*upload); ok {
		h.files.note(h.session.ID, -1)
		size := u.size.Load()
		return errors.Join(u.broken(ctx), h.note(ctx, "upload broken", "path", "/"+u.at.path, "size", size))
	}
	return x.(io.Closer).Close()
}

// finish closes what was read.
func (h *handler) finish(ctx context.Context, x any) error {
	d, ok := x.(*download)
	if ok && d.complete() {
		if err := h.pickedUp(ctx, d); err != nil {
			return errors.Join(err, d.Close())
		}
	}
	return x.(io.Closer).Close()
}

// read answers READ from what was opened.
func (h *handler) read(ctx context.Context, p *wire.Packet) error {
	n := int(min(p.Length, wire.MaxData))
	if n > len(h.buf) {
		h.buf = make([]byte, n)
	}
	var err error
	switch x := h.handles[p.Handle].(type) {
	case *download:
		n, err = x.read(h.buf[:n], p.Offset)
	case *upload:
		n, err = x.read(h.buf[:n], p.Offset)
	default:
		err = refusal(wireFailure, "no such handle for reading")
	}
	if err != nil {
		return h.status(ctx, p.ID, err)
	}
	return h.out.Data(p.ID, h.buf[:n])
}

// fstat answers for what a handle stands for, whatever has its name by now.
func (h *handler) fstat(ctx context.Context, p *wire.Packet) error {
	switch x := h.handles[p.Handle].(type) {
	case *upload:
		return h.out.Attrs(p.ID, x.attrs(h.files.Now()))
	case *download:
		return h.out.Attrs(p.ID, x.attrs)
	case *listing:
		return h.out.Attrs(p.ID, folderAttrs(h.session.Login))
	}
	return h.status(ctx, p.ID, refusal(wireFailure, "no such handle"))
}

// realpath answers with a path in full. It need not be there; above the mailbox there is nothing.
func (h *handler) realpath(ctx context.Context, p *wire.Packet) error {
	full, _, err := clean(p.Path)
	if err != nil {
		return h.status(ctx, p.ID, err)
	}
	name := path.Join("/", full)
	return h.out.Names(p.ID, wire.Name{Name: name, Long: name})
}
