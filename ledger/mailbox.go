package ledger

import (
	"context"
	"errors"
	"fmt"
)

// A Mailbox is what of a source is one partner's: his files, or, apart from them, those that are only to be tried. Paths are
// within it, as the partner sees them.
type Mailbox struct {
	Source  string
	Partner string
	Trial   bool
}

// path is a path as the source has it.
func (m Mailbox) path(within string) []byte { return []byte(m.Partner + "/" + within) }

// What waits is what a partner's drop folder shows: files that have landed and that are not closed yet. A file that no job takes waits until
// retention removes its bytes.
const waits = `f.partner <> '' AND f.parent IS NULL AND f.trial = ? AND f.state IN ('landed', 'closable') AND f.object IS NOT NULL`

// Names are bytes; "/" is 0x2f and what follows it in order is "0".
const droppedQuery = `SELECT ` + fileColumns + ` FROM files f WHERE f.source = ` + ofSource + ` AND f.path >= ? AND f.path < ? AND ` + waits + `
	AND instr(substr(f.path, ?), x'2f') = 0 AND NOT EXISTS (SELECT 1 FROM files g WHERE g.source = f.source AND g.path = f.path AND g.id > f.id
		AND g.partner <> '' AND g.parent IS NULL AND g.trial = f.trial AND g.state IN ('landed', 'closable') AND g.object IS NOT NULL) ORDER BY f.path LIMIT ?`

// Dropped returns files that wait in folder ("" is the mailbox itself), without those in folders below it, by name, the first n whose path
// follows after. Of several versions of a name it returns the newest.
func (l *Ledger) Dropped(ctx context.Context, m Mailbox, folder, after string, n int) ([]File, error) {
	if folder != "" {
		folder += "/"
	}
	from, to := m.path(folder), m.path(folder)
	to[len(to)-1]++
	skip := len(from) + 1
	if after != "" {
		from = append(m.path(after), 0)
	}
	list, err := collect(l.db.Reader(ctx), scanFile, droppedQuery, l.nameNow(Source, m.Source), from, to, m.Trial, skip, n)
	if err != nil {
		return nil, fmt.Errorf("list what waits of %s: %w", m.Partner, err)
	}
	return list, nil
}

const waitingQuery = `SELECT ` + fileColumns + ` FROM files f WHERE f.source = ` + ofSource + ` AND f.path = ? AND ` + waits + ` ORDER BY f.id DESC LIMIT 1`

// Waits returns the newest version of a path that waits, or an error that is ErrNotFound.
func (l *Ledger) Waits(ctx context.Context, m Mailbox, path string) (File, error) {
	f, err := scanFile(l.db.Reader(ctx).QueryRow(waitingQuery, l.nameNow(Source, m.Source), m.path(path), m.Trial).Scan)
	if err != nil {
		return f, fmt.Errorf("%s of %s: %w", Shown(path), m.Partner, err)
	}
	return f, nil
}

const landedQuery = `SELECT id FROM files WHERE source IN (SELECT id FROM names WHERE kind = 'source') AND path = ? AND version = ? AND landed IS NOT NULL`

// HasLanded reports whether a version of a path, which no other file has, has landed: one that retention has removed has not. The source may have another name since.
func (l *Ledger) HasLanded(ctx context.Context, m Mailbox, path, version string) (bool, error) {
	var id int64
	err := l.db.Reader(ctx).QueryRow(landedQuery, m.path(path), version).Scan(&id)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s of %s: %w", Shown(path), m.Partner, err)
	}
	return true, nil
}

// A Use is how much lies somewhere.
type Use struct{ Files, Bytes int64 }

const useQuery = `SELECT COUNT(*), COALESCE(SUM(f.size), 0) FROM files f WHERE f.source = ` + ofSource + ` AND f.path >= ? AND f.path < ? AND ` + waits

// Use returns how much waits in folder ("" is the mailbox itself) and below it.
func (l *Ledger) Use(ctx context.Context, m Mailbox, folder string) (u Use, err error) {
	if folder != "" {
		folder += "/"
	}
	from, to := m.path(folder), m.path(folder)
	to[len(to)-1]++
	err = l.db.Reader(ctx).QueryRow(useQuery, l.nameNow(Source, m.Source), from, to, m.Trial).Scan(&u.Files, &u.Bytes)
	if err != nil {
		return u, fmt.Errorf("measure what waits of %s: %w", m.Partner, err)
	}
	return u, nil
}

const mailboxesQuery = `SELECT ` + sourceName + `, COUNT(*), SUM(f.size) FROM files f WHERE f.partner <> '' AND f.parent IS NULL AND f.state IN ('landed', 'closable')
	AND f.object IS NOT NULL GROUP BY f.source`

// Mailboxes returns how much waits in the drop folders of each source, those for trying among it.
func (l *Ledger) Mailboxes(ctx context.Context) (map[string]Use, error) {
	type part struct {
		source string
		use    Use
	}
	list, err := collect(l.db.Reader(ctx), func(scan func(...any) error) (p part, err error) {
		err = scan(&p.source, &p.use.Files, &p.use.Bytes)
		return p, err
	}, mailboxesQuery)
	if err != nil {
		return nil, fmt.Errorf("measure what waits in mailboxes: %w", err)
	}
	uses := map[string]Use{}
	for _, p := range list {
		uses[p.source] = p.use
	}
	return uses, nil
}
