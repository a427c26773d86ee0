package sftp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// timing is how long waiting may take. Tests have less of it.
type timing struct {
	dial      time.Duration // until there is a TCP connection
	handshake time.Duration // keys agreed on, host key checked, logged in
	keepalive time.Duration // between two; after three without a byte the peer is dead
	silence   time.Duration // no byte at all for so long ends the connection: the keepalives' second wall
	patience  time.Duration // for one request
	idle      time.Duration // after which an unused connection is closed
	first     time.Duration // pause after a failed connection; doubles …
	longest   time.Duration // … up to this
	refused   time.Duration // pause after a refused login; grows fourfold …
	forbidden time.Duration // … up to this
	resume    time.Duration // how long a broken fetch tries to go on
	grace     time.Duration // for a fetch, …
	slowest   int64         // … and a second for each so many bytes
	listed    time.Duration // for a look, after the same grace: for each name
}

func usual() timing {
	return timing{
		dial: 15 * time.Second, handshake: 30 * time.Second, keepalive: 15 * time.Second, silence: 60 * time.Second,
		patience: 60 * time.Second, idle: 5 * time.Minute, first: time.Second, longest: 5 * time.Minute,
		refused: 15 * time.Minute, forbidden: 4 * time.Hour, resume: 2 * time.Minute,
		grace: 10 * time.Minute, slowest: 1 << 10, listed: time.Second,
	}
}

// A refusedError says that the server did not let us in, or dropped us while we tried.
type refusedError struct {
	cause  error
	plain  bool // it said so
	asking error
	until  time.Time // before which the login is not tried again
}

// Error implements error.
func (e *refusedError) Error() string {
	if !e.plain {
		return "the server ended the connection during the login: " + e.cause.Error()
	}
	text := "the login is refused"
	if e.asking != nil {
		text += ": " + e.asking.Error()
	}
	return text + " (" + strings.TrimPrefix(e.cause.Error(), "ssh: handshake failed: ") + ")"
}

// Unwrap gives the cause.
func (e *refusedError) Unwrap() error { return e.cause }

// A hop is one SSH server on the way: the one with the files, or the jump host before it.
type hop struct {
	address string // host:port
	pins    *pins
	login   *credential
	kind    atomic.Int32 // index of the offer of host keys that was right the last time
	who     string       // tells its budget from others
	budget  *budget      // set when it is used
}

// A conn is a connection to a server, with a session on it.
type conn struct {
	*session
	wg sync.WaitGroup

	mu   sync.Mutex
	hops []*ssh.Client // the last is the server itself
}

// A line is the transport below SSH. It notes what is heard, and no read waits for ever.
type line struct {
	net.Conn
	silence time.Duration
	now     func() time.Time
	heard   atomic.Int64 // bytes
}

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	// A channel through a jump host knows no deadlines; its keepalives end it.
	_ = l.SetReadDeadline(l.now().Add(l.silence))
	n, err := l.Conn.Read(p)
	l.heard.Add(int64(n))
	return n, err
}

// A dialler opens a connection, directly or by way of another.
type dialler func(ctx context.Context, network, address string) (net.Conn, error)

// connect connects by way of all hops and begins SFTP.
func connect(ctx context.Context, hops []*hop, t timing, now func() time.Time) (*conn, error) {
	c := &conn{}
	var last *line
	for i, h := range hops {
		var dial dialler = new(net.Dialer).DialContext
		if i > 0 {
			dial = through(c.hops[i-1], hops[i-1]) // written on this goroutine only
		}
		client, l, err := h.connect(ctx, dial, c.hangUp, t, now)
		if err != nil {
			c.hangUp()
			c.wg.Wait()
			if i < len(hops)-1 {
				err = fmt.Errorf("jump host %s: %w", h.address, err)
			}
			return nil, err
		}
		c.mu.Lock() // what hangs up an earlier try may still be at it
		c.hops = append(c.hops, client)
		c.mu.Unlock()
		last = l
		c.wg.Go(func() { _ = client.Wait() })
	}
	if err := c.begin(ctx, t); err != nil {
		c.hangUp()
		c.wg.Wait()
		return nil, err
	}
	c.wg.Go(func() { c.keep(last, t) })
	return c, nil
}

// through dials by way of a jump host.
func through(client *ssh.Client, jump *hop) dialler {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := client.DialContext(ctx, network, address)
		var no *ssh.OpenChannelError
		switch {
		case errors.As(err, &no) && no.Reason == ssh.Prohibited:
			err = fmt.Errorf("the jump host %s does not let %s go on to %s: its operator must permit forwarding there, and a certificate must too (permit-port-forwarding): %w",
				jump.address, jump.login.user, address, err)
		case err != nil:
			err = fmt.Errorf("from the jump host %s: %w", jump.address, err)
		}
		return conn, err
	}
}

// begin opens the channel of the session.
func (c *conn) begin(ctx context.Context, t timing) error {
	ctx, cancel := context.WithTimeout(ctx, t.handshake)
	defer cancel()
	defer context.AfterFunc(ctx, c.hangUp)()
	ended := func(err error) error {
		if ctx.Err() != nil {
			return fmt.Errorf("begin SFTP: %w", cmp.Or(context.Cause(ctx), err))
		}
		return fmt.Errorf("begin SFTP: %w", err)
	}
	channel, err := c.hops[len(c.hops)-1].NewSession()
	if err != nil {
		return ended(err)
	}
	in, err := channel.StdinPipe()
	if err != nil {
		return ended(err)
	}
	out, err := channel.StdoutPipe()
	if err != nil {
		return ended(err)
	}
	said, err := channel.StderrPipe()
	if err != nil {
		return ended(err)
	}
	c.wg.Go(func() { _, _ = io.Copy(io.Discard, said) }) // or the window fills
	if err := channel.RequestSubsystem("sftp"); err != nil {
		return ended(err)
	}
	if c.session, err = open(out, in, t.patience, c.hangUp); err != nil {
		return ended(err)
	}
	return nil
}

// hangUp ends the transports, the outermost first: a jump host that takes nothing any more must not hold up the rest.
func (c *conn) hangUp() {
	c.mu.Lock()
	hops := c.hops
	c.mu.Unlock()
	for _, client := range hops {
		_ = client.Close() // it may have ended already
	}
}

// close ends the connection and returns when nothing of it runs any more.
func (c *conn) close() {
	c.session.close()
	c.wg.Wait()
}

// keep asks the server for a sign of life from time to time, and ends the connection when there is none, or when nobody
// has used it for long.
func (c *conn) keep(l *line, t timing) {
	ping := make(chan struct{}, 1)
	defer close(ping)
	server := c.hops[len(c.hops)-1]
	c.wg.Go(func() {
		for range ping {
			_, _, _ = server.SendRequest("keepalive@openssh.com", true, nil) // a refusal is a sign of life as well
		}
	})
	tick := time.NewTicker(t.keepalive)
	defer tick.Stop()
	var heard int64
	silent, unused, calls := 0, 0, uint32(0)
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		silent++
		if now := l.heard.Load(); now != heard {
			heard, silent = now, 0
		}
		unused++
		if n := c.count(); n != calls || c.busy() {
			calls, unused = n, 0
		}
		switch {
		case silent >= 2: // so that two keepalives at least are without an answer
			c.end(fmt.Errorf("no sign of life for %s", 3*t.keepalive))
			return
		case time.Duration(unused)*t.keepalive >= t.idle:
			c.end(errEnded)
			return
		}
		select {
		case ping <- struct{}{}:
		default: // the last one is not answered yet
		}
	}
}

// connect opens one SSH connection, if its budget has a login for that. hangUp ends the connections that it leads through: a jump host may keep a channel
// open that was closed.
func (h *hop) connect(ctx context.Context, dial dialler, hangUp func(), t timing, now func() time.Time) (client *ssh.Client, l *line, err error) {
	err = h.budget.spend(ctx, t, now, func() (err error) {
		client, l, err = h.logIn(ctx, dial, hangUp, t, now)
		return err
	})
	return client, l, err
}

// logIn opens one SSH connection. Where only fingerprints are pinned it may take a try for each kind of key.
func (h *hop) logIn(ctx context.Context, dial dialler, hangUp func(), t timing, now func() time.Time) (*ssh.Client, *line, error) {
	offers := h.pins.offers()
	first := int(h.kind.Load())
	var other *otherKeyError
	var none error
	for i := range offers {
		n := (first + i) % len(offers)
		client, l, err := h.try(ctx, dial, hangUp, offers[n], t, now)
		var o *otherKeyError
		var cannot *ssh.AlgorithmNegotiationError
		switch {
		case err == nil:
			h.kind.Store(int32(n))
			return client, l, nil
		case errors.As(err, &o) && !o.revoked:
			if other == nil {
				other = o
			} else {
				other.got = append(other.got, o.got...)
			}
		case errors.As(err, &cannot) && strings.Contains(err.Error(), "host key"):
			none = err // it has no key of this kind
		default:
			return nil, nil, err
		}
	}
	if other != nil {
		return nil, nil, other
	}
	return h.askOtherwise(ctx, dial, hangUp, offers, none, t, now)
}

// askOtherwise asks a server that has none of the kinds of keys that are pinned for the other kinds: its key has changed, too, and is to be told. A key that is
// pinned may also be shown in a certificate only; then this is a login like any other. It returns none when the server shows no key at all.
func (h *hop) askOtherwise(ctx context.Context, dial dialler, hangUp func(), asked [][]string, none error, t timing, now func() time.Time) (*ssh.Client, *line, error) {
	was := slices.Concat(asked...)
	for _, kind := range append(kinds(), certified()) {
		kind = slices.DeleteFunc(kind, func(a string) bool { return slices.Contains(was, a) })
		if len(kind) == 0 {
			continue
		}
		client, l, err := h.try(ctx, dial, hangUp, kind, t, now)
		var cannot *ssh.AlgorithmNegotiationError
		if !errors.As(err, &cannot) || !strings.Contains(err.Error(), "host key") {
			return client, l, err
		}
	}
	return nil, nil, none
}

// try opens one SSH connection, asking for host keys of some kinds.
func (h *hop) try(ctx context.Context, dial dialler, hangUp func(), algorithms []string, t timing, now func() time.Time) (*ssh.Client, *line, error) {
	dialing, cancel := context.WithTimeout(ctx, t.dial)
	defer cancel()
	raw, err := dial(dialing, "tcp", h.address)
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	l := &line{Conn: raw, silence: t.silence, now: now}
	// x/crypto/ssh has no deadline of its own.
	shaking, cancel := context.WithTimeoutCause(ctx, t.handshake, fmt.Errorf("no login within %s", t.handshake))
	defer cancel()
	stop := context.AfterFunc(shaking, func() { hangUp(); _ = raw.Close() })
	o := &offer{c: h.login}
	defer o.close()
	var hostKey error
	config := h.config(algorithms)
	config.Auth = o.methods(shaking)
	config.HostKeyCallback = func(address string, remote net.Addr, key ssh.PublicKey) error {
		hostKey = h.pins.check(address, remote, key, now)
		return hostKey
	}
	c, channels, requests, err := ssh.NewClientConn(l, h.address, config)
	if !stop() && err == nil {
		_ = c.Close()
		err = context.Cause(shaking)
	}
	switch {
	case err == nil:
		return ssh.NewClient(c, channels, requests), l, nil
	case hostKey != nil:
		err = hostKey
	case shaking.Err() != nil:
		err = context.Cause(shaking)
	case o.offered:
		said := o.denied || o.asked != nil || strings.Contains(err.Error(), "unable to authenticate") || strings.Contains(err.Error(), "disconnect, reason")
		err = &refusedError{cause: err, plain: said, asking: o.asked}
	case o.asked != nil: // nothing was offered, so nothing counted as a try
		err = o.asked
	}
	_ = raw.Close() // it failed
	return nil, nil, err
}

// config says what is agreed to: everything that is sound, and no SHA-1.
func (h *hop) config(hostKeys []string) *ssh.ClientConfig {
	sound := ssh.SupportedAlgorithms()
	sound.MACs = slices.DeleteFunc(sound.MACs, func(m string) bool { return m == ssh.HMACSHA1 })
	return &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges: sound.KeyExchanges, Ciphers: sound.Ciphers, MACs: sound.MACs,
			RekeyThreshold: 1 << 30,
		},
		User: h.login.user, HostKeyAlgorithms: hostKeys, ClientVersion: "SSH-2.0-waybill",
	}
}
