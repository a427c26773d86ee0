package sftpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"

	"waybill/ledger"
	"waybill/watcher/wire"
)

const (
	maxHandles = 64              // open at a time in one channel
	maxBoxed   = 10 * maxHandles // and of one partner, whatever the number of his sessions and channels
	maxClosing = 16              // uploads being landed at a time for one channel
)

// A handler speaks SFTP with one client. Requests are carried out one after the other, in the order they come, but for CLOSE of an upload, which
// waits for the disk: the client may go on with other files meanwhile, and what closes at the same time shares a commit.
type handler struct {
	files   *Files
	box     *mailbox
	session *Session
	ch      io.ReadWriteCloser
	in      *wire.Reader
	out     *wire.Writer
	log     *slog.Logger

	handles map[uint32]any // *upload, *download or *listing
	last    uint32
	buf     []byte // of answers to READ
	recent  recent

	closing sync.WaitGroup
	slots   chan struct{}
	mu      sync.Mutex
	pending map[string]int // names of uploads that are being landed
}

func newHandler(f *Files, box *mailbox, s Session, ch io.ReadWriteCloser) *handler {
	return &handler{
		files: f, box: box, session: &s, ch: ch, in: wire.NewReader(ch), out: wire.NewWriter(ch),
		log:     f.Log.With("partner", s.Account.Name, "address", s.Address.String()),
		handles: map[uint32]any{}, slots: make(chan struct{}, maxClosing), pending: map[string]int{},
	}
}

// serve carries out requests until the client ends.
func (h *handler) serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = h.ch.Close() })
	defer stop()
	err := h.loop(ctx)
	h.closing.Wait()
	// What was begun is brought to its end also when ctx is over.
	over := context.WithoutCancel(ctx)
	for id, x := range h.handles {
		delete(h.handles, id)
		h.box.handles.Add(-1)
		if e := h.drop(over, x); e != nil {
			h.log.Error("keep a broken upload", "error", e)
		}
	}
	_ = h.out.Flush() // the last words; nobody may be there to hear them
	var not *wire.ProtocolError
	switch {
	case errors.As(err, &not):
		return errors.Join(err, h.note(over, "not sftp", "reason", not.Reason))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil
	}
	return err
}

func (h *handler) loop(ctx context.Context) error {
	var p wire.Packet
	for begun := false; ; begun = true {
		if h.in.Waits() {
			if err := h.out.Flush(); err != nil {
				return err
			}
		}
		if err := h.in.Next(&p); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx) // what has come and was not read yet is nobody's any more
		}
		if begun == (p.Type == wire.Init) {
			return &wire.ProtocolError{Reason: "it does not begin with the version, or has it twice"}
		}
		if err := h.handle(ctx, &p); err != nil {
			return err
		}
	}
}

// handle carries out one request. Its error ends the session.
func (h *handler) handle(ctx context.Context, p *wire.Packet) error {
	switch p.Type {
	case wire.Init:
		return h.out.Version()
	case wire.Write:
		u, err := h.upload(p.Handle)
		if err == nil {
			err = u.write(ctx, p.Data, p.Offset)
		}
		return h.status(ctx, p.ID, err)
	case wire.Read:
		return h.read(ctx, p)
	case wire.Open:
		return h.open(ctx, p)
	case wire.Close:
		return h.close(ctx, p)
	case wire.Fstat:
		return h.fstat(ctx, p)
	case wire.Fsetstat:
		u, err := h.upload(p.Handle)
		if err == nil {
			err = u.set(ctx, p.Attrs)
		}
		return h.status(ctx, p.ID, err)
	case wire.Readdir:
		return h.readdir(ctx, p)
	case wire.Realpath:
		return h.realpath(ctx, p)
	}
	h.closing.Wait() // what follows looks at names: they are to be settled
	return h.byName(ctx, p)
}

// byName carries out what is asked about a name.
func (h *handler) byName(ctx context.Context, p *wire.Packet) error {
	switch p.Type {
	case wire.Stat, wire.Lstat:
		a, err := h.stat(ctx, p.Path)
		if err != nil {
			return h.status(ctx, p.ID, err)
		}
		return h.out.Attrs(p.ID, a)
	case wire.Opendir:
		return h.opendir(ctx, p)
	case wire.Setstat:
		return h.status(ctx, p.ID, h.setstat(ctx, p))
	case wire.Remove:
		return h.status(ctx, p.ID, h.remove(ctx, p.Path))
	case wire.Rename:
		return h.renamed(ctx, p, false)
	case wire.Mkdir:
		return h.status(ctx, p.ID, h.mkdir(ctx, p.Path))
	case wire.Rmdir:
		return h.status(ctx, p.ID, h.rmdir(ctx, p.Path))
	case wire.Readlink, wire.Symlink:
		return h.status(ctx, p.ID, refusal(wire.Unsupported, "there are no links here"))
	case wire.Extended:
		switch p.Extension {
		case wire.PosixRename:
			return h.renamed(ctx, p, true)
		case wire.Limits:
			return h.out.Limits(p.ID, maxHandles)
		case wire.StatVFS:
			return h.statvfs(ctx, p)
		}
	}
	return h.status(ctx, p.ID, refusal(wire.Unsupported, "not supported"))
}

// status answers with an outcome. A fault of the server itself is logged, and the client told no more than that there is one.
func (h *handler) status(_ context.Context, id uint32, err error) error {
	code, text, internal := answer(err)
	if internal {
		h.log.Error("sftp request failed", "error", err)
	}
	return h.out.Status(id, code, text)
}

// add gives a handle to x.
func (h *handler) add(x any) uint32 {
	for {
		h.last++
		if _, taken := h.handles[h.last]; h.last != 0 && !taken {
			h.handles[h.last] = x
			h.box.handles.Add(1)
			return h.last
		}
	}
}

func (h *handler) upload(id uint32) (*upload, error) {
	u, ok := h.handles[id].(*upload)
	if !ok {
		return nil, refusal(wireFailure, "no such handle for writing")
	}
	return u, nil
}

// room reports whether one more handle may be opened.
func (h *handler) room() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	closing := 0
	for _, n := range h.pending {
		closing += n
	}
	if len(h.handles)+closing >= maxHandles {
		return refusal(wireFailure, "%d files and folders are open already: close some first", maxHandles)
	}
	if h.box.handles.Load() >= maxBoxed {
		return refusal(wireFailure, "%d files and folders are open already in all sessions: close some first", maxBoxed)
	}
	return nil
}

// note records something that happened in this session.
func (h *handler) note(ctx context.Context, kind string, more ...any) error {
	return h.files.ration.Note(ctx, kind, h.session.detail(more...))
}

// prove is note of what stands in the ledger each time, for it is asked after, and there are only as many of it as there were files to be picked up.
func (h *handler) prove(ctx context.Context, kind string, more ...any) error {
	if h.files.Journal == nil {
		return nil
	}
	return h.files.Journal.Note(ctx, kind, h.session.detail(more...))
}

// did is note of what is done, and told as done: a client that heard otherwise would do it again. What cannot be noted is logged.
func (h *handler) did(ctx context.Context, kind string, more ...any) {
	h.noted(h.note(ctx, kind, more...), kind, more...)
}

// noted logs what could not be noted.
func (h *handler) noted(err error, kind string, more ...any) {
	if err != nil {
		h.log.Error("cannot note what happened", "kind", kind, "detail", h.session.detail(more...), "error", err)
	}
}

// detail is what an event of this session says: who, from where, with what, and more pairs of name and value.
func (s *Session) detail(more ...any) map[string]any {
	d := map[string]any{"partner": s.Account.Name, "address": s.Address.String(), "client": s.Client}
	for i := 0; i+1 < len(more); i += 2 {
		value := more[i+1]
		if text, ok := value.(string); ok {
			value = ledger.Shown(text)
		}
		d[more[i].(string)] = value
	}
	return d
}
