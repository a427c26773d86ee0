package amqp

import (
	"context"
	"net"
	"sync"
	"time"
)

// wireBuffer is how much of several messages goes out with one write.
const wireBuffer = 32 << 10

// A wire is a connection that sends messages published back to back with few writes (the client
// writes each by itself), and whose writes cannot hang for ever: a broker that is blocked or stopped leaves the socket full.
type wire struct {
	net.Conn
	timeout time.Duration
	now     func() time.Time
	once    sync.Once

	mu   sync.Mutex
	held bool   // what is written now may wait for flush
	buf  []byte // waits
}

func newWire(c net.Conn, timeout time.Duration, now func() time.Time) *wire {
	return &wire{Conn: c, timeout: timeout, now: now, buf: make([]byte, 0, wireBuffer)}
}

// hold says whether writes may wait. Whoever holds calls flush before it waits for an answer.
func (w *wire) hold(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = on
}

// Write sends b within the time-out, or keeps it for flush.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held && len(w.buf)+len(b) <= wireBuffer {
		w.buf = append(w.buf, b...)
		return len(b), nil
	}
	if err := w.drain(); err != nil {
		return 0, err
	}
	if w.held && len(b) < wireBuffer/2 {
		w.buf = append(w.buf, b...)
		return len(b), nil
	}
	return w.send(b)
}

// flush sends what waits. An error ends the connection, as the client would.
func (w *wire) flush() {
	w.mu.Lock()
	err := w.drain()
	w.mu.Unlock()
	if err != nil {
		w.abort()
	}
}

// drain sends what waits. w.mu is held.
func (w *wire) drain() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.send(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *wire) send(b []byte) (int, error) {
	if err := w.SetWriteDeadline(w.now().Add(w.timeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(b)
}

// Close closes the connection; a second time does nothing.
func (w *wire) Close() error {
	var err error
	w.once.Do(func() { err = w.Conn.Close() })
	return err
}

// abort ends the connection under the client. It may be called on nil.
func (w *wire) abort() {
	if w != nil {
		_ = w.Close() // nothing is to be sent any more
	}
}

// limit ends the connection when ctx does or when d is over before the returned function is called: the
// client's calls know neither contexts nor time-outs.
func (w *wire) limit(ctx context.Context, d time.Duration) (release func()) {
	timer := time.AfterFunc(d, w.abort)
	stop := context.AfterFunc(ctx, w.abort)
	return func() {
		stop()
		timer.Stop()
	}
}
