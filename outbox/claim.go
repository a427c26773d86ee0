package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"waybill/store"
)

// A leased batch is under way. On SQLite the lease is in memory only: nobody but the executor delivers, and after a
// restart every lease is free.
type leased struct {
	id       int64
	parent   int64
	route    string
	count    int
	attempts int
	dead     int
	repeats  int
	made     time.Time
	done     bitmap
	sending  bitmap // stored before the crash: outcome unknown
	trouble  map[int]*trouble
	answers  string
	messages []Message
	size     int   // bytes of the messages
	damage   error // what is stored cannot be read: there are no messages
}

// trouble is what is kept of a message that has failed at a destination that confirmed others.
type trouble struct {
	Attempts int       `json:"n"`
	Due      int64     `json:"due,omitempty"` // not before, Unix milliseconds
	History  []attempt `json:"h"`
}

// An attempt is one failed try.
type attempt struct {
	At     int64  `json:"at"`
	Error  string `json:"error"`
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
}

// later reports whether the message waits for its time.
func (t *trouble) later(now time.Time) bool { return t != nil && t.Due > store.Millis(now) }

// historyMost bounds the attempts kept: the first ones and the latest tell most.
const historyMost = 10

func (t *trouble) add(a attempt) {
	if len(t.History) >= historyMost {
		t.History = slices.Delete(t.History, historyMost/2, historyMost/2+1)
	}
	t.History = append(t.History, a)
}

const leasedColumns = `b.id, b.parent, b.route, b.count, b.attempts, b.dead, b.repeats, b.made, b.done, b.sending, b.trouble, b.answers, p.frames`

// claim leases the oldest batches that are due, up to the bounds of a pass. next is how long until another becomes due when there are none.
func (c *courier) claim(ctx context.Context, now time.Time) (found []*leased, next time.Duration, err error) {
	// A batch given back while we read may have been stored as done after our snapshot was taken, so who was busy
	// before counts, not who is now. Only this goroutine leases.
	c.mu.Lock()
	before := maps.Clone(c.busy)
	c.mu.Unlock()
	newest := int64(0)
	for id := range before {
		newest = max(newest, id)
	}
	if newest > 0 && c.newer < newerMost {
		c.newer++
		found, err = c.take(ctx, now, before, " AND b.id > ?", []any{newest})
		if err != nil || len(found) > 0 {
			return found, 0, err
		}
	}
	c.newer = 0
	found, err = c.take(ctx, now, before, " AND b.id NOT IN "+store.Each, []any{store.Numbers(slices.Collect(maps.Keys(before)))})
	if err != nil || len(found) > 0 {
		return found, 0, err
	}
	return nil, c.nextDue(ctx, now), nil
}

// unpaused is part of what claims: a turn may have looked for a pause before it began, and what becomes ready after the pause must not go out.
const unpaused = ` AND NOT EXISTS (SELECT 1 FROM marks WHERE job = ? AND name = 'paused')`

// newerMost is how many passes in a row may begin with what came after all that is under way, which is found at once. Then, or
// when there is nothing of the kind, those that wait before it have their turn.
const newerMost = 8

// take leases the oldest batches that are due and meet condition.
func (c *courier) take(ctx context.Context, now time.Time, before map[int64]bool, condition string, more []any) (found []*leased, err error) {
	mine, args := c.out.mine()
	rows, err := c.out.db.Reader(ctx).Query(`SELECT `+leasedColumns+` FROM batches b JOIN payloads p ON p.batch = b.id
		WHERE b.destination = `+ofDestination+` AND b.state = 'ready' AND (b.due <= ? OR b.due > ?)`+unpaused+mine+condition+` ORDER BY b.id LIMIT ?`,
		slices.Concat([]any{c.name(), store.Millis(now), c.horizon(now), subject(c.name())}, args, more, []any{passBatches})...)
	if err != nil {
		return nil, fmt.Errorf("claim messages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	count, size := 0, 0
	for count < passMessages && size < passBytes && len(found) < passBatches && rows.Next() {
		b, err := c.lease(ctx, rows, before)
		if err != nil {
			c.unlease(found...)
			return nil, err
		}
		if b == nil {
			continue
		}
		if count > 0 && (count+b.count > passMessages || size+b.size > passBytes) {
			c.unlease(b)
			break
		}
		count += b.count
		size += b.size
		found = append(found, b)
	}
	if err := rows.Err(); err != nil {
		c.unlease(found...)
		return nil, fmt.Errorf("claim messages: %w", err)
	}
	return found, nil
}

// horizon is the latest that a batch can be due, in Unix milliseconds: a later one was stored before the clock was set
// back, and is due.
func (c *courier) horizon(now time.Time) int64 {
	dest, _ := c.current()
	return store.Millis(now.Add(2 * dest.Options.Retry.Longest))
}

// nextDue is how long until the next waiting batch is due.
func (c *courier) nextDue(ctx context.Context, now time.Time) time.Duration {
	var due *int64
	mine, args := c.out.mine()
	err := c.out.db.Reader(ctx).QueryRow(`SELECT min(b.due) FROM batches b WHERE b.destination = `+ofDestination+` AND b.state = 'ready' AND b.due > ?`+mine,
		append([]any{c.name(), store.Millis(now)}, args...)...).Scan(&due)
	if err != nil || due == nil {
		return idle
	}
	return min(idle, max(time.Millisecond, store.Time(*due).Sub(now)))
}

// lease reads one row and marks its batch as under way; nil when it was so before the rows were read.
func (c *courier) lease(ctx context.Context, rows *store.Rows, before map[int64]bool) (*leased, error) {
	b := &leased{}
	var done, sending, frames []byte
	var made int64
	var failed string
	if err := rows.Scan(&b.id, &b.parent, &b.route, &b.count, &b.attempts, &b.dead, &b.repeats, &made, &done, &sending, &failed, &b.answers, &frames); err != nil {
		return nil, fmt.Errorf("claim messages: %w", err)
	}
	if before[b.id] {
		return nil, nil
	}
	c.mu.Lock()
	c.busy[b.id] = true
	c.mu.Unlock()
	b.made = store.Time(made)
	b.done, b.sending = newBitmap(done, b.count), newBitmap(sending, b.count)
	b.trouble = map[int]*trouble{}
	if failed != "" {
		if err := json.Unmarshal([]byte(failed), &b.trouble); err != nil {
			b.damage = fmt.Errorf("its history: %w", err)
		}
	}
	if err := c.load(ctx, b, frames); err != nil {
		b.damage = err
	}
	return b, nil
}

func (c *courier) unlease(batches ...*leased) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range batches {
		delete(c.busy, b.id)
	}
}

func (c *courier) load(ctx context.Context, b *leased, frames []byte) error {
	ms, err := c.out.unpack(b.id, b.count, frames)
	if err != nil {
		return err
	}
	dest, _ := c.current()
	var judge Judge
	if dest.Judge != nil {
		judge = dest.Judge(b.route)
	}
	for i := range ms {
		m := &ms[i]
		m.Judge = judge
		m.Repeat = b.sending.has(i)
		if id := m.Object; id != 0 {
			m.Open = func() (io.ReadCloser, error) { return c.out.bodies.Open(ctx, id) }
		}
	}
	b.messages = ms
	for i := range ms {
		b.size += len(ms[i].Body) + 64
	}
	return nil
}

// unpack reads a batch's payload.
func (o *Outbox) unpack(id int64, count int, frames []byte) ([]Message, error) {
	ms, err := messages(frames, count, o.decoder)
	if err != nil {
		return nil, fmt.Errorf("batch %d: %w", id, err)
	}
	return ms, nil
}

// trial delivers one waiting message of a suspect destination: the next after the last trial's, so that a poisonous
// one cannot keep the destination suspect.
func (c *courier) trial(ctx context.Context) (time.Duration, error) {
	b, index, err := c.nextTrial(ctx)
	if err != nil || b == nil {
		return idle, err
	}
	c.mu.Lock()
	c.after = messageID{b.id, index}
	c.mu.Unlock()
	c.start(ctx, []*leased{b}, index)
	return idle, nil
}

// nextTrial finds the first open message after the last trial's, beginning anew behind the last one.
func (c *courier) nextTrial(ctx context.Context) (*leased, int, error) {
	c.mu.Lock()
	after := c.after
	c.mu.Unlock()
	for _, from := range []messageID{after, {}} {
		id := from.batch
		for {
			b, err := c.oneFrom(ctx, id)
			if err != nil {
				return nil, 0, err
			}
			if b == nil {
				break
			}
			if b.damage != nil {
				return b, 0, nil // the pass sets it aside
			}
			for i := range b.count {
				if !b.done.has(i) && (b.id > from.batch || i > from.index || from == (messageID{})) {
					return b, i, nil
				}
			}
			c.unlease(b)
			id = b.id + 1
		}
	}
	return nil, 0, nil
}

// oneFrom leases the first ready batch with an id of at least from, due or not: nil when there is none.
func (c *courier) oneFrom(ctx context.Context, from int64) (*leased, error) {
	mine, args := c.out.mine()
	rows, err := c.out.db.Reader(ctx).Query(`SELECT `+leasedColumns+` FROM batches b JOIN payloads p ON p.batch = b.id
		WHERE b.destination = `+ofDestination+` AND b.state = 'ready' AND b.id >= ?`+unpaused+mine+` ORDER BY b.id LIMIT 1`,
		append([]any{c.name(), from, subject(c.name())}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("choose a message to try: %w", err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return nil, rows.Err()
	}
	return c.lease(ctx, rows, nil) // a trial begins when no pass is under way
}
