package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/outbox"
)

func (p *program) trace() *cobra.Command {
	var limit int
	var bodies bool
	c := &cobra.Command{
		Use:   "trace KEY",
		Short: "Find a message: from which file and line, sent when, answered what",
		Long: `Finds messages by the job's own key (A-1001), by the key that the receiver saw, or by a value that was captured from an answer: from which
entry, file and line each comes, when it was sent, what was answered, or what it waits for.`,
		Example: "  waybill trace A-1001",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			i, err := p.reading(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = i.close() }() // only read
			found, err := i.outbox.Trace(c.Context(), list[0], limit)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return p.traceless(c.Context(), i, list[0])
			}
			t := tracer{instance: i, jobs: p.jobsIfAny(c.Context())}
			if t.told, err = i.told(c.Context()); err != nil {
				return err
			}
			for _, m := range found {
				if err := t.tell(c.Context(), m, bodies); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "at most so many messages")
	c.Flags().BoolVar(&bodies, "bodies", false, "show what was sent")
	return c
}

// jobsIfAny are the jobs of the configuration, none when it cannot be loaded: looking must work without it.
func (p *program) jobsIfAny(ctx context.Context) *jobs.Set {
	l, err := p.looking(ctx)
	if err != nil {
		return &jobs.Set{}
	}
	return l.jobs
}

// traceless says what can be said of a key that no message has.
func (p *program) traceless(ctx context.Context, i *instance, key string) error {
	entries, err := i.ledger.List(ctx, ledger.Filter{Text: key, Limit: 5})
	if err == nil && len(entries) == 0 {
		entries, err = i.ledger.RejectedFor(ctx, key, 5)
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		fmt.Fprintf(p.diag, "waybill: no message has the key %s, but these entries mention it:\n", ledger.Shown(key))
		if err := p.entries(entries); err != nil {
			return err
		}
		return exit{code: exitError}
	}
	return fmt.Errorf("no message has the key %s: its file may not have come, or its record was rejected: those are not kept by key, waybill list --state rejected and waybill show N tell them", ledger.Shown(key))
}

// A tracer tells where messages come from.
type tracer struct {
	*instance
	jobs *jobs.Set
	told *told
}

func (t *tracer) tell(ctx context.Context, m outbox.Tracked, bodies bool) error {
	p := t.p
	v := viewOfTracked(m, bodies || p.json)
	e, err := t.ledger.Entry(ctx, m.Parent)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	v.Job, v.File = e.Job, e.Name
	v.Line = t.line(ctx, e, m.Record)
	dead, err := t.outbox.DeadLetters(ctx, outbox.DeadFilter{Parent: m.Parent, Destination: m.Destination, Limit: 1000})
	if err != nil {
		return err
	}
	if p.json {
		return p.print(v)
	}
	fmt.Fprintf(p.out, "%s  to %s: %s\n", keyOf(m.Message), m.Destination, v.State)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(p.out, "  %-10s%s\n", name, fmt.Sprintf(format, args...))
	}
	from := fmt.Sprintf("#%d, %s, %s, %s", m.Parent, e.Job, shown2(e.Name), ofRecord(m.Record))
	if v.Line != 0 {
		from += fmt.Sprintf(", line %d", v.Line)
	}
	line("from", "%s", from)
	line("key", "%s", shown(m.Key, 200))
	line("received", "%s", clock(e.Received))
	line("accepted", "%s", clock(e.Accepted))
	switch {
	case m.Receipt != nil:
		line("answered", "%s  %s", clock(m.Answered), answerText(m))
	case v.State == "waiting" || v.State == "retrying":
		line("waits", "%s", t.waits(ctx, m))
	}
	for _, d := range dead {
		if d.Batch == m.Batch && d.Index == m.Index {
			line("dead", "%s since %s: %s", d.Kind, clock(d.At), shown(d.Reason, 300))
			line("next", "%s", nextOf(d))
		}
	}
	if bodies {
		p.message(m.Message, "  ")
	}
	return nil
}

// waits says what a message waits for.
func (t *tracer) waits(ctx context.Context, m outbox.Tracked) string {
	text := "to be sent"
	if m.LastError != "" {
		text = fmt.Sprintf("for try %d, after %s", m.Attempts+1, shown(m.LastError, 300))
	}
	if m.Due.After(t.p.now()) {
		text += ", not before " + clock(m.Due)
	}
	return text + "; " + t.standing(ctx, t.told, m.Destination)
}

// line is the line of the file at which a record starts, 0 when that cannot be told any more.
func (t *tracer) line(ctx context.Context, e ledger.Entry, record int64) int64 {
	plan := t.jobs.Plan(e.Job)
	if plan == nil || e.File == 0 {
		return 0
	}
	f, err := t.ledger.FileOf(ctx, e.ID)
	if err != nil || f.Object == 0 {
		return 0
	}
	r, err := t.spool.Reader(ctx, f.Object)
	if err != nil {
		return 0
	}
	defer func() { _ = r.Close() }() // only read
	blob := formats.Blob{Name: f.Path, Reader: r, ReaderAt: r, Size: r.Size(), Unpacked: f.Parent != 0}
	if f.Parent == 0 {
		var end func()
		blob, end = plan.Unpack(blob, unpack.Staging{At: f.Landed, Temp: t.spool.Temp})
		defer end()
	}
	line, err := plan.Line(ctx, blob, record)
	if err != nil {
		return 0 // the job reads files otherwise by now
	}
	return line
}
