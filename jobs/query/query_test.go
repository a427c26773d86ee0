package query

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/formats"
	"waybill/testenv"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

func TestNamesBecomePlacesOutsideQuotesCommentsAndCasts(t *testing.T) {
	t.Parallel()
	dollar := func(n int) string { return "$" + strconv.Itoa(n) }
	for _, c := range []struct{ in, want, names string }{
		{"select 1 where a >= :from and a < :to", "select 1 where a >= $1 and a < $2", "from to"},
		{"select :to, :from, :to", "select $1, $2, $1", "to from"},
		{"select ':from', \":to\", a::text -- :from\n, :from", "select ':from', \":to\", a::text -- :from\n, $1", "from"},
		{"/* :from */ select 'it''s :to' , :to_day", "/* :from */ select 'it''s :to' , $1", "to_day"},
		{"select 'open :from", "select 'open :from", ""},
	} {
		got, names := rewrite(c.in, dollar)
		if got != c.want || strings.Join(names, " ") != c.names {
			t.Errorf("%s\n got %s %v\nwant %s %s", c.in, got, names, c.want, c.names)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add("select ':from', \":to\", a::text -- :from\n, :from")
	f.Fuzz(func(t *testing.T, q string) {
		// A dialect that writes names back must give the same text.
		var names []string
		got, names := rewrite(q, func(n int) string { return "\x00" + strconv.Itoa(n) + "\x01" })
		for i, n := range names {
			got = strings.ReplaceAll(got, "\x00"+strconv.Itoa(i+1)+"\x01", ":"+n)
		}
		if got != q && !strings.ContainsAny(q, "\x00\x01") {
			t.Errorf("%q became %q", q, got)
		}
	})
}

const table = `create table sales (id %s, paid_at timestamp, sku text, amount numeric(12,3), note text);
insert into sales values (1, '2026-03-01 09:59:59', 'a', 1.50, null), (2, '2026-03-01 10:00:00', 'b', 24.910, 'é'),
(3, '2026-03-01 10:59:59', 'c', 3, ''), (4, '2026-03-01 11:00:00', 'd', 4, '')`

func rowsOf(t *testing.T, c *Connection, from, to time.Time) (list []string) {
	t.Helper()
	r, err := c.Rows(t.Context(), "select id, sku, amount, note from sales where paid_at >= :from and paid_at < :to order by id", from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	if want := []string{"id", "sku", "amount", "note"}; !slices.Equal(r.Columns, want) {
		t.Fatalf("columns %v, want %v", r.Columns, want)
	}
	for row, err := range r.Rows {
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, cell := range row {
			if cell.Kind == formats.Null {
				texts = append(texts, "NULL")
				continue
			}
			texts = append(texts, string(cell.Bytes))
		}
		list = append(list, strings.Join(texts, "|"))
	}
	return list
}

func TestAWindowIsHalfOpenInSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop # 1.db")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), fmt.Sprintf(table, "integer")); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := Open(Options{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	got := rowsOf(t, c, at, at.Add(time.Hour))
	if want := []string{"2|b|24.91|é", "3|c|3|"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	if _, err := c.pool.ExecContext(t.Context(), "delete from sales"); err == nil {
		t.Fatal("the connection can write")
	}
}

func TestAWindowIsHalfOpenAndNumbersExactInPostgreSQL(t *testing.T) {
	t.Parallel()
	pg := testenv.PostgreSQL(t)
	db, err := sql.Open("pgx", pg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), fmt.Sprintf(table, "bigint")); err != nil {
		t.Fatal(err)
	}
	c, err := Open(Options{URL: pg.DSN})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	got := rowsOf(t, c, at, at.Add(time.Hour))
	if want := []string{"2|b|24.910|é", "3|c|3.000|"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestAWrongURLIsRefusedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "mysql://u:secret@h/b", "postgres://u:secret@h:port/b"} {
		c, err := Open(Options{URL: u})
		if err == nil {
			_, err = c.Rows(t.Context(), "select 1", time.Time{}, time.Time{})
		}
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", u, err)
		}
	}
}
