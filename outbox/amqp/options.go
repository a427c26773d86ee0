// Package amqp delivers messages to an exchange of RabbitMQ (AMQP 0-9-1).
//
// Every message is persistent, mandatory and confirmed. Persistent and confirmed: the broker
// answers only when a durable queue has it on disk. Mandatory: the broker also confirms
// what it could not route anywhere, after it has returned it; a returned message is refused.
//
// Publishing is pipelined. A Deliver sends its messages back to back and takes the
// confirms as they come; several Delivers share one channel of one connection, and together never
// have more than a window of messages unconfirmed.
//
// # Sessions
//
// A session is a connection with its channel. It is opened by the first Deliver that needs
// one and serves until it is lost, closed, or stale (a confirm did not come in time). Any error closes it:
// the next Deliver opens another, the pauses between are the outbox's.
//
// An AMQP error of one message closes the channel for all, and leaves the outcome of those
// under way unknown. So a message that may cause one goes alone, on a channel of its own: the first to each exchange
// (which may be missing, or forbidden to us) and those that may be too large for the broker.
package amqp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// Options are what a destination of kind amqp says.
type Options struct {
	Connection string `yaml:"connection" ref:"connections" doc:"name of a connection whose url is the broker's; instead of url"`
	URL        string `yaml:"url" as:"secret" doc:"the broker: amqp://user:password@host:5672/vhost, amqps:// for TLS"`
	Exchange   string `yaml:"exchange" doc:"exchange to publish to; left out: the default exchange, whose routing keys are names of queues"`
	Kind       string `yaml:"kind" enum:"topic,direct,fanout,headers" doc:"type the exchange must have"`
	Declare    string `yaml:"declare" enum:"passive,create,none" default:"passive" doc:"passive: the exchange must be there; create: make it when it is missing; none: do not ask the broker"`
	Durable    *bool  `yaml:"durable" doc:"with declare: create, whether the exchange outlives the broker (the default)"`
	RoutingKey string `yaml:"routing_key" doc:"routing key of messages that say none"`
	Window     int    `yaml:"window" default:"1000" doc:"how many messages may be unconfirmed at once"`
	Largest    int64  `yaml:"largest" as:"size" default:"16MiB" doc:"no message is larger; RabbitMQ's own max_message_size is 128 MiB, from 4.0 on 16 MiB"`
	TLS        TLS    `yaml:"tls" doc:"what is asked of a TLS connection"`
}

// TLS is what is asked of a TLS connection.
type TLS struct {
	Min  string `yaml:"min" enum:"1.2,1.3" default:"1.2" doc:"lowest version of TLS"`
	CA   string `yaml:"ca" doc:"file with the certificates (PEM) to trust instead of the system's"`
	Cert string `yaml:"cert" doc:"file with our certificate (PEM), when the broker asks for one"`
	Key  string `yaml:"key" doc:"file with the key of cert (PEM)"`
}

// String says nothing of what is secret.
func (o Options) String() string {
	return fmt.Sprintf("amqp exchange %q", o.Exchange)
}

// GoString says nothing of what is secret.
func (o Options) GoString() string { return o.String() }

// Limits are what the destination says beside its kind. Zero values mean the defaults.
type Limits struct {
	Timeout time.Duration // without any confirm, and for any one answer of the broker; 30 s
}

// A Problem is a mistake in Options.
type Problem struct {
	Path string // of the key below the destination, for example amqp.url
	Text string // what is wrong and what to write instead
}

const (
	defaultTimeout = 30 * time.Second
	defaultWindow  = 1000
	defaultLargest = 16 << 20
	mostWindow     = 50_000
	longestShort   = 255 // bytes of an AMQP short string
)

// New makes a target. now tells the time. All mistakes are returned at once, and then the
// target is nil. It opens no connection.
func New(o Options, l Limits, now func() time.Time) (*Target, []Problem) {
	c := &compiler{}
	t := &Target{options: o, timeout: l.Timeout, now: now}
	if t.timeout <= 0 {
		t.timeout = defaultTimeout
	}
	if t.options.Window == 0 {
		t.options.Window = defaultWindow
	}
	if t.options.Largest == 0 {
		t.options.Largest = defaultLargest
	}
	if t.options.Declare == "" {
		t.options.Declare = "passive"
	}
	c.exchange(t.options)
	if t.options.Window < 1 || t.options.Window > mostWindow {
		c.problem("amqp.window", "is %d: write a number from 1 to %d", t.options.Window, mostWindow)
	}
	if t.options.Largest < 1 {
		c.problem("amqp.largest", "is %d: write a size above zero", t.options.Largest)
	}
	t.tls = c.tls(o.TLS)
	t.host = c.url(o.URL)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return t, nil
}

// compiler gathers every mistake on the way from Options to a Target.
type compiler struct{ problems []Problem }

func (c *compiler) problem(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{path, fmt.Sprintf(format, args...)})
}

// url returns the broker's host and virtual host, which may be shown.
func (c *compiler) url(text string) string {
	if text == "" {
		c.problem("amqp.url", "is missing: name a connection or write amqp://user:password@host/vhost")
		return ""
	}
	u, err := amqp091.ParseURI(text)
	if err != nil {
		// The parser's error may quote the password.
		c.problem("amqp.url", "cannot be read: write amqp://user:password@host/vhost, with reserved characters of user and password percent-encoded")
		return ""
	}
	return fmt.Sprintf("%s:%d, virtual host %s", u.Host, u.Port, u.Vhost)
}

func (c *compiler) exchange(o Options) {
	if len(o.Exchange) > longestShort {
		c.problem("amqp.exchange", "is longer than %d bytes", longestShort)
	}
	if len(o.RoutingKey) > longestShort {
		c.problem("amqp.routing_key", "is longer than %d bytes", longestShort)
	}
	switch o.Kind {
	case "", amqp091.ExchangeTopic, amqp091.ExchangeDirect, amqp091.ExchangeFanout, amqp091.ExchangeHeaders:
	default:
		c.problem("amqp.kind", "is %q: write topic, direct, fanout or headers", o.Kind)
	}
	switch o.Declare {
	case "none", "passive":
	case "create":
		switch {
		case o.Exchange == "":
			c.problem("amqp.declare", "is create, but there is no exchange: name one")
		case strings.HasPrefix(o.Exchange, "amq."):
			c.problem("amqp.declare", "is create, but names that begin with amq. are the broker's: write passive")
		case o.Kind == "":
			c.problem("amqp.kind", "is missing: declare: create needs the type of the exchange")
		}
	default:
		c.problem("amqp.declare", "is %q: write passive, create or none", o.Declare)
	}
	if o.Kind != "" && o.Exchange == "" {
		c.problem("amqp.kind", "is given, but there is no exchange: the default exchange is always direct")
	}
}

func (c *compiler) tls(o TLS) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch o.Min {
	case "", "1.2":
	case "1.3":
		config.MinVersion = tls.VersionTLS13
	default:
		c.problem("amqp.tls.min", "is %q: write 1.2 or 1.3", o.Min)
	}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		config.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			c.problem("amqp.tls.ca", "cannot be read: %v", err)
		case !config.RootCAs.AppendCertsFromPEM(pem):
			c.problem("amqp.tls.ca", "%s holds no certificate in PEM form", o.CA)
		}
	}
	if o.Cert != "" || o.Key != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			c.problem("amqp.tls.cert", "cannot be used with amqp.tls.key: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}
