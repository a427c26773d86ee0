package outbox

import (
	"context"
	"errors"

	"waybill/failpoint"
)

// settleUnknown sees to the messages that were handed over before a crash or an unanswered try: they are asked about
// (unknown: ask) or set aside for a person (hold). With repeat there are no sending bits.
func (p *pass) settleUnknown(ctx context.Context) {
	mode := p.dest.Options.Unknown.Mode
	if mode == "repeat" {
		return
	}
	for bi, b := range p.batches {
		for i := range b.messages {
			if !b.sending.has(i) || b.done.has(i) || p.only != all && p.only != i {
				continue
			}
			at := place{bi, i}
			if mode == "hold" {
				p.add(result{place: at, at: p.c.out.now(), err: &Error{Fault: FaultUnknown, Err: errors.New("it was being sent when the process ended: nobody knows whether it arrived")}})
				b.done.set(i)
				continue
			}
			p.ask(ctx, at)
		}
	}
}

// ask finds out whether one message was applied. Without an answer it keeps its sending bit, is left out of this pass and asked about again.
func (p *pass) ask(ctx context.Context, at place) {
	b := p.batches[at.batch]
	now := p.c.out.now()
	asker, ok := p.dest.Target.(Asker)
	if !ok {
		p.add(result{place: at, at: now, err: &Error{Fault: FaultRefused, Err: errors.New("its outcome is unknown and this kind of destination cannot be asked")}})
		return
	}
	failpoint.Hit("outbox/asking")
	applied, receipt, err := asker.Ask(ctx, b.messages[at.index])
	switch {
	case err != nil:
		p.skip(at)
		p.add(result{place: at, at: now, err: &Error{Fault: FaultUnknown, Err: err}})
	case applied:
		p.add(result{place: at, at: now, receipt: receipt})
		b.done.set(at.index)
	default:
		b.sending.clear(at.index)
	}
}

// skip leaves a message out of this pass.
func (p *pass) skip(at place) {
	if p.skipped == nil {
		p.skipped = map[place]bool{}
	}
	p.skipped[at] = true
}
