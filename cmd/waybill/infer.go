package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/formats"
	"waybill/formats/infer"
	"waybill/formats/unpack"
	"waybill/jobs"
	"waybill/jobs/expression"
	"waybill/ledger"
)

func (p *program) infer() *cobra.Command {
	var o inferOptions
	c := &cobra.Command{
		Use:   "infer FILE…",
		Short: "Propose a job that reads files such as these",
		Long: `Looks at sample files of one kind and prints a configuration with a job that reads them: format, encoding, where the records stand, the
fields with their types, and which of them are always there. Comments tell the evidence. It is a beginning to go on from: it takes the
samples without a reject, and a destination that writes each record into a file stands where yours will.

With --source and --to, names of the configuration there is, only the job is printed, for a file that this includes.

Exit codes: 0 the job takes the samples; 2 they cannot be read; 3 the job would reject some of their records.`,
		Example: "  waybill infer orders_1.csv > waybill.yaml\n  waybill infer orders_*.json --job orders --source suppliers --to shop > jobs.d/orders.yaml",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			return p.runInfer(c.Context(), list, o)
		},
	}
	c.Flags().StringVar(&o.job, "job", "", "name of the job; left out: made of the name of the first file")
	c.Flags().StringVar(&o.source, "source", "", "name of the source that the files come from; left out: a folder drop is written too")
	c.Flags().StringVar(&o.to, "to", "", "name of the destination; left out: one that writes files into out is written too")
	return c
}

type inferOptions struct{ job, source, to string }

func (p *program) runInfer(ctx context.Context, files []string, o inferOptions) error {
	if o.job == "" {
		o.job = jobName(files[0])
	}
	var samples []infer.Sample
	for _, name := range files {
		f, info, err := openOrdinary(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // only read
		samples = append(samples, infer.Sample{Name: filepath.Base(name), Open: func() (formats.Blob, func(), error) { return wholeFile(f, info), func() {}, nil }})
	}
	proposal, err := propose(samples)
	if err != nil {
		return err
	}
	d := &draft{p: p, o: o, files: files, proposal: proposal}
	rejected, err := d.settle(ctx)
	if err != nil {
		return err
	}
	if _, err := p.out.Write(d.text(o, true)); err != nil {
		return err
	}
	if rejected != "" {
		return exit{exitRejects, errors.New(rejected)}
	}
	return nil
}

// propose looks at the samples.
func propose(samples []infer.Sample) (*infer.Proposal, error) {
	f, err := formIn(samples[0])
	if len(f.unpack) > 0 {
		f, samples, err = unpacked(f, samples, err)
	}
	if err != nil && f.lines { // nothing parts cells, but lines may be of several kinds
		if p := infer.LookKinds(f.Options, samples, expression.Reserved); p != nil {
			return f.beside(p), nil
		}
	}
	if err != nil {
		return nil, err
	}
	if f.Format == "csv" || f.Format == "tsv" {
		if p := infer.LookRows(f.Options, samples, expression.Reserved); p != nil {
			f.notes = nil // of a table
			return f.beside(p), nil
		}
	}
	look := infer.Look
	if f.Format == "fixed" {
		look = infer.LookFixed
	}
	p, err := look(f.Options, samples, expression.Reserved)
	var large *formats.FileError
	if errors.As(err, &large) && large.Limit != "" && f.records != "" { // a document that is no one record for certain
		f.Options.Records, f.why["records"] = f.records, "the document is too large for one record; it stands there repeatedly"
		p, err = look(f.Options, samples, expression.Reserved)
	}
	if err != nil {
		return nil, exit{exitUsage, err}
	}
	if len(f.unpack) > 0 && len(f.members.samples) == 0 && len(p.Header) > 0 {
		p.Header = nil // what is behind the records is found in a second reading
		p.Notes = append(p.Notes, "what stands around the records is not proposed as a header: a file that is unpacked while it is read has to have it before them")
	}
	return f.beside(p), nil
}

// formIn looks at the beginning of a sample.
func formIn(s infer.Sample) (form, error) {
	b, end, err := s.Open()
	if err != nil {
		return form{}, err
	}
	defer end()
	return formOf(s.Name, b)
}

// unpacked are samples without their packings; of archives, the files in them. unseen is why the form of the first file is not known.
func unpacked(f form, samples []infer.Sample, unseen error) (form, []infer.Sample, error) {
	u, problems := unpack.New(f.unpack, formats.Limits{}, unpack.Keys{})
	if len(problems) > 0 {
		return f, nil, usage("unpack %s: %s", samples[0].Name, problems[0])
	}
	if u.Archive() {
		in, err := insideOf(samples, u)
		if err != nil {
			return f, nil, err
		}
		inner, err := formIn(in.samples[0])
		if len(inner.unpack) > 0 {
			return f, nil, usage("%s in %s is packed once more: unpack it, and give infer files that are inside", ledger.Shown(in.samples[0].Name), samples[0].Name)
		}
		inner.unpack, inner.members = f.unpack, *in
		inner.why["unpack"] = f.why["unpack"]
		return inner, in.samples, err
	}
	inner := make([]infer.Sample, len(samples))
	for i, s := range samples {
		inner[i] = infer.Sample{Name: s.Name, Open: func() (formats.Blob, func(), error) {
			b, done, err := s.Open()
			if err != nil {
				return b, done, err
			}
			b, end, err := u.Open(b, unpack.Staging{})
			return b, func() { end(); done() }, err
		}}
	}
	return f, inner, unseen
}

var (
	nameDigits = regexp.MustCompile(`[0-9][0-9._-]*`)
	nameOdd    = regexp.MustCompile(`[^\p{L}\p{N}_-]+`)
)

// jobName makes the name of a job of that of a file.
func jobName(file string) string {
	stem, _, _ := strings.Cut(filepath.Base(file), ".")
	name := strings.Trim(nameOdd.ReplaceAllString(nameDigits.ReplaceAllString(stem, ""), "_"), "_-")
	if r := []rune(name); len(r) > 60 {
		name = string(r[:60])
	}
	if name == "" {
		return "files"
	}
	return name
}

// patternOf takes the files whose names differ from that of the sample in their digits only.
func patternOf(file string) string {
	name := nameDigits.ReplaceAllStringFunc(filepath.Base(file), func(digits string) string {
		return "*" + digits[len(strings.TrimRight(digits, "._-")):]
	})
	return strings.NewReplacer("{", "?", "}", "?", "[", "?", "]", "?").Replace(name)
}

// A draft is a proposal on its way to a job that takes its samples.
type draft struct {
	p        *program
	o        inferOptions
	files    []string
	proposal *infer.Proposal
}

// text is the configuration. Without the names of what there is, it is whole.
func (d *draft) text(o inferOptions, told bool) []byte {
	var b bytes.Buffer
	if told {
		fmt.Fprintf(&b, "# Proposed by waybill infer from %s, %s: a guess, with its evidence beside it.\n", count(len(d.files), "file"), count(d.proposal.Records, "record"))
		fmt.Fprintf(&b, "# Next: waybill check, then waybill try %s FILE; see docs/testing.md.\n", o.job)
		for _, n := range d.proposal.Notes {
			fmt.Fprintf(&b, "# %s.\n", infer.Comment(n))
		}
	}
	source, to := o.source, o.to
	if source == "" {
		source = "drop"
		b.WriteString("sources:\n  drop: {folder: {path: drop}}\n")
	}
	if to == "" {
		to = "out"
		b.WriteString("destinations:\n  out: {file: {folder: out}}  # where your destination will stand\n")
	}
	var patterns []string
	for _, f := range d.files {
		if pattern := infer.Text(patternOf(f)); !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	fmt.Fprintf(&b, "jobs:\n  %s:\n    receive: {source: %s, files: [%s]}\n", o.job, source, strings.Join(patterns, ", "))
	if len(d.proposal.Unpack) > 0 {
		fmt.Fprintf(&b, "    unpack: [%s]  # %s\n", strings.Join(d.proposal.Unpack, ", "), infer.Comment(d.proposal.Why["unpack"]))
	}
	if len(d.proposal.Members) > 0 {
		fmt.Fprintf(&b, "    members: [%s]  # %s\n", texts(d.proposal.Members), infer.Comment(d.proposal.Why["members"]))
	}
	b.Write(d.proposal.YAML(4))
	b.WriteString(d.send(o, to))
	return b.Bytes()
}

// send is what goes where: each record to the destination, or those of each kind.
func (d *draft) send(o inferOptions, to string) string {
	var b strings.Builder
	b.WriteString("    send:\n")
	route := func(of, name string) {
		if o.to == "" {
			fmt.Fprintf(&b, "      - {to: %s%s, name: \"{file.stem}_%s{record.number}.json\"}  # without a body the record itself is sent\n", to, of, name)
		} else if of == "" {
			fmt.Fprintf(&b, "      - to: %s  # without a body the record itself is sent\n", to)
		} else {
			fmt.Fprintf(&b, "      - {to: %s%s}  # without a body the record itself is sent\n", to, of)
		}
	}
	if len(d.proposal.Kinds) == 0 {
		route("", "")
	}
	for _, k := range d.proposal.Kinds {
		route(", for: "+k.Name, k.Name+"_")
	}
	return b.String()
}

// texts are texts of a list in YAML.
func texts(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = infer.Text(s)
	}
	return strings.Join(quoted, ", ")
}

// settle tries the job on its samples, and takes back what was guessed too boldly, until it rejects nothing. What it cannot mend it tells.
func (d *draft) settle(ctx context.Context) (rejected string, err error) {
	for range 12 {
		l, err := d.build(ctx)
		if err != nil {
			return "", err
		}
		var faults []ledger.Reject
		for _, name := range d.files {
			t := &trial{p: d.p, plan: l.jobs.Plan(d.o.job), land: l}
			in := t.entry(d.p.now())
			err := t.file(name, "", &in)
			var out jobs.Trial
			if err == nil {
				out, err = t.plan.Try(ctx, in, 0)
			}
			if err := errors.Join(err, t.end()); err != nil {
				return "", err
			}
			if out.State == ledger.Rejected && len(out.Rejects) == 0 {
				return fmt.Sprintf("%s would be rejected: %s", ledger.Shown(name), out.Reason), nil
			}
			faults = append(faults, out.Rejects...)
		}
		if len(faults) == 0 {
			return "", nil
		}
		if !d.proposal.Relax(faultsOf(faults)) {
			f := faults[0]
			return fmt.Sprintf("the job would reject %s of the samples, the first in line %d: %s %s", count(len(faults), "record"), f.Line, f.Field, f.Reason), nil
		}
	}
	return "", errors.New("no job was found that takes the samples: report it as a mistake of waybill")
}

// faultsOf are the names of the fields that are at fault, with the reasons.
func faultsOf(list []ledger.Reject) map[string]string {
	all := map[string]string{}
	for _, r := range list {
		if _, known := all[r.Field]; !known && r.Field != "" {
			all[r.Field] = r.Reason
		}
	}
	return all
}

// build compiles the draft.
func (d *draft) build(ctx context.Context) (*landscape, error) {
	text := d.text(inferOptions{job: d.o.job}, false)
	env := config.System()
	env.ReadFile = func(string) ([]byte, error) { return text, nil }
	c, err := config.Load(ctx, "proposal", registry(), env)
	if err != nil {
		return nil, fmt.Errorf("what was proposed is not right, report it as a mistake of waybill: %w", err)
	}
	b := &builder{c: c, now: d.p.now, out: &landscape{config: c, jobs: &jobs.Set{}}}
	b.jobs()
	if len(b.mistakes) > 0 {
		return nil, fmt.Errorf("what was proposed is not right, report it as a mistake of waybill: %w", b.mistakes)
	}
	return b.out, nil
}

// wholeFile is a file from its beginning.
func wholeFile(f *os.File, info os.FileInfo) formats.Blob {
	return formats.Blob{Name: filepath.Base(f.Name()), Reader: io.NewSectionReader(f, 0, info.Size()), ReaderAt: f, Size: info.Size()}
}
