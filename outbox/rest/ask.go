package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"waybill/outbox"
)

// question checks the template of ask.get.
func (c *compiler) question(q *Question) {
	if _, _, err := fill(q.Get, ""); err != nil {
		c.problem("unknown.ask.get", "%v", err)
	}
	if q.Applied == nil {
		c.problem("unknown.ask.applied", "is missing: write an expression that is true when the message was applied, for example '=response.status == 200'")
	}
}

// fill makes path and query of a template whose only hole is {key}; {{ and }} stand for braces.
func fill(template, key string) (path, query string, err error) {
	path, query, _ = strings.Cut(template, "?")
	path, ok := holes(path, url.PathEscape(key))
	query, fine := holes(query, url.QueryEscape(key))
	if !ok || !fine {
		return "", "", fmt.Errorf("%q: {key} is the only thing that can stand in braces here", template)
	}
	return path, query, nil
}

func holes(template, key string) (string, bool) {
	var b strings.Builder
	for s := template; s != ""; {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch {
		case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
			b.WriteString(url.PathEscape(s[:1]))
			s = s[2:]
		case strings.HasPrefix(s, "{key}"):
			b.WriteString(key)
			s = s[len("{key}"):]
		default:
			return "", false
		}
	}
	return b.String(), true
}

// Ask looks up whether m was applied. Only an answer that speaks about the message counts: a receiver that is
// away, overloaded or does not let us in is an error, never "not applied".
func (t *Target) Ask(ctx context.Context, m outbox.Message) (applied bool, r outbox.Receipt, err error) {
	if t.ask == nil {
		return false, r, outbox.Stopped(errors.New("ask whether a message was applied: the destination has no unknown: ask"))
	}
	path, query, err := fill(t.ask.Get, m.Key)
	if err != nil {
		return false, r, outbox.Stopped(err)
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return false, r, ctx.Err()
	}
	l := t.line(ctx)
	defer l.close()
	question := outbox.Message{Headers: []outbox.Header{{Name: ":method", Value: http.MethodGet}, {Name: ":path", Value: path}, {Name: ":query", Value: query}}}
	a, err := l.exchange(&question, true)
	if err != nil { // a question can always be asked again
		return false, r, outbox.Unavailable(fmt.Errorf("ask whether %s was applied: %w", m.Key, err))
	}
	if err := t.speaks(&question, a); err != nil {
		return false, r, fmt.Errorf("ask whether %s was applied: %w", m.Key, err)
	}
	response := outbox.Response{Status: a.StatusCode, Headers: a.Header, Body: a.body}
	applied, err = t.ask.Applied(response)
	if err != nil {
		return false, r, outbox.Unknown(fmt.Errorf("ask whether %s was applied: %w", m.Key, err))
	}
	r = outbox.Receipt{Status: a.StatusCode, Text: t.text(a), Body: t.head(a.body)}
	if applied && t.ask.Capture != nil {
		r.Captures, err = t.ask.Capture(response)
	}
	return applied, r, err
}

// speaks returns nil when an answer is about the message that was asked for.
func (t *Target) speaks(question *outbox.Message, a answer) error {
	if !a.whole {
		return outbox.Unavailable(fmt.Errorf("the answer broke off: %w", clean(a.why)))
	}
	if a.StatusCode >= 200 && a.StatusCode <= 299 {
		return nil
	}
	fault, remedy := t.classify(question, a)
	if fault == outbox.FaultRefused { // 404 above all
		return nil
	}
	err := fmt.Errorf("%s: answered %s", t.where(a), status(a))
	if remedy != "" {
		err = fmt.Errorf("%w: %s", err, remedy)
	}
	return &outbox.Error{Fault: fault, Status: a.StatusCode, Body: t.head(a.body), After: retryAfter(a.Header.Get("Retry-After"), t.now()), Err: err}
}

// advise adds the next step to an error before anything was sent.
func advise(err error) error {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		record    tls.RecordHeaderError
		lookup    *net.DNSError
	)
	err = clean(err)
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("%w: if the receiver uses an authority of its own, name its certificate under tls: ca", err)
	case errors.As(err, &name):
		return fmt.Errorf("%w: write the url with a name that the certificate bears", err)
	case errors.As(err, &invalid):
		return fmt.Errorf("%w: the receiver has to renew its certificate (or this machine's clock is wrong)", err)
	case errors.As(err, &alert):
		return fmt.Errorf("%w: the receiver refuses this TLS; compare tls: min with what it offers", err)
	case errors.As(err, &record):
		return fmt.Errorf("%w: that port does not speak TLS; is the url https by mistake?", err)
	case errors.As(err, &lookup):
		return fmt.Errorf("%w: check the host in url and this machine's name service", err)
	}
	return err
}
