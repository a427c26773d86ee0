package rest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"waybill/outbox"
)

func TestAnswersAreJudgedByTheTable(t *testing.T) {
	t.Parallel()
	const delivered = outbox.Fault(-1)
	for _, c := range []struct {
		status int
		method string
		after  string // Retry-After
		want   outbox.Fault
		wait   time.Duration
		says   string
	}{
		{status: 200, want: delivered},
		{status: 201, want: delivered},
		{status: 202, want: delivered},
		{status: 204, want: delivered},
		{status: 301, want: outbox.FaultStopped, says: "redirects are not followed"},
		{status: 307, want: outbox.FaultStopped, says: "redirects are not followed"},
		{status: 304, want: outbox.FaultStopped},
		{status: 400, want: outbox.FaultRefused},
		{status: 401, want: outbox.FaultStopped, says: "credentials"},
		{status: 402, want: outbox.FaultStopped},
		{status: 403, want: outbox.FaultStopped, says: "credentials"},
		{status: 404, want: outbox.FaultRefused},
		{status: 405, want: outbox.FaultRefused},
		{status: 406, want: outbox.FaultRefused},
		{status: 407, want: outbox.FaultStopped, says: "credentials"},
		{status: 408, want: outbox.FaultUnavailable},
		{status: 409, want: outbox.FaultUnavailable, says: "still running"},
		{status: 410, want: outbox.FaultStopped, says: "gone for good"},
		{status: 411, want: outbox.FaultRefused},
		{status: 413, want: outbox.FaultRefused},
		{status: 413, after: "10", want: outbox.FaultUnavailable, wait: 10 * time.Second},
		{status: 414, want: outbox.FaultRefused},
		{status: 415, want: outbox.FaultRefused},
		{status: 418, want: outbox.FaultRefused},
		{status: 422, want: outbox.FaultRefused},
		{status: 423, want: outbox.FaultUnavailable},
		{status: 425, want: outbox.FaultUnavailable},
		{status: 426, want: outbox.FaultStopped},
		{status: 429, after: "3", want: outbox.FaultUnavailable, wait: 3 * time.Second},
		{status: 431, want: outbox.FaultRefused},
		{status: 500, want: outbox.FaultUnknown},
		{status: 500, method: "PUT", want: outbox.FaultUnavailable},
		{status: 501, want: outbox.FaultRefused},
		{status: 502, want: outbox.FaultUnknown},
		{status: 502, method: "DELETE", want: outbox.FaultUnavailable},
		{status: 503, after: "Sat, 21 Nov 2026 12:00:30 GMT", want: outbox.FaultUnavailable, wait: 30 * time.Second},
		{status: 504, method: "PATCH", after: "1", want: outbox.FaultUnknown, wait: time.Second},
		{status: 505, want: outbox.FaultStopped},
		{status: 507, want: outbox.FaultUnavailable},
		{status: 599, want: outbox.FaultUnknown},
		{status: 799, want: outbox.FaultUnknown, says: "no status to end a request with"},
	} {
		t.Run(fmt.Sprintf("%d%s%s", c.status, c.method, map[bool]string{true: " with Retry-After"}[c.after != ""]), func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if c.after != "" {
					w.Header().Set("Retry-After", c.after)
				}
				w.WriteHeader(c.status)
			})
			m := order(1)
			if c.method != "" {
				m.Headers = append(m.Headers, outbox.Header{Name: ":method", Value: c.method})
			}
			r, err := one(t, start(t, Options{URL: s.URL}, Limits{}, nil), m)
			if c.want == delivered {
				if err != nil || r.Status != c.status {
					t.Errorf("%+v, %v", r, err)
				}
				return
			}
			var e *outbox.Error
			if !errors.As(err, &e) || e.Fault != c.want || e.Status != c.status || e.After != c.wait || !strings.Contains(e.Error(), c.says) {
				t.Errorf("got %+v (%v), want fault %d after %v, saying %q", e, err, c.want, c.wait, c.says)
			}
		})
	}
}

func TestConflictWithoutKeyIsUnknown(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) })
	_, err := one(t, start(t, Options{URL: s.URL, Idempotency: Idempotency{Header: "none"}}, Limits{}, nil), order(1))
	if err == nil || outbox.FaultOf(err) != outbox.FaultUnknown {
		t.Errorf("%v, want unknown", err)
	}
}

func TestRetryAfterKnowsSecondsAndThreeDates(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"":                                  0,
		"0":                                 0,
		"120":                               2 * time.Minute,
		" 5 ":                               5 * time.Second,
		"86401":                             longestAfter,
		"99999999999999999999999999":        longestAfter,
		"-5":                                0,
		"1.5":                               0,
		"soon":                              0,
		"Sat, 21 Nov 2026 12:01:00 GMT":     time.Minute,
		"Saturday, 21-Nov-26 12:01:00 GMT":  time.Minute,
		"Sat Nov 21 12:01:00 2026":          time.Minute,
		"Sat, 21 Nov 2020 12:01:00 GMT":     0,
		"Fri, 31 Dec 9999 23:59:59 GMT":     longestAfter,
		"Sat, 21 Nov 2026 12:01:00 +0000 x": 0,
	} {
		if got := retryAfter(value, noon); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestNothingButNotFoundMeansTheURLIsWrong(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			return
		}
		http.NotFound(w, r)
	})
	target := start(t, Options{URL: s.URL}, Limits{Concurrency: 1}, nil)
	missing := func(n int) (faults []outbox.Fault) {
		for i := range n {
			_, err := one(t, target, order(i))
			faults = append(faults, outbox.FaultOf(err))
		}
		return faults
	}
	for i, f := range missing(lostRoute - 1) {
		if f != outbox.FaultRefused {
			t.Errorf("answer %d: fault %d", i, f)
		}
	}
	if _, err := one(t, target, outbox.Message{Key: "k", Headers: []outbox.Header{{Name: ":method", Value: "PUT"}}}); err != nil {
		t.Fatal(err)
	}
	faults := missing(lostRoute)
	if faults[lostRoute-2] != outbox.FaultRefused || faults[lostRoute-1] != outbox.FaultStopped {
		t.Errorf("after another answer: %v", faults)
	}
}

func TestProblemDetailsEnterTheError(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.WriteHeader(422)
		_, _ = io.WriteString(w, `{"type":"about:blank","title":"Unknown\u001b[31m article","detail":"sku X-9 is not sold","status":"wrong type"}`)
	})
	_, err := one(t, start(t, Options{URL: s.URL}, Limits{}, nil), order(1))
	if err == nil || !strings.Contains(err.Error(), "422 Unprocessable Entity: Unknown [31m article: sku X-9 is not sold") {
		t.Errorf("%q", err)
	}
}

func TestRedirectIsShownWithoutItsSecretsAndNotFollowed(t *testing.T) {
	t.Parallel()
	other := serve(t, func(_ http.ResponseWriter, _ *http.Request) { t.Error("the redirect was followed") })
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", strings.Replace(other.URL, "http://", "http://u:p4ss@", 1)+"/new?sig=s3cret")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	_, err := one(t, start(t, Options{URL: s.URL}, Limits{}, nil), order(1))
	if outbox.FaultOf(err) != outbox.FaultStopped || !strings.Contains(err.Error(), other.URL+"/new)") || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "p4ss") {
		t.Errorf("%v", err)
	}
}

func TestRefusedCredentialsSpendNoFurtherRequests(t *testing.T) {
	t.Parallel()
	requests := make(chan struct{}, 100)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests <- struct{}{}
		w.WriteHeader(http.StatusUnauthorized)
	})
	target := start(t, Options{URL: s.URL}, Limits{Concurrency: 2}, nil)
	var ms []outbox.Message
	for i := range 50 {
		ms = append(ms, order(i))
	}
	stopped := 0
	if err := target.Deliver(t.Context(), ms[:1], func(int, outbox.Receipt, error) {}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, len(ms))
	if err := target.Deliver(t.Context(), ms, func(_ int, _ outbox.Receipt, err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	for range ms {
		var e *outbox.Error
		if err := <-done; errors.As(err, &e) && e.Fault == outbox.FaultStopped {
			stopped++
		}
	}
	if n := len(requests); n > 4 || stopped == 0 || stopped > 3 {
		t.Errorf("%d requests, %d stopped", n, stopped)
	}
}

func TestAnswersAreCappedWhateverTheySay(t *testing.T) {
	t.Parallel()
	chunk := strings.Repeat("x", 64<<10)
	var bomb bytes.Buffer // 16 MiB in 16 KiB
	z := gzip.NewWriter(&bomb)
	for range 256 {
		if _, err := io.WriteString(z, chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		},
		"gzip bomb": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"says 10 GiB": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(10<<30))
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := start(t, Options{URL: serve(t, h).URL}, Limits{}, nil)
			seen := make(chan int, 1)
			m := order(1)
			m.Judge = func(r outbox.Response) (outbox.Verdict, []outbox.Capture, string) {
				seen <- len(r.Body)
				return outbox.Passed, nil, ""
			}
			r, err := one(t, target, m)
			if n := <-seen; err != nil || n != answerCap || len(r.Body) > headCap {
				t.Errorf("judge saw %d bytes, receipt keeps %d, %v", n, len(r.Body), err)
			}
			m.Judge = func(outbox.Response) (outbox.Verdict, []outbox.Capture, string) { return outbox.Failed, nil, "no" }
			if _, err := one(t, target, m); outbox.FaultOf(err) != outbox.FaultUnknown {
				t.Errorf("a cut answer that fails the assertion: %v, want unknown", err)
			}
			m.Judge = nil
			if r, err := one(t, target, m); err != nil || len(r.Body) != headCap {
				t.Errorf("without a judge: %d bytes, %v", len(r.Body), err)
			}
		})
	}
}

func TestGzipAnswerIsReadable(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `{"received":true}`)
		_ = z.Close()
	})
	r, err := one(t, start(t, Options{URL: s.URL}, Limits{}, nil), order(1))
	if err != nil || r.Body != `{"received":true}` {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNoSecretShowsAnywhere(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter2-key", "query-s3cret", "x-tok3n-value", "cGFzczpw"}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { // an echo service
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Location", "/x?k="+r.Header.Get("X-API-Key"))
		if r.Method == http.MethodPost {
			w.WriteHeader(400)
		}
		fmt.Fprintf(w, `{"title":"you sent %s","detail":"%s %s"}`, r.Header.Get("X-API-Key"), r.Header.Get("X-Session-Token"), strings.Repeat("a", 950)+r.Header.Get("X-API-Key"))
	})
	o := Options{URL: s.URL + "/?code=query-s3cret", Auth: Auth{APIKey: &APIKey{"X-API-Key", "hunter2-key"}}, Headers: map[string]string{"X-Session-Token": "x-tok3n-value"}}
	target := start(t, o, Limits{}, nil)
	_, err := one(t, target, order(1))
	var e *outbox.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v", err)
	}
	m := order(1)
	m.Headers = append(m.Headers, outbox.Header{Name: ":method", Value: "PUT"})
	r, err := one(t, target, m)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, down := one(t, target, order(1))
	texts := []string{e.Error(), e.Body, r.Text, r.Body, down.Error(), fmt.Sprintf("%v %+v %#v", o, o, o), fmt.Sprintf("%v %+v %#v", o.Auth, o.Auth, *o.Auth.APIKey)}
	for _, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, "hunter2") {
				t.Errorf("%q shows %s", text, secret)
			}
		}
	}
}
