package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"waybill/outbox"
)

// A Target publishes to one exchange. It is made by New and safe for concurrent use.
type Target struct {
	options Options // with defaults
	host    string  // broker and virtual host, without the secret
	tls     *tls.Config
	timeout time.Duration
	now     func() time.Time

	mu      sync.Mutex
	session *session // in use, nil before the first Deliver and after a loss
	opening *opening // under way, nil when none is
	closed  bool
}

// An opening is an attempt to open a session that several Delivers wait for.
type opening struct {
	done chan struct{}
	err  error // read after done
}

// Deliver publishes ms and reports each as the broker answers. See outbox.Target.
func (t *Target) Deliver(ctx context.Context, ms []outbox.Message, done func(i int, r outbox.Receipt, err error)) error {
	if len(ms) == 0 {
		return nil
	}
	s, err := t.acquire(ctx)
	if err != nil {
		for i := range ms {
			done(i, outbox.Receipt{}, err)
			err = untried(err)
		}
		return err
	}
	defer t.release(s)
	f := newFlight(t, s, done)
	defer f.timer.Stop()
	return f.run(ctx, ms)
}

// Close ends the connection. What a Deliver has under way then becomes unknown.
func (t *Target) Close() error {
	t.mu.Lock()
	s, o := t.session, t.opening
	t.session, t.closed = nil, true
	t.mu.Unlock()
	if o != nil {
		<-o.done // it finds closed set, and closes what it opened
	}
	if s != nil {
		s.close()
	}
	return nil
}

// acquire returns the session, opened if need be. The caller releases it.
func (t *Target) acquire(ctx context.Context) (*session, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return nil, outbox.Unavailable(errClosed)
		}
		if s, old, err := t.usable(); s != nil || err != nil {
			t.mu.Unlock()
			return s, err
		} else if old != nil {
			t.mu.Unlock()
			old.close()
			continue
		}
		o := t.opening
		if o == nil {
			t.opening = &opening{done: make(chan struct{})}
			t.mu.Unlock()
			return t.start(ctx)
		}
		t.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-o.done:
			// The first one's cancellation is not ours.
			if o.err != nil && !errors.Is(o.err, context.Canceled) && !errors.Is(o.err, context.DeadlineExceeded) {
				return nil, o.err
			}
		}
	}
}

// usable returns the session if a Deliver may begin on it, or the idle one that has to be closed first. t.mu is held.
func (t *Target) usable() (s, old *session, err error) {
	s = t.session
	if s == nil {
		return nil, nil, nil
	}
	select {
	case <-s.done:
		t.session = nil
		return nil, nil, nil
	default:
	}
	// A blocked connection is kept even when it is stale: what is published on another would pile up before the broker.
	if err := s.why(); err != nil {
		return nil, nil, err
	}
	if !s.stale.Load() {
		s.users++
		return s, nil, nil
	}
	t.session = nil
	if s.users == 0 {
		return nil, s, nil
	}
	return nil, nil, nil // its last user closes it
}

// start opens a session for the caller and for those that wait for t.opening.
func (t *Target) start(ctx context.Context) (*session, error) {
	s, err := t.open(ctx)
	t.mu.Lock()
	o, closed := t.opening, t.closed
	t.opening = nil
	if err == nil && !closed {
		s.users++
		t.session = s
	}
	t.mu.Unlock()
	if err == nil && closed {
		s.close()
		err = outbox.Unavailable(errClosed)
	}
	o.err = err
	close(o.done)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// release gives a session back; the last user of one that is not the target's any more closes it.
func (t *Target) release(s *session) {
	t.mu.Lock()
	s.users--
	idle := s.users == 0 && t.session != s
	t.mu.Unlock()
	if idle {
		s.close()
	}
}

// silent is the error of a broker that does not confirm.
func (t *Target) silent() error {
	return fmt.Errorf("no confirm from %s within %v", t.host, t.timeout)
}
