package ledger

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"waybill/failpoint"
	"waybill/spool"
	"waybill/store"
)

// A Member is a file out of an archive, with its bytes in the spool.
type Member struct {
	Name     string // its path in the archive
	ModTime  time.Time
	Incoming *spool.Incoming
	Blank    bool // see Blankness
}

// Unpacked is what came out of an archive.
type Unpacked struct {
	Members []Member
	Passed  int64 // files that the job does not take
}

// archive is what a landing knows of the archive that its file is a member of.
type archive struct {
	first  int64 // run of the archive's entry
	policy Policy
}

// parentage notes in f where a member comes from, and returns the same as the columns have it: nothing for any other file.
func (g *landing) parentage(f *File) (parent, member any) {
	if g.archive == nil {
		return nil, nil
	}
	f.Parent, f.Member = g.archive.first, g.member
	return f.Parent, []byte(f.Member)
}

// ofMembers are the verdicts on members that follow from the one on their archive. In one that was corrected, members that are as they were stay known.
func (v Verdict) ofMembers() []Verdict {
	if v == Correction {
		return []Verdict{Correction}
	}
	return []Verdict{Redelivery, Suspect}
}

// LandMembers lands the members of an archive for its job, in the transaction that accepts the archive's entry: all of them are there, or none is. Each is
// a file of its own with its own entry, identity and verdict, under the path of the archive and its own in that. What a person let through though it was known, approved or replayed,
// is not held or skipped once more for its members; what else a member is, nobody has seen. The archive comes to its end when they all have. Members that have landed before are not landed again.
func (l *Ledger) LandMembers(tx *store.Tx, parent Entry, of File, p Policy, out Unpacked) ([]Entry, error) {
	failpoint.Hit("ledger/members")
	if err := namedNow(tx, &parent, &of); err != nil {
		return nil, fmt.Errorf("land the members of #%d: %w", parent.ID, err)
	}
	p.Job = parent.Job
	p.Hold = "" // the archive was held for it
	if parent.Approved(HoldVerdict) || parent.Origin != 0 && (parent.Verdict == Redelivery || parent.Verdict == Suspect) {
		p.Actions = maps.Clone(p.Actions)
		for _, verdict := range parent.Verdict.ofMembers() {
			if action, ok := p.Actions[verdict]; ok && (action == ToHold || action == ToSkip) {
				p.Actions[verdict] = ToProcess
			}
		}
	}
	a := &archive{first: parent.first(), policy: p}
	set := make([]*landing, len(out.Members))
	for i, m := range out.Members {
		set[i] = &landing{ledger: l, incoming: m.Incoming, blank: m.Blank, archive: a, member: m.Name, arrival: Arrival{
			Source: of.Source, Path: of.Path + "/" + m.Name, Version: fmt.Sprintf("in #%d", a.first), Size: m.Incoming.Size, ModTime: m.ModTime,
			Partner: parent.Partner, Trial: parent.Trial, Kind: parent.Kind}}
	}
	if err := l.landAll(tx, set); err != nil {
		return nil, fmt.Errorf("land the members of #%d: %w", parent.ID, err)
	}
	failpoint.Hit("ledger/members-landed")
	var landed []Entry
	for _, g := range set {
		landed = append(landed, g.entries...)
	}
	detail := map[string]any{"members": len(set)}
	if out.Passed > 0 {
		detail["passed_over"] = out.Passed
	}
	if err := l.Record(tx, Event{At: l.clock(), Kind: "unpacked", Entry: parent.ID, Detail: detail}); err != nil {
		return nil, err
	}
	if err := l.settleArchive(tx, l.clock(), a.first); err != nil { // all of them may be known
		return nil, fmt.Errorf("land the members of #%d: %w", parent.ID, err)
	}
	return landed, nil
}

// namedNow gives an entry and its file the names of now: their job and their source may have been renamed since they were read.
func namedNow(tx *store.Tx, e *Entry, f *File) error {
	return tx.QueryRow(`SELECT `+jobName+`, `+sourceName+` FROM entries e JOIN files f ON f.id = ? WHERE e.id = ?`, f.ID, e.ID).Scan(&e.Job, &f.Source)
}

// Of each member only the last run counts: a replay makes good what the runs before it did.
const lastMembers = ` FROM files m JOIN entries e ON e.file = m.id WHERE m.parent = ?
	AND NOT EXISTS (SELECT 1 FROM entries r WHERE r.file = e.file AND r.job = e.job AND r.run > e.run)`

// Members returns the newest run of each member of an archive, which may be given as any of its runs; none for what is no archive, or was
// not unpacked yet.
func (l *Ledger) Members(ctx context.Context, archive Entry) ([]Entry, error) {
	list, err := entries(l.db.Reader(ctx), `SELECT `+entryColumns+lastMembers+` ORDER BY e.id`, archive.first())
	if err != nil {
		return nil, fmt.Errorf("members of #%d: %w", archive.ID, err)
	}
	return list, nil
}

// settleArchive brings an archive to its end when all of its members have come to theirs: failed while dead letters of theirs are open, else delivered,
// with those named that were not taken. Then its identity is free, so that it may come again: what was taken of it is known by its own. It may be repeated, and goes by what is so now.
func (l *Ledger) settleArchive(tx *store.Tx, now time.Time, first int64) error {
	var open bool
	err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM files m JOIN entries e ON e.file = m.id WHERE m.parent = ?
		AND e.state NOT IN ('delivered', 'rejected', 'failed', 'duplicate', 'cancelled'))`, first).Scan(&open)
	if err != nil || open {
		return err
	}
	counts := map[State]int64{}
	var all, dead int64
	list, err := entries(tx, `SELECT `+entryColumns+lastMembers, first)
	if err != nil || len(list) == 0 {
		return err
	}
	for _, e := range list {
		counts[e.State]++
		all++
		dead += e.Dead
	}
	state, reason := Delivered, notTaken(counts, all)
	if counts[Failed] > 0 {
		state = Failed
	}
	runs, err := entries(tx, `SELECT `+entryColumns+` FROM entries e WHERE (e.id = ? OR e.origin = ?) AND e.state IN ('accepted', 'failed', 'delivered')`, first, first)
	if err != nil {
		return err
	}
	var files []int64
	for _, e := range runs {
		if e.State == state && e.Reason == reason && e.Dead == dead {
			continue
		}
		if err := l.endArchive(tx, now, e, state, reason, dead); err != nil {
			return err
		}
		files = append(files, e.File)
	}
	return l.settle(tx, now, files)
}

// endArchive writes the end of one run.
func (l *Ledger) endArchive(tx *store.Tx, now time.Time, e Entry, state State, reason string, dead int64) error {
	free := 0
	if reason != "" && state == Delivered {
		free = 1
	}
	if _, err := tx.Exec(`UPDATE entries SET state = ?, reason = ?, dead = ?, finished = ?, identity = CASE ? WHEN 1 THEN NULL ELSE identity END WHERE id = ?`,
		state, reason, dead, store.Millis(now), free, e.ID); err != nil {
		return err
	}
	failpoint.Hit("ledger/members-ended")
	detail := map[string]any{}
	if reason != "" {
		detail["reason"] = reason
	}
	return l.Record(tx, Event{At: now, Kind: string(state), Entry: e.ID, Detail: detail})
}

// notTaken says what became of the members that did not go through, "" when all did.
func notTaken(counts map[State]int64, all int64) string {
	var parts []string
	for _, s := range []State{Rejected, Cancelled, Failed} {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("of its members, %d in all, %s", all, strings.Join(parts, ", "))
}

// replayable returns the members that a replay of their archive sends again: what was skipped as known stays so, unless all of it was.
func replayable(tx *store.Tx, first int64) ([]Entry, error) {
	list, err := entries(tx, `SELECT `+entryColumns+lastMembers+` ORDER BY e.id`, first)
	if err != nil {
		return nil, err
	}
	var taken []Entry
	for _, e := range list {
		if e.State != Duplicate {
			taken = append(taken, e)
		}
	}
	if len(taken) == 0 {
		return list, nil
	}
	return taken, nil
}

// replayMembers makes the next run of members, whose archive's next run has then nothing more to do than to wait for them.
func (l *Ledger) replayMembers(tx *store.Tx, archive int64, members []Entry, by string, rerender bool) error {
	if len(members) == 0 {
		return nil
	}
	for _, m := range members {
		if _, err := l.replay(tx, m.ID, by, rerender); err != nil {
			return fmt.Errorf("member #%d, %s: %w", m.ID, m.Name, err)
		}
	}
	_, err := tx.Exec(`UPDATE entries SET state = 'accepted', accepted = ? WHERE id = ?`, store.Millis(l.clock()), archive)
	return err
}
