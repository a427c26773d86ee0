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

	"waybill/watcher/wire"
)

// A fake is an SSH server in this process, for what OpenSSH's does not do: passwords without root, wrong answers.
type fake struct {
	t      testing.TB
	config *ssh.ServerConfig
	serve  func(io.ReadWriter)                // one SFTP session
	reject string                             // why channels are refused, "": they are not
	beside func(*ssh.ServerConn, ssh.Channel) // what else it does meanwhile; nil: nothing
	tunnel func(ssh.NewChannel)               // takes channels to elsewhere; nil: it has none
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
	sc, channels, requests, err := ssh.NewServerConn(c, f.config)
	if err != nil {
		return
	}
	f.wg.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		switch {
		case f.reject != "":
			_ = n.Reject(ssh.Prohibited, f.reject)
			continue
		case n.ChannelType() == "direct-tcpip" && f.tunnel != nil:
			f.wg.Go(func() { f.tunnel(n) })
			continue
		}
		ch, rs, err := n.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			for r := range rs {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		})
		if f.beside != nil {
			f.wg.Go(func() { f.beside(sc, ch) })
		}
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

// A reply is what a fake answers with, byte by byte; a nil reply is none at all.
type reply []byte

// answering makes a session out of a function from requests to replies.
func answering(f func(wire.Packet) reply) func(io.ReadWriter) {
	return func(rw io.ReadWriter) {
		in := wire.NewReader(rw)
		for {
			var p wire.Packet
			if in.Next(&p) != nil {
				return
			}
			answer := f(p)
			if p.Type == wire.Init {
				answer = reply(wire.Begin(wire.AnswerVersion).Seal(3))
			}
			if _, err := rw.Write(answer); err != nil {
				return
			}
		}
	}
}

// answer makes a reply, which may be none that an honest server gives.
func answer(p wire.Packet, t wire.Type, body wire.Draft) reply {
	return reply(append(wire.Begin(t), body...).Seal(p.ID))
}

func status(p wire.Packet, code wire.Code) reply {
	return answer(p, wire.AnswerStatus, wire.Draft{}.Uint32(uint32(code)).Text("").Text(""))
}

func handle(p wire.Packet, h string) reply { return answer(p, wire.AnswerHandle, wire.Draft{}.Text(h)) }

func data(p wire.Packet, text string) reply {
	return answer(p, wire.AnswerData, wire.Draft{}.Text(text))
}

func attrs(p wire.Packet, a wire.Attrs) reply {
	return answer(p, wire.AnswerAttrs, wire.Draft{}.Attrs(a))
}

// names answers READDIR with names that are all of one kind.
func names(p wire.Packet, a wire.Attrs, list ...string) reply {
	body := wire.Draft{}.Uint32(uint32(len(list)))
	for _, n := range list {
		body = body.Text(n).Text("").Attrs(a)
	}
	return answer(p, wire.AnswerNames, body)
}

// plain are the attributes of an ordinary file.
func plain(size int, mtime uint32) wire.Attrs {
	return wire.Attrs{Has: wire.HasSize | wire.HasMode | wire.HasTimes, Size: uint64(size), Mode: wire.ModeFile | 0o644, Atime: mtime, Mtime: mtime}
}

var aFolder = wire.Attrs{Has: wire.HasMode, Mode: wire.ModeFolder | 0o755}

// A tree is a small honest server of files in memory, of which a test may change what it answers.
type tree struct {
	mu      sync.Mutex
	files   map[string]string // path → content
	folders map[string]bool
	mtime   uint32
	handles map[uint32]string
	left    map[uint32][]string // names still to be listed, by handle
	n       uint32
	opened  map[string]int
	stats   int
	first   atomic.Pointer[rule] // nil: nothing is different; see instead
}

// A rule answers a request, or leaves it to the next. It is called with the tree locked.
type rule func(wire.Packet) (reply, bool)

func newTree(files map[string]string) *tree {
	return &tree{files: files, folders: map[string]bool{"out": true}, mtime: 1_700_000_000, handles: map[uint32]string{}, left: map[uint32][]string{}, opened: map[string]int{}}
}

// instead has f answer first, also of a server that is at work.
func (t *tree) instead(f rule) { t.first.Store(&f) }

// locked changes what the server has, or looks at what it was asked, while it is at work.
func (t *tree) locked(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

func (t *tree) answer(p wire.Packet) reply {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.first.Load(); f != nil {
		if r, mine := (*f)(p); mine {
			return r
		}
	}
	switch p.Type {
	case wire.Opendir:
		if !t.folders[p.Path] {
			return status(p, wire.NoSuchFile)
		}
		r := t.handle(p)
		for name := range t.files {
			if rest, ok := cutFolder(name, p.Path); ok {
				t.left[t.n] = append(t.left[t.n], rest)
			}
		}
		return r
	case wire.Readdir:
		list := t.left[p.Handle]
		if len(list) == 0 {
			return status(p, wire.EOF)
		}
		t.left[p.Handle] = nil
		body := wire.Draft{}.Uint32(uint32(len(list)))
		for _, n := range list {
			body = body.Text(n).Text("").Attrs(plain(len(t.files[t.handles[p.Handle]+"/"+n]), t.mtime))
		}
		return answer(p, wire.AnswerNames, body)
	case wire.Open:
		if _, ok := t.files[p.Path]; !ok {
			return status(p, wire.NoSuchFile)
		}
		t.opened[p.Path]++
		return t.handle(p)
	case wire.Read:
		return part(p, t.files[t.handles[p.Handle]], p.Length)
	case wire.Fstat, wire.Lstat:
		t.stats++
		if p.Type == wire.Fstat {
			p.Path = t.handles[p.Handle]
		}
		text, ok := t.files[p.Path]
		if !ok {
			return status(p, wire.NoSuchFile)
		}
		return attrs(p, plain(len(text), t.mtime))
	case wire.Close:
		return status(p, wire.OK)
	}
	return status(p, wire.Unsupported)
}

// part answers READ out of a text, with at most so many bytes.
func part(p wire.Packet, text string, most uint32) reply {
	if p.Offset >= uint64(len(text)) {
		return status(p, wire.EOF)
	}
	return data(p, text[p.Offset:min(uint64(len(text)), p.Offset+uint64(min(p.Length, most)))])
}

func (t *tree) handle(p wire.Packet) reply {
	t.n++
	t.handles[t.n] = p.Path
	return handle(p, string(binary.BigEndian.AppendUint32(nil, t.n)))
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

// exists reports whether a path of this machine is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
