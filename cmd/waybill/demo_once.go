package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/outbox"
)

// patience is how long one step of --once may take on a slow machine.
const patience = 40 * time.Second

// A script is the fixed set of --once.
type script struct {
	*stage
	good, robots, bad []demoOrder
}

// once drops the fixed set, waits until all is settled, and compares it with what the receiver says.
func (s *stage) once(ctx context.Context) error {
	c := &script{stage: s, good: newOrders(1001, 4, s.day), robots: newOrders(2001, 5, s.day), bad: newOrders(1005, 3, s.day)}
	c.robots[3].lines[0].article = unknownArticle
	for _, act := range []func(context.Context) error{c.first, c.second, c.third} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return c.report(ctx)
}

// first: two good files, one of them with an order that will be refused, and a bad one.
func (c *script) first(ctx context.Context) error {
	good, err := csvFile(c.good, false)
	if err != nil {
		return err
	}
	bad, err := csvFile(c.bad, true)
	if err != nil {
		return err
	}
	err = errors.Join(
		c.dropCSV(ctx, "orders_1001.csv", good, "4 orders"),
		c.dropJSON(ctx, "robots_2001.json", c.robots),
		c.dropCSV(ctx, "orders_1005.csv", bad, "3 orders, two lines are wrong"),
	)
	if err != nil {
		return err
	}
	return c.until(ctx, patience, c.lacking(
		fate{"orders_1001.csv", 1, ledger.Delivered}, fate{"robots_2001.json", 1, ledger.Failed}, fate{"orders_1005.csv", 1, ledger.Rejected}))
}

// second: what came before comes again, and the bad file comes corrected.
func (c *script) second(ctx context.Context) error {
	good, err := csvFile(c.good, false)
	if err != nil {
		return err
	}
	corrected, err := csvFile(c.bad, false)
	if err != nil {
		return err
	}
	err = errors.Join(
		c.dropCSV(ctx, "orders_1001.csv", good, "the same file once more"),
		c.dropCSV(ctx, "orders_1005.csv", corrected, "corrected"),
	)
	if err != nil {
		return err
	}
	return c.until(ctx, patience, c.lacking(
		fate{"orders_1001.csv", 2, ledger.Duplicate}, fate{"orders_1005.csv", 2, ledger.Delivered}))
}

// third: the receiver learns of the article, and the dead letter is sent again.
func (c *script) third(ctx context.Context) error {
	list, err := c.book.outbox.DeadLetters(ctx, outbox.DeadFilter{})
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return fmt.Errorf("there are %d dead letters, not 1", len(list))
	}
	c.tell.say("waybill", "dead letter %d: %s", list[0].ID, list[0].Reason)
	if err := c.receiver.stock(ctx, unknownArticle); err != nil {
		return err
	}
	c.tell.say("receiver", "has put article %s into its catalogue", unknownArticle)
	c.tell.say("operator", "waybill dead resend %d", list[0].ID)
	if err := c.book.outbox.Resend(ctx, outbox.Resend{ID: list[0].ID, Note: "demo: the article is known now"}); err != nil {
		return err
	}
	return c.until(ctx, patience, c.lacking(fate{"robots_2001.json", 1, ledger.Delivered}))
}

// A fate is what the n-th entry of a file is to come to.
type fate struct {
	name  string
	nth   int
	state ledger.State
}

// lacking says which of the fates are not there yet; the partner must also have read of them.
func (c *script) lacking(fates ...fate) func([]ledger.Entry) []string {
	return func(list []ledger.Entry) (open []string) {
		for _, f := range fates {
			e, ok := nth(list, f.name, f.nth)
			switch {
			case !ok:
				open = append(open, f.name+" is not in the ledger")
			case e.State != f.state:
				open = append(open, fmt.Sprintf("#%d %s is %s, not %s", e.ID, f.name, e.State, f.state))
			}
			if read := c.acknowledged(f.name); len(read) < f.nth {
				open = append(open, fmt.Sprintf("%s has %s", f.name, count(len(read), "acknowledgement")))
			}
		}
		return open
	}
}

// nth finds the n-th entry of a name; list has the newest first.
func nth(list []ledger.Entry, name string, n int) (ledger.Entry, bool) {
	for _, e := range slices.Backward(list) {
		if path.Base(e.Name) == name {
			if n--; n == 0 {
				return e, true
			}
		}
	}
	return ledger.Entry{}, false
}

// report compares, and prints the summary.
func (c *script) report(ctx context.Context) error {
	lines, err := readReceived(c.path("received.log"))
	if err != nil {
		return err
	}
	list, err := c.book.ledger.List(ctx, ledger.Filter{})
	if err != nil {
		return err
	}
	if err := c.look(ctx); err != nil {
		return err
	}
	c.tell.line("")
	if err := c.table(list); err != nil {
		return err
	}
	wrong := slices.Concat(c.effects(lines), faults(lines), c.places(list), c.letters())
	for _, d := range []*demoPartner{c.supplier, c.kitchen} {
		if left, err := d.waiting(ctx); err != nil || len(left) > 0 {
			wrong = append(wrong, fmt.Sprintf("the drop folder of %s still shows %q (%v)", d.name, left, err))
		}
	}
	if _, err := c.book.ledger.Verify(ctx); err != nil {
		wrong = append(wrong, "the chain of events does not hold: "+err.Error())
	}
	c.tell.line("")
	if len(wrong) > 0 {
		return fmt.Errorf("it is not as expected:\n  %s", strings.Join(wrong, "\n  "))
	}
	did := map[string]int{}
	for _, l := range lines {
		did[l.Did]++
	}
	c.tell.line("all is as expected: %d orders booked at the receiver, each once, with its right total", did[didApply]+did[didLose])
	c.tell.line("although it was busy %s, hung %s, lost %s and refused %s; %s recognised by the key", count(did[didBusy], "time"),
		count(did[didHang], "time"), count(did[didLose], "answer"), count(did[didRefuse], "order"), count(did[didRepeat], "repeat"))
	return nil
}

// table prints the entries as `waybill list` does.
func (c *script) table(list []ledger.Entry) error {
	c.tell.mu.Lock()
	defer c.tell.mu.Unlock()
	p := *c.p
	p.out = c.tell.out
	return p.entries(list)
}

func readReceived(name string) (list []receivedLine, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	for s := bufio.NewScanner(f); s.Scan(); {
		var l receivedLine
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, l)
	}
	return list, nil
}

// effects compares what was ordered with what took effect: each order once, with its total, and nothing else.
func (c *script) effects(lines []receivedLine) (wrong []string) {
	totals := map[string]*big.Rat{}
	for _, o := range slices.Concat(c.good, c.bad) {
		totals[o.csvNumber()] = o.total()
	}
	for _, o := range c.robots {
		totals[o.jsonNumber()] = o.total()
	}
	times := map[string]int{}
	hashes := map[string]string{}
	for _, l := range lines {
		if h, ok := hashes[l.Key]; ok && h != l.Hash {
			wrong = append(wrong, fmt.Sprintf("key %s came with two contents", l.Key))
		}
		hashes[l.Key] = l.Hash
		if l.Did != didApply && l.Did != didLose {
			continue
		}
		times[l.Order]++
		if want, ok := totals[l.Order]; !ok {
			wrong = append(wrong, fmt.Sprintf("order %s was booked, but nobody ordered it", l.Order))
		} else if got, ok := new(big.Rat).SetString(l.Total.String()); !ok || got.Cmp(want) != 0 {
			wrong = append(wrong, fmt.Sprintf("order %s was booked with a total of %s, not %s", l.Order, l.Total, want.FloatString(2)))
		}
	}
	for order := range totals {
		if times[order] != 1 {
			wrong = append(wrong, fmt.Sprintf("order %s was booked %d times, not once", order, times[order]))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// faults checks that the receiver was as bad as it was meant to be: a demo without trouble shows nothing.
func faults(lines []receivedLine) (wrong []string) {
	did := map[string]int{}
	for _, l := range lines {
		did[l.Did]++
	}
	for _, kind := range []string{didBusy, didHang, didLose, didRefuse} {
		if did[kind] == 0 {
			wrong = append(wrong, fmt.Sprintf("the receiver never was %q", kind))
		}
	}
	if did[didRepeat] < did[didLose] {
		wrong = append(wrong, fmt.Sprintf("%d answers were lost, but only %d repeats came", did[didLose], did[didRepeat]))
	}
	if did[didDeny] > 0 {
		wrong = append(wrong, fmt.Sprintf("%d requests came without the right API key", did[didDeny]))
	}
	return wrong
}

// places checks the ledger's counts and the files that are to lie somewhere.
func (c *script) places(list []ledger.Entry) (wrong []string) {
	if e, _ := nth(list, "orders_1005.csv", 1); e.Rejects != 2 {
		wrong = append(wrong, fmt.Sprintf("the bad file has %d rejects, not 2", e.Rejects))
	}
	if len(list) != 5 {
		wrong = append(wrong, fmt.Sprintf("the ledger has %d entries, not 5", len(list)))
	}
	export, err := os.ReadFile(c.path("accounts/robots_2001.csv"))
	if err != nil {
		wrong = append(wrong, "there is no accounts/robots_2001.csv")
	}
	if rows := strings.Count(string(export), "\n"); err == nil && rows != 1+len(c.robots) {
		wrong = append(wrong, fmt.Sprintf("the list for the accounts has %d lines, not %d", rows, 1+len(c.robots)))
	}
	return wrong
}

// letters compares what the partners were told with what became of their files.
func (c *script) letters() (wrong []string) {
	for name, want := range map[string]string{
		"orders_1001.csv": "accepted, duplicate", "orders_1005.csv": "rejected, accepted", "robots_2001.json": "accepted",
	} {
		if read := strings.Join(c.acknowledged(name), ", "); read != want {
			wrong = append(wrong, fmt.Sprintf("of %s its partner read %q, not %q", name, read, want))
		}
	}
	slices.Sort(wrong)
	return wrong
}
