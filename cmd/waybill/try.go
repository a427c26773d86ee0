package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"waybill/ledger"
)

func (p *program) try() *cobra.Command {
	var o tryOptions
	c := &cobra.Command{
		Use:   "try JOB [FILE]",
		Short: "Print what a job would send and reject, without sending or keeping anything",
		Long: `Prints what a job would send and reject. Nothing is sent or kept, and no data folder is needed. A scheduled job is tried with the
rows of a file (--rows) or those that its query gives for the window that ends now, or at --at.

With --diff the outcome is compared with that of the last time --diff was used for the same job and file, which is kept in the user's cache
folder; with --against FILE it is compared with what try had printed into FILE.

With --responses FOLDER the answers of HTTP destinations are taken out of files: FOLDER/DESTINATION.json is the body of an answer 200,
DESTINATION.http a whole answer as curl -i prints it, DESTINATION.KEY.http that to the message with this key of the job's. For each
message shown it is said whether it would be delivered, and what would be captured.

Exit codes: 0 it would be accepted whole; 3 something would be rejected, or refused by a destination.`,
		Example: "  waybill try orders samples/orders_1.csv\n  waybill try orders samples/orders_1.csv --diff\n  waybill try export --rows rows.ndjson --at 2026-11-21T15:00:00+01:00",
		Args:    args(cobra.RangeArgs(1, 2)),

		ValidArgsFunction: p.completeJob,
		RunE: func(c *cobra.Command, list []string) error {
			o.job = list[0]
			if len(list) > 1 {
				o.file = list[1]
			}
			return p.runTry(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.rows, "rows", "", "of a scheduled job: file with the rows of its query, NDJSON or CSV")
	c.Flags().StringVar(&o.at, "at", "", "of a scheduled job: the instant at which it is due (RFC 3339), instead of now")
	c.Flags().IntVar(&o.limit, "limit", 10, "show at most so many messages")
	c.Flags().StringVar(&o.partner, "partner", "", "try the file as if this partner had sent it")
	c.Flags().BoolVar(&o.diff, "diff", false, "print what differs from the last time")
	c.Flags().StringVar(&o.against, "against", "", "print what differs from what try had printed into this file")
	c.Flags().StringVar(&o.responses, "responses", "", "folder with answers of the destinations, by which messages are judged")
	c.MarkFlagsMutuallyExclusive("diff", "against")
	return c
}

type tryOptions struct {
	job, file, rows, at, against, partner, responses string
	limit                                            int
	diff                                             bool
}

func (p *program) runTry(ctx context.Context, o tryOptions) error {
	l, err := p.looking(ctx)
	if err != nil {
		return err
	}
	plan := l.jobs.Plan(o.job)
	if plan == nil {
		return usage("there is no job %s in %s", ledger.Shown(o.job), p.file)
	}
	asks := plan.Options().Query != nil && o.rows == "" && o.file == ""
	if asks || plan.TakesSecrets() { // which takes the secrets
		if l, err = p.load(ctx); err != nil {
			return err
		}
		defer func() { _ = l.close() }() // only read
		plan = l.jobs.Plan(o.job)
	}
	if _, known := l.jobs.Partners[o.partner]; o.partner != "" && !known {
		return usage("there is no partner %s in %s", ledger.Shown(o.partner), p.file)
	}
	t := &trial{p: p, plan: plan, land: l}
	in, err := t.input(ctx, o)
	if err != nil {
		return errors.Join(err, t.end())
	}
	most := o.limit
	if o.diff || o.against != "" {
		most = max(most, comparedMost)
	}
	out, err := plan.Try(ctx, in, most)
	if err = errors.Join(err, t.end()); err != nil {
		return err
	}
	out.Findings = append(t.findings, out.Findings...)
	refused, err := t.answers(o, &out)
	if err != nil {
		return err
	}
	if o.diff || o.against != "" {
		err = p.compareTrial(o, &out)
	} else {
		err = p.trial(out)
	}
	if err == nil && (out.Rejected > 0 || refused > 0 || out.State == ledger.Rejected) {
		return exit{code: exitRejects}
	}
	return err
}
