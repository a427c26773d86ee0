package sftpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// A line is a connection whose peer must read what is sent to it, and which counts what is heard.
type line struct {
	net.Conn
	limit time.Duration
	heard atomic.Int64
}

func (w *line) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.heard.Add(int64(n))
	return n, err
}

// spoke reports whether anything has come, read or not.
func (w *line) spoke() bool {
	if w.heard.Load() > 0 {
		return true
	}
	c, ok := w.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		n, _, _ = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT) //nolint:gosec // a descriptor; an error is nothing that came
	})
	return err == nil && n > 0
}

// Write ends the connection when the peer does not read, so that what waits for it is freed.
func (w *line) Write(p []byte) (int, error) {
	timer := time.AfterFunc(w.limit, func() { _ = w.Conn.Close() })
	defer timer.Stop()
	return w.Conn.Write(p)
}

// A handshake is a connection that has not logged in yet.
type handshake struct {
	*examiner
	conn    net.Conn
	line    *line // over conn
	peer    netip.AddrPort
	slow    atomic.Bool // took too long
	gaveWay atomic.Bool
}

// run logs a connection in and serves it until it ends.
func (h *handshake) run(p *slot) {
	s := h.s
	ctx, cancel := context.WithCancel(s.base)
	defer cancel()
	h.ctx = ctx
	defer context.AfterFunc(ctx, func() { _ = h.conn.Close() })()
	limit := time.AfterFunc(s.Options.LoginTime, func() { h.slow.Store(true); _ = h.conn.Close() })
	conn, channels, requests, err := ssh.NewServerConn(h.line, h.config())
	inTime := limit.Stop()
	s.gate.exit(p)
	if err != nil {
		h.refused(err)
		return
	}
	l := proven(conn.Permissions)
	if l == nil || !inTime {
		_ = conn.Close()
		h.refused(errors.New("closed as it logged in"))
		return
	}
	c := &connection{s: s, conn: conn, line: h.line, login: l, legacy: h.legacy, client: string(conn.ClientVersion()), cancel: cancel, questions: make(chan struct{}, 1)}
	c.Session = Session{ID: fmt.Sprintf("%x", conn.SessionID()[:8]), Account: l.member.Account, Address: h.peer,
		Client: shown(string(conn.ClientVersion())), Login: s.now()}
	c.run(ctx, channels, requests)
}

// refused notes a connection that has not logged in, and what that costs its address.
func (h *handshake) refused(err error) {
	s := h.s
	if s.base.Err() != nil {
		return // this server's own doing
	}
	x := denial{address: h.peer, user: h.user, client: h.client, stage: "permission denied", why: strings.Join(h.why, "; "), legacy: h.legacy}
	switch {
	case h.gaveWay.Load():
		x.stage = "gave way to other connections"
	case h.slow.Load():
		x.stage = "too slow"
	case !h.attempted:
		x.stage, x.why = "left without a try", err.Error()
	}
	if !h.gaveWay.Load() { // that is the server's choice
		s.penalties.add(h.address, h.cost(h.slow.Load()))
	}
	s.Log.Debug("a connection has not logged in", "address", h.peer, "partner", shown(h.user), "stage", x.stage, "why", x.why)
	s.denials.add(x)
}

// A connection is a session and what carries it.
type connection struct {
	Session
	s      *Server
	conn   ssh.Conn
	line   *line
	login  *login
	legacy bool
	client string
	cancel context.CancelFunc

	in, out atomic.Int64 // bytes of SFTP
	leaving atomic.Bool  // ends when no upload is in progress
	once    sync.Once
	reason  string // why this side has ended it

	questions chan struct{}  // "is the peer there?"
	wg        sync.WaitGroup // channels, requests and keepalives
	mu        sync.Mutex
	open      int // channels
	refused   int // channels
	channels  int // that have spoken SFTP

	heard, moved     int64 // at the last look
	heardAt, movedAt time.Time
	missed           int
}

// run serves the session until it ends.
func (c *connection) run(ctx context.Context, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	c.heardAt, c.movedAt = c.Login, c.Login
	if full := c.s.register(c); full != "" {
		c.turnAway(full, channels, requests)
		return
	}
	detail := c.detail()
	detail["method"] = c.login.method
	if c.login.fingerprint != "" {
		detail["fingerprint"] = c.login.fingerprint
	}
	c.s.note(c.s.ration, "login", detail)
	c.s.Log.Info("login", "partner", c.Account.Name, "address", c.Address, "method", c.login.method, "client", c.Client)
	c.wg.Go(func() {
		for r := range requests { // forwards of ports, keepalives of the peer
			_ = r.Reply(false, nil) // it may be gone
		}
	})
	c.wg.Go(func() { c.ask(ctx) })
	for n := range channels {
		c.channel(ctx, n)
	}
	c.cancel() // the connection is gone: what is served ends
	c.wg.Wait()
	c.s.leave(c)
	detail = c.detail()
	detail["in"], detail["out"], detail["channels"] = c.in.Load(), c.out.Load(), c.channels
	detail["seconds"] = int64(c.s.now().Sub(c.Login) / time.Second)
	c.close("the partner ended it")
	detail["reason"] = c.reason
	c.s.note(c.s.ration, "logout", detail)
}

func (c *connection) detail() map[string]any {
	d := map[string]any{"partner": c.Account.Name, "address": c.Address.String(), "client": c.Client, "session": c.ID}
	if c.legacy {
		d["legacy"] = true
	}
	return d
}

// close ends the session. Only the first reason counts.
func (c *connection) close(why string) {
	c.once.Do(func() {
		c.reason = why
		_ = c.conn.Close()
	})
}

// register counts the session, or says why it cannot be.
func (s *Server) register(c *connection) (full string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The partners may have changed since the key was looked at.
	if why := c.login.still(s.roster.Load(), c.Address.Addr(), c.legacy, s.now()); why != "" {
		return "permission denied"
	}
	n := 0
	for other := range s.sessions {
		if other.Account.Name == c.Account.Name {
			n++
		}
	}
	if n >= s.Options.Sessions {
		return fmt.Sprintf("too many sessions: %d are open, as many as one partner may have; end one of them", n)
	}
	s.sessions[c] = struct{}{}
	s.logins++
	return ""
}

func (s *Server) leave(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
}

// A session that cannot be may take so long to hear why, and so many of one partner may at a time: the others are cut off.
const (
	hearing     = 10 * time.Second
	mostHearing = 10
)

// hears counts a connection that is to be told why it is not served, if its partner may have one more.
func (s *Server) hears(partner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hearing[partner] >= mostHearing {
		return false
	}
	s.hearing[partner]++
	return true
}

func (s *Server) heard(partner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hearing[partner]--; s.hearing[partner] == 0 {
		delete(s.hearing, partner)
	}
}

// turnAway tells a client why it is not served: the first thing that it asks for is refused with the reason.
func (c *connection) turnAway(why string, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	if c.s.hears(c.Account.Name) {
		defer c.s.heard(c.Account.Name)
	} else {
		_ = c.conn.Close() // what has come is read to its end below
	}
	timer := time.AfterFunc(hearing, func() { _ = c.conn.Close() })
	defer timer.Stop()
	c.wg.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		_ = n.Reject(ssh.ResourceShortage, why) // it may be gone
	}
	c.wg.Wait()
	c.s.denials.add(denial{address: c.Address, user: c.Account.Name, client: c.client, stage: "not served", why: why, legacy: c.legacy})
}

// look ends a session that is idle or whose peer is gone, and asks one that is silent. It is called on one goroutine.
func (c *connection) look(now time.Time) {
	if heard := c.line.heard.Load(); heard != c.heard {
		c.heard, c.heardAt, c.missed = heard, now, 0
	}
	if moved := c.in.Load() + c.out.Load(); moved != c.moved {
		c.moved, c.movedAt = moved, now
	}
	limits := c.s.Limits
	switch {
	case now.Sub(c.movedAt) >= c.s.Options.Idle:
		c.close(fmt.Sprintf("nothing moved for %s", cmp.Or(c.s.Options.Idle, time.Second)))
	case now.Sub(c.heardAt) < limits.Keepalive*time.Duration(c.missed+1):
	case c.missed >= limits.Missed:
		c.close("the peer does not answer")
	default:
		c.missed++
		select {
		case c.questions <- struct{}{}:
		default: // it has not answered the last one
		}
	}
}

// ask has the peer say something whenever that is wanted.
func (c *connection) ask(ctx context.Context) {
	for {
		select {
		case <-c.questions:
			_, _, _ = c.conn.SendRequest("keepalive@openssh.com", true, nil) // it may be gone
		case <-ctx.Done():
			return
		}
	}
}
