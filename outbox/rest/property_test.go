package rest

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waybill/outbox"
)

// TestNoPathLeavesTheURL: whatever a message says, scheme, host and the beginning of the path stay, and what net/http would
// write into the request line is what was checked.
func TestNoPathLeavesTheURL(t *testing.T) {
	t.Parallel()
	target := start(t, Options{URL: "https://api.example:8443/v1/?k=1"}, Limits{}, nil)
	piece := rapid.OneOf(rapid.SampledFrom([]string{"/", "//", "..", "%2e%2e", "%2F", "@", ":", "?", "#", "\\", "\"", "|", "{", "http://x", " ", "é", "%", "a"}), rapid.String())
	rapid.Check(t, func(r *rapid.T) {
		path := strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(r, "path"), "")
		query := rapid.OneOf(rapid.Just(""), rapid.String()).Draw(r, "query")
		q, err := target.line(context.Background()).request(&outbox.Message{Key: "k", Headers: []outbox.Header{{Name: ":path", Value: path}, {Name: ":query", Value: query}}})
		if err != nil {
			if outbox.FaultOf(err) != outbox.FaultRefused {
				r.Fatalf("%q: %v is no refusal", path, err)
			}
			return
		}
		line := q.URL.RequestURI()
		if q.URL.Scheme != "https" || q.URL.Host != "api.example:8443" || q.Host != "api.example:8443" || !strings.HasPrefix(line, "/v1/") {
			r.Fatalf("%q leads to %s %s", path, q.URL, line)
		}
		if strings.ContainsFunc(line, unfit) {
			r.Fatalf("request line %q", line)
		}
		again, err := url.ParseRequestURI(line)
		if err != nil || again.EscapedPath() != "/v1/"+strings.TrimPrefix(path, "/") {
			r.Fatalf("%q is written as %q (%v)", path, line, err)
		}
	})
}

// TestKeysStayApartInTheHeader: two keys never look alike to a receiver, and every key can be sent.
func TestKeysStayApartInTheHeader(t *testing.T) {
	t.Parallel()
	key := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"é", "%C3%A9", `a"`, `a\"`, "a b", "a%20b", "\x00", "%", "%25"}))
	rapid.Check(t, func(r *rapid.T) {
		a, b := key.Draw(r, "a"), key.Draw(r, "b")
		for _, quoted := range []bool{true, false} {
			x, y := keyText(a, quoted), keyText(b, quoted)
			if (a == b) != (x == y) {
				r.Fatalf("%q and %q become %q and %q", a, b, x, y)
			}
			if strings.ContainsFunc(x, func(c rune) bool { return c < ' ' || c > '~' }) || x != strings.TrimSpace(x) {
				r.Fatalf("%q becomes %q, which no header can carry", a, x)
			}
		}
	})
}

func TestEveryStatusHasAVerdict(t *testing.T) {
	t.Parallel()
	target := start(t, Options{URL: "http://x"}, Limits{}, nil)
	rapid.Check(t, func(r *rapid.T) {
		a := answer{Response: &http.Response{StatusCode: rapid.IntRange(100, 999).Draw(r, "status"), Header: http.Header{}}, whole: true}
		a.Request = &http.Request{Method: http.MethodPost, URL: &target.base}
		receipt, err := target.verdict(&outbox.Message{Key: "k"}, a)
		if ok := a.StatusCode >= 200 && a.StatusCode < 300; ok != (err == nil) || ok && receipt.Status != a.StatusCode {
			r.Fatalf("%d: %+v, %v", a.StatusCode, receipt, err)
		}
		if err != nil && !strings.Contains(err.Error(), "POST http://x: answered ") {
			r.Fatalf("%d: %v", a.StatusCode, err)
		}
	})
}
