package main

import (
	"time"

	"github.com/spf13/cobra"

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
			if err != nil {
				return err
			}
			return p.entries(list)
		},
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.Jobs, "job", nil, "only of these jobs")
	flags.StringSliceVar(&states, "state", nil, "only in these states: held, received, working, accepted, delivered, rejected, failed, duplicate, cancelled")
	flags.StringVar(&f.Source, "source", "", "only from this source")
	flags.StringVar(&since, "since", "", "only since then: 2h, 3d, 2026-11-21 or 2026-11-21T15:00:00Z")
	flags.StringVar(&f.Text, "text", "", "only with this text in name or reason")
	flags.Int64Var(&f.Before, "before", 0, "only those before this entry, to turn the page")
	flags.IntVar(&f.Limit, "limit", 50, "at most so many")
	return c
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
