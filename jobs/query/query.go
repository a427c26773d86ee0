// Package query asks databases for the rows of one window: what a scheduled job works on instead of a file.
//
// The databases are other people's. A connection only reads, in a read-only transaction, one
// query at a time, and hands rows on as they come, so that memory does not grow with the window.
package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/ncruces/go-strftime"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"waybill/formats"
)

// Options are one item of `connections:`.
type Options struct {
	URL        string        `yaml:"url" as:"secret" required:"true" doc:"postgres://user@host/base, or sqlite:/path/to/file.db"`
	Zone       string        `yaml:"zone" as:"zone" doc:"zone of times in the database that have none; left out: UTC"`
	TimeFormat string        `yaml:"time_format" default:"%Y-%m-%d %H:%M:%S" doc:"sqlite: how times are written there, in strftime's terms"`
	Timeout    time.Duration `yaml:"timeout" default:"5m" doc:"how long one query may take"`
}

// A Connection is one database that can be asked.
type Connection struct {
	pool    *sql.DB
	dialect dialect
	zone    *time.Location
	format  string
	timeout time.Duration
}

// dialect is what differs between databases.
type dialect struct {
	place func(n int) string // n-th parameter, from 1
	texts bool               // times are texts
}

// Open makes a connection; the database is first asked by Rows.
func Open(o Options) (*Connection, error) {
	c := &Connection{format: o.TimeFormat, timeout: o.Timeout, zone: time.UTC}
	if o.Zone != "" {
		zone, err := time.LoadLocation(o.Zone)
		if err != nil {
			return nil, fmt.Errorf("zone %q is not known: write for example Europe/Paris", o.Zone)
		}
		c.zone = zone
	}
	if c.format == "" {
		c.format = "%Y-%m-%d %H:%M:%S"
	}
	if c.timeout == 0 {
		c.timeout = 5 * time.Minute
	}
	scheme, rest, _ := strings.Cut(o.URL, ":")
	var err error
	switch scheme {
	case "postgres", "postgresql":
		c.dialect = dialect{place: func(n int) string { return "$" + strconv.Itoa(n) }}
		c.pool, err = sql.Open("pgx", o.URL)
	case "sqlite", "file":
		c.dialect = dialect{place: func(n int) string { return "?" + strconv.Itoa(n) }, texts: true}
		path := (&url.URL{Path: strings.TrimPrefix(rest, "//")}).EscapedPath()
		c.pool, err = sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(ON)&_pragma=trusted_schema(OFF)")
	default:
		return nil, fmt.Errorf("a connection's url begins with postgres:// or sqlite:, not %q", scheme+":")
	}
	if err != nil {
		return nil, errors.New("the url cannot be read: write postgres://user@host/base, or sqlite:/path/to/file.db")
	}
	c.pool.SetMaxOpenConns(4)
	c.pool.SetConnMaxIdleTime(time.Minute)
	return c, nil
}

// Close ends all connections to the database.
func (c *Connection) Close() error { return c.pool.Close() }

// A Result is what a query returned: the names of its columns, and its rows, each valid until the next step.
type Result struct {
	Columns []string
	Rows    iter.Seq2[[]formats.Cell, error]
	close   func() error
}

// Close ends the query, at its end or before.
func (r *Result) Close() error { return r.close() }

// Rows asks for the rows of the half-open window [from, to): the query says :from and :to.
func (c *Connection) Rows(ctx context.Context, query string, from, to time.Time) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	text, names := rewrite(query, c.dialect.place)
	args := make([]any, len(names))
	for i, name := range names {
		switch name {
		case "from":
			args[i] = c.instant(from)
		case "to":
			args[i] = c.instant(to)
		default:
			cancel()
			return nil, fmt.Errorf("the query asks for :%s: only :from and :to are given", name)
		}
	}
	tx, err := c.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	end := func() error {
		err := tx.Rollback()
		cancel()
		if errors.Is(err, sql.ErrTxDone) {
			return nil
		}
		return err
	}
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask the database: %w", err), end())
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask the database: %w", err), rows.Close(), end())
	}
	r := &Result{close: func() error { return errors.Join(rows.Close(), end()) }}
	for _, t := range types {
		r.Columns = append(r.Columns, t.Name())
	}
	r.Rows = c.cells(rows, types)
	return r, nil
}

func (c *Connection) instant(t time.Time) any {
	if c.dialect.texts {
		return strftime.Format(c.format, t.In(c.zone))
	}
	return t
}

func (c *Connection) cells(rows *sql.Rows, types []*sql.ColumnType) iter.Seq2[[]formats.Cell, error] {
	return func(yield func([]formats.Cell, error) bool) {
		values := make([]any, len(types))
		dest := make([]any, len(types))
		for i := range values {
			dest[i] = &values[i]
		}
		row := make([]formats.Cell, len(types))
		for rows.Next() {
			if err := rows.Scan(dest...); err != nil {
				yield(nil, fmt.Errorf("read a row: %w", err))
				return
			}
			for i, v := range values {
				cell, err := c.cell(row[i].Bytes[:0], v, types[i])
				if err != nil {
					yield(nil, fmt.Errorf("column %s: %w", types[i].Name(), err))
					return
				}
				row[i] = cell
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, fmt.Errorf("read the rows: %w", err))
		}
	}
}

// cell turns a driver's value into a cell, reusing dst. Exact numbers stay exact: PostgreSQL's numeric comes as text.
func (c *Connection) cell(dst []byte, v any, t *sql.ColumnType) (formats.Cell, error) {
	text := func(kind formats.Kind, b []byte) (formats.Cell, error) {
		if !utf8.Valid(b) {
			return formats.Cell{}, errors.New("the text is not UTF-8")
		}
		return formats.Cell{Kind: kind, Bytes: b}, nil
	}
	switch v := v.(type) {
	case nil:
		return formats.Cell{Kind: formats.Null, Bytes: dst}, nil
	case int64:
		return formats.Cell{Kind: formats.Number, Bytes: strconv.AppendInt(dst, v, 10)}, nil
	case float64:
		return formats.Cell{Kind: formats.Number, Bytes: strconv.AppendFloat(dst, v, 'f', -1, 64)}, nil
	case bool:
		return formats.Cell{Kind: formats.Bool, Bytes: strconv.AppendBool(dst, v)}, nil
	case time.Time:
		return formats.Cell{Kind: formats.Text, Bytes: v.In(c.zone).AppendFormat(dst, time.RFC3339Nano)}, nil
	case string:
		kind := formats.Text
		if t.DatabaseTypeName() == "NUMERIC" {
			kind = formats.Number
		}
		return text(kind, append(dst, v...))
	case []byte:
		return text(formats.Text, append(dst, v...))
	}
	return formats.Cell{}, fmt.Errorf("a value of type %T cannot be read: cast it to text in the query", v)
}
