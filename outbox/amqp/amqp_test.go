package amqp

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rabbitmq/amqp091-go"

	"waybill/outbox"
	"waybill/testenv"
)

// TestBroker holds what shares one broker; each case has its own exchange and queue.
func TestBroker(t *testing.T) {
	t.Parallel()
	b := testenv.RabbitMQ(t)
	for name, fn := range map[string]func(*testing.T, *testenv.Broker){
		"a routed message arrives with its bytes and properties":       routed,
		"an unroutable message is refused and its neighbours pass":     unroutableRefused,
		"returns go to the right one of messages with the same key":    sameKey,
		"a missing exchange stops the destination until it is there":   missingExchange,
		"an exchange of another type stops the destination":            otherType,
		"declare create makes the exchange":                            created,
		"an exchange named by one message is its own fault":            exchangeOfMessage,
		"a full queue's nack leaves the message waiting":               fullQueue,
		"wrong credentials, virtual host or permission stop":           accessRefused,
		"what does not fit is refused before or by the broker":         tooLarge,
		"a spooled body is read when it is delivered":                  spooled,
		"a cancelled Deliver tries nothing more":                       cancelled,
		"concurrent Delivers share the window and report each message": concurrent,
		"the default exchange routes to a queue by its name":           defaultExchange,
		"after Close nothing is tried":                                 afterClose,
		"contract of every target":                                     contract,
		"answers lost":                                                 answersLost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(t, b)
		})
	}
}

func routed(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "routed", "topic", "order.*", nil)
	target := target(t, Options{URL: b.URL, Exchange: "routed", Kind: "topic"}, Limits{})
	body := []byte("{\"n\": 1.10}\x00\xff")
	out, err := deliver(t, t.Context(), target, []outbox.Message{
		{Key: "k-1", Body: body, Size: int64(len(body)), Headers: []outbox.Header{
			{Name: ":routing_key", Value: "order.created"}, {Name: ":content-type", Value: "application/json"},
			{Name: ":type", Value: "event"}, {Name: ":app_id", Value: "waybill"}, {Name: ":correlation_id", Value: "c-9"},
			{Name: ":reply_to", Value: "answers"}, {Name: ":content-encoding", Value: "identity"}, {Name: "soa-version", Value: "1.0"},
		}},
		{Key: "k-2", Headers: []outbox.Header{{Name: ":routing_key", Value: "order.empty"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	confirmed(t, out)
	if want := "routed order.created"; out[0].receipt.Text != want {
		t.Errorf("receipt %q, want %q", out[0].receipt.Text, want)
	}
	got := take(t, ch, "routed")
	if len(got) != 2 {
		t.Fatalf("%d messages arrived, want 2", len(got))
	}
	type properties struct {
		Key, Route, Mime, Encoding, Type, App, Correlation, Reply string
		Mode                                                      uint8
		Headers                                                   amqp091.Table
		Body                                                      []byte
	}
	d := got[0]
	if diff := cmp.Diff(properties{
		"k-1", "order.created", "application/json", "identity", "event", "waybill", "c-9", "answers", 2,
		amqp091.Table{"soa-version": "1.0"}, body,
	}, properties{d.MessageId, d.RoutingKey, d.ContentType, d.ContentEncoding, d.Type, d.AppId, d.CorrelationId, d.ReplyTo, d.DeliveryMode, d.Headers, d.Body}); diff != "" {
		t.Error(diff)
	}
	if !d.Timestamp.IsZero() {
		t.Errorf("timestamp %v is set: consumers of the Gadz envelope fail on it", d.Timestamp)
	}
}

func unroutableRefused(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "unroutable", "topic", "good.#", nil)
	target := target(t, Options{URL: b.URL, Exchange: "unroutable", RoutingKey: "good.one"}, Limits{})
	ms := messages("u", 100)
	for i := range ms {
		if i%10 == 0 { // the first, which goes alone, among them
			ms[i].Headers = []outbox.Header{{Name: ":routing_key", Value: "bad.one"}}
		}
	}
	out, err := deliver(t, t.Context(), target, ms)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if bad := i%10 == 0; bad && (o.err == nil || o.fault() != outbox.FaultRefused) || !bad && o.err != nil {
			t.Errorf("message %d: %v", i, o.err)
		} else if bad && !(strings.Contains(o.err.Error(), "NO_ROUTE") && strings.Contains(o.err.Error(), "bad.one")) {
			t.Errorf("message %d does not say why: %v", i, o.err)
		}
	}
	if n := len(take(t, ch, "unroutable")); n != 90 {
		t.Errorf("%d messages arrived, want 90", n)
	}
}

func sameKey(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "same-key", "direct", "good", nil)
	target := target(t, Options{URL: b.URL, Exchange: "same-key", RoutingKey: "good"}, Limits{})
	ms := messages("same", 301)
	for i := range ms {
		ms[i].Key = "same"
		if i%3 == 1 {
			ms[i].Headers = []outbox.Header{{Name: ":routing_key", Value: "bad"}}
		}
	}
	out, err := deliver(t, t.Context(), target, ms)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if refused := o.err != nil && o.fault() == outbox.FaultRefused; refused != (i%3 == 1) {
			t.Errorf("message %d: %v", i, o.err)
		}
	}
}

func missingExchange(t *testing.T, b *testenv.Broker) {
	for _, declare := range []string{"passive", "none"} {
		name := "missing-" + declare
		target := target(t, Options{URL: b.URL, Exchange: name, Declare: declare, RoutingKey: "k"}, Limits{})
		for range 2 { // it does not loop, and it does not remember
			out, err := deliver(t, t.Context(), target, messages("m", 5))
			if outbox.FaultOf(err) != outbox.FaultStopped {
				t.Errorf("%s: Deliver says %v, want stopped", declare, err)
			}
			for i, o := range out {
				if o.fault() != outbox.FaultStopped || !strings.Contains(o.err.Error(), "create the exchange") {
					t.Errorf("%s: message %d: %v, want stopped with a remedy", declare, i, o.err)
				}
			}
		}
		exchange(t, channel(t, b.URL), name, "topic", "k", nil)
		out, _ := deliver(t, t.Context(), target, messages("m", 5))
		confirmed(t, out)
	}
}

func otherType(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "other-type", "fanout", "", nil)
	for _, declare := range []string{"passive", "create"} {
		target := target(t, Options{URL: b.URL, Exchange: "other-type", Kind: "topic", Declare: declare}, Limits{})
		out, err := deliver(t, t.Context(), target, messages("o", 3))
		if outbox.FaultOf(err) != outbox.FaultStopped || !strings.Contains(err.Error(), "another type") {
			t.Errorf("%s: %v, want stopped with a remedy", declare, err)
		}
		for i, o := range out {
			if o.fault() != outbox.FaultStopped {
				t.Errorf("%s: message %d: %v, want stopped", declare, i, o.err)
			}
		}
	}
	// Properties other than the type are nobody's business when the exchange is only to be there.
	if err := ch.ExchangeDeclare("other-type-transient", "topic", false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	target := target(t, Options{URL: b.URL, Exchange: "other-type-transient", Kind: "topic"}, Limits{})
	if out, err := deliver(t, t.Context(), target, messages("o", 1)); err != nil || out[0].fault() != outbox.FaultRefused {
		t.Errorf("%v, %v, want unroutable", err, out[0].err)
	}
	if n := len(take(t, ch, "other-type")); n != 0 {
		t.Errorf("%d messages arrived at an exchange of the wrong type", n)
	}
}

func created(t *testing.T, b *testenv.Broker) {
	target := target(t, Options{URL: b.URL, Exchange: "created", Kind: "topic", Declare: "create", RoutingKey: "k"}, Limits{})
	out, err := deliver(t, t.Context(), target, messages("c", 1))
	if err != nil || out[0].fault() != outbox.FaultRefused {
		t.Fatalf("%v, %v, want unroutable", err, out[0].err)
	}
	if err := channel(t, b.URL).ExchangeDeclare("created", "topic", true, false, false, false, nil); err != nil {
		t.Errorf("the exchange is not as it was to be made: %v", err)
	}
}

func exchangeOfMessage(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "of-message", "direct", "k", nil)
	exchange(t, ch, "of-message-2", "direct", "k", nil)
	target := target(t, Options{URL: b.URL, Exchange: "of-message", RoutingKey: "k"}, Limits{})
	ms := messages("x", 30)
	for i := range ms {
		switch i % 3 {
		case 1:
			ms[i].Headers = []outbox.Header{{Name: ":exchange", Value: "of-message-2"}}
		case 2:
			ms[i].Headers = []outbox.Header{{Name: ":exchange", Value: "of-nobody"}}
		}
	}
	out, err := deliver(t, t.Context(), target, ms)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if missing := i%3 == 2; missing && o.fault() != outbox.FaultRefused || missing == (o.err == nil) {
			t.Errorf("message %d: %v", i, o.err)
		}
	}
	if a, b := len(take(t, ch, "of-message")), len(take(t, ch, "of-message-2")); a != 10 || b != 10 {
		t.Errorf("%d and %d messages arrived, want 10 and 10", a, b)
	}
}

func fullQueue(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "full", "direct", "k", amqp091.Table{"x-max-length": int32(3), "x-overflow": "reject-publish"})
	target := target(t, Options{URL: b.URL, Exchange: "full", RoutingKey: "k"}, Limits{})
	out, err := deliver(t, t.Context(), target, messages("f", 200))
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for i, o := range out {
		switch {
		case o.err == nil:
			passed++
		case o.fault() != outbox.FaultUnavailable || !strings.Contains(o.err.Error(), "nack"):
			t.Errorf("message %d: %v, want unavailable by nack", i, o.err)
		}
	}
	if n := len(take(t, ch, "full")); n != passed || passed == 0 || passed == 200 {
		t.Errorf("%d confirmed, %d in the queue of 200", passed, n)
	}
	out, _ = deliver(t, t.Context(), target, messages("f", 1))
	confirmed(t, out)
}

func accessRefused(t *testing.T, b *testenv.Broker) {
	exchange(t, channel(t, b.URL), "access", "direct", "k", nil)
	for what, url := range map[string]string{
		"password":     b.URLFor(testenv.Admin, "wrong-s3cret"),
		"virtual host": b.URL + "nowhere",
		"permission":   b.URLFor(testenv.Reader, testenv.Secret),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			target := target(t, Options{URL: url, Exchange: "access", RoutingKey: "k"}, Limits{})
			out, err := deliver(t, t.Context(), target, messages("a", 4))
			if outbox.FaultOf(err) != outbox.FaultStopped {
				t.Errorf("Deliver says %v, want stopped", err)
			}
			for i, o := range out {
				if o.fault() != outbox.FaultStopped {
					t.Errorf("message %d: %v, want stopped", i, o.err)
				}
				if strings.Contains(o.err.Error(), "s3cret") || strings.Contains(o.err.Error(), testenv.Secret) {
					t.Errorf("message %d shows the password: %v", i, o.err)
				}
			}
		})
	}
}

func tooLarge(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "large", "direct", "k", nil)
	target := target(t, Options{URL: b.URL, Exchange: "large", RoutingKey: "k", Largest: 12 << 20}, Limits{})
	long := strings.Repeat("x", 256)
	ms := messages("l", 12)
	ms[1].Headers = []outbox.Header{{Name: ":routing_key", Value: long}}
	ms[2].Headers = []outbox.Header{{Name: long, Value: "v"}}
	ms[3].Headers = []outbox.Header{{Name: "h", Value: strings.Repeat("x", 200_000)}} // more than a frame
	ms[4].Key = long
	ms[5].Headers = []outbox.Header{{Name: "CC", Value: "other"}}
	ms[6].Headers = []outbox.Header{{Name: ":method", Value: "POST"}}
	ms[7].Body = make([]byte, 13<<20) // more than we allow
	ms[8].Body = make([]byte, 9<<20)  // more than the broker allows
	out, err := deliver(t, t.Context(), target, ms)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if bad := i >= 1 && i <= 8; bad && o.fault() != outbox.FaultRefused || bad == (o.err == nil) {
			t.Errorf("message %d: %v", i, o.err)
		}
	}
	if n := len(take(t, ch, "large")); n != 4 {
		t.Errorf("%d messages arrived, want 4", n)
	}
}

func spooled(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "spooled", "direct", "k", nil)
	target := target(t, Options{URL: b.URL, Exchange: "spooled", RoutingKey: "k", Largest: 6 << 20}, Limits{})
	open := func(b []byte) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	}
	whole := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB: many frames, and alone
	out, err := deliver(t, t.Context(), target, []outbox.Message{
		{Key: "small", Open: open([]byte("small"))},
		{Key: "whole", Open: open(whole), Size: int64(len(whole))},
		{Key: "grown", Open: open(make([]byte, 7<<20))}, // its size was not said
		{Key: "gone", Open: func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }},
	})
	if err != nil {
		t.Fatal(err)
	}
	confirmed(t, out[:2])
	if out[2].fault() != outbox.FaultRefused {
		t.Errorf("too large: %v", out[2].err)
	}
	if out[3].err == nil || out[3].fault() != outbox.FaultUnavailable {
		t.Errorf("not readable: %v", out[3].err)
	}
	got := take(t, ch, "spooled")
	if len(got) != 2 || string(got[0].Body) != "small" || !bytes.Equal(got[1].Body, whole) {
		t.Errorf("%d messages arrived, or others", len(got))
	}
}

func cancelled(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "cancelled", "direct", "k", nil)
	target := target(t, Options{URL: b.URL, Exchange: "cancelled", RoutingKey: "k", Window: 20}, Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	ms := messages("c", 1000)
	out := make([]outcome, len(ms))
	var mu sync.Mutex
	seen := 0
	err := target.Deliver(ctx, ms, func(i int, r outbox.Receipt, err error) {
		mu.Lock()
		defer mu.Unlock()
		out[i] = outcome{r, err, out[i].times + 1}
		if seen++; seen == 100 {
			cancel()
		}
	})
	cancel()
	if err != context.Canceled {
		t.Errorf("Deliver says %v", err)
	}
	passed := 0
	for i, o := range out {
		if o.times != 1 {
			t.Errorf("message %d was reported %d times", i, o.times)
		}
		switch {
		case o.err == nil:
			passed++
		case !o.untried():
			t.Errorf("message %d: %v, want confirmed or not tried", i, o.err)
		}
	}
	if n := len(take(t, ch, "cancelled")); n != passed || passed > 150 {
		t.Errorf("%d confirmed, %d arrived of 1000, want the same and about 120", passed, n)
	}
	out, err = deliver(t, ctx, target, messages("c", 3))
	if err == nil || !out[0].untried() || !out[2].untried() {
		t.Errorf("an ended context: %v, %v", err, out[0].err)
	}
}

func concurrent(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	exchange(t, ch, "concurrent", "direct", "k", nil)
	target := target(t, Options{URL: b.URL, Exchange: "concurrent", RoutingKey: "k", Window: 7}, Limits{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ms := messages("c", 100)
			for i := 5; i < len(ms); i += 10 {
				ms[i].Headers = []outbox.Header{{Name: ":routing_key", Value: "nowhere"}}
			}
			out, err := deliver(t, t.Context(), target, ms)
			if err != nil {
				t.Error(err)
			}
			for i, o := range out {
				if bad := i%10 == 5; bad && o.fault() != outbox.FaultRefused || bad == (o.err == nil) {
					t.Errorf("message %d: %v", i, o.err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(take(t, ch, "concurrent")); n != 8*90 {
		t.Errorf("%d messages arrived, want %d", n, 8*90)
	}
	if s := target.session; len(s.slots) != 0 || s.first != nil || s.last != nil || s.users != 0 {
		t.Errorf("left behind: %d slots, %d users, first %v", len(s.slots), s.users, s.first)
	}
}

func defaultExchange(t *testing.T, b *testenv.Broker) {
	ch := channel(t, b.URL)
	if _, err := ch.QueueDeclare("by-name", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	target := target(t, Options{URL: b.URL, RoutingKey: "by-name"}, Limits{})
	out, err := deliver(t, t.Context(), target, messages("d", 5))
	if err != nil {
		t.Fatal(err)
	}
	confirmed(t, out)
	if out[1].receipt.Text != "queue by-name" {
		t.Errorf("receipt %q", out[1].receipt.Text)
	}
}

func afterClose(t *testing.T, b *testenv.Broker) {
	exchange(t, channel(t, b.URL), "closed", "direct", "k", nil)
	target := target(t, Options{URL: b.URL, Exchange: "closed", RoutingKey: "k"}, Limits{})
	out, _ := deliver(t, t.Context(), target, messages("x", 2))
	confirmed(t, out)
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := deliver(t, t.Context(), target, messages("x", 2))
	if err == nil || out[0].fault() != outbox.FaultUnavailable || !out[1].untried() {
		t.Errorf("%v, %v", err, out[0].err)
	}
}
