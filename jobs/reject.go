package jobs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/formats"
	"waybill/ledger"
)

const (
	mostRejects = 1000   // kept with place and reason
	tooMany     = 10_000 // beyond the allowance: reading on would tell nobody more
)

// incomplete begins the reason of an entry that is held because its file seems to have been cut off. Once a person lets it go on, or its time has passed, it is
// rejected; the whole file, when it comes, is a correction of it.
const incomplete = "the file is incomplete: "

// incompleteFor is how long it is held where read.within does not say.
const incompleteFor = 24 * time.Hour

// What an entry is held for when it is worked: approving lets that pass and nothing else. Those of numbers are of disorder.
const (
	holdIncomplete = "incomplete"
	holdTable      = "table " // and its name
)

// collector counts the rejected records of an entry and keeps the first faults.
type collector struct {
	allowance Allowance
	list      []ledger.Reject
	records   int64 // rejected
	whole     *ledger.Reject
	partial   bool   // whole says that the file ends where it cannot
	why       string // the same in words
	further   int64  // what else is wrong with the file as a whole; it stands in list
	cut       bool   // reading was given up
}

// reject sets the record aside, with all that is wrong with it.
func (r *run) reject(record, line int64, faults ...fault) {
	c := &r.rejects
	c.records++
	for _, f := range faults {
		f.reason += r.where(record, line, f.reason)
		if r.in.Faulty != nil {
			r.in.Faulty(record, f.field, f.reason)
		}
		c.keep(ledger.Reject{Record: record, Line: line, Field: f.field, Value: clip(f.value), Reason: f.reason})
	}
}

// where says at which byte a record begins whose format has no lines, if the reason does not.
func (r *run) where(record, line int64, reason string) string {
	if line > 0 || record != r.number || r.offset < 0 || strings.HasPrefix(reason, "offset ") {
		return ""
	}
	return fmt.Sprintf(" (in the record at offset %d)", r.offset)
}

func (c *collector) keep(r ledger.Reject) {
	if len(c.list) < mostRejects {
		c.list = append(c.list, r)
	}
}

// wholly rejects the file as a whole, for a reason that may be one of several.
func (c *collector) wholly(r ledger.Reject) {
	if c.whole != nil {
		c.further++
		c.keep(r)
		return
	}
	c.whole = &r
	c.why = r.Reason
	if r.Field != "" {
		c.why = r.Field + ": " + c.why
	}
	if r.Line > 0 {
		c.why = fmt.Sprintf("line %d: %s", r.Line, c.why)
	}
}

// file rejects the file as a whole.
func (c *collector) file(e *formats.FileError) {
	reason := e.Reason
	if e.Limit != "" && !strings.Contains(reason, e.Limit) {
		reason += " (" + e.Limit + ")"
	}
	c.whole, c.partial = &ledger.Reject{Line: e.Line, Reason: reason}, e.Incomplete
	if place := e.Place(); place != "" {
		c.whole.Reason = place + ": " + reason
	}
	c.why = c.whole.Reason
}

// over reports that the file will be rejected however it goes on. A share is not known before the end.
func (c *collector) over() bool {
	return c.whole != nil || c.beyond()
}

// beyond reports that more records are bad than the file may have.
func (c *collector) beyond() bool { return c.allowance.Share == 0 && c.records > c.allowance.Count }

func (c *collector) enough() bool {
	return c.allowance.Share == 0 && c.records > c.allowance.Count+tooMany
}

// failed reports whether the file is rejected, when records of it were read.
func (c *collector) failed(records int64) bool {
	return c.whole != nil || c.records > 0 && !c.allowance.Allows(c.records, records)
}

// faultOf shows an error of an expression as a fault. What a table lacks may hold the entry.
func (r *run) faultOf(err error) fault {
	var u *unlisted
	if errors.As(err, &u) && u.hold && !r.in.Entry.Approved(holdTable+u.table) && r.held == "" {
		r.held, r.heldFor = u.Error(), holdTable+u.table
		if r.line > 0 {
			r.held += fmt.Sprintf(" (line %d)", r.line)
		}
		r.held += ": add it to " + u.file + orApprove + " with the table as it is then, and rejects records whose key is still missing"
	}
	var f *fault
	if errors.As(err, &f) {
		return *f
	}
	var unwritable *formats.ValueError
	if errors.As(err, &unwritable) {
		return fault{field: unwritable.Field, value: []byte(unwritable.Value), reason: unwritable.Reason}
	}
	return fault{reason: err.Error()}
}

// outcome is what the run came to.
func (r *run) outcome() ledger.Outcome {
	c := &r.rejects
	slices.SortStableFunc(c.list, func(a, b ledger.Reject) int { return int(a.Record - b.Record) })
	o := ledger.Outcome{State: ledger.Accepted, Records: r.records, Messages: r.out.messages, Rejected: c.records, Rejects: c.list, Config: r.p.config}
	switch {
	case c.partial && !r.in.Entry.Approved(holdIncomplete):
		o.State, o.Hold, o.Reason, o.Rejected, o.Rejects = ledger.Held, holdIncomplete, incomplete+c.whole.Reason, 0, nil
		o.Within = r.p.reader.within
	case c.whole != nil:
		o.State, o.Reason = ledger.Rejected, c.why
		o.Rejects = append([]ledger.Reject{*c.whole}, c.list[:min(len(c.list), mostRejects-1)]...)
		o.Rejected += 1 + c.further
	case r.held != "":
		o.State, o.Hold, o.Reason, o.Rejected, o.Rejects = ledger.Held, r.heldFor, r.held, 0, nil
	case c.failed(r.records):
		o.State = ledger.Rejected
		o.Reason = fmt.Sprintf("%d of %d records are bad, %s allowed", c.records, r.records, c.allowance)
		if c.cut {
			o.Reason = fmt.Sprintf("more than %d records are bad, %s allowed; reading stopped there", c.records-1, c.allowance)
		}
	case r.records == 0 && !r.p.reader.none:
		r.empty(&o)
	case r.out.messages == 0:
		o.State, o.Reason = ledger.Delivered, "nothing to send"+r.passed()
	}
	if o.State == ledger.Rejected || o.State == ledger.Held {
		o.Messages = 0
	}
	o.Figures, o.Tables = r.figured(), r.in.Tables.String()
	return o
}

// passed says of an entry of which nothing is sent what became of its records.
func (r *run) passed() string {
	switch {
	case r.known > 0 && r.known == r.records:
		return ": each record was taken before, with the same content (check.unique)"
	case r.known > 0:
		return fmt.Sprintf(": %d of %s were taken before, with the same content (check.unique)", r.known, several(r.records, "record"))
	}
	return ""
}

// empty is the outcome of an entry without records, as identity.empty says; a query without rows is no such thing.
func (r *run) empty(o *ledger.Outcome) {
	if r.out.messages == 0 {
		o.State, o.Reason = ledger.Delivered, "no records"
	}
	if r.in.Rows != nil {
		return
	}
	o.Verdict = ledger.Empty
	switch action := ledger.Action(r.p.options.Identity.Empty); {
	case action == ledger.ToHold && !r.in.Entry.Approved(ledger.HoldEmpty):
		o.State, o.Hold, o.Reason = ledger.Held, ledger.HoldEmpty, "no records"
	case action == ledger.ToReject:
		o.State, o.Reason = ledger.Rejected, "no records"
		o.Rejected, o.Rejects = 1, []ledger.Reject{{Reason: "the file has no records"}}
	case action == ledger.ToSkip:
		o.State, o.Reason, o.Messages = ledger.Delivered, "no records, skipped", 0
	}
}

func (a Allowance) String() string {
	t, _ := a.MarshalText()
	if string(t) == "0" {
		return "none"
	}
	return string(t)
}
