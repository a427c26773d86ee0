package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"waybill/config"
	"waybill/jobs"
	"waybill/jobs/cases"
	"waybill/ledger"
)

// casesFolder is where the cases stand, beside the configuration: a folder for each job.
const casesFolder = "tests"

// inputMost bounds the file that a case brings, which is read into memory.
const inputMost = 64 << 20

// A caseFile is a case with the file it stands in.
type caseFile struct {
	*cases.Case
	job, stem string
	path      string
	document  *config.Document
	plan      *jobs.Plan
	bytes     []byte // what goes in
	beside    map[string]besideFile
}

func (c *caseFile) name() string { return c.job + "/" + c.stem }

// findCases reads the cases that are to be run. Mistakes in them are told all at once, before anything runs.
func (p *program) findCases(l *landscape, o testOptions, pattern *regexp.Regexp) (list []*caseFile, err error) {
	var mistakes config.Problems
	root := filepath.Join(l.config.Folder, casesFolder)
	paths, err := filepath.Glob(filepath.Join(root, "*", "*.yaml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	strange := map[string]bool{}
	for _, path := range paths {
		c := &caseFile{Case: new(cases.Case), path: path, job: filepath.Base(filepath.Dir(path)), stem: strings.TrimSuffix(filepath.Base(path), ".yaml")}
		if len(o.jobs) > 0 && !slices.Contains(o.jobs, c.job) || !pattern.MatchString(c.name()) {
			continue
		}
		if c.plan = l.jobs.Plan(c.job); c.plan == nil {
			if !strange[c.job] {
				strange[c.job] = true
				mistakes = append(mistakes, config.Problem{File: path, Line: 1, Column: 1, Text: fmt.Sprintf("there is no job %s in %s", ledger.Shown(c.job), p.file),
					Remedy: "cases stand in " + casesFolder + "/JOB"})
			}
			continue
		}
		mistakes = append(mistakes, c.read(l, o.update)...)
		list = append(list, c)
	}
	switch {
	case len(mistakes) > 0:
		n := "one mistake"
		if len(mistakes) > 1 {
			n = fmt.Sprintf("%d mistakes", len(mistakes))
		}
		return nil, exit{exitUsage, fmt.Errorf("the cases have %s:\n%w", n, mistakes.Sort())}
	case len(list) == 0 && len(paths) > 0:
		return nil, usage("none of %s is of that name", count(len(paths), "case"))
	case len(list) == 0:
		return nil, usage("there are no cases: write %s, see docs/testing.md", filepath.Join(root, "JOB", "NAME.yaml"))
	}
	return list, nil
}

// read decodes the case and reads what it brings.
func (c *caseFile) read(l *landscape, update bool) config.Problems {
	var err error
	if c.document, err = config.ReadDocument(c.path, c.Case, config.System()); err != nil {
		var mistakes config.Problems
		if errors.As(err, &mistakes) {
			return mistakes
		}
		return config.Problems{{File: c.path, Line: 1, Column: 1, Text: err.Error()}}
	}
	var mistakes config.Problems
	wrong := func(path, format string, args ...any) {
		mistakes = append(mistakes, c.document.Locate(path, fmt.Sprintf(format, args...)))
	}
	if c.Expect.Empty() && !update {
		wrong("expect", "a case without expect holds whatever comes out: say what is to come, or let waybill test --update write it")
	}
	options := c.plan.Options()
	switch {
	case c.Rows == nil && options.Query != nil:
		wrong("input", "job %s works the rows of its query: say rows", c.job)
		return mistakes
	case c.Input == nil && options.Query == nil:
		wrong("rows", "job %s works files: say input", c.job)
		return mistakes
	case c.Rows != nil:
		c.bytes = c.bring(c.Rows, "rows", wrong)
		return mistakes
	}
	c.bytes = c.bring(c.Input, "input", wrong)
	c.bringBeside(wrong)
	if _, known := l.jobs.Partners[c.Partner]; c.Partner != "" && !known {
		wrong("partner", "there is no partner %s, %s", c.Partner, config.Suggest(c.Partner, sorted(l.jobs.Partners), "partners"))
	}
	if r := options.Receive; r != nil && !c.plan.Takes(r.Source, c.inputName()) && !c.plan.Drains(r.Source, c.inputName()) {
		wrong("input", "job %s does not take the name %s: it takes %s; say input.name", c.job, ledger.Shown(c.inputName()), strings.Join(r.Files, ", "))
	}
	return mistakes
}

// bring reads what goes in.
func (c *caseFile) bring(i *cases.Input, path string, wrong func(path, format string, args ...any)) []byte {
	if i.Text != nil {
		return []byte(*i.Text)
	}
	name := i.File
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(c.path), name)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		wrong(path, "%v", err)
		return nil
	case !info.Mode().IsRegular():
		wrong(path, "%s is not a regular file", name)
		return nil
	case info.Size() > inputMost:
		wrong(path, "%s has more than 64 MiB: a case needs only some records", name)
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		wrong(path, "%v", err)
	}
	return text
}

// inputName is what the file is called when it comes in.
func (c *caseFile) inputName() string {
	i := c.Input
	if i == nil {
		i = c.Rows
	}
	switch {
	case i.Name != "":
		return i.Name
	case i.File != "":
		return filepath.Base(i.File)
	}
	return c.stem + ".txt"
}

// sample is the file that comes in.
func (c *caseFile) sample() sample {
	return sample{name: c.inputName(), bytes: bytes.NewReader(c.bytes), size: int64(len(c.bytes)), modTime: c.At.Or(), partner: c.Partner}
}
