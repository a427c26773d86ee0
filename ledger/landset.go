package ledger

import (
	"strings"
	"time"

	"waybill/spool"
	"waybill/store"
)

// landAll lands a set in its order. What is new in every respect, as nearly all small files of a stream are, is written by a few
// statements; any other arrival is looked at by itself, after those before it.
func (l *Ledger) landAll(tx *store.Tx, set []*landing) error {
	if err := l.unchanged(tx); err != nil {
		return err
	}
	now := l.clock()
	for _, g := range set {
		g.now, g.entries = now, nil
		g.arrival.Source = l.nameNow(Source, g.arrival.Source) // an upload may have begun before
	}
	plain, err := l.unprecedented(tx, set)
	if err != nil {
		return err
	}
	var run []*landing
	for i, g := range set {
		if plain[i] {
			run = append(run, g)
			continue
		}
		if err := l.landPlain(tx, run); err != nil {
			return err
		}
		run = run[:0]
		if err := g.run(tx); err != nil {
			return err
		}
	}
	if err := l.landPlain(tx, run); err != nil {
		return err
	}
	for _, g := range set {
		if err := l.noteFor(tx, g.note, now, g.entries); err != nil {
			return err
		}
	}
	return nil
}

// unprecedented tells which of a set are small files whose name is new, whose bytes and identities no entry and no other of the set
// has, and which their jobs just take. It sets their decisions.
func (l *Ledger) unprecedented(tx *store.Tx, set []*landing) ([]bool, error) {
	plain := make([]bool, len(set))
	names, digests := map[string]bool{}, map[string]bool{}
	for i, g := range set {
		_, small := g.incoming.Bytes()
		name, digest := g.arrival.Source+"\x00"+g.arrival.Path, string(g.incoming.Digest)
		plain[i] = small && !g.blank && !g.arrival.Trial && len(g.companions) == 0 && !names[name] && !digests[digest] && g.rule()
		names[name], digests[digest] = true, true
	}
	return plain, l.strikeKnown(tx, set, plain)
}

// rule decides as for an arrival that resembles none, and reports whether all jobs, at least one, take it then.
func (g *landing) rule() bool {
	policies := g.policies()
	g.decisions = make([]decision, len(policies))
	for i, p := range policies {
		if p.Together != nil {
			return false
		}
		g.decisions[i] = ruling(p, g.ledger.identityOf(p.Identity, g.arrival, g.incoming.Digest), false, nil)
		if g.decisions[i].state != Received {
			return false
		}
	}
	return len(policies) > 0
}

// knownSizes are how many arrivals one statement of strikeKnown compares.
var knownSizes = [...]int{1, 8, 64}

// strikeKnown takes out of plain those that resemble something in the ledger.
func (l *Ledger) strikeKnown(tx *store.Tx, set []*landing, plain []bool) error {
	const most = 64
	var args []any
	n := 0
	ask := func() error {
		if n == 0 {
			return nil
		}
		size := most
		for _, s := range knownSizes {
			if n <= s {
				size = s
				break
			}
		}
		for ; n < size; n++ {
			args = append(args, -1, 0, []byte{}, 0, "", nil)
		}
		found, err := collect(tx, scanID, likenessQuery(size), args...)
		for _, i := range found {
			plain[i] = false
		}
		args, n = args[:0], 0
		return err
	}
	for i, g := range set {
		if !plain[i] {
			continue
		}
		source, err := tx.Number(Source, g.arrival.Source)
		if err != nil {
			return err
		}
		for _, d := range g.decisions {
			job, err := tx.Number(Job, d.policy.Job)
			if err != nil {
				return err
			}
			var digest any // those with the same bytes are the claimers, where content is the identity
			if d.policy.Identity != "" && d.policy.Identity != ByContent {
				digest = g.incoming.Digest
			}
			args = append(args, i, source, []byte(g.arrival.Path), job, d.plain, digest)
			if n++; n == most {
				if err := ask(); err != nil {
					return err
				}
			}
		}
	}
	return ask()
}

// likenessQuery finds those of n arrivals and jobs that have the name of a file, the identity, plain or numbered, of an entry, or the bytes of a file.
func likenessQuery(n int) string {
	return `WITH given (n, source, path, job, identity, digest) AS (VALUES (?, ?, ?, ?, ?, ?)` + strings.Repeat(`, (?, ?, ?, ?, ?, ?)`, n-1) + `)
		SELECT g.n FROM given g WHERE g.n >= 0 AND (EXISTS (SELECT 1 FROM files f WHERE f.source = g.source AND f.path = g.path)
			OR EXISTS (SELECT 1 FROM entries e WHERE e.job = g.job AND e.identity >= g.identity AND e.identity < g.identity || '$')
			OR EXISTS (SELECT 1 FROM identities i WHERE i.job = g.job AND i.identity >= g.identity AND i.identity < g.identity || '$')
			OR g.digest IS NOT NULL AND EXISTS (SELECT 1 FROM files f WHERE f.digest = g.digest))`
}

// landPlain writes what is unprecedented.
func (l *Ledger) landPlain(tx *store.Tx, list []*landing) error {
	if len(list) == 0 {
		return nil
	}
	incoming := make([]*spool.Incoming, len(list))
	for i, g := range list {
		incoming[i] = g.incoming
	}
	objects, err := spool.CommitAll(tx, incoming)
	if err != nil {
		return err
	}
	args := make([]any, 0, 12*len(list))
	for i, g := range list {
		a := g.arrival
		g.file = File{Source: a.Source, Path: a.Path, Version: a.Version, Size: a.Size, ModTime: time.Unix(0, modTime(a.ModTime)).UTC(), Digest: g.incoming.Digest,
			Object: objects[i], State: FileLanded, Seen: g.now, Landed: g.now, Partner: a.Partner}
		parent, member := g.parentage(&g.file)
		now := store.Millis(g.now)
		source, err := tx.Number(Source, a.Source)
		if err != nil {
			return err
		}
		args = append(args, source, []byte(a.Path), a.Version, a.Size, modTime(a.ModTime), g.incoming.Digest, objects[i], now, now, a.Partner, parent, member)
	}
	files, err := tx.InsertAll(`INSERT INTO files (source, path, version, size, mtime, digest, object, seen, landed, partner, parent, member, state)`,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'landed')`, args)
	if err != nil {
		return err
	}
	for i, g := range list {
		g.file.ID = files[i]
	}
	return l.landEntries(tx, list)
}

// landEntries writes the entries of what is unprecedented.
func (l *Ledger) landEntries(tx *store.Tx, list []*landing) error {
	var args []any
	for _, g := range list {
		for _, d := range g.decisions {
			e := Entry{Kind: g.arrival.Kind, Job: d.policy.Job, Run: 1, File: g.file.ID, Source: g.arrival.Source, Name: Shown(g.arrival.Path),
				Identity: d.plain, Verdict: d.verdict, State: d.state, Received: g.now, Partner: g.arrival.Partner}
			g.entries = append(g.entries, e)
			job, source, err := numbersOf(tx, e)
			if err != nil {
				return err
			}
			args = append(args, e.Kind, job, e.File, source, e.Name, e.Identity, store.Millis(e.Received), e.Partner)
		}
	}
	ids, err := tx.InsertAll(`INSERT INTO entries (kind, job, file, source, name, identity, received, partner, verdict, state)`,
		`(?, ?, ?, ?, ?, ?, ?, ?, 'new', 'received')`, args)
	if err != nil {
		return err
	}
	kept := make([]freshFile, 0, len(ids))
	for _, g := range list {
		content, _ := g.incoming.Bytes()
		for i := range g.entries {
			g.entries[i].ID, ids = ids[0], ids[1:]
			kept = append(kept, freshFile{g.entries[i], g.file, content})
		}
	}
	tx.After(func() { l.fresh.put(kept) })
	tx.Notify(TopicEntries)
	return nil
}
