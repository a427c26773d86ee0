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
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/local"
)

func (p *program) why() *cobra.Command {
	return &cobra.Command{
		Use:   "why FILE",
		Short: "Say which rule holds a file, and until when",
		Long: `Says where a file stands: what the ledger knows of it, and, where it still lies in the folder of a source, which rule keeps it from being
taken now: an ignored name, no job that takes it, a companion that is missing, somebody who still writes it. FILE is a path, or only its name.`,
		Example: "  waybill why orders_1.csv\n  waybill why /srv/drop/accounts/orders_1.csv",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			i, l, err := p.acting(c.Context())
			if err != nil {
				return err
			}
			defer func() { _, _ = i.close(), l.close() }() // only read
			return i.why(c.Context(), l, list[0])
		},
	}
}

// A whyView is what is known of a file, as --json shows it.
type whyView struct {
	File    *fileView   `json:"file,omitempty"` // left out: the ledger has not seen it
	Says    string      `json:"says,omitempty"` // what the ledger says of it
	Until   time.Time   `json:"until,omitzero"`
	Entries []entryView `json:"entries,omitempty"`
	Now     *sighting   `json:"now,omitempty"` // left out: it does not lie in a source now
}

// A sighting is a file that lies in a source now.
type sighting struct {
	Source string      `json:"source"`
	Path   string      `json:"path"` // escaped
	Rule   string      `json:"rule"` // what holds it
	Until  time.Time   `json:"until,omitzero"`
	SHA256 string      `json:"sha256,omitempty"`
	Same   []entryView `json:"same,omitempty"` // entries of files with the same bytes
	path   string
	same   []ledger.Entry
}

func (i *instance) why(ctx context.Context, l *landscape, name string) error {
	views, entries, err := i.known(ctx, name)
	if err != nil {
		return err
	}
	sightings, err := i.look(ctx, l, name)
	if err != nil {
		return err
	}
	paused, err := i.paused(ctx)
	if err != nil {
		return err
	}
	for n := range sightings {
		s := &sightings[n]
		if why, yes := paused["source/"+s.Source]; yes {
			s.Rule = fmt.Sprintf("source %s is paused: %s; waybill resume source/%s; then: %s", s.Source, why, s.Source, s.Rule)
		}
		at := -1
		for k, v := range views {
			if at < 0 && v.File != nil && v.File.Source == s.Source && v.File.Path == s.Path && v.Now == nil {
				at = k
			}
		}
		if at < 0 {
			views, entries = append(views, whyView{}), append(entries, nil)
			at = len(views) - 1
		}
		views[at].Now = s
	}
	if len(views) == 0 {
		return fmt.Errorf("nothing is known of %s: it lies in no folder of a source, and none of this name was seen (sources: %s)", ledger.Shown(name), folders(l))
	}
	for n, v := range views {
		if i.p.json {
			err = i.p.print(v)
		} else {
			err = i.p.whyText(v, entries[n], paused)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// paused is everything that is paused, and why.
func (i *instance) paused(ctx context.Context) (map[string]string, error) {
	all, err := i.ledger.AllPaused(ctx)
	m := map[string]string{}
	for _, p := range all {
		m[p.Subject] = p.Why
	}
	return m, err
}

// known is what the ledger says of a name.
func (i *instance) known(ctx context.Context, name string) (views []whyView, entries [][]ledger.Entry, err error) {
	full := name
	if strings.Contains(name, "/") {
		if full, err = filepath.Abs(name); err != nil {
			return nil, nil, err
		}
	}
	list, err := i.ledger.Why(ctx, full)
	for _, s := range list {
		v := whyView{File: viewOfFile(s.File), Says: s.Says, Until: s.File.Until}
		for _, e := range s.Entries {
			v.Entries = append(v.Entries, viewOf(e))
		}
		views, entries = append(views, v), append(entries, s.Entries)
	}
	return views, entries, err
}

func folders(l *landscape) string {
	var list []string
	for _, item := range l.config.Sources {
		list = append(list, item.Name)
		if o, ok := item.Options.(*local.Options); ok {
			list[len(list)-1] += " " + absolute(l.config, o.Path)
		}
	}
	return cmp.Or(strings.Join(list, ", "), "none")
}

// look finds the file in the folders of the sources and asks the rules about it.
func (i *instance) look(ctx context.Context, l *landscape, name string) (list []sighting, err error) {
	for _, item := range l.config.Sources {
		o, ok := item.Options.(*local.Options)
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
		s, found, err := i.sight(ctx, l, item, filepath.ToSlash(below))
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
func (i *instance) sight(ctx context.Context, l *landscape, item config.Item, name string) (s sighting, found bool, err error) {
	log := slog.New(slog.DiscardHandler)
	src, err := l.source(item, i.p.now, log)
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
	wanted := func(path string) bool {
		for _, p := range l.jobs.Plans {
			if p.Takes(item.Name, path) {
				return true
			}
		}
		return false
	}
	if rule := ofFolder(item.Options.(*local.Options), name); rule != "" {
		s.Rule = rule
		return s, true, nil
	}
	asked := &asked{ledger: i.ledger}
	w := watcher.New(item.Name, &onlyOne{one, name}, asked, nothingToClose{}, watcher.Options{Companions: l.companions(item.Name), Wanted: wanted, Now: i.p.now, Log: log})
	if err := w.ScanOnce(ctx); err != nil {
		s.Rule = "cannot be looked at: " + err.Error()
		return s, true, nil
	}
	s.Rule, s.Until = asked.rule, asked.until
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
	a.rule = cmp.Or(a.rule, "nothing holds it: it is complete, and is taken at the daemon's next look")
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
					a.rule += ", and " + whereOf(f)
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

// whyText tells a person.
func (p *program) whyText(v whyView, entries []ledger.Entry, paused map[string]string) error {
	name := ""
	if v.File != nil {
		name = v.File.Source + "/" + v.File.Path
	} else {
		name = path.Join(v.Now.Source, v.Now.Path)
	}
	fmt.Fprintf(p.out, "%s\n", name)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(p.out, "  %-12s%s\n", what, fmt.Sprintf(format, args...))
	}
	if v.File == nil {
		line("ledger", "has not seen it")
	} else {
		line("ledger", "%s", safe(v.Says))
		line("seen", "%s, %s, changed %s", clock(v.File.Seen), count(v.File.Size, "byte"), clock(v.File.Modified))
	}
	for _, e := range entries {
		text := fmt.Sprintf("#%d, %s: %s", e.ID, e.Job, e.State)
		if reason := reasonOf(e); reason != "" {
			text += ", " + safe(short(reason, 300))
		}
		if why, yes := paused["job/"+e.Job]; yes && e.State == ledger.Received {
			text += fmt.Sprintf("; job %s is paused: %s; waybill resume job/%s", e.Job, safe(short(why, 200)), e.Job)
		}
		line("entry", "%s%s", text, nextOfEntry(e))
	}
	s := v.Now
	if s == nil {
		return nil
	}
	until := ""
	if !s.Until.IsZero() {
		until = "; looked at again by " + clock(s.Until)
	}
	line("now", "it lies in the folder of %s; %s%s", s.Source, safe(s.Rule), until)
	for _, e := range s.same {
		line("same bytes", "#%d, %s, %s: %s", e.ID, e.Job, shown2(e.Name), e.State)
	}
	return nil
}

// nextOfEntry says what a person can do about an entry.
func nextOfEntry(e ledger.Entry) string {
	switch e.State {
	case ledger.Held:
		return fmt.Sprintf(" (waybill approve %d lets it go on, waybill cancel %d ends it)", e.ID, e.ID)
	case ledger.Rejected, ledger.Failed:
		return fmt.Sprintf(" (waybill show %d tells why)", e.ID)
	case ledger.Duplicate:
		return fmt.Sprintf(" (waybill replay %d sends it all the same)", e.Twin)
	}
	return ""
}
