package jobs

import (
	"context"
	"fmt"
	"strings"

	"waybill/formats"
	"waybill/jobs/expression"
	"waybill/ledger"
)

// Sequence says that files, or blocks, come numbered without gaps.
type Sequence struct {
	Value  string   `yaml:"value" required:"true" as:"value" doc:"the number: of the file, or, where it names what stands in read.block.header, of each block"`
	Per    []string `yaml:"per" one:"true" as:"value" doc:"what is counted by itself, as an account; left out: one sequence for the job and each partner"`
	First  *int64   `yaml:"first" doc:"the number that a sequence begins with; left out: whichever comes first"`
	Gap    string   `yaml:"gap" enum:"hold,reject,process" default:"hold" doc:"numbers before this one are missing; held until they have come, or somebody approves"`
	Repeat string   `yaml:"repeat" enum:"reject,hold,process" default:"reject" doc:"the last number once more"`
	Old    string   `yaml:"old" enum:"reject,hold,process" default:"reject" doc:"a number before the last"`
}

// numbering is a compiled check.sequence.
type numbering struct {
	value  *source
	per    []*source
	first  *int64
	block  bool // numbers are those of blocks
	action [3]string
}

// A disorder is how a number is not the next one.
type disorder uint8

const (
	gap disorder = iota
	repeated
	old
)

// holds are what an entry is held for by its numbers, as approving knows it: by those that were there before, and by those within the file.
func (d disorder) holds(within bool) string {
	s := [...]string{"gap", "repeat", "old"}[d]
	if within {
		s += " within"
	}
	return s
}

// A Number is what a file has of one sequence: numbers that follow each other.
type Number struct {
	Key         []byte
	Per         string // what is counted, for people
	First, Last int64
	Line        int64 // where the first of them stands; 0: not known
}

// Sequencing judges the numbers of a file by those that were there before.
type Sequencing func(ctx context.Context, numbers []Number) (Judgement, error)

// A Judgement is what is to become of a file by its numbers.
type Judgement struct {
	State  ledger.State // Rejected, Held, or "": it may be accepted
	Reason string
	Hold   string // with Held, as in ledger.Outcome
}

// orApprove begins what is for the operator alone in the reason of an entry that is held.
const orApprove = "; approve takes it"

// mostSequences bounds the sequences of one file.
const mostSequences = 100_000

func (c *compiler) sequence(o *Sequence) {
	if o == nil {
		return
	}
	if c.plan.options.Receive == nil && c.whole("receive") {
		c.problem("check.sequence", "goes with receive: ticks of a schedule have an order of their own")
	}
	n := &numbering{first: o.First, action: [3]string{first(o.Gap, "hold"), first(o.Repeat, "reject"), first(o.Old, "reject")}}
	before := len(c.problems)
	n.compile(c, o, c.claimScope(false))
	if len(c.problems) > before && c.plan.reader.blocks {
		c.problems = c.problems[:before]
		n.block = true
		n.compile(c, o, c.claimScope(true))
	}
	c.plan.numbers = n
}

func (n *numbering) compile(c *compiler, o *Sequence, s *scope) {
	if n.value = c.computed(s, "check.sequence.value", o.Value); n.value != nil {
		n.value.once = -1
		switch t := n.value.program.Type(); {
		case t.Kind != expression.KindInteger && t.Kind != expression.KindAny:
			c.problem("check.sequence.value", "is %s, not an integer: write integer(…) around a text", t.Kind.Noun())
		case t.Optional:
			c.problem("check.sequence.value", "may be absent: a file without a number has no place in a sequence; make the field required")
		}
	}
	record := c.record
	c.record = s
	n.per = c.keys("check.sequence.per", o.Per)
	for _, p := range n.per {
		p.once = -1
	}
	c.record = record
}

// numbered notes the number of the file or block at hand, and how it is out of order within the file.
func (r *run) numbered(line int64) error {
	n, a := r.p.numbers, &r.around
	v, err := r.eval(n.value, &a.bare)
	if err == nil {
		v, err = expression.Coerce(v, expression.Of(expression.KindInteger))
	}
	value, ok := v.(int64)
	if err == nil && !ok {
		err = fmt.Errorf("%s: there is no number", n.value.path)
	}
	var parts []string
	for _, p := range n.per {
		text, there, bad := r.appendText(nil, p, &a.bare)
		if err == nil && bad == nil && !there {
			bad = fmt.Errorf("%s: is empty", p.path)
		}
		if err == nil {
			err = bad
		}
		parts = append(parts, string(text))
	}
	if err != nil {
		r.rejects.wholly(ledger.Reject{Line: line, Reason: err.Error()})
		return errWhole
	}
	r.hash.start(r.in.Partner.Name, r.p.origin, "")
	for _, p := range parts {
		r.hash.text(p)
	}
	sum := r.hash.sum()
	key := string(sum[:16])
	i, known := a.sequences[key]
	if !known {
		if len(a.numbers) >= mostSequences {
			return &formats.FileError{Line: line, Offset: -1, Limit: "check.sequence.per", Reason: fmt.Sprintf("more than %d sequences in one file", mostSequences)}
		}
		if a.sequences == nil {
			a.sequences = map[string]int{}
		}
		a.sequences[key] = len(a.numbers)
		a.numbers = append(a.numbers, Number{Key: sum[:16], Per: strings.Join(parts, "/"), First: value, Last: value, Line: line})
		return nil
	}
	at := &a.numbers[i]
	within := ledger.Sequence{Value: at.Last, Entry: -1}
	if d, out := n.out(value, within); out && !(n.action[d] == "hold" && r.in.Entry.Approved(d.holds(true))) {
		a.found(Finding{What: n.action[d], Hold: d.holds(true), Line: line}, func() string { return n.tell(d, at, value, within) })
	}
	at.Last = max(at.Last, value)
	return nil
}

// found takes a finding in. Of several that hold the file for the same the text names all, since one approval lets all of them pass.
func (a *around) found(f Finding, tell func() string) {
	switch {
	case a.graver(f.What):
		f.Text = tell()
		a.disorder = &f
	case a.disorder != nil && f.What == "hold" && a.disorder.Hold == f.Hold:
		if a.disorder.more++; a.disorder.more <= moreNamed {
			a.disorder.Text += "; " + tell()
		}
	}
}

// graver reports whether an action says more of the file than what was found before: what is to be rejected is not taken because somebody approves a gap before it.
func (a *around) graver(action string) bool {
	return action != "process" && (a.disorder == nil || a.disorder.What == "hold" && action == "reject")
}

// out reports how a number does not follow what was there before.
func (n *numbering) out(value int64, before ledger.Sequence) (disorder, bool) {
	next := before.Value + 1
	if before.Entry == 0 {
		if n.first == nil {
			return 0, false
		}
		next = *n.first
	}
	switch {
	case value == next:
		return 0, false
	case value > next:
		return gap, true
	case before.Entry != 0 && value == before.Value:
		return repeated, true
	}
	return old, true
}

// A Finding is what is wrong with the order of a file, and what is to be done: hold or reject.
type Finding struct {
	What string
	Text string
	Line int64
	Hold string // as in ledger.Outcome
	more int    // further ones, of which Text names the first
}

// tell says in words how a number is out of order.
func (n *numbering) tell(d disorder, at *Number, value int64, before ledger.Sequence) string {
	of := ""
	if at.Per != "" {
		of = " of " + at.Per
	}
	came := fmt.Sprintf("the last was %d (#%d)", before.Value, before.Entry)
	if before.Entry < 0 {
		came = fmt.Sprintf("the last in this file was %d", before.Value)
	}
	next := before.Value + 1
	if before.Entry == 0 {
		next, came = *n.first, fmt.Sprintf("the first is %d", *n.first)
	}
	switch {
	case d == repeated:
		return fmt.Sprintf("number %d%s came before: %s", value, of, came)
	case d == old:
		return fmt.Sprintf("number %d%s is old: %s", value, of, came)
	case value == next+1:
		return fmt.Sprintf("number %d%s is missing before %d: %s", next, of, value, came)
	}
	return fmt.Sprintf("numbers %d to %d%s are missing before %d: %s", next, value-1, of, value, came)
}

// order judges the numbers of the file, once all of it is read; false: it is not to be accepted.
func (r *run) order() (bool, error) {
	n, a := r.p.numbers, &r.around
	if n == nil || r.blank() {
		return true, nil
	}
	if !n.block {
		if err := r.ofFile(); err != nil {
			r.rejects.wholly(ledger.Reject{Reason: err.Error()})
			return false, nil
		}
		if err := r.numbered(0); err != nil {
			return false, err
		}
	}
	if f := a.disorder; f != nil {
		if f.What == "reject" {
			r.rejects.wholly(ledger.Reject{Line: f.Line, Reason: f.Text})
		} else {
			r.held, r.heldFor = andMore(f.Text, f.more)+orApprove+" as it is", f.Hold
		}
		return false, nil
	}
	if r.in.Sequence == nil || len(a.numbers) == 0 {
		return true, nil
	}
	j, err := r.in.Sequence(r.ctx, a.numbers)
	switch j.State {
	case ledger.Rejected:
		r.rejects.wholly(ledger.Reject{Reason: j.Reason})
	case ledger.Held:
		r.held, r.heldFor = j.Reason, j.Hold
	}
	return j.State == "", err
}
