package jobs

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"waybill/formats"
	"waybill/jobs/convert"
	"waybill/jobs/expression"
	"waybill/ledger"
	"waybill/outbox"
)

// Input is one entry to be worked.
type Input struct {
	Entry    ledger.Entry
	File     ledger.File // of an entry that has one
	Partner  Partner
	Blob     formats.Blob                             // its bytes, unpacked; unless Rows is set
	Beside   map[string]Beside                        // what belongs to it, by role
	Rows     *Rows                                    // of a query
	Unique   Uniqueness                               // asked when the job has check.unique; nil: every key is new
	Sequence Sequencing                               // asked when the job has check.sequence; nil: every number is the next
	Tables   *Snapshot                                // what lookup finds things in; nil: as they are when Run begins
	Files    Files                                    // where `each: file` and `window` write; may be nil when no route does
	Faulty   func(record int64, field, reason string) // is told of every fault, also of those that the outcome has no room for; may be nil
	Anew     bool                                     // the entry is rendered anew (--rerender, corrected): keys carry the run's number

	Place     convert.Place            // where read.convert works
	Converted func(*convert.Converted) // is told what read.convert did; may be nil
}

// Partner is who sent a file.
type Partner struct {
	Name string
	Vars map[string]string
}

// Rows are the rows of a query: cells by index of Columns, valid until the next step.
type Rows struct {
	Columns []string
	All     iter.Seq2[[]formats.Cell, error]
}

// Rendered is a message made for one route. It and its bytes are valid until emit returns; strings stay.
type Rendered struct {
	Route    int    // index into Plan.Routes
	Name     string // Route.Name
	Message  outbox.Message
	Object   int64 // spool object that holds the body instead of Message.Body
	Original bool  // the body is the file's original bytes: Object is File.Object
}

// A UniqueKey is the key of a record of a job with check.unique. Found is filled in by whoever is asked.
type UniqueKey struct {
	Key    [16]byte // of job and key
	Digest [16]byte // of the record's content
	Record int64
	Found  Found
	Entry  int64 // where it was found, 0 when not known
}

// Found says whether a key was there before.
type Found uint8

// What was found.
const (
	NotFound   Found = iota
	FoundSame        // the key with the same content
	FoundOther       // the key with other content
)

// Uniqueness looks keys up, in the ledger and among those of the same entry that it was asked for before (earlier in the same
// call counts), keeps the new ones, staged until the entry is accepted, and fills in Found and Entry.
type Uniqueness func(ctx context.Context, keys []UniqueKey) error

// run is the state of one Run.
type run struct {
	p    *Plan
	in   *Input
	ctx  context.Context
	emit func(*Rendered) error

	beside  map[string]any // names beside the fields that stay the same
	scratch map[string]any
	record  map[string]any
	once    []constant

	number, line int64 // of the record at hand
	offset       int64 // at which it begins, where its format has no lines; -1 where it does not count
	source       *formats.Record
	part         *segment  // what it is
	bases        []frame   // by part
	base         *frame    // of part
	rows         [][]value // by part
	row          []value   // of part
	make         maker
	faults       []fault
	around       around
	frames       []*frame
	depth        int

	group   grouping
	pending *pending
	out     *emitter
	hash    hasher
	text    []byte
	json    []byte                                          // a body that is to be laid out otherwise
	sheet   sheet                                           // a message of rows
	room    int                                             // bytes that a message of one record, or its rows in a file, may take
	brim    int                                             // of what the body at hand may become, in the bytes that it is appended to
	checks  []func(part, column int, v formats.Value) error // by route: what its file cannot hold; nil: nothing is known
	file    string                                          // name of the file at hand, for its marker

	rejects collector
	records int64
	skipped int64  // by only, or as known keys
	known   int64  // those of them that are known
	held    string // why the entry is to be held
	heldFor string // the same in a word
}

// Run works one entry: it reads records, checks and maps them, and hands each message to emit in the order of the records
// and, within one, of the routes. All messages of a record are rendered before its first is emitted. What was emitted counts
// only if the outcome's state is Accepted; otherwise it is to be thrown away.
//
// Bad records are collected in the outcome: the first 1,000 faults with place and reason, and their number. Once there are
// more than the job allows nothing more is emitted, but reading goes on, so that the report is complete, until 10,000 more have been
// found. A fault of the file itself is one reject with record 0. With `group` every row of a rejected group counts. The
// error is of something else: reading the bytes, emit, Unique, Files or ctx; then there is no outcome.
func (p *Plan) Run(ctx context.Context, in Input, emit func(*Rendered) error) (ledger.Outcome, error) {
	if in.Tables == nil {
		var err error
		if in.Tables, err = p.Snapshot(ctx); err != nil {
			return ledger.Outcome{}, fmt.Errorf("work %s: %w", describe(&in), err)
		}
	}
	r := newRun(p, &in, p.beside(&in))
	r.ctx, r.emit, r.pending, r.out = ctx, emit, &pending{}, newEmitter(ctx, p, &in, emit)
	r.rejects.allowance = p.options.Check.AllowRejects
	r.make.utf8 = in.Rows != nil
	r.checks = p.checks()
	defer r.out.abort()
	end, ok, err := r.converting(ctx)
	defer func() { end() }()
	if ok {
		err = r.all()
	}
	if joined := r.out.join(); err == nil { // else it is that error, or comes of it
		err = joined
	}
	if err != nil {
		return ledger.Outcome{}, fmt.Errorf("work %s: %w", describe(&in), err)
	}
	return r.outcome(), nil
}

// newRun makes a run that has read nothing yet.
func newRun(p *Plan, in *Input, beside map[string]any) *run {
	n := len(p.reader.parts)
	r := &run{p: p, in: in, beside: beside, scratch: map[string]any{}, room: p.room(), once: make([]constant, p.once), bases: make([]frame, n), rows: make([][]value, n)}
	for i := range p.reader.parts {
		r.rows[i] = make([]value, len(p.reader.parts[i].fields))
	}
	r.turn(0)
	return r
}

// turn makes a part that of the record at hand.
func (r *run) turn(part int) {
	r.part, r.base, r.row = &r.p.reader.parts[part], &r.bases[part], r.rows[part]
	r.base.turn(r.part.fields, r.row)
}

func describe(in *Input) string {
	if in.Entry.Name != "" {
		return in.Entry.Name
	}
	return fmt.Sprintf("entry #%d", in.Entry.ID)
}

var errEnough = errors.New("enough rejects")

func (r *run) all() error {
	var bad *formats.FileError
	err := r.read()
	switch {
	case errors.As(err, &bad):
		r.rejects.file(bad)
	case errors.Is(err, errEnough):
		r.rejects.cut = true
	case errors.Is(err, errWhole):
	case err != nil:
		return err
	}
	if r.held != "" || r.rejects.failed(r.records) {
		return nil
	}
	if err := r.flush(); err != nil {
		return err
	}
	if r.rejects.failed(r.records) { // keys found at the very end
		return nil
	}
	if r.claims(); r.rejects.whole != nil || r.held != "" {
		return nil
	}
	if ok, err := r.order(); !ok {
		if errors.Is(err, errWhole) {
			err = nil
		}
		return err
	}
	if err = r.finish(); errors.Is(err, errWhole) {
		return nil
	}
	if errors.As(err, &bad) { // of a file that is handed on as it is, only now is all of it unpacked
		r.rejects.file(bad)
		return nil
	}
	return err
}

// read works all records.
func (r *run) read() error {
	if err := r.asides(); err != nil {
		return err
	}
	if r.p.reader.none {
		return nil
	}
	if r.in.Rows != nil {
		if err := r.readAll(r.in.Rows.records(r.p.reader.parts[0].wants)); err != nil {
			return err
		}
		return r.group.close(r)
	}
	if err := r.readAll(r.p.reader.decoder.Decode(r.in.Blob)); err != nil {
		return err
	}
	if err := r.group.close(r); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	r.around.whole = true
	return nil
}

// readAll works the records of one file.
func (r *run) readAll(records iter.Seq2[*formats.Record, error]) error {
	for rec, err := range records {
		if err == nil {
			err = r.step(rec)
		} else {
			err = r.badRecord(err)
		}
		if err == nil && r.rejects.enough() {
			err = errEnough
		}
		if err == nil && r.held != "" {
			err = errWhole
		}
		if err == nil && r.records%1024 == 0 {
			err = r.ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// badRecord rejects a record that cannot be read; other errors it returns.
func (r *run) badRecord(err error) error {
	var bad *formats.RecordError
	if !errors.As(err, &bad) {
		return err
	}
	r.records++
	r.unreadable()
	r.reject(bad.Record, bad.Line, fault{bad.Field, []byte(bad.Value), bad.Reason})
	r.group.unreadable(r, bad.Line)
	return nil
}

// step works one record, or what stands around records.
func (r *run) step(rec *formats.Record) error {
	r.source, r.number, r.line, r.offset = rec, rec.Number, rec.Line, -1
	if rec.Line == 0 && r.in.Rows == nil {
		r.offset = rec.Offset
	}
	r.turn(rec.Part)
	r.make.reset()
	r.faults = r.faults[:0]
	k := r.part
	if k.role != formats.Body {
		return r.section()
	}
	r.records++
	if r.p.reader.header || r.p.reader.blocks {
		if err := r.inside(); err != nil {
			return err
		}
	}
	r.fill(k.first)
	r.add(k)
	if k.only != nil && len(r.faults) == 0 {
		ok, err := r.truth(k.only, r.base)
		if err != nil {
			r.faults = append(r.faults, r.faultOf(err))
		} else if !ok {
			r.skipped++
			return nil
		}
	}
	r.fill(k.rest)
	if k.group != nil {
		return r.group.add(r)
	}
	if len(r.faults) > 0 {
		r.reject(r.number, r.line, r.faults...)
		return nil
	}
	return r.work(r.base)
}

// fill makes the values of fields. A computed field waits until what it may need is right.
func (r *run) fill(list []int) {
	for _, i := range list {
		f := &r.part.fields[i]
		var bad *fault
		switch {
		case f.cell >= 0:
			c, v := &r.source.Cells[f.cell], &r.row[i]
			if f.kind == expression.KindString && c.Kind == formats.Text && !f.limited && !r.make.utf8 && trimmed(c.Bytes) {
				v.set, v.text, v.rows = true, c.Bytes, nil // nearly all there are, without a call
				continue
			}
			if bad = r.make.make(f, c, v); bad != nil && r.source.Places != nil {
				r.place(f, bad)
			}
		case len(r.faults) == 0:
			bad = r.compute(f, &r.row[i])
		default:
			r.row[i] = value{}
		}
		if bad != nil {
			r.faults = append(r.faults, *bad)
		}
	}
}

// compute makes the value of a computed field.
func (r *run) compute(f *field, v *value) *fault {
	env, err := r.env(f.needs, r.base)
	if err != nil {
		return &fault{f.name, nil, err.Error()}
	}
	got, err := f.program.Eval(env)
	switch {
	case err != nil:
		bad := r.faultOf(err)
		return &fault{f.name, nil, bad.reason}
	case got == nil:
		return r.make.make(f, &formats.Cell{}, v)
	}
	at := len(r.make.arena)
	if f.tree {
		r.make.arena, err = expression.AppendJSON(r.make.arena, got)
	} else {
		r.make.arena, err = canonical(r.make.arena, got, f.kind)
	}
	*v = value{text: r.make.arena[at:]}
	if err != nil {
		return &fault{f.name, nil, err.Error()}
	}
	if reason := f.limits(v.text, v.text); reason != "" {
		return &fault{f.name, v.text, reason}
	}
	v.set = true
	return nil
}
