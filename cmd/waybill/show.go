package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/ledger"
	"waybill/outbox"
)

func (p *program) show() *cobra.Command {
	var o showOptions
	c := &cobra.Command{
		Use:   "show N",
		Short: "Show the whole way of one entry",
		Long: `Shows the whole way of one entry: its file, what it was compared with those before it, what was rejected and why, what was sent
where and answered what, its dead letters, and everything that happened to it.`,
		Example: "  waybill show 12\n  waybill show 12 --bodies --messages 3\n  waybill show 12 --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			return p.numbered(c.Context(), list, func(i *instance, ids []int64) error {
				w, err := i.way(c.Context(), ids[0], o)
				if err != nil {
					return entryError(err, ids[0])
				}
				if p.json {
					return p.print(w)
				}
				return p.way(w, o)
			})
		},
	}
	c.Flags().IntVar(&o.messages, "messages", 10, "show so many messages of each destination")
	c.Flags().BoolVar(&o.bodies, "bodies", false, "show the bodies of these messages")
	c.Flags().BoolVar(&o.all, "all", false, "show all rejects that were kept, not only the first 20")
	return c
}

type showOptions struct {
	messages int
	bodies   bool
	all      bool
}

const showRejects = 20

// A way is everything that is known of one entry.
type way struct {
	entryView
	File         *fileView            `json:"file,omitempty"`
	Beside       map[string]*fileView `json:"beside,omitempty"`  // what belongs to the file, by what it is to it
	Parent       *entryView           `json:"parent,omitempty"`  // of a member of an archive: the archive's entry
	Members      []entryView          `json:"members,omitempty"` // of an archive: its files, the newest run of each
	Replays      []entryView          `json:"replays,omitempty"`
	Corrects     int64                `json:"corrects,omitempty"`     // the rejected entry in whose place it came, under the same name
	CorrectedBy  int64                `json:"corrected_by,omitempty"` // of a rejected entry: the next under its name
	Rejected     []ledger.Reject      `json:"rejected"`               // the first of them
	Destinations []*traffic           `json:"destinations"`
	DeadLetters  []deadView           `json:"dead_letters"`
	Acknowledged []ackView            `json:"acknowledgements,omitempty"`
	Events       []eventView          `json:"events"`
	dead         []outbox.DeadLetter
	entry        ledger.Entry
}

// An eventView is an event as --json shows it.
type eventView struct {
	At     time.Time      `json:"at"`
	What   string         `json:"what"`
	Detail map[string]any `json:"detail,omitempty"`
}

func (i *instance) way(ctx context.Context, id int64, o showOptions) (*way, error) {
	e, err := i.ledger.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	w := &way{entryView: viewOf(e), entry: e, Rejected: []ledger.Reject{}, DeadLetters: []deadView{}, Events: []eventView{}}
	f, err := i.ledger.FileOf(ctx, id)
	switch {
	case err == nil:
		w.File = viewOfFile(f, folderOf(i.p.configured(ctx, i.db.Folder()), f.Source))
		if err := errors.Join(i.family(ctx, w, f), i.besides(ctx, w), i.namesakes(ctx, w)); err != nil {
			return nil, err
		}
	case !errors.Is(err, ledger.ErrNotFound):
		return nil, err
	}
	first := e.ID
	if e.Origin != 0 {
		first = e.Origin
	}
	runs, err := i.ledger.Replays(ctx, first)
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		if r.ID != e.ID {
			w.Replays = append(w.Replays, viewOf(r))
		}
	}
	rejects, err := i.ledger.Rejects(ctx, id)
	if err != nil {
		return nil, err
	}
	if !o.all && !i.p.json {
		rejects = rejects[:min(len(rejects), showRejects)]
	}
	w.Rejected = append(w.Rejected, rejects...)
	if w.Destinations, err = i.traffics(ctx, id, o.messages, o.bodies || i.p.json); err != nil {
		return nil, err
	}
	if w.Acknowledged, err = i.acknowledged(ctx, id); err != nil {
		return nil, err
	}
	return w, i.troubles(ctx, w)
}

// troubles adds dead letters, in all their states, and events.
func (i *instance) troubles(ctx context.Context, w *way) error {
	for _, state := range []string{"open", "resent", "discarded", "delivered"} {
		dead, err := i.outbox.DeadLetters(ctx, outbox.DeadFilter{Parent: w.Entry, State: state, Limit: 1000})
		if err != nil {
			return err
		}
		w.dead = append(w.dead, dead...)
	}
	slices.SortFunc(w.dead, func(a, b outbox.DeadLetter) int { return int(a.ID - b.ID) })
	for _, d := range w.dead {
		w.DeadLetters = append(w.DeadLetters, viewOfDead(d))
	}
	events, err := i.ledger.History(ctx, w.Entry)
	for _, e := range events {
		w.Events = append(w.Events, eventView{At: e.At, What: e.Kind, Detail: e.Detail})
	}
	return err
}

// way prints the way of an entry for a person.
func (p *program) way(w *way, o showOptions) error {
	e := w.entry
	fmt.Fprintf(p.out, "#%d  %s  %s  %s\n", e.ID, e.Job, shown2(e.Name), strings.ToUpper(string(e.State)))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(p.out, "  %-10s%s\n", name, fmt.Sprintf(format, args...))
	}
	if reason := reasonOf(e); reason != "" {
		line("reason", "%s", safe(short(reason, 500)))
	}
	if e.State == ledger.Held && !e.Due.IsZero() {
		line("until", "%s, then it is rejected", clock(e.Due))
	}
	if e.Origin != 0 {
		line("run", "%d of #%d", e.Run, e.Origin)
	}
	if w.Parent != nil {
		line("member", "of #%d, %s", w.Parent.Entry, shown2(w.Parent.Name))
	}
	if f := w.File; f != nil {
		line("file", "%s of %s, %s, sha256 %s", f.Path, f.Source, count(f.Size, "byte"), f.SHA256)
		line("is now", "%s", f.Where)
		if !f.Spooled {
			line("", "its bytes are no longer kept (retain.files)")
		}
	}
	p.wayBeside(w, line)
	switch {
	case e.Trial:
		line("partner", "%s, as a test: nothing of it is sent", shown(e.Partner, 100))
	case e.Partner != "":
		line("partner", "%s", shown(e.Partner, 100))
	}
	verdict := string(e.Verdict)
	if e.Twin != 0 {
		verdict += fmt.Sprintf(" of #%d", e.Twin)
	}
	if w.Corrects != 0 {
		verdict += fmt.Sprintf("; it comes in place of #%d, which was rejected", w.Corrects)
	}
	line("verdict", "%s", verdict)
	if w.CorrectedBy != 0 {
		line("then", "#%d came in its place", w.CorrectedBy)
	}
	if !e.Since.IsZero() || !e.Till.IsZero() {
		line("window", "from %s, up to %s", clock(e.Since), clock(e.Till))
	}
	line("received", "%s", clock(e.Received))
	line("accepted", "%s", clock(e.Accepted))
	line("finished", "%s", clock(e.Finished))
	line("counts", "%s, %s, %d rejected, %s", count(e.Records, "record"), count(e.Messages, "message"), e.Rejects, count(e.Dead, "dead letter"))
	for _, r := range w.Replays {
		line("see also", "#%d, run %d: %s", r.Entry, r.Run, r.State)
	}
	return p.wayLists(w, o)
}

// wayLists prints what there are several of.
func (p *program) wayLists(w *way, o showOptions) error {
	if err := p.wayMembers(w); err != nil {
		return err
	}
	if err := p.wayRejects(w); err != nil {
		return err
	}
	for _, t := range w.Destinations {
		if err := p.traffic(t, o); err != nil {
			return err
		}
	}
	if err := p.wayDead(w); err != nil {
		return err
	}
	if err := p.wayAcknowledged(w); err != nil {
		return err
	}
	return p.wayEvents(w)
}

// shown2 is a name that is escaped already.
func shown2(s string) string { return short(s, 200) }

func (p *program) wayRejects(w *way) error {
	if len(w.Rejected) == 0 {
		return nil
	}
	fmt.Fprintf(p.out, "\nrejected\n")
	if err := p.rejects(w.Rejected); err != nil {
		return err
	}
	if len(w.Rejected) == showRejects {
		fmt.Fprintf(p.out, "  (the first %d; --all shows all that were kept)\n", showRejects)
	}
	return nil
}

// rejects prints what is wrong with which line.
func (p *program) rejects(list []ledger.Reject) error {
	rows := [][]string{{"  RECORD", "LINE", "FIELD", "VALUE", "REASON"}}
	for _, r := range list {
		at := "–"
		if r.Line != 0 {
			at = strconv.FormatInt(r.Line, 10)
		}
		rows = append(rows, []string{"  " + recordOf(r.Record), at, shown(r.Field, 40), short(r.Value, 60), safe(short(r.Reason, 200))})
	}
	return p.table(rows)
}

// traffic prints what went to one destination.
func (p *program) traffic(t *traffic, o showOptions) error {
	fmt.Fprintf(p.out, "\nto %s: %s, %d delivered, %s", t.Destination, count(t.Messages, "message"), t.Delivered, count(t.Dead, "dead letter"))
	if t.Repeats > 0 {
		fmt.Fprintf(p.out, ", %s", count(t.Repeats, "repeat"))
	}
	if t.MayRepeat > 0 {
		fmt.Fprintf(p.out, ", %d at most repeated after a crash", t.MayRepeat)
	}
	fmt.Fprintln(p.out)
	if t.Paused != "" {
		fmt.Fprintf(p.out, "  %s is paused: %s; waybill resume %s\n", t.Destination, shown(t.Paused, 300), t.Destination)
	}
	if o.bodies {
		for n, m := range t.list {
			fmt.Fprintf(p.out, "  %s, %s\n", ofRecord(m.Record), stateOf(t.Shown[n]))
			p.message(m.Message, "    ")
			fmt.Fprintf(p.out, "    answered: %s\n", answerText(m))
		}
	} else if len(t.list) > 0 {
		rows := [][]string{{"  RECORD", "KEY", "STATE", "TRIES", "ANSWERED", "ANSWER"}}
		for n, m := range t.list {
			rows = append(rows, []string{"  " + recordOf(m.Record), keyOf(m.Message), stateOf(t.Shown[n]), strconv.Itoa(m.Attempts), clock(m.Answered), answerText(m)})
		}
		if err := p.table(rows); err != nil {
			return err
		}
	}
	total := 0
	for _, b := range t.Batches {
		total += b.Messages
	}
	if hidden := total - len(t.list); hidden > 0 {
		fmt.Fprintf(p.out, "  (%s not shown; --messages %d shows them)\n", count(hidden, "message"), total)
	}
	return nil
}

func stateOf(v trackedView) string {
	if v.Resent {
		return v.State + ", sent again"
	}
	return v.State
}

// keyOf is a message's key as a person looks for it.
func keyOf(m outbox.Message) string {
	if m.Ref != "" {
		return shown(m.Ref, 60)
	}
	return shown(m.Key, 60)
}

func (p *program) wayDead(w *way) error {
	if len(w.dead) == 0 {
		return nil
	}
	fmt.Fprintln(p.out, "\ndead letters")
	for _, d := range w.dead {
		fmt.Fprintf(p.out, "  %d  %s, %s: %s\n", d.ID, d.Kind, d.State, shown(d.Reason, 300))
		for _, a := range d.History {
			fmt.Fprintf(p.out, "     %s  %s\n", clock(a.At), attemptText(a))
		}
		switch {
		case d.State == "open":
			fmt.Fprintf(p.out, "     next: %s\n", nextOf(d))
		case d.Note != "":
			fmt.Fprintf(p.out, "     %s %s %s\n", clock(d.Closed), d.State, shown(d.Note, 200))
		}
	}
	return nil
}

func (p *program) wayEvents(w *way) error {
	if len(w.Events) == 0 {
		return nil
	}
	fmt.Fprintln(p.out, "\nwhat happened")
	rows := [][]string{}
	for _, e := range w.Events {
		rows = append(rows, []string{"  " + clock(e.At), e.What, detailText(e.Detail)})
	}
	return p.table(rows)
}

// detailText writes the details of an event in the order of their names.
func detailText(detail map[string]any) string {
	var names []string
	for name := range detail {
		names = append(names, name)
	}
	slices.Sort(names)
	var parts []string
	for _, name := range names {
		text, ok := detail[name].(string)
		if !ok {
			b, err := json.Marshal(detail[name])
			if err != nil {
				continue
			}
			text = string(b)
		}
		if text != "" {
			parts = append(parts, name+"="+text)
		}
	}
	return safe(short(strings.Join(parts, "  "), 300))
}
