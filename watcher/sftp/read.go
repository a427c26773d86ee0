package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"waybill/failpoint"
	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/wire"
)

const (
	chunkSize = 32 << 10 // of one READ: what every server can send
	leastSize = 1 << 10  // a server that sends less at a time is asked for so much all the same
	readAhead = 64       // chunks of one server and user that are read ahead: 2 MiB
	onceLimit = 2 << 30  // bytes of a file whose size is not relied on
	resumes   = 5        // in a row without a byte
)

// A reader reads one version of a file. Its first chunk is always under way, more of them as the server's share of
// read-ahead has room.
type reader struct {
	s   *Source
	ctx context.Context
	f   watcher.File

	session *session
	handle  string
	queue   []chunk // under way, in order
	text    []byte  // what has come and is not handed out
	body    []byte  // where it stands
	off     int64   // of the byte that comes next
	asked   int64   // up to here is asked for
	size    int     // of a chunk
	probed  bool    // that there is nothing after the end is asked
	resumed int     // connections in a row that brought nothing
	begun   time.Time
	err     error // what it ended with
}

// A chunk is a READ under way.
type chunk struct {
	call  *call
	off   int64
	want  int
	token bool // of read-ahead
}

// Open implements [watcher.Source].
func (s *Source) Open(ctx context.Context, f watcher.File) (io.ReadCloser, error) {
	select {
	case s.server.files <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r := &reader{s: s, ctx: ctx, f: f, size: chunkSize, begun: s.server.now()}
	var err error
	if s.o.ReadOnce {
		err = r.openOnce()
	} else {
		err = s.server.use(ctx, r.begin)
	}
	if err != nil {
		<-s.server.files
		return nil, s.named("open", f.Path, err)
	}
	failpoint.Hit("sftp/opened")
	return r, nil
}

// errOpened is why a file of a mailbox is not opened a second time.
var errOpened = errors.New("it was opened before and did not come whole, and what a mailbox gives a second time may be less: " +
	"have the partner lay it there again, or, where the mailbox still has all of it, restart waybill, which opens it once more")

// openOnce opens a file without ever repeating it.
func (r *reader) openOnce() error {
	c, _, err := r.s.server.get(r.ctx)
	if err != nil {
		return err
	}
	r.session = c.session
	if !r.s.marks.set(r.f.Path, r.f.Version) {
		return errOpened
	}
	if r.handle, err = r.session.openFile(r.ctx, r.s.full(r.f.Path), wire.FlagRead); err != nil {
		var lost lostError
		if errors.As(err, &lost) {
			return r.s.server.away(fmt.Errorf("open %s: %w: whether the mailbox still has it is known to its server only", ledger.Shown(r.f.Path), err))
		}
		var refused *wire.StatusError
		if errors.As(err, &refused) {
			r.s.marks.unset(r.f.Path, r.f.Version)
		}
		return err
	}
	return r.fill()
}

// begin opens the file and asks for what comes at off.
func (r *reader) begin(on *session) (err error) {
	r.session, r.queue, r.asked, r.probed = on, r.queue[:0], r.off, false
	if r.handle, err = on.openFile(r.ctx, r.s.full(r.f.Path), wire.FlagRead); err != nil {
		return err
	}
	if r.f.Size > chunkSize || r.off > 0 { // smaller ones are read as soon as looked at
		if err = r.same(); err != nil {
			r.drop()
			return err
		}
	}
	if err = r.fill(); err != nil {
		r.drop()
	}
	return err
}

// same asks whether the file is still the version that was listed. The error is ErrChanged when it is not.
func (r *reader) same() error {
	a, err := r.session.attributesOf(r.ctx, wire.Begin(wire.Fstat).Text(r.handle))
	var refused *wire.StatusError
	if errors.As(err, &refused) { // some servers know no FSTAT
		a, err = r.session.lstat(r.ctx, r.s.full(r.f.Path))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return watcher.ErrChanged
	case err != nil:
		return err
	case a.version() != r.f.Version || a.tells(wire.HasMode) && !a.isFile():
		return watcher.ErrChanged
	}
	return nil
}

// fill asks for what comes next, as far as there is room.
func (r *reader) fill() error {
	once := r.s.o.ReadOnce
	for len(r.queue) < readAhead {
		c := chunk{off: r.asked, want: r.size}
		past := r.asked >= r.f.Size
		switch {
		case r.probed, past && once && len(r.queue) > 0:
			return nil
		case past && !once:
			r.probed = true // the end must be where it was said to be
		case len(r.queue) > 0:
			select {
			case r.s.server.ahead <- struct{}{}:
				c.token = true
			default:
				return nil
			}
		}
		if !past && !once {
			c.want = int(min(int64(r.size), r.f.Size-r.asked))
		}
		call, err := r.session.startRead(r.ctx, r.handle, c.off, c.want)
		if err != nil {
			r.release(c)
			return err
		}
		c.call = call
		r.queue = append(r.queue, c)
		r.asked += int64(c.want)
	}
	return nil
}

func (r *reader) release(c chunk) {
	if c.token {
		<-r.s.server.ahead
	}
}

// drop lets go of what is under way, and of the handle.
func (r *reader) drop() {
	for _, c := range r.queue {
		c.call.drop()
		r.release(c)
	}
	r.queue = r.queue[:0]
	if r.handle != "" {
		r.session.forget(r.handle)
		r.handle = ""
	}
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.text) == 0 && r.err == nil {
		err := r.next()
		var lost lostError
		if errors.As(err, &lost) && r.ctx.Err() == nil && !r.s.o.ReadOnce {
			err = r.resume(err)
		}
		if err != nil && err != io.EOF && !errors.Is(err, watcher.ErrAway) && r.ctx.Err() == nil {
			if errors.As(err, &lost) {
				err = r.s.server.away(err)
			}
			err = fmt.Errorf("read %s: %w", ledger.Shown(r.f.Path), err)
		}
		r.err = err
	}
	if len(r.text) == 0 {
		return 0, r.err
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	return n, nil
}

// next waits for the next chunk. At the end of the file it returns io.EOF.
func (r *reader) next() error {
	if err := r.fill(); err != nil {
		return err
	}
	r.session.free(r.body)
	r.body = nil
	c := r.queue[0]
	a, err := c.call.wait(r.ctx)
	if err != nil {
		return err
	}
	r.queue = r.queue[:copy(r.queue, r.queue[1:])]
	r.release(c)
	data, err := a.Data()
	switch {
	case errors.Is(err, io.EOF):
		return r.finish()
	case err != nil:
		return err
	case len(data) == 0, len(data) > c.want:
		return wire.Broken("%d bytes where %d were asked for", len(data), c.want)
	case c.off >= r.f.Size && !r.s.o.ReadOnce:
		return r.wrong("there is more after it")
	case c.off+int64(len(data)) > max(r.f.Size, onceLimit):
		return fmt.Errorf("is longer than %d bytes", int64(onceLimit))
	case len(data) < c.want:
		if err := r.gap(c, len(data)); err != nil {
			return err
		}
	}
	r.text, r.body, r.off, r.resumed = data, a.Body, r.off+int64(len(data)), 0
	return r.pace()
}

// pace ends a fetch from a server that sends just enough not to be taken for dead: it would hold one of the places for files for ever. A mailbox gives a file
// once, so there it is only told.
func (r *reader) pace() error {
	t := r.s.server.timing
	took := r.s.server.now().Sub(r.begun)
	switch {
	case took <= t.grace+time.Duration(r.off/t.slowest)*time.Second:
	case r.s.o.ReadOnce:
		r.s.once("a mailbox sends very slowly; the fetch goes on, for what is broken off cannot be fetched again", "file", ledger.Shown(r.f.Path), "bytes", r.off)
	default:
		return fmt.Errorf("the server has sent %d bytes in %s, which is too slow: the fetch is ended and begun anew later", r.off, took.Round(time.Second))
	}
	return nil
}

// gap asks for the rest of a chunk of which the server sent only n bytes, and for less at a time from now on.
func (r *reader) gap(c chunk, n int) error {
	if r.asked > r.f.Size && len(r.queue) == 0 {
		r.asked = c.off + int64(n) // the end is near, or past what is known
		return nil
	}
	r.size = min(r.size, max(n, leastSize))
	rest := chunk{off: c.off + int64(n), want: c.want - n}
	call, err := r.session.startRead(r.ctx, r.handle, rest.off, rest.want)
	if err != nil {
		return err
	}
	rest.call = call
	r.queue = append([]chunk{rest}, r.queue...)
	return nil
}

// finish makes sure that what ended is the file that was listed, whole.
func (r *reader) finish() error {
	switch {
	case r.s.o.ReadOnce:
		if r.off != r.f.Size {
			r.s.once("a mailbox sends files of another size than it lists; they are taken as they are", "file", ledger.Shown(r.f.Path), "listed", r.f.Size, "sent", r.off)
		}
		return io.EOF
	case r.off != r.f.Size:
		return r.wrong(fmt.Sprintf("it ended after %d", r.off))
	}
	if err := r.same(); err != nil {
		return err
	}
	return io.EOF
}

// wrong is the error for a file whose size is not what the server said: it has changed, or the server tells something else
// than it sends.
func (r *reader) wrong(what string) error {
	if err := r.same(); err != nil {
		return err
	}
	return fmt.Errorf("the server says it has %d bytes, but %s: it is not taken", r.f.Size, what)
}

// resume goes on after the connection was lost, if the file is still the same.
func (r *reader) resume(lost error) error {
	r.drop()
	if r.resumed++; r.resumed > resumes {
		return lost
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.s.server.timing.resume)
	defer cancel()
	for {
		err := r.s.server.use(ctx, r.begin)
		var refused *refusedError
		var other *otherKeyError
		switch {
		case ctx.Err() != nil && r.ctx.Err() == nil:
			return lost
		case !errors.Is(err, watcher.ErrAway):
			return err
		case errors.As(err, &refused), errors.As(err, &other):
			return err
		}
		timer := time.NewTimer(r.s.server.timing.first)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// Close implements io.Closer. The server is told, and its answer not waited for.
func (r *reader) Close() error {
	if r.s == nil {
		return nil
	}
	r.drop()
	<-r.s.server.files
	r.s = nil
	return nil
}
