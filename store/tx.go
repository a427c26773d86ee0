package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Reader runs queries. *Tx is one; DB.Reader gives one over committed rows.
type Reader interface {
	Query(query string, args ...any) (*Rows, error)
	QueryRow(query string, args ...any) *Row
}

// Rows are the rows of a query, one at a time. Close them before the next statement of a Tx.
type Rows struct {
	rows *sql.Rows
	note func(error) error
}

// Next moves on; it returns false at the end and on an error, which Err then returns.
func (r *Rows) Next() bool { return r.rows.Next() }

// Scan copies the columns of the current row, as database/sql does.
func (r *Rows) Scan(dest ...any) error { return r.note(r.rows.Scan(dest...)) }

// Err returns the error that ended the rows, nil at their proper end.
func (r *Rows) Err() error { return r.note(r.rows.Err()) }

// Close ends the query early or at its end; it may be called again.
func (r *Rows) Close() error { return r.note(r.rows.Close()) }

// A Row is the first row of a query.
type Row struct {
	row  *sql.Row
	err  error
	note func(error) error
}

// Scan copies the columns; ErrNotFound when the query has no row.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.note(r.row.Scan(dest...))
}

// A Tx is one function's part of a group. It is valid only while that function runs, on its goroutine.
//
// The first statement that fails poisons it: later ones return the same error, and all
// that the function did is rolled back whatever it returns. (The engine may have rolled back the whole group; nothing may be run after that.)
type Tx struct {
	w      *writer
	err    error
	topics []string
	after  []func()
}

// Exec runs a statement and returns the number of rows it changed.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	if tx.err != nil {
		return 0, tx.err
	}
	st, err := tx.w.prepare(query)
	if err != nil {
		return 0, tx.note(err)
	}
	res, err := st.ExecContext(background, args...)
	if err != nil {
		return 0, tx.note(err)
	}
	n, err := res.RowsAffected()
	return n, tx.note(err)
}

// Insert runs an INSERT of one row into a table whose primary key is the number id, and returns that. (PostgreSQL will have
// RETURNING id appended; on SQLite the row's id is known without a row to be read back, which halves the cost.)
func (tx *Tx) Insert(query string, args ...any) (id int64, err error) {
	if tx.err != nil {
		return 0, tx.err
	}
	st, err := tx.w.prepare(query)
	if err != nil {
		return 0, tx.note(err)
	}
	res, err := st.ExecContext(background, args...)
	if err != nil {
		return 0, tx.note(err)
	}
	id, err = res.LastInsertId()
	return id, tx.note(err)
}

// insertSizes are how many rows one statement of InsertAll inserts: few distinct statements, whatever the number of rows.
var insertSizes = [...]int{64, 8, 1}

// InsertAll is Insert for many rows, of which one statement inserts up to 64: that is a third of the cost of as many single
// ones. insert ends before VALUES, row is what follows for one row ("(?, ?, 'new')"), args are those of all rows, one row after the other.
// The ids are in the order of the rows. (One connection writes, so that SQLite numbers the rows of a statement without a gap; PostgreSQL will return them.)
func (tx *Tx) InsertAll(insert, row string, args []any) (ids []int64, err error) {
	width := strings.Count(row, "?")
	for rest := len(args) / width; rest > 0; {
		n := 0
		for _, n = range insertSizes {
			if n <= rest {
				break
			}
		}
		last, err := tx.Insert(tx.w.insertion(insert, row, n), args[:n*width]...)
		if err != nil {
			return nil, err
		}
		for i := range n {
			ids = append(ids, last-int64(n-1-i))
		}
		args, rest = args[n*width:], rest-n
	}
	return ids, nil
}

// insertion is the text of a statement of InsertAll. One that fails leaves the rows before the one it failed at, OR FAIL: they go with all else
// that the transaction did, and the engine need not keep copies of the pages it changes for one statement's sake.
func (w *writer) insertion(insert, row string, n int) string {
	k := insertKey{insert, n}
	text := w.inserts[k]
	if text == "" {
		text = "INSERT OR FAIL" + strings.TrimPrefix(insert, "INSERT") + " VALUES " + row + strings.Repeat(","+row, n-1)
		w.inserts[k] = text
	}
	return text
}

// Query runs a query inside the transaction.
func (tx *Tx) Query(query string, args ...any) (*Rows, error) {
	if tx.err != nil {
		return nil, tx.err
	}
	st, err := tx.w.prepare(query)
	if err != nil {
		return nil, tx.note(err)
	}
	rows, err := st.QueryContext(background, args...)
	if err != nil {
		return nil, tx.note(err)
	}
	return &Rows{rows: rows, note: tx.note}, nil
}

// QueryRow runs a query of one row.
func (tx *Tx) QueryRow(query string, args ...any) *Row {
	if tx.err != nil {
		return &Row{err: tx.err}
	}
	st, err := tx.w.prepare(query)
	if err != nil {
		return &Row{err: tx.note(err)}
	}
	return &Row{row: st.QueryRowContext(background, args...), note: tx.note}
}

// Notify wakes those who Watch topic, once the group is committed.
func (tx *Tx) Notify(topic string) {
	for _, t := range tx.topics {
		if t == topic {
			return
		}
	}
	tx.topics = append(tx.topics, topic)
}

// After has fn called on the writer's goroutine once the group is committed, before its callers are answered and anybody is woken; not at all
// when it is not. fn does no SQL and does not wait: it is for what memory holds of rows.
func (tx *Tx) After(fn func()) { tx.after = append(tx.after, fn) }

// note translates err and remembers it, unless it only says that there is no row.
func (tx *Tx) note(err error) error {
	err = translate(err)
	if err != nil && tx.err == nil && !errors.Is(err, ErrNotFound) {
		tx.err = err
	}
	return err
}

// background governs statements: a caller's context governs only its wait in the queue,
// for an interrupted statement would roll back the whole group.
var background = context.Background()

// In returns "(?,?,…)" with n places, at least one.
func In(n int) string {
	return "(?" + strings.Repeat(",?", max(n, 1)-1) + ")"
}

// Each is a set of any size as one argument, which Numbers makes: "id NOT IN "+Each. A text with as many places as there are
// numbers is parsed anew whenever SQLite plans the statement for new values. (PostgreSQL will have (SELECT unnest(?)).)
const Each = "(SELECT value FROM json_each(?))"

// Numbers is the argument of Each.
func Numbers(ids []int64) string {
	b := append(make([]byte, 0, 2+12*len(ids)), '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(append(b, ']'))
}

// SetMost is how many rows one set statement is about, at most.
const SetMost = 200

// Set returns the places of a set of at most SetMost ids and their arguments, for IN. The size is rounded up, by repeating
// the last id, so that there are few distinct statements to prepare.
func Set(ids []int64) (places string, args []any) {
	n := SetMost
	for _, size := range []int{1, 8, 40} {
		if len(ids) <= size {
			n = size
			break
		}
	}
	args = make([]any, n)
	for i := range args {
		args[i] = ids[min(i, len(ids)-1)]
	}
	return In(n), args
}

// Millis is how a time is stored: Unix milliseconds.
func Millis(t time.Time) int64 { return t.UnixMilli() }

// NullMillis is Millis, and NULL for the zero time.
func NullMillis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// Time is the time that Millis stored, in UTC.
func Time(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// A panicked function's caller panics with this, so that the stack of the function is not lost.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }
