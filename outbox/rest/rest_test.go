package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/outbox"
	"waybill/outbox/outboxtest"
	"waybill/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is what the clock of every test says.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// start makes a target that is closed at the end of the test.
func start(t testing.TB, o Options, l Limits, ask *Question) *Target {
	t.Helper()
	target, problems := New(o, l, ask, clock)
	if len(problems) > 0 {
		t.Fatalf("New: %v", problems)
	}
	target.transport.Proxy = nil // whatever the machine's environment says
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target
}

// serve starts a receiver on a port of its own.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// one delivers a single message.
func one(t testing.TB, target *Target, m outbox.Message) (outbox.Receipt, error) {
	t.Helper()
	o := outboxtest.Deliver(t.Context(), t, target, []outbox.Message{m})
	err, reported := o.Err(0)
	if !reported {
		t.Fatal("the message was not reported")
	}
	return o.Receipt(0), err
}

func order(n int) outbox.Message {
	return outbox.Message{
		Key:     fmt.Sprintf("order-%d", n),
		Headers: []outbox.Header{{Name: ":path", Value: "/orders"}, {Name: ":content-type", Value: "application/json"}},
		Body:    fmt.Appendf(nil, `{"orderNumber":"WL-%d"}`, n),
	}
}

// receiver is an API that applies each key once and remembers it.
type receiver struct {
	mu      sync.Mutex
	effects map[string]int
	held    chan struct{}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	var got struct {
		Bad bool `json:"bad"`
	}
	if json.Unmarshal(body, &got) != nil || got.Bad {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	r.mu.Lock()
	held := r.held
	if key := strings.Trim(q.Header.Get("Idempotency-Key"), `"`); r.effects[key] == 0 {
		r.effects[key]++
	}
	r.mu.Unlock()
	if held != nil {
		<-held
	}
	w.WriteHeader(http.StatusCreated)
}

func (r *receiver) Effects() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]int{}
	for k, n := range r.effects {
		all[k] = n
	}
	return all
}

func TestTargetKeepsTheContract(t *testing.T) {
	t.Parallel()
	outboxtest.Run(t, outboxtest.Fixture{Start: func(t *testing.T) outboxtest.Side {
		r := &receiver{effects: map[string]int{}}
		var server *httptest.Server
		serve := func(l net.Listener) {
			server = &httptest.Server{Listener: l, Config: &http.Server{Handler: r}}
			server.Start()
		}
		serve(testenv.Listen(t))
		address := server.Listener.Addr().String()
		t.Cleanup(func() { server.Close() })
		return outboxtest.Side{
			Target:  start(t, Options{URL: server.URL}, Limits{Timeout: 5 * time.Second, Concurrency: 4}, nil),
			Message: order,
			Refused: func(n int) outbox.Message {
				m := order(n)
				m.Body = []byte(`{"bad":true}`)
				return m
			},
			Effects: r.Effects,
			Down:    server.Close,
			Up: func() {
				l, err := net.Listen("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				serve(l)
			},
			Hold: func() func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				held := make(chan struct{})
				r.held = held
				return func() { close(held) }
			},
		}
	}})
}

func TestRequestCarriesWhatTheMessageSays(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Header.Set("Body", string(body))
		got <- r
	})
	target := start(t, Options{
		URL:     s.URL + "/api/?code=s3cret",
		Auth:    Auth{APIKey: &APIKey{Header: "X-API-Key", Value: "k"}},
		Headers: map[string]string{"X-Site": "W1"},
	}, Limits{}, nil)
	r, err := one(t, target, outbox.Message{
		Key: "0b6f",
		Headers: []outbox.Header{
			{Name: ":method", Value: "PUT"}, {Name: ":path", Value: "/orders/A%2F1/lines"}, {Name: ":query", Value: "q=a%20b"},
			{Name: ":content-type", Value: "application/xml"}, {Name: "X-Trace", Value: "1"}, {Name: "X-API-Key", Value: "forged"},
		},
		Body: []byte("<a/>"),
	})
	if err != nil {
		t.Fatal(err)
	}
	q := <-got
	if q.Method != "PUT" || q.RequestURI != "/api/orders/A%2F1/lines?code=s3cret&q=a%20b" {
		t.Errorf("request line: %s %s", q.Method, q.RequestURI)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/xml", "X-Trace": "1", "X-Site": "W1", "X-Api-Key": "k",
		"Idempotency-Key": `"0b6f"`, "User-Agent": "waybill", "Body": "<a/>", "Accept-Encoding": "gzip",
	} {
		if v := q.Header.Values(name); len(v) != 1 || v[0] != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if r.Status != 200 {
		t.Errorf("receipt: %+v", r)
	}
}

func TestKeyIsAStructuredFieldStringOrBare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, quoted, bare string }{
		{"8e03978e-40d5", `"8e03978e-40d5"`, "8e03978e-40d5"},
		{`a"b\c`, `"a\"b\\c"`, `a"b\c`},
		{"a b", `"a b"`, "a%20b"},
		{"é\n%", `"%C3%A9%0A%25"`, "%C3%A9%0A%25"},
	} {
		if got := keyText(c.key, true); got != c.quoted {
			t.Errorf("quoted %q: %s, want %s", c.key, got, c.quoted)
		}
		if got := keyText(c.key, false); got != c.bare {
			t.Errorf("bare %q: %s, want %s", c.key, got, c.bare)
		}
	}
}

func TestKeyHeaderIsConfigurable(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	bare := false
	if _, err := one(t, start(t, Options{URL: s.URL, Idempotency: Idempotency{Header: "X-Request-Id", Quoted: &bare}}, Limits{}, nil), order(1)); err != nil {
		t.Fatal(err)
	}
	if h := <-got; h.Get("X-Request-Id") != "order-1" || h.Get("Idempotency-Key") != "" {
		t.Errorf("headers: %v", h)
	}
	if _, err := one(t, start(t, Options{URL: s.URL, Idempotency: Idempotency{Header: "none"}}, Limits{}, nil), order(1)); err != nil {
		t.Fatal(err)
	}
	if h := <-got; h.Get("Idempotency-Key") != "" || h.Get("None") != "" {
		t.Errorf("headers: %v", h)
	}
}

func TestMessageCannotLeaveTheURLOrBreakTheRequest(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request went out: %s %s", r.Method, r.RequestURI)
	})
	target := start(t, Options{URL: s.URL + "/api"}, Limits{}, nil)
	for _, h := range []outbox.Header{
		{Name: ":path", Value: "/../admin"}, {Name: ":path", Value: "/a/%2e%2E/b"}, {Name: ":path", Value: "/a b"}, {Name: ":path", Value: "/a?b"},
		{Name: ":path", Value: "/%zz"}, {Name: ":path", Value: "/é"}, {Name: ":path", Value: `\\other`}, {Name: ":query", Value: "a#b"}, {Name: ":query", Value: "a\r\nX: y"},
		{Name: ":method", Value: "PO ST"}, {Name: ":method", Value: "CONNECT"}, {Name: "X-A", Value: "a\r\nX-B: c"}, {Name: "Host", Value: "other"},
		{Name: "Content-Length", Value: "0"}, {Name: "Bad Name", Value: "x"}, {Name: ":content-type", Value: "a\nb"},
	} {
		_, err := one(t, target, outbox.Message{Key: "k", Headers: []outbox.Header{h}})
		if err == nil || outbox.FaultOf(err) != outbox.FaultRefused {
			t.Errorf("%s %q: %v, want a refusal", h.Name, h.Value, err)
		}
	}
}

func TestSpooledBodyIsStreamedAtItsLength(t *testing.T) {
	t.Parallel()
	const size = 5 << 20
	got := make(chan [2]int64, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got <- [2]int64{r.ContentLength, n}
	})
	target := start(t, Options{URL: s.URL}, Limits{}, nil)
	m := outbox.Message{Key: "k", Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(zeros{}, size)), nil
	}}
	if _, err := one(t, target, m); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != [2]int64{size, size} {
		t.Errorf("length and bytes: %v", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBodyThatCannotBeReadIsNotTheReceiversFault(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	target := start(t, Options{URL: s.URL}, Limits{}, nil)
	gone := errors.New("object is gone")
	for name, open := range map[string]func() (io.ReadCloser, error){
		"open": func() (io.ReadCloser, error) { return nil, gone },
		"read": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), broken{gone})), nil
		},
	} {
		_, err := one(t, target, outbox.Message{Key: "k", Size: 1 << 20, Open: open})
		if err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable || !errors.Is(err, gone) {
			t.Errorf("%s: %v, want unavailable with its cause", name, err)
		}
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestJudgeDecidesAndCaptures(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/orders/17")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.Copy(w, r.Body)
	})
	target := start(t, Options{URL: s.URL}, Limits{}, nil)
	judge := func(r outbox.Response) (outbox.Verdict, []outbox.Capture, string) {
		var body struct {
			Received bool   `json:"received"`
			ID       string `json:"id"`
		}
		if json.Unmarshal(r.Body, &body) != nil {
			return outbox.Opaque, nil, "not JSON"
		}
		if !body.Received {
			return outbox.Failed, nil, "response.body.received is false"
		}
		return outbox.Passed, []outbox.Capture{{Name: "remote_id", Value: body.ID}}, ""
	}
	r, err := one(t, target, outbox.Message{Key: "k", Judge: judge, Body: []byte(`{"received":true,"id":"DM-17"}`)})
	if err != nil || r.Status != 201 || r.Text != "/orders/17" || len(r.Captures) != 1 || r.Captures[0].Value != "DM-17" || r.Body == "" {
		t.Errorf("passed: %+v, %v", r, err)
	}
	_, err = one(t, target, outbox.Message{Key: "k", Judge: judge, Body: []byte(`{"received":false}`)})
	if outbox.FaultOf(err) != outbox.FaultRefused || !strings.Contains(err.Error(), "response.body.received is false") {
		t.Errorf("failed: %v", err)
	}
	_, err = one(t, target, outbox.Message{Key: "k", Judge: judge, Body: []byte(`<html>`)})
	if err == nil || outbox.FaultOf(err) != outbox.FaultUnknown {
		t.Errorf("opaque: %v", err)
	}
}

func TestCancelledInFlightGetsAShortGraceOnly(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	target := start(t, Options{URL: s.URL}, Limits{Concurrency: 1}, nil)
	target.grace = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	o := outboxtest.Deliver(ctx, t, target, []outbox.Message{order(1), order(2)})
	if err, _ := o.Err(0); err == nil || outbox.FaultOf(err) != outbox.FaultUnknown || !errors.Is(err, errStopped) {
		t.Errorf("in flight: %v, want unknown", err)
	}
	if err, _ := o.Err(1); !errors.Is(err, context.Canceled) {
		t.Errorf("untried: %v, want context.Canceled", err)
	}
}
