package ledger

import (
	"context"
	"fmt"
	"strings"
)

// What waits is what a partner's drop folder shows: files that have landed and that are not closed yet. A file that no job takes waits until
// retention removes its bytes.
const waits = `f.state IN ('landed', 'closable') AND f.object IS NOT NULL AND f.partner <> ''`

// Names are bytes; "/" is 0x2f and what follows it in order is "0".
const droppedQuery = `SELECT ` + fileColumns + ` FROM files f WHERE f.source = ? AND f.path >= ? AND f.path < ? AND ` + waits + `
	AND instr(substr(f.path, ?), x'2f') = 0 AND NOT EXISTS (SELECT 1 FROM files g WHERE g.source = f.source AND g.path = f.path AND g.id > f.id
		AND g.state IN ('landed', 'closable') AND g.object IS NOT NULL) ORDER BY f.path LIMIT ?`

// Dropped returns files of a source that wait in folder ("" is all of the source), without those in folders below it, by name, the
// first n whose path follows after. Of several versions of a name it returns the newest.
func (l *Ledger) Dropped(ctx context.Context, source, folder, after string, n int) ([]File, error) {
	from, to := []byte{}, []byte(nil)
	skip := 1
	if folder != "" {
		from, to = []byte(folder+"/"), []byte(folder+"0")
		skip = len(folder) + 2
	}
	if after != "" {
		from = []byte(after + "\x00")
	}
	if to == nil {
		to = []byte(strings.Repeat("\xff", 64)) // no name of a file is that
	}
	list, err := collect(l.db.Reader(ctx), scanFile, droppedQuery, source, from, to, skip, n)
	if err != nil {
		return nil, fmt.Errorf("list what waits at %s: %w", source, err)
	}
	return list, nil
}

const waitingQuery = `SELECT ` + fileColumns + ` FROM files f WHERE f.source = ? AND f.path = ? AND ` + waits + ` ORDER BY f.id DESC LIMIT 1`

// Waits returns the newest version of a path that waits, or an error that is ErrNotFound.
func (l *Ledger) Waits(ctx context.Context, source, path string) (File, error) {
	f, err := scanFile(l.db.Reader(ctx).QueryRow(waitingQuery, source, []byte(path)).Scan)
	if err != nil {
		return f, fmt.Errorf("%s at %s: %w", Shown(path), source, err)
	}
	return f, nil
}

// A Use is how much lies somewhere.
type Use struct{ Files, Bytes int64 }

// Use returns how much of a source waits in folder and below it.
func (l *Ledger) Use(ctx context.Context, source, folder string) (u Use, err error) {
	err = l.db.Reader(ctx).QueryRow(`SELECT COUNT(*), COALESCE(SUM(f.size), 0) FROM files f
		WHERE f.source = ? AND f.path >= ? AND f.path < ? AND `+waits, source, []byte(folder+"/"), []byte(folder+"0")).Scan(&u.Files, &u.Bytes)
	if err != nil {
		return u, fmt.Errorf("measure what waits at %s: %w", source, err)
	}
	return u, nil
}
