package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"waybill/failpoint"
)

// groupMost bounds a group, so that one commit never holds the write lock for long.
const groupMost = 256

type request struct {
	ctx    context.Context
	fn     func(*Tx) error
	err    error
	panic  *panicError
	topics []string
	after  []func()
	done   chan struct{}
}

// writer owns the writing connection; its goroutine runs from newWriter to stop.
type writer struct {
	db    *DB
	conn  *sql.Conn
	gate  *gate
	stmts map[string]*sql.Stmt

	inserts map[insertKey]string // texts of statements, see insertion

	numbers   map[named]int64 // see known
	numbersOf *Executor

	mu     sync.Mutex
	queue  []*request
	closed bool
	wake   chan struct{}
	ended  chan struct{}
}

type insertKey struct {
	insert string
	rows   int
}

func newWriter(db *DB, conn *sql.Conn, g *gate) *writer {
	w := &writer{
		db: db, conn: conn, gate: g, stmts: map[string]*sql.Stmt{}, inserts: map[insertKey]string{},
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go w.run()
	return w
}

// Tx runs fn once, inside a transaction that is durable when Tx returns nil, on the writer's goroutine. fn does SQL only: no I/O, no
// waiting, no call of Tx. ctx governs the wait in the queue; once fn has begun it is no longer looked at.
// When fn panics, Tx panics with the same value and fn's stack.
func (db *DB) Tx(ctx context.Context, fn func(tx *Tx) error) error {
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := db.writer.enqueue(r); err != nil {
		return err
	}
	<-r.done
	if r.panic != nil {
		panic(r.panic)
	}
	if errors.Is(r.err, ErrFull) {
		db.full.Store(true)
	}
	return r.err
}

// WasFull reports whether a transaction has found no room since it was last asked.
func (db *DB) WasFull() bool { return db.full.Swap(false) }

func (w *writer) enqueue(r *request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if err := w.db.Err(); err != nil {
		return err
	}
	w.queue = append(w.queue, r)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

// stop refuses later requests, lets those that queue finish, and returns when the goroutine has ended.
func (w *writer) stop() {
	w.mu.Lock()
	already := w.closed
	w.closed = true
	w.mu.Unlock()
	if !already {
		close(w.wake)
	}
	<-w.ended
}

func (w *writer) run() {
	defer close(w.ended)
	for open := true; open; {
		_, open = <-w.wake
		for group := w.take(); len(group) > 0; group = w.take() {
			w.commit(group)
		}
	}
	for _, st := range w.stmts {
		_ = st.Close()
	}
}

func (w *writer) take() []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), groupMost)
	group := w.queue[:n:n]
	w.queue = w.queue[n:]
	return group
}

// commit runs one group and answers each of its callers.
func (w *writer) commit(group []*request) {
	err := w.db.Err()
	if err == nil {
		err = w.transact(group)
	}
	if err != nil {
		if errors.Is(err, errFatal) {
			w.db.Fail(err)
		}
		for _, r := range group {
			if r.panic == nil {
				r.err = err
			}
		}
	}
	for _, r := range group {
		if r.err == nil && r.panic == nil {
			for _, fn := range r.after {
				fn()
			}
		}
	}
	var topics []string
	for _, r := range group {
		if r.err == nil && r.panic == nil {
			topics = append(topics, r.topics...)
		}
		close(r.done)
	}
	for _, t := range topics {
		w.db.Wake(t)
	}
}

// transact returns an error when the whole group has failed; each request's own outcome is in the request.
func (w *writer) transact(group []*request) (err error) {
	leave, err := w.enter()
	if err != nil {
		return err
	}
	defer leave()
	kept := false
	for _, r := range group {
		if err := r.ctx.Err(); err != nil {
			r.err = fmt.Errorf("wait for the ledger: %w", context.Cause(r.ctx))
			continue
		}
		if !kept {
			err = w.first(r)
		} else if err = w.one(r); err != nil {
			err = w.abandon(err)
		}
		if err != nil {
			return err
		}
		kept = kept || r.err == nil && r.panic == nil
	}
	if !kept {
		return w.exec("ROLLBACK")
	}
	failpoint.Hit("store/committing")
	if err := w.exec("COMMIT"); err != nil {
		if errors.Is(err, ErrFull) {
			return w.abandon(err)
		}
		return fmt.Errorf("%w: commit: %w", errFatal, err)
	}
	failpoint.Hit("store/committed")
	return nil
}

// enter begins the group's transaction, stepping aside for other processes first.
func (w *writer) enter() (leave func(), err error) {
	leave = func() {}
	if w.db.Executing() {
		defer w.gate.stepAside()()
	} else {
		if leave, err = w.gate.queue(); err != nil {
			return nil, err
		}
	}
	if err := w.begin(); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// begin waits for the write lock by looking often: SQLite's own busy handler backs off to
// 100 ms, by which time a busy executor has taken the lock again.
func (w *writer) begin() error {
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	for {
		err := w.exec("BEGIN IMMEDIATE")
		if !errors.Is(err, ErrBusy) {
			return err
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return err
		}
	}
}

// first runs a request while the transaction holds nothing yet, so that what it did can be undone with the whole. A savepoint keeps
// a copy of every page that is changed, and most large requests are alone in their group. The error it returns is the group's, and there is
// no transaction any more.
func (w *writer) first(r *request) error {
	tx := w.call(r)
	if errors.Is(tx.err, errFatal) {
		return w.abandon(tx.err)
	}
	if r.err == nil && r.panic == nil {
		return nil
	}
	if err := w.exec("ROLLBACK"); err != nil && tx.err == nil { // else the engine may have rolled back
		return w.abandon(err)
	}
	err := w.begin()
	if err != nil && !errors.Is(err, ErrBusy) {
		return w.abandon(err)
	}
	return err
}

// one runs a request between SAVEPOINT and RELEASE. The error it returns is the
// group's: the engine has rolled back, or the savepoint could not be handled.
func (w *writer) one(r *request) error {
	if err := w.exec("SAVEPOINT caller"); err != nil {
		return err
	}
	tx := w.call(r)
	if errors.Is(tx.err, errFatal) {
		return tx.err
	}
	if r.err == nil && r.panic == nil {
		return w.exec("RELEASE caller")
	}
	// Where the engine has rolled back the transaction itself there is no such savepoint
	// any more: that is how it is noticed.
	if err := w.exec("ROLLBACK TO caller"); err != nil {
		if tx.err != nil {
			return tx.err
		}
		return err
	}
	return w.exec("RELEASE caller")
}

// call runs a request and notes its outcome in it.
func (w *writer) call(r *request) *Tx {
	tx := &Tx{w: w}
	func() {
		defer func() {
			if v := recover(); v != nil {
				r.panic = &panicError{value: v, stack: debug.Stack()}
			}
		}()
		r.err = r.fn(tx)
	}()
	if tx.err != nil {
		r.err = tx.err
	}
	if r.err == nil && r.panic == nil {
		r.topics, r.after = tx.topics, tx.after
	}
	return tx
}

// abandon rolls back what the engine may have left of the transaction and returns why.
func (w *writer) abandon(cause error) error {
	if err := w.exec("ROLLBACK"); err != nil && !errors.Is(cause, ErrFull) && !errors.Is(cause, errFatal) {
		return fmt.Errorf("%w: %w", errFatal, errors.Join(cause, err))
	}
	return cause
}

func (w *writer) exec(query string) error {
	st, err := w.prepare(query)
	if err != nil {
		return translate(err)
	}
	_, err = st.ExecContext(background)
	return translate(err)
}

// prepare keeps one prepared statement per text: the texts are constants of the program, so there are few.
func (w *writer) prepare(query string) (*sql.Stmt, error) {
	failpoint.Hit("store/statement")
	if st := w.stmts[query]; st != nil {
		return st, nil
	}
	st, err := w.conn.PrepareContext(background, query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = st
	return st, nil
}
