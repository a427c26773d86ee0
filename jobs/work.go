package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"waybill/failpoint"
	"waybill/formats"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/spool"
	"waybill/store"
)

// A piece is one worked entry with its messages, to be accepted.
type piece struct {
	entry   ledger.Entry
	lot     *outbox.Lot
	outcome ledger.Outcome
	files   *outputs
}

// work runs the plan of one entry. A panic of a plan is an error of that entry.
func (w *Worker) work(ctx context.Context, p *Plan, e ledger.Entry) (done *piece, err error) {
	guard := func(tx *store.Tx) error { return w.Ledger.Working(tx, e) }
	done = &piece{entry: e, lot: w.Outbox.Lot(e.ID, e.Token, guard), files: &outputs{w: w}}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the job panicked: %v\n%s", v, debug.Stack())
		}
		if err != nil || done.outcome.State == ledger.Rejected || done.outcome.State == ledger.Held {
			err = errors.Join(err, w.discard(ctx, done))
		}
	}()
	failpoint.Hit("jobs/working")
	if e.State == ledger.Working {
		// A process was killed while it staged: what it left cannot be claimed, and goes.
		if err := w.Outbox.DiscardStaged(ctx, e.ID, e.Token); err != nil {
			return done, err
		}
	}
	if e.Origin != 0 && !e.Rerender() {
		if done.outcome, err = w.repeat(ctx, p, done); done.outcome.State != "" || err != nil {
			return done, err
		}
	}
	in := Input{Entry: e, Files: done.files, Unique: w.uniqueness(p, e), Anew: e.Rerender()}
	end, err := w.open(ctx, p, e, &in)
	if err != nil {
		return done, err
	}
	routes := make([]string, len(p.routes))
	for i, r := range p.routes {
		routes[i] = p.name + "/" + r.name
	}
	done.outcome, err = p.Run(ctx, in, func(r *Rendered) error {
		if r.Object != 0 {
			r.Message.Object = r.Object
		}
		return done.lot.Add(ctx, p.routes[r.Route].destination, routes[r.Route], &r.Message)
	})
	if err = errors.Join(err, end()); err != nil {
		return done, err
	}
	failpoint.Hit("jobs/rendered")
	return done, done.lot.Seal()
}

// repeat is the work on a replay: the messages of its origin once more, with their keys and bytes. The outcome is
// empty when there are none to be repeated, so that the file is read again.
func (w *Worker) repeat(ctx context.Context, p *Plan, done *piece) (ledger.Outcome, error) {
	n, err := done.lot.Copy(ctx, done.entry.Origin)
	if err != nil || n == 0 {
		return ledger.Outcome{}, err
	}
	origin, err := w.Ledger.Entry(ctx, done.entry.Origin)
	if err != nil {
		return ledger.Outcome{}, err
	}
	o := ledger.Outcome{State: ledger.Accepted, Records: origin.Records, Messages: n, Config: p.config}
	return o, done.lot.Seal()
}

// discard throws away what an entry that is not accepted has staged.
func (w *Worker) discard(ctx context.Context, done *piece) error {
	return errors.Join(done.lot.Discard(ctx), done.files.remove(context.WithoutCancel(ctx)))
}

// open gives in what the entry is about: the rows of its window, or the bytes of its file.
func (w *Worker) open(ctx context.Context, p *Plan, e ledger.Entry, in *Input) (end func() error, err error) {
	if q := p.options.Query; q != nil {
		rows, end, err := w.Ask(ctx, q.Connection, q.SQL, e.Since, e.Till)
		if err != nil {
			return nil, fmt.Errorf("query of job %s: %w", p.name, err)
		}
		in.Rows = rows
		return end, nil
	}
	if in.File, err = w.Ledger.FileOf(ctx, e.ID); err != nil {
		return nil, err
	}
	r, err := w.Spool.Reader(ctx, in.File.Object)
	if err != nil {
		return nil, err
	}
	in.Blob, err = p.Unpack(formats.Blob{Name: in.File.Path, Reader: r, ReaderAt: r, Size: r.Size()})
	return r.Close, err
}

// Unpack undoes the job's packings. What is wrong with the packed bytes shows when they are read, as what is wrong with the file.
func (p *Plan) Unpack(b formats.Blob) (formats.Blob, error) {
	o := p.options
	if len(o.Unpack) == 0 {
		return b, nil
	}
	var limits formats.Limits
	if o.Read != nil {
		limits = o.Read.Limits
	}
	for inner, err := range formats.Unpack(b, o.Unpack, limits) {
		if err != nil {
			return formats.Blob{Name: b.Name, Reader: failing{err}, Size: -1}, nil
		}
		return inner, nil
	}
	return b, errors.New("unpack: nothing is inside")
}

// failing is a reader that only says why there is nothing to read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// accept ends the work on a set of entries in one transaction with the release of their messages.
func (w *Worker) accept(ctx context.Context, done []*piece) {
	if len(done) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx) // the work is done: let it count
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
		for _, d := range done {
			if d.outcome.State != ledger.Accepted || left[d.entry.ID] {
				continue
			}
			if err := d.lot.Release(tx); err != nil {
				return err
			}
		}
		return nil
	})
	failpoint.Hit("jobs/accepted")
	if err != nil {
		for _, d := range done {
			w.failed(ctx, d.entry, errors.Join(err, w.discard(ctx, d)))
		}
		return
	}
	for _, e := range gone {
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

// outputs are the files an entry's routes write, kept in the spool until they are delivered.
type outputs struct {
	w       *Worker
	objects []int64
}

// Create begins a file.
func (o *outputs) Create(ctx context.Context) (Output, error) {
	return &output{all: o, w: o.w.Spool.Create(ctx)}, nil
}

// remove drops the files of an entry that is not accepted. Those of a killed process are found by retention.
func (o *outputs) remove(ctx context.Context) error {
	if len(o.objects) == 0 {
		return nil
	}
	return o.w.DB.Tx(ctx, func(tx *store.Tx) error { return o.w.Spool.Remove(tx, o.objects...) })
}

type output struct {
	all *outputs
	w   *spool.Writer
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(p []byte) (int, error) { return o.w.Write(p) }

func (o *output) Finish(ctx context.Context) (object, size int64, err error) {
	in, err := o.w.Finish()
	if err != nil {
		return 0, 0, err
	}
	var kept spool.Object
	err = o.all.w.DB.Tx(ctx, func(tx *store.Tx) (err error) {
		kept, err = in.Commit(tx)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	o.all.objects = append(o.all.objects, kept.ID)
	return kept.ID, kept.Size, nil
}

func (o *output) Abort() error {
	o.w.Abandon()
	return nil
}
