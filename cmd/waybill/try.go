package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"waybill/formats"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/outbox"
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

Exit codes: 0 it would be accepted whole; 3 something would be rejected.`,
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
	c.MarkFlagsMutuallyExclusive("diff", "against")
	return c
}

type tryOptions struct {
	job, file, rows, at, against, partner string
	limit                                 int
	diff                                  bool
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
	if plan.Options().Query != nil && o.rows == "" && o.file == "" { // its connection needs the secrets
		if l, err = p.load(ctx); err != nil {
			return err
		}
		defer func() { _ = l.close() }() // only read
	}
	t := &trial{p: p, plan: plan, land: l}
	in, err := t.input(ctx, o)
	if err != nil {
		return errors.Join(err, t.end())
	}
	if _, known := l.jobs.Partners[o.partner]; o.partner != "" && !known {
		return usage("there is no partner %s in %s", ledger.Shown(o.partner), p.file)
	}
	if o.partner != "" {
		in.Partner, in.Entry.Partner = l.jobs.Partner(o.partner), o.partner
	}
	out, err := plan.Try(ctx, in, o.limit)
	if err = errors.Join(err, t.end()); err != nil {
		return err
	}
	out.Findings = append(t.findings, out.Findings...)
	text, err := p.trialText(out)
	if err != nil {
		return err
	}
	if o.diff || o.against != "" {
		err = p.compareTrial(o, text)
	} else {
		_, err = p.out.Write(text)
	}
	if err == nil && (out.Rejected > 0 || out.State == ledger.Rejected) {
		return exit{code: exitRejects}
	}
	return err
}

// A trial opens what a job is to be tried with.
type trial struct {
	p        *program
	plan     *jobs.Plan
	land     *landscape
	findings []string
	ends     []func() error
}

func (t *trial) end() error {
	var errs []error
	for _, end := range t.ends {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

func (t *trial) input(ctx context.Context, o tryOptions) (jobs.Input, error) {
	now := t.p.now()
	options := t.plan.Options()
	in := jobs.Input{Entry: ledger.Entry{Kind: ledger.OfTick, Job: o.job, Run: 1, Verdict: ledger.Fresh, State: ledger.Received, Received: now}}
	if options.Query != nil {
		return in, t.tick(ctx, o, &in)
	}
	if o.rows != "" || o.at != "" {
		return in, usage("--rows and --at go with a scheduled job; %s works files", o.job)
	}
	if o.file == "" {
		return in, usage("job %s works files: name one, waybill try %s FILE", o.job, o.job)
	}
	return in, t.file(o.file, o.partner, &in)
}

// file opens the file, and says how its bytes are read.
func (t *trial) file(name, partner string, in *jobs.Input) error {
	f, err := os.Open(name)
	if err != nil {
		return exit{exitUsage, err}
	}
	t.ends = append(t.ends, f.Close)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return usage("%s is not a regular file", ledger.Shown(name))
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read %s: %w", ledger.Shown(name), err)
	}
	options := t.plan.Options()
	base := filepath.Base(name)
	source := jobs.ManualSource + t.plan.Name()
	if r := options.Receive; r != nil {
		source = r.Source
		if !t.plan.Takes(source, base) {
			t.find("the job does not take this name from %s: it takes %s", source, strings.Join(r.Files, ", "))
		}
	}
	in.Entry.Kind, in.Entry.Name, in.Entry.Source = ledger.OfFile, ledger.Shown(base), source
	in.File = ledger.File{Source: source, Path: base, Size: info.Size(), ModTime: info.ModTime(), Digest: sum.Sum(nil), Landed: in.Entry.Received}
	in.Entry.Identity = ledger.Identity(options.Identity.By, ledger.Arrival{Source: source, Path: inMailbox(partner, base), Size: info.Size(), ModTime: info.ModTime(), Partner: partner}, in.File.Digest)
	open := func() (formats.Blob, error) {
		return t.plan.Unpack(formats.Blob{Name: base, Reader: io.NewSectionReader(f, 0, info.Size()), ReaderAt: f, Size: info.Size()})
	}
	if err := t.detect(open); err != nil {
		return err
	}
	in.Blob, err = open()
	return err
}

// inMailbox is the path of a file that a partner drops.
func inMailbox(partner, name string) string {
	if partner == "" {
		return name
	}
	return partner + "/" + name
}

// detect says what the first bytes tell.
func (t *trial) detect(open func() (formats.Blob, error)) error {
	read := t.plan.Options().Read
	if read == nil || read.Short == "none" {
		return nil
	}
	b, err := open()
	if err != nil {
		return err
	}
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(b.Reader, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil //nolint:nilerror // the trial itself says what is wrong with the file
	}
	encoding, seen, err := formats.Detect(read.Options, head[:n])
	if err != nil {
		return nil //nolint:nilerror // as above
	}
	t.find("encoding: %s (%s)", encoding, seen)
	if read.Format == "csv" {
		t.delimiter(head[:n], read.Options)
	}
	return nil
}

// delimiter says which delimiter is used, and when the first line looks as if it were another.
func (t *trial) delimiter(head []byte, o formats.Options) {
	used := o.Delimiter
	if used == "" {
		used = ","
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	have := bytes.Count(line, []byte(used))
	t.find("delimiter: %q, %s in the first line", used, count(have, "time"))
	for _, other := range []string{",", ";", "\t", "|"} {
		if n := bytes.Count(line, []byte(other)); other != used && have == 0 && n > 0 {
			t.find("the first line has no %q but %s %q: is read.delimiter right?", used, count(n, "time"), other)
		}
	}
}

func (t *trial) find(format string, args ...any) {
	t.findings = append(t.findings, fmt.Sprintf(format, args...))
}

// tick takes the rows of a file, or of the job's query.
func (t *trial) tick(ctx context.Context, o tryOptions, in *jobs.Input) error {
	if o.file != "" {
		return usage("job %s works the rows of its query: give them with --rows FILE, or leave the file out", o.job)
	}
	due := t.p.now().Truncate(time.Second)
	if o.at != "" {
		var err error
		if due, err = time.Parse(time.RFC3339, o.at); err != nil {
			return usage("--at %s is no instant: write for example 2026-11-21T15:00:00+01:00", ledger.Shown(o.at))
		}
	}
	in.Entry.Due = due
	in.Entry.Since, in.Entry.Till = t.plan.Window(due)
	in.Entry.Name = due.UTC().Format(time.RFC3339)
	in.Entry.Identity = "tick:" + in.Entry.Name
	t.find("window: from %s up to %s", in.Entry.Since.Format(time.RFC3339), in.Entry.Till.Format(time.RFC3339))
	if o.rows != "" {
		rows, err := rowsOf(o.rows)
		in.Rows = rows
		return err
	}
	q := t.plan.Options().Query
	rows, end, err := t.land.ask(ctx, q.Connection, q.SQL, in.Entry.Since, in.Entry.Till)
	if err != nil {
		return fmt.Errorf("query of job %s: %w; rows of a file can be given with --rows", o.job, err)
	}
	in.Rows = rows
	t.ends = append(t.ends, end)
	return nil
}

// trialText is what try prints: for a person, or as one line of JSON.
func (p *program) trialText(t jobs.Trial) ([]byte, error) {
	var b bytes.Buffer
	to := *p
	to.out = &b
	if p.json {
		err := to.print(t)
		return b.Bytes(), err
	}
	switch t.State {
	case ledger.Rejected:
		fmt.Fprintf(&b, "%s would be rejected by %s: %s\n", t.File, t.Job, safe(short(t.Reason, 500)))
	case ledger.Held:
		fmt.Fprintf(&b, "%s would be held by %s: %s\n", t.File, t.Job, safe(short(t.Reason, 500)))
	default:
		fmt.Fprintf(&b, "%s would be accepted by %s\n", t.File, t.Job)
	}
	fmt.Fprintf(&b, "%s, %s, %d rejected\n", count(t.Records, "record"), count(t.Messages, "message"), t.Rejected)
	for _, f := range t.Findings {
		fmt.Fprintf(&b, "  %s\n", safe(f))
	}
	if len(t.Rejects) > 0 {
		fmt.Fprintln(&b, "\nrejected")
		if err := to.rejects(t.Rejects); err != nil {
			return nil, err
		}
	}
	for _, m := range t.Shown {
		of := "whole file"
		if m.Record > 0 {
			of = fmt.Sprintf("record %d", m.Record)
		}
		fmt.Fprintf(&b, "\n%s to %s\n", of, m.Destination)
		to.trialMessage(m)
	}
	for _, n := range t.Told {
		fmt.Fprintf(&b, "\nacknowledged in the sender's mailbox as %s\n", shown(n.Name, 300))
		fmt.Fprint(&b, indent(pretty(n.Body), "  "))
	}
	return b.Bytes(), nil
}

func (p *program) trialMessage(m jobs.TrialMessage) {
	shownMessage := outbox.Message{Key: m.Key, Ref: m.Ref, Body: m.Body}
	if m.Body == nil {
		shownMessage.Body = []byte(m.Text)
	}
	for _, name := range sorted(m.Headers) {
		shownMessage.Headers = append(shownMessage.Headers, outbox.Header{Name: name, Value: m.Headers[name]})
	}
	p.message(shownMessage, "  ")
}

// compareTrial prints what differs from an earlier outcome. With --diff this one is kept for the next time.
func (p *program) compareTrial(o tryOptions, text []byte) error {
	name, label := o.against, o.against
	if o.diff {
		var err error
		if name, err = p.trialFile(o); err != nil {
			return err
		}
		label = "last time"
	}
	before, err := os.ReadFile(name)
	switch {
	case o.diff && errors.Is(err, fs.ErrNotExist):
		fmt.Fprintln(p.diag, "waybill: this is the first time: there is nothing to compare with yet")
		if _, err := p.out.Write(text); err != nil {
			return err
		}
	case err != nil:
		return exit{exitUsage, err}
	case bytes.Equal(before, text):
		if _, err := fmt.Fprintln(p.out, "nothing differs"); err != nil {
			return err
		}
	default:
		if _, err := p.out.Write(diff.Diff(label, before, "now", text)); err != nil {
			return err
		}
	}
	if !o.diff {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("keep the trial: %w", err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return fmt.Errorf("keep the trial: %w", err)
	}
	return nil
}

// trialFile is where the last trial of a job with a file is kept.
func (p *program) trialFile(o tryOptions) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w; use --against FILE", err)
	}
	var parts []string
	for _, name := range []string{p.file, o.file, o.rows} {
		if name != "" {
			if name, err = filepath.Abs(name); err != nil {
				return "", err
			}
		}
		parts = append(parts, name)
	}
	sum := sha256.Sum256([]byte(strings.Join(append(parts, o.job, o.at, fmt.Sprint(p.json)), "\x00")))
	return filepath.Join(cache, "waybill", "try", hex.EncodeToString(sum[:16])), nil
}
