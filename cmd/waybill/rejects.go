package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/jobs"
	"waybill/ledger"
)

func (p *program) rejectsOf() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "rejects N",
		Short: "Write what was rejected of an entry as a file of the sender's own format, with the reasons",
		Long: `Writes the file that the sender is to mend and send again, in his own format and encoding: the rejected records, each as it came and with the reasons beside
it; of a file that was rejected as a whole all records, since nothing of it was taken. The reasons stand in a column reject_reason (csv, tsv, xlsx), behind the line (fixed), in a member reject_reason (json, ndjson), or in a comment before the element (xml). What is
mended in it and dropped again under the old name is a correction of the entry, and processed as one; what stands beside a record does no harm then.

It reads the kept bytes of the entry again (retain.files), by the configuration of now; when that is another than the entry was worked with, it says so. Records that stand in blocks
(read.block) cannot be sent again without them, so of such a file nothing is written. With --json the faults are printed instead, one a line.`,
		Example: "  waybill rejects 12 -o orders_17.csv\n  waybill rejects 12 --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			return p.numbered(c.Context(), list, func(i *instance, ids []int64) error {
				return i.writeRejects(c.Context(), ids[0], output)
			})
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "write into this file, which must not be there yet; left out: to stdout")
	return c
}

func (i *instance) writeRejects(ctx context.Context, id int64, output string) error {
	e, err := i.ledger.Entry(ctx, id)
	if err != nil {
		return entryError(err, id)
	}
	faults, err := i.ledger.Rejects(ctx, id)
	if err != nil {
		return err
	}
	if i.p.json {
		for _, f := range faults {
			if err := i.p.print(f); err != nil {
				return err
			}
		}
		return nil
	}
	if len(faults) == 0 {
		fmt.Fprintf(i.p.diag, "waybill: nothing of #%d was rejected\n", id)
		return nil
	}
	l, err := i.p.looking(ctx)
	if err != nil {
		return err
	}
	plan := l.jobs.Plan(e.Job)
	if plan == nil {
		return usage("job %s of #%d is not in %s, so that nobody knows how to read the file", e.Job, id, i.p.file)
	}
	if e.Config != "" && e.Config != plan.Config() {
		fmt.Fprintf(i.p.diag, "waybill: job %s is configured otherwise than when #%d was worked: the records it numbered may be others now. Look at what is written before you send it on, "+
			"or use that configuration (--config); waybill replay %d --rerender works the file by the one of now\n", e.Job, id, id)
	}
	f, err := i.ledger.FileOf(ctx, id)
	if err != nil {
		return fmt.Errorf("file of #%d: %w", id, err)
	}
	out, err := i.output(output)
	if err != nil {
		return err
	}
	in := jobs.Input{Entry: e, File: f, Partner: l.jobs.Partner(e.Partner)}
	buffered := bufio.NewWriter(out)
	n, err := plan.Rejected(ctx, in, i.opener(ctx, plan, f), faults, buffered)
	if err = errors.Join(err, buffered.Flush()); output != "" {
		err = errors.Join(err, out.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(output))
		}
	}
	if err != nil {
		return fmt.Errorf("rejects of #%d: %w", id, err)
	}
	if e.State == ledger.Rejected {
		fmt.Fprintf(i.p.diag, "waybill: all %s of %s, of which nothing was taken; mended, it is to be sent again whole\n", count(n, "record"), shown(e.Name, 200))
	} else {
		fmt.Fprintf(i.p.diag, "waybill: %s of %s; the others were taken\n", count(n, "rejected record"), shown(e.Name, 200))
	}
	return nil
}

// output is the file that is written, or stdout.
func (i *instance) output(name string) (io.WriteCloser, error) {
	if name == "" {
		return unclosed{i.p.out}, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, exit{exitUsage, err}
	}
	return f, nil
}

// unclosed is a stream that belongs to somebody else.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// opener opens the kept bytes of a file anew each time, unpacked as the job says.
func (i *instance) opener(ctx context.Context, plan *jobs.Plan, f ledger.File) func() (formats.Blob, func()) {
	return func() (formats.Blob, func()) {
		r, err := i.spool.Reader(ctx, f.Object)
		if err != nil {
			return formats.Blob{Name: f.Within(), Reader: failing{err}, Size: -1}, func() {}
		}
		b := formats.Blob{Name: f.Within(), Reader: r, ReaderAt: r, Size: r.Size(), Unpacked: f.Parent != 0}
		let := func() {}
		if f.Parent == 0 {
			b, let = plan.Unpack(b, unpack.Staging{At: f.Landed})
		}
		return b, func() {
			let()
			_ = r.Close() // only read
		}
	}
}

// failing is a reader that only says why there is nothing to read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
