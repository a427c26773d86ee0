package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"waybill/config"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/store"
	"waybill/watcher"
)

// names are the jobs, sources and destinations of the configuration, with what they were called before.
func names(c *config.Config) (list []ledger.Named) {
	for _, item := range c.Jobs {
		list = append(list, ledger.Named{Kind: ledger.Job, Name: item.Name, Formerly: item.Options.(*jobs.Options).Formerly})
	}
	for _, item := range c.Sources {
		list = append(list, ledger.Named{Kind: ledger.Source, Name: item.Name, Formerly: item.Common.(*watcher.Settings).Formerly})
	}
	for _, item := range c.Destinations {
		list = append(list, ledger.Named{Kind: ledger.Destination, Name: item.Name, Formerly: item.Common.(*outbox.Options).Formerly})
	}
	return list
}

// keptAs is the name that an item has in a configuration, now or by formerly; "" when it has none.
func keptAs(c *config.Config, kind, name string) string {
	for _, n := range names(c) {
		if n.Kind == kind && (n.Name == name || n.Formerly == name) {
			return n.Name
		}
	}
	return ""
}

// adopt takes over the names of a landscape; put is called in the same transaction, when nothing can fail any more.
func (i *instance) adopt(ctx context.Context, l *landscape, put func()) error {
	var moved []ledger.Named
	return i.ledger.Adopt(ctx, names(l.config), func(tx *store.Tx, n ledger.Named) error {
		moved = append(moved, n)
		if n.Kind != ledger.Destination {
			return nil
		}
		return i.outbox.Rename(tx, n.Formerly, n.Name)
	}, func(o ledger.Origins) {
		l.jobs.Known(o)
		for _, n := range moved {
			i.log.Info("renamed, its rows have followed", n.Kind, n.Name, "formerly", n.Formerly)
			if n.Kind == ledger.Destination {
				i.outbox.Renamed(n.Formerly, n.Name)
			}
		}
		put()
	})
}

// named makes sure that the names of the landscape are in force before something is landed under them.
func (i *instance) named(ctx context.Context, l *landscape, command string) error {
	origins, err := i.ledger.Origins(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(names(l.config), func(n ledger.Named) bool {
		return n.Formerly != "" && origins[n.Kind+"/"+n.Name] == ""
	})
	if at < 0 {
		l.jobs.Known(origins)
		return nil
	}
	x, err := i.db.TryExecutor(command)
	var held *store.HeldError
	if errors.As(err, &held) {
		n := names(l.config)[at]
		return fmt.Errorf("%s %s was called %s, which process %d does not know yet: waybill reload", n.Kind, n.Name, n.Formerly, held.Holder.PID)
	}
	if err != nil {
		return err
	}
	defer x.Release()
	return i.adopt(ctx, l, func() {})
}

// unwatch stops the watchers of the sources that have another name in the new configuration, and waits for them: nothing may
// come in under the old one any more.
func (d *daemon) unwatch(was, is *config.Config) {
	var stopping []*watching
	d.mu.Lock()
	for _, item := range was.Sources {
		w := d.watchers[item.Name]
		if now := keptAs(is, ledger.Source, item.Name); w == nil || now == item.Name || now == "" {
			continue
		}
		w.stop()
		delete(d.watchers, item.Name)
		stopping = append(stopping, w)
	}
	d.mu.Unlock()
	for _, w := range stopping {
		<-w.ended
	}
}

// regather looks again at what waits for files that belong together, and says what became of it: the jobs in force may want fewer of them, or others.
func (d *daemon) regather(ctx context.Context) {
	l := d.land.now()
	err := d.ledger.Regather(ctx, func(job string) bool {
		p := l.jobs.Plan(job)
		return p != nil && !p.Options().Drain
	}, func(e ledger.Entry) {
		d.log.Warn("its job wants other files than it waited for", "job", e.Job, "entry", e.ID, "file", e.Name, "state", e.State, "reason", e.Reason)
	})
	if err != nil {
		d.log.Error("cannot look again at what waits for files; the next reload or start does", "error", err)
	}
}
