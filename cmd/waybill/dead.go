package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/ledger"
	"waybill/outbox"
	"waybill/store"
)

func (p *program) dead() *cobra.Command {
	c := &cobra.Command{
		Use:   "dead",
		Short: "Look at dead letters, send them again or discard them",
		Long: `A dead letter is a message that its destination refused for good (refused), whose attempts are used up (exhausted), that waited too long for a
destination that is away (expired), or of which nobody knows whether it arrived (unknown; see waybill resolve).`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return usage("say what: waybill dead list, show, resend or discard")
		},
	}
	c.AddCommand(p.deadList(), p.deadShow(), p.deadResend(), p.deadDiscard())
	return c
}

func (p *program) deadList() *cobra.Command {
	var f outbox.DeadFilter
	var entry int64
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List dead letters, oldest first",
		Args:    args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := deadWords(f); err != nil {
				return err
			}
			i, err := p.reading(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = i.close() }() // only read
			f.Parent = entry
			list, err := i.outbox.DeadLetters(c.Context(), f)
			if err == nil && len(list) == 0 {
				err = i.knownDestination(c.Context(), f.Destination)
			}
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return p.none("dead letters")
			}
			return p.deadLetters(list)
		},
	}
	deadFlags(c, &f)
	c.Flags().Int64Var(&entry, "entry", 0, "only of this entry")
	c.Flags().StringVar(&f.State, "state", "open", "open, resent, discarded or delivered")
	c.Flags().Int64Var(&f.After, "after", 0, "only those after this one, to turn the page")
	c.Flags().IntVar(&f.Limit, "limit", 100, "at most so many")
	return c
}

func deadFlags(c *cobra.Command, f *outbox.DeadFilter) {
	c.Flags().StringVar(&f.Destination, "destination", "", "only of this destination")
	c.Flags().StringVar(&f.Kind, "kind", "", "only of this kind: refused, exhausted, expired, unknown or damaged")
}

// The words of the filters.
var (
	deadStates = []string{"open", "resent", "discarded", "delivered"}
	deadKinds  = []string{"refused", "exhausted", "expired", "unknown", "damaged"}
)

// deadWords refuses a filter that can choose nothing because a word of it is none.
func deadWords(f outbox.DeadFilter) error {
	return errors.Join(wordOf("--kind", f.Kind, deadKinds), wordOf("--state", f.State, deadStates))
}

// knownDestination refuses the name of a destination that neither the configuration nor the ledger knows.
func (i *instance) knownDestination(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	c := i.p.configured(ctx, i.db.Folder())
	if c == nil {
		return nil
	}
	waiting, err := i.outbox.Waiting(ctx)
	if err != nil || waiting[name].Destination != "" {
		return err
	}
	for _, state := range deadStates {
		list, err := i.outbox.DeadLetters(ctx, outbox.DeadFilter{Destination: name, State: state, Limit: 1})
		if err != nil || len(list) > 0 {
			return err
		}
	}
	return unknownName("--destination", name, "destinations", c.Destinations)
}

// A deadView is a dead letter as --json shows it.
type deadView struct {
	Number      int64         `json:"number"`
	Entry       int64         `json:"entry"`
	Destination string        `json:"destination"`
	Route       string        `json:"route"`
	Key         string        `json:"key"`
	Record      int64         `json:"record,omitempty"`
	State       string        `json:"state"`
	Kind        string        `json:"kind"`
	Reason      string        `json:"reason"`
	At          time.Time     `json:"at"`
	Closed      time.Time     `json:"closed,omitzero"`
	Note        string        `json:"note,omitempty"`
	History     []attemptView `json:"history"`
}

type attemptView struct {
	At     time.Time `json:"at"`
	Error  string    `json:"error"`
	Status int       `json:"status,omitempty"`
	Body   string    `json:"body,omitempty"`
}

func viewOfDead(d outbox.DeadLetter) deadView {
	v := deadView{Number: d.ID, Entry: d.Parent, Destination: d.Destination, Route: d.Route, Key: d.Key, Record: d.Record, State: d.State,
		Kind: d.Kind, Reason: d.Reason, At: d.At, Closed: d.Closed, Note: d.Note, History: []attemptView{}}
	for _, a := range d.History {
		v.History = append(v.History, attemptView{At: a.At, Error: a.Error, Status: a.Status, Body: a.Body})
	}
	return v
}

func (p *program) deadLetters(list []outbox.DeadLetter) error {
	if p.json {
		for _, d := range list {
			if err := p.print(viewOfDead(d)); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"NUMBER", "ENTRY", "DESTINATION", "KIND", "RECORD", "ATTEMPTS", "SINCE", "REASON"}}
	for _, d := range list {
		kind := d.Kind
		if d.State != "open" {
			kind += ", " + d.State
		}
		rows = append(rows, []string{strconv.FormatInt(d.ID, 10), "#" + strconv.FormatInt(d.Parent, 10), d.Destination, kind,
			recordOf(d.Record), strconv.Itoa(len(d.History)), clock(d.At), shown(d.Reason, 100)})
	}
	return p.table(rows)
}

// deadLetter is one dead letter, with what to do when there is none of this number.
func (i *instance) deadLetter(ctx context.Context, id int64) (outbox.DeadLetter, error) {
	list, err := i.outbox.DeadLetters(ctx, outbox.DeadFilter{ID: id})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("there is no dead letter %d: see waybill dead list", id)
	}
	if err != nil {
		return outbox.DeadLetter{}, err
	}
	return list[0], nil
}

func (p *program) deadShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show N",
		Short: "Show a dead letter with its message and every attempt",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			return p.numbered(c.Context(), list, func(i *instance, ids []int64) error {
				if _, err := i.deadLetter(c.Context(), ids[0]); err != nil {
					return err
				}
				d, m, err := i.outbox.DeadMessage(c.Context(), ids[0])
				if err != nil {
					return err
				}
				if p.json {
					return p.print(struct {
						deadView
						Message messageView `json:"message"`
					}{viewOfDead(d), viewOfMessage(m, true)})
				}
				return p.deadText(d, m)
			})
		},
	}
}

func (p *program) deadText(d outbox.DeadLetter, m outbox.Message) error {
	fmt.Fprintf(p.out, "dead letter %d of #%d for %s: %s, %s\n", d.ID, d.Parent, d.Destination, d.Kind, d.State)
	fmt.Fprintf(p.out, "  reason    %s\n  since     %s\n", shown(d.Reason, 500), clock(d.At))
	if !d.Closed.IsZero() {
		fmt.Fprintf(p.out, "  %-9s %s, %s\n", d.State, clock(d.Closed), shown(d.Note, 200))
	}
	fmt.Fprintf(p.out, "  key       %s\n  record    %s\n", shown(d.Key, 200), recordOf(d.Record))
	fmt.Fprintf(p.out, "attempts  %d on record (those while the destination was away are not)\n", len(d.History))
	for _, a := range d.History {
		fmt.Fprintf(p.out, "  %s  %s\n", clock(a.At), attemptText(a))
	}
	fmt.Fprintln(p.out, "message")
	p.message(m, "  ")
	if d.State == "open" {
		fmt.Fprintf(p.out, "next: %s\n", nextOf(d))
	}
	return nil
}

func attemptText(a outbox.Attempt) string {
	text := shown(a.Error, 300)
	if a.Body != "" {
		text += "  answered: " + shown(strings.TrimSpace(a.Body), 200)
	}
	return text
}

// nextOf says what a person can do about an open dead letter.
func nextOf(d outbox.DeadLetter) string {
	if d.Kind == "unknown" {
		return fmt.Sprintf("ask the receiver whether it has the key, then waybill resolve %d delivered, resend or discard", d.ID)
	}
	return fmt.Sprintf("waybill dead resend %d (as it is, or --body FILE with a corrected body), or waybill dead discard %d", d.ID, d.ID)
}

// A choice is which dead letters a command is about.
type choice struct {
	filter outbox.DeadFilter
	all    bool
	yes    bool
	note   string
}

func (o *choice) flags(c *cobra.Command) {
	deadFlags(c, &o.filter)
	c.Flags().BoolVar(&o.all, "all", false, "all that are open")
	c.Flags().BoolVar(&o.yes, "yes", false, "do not ask, even when it is more than one")
	c.Flags().StringVar(&o.note, "note", "", "why, kept with the dead letter")
}

// choose returns the open dead letters a command is about.
func (i *instance) choose(ctx context.Context, o choice, list []string) (chosen []outbox.DeadLetter, err error) {
	filtered := o.all || o.filter.Destination != "" || o.filter.Kind != ""
	if filtered == (len(list) > 0) {
		return nil, usage("say which: numbers of dead letters, or --destination, --kind or --all")
	}
	ids, err := numbers(list)
	if err = errors.Join(err, deadWords(o.filter), i.knownDestination(ctx, o.filter.Destination)); err != nil {
		return nil, err
	}
	for _, id := range ids {
		d, err := i.deadLetter(ctx, id)
		if err != nil {
			return nil, err
		}
		if d.State != "open" {
			return nil, fmt.Errorf("dead letter %d is %s since %s%s: only an open one can be seen to", id, d.State, clock(d.Closed), i.followed(ctx, d))
		}
		chosen = append(chosen, d)
	}
	for filtered {
		page, err := i.outbox.DeadLetters(ctx, o.filter)
		if err != nil || len(page) == 0 {
			return chosen, err
		}
		chosen = append(chosen, page...)
		o.filter.After = page[len(page)-1].ID
	}
	return chosen, nil
}

// followed says which open dead letter came of sending d again, "" when none did.
func (i *instance) followed(ctx context.Context, d outbox.DeadLetter) string {
	list, err := i.outbox.DeadLetters(ctx, outbox.DeadFilter{Parent: d.Parent, Destination: d.Destination, After: d.ID, Limit: 1000})
	if err != nil || d.State != "resent" {
		return ""
	}
	for _, next := range list {
		if next.Route == d.Route && next.Record == d.Record && next.Batch > d.Batch {
			return fmt.Sprintf(", and became dead letter %d", next.ID)
		}
	}
	return ""
}

func (p *program) deadDiscard() *cobra.Command {
	var o choice
	c := &cobra.Command{
		Use:     "discard [N…]",
		Short:   "Close dead letters without sending them",
		Long:    "Closes dead letters without sending them. Their entries count as delivered once none of theirs is open.",
		Example: "  waybill dead discard 3 --note \"cancelled by phone\"\n  waybill dead discard --kind expired --yes",
		RunE: func(c *cobra.Command, list []string) error {
			return p.onDead(c.Context(), o, list, "discard %s", func(i *instance, d outbox.DeadLetter) (string, error) {
				return i.discard(c.Context(), d, "discarded", o.note)
			})
		},
	}
	o.flags(c)
	return c
}

// onDead does something to the chosen dead letters, after asking when they are more than one.
func (p *program) onDead(ctx context.Context, o choice, list []string, question string, do func(*instance, outbox.DeadLetter) (string, error)) error {
	i, err := p.reading(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = i.close() }() // what was done is durable
	chosen, err := i.choose(ctx, o, list)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		_, err := fmt.Fprintln(p.diag, "waybill: no open dead letter is like that")
		return err
	}
	if len(chosen) > 1 {
		if err := p.confirm(fmt.Sprintf(question, count(len(chosen), "dead letter")), o.yes); err != nil {
			return err
		}
	}
	letters := map[int64]outbox.DeadLetter{}
	var ids []int64
	for _, d := range chosen {
		letters[d.ID] = d
		ids = append(ids, d.ID)
	}
	err = p.each(ids, func(id int64) (string, error) { return do(i, letters[id]) })
	return errors.Join(err, i.settle(ctx))
}

func (i *instance) noted(note string) string {
	if note == "" {
		return "by " + by()
	}
	return "by " + by() + ": " + ledger.Shown(note)
}

// event records what a person does to a dead letter, in the transaction that does it.
func (i *instance) event(kind string, d outbox.DeadLetter, note string, more map[string]any) func(*store.Tx) error {
	detail := map[string]any{"by": by(), "dead": d.ID, "destination": d.Destination, "key": ledger.Shown(d.Key)}
	if note != "" {
		detail["note"] = ledger.Shown(note)
	}
	maps.Copy(detail, more)
	return func(tx *store.Tx) error {
		return i.ledger.Record(tx, ledger.Event{Kind: kind, Entry: d.Parent, Detail: detail})
	}
}

func (i *instance) discard(ctx context.Context, d outbox.DeadLetter, state, note string) (string, error) {
	kind := "discard"
	if state == "delivered" {
		kind = "resolve"
	}
	if err := i.outbox.Discard(ctx, d.ID, state, i.noted(note), i.event(kind, d, note, nil)); err != nil {
		return "", fmt.Errorf("discard dead letter %d: %w", d.ID, err)
	}
	return fmt.Sprintf("%d is %s", d.ID, state), nil
}
