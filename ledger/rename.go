package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"waybill/store"
)

// Kinds of what has a name.
const (
	Job         = "job"
	Source      = "source"
	Destination = "destination"
)

// originMark is the name of the mark of what was renamed ("job/NAME"); its text is the oldest name, under which keys and identities know it.
const originMark = "origin"

// A Named is a job, a source or a destination of a configuration.
type Named struct {
	Kind, Name string
	Formerly   string // the name it had before, "" when it had none
}

func (n Named) subject() string { return n.Kind + "/" + n.Name }

// Origins says under which name keys and identities know what was renamed, by "kind/name".
type Origins map[string]string

// Of returns the oldest name of a job, a source or a destination: its own, unless it was renamed.
func (o Origins) Of(kind, name string) string {
	if origin := o[kind+"/"+name]; origin != "" {
		return origin
	}
	return name
}

// manual is how the source of files that are run by hand is called, before the name of their job.
const manual = "run/"

// ofSource is Of for the source of a file, which may be a job that it was run by.
func (o Origins) ofSource(source string) string {
	if job, ok := strings.CutPrefix(source, manual); ok {
		return manual + o.Of(Job, job)
	}
	return o.Of(Source, source)
}

// nameNow is the name of now of what was renamed while this process runs: who came by the old name may still have something to do.
// Where it writes it is asked in the transaction.
func (l *Ledger) nameNow(kind, name string) string {
	if now, renamed := (*l.called.Load())[kind+"/"+name]; renamed {
		return now
	}
	return name
}

// unchanged refuses to write under names that another process has changed since this one asked for its Origins: nobody would look there. The executor changes
// them itself. It is asked in the transaction that writes.
func (l *Ledger) unchanged(tx *store.Tx) error {
	if l.db.Executing() {
		return nil
	}
	origins, err := allOrigins(tx)
	if err == nil && !maps.Equal(origins, *l.origins.Load()) {
		err = errRenamed
	}
	return err
}

var errRenamed = errors.New("a job, a source or a destination was renamed meanwhile: try again")

// Adopt puts the names of a configuration in force, in one transaction: the rows of what was renamed follow, keys and identities stay
// those of the oldest name. rename does the same for rows that are not the ledger's; swap is called last and hands out the
// oldest names: what the transactions after this one go by is to change there. Nothing may be under way from a source that is
// renamed. It is done again at each start and changes nothing then. To be called by the holder of the executor lock.
func (l *Ledger) Adopt(ctx context.Context, items []Named, rename func(tx *store.Tx, n Named) error, swap func(Origins)) error {
	err := l.db.Tx(ctx, func(tx *store.Tx) error {
		origins, err := allOrigins(tx)
		if err != nil {
			return err
		}
		called := maps.Clone(*l.called.Load())
		for _, n := range items {
			delete(called, n.subject()) // it is one of its own now
			renamed, err := l.adopt(tx, n, origins)
			if err != nil {
				return err
			}
			if !renamed {
				continue
			}
			if err := rename(tx, n); err != nil {
				return err
			}
			for old, now := range called {
				if now == n.Formerly && strings.HasPrefix(old, n.Kind+"/") {
					called[old] = n.Name
				}
			}
			called[n.Kind+"/"+n.Formerly] = n.Name
		}
		l.fresh.clear()
		tx.After(l.fresh.clear) // of what has landed in the same group, too
		l.called.Store(&called)
		l.origins.Store(&origins)
		swap(maps.Clone(origins))
		return nil
	})
	if err != nil {
		return fmt.Errorf("take over the names of the configuration: %w", err)
	}
	return nil
}

// Origins reads the oldest names of what was renamed, for this ledger and its caller: a process that does not execute goes by what
// the one that does has adopted.
func (l *Ledger) Origins(ctx context.Context) (Origins, error) {
	origins, err := allOrigins(l.db.Reader(ctx))
	if err != nil {
		return nil, fmt.Errorf("read what was renamed: %w", err)
	}
	l.origins.Store(&origins)
	return maps.Clone(origins), nil
}

func allOrigins(r store.Reader) (Origins, error) {
	type row struct{ subject, origin string }
	list, err := collect(r, func(scan func(...any) error) (x row, err error) {
		err = scan(&x.subject, &x.origin)
		return x, err
	}, `SELECT job, text FROM marks WHERE name = ?`, originMark)
	origins := Origins{}
	for _, x := range list {
		origins[x.subject] = x.origin
	}
	return origins, err
}

// adopt brings one name up to date, and reports whether it was renamed now.
func (l *Ledger) adopt(tx *store.Tx, n Named, origins Origins) (renamed bool, err error) {
	_, known := origins[n.subject()]
	if n.Formerly == "" || known {
		return false, l.distinguish(tx, n, origins)
	}
	origin := origins.Of(n.Kind, n.Formerly)
	delete(origins, n.Kind+"/"+n.Formerly)
	origins[n.subject()] = origin
	if _, err := tx.Exec(`DELETE FROM marks WHERE job = ? AND name = ?`, n.Kind+"/"+n.Formerly, originMark); err != nil {
		return false, err
	}
	if err := l.SetMark(tx, n.subject(), originMark, Mark{At: l.clock(), Text: origin}); err != nil {
		return false, err
	}
	if err := follow(tx, n); err != nil {
		return false, fmt.Errorf("rename %s %s to %s: %w", n.Kind, n.Formerly, n.Name, err)
	}
	return true, l.Record(tx, Event{Kind: "rename", Detail: map[string]any{"kind": n.Kind, "from": n.Formerly, "to": n.Name}})
}

// distinguish gives what has the name that something else had first a name of its own in keys and identities.
func (l *Ledger) distinguish(tx *store.Tx, n Named, origins Origins) error {
	if _, known := origins[n.subject()]; known {
		return nil
	}
	taken := func(origin string) bool {
		for subject, first := range origins {
			if first == origin && strings.HasPrefix(subject, n.Kind+"/") {
				return true
			}
		}
		return false
	}
	if !taken(n.Name) {
		return nil
	}
	origin := ""
	for i := 2; origin == "" || taken(origin); i++ {
		origin = fmt.Sprintf("%s~%d", n.Name, i) // no name has that character
	}
	origins[n.subject()] = origin
	return l.SetMark(tx, n.subject(), originMark, Mark{At: l.clock(), Text: origin})
}

// follow has the rows of the ledger follow to the name of now.
func follow(tx *store.Tx, n Named) error {
	to, from := n.Name, n.Formerly
	list := []change{
		{`UPDATE OR REPLACE marks SET job = ? WHERE job = ?`, []any{n.subject(), n.Kind + "/" + from}},
		{`DELETE FROM status WHERE part = ?`, []any{n.Kind + "/" + from}},
	}
	switch n.Kind {
	case Job:
		list = append(list, change{`UPDATE OR REPLACE marks SET job = ? WHERE job = ?`, []any{to, from}})
		was, is, err := tx.Rename(Job, from, to)
		if err != nil {
			return err
		}
		list = append(list, oneJob(was, is)...)
		to, from = manual+to, manual+from
		fallthrough
	case Source:
		was, is, err := tx.Rename(Source, from, to)
		if err != nil {
			return err
		}
		list = append(list, oneSource(was, is)...)
	}
	for _, c := range list {
		if _, err := tx.Exec(c.statement, c.args...); err != nil {
			return err
		}
	}
	return nil
}

// A change is one statement with its arguments.
type change struct {
	statement string
	args      []any
}

// oneJob makes one job of two that have rows, where a name was in use before what has it now was renamed to it: was and is are the numbers of both. All entries are
// looked at, and those of the younger one rewritten: no index over jobs alone is worth its cost at each landing, and the planner would take it where a better one is. An identity that both have stays with what had the name, and so does the place where files that belong together are looked for.
func oneJob(was, is int64) []change {
	if was == 0 {
		return nil
	}
	kept, other := min(was, is), max(was, is)
	return []change{
		{`UPDATE entries SET identity = NULL WHERE id IN (SELECT CASE WHEN o.job = ? THEN o.id ELSE k.id END FROM entries o CROSS JOIN entries k ON k.job = ? AND k.identity = o.identity
			WHERE o.job = ? AND o.identity IS NOT NULL)`, []any{was, kept, other}},
		{`UPDATE entries SET job = ? WHERE job = ?`, []any{kept, other}},
		{`UPDATE OR IGNORE identities SET job = ? WHERE job = ?`, []any{kept, other}},
		{`DELETE FROM identities WHERE job = ?`, []any{other}},
		{`UPDATE incomplete SET job = ? WHERE job = ?`, []any{-was, was}}, // out of the way
		{`UPDATE incomplete SET job = ? WHERE job = ?`, []any{kept, is}},
		{`UPDATE OR IGNORE incomplete SET job = ? WHERE job = ?`, []any{kept, -was}},
		{`UPDATE incomplete SET job = ? WHERE job = ?`, []any{other, -was}}, // see Regather
	}
}

// oneSource is oneJob for sources. Of a version that both have seen the row of what had the name stays; the other goes by the old name on.
func oneSource(was, is int64) []change {
	if was == 0 {
		return nil
	}
	kept, other := min(was, is), max(was, is)
	return []change{
		{`UPDATE entries SET source = ? WHERE file IN (SELECT id FROM files WHERE source = ?)`, []any{kept, other}},
		{`UPDATE files SET source = ? WHERE id IN (SELECT CASE WHEN o.source = ? THEN o.id ELSE k.id END FROM files o CROSS JOIN files k ON k.source = ? AND k.path = o.path AND k.version = o.version
			WHERE o.source = ?)`, []any{-was, was, kept, other}},
		{`UPDATE files SET source = ? WHERE source = ?`, []any{kept, other}},
		{`UPDATE files SET source = ? WHERE source = ?`, []any{other, -was}},
	}
}
