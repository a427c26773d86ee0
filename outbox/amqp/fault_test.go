package amqp

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/outbox"
	"waybill/outbox/outboxtest"
	"waybill/testenv"
)

// TestBrokerInTrouble holds what needs a broker of its own, one case after the other.
func TestBrokerInTrouble(t *testing.T) {
	t.Parallel()
	b := testenv.RabbitMQ(t)
	t.Run("stopped and killed under load, nothing is lost", func(t *testing.T) { stopped(t, b) })
	t.Run("a blocked broker makes messages wait untried", func(t *testing.T) { blocked(t, b) })
}

// stopped delivers from several goroutines while the broker is stopped, started, killed and started again: what was confirmed is in the
// queue, what was not tried is not, and all else was reported as unknown or unavailable.
func stopped(t *testing.T, b *testenv.Broker) {
	exchange(t, channel(t, b.URL), "stopped", "direct", "k", nil)
	target := target(t, Options{URL: b.URL, Exchange: "stopped", RoutingKey: "k", Window: 100}, Limits{Timeout: 10 * time.Second})
	const workers, each = 3, 4000
	said := map[string][]outcome{}
	var mu sync.Mutex
	var passed atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			ms := messages(string(rune('a'+w)), each)
			pause := time.NewTicker(100 * time.Millisecond) // the outbox waits longer
			defer pause.Stop()
			for len(ms) > 0 {
				n := min(len(ms), 200)
				out, err := deliver(t, t.Context(), target, ms[:n])
				if err != nil {
					<-pause.C
				}
				var again []outbox.Message
				mu.Lock()
				for i, o := range out {
					said[ms[i].Key] = append(said[ms[i].Key], o)
					if o.err != nil {
						again = append(again, ms[i])
					} else {
						passed.Add(1)
					}
				}
				mu.Unlock()
				ms = append(again, ms[n:]...)
			}
		})
	}
	until(t, "some confirmed", func() bool { return passed.Load() > 500 })
	b.Stop(t)
	b.Start(t)
	at := passed.Load()
	until(t, "some more confirmed", func() bool { return passed.Load() > at+500 })
	b.Kill(t)
	b.Start(t)
	wg.Wait()
	arrived := map[string]int{}
	for _, d := range take(t, channel(t, b.URL), "stopped") {
		arrived[d.MessageId]++
	}
	lost, unknown := 0, 0
	for key, attempts := range said {
		most, least := 0, 0
		for _, o := range attempts {
			switch {
			case o.err == nil:
				most, least = most+1, least+1
			case o.fault() == outbox.FaultUnknown:
				most, unknown = most+1, unknown+1
			case !o.untried() && o.fault() != outbox.FaultUnavailable:
				t.Fatalf("message %s: %v", key, o.err)
			}
		}
		if arrived[key] < least || arrived[key] > most {
			lost++
			t.Errorf("message %s arrived %d times, was confirmed %d times, and %d more are unknown", key, arrived[key], least, most-least)
		}
	}
	if len(said) != workers*each || lost > 0 {
		t.Errorf("%d of %d messages reported, %d of them wrong", len(said), workers*each, lost)
	}
	if unknown == 0 || unknown > 2*workers*100 {
		t.Errorf("%d outcomes unknown, want a few and no more than two windows", unknown)
	}
}

func blocked(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "blocked", "direct", "k", nil)
	target := target(t, Options{URL: b.URL, Exchange: "blocked", RoutingKey: "k"}, Limits{Timeout: 2 * time.Second})
	out, _ := deliver(t, t.Context(), target, messages("before", 2))
	confirmed(t, out)
	b.Control(t, "set_vm_memory_high_watermark", "absolute", "1MB")
	// The broker says that it blocks when something is published; that one is in its socket.
	tries := 0
	until(t, "the broker blocks", func() bool {
		tries++
		out, _ = deliver(t, t.Context(), target, messages("blocked", 3))
		return out[1].untried()
	})
	for i, o := range out { // the first tells the outbox that something is wrong
		if o.fault() != outbox.FaultUnavailable || o.untried() != (i > 0) || !strings.Contains(o.err.Error(), "blocked: low on memory") {
			t.Errorf("message %d: %v, want untried because blocked", i, o.err)
		}
	}
	b.Control(t, "set_vm_memory_high_watermark", "absolute", "1GB")
	until(t, "the broker takes messages again", func() bool {
		out, _ = deliver(t, t.Context(), target, messages("after", 3))
		return out[0].err == nil && out[2].err == nil
	})
	n := 0
	for _, d := range take(t, ch, "blocked") {
		if strings.HasPrefix(d.MessageId, "blocked-") {
			n++
		}
	}
	if n > 3*(tries-1) {
		t.Errorf("%d messages of %d tries arrived although they were untried", n, tries-1)
	}
}

// A proxy stands before a broker and can swallow what it answers, keep it back, or be away.
type proxy struct {
	addr string
	to   string
	deaf atomic.Bool  // answers are swallowed
	gate sync.RWMutex // locked: answers are kept back
	mu   sync.Mutex
	l    net.Listener
	open []net.Conn
	wg   sync.WaitGroup
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l := testenv.Listen(t)
	p := &proxy{addr: l.Addr().String(), to: to}
	p.serve(l)
	t.Cleanup(func() { p.down(); p.wg.Wait() })
	return p
}

func (p *proxy) up(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.serve(l)
}

func (p *proxy) serve(l net.Listener) {
	p.mu.Lock()
	p.l = l
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", p.to)
			if err != nil {
				_ = c.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, c, d)
			p.mu.Unlock()
			p.wg.Go(func() { _, _ = io.Copy(d, c); _ = d.Close() })
			p.wg.Go(func() { p.answers(c, d); _ = c.Close() })
		}
	})
}

// down refuses new connections and cuts the others.
func (p *proxy) down() {
	p.mu.Lock()
	_ = p.l.Close()
	p.mu.Unlock()
	p.cut()
}

func (p *proxy) answers(c io.Writer, d io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := d.Read(buf)
		if err != nil {
			return
		}
		p.gate.RLock() // waits while answers are kept back
		if !p.deaf.Load() {
			_, err = c.Write(buf[:n])
		}
		p.gate.RUnlock()
		if err != nil {
			return
		}
	}
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close()
	}
	p.open = nil
}

func (p *proxy) url(b *testenv.Broker) string {
	return strings.Replace(b.URL, b.Addr, p.addr, 1)
}

// contract runs what holds for every target.
func contract(t *testing.T, b *testenv.Broker) {
	var sides atomic.Int64
	start := func(t *testing.T) outboxtest.Side {
		name := fmt.Sprintf("contract-%d", sides.Add(1))
		ch := channel(t, b.URL)
		exchange(t, ch, name, "direct", "good", nil)
		p := newProxy(t, b.Addr)
		target := target(t, Options{URL: p.url(b), Exchange: name, RoutingKey: "good"}, Limits{Timeout: 10 * time.Second})
		s, err := target.acquire(t.Context()) // so that Hold finds it connected
		if err != nil {
			t.Fatal(err)
		}
		target.release(s)
		effects := map[string]int{}
		message := func(n int) outbox.Message { return messages("m", n+1)[n] }
		return outboxtest.Side{
			Target:  target,
			Message: message,
			Refused: func(n int) outbox.Message {
				m := message(n)
				m.Headers = []outbox.Header{{Name: ":routing_key", Value: "bad"}}
				return m
			},
			Effects: func() map[string]int {
				for _, d := range take(t, ch, name) {
					effects[d.MessageId]++
					if strings.Contains(t.Name(), "repeat") { // as a consumer that keeps the ids it has seen
						effects[d.MessageId] = 1
					}
				}
				return effects
			},
			Down: p.down,
			Up:   func() { p.up(t) },
			Hold: func() func() { p.gate.Lock(); return p.gate.Unlock },
		}
	}
	outboxtest.Run(t, outboxtest.Fixture{Start: start})
}

// answersLost holds cases in which the broker took messages and its answers do not come.
func answersLost(t *testing.T, b *testenv.Broker) {
	for name, cut := range map[string]bool{
		"no confirm in time: the window is unknown, the rest untried":   false,
		"connection cut: what went out is unknown and the rest untried": true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, b.Addr)
			ch := channel(t, b.URL)
			queue := map[bool]string{false: "silent", true: "cut"}[cut]
			exchange(t, ch, queue, "direct", "k", nil)
			target := target(t, Options{URL: p.url(b), Exchange: queue, RoutingKey: "k", Window: 10}, Limits{Timeout: 3 * time.Second})
			out, _ := deliver(t, t.Context(), target, messages("first", 3))
			confirmed(t, out)
			p.deaf.Store(true)
			if cut {
				go func() { // ended by the broker's having them
					until(t, "the window is in the queue", func() bool {
						q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
						return err != nil || q.Messages == 13
					})
					p.cut()
				}()
			}
			out, err := deliver(t, t.Context(), target, messages("m", 100))
			if err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable {
				t.Errorf("Deliver says %v, want unavailable", err)
			}
			for i, o := range out {
				if i < 10 && (o.untried() || o.fault() != outbox.FaultUnknown) {
					t.Errorf("message %d: %v, want unknown", i, o.err)
				}
				if i >= 10 && !o.untried() {
					t.Errorf("message %d: %v, want untried", i, o.err)
				}
			}
			if n := len(take(t, ch, queue)); n != 13 {
				t.Errorf("%d messages arrived, want 13", n)
			}
			p.deaf.Store(false)
			out, err = deliver(t, t.Context(), target, messages("again", 30))
			if err != nil {
				t.Fatal(err)
			}
			confirmed(t, out)
		})
	}
}

func TestRefusedConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	hungUp := l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	gone := testenv.Listen(t)
	refused := gone.Addr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{hungUp, refused} {
		target := target(t, Options{URL: "amqp://u:s3cret@" + addr + "/"}, Limits{Timeout: time.Second})
		out, err := deliver(t, t.Context(), target, messages("m", 2))
		if err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want unavailable", addr, err)
		}
		if out[1].fault() != outbox.FaultUnavailable {
			t.Errorf("%s: %v", addr, out[1].err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		path string
	}{
		{Options{}, "amqp.url"},
		{Options{URL: "http://h/"}, "amqp.url"},
		{Options{URL: "amqp://u:pass%zz@h/"}, "amqp.url"},
		{Options{URL: "amqp://h/", Exchange: strings.Repeat("x", 256)}, "amqp.exchange"},
		{Options{URL: "amqp://h/", Exchange: "x", Kind: "topical"}, "amqp.kind"},
		{Options{URL: "amqp://h/", Kind: "topic"}, "amqp.kind"},
		{Options{URL: "amqp://h/", Exchange: "x", Declare: "maybe"}, "amqp.declare"},
		{Options{URL: "amqp://h/", Exchange: "x", Declare: "create"}, "amqp.kind"},
		{Options{URL: "amqp://h/", Exchange: "amq.topic", Kind: "topic", Declare: "create"}, "amqp.declare"},
		{Options{URL: "amqp://h/", Declare: "create"}, "amqp.declare"},
		{Options{URL: "amqp://h/", Window: -1}, "amqp.window"},
		{Options{URL: "amqp://h/", Largest: -1}, "amqp.largest"},
		{Options{URL: "amqp://h/", RoutingKey: strings.Repeat("x", 256)}, "amqp.routing_key"},
		{Options{URL: "amqp://h/", TLS: TLS{Min: "1.1"}}, "amqp.tls.min"},
		{Options{URL: "amqp://h/", TLS: TLS{CA: "/none"}}, "amqp.tls.ca"},
		{Options{URL: "amqp://h/", TLS: TLS{Cert: "/none"}}, "amqp.tls.cert"},
	} {
		target, problems := New(c.o, Limits{}, time.Now)
		if target != nil || len(problems) != 1 || problems[0].Path != c.path || strings.Contains(problems[0].Text, "pass%") {
			t.Errorf("%v: %v, want one at %s", c.o, problems, c.path)
		}
	}
}
