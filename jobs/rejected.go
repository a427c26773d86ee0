package jobs

import (
	"context"
	"errors"
	"io"
	"strings"

	"waybill/formats"
	"waybill/ledger"
)

// Rejected writes what the sender of an entry is to mend and send again, as a file of his own format: each record as it came, with the reasons beside it; see
// [formats.Picked]. Of an entry that was accepted without its bad records these are the bad ones, of one that was rejected all: nothing of it was taken.
// open opens the entry's bytes anew, unpacked. kept are the faults that the ledger has; where those are not all, the
// file is worked once more to find the others. It returns how many records were written.
func (p *Plan) Rejected(ctx context.Context, in Input, open func() (formats.Blob, func()), kept []ledger.Reject, w io.Writer) (int64, error) {
	r := &p.reader
	if r.decoder == nil {
		return 0, errors.New("it has no records: a job with read: none, or a query")
	}
	if r.blocks {
		return 0, errors.New("its records stand in blocks, whose headers and trailers count them and add them up, so that bad ones cannot be sent again alone: mend the file, or write a " +
			"new one of the blocks that were rejected, whole; --json shows what is wrong, and with the line at which each block begins")
	}
	pick := map[int64]string{}
	for _, k := range kept {
		if k.Record == 0 {
			return 0, errors.New("the file was rejected as a whole: " + k.Reason + "; what to mend is the file itself")
		}
		pick[k.Record] = reasonOf(pick[k.Record], k.Field, k.Reason)
	}
	if p.converter != nil {
		return 0, errConverted(p.converter.Name())
	}
	if len(kept) >= mostRejects {
		if err := p.faults(ctx, in, open, pick); err != nil {
			return 0, err
		}
	}
	options := p.options.Read.Options
	options.Records, options.Files = p.options.Read.Records.Path, r.files
	parts := make([]formats.Part, len(r.parts))
	for i, s := range r.parts {
		parts[i] = formats.Part{Role: s.role, Name: s.name, Kind: s.kind, Wants: s.wants}
	}
	return formats.Picked(open, options, parts, formats.Pick{Reasons: pick, All: in.Entry.State == ledger.Rejected}, w)
}

// reasonsMost bounds what stands beside one record.
const reasonsMost = 500

func reasonOf(before, field, reason string) string {
	if field != "" {
		reason = field + " " + reason
	}
	switch {
	case before == "":
		return reason
	case len(before) > reasonsMost || strings.Contains(before, reason):
		return before
	}
	return before + "; " + reason
}

// faults works the file and adds what is wrong with its records.
func (p *Plan) faults(ctx context.Context, in Input, open func() (formats.Blob, func()), pick map[int64]string) error {
	var end func()
	in.Blob, end = open()
	defer end()
	in.Files, in.Unique, in.Sequence = &heads{}, nil, nil
	in.Faulty = func(record int64, field, reason string) {
		pick[record] = reasonOf(pick[record], field, reason)
	}
	_, err := p.Run(ctx, in, func(*Rendered) error { return nil })
	return err
}
