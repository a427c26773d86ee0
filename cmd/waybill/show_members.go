package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"waybill/ledger"
)

// family adds the archive that a file came in, and the files that came in an archive.
func (i *instance) family(ctx context.Context, w *way, f ledger.File) error {
	if f.Parent != 0 {
		parent, err := i.ledger.Entry(ctx, f.Parent)
		if err == nil {
			v := viewOf(parent)
			w.Parent = &v
		}
		if err != nil && !errors.Is(err, ledger.ErrNotFound) { // else retention has removed it
			return err
		}
		return nil
	}
	members, err := i.ledger.Members(ctx, w.entry)
	for _, m := range members {
		w.Members = append(w.Members, viewOf(m))
	}
	return err
}

// besides adds what belongs to the file.
func (i *instance) besides(ctx context.Context, w *way) error {
	list, err := i.ledger.Companions(ctx, w.entry)
	for role, f := range list {
		if w.Beside == nil {
			w.Beside = map[string]*fileView{}
		}
		w.Beside[role] = viewOfFile(f, folderOf(i.p.configured(ctx, i.db.Folder()), f.Source))
	}
	return err
}

func (p *program) wayBeside(w *way, line func(name, format string, args ...any)) {
	for _, role := range slices.Sorted(maps.Keys(w.Beside)) {
		f := w.Beside[role]
		line(role, "%s, %s, sha256 %s", f.Path, count(f.Size, "byte"), f.SHA256)
	}
}

// membersShown is how many members of an archive are shown to a person.
const membersShown = 50

func (p *program) wayMembers(w *way) error {
	if len(w.Members) == 0 {
		return nil
	}
	fmt.Fprintf(p.out, "\nmembers\n")
	rows := [][]string{{"  ENTRY", "FILE", "STATE", "RECORDS", "REASON"}}
	for _, m := range w.Members[:min(len(w.Members), membersShown)] {
		rows = append(rows, []string{fmt.Sprintf("  #%d", m.Entry), shown2(strings.TrimPrefix(m.Name, w.entry.Name+"/")), m.State,
			strconv.FormatInt(m.Records, 10), safe(short(m.Reason, 200))})
	}
	if err := p.table(rows); err != nil {
		return err
	}
	if hidden := len(w.Members) - membersShown; hidden > 0 {
		fmt.Fprintf(p.out, "  (%d more; --json shows them)\n", hidden)
	}
	return nil
}

// namesakes finds the rejected file in whose place one came, and the one that came in place of a rejected one: a name that is dropped again, mended or not.
func (i *instance) namesakes(ctx context.Context, w *way) error {
	if w.entry.Origin != 0 {
		return nil
	}
	before, after, err := i.ledger.Around(ctx, w.Entry)
	if err != nil {
		return err
	}
	if w.entry.State == ledger.Rejected {
		w.CorrectedBy = after
	}
	if before == 0 {
		return nil
	}
	e, err := i.ledger.Entry(ctx, before)
	if err == nil && e.State == ledger.Rejected {
		w.Corrects = before
	}
	return err
}
