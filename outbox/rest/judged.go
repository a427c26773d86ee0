package rest

import (
	"net/http"
	"net/url"
	"time"

	"waybill/outbox"
)

// Judged is what a target of these options would make of an answer to m, by the same table and with the message's own judge. Nothing is
// sent, and no secret of the options is needed. now tells the time, against which a Retry-After is read.
func Judged(o Options, m *outbox.Message, r outbox.Response, now func() time.Time) (outbox.Receipt, error) {
	t := &Target{now: now}
	c := compiler{target: t}
	c.idempotency(o.Idempotency) // whether the receiver knows repeats decides about 409
	method := m.Header(":method")
	if method == "" {
		method = http.MethodPost
	}
	request := &http.Request{Method: method, URL: &url.URL{Path: m.Header(":path")}}
	a := answer{Response: &http.Response{StatusCode: r.Status, Header: r.Headers, Request: request}, body: r.Body, whole: true}
	return t.verdict(m, a)
}
