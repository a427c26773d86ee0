package sftpd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// routes is a router of fixed answers.
type routes []ledger.Policy

func (r routes) Route(ledger.Arrival) []ledger.Policy { return r }

// note is something that was journalled.
type note struct {
	kind   string
	detail map[string]any
}

// rig is a ledger with mailboxes.
type rig struct {
	t       testing.TB
	ledger  *ledger.Ledger
	spool   *spool.Spool
	db      *store.DB
	files   *Files
	data    string
	account Account
	hostKey string // fingerprint, of listen

	mu     sync.Mutex
	ended  sync.Cond
	active int // sessions over SSH
	notes  []note
}

// idle waits until all sessions over SSH have ended.
func (r *rig) idle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.active > 0 {
		r.ended.Wait()
	}
}

func (r *rig) begin(by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active += by
	r.ended.Broadcast()
}

func (r *rig) Note(_ context.Context, kind string, detail map[string]any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, note{kind, detail})
	return nil
}

func (r *rig) noted(kind string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.notes {
		if x.kind == kind {
			n++
		}
	}
	return n
}

func newRig(t testing.TB, more ...func(*FilesOptions)) *rig { return newRigIn(t, t.TempDir(), more...) }

func newRigIn(t testing.TB, data string, more ...func(*FilesOptions)) *rig {
	t.Helper()
	r := &rig{t: t, data: data}
	r.ended.L = &r.mu
	r.account = Account{Name: "acme", Folders: []Folder{
		{Path: "in", Right: Drop, Source: "partners"}, {Path: "orders/in", Right: Drop, Source: "orders"}, {Path: "out", Right: PickUp},
		{Path: "test", Right: Drop, Source: "partners", Trial: true},
	}}
	var err error
	r.db, err = store.Open(t.Context(), store.Options{Folder: data, AcceptDataLoss: true, Now: time.Now})
	r.must(err)
	t.Cleanup(func() { r.must(r.db.Close()) })
	r.spool, err = spool.Open(r.db, filepath.Join(data, "spool"), spool.Options{})
	r.must(err)
	r.ledger = ledger.New(r.db, r.spool, ledger.Options{Router: routes{{Job: "orders"}}})
	o := FilesOptions{Folder: filepath.Join(data, "mailboxes"), Ledger: r.ledger, Spool: r.spool, Journal: r, Now: time.Now}
	for _, f := range more {
		f(&o)
	}
	r.files, err = NewFiles(t.Context(), o)
	r.must(err)
	return r
}

func (r *rig) must(err error) {
	if err != nil {
		r.t.Helper()
		r.t.Fatal(err)
	}
}

func (r *rig) session() Session {
	a := r.account
	return Session{ID: fresh(), Account: &a, Address: netip.MustParseAddrPort("127.0.0.1:4711"), Client: "SSH-2.0-test", Login: time.Now()}
}

// duplex is one end of a connection in memory.
type duplex struct {
	io.Reader
	io.WriteCloser
	both []io.Closer
}

func (d duplex) Close() error {
	for _, c := range d.both {
		_ = c.Close()
	}
	return nil
}

func pipe() (a, b duplex) {
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	both := []io.Closer{r1, w1, r2, w2}
	return duplex{r1, w2, both}, duplex{r2, w1, both}
}

// dial connects a client in memory. The function ends the connection as a cut would and waits for the server.
func (r *rig) dial() (*sftp.Client, func()) {
	r.t.Helper()
	near, far := pipe()
	served := make(chan error, 1)
	go func() {
		err := r.files.Serve(context.Background(), r.session(), far)
		_ = far.Close()
		served <- err
	}()
	c, err := sftp.NewClientPipe(near, near)
	r.must(err)
	var once sync.Once
	cut := func() {
		once.Do(func() {
			_ = near.Close()
			_ = c.Close()
			if err := <-served; err != nil && !errors.Is(err, io.ErrClosedPipe) {
				r.t.Errorf("serve: %v", err)
			}
		})
	}
	r.t.Cleanup(cut)
	return c, cut
}

// content returns the bytes of the newest file that landed under a path, which begins with the partner.
func (r *rig) content(path string) (string, bool) {
	r.t.Helper()
	list, err := r.ledger.Why(r.t.Context(), path)
	r.must(err)
	for _, s := range list {
		if s.File.Object == 0 {
			continue
		}
		b, err := r.read(s.File.Object)
		r.must(err)
		return string(b), true
	}
	return "", false
}

func (r *rig) read(object int64) ([]byte, error) {
	x, err := r.spool.Reader(r.t.Context(), object)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(x)
	return b, errors.Join(err, x.Close())
}

func (r *rig) entries() []ledger.Entry {
	r.t.Helper()
	list, err := r.ledger.List(r.t.Context(), ledger.Filter{Limit: 100_000})
	r.must(err)
	return list
}

// pattern is n bytes, each telling where it is.
func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d;line %d\n", i, i*7)
	}
	return b.Bytes()[:n]
}

// listen serves the rig's account over SSH, to whoever comes, and returns the address and a file with a key for clients.
func (r *rig) listen() (port, key string) {
	r.t.Helper()
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	r.must(err)
	signer, err := ssh.NewSignerFromKey(hostKey)
	r.must(err)
	config := modern()
	config.NoClientAuth = true
	config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	config.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }
	config.AddHostKey(signer)
	r.hostKey = ssh.FingerprintSHA256(signer.PublicKey())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.welcome(ctx, conn, &config) })
		}
	})
	r.t.Cleanup(func() { stop(); _ = l.Close(); wg.Wait() })
	_, clientKey, err := ed25519.GenerateKey(rand.Reader)
	r.must(err)
	block, err := ssh.MarshalPrivateKey(clientKey, "")
	r.must(err)
	key = filepath.Join(r.t.TempDir(), "key")
	r.must(os.WriteFile(key, pem.EncodeToMemory(block), 0o600))
	_, port, _ = strings.Cut(l.Addr().String(), ":")
	return port, key
}

func (r *rig) welcome(ctx context.Context, conn net.Conn, config *ssh.ServerConfig) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	sc, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer sc.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { ssh.DiscardRequests(requests) })
	for nc := range channels {
		ch, rs, err := nc.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			for q := range rs {
				ok := q.Type == "subsystem" && string(q.Payload[4:]) == "sftp"
				_ = q.Reply(ok, nil)
				if ok {
					wg.Go(func() {
						s := r.session()
						s.Client = string(sc.ClientVersion())
						r.begin(+1)
						defer r.begin(-1)
						if err := r.files.Serve(ctx, s, ch); err != nil && ctx.Err() == nil {
							r.t.Logf("serve: %v", err)
						}
						_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
						_ = ch.Close()
					})
				}
			}
		})
	}
}
