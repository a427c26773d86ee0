package sftp

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A fake is an SSH server in this process, for what OpenSSH's does not do: passwords without root, wrong answers.
type fake struct {
	t      testing.TB
	config *ssh.ServerConfig
	serve  func(io.ReadWriter) // one SFTP session
	l      net.Listener
	logins atomic.Int32 // passwords and keys that were tried
	conns  atomic.Int32
	start  sync.Once
	wg     sync.WaitGroup
	mu     sync.Mutex
	open   []net.Conn
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	s, err := ssh.NewSignerFromKey(key)
	must(t, err)
	return s
}

// newFake starts a server that takes the password "right".
func newFake(t testing.TB, serve func(io.ReadWriter), hostKeys ...ssh.Signer) *fake {
	t.Helper()
	f := &fake{t: t, serve: serve, config: &ssh.ServerConfig{}}
	f.config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		f.logins.Add(1)
		if string(p) == "right" {
			return nil, nil
		}
		return nil, errors.New("wrong")
	}
	for _, k := range hostKeys {
		f.config.AddHostKey(k)
	}
	var err error
	f.l, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(f.stop)
	return f
}

func (f *fake) stop() {
	_ = f.l.Close()
	f.mu.Lock()
	for _, c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *fake) accept() {
	for {
		c, err := f.l.Accept()
		if err != nil {
			return
		}
		f.conns.Add(1)
		f.mu.Lock()
		f.open = append(f.open, c)
		f.mu.Unlock()
		f.wg.Go(func() { f.connection(c) })
	}
}

func (f *fake) connection(c net.Conn) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, f.config)
	if err != nil {
		return
	}
	f.wg.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		ch, rs, err := n.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			for r := range rs {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		})
		f.wg.Go(func() {
			f.serve(ch)
			_ = ch.Close()
		})
	}
}

// options log in with a password. From here on the server works, as it is configured.
func (f *fake) options(pinned ...ssh.PublicKey) Options {
	f.start.Do(func() { f.wg.Go(f.accept) })
	o := Options{Address: f.l.Addr().String(), Login: Login{User: "u", Password: "right"}, Folder: "out"}
	for _, k := range pinned {
		o.HostKey = append(o.HostKey, ssh.FingerprintSHA256(k))
	}
	return o
}

// An asked is a request that a fake was sent.
type asked struct {
	kind byte
	id   uint32
	*parser
}

// A reply is what a fake answers with; a nil reply is none at all.
type reply func(id uint32) []byte

// answering makes a session out of a function from requests to replies.
func answering(f func(asked) reply) func(io.ReadWriter) {
	return func(rw io.ReadWriter) {
		for {
			kind, p, err := readPacket(rw)
			if err != nil {
				return
			}
			if kind == fxInit {
				_, err = rw.Write([]byte{0, 0, 0, 5, fxVersion, 0, 0, 0, 3})
			} else if r := f(asked{kind, p.number(), p}); r != nil {
				_, err = rw.Write(r(uint32(0)))
			}
			if err != nil {
				return
			}
		}
	}
}

// framed makes a packet.
func framed(kind byte, id uint32, body packet) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+5))
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, id)
	return append(b, body...)
}

func (a asked) reply(kind byte, body packet) reply {
	return func(uint32) []byte { return framed(kind, a.id, body) }
}

func (a asked) status(code uint32) reply {
	return a.reply(fxStatus, packet{}.number(code).text("").text(""))
}

// attrs are those of an ordinary file.
func attrs(size uint64, mtime uint32) packet {
	return packet{}.number(hasSize | hasMode | hasTimes).long(size).number(typeFile | 0o644).number(mtime).number(mtime)
}

func folderAttrs() packet { return packet{}.number(hasMode).number(typeFolder | 0o755) }

// A tree is a small honest server of files in memory, of which a test may change what it answers.
type tree struct {
	mu      sync.Mutex
	files   map[string]string // path → content
	folders map[string]bool
	mtime   uint32
	handles map[string]string
	left    map[string][]string // names still to be listed, by handle
	n       int
	opened  map[string]int
	stats   int
	before  func(asked) (reply, bool) // nil: nothing is different
}

func newTree(files map[string]string) *tree {
	t := &tree{files: files, folders: map[string]bool{"out": true}, mtime: 1_700_000_000, handles: map[string]string{}, left: map[string][]string{}, opened: map[string]int{}}
	return t
}

func (t *tree) answer(a asked) reply {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before != nil {
		if r, mine := t.before(asked{a.kind, a.id, &parser{b: a.b}}); mine {
			return r
		}
	}
	switch a.kind {
	case fxOpendir:
		path := a.text()
		if !t.folders[path] {
			return a.status(statusNoFile)
		}
		h := t.handle(path)
		for name := range t.files {
			if rest, ok := cutFolder(name, path); ok {
				t.left[h] = append(t.left[h], rest)
			}
		}
		return a.reply(fxHandle, packet{}.text(h))
	case fxReaddir:
		h := a.text()
		names := t.left[h]
		if len(names) == 0 {
			return a.status(statusEOF)
		}
		t.left[h] = nil
		body := packet{}.number(uint32(len(names)))
		for _, n := range names {
			body = append(body.text(n).text(""), attrs(uint64(len(t.files[t.handles[h]+"/"+n])), t.mtime)...)
		}
		return a.reply(fxName, body)
	case fxOpen:
		path := a.text()
		if _, ok := t.files[path]; !ok {
			return a.status(statusNoFile)
		}
		t.opened[path]++
		return a.reply(fxHandle, packet{}.text(t.handle(path)))
	case fxRead:
		text := t.files[t.handles[a.text()]]
		off, n := a.long(), a.number()
		if off >= uint64(len(text)) {
			return a.status(statusEOF)
		}
		return a.reply(fxData, packet{}.text(text[off:min(uint64(len(text)), off+uint64(n))]))
	case fxFstat, fxLstat:
		t.stats++
		path := a.text()
		if a.kind == fxFstat {
			path = t.handles[path]
		}
		text, ok := t.files[path]
		if !ok {
			return a.status(statusNoFile)
		}
		return a.reply(fxAttrs, attrs(uint64(len(text)), t.mtime))
	case fxClose:
		return a.status(statusOK)
	}
	return a.status(statusUnsupported)
}

func (t *tree) handle(path string) string {
	t.n++
	h := string(binary.BigEndian.AppendUint32(nil, uint32(t.n)))
	t.handles[h] = path
	return h
}

func cutFolder(name, folder string) (string, bool) {
	if len(name) > len(folder) && name[:len(folder)+1] == folder+"/" {
		return name[len(folder)+1:], true
	}
	return "", false
}

// onTree is a source on a server of files in memory.
func onTree(t testing.TB, tr *tree, changes ...change) (*bench, *fake) {
	t.Helper()
	host := newKey(t)
	f := newFake(t, answering(tr.answer), host)
	return source(t, f.options(host.PublicKey()), brisk(), changes...), f
}

// A proxy passes bytes on to a server until it is told not to.
type proxy struct {
	l     net.Listener
	to    string
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
	cut   [2]int64      // after so many bytes to, and from the server the connection ends; 0: never. Used up by one connection
	stall chan struct{} // closed: nothing passes any more, and nobody is told
	count [2]atomic.Int64
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	p := &proxy{to: to, stall: make(chan struct{})}
	var err error
	p.l, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p.wg.Go(func() {
		for {
			c, err := p.l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.pass(c) })
		}
	})
	t.Cleanup(func() {
		_ = p.l.Close()
		p.kick()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

// kick ends the connections there are.
func (p *proxy) kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) pass(c net.Conn) {
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, c, s)
	cut := p.cut
	p.cut = [2]int64{}
	stall := p.stall
	p.mu.Unlock()
	p.count[0].Store(0)
	p.count[1].Store(0)
	p.wg.Go(func() { p.copy(s, c, cut[0], &p.count[0], stall) })
	p.wg.Go(func() { p.copy(c, s, cut[1], &p.count[1], stall) })
}

func (p *proxy) copy(to, from net.Conn, limit int64, count *atomic.Int64, stall chan struct{}) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for sent := int64(0); ; {
		n, err := from.Read(buf)
		if limit > 0 && sent+int64(n) >= limit {
			_, _ = to.Write(buf[:limit-sent])
			return
		}
		select {
		case <-stall:
			n = 0 // swallowed
		default:
		}
		if n > 0 {
			sent += int64(n)
			count.Add(int64(n))
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// exists reports whether a path of this machine is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
