package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"waybill/outbox"
)

const (
	heartbeat    = 10 * time.Second
	dialTimeout  = 10 * time.Second // for TCP, and again for TLS and the AMQP handshake
	closeTimeout = 2 * time.Second  // a blocked broker does not answer
)

// A session is a connection and its channel in confirm mode. Many Delivers use it at once.
type session struct {
	conn    *amqp091.Connection
	wire    *wire
	ch      *amqp091.Channel
	returns chan amqp091.Return // holds as many as can be unconfirmed, or the client would drop some
	slots   chan struct{}       // one for each unconfirmed message

	blocked atomic.Pointer[string] // why the broker takes nothing at present, nil when it does
	stale   atomic.Bool            // no new Deliver may use it
	done    chan struct{}          // closed when the channel has ended
	err     error                  // why; read after done
	ended   chan struct{}          // closed when the connection has, too

	order   sync.Mutex // publishing: keeps flight in the order of publishing
	mu      sync.Mutex // the fields below
	first   *parcel    // published and not settled, in order
	last    *parcel
	checked map[string]bool // exchanges that took a message

	users int // Delivers; guarded by Target.mu
}

// A parcel is a message on its way.
type parcel struct {
	index      int // in the Deliver's messages
	exchange   string
	routingKey string
	key        string
	sent       time.Time
	confirm    *amqp091.DeferredConfirmation
	returned   *amqp091.Return // guarded by session.mu
	prev, next *parcel
}

// open connects, checks the exchange and makes the channel ready. Its errors are judged.
func (t *Target) open(ctx context.Context) (*session, error) {
	s, err := t.dial(ctx)
	var e *amqp091.Error
	if errors.As(err, &e) && e.Code == amqp091.AccessRefused && !e.Server {
		// RabbitMQ may hang up on bad credentials without a word, as a broker that is just
		// stopping does. Only the first does it twice.
		s, err = t.dial(ctx)
	}
	if err != nil {
		return nil, t.refusedConnection(ctx, err)
	}
	defer s.wire.limit(ctx, t.timeout)()
	if err := t.declare(s.conn); err != nil {
		s.hangUp()
		return nil, t.refusedExchange(ctx, err)
	}
	if err := t.channel(s); err != nil {
		s.hangUp()
		return nil, t.refusedConnection(ctx, err)
	}
	blocks := s.conn.NotifyBlocked(make(chan amqp091.Blocking, 16))
	closes := s.ch.NotifyClose(make(chan *amqp091.Error, 1))
	go s.watch(blocks, closes)
	return s, nil
}

// dial makes the connection.
func (t *Target) dial(ctx context.Context) (*session, error) {
	s := &session{
		returns: make(chan amqp091.Return, t.options.Window+1),
		slots:   make(chan struct{}, t.options.Window),
		done:    make(chan struct{}),
		ended:   make(chan struct{}),
		checked: map[string]bool{},
	}
	stop := func() bool { return true }
	properties := amqp091.NewConnectionProperties()
	properties.SetClientConnectionName("waybill")
	config := amqp091.Config{
		Heartbeat:       heartbeat,
		Properties:      properties,
		TLSClientConfig: t.tls.Clone(),
		Dial: func(network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTimeout}
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			if err := c.SetDeadline(t.now().Add(dialTimeout)); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			s.wire = newWire(c, t.timeout, t.now)
			stop = context.AfterFunc(ctx, s.wire.abort) // the handshake knows no context
			return s.wire, nil
		},
	}
	conn, err := amqp091.DialConfig(t.options.URL, config)
	stop()
	s.conn = conn
	if err != nil && s.wire != nil {
		s.wire.abort() // the client leaves it open
	}
	return s, err
}

// declare checks or makes the exchange, on channels of their own, since an error closes the channel.
func (t *Target) declare(conn *amqp091.Connection) error {
	o := t.options
	if o.Exchange == "" || o.Declare == "none" {
		return nil
	}
	durable := o.Durable == nil || *o.Durable
	if o.Declare == "create" {
		return once(conn, func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare(o.Exchange, o.Kind, durable, false, false, false, nil)
		})
	}
	err := once(conn, func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclarePassive(o.Exchange, amqp091.ExchangeDirect, durable, false, false, false, nil)
	})
	if err != nil || o.Kind == "" {
		return err
	}
	// A passive declaration does not look at the type. An active one of an exchange that is there
	// compares the type first; that other properties differ or that we may not declare says nothing about it.
	err = once(conn, func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare(o.Exchange, o.Kind, durable, false, false, false, nil)
	})
	var e *amqp091.Error
	if errors.As(err, &e) && e.Server && e.Code != amqp091.ConnectionForced && !strings.Contains(e.Reason, "inequivalent arg 'type'") {
		return nil
	}
	return err
}

// once calls fn with a channel of its own.
func once(conn *amqp091.Connection, fn func(ch *amqp091.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	err = fn(ch)
	if ch.IsClosed() {
		return err
	}
	return errors.Join(err, ch.Close())
}

// channel opens the channel that Delivers share.
func (t *Target) channel(s *session) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return err
	}
	ch.NotifyReturn(s.returns)
	s.ch = ch
	return ch.Confirm(false)
}

// watch follows the session until its channel or connection ends, then closes the rest.
func (s *session) watch(blocks <-chan amqp091.Blocking, closes <-chan *amqp091.Error) {
	defer close(s.ended)
	for {
		select {
		case b, ok := <-blocks:
			switch {
			case !ok:
				blocks = nil
			case b.Active:
				s.blocked.Store(&b.Reason)
			default:
				s.blocked.Store(nil)
			}
		case e := <-closes:
			s.err = amqp091.ErrClosed
			if e != nil {
				s.err = e
			}
			close(s.done)
			s.hangUp()
			return
		}
	}
}

// hangUp closes the connection.
func (s *session) hangUp() {
	defer s.wire.limit(context.Background(), closeTimeout)()
	_ = s.conn.Close() // fails when it is lost already
}

// close ends the session and waits for it.
func (s *session) close() {
	s.hangUp()
	<-s.ended
}

// publish sends p's message on the shared channel, by the next flush at the latest. An error means that it did not go out whole.
func (s *session) publish(p *parcel, l *letter) error {
	s.order.Lock()
	defer s.order.Unlock()
	s.track(p) // before it goes out: its return may be seen before publish returns
	s.wire.hold(true)
	c, err := s.ch.PublishWithDeferredConfirm(l.exchange, l.routingKey, true, false, l.publishing)
	s.wire.hold(false)
	if err != nil {
		s.settle(p)
		return err
	}
	p.confirm = c
	return nil
}

// track puts p at the end of what is on its way.
func (s *session) track(p *parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.prev = s.last
	if s.last == nil {
		s.first = p
	} else {
		s.last.next = p
	}
	s.last = p
}

// settle takes p off and returns its return, nil if it was not returned. The broker sends a return before
// the confirm, and the client hands them on in that order: call it after the confirm.
func (s *session) settle(p *parcel) *amqp091.Return {
	s.mu.Lock()
	defer s.mu.Unlock()
	for more := true; more; {
		select {
		case r, ok := <-s.returns:
			more = ok
			if ok {
				s.match(&r)
			}
		default:
			more = false
		}
	}
	if p.prev == nil {
		s.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		s.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
	return p.returned
}

// match gives a return to its parcel: returns come in the order of publishing, so it is the first of those with the same key
// and address that has none.
func (s *session) match(r *amqp091.Return) {
	for p := s.first; p != nil; p = p.next {
		if p.returned == nil && p.key == r.MessageId && p.routingKey == r.RoutingKey && p.exchange == r.Exchange {
			p.returned = r
			return
		}
	}
}

// known says whether the exchange took a message in this session.
func (s *session) known(exchange string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked[exchange]
}

func (s *session) know(exchange string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked[exchange] = true
}

// cause is why the session ended. Call it only when the client has said that it is closed.
func (s *session) cause() error {
	<-s.done
	return s.err
}

// why says why the broker takes nothing at present, nil when it does.
func (s *session) why() error {
	if reason := s.blocked.Load(); reason != nil {
		return outbox.Unavailable(fmt.Errorf("blocked: %s (the broker takes no messages until it has resources again)", *reason))
	}
	return nil
}
