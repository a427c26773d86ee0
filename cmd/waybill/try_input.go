package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/jobs"
	"waybill/ledger"
)

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

// entry is what the trial works on, as if it had been received at an instant.
func (t *trial) entry(at time.Time) jobs.Input {
	return jobs.Input{Entry: ledger.Entry{Kind: ledger.OfTick, Job: t.plan.Name(), Run: 1, Verdict: ledger.Fresh, State: ledger.Received, Received: at}}
}

func (t *trial) input(ctx context.Context, o tryOptions) (jobs.Input, error) {
	options := t.plan.Options()
	in := t.entry(t.p.now())
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

// A sample is a file that a job is tried with.
type sample struct {
	name    string // what it is called when it comes in
	bytes   io.ReaderAt
	size    int64
	modTime time.Time
	partner string // who sends it; "" when nobody does
}

// file opens the file, and says how its bytes are read.
func (t *trial) file(name, partner string, in *jobs.Input) error {
	f, info, err := openOrdinary(name)
	if err != nil {
		return err
	}
	t.ends = append(t.ends, f.Close)
	s := sample{name: filepath.Base(name), bytes: f, size: info.Size(), modTime: info.ModTime(), partner: partner}
	if r := t.plan.Options().Receive; r != nil && !t.plan.Takes(r.Source, s.name) {
		t.find("the job does not take this name from %s: it takes %s", r.Source, strings.Join(r.Files, ", "))
	}
	if err := t.sample(s, in); err != nil {
		return fmt.Errorf("read %s: %w", ledger.Shown(name), err)
	}
	return t.beside(filepath.Dir(name), in)
}

// sample makes a sample the input of the trial.
func (t *trial) sample(s sample, in *jobs.Input) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(s.bytes, 0, s.size)); err != nil {
		return err
	}
	options := t.plan.Options()
	source := jobs.ManualSource + t.plan.Name()
	if r := options.Receive; r != nil {
		source = r.Source
	}
	a := ledger.Arrival{Source: source, Path: inMailbox(s.partner, s.name), Size: s.size, ModTime: s.modTime, Partner: s.partner}
	in.Entry.Kind, in.Entry.Name, in.Entry.Source = ledger.OfFile, ledger.Shown(s.name), source
	in.File = ledger.File{Source: source, Path: s.name, Size: s.size, ModTime: s.modTime, Digest: sum.Sum(nil), Landed: in.Entry.Received}
	in.Entry.Identity = ledger.Identity(options.Identity.By, a, in.File.Digest)
	if s.partner != "" {
		in.Partner, in.Entry.Partner = t.land.jobs.Partner(s.partner), s.partner
	}
	packed := func() formats.Blob {
		return formats.Blob{Name: s.name, Reader: io.NewSectionReader(s.bytes, 0, s.size), ReaderAt: s.bytes, Size: s.size}
	}
	if t.plan.Archive() { // its files are opened by the trial
		in.Blob = packed()
		return nil
	}
	staging := unpack.Staging{At: in.File.Landed}
	open := func() (formats.Blob, func()) { return t.plan.Unpack(packed(), staging) }
	t.understand(open)
	var end func()
	in.Blob, end = open()
	t.ends = append(t.ends, func() error { end(); return nil })
	return nil
}

// inMailbox is the path of a file that a partner drops.
func inMailbox(partner, name string) string {
	if partner == "" {
		return name
	}
	return partner + "/" + name
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
	t.due(due, in)
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

// due makes the input a tick of an instant.
func (t *trial) due(at time.Time, in *jobs.Input) {
	in.Entry.Due = at
	in.Entry.Since, in.Entry.Till = t.plan.Window(at)
	in.Entry.Name = at.UTC().Format(time.RFC3339)
	in.Entry.Identity = "tick:" + in.Entry.Name
}
