package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"waybill/failpoint"
	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/ledger"
	"waybill/store"
)

// archive reports whether what an entry is about is an archive to be taken apart: its members are files of their own, with entries of their own.
func (p *Plan) archive(f ledger.File) bool { return p.unpacker.Archive() && f.Parent == 0 }

// Archive reports whether the files that the job receives are archives.
func (p *Plan) Archive() bool { return p.unpacker.Archive() }

// TakesSecrets reports whether the files that the job receives cannot be read without secrets: they are encrypted, or the program that converts them is told some.
func (p *Plan) TakesSecrets() bool {
	return p.options.PGP != nil || p.options.Age != nil || p.converter != nil && len(p.options.Read.Convert.Env) > 0
}

// takesMember reports whether a file of an archive belongs to the job.
func (p *Plan) takesMember(name string) bool { return p.members == nil || p.members.Match(name) }

// membersInline bounds how many bytes of the members of one archive are held in memory until they land.
const membersInline = 8 << 20

// workArchive is the work on an archive.
func (w *Worker) workArchive(ctx context.Context, done *piece, in *Input, verify func() error) error {
	err := w.unpackMembers(ctx, done, in)
	if err == nil && done.outcome.State == ledger.Rejected {
		err = verify() // damaged bytes are no fault of the partner's
	}
	return errors.Join(err, done.lot.Seal())
}

// unpackMembers puts the members of an archive into the spool, all of them before any lands: an archive is taken whole or not at all.
func (w *Worker) unpackMembers(ctx context.Context, done *piece, in *Input) (err error) {
	p, all := done.plan, &ledger.Unpacked{}
	bad := func(e *formats.FileError) error {
		var c collector
		c.file(e)
		done.outcome = ledger.Outcome{State: ledger.Rejected, Reason: c.whole.Reason, Rejected: 1, Rejects: []ledger.Reject{*c.whole}, Config: p.config}
		return nil
	}
	done.unpacked, done.file = all, in.File
	defer func() {
		if done.outcome.State == ledger.Rejected {
			w.dropMembers(ctx, done)
		}
	}()
	held := int64(0)
	for m, err := range p.unpacker.Members(in.Blob, w.staging(in.File)) {
		if err == nil && !p.takesMember(m.Name) {
			all.Passed++
			continue
		}
		var member ledger.Member
		if err == nil {
			member, err = w.member(ctx, done.entry, m, held)
		}
		var refused *formats.FileError
		switch {
		case errors.As(err, &refused):
			return bad(refused)
		case err != nil:
			return fmt.Errorf("unpack %s: %w", describe(in), err)
		}
		if small, ok := member.Incoming.Bytes(); ok {
			held += int64(len(small))
		}
		all.Members = append(all.Members, member)
	}
	failpoint.Hit("jobs/unpacked")
	switch {
	case len(all.Members) == 0 && all.Passed == 0:
		return bad(&formats.FileError{Offset: -1, Reason: "there is no file in the archive"})
	case len(all.Members) == 0:
		return bad(&formats.FileError{Offset: -1, Reason: fmt.Sprintf("the job takes none of the %s in the archive (members)", several(all.Passed, "file"))})
	}
	done.outcome = ledger.Outcome{State: ledger.Accepted, Config: p.config}
	if e := done.entry; e.Trial {
		if why := e.WouldHold(); why != "" {
			done.after, done.told = ledger.Held, why
		}
	}
	return nil
}

// landMembers lands what came out of archives, in the transaction that accepts their entries.
func (w *Worker) landMembers(tx *store.Tx, done []*piece, gone map[int64]bool) error {
	for _, d := range done {
		if d.unpacked == nil || gone[d.entry.ID] {
			continue
		}
		if _, err := w.Ledger.LandMembers(tx, d.entry, d.file, d.plan.policy(ledger.Arrival{Partner: d.entry.Partner}), *d.unpacked); err != nil {
			return err
		}
	}
	return nil
}

// dropMembers gives the space back at once that the members of an archive take which is not accepted.
func (w *Worker) dropMembers(ctx context.Context, done *piece) {
	if done.unpacked == nil {
		return
	}
	for _, m := range done.unpacked.Members {
		_ = m.Incoming.Withdraw(context.WithoutCancel(ctx)) // else the sweep takes it
	}
	done.unpacked = nil
}

// member puts one member into the spool, while its archive is not cancelled.
func (w *Worker) member(ctx context.Context, archive ledger.Entry, m formats.Blob, held int64) (ledger.Member, error) {
	if err := w.Ledger.Room(); err != nil {
		return ledger.Member{}, err
	}
	switch e, err := w.Ledger.Entry(ctx, archive.ID); {
	case err != nil:
		return ledger.Member{}, err
	case e.State == ledger.Cancelled:
		return ledger.Member{}, ledger.ErrGone
	}
	receive := w.Spool.Receive
	if held >= membersInline {
		receive = w.Spool.ReceiveApart
	}
	r := &looked{r: m.Reader}
	in, err := receive(ctx, r, 0)
	if err != nil {
		return ledger.Member{}, err
	}
	return ledger.Member{Name: m.Name, ModTime: m.ModTime, Incoming: in, Blank: r.Blank()}, nil
}

// looked passes r through and notes whether there is anything in it.
type looked struct {
	r io.Reader
	ledger.Blankness
}

func (l *looked) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.Look(p[:n])
	return n, err
}

// staging is what unpacking a file may use: its keys are judged by when it landed, so that a replay finds what its first run found.
func (w *Worker) staging(f ledger.File) unpack.Staging {
	return unpack.Staging{At: f.Landed, Temp: w.Spool.Temp}
}

// fileNames are what `file` is called and where it lies. A member lies in the folder of its archive, and in that of the archive itself in which it lay.
func fileNames(f *ledger.File) (name, folder, parent string) {
	whole := ledger.Arrival{Path: f.Archive(), Partner: f.Partner}.Within()
	name, folder = path.Base(whole), path.Dir(whole)
	if f.Parent != 0 {
		parent = name
		name, folder = path.Base(f.Member), path.Join(folder, path.Dir(f.Member))
	}
	if folder == "." {
		folder = ""
	}
	return name, folder, parent
}
