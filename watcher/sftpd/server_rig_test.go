package sftpd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A memory stands for the other half: SFTP over files in memory, the same for all sessions.
type memory struct {
	handlers sftp.Handlers
	mu       sync.Mutex
	served   []Session
	busy     map[string]bool
}

func newMemory() *memory { return &memory{handlers: sftp.InMemHandler(), busy: map[string]bool{}} }

func (m *memory) Serve(ctx context.Context, s Session, ch io.ReadWriteCloser) error {
	m.mu.Lock()
	m.served = append(m.served, s)
	m.mu.Unlock()
	return sftp.NewRequestServer(ch, m.handlers).Serve()
}

func (m *memory) Uploading(session string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.busy[session]
}

func (m *memory) sessions() []Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.served)
}

// A journal keeps notes, and says when there is one more.
type journal struct {
	mu    sync.Mutex
	notes []note
	more  chan struct{}
}

func newJournal() *journal { return &journal{more: make(chan struct{}, 1000)} }

func (j *journal) Note(_ context.Context, kind string, detail map[string]any) error {
	j.mu.Lock()
	j.notes = append(j.notes, note{kind, detail})
	j.mu.Unlock()
	select {
	case j.more <- struct{}{}:
	default:
	}
	return nil
}

func (j *journal) all(kind string) (list []map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, n := range j.notes {
		if n.kind == kind {
			list = append(list, n.detail)
		}
	}
	return list
}

// patience is how long anything may take before it counts as never.
const patience = 2 * time.Minute

// wait returns the first note of a kind that fits.
func (j *journal) wait(t *testing.T, kind string, fits func(map[string]any) bool) map[string]any {
	t.Helper()
	end := time.After(patience)
	for {
		for _, d := range j.all(kind) {
			if fits == nil || fits(d) {
				return d
			}
		}
		select {
		case <-j.more:
		case <-end:
			j.mu.Lock()
			defer j.mu.Unlock()
			t.Fatalf("no note %q in %v", kind, j.notes)
		}
	}
}

// A clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A house is a server under test.
type house struct {
	t       *testing.T
	server  *Server
	files   *memory
	journal *journal
	clock   *clock
	log     *bytes.Buffer
	address string
	legacy  string
	keys    []HostKey
	stop    context.CancelFunc
	ended   chan struct{}
}

// hostKeys are made once: an RSA key takes its time.
var hostKeys = sync.OnceValues(func() ([]HostKey, error) {
	folder, err := os.MkdirTemp("", "hostkeys")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	return MakeHostKeys(folder)
})

// locked is a buffer that many may write to.
type locked struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// options are those of tests: addresses of the machine itself are not locked out, unless the test is about that.
func options() Options {
	return Options{LoginTime: patience, Logins: 100, PerAddress: 10, Idle: 10 * time.Minute, Sessions: 10,
		Exempt: []Network{network("127.0.0.0/8")}}
}

func network(text string) (n Network) {
	if err := n.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return n
}

// open starts a server with the partners; change may be nil.
func open(t *testing.T, change func(*Config), members ...Member) *house {
	t.Helper()
	h := build(t, change, members...)
	h.start()
	return h
}

// build makes a server. What a test changes of it, it changes before start.
func build(t *testing.T, change func(*Config), members ...Member) *house {
	t.Helper()
	keys, err := hostKeys()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, files: newMemory(), journal: newJournal(), clock: newClock(), log: new(bytes.Buffer), keys: keys, ended: make(chan struct{})}
	c := Config{Options: options(), HostKeys: keys, Roster: NewRoster(members), Files: h.files, Journal: h.journal, Now: h.clock.now,
		Log: slog.New(slog.NewTextHandler(&locked{b: h.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&c)
	}
	if h.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	return h
}

// start has it take connections until the test ends.
func (h *house) start() {
	t := h.t
	t.Helper()
	listen := func() net.Listener {
		l, err := Listen(t.Context(), []string{"127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		return l[0]
	}
	plain, legacy := listen(), listen()
	h.address, h.legacy = plain.Addr().String(), legacy.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	go func() {
		defer close(h.ended)
		if err := h.server.Run(ctx, []net.Listener{plain}, []net.Listener{legacy}, 5*time.Second); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	t.Cleanup(func() {
		h.end()
		if t.Failed() {
			t.Logf("log:\n%s", h.log)
		}
	})
}

func (h *house) end() {
	h.stop()
	<-h.ended
}

// partner is one with keys, and a folder to drop into.
func partner(name string, change func(*Partner), keys ...ssh.PublicKey) Member {
	p := &Partner{Profile: "modern"}
	for _, k := range keys {
		p.Keys = append(p.Keys, Key{PublicKey: k})
	}
	if change != nil {
		change(p)
	}
	return NewMember(name, p, []Folder{{Path: "in", Right: Drop, Source: "drop"}})
}

func edKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dial logs in with x/crypto's client.
func (h *house) dial(user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	return h.dialFrom("", h.address, user, auth...)
}

// dialFrom connects from another address of the machine.
func (h *house) dialFrom(from, address, user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	d := net.Dialer{Timeout: patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.DialContext(h.t.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{User: user, Auth: auth, HostKeyCallback: ssh.FixedHostKey(h.keys[0].PublicKey()),
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: patience})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	client := ssh.NewClient(c, channels, requests)
	h.t.Cleanup(func() { _ = client.Close(); _ = client.Wait() })
	return client, nil
}

// with authenticates with keys.
func with(keys ...ssh.Signer) ssh.AuthMethod { return ssh.PublicKeys(keys...) }

// works tries the session: a file goes there and back.
func works(t *testing.T, c *ssh.Client) {
	t.Helper()
	s, err := sftp.NewClient(c)
	if err != nil {
		t.Fatalf("SFTP: %v", err)
	}
	defer func() { _ = s.Close() }()
	f, err := s.Create("/x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Stat("/x"); err != nil || info.Size() != 5 {
		t.Fatalf("%v, %v", info, err)
	}
}

// openssh runs OpenSSH's sftp with the options, on the commands of a batch.
func (h *house) openssh(batch string, environment []string, options ...string) (string, error) {
	h.t.Helper()
	program, err := exec.LookPath("sftp")
	if err != nil {
		h.t.Skip("OpenSSH's sftp is not installed, so it is NOT TESTED that it can log in")
	}
	folder := h.t.TempDir()
	host, port, _ := net.SplitHostPort(h.address)
	known := filepath.Join(folder, "known")
	var lines strings.Builder
	for _, k := range h.keys {
		fmt.Fprintf(&lines, "[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(k.PublicKey()))
	}
	if err := os.WriteFile(known, []byte(lines.String()), 0o600); err != nil {
		h.t.Fatal(err)
	}
	args := []string{"-F", "none", "-P", port, "-o", "UserKnownHostsFile=" + known, "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes",
		"-o", "ConnectTimeout=120", "-o", "LogLevel=INFO", "-o", "NumberOfPasswordPrompts=1", "-o", "IdentityAgent=none"}
	if len(environment) == 0 {
		args = append(args, "-b", "-")
	} else {
		args = append(args, "-o", "BatchMode=no") // -b would forbid questions
	}
	args = append(args, options...)
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, program, append(args, host)...)
	c.Dir, c.Stdin = folder, strings.NewReader(batch)
	c.Env = append(os.Environ(), environment...)
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	return string(out), err
}

// keyFile writes a private key for OpenSSH.
func keyFile(t *testing.T, private any) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
