package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill/outbox"
)

// A performance is what the partners do, one act after another; it remembers what it needs for the next.
type performance struct {
	*stage
	next    int    // number of the next order
	name    string // of the last CSV file
	content []byte
	bad     []demoOrder // that wait for their correction
	badName string
}

// live lets partners act until ctx ends.
func (s *stage) live(ctx context.Context, every time.Duration) error {
	p := &performance{stage: s, next: 1001}
	acts := []func(context.Context) error{p.good, p.robots, p.spoiled, p.resent, p.correct, p.catalogue}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		if err := acts[n%len(acts)](ctx); err != nil && ctx.Err() == nil {
			return err
		}
		if n == 2 || n%24 == 23 {
			s.suggest(p.badName)
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); errors.Is(cause, errDaemonEnded) {
				return cause
			}
			return nil
		case <-tick.C:
		}
	}
}

// dropCSV and dropJSON are a partner's drop, told.
func (s *stage) dropCSV(ctx context.Context, name string, content []byte, told string) error {
	s.tell.say(supplierPartner, "puts %s: %s", name, told)
	return s.supplier.put(ctx, name, content)
}

func (s *stage) dropJSON(ctx context.Context, name string, orders []demoOrder) error {
	content, err := jsonFile(orders)
	if err != nil {
		return err
	}
	s.tell.say(robotsPartner, "puts %s: %s", name, count(len(orders), "order"))
	return s.kitchen.put(ctx, name, content)
}

func (p *performance) take(n int) []demoOrder {
	list := newOrders(p.next, n, p.day)
	p.next += n
	return list
}

func (p *performance) good(ctx context.Context) (err error) {
	list := p.take(4)
	p.name = fmt.Sprintf("orders_%d.csv", list[0].number)
	if p.content, err = csvFile(list, false); err != nil {
		return err
	}
	return p.dropCSV(ctx, p.name, p.content, "4 orders")
}

func (p *performance) robots(ctx context.Context) error {
	list := p.take(5)
	list[3].lines[0].article = unknownArticle
	return p.dropJSON(ctx, fmt.Sprintf("robots_%d.json", list[0].number), list)
}

func (p *performance) spoiled(ctx context.Context) error {
	p.bad = p.take(3)
	p.badName = fmt.Sprintf("orders_%d.csv", p.bad[0].number)
	content, err := csvFile(p.bad, true)
	if err != nil {
		return err
	}
	return p.dropCSV(ctx, p.badName, content, "3 orders, two lines are wrong")
}

func (p *performance) resent(ctx context.Context) error {
	return p.dropCSV(ctx, p.name, p.content, "the same file once more")
}

func (p *performance) correct(ctx context.Context) error {
	content, err := csvFile(p.bad, false)
	if err != nil {
		return err
	}
	return p.dropCSV(ctx, p.badName, content, "corrected")
}

// catalogue mends what the receiver refuses, once it has refused.
func (p *performance) catalogue(ctx context.Context) error {
	list, err := p.book.outbox.DeadLetters(ctx, outbox.DeadFilter{Destination: "erp"})
	if err != nil || len(list) == 0 {
		return err
	}
	if err := p.receiver.stock(ctx, unknownArticle); err != nil {
		return err
	}
	p.tell.say("receiver", "has put article %s into its catalogue: waybill dead resend %d would be taken now", unknownArticle, list[0].ID)
	return nil
}
