package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waybill/store"
)

// A Tracked message is where a message is, with what was answered.
type Tracked struct {
	Message
	Parent      int64 // the entry, also of what stands beside it
	Batch       int64
	Index       int
	Destination string
	Route       string
	State       string // staged, waiting, retrying, delivered, dead
	Attempts    int    // counted failures
	LastError   string
	Due         time.Time // waiting: not before
	Answered    time.Time
	Receipt     *Receipt
}

// A BatchInfo is the summary of one batch.
type BatchInfo struct {
	ID          int64
	Parent      int64 // the entry, also of what stands beside it
	Destination string
	Route       string
	First       int64
	Count       int
	State       string
	Done        int
	Dead        int
	Repeats     int
	Resent      bool // made of a dead letter, not of the entry
	Due         time.Time
	Made        time.Time
	Finished    time.Time
	done        bitmap
	trouble     map[int]*trouble
	answers     string
}

const infoColumns = `b.id, b.parent, (SELECT n.name FROM names n WHERE n.id = b.destination), b.route, b.first, b.count, b.state, b.done, b.dead, b.repeats, b.due, b.made, b.finished, b.trouble, b.answers, b.token = 0`

func scanInfo(rows *store.Rows, more ...any) (BatchInfo, error) {
	var b BatchInfo
	var done []byte
	var due, made int64
	var finished *int64
	var failed string
	dest := []any{&b.ID, &b.Parent, &b.Destination, &b.Route, &b.First, &b.Count, &b.State, &done, &b.Dead, &b.Repeats, &due, &made, &finished, &failed, &b.answers, &b.Resent}
	if err := rows.Scan(append(dest, more...)...); err != nil {
		return b, err
	}
	b.Parent, _ = parted(b.Parent)
	b.Due, b.Made, b.done = store.Time(due), store.Time(made), newBitmap(done, b.Count)
	if finished != nil {
		b.Finished = store.Time(*finished)
	}
	for i := range b.Count {
		if b.State == "done" || b.done.has(i) {
			b.Done++
		}
	}
	if failed != "" {
		if err := json.Unmarshal([]byte(failed), &b.trouble); err != nil {
			return b, fmt.Errorf("history of batch %d: %w", b.ID, err)
		}
	}
	return b, nil
}

// Batches lists the batches of a parent that are not staged, in order.
func (o *Outbox) Batches(ctx context.Context, parent int64) ([]BatchInfo, error) {
	rows, err := o.db.Reader(ctx).Query(`SELECT `+infoColumns+` FROM batches b WHERE b.parent = ? AND b.state <> 'staged' ORDER BY b.id`, parent)
	if err != nil {
		return nil, fmt.Errorf("list batches of #%d: %w", parent, err)
	}
	defer func() { _ = rows.Close() }()
	var found []BatchInfo
	for rows.Next() {
		b, err := scanInfo(rows)
		if err != nil {
			return nil, fmt.Errorf("list batches of #%d: %w", parent, err)
		}
		found = append(found, b)
	}
	return found, rows.Err()
}

// Messages returns up to limit messages of a batch with their states and answers, from index from.
func (o *Outbox) Messages(ctx context.Context, b BatchInfo, from, limit int) ([]Tracked, error) {
	ms, err := o.batchMessages(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	receipts, err := o.receipts(ctx, b)
	if err != nil {
		return nil, err
	}
	dead, err := o.deadOf(ctx, b)
	if err != nil {
		return nil, err
	}
	var found []Tracked
	for i := from; i < len(ms) && len(found) < limit; i++ {
		t := Tracked{Message: ms[i], Parent: b.Parent, Batch: b.ID, Index: i, Destination: b.Destination, Route: b.Route, State: "waiting", Due: b.Due}
		if f := b.trouble[i]; f != nil {
			t.State, t.Attempts = "retrying", f.Attempts
			t.LastError = f.History[len(f.History)-1].Error
		}
		if a, ok := receipts[i]; ok {
			r := a.Receipt
			t.Receipt, t.Answered = &r, store.Time(a.At)
		}
		switch {
		case b.State == "staged":
			t.State = "staged"
		case dead[i] != "":
			t.State, t.LastError = "dead", dead[i]
		case b.State == "done" || b.done.has(i):
			t.State = "delivered"
		}
		found = append(found, t)
	}
	return found, nil
}

func (o *Outbox) deadOf(ctx context.Context, b BatchInfo) (map[int]string, error) {
	found := map[int]string{}
	if b.Dead == 0 {
		return found, nil
	}
	rows, err := o.db.Reader(ctx).Query(`SELECT idx, reason FROM dead_letters WHERE batch = ?`, b.ID)
	if err != nil {
		return nil, fmt.Errorf("dead letters of batch %d: %w", b.ID, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var i int
		var reason string
		if err := rows.Scan(&i, &reason); err != nil {
			return nil, fmt.Errorf("dead letters of batch %d: %w", b.ID, err)
		}
		found[i] = reason
	}
	return found, rows.Err()
}

// receipts reads the answers of a batch from its checkpoints.
func (o *Outbox) receipts(ctx context.Context, b BatchInfo) (map[int]answer, error) {
	found := map[int]answer{}
	if b.answers == "" {
		return found, nil
	}
	for text := range strings.SplitSeq(b.answers, ",") {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("answers of batch %d: %w", b.ID, err)
		}
		all, err := o.answers(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			if a.Batch == b.ID {
				found[a.Index] = a
			}
		}
	}
	return found, nil
}

func (o *Outbox) answers(ctx context.Context, id int64) ([]answer, error) {
	var frame []byte
	err := o.db.Reader(ctx).QueryRow(`SELECT frame FROM answers WHERE id = ?`, id).Scan(&frame)
	if err != nil {
		return nil, fmt.Errorf("read answers %d: %w", id, err)
	}
	raw, err := o.decoder.DecodeAll(frame, nil)
	if err != nil {
		return nil, fmt.Errorf("read answers %d: decompress: %w", id, err)
	}
	var all []answer
	for line := range bytes.Lines(raw) {
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("read answers %d: %w", id, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// Trace finds messages by key, by the job's own key ("A-1001") or by a captured value, newest first, up to limit.
func (o *Outbox) Trace(ctx context.Context, key string, limit int) ([]Tracked, error) {
	h := hashKey(key)
	found, err := o.traceKeys(ctx, key, h, limit)
	if err != nil || len(found) > 0 {
		return found, err
	}
	return o.traceAnswers(ctx, key, h, limit)
}

func (o *Outbox) traceKeys(ctx context.Context, key string, h uint32, limit int) ([]Tracked, error) {
	hits, err := o.scan(ctx, `SELECT `+infoColumns+`, p.keys FROM payloads p JOIN batches b ON b.id = p.batch ORDER BY p.batch DESC`, h, limit)
	if err != nil {
		return nil, err
	}
	var found []Tracked
	for _, b := range hits {
		ms, err := o.Messages(ctx, b, 0, b.Count)
		if err != nil {
			return nil, err
		}
		for _, m := range ms {
			if (m.Key == key || m.Ref == key) && len(found) < limit {
				found = append(found, m)
			}
		}
	}
	return found, nil
}

// scan walks key blocks, newest first, and keeps the batches that may have h.
func (o *Outbox) scan(ctx context.Context, query string, h uint32, limit int) ([]BatchInfo, error) {
	rows, err := o.db.Reader(ctx).Query(query)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var hits []BatchInfo
	for len(hits) < limit && rows.Next() {
		var keys []byte
		b, err := scanInfo(rows, &keys)
		if err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		if inBlock(keys, h) {
			hits = append(hits, b)
		}
	}
	return hits, rows.Err()
}

func (o *Outbox) traceAnswers(ctx context.Context, key string, h uint32, limit int) ([]Tracked, error) {
	rows, err := o.db.Reader(ctx).Query(`SELECT id, keys FROM answers WHERE length(keys) > 0 ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("trace answers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var ids []int64
	for len(ids) < limit && rows.Next() {
		var id int64
		var keys []byte
		if err := rows.Scan(&id, &keys); err != nil {
			return nil, fmt.Errorf("trace answers: %w", err)
		}
		if inBlock(keys, h) {
			ids = append(ids, id)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("trace answers: %w", err)
	}
	var found []Tracked
	for _, id := range ids {
		ts, err := o.tracedIn(ctx, id, key)
		if err != nil {
			return nil, err
		}
		found = append(found, ts...)
	}
	return found[:min(len(found), limit)], nil
}

func (o *Outbox) tracedIn(ctx context.Context, answersID int64, key string) ([]Tracked, error) {
	all, err := o.answers(ctx, answersID)
	if err != nil {
		return nil, err
	}
	var found []Tracked
	for _, a := range all {
		for _, c := range a.Captures {
			if c.Value != key {
				continue
			}
			b, err := o.batch(ctx, a.Batch)
			if err != nil {
				return nil, err
			}
			ts, err := o.Messages(ctx, b, a.Index, 1)
			if err != nil {
				return nil, err
			}
			found = append(found, ts...)
		}
	}
	return found, nil
}

func (o *Outbox) batch(ctx context.Context, id int64) (BatchInfo, error) {
	rows, err := o.db.Reader(ctx).Query(`SELECT `+infoColumns+` FROM batches b WHERE b.id = ?`, id)
	if err != nil {
		return BatchInfo{}, fmt.Errorf("read batch %d: %w", id, err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return BatchInfo{}, fmt.Errorf("read batch %d: %w", id, store.ErrNotFound)
	}
	return scanInfo(rows)
}

// Waiting is what waits for one destination.
type Waiting struct {
	Destination string
	Batches     int64
	Messages    int64 // of those batches, delivered ones of a half delivered batch included
	Oldest      time.Time
	Dead        int64 // open dead letters
}

// Waiting counts what waits, by destination; also for destinations that are no longer configured.
func (o *Outbox) Waiting(ctx context.Context) (map[string]Waiting, error) {
	found := map[string]Waiting{}
	rows, err := o.db.Reader(ctx).Query(`SELECT (SELECT n.name FROM names n WHERE n.id = b.destination), count(*), sum(b.count), min(b.made) FROM batches b WHERE b.state = 'ready' GROUP BY b.destination`)
	if err != nil {
		return nil, fmt.Errorf("count what waits: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var w Waiting
		var oldest int64
		if err := rows.Scan(&w.Destination, &w.Batches, &w.Messages, &oldest); err != nil {
			return nil, fmt.Errorf("count what waits: %w", err)
		}
		w.Oldest = store.Time(oldest)
		found[w.Destination] = w
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count what waits: %w", err)
	}
	deads, err := o.db.Reader(ctx).Query(`SELECT (SELECT n.name FROM names n WHERE n.id = d.destination), count(*) FROM dead_letters d WHERE d.state = 'open' GROUP BY d.destination`)
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	defer func() { _ = deads.Close() }()
	for deads.Next() {
		var name string
		var n int64
		if err := deads.Scan(&name, &n); err != nil {
			return nil, fmt.Errorf("count dead letters: %w", err)
		}
		w := found[name]
		w.Destination, w.Dead = name, n
		found[name] = w
	}
	return found, deads.Err()
}

// Healths tells what the couriers of this process know of their destinations.
func (o *Outbox) Healths() map[string]Health {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := map[string]Health{}
	for name, c := range o.couriers {
		found[name] = c.health.snapshot()
	}
	return found
}
