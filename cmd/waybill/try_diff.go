package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"waybill/jobs"
	"waybill/jobs/cases"
)

// comparedMost is how many messages of two trials are compared.
const comparedMost = 1000

// compareTrial prints what differs from an earlier outcome. With --diff this one is kept for the next time.
func (p *program) compareTrial(o tryOptions, now *jobs.Trial) error {
	name := o.against
	if o.diff {
		var err error
		if name, err = p.trialFile(o); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(name)
	var before jobs.Trial
	switch {
	case o.diff && (errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(text, &before) != nil):
		fmt.Fprintln(p.diag, "waybill: this is the first time: there is nothing to compare with yet")
		err = p.trial(p.limited(*now, o.limit))
	case err != nil:
		return exit{exitUsage, err}
	case o.diff || json.Unmarshal(text, &before) == nil:
		err = p.changes(cases.Compare(&before, now))
	default: // what try had printed for a person
		err = p.textChanges(o, text, now)
	}
	if err != nil || !o.diff {
		return err
	}
	return keepTrial(name, now)
}

// limited is a trial with no more messages than are to be shown.
func (p *program) limited(t jobs.Trial, most int) jobs.Trial {
	if hidden := len(t.Shown) - most; hidden > 0 {
		t.Shown = t.Shown[:most]
		if int64(most+hidden) == t.Messages { // else it is said already
			t.Findings = append(t.Findings, fmt.Sprintf("messages not shown: %d", hidden))
		}
	}
	return t
}

// textChanges compares two trials as they are printed.
func (p *program) textChanges(o tryOptions, before []byte, now *jobs.Trial) error {
	var b bytes.Buffer
	to := *p
	to.out = &b
	if err := to.trial(p.limited(*now, o.limit)); err != nil {
		return err
	}
	if bytes.Equal(before, b.Bytes()) {
		_, err := fmt.Fprintln(p.out, "nothing differs")
		return err
	}
	_, err := p.out.Write(diff.Diff(o.against, before, "now", b.Bytes()))
	return err
}

// changes prints what differs, one subject after the other.
func (p *program) changes(list []cases.Change) error {
	if p.json {
		for _, c := range list {
			if err := p.print(c); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(p.out, "nothing differs")
		return err
	}
	for n, c := range list {
		if n > 0 {
			fmt.Fprintln(p.out)
		}
		what := ""
		switch {
		case c.New:
			what = ", new"
		case c.Gone:
			what = ", gone"
		}
		if c.Subject != "" {
			fmt.Fprintf(p.out, "%s%s\n", shown(c.Subject, 300), what)
		} else {
			fmt.Fprintln(p.out, "outcome")
		}
		for _, d := range c.Differences {
			p.difference(d, "  ")
		}
	}
	return nil
}

// difference prints one thing that is not as expected, or as it was.
func (p *program) difference(d cases.Difference, margin string) {
	fmt.Fprintf(p.out, "%s%s\n", margin, shown(d.Path, 300))
	side := func(mark string, text *string) {
		if text == nil {
			return
		}
		for line := range strings.Lines(*text) {
			fmt.Fprintf(p.out, "%s  %s %s\n", margin, mark, short(safe(strings.TrimRight(line, "\r\n")), 2000))
		}
		if *text == "" {
			fmt.Fprintf(p.out, "%s  %s \"\"\n", margin, mark)
		}
	}
	side("-", d.Want)
	side("+", d.Got)
	if d.Note != "" {
		fmt.Fprintf(p.out, "%s  (%s)\n", margin, safe(short(d.Note, 500)))
	}
}

func keepTrial(name string, t *jobs.Trial) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("keep the trial: %w", err)
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
	sum := sha256.Sum256([]byte(strings.Join(append(parts, o.job, o.at, o.partner), "\x00")))
	return filepath.Join(cache, "waybill", "try", hex.EncodeToString(sum[:16])), nil
}
