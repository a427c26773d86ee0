package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waybill/store"
)

// How the reason of an entry begins that a person has let through.
const (
	approvedBy   = "approved by "
	replayedBy   = "replayed by "
	rerenderedBy = "to be rendered anew, replayed by "
	wouldHold    = "test: it would be held: " // not by a person: what holds others does not hold a trial
)

// WouldHold returns what a trial would be held for if it were none, "" when it would not.
func (e Entry) WouldHold() string {
	why, ok := strings.CutPrefix(e.Reason, wouldHold)
	if !ok {
		return ""
	}
	why, _, _ = strings.Cut(why, "; ") // what Retry has added
	return why
}

// What an entry is held for when it lands. What it is held for when it is worked is named by who works it.
const (
	HoldVerdict  = "verdict"  // it is a suspect, a redelivery or a correction, and its job holds those
	HoldApproval = "approval" // its job asks for approval of each
	HoldEmpty    = "empty"    // it has no records
	HoldFiles    = "files"    // files that belong to it are to come yet: no approval lets that pass
)

// Approved reports whether a person let pass what the entry was once held for. That does not hold it again; anything else, which nobody has seen, does.
func (e Entry) Approved(hold string) bool {
	return hold != "" && slices.Contains(strings.Split(e.Let, "\n"), hold)
}

// through reports whether the reason tells who let the entry through.
func (e Entry) through() bool {
	return strings.HasPrefix(e.Reason, approvedBy)
}

// Rerender reports whether a replay is to read and map its file anew, and not to send the stored bytes of the first run.
func (e Entry) Rerender() bool {
	return strings.HasPrefix(e.Reason, rerenderedBy) || e.through() && strings.Contains(e.Reason, ", "+rerenderedBy)
}

// anew returns the part of the reason that says that the entry is to be rendered anew.
func (e Entry) anew() string {
	who, _, _ := strings.Cut(e.Reason[strings.Index(e.Reason, rerenderedBy):], "; ")
	return who
}

// keep returns the part of the reason that must survive a retry, with a separator.
func (e Entry) keep() string {
	if !e.through() && !e.Rerender() && !strings.HasPrefix(e.Reason, replayedBy) && !strings.HasPrefix(e.Reason, wouldHold) {
		return ""
	}
	who, _, _ := strings.Cut(e.Reason, "; ")
	return who + "; "
}

// Approve lets a held entry go on: what it is held for now does not hold it again. Anything else is a [*StateError].
func (l *Ledger) Approve(ctx context.Context, id int64, by string) error {
	by = strings.ReplaceAll(Shown(by), ";", ",")
	err := l.db.Tx(ctx, func(tx *store.Tx) error {
		e, err := entryByID(tx, id)
		if err != nil {
			return err
		}
		if e.State != Held {
			return &StateError{Do: "approve", Entry: id, State: e.State, Need: "only a held entry can be approved"}
		}
		if waits, err := isIncomplete(tx, id); err != nil || waits {
			return errors.Join(err, &StateError{Do: "approve", Entry: id, State: e.State, Need: e.Reason + ": drop that, or cancel the entry"})
		}
		reason := approvedBy + by
		if e.Rerender() {
			reason += ", " + e.anew()
		}
		let := e.Let
		if e.Hold != "" && !e.Approved(e.Hold) {
			let = strings.TrimPrefix(let+"\n"+e.Hold, "\n")
		}
		if _, err := tx.Exec(`UPDATE entries SET state = 'received', reason = ?, hold = '', approved = ?, due = 0 WHERE id = ?`, reason, let, id); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM awaited WHERE entry = ?`, id); err != nil { // else a number that comes would let it go on once more, whatever holds it then
			return err
		}
		tx.Notify(TopicEntries)
		return l.Record(tx, Event{Kind: "approve", Entry: id, Detail: map[string]any{"by": by, "held": e.Reason}})
	})
	if err != nil {
		return fmt.Errorf("approve #%d: %w", id, err)
	}
	return nil
}

// Cancel ends an entry whose messages were not released yet and frees its identity, so that the same file can come again.
// Whoever works it gets ErrGone. Anything else is a [*StateError].
func (l *Ledger) Cancel(ctx context.Context, id int64, by string) error {
	by = Shown(by)
	err := l.db.Tx(ctx, func(tx *store.Tx) error {
		e, err := entryByID(tx, id)
		if err != nil {
			return err
		}
		switch e.State {
		case Held, Received, Working:
		default:
			return &StateError{Do: "cancel", Entry: id, State: e.State, Need: "only what is held, received or working can be cancelled; messages that are released are held up by pausing their destination"}
		}
		now := l.clock()
		_, err = tx.Exec(`UPDATE entries SET state = 'cancelled', reason = ?, hold = '', identity = NULL, finished = ? WHERE id = ?`,
			"cancelled by "+by, store.Millis(now), id)
		if err == nil {
			_, err = tx.Exec(`DELETE FROM incomplete WHERE entry = ?`, id)
		}
		if err != nil {
			return err
		}
		if err := l.Record(tx, Event{At: now, Kind: "cancel", Entry: id, Detail: map[string]any{"by": by, "was": e.State}}); err != nil {
			return err
		}
		return l.settle(tx, now, []int64{e.File})
	})
	if err != nil {
		return fmt.Errorf("cancel #%d: %w", id, err)
	}
	return nil
}

// Replay makes the next run of an entry that has come to an end: the same file or window. It shows the identity of the first run, so
// that keys stay; with rerender the file is read and mapped anew. Where the first run was rejected or cancelled
// its identity is free, and the replay claims it; it is refused when another entry has it by now.
func (l *Ledger) Replay(ctx context.Context, id int64, by string, rerender bool) (Entry, error) {
	by = strings.ReplaceAll(Shown(by), ";", ",")
	var e Entry
	err := l.db.Tx(ctx, func(tx *store.Tx) (err error) {
		e, err = l.replay(tx, id, by, rerender)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("replay #%d: %w", id, err)
	}
	return e, nil
}

// replay makes the next run of an entry. That of an archive is one of each of its members.
func (l *Ledger) replay(tx *store.Tx, id int64, by string, rerender bool) (Entry, error) {
	e, err := entryByID(tx, id)
	if err != nil {
		return e, err
	}
	first := e.first()
	last, err := lastRun(tx, first)
	if err != nil {
		return e, err
	}
	if !e.State.final() && e.State != Failed {
		return e, &StateError{Do: "replay", Entry: id, State: e.State, Need: "only what has come to an end can be replayed"}
	}
	if !last.State.final() && last.State != Failed {
		return e, &StateError{Do: "replay", Entry: last.ID, State: last.State, Need: fmt.Sprintf("run %d is still on its way", last.Run)}
	}
	members, err := replayable(tx, first)
	if err != nil {
		return e, err
	}
	claim := ""
	if len(members) == 0 { // else each of them has its own
		if claim, err = l.reclaim(tx, e, first, rerender); err != nil {
			return e, err
		}
	}
	how := replayedBy
	if rerender {
		how = rerenderedBy
	}
	e = Entry{Kind: e.Kind, Job: e.Job, Run: last.Run + 1, Origin: first, File: e.File, Source: e.Source, Name: e.Name, Identity: claim,
		Verdict: e.Verdict, Twin: e.Twin, State: Received, Reason: how + by, Since: e.Since, Till: e.Till, Received: l.clock(), Partner: e.Partner, Trial: e.Trial}
	if err := insertEntry(tx, &e); err != nil {
		return e, err
	}
	if err := l.Record(tx, Event{Kind: "replay", Entry: e.ID, Detail: map[string]any{"by": by, "of": id, "run": e.Run, "rerender": rerender}}); err != nil {
		return e, err
	}
	if err := l.replayMembers(tx, e.ID, members, by, rerender); err != nil {
		return e, err
	}
	return entryByID(tx, e.ID)
}

// first is the first run of an entry.
func (e Entry) first() int64 {
	if e.Origin != 0 {
		return e.Origin
	}
	return e.ID
}

// lastRun returns the newest run of the entry first.
func lastRun(r store.Reader, first int64) (Entry, error) {
	e, err := scanEntry(r.QueryRow(`SELECT `+entryColumns+` FROM entries e WHERE e.origin = ? ORDER BY e.run DESC LIMIT 1`, first).Scan)
	if err == nil {
		return e, nil
	}
	return entryByID(r, first)
}

// reclaim returns the identity that a replay is to claim: "" when a run before it has it still. It refuses what has to be read, but
// has no bytes any more.
func (l *Ledger) reclaim(tx *store.Tx, e Entry, first int64, rerender bool) (string, error) {
	var kept int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM entries WHERE (id = ? OR origin = ?) AND identity IS NOT NULL`, first, first).Scan(&kept); err != nil {
		return "", err
	}
	if kept > 0 && (!rerender || e.Kind == OfTick) {
		return "", nil
	}
	if e.Kind == OfTick {
		other, err := claimant(tx, e.Job, tickIdentity(e.Name))
		if err == nil && other != 0 {
			err = takenError(other)
		}
		return tickIdentity(e.Name), err
	}
	if e.File == 0 {
		return "", &StateError{Do: "replay", Entry: e.ID, State: e.State, Need: e.Reason + ": replay that one"}
	}
	f, err := fileByID(tx, e.File)
	if err != nil {
		return "", err
	}
	if f.Object == 0 {
		return "", &StateError{Do: "replay", Entry: e.ID, State: e.State,
			Need: "its bytes were removed by retention (retain.files): drop the file again, and replay that one if it is skipped as known"}
	}
	if kept > 0 || e.Trial {
		return "", nil
	}
	a := Arrival{Source: f.Source, Path: f.Path, Version: f.Version, Size: f.Size, ModTime: f.ModTime, Partner: f.Partner, Kind: e.Kind, Landed: true}
	kind, whole := ByContent, a
	whole.Path = f.Archive() // a member belongs where its archive does
	for _, p := range l.route(whole) {
		if p.Job == e.Job {
			kind = p.Identity
		}
	}
	digest, err := digestOf(tx, first, f)
	if err != nil {
		return "", err
	}
	plain := l.identityOf(kind, a, digest)
	if e.Verdict == Empty {
		return numbered(plain, f.ID), nil
	}
	other, err := claimant(tx, e.Job, plain)
	if err != nil || other == 0 {
		return plain, err
	}
	if e.Verdict == Redelivery || e.Verdict == Suspect || other == e.Twin {
		return numbered(plain, f.ID), nil // it was known that the other has it, and this one is wanted all the same
	}
	return "", takenError(other)
}

func takenError(other int64) error {
	return fmt.Errorf("the same was taken meanwhile as #%d: replay that one", other)
}
