package sftpd

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Subsystem speaks SFTP on a channel until its peer has ended it or ctx ends.
type Subsystem interface {
	Serve(ctx context.Context, s Session, ch io.ReadWriteCloser) error
}

// An Uploader is a Subsystem that can say whether the session with an ID has an upload open: such a session may finish when the
// server ends. Optional. It is called on any goroutine.
type Uploader interface {
	Uploading(session string) bool
}

// A Config is what a server is made of. All but Limits must be there.
type Config struct {
	Options  Options
	HostKeys []HostKey
	Roster   *Roster
	Files    Subsystem
	Journal  Journal
	Now      func() time.Time
	Log      *slog.Logger
	Limits   Limits
}

// Limits are bounds that no configuration needs to change. A zero is the default.
type Limits struct {
	Channels    int           // of one session at a time; 10
	AllChannels int           // of all sessions of one partner at a time; 32
	Refused     int           // channels refused before a session is ended; 100
	Keepalive   time.Duration // of silence before the peer is asked whether it is there; 30 s
	Missed      int           // questions without an answer; 3
	Write       time.Duration // that a peer may take to read what is sent; 30 s
	Look        time.Duration // between two looks at all sessions; 1 s
}

func (l Limits) fill() Limits {
	defaults := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	if l.Channels == 0 {
		l.Channels = 10
	}
	if l.AllChannels == 0 {
		l.AllChannels = 32
	}
	if l.Refused == 0 {
		l.Refused = 100
	}
	if l.Missed == 0 {
		l.Missed = 3
	}
	defaults(&l.Keepalive, 30*time.Second)
	defaults(&l.Write, 30*time.Second)
	defaults(&l.Look, time.Second)
	return l
}

// A Server takes connections of partners. Make it with New.
type Server struct {
	Config
	now       func() time.Time
	uploader  Uploader // nil: nobody uploads
	roster    atomic.Pointer[Roster]
	gate      *gate
	penalties *penalties
	slowness  *slowness
	passwords *passwords
	denials   *denials
	ration    *ration // of what is noted of those who have logged in
	seed      maphash.Seed
	signers   map[bool][]ssh.Signer // by whether the listener is legacy

	wg   sync.WaitGroup // connections
	base context.Context

	mu       sync.Mutex
	sessions map[*connection]struct{}
	hearing  map[string]int // connections that are told why they are not served, by partner
	logins   int64
	addr     []listening
}

type listening struct {
	address string
	legacy  bool
}

// New makes a server. Run starts it.
func New(c Config) (*Server, error) {
	c.Limits = c.Limits.fill()
	s := &Server{
		Config: c, now: c.Now,
		gate:      newGate(c.Options.Logins, c.Options.PerAddress),
		penalties: newPenalties(c.Now, c.Options.Exempt),
		slowness:  newSlowness(c.Now),
		passwords: newPasswords(),
		seed:      maphash.MakeSeed(),
		signers:   map[bool][]ssh.Signer{},
		sessions:  map[*connection]struct{}{},
		hearing:   map[string]int{},
	}
	s.denials = newDenials(c.Now, func(kind string, detail map[string]any) { s.note(s.Journal, kind, detail) })
	s.ration = newRation(c.Journal, c.Now, c.Log)
	s.uploader, _ = c.Files.(Uploader)
	s.roster.Store(c.Roster)
	if len(c.HostKeys) == 0 {
		return nil, errors.New("serve SFTP: there is no host key")
	}
	for _, legacy := range []bool{false, true} {
		for _, k := range c.HostKeys {
			signer, err := k.signer(legacy)
			if err != nil {
				return nil, fmt.Errorf("serve SFTP: %w", err)
			}
			s.signers[legacy] = append(s.signers[legacy], signer)
		}
	}
	return s, nil
}

// algorithms are those of a listener, with the host keys.
func (s *Server) algorithms(legacy bool) *ssh.ServerConfig {
	c := modern()
	if legacy {
		c = old()
	}
	for _, signer := range s.signers[legacy] {
		c.AddHostKey(signer)
	}
	return &c
}

// noting bounds how long a note in the journal may take.
const noting = 10 * time.Second

// note writes to a journal. What cannot be noted is logged.
func (s *Server) note(to Journal, kind string, detail map[string]any) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.base), noting)
	defer cancel()
	if err := to.Note(ctx, kind, detail); err != nil {
		s.Log.Error("cannot note what happened", "kind", kind, "detail", detail, "error", err)
	}
}

// Listen opens the sockets of addresses.
func Listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var list []net.Listener
	for _, a := range addresses {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", a)
		if err != nil {
			for _, open := range list {
				err = errors.Join(err, open.Close())
			}
			return nil, fmt.Errorf("sftp_server: %w: another program may have the address, or it is not this machine's", err)
		}
		list = append(list, l)
	}
	return list, nil
}

// Run takes connections from the listeners until ctx ends, and closes them then. Sessions without an upload in progress end
// at once, the others when it is done, or when the grace time is over. It returns when nothing of it runs any more.
func (s *Server) Run(ctx context.Context, listeners, legacy []net.Listener, grace time.Duration) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.base = base
	var accepting, helpers sync.WaitGroup
	listen := func(list []net.Listener, legacy bool) {
		for _, l := range list {
			s.mu.Lock()
			s.addr = append(s.addr, listening{l.Addr().String(), legacy})
			s.mu.Unlock()
			accepting.Go(func() { s.accept(ctx, l, legacy) })
		}
	}
	listen(listeners, false)
	listen(legacy, true)
	helping, stopHelping := context.WithCancel(base)
	defer stopHelping()
	helpers.Go(func() { s.denials.run(helping) })
	helpers.Go(func() { s.ration.run(helping) })
	helpers.Go(func() { s.look(helping) })
	<-ctx.Done()
	var errs []error
	for _, l := range append(listeners[:len(listeners):len(listeners)], legacy...) {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("stop listening: %w", err))
		}
	}
	accepting.Wait()
	s.drain(grace)
	cancel() // whatever has not logged in
	s.wg.Wait()
	stopHelping()
	helpers.Wait()
	return errors.Join(errs...)
}

// accept takes connections until the listener is closed.
func (s *Server) accept(ctx context.Context, l net.Listener, legacy bool) {
	wait := time.Duration(0)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.admit(conn, legacy)
			continue
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		}
		wait = min(time.Second, max(5*time.Millisecond, 2*wait)) // most likely no file descriptor is left
		s.Log.Warn("cannot take a connection", "error", err, "again in", wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// admit lets a connection begin to log in, or sends it away.
func (s *Server) admit(conn net.Conn, legacy bool) {
	address := addressOf(conn)
	away := func(stage, why string) {
		// A client shows it when it is asked to be verbose. It fits the empty buffer of the socket, so nothing waits.
		_, _ = io.WriteString(conn, "Not allowed at this time: "+stage+"\r\n")
		_ = conn.Close()
		s.denials.add(denial{address: address, stage: stage, why: why, legacy: legacy})
	}
	if until := s.penalties.refused(address.Addr()); !until.IsZero() {
		away("locked out after failed logins", "until "+until.UTC().Format(time.RFC3339))
		return
	}
	e := &examiner{s: s, address: address.Addr(), legacy: legacy}
	h := &handshake{examiner: e, conn: conn, line: &line{Conn: conn, limit: s.Limits.Write}, peer: address}
	e.end = func() { _ = conn.Close() }
	p, why := s.gate.enter(block(address.Addr()), func() { h.gaveWay.Store(true); _ = conn.Close() }, h.line.spoke)
	if p == nil {
		away("too many connections", why)
		return
	}
	s.wg.Go(func() { h.run(p) })
}

func addressOf(conn net.Conn) netip.AddrPort {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// SetRoster puts other partners in the place of those there are. A session whose partner may no longer log in as it did is
// ended; one whose folders or limits are others now is ended when no upload is in progress.
func (s *Server) SetRoster(r *Roster) {
	s.roster.Store(r)
	s.review()
}

// review ends the sessions that should not go on.
func (s *Server) review() {
	r, now := s.roster.Load(), s.now()
	for _, c := range s.all() {
		if why := c.login.still(r, c.Address.Addr(), c.legacy, now); why != "" {
			c.close(why)
			continue
		}
		if !reflect.DeepEqual(c.Account, r.Find(c.Account.Name).Account) {
			c.leaving.Store(true)
		}
		if c.leaving.Load() && !s.uploading(c) {
			c.close("the configuration has changed")
		}
	}
}

func (s *Server) all() (list []*connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		list = append(list, c)
	}
	return list
}

func (s *Server) uploading(c *connection) bool {
	return s.uploader != nil && s.uploader.Uploading(c.ID)
}

// look sees to all sessions now and then.
func (s *Server) look(ctx context.Context) {
	tick := time.NewTicker(s.Limits.Look)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.review()
			for _, c := range s.all() {
				c.look(s.now())
			}
		case <-ctx.Done():
			return
		}
	}
}

// drain ends all sessions: those that upload when they are done, but no later than after the grace time.
func (s *Server) drain(grace time.Duration) {
	end := time.NewTimer(grace)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	over := false
	for {
		open := s.all()
		for _, c := range open {
			if over || !s.uploading(c) {
				c.close("the server ends")
			}
		}
		if len(open) == 0 || over {
			return // whoever logs in from here on is refused by register, or ends with the base context
		}
		select {
		case <-tick.C:
		case <-end.C:
			over = true
		}
	}
}
