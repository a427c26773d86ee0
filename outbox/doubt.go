package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"waybill/store"
)

// A Doubt is what one crash may have a destination get twice: a process ended without stopping, and what it had under way, or had
// not stored yet, goes out again.
type Doubt struct {
	At   time.Time `json:"at"`   // when the next process took over
	Most int       `json:"most"` // messages, at most
}

// Doubts are those of one destination.
type Doubts struct {
	Total int     `json:"total"` // messages, at most, after all crashes
	List  []Doubt `json:"list"`  // the latest
}

const (
	// doubtMost is what a process can have under way for one destination: nothing else of it is delivered or stored meanwhile.
	doubtMost = passes * passMessages
	// doubtsKept is how many crashes are kept of a destination; the total counts all.
	doubtsKept = 100
)

// Of says how many of some messages, at most, went out twice after crashes: batches of one parent for the destination of d.
func (d Doubts) Of(batches []BatchInfo) int {
	total := 0
	for _, crash := range d.List {
		open := 0
		for _, b := range batches {
			if !b.Made.After(crash.At) && (b.Finished.IsZero() || !b.Finished.Before(crash.At)) {
				open += b.Count
			}
		}
		total += min(open, crash.Most)
	}
	return total
}

// Doubts tells by destination what may have gone out twice after crashes. What went out twice because no answer came is
// counted with its batch, and not here.
func (o *Outbox) Doubts(ctx context.Context) (map[string]Doubts, error) {
	rows, err := o.db.Reader(ctx).Query(`SELECT substr(job, ?), text FROM marks WHERE name = ?`, len(subject(""))+1, doubtMark)
	if err != nil {
		return nil, fmt.Errorf("read what may be repeated: %w", err)
	}
	defer func() { _ = rows.Close() }()
	found := map[string]Doubts{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, fmt.Errorf("read what may be repeated: %w", err)
		}
		var d Doubts
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return nil, fmt.Errorf("read what may be repeated at %s: %w", name, err)
		}
		found[name] = d
	}
	return found, rows.Err()
}

// Names of marks.
const (
	deliveringMark = "delivering" // of no job: a process delivers; its text is the set of parents, "" for all
	doubtMark      = "doubts"     // of a destination: Doubts
)

// takeOver notes that this process delivers, before it does. Where the one before has left its note, it was killed, and what was
// open then may go out twice: two rows a process pay for that, instead of one for each message or batch before it goes out.
func (o *Outbox) takeOver(ctx context.Context) error {
	o.mu.Lock()
	text := ""
	if o.only != nil {
		text = store.Numbers(o.only)
	}
	careful := map[string]bool{}
	for name, c := range o.couriers {
		dest, _ := c.current()
		careful[name] = dest.Options.Unknown.Mode != "repeat"
	}
	o.mu.Unlock()
	var found map[string]int
	err := o.patiently(ctx, o.log, "cannot note that messages are delivered, it will be tried again", func(tx *store.Tx) error {
		found = nil
		var before string
		err := tx.QueryRow(`SELECT text FROM marks WHERE job = '' AND name = ?`, deliveringMark).Scan(&before)
		if err == nil {
			found, err = o.doubt(tx, before, careful)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		_, err = tx.Exec(`INSERT INTO marks (job, name, at, text) VALUES ('', ?, ?, ?) ON CONFLICT (job, name) DO UPDATE SET at = excluded.at, text = excluded.text`,
			deliveringMark, store.Millis(o.now()), text)
		return err
	})
	for _, name := range slices.Sorted(maps.Keys(found)) {
		o.log.Warn("the process before was killed while it delivered: messages may be repeated, under their keys", "destination", name, "most", found[name])
	}
	if err != nil {
		return fmt.Errorf("note that messages are delivered: %w", err)
	}
	return nil
}

// letGo takes back the note of takeOver: nothing is under way any more, and all that became of it is stored.
func (o *Outbox) letGo() {
	err := o.db.Tx(context.Background(), func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM marks WHERE job = '' AND name = ?`, deliveringMark)
		return err
	})
	if err != nil {
		o.log.Warn("cannot note that delivering has stopped: the next start counts as one after a crash", "error", err)
	}
}

// doubt counts what the process before, which delivered for the given parents, may have had under way, and keeps it.
func (o *Outbox) doubt(tx *store.Tx, parents string, careful map[string]bool) (map[string]int, error) {
	names, err := column(tx, `SELECT n.name FROM names n WHERE n.kind = 'destination' AND EXISTS (SELECT 1 FROM batches b WHERE b.destination = n.id AND b.state = 'ready')`)
	if err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, name := range names {
		if careful[name] { // its sending bits tell exactly
			continue
		}
		n, err := openMessages(tx, name, parents)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		if err := o.keepDoubt(tx, name, n); err != nil {
			return nil, err
		}
		found[name] = n
	}
	return found, nil
}

func column(tx *store.Tx, query string) (list []string, err error) {
	rows, err := tx.Query(query)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, s)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

// openMessages counts what is neither confirmed nor set aside, up to doubtMost.
func openMessages(tx *store.Tx, destination, parents string) (n int, err error) {
	query, args := `SELECT count, done FROM batches WHERE destination = `+ofDestination+` AND state = 'ready'`, []any{destination}
	if parents != "" {
		query, args = query+` AND parent IN `+store.Each, append(args, parents)
	}
	rows, err := tx.Query(query, args...)
	if err != nil {
		return 0, err
	}
	for n < doubtMost && rows.Next() {
		var count int
		var done []byte
		if err := rows.Scan(&count, &done); err != nil {
			return 0, errors.Join(err, rows.Close())
		}
		bits := newBitmap(done, count)
		for i := range count {
			if !bits.has(i) {
				n++
			}
		}
	}
	return min(n, doubtMost), errors.Join(rows.Err(), rows.Close())
}

// keepDoubt adds one crash to what is known of a destination.
func (o *Outbox) keepDoubt(tx *store.Tx, destination string, n int) error {
	var text string
	var d Doubts
	err := tx.QueryRow(`SELECT text FROM marks WHERE job = ? AND name = ?`, subject(destination), doubtMark).Scan(&text)
	if err == nil {
		err = json.Unmarshal([]byte(text), &d)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	now := o.now()
	d.Total += n
	d.List = append(d.List, Doubt{At: now, Most: n})
	d.List = d.List[max(0, len(d.List)-doubtsKept):]
	kept, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO marks (job, name, at, text) VALUES (?, ?, ?, ?) ON CONFLICT (job, name) DO UPDATE SET at = excluded.at, text = excluded.text`,
		subject(destination), doubtMark, store.Millis(now), string(kept))
	return err
}
