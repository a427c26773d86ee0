// Package rest delivers messages as HTTP requests, one request a message.
//
// Three rules shape it. A request is sent once for each attempt the outbox asks for: net/http's own silent repeats
// are switched off or limited to the case where not one byte went out (see exchange.go). An answer is judged by one table
// (verdict.go), which tells "was not applied" from "nobody knows". And nothing that is secret (credentials, userinfo and
// query of the URL) appears in an error, a receipt or a formatted Options.
package rest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"waybill/outbox"
)

// Options is what stands under http: in a destination.
type Options struct {
	URL         string            `yaml:"url" required:"true" doc:"where requests go: scheme, host, port and the beginning of the path; a message adds the rest"`
	Auth        Auth              `yaml:"auth" doc:"how requests prove who sends them; one of api_key, bearer and basic"`
	Headers     map[string]string `yaml:"headers" doc:"headers that go with every request"`
	Idempotency Idempotency       `yaml:"idempotency" doc:"how the receiver is told that a request is a repeat"`
	TLS         TLS               `yaml:"tls" doc:"what is asked of a TLS connection"`
}

// Auth is how requests prove who sends them.
type Auth struct {
	APIKey *APIKey `yaml:"api_key" doc:"a key in a header of its own"`
	Bearer string  `yaml:"bearer" as:"secret" doc:"token sent as Authorization: Bearer"`
	Basic  *Basic  `yaml:"basic" doc:"user and password sent as Authorization: Basic"`
}

// APIKey is a secret in a header.
type APIKey struct {
	Header string `yaml:"header" required:"true" doc:"name of the header, for example X-API-Key"`
	Value  string `yaml:"value" required:"true" as:"secret" doc:"the key"`
}

// Basic is a user and a password.
type Basic struct {
	User     string `yaml:"user" required:"true" doc:"user name"`
	Password string `yaml:"password" required:"true" as:"secret" doc:"password"`
}

// Idempotency is how the key of a message goes out.
type Idempotency struct {
	Header string `yaml:"header" default:"Idempotency-Key" doc:"header that carries the key of the message; none: not sent"`
	Quoted *bool  `yaml:"quoted" doc:"true (the default): the key in quotation marks, as the IETF draft says; false: bare, as many products document it"`
}

// TLS is what is asked of a TLS connection.
type TLS struct {
	Min string `yaml:"min" enum:"1.2,1.3" default:"1.2" doc:"lowest version of TLS"`
	CA  string `yaml:"ca" doc:"file with the certificates (PEM) to trust instead of the system's"`
}

// String says nothing of what is secret.
func (o Options) String() string {
	u, err := url.Parse(o.URL)
	if err != nil {
		return "http (unreadable url)"
	}
	return "http " + place(u)
}

// GoString is String, so that %#v shows no secret either.
func (o Options) GoString() string { return o.String() }

// String shows nothing.
func (Auth) String() string { return "(secret)" }

// GoString shows nothing.
func (Auth) GoString() string { return "(secret)" }

// String shows nothing.
func (APIKey) String() string { return "(secret)" }

// GoString shows nothing.
func (APIKey) GoString() string { return "(secret)" }

// String shows nothing.
func (Basic) String() string { return "(secret)" }

// GoString shows nothing.
func (Basic) GoString() string { return "(secret)" }

// Limits are the keys that every destination has, as far as they concern the target.
type Limits struct {
	Timeout     time.Duration // for one request from dialling to the end of its answer; 0: 30 s
	Concurrency int           // requests at once over all Deliver calls; 0: 8
}

// A Question is what stands under unknown: ask: how to find out whether a message was applied.
type Question struct {
	Get     string                                                     // path with {key}: "/orders/{key}"
	Applied func(outbox.Response) (applied bool, err error)            // the compiled expression of applied:
	Capture func(outbox.Response) (captures []outbox.Capture, _ error) // nil: none
}

// A Problem is a mistake in the configuration. Path is below the destination: "http.auth".
type Problem struct{ Path, Text string }

func (p Problem) Error() string { return p.Path + ": " + p.Text }

const (
	defaultTimeout     = 30 * time.Second
	defaultConcurrency = 8
	defaultKeyHeader   = "Idempotency-Key"
)

// compiler turns Options into a Target and gathers every mistake on the way.
type compiler struct {
	target   *Target
	problems []Problem
}

func (c *compiler) problem(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{path, fmt.Sprintf(format, args...)})
}

// New makes a target. ask is nil unless the destination says unknown: ask; now tells the
// time. All mistakes are returned at once, and then the target is nil. It opens no connection.
func New(o Options, l Limits, ask *Question, now func() time.Time) (*Target, []Problem) {
	c := &compiler{target: &Target{now: now, timeout: l.Timeout, grace: graceTime, ask: ask}}
	if l.Timeout <= 0 {
		c.target.timeout = defaultTimeout
	}
	if l.Concurrency <= 0 {
		l.Concurrency = defaultConcurrency
	}
	c.target.slots = make(chan struct{}, l.Concurrency)
	c.url(o.URL)
	c.headers(o.Headers)
	c.auth(o.Auth)
	c.idempotency(o.Idempotency)
	if ask != nil {
		c.question(ask)
	}
	config := c.tls(o.TLS)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	c.target.transport = transport(config, l.Concurrency)
	return c.target, nil
}

func (c *compiler) url(text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		c.problem("http.url", "is missing: write where requests go, for example https://api.example/v1")
	case err != nil:
		// The parser's error quotes the URL, which may hold a password.
		c.problem("http.url", "cannot be read as a URL: write scheme, host and path, for example https://api.example/v1")
	case u.Scheme != "http" && u.Scheme != "https":
		c.problem("http.url", "has the scheme %q: write http or https", u.Scheme)
	case u.Host == "" || u.Hostname() == "":
		c.problem("http.url", "has no host: write for example https://api.example/v1")
	case u.Fragment != "":
		c.problem("http.url", "has a fragment (#…), which is never sent: take it out")
	default:
		c.target.base = *u
		c.target.base.User = nil
		c.userinfo(u.User)
	}
}

// userinfo takes credentials written into the URL as basic authentication.
func (c *compiler) userinfo(u *url.Userinfo) {
	if u == nil {
		return
	}
	password, _ := u.Password()
	c.authorize("http.url", basic(u.Username(), password), password)
}

func (c *compiler) headers(headers map[string]string) {
	for name, value := range headers {
		if why := badHeader(name, value); why != "" {
			c.problem("http.headers."+name, "%s", why)
			continue
		}
		c.target.fixed = append(c.target.fixed, outbox.Header{Name: name, Value: value})
		if secretive(name) {
			c.target.secrets = append(c.target.secrets, value)
		}
	}
}

func (c *compiler) auth(a Auth) {
	n := 0
	if a.APIKey != nil {
		n++
		if why := badHeader(a.APIKey.Header, a.APIKey.Value); why != "" {
			c.problem("http.auth.api_key", "%s", why)
		}
		c.target.fixed = append(c.target.fixed, outbox.Header{Name: a.APIKey.Header, Value: a.APIKey.Value})
		c.target.secrets = append(c.target.secrets, a.APIKey.Value)
	}
	if a.Bearer != "" {
		n++
		if badHeader("Authorization", a.Bearer) != "" {
			c.problem("http.auth.bearer", "holds characters that no header can carry")
		}
		c.authorize("http.auth.bearer", "Bearer "+a.Bearer, a.Bearer)
	}
	if a.Basic != nil {
		n++
		if strings.Contains(a.Basic.User, ":") {
			c.problem("http.auth.basic.user", "holds a colon, which basic authentication cannot carry")
		}
		c.authorize("http.auth.basic", basic(a.Basic.User, a.Basic.Password), a.Basic.Password)
	}
	if n > 1 {
		c.problem("http.auth", "says more than one way: keep one of api_key, bearer and basic")
	}
}

// authorize sets the Authorization header once. path says where it comes from.
func (c *compiler) authorize(path, value, secret string) {
	for _, h := range c.target.fixed {
		if strings.EqualFold(h.Name, "Authorization") {
			c.problem(path, "sets the Authorization header, which is set elsewhere already: keep one")
			return
		}
	}
	_, token, _ := strings.Cut(value, " ")
	c.target.fixed = append(c.target.fixed, outbox.Header{Name: "Authorization", Value: value})
	c.target.secrets = append(c.target.secrets, secret, token)
}

func (c *compiler) idempotency(o Idempotency) {
	switch {
	case o.Header == "":
		c.target.keyHeader = defaultKeyHeader
	case o.Header == "none":
	case !token(o.Header):
		c.problem("http.idempotency.header", "%q is no header name: write for example Idempotency-Key", o.Header)
	default:
		c.target.keyHeader = o.Header
	}
	c.target.keyQuoted = o.Quoted == nil || *o.Quoted
}

func (c *compiler) tls(o TLS) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch o.Min {
	case "", "1.2":
	case "1.3":
		config.MinVersion = tls.VersionTLS13
	default:
		c.problem("http.tls.min", "is %q: write 1.2 or 1.3 (older versions are broken)", o.Min)
	}
	if o.CA == "" {
		return config
	}
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		c.problem("http.tls.ca", "cannot be read: %v", err)
		return config
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		c.problem("http.tls.ca", "%s holds no certificate in PEM form", o.CA)
	}
	return config
}
