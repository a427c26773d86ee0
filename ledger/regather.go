package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"waybill/spool"
	"waybill/store"
)

// Regather looks at every entry that waits for files which belong to it as the jobs of now see them: to be called once they are in force. An entry whose files have all come by
// now goes on; a file that is no part of it any more lies there as one that no job takes; entries that wait for the same, as those of a job that took over another one's, become one.
// An entry of which no file is wanted is cancelled. Those of jobs that wanted says no of, which are not in force or take nothing new, are left. It tells what it has changed, as it is then, and may be repeated.
func (l *Ledger) Regather(ctx context.Context, wanted func(job string) bool, tell func(Entry)) error {
	now := l.clock()
	for _, pass := range []func(*store.Tx, time.Time, Entry) (bool, error){l.rekey, l.regather} {
		for after := int64(0); ; {
			var page []int64
			var done []Entry
			err := l.db.Tx(ctx, func(tx *store.Tx) (err error) {
				page, done, err = l.regatherPage(tx, now, after, wanted, pass)
				return err
			})
			if err != nil {
				return fmt.Errorf("look at what waits for files: %w", err)
			}
			for _, e := range done {
				tell(e)
			}
			if len(page) < setSize {
				break
			}
			after = page[len(page)-1]
		}
	}
	return nil
}

func (l *Ledger) regatherPage(tx *store.Tx, now time.Time, after int64, wanted func(job string) bool, pass func(*store.Tx, time.Time, Entry) (bool, error)) (page []int64, done []Entry, err error) {
	page, err = collect(tx, scanID, `SELECT entry FROM incomplete WHERE entry > ? ORDER BY entry LIMIT ?`, after, setSize)
	for _, id := range page {
		e, err := entryByID(tx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if e.State != Held || !wanted(e.Job) { // one of this page may have joined another
			continue
		}
		changed, err := pass(tx, now, e)
		if err != nil {
			return nil, nil, fmt.Errorf("#%d: %w", id, err)
		}
		if !changed {
			continue
		}
		if e, err = entryByID(tx, id); err != nil {
			return nil, nil, err
		}
		done = append(done, e)
	}
	return page, done, err
}

// A gathering is an entry that waits for files, as its job sees it now.
type gathering struct {
	set
	policy Policy // of the file that is worked, else of the first
	key    []byte
	parted []File // no part of it any more
	moved  bool   // a file has another role than it had
}

// gathered looks up what has come of an entry; not ok when nothing of it is wanted.
func (l *Ledger) gathered(tx *store.Tx, e Entry) (g gathering, ok bool, err error) {
	files, err := filesOfSet(tx, e)
	if err != nil {
		return g, false, err
	}
	g.entry, g.have = e, map[string]File{}
	for _, was := range slices.Sorted(maps.Keys(files)) { // the one that is worked has the role "", and is the first
		f := files[was]
		p, takes := l.policyOf(e, f)
		role, key := "", []byte(nil)
		if p.Together != nil {
			role, key = p.Together.Role, l.setOf(p.Together, Arrival{Source: f.Source, Partner: f.Partner, Trial: f.Trial})
		}
		_, again := g.have[role]
		if !takes || again || ok && string(key) != string(g.key) {
			g.parted = append(g.parted, f)
			continue
		}
		if !ok || role == "" {
			g.policy, g.key = p, key
		}
		g.have[role], ok = f, true
		g.moved = g.moved || role != was
	}
	if t := g.policy.Together; t != nil {
		for _, n := range t.Needs {
			if _, come := g.have[n.Role]; !come {
				g.missing = append(g.missing, n)
			}
		}
	}
	return g, ok, nil
}

// rekey gives an entry a key of its own that does not stand where it is to stand now, so that the next pass finds all places free but those that stay.
func (l *Ledger) rekey(tx *store.Tx, _ time.Time, e Entry) (bool, error) {
	g, ok, err := l.gathered(tx, e)
	if err != nil || !ok || g.key == nil {
		return false, err
	}
	_, err = tx.Exec(`UPDATE incomplete SET job = `+ofJob+`, key = ? WHERE entry = ? AND (job <> `+ofJob+` OR key <> ?)`, e.Job, fmt.Appendf(nil, "%x#%d", g.key, e.ID), e.ID, e.Job, g.key)
	return false, err
}

// regather brings one entry to what its job says of its files now.
func (l *Ledger) regather(tx *store.Tx, now time.Time, e Entry) (changed bool, err error) {
	g, ok, err := l.gathered(tx, e)
	if err != nil {
		return false, err
	}
	if !ok {
		return true, l.endWhole(tx, now, e, Cancelled, "no job takes its files together any more")
	}
	if len(g.parted) > 0 || g.moved {
		if err := rewriteParts(tx, &g); err != nil {
			return false, err
		}
		if g.entry, err = entryByID(tx, e.ID); err != nil { // it may have another file by now
			return false, err
		}
	}
	if changed, err = l.goOn(tx, now, &g); err != nil {
		return false, err
	}
	return changed, l.partAll(tx, now, e, g.parted) // once the entry stands where it belongs, for they may belong there as something else
}

// goOn has an entry wait for what is missing now, together with any other one that waits for the same, or lets it go on.
func (l *Ledger) goOn(tx *store.Tx, now time.Time, g *gathering) (changed bool, err error) {
	if len(g.missing) == 0 {
		return true, l.completeNow(tx, now, g)
	}
	other, err := l.place(tx, g)
	if err != nil {
		return false, err
	}
	if other != 0 {
		return true, l.merge(tx, now, g, other)
	}
	reason := waitsFor(g.missing)
	if len(g.parted) == 0 && !g.moved && reason == g.entry.Reason {
		return false, nil
	}
	_, err = tx.Exec(`UPDATE entries SET reason = ? WHERE id = ?`, reason, g.entry.ID)
	return true, err
}

// completeNow lets an entry go on that waits for nothing any more.
func (l *Ledger) completeNow(tx *store.Tx, now time.Time, g *gathering) error {
	lead, digests := g.have[""], map[string][]byte{}
	for role, f := range g.have {
		digests[role] = f.Digest
	}
	a := Arrival{Source: lead.Source, Path: lead.Path, Version: lead.Version, Size: lead.Size, ModTime: lead.ModTime, Partner: lead.Partner, Trial: lead.Trial, Kind: g.entry.Kind}
	d, err := l.judgeSet(tx, g.policy, a, lead.Size == 0, digests)
	if err != nil {
		return err
	}
	d.set = &g.set
	return l.complete(tx, now, &d, lead, "its job waits for nothing more")
}

// merge brings what has come of an entry to another one that waits for the same, and cancels it. Where both have a file for the same part, the one that came last counts, as it does when
// it comes again; files of two names for it are a mistake as they are when they land.
func (l *Ledger) merge(tx *store.Tx, now time.Time, g *gathering, other int64) error {
	e, err := entryByID(tx, other)
	if err != nil {
		return err
	}
	to, _, err := l.gathered(tx, e)
	if err != nil {
		return err
	}
	for role, f := range g.have {
		if before, ok := to.have[role]; ok && before.Path != f.Path {
			return l.mistaken(tx, now, g.entry, fmt.Sprintf("%s belongs to #%d, which waits for the same files: send those of this one again under names that tell them apart", Shown(before.Path), other))
		}
	}
	for _, part := range []*gathering{g, &to} { // so that no file is of two
		if _, err := tx.Exec(`DELETE FROM companions WHERE entry = ?`, part.entry.ID); err != nil {
			return err
		}
	}
	var replaced []int64
	for role, f := range g.have {
		before, ok := to.have[role]
		if ok && before.ID > f.ID {
			before, f = f, before
		}
		if ok {
			replaced = append(replaced, before.ID)
		}
		to.have[role] = f
	}
	if err := rewriteParts(tx, &to); err != nil {
		return err
	}
	// The file of the entry that ends is that of the other one now: it has none.
	if _, err := tx.Exec(`UPDATE entries SET file = NULL WHERE id = ?`, g.entry.ID); err != nil {
		return err
	}
	if err := l.end(tx, now, g.entry, Cancelled, fmt.Sprintf("its files are those of #%d, which waits for the same", other)); err != nil {
		return err
	}
	for _, id := range replaced {
		if err := l.detached(tx, now, id); err != nil {
			return err
		}
	}
	if err := l.Record(tx, Event{At: now, Kind: "merged", Entry: other, Detail: map[string]any{"because": fmt.Sprintf("#%d waited for the same files", g.entry.ID)}}); err != nil {
		return err
	}
	if e, err = entryByID(tx, other); err == nil {
		_, err = l.regather(tx, now, e)
	}
	if err != nil {
		return err
	}
	return l.partAll(tx, now, e, to.parted) // the other may not have been looked at yet, and has them no more now
}

// mistaken rejects an entry whose files another one has under other names, and tells its sender.
func (l *Ledger) mistaken(tx *store.Tx, now time.Time, e Entry, why string) error {
	f, err := fileByID(tx, e.File)
	if err == nil {
		err = l.endWhole(tx, now, e, Rejected, why)
	}
	if err != nil {
		return err
	}
	e.Reason = why
	return l.oweRejected(tx, e, f)
}

// endWhole ends an entry that waits for nothing any more, and its files with it.
func (l *Ledger) endWhole(tx *store.Tx, now time.Time, e Entry, state State, why string) error {
	files, err := filesOfSet(tx, e)
	if err == nil {
		err = l.end(tx, now, e, state, why)
	}
	if err != nil {
		return err
	}
	var ids []int64
	for _, f := range files {
		ids = append(ids, f.ID)
	}
	return l.settle(tx, now, ids)
}

// end cancels or rejects an entry that waits for nothing any more.
func (l *Ledger) end(tx *store.Tx, now time.Time, e Entry, state State, why string) error {
	if _, err := tx.Exec(`UPDATE entries SET state = ?, reason = ?, hold = '', identity = NULL, finished = ? WHERE id = ?`, state, why, store.Millis(now), e.ID); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM incomplete WHERE entry = ?`, e.ID); err != nil {
		return err
	}
	kind := "cancel"
	if state == Rejected {
		kind = string(Rejected)
	}
	return l.Record(tx, Event{At: now, Kind: kind, Entry: e.ID, Detail: map[string]any{"reason": why, "was": e.State}})
}

// partAll is part for several files.
func (l *Ledger) partAll(tx *store.Tx, now time.Time, e Entry, files []File) error {
	for _, f := range files {
		if err := l.part(tx, now, e, f); err != nil {
			return err
		}
	}
	return nil
}

// part leaves a file that is no part of an entry any more. Where nobody else has it, it is what no job takes, so that one that takes it, now or later, gets it
// when its source lists it next. What a partner has sent is listed nowhere: it goes to the jobs that take it now, as if it had just come.
func (l *Ledger) part(tx *store.Tx, now time.Time, e Entry, f File) error {
	n, err := tx.Exec(`UPDATE files SET reason = ?, closed = ? WHERE id = ? AND state = 'landed' AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.file = files.id)
		AND NOT EXISTS (SELECT 1 FROM companions c WHERE c.file = files.id)`, NoJob, store.Millis(now), f.ID)
	if err == nil && n == 0 {
		err = l.settle(tx, now, []int64{f.ID})
	}
	if err == nil {
		err = l.Record(tx, Event{At: now, Kind: "parted", Entry: e.ID, Detail: map[string]any{"file": Shown(f.Path), "because": "it is no part of the entry any more"}})
	}
	if err != nil || n == 0 || f.Partner == "" {
		return err
	}
	return l.landAgain(tx, now, f, e.Kind)
}

// landAgain lands a file that has no entry and is kept, for the jobs that take it now.
func (l *Ledger) landAgain(tx *store.Tx, now time.Time, f File, kind string) error {
	g := &landing{ledger: l, incoming: &spool.Incoming{Size: f.Size, Digest: f.Digest}, blank: f.Size == 0, now: now, arrival: Arrival{
		Source: f.Source, Path: f.Path, Version: f.Version, Size: f.Size, ModTime: f.ModTime, Partner: f.Partner, Trial: f.Trial, Kind: kind}}
	decisions, err := g.judge(tx, g.policies(), true)
	if err != nil || len(decisions) == 0 {
		return err
	}
	if err := g.keepFile(tx, f.ID, spool.Object{ID: f.Object, Size: f.Size, Digest: f.Digest}, decisions); err != nil {
		return err
	}
	return g.keepEntries(tx, decisions)
}

// rewriteParts writes which files belong to an entry, and as what.
func rewriteParts(tx *store.Tx, g *gathering) error {
	if _, err := tx.Exec(`DELETE FROM companions WHERE entry = ?`, g.entry.ID); err != nil {
		return err
	}
	for _, role := range slices.Sorted(maps.Keys(g.have)) {
		f := g.have[role]
		if role != "" {
			if _, err := tx.Exec(`INSERT INTO companions (entry, role, file) VALUES (?, ?, ?)`, g.entry.ID, role, f.ID); err != nil {
				return err
			}
		}
	}
	f := g.have[slices.Min(slices.Collect(maps.Keys(g.have)))] // the one that is worked, where it has come
	_, err := tx.Exec(`UPDATE entries SET file = ?, name = ? WHERE id = ?`, f.ID, Shown(f.Path), g.entry.ID)
	return err
}

// place puts an entry where what belongs to it is looked for. other is one that stands there already.
func (l *Ledger) place(tx *store.Tx, g *gathering) (other int64, err error) {
	err = tx.QueryRow(`SELECT entry FROM incomplete WHERE job = `+ofJob+` AND key = ? AND entry <> ?`, g.entry.Job, g.key, g.entry.ID).Scan(&other)
	if !errors.Is(err, store.ErrNotFound) {
		return other, err
	}
	_, err = tx.Exec(`UPDATE incomplete SET job = `+ofJob+`, key = ? WHERE entry = ? AND (job <> `+ofJob+` OR key <> ?)`, g.entry.Job, g.key, g.entry.ID, g.entry.Job, g.key)
	return 0, err
}
