package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/ledger"
	"waybill/watcher/local"
	"waybill/watcher/sftp"
)

func (p *program) why() *cobra.Command {
	return &cobra.Command{
		Use:   "why FILE",
		Short: "Say which rule holds a file, and until when",
		Long: `Says where a file stands: what the ledger knows of it, and, where it still lies in the folder of a source, which rule keeps it from being
taken now: an ignored name, no job that takes it, a companion that is missing, somebody who still writes it. An upload that a partner has not finished is
shown with its size, and when it is given up. FILE is a path, or only its name.`,
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
	Waits   []string    `json:"waits,omitempty"`  // what messages of its entries wait for
	Now     *sighting   `json:"now,omitempty"`    // left out: it does not lie in a source now
	Part    *partView   `json:"upload,omitempty"` // left out: it is no unfinished upload
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
	t, err := i.told(ctx)
	if err != nil {
		return err
	}
	for _, text := range t.troubles {
		fmt.Fprintf(i.p.diag, "waybill: %s\n", text)
	}
	views, entries, err := i.known(ctx, l, t, name)
	if err != nil {
		return err
	}
	sightings, err := i.look(ctx, l, t, name)
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
	parts, err := i.parts(ctx, l, name)
	if err != nil {
		return err
	}
	for n := range parts {
		views, entries = append(views, whyView{Part: &parts[n]}), append(entries, nil)
	}
	if len(views) == 0 {
		return fmt.Errorf("nothing is known of %s: it lies in no folder of a source here, and none of this name was seen (sources: %s)", ledger.Shown(name), folders(l, t))
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
func (i *instance) known(ctx context.Context, l *landscape, t *told, name string) (views []whyView, entries [][]ledger.Entry, err error) {
	full := name
	if strings.Contains(name, "/") {
		if full, err = filepath.Abs(name); err != nil {
			return nil, nil, err
		}
	}
	list, err := i.ledger.Why(ctx, full)
	for _, s := range list {
		v := whyView{File: viewOfFile(s.File, folderOf(l.config, s.File.Source)), Until: s.File.Until}
		v.Says = l.says(s, v.File.Where)
		for _, e := range s.Entries {
			v.Entries = append(v.Entries, viewOf(e))
			if e.State != ledger.Accepted {
				continue
			}
			waits, err := i.awaits(ctx, t, e.ID)
			if err != nil {
				return nil, nil, err
			}
			members, err := i.ledger.Members(ctx, e)
			if err != nil {
				return nil, nil, err
			}
			v.Waits = append(append(v.Waits, waits...), waitsForMembers(members)...)
		}
		views, entries = append(views, v), append(entries, s.Entries)
	}
	return views, entries, err
}

// waitsForMembers says which files of an archive have not come to their end.
func waitsForMembers(members []ledger.Entry) (list []string) {
	open, first := 0, ledger.Entry{}
	for _, m := range members {
		switch m.State {
		case ledger.Held, ledger.Received, ledger.Working, ledger.Accepted:
			if open++; open == 1 {
				first = m
			}
		}
	}
	if open > 0 {
		list = append(list, fmt.Sprintf("for %d of %s; the first is #%d, %s: %s%s", open, count(int64(len(members)), "member"), first.ID, shown2(first.Name), first.State, nextOfEntry(first)))
	}
	return list
}

// says is what the ledger says of a file, with where it is now, and without the time, which is shown as other times are.
func (l *landscape) says(s ledger.Standing, where string) string {
	f := s.File
	item := config.Find(l.config.Sources, f.Source)
	switch {
	case f.State == ledger.FileClosed && f.Reason != ledger.NoJob:
		return "closed: " + where
	case f.State == ledger.FileClosable:
		return "done with: " + where
	case f.State == ledger.FileSeen && item != nil:
		return "not taken yet: " + l.drained(*item, f.Path, f.Reason)
	}
	text, _, _ := strings.Cut(s.Says, ", to be looked at again by ")
	return text
}

// folders names the sources, with what is the matter with them.
func folders(l *landscape, t *told) string {
	var list []string
	for _, item := range l.config.Sources {
		text := item.Name
		switch o := item.Options.(type) {
		case *local.Options:
			text += " " + absolute(l.config, o.Path)
		case *sftp.Options:
			text += ", on " + o.Address + ", which only the daemon looks at"
		}
		if trouble := t.sources[item.Name].Error; trouble != "" {
			text += ", with trouble: " + shown(trouble, 2000)
		}
		list = append(list, text)
	}
	return cmp.Or(strings.Join(list, "; "), "none")
}

// whyText tells a person.
func (p *program) whyText(v whyView, entries []ledger.Entry, paused map[string]string) error {
	name := ""
	switch {
	case v.File != nil:
		name = v.File.Source + "/" + v.File.Path
	case v.Part != nil:
		_, err := fmt.Fprintf(p.out, "%s/%s\n  %-12s%s\n", safe(v.Part.Partner), v.Part.Path, "upload", v.Part.text())
		return err
	default:
		name = path.Join(v.Now.Source, v.Now.Path)
	}
	fmt.Fprintf(p.out, "%s\n", name)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(p.out, "  %-12s%s\n", what, fmt.Sprintf(format, args...))
	}
	if v.File == nil {
		line("ledger", "has not seen it")
	} else {
		line("ledger", "%s%s", safe(v.Says), p.again(v.Until))
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
	for _, text := range v.Waits {
		line("waits", "%s", text)
	}
	s := v.Now
	if s == nil {
		return nil
	}
	line("now", "it lies in the folder of %s; %s%s", s.Source, safe(s.Rule), p.again(s.Until))
	for _, e := range s.same {
		line("same bytes", "#%d, %s, %s: %s", e.ID, e.Job, shown2(e.Name), e.State)
	}
	return nil
}

// again says when a file is looked at again, if that is still to come.
func (p *program) again(until time.Time) string {
	if !until.After(p.now()) {
		return ""
	}
	return "; looked at again by " + clock(until)
}

// nextOfEntry says what a person can do about an entry.
func nextOfEntry(e ledger.Entry) string {
	switch e.State {
	case ledger.Held:
		if e.Hold == ledger.HoldFiles {
			return fmt.Sprintf(" (it goes on by itself when that has come, waybill cancel %d ends it)", e.ID)
		}
		return fmt.Sprintf(" (waybill approve %d lets it go on, waybill cancel %d ends it)", e.ID, e.ID)
	case ledger.Rejected, ledger.Failed:
		return fmt.Sprintf(" (waybill show %d tells why)", e.ID)
	case ledger.Duplicate:
		return fmt.Sprintf(" (waybill replay %d sends it all the same)", e.Twin)
	}
	return ""
}
