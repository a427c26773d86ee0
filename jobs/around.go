package jobs

import (
	"errors"
	"fmt"
	"maps"

	"waybill/formats"
	"waybill/ledger"
)

// errWhole ends the reading of a file that is bad as a whole; why is told by then.
var errWhole = errors.New("the file is bad as a whole")

// around is what a run knows of what stands around the records.
type around struct {
	header, trailer map[string]any // of the file; nil: not seen
	totals          []tally        // by reader.totals
	block           block
	numbers         []Number       // of check.sequence
	sequences       map[string]int // where each stands among them
	disorder        *Finding
	bare            frame
	whole           bool // the file was read to its end
}

// block is the block of records at hand.
type block struct {
	open    bool
	line    int64 // where it begins
	totals  []tally
	records int64 // of the run when it began; so rejects and skipped
	rejects int64
	skipped int64
	mark    pending // what was pending then: its lengths count
	out     bool    // some of it is on its way out
}

// mostBlock bounds what is held back of one block until its trailer has come.
const mostBlock = 8 << 20

// around finds the part of a role; nil when the job has none.
func (rd *reader) around(role formats.Role) *segment {
	for i := rd.kinds; i < len(rd.parts); i++ {
		if rd.parts[i].role == role {
			return &rd.parts[i]
		}
	}
	return nil
}

// section takes what stands around records: the row at hand.
func (r *run) section() error {
	k, a := r.part, &r.around
	if k.role != formats.Header {
		if err := r.group.close(r); err != nil {
			return err
		}
	}
	r.fill(k.rest)
	if len(r.faults) > 0 {
		if r.blank() {
			return nil // it has nothing at all, and identity.empty says what becomes of it
		}
		if r.held != "" {
			return errWhole
		}
		for i := range r.faults {
			f := &r.faults[i]
			r.rejects.wholly(ledger.Reject{Line: r.line, Field: k.role.String() + "." + f.field, Value: clip(f.value), Reason: f.reason})
		}
		return errWhole
	}
	o, err := object(k.fields, r.row)
	if err != nil {
		return err
	}
	switch k.role {
	case formats.Header:
		a.header = o
		r.beside["header"] = o
	case formats.Trailer:
		a.trailer = o
	case formats.BlockHeader:
		return r.begin(o)
	case formats.BlockTrailer:
		if !a.block.open {
			return r.broken(r.line, "a block ends here, and none has begun")
		}
		return r.endBlock(o)
	}
	return nil
}

// blank reports whether the file has nothing in it. One that was held because it has no records, and then approved, may have a header, a trailer and a
// number: that verdict is of an earlier run, which has left its configuration.
func (r *run) blank() bool {
	e := &r.in.Entry
	return r.records == 0 && (r.in.Blob.Size == 0 || e.Verdict == ledger.Empty && e.Config == "")
}

// broken refuses a file whose parts do not stand as they should.
func (r *run) broken(line int64, reason string) error {
	return &formats.FileError{Line: line, Offset: -1, Reason: reason}
}

// begin begins a block, with its header.
func (r *run) begin(header map[string]any) error {
	if err := r.cease(r.line); err != nil {
		return err
	}
	if r.holding() && r.pending.full() {
		if err := r.hand(); err != nil {
			return err
		}
	}
	all := maps.Clone(r.around.header)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, header)
	r.beside["header"] = all
	clear(r.once)
	b := &r.around.block
	clear(b.totals)
	*b = block{open: true, line: r.line, totals: b.totals, records: r.records, rejects: r.rejects.records, skipped: r.skipped, mark: *r.pending}
	return nil
}

// cease ends a block that has no trailer, at a line.
func (r *run) cease(line int64) error {
	b := &r.around.block
	switch {
	case !b.open:
		return nil
	case r.p.reader.around(formats.BlockTrailer) == nil:
		return r.endBlock(nil)
	case line == 0:
		return r.broken(b.line, "the block that begins here has no trailer: is the file cut off?")
	}
	return r.broken(line, fmt.Sprintf("a block begins here, and that of line %d has had no trailer", b.line))
}

// endBlock checks the block at hand. When its records are not to go out they are rejected, if that is allowed and none has gone; else the file is.
func (r *run) endBlock(trailer map[string]any) error {
	b := &r.around.block
	b.open = false
	if r.rejects.beyond() {
		return nil // what is wrong with records is told; what does not add up follows from it
	}
	totals, err := r.figures(b.totals)
	if err != nil {
		return r.broken(b.line, err.Error())
	}
	r.beside["trailer"], r.beside["totals"] = trailer, totals
	bad := r.disproved(r.p.blocks)
	if r.held != "" {
		return errWhole
	}
	if len(bad) == 0 {
		if n := r.p.numbers; n != nil && n.block {
			return r.numbered(b.line)
		}
		return nil
	}
	drop := r.holding() && !b.out
	for _, f := range bad {
		reject := ledger.Reject{Line: b.line, Reason: "the block that begins here: " + f.reason}
		if drop {
			r.rejects.keep(reject)
		} else {
			r.rejects.wholly(reject)
		}
	}
	if drop {
		r.rejects.records += max(1, r.records-b.records-(r.rejects.records-b.rejects)-(r.skipped-b.skipped))
		r.pending.cut(&b.mark)
	}
	return nil
}

// holding reports whether a block is held back until its checks have passed, so that its records can be rejected alone.
func (r *run) holding() bool {
	return len(r.p.blocks) > 0 && (r.rejects.allowance.Count > 0 || r.rejects.allowance.Share > 0)
}

// holds reports whether what is pending must wait for the end of the block. What is too much goes out; then the block cannot be rejected alone any more.
func (r *run) holds() bool {
	b, p := &r.around.block, r.pending
	if !b.open || b.out || !r.holding() {
		return false
	}
	b.out = len(p.bytes) > mostBlock || len(p.text) > mostBlock || len(p.records) > mostBlock>>6
	return !b.out
}

// cut takes back what came behind mark.
func (p *pending) cut(mark *pending) {
	p.records, p.messages, p.keys, p.keyed = p.records[:len(mark.records)], p.messages[:len(mark.messages)], p.keys[:len(mark.keys)], p.keyed[:len(mark.keyed)]
	p.bytes, p.text, p.cells, p.spots = p.bytes[:len(mark.bytes)], p.text[:len(mark.text)], p.cells[:len(mark.cells)], p.spots[:len(mark.spots)]
}

// inside checks that a record stands where it may.
func (r *run) inside() error {
	a, rd := &r.around, &r.p.reader
	switch {
	case rd.blocks && !a.block.open:
		return r.broken(r.line, "a record stands here outside of all blocks: read.block.header says how one begins")
	case a.header == nil && rd.around(formats.Header) != nil:
		return r.broken(r.line, "records begin here, and the file has no header")
	}
	return nil
}

// end ends what is open at the end of the file, and checks that nothing is missing.
func (r *run) end() error {
	a, rd := &r.around, &r.p.reader
	if err := r.cease(0); err != nil || len(rd.parts) == rd.kinds || r.blank() {
		return err
	}
	switch {
	case a.header == nil && rd.around(formats.Header) != nil:
		return r.broken(0, "the file has no header")
	case a.trailer == nil && rd.around(formats.Trailer) != nil:
		return r.broken(0, "the file has no trailer: is it cut off?")
	}
	return nil
}

// disproved are the rules of a file or a block that do not hold.
func (r *run) disproved(rules []rule) (bad []fault) {
	for i := range rules {
		ok, err := r.truth(rules[i].that, &r.around.bare)
		switch {
		case err != nil:
			bad = append(bad, r.faultOf(err))
		case !ok:
			bad = append(bad, fault{reason: rules[i].say})
		}
	}
	return bad
}

// ofFile makes header, trailer and totals those of the file.
func (r *run) ofFile() error {
	a := &r.around
	totals, err := r.figures(a.totals)
	if err != nil {
		return r.broken(0, err.Error())
	}
	r.beside["header"], r.beside["trailer"], r.beside["totals"] = a.header, a.trailer, totals
	clear(r.once)
	return nil
}

// claims checks the file as a whole.
func (r *run) claims() {
	if len(r.p.claims) == 0 || r.blank() && len(r.p.asides) == 0 { // what belongs to a file may say that there is to be something in it
		return
	}
	if err := r.ofFile(); err != nil {
		r.rejects.wholly(ledger.Reject{Reason: err.Error()})
		return
	}
	bad := r.disproved(r.p.claims)
	if r.held != "" {
		return
	}
	for _, f := range bad {
		r.rejects.wholly(ledger.Reject{Reason: f.reason})
	}
}
