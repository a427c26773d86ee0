package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"waybill/config"
	"waybill/jobs"
	"waybill/ledger"
)

// mayReplace refuses a configuration in which something is gone that has work pending. What is to go says drain: true first: it
// takes nothing new, and can be removed when what waits is done.
func (d *daemon) mayReplace(ctx context.Context, l *landscape) error {
	origins, err := d.ledger.Origins(ctx)
	if err != nil {
		return err
	}
	gone, errs := heirs(d.land.now().config, l.config, origins)
	refuse := func(kind, name, what string) { errs = append(errs, goneError(l.config, kind, name, what)) }
	waiting, err := d.outbox.Waiting(ctx)
	if err != nil {
		return err
	}
	for _, old := range d.land.now().config.Destinations {
		if w := waiting[old.Name]; w.Batches > 0 && gone(ledger.Destination, old.Name) {
			refuse("destination", old.Name, fmt.Sprintf("%d messages wait for it", w.Messages))
		}
	}
	if w := waiting[jobs.Sender]; w.Batches > 0 && !l.delivers(jobs.Sender) {
		errs = append(errs, fmt.Errorf("no job acknowledges any more, but %d acknowledgements wait to be written: leave one that does until that is done", w.Messages))
	}
	counts, err := d.ledger.Counts(ctx, d.p.now())
	if err != nil {
		return err
	}
	open := map[string]int64{}
	for _, c := range counts {
		switch c.State {
		case ledger.Held, ledger.Received, ledger.Working, ledger.Accepted:
			open[c.Job] += c.N
		}
	}
	owed, err := d.ledger.Owing(ctx)
	if err != nil {
		return err
	}
	for _, old := range d.land.now().config.Jobs {
		if n := owed[old.Name]; n > 0 && gone(ledger.Job, old.Name) {
			refuse("job", old.Name, fmt.Sprintf("%d acknowledgements of it are to be made", n))
		}
		if n := open[old.Name]; n > 0 && gone(ledger.Job, old.Name) {
			refuse("job", old.Name, fmt.Sprintf("%d of its entries are on their way (waybill list --job %s)", n, old.Name))
		}
	}
	for _, old := range d.land.now().config.Sources {
		if !gone(ledger.Source, old.Name) {
			continue
		}
		busy, err := d.busySource(ctx, old.Name)
		if err != nil {
			return err
		}
		if busy {
			refuse("source", old.Name, "files of it are not closed yet")
		}
	}
	return errors.Join(errs...)
}

// goneError refuses that something is gone for which there is something to do.
func goneError(is *config.Config, kind, name, what string) error {
	remedy := "or say formerly: " + name + " where it has another name now"
	if heir := keptAs(is, kind, name); heir != "" {
		remedy = fmt.Sprintf("for %s has the name of another already, and formerly: %s changes nothing", heir, name)
	}
	return fmt.Errorf("%s %s is gone, but %s: leave it, with drain: true, until that is done, %s", kind, name, what, remedy)
}

// heirs tells what is gone: it has no name in the new configuration, or only the formerly of something that was renamed before, which is looked at once. Two
// destinations that are in force do not become one: what is under way from the one could go out by the other, too. After a start nothing is under way.
func heirs(was, is *config.Config, origins ledger.Origins) (gone func(kind, name string) bool, errs []error) {
	for _, n := range names(is) {
		if n.Kind == ledger.Destination && n.Formerly != "" && origins[n.Kind+"/"+n.Name] == "" && config.Find(was.Destinations, n.Name) != nil && config.Find(was.Destinations, n.Formerly) != nil {
			errs = append(errs, fmt.Errorf("destination %s is to become %s, and both are in force: what is under way could go out twice; leave it, with drain: true, until nothing waits for it, or restart", n.Formerly, n.Name))
		}
	}
	return func(kind, name string) bool {
		heir := keptAs(is, kind, name)
		return heir == "" || heir != name && origins[kind+"/"+heir] != ""
	}, errs
}

// strays warns of work that was left for jobs and destinations that the configuration no longer has: a reload refuses to
// take them away, but a start finds them gone.
func (d *daemon) strays(ctx context.Context) {
	l := d.land.now()
	waiting, err := d.outbox.Waiting(ctx)
	if err != nil {
		d.log.Error("cannot look for messages that wait", "error", err)
	}
	for name, w := range waiting {
		if w.Batches > 0 && !l.delivers(name) {
			d.log.Warn("messages wait for a destination that is not configured: configure it, or they wait for ever", "destination", name, "messages", w.Messages)
		}
	}
	counts, err := d.ledger.Counts(ctx, d.p.now())
	if err != nil {
		d.log.Error("cannot look for entries that wait", "error", err)
	}
	for _, c := range counts {
		if (c.State == ledger.Received || c.State == ledger.Working) && l.jobs.Plan(c.Job) == nil {
			d.log.Warn("entries wait for a job that is not configured: configure it, or cancel them (waybill list --job "+c.Job+")", "job", c.Job, "entries", c.N)
		}
	}
}

// busySource reports whether a source has files whose entries are on their way, or that are to be closed.
func (i *instance) busySource(ctx context.Context, name string) (bool, error) {
	open, err := i.ledger.List(ctx, ledger.Filter{Source: name, Limit: 1,
		States: []ledger.State{ledger.Held, ledger.Received, ledger.Working, ledger.Accepted}})
	if err != nil || len(open) > 0 {
		return len(open) > 0, err
	}
	files, err := i.ledger.Closable(ctx, name, 1)
	return len(files) > 0, err
}

// watchedAs is what the watcher of a source is made of: one that differs needs another watcher.
func (l *landscape) watchedAs(item config.Item) string {
	parts := []string{item.Digest}
	for _, p := range l.jobs.Plans {
		if r := p.Options().Receive; r != nil && r.Source == item.Name && r.Companion != nil {
			parts = append(parts, config.Find(l.config.Jobs, p.Name()).Digest)
		}
	}
	return strings.Join(parts, " ")
}
