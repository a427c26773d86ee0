package main

import (
	"context"
	"errors"
	"fmt"
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
