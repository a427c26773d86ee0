package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"waybill/store"
)

// Retain says how long what is closed is kept. 0 is for ever.
type Retain struct {
	Files   time.Duration // bytes of files, after the file was closed
	Entries time.Duration // entries and events, after the entry came to its end
	// What makes a file known again, after its entry came to its end. What still lies in a folder stays known by its row.
	Identities time.Duration
}

// A Pruned says what retention removed.
type Pruned struct {
	Objects, Entries, Files, Events, Identities int64
}

const (
	// How long a file that only waits is remembered after it was last written about.
	seenKept = 48 * time.Hour
	// A file's row stays while listings show it, which Unknown notes once a day.
	listedKept   = 7 * 24 * time.Hour
	controlsKept = 30 * 24 * time.Hour
)

// Prune removes what has been closed for longer than r says, in small transactions: first bytes, then entries with their rejects and
// events, then rows of files that no listing shows any more. It never touches an entry that is not final, or that still has messages or
// open dead letters. Identities outlive their entries, so that a file of years ago is still known.
func (l *Ledger) Prune(ctx context.Context, r Retain) (Pruned, error) {
	var p Pruned
	now := l.clock()
	steps := []struct {
		what  string
		on    bool
		count *int64
		look  func(r store.Reader, before time.Time, after int64) ([]int64, error) // nil: the step looks by itself
		step  func(tx *store.Tx, before time.Time, after int64, page []int64) (n, next int64, err error)
		age   time.Duration
	}{
		{"waiting files", true, &p.Files, nil, l.pruneSeen, seenKept},
		{"identities", r.Identities > 0, &p.Identities, l.kept, l.freeIdentities, r.Identities},
		{"identities of removed entries", r.Identities > 0, &p.Identities, nil, l.pruneIdentities, r.Identities},
		{"bytes", r.Files > 0, &p.Objects, nil, l.pruneObjects, r.Files},
		{"entries", r.Entries > 0, &p.Entries, oldEntries, l.pruneEntries, r.Entries},
		{"files", r.Entries > 0, &p.Files, oldFiles, l.pruneFiles, r.Entries},
		{"events", r.Entries > 0, &p.Events, nil, l.pruneEvents, r.Entries},
		{"commands", true, new(int64), nil, l.pruneControls, controlsKept},
	}
	for _, s := range steps {
		if !s.on {
			continue
		}
		// Each step looks at rows after a cursor and says where the next one begins: 0 at the end.
		before := now.Add(-s.age)
		for cursor, more := int64(0), true; more; {
			var page []int64
			if s.look != nil { // many rows may have to be looked at, in which nobody is to be kept from writing
				var err error
				if page, err = s.look(l.db.Reader(ctx), before, cursor); err != nil {
					return p, fmt.Errorf("prune %s: %w", s.what, err)
				}
				if len(page) == 0 {
					break
				}
			}
			err := l.db.Tx(ctx, func(tx *store.Tx) error {
				n, next, err := s.step(tx, before, cursor, page)
				*s.count += n
				cursor, more = next, next != 0
				return err
			})
			if err != nil {
				return p, fmt.Errorf("prune %s: %w", s.what, err)
			}
		}
	}
	return p, nil
}

// last returns the cursor after a page of ids, 0 when it was the last page.
func last(ids []int64) int64 {
	if len(ids) < setSize {
		return 0
	}
	return ids[len(ids)-1]
}

const oldEntriesQuery = `SELECT id FROM entries WHERE id > ? AND id < ? ORDER BY id LIMIT ?`

// oldEntries is a page of entries that were received before, with a greater id than after. Ids rise with time, so that none is looked at that is younger.
func oldEntries(r store.Reader, before time.Time, after int64) ([]int64, error) {
	first, err := firstSince(r, before)
	if err != nil {
		return nil, err
	}
	return collect(r, scanID, oldEntriesQuery, after, first, setSize)
}

// kept is oldEntries for freeIdentities.
func (l *Ledger) kept(r store.Reader, before time.Time, after int64) ([]int64, error) {
	return oldEntries(r, before, max(after, l.freed.Load()))
}

// oldFiles is a page of files that were not seen since.
func oldFiles(r store.Reader, before time.Time, after int64) ([]int64, error) {
	return collect(r, scanID, `SELECT id FROM files WHERE id > ? AND seen < ? ORDER BY id LIMIT ?`, after, store.Millis(before), setSize)
}

func (l *Ledger) pruneSeen(tx *store.Tx, before time.Time, _ int64, _ []int64) (n, next int64, err error) {
	n, err = tx.Exec(`DELETE FROM files WHERE id IN (SELECT id FROM files WHERE state = 'seen' AND seen < ? LIMIT ?)`, store.Millis(before), setSize)
	return n, n / setSize, err
}

// pruneObjects lets go of the bytes of closed files. Those with an entry that is worked again (a replay) or failed keep them.
func (l *Ledger) pruneObjects(tx *store.Tx, before time.Time, after int64, _ []int64) (n, next int64, err error) {
	type kept struct{ id, object, closed int64 }
	// Ordered by the time of closing; the cursor is that time, so one that keeps its bytes is passed over, not met again and again.
	list, err := collect(tx, func(scan func(...any) error) (k kept, err error) {
		err = scan(&k.id, &k.object, &k.closed)
		return k, err
	}, `SELECT f.id, f.object, f.closed FROM files f WHERE f.closed >= ? AND f.closed < ? AND f.object IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.file = f.id AND e.state NOT IN ('delivered', 'rejected', 'duplicate', 'cancelled'))
		AND NOT EXISTS (SELECT 1 FROM `+accompanied("f.id")+` AND e.state NOT IN ('delivered', 'rejected', 'duplicate', 'cancelled'))
		ORDER BY f.closed LIMIT ?`, after, store.Millis(before), setSize)
	if err != nil {
		return 0, 0, err
	}
	for _, k := range list {
		if _, err := tx.Exec(`UPDATE files SET object = NULL WHERE id = ?`, k.id); err != nil {
			return 0, 0, err
		}
		if err := l.spool.Remove(tx, k.object); err != nil {
			return 0, 0, err
		}
		next = k.closed
	}
	if len(list) < setSize {
		next = 0
	}
	return int64(len(list)), next, nil
}

// pruneEntries removes final entries and keeps their identities apart. An entry stays while a replay of it is not final.
func (l *Ledger) pruneEntries(tx *store.Tx, before time.Time, _ int64, page []int64) (n, next int64, err error) {
	places, args := store.Set(page)
	ids, err := collect(tx, scanID, `SELECT e.id FROM entries e WHERE e.id IN `+places+` AND e.finished < ?
		AND e.state IN ('delivered', 'rejected', 'duplicate', 'cancelled')
		AND NOT EXISTS (SELECT 1 FROM entries r WHERE r.origin = e.id)
		AND NOT EXISTS (SELECT 1 FROM files m JOIN entries x ON x.file = m.id WHERE m.parent = e.id)
		AND NOT EXISTS (SELECT 1 FROM owed o WHERE o.entry = e.id)
		AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.parent IN (e.id, -e.id) AND b.state <> 'done')
		AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.parent IN (e.id, -e.id) AND d.state = 'open')`, append(args, store.Millis(before))...)
	if err != nil || len(ids) == 0 {
		return 0, last(page), err
	}
	places, args = store.Set(ids)
	for _, statement := range []string{
		`INSERT INTO identities (job, identity, entry, at) SELECT job, identity, id, finished FROM entries WHERE id IN ` + places + ` AND identity IS NOT NULL
			ON CONFLICT (job, identity) DO NOTHING`,
		`DELETE FROM rejects WHERE entry IN ` + places,
		`DELETE FROM awaited WHERE entry IN ` + places,
		`DELETE FROM companions WHERE entry IN ` + places,
		`DELETE FROM incomplete WHERE entry IN ` + places,
		// Keys of what was accepted stay for as long as their job says. From then on keys without an entry count, so others go.
		`DELETE FROM keys WHERE entry IN ` + places + ` AND NOT EXISTS
			(SELECT 1 FROM entries e WHERE e.id = keys.entry AND e.token = keys.token AND e.state = 'delivered')`,
		`DELETE FROM entries WHERE id IN ` + places,
	} {
		if _, err := tx.Exec(statement, args...); err != nil {
			return 0, 0, err
		}
	}
	return int64(len(ids)), last(page), nil
}

// freeIdentities lets go of the identities of final entries, whose rows stay. Those of ticks stay too: an instant comes once.
func (l *Ledger) freeIdentities(tx *store.Tx, before time.Time, _ int64, page []int64) (n, next int64, err error) {
	places, args := store.Set(page)
	n, err = tx.Exec(`UPDATE entries SET identity = NULL WHERE id IN `+places+` AND finished < ? AND kind <> 'tick' AND identity IS NOT NULL
		AND state IN ('delivered', 'rejected', 'duplicate', 'cancelled')`, append(args, store.Millis(before))...)
	if next = last(page); next != 0 {
		l.freed.Store(next) // the next time goes on there; what was still on its way is looked at after a restart
	}
	return n, next, err
}

func (l *Ledger) pruneIdentities(tx *store.Tx, before time.Time, _ int64, _ []int64) (n, next int64, err error) {
	n, err = tx.Exec(`DELETE FROM identities WHERE (job, identity) IN
		(SELECT job, identity FROM identities WHERE at < ? AND identity NOT LIKE 'tick:%' LIMIT ?)`, store.Millis(before), setSize)
	return n, n / setSize, err
}

// pruneFiles removes rows of files whose entries and bytes are gone, unless a listing has shown them lately.
func (l *Ledger) pruneFiles(tx *store.Tx, before time.Time, _ int64, page []int64) (n, next int64, err error) {
	places, args := store.Set(page)
	n, err = tx.Exec(`DELETE FROM files WHERE id IN `+places+` AND closed < ? AND seen < ? AND object IS NULL
		AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.file = files.id) AND NOT EXISTS (SELECT 1 FROM companions c WHERE c.file = files.id)`,
		append(args, store.Millis(before), store.Millis(l.clock().Add(-listedKept)))...)
	return n, last(page), err
}

// pruneEvents removes the beginning of the chains, as far as no entry that is left could need it, and anchors what follows.
func (l *Ledger) pruneEvents(tx *store.Tx, before time.Time, after int64, _ []int64) (n, next int64, err error) {
	var oldest int64
	err = tx.QueryRow(`SELECT received FROM entries ORDER BY id LIMIT 1`).Scan(&oldest)
	if err == nil {
		before = store.Time(min(oldest, store.Millis(before)))
	} else if !errors.Is(err, store.ErrNotFound) {
		return 0, 0, err
	}
	page, err := collect(tx, scanEvent, `SELECT `+eventColumns+` FROM events WHERE id > ? ORDER BY id LIMIT ?`, after, setSize)
	if err != nil {
		return 0, 0, err
	}
	heads := map[string][]byte{}
	for _, e := range page {
		if e.at >= store.Millis(before) {
			break
		}
		heads[e.node] = e.hash
		next = e.id
		n++
	}
	if n == 0 {
		return 0, 0, nil
	}
	for node, hash := range heads {
		if err := l.SetMark(tx, "", anchor(node), Mark{At: l.clock(), Text: hex.EncodeToString(hash)}); err != nil {
			return 0, 0, err
		}
	}
	if _, err := tx.Exec(`DELETE FROM events WHERE id <= ?`, next); err != nil {
		return 0, 0, err
	}
	if n < setSize {
		next = 0
	}
	return n, next, nil
}

func (l *Ledger) pruneControls(tx *store.Tx, before time.Time, _ int64, _ []int64) (n, next int64, err error) {
	n, err = tx.Exec(`DELETE FROM controls WHERE id IN (SELECT id FROM controls WHERE state <> 'waiting' AND at < ? ORDER BY id LIMIT ?)`, store.Millis(before), setSize)
	return n, n / setSize, err
}
