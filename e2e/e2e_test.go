// Package e2e_test runs the real program against real others: a broker, databases, an API.
package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/ledger"
	"waybill/outbox"
	"waybill/spool"
	"waybill/store"
)

func TestMain(m *testing.M) {
	if os.Getenv(measureVariable) != "" {
		os.Exit(measure())
	}
	folder, err := os.MkdirTemp("", "waybill-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildFolder = folder
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

var buildFolder string

// binary builds the program as it is shipped, once.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildFolder, "waybill")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "../cmd/waybill")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build waybill: %w\n%s", err, out)
	}
	return path, nil
})

// patience is how long anything may take before it counts as never.
const patience = 2 * time.Minute

// A house is a folder with a configuration, a drop folder and a data folder.
type house struct {
	t      testing.TB
	folder string
}

func newHouse(t testing.TB, config string) *house {
	t.Helper()
	h := &house{t: t, folder: t.TempDir()}
	for _, name := range []string{"drop", "out"} {
		h.must(os.Mkdir(h.path(name), 0o755))
	}
	h.configure(config)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) path(name string) string { return filepath.Join(h.folder, name) }

// configure writes the configuration; what every house has stands before it.
func (h *house) configure(config string) {
	h.t.Helper()
	text := "data: " + h.path("data") + "\nlog: {level: debug, format: json}\n" + config
	h.must(os.WriteFile(h.path("waybill.yaml"), []byte(text), 0o600))
}

// drop lays a file into the drop folder as a partner would: under another name first.
func (h *house) drop(name, text string) {
	h.t.Helper()
	temp := h.path("drop/." + name)
	h.must(os.WriteFile(temp, []byte(text), 0o644))
	h.must(os.Rename(temp, h.path("drop/"+name)))
}

func (h *house) there(name string) bool {
	_, err := os.Stat(h.path(name))
	return err == nil
}

func (h *house) command(args ...string) *exec.Cmd {
	h.t.Helper()
	path, err := binary()
	h.must(err)
	cmd := exec.Command(path, append(args, "--config", h.path("waybill.yaml"), "--accept-data-loss")...)
	cmd.Dir = h.folder
	return cmd
}

// run runs a command and returns its exit code and what it printed.
func (h *house) run(args ...string) (code int, out string) {
	h.t.Helper()
	cmd := h.command(args...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// runs runs a command that must end with code.
func (h *house) runs(code int, args ...string) string {
	h.t.Helper()
	got, out := h.run(args...)
	if got != code {
		h.t.Fatalf("waybill %v ended with %d, want %d:\n%s", args, got, code, out)
	}
	return out
}

// A daemon is a running `waybill serve`.
type daemon struct {
	*house
	cmd  *exec.Cmd
	said *said
}

// said is what a process prints, to be read while it does.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serve starts the daemon, waits until it is ready, and has it stop in order when the test ends.
func (h *house) serve() *daemon {
	h.t.Helper()
	return h.start(h.command("serve"))
}

// start is serve with a command of one's own.
func (h *house) start(cmd *exec.Cmd) *daemon {
	h.t.Helper()
	d := &daemon{house: h, cmd: cmd, said: new(said)}
	d.cmd.Stdout, d.cmd.Stderr = d.said, d.said
	h.must(d.cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- d.cmd.Wait() }()
	h.t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				h.t.Errorf("the daemon ended with %v:\n%s", err, tail(d.said.String()))
			}
		case <-time.After(patience):
			_ = d.cmd.Process.Kill()
			h.t.Errorf("the daemon does not stop:\n%s", tail(d.said.String()))
			<-ended
		}
		if h.t.Failed() {
			h.t.Logf("the daemon said:\n%s", tail(d.said.String()))
		}
	})
	d.until("the daemon is ready", func() bool { return bytes.Contains([]byte(d.said.String()), []byte(`"msg":"ready"`)) })
	return d
}

func tail(s string) string { return s[max(0, len(s)-6000):] }

// until waits until something holds.
func (h *house) until(what string, holds func() bool) {
	h.t.Helper()
	limit, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			h.t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}

// A look reads the ledger beside the daemon.
type look struct {
	db     *store.DB
	ledger *ledger.Ledger
	outbox *outbox.Outbox
}

func (h *house) look() *look {
	h.t.Helper()
	db, err := store.Open(context.Background(), store.Options{Folder: h.path("data"), AcceptDataLoss: true})
	h.must(err)
	h.t.Cleanup(func() { h.must(db.Close()) })
	s, err := spool.Open(db, h.path("data/spool"), spool.Options{})
	h.must(err)
	out, err := outbox.New(db, outbox.Config{})
	h.must(err)
	return &look{db: db, ledger: ledger.New(db, s, ledger.Options{}), outbox: out}
}

// entries lists the entries of a job, oldest first.
func (l *look) entries(t testing.TB, job string) []ledger.Entry {
	t.Helper()
	list, err := l.ledger.List(context.Background(), ledger.Filter{Jobs: []string{job}, After: -1})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// An api is a receiver that keeps what it is sent.
type api struct {
	*httptest.Server
	mu   sync.Mutex
	got  []string // path, space, body
	keys []string // their idempotency keys
	down bool
}

func newAPI(t testing.TB) *api {
	a := &api{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		a.mu.Lock()
		defer a.mu.Unlock()
		switch {
		case err != nil:
		case a.down:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			a.got = append(a.got, r.URL.Path+" "+string(body))
			a.keys = append(a.keys, r.Header.Get("Idempotency-Key"))
			w.WriteHeader(http.StatusCreated)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) turn(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *api) arrived() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.got...)
}

// orders makes a CSV file of n orders.
func orders(from, n int) string {
	var b bytes.Buffer
	b.WriteString("no;qty;site\n")
	for i := range n {
		fmt.Fprintf(&b, "A-%d;%d;W%d\n", from+i, from+i, (from+i)%3)
	}
	return b.String()
}
