package crash_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/testenv"
)

// An arrival is one line of the receiver's log: a request that it has taken.
type arrival struct {
	Path string    `json:"path"`
	Key  string    `json:"key"`
	Hash string    `json:"hash"` // SHA-256 of the body
	Body string    `json:"body"`
	At   time.Time `json:"at"`
}

// A receiver is the other side: it writes each request to its log, and answers only once that is synced. It serves
// POST /api/…, POST /asked and, for those who ask, GET /asked/seen/KEY.
type receiver struct {
	*httptest.Server
	t    testing.TB
	log  string
	fail func(n int) bool // whether the n-th request is turned away with 503; nil: none

	mu    sync.Mutex
	n     int
	seen  map[string]bool // keys
	conns map[net.Conn]bool

	lines chan line
	ended chan struct{}
}

// A line waits for its place in the log.
type line struct {
	text    []byte
	written chan struct{}
}

func newReceiver(t testing.TB, folder string) *receiver {
	t.Helper()
	r := &receiver{
		t: t, log: filepath.Join(folder, "receiver.log"), seen: map[string]bool{}, conns: map[net.Conn]bool{},
		lines: make(chan line, 64), ended: make(chan struct{}),
	}
	f, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	go r.write(f)
	r.Server = &httptest.Server{Listener: testenv.Listen(t), Config: &http.Server{Handler: http.HandlerFunc(r.serve)}}
	r.Config.ConnState = func(c net.Conn, s http.ConnState) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.conns[c] = true
		if s == http.StateClosed || s == http.StateHijacked {
			delete(r.conns, c)
		}
	}
	t.Cleanup(func() {
		r.Close()
		close(r.lines)
		<-r.ended
	})
	return r
}

// write keeps the log: what has come while the last sync ran shares the next.
func (r *receiver) write(f *os.File) {
	defer close(r.ended)
	defer func() { _ = f.Close() }() // each line is synced
	for first := range r.lines {
		group := []line{first}
		for more := true; more; {
			select {
			case l, ok := <-r.lines:
				if more = ok; ok {
					group = append(group, l)
				}
			default:
				more = false
			}
		}
		var text []byte
		for _, l := range group {
			text = append(text, l.text...)
		}
		if _, err := f.Write(text); err != nil {
			r.t.Error(err)
		}
		if err := f.Sync(); err != nil {
			r.t.Error(err)
		}
		for _, l := range group {
			close(l.written)
		}
	}
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	if key, ok := strings.CutPrefix(q.URL.Path, "/asked/seen/"); ok && q.Method == http.MethodGet {
		r.mu.Lock()
		seen := r.seen[key]
		r.mu.Unlock()
		if !seen {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // its sender was killed: it has not arrived
	}
	r.mu.Lock()
	r.n++
	n := r.n
	r.mu.Unlock()
	if r.fail != nil && r.fail(n) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	sum := sha256.Sum256(body)
	a := arrival{Path: q.URL.Path, Key: strings.Trim(q.Header.Get("Idempotency-Key"), `"`), Hash: hex.EncodeToString(sum[:]), Body: string(body), At: time.Now()}
	text, err := json.Marshal(a)
	if err != nil {
		r.t.Error(err)
	}
	l := line{text: append(text, '\n'), written: make(chan struct{})}
	r.lines <- l
	<-l.written
	r.mu.Lock()
	r.seen[a.Key] = true
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"received":true}`) // its sender may have been killed
}

// quiet reports whether nobody is connected: what a killed process had sent has been taken or dropped.
func (r *receiver) quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns) == 0
}

// taken is how many requests have come.
func (r *receiver) taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// arrivals reads the log.
func (r *receiver) arrivals() []arrival {
	r.t.Helper()
	f, err := os.Open(r.log)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var list []arrival
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var a arrival
		if err := json.Unmarshal(scan.Bytes(), &a); err != nil {
			r.t.Fatalf("the receiver's log: %v", err)
		}
		list = append(list, a)
	}
	if err := scan.Err(); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// again starts the receiver at its address, where nobody listened until now.
func (r *receiver) again() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.Listener = l
	r.Start()
}
