package amqp

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rabbitmq/amqp091-go"

	"waybill/outbox"
)

// A letter is a message made ready for its exchange.
type letter struct {
	exchange   string
	routingKey string
	given      bool // the message itself named the exchange
	publishing amqp091.Publishing
}

// frameSpare is what a header frame holds beside its properties: frame header and end, class, weight, size, flags.
const frameSpare = 64

// letter makes m ready. What the broker would answer with an error that closes the channel is refused here.
func (t *Target) letter(m *outbox.Message, frame int) (letter, error) {
	l := letter{exchange: t.options.Exchange, routingKey: t.options.RoutingKey}
	l.publishing.DeliveryMode = amqp091.Persistent
	l.publishing.MessageId = m.Key
	for _, h := range m.Headers {
		if err := l.header(h); err != nil {
			return l, outbox.Refused(err)
		}
	}
	if err := l.check(frame); err != nil {
		return l, outbox.Refused(err)
	}
	body, err := t.body(m)
	l.publishing.Body = body
	return l, err
}

// header puts one header where it belongs.
func (l *letter) header(h outbox.Header) error {
	p := &l.publishing
	switch h.Name {
	case ":routing_key":
		l.routingKey = h.Value
	case ":exchange":
		if h.Value != "" && h.Value != l.exchange {
			l.exchange, l.given = h.Value, true
		}
	case ":content-type":
		p.ContentType = h.Value
	case ":content-encoding":
		p.ContentEncoding = h.Value
	case ":type":
		p.Type = h.Value
	case ":app_id":
		p.AppId = h.Value
	case ":correlation_id":
		p.CorrelationId = h.Value
	case ":reply_to":
		p.ReplyTo = h.Value
	case "CC", "BCC":
		return fmt.Errorf("header %s: RabbitMQ takes it as a list of further routing keys, a text is an error: rename it", h.Name)
	default:
		if strings.HasPrefix(h.Name, ":") {
			return fmt.Errorf("header %s is not for a destination of kind amqp", h.Name)
		}
		if p.Headers == nil {
			p.Headers = amqp091.Table{}
		}
		p.Headers[h.Name] = h.Value
	}
	return nil
}

// check refuses what does not fit into AMQP's short strings or into one frame.
func (l *letter) check(frame int) error {
	p := &l.publishing
	total := frameSpare
	for _, f := range [...]struct{ name, value string }{
		{"routing key", l.routingKey}, {"exchange", l.exchange}, {"key", p.MessageId}, {"content type", p.ContentType},
		{"content encoding", p.ContentEncoding}, {"type", p.Type}, {"app_id", p.AppId},
		{"correlation_id", p.CorrelationId}, {"reply_to", p.ReplyTo},
	} {
		if len(f.value) > longestShort {
			return fmt.Errorf("%s has %d bytes, AMQP allows %d: %.40q…", f.name, len(f.value), longestShort, f.value)
		}
		total += len(f.value) + 1
	}
	for name, value := range p.Headers {
		if len(name) > longestShort {
			return fmt.Errorf("name of header %.40q… has %d bytes, AMQP allows %d", name, len(name), longestShort)
		}
		text, _ := value.(string)
		total += len(name) + len(text) + 6
	}
	if frame > 0 && total > frame {
		return fmt.Errorf("headers have %d bytes together, the broker allows %d (frame_max): shorten them or put them into the body", total, frame)
	}
	return nil
}

// body returns the bytes of m: AMQP needs their number before the first one.
func (t *Target) body(m *outbox.Message) ([]byte, error) {
	size := max(m.Size, int64(len(m.Body)))
	if size > t.options.Largest {
		return nil, outbox.Refused(t.tooLarge(size))
	}
	if m.Open == nil {
		return m.Body, nil
	}
	r, err := m.Open()
	if err != nil {
		return nil, fmt.Errorf("open the body of message %s: %w", m.Key, err)
	}
	body, err := io.ReadAll(io.LimitReader(r, t.options.Largest+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read the body of message %s: %w", m.Key, err)
	}
	if int64(len(body)) > t.options.Largest {
		return nil, outbox.Refused(t.tooLarge(int64(len(body))))
	}
	return body, nil
}

func (t *Target) tooLarge(size int64) error {
	return fmt.Errorf("message has %d bytes or more, largest allows %d: raise amqp.largest if the broker's max_message_size allows more", size, t.options.Largest)
}
