package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"waybill/failpoint"
	"waybill/store"
)

// answer is one line of an answers frame.
type answer struct {
	Batch int64 `json:"b"`
	Index int   `json:"i"`
	At    int64 `json:"at"`
	Receipt
}

// A dead message is one to be set aside.
type dead struct {
	batch   *leased
	index   int
	kind    string
	reason  string
	history []attempt
}

// checkpoint stores what has been reported since the last one.
// The bitmaps are changed in memory first: a transaction that fails for good ends the process or the pass, whose batches then stay
// ready with their old bitmaps, so that their messages go out again.
func (p *pass) checkpoint(ctx context.Context) error {
	p.storing.Lock()
	defer p.storing.Unlock()
	p.mu.Lock()
	results := p.results
	p.results = nil
	p.mu.Unlock()
	if len(results) == 0 || p.broken {
		return nil
	}
	touched := map[int]bool{}
	var answers []answer
	var deads []dead
	for _, r := range results {
		b := p.batches[r.batch]
		touched[r.batch] = true
		if r.untried {
			b.sending.clear(r.index)
			continue
		}
		if r.err == nil {
			b.done.set(r.index)
			b.sending.clear(r.index)
			delete(b.trouble, r.index)
			answers = append(answers, answer{Batch: b.id, Index: r.index, At: store.Millis(r.at), Receipt: r.receipt})
			continue
		}
		if r.repeat {
			b.repeats++
		}
		if d, aside := p.afterFailure(b, r); aside {
			deads = append(deads, d)
		}
	}
	frame, keys, err := p.c.out.packAnswers(answers)
	if err == nil {
		failpoint.Hit("outbox/checkpointing")
		err = p.persist(ctx, touched, func(tx *store.Tx) error { return p.write(tx, maps.Clone(touched), frame, keys, deads) })
		failpoint.Hit("outbox/checkpointed")
	}
	p.broken = err != nil // what this one held must not be passed over by the next
	if err == nil {
		p.tellAside(deads)
	}
	return err
}

// tellAside logs what was set aside beside an entry: that becomes no failed one by it, so nothing else tells.
func (p *pass) tellAside(deads []dead) {
	for _, d := range deads {
		if entry, beside := parted(d.batch.parent); beside {
			p.c.log().Warn("a message beside its entry is a dead letter (waybill dead list)", "entry", entry, "kind", d.kind, "error", d.reason)
		}
	}
}

// persist stores a checkpoint: these messages have gone out, and would go out anew for as long as that lasts.
func (p *pass) persist(ctx context.Context, touched map[int]bool, write func(*store.Tx) error) error {
	before := map[int]string{}
	for i := range touched {
		before[i] = p.batches[i].answers
	}
	return p.c.out.patiently(ctx, p.c.log(), "cannot store what was delivered, it will be tried again", func(tx *store.Tx) error {
		for i, answers := range before {
			p.batches[i].answers = answers
		}
		return write(tx)
	})
}

// afterFailure says whether the message is to be set aside, and when its batch is looked at again.
func (p *pass) afterFailure(b *leased, r result) (dead, bool) {
	e := r.err.(*Error) //nolint:errorlint // made by failed and choose, never wrapped
	options := p.dest.Options
	a := attempt{At: store.Millis(r.at), Error: e.Error(), Status: e.Status, Body: e.Body}
	wait := options.Retry.wait(1)
	switch {
	case e.Fault == FaultRefused:
		return p.aside(b, r.index, "refused", a), true
	case e.Fault == faultExpired:
		return p.aside(b, r.index, "expired", a), true
	case e.Fault == faultDamaged:
		return p.aside(b, r.index, "damaged", a), true
	case e.Fault == FaultUnknown && options.Unknown.Mode == "hold":
		return p.aside(b, r.index, "unknown", a), true
	case e.Fault == FaultUnknown: // ask: its sending bit stays, and the next pass asks
	case e.Fault == faultAlone && options.Retry.GiveUp > 0 && r.at.Sub(b.made) > options.Retry.GiveUp:
		return p.aside(b, r.index, "expired", a), true
	case e.Fault == faultCounts, e.Fault == faultAlone:
		b.sending.clear(r.index)
		t := b.trouble[r.index]
		if t == nil {
			t = &trouble{}
			b.trouble[r.index] = t
			if e.Fault == faultCounts { // the failure before this one was not counted yet
				t.Attempts = 1
				t.add(r.earlier)
			}
		}
		if t.Attempts++; e.Fault == faultCounts && t.Attempts >= options.Retry.Attempts {
			return p.aside(b, r.index, "exhausted", a), true
		}
		t.add(a)
		wait = max(options.Retry.wait(t.Attempts), min(e.After, options.Retry.Longest))
		t.Due = store.Millis(r.at.Add(wait))
	default:
		b.sending.clear(r.index)
	}
	p.wait(r.at.Add(max(wait, min(e.After, options.Retry.Longest))))
	return dead{}, false
}

// aside takes the message out of its batch.
func (p *pass) aside(b *leased, index int, kind string, a attempt) dead {
	t := b.trouble[index]
	if t == nil {
		t = &trouble{}
	}
	t.add(a)
	delete(b.trouble, index)
	b.done.set(index)
	b.sending.clear(index)
	b.dead++
	p.c.health.forget(messageID{b.id, index})
	return dead{batch: b, index: index, kind: kind, reason: a.Error, history: t.History}
}

func (p *pass) complete(b *leased) bool {
	for i := range b.count {
		if !b.done.has(i) {
			return false
		}
	}
	return true
}

func (o *Outbox) packAnswers(answers []answer) (frame, keys []byte, err error) {
	if len(answers) == 0 {
		return nil, nil, nil
	}
	var raw []byte
	keys = []byte{} // without captures an empty block, not NULL
	for _, a := range answers {
		line, err := json.Marshal(a)
		if err != nil {
			return nil, nil, fmt.Errorf("store the answer to message %d of batch %d: %w", a.Index, a.Batch, err)
		}
		raw = append(append(raw, line...), '\n')
		for _, c := range a.Captures {
			keys = appendHash(keys, hashKey(c.Value))
		}
	}
	return o.encoder.EncodeAll(raw, nil), keys, nil
}

// write stores one checkpoint.
func (p *pass) write(tx *store.Tx, touched map[int]bool, frame, keys []byte, deads []dead) error {
	now := store.Millis(p.c.out.now())
	var answersID int64
	if frame != nil {
		var err error
		answersID, err = tx.Insert(`INSERT INTO answers (at, keys, frame) VALUES (?, ?, ?)`, now, keys, frame)
		if err != nil {
			return err
		}
	}
	for _, d := range deads {
		if err := insertDead(tx, p.c.name(), d, now); err != nil {
			return err
		}
	}
	alike := p.alike(touched)
	for ids := range slices.Chunk(alike, store.SetMost) {
		if err := p.writeDone(tx, ids, answersID, now); err != nil {
			return err
		}
	}
	for i := range touched {
		if err := p.writeBatch(tx, p.batches[i], answersID, now); err != nil {
			return err
		}
	}
	failpoint.Hit("outbox/stored")
	return nil
}

// alike takes out of touched the batches that are done with nothing to tell, and the only ones here of their parent: one statement
// serves a set of them. They are what a stream of small files is made of.
func (p *pass) alike(touched map[int]bool) []int64 {
	of := make(map[int64]int, len(touched))
	for i := range touched {
		of[p.batches[i].parent]++
	}
	var ids []int64
	for i := range touched {
		b := p.batches[i]
		if of[b.parent] == 1 && b.dead == 0 && b.repeats == 0 && b.answers == "" && p.complete(b) {
			ids = append(ids, b.id)
			delete(touched, i)
		}
	}
	slices.Sort(ids)
	return ids
}

// writeDone ends a set of batches.
func (p *pass) writeDone(tx *store.Tx, ids []int64, answersID, now int64) error {
	answers := ""
	if answersID != 0 {
		answers = strconv.FormatInt(answersID, 10)
	}
	places, args := store.Set(ids)
	_, err := tx.Exec(`UPDATE batches SET state = 'done', done = NULL, sending = NULL, trouble = '', answers = ?, finished = ?,
		settled = CASE WHEN EXISTS (SELECT 1 FROM batches o WHERE o.parent = batches.parent AND o.state = 'ready' AND o.id <> batches.id) THEN 0 ELSE 1 END
		WHERE id IN `+places+` AND state = 'ready'`, append([]any{answers, now}, args...)...)
	tx.Notify(SettledTopic)
	return err
}

func (p *pass) writeBatch(tx *store.Tx, b *leased, answersID, now int64) error {
	answers := b.answers
	if answersID != 0 {
		if answers != "" {
			answers += ","
		}
		answers += strconv.FormatInt(answersID, 10)
	}
	b.answers = answers
	if p.complete(b) {
		_, err := tx.Exec(`UPDATE batches SET state = 'done', done = NULL, sending = NULL, dead = ?, repeats = ?, trouble = '', answers = ?, finished = ?,
			settled = CASE WHEN EXISTS (SELECT 1 FROM batches o WHERE o.parent = ? AND o.state = 'ready' AND o.id <> ?) THEN 0 ELSE 1 END
			WHERE id = ? AND state = 'ready'`, b.dead, b.repeats, answers, now, b.parent, b.id, b.id)
		tx.Notify(SettledTopic)
		return err
	}
	failed := ""
	if len(b.trouble) > 0 {
		text, err := json.Marshal(b.trouble)
		if err != nil {
			return fmt.Errorf("store the history of batch %d: %w", b.id, err)
		}
		failed = string(text)
	}
	p.mu.Lock()
	var due int64
	if !p.due.IsZero() {
		due = store.Millis(p.due)
	}
	p.mu.Unlock()
	var sending any
	if p.dest.Options.Unknown.Mode != "repeat" {
		sending = []byte(b.sending)
	}
	_, err := tx.Exec(`UPDATE batches SET done = ?, sending = ?, dead = ?, repeats = ?, attempts = attempts + 1, due = ?, trouble = ?, answers = ?
		WHERE id = ? AND state = 'ready'`,
		[]byte(b.done), sending, b.dead, b.repeats, due, failed, answers, b.id)
	return err
}

// markSending stores which messages are about to go out.
func (p *pass) markSending(from, till int) error {
	p.storing.Lock()
	defer p.storing.Unlock()
	touched := map[*leased]bool{}
	for _, at := range p.open[from:till] {
		b := p.batches[at.batch]
		b.sending.set(at.index)
		touched[b] = true
	}
	err := p.c.out.db.Tx(context.Background(), func(tx *store.Tx) error {
		for b := range touched {
			if _, err := tx.Exec(`UPDATE batches SET sending = ? WHERE id = ? AND state = 'ready'`, []byte(b.sending), b.id); err != nil {
				return err
			}
		}
		failpoint.Hit("outbox/marked")
		return nil
	})
	if err != nil {
		for _, at := range p.open[from:till] { // they are not sent
			p.batches[at.batch].sending.clear(at.index)
		}
	}
	return err
}
