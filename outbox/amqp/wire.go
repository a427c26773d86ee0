package amqp

import (
	"context"
	"net"
	"sync"
	"time"
)

// A wire is a connection whose writes cannot hang for ever: a broker that is blocked or
// stopped leaves the socket full.
type wire struct {
	net.Conn
	timeout time.Duration
	now     func() time.Time
	once    sync.Once
}

func newWire(c net.Conn, timeout time.Duration, now func() time.Time) *wire {
	return &wire{Conn: c, timeout: timeout, now: now}
}

// Write sends b within the time-out.
func (w *wire) Write(b []byte) (int, error) {
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
