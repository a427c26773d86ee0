package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"waybill/spool"
	"waybill/store"
)

// A companion is a file on its way into the ledger together with the one it belongs to.
type companion struct {
	Companion
	incoming *spool.Incoming
	file     int64 // 0: no job keeps it
}

// receiveCompanions reads the bytes of what was found beside an arrival.
func (g *landing) receiveCompanions(ctx context.Context) error {
	for _, c := range g.arrival.Companions {
		in, err := g.ledger.receiveCompanion(ctx, c)
		if err != nil {
			return fmt.Errorf("its %s %s: %w", c.Role, Shown(c.Path), err)
		}
		g.companions = append(g.companions, companion{Companion: c, incoming: in})
	}
	return nil
}

func (l *Ledger) receiveCompanion(ctx context.Context, c Companion) (*spool.Incoming, error) {
	r, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close() // only read from; what matters was told by its last Read
	return l.spool.Receive(ctx, r, l.max)
}

// abandon drops what was received.
func (g *landing) abandon() {
	g.incoming.Abandon()
	for _, c := range g.companions {
		c.incoming.Abandon()
	}
}

// keepCompanions writes the rows of those companions that a job keeps.
func (g *landing) keepCompanions(tx *store.Tx, policies []Policy) error {
	for i := range g.companions {
		c := &g.companions[i]
		c.file = 0
		if !slices.ContainsFunc(policies, func(p Policy) bool { return slices.Contains(p.Companions, c.Role) }) {
			continue
		}
		if err := g.keepCompanion(tx, c); err != nil {
			return fmt.Errorf("keep its %s %s: %w", c.Role, Shown(c.Path), err)
		}
	}
	return nil
}

// keepCompanion writes the row of one companion. The version may have one: it was left where it lay, and vouches for another file now. What was read of it last
// counts.
func (g *landing) keepCompanion(tx *store.Tx, c *companion) error {
	prior, err := scanFile(tx.QueryRow(`SELECT `+fileColumns+` FROM files f WHERE f.source = `+ofSource+` AND f.path = ? AND f.version = ?`,
		g.arrival.Source, []byte(c.Path), c.Version).Scan)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if prior.Object != 0 && slices.Equal(prior.Digest, c.incoming.Digest) {
		c.file = prior.ID
		_, err := tx.Exec(`UPDATE files SET state = 'landed', reason = '', closed = NULL WHERE id = ?`, prior.ID)
		return err
	}
	object, err := c.incoming.Commit(tx)
	if err != nil {
		return err
	}
	now := store.Millis(g.now)
	if prior.ID == 0 {
		source, err := tx.Number(Source, g.arrival.Source)
		if err != nil {
			return err
		}
		c.file, err = tx.Insert(`INSERT INTO files (source, path, version, size, mtime, digest, object, state, seen, landed, partner, trial) VALUES (?, ?, ?, ?, ?, ?, ?, 'landed', ?, ?, ?, ?)`,
			source, []byte(c.Path), c.Version, object.Size, modTime(c.ModTime), object.Digest, object.ID, now, now, g.arrival.Partner, g.arrival.Trial)
		return err
	}
	c.file = prior.ID
	if prior.Object != 0 {
		if err := g.ledger.spool.Remove(tx, prior.Object); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`UPDATE files SET size = ?, digest = ?, object = ?, state = 'landed', reason = '', until = NULL, closed = NULL, seen = ?, landed = ? WHERE id = ?`,
		object.Size, object.Digest, object.ID, now, now, prior.ID)
	return err
}

// joinCompanions says to which of the new entries the companions belong. They end with their file where that has nothing to wait for.
func (g *landing) joinCompanions(tx *store.Tx, policies []Policy) error {
	var kept []int64
	for _, c := range g.companions {
		if c.file == 0 {
			continue
		}
		kept = append(kept, c.file)
		for i, p := range policies {
			if !slices.Contains(p.Companions, c.Role) {
				continue
			}
			if err := g.ledger.attach(tx, g.now, g.entries[i].ID, c.Role, c.file); err != nil {
				return err
			}
		}
	}
	if len(kept) == 0 || g.file.State == FileLanded {
		return nil
	}
	return g.ledger.settle(tx, g.now, kept)
}

// attach has a file belong to an entry. One that was there in its role belongs to it no more.
func (l *Ledger) attach(tx *store.Tx, now time.Time, entry int64, role string, file int64) error {
	before, err := collect(tx, scanID, `SELECT file FROM companions WHERE entry = ? AND role = ? AND file <> ?`, entry, role, file)
	if err == nil {
		_, err = tx.Exec(`INSERT INTO companions (entry, role, file) VALUES (?, ?, ?) ON CONFLICT (entry, role) DO UPDATE SET file = excluded.file`, entry, role, file)
	}
	if err != nil {
		return err
	}
	for _, f := range before {
		if err := l.detached(tx, now, f); err != nil {
			return err
		}
	}
	return nil
}

// detached ends a file that belongs to an entry no more.
func (l *Ledger) detached(tx *store.Tx, now time.Time, file int64) error {
	n, err := tx.Exec(`UPDATE files SET state = 'closable', reason = ? WHERE id = ? AND state = 'landed' AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.file = files.id)
		AND NOT EXISTS (SELECT 1 FROM companions c WHERE c.file = files.id)`, fateDone, file)
	if err != nil || n == 0 {
		return errors.Join(err, l.settle(tx, now, []int64{file})) // others have it
	}
	tx.Notify(TopicClosable)
	return nil
}

// entriesWith are the entries that a file has, or belongs to.
func entriesWith(r store.Reader, file int64, and string) ([]Entry, error) {
	return entries(r, `SELECT `+entryColumns+` FROM entries e WHERE (e.file = ? OR e.id IN (SELECT c.entry FROM companions c WHERE c.file = ?))`+and+` ORDER BY e.id`, file, file)
}

// accompanied are the entries, in any of their runs, to which a file belongs beside their own.
func accompanied(file string) string {
	return `companions c JOIN entries e ON (e.id = c.entry OR e.origin = c.entry) WHERE c.file = ` + file
}

// Companions returns the files that belong to an entry beside its own, by what they are to it.
func (l *Ledger) Companions(ctx context.Context, e Entry) (map[string]File, error) {
	files, err := companionsOf(l.db.Reader(ctx), e.first())
	if err != nil {
		return nil, fmt.Errorf("files that belong to #%d: %w", e.ID, err)
	}
	return files, nil
}

func companionsOf(r store.Reader, first int64) (map[string]File, error) {
	files := map[string]File{}
	_, err := collect(r, func(scan func(...any) error) (role string, err error) {
		f, err := scanFile(func(to ...any) error { return scan(append([]any{&role}, to...)...) })
		files[role] = f
		return role, err
	}, `SELECT c.role, `+fileColumns+` FROM companions c JOIN files f ON f.id = c.file WHERE c.entry = ?`, first)
	return files, err
}

// withCompanions returns ids of files, and with them of those that belong to entries of theirs.
func withCompanions(tx *store.Tx, ids []int64) ([]int64, error) {
	var any bool
	if err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM companions)`).Scan(&any); err != nil || !any {
		return ids, err
	}
	var more []int64
	for chunk := range slices.Chunk(ids, setSize) {
		places, args := store.Set(chunk)
		list, err := collect(tx, scanID, companionsQuery(places), args...)
		if err != nil {
			return nil, err
		}
		more = append(more, list...)
	}
	return append(ids, more...), nil
}

func companionsQuery(places string) string {
	return `SELECT DISTINCT c.file FROM entries e JOIN companions c ON c.entry = COALESCE(e.origin, e.id) WHERE e.file IN ` + places
}
