package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"waybill/failpoint"
	"waybill/store"
)

// A set is the files that make one entry, as far as they have come, with the arrival at hand.
type set struct {
	entry   Entry           // that waits for them; zero: this is the first of them
	have    map[string]File // of those before, by role
	missing []Need
}

// setOf tells sets apart: those of two partners, and trials from others, never meet. A source that was renamed goes on with its own.
func (l *Ledger) setOf(t *Together, a Arrival) []byte {
	h := sha256.New()
	for _, s := range []string{l.origins.Load().ofSource(a.Source), a.Partner, fmt.Sprint(a.Trial), t.Key} {
		_ = binary.Write(h, binary.BigEndian, int64(len(s))) // a hash takes all
		h.Write([]byte(s))
	}
	return h.Sum(nil)[:16]
}

// gather decides on an arrival that is one of several files. Before the last of them has come the entry is held, and has no identity: it is judged, and claims
// one, as a whole.
func (g *landing) gather(tx *store.Tx, p Policy) (decision, error) {
	s, err := g.assemble(tx, p)
	if err != nil {
		return decision{}, fmt.Errorf("look for what belongs to it: %w", err)
	}
	if before, ok := s.have[p.Together.Role]; ok && before.Path != g.arrival.Path { // no newer version of it: one would be lost in silence
		return decision{policy: p, verdict: Fresh, state: Rejected, reason: fmt.Sprintf("%s has come before it for the same files, see #%d: name them so that each belongs to one",
			Shown(before.Path), s.entry.ID)}, nil
	}
	if len(s.missing) > 0 {
		return decision{policy: p, verdict: Fresh, state: Held, reason: waitsFor(s.missing), hold: HoldFiles, set: s}, nil
	}
	lead := File{Path: g.arrival.Path, Version: g.arrival.Version, Size: g.arrival.Size, ModTime: g.arrival.ModTime, Digest: g.incoming.Digest}
	blank := g.blank
	if p.Together.Role != "" {
		lead = s.have[""]
		blank = lead.Size == 0
	}
	digests := map[string][]byte{p.Together.Role: g.incoming.Digest}
	for role, f := range s.have {
		if role != p.Together.Role {
			digests[role] = f.Digest
		}
	}
	a := g.arrival
	a.Path, a.Version, a.Size, a.ModTime = lead.Path, lead.Version, lead.Size, lead.ModTime
	d, err := g.ledger.judgeSet(tx, p, a, blank, digests)
	d.set = s
	return d, err
}

// judgeSet decides on files that have all come, by their digests; a is the arrival of the one that is worked.
func (l *Ledger) judgeSet(tx *store.Tx, p Policy, a Arrival, blank bool, digests map[string][]byte) (decision, error) {
	whole := digestOfAll(digests)
	identity := l.identityOf(p.Identity, a, whole)
	var earlier []past
	if !blank {
		var err error
		if earlier, err = resemblingSets(tx, p, a, digests[""], identity, whole); err != nil {
			return decision{}, fmt.Errorf("compare with earlier entries of %s: %w", p.Job, err)
		}
	}
	d := ruling(p, identity, blank, earlier)
	if a.Trial {
		d.onTrial()
	}
	return d, nil
}

// assemble finds the set that an arrival belongs to.
func (g *landing) assemble(tx *store.Tx, p Policy) (*set, error) {
	s := &set{have: map[string]File{}}
	var id int64
	err := tx.QueryRow(`SELECT entry FROM incomplete WHERE job = `+ofJob+` AND key = ?`, p.Job, g.ledger.setOf(p.Together, g.arrival)).Scan(&id)
	if err == nil {
		s.entry, err = entryByID(tx, id)
	}
	if err == nil {
		s.have, err = filesOfSet(tx, s.entry)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	for _, n := range p.Together.Needs {
		if _, ok := s.have[n.Role]; !ok && n.Role != p.Together.Role {
			s.missing = append(s.missing, n)
		}
	}
	return s, nil
}

// filesOfSet are the files of an entry by role; "" is the one that is worked, if it has come.
func filesOfSet(r store.Reader, e Entry) (map[string]File, error) {
	files, err := companionsOf(r, e.first())
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.ID == e.File {
			return files, nil
		}
	}
	lead, err := fileByID(r, e.File)
	files[""] = lead
	return files, err
}

// digestOf is what makes an entry known again: the bytes of its file and of those that were taken together with it.
func digestOf(r store.Reader, first int64, lead File) ([]byte, error) {
	files, err := companionsOf(r, first)
	digests := map[string][]byte{"": lead.Digest}
	for role, f := range files {
		digests[role] = f.Digest
	}
	return digestOfAll(digests), err
}

// digestOfAll is the digest of a file alone, or of all that it was taken together with. What a companion says of a file makes no other file of it.
func digestOfAll(digests map[string][]byte) []byte {
	digests = maps.Clone(digests)
	delete(digests, RoleCompanion)
	if len(digests) == 1 {
		return digests[""]
	}
	h := sha256.New()
	for _, role := range slices.Sorted(maps.Keys(digests)) {
		fmt.Fprintf(h, "%q:%x\n", role, digests[role])
	}
	return h.Sum(nil)
}

// resemblingSets is resembling with the bytes of all files of a set compared.
func resemblingSets(tx *store.Tx, p Policy, a Arrival, lead []byte, identity string, whole []byte) ([]past, error) {
	list, err := resembling(tx, p, a, lead, identity, true)
	for i := range list {
		e, err := entryByID(tx, list[i].entry)
		if errors.Is(err, store.ErrNotFound) {
			continue // its identity is left, which tells enough
		}
		if err != nil {
			return nil, err
		}
		f, err := fileByID(tx, e.File)
		if err != nil {
			return nil, err
		}
		digest, err := digestOf(tx, e.first(), f)
		if err != nil {
			return nil, err
		}
		list[i].sameBytes = string(digest) == string(whole)
	}
	return list, err
}

// keepTogether brings an arrival to the entry that it is a part of, which goes on when it was the last.
func (g *landing) keepTogether(tx *store.Tx, d *decision) error {
	s, role := d.set, d.policy.Together.Role
	if s.entry.ID == 0 {
		if err := g.keepIncomplete(tx, d); err != nil {
			return err
		}
		if role == "" {
			return nil
		}
		return g.ledger.attach(tx, g.now, g.entries[len(g.entries)-1].ID, role, g.file.ID)
	}
	failpoint.Hit("ledger/gathering")
	if err := g.join(tx, d); err != nil {
		return err
	}
	if len(s.missing) == 0 {
		lead := g.file
		if role != "" {
			lead = s.have[""]
		}
		if err := g.ledger.complete(tx, g.now, d, lead, "its last file came: "+Shown(g.arrival.Path)); err != nil {
			return err
		}
	} else if _, err := tx.Exec(`UPDATE entries SET reason = ? WHERE id = ?`, d.reason, s.entry.ID); err != nil {
		return err
	}
	e, err := entryByID(tx, s.entry.ID)
	g.entries = append(g.entries, e)
	return err
}

// join makes an arrival a part of the entry that waits for it. What came before it in its role is replaced: the last one counts.
func (g *landing) join(tx *store.Tx, d *decision) error {
	s, role := d.set, d.policy.Together.Role
	_, worked := s.have[""]
	if role == "" || !worked { // the entry has the file that is worked, or else the last that came
		if _, err := tx.Exec(`UPDATE entries SET file = ?, name = ? WHERE id = ?`, g.file.ID, Shown(g.arrival.Path), s.entry.ID); err != nil {
			return err
		}
	}
	before, again := s.have[role]
	again = again && before.ID != g.file.ID
	switch {
	case role != "":
		if err := g.ledger.attach(tx, g.now, s.entry.ID, role, g.file.ID); err != nil {
			return err
		}
	case again:
		if err := g.ledger.detached(tx, g.now, before.ID); err != nil {
			return err
		}
	}
	if !again {
		return nil
	}
	return g.ledger.Record(tx, Event{At: g.now, Kind: "replaced", Entry: s.entry.ID, Detail: map[string]any{"file": Shown(before.Path), "by": Shown(g.arrival.Path)}})
}

// keepIncomplete makes the entry of the first of several files.
func (g *landing) keepIncomplete(tx *store.Tx, d *decision) error {
	d.policy.Owes = nil // nobody is told that it waits, unless it does so for too long
	if err := g.keepEntry(tx, d); err != nil {
		return err
	}
	var due any
	if t := d.policy.Together; t.Within > 0 {
		due = store.Millis(g.now.Add(t.Within))
	}
	_, err := tx.Exec(`INSERT INTO incomplete (job, key, entry, due) VALUES (`+ofJob+`, ?, ?, ?)`, d.policy.Job, g.ledger.setOf(d.policy.Together, g.arrival), g.entries[len(g.entries)-1].ID, due)
	return err
}

// complete lets an entry go on whose files have all come, as its policy says.
func (l *Ledger) complete(tx *store.Tx, now time.Time, d *decision, lead File, because string) error {
	s, ended := d.set, d.state == Duplicate || d.state == Rejected
	var finished any
	if ended {
		finished = store.Millis(now)
	}
	_, err := tx.Exec(`UPDATE entries SET state = ?, reason = ?, hold = ?, verdict = ?, twin = ?, identity = ?, finished = ?, due = 0 WHERE id = ?`,
		d.state, d.reason, d.hold, d.verdict, orNull(d.twin.entry), d.identity(lead.ID), finished, s.entry.ID)
	if err == nil {
		_, err = tx.Exec(`DELETE FROM incomplete WHERE entry = ?`, s.entry.ID)
	}
	if err != nil {
		return err
	}
	e, err := entryByID(tx, s.entry.ID)
	if err == nil {
		err = supersede(tx, now, e, lead)
	}
	if err != nil {
		return err
	}
	if d.state == Received {
		tx.Notify(TopicEntries)
	}
	if slices.Contains(d.policy.Owes, d.state) {
		if err := l.Owe(tx, e, d.state, d.reason, ""); err != nil {
			return err
		}
	}
	detail := map[string]any{"because": because}
	if d.reason != "" {
		detail["reason"] = d.reason
	}
	if err := l.Record(tx, Event{At: now, Kind: "complete", Entry: e.ID, Detail: detail}); err != nil || !ended {
		return err
	}
	return l.settle(tx, now, []int64{e.File})
}

func waitsFor(missing []Need) string {
	names := make([]string, len(missing))
	for i, n := range missing {
		names[i] = Shown(n.Name)
	}
	return waitsForFiles + strings.Join(names, " and ")
}

const waitsForFiles = "waits for "

func isIncomplete(r store.Reader, entry int64) (yes bool, err error) {
	err = r.QueryRow(`SELECT EXISTS (SELECT 1 FROM incomplete WHERE entry = ?)`, entry).Scan(&yes)
	return yes, err
}

// disband ends what belongs to an entry that one of its files was withdrawn from.
func (l *Ledger) disband(tx *store.Tx, now time.Time, e Entry, withdrawn int64) error {
	if _, err := tx.Exec(`DELETE FROM incomplete WHERE entry = ?`, e.ID); err != nil {
		return err
	}
	files, err := filesOfSet(tx, e)
	if err != nil {
		return err
	}
	var others []int64
	for _, f := range files {
		if f.ID != withdrawn {
			others = append(others, f.ID)
		}
	}
	return l.settle(tx, now, others)
}

// Overdue tells of entries that have waited for their files for longer than their jobs say: in an event, in their reason, and to their
// senders where those are told of what is held. It returns them. Each is told of once.
func (l *Ledger) Overdue(ctx context.Context) (told []Entry, err error) {
	now := l.clock()
	var n int64
	if err := l.db.Reader(ctx).QueryRow(`SELECT COUNT(*) FROM incomplete WHERE due <= ?`, store.Millis(now)).Scan(&n); err != nil || n == 0 {
		return nil, err
	}
	err = l.db.Tx(ctx, func(tx *store.Tx) error {
		ids, err := collect(tx, scanID, `SELECT entry FROM incomplete WHERE due <= ? ORDER BY entry LIMIT ?`, store.Millis(now), setSize)
		told = nil
		for _, id := range ids {
			e, err := l.overdue(tx, now, id)
			if err != nil {
				return err
			}
			told = append(told, e)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tell of entries that wait for files: %w", err)
	}
	return told, nil
}

func (l *Ledger) overdue(tx *store.Tx, now time.Time, id int64) (Entry, error) {
	if _, err := tx.Exec(`UPDATE incomplete SET due = NULL WHERE entry = ?`, id); err != nil {
		return Entry{}, err
	}
	e, err := entryByID(tx, id)
	if err != nil {
		return e, err
	}
	f, err := fileByID(tx, e.File)
	if err != nil {
		return e, err
	}
	if p, ok := l.policyOf(e, f); ok && slices.Contains(p.Owes, Held) {
		if err := l.Owe(tx, e, Held, e.Reason, ""); err != nil {
			return e, err
		}
	}
	return e, l.Record(tx, Event{At: now, Kind: "overdue", Entry: id, Detail: map[string]any{"reason": e.Reason}})
}
