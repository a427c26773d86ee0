package sftp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/wire"
)

// Servers are the remote servers that sources talk to. Sources of the same server and user share one connection, the
// limits and what is known of failed logins. Make it with NewServers, once per process.
type Servers struct {
	now     func() time.Time
	timing  timing
	connect connector

	mu      sync.Mutex
	all     map[string]*server
	budgets map[string]*budget // of logins
}

// A connector connects by way of hops. Tests have others than connect.
type connector func(ctx context.Context, hops []*hop, t timing, now func() time.Time) (*conn, error)

// NewServers returns an empty set.
func NewServers(now func() time.Time) *Servers {
	return &Servers{now: now, timing: usual(), connect: connect, all: map[string]*server{}, budgets: map[string]*budget{}}
}

// share returns the server of a key, made by hops if there is none yet. Each share is given back by leave.
func (p *Servers) share(key string, files int, hops []*hop) *server {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.all[key]
	if s == nil {
		for _, h := range hops {
			h.budget = p.budget(h.who)
		}
		s = &server{
			hops: hops, timing: p.timing, now: p.now, connect: p.connect,
			gate: make(chan struct{}, 1), files: make(chan struct{}, files), ahead: make(chan struct{}, readAhead),
		}
		p.all[key] = s
	}
	s.users++
	return s
}

// leave gives a share back. With the last one the connection ends; what is known of refused logins stays, so
// that starting anew does not try them again at once.
func (p *Servers) leave(s *server) {
	p.mu.Lock()
	s.users--
	last := s.users == 0
	p.mu.Unlock()
	if last {
		s.drop()
	}
}

// A server is a remote server, and whom we are there.
type server struct {
	hops    []*hop
	timing  timing
	now     func() time.Time
	connect connector
	files   chan struct{} // one per open file
	ahead   chan struct{} // one per chunk read ahead
	gate    chan struct{} // one at a time connects
	users   int           // of Servers.mu

	mu       sync.Mutex
	conn     *conn // nil: none
	failed   int   // connections in a row
	err      error // of the last try
	due      time.Time
	connects int // tries, ever
}

// drop ends the connection.
func (s *server) drop() {
	s.mu.Lock()
	c := s.conn
	s.conn = nil
	s.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// alive returns the connection if it is, and clears away one that has ended.
func (s *server) alive() *conn {
	s.mu.Lock()
	c := s.conn
	if c == nil || c.lost() == nil {
		s.mu.Unlock()
		return c
	}
	s.conn = nil
	s.mu.Unlock()
	c.close()
	return nil
}

// get returns the connection, made if there is none. While a failed try is too young it returns that failure. Errors are
// [watcher.ErrAway], but for ctx's.
func (s *server) get(ctx context.Context) (c *conn, fresh bool, err error) {
	if c := s.alive(); c != nil {
		return c, false, nil
	}
	select {
	case s.gate <- struct{}{}:
		defer func() { <-s.gate }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if c := s.alive(); c != nil {
		return c, false, nil
	}
	s.mu.Lock()
	wait, last := s.due.Sub(s.now()), s.err
	s.mu.Unlock()
	if last != nil && wait > 0 {
		return nil, false, s.away(last)
	}
	s.mu.Lock()
	s.connects++
	s.mu.Unlock()
	c, err = s.connect(ctx, s.hops, s.timing, s.now)
	if err != nil && ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.fails(saidError{err})
		return nil, false, s.away(s.err)
	}
	s.conn, s.failed, s.err = c, 0, nil
	return c, true, nil
}

// A saidError is shown to people in one short line: in it may stand what a stranger said before he proved anything.
type saidError struct{ error }

// Error implements error.
func (e saidError) Error() string { return ledger.Shown(wire.CutTo(e.error.Error(), 4000)) }

// Unwrap gives the cause.
func (e saidError) Unwrap() error { return e.error }

// fails notes a failed try and when to try again.
func (s *server) fails(err error) {
	var refused *refusedError
	var other *otherKeyError
	t := s.timing
	pause := t.longest
	switch {
	case errors.As(err, &refused):
		pause = refused.until.Sub(s.now())
	case errors.As(err, &other):
		pause = t.forbidden // only the host key is looked at again; nothing is offered to a server that is not the one
	default:
		if s.failed < 16 {
			pause = min(t.longest, t.first<<s.failed)
		}
		pause = pause/2 + rand.N(pause/2+1)
		s.failed++
	}
	s.err, s.due = err, s.now().Add(pause)
	if s.due.Sub(s.now()) > t.longest {
		s.err = fmt.Errorf("%w; it is not tried again before %s, or until the configuration is mended, so that the account is not locked", err, s.due.UTC().Format("2006-01-02 15:04 UTC"))
		if other != nil {
			s.err = fmt.Errorf("%w; it is not looked at again before %s, or until the configuration is changed", err, s.due.UTC().Format("2006-01-02 15:04 UTC"))
		}
	}
}

// away is err as watchers understand it.
func (s *server) away(err error) error {
	last := s.hops[len(s.hops)-1]
	return fmt.Errorf("%w: sftp %s@%s: %w", watcher.ErrAway, last.login.user, last.address, err)
}

// use calls f with a session. When the connection proves to have ended meanwhile, as one that was idle may, f is called
// once more with a new one; so f is something that may be repeated.
func (s *server) use(ctx context.Context, f func(*session) error) error {
	for again := false; ; again = true {
		c, fresh, err := s.get(ctx)
		if err != nil {
			return err
		}
		err = f(c.session)
		var lost lostError
		switch {
		case err == nil, ctx.Err() != nil || !errors.As(err, &lost):
			return err
		case again || fresh:
			return s.away(err)
		}
	}
}
