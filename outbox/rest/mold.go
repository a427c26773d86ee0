package rest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"waybill/outbox"
)

// A mold is what the requests of messages with the same headers have in common: all but key and body. The messages of a route mostly
// do, so that a line makes it once and not for each of them. It does not change, and requests share it.
type mold struct {
	headers []outbox.Header // of the messages
	method  string
	url     *url.URL
	header  http.Header // without the key
	key     string      // name of the header that carries it, "" for none
}

// mold checks headers and makes their mold. Its errors are the message's fault.
func (t *Target) mold(headers []outbox.Header) (*mold, error) {
	m := outbox.Message{Headers: headers}
	method := m.Header(":method")
	if method == "" {
		method = http.MethodPost
	}
	if !token(method) || method == http.MethodConnect || method == http.MethodTrace {
		return nil, outbox.Refused(fmt.Errorf("build request: method %q cannot deliver anything: write POST, PUT, PATCH or DELETE in the job", method))
	}
	u, err := t.target(m.Header(":path"), m.Header(":query"))
	if err != nil {
		return nil, outbox.Refused(fmt.Errorf("build request: %w", err))
	}
	header, err := t.header(headers)
	if err != nil {
		return nil, outbox.Refused(fmt.Errorf("build request: %w", err))
	}
	return &mold{headers: slices.Clone(headers), method: method, url: u, header: header, key: http.CanonicalHeaderKey(t.keyHeader)}, nil
}

// cast fills r, which has a context and nothing else, with the request of m. An error is the message's fault, except that of a body which
// cannot be opened.
func (t *Target) cast(mo *mold, m *outbox.Message, r *http.Request) error {
	r.Method, r.URL, r.Host = mo.method, mo.url, mo.url.Host
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.Header = maps.Clone(mo.header) // values are shared: net/http does not change them
	if mo.key != "" && m.Key != "" {
		r.Header[mo.key] = []string{keyText(m.Key, t.keyQuoted)}
	}
	return setBody(r, m)
}
