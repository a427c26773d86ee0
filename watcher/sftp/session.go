package sftp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"waybill/watcher/wire"
)

// writeAtOnce bounds how much is handed to SSH at a time: one packet of its own.
const writeAtOnce = 32 << 10

// errStalled is what ends a session whose server leaves a request without an answer.
var errStalled = errors.New("the server does not answer requests any more")

// mostOwed is how many requests may be without an answer when one more handle is closed, whose answer nobody waits for. Those of all files that may be
// open are far fewer.
const mostOwed = 10_000

// errEnded is what ends a session on our side.
var errEnded = errors.New("the connection was closed")

// A session speaks SFTP version 3 with a server. Requests of many goroutines are under way at a time. None waits for ever:
// a request that is not answered within the patience ends the session.
type session struct {
	extensions map[string]string
	patience   time.Duration
	hangUp     func() // ends the transport, and with it what reads and writes

	out  chan wire.Draft
	done chan struct{} // closed when the session has ended
	wg   sync.WaitGroup

	chunks sync.Pool // of *body

	mu      sync.Mutex
	waiting map[uint32]*call // nil: nobody waits any more, see call.wait
	next    uint32
	tick    int
	heard   int   // tick of the last answer
	err     error // why it ended; nil while it has not
}

// A body is the space that a chunk of a file comes in, after the four bytes that say how long it is.
type body [chunkSize + 4]byte

// room is space for n bytes of an answer, for a chunk that of one before it.
func (s *session) room(n int) []byte {
	if n < len(body{})/2 || n > len(body{}) {
		return make([]byte, n)
	}
	if b, ok := s.chunks.Get().(*body); ok {
		return b[:n]
	}
	return new(body)[:n]
}

// free takes back what room gave, once nobody looks at it any more.
func (s *session) free(b []byte) {
	if cap(b) == len(body{}) {
		s.chunks.Put((*body)(b[:cap(b)]))
	}
}

// A call is a request that is under way.
type call struct {
	s    *session
	id   uint32
	tick int
	most int // bytes that the answer may have
	got  chan wire.Answer
}

// open starts a session over a transport that hangUp ends. The transport is ended with it, also when open fails.
func open(r io.Reader, w io.Writer, patience time.Duration, hangUp func()) (*session, error) {
	s := &session{
		patience: patience, hangUp: hangUp, extensions: map[string]string{},
		out: make(chan wire.Draft, 256), done: make(chan struct{}), waiting: map[uint32]*call{},
	}
	late := time.AfterFunc(patience, hangUp)
	in := bufio.NewReaderSize(r, 8<<10) // the most of a chunk goes to its place directly
	err := s.greet(in, w)
	if !late.Stop() && err == nil {
		err = errStalled
	}
	if err != nil {
		hangUp()
		return nil, fmt.Errorf("begin SFTP: %w", err)
	}
	s.wg.Go(func() { s.end(s.read(in)) })
	s.wg.Go(func() { s.end(s.send(w)) })
	s.wg.Go(s.watch)
	return s, nil
}

// greet agrees on the version.
func (s *session) greet(r io.Reader, w io.Writer) error {
	if _, err := w.Write(wire.Begin(wire.Init).Seal(3)); err != nil {
		return err
	}
	a, err := wire.ReadAnswer(r, wire.Room)
	switch {
	case err != nil:
		return err
	case a.Type != wire.AnswerVersion:
		return wire.Broken("a packet of type %d where the version belongs", a.Type)
	case a.ID < 3:
		return fmt.Errorf("the server speaks version %d, and 3 is needed", a.ID)
	}
	for f := wire.FieldsOf(a.Body); f.More() && len(s.extensions) < 256; {
		name := f.Text()
		s.extensions[name] = f.Text()
	}
	return nil
}

// read hands answers to those who wait for them, until the transport ends.
func (s *session) read(r io.Reader) error {
	for {
		a, err := wire.ReadAnswer(r, s.room)
		if err != nil {
			return err
		}
		s.mu.Lock()
		c, known := s.waiting[a.ID]
		delete(s.waiting, a.ID)
		s.heard = s.tick
		s.mu.Unlock()
		switch {
		case !known:
			return wire.Broken("an answer to no request")
		case c != nil && len(a.Body) > c.most:
			return wire.Broken("%d bytes where %d at most were asked for", len(a.Body), c.most)
		case c != nil:
			c.got <- a
		case a.Type == wire.AnswerHandle: // nobody wants it any more
			handle, err := a.Handle()
			if err != nil {
				return err
			}
			s.forget(handle)
		}
	}
}

// forget closes a handle without waiting for the answer.
func (s *session) forget(handle string) {
	p := wire.Begin(wire.Close).Text(handle)
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if len(s.waiting) >= mostOwed { // it does not answer CLOSE
		s.mu.Unlock()
		s.end(errStalled)
		return
	}
	s.next++
	p.Seal(s.next)
	s.waiting[s.next] = nil
	s.mu.Unlock()
	select {
	case s.out <- p:
	case <-s.done:
	}
}

// send sends what is to be sent, small requests together.
func (s *session) send(w io.Writer) error {
	buf := make([]byte, 0, 2*writeAtOnce)
	for {
		select {
		case <-s.done:
			return nil
		case p := <-s.out:
			buf = append(buf[:0], p...)
		}
	more:
		for len(buf) < writeAtOnce {
			select {
			case p := <-s.out:
				buf = append(buf, p...)
			default:
				break more
			}
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
}

// watch ends the session when a request is not answered in time. It counts ticks, so that it needs no clock.
func (s *session) watch() {
	const ticks = 4
	t := time.NewTicker(s.patience / ticks)
	defer t.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-t.C:
		}
		s.mu.Lock()
		s.tick++
		stalled := false
		for _, c := range s.waiting {
			// While others are answered, one may take longer: on a slow line it waits its turn.
			stalled = stalled || c != nil && (s.tick-max(c.tick, s.heard) > ticks || s.tick-c.tick > 10*ticks)
		}
		s.mu.Unlock()
		if stalled {
			s.end(errStalled)
			return
		}
	}
}

// end ends the session for a reason; only the first counts.
func (s *session) end(err error) {
	if err == nil {
		err = errEnded
	}
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
		close(s.done)
	}
	s.mu.Unlock()
	if first {
		s.hangUp()
	}
}

// close ends the session and returns when nothing of it runs any more.
func (s *session) close() {
	s.end(errEnded)
	s.wg.Wait()
}

// lost is why the session ended, nil while it goes on.
func (s *session) lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// count is how many requests there have been.
func (s *session) count() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// busy reports whether requests are under way.
func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0
}

// start sends a request whose answer has at most so many bytes.
func (s *session) start(ctx context.Context, p wire.Draft, most int) (*call, error) {
	s.mu.Lock()
	if s.err != nil {
		err := s.err
		s.mu.Unlock()
		return nil, lostError{err}
	}
	s.next++
	c := &call{s: s, id: s.next, tick: s.tick, most: most, got: make(chan wire.Answer, 1)}
	s.waiting[c.id] = c
	s.mu.Unlock()
	p.Seal(c.id)
	select {
	case s.out <- p:
		return c, nil
	case <-s.done:
		return nil, lostError{s.lost()}
	case <-ctx.Done():
		s.mu.Lock()
		delete(s.waiting, c.id)
		s.mu.Unlock()
		return nil, ctx.Err()
	}
}

// wait returns the answer. One that comes after ctx has ended is dropped, and a handle in it is closed.
func (c *call) wait(ctx context.Context) (wire.Answer, error) {
	select {
	case a := <-c.got:
		return a, nil
	default:
	}
	select {
	case a := <-c.got:
		return a, nil
	case <-c.s.done:
		select {
		case a := <-c.got: // it came first
			return a, nil
		default:
		}
		return wire.Answer{}, lostError{c.s.lost()}
	case <-ctx.Done():
	}
	c.s.mu.Lock()
	_, still := c.s.waiting[c.id]
	if still {
		c.s.waiting[c.id] = nil
	}
	c.s.mu.Unlock()
	if !still {
		select {
		case a := <-c.got:
			return a, nil
		case <-c.s.done:
		}
	}
	return wire.Answer{}, ctx.Err()
}

// drop has the answer be thrown away.
func (c *call) drop() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if _, still := c.s.waiting[c.id]; still {
		c.s.waiting[c.id] = nil
	}
}

// ask sends a request and waits for its answer.
func (s *session) ask(ctx context.Context, p wire.Draft) (wire.Answer, error) {
	c, err := s.start(ctx, p, wire.MaxAnswer)
	if err != nil {
		return wire.Answer{}, err
	}
	return c.wait(ctx)
}

// A lostError says that the connection ended before an answer came: what was asked for may have been done.
type lostError struct{ cause error }

// Error implements error.
func (e lostError) Error() string {
	if errors.Is(e.cause, io.EOF) || errors.Is(e.cause, io.ErrUnexpectedEOF) {
		return "the server closed the connection"
	}
	return "the connection is lost: " + e.cause.Error()
}

// Unwrap gives the cause.
func (e lostError) Unwrap() error { return e.cause }
