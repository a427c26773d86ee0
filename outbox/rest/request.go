package rest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"waybill/outbox"
)

// setBody gives r its body, and never a GetBody: with one, net/http repeats a request that
// carries an Idempotency-Key by itself when a reused connection breaks, and nobody learns of it.
func setBody(r *http.Request, m *outbox.Message) error {
	switch {
	case m.Open != nil:
		body, err := m.Open()
		if err != nil {
			return outbox.Unavailable(fmt.Errorf("open body of message %s: %w", m.Key, err))
		}
		if m.Size == 0 {
			_ = body.Close() // nothing is read from it: nothing to lose
			break
		}
		r.Body, r.ContentLength = body, m.Size
	case len(m.Body) > 0:
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(m.Body)), int64(len(m.Body))
	}
	if r.Body == nil {
		hideFromReplay(r)
	}
	return nil
}

// hideFromReplay keeps net/http from repeating a request without a body, which it holds
// replayable when the method is safe or the header map has the key "Idempotency-Key" in exactly this
// spelling. A body that is there but empty is not replayable; header names know no case.
func hideFromReplay(r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete:
		r.Body = emptyBody{} // net/http finds it empty and sends no length
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if v, ok := r.Header[name]; ok {
			delete(r.Header, name)
			r.Header[strings.ToLower(name)] = v
		}
	}
}

// emptyBody is a body without bytes that is not http.NoBody.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

// target joins the constant part of the URL, a path and a query. Whatever path holds, scheme, host and port stay.
func (t *Target) target(path, query string) (*url.URL, error) {
	u := t.base
	if path != "" {
		if err := checkPath(path); err != nil {
			return nil, err
		}
		joined := strings.TrimSuffix(u.EscapedPath(), "/") + "/" + strings.TrimPrefix(path, "/")
		plain, err := url.PathUnescape(joined)
		if err != nil {
			return nil, fmt.Errorf("path %q: an escape (%%XX) in it is broken", path)
		}
		u.Path, u.RawPath = plain, joined
	}
	if query != "" {
		if strings.ContainsFunc(query, unfit) || strings.Contains(query, "#") {
			return nil, errors.New("query holds characters that must be percent-encoded")
		}
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += query
	}
	return &u, nil
}

// checkPath refuses what could make an escaped path mean another place at the receiver.
func checkPath(path string) error {
	// The characters after the backslash stand in no path of RFC 3986; net/url, finding one, would write the whole path anew,
	// and %2F as a slash.
	if strings.ContainsAny(path, "?#\\\"<>^`{|}") || strings.ContainsFunc(path, unfit) {
		return fmt.Errorf("path %q holds characters that must be percent-encoded", path)
	}
	for segment := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return fmt.Errorf("path %q: an escape (%%XX) in it is broken", path)
		}
		if plain == "." || plain == ".." {
			return fmt.Errorf("path %q holds the segment %q, which would lead to another place", path, plain)
		}
	}
	return nil
}

// unfit reports what cannot stand in a request line.
func unfit(r rune) bool { return r <= ' ' || r >= 0x7f }

// header gathers the headers of messages over those of the destination, without the key.
func (t *Target) header(headers []outbox.Header) (http.Header, error) {
	header := make(http.Header, len(t.fixed)+len(headers)+3)
	header["User-Agent"] = userAgent
	for _, h := range headers {
		if h.Name == ":content-type" {
			header.Set("Content-Type", h.Value)
		}
		if strings.HasPrefix(h.Name, ":") {
			continue
		}
		if why := badHeader(h.Name, h.Value); why != "" {
			return nil, fmt.Errorf("header %q: %s", h.Name, why)
		}
		header.Add(h.Name, h.Value)
	}
	for _, h := range t.fixed { // set last: no message overrides credentials
		header.Set(h.Name, h.Value)
	}
	if v := header.Get("Content-Type"); badHeader("Content-Type", v) != "" {
		return nil, fmt.Errorf("content type %q holds characters that no header can carry", v)
	}
	return header, nil
}

// keyText is key as a header value: a structured-field string (RFC 9651) or bare. Both can carry
// printable ASCII only, so that the rest, and "%" to stay unambiguous, is percent-encoded.
func keyText(key string, quoted bool) string {
	plain := true
	for i := range len(key) {
		if c := key[i]; c < '!' || c > '~' || c == '%' || c == '"' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		if quoted {
			return `"` + key + `"`
		}
		return key
	}
	var b strings.Builder
	if quoted {
		b.WriteByte('"')
	}
	for i := range len(key) {
		switch c := key[i]; {
		case c < ' ' || c > '~' || c == '%' || c == ' ' && !quoted:
			fmt.Fprintf(&b, "%%%02X", c)
		case quoted && (c == '"' || c == '\\'):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		b.WriteByte('"')
	}
	return b.String()
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// badHeader says what is wrong with a header, "" when nothing is. It never quotes the value.
func badHeader(name, value string) string {
	switch {
	case !token(name):
		return "is no header name: letters, digits and hyphens only"
	case reserved(name):
		return "is set by the connection itself: leave it out"
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "has a value with control characters (a line break?), which no header can carry"
	}
	return ""
}

// reserved reports headers that frame the request or choose its host.
func reserved(name string) bool {
	switch strings.ToLower(name) {
	case "host", "content-length", "transfer-encoding", "connection", "trailer", "te", "upgrade", "keep-alive", "proxy-connection", "expect":
		return true
	}
	return false
}

// token reports whether s is a token of RFC 9110, what methods and header names are.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// secretive reports header names that carry credentials.
func secretive(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"auth", "key", "token", "secret", "cookie", "password", "signature"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
