package rest

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/outbox"
	"waybill/outbox/outboxtest"
	"waybill/testenv"
)

// raw starts a TCP server that hands each connection to serve, with its number from 1. It is not HTTP unless serve says so.
func raw(t *testing.T, serve func(n int, c net.Conn)) (url string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int64)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(connections.Add(1))
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			serve(n, c)
			stop()
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { cancel(); _ = l.Close(); <-ended })
	return "http://" + l.Addr().String(), connections
}

// takeRequest reads one whole request from c.
func takeRequest(r *bufio.Reader) error {
	q, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, q.Body)
	return err
}

func TestWhatBreaksBeforeAnAnswerIsToldApart(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
	answer := func(text string) func(int, net.Conn) {
		return func(_ int, c net.Conn) {
			if takeRequest(bufio.NewReader(c)) == nil {
				_, _ = io.WriteString(c, text)
			}
		}
	}
	for _, c := range []struct {
		name  string
		serve func(n int, c net.Conn)
		want  outbox.Fault
		says  string
	}{
		{"closed after the whole request", answer(""), outbox.FaultUnknown, "no answer came"},
		{"closed within the request", func(_ int, c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 10)) }, outbox.FaultUnknown, "no answer came"},
		{"reset after the request", func(_ int, c net.Conn) {
			if takeRequest(bufio.NewReader(c)) == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
		}, outbox.FaultUnknown, "no answer came"},
		{"half a status line", answer("HTTP/1."), outbox.FaultUnknown, ""},
		{"half the headers", answer("HTTP/1.1 200 OK\r\nContent-"), outbox.FaultUnknown, ""},
		{"not HTTP at all", answer("220 mail.example ESMTP\x1b[31m\r\n"), outbox.FaultUnknown, "malformed"},
		{"time-out in silence", func(_ int, c net.Conn) {
			r := bufio.NewReader(c)
			if takeRequest(r) == nil {
				_, _ = r.ReadByte() // until the client gives up
			}
		}, outbox.FaultUnknown, "no complete answer in time"},
		{"headers without end", func(_ int, c net.Conn) {
			if takeRequest(bufio.NewReader(c)) != nil {
				return
			}
			for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n"); err == nil; {
				_, err = io.WriteString(c, "X-A: "+strings.Repeat("a", 4000)+"\r\n")
			}
		}, outbox.FaultUnknown, ""},
		{"broken chunks before a judge", answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), outbox.FaultUnknown, "broke off"},
		{"half the body before a judge", answer(ok + "{"), outbox.FaultUnknown, "broke off"},
		{"time-out within a body before a judge", func(_ int, c net.Conn) {
			r := bufio.NewReader(c)
			if takeRequest(r) == nil {
				_, _ = io.WriteString(c, ok+"{")
				_, _ = r.ReadByte()
			}
		}, outbox.FaultUnknown, "no complete answer in time"},
		{"refusal with half its body", answer(strings.Replace(ok, "200 OK", "422 No", 1) + "{"), outbox.FaultRefused, "422"},
		{"switching protocols", answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), outbox.FaultUnknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, connections := raw(t, c.serve)
			timeout := 30 * time.Second
			if strings.HasPrefix(c.name, "time-out") {
				timeout = 300 * time.Millisecond
			}
			target := start(t, Options{URL: url}, Limits{Timeout: timeout}, nil)
			m := order(1)
			m.Judge = func(outbox.Response) (outbox.Verdict, []outbox.Capture, string) { return outbox.Passed, nil, "" }
			m.Body = []byte(strings.Repeat("x", 10_000))
			_, err := one(t, target, m)
			if err == nil || outbox.FaultOf(err) != c.want || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%v (fault %d), want fault %d saying %q", err, outbox.FaultOf(err), c.want, c.says)
			}
			if n := connections.Load(); n != 1 {
				t.Errorf("%d connections: the request was repeated", n)
			}
		})
	}
}

func TestStatusLineConfirmsEvenIfTheBodyBreaksOff(t *testing.T) {
	t.Parallel()
	url, _ := raw(t, func(_ int, c net.Conn) {
		if takeRequest(bufio.NewReader(c)) == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")
		}
	})
	r, err := one(t, start(t, Options{URL: url}, Limits{}, nil), order(1))
	if err != nil || r.Status != 201 || r.Body != "{" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReusedConnectionThatDiesIsNeverRepeatedSilently is about net/http, which sends a request again by itself when
// a kept connection breaks and the request has an Idempotency-Key or a safe method.
func TestReusedConnectionThatDiesIsNeverRepeatedSilently(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		m    outbox.Message
	}{
		{"POST with a body", order(1)},
		{"POST without a body", outbox.Message{Key: "k"}},
		{"PUT with a body", outbox.Message{Key: "k", Body: []byte("x"), Headers: []outbox.Header{{Name: ":method", Value: "PUT"}}}},
		{"GET", outbox.Message{Key: "k", Headers: []outbox.Header{{Name: ":method", Value: "GET"}}}},
		{"DELETE", outbox.Message{Key: "k", Headers: []outbox.Header{{Name: ":method", Value: "DELETE"}}}},
		{"POST whose own header is the key", outbox.Message{Headers: []outbox.Header{{Name: "X-Idempotency-Key", Value: "k"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			url, _ := raw(t, func(_ int, c net.Conn) {
				r := bufio.NewReader(c)
				for n := 1; takeRequest(r) == nil; n++ {
					requests.Add(1)
					if n == 2 {
						return // taken, perhaps applied, not answered
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			target := start(t, Options{URL: url}, Limits{Concurrency: 1}, nil)
			if _, err := one(t, target, c.m); err != nil {
				t.Fatal(err)
			}
			_, err := one(t, target, c.m)
			if err == nil || outbox.FaultOf(err) != outbox.FaultUnknown {
				t.Errorf("%v, want unknown", err)
			}
			if n := requests.Load(); n != 2 {
				t.Errorf("the receiver saw %d requests of 2 attempts", n)
			}
		})
	}
}

func TestDeadConnectionIsReplacedWhenNothingWasSent(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	target := start(t, Options{URL: s.URL}, Limits{Concurrency: 1}, nil)
	dial := target.transport.DialContext
	var last *deaf
	target.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		last = &deaf{Conn: c.(*counted).Conn}
		return &counted{Conn: last}, nil
	}
	for n := range 3 {
		if _, err := one(t, target, order(n)); err != nil {
			t.Fatalf("delivery %d: %v", n, err)
		}
		last.dead.Store(true)
	}
}

// deaf is a connection whose writes fail, once dead, before a byte leaves.
type deaf struct {
	net.Conn
	dead atomic.Bool
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.dead.Load() {
		return 0, errors.New("test: connection is dead")
	}
	return d.Conn.Write(p)
}

func TestNothingSentIsUnavailable(t *testing.T) {
	t.Parallel()
	closed, _ := raw(t, func(int, net.Conn) {})
	l := testenv.Listen(t)
	refused := "http://" + l.Addr().String()
	_ = l.Close()
	for name, url := range map[string]string{
		"connection refused":           refused,
		"no such name":                 "http://nowhere.invalid/",
		"TLS to a port without TLS":    "https" + strings.TrimPrefix(serve(t, func(http.ResponseWriter, *http.Request) {}).URL, "http"),
		"closed during TLS handshakes": "https" + strings.TrimPrefix(closed, "http"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := one(t, start(t, Options{URL: url}, Limits{Timeout: 5 * time.Second}, nil), order(1))
			if err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable || !strings.Contains(err.Error(), "nothing was sent") {
				t.Errorf("%v, want unavailable", err)
			}
		})
	}
}

func TestTLSFailsClosed(t *testing.T) {
	t.Parallel()
	server := func(t *testing.T, config *tls.Config, h2 bool) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Proto)
		}))
		s.TLS, s.EnableHTTP2 = config, h2
		s.Config.ErrorLog = nil
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	ca := func(t *testing.T, s *httptest.Server) string {
		name := filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		if err := os.WriteFile(name, block, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	t.Run("a certificate nobody vouches for", func(t *testing.T) {
		t.Parallel()
		_, err := one(t, start(t, Options{URL: server(t, nil, false).URL}, Limits{}, nil), order(1))
		if err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable || !strings.Contains(err.Error(), "tls: ca") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a certificate for another name", func(t *testing.T) {
		t.Parallel()
		s := server(t, nil, false)
		url := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
		_, err := one(t, start(t, Options{URL: url, TLS: TLS{CA: ca(t, s)}}, Limits{}, nil), order(1))
		if err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable || !strings.Contains(err.Error(), "name that the certificate bears") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a server that knows 1.2 only, when 1.3 is the least", func(t *testing.T) {
		t.Parallel()
		s := server(t, &tls.Config{MaxVersion: tls.VersionTLS12}, false)
		_, err := one(t, start(t, Options{URL: s.URL, TLS: TLS{CA: ca(t, s), Min: "1.3"}}, Limits{}, nil), order(1))
		if err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable {
			t.Errorf("%v", err)
		}
		if _, err := one(t, start(t, Options{URL: s.URL, TLS: TLS{CA: ca(t, s)}}, Limits{}, nil), order(1)); err != nil {
			t.Errorf("with 1.2 allowed: %v", err)
		}
	})
	t.Run("a named authority, HTTP/2 where the server chooses it", func(t *testing.T) {
		t.Parallel()
		s := server(t, nil, true)
		target := start(t, Options{URL: s.URL, TLS: TLS{CA: ca(t, s)}}, Limits{Concurrency: 4}, nil)
		var ms []outbox.Message
		for n := range 20 {
			ms = append(ms, order(n))
		}
		ms = append(ms, outbox.Message{Key: "k", Headers: []outbox.Header{{Name: ":method", Value: "GET"}}})
		o := outboxtest.Deliver(t.Context(), t, target, ms)
		for i := range ms {
			if err, _ := o.Err(i); err != nil || o.Receipt(i).Body != "HTTP/2.0" {
				t.Errorf("message %d: %+v, %v", i, o.Receipt(i), err)
			}
		}
	})
}

func TestSlowUploadLivesAsLongAsItMoves(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	target := start(t, Options{URL: s.URL}, Limits{Timeout: time.Second}, nil)
	const size = 10 << 20
	m := outbox.Message{Key: "k", Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(&trickle{left: 10, part: size / 10, every: 150 * time.Millisecond}), nil
	}}
	if _, err := one(t, target, m); err != nil {
		t.Errorf("an upload slower than the time-out: %v", err)
	}
	m.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(&trickle{left: 2, part: size / 2, every: 1500 * time.Millisecond}), nil
	}
	if _, err := one(t, target, m); err == nil || outbox.FaultOf(err) == outbox.FaultRefused {
		t.Errorf("a stalled upload: %v", err)
	}
}

// trickle yields part bytes every so often.
type trickle struct {
	left, part, now int
	every           time.Duration
}

func (r *trickle) Read(p []byte) (int, error) {
	if r.now == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		<-time.After(r.every)
		r.left--
		r.now = r.part
	}
	n := min(len(p), r.now)
	r.now -= n
	return n, nil
}

func TestAskDecides(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.RequestURI {
		case "/api/orders/A%2F1?full=A%2F1":
			_, _ = io.WriteString(w, "found")
		case "/api/orders/away?full=away":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/api/orders/locked?full=locked":
			w.WriteHeader(http.StatusForbidden)
		default:
			http.NotFound(w, r)
		}
	})
	ask := &Question{Get: "/orders/{key}?full={key}", Applied: func(r outbox.Response) (bool, error) { return r.Status == 200, nil }}
	target := start(t, Options{URL: s.URL + "/api/"}, Limits{}, ask)
	if applied, r, err := target.Ask(t.Context(), outbox.Message{Key: "A/1"}); !applied || err != nil || r.Body != "found" {
		t.Errorf("applied: %v %+v %v", applied, r, err)
	}
	if applied, _, err := target.Ask(t.Context(), outbox.Message{Key: "none"}); applied || err != nil {
		t.Errorf("not applied: %v %v", applied, err)
	}
	if _, _, err := target.Ask(t.Context(), outbox.Message{Key: "away"}); err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable {
		t.Errorf("unavailable: %v", err)
	}
	if _, _, err := target.Ask(t.Context(), outbox.Message{Key: "locked"}); err == nil || outbox.FaultOf(err) != outbox.FaultStopped {
		t.Errorf("forbidden: %v", err)
	}
}

func TestConfigurationMistakesAreAllTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o     Options
		paths []string
	}{
		{Options{}, []string{"http.url"}},
		{Options{URL: "ftp://x"}, []string{"http.url"}},
		{Options{URL: "https://"}, []string{"http.url"}},
		{Options{URL: "http://u:s3cret@[bad"}, []string{"http.url"}},
		{Options{URL: "http://x/#f"}, []string{"http.url"}},
		{Options{URL: "http://x", Auth: Auth{Bearer: "t", Basic: &Basic{"u", "p"}}}, []string{"http.auth.basic", "http.auth"}},
		{Options{URL: "http://u:p@x", Auth: Auth{Bearer: "t"}}, []string{"http.auth.bearer"}},
		{Options{URL: "http://x", Auth: Auth{Bearer: "a\nb"}}, []string{"http.auth.bearer"}},
		{Options{URL: "http://x", Auth: Auth{Basic: &Basic{"a:b", "p"}}}, []string{"http.auth.basic.user"}},
		{Options{URL: "http://x", Headers: map[string]string{"Host": "y"}, Idempotency: Idempotency{Header: "a b"}}, []string{"http.headers.Host", "http.idempotency.header"}},
		{Options{URL: "http://x", TLS: TLS{Min: "1.1", CA: "/nowhere"}}, []string{"http.tls.min", "http.tls.ca"}},
	} {
		target, problems := New(c.o, Limits{}, nil, clock)
		var paths []string
		for _, p := range problems {
			paths = append(paths, p.Path)
			if strings.Contains(p.Text, "s3cret") {
				t.Errorf("%s shows the password", p)
			}
		}
		if target != nil || strings.Join(paths, " ") != strings.Join(c.paths, " ") {
			t.Errorf("%s: %v, want %v", c.o, problems, c.paths)
		}
	}
	if _, problems := New(Options{URL: "http://x"}, Limits{}, &Question{Get: "/{id}"}, clock); len(problems) != 2 {
		t.Errorf("ask: %v", problems)
	}
}

func TestUserinfoInTheURLIsBasicAuthentication(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		got <- user + ":" + password
	})
	target := start(t, Options{URL: strings.Replace(s.URL, "http://", "http://u:p%40ss@", 1)}, Limits{}, nil)
	if _, err := one(t, target, order(1)); err != nil {
		t.Fatal(err)
	}
	if v := <-got; v != "u:p@ss" {
		t.Errorf("credentials: %s", v)
	}
}

func TestConnectionOfAnotherKindCountsAsSent(t *testing.T) {
	t.Parallel()
	url, _ := raw(t, func(_ int, c net.Conn) { _ = takeRequest(bufio.NewReader(c)) })
	target := start(t, Options{URL: url}, Limits{}, nil)
	target.transport.DialContext = new(net.Dialer).DialContext
	_, err := one(t, target, order(1))
	if err == nil || outbox.FaultOf(err) != outbox.FaultUnknown {
		t.Errorf("%v, want unknown: nobody counted what went out", err)
	}
}
