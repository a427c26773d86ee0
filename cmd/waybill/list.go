package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/ledger"
)

func (p *program) list() *cobra.Command {
	var f ledger.Filter
	var states []string
	var since string
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List entries, newest first",
		Args:    args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			for _, s := range states {
				if err := wordOf("--state", s, entryStates()); err != nil {
					return err
				}
				f.States = append(f.States, ledger.State(s))
			}
			if since != "" {
				at, err := p.instant(since)
				if err != nil {
					return err
				}
				f.Since = at
			}
			i, err := p.reading(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = i.close() }() // only read
			list, err := i.ledger.List(c.Context(), f)
			if err == nil && len(list) == 0 {
				err = i.knownNames(c.Context(), f)
			}
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return p.none("entries")
			}
			return p.entries(list)
		},
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.Jobs, "job", nil, "only of these jobs")
	flags.StringSliceVar(&states, "state", nil, "only in these states: held, received, working, accepted, delivered, rejected, failed, duplicate, cancelled")
	flags.StringVar(&f.Source, "source", "", "only from this source")
	flags.StringVar(&f.Partner, "partner", "", "only from this partner")
	flags.StringVar(&since, "since", "", "only since then: 2h, 3d, 2026-11-21 or 2026-11-21T15:00:00Z")
	flags.StringVar(&f.Text, "text", "", "only with this text in name or reason")
	flags.Int64Var(&f.Before, "before", 0, "only those before this entry, to turn the page")
	flags.IntVar(&f.Limit, "limit", 50, "at most so many")
	return c
}

func entryStates() []string {
	var list []string
	for _, s := range []ledger.State{ledger.Held, ledger.Received, ledger.Working, ledger.Accepted, ledger.Delivered, ledger.Rejected, ledger.Failed,
		ledger.Duplicate, ledger.Cancelled} {
		list = append(list, string(s))
	}
	return list
}

// wordOf refuses a value of a flag that is none of its words.
func wordOf(flag, value string, words []string) error {
	if value == "" || slices.Contains(words, value) {
		return nil
	}
	return usage("%s %s is no such word, %s", flag, ledger.Shown(value), config.Suggest(value, words, "words"))
}

// unknownName refuses a name that is none of items.
func unknownName(flag, name, what string, items []config.Item) error {
	var names []string
	for _, item := range items {
		if item.Name == name {
			return nil
		}
		names = append(names, item.Name)
	}
	return usage("%s %s: neither the configuration nor the ledger knows that name, %s", flag, ledger.Shown(name), config.Suggest(name, names, what))
}

// knownNames refuses jobs and sources that neither the configuration nor the ledger knows.
func (i *instance) knownNames(ctx context.Context, f ledger.Filter) error {
	c := i.p.configured(ctx, i.db.Folder())
	if c == nil {
		return nil
	}
	one := func(f ledger.Filter) bool {
		f.Limit = 1
		list, err := i.ledger.List(ctx, f)
		return err != nil || len(list) > 0
	}
	for _, job := range f.Jobs {
		if !one(ledger.Filter{Jobs: []string{job}}) {
			if err := unknownName("--job", job, "jobs", c.Jobs); err != nil {
				return err
			}
		}
	}
	if f.Source != "" && !one(ledger.Filter{Source: f.Source}) {
		return unknownName("--source", f.Source, "sources", c.Sources)
	}
	return nil
}

// none says that there is nothing to list, on the side: scripts read what is there.
func (p *program) none(what string) error {
	_, err := fmt.Fprintf(p.diag, "waybill: no %s\n", what)
	return err
}

// instant reads a point in time as people write it: how long ago, a day, or an instant.
func (p *program) instant(text string) (time.Time, error) {
	if n := len(text); n > 1 && text[n-1] == 'd' {
		if d, err := time.ParseDuration(text[:n-1] + "h"); err == nil {
			return p.now().Add(-24 * d), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return p.now().Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("%q is no time: write 2h, 3d, 2026-11-21 or 2026-11-21T15:00:00Z", text)
}
