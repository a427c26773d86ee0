package jobs

import (
	"context"
	"fmt"
	"strings"

	"waybill/ledger"
	"waybill/store"
)

// sequenced is what became of the numbers of an entry: written in the transaction that accepts or holds it.
type sequenced struct {
	steps []ledger.Step
	await *ledger.Await
}

// sequencing judges the numbers of an entry by those that the ledger has. The jobs that count are worked one entry at a time, and the transaction
// that accepts looks again: so two files of one sequence cannot both be the next.
func (w *Worker) sequencing(p *Plan, e ledger.Entry, made *sequenced) Sequencing {
	if p.numbers == nil {
		return nil
	}
	return func(ctx context.Context, numbers []Number) (ledger.State, string, error) {
		*made = sequenced{}
		again, err := w.Ledger.Repeats(ctx, e)
		if err != nil || again {
			return "", "", err // its numbers are counted already
		}
		for i := range numbers {
			n := &numbers[i]
			before, err := w.Ledger.Sequence(ctx, p.origin, n.Key)
			if err != nil {
				return "", "", err
			}
			if state, reason := p.numbers.judge(n, before, e.Approved(), made); state != "" {
				made.steps = nil
				return state, reason, nil
			}
			made.steps = append(made.steps, ledger.Step{Key: n.Key, Per: n.Per, Last: n.Last, Before: before})
		}
		return "", "", nil
	}
}

// judge says what is to become of an entry whose numbers follow those before, or do not.
func (n *numbering) judge(at *Number, before ledger.Sequence, approved bool, made *sequenced) (ledger.State, string) {
	d, out := n.out(at.First, before)
	if !out {
		return "", ""
	}
	switch text := n.tell(d, at, at.First, before); {
	case n.action[d] == "reject":
		return ledger.Rejected, text
	case n.action[d] == "process" || approved:
		return "", ""
	case d == gap:
		made.await = &ledger.Await{Key: at.Key, Need: at.First - 1}
		return ledger.Held, fmt.Sprintf("%s%s now and goes on from %d; else it goes on by itself when what is missing has been accepted", text, orApprove, at.Last)
	default:
		return ledger.Held, fmt.Sprintf("%s%s all the same, and the sequence stays at %d", text, orApprove, max(before.Value, at.Last))
	}
}

// tellSequence gives the sender of a held entry the reason without what only the operator can do.
func (d *piece) tellSequence() {
	after, told := d.news()
	if plain, _, cut := strings.Cut(told, orApprove); cut && after == ledger.Held {
		d.after, d.told = after, plain
	}
}

// count takes the sequences on with what is accepted, and notes what others wait for.
func (w *Worker) count(tx *store.Tx, done []*piece, gone map[int64]bool) error {
	for _, d := range done {
		s := &d.sequenced
		if gone[d.entry.ID] || d.entry.Trial || len(s.steps) == 0 && s.await == nil {
			continue
		}
		var err error
		switch d.outcome.State {
		case ledger.Accepted, ledger.Delivered:
			err = w.Ledger.Advance(tx, d.plan.origin, d.entry, s.steps)
		case ledger.Held:
			if s.await != nil {
				err = w.Ledger.AwaitNumber(tx, d.plan.origin, d.entry, *s.await)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
