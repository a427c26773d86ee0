package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"waybill/failpoint"
	"waybill/spool"
	"waybill/store"
)

// NoJob is the reason of a landed file that has no entry.
const NoJob = "no job takes this name"

// ErrFull says that there is no room to keep anything; compare with errors.Is.
var ErrFull = store.ErrFull

var _ Lander = (*Ledger)(nil)

// Land keeps an arrival, see [Lander]. The bytes of a file that no job takes are kept too, until retention removes them: who
// gave them may not have them any more.
func (l *Ledger) Land(ctx context.Context, a Arrival, r io.Reader) (File, []Entry, error) {
	g, err := l.receive(ctx, a, r)
	if err == nil {
		err = l.keep(ctx, g)
	}
	if err != nil {
		return File{}, nil, notLanded(a, err)
	}
	return g.file, g.entries, nil
}

// LandSet is Land for several arrivals of one source, in one transaction; a set of small files costs a few statements. There is an error, or nil, for each of
// them: what one cannot do does not keep the others.
func (l *Ledger) LandSet(ctx context.Context, list []Parcel) []error {
	errs := make([]error, len(list))
	set := make([]*landing, 0, len(list))
	at := make([]int, 0, len(list))
	for i, p := range list {
		g, err := l.open(ctx, p)
		if err != nil {
			errs[i] = notLanded(p.Arrival, err)
			continue
		}
		set, at = append(set, g), append(at, i)
	}
	if len(set) == 0 || l.keep(ctx, set...) == nil {
		return errs
	}
	// What is wrong with one, or too large for what room there is, is found by looking at each.
	for i, g := range set {
		if err := l.keep(ctx, g); err != nil {
			errs[at[i]] = notLanded(g.arrival, err)
		}
	}
	return errs
}

// open receives a parcel.
func (l *Ledger) open(ctx context.Context, p Parcel) (*landing, error) {
	r, err := p.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close() // only read from; what matters was told by its last Read
	return l.receive(ctx, p.Arrival, r)
}

// receive reads an arrival's bytes.
func (l *Ledger) receive(ctx context.Context, a Arrival, r io.Reader) (*landing, error) {
	if a.Kind == "" {
		a.Kind = OfFile
	}
	if err := l.roomFor(a.Size); err != nil { // a file of holes is soon made, and would take all there is
		return nil, err
	}
	blank := &blankReader{r: r}
	in, err := l.spool.Receive(ctx, blank, l.max)
	if err != nil {
		return nil, err
	}
	a.Size = in.Size // what a source says beforehand may be a guess
	g := &landing{ledger: l, arrival: a, incoming: in, blank: blank.Blank()}
	if err := g.receiveCompanions(ctx); err != nil {
		g.abandon()
		return nil, err
	}
	return g, nil
}

// keep lands what was received: all of it, or nothing.
func (l *Ledger) keep(ctx context.Context, set ...*landing) error {
	failpoint.Hit("ledger/landing")
	run := func(tx *store.Tx) error { return l.landAll(tx, set) }
	err := l.db.Tx(ctx, run)
	// Where several nodes write, another may have claimed the identity between our look and our insert: look again.
	for tries := 0; errors.Is(err, store.ErrConflict) && tries < 3; tries++ {
		err = l.db.Tx(ctx, run)
	}
	for _, g := range set {
		if err != nil && len(set) > 1 {
			break // each is tried again, and its bytes are needed
		}
		if errors.Is(err, ErrFull) {
			_ = g.incoming.Withdraw(ctx) // else the sweep takes it
		}
		g.abandon() // does nothing to what was committed
	}
	if err == nil {
		failpoint.Hit("ledger/landed")
	}
	return err
}

// A Spooled is an arrival's content that its source has put into the spool by itself.
type Spooled struct {
	Incoming *spool.Incoming
	Blank    bool   // has no bytes but white space, see Blankness
	Event    *Event // recorded with the landing, for each of the entries, nil for none; At and Entry are set
}

// LandSpooled is Land for a source that writes into the spool by itself. What is not landed is abandoned.
func (l *Ledger) LandSpooled(ctx context.Context, a Arrival, s Spooled) (File, []Entry, error) {
	if a.Kind == "" {
		a.Kind = OfFile
	}
	if err := l.Room(); err != nil {
		s.Incoming.Abandon()
		return File{}, nil, notLanded(a, err)
	}
	a.Size = s.Incoming.Size
	if l.max > 0 && a.Size > l.max {
		s.Incoming.Abandon()
		return File{}, nil, notLanded(a, &spool.TooLargeError{Max: l.max})
	}
	g := &landing{ledger: l, arrival: a, incoming: s.Incoming, blank: s.Blank, note: s.Event}
	if err := l.keep(ctx, g); err != nil {
		return File{}, nil, notLanded(a, err)
	}
	return g.file, g.entries, nil
}

// Max is the largest file that is kept, in bytes, 0 for no limit.
func (l *Ledger) Max() int64 { return l.max }

func notLanded(a Arrival, err error) error {
	return fmt.Errorf("land %s from %s: %w", Shown(a.Path), a.Source, err)
}

// A landing is one call of Land inside its transaction.
type landing struct {
	ledger   *Ledger
	arrival  Arrival
	incoming *spool.Incoming
	blank    bool
	note     *Event
	archive  *archive // of a member
	member   string   // and its path in it
	now      time.Time

	decisions  []decision // of one that is unprecedented
	companions []companion
	file       File
	entries    []Entry
}

// policies are what the jobs that it belongs to say of it.
func (g *landing) policies() []Policy {
	if g.archive != nil {
		return []Policy{g.archive.policy}
	}
	return g.ledger.route(g.arrival)
}

func (g *landing) run(tx *store.Tx) error {
	prior, known, err := g.prior(tx)
	if err != nil {
		return err
	}
	policies := g.policies()
	if prior != 0 {
		done, err := g.repeated(tx, prior, len(policies) > 0)
		if done || err != nil {
			return err
		}
	}
	if known { // versions of this name that were looked at and never taken
		if _, err := tx.Exec(`DELETE FROM files WHERE source = `+ofSource+` AND path = ? AND state = 'seen' AND version <> ?`,
			g.arrival.Source, []byte(g.arrival.Path), g.arrival.Version); err != nil {
			return err
		}
	}
	decisions, err := g.judge(tx, policies, known)
	if err != nil {
		return err
	}
	if err := g.keepCompanions(tx, policies); err != nil { // before the file, for they are to be closed before it
		return err
	}
	object, err := g.incoming.Commit(tx)
	if err != nil {
		return err
	}
	if err := g.keepFile(tx, prior, object, decisions); err != nil {
		return err
	}
	if err := g.keepEntries(tx, decisions); err != nil {
		return err
	}
	return g.joinCompanions(tx, policies)
}

// judge decides on the arrival for each of the jobs that it belongs to; known is whether any version of its name is.
func (g *landing) judge(tx *store.Tx, policies []Policy, known bool) ([]decision, error) {
	decisions := make([]decision, len(policies))
	for i, p := range policies {
		var err error
		if p.Together != nil {
			decisions[i], err = g.gather(tx, p)
		} else {
			decisions[i], err = decide(tx, p, g.arrival, g.ledger.identityOf(p.Identity, g.arrival, g.incoming.Digest), g.incoming.Digest, g.blank, known)
		}
		if err != nil {
			return nil, err
		}
	}
	return decisions, nil
}

// keepEntries brings the arrival to the entries that it makes, or is a part of.
func (g *landing) keepEntries(tx *store.Tx, decisions []decision) error {
	for i := range decisions {
		keep := g.keepEntry
		if decisions[i].set != nil {
			keep = g.keepTogether
		}
		if err := keep(tx, &decisions[i]); err != nil {
			return err
		}
	}
	return nil
}

// noteFor records an event for each of the entries, or for none where there are none.
func (l *Ledger) noteFor(tx *store.Tx, note *Event, now time.Time, list []Entry) error {
	if note == nil {
		return nil
	}
	e := *note
	e.At = now
	if len(list) == 0 {
		return l.Record(tx, e)
	}
	for _, of := range list {
		e.Entry = of.ID
		if err := l.Record(tx, e); err != nil {
			return err
		}
	}
	return nil
}

// keepFile writes the file's row, in the state that its entries will have brought it to.
func (g *landing) keepFile(tx *store.Tx, prior int64, object spool.Object, decisions []decision) error {
	a := g.arrival
	f := File{ID: prior, Source: a.Source, Path: a.Path, Version: a.Version, Size: object.Size, ModTime: a.ModTime, Digest: object.Digest,
		Object: object.ID, State: FileLanded, Seen: g.now, Landed: g.now, Partner: a.Partner, Trial: a.Trial}
	switch {
	case len(decisions) == 0:
		f.Reason, f.Closed = NoJob, g.now // closed so far as retention goes
	case finished(decisions):
		f.State, f.Reason = FileClosable, fateOf(decisions)
		if a.Kind != OfFile || g.archive != nil { // nobody closes it
			f.State, f.Closed = FileClosed, g.now
		}
	}
	parent, member := g.parentage(&f)
	args := []any{f.Size, modTime(f.ModTime), f.Digest, f.Object, f.State, f.Reason, store.Millis(f.Seen), store.Millis(f.Landed), store.NullMillis(f.Closed),
		f.Partner, f.Trial, parent, member}
	if f.State == FileClosable {
		tx.Notify(TopicClosable)
	}
	g.file = f
	if prior != 0 {
		_, err := tx.Exec(`UPDATE files SET size = ?, mtime = ?, digest = ?, object = ?, state = ?, reason = ?, until = NULL, seen = ?, landed = ?, closed = ?,
			partner = ?, trial = ?, parent = ?, member = ? WHERE id = ?`, append(args, prior)...)
		return err
	}
	source, err := tx.Number(Source, a.Source)
	if err != nil {
		return err
	}
	args = append(args, source, []byte(a.Path), a.Version)
	id, err := tx.Insert(`INSERT INTO files (size, mtime, digest, object, state, reason, seen, landed, closed, partner, trial, parent, member, source, path, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, args...)
	g.file.ID = id
	return err
}

// finished reports whether nothing is left to do.
func finished(decisions []decision) bool {
	for _, d := range decisions {
		if d.state != Duplicate && d.state != Rejected {
			return false
		}
	}
	return true
}

func fateOf(decisions []decision) string {
	for _, d := range decisions {
		if d.state == Rejected {
			return fateFailed
		}
	}
	return fateDone
}

// keepEntry writes one entry, and an event unless it is an ordinary one.
func (g *landing) keepEntry(tx *store.Tx, d *decision) error {
	e := Entry{Kind: g.arrival.Kind, Job: d.policy.Job, Run: 1, File: g.file.ID, Source: g.arrival.Source, Name: Shown(g.arrival.Path),
		Verdict: d.verdict, Twin: d.twin.entry, State: d.state, Reason: d.reason, Hold: d.hold, Received: g.now, Partner: g.arrival.Partner, Trial: g.arrival.Trial}
	if id, ok := d.identity(g.file.ID).(string); ok {
		e.Identity = id
	}
	if d.state == Duplicate || d.state == Rejected {
		e.Finished = g.now
	}
	if err := insertEntry(tx, &e); err != nil {
		return err
	}
	g.entries = append(g.entries, e)
	if err := supersede(tx, g.now, e, g.file); err != nil || e.State == Received {
		return err
	}
	if slices.Contains(d.policy.Owes, e.State) {
		if err := g.ledger.Owe(tx, e, e.State, e.Reason, ""); err != nil {
			return err
		}
	}
	return g.ledger.Record(tx, Event{At: g.now, Kind: string(e.State), Entry: e.ID, Detail: map[string]any{"reason": e.Reason}})
}

// insertEntry writes a new entry and sets its ID.
func insertEntry(tx *store.Tx, e *Entry) error {
	if e.State == Received {
		tx.Notify(TopicEntries)
	}
	job, source, err := numbersOf(tx, *e)
	if err != nil {
		return err
	}
	id, err := tx.Insert(`INSERT INTO entries (kind, job, run, origin, file, source, name, identity, verdict, twin, state, reason, hold, since, till, received, finished, partner, trial)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Kind, job, e.Run, orNull(e.Origin), orNull(e.File), orNull(source), e.Name, textOrNull(e.Identity), e.Verdict, orNull(e.Twin), e.State, e.Reason, e.Hold,
		store.NullMillis(e.Since), store.NullMillis(e.Till), store.Millis(e.Received), store.NullMillis(e.Finished), e.Partner, e.Trial)
	e.ID = id
	return err
}

// blankReader passes r through and notes whether there was anything but white space and a byte order mark.
type blankReader struct {
	r io.Reader
	Blankness
}

func (b *blankReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.Look(p[:n])
	return n, err
}

// Blankness tells whether there is anything but white space and a byte order mark in what is looked at, from the beginning on.
type Blankness struct{ begun, filled bool }

// Look looks at the next bytes.
func (b *Blankness) Look(p []byte) {
	if b.filled || len(p) == 0 {
		return
	}
	if !b.begun {
		p = bytes.TrimPrefix(p, []byte("\xef\xbb\xbf"))
	}
	b.begun = true
	b.filled = len(bytes.TrimLeft(p, " \t\r\n\v\f")) > 0
}

// Blank reports what was found so far.
func (b *Blankness) Blank() bool { return !b.filled }
