package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"waybill/failpoint"
	"waybill/store"
)

// claims says who works which entry. On SQLite only the holder of executor.lock works jobs, so claims are its memory
// and a restart frees all; several nodes on one database will need rows with a lease. In both, a claim carries a
// token that is higher than that of any claim before it, and every later statement about the entry checks it.
type claims interface {
	// take claims up to n entries of job that are due, the oldest first.
	take(ctx context.Context, job string, n int) ([]Entry, error)
	// only claims those of ids that are due and free.
	only(ctx context.Context, ids []int64) ([]Entry, error)
	// holds reports whether the claim is still the entry's.
	holds(entry, token int64) bool
	// drop ends a claim.
	drop(entry, token int64)
}

// Claim takes up to n received entries of job that are due, the oldest first. Each is handed back with Release, whatever
// became of it; until then no other Claim returns it. To be called by the holder of the executor lock only.
func (l *Ledger) Claim(ctx context.Context, job string, n int) ([]Entry, error) {
	list, err := l.claims.take(ctx, job, n)
	if err != nil {
		return nil, fmt.Errorf("claim entries of %s: %w", job, err)
	}
	return list, nil
}

// ClaimOnly takes those of ids that can be worked now, as Claim does: for a run that works nothing but its own entries.
func (l *Ledger) ClaimOnly(ctx context.Context, ids ...int64) ([]Entry, error) {
	list, err := l.claims.only(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("claim entries: %w", err)
	}
	return list, nil
}

// Release ends a claim. An entry that was not accepted meanwhile can be claimed again at once: being interrupted is not
// failing, and counts no attempt.
func (l *Ledger) Release(e Entry) {
	l.fresh.drop(e.ID) // before the claim: whoever claims it next reads what became of it
	l.claims.drop(e.ID, e.Token)
}

// nextDueQuery names the condition of its index, due <> 0: else it would look at all that waits to be worked.
const nextDueQuery = `SELECT MIN(due) FROM entries WHERE job = ` + ofJob + ` AND state IN ('received', 'working') AND due <> 0 AND due > ?`

// NextDue returns when the next entry of job that waits after a failure is due, zero when none waits.
func (l *Ledger) NextDue(ctx context.Context, job string) (time.Time, error) {
	var due *int64
	err := l.db.Reader(ctx).QueryRow(nextDueQuery, job, store.Millis(l.clock())).Scan(&due)
	if err != nil {
		return time.Time{}, fmt.Errorf("look for due entries of %s: %w", job, err)
	}
	return instant(due), nil
}

// Working marks a claimed entry whose messages are being staged in several transactions. Each of those calls it: it is
// ErrGone when the claim no longer holds or the entry was cancelled. Only the first call writes.
func (l *Ledger) Working(tx *store.Tx, e Entry) error {
	if !l.claims.holds(e.ID, e.Token) {
		return fmt.Errorf("work #%d: %w", e.ID, ErrGone)
	}
	var state State
	var token int64
	if err := tx.QueryRow(`SELECT state, token FROM entries WHERE id = ?`, e.ID).Scan(&state, &token); err != nil {
		return fmt.Errorf("work #%d: %w", e.ID, err)
	}
	if state != Received && state != Working || token > e.Token {
		return fmt.Errorf("work #%d: %w", e.ID, ErrGone)
	}
	if state == Working && token == e.Token {
		return nil
	}
	if _, err := tx.Exec(`UPDATE entries SET state = 'working', token = ? WHERE id = ?`, e.Token, e.ID); err != nil {
		return fmt.Errorf("work #%d: %w", e.ID, err)
	}
	failpoint.Hit("ledger/working")
	return nil
}

// Retry puts a claimed entry back until due because of a failure of waybill's own surroundings (no memory, a query that
// cannot be asked), and counts an attempt. The claim is still to be released.
func (l *Ledger) Retry(ctx context.Context, e Entry, due time.Time, reason string) error {
	reason = cut(onLine(reason), 1000)
	err := l.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE entries SET state = 'received', attempts = attempts + 1, due = ?, reason = ?, token = ?
			WHERE id = ? AND state IN ('received', 'working') AND token <= ?`, store.Millis(due), e.keep()+reason, e.Token, e.ID, e.Token)
		if err != nil || n == 0 {
			return err // cancelled meanwhile: nothing to put back
		}
		return l.Record(tx, Event{At: l.clock(), Kind: "retry", Entry: e.ID, Detail: map[string]any{"reason": reason, "due": due.UTC().Format(time.RFC3339)}})
	})
	if err != nil {
		return fmt.Errorf("put #%d back: %w", e.ID, err)
	}
	return nil
}

// memory keeps the claims of the only process that works jobs.
type memory struct {
	db    *store.DB
	now   func() time.Time
	fresh *fresh

	taking sync.Mutex // one take at a time, so that none sees what another is about to claim
	next   int64      // the next token, under taking

	mu   sync.Mutex
	held map[int64]int64 // entry → token
}

// tokensPerRun leaves each process that works jobs a range of tokens of its own.
const tokensPerRun = 1 << 32

// takeQuery leaves out those that are claimed already: there may be as many of them as are looked for.
const takeQuery = `SELECT e.id FROM entries e WHERE e.job = ` + ofJob + ` AND e.state IN ('received', 'working') AND e.due <= ?
	AND e.id NOT IN ` + store.Each + ` ORDER BY e.id LIMIT ?`

func (m *memory) take(ctx context.Context, job string, n int) ([]Entry, error) {
	return m.claim(ctx, n, func(r store.Reader, busy map[int64]int64) ([]Entry, error) {
		ids, err := collect(r, scanID, takeQuery, job, store.Millis(m.now()), store.Numbers(slices.Collect(maps.Keys(busy))), n)
		if err != nil {
			return nil, err
		}
		list, others := m.fresh.entries(job, ids)
		more, err := m.due(r, others)
		if len(more) > 0 {
			list = append(list, more...)
			slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
		}
		return list, err
	})
}

func (m *memory) only(ctx context.Context, ids []int64) ([]Entry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return m.claim(ctx, len(ids), func(r store.Reader, _ map[int64]int64) ([]Entry, error) { return m.due(r, ids) })
}

// due reads those of ids that can be worked now.
func (m *memory) due(r store.Reader, ids []int64) ([]Entry, error) {
	var list []Entry
	for chunk := range slices.Chunk(ids, setSize) {
		places, args := store.Set(chunk)
		more, err := entries(r, `SELECT `+entryColumns+` FROM entries e WHERE e.id IN `+places+` AND e.state IN ('received', 'working')
			AND e.due <= ? ORDER BY e.id`, append(args, store.Millis(m.now()))...)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// claim claims the first n free ones of what find returns; busy are those that are claimed already.
func (m *memory) claim(ctx context.Context, n int, find func(r store.Reader, busy map[int64]int64) ([]Entry, error)) ([]Entry, error) {
	m.taking.Lock()
	defer m.taking.Unlock()
	if m.next == 0 {
		if err := m.begin(ctx); err != nil {
			return nil, err
		}
	}
	// A claim dropped while we read belongs to an entry that may have been accepted after our snapshot was
	// taken, so who was busy before counts, not who is now.
	m.mu.Lock()
	busy := maps.Clone(m.held)
	m.mu.Unlock()
	found, err := find(m.db.Reader(ctx), busy)
	if err != nil {
		return nil, err
	}
	var free []Entry
	for _, e := range found {
		if _, taken := busy[e.ID]; !taken && len(free) < n {
			e.Token = m.next
			m.next++
			free = append(free, e)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range free {
		m.held[e.ID] = e.Token
	}
	return free, nil
}

// begin takes the range of tokens of this process.
func (m *memory) begin(ctx context.Context) error {
	return m.db.Tx(ctx, func(tx *store.Tx) error {
		var run int64
		err := tx.QueryRow(`INSERT INTO marks (job, name, at) VALUES ('', 'claims', 1)
			ON CONFLICT (job, name) DO UPDATE SET at = marks.at + 1 RETURNING at`).Scan(&run)
		m.next = run * tokensPerRun
		return err
	})
}

func (m *memory) holds(entry, token int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return token != 0 && m.held[entry] == token
}

func (m *memory) drop(entry, token int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[entry] == token {
		delete(m.held, entry)
	}
}
