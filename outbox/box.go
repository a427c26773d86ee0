package outbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"waybill/store"
)

// Topic is what is notified in the store when messages become ready, and when a destination is paused or resumed.
const Topic = "outbox"

// SettledTopic is notified when the last message of a lot is confirmed or set aside.
const SettledTopic = "settled"

// A Bodies opens spooled objects (whole files to be delivered), and removes those that no message refers to any more.
type Bodies interface {
	Open(ctx context.Context, object int64) (io.ReadCloser, error)
	Remove(tx *store.Tx, objects ...int64) error
}

// Config is what New needs.
type Config struct {
	Bodies Bodies
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// An Outbox is the messages that are to be delivered, and their couriers.
type Outbox struct {
	db      *store.DB
	bodies  Bodies
	log     *slog.Logger
	now     func() time.Time
	encoder *zstd.Encoder
	decoder *zstd.Decoder

	mu       sync.Mutex
	only     []int64 // parents to deliver for; nil: all
	couriers map[string]*courier
	names    map[string]string // what was renamed while this process runs: the name of now
	changed  chan struct{}     // rings Run when the destinations were set anew

	unsaved atomic.Bool // something that went out could not be stored
}

// New makes an outbox over db. Couriers start with Run.
func New(db *store.DB, c Config) (*Outbox, error) {
	// One frame a call, on the caller's goroutine: the callers are parallel enough.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(256<<10))
	if err != nil {
		return nil, fmt.Errorf("make the compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, fmt.Errorf("make the decompressor: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Outbox{
		db: db, bodies: c.Bodies, log: c.Log, now: c.Now, encoder: enc, decoder: dec,
		couriers: map[string]*courier{}, names: map[string]string{}, changed: make(chan struct{}, 1),
	}, nil
}

// SetDestinations replaces the destinations. Those that stay keep what they know of their health; messages under way
// finish with the old target.
func (o *Outbox) SetDestinations(ds []Destination) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.couriers
	o.couriers = map[string]*courier{}
	for _, d := range ds {
		delete(o.names, d.Name) // it is one of its own now
		c := old[d.Name]
		if c == nil {
			c = newCourier(o, d)
		}
		c.set(d)
		o.couriers[d.Name] = c
	}
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// Only restricts delivery to the lots of some parents (at most 32,000: one statement takes them all): a one-shot run delivers its own entries and
// leaves the rest to the daemon. Call it before Run.
func (o *Outbox) Only(parents ...int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.only = parents
}

// mine is the condition, with its arguments, on the batches that this outbox delivers.
func (o *Outbox) mine() (condition string, args []any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.only == nil {
		return "", nil
	}
	for _, id := range o.only {
		args = append(args, id)
	}
	return " AND b.parent IN " + store.In(len(args)), args
}

// Run delivers until ctx ends; then it lets what is under way finish within grace and returns.
func (o *Outbox) Run(ctx context.Context, grace time.Duration) error {
	if err := o.takeOver(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it has waited for space until it was stopped
		}
		return err
	}
	err := o.deliver(ctx, grace)
	if err == nil && !o.unsaved.Load() {
		o.letGo()
	}
	return err
}

// deliver has a courier run for each destination until ctx ends.
func (o *Outbox) deliver(ctx context.Context, grace time.Duration) error {
	var wg sync.WaitGroup
	running := map[*courier]context.CancelFunc{}
	defer wg.Wait()
	for {
		o.mu.Lock()
		now := make(map[*courier]bool, len(o.couriers))
		for _, c := range o.couriers {
			now[c] = true
		}
		o.mu.Unlock()
		for c, stop := range running {
			if !now[c] {
				stop()
				delete(running, c)
			}
		}
		for c := range now {
			if running[c] == nil {
				child, stop := context.WithCancel(ctx)
				running[c] = stop
				wg.Go(func() { c.run(child, grace) })
			}
		}
		select {
		case <-ctx.Done():
			for _, stop := range running {
				stop()
			}
			return nil
		case <-o.db.Failed():
			for _, stop := range running {
				stop()
			}
			return o.db.Err()
		case <-o.changed:
		}
	}
}

// A Settled is a lot whose messages are all confirmed or set aside.
type Settled struct {
	Parent  int64
	Batches []int64
	Dead    int64 // open dead letters of the parent; set by Finished
}

// Settled returns up to n lots that have settled and are not finished yet, oldest first.
func (o *Outbox) Settled(ctx context.Context, n int) ([]Settled, error) {
	rows, err := o.db.Reader(ctx).Query(`SELECT b.id, b.parent FROM batches b WHERE b.settled = 1 ORDER BY b.id LIMIT ?`, n)
	if err != nil {
		return nil, fmt.Errorf("look for settled lots: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var found []Settled
	at := map[int64]int{}
	for rows.Next() {
		var id int64
		var s Settled
		if err := rows.Scan(&id, &s.Parent); err != nil {
			return nil, fmt.Errorf("look for settled lots: %w", err)
		}
		i, known := at[s.Parent]
		if !known {
			i = len(found)
			at[s.Parent] = i
			found = append(found, s)
		}
		found[i].Batches = append(found[i].Batches, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for settled lots: %w", err)
	}
	return found, nil
}

// Finished takes note, in the transaction that finishes their parents, that the lots have been seen to. It returns those
// that are still settled, with the dead letters that are open now: since Settled looked, a letter may have been closed or
// sent again; a lot that is open again settles anew when that is done.
func (o *Outbox) Finished(tx *store.Tx, lots []Settled) ([]Settled, error) {
	var all, parents []int64
	for _, s := range lots {
		all = append(all, s.Batches...)
		parents = append(parents, s.Parent)
	}
	for ids := range slices.Chunk(all, store.SetMost) {
		places, args := store.Set(ids)
		if _, err := tx.Exec(`UPDATE batches SET settled = 0 WHERE id IN `+places, args...); err != nil {
			return nil, err
		}
	}
	open, err := tally(tx, `SELECT parent, count(*) FROM batches WHERE state = 'ready' AND parent IN %s GROUP BY parent`, parents)
	if err != nil {
		return nil, err
	}
	dead, err := tally(tx, `SELECT parent, count(*) FROM dead_letters WHERE state = 'open' AND parent IN %s GROUP BY parent`, parents)
	if err != nil {
		return nil, err
	}
	var still []Settled
	for _, s := range lots {
		if open[s.Parent] == 0 {
			s.Dead = dead[s.Parent]
			still = append(still, s)
		}
	}
	return still, nil
}

// tally counts rows by parent; query has %s where the set of parents stands.
func tally(tx *store.Tx, query string, parents []int64) (map[int64]int64, error) {
	found := map[int64]int64{}
	for ids := range slices.Chunk(parents, store.SetMost) {
		places, args := store.Set(ids)
		rows, err := tx.Query(fmt.Sprintf(query, places), args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var parent, n int64
			if err := rows.Scan(&parent, &n); err != nil {
				return nil, errors.Join(err, rows.Close())
			}
			found[parent] = n
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// subject is whose the marks of a destination are.
func subject(destination string) string { return "destination/" + destination }

// Paused returns why destination is paused, "" when it is not.
func (o *Outbox) Paused(ctx context.Context, destination string) (string, error) {
	var text string
	err := o.db.Reader(ctx).QueryRow(`SELECT text FROM marks WHERE job = ? AND name = 'paused'`, subject(destination)).Scan(&text)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return text, err
}

// Pause keeps destination from delivering, in this and every later process, until Resume. why is shown to people.
func (o *Outbox) Pause(ctx context.Context, destination, why string) error {
	return o.db.Tx(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO marks (job, name, at, text) VALUES (?, 'paused', ?, ?)
			ON CONFLICT (job, name) DO NOTHING`, subject(destination), store.Millis(o.now()), why)
		tx.Notify(Topic)
		return err
	})
}

// Resume ends Pause and what a courier had paused itself.
func (o *Outbox) Resume(ctx context.Context, destination string) error {
	return o.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM marks WHERE job = ? AND name = 'paused'`, subject(destination))
		tx.Notify(Topic)
		return err
	})
}
