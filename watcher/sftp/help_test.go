package sftp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"waybill/testenv"
	"waybill/watcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	done   = watcher.Closing{Fate: watcher.Done}
	failed = watcher.Closing{Fate: watcher.Failed, Report: []byte(`{"rejects": 1}`), ReportName: "a.csv.rejects.json"}
)

// A logbook keeps what is logged.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// brisk are times for tests.
func brisk() timing {
	t := usual()
	t.first, t.longest = 10*time.Millisecond, 100*time.Millisecond
	t.resume, t.refused = 20*time.Second, 150*time.Millisecond
	return t
}

// A bench is a folder on a server, and a source that watches it.
type bench struct {
	*Source
	t       testing.TB
	sshd    *testenv.SSHD // nil: another server
	servers *Servers
	log     *logbook
}

// A change is something to be different from the usual.
type change func(*Options, *watcher.Settings)

// newBench makes a source for the folder out of an OpenSSH server.
func newBench(t testing.TB, changes ...change) *bench {
	t.Helper()
	return onServer(t, testenv.OpenSSH(t), brisk(), changes...)
}

func onServer(t testing.TB, s *testenv.SSHD, tm timing, changes ...change) *bench {
	t.Helper()
	s.MakeFolder(t, "out")
	b := source(t, login(t, s), tm, changes...)
	b.sshd = s
	return b
}

// login are the options to log in at an OpenSSH server.
func login(t testing.TB, s *testenv.SSHD) Options {
	t.Helper()
	key, err := os.ReadFile(s.Key)
	must(t, err)
	return Options{
		Address: s.Addr, Login: Login{User: s.User, Key: string(key)}, Folder: "out",
		HostKey: []string{ssh.FingerprintSHA256(s.HostKeys[ssh.KeyAlgoED25519])},
	}
}

// source makes a source.
func source(t testing.TB, o Options, tm timing, changes ...change) *bench {
	t.Helper()
	settings := watcher.Settings{Settle: watcher.Settling{Looks: 1}}
	for _, c := range changes {
		c(&o, &settings)
	}
	b := &bench{t: t, servers: NewServers(time.Now), log: &logbook{}}
	b.servers.timing = tm
	var files Files
	if o.KnownHosts != "" {
		text, err := os.ReadFile(o.KnownHosts)
		must(t, err)
		files.KnownHosts = text
	}
	src, problems := New(o, files, settings, b.servers, slog.New(slog.NewTextHandler(b.log, nil)))
	if len(problems) > 0 {
		t.Fatalf("options: %v", problems)
	}
	b.Source = src
	t.Cleanup(src.Leave)
	return b
}

func recursive(o *Options, _ *watcher.Settings) { o.Recursive = true }

func deleting(_ *Options, s *watcher.Settings) { s.Done, s.Failed = "delete", "delete" }

func (b *bench) path(name string) string { return filepath.Join(b.sshd.Folder, "out", name) }

func (b *bench) write(name, text string) {
	b.t.Helper()
	b.sshd.Write(b.t, "out/"+name, text)
}

func (b *bench) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	must(b.t, err)
	return string(text)
}

// gone fails the test if name is there.
func (b *bench) gone(name string) {
	b.t.Helper()
	if _, err := os.Lstat(b.path(name)); !errors.Is(err, os.ErrNotExist) {
		b.t.Errorf("%q is still there (%v)", name, err)
	}
}

// list returns what is there, by path.
func (b *bench) list() map[string]watcher.File {
	b.t.Helper()
	files, errs := b.look()
	if len(errs) > 0 {
		b.t.Fatal(errs)
	}
	return files
}

// look returns what is there, and what is told.
func (b *bench) look() (files map[string]watcher.File, errs []error) {
	files = map[string]watcher.File{}
	for f, err := range b.List(context.Background()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files[f.Path] = f
	}
	return files, errs
}

// listed returns one listed file.
func (b *bench) listed(name string) watcher.File {
	b.t.Helper()
	f, ok := b.list()[name]
	if !ok {
		b.t.Fatalf("%q is not listed", name)
	}
	return f
}

// content opens f and reads it.
func (b *bench) content(f watcher.File) (string, error) {
	r, err := b.Open(context.Background(), f)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

func (b *bench) close(f watcher.File, how watcher.Closing) string {
	b.t.Helper()
	where, err := b.Close(context.Background(), f, how)
	must(b.t, err)
	return where
}

// noise is text that no mistake in offsets leaves unchanged.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return string(b)
}
