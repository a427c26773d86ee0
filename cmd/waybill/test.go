package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"waybill/jobs"
	"waybill/jobs/cases"
)

func (p *program) test() *cobra.Command {
	var o testOptions
	c := &cobra.Command{
		Use:   "test [JOB…]",
		Short: "Run the cases beside the configuration",
		Long: `Runs the cases that stand beside the configuration, tests/JOB/*.yaml: each brings a file, and says which messages,
rejects and acknowledgement are to come of it. Nothing is sent or kept, and neither secrets nor a data folder are needed. What differs is
shown by its path, with - before what is expected and + before what came out.

--update writes what came out into the cases; look at what that changes before you keep it.

Exit codes: 0 all is as expected; 1 something is not; 2 a mistake in the configuration or in a case, or no case to run.`,
		Example: "  waybill test\n  waybill test orders --run bad\n  waybill test --update",
		Args:    args(cobra.ArbitraryArgs),

		ValidArgsFunction: p.completeJob,
		RunE: func(c *cobra.Command, list []string) error {
			o.jobs = list
			return p.runCases(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.pattern, "run", "", "run only cases whose name, JOB/CASE, matches this regular expression")
	c.Flags().BoolVar(&o.update, "update", false, "write what came out into the cases as what they expect")
	return c
}

type testOptions struct {
	jobs    []string
	pattern string
	update  bool
}

// caseMessages is how many messages a case may have: it is to be read by people.
const caseMessages = 1000

func (p *program) runCases(ctx context.Context, o testOptions) error {
	pattern, err := regexp.Compile(o.pattern)
	if err != nil {
		return usage("--run: %w", err)
	}
	l, err := p.looking(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(l.jobs.Plans, func(p *jobs.Plan) bool {
		return p.TakesSecrets() && (len(o.jobs) == 0 || slices.Contains(o.jobs, p.Name()))
	}) {
		if l, err = p.load(ctx); err != nil { // which takes the secrets
			return err
		}
		defer func() { _ = l.close() }() // only read
	}
	for _, job := range o.jobs {
		if l.jobs.Plan(job) == nil {
			return usage("there is no job %s in %s", job, p.file)
		}
	}
	list, err := p.findCases(l, o, pattern)
	if err != nil {
		return err
	}
	failed := 0
	for _, c := range list {
		ok, err := p.runCase(ctx, l, c, o.update)
		if err != nil {
			return fmt.Errorf("case %s: %w", c.name(), err)
		}
		if !ok {
			failed++
		}
	}
	if !p.json {
		fmt.Fprintf(p.out, "%s, %d failed\n", count(len(list), "case"), failed)
	}
	if failed > 0 {
		return exit{code: exitError}
	}
	return nil
}

// A caseView is the outcome of a case as --json shows it.
type caseView struct {
	Case        string           `json:"case"`
	File        string           `json:"file"`
	OK          bool             `json:"ok"`
	Updated     bool             `json:"updated,omitempty"`
	Error       string           `json:"error,omitempty"` // it could not be run
	Differences []differenceView `json:"differences"`
}

type differenceView struct {
	cases.Difference
	Line   int `json:"line"`
	Column int `json:"column"`
}

// runCase runs one case and tells how it went.
func (p *program) runCase(ctx context.Context, l *landscape, c *caseFile, update bool) (ok bool, err error) {
	v := caseView{Case: c.name(), File: c.path, Differences: []differenceView{}}
	t, err := p.tryCase(ctx, l, c)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		v.Error = err.Error()
	case int64(len(t.Shown)) < t.Messages:
		v.Error = fmt.Sprintf("it has %d messages, and a case may have %d: take a smaller file", t.Messages, caseMessages)
	case c.Expect.Empty() || update && len(c.Expect.Check(&t)) > 0:
		v.OK, v.Updated = true, true // without update, a case that expects nothing is a mistake
		err = c.update(&t)
	default:
		for _, d := range c.Expect.Check(&t) {
			at := c.document.Locate("expect."+d.Place(), "")
			v.Differences = append(v.Differences, differenceView{d, at.Line, at.Column})
		}
		v.OK = len(v.Differences) == 0
	}
	if v.Updated && err != nil {
		return false, err
	}
	if p.json {
		return v.OK, p.print(v)
	}
	p.caseText(v)
	return v.OK, nil
}

func (p *program) caseText(v caseView) {
	switch {
	case v.Updated:
		fmt.Fprintf(p.out, "written  %s\n", shown(v.Case, 200))
	case v.OK:
		fmt.Fprintf(p.out, "ok       %s\n", shown(v.Case, 200))
	default:
		fmt.Fprintf(p.out, "FAILED   %s\n", shown(v.Case, 200))
	}
	if v.Error != "" {
		fmt.Fprintf(p.out, "  %s\n", safe(v.Error))
	}
	for _, d := range v.Differences {
		fmt.Fprintf(p.out, "  %s:%d:%d\n", v.File, d.Line, d.Column)
		p.difference(d.Difference, "    ")
	}
}

// tryCase makes the trial that a case is about.
func (p *program) tryCase(ctx context.Context, l *landscape, c *caseFile) (out jobs.Trial, err error) {
	t := &trial{p: p, plan: c.plan, land: l}
	defer func() { err = errors.Join(err, t.end()) }()
	in := t.entry(c.At.Or())
	if c.Rows != nil {
		t.due(c.At.Or(), &in)
		in.Rows, err = rowsIn(c.inputName(), c.bytes)
	} else {
		err = t.sample(c.sample(), &in)
		t.give(c.beside, &in)
	}
	if err != nil {
		return out, err
	}
	return c.plan.Try(ctx, in, caseMessages)
}

// update writes what came out into the case.
func (c *caseFile) update(t *jobs.Trial) error {
	text, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(c.path); err == nil {
		mode = info.Mode().Perm()
	}
	from, to := c.document.Span("expect")
	return os.WriteFile(c.path, cases.Replace(text, cases.Expectation(t), from, to), mode)
}
