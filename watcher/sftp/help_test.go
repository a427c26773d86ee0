package sftp

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"waybill/testenv"
	"waybill/watcher"
	"waybill/watcher/watchertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	done   = watcher.Closing{Fate: watcher.Done}
	failed = watcher.Closing{Fate: watcher.Failed, Report: []byte(`{"rejects": 1}`), ReportName: "a.csv.rejects.json"}
)

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
	*watchertest.Place
	t       testing.TB
	sshd    *testenv.SSHD // nil: another server
	servers *Servers
	log     *watchertest.Logbook
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
	b.Place.Dir, b.Place.Put = filepath.Join(s.Folder, "out"), func(name, text string) { s.Write(b.Place.T, "out/"+name, text) }
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
	return connecting(t, o, tm, connect, changes...)
}

// connecting makes a source that connects in a way of its own.
func connecting(t testing.TB, o Options, tm timing, way connector, changes ...change) *bench {
	t.Helper()
	settings := watcher.Settings{Settle: watcher.Settling{Looks: 1}}
	for _, c := range changes {
		c(&o, &settings)
	}
	b := &bench{t: t, servers: NewServers(time.Now), log: &watchertest.Logbook{}}
	b.servers.timing, b.servers.connect = tm, way
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
	b.Source, b.Place = src, &watchertest.Place{T: t, Source: src}
	t.Cleanup(src.Leave)
	return b
}

func recursive(o *Options, _ *watcher.Settings) { o.Recursive = true }

func deleting(_ *Options, s *watcher.Settings) { s.Done, s.Failed = "delete", "delete" }

func TestAServersFolderKeepsTheContractOfASource(t *testing.T) {
	t.Parallel()
	watchertest.Run(t, watchertest.Fixture{Start: func(t *testing.T, s watcher.Settings) *watchertest.Place {
		s.Settle.Looks = 1
		return newBench(t, recursive, func(_ *Options, own *watcher.Settings) { *own = s }).Place
	}})
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

// A hand is a clock that a test puts forward while a connection reads it. It is ahead of the real one, to which deadlines of connections belong: a test
// that takes long on a busy machine must not meet one.
type hand struct{ at atomic.Int64 }

func newHand() *hand {
	h := &hand{}
	h.at.Store(time.Now().Add(time.Hour).UnixNano())
	return h
}

func (h *hand) now() time.Time          { return time.Unix(0, h.at.Load()) }
func (h *hand) forward(d time.Duration) { h.at.Add(int64(d)) }
