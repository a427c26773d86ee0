package ledger

import (
	"time"

	"waybill/store"
)

// Rows have the numbers of names, see store's Tx.Number: ofJob and ofSource are those of the name that is their argument, jobName and sourceName the names that rows AS e and AS f have now.
const (
	ofJob      = `(SELECT id FROM names WHERE kind = 'job' AND name = ?)`
	ofSource   = `(SELECT id FROM names WHERE kind = 'source' AND name = ?)`
	jobName    = `(SELECT n.name FROM names n WHERE n.id = e.job)`
	sourceName = `(SELECT n.name FROM names n WHERE n.id = f.source)`
)

// entryColumns are what scanEntry reads, of entries AS e. A replay shows the identity that another run of its entry has: that
// is what the keys of its messages come from.
const entryColumns = `e.id, e.kind, ` + jobName + `, e.run, COALESCE(e.origin, 0), COALESCE(e.file, 0), COALESCE((SELECT n.name FROM names n WHERE n.id = e.source), ''), e.name,
	COALESCE(e.identity, (SELECT o.identity FROM entries o WHERE o.id = e.origin AND o.identity IS NOT NULL
		UNION ALL SELECT o.identity FROM entries o WHERE o.origin = e.origin AND o.identity IS NOT NULL LIMIT 1), ''),
	e.verdict, COALESCE(e.twin, 0), e.state, e.reason, e.hold, e.approved, e.records, e.messages, e.rejects, e.dead, e.attempts, e.due, e.token,
	e.since, e.till, e.config, e.received, e.accepted, e.finished, e.partner, e.trial`

// numbersOf are the numbers of an entry's job and source, 0 where it has no source.
func numbersOf(tx *store.Tx, e Entry) (job, source int64, err error) {
	job, err = tx.Number(Job, e.Job)
	if err == nil && e.Source != "" {
		source, err = tx.Number(Source, e.Source)
	}
	return job, source, err
}

// scanEntry reads one row of entryColumns.
func scanEntry(scan func(...any) error) (Entry, error) {
	var e Entry
	var due, received int64
	var since, till, accepted, finished *int64
	err := scan(&e.ID, &e.Kind, &e.Job, &e.Run, &e.Origin, &e.File, &e.Source, &e.Name, &e.Identity,
		&e.Verdict, &e.Twin, &e.State, &e.Reason, &e.Hold, &e.Let, &e.Records, &e.Messages, &e.Rejects, &e.Dead, &e.Attempts, &due, &e.Token,
		&since, &till, &e.Config, &received, &accepted, &finished, &e.Partner, &e.Trial)
	e.Due, e.Received = orZero(due), store.Time(received)
	e.Since, e.Till, e.Accepted, e.Finished = instant(since), instant(till), instant(accepted), instant(finished)
	return e, err
}

// entries runs a query of entryColumns.
func entries(r store.Reader, query string, args ...any) ([]Entry, error) {
	return collect(r, scanEntry, query, args...)
}

const fileColumns = `f.id, ` + sourceName + `, f.path, f.version, f.size, f.mtime, f.digest, COALESCE(f.object, 0), f.state, f.reason,
	f.until, f.seen, f.landed, f.closed, f.partner, f.trial, COALESCE(f.parent, 0), f.member`

// scanFile reads one row of fileColumns.
func scanFile(scan func(...any) error) (File, error) {
	var f File
	var path, member []byte
	var mtime, seen int64
	var until, landed, closed *int64
	err := scan(&f.ID, &f.Source, &path, &f.Version, &f.Size, &mtime, &f.Digest, &f.Object, &f.State, &f.Reason,
		&until, &seen, &landed, &closed, &f.Partner, &f.Trial, &f.Parent, &member)
	f.Path, f.Member, f.ModTime, f.Seen = string(path), string(member), time.Unix(0, mtime).UTC(), store.Time(seen)
	f.Until, f.Landed, f.Closed = instant(until), instant(landed), instant(closed)
	return f, err
}

// collect runs a query and reads all its rows, closing them before it returns.
func collect[T any](r store.Reader, scan func(func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	rows, err := r.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []T
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// scanID reads a single number.
func scanID(scan func(...any) error) (id int64, err error) {
	err = scan(&id)
	return id, err
}

// modTime is how a file's time is stored: Unix nanoseconds, 0 when there is none or it is out of their range (1678 to 2262).
func modTime(t time.Time) int64 {
	if t.Year() < 1678 || t.Year() > 2261 {
		return 0
	}
	return t.UnixNano()
}

func orNull(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
