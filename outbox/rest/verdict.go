package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"waybill/outbox"
)

// longestAfter bounds what a Retry-After can ask for.
const longestAfter = 24 * time.Hour

// lostRoute is how many answers 404 in a row, nothing else between them, mean that the URL is wrong rather
// than what was asked for.
const lostRoute = 10

// verdict judges an answer.
func (t *Target) verdict(m *outbox.Message, a answer) (outbox.Receipt, error) {
	head := t.head(a.body)
	if a.StatusCode != http.StatusNotFound {
		t.lost.Store(0)
	}
	if a.StatusCode < 200 || a.StatusCode > 299 {
		return outbox.Receipt{}, t.refusal(m, a, head)
	}
	r := outbox.Receipt{Status: a.StatusCode, Text: t.text(a), Body: head}
	if m.Judge == nil {
		return r, nil // the status line is the confirmation, even if the rest broke off
	}
	fail := func(fault outbox.Fault, why string) (outbox.Receipt, error) {
		err := fmt.Errorf("%s: answered %s, but %s", t.where(a), status(a), why)
		return outbox.Receipt{}, &outbox.Error{Fault: fault, Status: a.StatusCode, Body: head, Err: err}
	}
	if !a.whole {
		return fail(outbox.FaultUnknown, fmt.Sprintf("the answer broke off: %v", clean(a.why)))
	}
	v, captures, reason := m.Judge(outbox.Response{Status: a.StatusCode, Headers: a.Header, Body: a.body})
	switch {
	case v == outbox.Passed:
		r.Captures = captures
		return r, nil
	case v == outbox.Failed && !a.cut:
		return fail(outbox.FaultRefused, reason)
	case a.cut:
		return fail(outbox.FaultUnknown, fmt.Sprintf("the answer is longer than 1 MiB and was cut: %s", reason))
	}
	return fail(outbox.FaultUnknown, reason)
}

// refusal makes the error for an answer outside 2xx.
func (t *Target) refusal(m *outbox.Message, a answer, head string) error {
	fault, remedy := t.classify(m, a)
	if a.StatusCode == http.StatusNotFound && t.lost.Add(1) >= lostRoute {
		fault, remedy = outbox.FaultStopped, "so were all before it: the url or the path is probably wrong; correct it, then resume the destination"
	}
	text := status(a)
	if said := problemText(a); said != "" {
		text += ": " + t.redact(said)
	}
	if remedy != "" {
		text += ": " + remedy
	}
	e := &outbox.Error{Fault: fault, Status: a.StatusCode, Body: head, Err: fmt.Errorf("%s: answered %s", t.where(a), text)}
	if fault == outbox.FaultUnavailable || fault == outbox.FaultUnknown {
		e.After = retryAfter(a.Header.Get("Retry-After"), t.now())
	}
	return e
}

// classify is the decision table of docs/architecture.md, Whose fault, for answers outside 2xx.
func (t *Target) classify(m *outbox.Message, a answer) (fault outbox.Fault, remedy string) {
	switch code := a.StatusCode; code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusNetworkAuthenticationRequired:
		return outbox.FaultStopped, "correct the credentials under auth, then resume the destination"
	case http.StatusPaymentRequired:
		return outbox.FaultStopped, "settle it with the receiver, then resume the destination"
	case http.StatusGone:
		return outbox.FaultStopped, "the receiver says this place is gone for good: ask for the new url, then resume the destination"
	case http.StatusUpgradeRequired, http.StatusHTTPVersionNotSupported:
		return outbox.FaultStopped, "the receiver wants another protocol: correct the url, then resume the destination"
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusServiceUnavailable,
		http.StatusMisdirectedRequest, http.StatusLocked, http.StatusInsufficientStorage:
		return outbox.FaultUnavailable, ""
	case http.StatusRequestEntityTooLarge:
		if a.Header.Get("Retry-After") != "" {
			return outbox.FaultUnavailable, "" // RFC 9110: then it is temporary
		}
		return outbox.FaultRefused, ""
	case http.StatusConflict:
		if t.keyHeader != "" && m.Key != "" {
			return outbox.FaultUnavailable, "the request with this key is probably still running there"
		}
		return outbox.FaultUnknown, "it may be there already"
	case http.StatusNotFound:
		return outbox.FaultRefused, "what the message is about, or the path, does not exist there"
	case http.StatusNotImplemented:
		return outbox.FaultRefused, ""
	default:
		switch {
		case code >= 300 && code < 400:
			return outbox.FaultStopped, "redirects are not followed: write the final address as url" + t.pointed(a) + ", then resume the destination"
		case code >= 400 && code < 500:
			return outbox.FaultRefused, ""
		case code >= 500 && code < 600 && idempotent(a.Request.Method):
			return outbox.FaultUnavailable, "" // RFC 9110, 9.2.2: to be repeated freely
		case code >= 500 && code < 600:
			return outbox.FaultUnknown, "it may have been applied all the same"
		}
		return outbox.FaultUnknown, "that is no status to end a request with: is this an HTTP service of the kind expected?"
	}
}

// idempotent reports methods that may be repeated without asking (RFC 9110, 9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// retryAfter reads a Retry-After: seconds or one of the three forms of an HTTP date. 0 means now, or not said.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(longestAfter/time.Second) {
			return longestAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestAfter)
}

// problemText takes title and detail out of an RFC 9457 answer, "" when there are none. Members of
// another type than text are ignored, as it says.
func problemText(a answer) string {
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if kind != "application/problem+json" {
		return ""
	}
	var members map[string]any
	if json.Unmarshal(a.body, &members) != nil {
		return ""
	}
	title, _ := members["title"].(string)
	detail, _ := members["detail"].(string)
	if title != "" && detail != "" {
		title += ": "
	}
	return printable(title+detail, 500)
}

// text is the short word that is kept of a confirmation: where the receiver put what it made.
func (t *Target) text(a answer) string {
	if location := a.Header.Get("Location"); location != "" {
		return t.redact(printable(location, 500))
	}
	return ""
}

// pointed shows where a redirect leads, without what may be secret in it.
func (t *Target) pointed(a answer) string {
	location, err := a.Location()
	if err != nil {
		return ""
	}
	return t.redact(" (it points to " + printable(place(location), 300) + ")")
}

func status(a answer) string {
	return strings.TrimSpace(strconv.Itoa(a.StatusCode) + " " + http.StatusText(a.StatusCode))
}

// where names the request in errors.
func (t *Target) where(a answer) string { return a.Request.Method + " " + place(a.Request.URL) }

// place is a URL without userinfo, query and fragment, the parts that may be secret.
func place(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// head is the beginning of an answer's body, as text that can be kept.
func (t *Target) head(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	text := t.redact(string(body[:min(len(body), headCap+secretCap)]))
	return cut(strings.ToValidUTF8(text, "\uFFFD"), headCap)
}

// secretCap is how much more than the head is looked at, so that a secret at its edge is found whole.
const secretCap = 1 << 10

// redact takes our own credentials out of what a receiver said.
func (t *Target) redact(text string) string {
	for _, secret := range t.secrets {
		if len(secret) >= 4 { // a shorter one would shred every text
			text = strings.ReplaceAll(text, secret, "(secret)")
		}
	}
	return text
}

// printable makes a receiver's words fit for one line of a log or a terminal.
func printable(s string, limit int) string {
	return cut(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s), limit)
}

// cut shortens s to at most limit bytes, at the beginning of a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// clean makes the text of a network error fit for one line; it may quote what the other side sent.
func clean(err error) error {
	text := err.Error()
	if p := printable(text, 500); p != text {
		return errors.New(p)
	}
	return err
}
