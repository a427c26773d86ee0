package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"waybill/store"
)

// Record adds an event to the chain of this node. At and Node are set when they are not. Writers are one at a time, also among
// processes, so the head of the chain is read anew each time: a remembered one would be wrong after a rollback, or after another process wrote.
func (l *Ledger) Record(tx *store.Tx, e Event) error {
	if e.At.IsZero() {
		e.At = l.clock()
	}
	if e.Node == "" {
		var err error
		if e.Node, err = l.nodeOf(tx); err != nil {
			return fmt.Errorf("record event %s: %w", e.Kind, err)
		}
	}
	r, err := e.row()
	if err != nil {
		return fmt.Errorf("record event %s: %w", e.Kind, err)
	}
	head, err := l.head(tx, e.Node)
	if err != nil {
		return fmt.Errorf("record event %s: %w", e.Kind, err)
	}
	_, err = tx.Exec(`INSERT INTO events (at, node, kind, entry, entries, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		r.at, r.node, r.kind, r.entry, r.entries, r.detail, r.after(head))
	if err != nil {
		return fmt.Errorf("record event %s: %w", e.Kind, err)
	}
	return nil
}

// recordSet records one routine event for up to 200 entries.
func (l *Ledger) recordSet(tx *store.Tx, e Event, ids []int64) error {
	switch len(ids) {
	case 0:
		return nil
	case 1:
		e.Entry = ids[0]
	default:
		e.Entries = ids
	}
	return l.Record(tx, e)
}

// An eventRow is an event as stored: what the chain is made of.
type eventRow struct {
	id         int64
	at         int64
	node, kind string
	entry      *int64
	entries    *string // JSON
	detail     string  // JSON
	hash       []byte
}

const eventColumns = `id, at, node, kind, entry, entries, detail, hash`

func scanEvent(scan func(...any) error) (r eventRow, err error) {
	err = scan(&r.id, &r.at, &r.node, &r.kind, &r.entry, &r.entries, &r.detail, &r.hash)
	return r, err
}

func (e Event) row() (eventRow, error) {
	r := eventRow{at: store.Millis(e.At), node: e.Node, kind: e.Kind, detail: "{}"}
	if len(e.Detail) > 0 {
		b, err := json.Marshal(e.Detail)
		if err != nil {
			return r, err
		}
		r.detail = string(b)
	}
	if e.Entry != 0 {
		r.entry = &e.Entry
	}
	if len(e.Entries) > 0 {
		b, err := json.Marshal(e.Entries)
		if err != nil {
			return r, err
		}
		s := string(b)
		r.entries = &s
	}
	return r, nil
}

func (r eventRow) event() (Event, error) {
	e := Event{ID: r.id, At: store.Time(r.at), Node: r.node, Kind: r.kind, Hash: r.hash}
	if r.entry != nil {
		e.Entry = *r.entry
	}
	if r.entries != nil {
		if err := json.Unmarshal([]byte(*r.entries), &e.Entries); err != nil {
			return e, fmt.Errorf("event %d: entries: %w", r.id, err)
		}
	}
	if err := json.Unmarshal([]byte(r.detail), &e.Detail); err != nil {
		return e, fmt.Errorf("event %d: detail: %w", r.id, err)
	}
	return e, nil
}

// after returns the row's hash: SHA-256 of the hash before it and of its columns, each with its length, absent ones told
// from empty ones.
func (r eventRow) after(head []byte) []byte {
	b := make([]byte, 0, 256)
	part := func(p []byte) {
		b = binary.AppendUvarint(b, uint64(len(p))+1)
		b = append(b, p...)
	}
	part(head)
	part(binary.BigEndian.AppendUint64(nil, uint64(r.at)))
	part([]byte(r.node))
	part([]byte(r.kind))
	if r.entry == nil {
		b = append(b, 0)
	} else {
		part(binary.BigEndian.AppendUint64(nil, uint64(*r.entry)))
	}
	if r.entries == nil {
		b = append(b, 0)
	} else {
		part([]byte(*r.entries))
	}
	part([]byte(r.detail))
	sum := sha256.Sum256(b)
	return sum[:]
}

// nodeMark is the name of the mark that keeps the node's name.
const nodeMark = "node"

// nodeOf returns the name of the chain of this ledger, which the first event gives it: a machine may be renamed, and a container
// has another name at each start, but the data folder remains one node.
func (l *Ledger) nodeOf(tx *store.Tx) (string, error) {
	var name string
	err := tx.QueryRow(`SELECT text FROM marks WHERE job = '' AND name = ?`, nodeMark).Scan(&name)
	if !errors.Is(err, store.ErrNotFound) {
		return name, err
	}
	return l.node, l.SetMark(tx, "", nodeMark, Mark{At: l.clock(), Text: l.node})
}

// anchor is the name of the mark that keeps the hash of the last event that retention removed of a node.
func anchor(node string) string { return "anchor/" + node }

const headQuery = `SELECT hash FROM events WHERE node = ? ORDER BY id DESC LIMIT 1`

// head returns the hash of the last event of node.
func (l *Ledger) head(r store.Reader, node string) ([]byte, error) {
	var hash []byte
	err := r.QueryRow(headQuery, node).Scan(&hash)
	if errors.Is(err, store.ErrNotFound) {
		return anchored(r, node)
	}
	return hash, err
}

// anchored returns the hash before the first event of node that is left: empty when none was removed.
func anchored(r store.Reader, node string) ([]byte, error) {
	var text string
	err := r.QueryRow(`SELECT text FROM marks WHERE job = '' AND name = ?`, anchor(node)).Scan(&text)
	if errors.Is(err, store.ErrNotFound) {
		return []byte{}, nil
	}
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(text)
}

// A Head is the end of one node's chain. Kept elsewhere, it shows later whether events were cut off at the end.
type Head struct {
	Node   string `json:"node"`
	Events int64  `json:"events"`
	Last   int64  `json:"last"` // id of the last event
	Hash   string `json:"hash"` // hex
}

// A BrokenError names the first event that is not as it was written, or does not follow the one before it.
type BrokenError struct {
	Event int64
	Node  string
	At    time.Time
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("event %d of node %s (%s) does not follow the one before it: it, or one just before it, was changed, removed or added after it was written",
		e.Event, e.Node, e.At.Format(time.RFC3339))
}

// Verify walks the event chains and returns their heads, by node. The first break is a [*BrokenError].
func (l *Ledger) Verify(ctx context.Context) ([]Head, error) {
	r := l.db.Reader(ctx)
	heads := map[string]*Head{}
	hashes := map[string][]byte{}
	var order []string
	for last := int64(0); ; {
		page, err := collect(r, scanEvent, `SELECT `+eventColumns+` FROM events WHERE id > ? ORDER BY id LIMIT 1000`, last)
		if err != nil {
			return nil, fmt.Errorf("verify events: %w", err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if heads[e.node] == nil {
				if hashes[e.node], err = anchored(r, e.node); err != nil {
					return nil, fmt.Errorf("verify events: %w", err)
				}
				heads[e.node] = &Head{Node: e.node}
				order = append(order, e.node)
			}
			if !bytes.Equal(e.after(hashes[e.node]), e.hash) {
				return nil, &BrokenError{Event: e.id, Node: e.node, At: store.Time(e.at)}
			}
			hashes[e.node] = e.hash
			h := heads[e.node]
			h.Events, h.Last, h.Hash = h.Events+1, e.id, hex.EncodeToString(e.hash)
		}
		last = page[len(page)-1].id
	}
	slices.Sort(order)
	var list []Head
	for _, node := range order {
		list = append(list, *heads[node])
	}
	return list, nil
}

// History returns the events of an entry, the oldest first, those among them that it shares with others.
func (l *Ledger) History(ctx context.Context, id int64) ([]Event, error) {
	e, err := l.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	// A shared event has the instant that each of its entries carries.
	rows, err := collect(l.db.Reader(ctx), scanEvent, `SELECT `+eventColumns+` FROM events WHERE entry = ?
		UNION ALL SELECT `+eventColumns+` FROM events WHERE at IN (?, ?) AND entries IS NOT NULL ORDER BY 1`,
		id, store.Millis(e.Accepted), store.Millis(e.Finished))
	if err != nil {
		return nil, fmt.Errorf("history of #%d: %w", id, err)
	}
	var list []Event
	for _, r := range rows {
		ev, err := r.event()
		if err != nil {
			return nil, fmt.Errorf("history of #%d: %w", id, err)
		}
		if ev.Entry == id || slices.Contains(ev.Entries, id) {
			list = append(list, ev)
		}
	}
	return list, nil
}
