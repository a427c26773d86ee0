package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"waybill/ledger"
)

// A teller prints the demo line by line: when, who, what. Several goroutines tell.
type teller struct {
	now    func() time.Time
	colour bool

	mu  sync.Mutex
	out io.Writer
}

func (p *program) teller() *teller {
	return &teller{now: p.now, out: p.out, colour: p.terminal(p.out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// line prints a line as it is.
func (t *teller) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// say prints what somebody did.
func (t *teller) say(who, format string, args ...any) {
	at := t.now().Format(time.TimeOnly)
	name := fmt.Sprintf("%-9s", who)
	if t.colour {
		shade := map[string]string{supplierPartner: "36", robotsPartner: "35", "waybill": "1", "receiver": "33"}[who]
		at, name = "\x1b[2m"+at+"\x1b[0m", "\x1b["+shade+"m"+name+"\x1b[0m"
	}
	t.line("%s  %s %s", at, name, fmt.Sprintf(format, args...))
}

// lookEvery is how often the demo looks at the ledger.
const lookEvery = 50 * time.Millisecond

// follow tells what becomes of the entries, until ctx ends.
func (s *stage) follow(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := s.look(context.WithoutCancel(ctx)); err != nil {
			s.tell.say("demo", "cannot read the ledger: %v", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look tells what has changed in the ledger since the last look.
func (s *stage) look(ctx context.Context) error {
	s.looking.Lock()
	defer s.looking.Unlock()
	// The newest few are enough: partners here drop a file every few seconds.
	list, err := s.book.ledger.List(ctx, ledger.Filter{Limit: 30})
	if err != nil {
		return err
	}
	known := map[int64]ledger.State{}
	for _, e := range slices.Backward(list) {
		if text := change(s.known[e.ID], e); text != "" {
			s.tell.say("waybill", "#%d %s: %s", e.ID, e.Name, text)
		}
		known[e.ID] = e.State
	}
	s.known = known
	return nil
}

// change says in plain words what is new about an entry; "" when nothing that matters is.
func change(was ledger.State, is ledger.Entry) string {
	if was == is.State {
		return ""
	}
	switch is.State {
	case ledger.Held:
		return "held: " + is.Reason
	case ledger.Accepted:
		if was == ledger.Failed {
			return "a dead letter is sent again"
		}
		return fmt.Sprintf("accepted whole, %s to deliver", count(is.Messages, "message"))
	case ledger.Delivered:
		if was == "" || was == ledger.Received || was == ledger.Working {
			return fmt.Sprintf("accepted whole and delivered: %s confirmed", count(is.Messages, "message"))
		}
		return fmt.Sprintf("delivered: all %s confirmed", count(is.Messages, "message"))
	case ledger.Rejected:
		return fmt.Sprintf("rejected whole, nothing was sent: %s", is.Reason)
	case ledger.Failed:
		return fmt.Sprintf("%s confirmed, %s set aside", count(is.Messages-is.Dead, "message"), count(is.Dead, "dead letter"))
	case ledger.Duplicate:
		return fmt.Sprintf("came before as #%d: skipped", is.Twin)
	case ledger.Cancelled:
		return "cancelled: " + is.Reason
	}
	return ""
}

// until waits for what is found in the ledger to be as wanted, and returns it. missing says what is not yet.
func (s *stage) until(ctx context.Context, most time.Duration, missing func([]ledger.Entry) []string) error {
	limit := time.NewTimer(most)
	defer limit.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		list, err := s.book.ledger.List(ctx, ledger.Filter{})
		if err != nil {
			return err
		}
		open := missing(list)
		if len(open) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w before all was settled", context.Cause(ctx))
		case <-limit.C:
			return fmt.Errorf("after %s it is not settled: %s", most, strings.Join(open, "; "))
		case <-tick.C:
		}
	}
}
