package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/ledger"
)

func (p *program) partnerHistory() *cobra.Command {
	var since string
	var limit int
	c := &cobra.Command{
		Use:   "history [NAME]",
		Short: "Tell what a partner did lately: logins and why they were refused, uploads, downloads",
		Long: `Tells what happened at the SFTP server lately, newest first: logins, logins that were refused and why, uploads that were taken, refused or
cut, what was renamed, withdrawn and picked up. With a name only what concerns that one, whether there is such a partner or not.`,
		Example: "  waybill partner history wagon-lits --since 3d",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			from, err := p.instant(since)
			if err != nil {
				return err
			}
			i, err := p.reading(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = i.close() }() // only read
			name := ""
			if len(list) > 0 {
				name = list[0]
			}
			deeds, err := i.deeds(c.Context(), name, from, limit)
			if err != nil {
				return err
			}
			if len(deeds) == 0 {
				return p.none("logins or files since " + clock(from))
			}
			return p.deeds(deeds)
		},
	}
	c.Flags().StringVar(&since, "since", "24h", "only since then: 2h, 3d, 2026-11-21 or 2026-11-21T15:00:00Z")
	c.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return c
}

// A deed is one thing that happened at the SFTP server, as --json shows it.
type deed struct {
	At     time.Time      `json:"at"`
	What   string         `json:"what"`
	Detail map[string]any `json:"detail"`
}

// deeds are the events of the SFTP server, newest first.
func (i *instance) deeds(ctx context.Context, partner string, since time.Time, limit int) (list []deed, err error) {
	const page = 1000
	for before := int64(0); ; {
		events, err := i.ledger.EventsBack(ctx, before, page)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if e.At.Before(since) || len(list) >= limit {
				return list, nil
			}
			who, ofServer := e.Detail["partner"]
			if (ofServer || e.Kind == "login refused") && (partner == "" || who == partner) {
				list = append(list, deed{e.At, e.Kind, e.Detail})
			}
			before = e.ID
		}
		if len(events) < page {
			return list, nil
		}
	}
}

// deeds prints a table of them.
func (p *program) deeds(list []deed) error {
	rows := [][]string{{"AT", "PARTNER", "WHAT", "FILE", "ADDRESS", "MORE"}}
	for _, d := range list {
		if p.json {
			if err := p.print(d); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{clock(d.At), d.text("partner"), d.What, d.text("path"), d.text("address"), d.more()})
	}
	if p.json {
		return nil
	}
	return p.table(rows)
}

func (d deed) text(key string) string {
	switch v := d.Detail[key].(type) {
	case nil:
		return ""
	case float64: // numbers of an event are whole ones
		return strconv.FormatInt(int64(v), 10)
	default:
		return ledger.Shown(fmt.Sprint(v))
	}
}

// more is what is particular about it.
func (d deed) more() string {
	if n := d.text("count"); n != "" { // the rest of a minute with many
		reasons, _ := d.Detail["reasons"].(map[string]any)
		list := ledger.Shown(strings.Join(slices.Sorted(maps.Keys(reasons)), ", "))
		if addresses := d.text("addresses"); addresses != "" {
			return fmt.Sprintf("%s more, from %s addresses: %s", n, addresses, list)
		}
		return strings.TrimSuffix(fmt.Sprintf("and %s more: %s", n, list), ": ")
	}
	list := []string{cmp.Or(d.text("why"), d.text("reason"))}
	for _, part := range [][2]string{{"method", "by "}, {"to", "to /"}, {"size", ""}, {"client", ""}} {
		text := d.text(part[0])
		switch {
		case text == "", part[0] == "client" && !strings.HasPrefix(d.What, "login"):
			continue
		case part[0] == "to":
			text = strings.TrimPrefix(text, "/")
		case part[0] == "size":
			text += " bytes"
		}
		list = append(list, part[1]+text)
	}
	return strings.TrimPrefix(strings.Join(list, ", "), ", ")
}
