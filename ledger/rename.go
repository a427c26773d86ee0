package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	for _, s := range following(n) {
		if _, err := tx.Exec(s.statement, s.args...); err != nil {
			return false, fmt.Errorf("rename %s %s to %s: %w", n.Kind, n.Formerly, n.Name, err)
		}
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

// A change is one statement with its arguments.
type change struct {
	statement string
	args      []any
}

// following lists what changes in the rows of the ledger when something is renamed. Where rows of the new name are there
// already, an identity that both have stays with the new one.
func following(n Named) []change {
	to, from := n.Name, n.Formerly
	list := []change{
		{`UPDATE OR REPLACE marks SET job = ? WHERE job = ?`, []any{n.Kind + "/" + to, n.Kind + "/" + from}},
		{`DELETE FROM status WHERE part = ?`, []any{n.Kind + "/" + from}},
	}
	switch n.Kind {
	case Job:
		return slices.Concat(list, []change{
			{`UPDATE OR REPLACE marks SET job = ? WHERE job = ?`, []any{to, from}},
			{`UPDATE entries SET identity = NULL WHERE job = ? AND identity IN (SELECT identity FROM entries WHERE job = ? AND identity IS NOT NULL)`, []any{from, to}},
			{`UPDATE entries SET job = ? WHERE job = ?`, []any{to, from}},
			{`UPDATE owed SET job = ? WHERE job = ?`, []any{to, from}},
			{`UPDATE OR IGNORE incomplete SET job = ? WHERE job = ?`, []any{to, from}},
			{`UPDATE OR IGNORE identities SET job = ? WHERE job = ?`, []any{to, from}},
		}, sourceRows(manual+to, manual+from))
	case Source:
		return slices.Concat(list, sourceRows(to, from))
	}
	return list
}

// sourceRows moves the files of a source. A version that both have seen stays once.
func sourceRows(to, from string) []change {
	return []change{
		{`UPDATE OR IGNORE files SET source = ? WHERE source = ?`, []any{to, from}},
		{`UPDATE entries SET source = ? WHERE source = ?`, []any{to, from}},
	}
}
