package sftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"waybill/testenv"
	"waybill/watcher"
	"waybill/watcher/wire"
)

// Hostile input 59, and what else somebody could think of who owns the server.

// bounded are the times of a test in which a server does not let go.
func bounded() timing {
	tm := brisk()
	tm.dial, tm.handshake, tm.patience, tm.silence = 20*time.Second, 20*time.Second, 20*time.Second, 60*time.Second
	tm.resume = 100 * time.Millisecond
	return tm
}

// impatient are those of one in which it does not even let in.
func impatient(wait time.Duration) timing {
	tm := bounded()
	tm.dial, tm.handshake, tm.patience, tm.keepalive, tm.silence = wait, wait, wait, 500*time.Millisecond, 5*time.Second
	return tm
}

// on has a source that has not connected yet go by a clock that a test puts forward. It is ahead, so that no connection is late by it.
func (b *bench) on(clock *hand) {
	clock.forward(24 * time.Hour)
	b.servers.now, b.server.now = clock.now, clock.now
}

// patience is how long anything may take before it counts as never.
const patience = 2 * time.Minute

// soon fails the test unless f ends, and says what it returned.
func soon(t *testing.T, f func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("it does not end")
		return nil
	}
}

// A listing that brings nothing but the folder itself, over and over.
func TestAListingOfDotsEnds(t *testing.T) {
	t.Parallel()
	tr := newTree(nil)
	tr.instead(func(p wire.Packet) (reply, bool) { return names(p, aFolder, ".", ".."), p.Type == wire.Readdir })
	b, _ := onTree(t, tr)
	if err := soon(t, b.unlistable); !strings.Contains(err.Error(), "does not end") {
		t.Errorf("got %v", err)
	}
}

// Answers much longer than what was asked for fill no memory: the first ends the session.
func TestMoreThanWasAskedForIsNotKept(t *testing.T) {
	t.Parallel()
	text := noise(3 << 20)
	tr := newTree(map[string]string{"out/a.csv": text})
	tr.instead(func(p wire.Packet) (reply, bool) {
		if p.Type == wire.Read {
			return data(p, text[:1<<20-100]), true
		}
		return nil, false
	})
	host := newKey(t)
	f := newFake(t, answering(tr.answer), host)
	b := source(t, f.options(host.PublicKey()), bounded())
	if _, err := b.Content(b.Listed("a.csv")); err == nil || !strings.Contains(err.Error(), "at most were asked for") {
		t.Errorf("got %v", err)
	}
}

// Every answer is given twice: the second is to nobody.
func TestAnAnswerGivenTwiceEndsTheSession(t *testing.T) {
	t.Parallel()
	tr := newTree(map[string]string{"out/a.csv": noise(100_000)})
	host := newKey(t)
	f := newFake(t, answering(func(p wire.Packet) reply {
		r := tr.answer(p)
		if p.Type == wire.Read {
			r = append(r, r...)
		}
		return r
	}), host)
	b := source(t, f.options(host.PublicKey()), bounded())
	if _, err := b.Content(b.Listed("a.csv")); err == nil || !strings.Contains(err.Error(), "an answer to no request") {
		t.Errorf("got %v", err)
	}
}

// A handle of 256 bytes, among them zeros, is given back as it is; one of 257 ends nothing but the request.
func TestLongHandles(t *testing.T) {
	t.Parallel()
	for n, fits := range map[int]bool{0: true, 256: true, 257: false} {
		handle := strings.Repeat("\x00\xff", 200)[:n]
		ours, theirs := net.Pipe()
		ended := make(chan error, 1)
		go func() { // what came back
			defer theirs.Close()
			for {
				a, err := wire.ReadAnswer(theirs, wire.Room) // requests look the same
				if err != nil {
					ended <- nil
					return
				}
				r := wire.Begin(wire.AnswerVersion).Seal(3)
				switch a.Type {
				case wire.Opendir:
					r = wire.Begin(wire.AnswerHandle).Text(handle).Seal(a.ID)
				case wire.Close:
					if f := wire.FieldsOf(a.Body); f.Text() != handle {
						ended <- errors.New("another handle came back")
						return
					}
					r = wire.Begin(wire.AnswerStatus).Uint32(0).Seal(a.ID)
				}
				if _, err := theirs.Write(r); err != nil {
					ended <- nil
					return
				}
			}
		}()
		s, err := open(ours, ours, time.Second, func() { _ = ours.Close() })
		must(t, err)
		got, err := s.handle(t.Context(), wire.Begin(wire.Opendir).Text("x"))
		if (err == nil) != fits || fits && got != handle {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
		if fits {
			must(t, s.closeHandle(t.Context(), got))
		}
		s.close()
		must(t, <-ended)
	}
}

// A server that answers everything but CLOSE, whose answer nobody waits for, is not owed to for ever.
func TestClosesWithoutAnAnswerEndTheSession(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer theirs.Close()
		if _, err := wire.ReadAnswer(theirs, wire.Room); err != nil { // the version: requests look the same
			return
		}
		_, _ = theirs.Write(wire.Begin(wire.AnswerVersion).Seal(3))
		_, _ = io.Copy(io.Discard, theirs)
	}()
	s, err := open(ours, ours, time.Minute, func() { _ = ours.Close() })
	must(t, err)
	for range mostOwed + 1 {
		s.forget("handle")
	}
	if err := s.lost(); !errors.Is(err, errStalled) {
		t.Errorf("it goes on: %v", err)
	}
	s.close()
	<-gone
}

// A server that sends a byte now and then, each before anybody takes it for dead, ends by the pace.
func TestADripIsNotAFetch(t *testing.T) {
	t.Parallel()
	text := noise(4000)
	tr := newTree(map[string]string{"out/a.csv": text})
	host := newKey(t)
	f := newFake(t, answering(func(p wire.Packet) reply {
		if p.Type == wire.Read && p.Offset > 1 {
			pause(5 * time.Millisecond)
		}
		if p.Type == wire.Read {
			return part(p, text, 1)
		}
		return tr.answer(p)
	}), host)
	tm := bounded()
	tm.grace, tm.slowest = 300*time.Millisecond, 100_000
	b := source(t, f.options(host.PublicKey()), tm)
	file := b.Listed("a.csv")
	if err := soon(t, func() error { _, err := b.Content(file); return err }); err == nil || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("got %v", err)
	}
}

// A mailbox sends as slowly: what it gives once is not broken off.
func TestADripOfAMailboxIsFetchedToItsEnd(t *testing.T) {
	t.Parallel()
	text := noise(300)
	tr := newTree(map[string]string{"out/a.csv": text})
	host := newKey(t)
	f := newFake(t, answering(func(p wire.Packet) reply {
		if p.Type == wire.Read {
			pause(time.Millisecond)
			return part(p, text, 1)
		}
		return tr.answer(p)
	}), host)
	tm := bounded()
	tm.grace, tm.slowest = 10*time.Millisecond, 1_000_000_000
	b := source(t, f.options(host.PublicKey()), tm, func(o *Options, _ *watcher.Settings) { o.ReadOnce = true })
	var got string
	err := soon(t, func() (err error) { got, err = b.Content(b.Listed("a.csv")); return err })
	if err != nil || got != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := b.log.Count("very slowly"); n != 1 {
		t.Errorf("told %d times:\n%s", n, b.log.Text())
	}
}

// A server that lists a name now and then, or none, each answer before anybody takes it for dead, ends by the pace. What was listed is taken.
func TestADripIsNotAListing(t *testing.T) {
	t.Parallel()
	for what, listed := range map[string]func(p wire.Packet, n int) reply{
		"names":   func(p wire.Packet, n int) reply { return names(p, plain(1, 1), fmt.Sprint(n, ".csv")) },
		"nothing": func(p wire.Packet, n int) reply { return names(p, plain(1, 1)) },
		"folders": func(p wire.Packet, n int) reply { return names(p, aFolder, fmt.Sprint("f", n)) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			tr, clock := newTree(nil), newHand()
			n := 0
			tr.instead(func(p wire.Packet) (reply, bool) {
				switch p.Type {
				case wire.Opendir:
					return tr.handle(p), true
				case wire.Readdir:
					n++
					clock.forward(3 * time.Millisecond)
					return listed(p, n), true
				}
				return nil, false
			})
			host := newKey(t)
			tm := bounded()
			tm.grace, tm.listed = 200*time.Millisecond, 10*time.Microsecond
			b := source(t, newFake(t, answering(tr.answer), host).options(host.PublicKey()), tm, recursive)
			b.on(clock)
			files := 0
			err := soon(t, func() error {
				for f, err := range b.List(t.Context()) {
					if err != nil {
						return err
					}
					files++
					_ = f
				}
				return nil
			})
			if !errors.Is(err, watcher.ErrAway) || !strings.Contains(err.Error(), "too slow") || what == "names" && files == 0 {
				t.Errorf("%d files, %v", files, err)
			}
		})
	}
}

// Time in which nobody asks for the next name is not the server's.
func TestALookThatIsTakenSlowlyIsNoDrip(t *testing.T) {
	t.Parallel()
	host := newKey(t)
	tr := newTree(map[string]string{"out/a.csv": "a", "out/b.csv": "b", "out/c.csv": "c"})
	tm := bounded()
	tm.grace, tm.listed = 100*time.Millisecond, 0
	b, clock := source(t, newFake(t, answering(tr.answer), host).options(host.PublicKey()), tm), newHand()
	b.on(clock)
	for _, err := range b.List(t.Context()) {
		must(t, err)
		clock.forward(70 * time.Millisecond)
	}
}

// A server that draws a closing out: every name is taken, however high its number.
func TestAClosingIsNotDrawnOut(t *testing.T) {
	t.Parallel()
	tr := newTree(nil)
	tr.instead(func(p wire.Packet) (reply, bool) {
		if p.Type == wire.Lstat && strings.HasPrefix(p.Path, "out/done/") {
			return attrs(p, plain(7, 7)), true
		}
		return nil, false
	})
	host := newKey(t)
	tm := bounded()
	tm.grace = 300 * time.Millisecond
	b := source(t, newFake(t, answering(tr.answer), host).options(host.PublicKey()), tm)
	err := soon(t, func() error {
		_, err := b.Close(t.Context(), watcher.File{Path: "a.csv", Version: "1 1"}, done)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "could not be closed within 300ms") {
		t.Errorf("got %v", err)
	}
}

// A stranger is a server below SSH.
func stranger(t *testing.T, talk func(net.Conn)) Options {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talk(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-stopped })
	return Options{Address: l.Addr().String(), Login: Login{User: "u", Password: "right"}, Folder: "out", HostKey: []string{ssh.FingerprintSHA256(newKey(t).PublicKey())}}
}

// Whatever comes before there is a login ends by the time for it, in flat memory.
func TestAStrangerIsNotListenedToForLong(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for name, talk := range map[string]func(net.Conn){
		"nothing":                func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"lines without end":      func(c net.Conn) { flood(c, []byte("hello\r\n")) },
		"a line without end":     func(c net.Conn) { flood(c, bytes.Repeat([]byte("x"), 1<<10)) },
		"a byte now and then":    func(c net.Conn) { drip(c, []byte("SSH-2.0-slow\r\n")) },
		"a packet that drips":    func(c net.Conn) { drip(c, append([]byte("SSH-2.0-x\r\n"), 0, 0, 0x80, 0)) },
		"a packet of a gigabyte": func(c net.Conn) { flood(c, []byte("SSH-2.0-x\r\n\x40\x00\x00\x00")) },
		"debug messages, for ever": func(c net.Conn) {
			flood(c, []byte("SSH-2.0-x\r\n"), []byte("\x00\x00\x00\x1c\x0a\x04\x00\x00\x00\x00\x08pay-load\x00\x00\x00\x00          "))
		},
	} {
		b := source(t, stranger(t, talk), impatient(time.Second))
		begin := time.Now()
		if err := soon(t, b.unlistable); err == nil {
			t.Errorf("%s: listed", name)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("%s: ended after %s", name, took)
		}
		b.Leave()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d MiB more on the heap", grown>>20)
	}
}

// flood sends first once and then the last for ever.
func flood(c net.Conn, parts ...[]byte) {
	go func() { _, _ = io.Copy(io.Discard, c) }()
	for i := 0; ; i++ {
		if _, err := c.Write(parts[min(i, len(parts)-1)]); err != nil {
			return
		}
	}
}

// drip sends a byte at a time, and the last again and again.
func drip(c net.Conn, text []byte) {
	go func() { _, _ = io.Copy(io.Discard, c) }()
	for i := 0; ; i++ {
		if _, err := c.Write(text[min(i, len(text)-1):][:1]); err != nil {
			return
		}
		pause(50 * time.Millisecond)
	}
}

// Questions without end, and a thousand at once, are not answered, and nothing but the password is told.
func TestQuestionsWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asks [][]string
		want string
	}{
		"a thousand at once":      {[][]string{make([]string, 1000)}, "can only tell a password"},
		"none, again and again":   {make([][]string, 100_000), "does not stop asking"},
		"one, and then another":   {[][]string{{"Password: "}, {"Again: "}}, "refused"},
		"a question that is long": {[][]string{{strings.Repeat("\x1b[2J", 10_000), "?"}}, `\\x1b[2J`},
	} {
		host := newKey(t)
		f := newFake(t, answering(newTree(nil).answer), host)
		f.config.PasswordCallback = nil
		f.config.MaxAuthTries = -1
		var told atomic.Int32
		f.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			for _, q := range c.asks {
				got, err := ask("", "", q, make([]bool, len(q)))
				if err != nil {
					return nil, err
				}
				told.Add(int32(len(got)))
			}
			return nil, errors.New("no")
		}
		b := source(t, f.options(host.PublicKey()), bounded())
		err := soon(t, b.unlistable)
		if !strings.Contains(err.Error(), c.want) || len(err.Error()) > 5000 || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: %.300q", name, err.Error())
		}
		if n := told.Load(); n > 1 {
			t.Errorf("%s: told %d times", name, n)
		}
	}
}

// Banners, and words of farewell, are not shown as they are.
func TestWhatAServerSaysIsShownInOneShortLine(t *testing.T) {
	t.Parallel()
	host := newKey(t)
	f := newFake(t, answering(newTree(nil).answer), host)
	f.config.BannerCallback = func(ssh.ConnMetadata) string { return strings.Repeat("\x1b]0;owned\a", 20_000) }
	source(t, f.options(host.PublicKey()), bounded()).listable()
	g := newFake(t, nil, host)
	g.reject = strings.Repeat("\x1b[31mtrust me\r\n", 2000)
	b := source(t, g.options(host.PublicKey()), bounded())
	if err := b.unlistable(); !strings.Contains(err.Error(), `x1b[31mtrust me`) || len(err.Error()) > 9000 || strings.ContainsAny(err.Error(), "\x1b\r\n") {
		t.Errorf("got %.300q of %d bytes", err.Error(), len(err.Error()))
	}
}

// Keys are agreed on anew after every few packets, all the time.
func TestAStormOfNewKeysIsBorne(t *testing.T) {
	t.Parallel()
	host, text := newKey(t), noise(300_000)
	f := newFake(t, answering(newTree(map[string]string{"out/a.csv": text}).answer), host)
	f.config.RekeyThreshold = 1 // 256, it is made
	b := source(t, f.options(host.PublicKey()), brisk())
	if got, err := b.Content(b.Listed("a.csv")); err != nil || got != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Channels that nobody asked for, global requests, and what is written on the standard error without end.
func TestNoiseBesideTheSession(t *testing.T) {
	t.Parallel()
	host, text := newKey(t), noise(1<<20)
	f := newFake(t, answering(newTree(map[string]string{"out/a.csv": text}).answer), host)
	var opened atomic.Int32
	f.beside = func(c *ssh.ServerConn, ch ssh.Channel) {
		for _, kind := range []string{"x11", "auth-agent@openssh.com", "forwarded-tcpip", "session", strings.Repeat("k", 1000)} {
			for range 50 {
				if other, _, err := c.OpenChannel(kind, nil); err == nil {
					opened.Add(1)
					_ = other.Close()
				}
			}
		}
		for range 200 {
			_, _, _ = c.SendRequest("hostkeys-00@openssh.com", false, bytes.Repeat([]byte("x"), 1000))
		}
		for {
			if _, err := ch.Stderr().Write(bytes.Repeat([]byte("noise"), 1000)); err != nil {
				return
			}
		}
	}
	b := source(t, f.options(host.PublicKey()), brisk())
	for range 3 {
		if got, err := b.Content(b.Listed("a.csv")); err != nil || got != text {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if n := opened.Load(); n > 0 {
		t.Errorf("%d channels were opened from there", n)
	}
	// Noise is no answer: who only makes noise is silent.
	g := newFake(t, func(rw io.ReadWriter) { _, _ = io.Copy(io.Discard, rw) }, host)
	g.beside = f.beside
	c := source(t, g.options(host.PublicKey()), impatient(3*time.Second))
	if err := soon(t, c.unlistable); err == nil {
		t.Error("listed")
	}
}

// A jump host that speaks for the server behind it learns nothing, and one that keeps the way open holds nobody up.
func TestAJumpHostIsNotTrusted(t *testing.T) {
	t.Parallel()
	jumpKey, target := newKey(t), newKey(t)
	for name, c := range map[string]struct {
		way  func(ssh.Channel, *testenv.Proxy)
		want string
	}{
		"speaks for the other": {nil, "has changed"},
		"says nothing":         {func(ch ssh.Channel, _ *testenv.Proxy) { _, _ = io.Copy(io.Discard, ch) }, "no login within"},
		"ends it":              {func(ch ssh.Channel, _ *testenv.Proxy) { _ = ch.Close() }, "EOF"},
		"does not end it":      {func(ch ssh.Channel, p *testenv.Proxy) { _, _ = ch.Read(make([]byte, 1)); p.Stall() }, "no login within"}, // not when it is told to, either
	} {
		liar := newFake(t, nil, newKey(t)) // the host key is its own
		jump := newFake(t, nil, jumpKey)
		p := testenv.NewProxy(t, jump.l.Addr().String())
		jump.tunnel = func(n ssh.NewChannel) {
			ch, rs, err := n.Accept()
			if err != nil {
				return
			}
			jump.wg.Go(func() { ssh.DiscardRequests(rs) })
			if c.way != nil {
				c.way(ch, p)
				return
			}
			liar.connection(channelConn{ch})
		}
		jump.options() // it begins
		o := Options{
			Address: "files.example:22", Login: Login{User: "u", Password: "right"}, Folder: "out", HostKey: []string{ssh.FingerprintSHA256(target.PublicKey())},
			Jump: &Jump{Address: p.Addr(), Login: Login{User: "j", Password: "right"}, HostKey: []string{ssh.FingerprintSHA256(jumpKey.PublicKey())}},
		}
		tm := impatient(3 * time.Second)
		tm.silence = time.Hour // it shows that it is alive
		b := source(t, o, tm)
		if err := soon(t, b.unlistable); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if n := liar.logins.Load(); n > 0 {
			t.Errorf("%s: it was told a password %d times", name, n)
		}
		if n := len(b.server.gate); n > 0 {
			t.Errorf("%s: somebody still connects", name)
		}
	}
}

// A channelConn is a net.Conn on a channel.
type channelConn struct{ ssh.Channel }

func (channelConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (channelConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (channelConn) SetDeadline(time.Time) error      { return nil }
func (channelConn) SetReadDeadline(time.Time) error  { return nil }
func (channelConn) SetWriteDeadline(time.Time) error { return nil }

// A server for which every name is free until something is renamed to it.
func TestNamesThatAreFreeAndTakenEndTheClosing(t *testing.T) {
	t.Parallel()
	tr := newTree(map[string]string{"out/a.csv": "x"})
	tr.folders["out/done"] = true
	looks := 0
	tr.instead(func(p wire.Packet) (reply, bool) {
		switch {
		case p.Type == wire.Rename:
			return status(p, wire.AlreadyExists), true
		case p.Type == wire.Lstat && tr.folders[p.Path]:
			return attrs(p, aFolder), true
		case p.Type == wire.Lstat && strings.HasPrefix(p.Path, "out/done/"):
			if looks++; looks%2 == 0 {
				return attrs(p, plain(1, 1)), true
			}
		}
		return nil, false
	})
	b, _ := onTree(t, tr)
	f := b.Listed("a.csv")
	if err := soon(t, func() error { _, err := b.Close(context.Background(), f, done); return err }); err == nil || !strings.Contains(err.Error(), "free, and that it is taken") {
		t.Errorf("got %v", err)
	}
}

// A size that no disk holds is refused at the door by who asks for room, and what is more than the size is never read.
func TestASizeBeyondAllReasonIsReadNoFurtherThanItIs(t *testing.T) {
	t.Parallel()
	tr := newTree(map[string]string{"out/a.csv": noise(100_000)})
	b, _ := onTree(t, tr)
	for _, size := range []uint64{1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		tr.instead(func(p wire.Packet) (reply, bool) {
			a := plain(0, tr.mtime)
			a.Size = size
			switch p.Type {
			case wire.Readdir:
				if tr.n++; tr.n%2 == 0 {
					return status(p, wire.EOF), true
				}
				return names(p, a, "a.csv"), true
			case wire.Opendir:
				tr.n = 0
				return handle(p, string(binary.BigEndian.AppendUint32(nil, 7))), true
			case wire.Fstat, wire.Lstat:
				return attrs(p, a), true
			}
			return nil, false
		})
		f := b.Listed("a.csv")
		if size > 1<<63-1 {
			if f.Skip == "" {
				t.Errorf("%d: it is to be taken", size)
			}
			continue
		}
		if _, err := b.Content(f); err == nil || !strings.Contains(err.Error(), "it ended after 100000") {
			t.Errorf("%d: %v", size, err)
		}
	}
}
