package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"

	"waybill/failpoint"
	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/spool"
	"waybill/store"
)

// A piece is one worked entry with its messages, to be accepted.
type piece struct {
	plan    *Plan
	entry   ledger.Entry
	lot     *outbox.Lot
	outcome ledger.Outcome
	keyed   bool         // it may have kept keys of check.unique
	after   ledger.State // what the sender is told; "": the outcome's state
	told    string       // with after: why
	sequenced
	converted converted

	unpacked *ledger.Unpacked // of an archive
	file     ledger.File      // with unpacked
}

// work runs the plan of one entry. A panic of a plan is an error of that entry.
func (w *Worker) work(ctx context.Context, p *Plan, e ledger.Entry, near nearby) (done *piece, err error) {
	guard := func(tx *store.Tx) error { return w.Ledger.Working(tx, e) }
	done = &piece{plan: p, entry: e, lot: w.Outbox.Lot(e.ID, e.Token, guard), keyed: p.unique != nil}
	end := func() error { return nil }
	defer func() {
		if v := recover(); v != nil {
			err = errors.Join(&panicError{v, debug.Stack()}, end())
		}
		err = w.leave(ctx, done, err)
	}()
	failpoint.Hit("jobs/working")
	if e.State == ledger.Working {
		// A process was killed while it staged: what it left cannot be claimed, and goes.
		if err := errors.Join(w.Outbox.DiscardStaged(ctx, e.ID, e.Token), w.dropKeys(ctx, e)); err != nil {
			return done, err
		}
	}
	if e.Origin != 0 && !e.Rerender() {
		if done.outcome, err = w.repeat(ctx, p, done); done.outcome.State != "" || err != nil {
			return done, err
		}
	}
	in := Input{Entry: e, Partner: w.Jobs().Partner(e.Partner), Files: &outputs{w, done.lot}, Unique: w.uniqueness(p, e), Sequence: w.sequencing(p, e, &done.sequenced), Anew: e.Rerender(), Place: w.place(), Converted: done.converted.take}
	var verify func() error
	if verify, end, err = w.open(ctx, p, e, near, &in); err != nil {
		return done, err
	}
	if p.archive(in.File) {
		return done, errors.Join(w.workArchive(ctx, done, &in, verify), end())
	}
	routes := make([]string, len(p.routes))
	for i, r := range p.routes {
		routes[i] = p.origin + "/" + r.origin
	}
	done.outcome, err = p.Run(ctx, in, func(r *Rendered) error {
		if r.Object != 0 {
			r.Message.Object = r.Object
		}
		return done.lot.Add(ctx, p.routes[r.Route].destination, routes[r.Route], &r.Message)
	})
	if err == nil && (done.outcome.State == ledger.Rejected || done.outcome.State == ledger.Held) {
		err = verify() // damaged bytes are no fault of the partner's
	}
	if err = errors.Join(err, end()); err != nil {
		return done, err
	}
	failpoint.Hit("jobs/rendered")
	if err := done.lot.Seal(); err != nil {
		return done, err
	}
	if e.Trial {
		done.onTrial()
	}
	done.tellSequence()
	return done, nil
}

// leave throws away what does not go on from an entry that was worked, or could not be for err, which it returns with its own.
func (w *Worker) leave(ctx context.Context, done *piece, err error) error {
	if s := done.outcome.State; err != nil || done.entry.Trial || s == ledger.Rejected || s == ledger.Held {
		err = errors.Join(err, w.discard(ctx, done))
	}
	if err != nil {
		w.dropMembers(ctx, done)
	}
	return err
}

// repeat is the work on a replay: the messages of its origin once more, with their keys and bytes. The outcome is
// empty when they are not all there any more, so that the file is read again.
func (w *Worker) repeat(ctx context.Context, p *Plan, done *piece) (ledger.Outcome, error) {
	origin, err := w.Ledger.Entry(ctx, done.entry.Origin)
	if err != nil {
		return ledger.Outcome{}, err
	}
	all, err := done.lot.Copy(ctx, origin.ID, origin.Messages)
	if errors.Is(err, outbox.ErrNoBytes) {
		return ledger.Outcome{State: ledger.Rejected, Reason: fmt.Sprintf("what #%d sent cannot be sent again: %v", origin.ID, err)}, nil
	}
	if err != nil || !all {
		return ledger.Outcome{}, err
	}
	o := ledger.Outcome{State: ledger.Accepted, Records: origin.Records, Messages: origin.Messages, Config: p.config}
	return o, done.lot.Seal()
}

// discard throws away what an entry that is not accepted has staged and kept.
func (w *Worker) discard(ctx context.Context, done *piece) error {
	err := done.lot.Discard(ctx)
	if done.keyed {
		err = errors.Join(err, w.dropKeys(context.WithoutCancel(ctx), done.entry))
	}
	return err
}

// nearby is what was read ahead for a set of entries.
type nearby struct {
	files map[int64]ledger.File
	small map[int64]*spool.Reader
}

// smallMost bounds the bytes of a file that are read ahead: with setMost it bounds the memory of a set.
const smallMost = 16 << 10

// ahead brings the files of a set of entries, and the bytes of the small ones: from memory what has just landed, the others with one statement
// each. What it could not read is read by each entry itself, which then fails by itself.
func (w *Worker) ahead(ctx context.Context, entries []ledger.Entry) (near nearby) {
	near = nearby{files: map[int64]ledger.File{}, small: map[int64]*spool.Reader{}}
	var ids, objects []int64
	for _, e := range entries {
		if f, content, ok := w.Ledger.Fresh(e.ID); ok {
			near.files[f.ID], near.small[f.Object] = f, spool.Held(spool.Object{ID: f.Object, Size: f.Size, Digest: f.Digest}, content)
		} else if e.File != 0 {
			ids = append(ids, e.File)
		}
	}
	if len(ids) < 2 {
		return near
	}
	files, err := w.Ledger.Files(ctx, ids)
	if err != nil {
		return near
	}
	for id, f := range files {
		near.files[id] = f
		if f.Object != 0 && f.Size <= smallMost {
			objects = append(objects, f.Object)
		}
	}
	if small, err := w.Spool.Small(ctx, objects); err == nil {
		maps.Copy(near.small, small)
	}
	return near
}

// open gives in what the entry is about: the rows of its window, or the bytes of its file, which verify compares with
// their digest.
func (w *Worker) open(ctx context.Context, p *Plan, e ledger.Entry, near nearby, in *Input) (verify, end func() error, err error) {
	if in.Tables, err = p.Snapshot(ctx); err != nil {
		return nil, nil, err
	}
	if q := p.options.Query; q != nil {
		rows, end, err := w.Ask(ctx, q.Connection, q.SQL, e.Since, e.Till)
		if err != nil {
			return nil, nil, fmt.Errorf("query of job %s: %w", p.name, err)
		}
		in.Rows = rows
		return func() error { return nil }, end, nil
	}
	var ok bool
	if in.File, ok = near.files[e.File]; !ok {
		if in.File, err = w.Ledger.FileOf(ctx, e.ID); err != nil {
			return nil, nil, err
		}
	}
	r := near.small[in.File.Object]
	delete(near.small, in.File.Object) // it can be read once
	if r == nil {
		if r, err = w.Spool.Reader(ctx, in.File.Object); err != nil {
			return nil, nil, err
		}
	}
	in.Blob = formats.Blob{Name: in.File.Within(), Reader: r, ReaderAt: r, Size: r.Size(), Unpacked: in.File.Parent != 0}
	if p.archive(in.File) {
		return r.Verify, r.Close, nil
	}
	let := func() {}
	if in.File.Parent == 0 {
		in.Blob, let = p.Unpack(in.Blob, w.staging(in.File))
	}
	verify, end = r.Verify, func() error { let(); return r.Close() }
	if len(p.asides) > 0 {
		return w.openBeside(ctx, e, in, verify, end)
	}
	return verify, end, nil
}

// Unpack undoes the job's packings. What is wrong with the packed bytes shows when they are read, as what is wrong with the file. end is to be called
// when that is over.
func (p *Plan) Unpack(b formats.Blob, s unpack.Staging) (inner formats.Blob, end func()) {
	inner, end, err := p.unpacker.Open(b, s)
	if err != nil {
		inner = formats.Blob{Name: b.Name, Reader: failing{err}, Size: -1}
	}
	return inner, end
}

// failing is a reader that only says why there is nothing to read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// accept ends the work on a set of entries in one transaction with the release of their messages.
func (w *Worker) accept(ctx context.Context, done []*piece) {
	if len(done) == 0 {
		return
	}
	live, ctx := ctx, context.WithoutCancel(ctx) // the work is done: let it count
	worked := make([]ledger.Worked, len(done))
	lots := map[int64]*piece{}
	for i, d := range done {
		worked[i] = ledger.Worked{Entry: d.entry, Outcome: d.outcome}
		lots[d.entry.ID] = d
	}
	var gone []ledger.Entry
	failpoint.Hit("jobs/accepting")
	err := w.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		if gone, err = w.Ledger.AcceptAll(tx, worked); err != nil {
			return err
		}
		left := map[int64]bool{}
		for _, e := range gone {
			left[e.ID] = true
		}
		if err := w.landMembers(tx, done, left); err != nil {
			return err
		}
		var ready []*outbox.Lot
		for _, d := range done {
			if d.outcome.State == ledger.Accepted && !left[d.entry.ID] && d.unpacked == nil {
				ready = append(ready, d.lot)
			}
		}
		if err := outbox.ReleaseAll(tx, ready); err != nil {
			return err
		}
		if err := w.count(tx, done, left); err != nil {
			return err
		}
		return errors.Join(w.tellConverted(tx, done, left), w.owe(tx, done, left))
	})
	failpoint.Hit("jobs/accepted")
	if err != nil {
		for _, d := range done {
			w.dropMembers(ctx, d)
			w.failed(live, d.entry, errors.Join(err, w.discard(ctx, d)))
		}
		return
	}
	for _, e := range gone {
		w.dropMembers(ctx, lots[e.ID])
		if err := w.discard(ctx, lots[e.ID]); err != nil {
			w.Log.Error("cannot delete what a cancelled entry had staged", "job", e.Job, "entry", e.ID, "error", err)
		}
	}
	for _, d := range done {
		w.Log.Debug("worked", "job", d.entry.Job, "entry", d.entry.ID, "state", d.outcome.State, "records", d.outcome.Records,
			"messages", d.outcome.Messages, "rejects", d.outcome.Rejected)
		if d.outcome.State == ledger.Rejected {
			w.Log.Warn("rejected", "job", d.entry.Job, "entry", d.entry.ID, "file", d.entry.Name, "reason", d.outcome.Reason)
		}
	}
}

// outputs are the files an entry's routes write, kept in the spool until they are delivered and retention lets them go.
type outputs struct {
	w   *Worker
	lot *outbox.Lot
}

// Create begins a file.
func (o *outputs) Create(ctx context.Context) (Output, error) {
	return &output{all: o, Writer: o.w.Spool.Create(ctx)}, nil
}

type output struct {
	all *outputs
	*spool.Writer
}

// Finish keeps the file, and in the same transaction that this entry refers to it.
func (o *output) Finish(ctx context.Context) (object, size int64, err error) {
	in, err := o.Writer.Finish()
	if err != nil {
		return 0, 0, err
	}
	var kept spool.Object
	err = o.all.w.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		if kept, err = in.Commit(tx); err != nil {
			return err
		}
		return o.all.lot.Keep(tx, kept.ID)
	})
	if err != nil {
		in.Abandon() // does nothing when the commit may have happened
		return 0, 0, err
	}
	return kept.ID, kept.Size, nil
}

// Abort gives the file up.
func (o *output) Abort() error {
	o.Abandon()
	return nil
}
