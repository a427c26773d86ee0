package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/ledger"
	"waybill/store"
)

func (p *program) pause() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "pause NAME…",
		Short: "Hold up destinations, jobs or sources until they are resumed",
		Long: `Holds up what it names, now and after a restart, until waybill resume: a destination is sent nothing (its messages wait), a job works nothing (its
files land and wait), from a source nothing is taken. Where a name is not unique say which: destination/NAME, job/NAME or source/NAME.`,
		Example: "  waybill pause shop --reason \"maintenance until 14:00\"\n  waybill pause job/orders",
		Args:    args(cobra.MinimumNArgs(1)),

		ValidArgsFunction: p.completeSubject,
		RunE: func(c *cobra.Command, names []string) error {
			why := "paused by " + by()
			if reason != "" {
				why += ": " + ledger.Shown(reason)
			}
			return p.onSubjects(c.Context(), names, func(i *instance, subject string) (bool, error) {
				return i.pause(c.Context(), subject, why)
			}, "%s is paused", "%s was paused already")
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, shown by waybill status")
	return c
}

// onSubjects pauses or resumes what is named.
func (p *program) onSubjects(ctx context.Context, names []string, do func(*instance, string) (bool, error), changed, same string) error {
	i, l, err := p.acting(ctx)
	if err != nil {
		return err
	}
	defer func() { _, _ = i.close(), l.close() }() // what was done is durable
	paused, err := i.ledger.AllPaused(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		subject, err := l.subject(name, paused)
		if err != nil {
			return err
		}
		yes, err := do(i, subject)
		if err != nil {
			return err
		}
		if p.json {
			if err := p.print(map[string]any{"subject": subject, "changed": yes}); err != nil {
				return err
			}
			continue
		}
		text := same
		if yes {
			text = changed
		}
		kind, short, _ := strings.Cut(subject, "/")
		fmt.Fprintf(p.out, text+"\n", kind+" "+short)
	}
	return nil
}

// subject finds what can be paused under a name. Paused things are known also when they are gone from the configuration.
func (l *landscape) subject(name string, paused []ledger.Paused) (string, error) {
	all := map[string]bool{}
	for kind, items := range map[string][]config.Item{"destination": l.config.Destinations, "job": l.config.Jobs, "source": l.config.Sources} {
		for _, item := range items {
			all[kind+"/"+item.Name] = true
		}
	}
	for _, p := range paused {
		all[p.Subject] = true
	}
	kind, _, explicit := strings.Cut(name, "/")
	if all[name] || l.unread && explicit && (kind == "destination" || kind == "job" || kind == "source") {
		return name, nil
	}
	var found []string
	for _, kind := range []string{"destination", "job", "source"} {
		if all[kind+"/"+name] {
			found = append(found, kind+"/"+name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if l.unread {
			return "", usage("the configuration cannot be read, so say what %s is: destination/NAME, job/NAME or source/NAME", ledger.Shown(name))
		}
		return "", usage("there is no destination, job or source %s in the configuration: see waybill status", ledger.Shown(name))
	}
	return "", usage("%s is more than one thing: say %s", ledger.Shown(name), strings.Join(found, " or "))
}

func (i *instance) pause(ctx context.Context, subject, why string) (changed bool, err error) {
	destination, ok := strings.CutPrefix(subject, "destination/")
	if !ok {
		changed, err := i.ledger.Pause(ctx, subject, why, by())
		return changed, errors.Join(err, i.heed(ctx, subject))
	}
	was, err := i.outbox.Paused(ctx, destination)
	if was != "" || err != nil {
		return false, err
	}
	if err := i.outbox.Pause(ctx, destination, why); err != nil {
		return false, err
	}
	return true, i.record(ctx, "pause", map[string]any{"by": by(), "subject": subject, "why": why})
}

// heedWithin is how long the daemon is given to act on a pause of a source.
const heedWithin = 10 * time.Second

// heed has the daemon, if one is at work, stop or start watching a source before the command ends.
func (i *instance) heed(ctx context.Context, subject string) error {
	holder, busy, err := store.ExecutorOf(i.db.Folder())
	if err != nil || !busy || holder.Command != serveCommand || !strings.HasPrefix(subject, "source/") {
		return err
	}
	id, err := i.ledger.Command(ctx, "watch", subject, nil, by())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, heedWithin)
	defer cancel()
	_, err = i.ledger.Await(ctx, id)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the daemon (process %d) has not answered within %s: it will still act on it when it gets there", holder.PID, heedWithin)
	}
	return err
}

func (i *instance) resume(ctx context.Context, subject string) (changed bool, err error) {
	destination, ok := strings.CutPrefix(subject, "destination/")
	if !ok {
		changed, err := i.ledger.Resume(ctx, subject, by())
		return changed, errors.Join(err, i.heed(ctx, subject))
	}
	was, err := i.outbox.Paused(ctx, destination)
	if was == "" || err != nil {
		return false, err
	}
	if err := i.outbox.Resume(ctx, destination); err != nil {
		return false, err
	}
	return true, i.record(ctx, "resume", map[string]any{"by": by(), "subject": subject, "was": was})
}

func (i *instance) record(ctx context.Context, kind string, detail map[string]any) error {
	return i.db.Tx(ctx, func(tx *store.Tx) error { return i.ledger.Record(tx, ledger.Event{Kind: kind, Detail: detail}) })
}
