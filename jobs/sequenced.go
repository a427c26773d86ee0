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
	return func(ctx context.Context, numbers []Number) (Judgement, error) {
		*made = sequenced{}
		again, err := w.Ledger.Repeats(ctx, e)
		if err != nil || again {
			return Judgement{}, err // its numbers are counted already
		}
		var all held
		for i := range numbers {
			n := &numbers[i]
			before, err := w.Ledger.Sequence(ctx, p.origin, n.Key)
			if err != nil {
				return Judgement{}, err
			}
			d, out := p.numbers.out(n.First, before)
			switch action := p.numbers.action[d]; {
			case !out || action == "process" || action == "hold" && e.Approved(d.holds(false)):
				made.steps = append(made.steps, ledger.Step{Key: n.Key, Per: n.Per, Last: n.Last, Before: before})
			case action == "reject":
				*made = sequenced{}
				return Judgement{State: ledger.Rejected, Reason: p.numbers.tell(d, n, n.First, before)}, nil
			default:
				all.add(d, func() string { return p.numbers.tell(d, n, n.First, before) }, max(n.Last, before.Value))
				if d == gap && made.await == nil && all.what == gap {
					made.await = &ledger.Await{Key: n.Key, Need: n.First - 1}
				}
			}
		}
		if all.n == 0 {
			return Judgement{}, nil
		}
		made.steps = nil
		return all.judgement(), nil
	}
}

// held is what the numbers of an entry hold it for: the first disorder, with all that are of its kind, since one approval lets all of them pass.
type held struct {
	n    int
	what disorder
	text string
	then int64 // where the first sequence is once it is approved
}

// moreNamed is how many findings beside the first the reason of a held entry names.
const moreNamed = 20

func (h *held) add(d disorder, tell func() string, then int64) {
	switch {
	case h.n == 0:
		h.what, h.text, h.then = d, tell(), then
	case d != h.what:
		return
	case h.n <= moreNamed:
		h.text += "; " + tell()
	}
	h.n++
}

// andMore is a reason that names the first of several findings, and so many more.
func andMore(text string, more int) string {
	if more > moreNamed {
		return fmt.Sprintf("%s; and %d more like these", text, more-moreNamed)
	}
	return text
}

func (h *held) judgement() Judgement {
	j := Judgement{State: ledger.Held, Reason: andMore(h.text, h.n-1) + orApprove, Hold: h.what.holds(false)}
	switch {
	case h.what == gap && h.n == 1:
		j.Reason += fmt.Sprintf(" now and goes on from %d; else it goes on by itself when what is missing has been accepted", h.then)
	case h.what == gap:
		j.Reason += " now and goes on behind them; else it goes on by itself when what is missing has been accepted"
	case h.n == 1:
		j.Reason += fmt.Sprintf(" all the same, and the sequence stays at %d", h.then)
	default:
		j.Reason += " all the same, and the sequences stay where they are"
	}
	return j
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
