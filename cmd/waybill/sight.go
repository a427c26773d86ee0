package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"waybill/config"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/local"
	"waybill/watcher/sftpd"
)

// look finds the file in the folders of the sources and asks the rules about it.
func (i *instance) look(ctx context.Context, l *landscape, t *told, name string) (list []sighting, err error) {
	for _, item := range l.config.Sources {
		o, ok := item.Options.(*local.Options)
		if m, mailbox := item.Options.(*sftpd.Mailboxes); mailbox {
			list = append(list, i.uploading(l, item.Name, m, name)...)
		}
		if !ok {
			continue
		}
		below := name
		if strings.Contains(name, "/") {
			full, err := filepath.Abs(name)
			if err != nil {
				return nil, err
			}
			below, err = filepath.Rel(absolute(l.config, o.Path), full)
			if err != nil || below == ".." || strings.HasPrefix(below, "../") {
				continue
			}
		}
		s, found, err := i.sight(ctx, l, t, item, filepath.ToSlash(below))
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, s)
		}
	}
	return list, nil
}

// sight has a watcher of the source look at one file only, so that the rules are the daemon's own.
func (i *instance) sight(ctx context.Context, l *landscape, t *told, item config.Item, name string) (s sighting, found bool, err error) {
	log := slog.New(slog.DiscardHandler)
	src, err := l.source(item, nil, i.p.now, log)
	if err != nil {
		return s, false, err
	}
	one, ok := src.(lookable)
	if !ok {
		return s, false, nil
	}
	s = sighting{Source: item.Name, Path: ledger.Shown(name), path: name}
	if _, err := one.Stat(ctx, name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return s, false, nil
		}
		s.Rule = "cannot be looked at: " + err.Error()
		return s, true, nil
	}
	if watcher.Ignored(name) {
		s.Rule = "ignored: hidden files, and names that say that they are temporary, are never taken; rename it"
		return s, true, nil
	}
	if rule := ofFolder(item.Options.(*local.Options), name); rule != "" {
		s.Rule = rule
		return s, true, nil
	}
	asked := &asked{ledger: i.ledger, told: t}
	wanted := func(path string) bool { return l.takes(item, path) }
	w := watcher.New(item.Name, &onlyOne{one, name}, asked, nothingToClose{}, watcher.Options{Companions: l.companions(item.Name), Wanted: wanted, Now: i.p.now, Log: log})
	if err := w.ScanOnce(ctx); err != nil {
		s.Rule = "cannot be looked at: " + err.Error()
		return s, true, nil
	}
	s.Rule, s.Until = l.drained(item, name, asked.rule), asked.until
	if s.Rule == "" {
		s.Rule = "it is the companion of other files: it stays as long as they do, and is never taken itself"
	}
	if asked.digest != nil {
		s.SHA256 = hex.EncodeToString(asked.digest)
		s.same, err = i.ledger.Same(ctx, asked.digest)
		for _, e := range s.same {
			s.Same = append(s.Same, viewOf(e))
		}
	}
	return s, true, err
}

// takes reports whether a job takes a file of a source now.
func (l *landscape) takes(item config.Item, path string) bool {
	return !item.Common.(*watcher.Settings).Drain && slices.ContainsFunc(l.jobs.Plans, func(p *jobs.Plan) bool { return p.Wants(item.Name, path) })
}

// drained says more of a name that no job takes: which would, if it or the source did not drain.
func (l *landscape) drained(item config.Item, path, rule string) string {
	if rule != ledger.NoJob {
		return rule
	}
	for _, p := range l.jobs.Plans {
		switch {
		case p.Drains(item.Name, path):
			return fmt.Sprintf("job %s would take it, but drains: it takes nothing new (drain: true)", p.Name())
		case p.Wants(item.Name, path):
			return fmt.Sprintf("job %s would take it, but source %s drains: nothing new is taken from it (drain: true)", p.Name(), item.Name)
		}
	}
	return rule
}

// ofFolder is the rule of a folder below the source that keeps a file from being taken, "" when there is none.
func ofFolder(o *local.Options, name string) string {
	first, _, below := strings.Cut(name, "/")
	switch {
	case !below:
	case first == string(watcher.Done) || first == string(watcher.Failed):
		return "nothing in " + first + "/ is taken: waybill moves there what it is done with"
	case !o.Recursive:
		return "it lies in a folder below the source, which looks only at its own: move it up, or say recursive: true"
	}
	return ""
}

// lookable is a source that can look at one file.
type lookable interface {
	watcher.Source
	watcher.Stater
}

// onlyOne is a source in which there is only one file.
type onlyOne struct {
	lookable
	path string
}

func (o *onlyOne) List(ctx context.Context) iter.Seq2[watcher.File, error] {
	return func(yield func(watcher.File, error) bool) { yield(o.Stat(ctx, o.path)) }
}

// asked is an intake that keeps nothing but what it is told.
type asked struct {
	ledger *ledger.Ledger
	told   *told
	rule   string
	until  time.Time
	digest []byte
}

func (a *asked) Land(_ context.Context, _ ledger.Arrival, r io.Reader) (ledger.File, []ledger.Entry, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return ledger.File{}, nil, err
	}
	a.digest = sum.Sum(nil)
	rule := "nothing holds it: it is complete, and is taken at the daemon's next look"
	switch {
	case a.told.serves() && len(a.told.troubles) > 0:
		rule = "nothing holds it: it is complete; but " + a.told.troubles[0]
	case !a.told.serves():
		rule = "nothing holds it: it is complete; but no daemon is at work: it is taken once waybill serve runs"
	}
	a.rule = cmp.Or(a.rule, rule)
	return ledger.File{}, nil, nil
}

func (a *asked) Unknown(ctx context.Context, source string, seen []ledger.Arrival) ([]ledger.Arrival, error) {
	for _, arrival := range seen {
		list, err := a.ledger.Why(ctx, arrival.Path)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			f := s.File
			if f.Source == source && f.Path == arrival.Path && f.Version == arrival.Version && f.State != ledger.FileSeen && len(s.Entries) > 0 {
				a.rule = "it has been taken already: this very version of it is in the ledger"
				if f.State == ledger.FileClosed {
					a.rule += ", and is " + whereOf(f, "")
				}
				return nil, nil
			}
		}
	}
	return seen, nil
}

func (a *asked) Waiting(_ context.Context, _ string, notes []ledger.Waiting) error {
	for _, n := range notes {
		a.rule, a.until = n.Reason, n.Until
	}
	return nil
}

// nothingToClose is an archive without files.
type nothingToClose struct{}

func (nothingToClose) Closable(context.Context, string, int) ([]ledger.Closable, error) {
	return nil, nil
}
func (nothingToClose) Closed(context.Context, []ledger.ClosedFile) error { return nil }
