package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"waybill/failpoint"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/store"
)

// What the ledger keeps of a trial, whose messages are all thrown away.
const nothingSent = "test: nothing was sent"

// onTrial makes it the outcome of an entry that is only tried: it ends as if all had been delivered, and the sender is told
// what would have become of it.
func (d *piece) onTrial() {
	o := &d.outcome
	d.after, d.told = o.State, o.Reason
	switch o.State {
	case ledger.Rejected:
		return
	case ledger.Delivered:
		d.after = ledger.Accepted
	}
	if why := d.entry.WouldHold(); why != "" {
		d.after, d.told = ledger.Held, why
	}
	o.State, o.Reason = ledger.Delivered, nothingSent
	if d.after == ledger.Held {
		o.Reason += "; it would be held: " + d.told
	}
}

// news is what the sender of a worked entry is told.
func (d *piece) news() (after ledger.State, reason string) {
	switch {
	case d.after != "":
		return d.after, d.told
	case d.outcome.State == ledger.Delivered:
		return ledger.Accepted, d.outcome.Reason
	}
	return d.outcome.State, d.outcome.Reason
}

// owe takes note of what senders are to be told, in the transaction that accepts their entries. A replay is told of only
// when it comes to something else than the run before it.
func (w *Worker) owe(tx *store.Tx, done []*piece, gone map[int64]bool) error {
	for _, d := range done {
		after, reason := d.news()
		if gone[d.entry.ID] || !d.plan.tells(d.entry.Partner, after) {
			continue
		}
		before, err := w.Ledger.Told(tx, d.entry)
		if err != nil {
			return err
		}
		if before == after {
			continue
		}
		if err := w.Ledger.Owe(tx, d.entry, after, reason, d.outcome.Figures); err != nil {
			return err
		}
	}
	return nil
}

// acknowledge puts into the outbox what is owed, until ctx ends.
func (w *Worker) acknowledge(ctx context.Context) {
	w.whenever(ctx, ledger.TopicOwed, func() bool {
		if err := w.Acknowledge(ctx); err != nil && ctx.Err() == nil {
			w.Log.Error("cannot acknowledge, it will be tried again", "error", err)
			w.pause(ctx, retryFirst)
		}
		return false
	})
}

// owedMost is how many acknowledgements are put into the outbox in one transaction, as far as setBytes lets them.
const owedMost = 200

// Acknowledge puts all acknowledgements that are owed into the outbox. Those of jobs that are not configured stay.
func (w *Worker) Acknowledge(ctx context.Context) error {
	for after := int64(0); ctx.Err() == nil; {
		page, err := w.Ledger.Owed(ctx, after, owedMost)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		for len(page) > 0 && ctx.Err() == nil {
			n, err := w.pay(ctx, page)
			if err != nil {
				return err
			}
			page = page[n:]
		}
	}
	return nil
}

// A payment is one acknowledgement, in a lot of its own that nothing waits for.
type payment struct {
	owed ledger.Owed
	lot  *outbox.Lot
}

// pay puts the first of what is owed into the outbox, as many as one transaction takes, and returns how many it has seen to.
func (w *Worker) pay(ctx context.Context, page []ledger.Owed) (n int, err error) {
	var ready []payment
	for held := 0; n < len(page) && held < setBytes; n++ {
		lot, err := w.payment(ctx, page[n])
		if err != nil {
			return 0, err
		}
		if lot != nil {
			ready = append(ready, payment{page[n], lot})
			held += lot.Held()
		}
	}
	if len(ready) == 0 {
		return n, nil
	}
	failpoint.Hit("jobs/acknowledging")
	err = w.DB.Tx(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		for _, p := range ready {
			if err := w.Ledger.Paid(tx, p.owed); err != nil {
				return err
			}
			if err := p.lot.Release(tx); err != nil {
				return err
			}
		}
		return nil
	})
	failpoint.Hit("jobs/acknowledged")
	if err != nil {
		return 0, fmt.Errorf("acknowledge %d entries: %w", len(ready), err)
	}
	return n, nil
}

// payment makes the lot of one acknowledgement; nil when there is none to be made, or not yet.
func (w *Worker) payment(ctx context.Context, o ledger.Owed) (*outbox.Lot, error) {
	set := w.Jobs()
	p := set.Plan(o.Job)
	if p == nil {
		return nil, nil // its job may come back
	}
	a, in, err := w.tidings(ctx, o)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, w.Ledger.Waive(ctx, o, "what it speaks of is not kept any more")
	case err != nil:
		return nil, fmt.Errorf("acknowledge #%d: %w", o.Entry, err)
	}
	if !p.tells(in.Entry.Partner, o.After) {
		return nil, w.Ledger.Waive(ctx, o, "the job does not acknowledge this any more")
	}
	in.Partner = set.Partner(in.Entry.Partner)
	lot := w.Outbox.Lot(outbox.Beside(o.Entry), o.ID, func(*store.Tx) error { return nil })
	list, err := p.acknowledgements(&a, &in, o.ID)
	if err != nil {
		w.Log.Error("an acknowledgement has not the body that its job says", "job", p.name, "entry", o.Entry, "error", err)
	}
	for i := range list {
		if err := lot.Add(ctx, Sender, p.origin+"/acknowledge", &list[i]); err != nil {
			return nil, fmt.Errorf("acknowledge #%d: %w", o.Entry, err)
		}
	}
	return lot, lot.Seal()
}

// tidings gathers what there is to tell.
func (w *Worker) tidings(ctx context.Context, o ledger.Owed) (a Acknowledgement, in Input, err error) {
	if in.Entry, err = w.Ledger.Entry(ctx, o.Entry); err != nil {
		return a, in, err
	}
	if in.File, err = w.Ledger.FileOf(ctx, o.Entry); err != nil {
		return a, in, err
	}
	a = tidingsOf(&in, o.After, o.Reason, o.At)
	a.figures = o.Figures
	if in.Entry.Twin != 0 {
		a.Twin = &Twin{Entry: in.Entry.Twin}
		twin, err := w.Ledger.FileOf(ctx, in.Entry.Twin)
		switch {
		case err == nil:
			a.Twin.File, a.Twin.Received = twin.Within(), twin.Landed
		case !errors.Is(err, ledger.ErrNotFound): // retention has removed it
			return a, in, err
		}
	}
	if a.State != ledger.Held && in.Entry.Rejects > 0 {
		a.Rejects, err = w.Ledger.Rejects(ctx, o.Entry)
	}
	if a.State == ledger.Accepted && err == nil {
		var members []ledger.Entry
		if members, err = w.Ledger.Members(ctx, in.Entry); len(members) > 0 {
			a.Members = parts(members, in.File)
		}
	}
	a.Text = a.words()
	return a, in, err
}

// parts are the files of an archive as its sender is told of them.
func parts(members []ledger.Entry, of ledger.File) []Part {
	list := make([]Part, len(members))
	for i, m := range members {
		list[i] = Part{Entry: m.ID, File: strings.TrimPrefix(m.Name, ledger.Shown(of.Path)+"/")}
	}
	return list
}
