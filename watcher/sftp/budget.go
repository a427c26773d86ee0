package sftp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A budget is the logins of one user at one address, with one key or password, by whichever source: several servers may be behind one jump host, and each of
// them would try a password there that is wrong. One login is under way at a time, and one that was refused is not repeated but after long, growing pauses.
type budget struct {
	gate chan struct{}

	mu      sync.Mutex
	refused int           // in a row
	last    *refusedError // nil: the last one was not refused
}

// who tells budgets apart. With another key or password it is another one, which no refused login is held against.
func who(address string, l Login) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q", address, l)
	return hex.EncodeToString(h.Sum(nil))
}

// budget returns the budget of a login.
func (p *Servers) budget(who string) *budget {
	b := p.budgets[who]
	if b == nil {
		b = &budget{gate: make(chan struct{}, 1)}
		p.budgets[who] = b
	}
	return b
}

// spend waits for its turn and calls login, unless one was refused so short a time ago that this one must not be tried: then it returns that refusal.
func (b *budget) spend(ctx context.Context, t timing, now func() time.Time, login func() error) error {
	select {
	case b.gate <- struct{}{}:
		defer func() { <-b.gate }()
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.Lock()
	last := b.last
	b.mu.Unlock()
	if last != nil && now().Before(last.until) {
		return last
	}
	err := login()
	b.mu.Lock()
	defer b.mu.Unlock()
	var refused *refusedError
	switch {
	case err == nil:
		b.refused, b.last = 0, nil
	case errors.As(err, &refused) && ctx.Err() == nil:
		refused.until = now().Add(b.pause(refused, t))
		b.refused, b.last = b.refused+1, refused
	}
	return err
}

// pause is how long no login is tried after one that was refused.
func (b *budget) pause(err *refusedError, t timing) time.Duration {
	first := t.refused
	if !err.plain {
		first = t.refused / 15 // it may have been the network
	}
	if b.refused >= 8 {
		return t.forbidden
	}
	return min(t.forbidden, first<<(2*b.refused))
}
