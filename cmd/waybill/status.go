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

	"waybill/config"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/sftpd"
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

// A statusView is what `waybill status --json` prints.
type statusView struct {
	Data         string             `json:"data"`
	Daemon       *daemonView        `json:"daemon,omitempty"`   // left out: nobody is at work
	Troubles     []string           `json:"troubles,omitempty"` // why the rest may not be so
	Destinations []destinationView  `json:"destinations"`
	Sources      []watcher.Status   `json:"sources"`
	SFTP         *sftpd.Status      `json:"sftp,omitempty"`               // left out: it serves no SFTP now
	Unfinished   []sftpd.Unfinished `json:"unfinished_uploads,omitempty"` // of partners
	Left         []sftpd.Left       `json:"left_mailboxes,omitempty"`     // of those who are no partners any more
	Jobs         []jobView          `json:"jobs"`
	Paused       []ledger.Paused    `json:"paused"`
	Failed       []entryView        `json:"failed_today"`
	list         []ledger.Entry
	now          time.Time
}

type daemonView struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	Noted   time.Time `json:"noted,omitzero"` // when it last told something
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
	t, err := i.told(ctx)
	if err != nil {
		return nil, err
	}
	s := &statusView{Data: i.db.Folder(), Troubles: t.troubles, Destinations: []destinationView{}, Sources: []watcher.Status{}, Jobs: []jobView{},
		Failed: []entryView{}, SFTP: t.sftp, now: t.now}
	if t.busy {
		s.Daemon = &daemonView{PID: t.holder.PID, Command: t.holder.Command, Since: t.holder.Since, Version: t.version}
		if t.noted.After(t.holder.Since) {
			s.Daemon.Noted = t.noted
		}
	}
	paused, err := i.ledger.AllPaused(ctx)
	if err != nil {
		return nil, err
	}
	s.Paused = append([]ledger.Paused{}, paused...)
	c := i.p.configured(ctx, s.Data)
	if err := i.destinations(ctx, s, t, c); err != nil {
		return nil, err
	}
	if err := i.sources(ctx, s, t, c); err != nil {
		return nil, err
	}
	i.unfinished(ctx, s, c)
	now := t.now
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

// destinations joins what the daemon tells of destinations with what the ledger knows of them.
func (i *instance) destinations(ctx context.Context, s *statusView, t *told, c *config.Config) error {
	waiting, err := i.outbox.Waiting(ctx)
	if err != nil {
		return err
	}
	all := t.destinations
	for name, w := range waiting {
		d := all[name]
		d.Waiting, d.Oldest, d.Dead = w.Messages, w.Oldest, w.Dead
		all[name] = d
	}
	doubts, err := i.outbox.Doubts(ctx)
	if err != nil {
		return err
	}
	for name, x := range doubts {
		if d, there := all[name]; there {
			d.MayRepeat, d.Crashed = x.Total, x.List[len(x.List)-1].At
			all[name] = d
		}
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
		if c != nil && config.Find(c.Destinations, name) == nil && (name != jobs.Sender || d.Waiting+d.Dead == 0) {
			if d.Waiting == 0 && d.Dead == 0 && d.Paused == "" {
				continue // it is gone, and nothing is left of it
			}
			if !t.has("destination/" + name) { // else the daemon still has it: reload lets it go only when nothing waits
				d.State, d.Next = "gone", time.Time{}
				d.Reason = fmt.Sprintf("not in the configuration: %s wait, %s; configure it again", count(d.Waiting, "message"), count(d.Dead, "dead letter"))
			}
		}
		d.State = cmp.Or(d.State, "unknown") // nobody delivers to it now
		s.Destinations = append(s.Destinations, destinationView{name, d})
	}
	return nil
}

// sources adds what the daemon tells of sources. Of one that is no longer configured it says only what is left of it.
func (i *instance) sources(ctx context.Context, s *statusView, t *told, c *config.Config) error {
	for _, part := range slices.Sorted(maps.Keys(t.parts)) {
		name, ok := strings.CutPrefix(part, "source/")
		if !ok {
			continue
		}
		w, live := t.sources[name]
		if c != nil && config.Find(c.Sources, name) == nil {
			busy, err := i.busySource(ctx, name)
			if err != nil {
				return err
			}
			live = busy
			if busy && !t.has(part) {
				w = watcher.Status{Source: name, Error: "gone: not in the configuration, but files of it are not closed; configure it again"}
			}
		}
		if live {
			s.Sources = append(s.Sources, w)
		}
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
	for _, text := range s.Troubles {
		fmt.Fprintln(p.out, text)
	}
	for _, x := range s.Paused {
		kind, name, _ := strings.Cut(x.Subject, "/")
		fmt.Fprintf(p.out, "%s %s is paused since %s: %s; waybill resume %s\n", kind, name, clock(x.Since), shown(x.Why, 200), x.Subject)
	}
	for _, d := range s.Destinations {
		if s.now.Sub(d.Crashed) < 24*time.Hour {
			fmt.Fprintf(p.out, "a process was killed while it delivered (taken over %s): over all crashes, %s may have come to %s twice, at most\n",
				clock(d.Crashed), count(d.MayRepeat, "message"), d.Name)
		}
	}
	if len(s.Destinations) > 0 {
		rows := [][]string{{"\nDESTINATION", "STATE", "WAITING", "OLDEST", "DEAD", "LAST CONFIRMED", "REASON"}}
		for _, d := range s.Destinations {
			rows = append(rows, []string{d.Name, d.State, strconv.FormatInt(d.Waiting, 10), clock(d.Oldest), strconv.FormatInt(d.Dead, 10),
				clock(d.Confirmed), d.text(s.now, 100)})
		}
		if err := p.table(rows); err != nil {
			return err
		}
	}
	if err := p.statusSources(s); err != nil {
		return err
	}
	if err := p.statusSFTP(s.SFTP); err != nil {
		return err
	}
	if err := p.statusUnfinished(s.Unfinished); err != nil {
		return err
	}
	p.statusLeft(s.Left)
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
	var whole []string // of what the table has no room for
	for _, w := range s.Sources {
		trouble := shown(w.Error, 120)
		if full := shown(w.Error, 2000); full != trouble {
			whole = append(whole, "source "+w.Source+": "+full)
		}
		if trouble == "" && len(w.Notes) > 0 {
			trouble = short(w.Notes[0].Path, 60) + ": " + shown(w.Notes[0].Reason, 100)
		}
		rows = append(rows, []string{w.Source, strconv.Itoa(w.Seen), strconv.Itoa(w.Waiting), strconv.FormatInt(w.Landed, 10), strconv.FormatInt(w.Closed, 10),
			clock(w.Scanned), trouble})
	}
	if err := p.table(rows); err != nil {
		return err
	}
	for _, text := range whole {
		fmt.Fprintln(p.out, text)
	}
	return nil
}
