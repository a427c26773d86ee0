package rest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"waybill/failpoint"
	"waybill/outbox"
)

const (
	dialTime  = 10 * time.Second
	graceTime = 5 * time.Second // for what is in flight when Deliver is cancelled
	// idleTime is below the 5 s after which common servers close an idle connection, so that a request rarely
	// meets one that is closing: what becomes of that request nobody knows.
	idleTime = 4 * time.Second
	// slowest is the least rate, bytes a second, at which a spooled body must leave.
	slowest = 64 << 10

	answerCap = 1 << 20  // of an answer's body, after inflation
	drainCap  = 64 << 10 // read beyond it, so that the connection can serve again
	headCap   = 1 << 10  // kept with the delivery
	hopeless  = 3        // tries on connections that turned out dead before a byte was written
)

var userAgent = []string{"waybill"}

var (
	errTimeout = errors.New("no complete answer in time: raise timeout, or look at the receiver")
	errStopped = errors.New("cut off by the shutdown")
)

// transport makes the connection pool of one target. There is no ResponseHeaderTimeout: the deadline of
// each exchange covers it.
func transport(config *tls.Config, concurrency int) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // where a TLS server chooses it
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, // as the service's environment says: HTTPS_PROXY, NO_PROXY
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &counted{Conn: conn}, nil
		},
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    dialTime,
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
		MaxConnsPerHost:        concurrency,
		MaxIdleConns:           concurrency,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// counted counts the bytes that went out, because net/http does not tell whether a failed request had begun.
type counted struct {
	net.Conn
	out atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.out.Add(int64(len(p))) // before, so that nobody sees less than what may be under way
	n, err := c.Conn.Write(p)
	if n < len(p) {
		c.out.Add(int64(n - len(p)))
	}
	return n, err
}

// A line carries the exchanges of one worker, one after the other: context, timer and buffer are made once.
type line struct {
	t       *Target
	parent  context.Context
	ctx     context.Context
	cancel  context.CancelCauseFunc
	blank   *http.Request // with ctx and nothing else
	timer   *time.Timer
	mold    *mold // of the last message
	scratch []byte

	got    bool     // the exchange in hand has a connection
	conn   *counted // that connection, nil when it is of a kind that does not count
	begun  int64    // what conn had sent before
	reused bool
}

func (t *Target) line(parent context.Context) *line {
	l := &line{t: t, parent: parent, scratch: make([]byte, 4<<10)}
	l.renew()
	return l
}

// renew makes the context for the exchanges to come; a context that ended cannot be used again.
func (l *line) renew() {
	ctx, cancel := context.WithCancelCause(l.parent)
	l.cancel = cancel
	l.timer = time.AfterFunc(l.t.timeout, func() { cancel(errTimeout) })
	l.timer.Stop()
	l.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: l.gotConn})
	l.blank = (&http.Request{}).WithContext(l.ctx)
}

// request builds the request of m.
func (l *line) request(m *outbox.Message) (*http.Request, error) {
	if l.mold == nil || !slices.Equal(l.mold.headers, m.Headers) {
		mo, err := l.t.mold(m.Headers)
		if err != nil {
			return nil, err
		}
		l.mold = mo
	}
	r := new(http.Request)
	*r = *l.blank
	return r, l.t.cast(l.mold, m, r)
}

// gotConn is called by net/http on the goroutine of the exchange, when it has a connection and nothing of the request was written.
func (l *line) gotConn(info httptrace.GotConnInfo) {
	conn := info.Conn
	for secured, ok := conn.(*tls.Conn); ok; secured, ok = conn.(*tls.Conn) { // twice through an HTTPS proxy
		conn = secured.NetConn()
	}
	l.got, l.reused = true, info.Reused
	if c, ok := conn.(*counted); ok {
		l.conn, l.begun = c, c.out.Load()
	}
}

// sent reports whether any byte of the request may have gone out.
func (l *line) sent() bool { return l.got && (l.conn == nil || l.conn.out.Load() > l.begun) }

func (l *line) close() {
	l.timer.Stop()
	l.cancel(nil)
}

// An answer is what came back. whole is false when its body broke off, cut when it was longer than the cap.
type answer struct {
	*http.Response
	body  []byte // all of it (to the cap) when a judge wants it, else the head
	whole bool
	cut   bool
	why   error // of a body that broke off
}

// exchange sends m once and returns the answer, or an error with its fault. A connection that proves dead before the first
// byte of the request is replaced at once: the receiver saw nothing, so this is not a second attempt.
func (l *line) exchange(m *outbox.Message, full bool) (answer, error) {
	for try := 1; ; try++ {
		r, err := l.request(m)
		if err != nil {
			return answer{}, err
		}
		l.got, l.conn, l.begun, l.reused = false, nil, 0, false
		watch, done := l.watch(r, m)
		failpoint.Hit("rest/sending")
		response, err := l.t.transport.RoundTrip(r)
		if err == nil {
			a := l.read(response, full)
			done()
			failpoint.Hit("rest/answered")
			return a, nil
		}
		ended := context.Cause(l.ctx) // before done, which may begin another context
		done()
		if ended == nil && l.reused && !l.sent() && try < hopeless {
			continue
		}
		return answer{}, l.fault(r, cmp.Or(ended, err), watch)
	}
}

// watch starts the clock of one exchange. A spooled body may take its time as long as it moves.
func (l *line) watch(r *http.Request, m *outbox.Message) (*progress, func()) {
	if m.Open == nil || r.Body == nil {
		l.timer.Reset(l.t.timeout)
		return nil, func() {
			if !l.timer.Stop() {
				l.close()
				l.renew()
			}
		}
	}
	cancel := l.cancel
	p := &progress{ReadCloser: r.Body, every: l.t.timeout}
	p.stall = time.AfterFunc(l.t.timeout, func() { cancel(errTimeout) })
	longest := l.t.timeout + time.Duration(m.Size/slowest)*time.Second
	total := time.AfterFunc(longest, func() { cancel(errTimeout) })
	r.Body = p
	return p, func() {
		p.end()
		total.Stop()
		l.close() // a late timer may still end this context: use another for the next
		l.renew()
	}
}

// progress is a body whose reads put off the deadline.
type progress struct {
	io.ReadCloser
	every time.Duration

	mu     sync.Mutex
	stall  *time.Timer
	ended  bool
	broken error // why it could not be read
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.stall.Reset(p.every)
	}
	if err != nil && err != io.EOF {
		p.broken = err
	}
	return n, err
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.stall.Stop()
}

func (p *progress) failed() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// fault says whose fault a failed exchange is. The error of net/http names addresses, never the URL.
func (l *line) fault(r *http.Request, err error, body *progress) error {
	if broken := body.failed(); broken != nil {
		// The receiver got less than the announced length, so it cannot have taken the message.
		return outbox.Unavailable(fmt.Errorf("%s %s: read the message's body: %w", r.Method, place(&l.t.base), broken))
	}
	switch {
	case l.sent():
		return outbox.Unknown(fmt.Errorf("%s %s: sent, but no answer came: %w", r.Method, place(&l.t.base), clean(err)))
	case errors.Is(err, errStopped):
		return untried(err)
	}
	return outbox.Unavailable(fmt.Errorf("%s %s: nothing was sent: %w", r.Method, place(&l.t.base), advise(err)))
}

// read takes the answer's body, as much as is wanted of it, and gives the connection back if the rest is short.
func (l *line) read(r *http.Response, full bool) answer {
	a := answer{Response: r, whole: true}
	defer func() { _ = r.Body.Close() }()
	limit := int64(headCap + secretCap)
	if full {
		limit = answerCap
	}
	var ended bool
	if a.body, ended, a.why = l.take(r, limit); !ended && a.why == nil {
		var rest int64
		rest, a.why = io.CopyBuffer(discard{}, io.LimitReader(r.Body, drainCap), l.scratch)
		a.cut = rest > 0
	}
	a.whole = a.why == nil
	if cause := context.Cause(l.ctx); cause != nil && a.why != nil {
		a.why = cause
	}
	return a
}

// take reads at most limit bytes of r's body into memory of its own, or none when there is nothing. It says whether that was all.
func (l *line) take(r *http.Response, limit int64) (body []byte, ended bool, err error) {
	if r.ContentLength > 0 {
		body = make([]byte, 0, min(r.ContentLength, limit))
	}
	for int64(len(body)) < limit {
		n, err := r.Body.Read(l.scratch[:min(int64(len(l.scratch)), limit-int64(len(body)))])
		body = append(body, l.scratch[:n]...)
		if err == io.EOF {
			return body, true, nil
		}
		if err != nil {
			return body, false, err
		}
	}
	return body, false, nil
}

// discard is io.Discard without its ReadFrom, which would use a buffer of its own.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
