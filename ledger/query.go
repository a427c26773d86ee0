package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waybill/store"
)

// A Filter chooses entries. Zero fields do not restrict.
type Filter struct {
	Jobs    []string
	States  []State
	Source  string
	Partner string
	Since   time.Time // received at or after
	Text    string    // in name, reason or identity, any case
	Before  int64     // only entries with a smaller id: the cursor for the next page
	After   int64     // only entries with a greater id, the oldest first: to follow what comes
	Limit   int       // 0: 100
}

// List returns entries, the newest first (with After: the oldest first).
func (l *Ledger) List(ctx context.Context, f Filter) ([]Entry, error) {
	r := l.db.Reader(ctx)
	q := where{}
	if len(f.Jobs) > 0 {
		q.in("e.job IN (SELECT n.id FROM names n WHERE n.kind = 'job' AND n.name", f.Jobs, ")")
	}
	if len(f.States) > 0 {
		q.in("e.state", texts(f.States), "")
	}
	if f.Source != "" {
		q.add("e.source = "+ofSource, f.Source)
	}
	if f.Partner != "" {
		q.add("e.partner = ?", f.Partner)
	}
	if f.Text != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(f.Text) + "%"
		q.add(`(e.name LIKE ? ESCAPE '\' OR e.reason LIKE ? ESCAPE '\' OR e.identity LIKE ? ESCAPE '\')`, like, like, like)
	}
	if !f.Since.IsZero() {
		first, err := firstSince(r, f.Since)
		if err != nil {
			return nil, fmt.Errorf("list entries: %w", err)
		}
		q.add("e.id >= ?", first)
	}
	order := " ORDER BY e.id DESC"
	if f.Before != 0 {
		q.add("e.id < ?", f.Before)
	}
	if f.After != 0 {
		q.add("e.id > ?", f.After)
		order = " ORDER BY e.id"
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	list, err := entries(r, `SELECT `+entryColumns+` FROM entries e`+q.text()+order+` LIMIT ?`, append(q.args, f.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("list entries: %w", err)
	}
	return list, nil
}

// where gathers conditions.
type where struct {
	terms []string
	args  []any
}

func (w *where) add(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

// in asks whether column is one of values; after follows.
func (w *where) in(column string, values []string, after string) {
	n := 1
	for n < len(values) {
		n *= 2 // few distinct statements
	}
	args := make([]any, n)
	for i := range args {
		args[i] = values[min(i, len(values)-1)]
	}
	w.add(column+" IN "+store.In(n)+after, args...)
}

func (w *where) text() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// firstSince returns the smallest id of an entry received at or after t. Ids rise with time, so it is found by halving, which
// needs no index over times.
func firstSince(r store.Reader, t time.Time) (int64, error) {
	var low, high int64
	if err := r.QueryRow(`SELECT COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) + 1 FROM entries`).Scan(&low, &high); err != nil {
		return 0, err
	}
	for low < high {
		mid := low + (high-low)/2
		var id, received int64
		err := r.QueryRow(`SELECT id, received FROM entries WHERE id >= ? ORDER BY id LIMIT 1`, mid).Scan(&id, &received)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && received >= store.Millis(t):
			high = mid
		case err != nil:
			return 0, err
		default:
			low = id + 1
		}
	}
	return low, nil
}

// Entry returns one entry, or an error that is ErrNotFound.
func (l *Ledger) Entry(ctx context.Context, id int64) (Entry, error) {
	return entryByID(l.db.Reader(ctx), id)
}

func entryByID(r store.Reader, id int64) (Entry, error) {
	e, err := scanEntry(r.QueryRow(`SELECT `+entryColumns+` FROM entries e WHERE e.id = ?`, id).Scan)
	if err != nil {
		return e, fmt.Errorf("entry #%d: %w", id, err)
	}
	return e, nil
}

// FileOf returns the file of an entry, or an error that is ErrNotFound: ticks have none.
func (l *Ledger) FileOf(ctx context.Context, entry int64) (File, error) {
	f, err := scanFile(l.db.Reader(ctx).QueryRow(`SELECT `+fileColumns+` FROM files f WHERE f.id = (SELECT file FROM entries WHERE id = ?)`, entry).Scan)
	if err != nil {
		return f, fmt.Errorf("file of #%d: %w", entry, err)
	}
	return f, nil
}

// Files returns those of up to 200 files that are there, by id.
func (l *Ledger) Files(ctx context.Context, ids []int64) (map[int64]File, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	places, args := store.Set(ids)
	list, err := collect(l.db.Reader(ctx), scanFile, `SELECT `+fileColumns+` FROM files f WHERE f.id IN `+places, args...)
	if err != nil {
		return nil, fmt.Errorf("read %d files: %w", len(ids), err)
	}
	files := make(map[int64]File, len(list))
	for _, f := range list {
		files[f.ID] = f
	}
	return files, nil
}

// File returns a file, or an error that is ErrNotFound.
func (l *Ledger) File(ctx context.Context, id int64) (File, error) {
	return fileByID(l.db.Reader(ctx), id)
}

func fileByID(r store.Reader, id int64) (File, error) {
	f, err := scanFile(r.QueryRow(`SELECT `+fileColumns+` FROM files f WHERE f.id = ?`, id).Scan)
	if err != nil {
		return f, fmt.Errorf("file %d: %w", id, err)
	}
	return f, nil
}

// Rejects returns the rejects of an entry that were kept, at most 1,000.
func (l *Ledger) Rejects(ctx context.Context, entry int64) ([]Reject, error) {
	list, err := rejectsOf(l.db.Reader(ctx), entry)
	if err != nil {
		return nil, fmt.Errorf("rejects of #%d: %w", entry, err)
	}
	return list, nil
}

// Around returns the first runs of the same job that came before and behind an entry as a file of the same name, from the same source and partner: the ones that it
// took the place of, and that took its place. 0 stands for none. What is only tried has no such neighbours.
func (l *Ledger) Around(ctx context.Context, entry int64) (before, after int64, err error) {
	next := func(which, order string) (id int64, err error) {
		err = l.db.Reader(ctx).QueryRow(`SELECT e.id FROM entries at JOIN files f ON f.id = at.file JOIN files g ON g.source = f.source AND g.path = f.path AND g.partner = f.partner
			JOIN entries e ON e.file = g.id AND e.job = at.job WHERE at.id = ? AND at.trial = 0 AND e.trial = 0 AND e.origin IS NULL AND `+which+` ORDER BY e.id `+order+` LIMIT 1`, entry).Scan(&id)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return id, err
	}
	if before, err = next("e.id < at.id", "DESC"); err == nil {
		after, err = next("e.id > at.id", "ASC")
	}
	if err != nil {
		return 0, 0, fmt.Errorf("namesakes of #%d: %w", entry, err)
	}
	return before, after, nil
}

// Replays returns the runs of an entry after the first, the oldest first.
func (l *Ledger) Replays(ctx context.Context, first int64) ([]Entry, error) {
	list, err := entries(l.db.Reader(ctx), `SELECT `+entryColumns+` FROM entries e WHERE e.origin = ? ORDER BY e.run`, first)
	if err != nil {
		return nil, fmt.Errorf("replays of #%d: %w", first, err)
	}
	return list, nil
}

// A Count is how many entries of a job are in a state.
type Count struct {
	Job    string    `json:"job"`
	State  State     `json:"state"`
	N      int64     `json:"n"`
	Oldest time.Time `json:"oldest"` // when the oldest of them was received
}

// Counts returns how many entries are open (held, received, working, accepted, failed), and how many of those received since
// then have come to an end, by job and state.
func (l *Ledger) Counts(ctx context.Context, since time.Time) ([]Count, error) {
	r := l.db.Reader(ctx)
	first, err := firstSince(r, since)
	if err != nil {
		return nil, fmt.Errorf("count entries: %w", err)
	}
	list, err := collect(r, func(scan func(...any) error) (Count, error) {
		var c Count
		var oldest int64
		err := scan(&c.Job, &c.State, &c.N, &oldest)
		c.Oldest = store.Time(oldest)
		return c, err
	}, `SELECT `+jobName+`, state, COUNT(*), MIN(received) FROM entries e WHERE state IN ('held', 'received', 'working', 'accepted', 'failed') GROUP BY job, state
		UNION ALL SELECT `+jobName+`, state, COUNT(*), MIN(received) FROM entries e WHERE id >= ? AND state IN ('delivered', 'rejected', 'duplicate', 'cancelled')
		GROUP BY job, state ORDER BY 1, 2`, first)
	if err != nil {
		return nil, fmt.Errorf("count entries: %w", err)
	}
	return list, nil
}

// A Standing is what the ledger knows of one version of a file.
type Standing struct {
	File    File
	Entries []Entry
	Says    string // where it stands, in words
}

// Why tells what became of a file. path may be as the source names it, or longer (an absolute path, of which the source's folder is
// a part), or only the last name of a file that came lately. The newest version comes first; at most 20 are returned, none when nothing is known.
func (l *Ledger) Why(ctx context.Context, path string) ([]Standing, error) {
	r := l.db.Reader(ctx)
	files, err := find(r, path)
	if err != nil {
		return nil, fmt.Errorf("why %s: %w", Shown(path), err)
	}
	var list []Standing
	for _, f := range files {
		s := Standing{File: f}
		if s.Entries, err = entriesWith(r, f.ID, ""); err != nil {
			return nil, fmt.Errorf("why %s: %w", Shown(path), err)
		}
		s.Says = s.words()
		list = append(list, s)
	}
	return list, nil
}

const whyLimit = 20

// find looks for path and what follows each of its slashes in every source, then for its last name among the newest files.
func find(r store.Reader, path string) ([]File, error) {
	path = strings.TrimPrefix(path, "./")
	sources, err := sources(r)
	if err != nil {
		return nil, err
	}
	for tail := path; tail != ""; {
		var found []File
		for _, s := range sources {
			list, err := collect(r, scanFile, `SELECT `+fileColumns+` FROM files f WHERE f.source = `+ofSource+` AND f.path = ? ORDER BY f.id DESC LIMIT ?`, s, []byte(tail), whyLimit)
			if err != nil {
				return nil, err
			}
			found = append(found, list...)
		}
		if len(found) > 0 {
			return found[:min(len(found), whyLimit)], nil
		}
		_, rest, more := strings.Cut(tail, "/")
		if !more {
			break
		}
		tail = rest
	}
	last := base(path)
	list, err := collect(r, scanFile, `SELECT `+fileColumns+` FROM (SELECT * FROM files ORDER BY id DESC LIMIT 20000) f
		WHERE substr(f.path, -?) = ? ORDER BY f.id DESC LIMIT ?`, len(last)+1, []byte("/"+last), whyLimit)
	return list, err
}

// sources returns the names of all sources that have had files.
func sources(r store.Reader) ([]string, error) {
	return collect(r, func(scan func(...any) error) (name string, err error) {
		err = scan(&name)
		return name, err
	}, `SELECT name FROM names WHERE kind = 'source' ORDER BY name`)
}

// words says where a file stands.
func (s Standing) words() string {
	f := s.File
	until := ""
	if !f.Until.IsZero() {
		until = ", to be looked at again by " + f.Until.Format(time.RFC3339)
	}
	switch f.State {
	case FileSeen:
		return "not taken yet: " + f.Reason + until
	case FileClosable:
		return "done with, waits to be closed: " + f.Reason + until
	case FileClosed:
		if f.Reason == "" {
			return "closed and deleted at its source"
		}
		return "closed: " + f.Reason
	}
	if len(s.Entries) == 0 {
		return "landed: " + NoJob
	}
	return "landed"
}
