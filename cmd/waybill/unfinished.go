package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/config"
	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/sftpd"
)

// accounts are those of all partners, by name. Mistakes are not told here: they keep nobody from looking.
func (p *program) accounts(c *config.Config) []*sftpd.Account {
	b := &builder{c: c, now: p.now, out: &landscape{config: c}}
	b.partners()
	list := b.out.roster.Accounts()
	slices.SortFunc(list, func(a, b *sftpd.Account) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// mailboxesIn is where the mailboxes of partners lie in a data folder.
func mailboxesIn(data string) string { return filepath.Join(data, "mailboxes") }

// unfinished adds what partners have begun to upload and not finished, and what lies in mailboxes of those who are gone. It looks for itself: there is nothing to ask the daemon for.
func (i *instance) unfinished(ctx context.Context, s *statusView, c *config.Config) {
	if c == nil {
		return
	}
	accounts := i.p.accounts(c)
	var err error
	if s.Unfinished, err = sftpd.SumUp(ctx, mailboxesIn(s.Data), accounts); err != nil {
		s.Troubles = append(s.Troubles, "not all unfinished uploads are shown: "+err.Error())
	}
	left, err := sftpd.LeftOver(ctx, mailboxesIn(s.Data), accounts)
	if err != nil {
		s.Troubles = append(s.Troubles, "not all mailboxes that are left are shown: "+err.Error())
	}
	s.Left = slices.DeleteFunc(left, func(l sftpd.Left) bool { return l.Files == 0 })
}

// statusLeft prints the mailboxes of those who are no partners any more.
func (p *program) statusLeft(list []sftpd.Left) {
	for _, l := range list {
		fmt.Fprintf(p.out, "\n%s is no partner any more, but %s (%s) lie in the mailbox: not picked up, or not finished; configure the partner again, or remove %s\n",
			safe(l.Partner), count(l.Files, "file"), count(l.Bytes, "byte"), safe(l.Folder))
	}
}

// statusUnfinished prints what partners have not finished.
func (p *program) statusUnfinished(list []sftpd.Unfinished) error {
	if len(list) == 0 {
		return nil
	}
	rows := [][]string{{"\nPARTNER", "UNFINISHED UPLOADS", "BYTES", "OLDEST"}}
	for _, u := range list {
		rows = append(rows, []string{u.Partner, strconv.Itoa(u.Count), strconv.FormatInt(u.Bytes, 10), clock(u.Oldest)})
	}
	return p.table(rows)
}

// A partView is an unfinished upload, as --json shows it.
type partView struct {
	Partner string    `json:"partner"`
	Path    string    `json:"path"` // in the mailbox, escaped
	Size    int64     `json:"size"`
	Changed time.Time `json:"changed"` // nothing came since
	Closed  bool      `json:"closed"`  // by the partner's program, under a temporary name: it is to be renamed
	Expires time.Time `json:"expires"`
}

// parts are the unfinished uploads of a name: the name of the file, with what clients hang on it while they upload or without, or its path in the mailbox,
// or that below the partner's name.
func (i *instance) parts(ctx context.Context, l *landscape, name string) (list []partView, err error) {
	for _, a := range i.p.accounts(l.config) {
		err := sftpd.EachPart(ctx, mailboxesIn(i.db.Folder()), a, func(p sftpd.Part) {
			if isPart(p, name) {
				list = append(list, partView{p.Partner, ledger.Shown(p.Path), p.Size, p.Changed, p.Whole, p.Expires()})
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func isPart(p sftpd.Part, name string) bool {
	name = strings.TrimPrefix(name, "/")
	full := path.Join(p.Partner, p.Path)
	return matches(full, name) || watcher.Ignored(full) && matches(strings.TrimSuffix(full, path.Ext(full)), name)
}

// matches reports whether name is the end of a path.
func matches(full, name string) bool { return full == name || strings.HasSuffix(full, "/"+name) }

// text tells a person of it.
func (v *partView) text() string {
	state := "not closed"
	if v.Closed {
		state = "closed, waits to be renamed"
	}
	return fmt.Sprintf("unfinished, of %s: %s, nothing came since %s, %s; given up at %s unless it is gone on with",
		safe(v.Partner), count(v.Size, "byte"), clock(v.Changed), state, clock(v.Expires))
}
