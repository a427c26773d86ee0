package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/failpoint"
	"waybill/store"
)

const (
	seenRefresh = 24 * time.Hour   // how old the time of last sight may get before it is written again
	untilSlack  = 10 * time.Second // an "until" that moves by less is not worth a row
)

// Unknown returns those of arrivals, of one source, that are not in the ledger as landed: they are new, or wait, or are
// files that no job took and one does now. Where all are known it reads once for each 500 and writes nothing, except
// once a day that they are still there. The order is kept.
func (l *Ledger) Unknown(ctx context.Context, source string, arrivals []Arrival) ([]Arrival, error) {
	var unknown []Arrival
	var stale []int64
	for from := 0; from < len(arrivals); from += knownSet {
		part := arrivals[from:min(from+knownSet, len(arrivals))]
		list, err := l.remarkable(ctx, source, part)
		if err != nil {
			return nil, fmt.Errorf("look up files of %s: %w", source, err)
		}
		for _, f := range list {
			switch {
			case f.id == 0 || f.state == FileSeen || f.reason == NoJob && len(l.route(part[f.index])) > 0:
				unknown = append(unknown, part[f.index])
			default:
				stale = append(stale, f.id)
			}
		}
	}
	if err := l.stillThere(ctx, stale); err != nil {
		return nil, fmt.Errorf("note files of %s as still there: %w", source, err)
	}
	return unknown, nil
}

// knownSet is how many files are looked up in one statement.
const knownSet = 500

type remark struct {
	index         int
	id            int64
	state, reason string
}

// remarkable returns something for each of arrivals but those that are landed, as most are, and were noted as there within a day.
// The statement answers with nothing at all in the ordinary case: that is what makes a look at 100,000 known files cheap.
func (l *Ledger) remarkable(ctx context.Context, source string, arrivals []Arrival) ([]remark, error) {
	n := places(len(arrivals))
	args := make([]any, 0, 3*n+3)
	for i := range n {
		if i < len(arrivals) {
			args = append(args, i, []byte(arrivals[i].Path), arrivals[i].Version)
		} else {
			args = append(args, -1, []byte{}, "")
		}
	}
	args = append(args, source, NoJob, store.Millis(l.clock().Add(-seenRefresh)))
	return collect(l.db.Reader(ctx), func(scan func(...any) error) (r remark, err error) {
		err = scan(&r.index, &r.id, &r.state, &r.reason)
		return r, err
	}, remarkableQuery(n), args...)
}

func remarkableQuery(n int) string {
	return `WITH given (n, path, version) AS (VALUES (?, ?, ?)` + strings.Repeat(`, (?, ?, ?)`, n-1) + `)
		SELECT given.n, COALESCE(f.id, 0), COALESCE(f.state, ''), COALESCE(f.reason, '') FROM given
		LEFT JOIN files f ON f.source = ` + ofSource + ` AND f.path = given.path AND f.version = given.version
		WHERE given.n >= 0 AND (f.id IS NULL OR f.state = 'seen' OR f.reason = ? OR f.seen < ?) ORDER BY given.n`
}

// places rounds the size of a set up, so that there are few distinct statements.
func places(n int) int {
	for _, size := range []int{1, 10, 100} {
		if n <= size {
			return size
		}
	}
	return knownSet
}

func (l *Ledger) stillThere(ctx context.Context, ids []int64) error {
	now := l.clock()
	for chunk := range slices.Chunk(ids, setSize) {
		err := l.db.Tx(ctx, func(tx *store.Tx) error {
			in, args := store.Set(chunk)
			args = append([]any{store.Millis(now)}, args...)
			_, err := tx.Exec(`UPDATE files SET seen = ? WHERE id IN `+in+` AND seen < ?`, append(args, store.Millis(now.Add(-seenRefresh)))...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Waiting notes why files are not taken, for `waybill why`. It writes only what is new or has changed. A file has one such
// row, whatever versions of it go by; when it lands the row becomes the file's.
func (l *Ledger) Waiting(ctx context.Context, source string, list []Waiting) error {
	var changed []Waiting
	r := l.db.Reader(ctx)
	for _, w := range list {
		var version, reason string
		var until *int64
		err := r.QueryRow(`SELECT version, reason, until FROM files WHERE source = `+ofSource+` AND path = ? AND state = 'seen' LIMIT 1`, source, []byte(w.Arrival.Path)).
			Scan(&version, &reason, &until)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("note waiting files of %s: %w", source, err)
		}
		if err != nil || version != w.Arrival.Version || reason != w.Reason || instant(until).Sub(w.Until).Abs() > untilSlack {
			changed = append(changed, w)
		}
	}
	for chunk := range slices.Chunk(changed, setSize) {
		err := l.db.Tx(ctx, func(tx *store.Tx) error {
			for _, w := range chunk {
				if err := l.wait(tx, source, w); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("note waiting files of %s: %w", source, err)
		}
	}
	return nil
}

func (l *Ledger) wait(tx *store.Tx, source string, w Waiting) error {
	a := w.Arrival
	var state string
	err := tx.QueryRow(`SELECT state FROM files WHERE source = `+ofSource+` AND path = ? AND version = ?`, source, []byte(a.Path), a.Version).Scan(&state)
	if err == nil && state != FileSeen {
		return nil // it has landed meanwhile
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	now := store.Millis(l.clock())
	n, err := tx.Exec(`UPDATE files SET version = ?, size = ?, mtime = ?, reason = ?, until = ?, seen = ?
		WHERE id = (SELECT id FROM files WHERE source = `+ofSource+` AND path = ? AND state = 'seen' LIMIT 1)`,
		a.Version, a.Size, modTime(a.ModTime), w.Reason, store.NullMillis(w.Until), now, source, []byte(a.Path))
	if err != nil || n > 0 {
		return err
	}
	number, err := tx.Number(Source, source)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO files (source, path, version, size, mtime, state, reason, until, seen) VALUES (?, ?, ?, ?, ?, 'seen', ?, ?, ?)`,
		number, []byte(a.Path), a.Version, a.Size, modTime(a.ModTime), w.Reason, store.NullMillis(w.Until), now)
	return err
}

const closableQuery = `SELECT ` + fileColumns + ` FROM files f WHERE f.source = ` + ofSource + ` AND f.state = 'closable' ORDER BY f.id LIMIT ?`

// Closable returns up to n files of a source that can be closed, the oldest first. The same are returned again until Closed is
// told of them. A file that failed has a report, which is read when it is asked for.
func (l *Ledger) Closable(ctx context.Context, source string, n int) ([]Closable, error) {
	files, err := collect(l.db.Reader(ctx), scanFile, closableQuery, source, n)
	if err != nil {
		return nil, fmt.Errorf("look for closable files of %s: %w", source, err)
	}
	list := make([]Closable, 0, len(files))
	for _, f := range files {
		list = append(list, Closable{File: f, Failed: f.Reason == fateFailed, ReportName: base(f.Path) + ".rejects.json",
			Report: func(ctx context.Context) ([]byte, error) {
				b, err := report(l.db.Reader(ctx), f)
				if err != nil {
					return nil, fmt.Errorf("report on %s: %w", Shown(f.Path), err)
				}
				return b, nil
			}})
	}
	return list, nil
}

// A Report is what is laid beside a file that failed.
type Report struct {
	File     string        `json:"file"`
	SHA256   string        `json:"sha256"`
	Received time.Time     `json:"received"`
	Entries  []ReportEntry `json:"entries"`
}

// A ReportEntry is the part of a report on one entry.
type ReportEntry struct {
	Entry   int64    `json:"entry"`
	Member  string   `json:"member,omitempty"` // path in the archive, where the file is one
	Job     string   `json:"job"`
	State   State    `json:"state"`
	Reason  string   `json:"reason,omitempty"`
	Records int64    `json:"records"`
	Count   int64    `json:"rejected"`
	Dead    int64    `json:"dead_letters,omitempty"`
	Rejects []Reject `json:"rejects,omitempty"` // the first 1,000
}

// report tells of the entries of a file that did not go smoothly; nil when all did.
func report(r store.Reader, f File) ([]byte, error) {
	list, err := entries(r, `SELECT `+entryColumns+` FROM entries e WHERE e.file = ?
		OR e.file IN (SELECT m.id FROM files m WHERE m.parent IN (SELECT a.id FROM entries a WHERE a.file = ?)) ORDER BY e.id`, f.ID, f.ID)
	if err != nil {
		return nil, err
	}
	rep := Report{File: Shown(f.Path), SHA256: fmt.Sprintf("%x", f.Digest), Received: f.Landed}
	for _, e := range list {
		if e.Rejects == 0 && e.State != Rejected && e.State != Failed && e.State != Cancelled {
			continue
		}
		re := ReportEntry{Entry: e.ID, Job: e.Job, State: e.State, Reason: e.Reason, Records: e.Records, Count: e.Rejects, Dead: e.Dead}
		if e.File != f.ID {
			re.Member = strings.TrimPrefix(e.Name, Shown(f.Path)+"/")
		}
		if re.Rejects, err = rejectsOf(r, e.ID); err != nil {
			return nil, err
		}
		rep.Entries = append(rep.Entries, re)
	}
	if len(rep.Entries) == 0 {
		return nil, nil
	}
	b, err := json.MarshalIndent(rep, "", "  ")
	return append(b, '\n'), err
}

func rejectsOf(r store.Reader, entry int64) ([]Reject, error) {
	return collect(r, func(scan func(...any) error) (j Reject, err error) {
		err = scan(&j.Record, &j.Line, &j.Field, &j.Value, &j.Reason)
		return j, err
	}, `SELECT record, line, field, value, reason FROM rejects WHERE entry = ? ORDER BY seq`, entry)
}

// Closed notes what came of closing files. One that could not be taken away is closed too: it lies where it was, and
// says why.
func (l *Ledger) Closed(ctx context.Context, list []ClosedFile) error {
	now := l.clock()
	for chunk := range slices.Chunk(list, setSize) {
		err := l.db.Tx(ctx, func(tx *store.Tx) error {
			for _, c := range chunk {
				if err := l.closed(tx, now, c); err != nil {
					return err
				}
			}
			failpoint.Hit("ledger/closing")
			return nil
		})
		if err != nil {
			return fmt.Errorf("note %d closed files: %w", len(chunk), err)
		}
	}
	return nil
}

func (l *Ledger) closed(tx *store.Tx, now time.Time, c ClosedFile) error {
	reason := c.Where
	if c.Err != "" {
		reason = "left where it was: " + cut(c.Err, 1000)
	}
	n, err := tx.Exec(`UPDATE files SET state = 'closed', reason = ?, until = NULL, closed = ? WHERE id = ? AND state = 'closable'`,
		reason, store.Millis(now), c.ID)
	if err != nil || n == 0 || c.Err == "" {
		return err
	}
	return l.Record(tx, Event{At: now, Kind: "left", Detail: map[string]any{"file": c.ID, "reason": reason}})
}

// RejectedFor returns the entries, the newest first, of which a rejected record has text as the value that was wrong. It
// reads all rejects.
func (l *Ledger) RejectedFor(ctx context.Context, text string, limit int) ([]Entry, error) {
	list, err := entries(l.db.Reader(ctx), `SELECT `+entryColumns+` FROM entries e WHERE e.id IN (SELECT entry FROM rejects WHERE value = ?) ORDER BY e.id DESC LIMIT ?`,
		cut(onLine(text), valueLimit), limit)
	if err != nil {
		return nil, fmt.Errorf("look among rejected records: %w", err)
	}
	return list, nil
}
