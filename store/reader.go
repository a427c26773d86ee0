package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// reads keeps the connections for reading and one prepared statement per text (database/sql prepares it anew on
// each connection where it is used).
type reads struct {
	pool  *sql.DB
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

func (r *reads) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.RLock()
	st := r.stmts[query]
	r.mu.RUnlock()
	if st != nil {
		return st, nil
	}
	st, err := r.pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, translate(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.stmts[query]; other != nil {
		_ = st.Close()
		return other, nil
	}
	if r.stmts == nil {
		r.stmts = map[string]*sql.Stmt{}
	}
	r.stmts[query] = st
	return st, nil
}

func (r *reads) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, st := range r.stmts {
		errs = append(errs, st.Close())
	}
	r.stmts = nil
	return errors.Join(errs...)
}

type snapshot struct {
	ctx context.Context
	r   *reads
}

// Reader reads committed rows, each query on its own; ctx interrupts them.
func (db *DB) Reader(ctx context.Context) Reader { return snapshot{ctx: ctx, r: db.readers} }

func (s snapshot) Query(query string, args ...any) (*Rows, error) {
	st, err := s.r.prepare(s.ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(s.ctx, args...)
	if err != nil {
		return nil, translate(err)
	}
	return &Rows{rows: rows, note: translate}, nil
}

func (s snapshot) QueryRow(query string, args ...any) *Row {
	st, err := s.r.prepare(s.ctx, query)
	if err != nil {
		return &Row{err: err}
	}
	return &Row{row: st.QueryRowContext(s.ctx, args...), note: translate}
}
