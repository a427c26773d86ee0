package formats

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// EDIFACT (ISO 9735, syntax versions 1 to 4, batch). A file holds interchanges, UNB to UNZ, and these hold messages, UNH to UNT: each
// message is a record, read whole; what stands around is only walked over, so that a file may be longer than memory. The counts
// and references of UNT, UNE and UNZ are always compared. A file that ends before UNZ is incomplete: nothing tells it from an upload
// that was cut off.

func edifactFormat() format {
	return format{name: "edifact", keys: []string{"records"}, check: checkEDIFACT,
		decoder: func(o Options, wants []Want) (Decoder, []Problem) {
			return newEDIFACT(o, []Part{{Role: Body, Kind: o.Records, Wants: wants}})
		},
		parts: func(o Options, parts []Part) (Decoder, []Problem) {
			for i := range parts {
				if parts[i].Role == Body && parts[i].Name == "" {
					parts[i].Kind = o.Records
				}
			}
			return newEDIFACT(o, parts)
		},
	}
}

func checkEDIFACT(o Options) []Problem {
	if err := checkMessageType(o.Records); err != nil {
		return []Problem{{"records", err.Error()}}
	}
	return nil
}

// checkMessageType judges ORDERS, or ORDERS:D:96A.
func checkMessageType(s string) error {
	if s == "" {
		return nil
	}
	for part := range strings.SplitSeq(s, ":") {
		if part == "" || strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			return fmt.Errorf("%q is no type of message: write for example ORDERS, or ORDERS:D:96A", s)
		}
	}
	return nil
}

type ediDecoder struct {
	o      Options
	shop   workshop
	bodies []ediBody
	parts  [BlockTrailer + 1]ediAround
}

// An ediBody is a kind of messages.
type ediBody struct {
	part int
	kind []string // type, version, … of the message, as far as given
	plan *ediPlan // nil: messages as they are
}

// An ediAround is what is taken of UNB or UNZ; its part is -1 where nothing is.
type ediAround struct {
	part int
	plan *ediPlan
}

func newEDIFACT(o Options, parts []Part) (Decoder, []Problem) {
	d := &ediDecoder{o: o}
	for i := range d.parts {
		d.parts[i].part = -1
	}
	var ps []Problem
	for i, p := range parts {
		tags := []string{"UNB"}
		switch p.Role {
		case Body:
			if err := checkMessageType(p.Kind); err != nil {
				ps = append(ps, Problem{p.path() + "kind", err.Error()})
			}
			b := ediBody{part: i, kind: slices.DeleteFunc(strings.Split(p.Kind, ":"), func(s string) bool { return s == "" })}
			if len(p.Wants) > 0 {
				var bad []Problem
				b.plan, bad = compileEDI(p.Wants, p.path()+"fields.", ediMessage, nil)
				ps = append(ps, bad...)
			}
			d.bodies = append(d.bodies, b)
			continue
		case Trailer, BlockTrailer:
			tags = []string{"UNZ"}
		}
		plan, bad := compileEDI(p.Wants, p.path()+"fields.", ediEnvelope, tags)
		ps = append(ps, bad...)
		d.parts[p.Role] = ediAround{i, plan}
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return d, nil
}

// body finds the kind of a message whose identifier, the second element of UNH, has these parts.
func (d *ediDecoder) body(id [][]byte) *ediBody {
	for i := range d.bodies {
		b := &d.bodies[i]
		match := len(b.kind) <= len(id)
		for k := 0; match && k < len(b.kind); k++ {
			match = b.kind[k] == string(id[k])
		}
		if match {
			return b
		}
	}
	return nil
}

// Decode reads the messages of a file.
func (d *ediDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		w := open(b, d.o, on)
		w.passed = &passage{}
		defer d.shop.back(on, w)
		r := &ediReading{d: d, w: w, yield: yield}
		if err := r.file(); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// ediReading is the state of reading one file.
type ediReading struct {
	d     *ediDecoder
	w     *window
	yield func(*Record, error) bool
	ediScan
	make ediMaker

	rec        Record
	number     int64 // of records
	line, last int64 // of the record, and its offset
	found      bool  // a message of the type that records names
	files      int   // interchanges

	level    string // of characters, as the first UNB says
	unb, ung []byte // kept beyond the window
	groups   int64
	messages int64 // of the interchange, or of the group
	open     bool  // a group
}

// file reads all interchanges.
func (r *ediReading) file() error {
	r.ediScan.w, r.ediScan.limits = r.w, r.d.o.Limits
	for {
		if err := r.interchange(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if !r.found && r.number == 0 && r.files > 0 && r.d.o.Records != "" {
		return &FileError{Offset: -1, Reason: fmt.Sprintf("records: there is no message %s in the file", r.d.o.Records)}
	}
	return nil
}

// interchange reads UNB to UNZ; io.EOF says that there is none any more.
func (r *ediReading) interchange() error {
	if err := r.begin(); err != nil {
		return err
	}
	seg, err := r.next()
	if errors.Is(err, io.EOF) {
		return r.short()
	} else if err != nil {
		return err
	}
	r.files++
	r.unb, r.ung = append(r.unb[:0], seg.bytes...), r.ung[:0]
	r.groups, r.messages, r.open = 0, 0, false
	if err := r.sameLevel(); err != nil {
		return err
	}
	r.make.begin(&r.service, r.d.o.Limits)
	if err := r.around(Header, r.unb); err != nil {
		return err
	}
	if err := r.around(BlockHeader, r.unb); err != nil {
		return err
	}
	for {
		seg, err := r.next()
		if err != nil {
			return r.incomplete(err)
		}
		var more bool
		if more, err = r.segment(seg); err != nil || !more {
			return err
		}
	}
}

// segment reads what a segment between messages begins; false behind the last of the interchange.
func (r *ediReading) segment(seg ediSegment) (more bool, err error) {
	switch seg.tag {
	case tagUNH:
		if r.messages++; r.groups > 0 && !r.open {
			return false, r.refusal(seg, "a message stands outside the groups of the interchange (UNG)")
		}
		return true, r.message(seg)
	case tagUNG:
		if r.open || r.messages > 0 && r.groups == 0 {
			return false, r.refusal(seg, "a group (UNG) begins inside another one, or behind messages that are in none")
		}
		r.groups++
		r.open, r.messages, r.ung = true, 0, append(r.ung[:0], seg.bytes...)
		return true, nil
	case tagUNE:
		if !r.open {
			return false, r.refusal(seg, "UNE ends a group that was not begun with UNG")
		}
		r.open = false
		return true, r.compare(seg, "messages of the group", r.messages, r.ung, groupReference)
	case tagUNZ:
		what, n := "messages", r.messages
		if r.groups > 0 {
			what, n = "groups", r.groups
		}
		if r.open {
			return false, r.refusal(seg, "the interchange ends inside a group: UNE is missing")
		}
		if err := r.compare(seg, what, n, r.unb, interchangeReference); err != nil {
			return false, err
		}
		text := seg.bytes
		if err := r.around(BlockTrailer, text); err != nil {
			return false, err
		}
		return false, r.around(Trailer, text)
	}
	return false, r.refusal(seg, fmt.Sprintf("unexpected %s between messages: there should be UNH, or UNZ at the end", shownTag(seg.bytes)))
}

// Elements that hold the references of service segments.
const (
	interchangeReference = 5 // of UNB
	groupReference       = 5 // of UNG
	messageReference     = 1 // of UNH
)

// compare sees that a segment that ends something, UNE or UNZ, has its count and its reference.
func (r *ediReading) compare(end ediSegment, what string, n int64, begin []byte, reference int) error {
	if bad := r.service.ends(end.bytes, what, n, begin, reference); bad != "" {
		return r.refusal(end, bad)
	}
	return nil
}

// around hands out what is wanted of UNB or UNZ.
func (r *ediReading) around(role Role, segment []byte) error {
	p := &r.d.parts[role]
	if p.part < 0 {
		return nil
	}
	if r.files > 1 && (role == Header || role == Trailer) {
		return r.w.refusal(r.w.offset(0), "", fmt.Sprintf("the file holds several interchanges, each with a %s of its own: write it below block:", role))
	}
	rec := &r.rec
	*rec = Record{Part: p.part, Offset: r.w.offset(0)}
	rec.Line = r.w.lineAt(0, 0)
	r.make.reset()
	cells, bad := r.make.single(p.plan, segment)
	if bad != nil {
		return r.w.refusal(r.w.offset(0), bad.limit, bad.reason)
	}
	rec.Cells = cells
	if !r.yield(rec, nil) {
		return errStopped
	}
	return nil
}

// sameLevel sees that all interchanges of a file are in one character set.
func (r *ediReading) sameLevel() error {
	level := syntaxLevel(r.unb, &r.service)
	if r.files == 1 {
		r.level = level
		return nil
	}
	a, _ := levelCharset(r.level)
	b, _ := levelCharset(level)
	if r.d.o.Encoding == "" && a != b {
		return r.w.refusal(r.w.offset(0), "", fmt.Sprintf("interchange %d is in %s, the first in %s: say encoding: and which they really are in", r.files, level, r.level))
	}
	return nil
}

// incomplete tells of a file that ends inside an interchange.
func (r *ediReading) incomplete(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	reference := r.service.component(r.unb, interchangeReference, 1)
	e := r.w.refusal(r.w.offset(0), "", fmt.Sprintf("interchange %q has no UNZ, as when an upload is cut off", cut(reference)))
	e.Incomplete = true
	return e
}
