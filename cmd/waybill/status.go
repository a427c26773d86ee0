package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/ledger"
	"waybill/store"
	"waybill/watcher"
)

func (p *program) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what runs, what waits, what is paused and what failed today",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			i, err := p.reading(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = i.close() }() // only read
			s, err := i.status(c.Context())
			if err != nil {
				return err
			}
			if p.json {
				return p.print(s)
			}
			return p.statusText(s)
		},
	}
}

// statusOld is how old what a daemon tells of itself may be: it renews it every minute.
const statusOld = 2 * time.Minute

// A statusView is what `waybill status --json` prints.
type statusView struct {
	Data         string            `json:"data"`
	Daemon       *daemonView       `json:"daemon,omitempty"` // left out: nobody is at work
	Destinations []destinationView `json:"destinations"`
	Sources      []watcher.Status  `json:"sources"`
	Jobs         []jobView         `json:"jobs"`
	Paused       []ledger.Paused   `json:"paused"`
	Failed       []entryView       `json:"failed_today"`
	list         []ledger.Entry
}

type daemonView struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	Version string    `json:"version,omitempty"`
}

type destinationView struct {
	Name string `json:"name"`
	destinationStatus
}

// A jobView counts what a job has open, and what came to an end of that which was received today.
type jobView struct {
	Job    string                 `json:"job"`
	Counts map[ledger.State]int64 `json:"counts"`
	Oldest time.Time              `json:"oldest_open,omitzero"`
}

func (i *instance) status(ctx context.Context) (*statusView, error) {
	s := &statusView{Data: i.db.Folder(), Destinations: []destinationView{}, Sources: []watcher.Status{}, Jobs: []jobView{}, Failed: []entryView{}}
	holder, busy, err := store.ExecutorOf(i.db.Folder())
	if err != nil {
		return nil, err
	}
	if busy {
		s.Daemon = &daemonView{PID: holder.PID, Command: holder.Command, Since: holder.Since}
	}
	paused, err := i.ledger.AllPaused(ctx)
	if err != nil {
		return nil, err
	}
	s.Paused = append([]ledger.Paused{}, paused...)
	if err := i.destinations(ctx, s); err != nil {
		return nil, err
	}
	now := i.p.now()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	if err := i.counts(ctx, s, today); err != nil {
		return nil, err
	}
	s.list, err = i.ledger.List(ctx, ledger.Filter{States: []ledger.State{ledger.Rejected, ledger.Failed}, Since: today, Limit: 10})
	for _, e := range s.list {
		s.Failed = append(s.Failed, viewOf(e))
	}
	return s, err
}

// destinations joins what the daemon tells of destinations and sources with what the ledger knows of them.
func (i *instance) destinations(ctx context.Context, s *statusView) error {
	told, err := i.ledger.Statuses(ctx)
	if err != nil {
		return err
	}
	waiting, err := i.outbox.Waiting(ctx)
	if err != nil {
		return err
	}
	all := map[string]destinationStatus{}
	for _, part := range told {
		if s.Daemon == nil || i.p.now().Sub(part.At) > statusOld {
			continue
		}
		kind, name, _ := strings.Cut(part.Part, "/")
		switch kind {
		case "node":
			err = json.Unmarshal(part.Text, s.Daemon)
		case "destination":
			var d destinationStatus
			err = json.Unmarshal(part.Text, &d)
			all[name] = d
		case "source":
			var w watcher.Status
			err = json.Unmarshal(part.Text, &w)
			w.Source = name
			s.Sources = append(s.Sources, w)
		}
		if err != nil {
			return fmt.Errorf("status of %s: %w", part.Part, err)
		}
	}
	for name, w := range waiting {
		d := all[name]
		d.Waiting, d.Oldest, d.Dead = w.Messages, w.Oldest, w.Dead
		all[name] = d
	}
	for _, p := range s.Paused {
		if name, ok := strings.CutPrefix(p.Subject, "destination/"); ok {
			d := all[name]
			d.State, d.Reason, d.Paused = "paused", p.Why, p.Why
			all[name] = d
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d := all[name]
		d.State = cmp.Or(d.State, "unknown") // nobody delivers to it now
		s.Destinations = append(s.Destinations, destinationView{name, d})
	}
	return nil
}

func (i *instance) counts(ctx context.Context, s *statusView, today time.Time) error {
	counts, err := i.ledger.Counts(ctx, today)
	if err != nil {
		return err
	}
	for _, c := range counts {
		at := slices.IndexFunc(s.Jobs, func(j jobView) bool { return j.Job == c.Job })
		if at < 0 {
			at = len(s.Jobs)
			s.Jobs = append(s.Jobs, jobView{Job: c.Job, Counts: map[ledger.State]int64{}})
		}
		j := &s.Jobs[at]
		j.Counts[c.State] = c.N
		switch c.State {
		case ledger.Held, ledger.Received, ledger.Working, ledger.Accepted:
			if j.Oldest.IsZero() || c.Oldest.Before(j.Oldest) {
				j.Oldest = c.Oldest
			}
		}
	}
	return nil
}

// statusText prints the status for a person.
func (p *program) statusText(s *statusView) error {
	if d := s.Daemon; d != nil {
		fmt.Fprintf(p.out, "%s (process %d) has been at work on %s since %s\n", d.Command, d.PID, s.Data, clock(d.Since))
	} else {
		fmt.Fprintf(p.out, "nobody is at work on %s: nothing is taken, worked or delivered until waybill serve runs\n", s.Data)
	}
	for _, x := range s.Paused {
		kind, name, _ := strings.Cut(x.Subject, "/")
		fmt.Fprintf(p.out, "%s %s is paused since %s: %s; waybill resume %s\n", kind, name, clock(x.Since), shown(x.Why, 200), x.Subject)
	}
	if len(s.Destinations) > 0 {
		rows := [][]string{{"\nDESTINATION", "STATE", "WAITING", "OLDEST", "DEAD", "LAST CONFIRMED", "REASON"}}
		for _, d := range s.Destinations {
			rows = append(rows, []string{d.Name, d.State, strconv.FormatInt(d.Waiting, 10), clock(d.Oldest), strconv.FormatInt(d.Dead, 10),
				clock(d.Confirmed), shown(d.Reason, 100)})
		}
		if err := p.table(rows); err != nil {
			return err
		}
	}
	if err := p.statusSources(s); err != nil {
		return err
	}
	states := []ledger.State{ledger.Held, ledger.Received, ledger.Working, ledger.Accepted, ledger.Failed, ledger.Rejected, ledger.Duplicate, ledger.Cancelled, ledger.Delivered}
	rows := [][]string{{"\nJOB", "HELD", "RECEIVED", "WORKING", "ACCEPTED", "FAILED", "REJECTED*", "DUPLICATE*", "CANCELLED*", "DELIVERED*", "OLDEST OPEN"}}
	for _, j := range s.Jobs {
		row := []string{j.Job}
		for _, state := range states {
			row = append(row, strconv.FormatInt(j.Counts[state], 10))
		}
		rows = append(rows, append(row, clock(j.Oldest)))
	}
	if len(s.Jobs) > 0 {
		if err := p.table(rows); err != nil {
			return err
		}
		fmt.Fprintln(p.out, "* of those received today")
	}
	if len(s.list) > 0 {
		fmt.Fprintln(p.out, "\nfailed or rejected today (waybill show N tells more)")
		return p.entries(s.list)
	}
	return nil
}

func (p *program) statusSources(s *statusView) error {
	if len(s.Sources) == 0 {
		return nil
	}
	rows := [][]string{{"\nSOURCE", "SEEN", "WAITING", "LANDED", "CLOSED", "LAST LOOK", "TROUBLE"}}
	for _, w := range s.Sources {
		trouble := shown(w.Error, 120)
		if trouble == "" && len(w.Notes) > 0 {
			trouble = short(w.Notes[0].Path, 60) + ": " + shown(w.Notes[0].Reason, 100)
		}
		rows = append(rows, []string{w.Source, strconv.Itoa(w.Seen), strconv.Itoa(w.Waiting), strconv.FormatInt(w.Landed, 10), strconv.FormatInt(w.Closed, 10),
			clock(w.Scanned), trouble})
	}
	return p.table(rows)
}
