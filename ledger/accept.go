package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"waybill/failpoint"
	"waybill/store"
)

// rejectLimit is how many rejects of an entry are kept; the rest is in the reject report that jobs write.
const rejectLimit = 1000

// A Worked is an entry and what working it came to.
type Worked struct {
	Entry   Entry
	Outcome Outcome
}

// Accept ends the working of a claimed entry in the caller's transaction, which also releases its messages. It is
// ErrGone when the entry was cancelled meanwhile or the claim does not hold: the transaction must then fail.
func (l *Ledger) Accept(tx *store.Tx, e Entry, o Outcome) error {
	failpoint.Hit("ledger/accepting")
	now := l.clock()
	ok, err := l.accept(tx, now, e, o)
	if err == nil && !ok {
		err = ErrGone
	}
	if err == nil {
		err = l.Record(tx, Event{At: now, Kind: string(o.State), Entry: e.ID, Detail: o.detail()})
	}
	if err == nil && o.State.final() {
		err = l.settle(tx, now, []int64{e.File})
	}
	if err != nil {
		return fmt.Errorf("accept #%d: %w", e.ID, err)
	}
	return nil
}

// AcceptAll is Accept for up to 200 entries, with one event for all that went well. It returns those that are gone, whose
// messages the caller must not release; the others are accepted.
func (l *Ledger) AcceptAll(tx *store.Tx, list []Worked) (gone []Entry, err error) {
	if len(list) > setSize {
		return nil, fmt.Errorf("accept %d entries: at most %d at once", len(list), setSize)
	}
	failpoint.Hit("ledger/accepting")
	now := l.clock()
	smooth, list, err := l.acceptAlike(tx, now, list)
	if err != nil {
		return nil, fmt.Errorf("accept entries: %w", err)
	}
	files := filesOf(smooth)
	ids := map[string][]int64{} // by the tables that they went by
	for _, a := range smooth {
		ids[a.Outcome.Tables] = append(ids[a.Outcome.Tables], a.Entry.ID)
	}
	for _, a := range list {
		ok, err := l.accept(tx, now, a.Entry, a.Outcome)
		if err != nil {
			return nil, fmt.Errorf("accept #%d: %w", a.Entry.ID, err)
		}
		if !ok {
			gone = append(gone, a.Entry)
			continue
		}
		if a.Outcome.State == Accepted || a.Outcome.State == Delivered {
			ids[a.Outcome.Tables] = append(ids[a.Outcome.Tables], a.Entry.ID)
		} else if err := l.Record(tx, Event{At: now, Kind: string(a.Outcome.State), Entry: a.Entry.ID, Detail: a.Outcome.detail()}); err != nil {
			return nil, fmt.Errorf("accept #%d: %w", a.Entry.ID, err)
		}
		if a.Outcome.State.final() {
			files = append(files, a.Entry.File)
		}
	}
	for _, tables := range slices.Sorted(maps.Keys(ids)) {
		slices.Sort(ids[tables])
		if err := l.recordSet(tx, Event{At: now, Kind: "accepted", Detail: Outcome{Tables: tables}.detail()}, ids[tables]); err != nil {
			return nil, fmt.Errorf("accept %d entries: %w", len(list), err)
		}
	}
	if err := l.settle(tx, now, files); err != nil {
		return nil, fmt.Errorf("accept %d entries: %w", len(list), err)
	}
	return gone, nil
}

// filesOf returns the files of entries that have come to an end.
func filesOf(list []Worked) []int64 {
	var files []int64
	for _, a := range list {
		if a.Outcome.State.final() {
			files = append(files, a.Entry.File)
		}
	}
	return files
}

// A likeness is what entries have in common that one statement accepts: in a stream of small files, nearly all.
type likeness struct {
	state             State
	records, messages int64
	config            string
}

// acceptAlike accepts the entries that went smoothly, a set at a time, and returns them and the others. An entry that the statement does not
// find is among the others, to be looked at by itself.
func (l *Ledger) acceptAlike(tx *store.Tx, now time.Time, list []Worked) (smooth, others []Worked, err error) {
	alike := map[likeness][]Worked{}
	for _, a := range list {
		o := a.Outcome
		plain := (o.State == Accepted || o.State == Delivered) && o.Reason == "" && o.Verdict == "" && o.Rejected == 0 && len(o.Rejects) == 0
		if !plain || a.Entry.Rejects > 0 || !l.claims.holds(a.Entry.ID, a.Entry.Token) {
			others = append(others, a)
			continue
		}
		k := likeness{o.State, o.Records, o.Messages, o.Config}
		alike[k] = append(alike[k], a)
	}
	for k, some := range alike {
		done, err := acceptSet(tx, now, k, some)
		if err != nil {
			return nil, nil, err
		}
		for _, a := range some {
			if done[a.Entry.ID] {
				smooth = append(smooth, a)
			} else {
				others = append(others, a)
			}
		}
	}
	return smooth, others, nil
}

// acceptSet accepts entries of one likeness and says which it has found. They get the highest token of the set: tokens only
// tell claims from earlier ones, and there is no claim between those of a set. An earlier claim left at most the lowest.
func acceptSet(tx *store.Tx, now time.Time, k likeness, list []Worked) (done map[int64]bool, err error) {
	ids := make([]int64, len(list))
	lowest, highest := list[0].Entry.Token, list[0].Entry.Token
	for i, a := range list {
		ids[i] = a.Entry.ID
		lowest, highest = min(lowest, a.Entry.Token), max(highest, a.Entry.Token)
	}
	var finished any
	if k.state == Delivered {
		finished = store.Millis(now)
	}
	places, args := store.Set(ids)
	found, err := collect(tx, scanID, `UPDATE entries SET state = ?, reason = '', records = ?, messages = ?, rejects = 0, config = ?, token = ?, accepted = ?, finished = ?
		WHERE id IN `+places+` AND state IN ('received', 'working') AND token <= ? RETURNING id`,
		append(append([]any{k.state, k.records, k.messages, k.config, highest, store.Millis(now), finished}, args...), lowest)...)
	done = make(map[int64]bool, len(found))
	for _, id := range found {
		done[id] = true
	}
	return done, err
}

// accept writes the outcome of one entry; ok is false when it is gone.
func (l *Ledger) accept(tx *store.Tx, now time.Time, e Entry, o Outcome) (ok bool, err error) {
	if !l.claims.holds(e.ID, e.Token) {
		return false, nil
	}
	var accepted, finished any
	frees, hold, due := 0, "", int64(0)
	switch o.State {
	case Accepted:
		accepted = store.Millis(now)
	case Delivered:
		accepted, finished = store.Millis(now), store.Millis(now)
	case Rejected, Duplicate:
		finished, frees = store.Millis(now), 1
	case Held:
		if e.Rerender() { // also once it is approved
			o.Reason = e.anew() + "; " + o.Reason
		}
		hold = o.Hold
		if o.Within > 0 {
			due = store.Millis(now.Add(o.Within))
		}
	default:
		return false, fmt.Errorf("outcome %q is not one of accepted, delivered, rejected, held, duplicate", o.State)
	}
	n, err := tx.Exec(`UPDATE entries SET state = ?, reason = ?, hold = ?, due = ?, records = ?, messages = ?, rejects = ?, config = ?, token = ?,
		verdict = COALESCE(NULLIF(?, ''), verdict), identity = CASE ? WHEN 1 THEN NULL ELSE identity END, accepted = ?, finished = ?
		WHERE id = ? AND state IN ('received', 'working') AND token <= ?`,
		o.State, cut(o.Reason, 4000), hold, due, o.Records, o.Messages, o.Rejected, o.Config, e.Token,
		o.Verdict, frees, accepted, finished, e.ID, e.Token)
	if err != nil || n == 0 {
		return false, err
	}
	if due != 0 {
		if err := already(tx, now, e); err != nil {
			return false, err
		}
	}
	return true, keepRejects(tx, e, o.Rejects)
}

func keepRejects(tx *store.Tx, e Entry, list []Reject) error {
	if e.Rejects > 0 { // it was held, and approved, and worked again
		if _, err := tx.Exec(`DELETE FROM rejects WHERE entry = ?`, e.ID); err != nil {
			return err
		}
	}
	for i, r := range list[:min(len(list), rejectLimit)] {
		_, err := tx.Exec(`INSERT INTO rejects (entry, record, seq, line, field, value, reason) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			e.ID, r.Record, i, r.Line, Shown(r.Field), cut(onLine(r.Value), valueLimit), cut(onLine(r.Reason), 1000))
		if err != nil {
			return err
		}
	}
	return nil
}

// detail is what the event of an outcome says.
func (o Outcome) detail() map[string]any {
	d := map[string]any{}
	if o.Reason != "" {
		d["reason"] = cut(o.Reason, 1000)
	}
	if o.Tables != "" {
		d["tables"] = o.Tables
	}
	for name, n := range map[string]int64{"records": o.Records, "messages": o.Messages, "rejects": o.Rejected} {
		if n != 0 {
			d[name] = n
		}
	}
	return d
}

// final reports whether nothing more will happen to an entry.
func (s State) final() bool {
	return s == Delivered || s == Rejected || s == Duplicate || s == Cancelled
}
