package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"waybill/store"
)

// A DeadLetter is a message that its destination refused for good, or whose attempts are used up.
type DeadLetter struct {
	ID          int64
	Parent      int64 // the entry
	Beside      bool  // of a lot that the entry does not wait for
	Batch       int64
	Index       int
	Destination string
	Route       string
	Key         string
	Record      int64
	State       string // open, resent, discarded, delivered
	Kind        string // refused, exhausted, expired, unknown
	Reason      string
	History     []Attempt
	At          time.Time
	Closed      time.Time
	Note        string
}

// An Attempt is one failed try of a message.
type Attempt struct {
	At     time.Time
	Error  string
	Status int
	Body   string
}

func insertDead(tx *store.Tx, destination string, d dead, now int64) error {
	history, err := json.Marshal(d.history)
	if err != nil {
		return fmt.Errorf("store the history of a dead letter: %w", err)
	}
	number, err := tx.Number(named, destination)
	if err != nil {
		return err
	}
	m := d.batch.messages[d.index]
	_, err = tx.Exec(`INSERT INTO dead_letters (parent, batch, idx, destination, route, key, record, state, kind, reason, history, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?, ?, ?, ?)`,
		d.batch.parent, d.batch.id, d.index, number, d.batch.route, m.Key, m.Record, d.kind, d.reason, string(history), now)
	return err
}

// A DeadFilter chooses dead letters; zero fields choose all.
type DeadFilter struct {
	ID          int64
	Parent      int64
	Destination string
	Kind        string
	State       string // "" means open
	After       int64  // only those with a larger id
	Limit       int    // 0 means 100
}

// where is the condition that f stands for. Only what it names is asked for, so that an index can serve it; the
// state is written out, for the index of the open ones knows only that text.
func (f DeadFilter) where() (condition string, args []any) {
	condition, args = "id > ?", []any{f.After}
	and := func(text string, value any) { condition, args = condition+" AND "+text, append(args, value) }
	if f.ID != 0 {
		and("id = ?", f.ID)
	}
	if f.Parent != 0 {
		condition, args = condition+" AND parent IN (?, ?)", append(args, f.Parent, Beside(f.Parent))
	}
	if f.Destination != "" {
		and("destination = "+ofDestination, f.Destination)
	}
	if f.Kind != "" {
		and("kind = ?", f.Kind)
	}
	switch f.State {
	case "":
	case "open":
		condition += " AND state = 'open'"
	default:
		and("state = ?", f.State)
	}
	return condition, args
}

const deadColumns = `id, parent, batch, idx, (SELECT n.name FROM names n WHERE n.id = dead_letters.destination), route, key, record, state, kind, reason, history, at, closed, note`

// DeadLetters lists dead letters, oldest first.
func (o *Outbox) DeadLetters(ctx context.Context, f DeadFilter) ([]DeadLetter, error) {
	if f.State == "" && f.ID == 0 {
		f.State = "open"
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	where, args := f.where()
	rows, err := o.db.Reader(ctx).Query(`SELECT `+deadColumns+` FROM dead_letters WHERE `+where+` ORDER BY id LIMIT ?`, append(args, f.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var found []DeadLetter
	for rows.Next() {
		d, err := scanDead(rows)
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		found = append(found, d)
	}
	return found, rows.Err()
}

func scanDead(rows *store.Rows) (DeadLetter, error) {
	var d DeadLetter
	var history string
	var at int64
	var closed *int64
	err := rows.Scan(&d.ID, &d.Parent, &d.Batch, &d.Index, &d.Destination, &d.Route, &d.Key, &d.Record, &d.State, &d.Kind, &d.Reason, &history, &at, &closed, &d.Note)
	if err != nil {
		return d, err
	}
	d.Parent, d.Beside = parted(d.Parent)
	d.At = store.Time(at)
	if closed != nil {
		d.Closed = store.Time(*closed)
	}
	var as []attempt
	if err := json.Unmarshal([]byte(history), &as); err != nil {
		return d, fmt.Errorf("history of dead letter %d: %w", d.ID, err)
	}
	for _, a := range as {
		d.History = append(d.History, Attempt{At: store.Time(a.At), Error: a.Error, Status: a.Status, Body: a.Body})
	}
	return d, nil
}

// lot is the parent of the dead letter's lot.
func (d *DeadLetter) lot() int64 {
	if d.Beside {
		return Beside(d.Parent)
	}
	return d.Parent
}

// ErrNotOpen says that a dead letter has been seen to already.
var ErrNotOpen = errors.New("this dead letter is no longer open")

// A Resend says what to do with a dead letter.
type Resend struct {
	ID   int64
	Body []byte                // corrected; nil sends the stored bytes under the stored key
	Key  string                // of a corrected message, "" for the stored one
	Note string                // who and why
	Also func(*store.Tx) error // what else is to be written in the same transaction; nil: nothing
}

// Resend puts a dead letter back into the outbox as a batch of its own.
func (o *Outbox) Resend(ctx context.Context, r Resend) error {
	d, m, err := o.deadMessage(ctx, r.ID)
	if err != nil {
		return err
	}
	if r.Body != nil {
		m.Body, m.Size, m.Object = r.Body, int64(len(r.Body)), 0
	}
	if r.Key != "" {
		m.Key = r.Key
	}
	b := &batch{lane: lane{d.Destination, d.Route}, first: m.Record, count: 1}
	b.add(&m)
	b.pack(o)
	return o.db.Tx(ctx, func(tx *store.Tx) error {
		if err := o.close(tx, r.ID, "resent", r.Note); err != nil {
			return err
		}
		if r.Also != nil {
			if err := r.Also(tx); err != nil {
				return err
			}
		}
		l := &Lot{out: o, parent: d.lot()}
		tx.Notify(Topic)
		return l.insert(tx, b, "ready")
	})
}

// Discard closes a dead letter without sending it: state is discarded, or delivered when a person found that it arrived. also, if
// not nil, writes in the same transaction.
func (o *Outbox) Discard(ctx context.Context, id int64, state, note string, also func(*store.Tx) error) error {
	d, _, err := o.deadMessage(ctx, id)
	if err != nil {
		return err
	}
	return o.db.Tx(ctx, func(tx *store.Tx) error {
		if err := o.close(tx, id, state, note); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		// Its lot settles anew, so that jobs counts what is still open; while others are under way they will do it.
		_, err := tx.Exec(`UPDATE batches SET settled = 1 WHERE id = ? AND state = 'done' AND NOT EXISTS
			(SELECT 1 FROM batches o WHERE o.parent = ? AND o.state = 'ready')`, d.Batch, d.lot())
		tx.Notify(SettledTopic)
		return err
	})
}

func (o *Outbox) close(tx *store.Tx, id int64, state, note string) error {
	n, err := tx.Exec(`UPDATE dead_letters SET state = ?, closed = ?, note = ? WHERE id = ? AND state = 'open'`,
		state, store.Millis(o.now()), note, id)
	if err == nil && n == 0 {
		return ErrNotOpen
	}
	return err
}

// DeadMessage returns a dead letter with its message.
func (o *Outbox) DeadMessage(ctx context.Context, id int64) (DeadLetter, Message, error) {
	return o.deadMessage(ctx, id)
}

func (o *Outbox) deadMessage(ctx context.Context, id int64) (DeadLetter, Message, error) {
	ds, err := o.DeadLetters(ctx, DeadFilter{ID: id})
	if err != nil {
		return DeadLetter{}, Message{}, err
	}
	if len(ds) == 0 {
		return DeadLetter{}, Message{}, fmt.Errorf("dead letter %d: %w", id, store.ErrNotFound)
	}
	d := ds[0]
	ms, err := o.batchMessages(ctx, d.Batch)
	if err != nil {
		return d, Message{}, err
	}
	if d.Index >= len(ms) {
		return d, Message{}, fmt.Errorf("dead letter %d: %w", id, errFrame)
	}
	return d, ms[d.Index], nil
}

func (o *Outbox) batchMessages(ctx context.Context, id int64) ([]Message, error) {
	var count int
	var frames []byte
	err := o.db.Reader(ctx).QueryRow(`SELECT b.count, p.frames FROM batches b JOIN payloads p ON p.batch = b.id WHERE b.id = ?`, id).Scan(&count, &frames)
	if err != nil {
		return nil, fmt.Errorf("read batch %d: %w", id, err)
	}
	return o.unpack(id, count, frames)
}
