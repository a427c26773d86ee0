package e2e_test

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"waybill/ledger"
	"waybill/testenv"
)

const exports = `
zone: UTC
connections: {shop: {url: %q}}
destinations:
  api: {http: {url: %q}}
  out: {file: {folder: out}}
jobs:
  export:
    schedule: {cron: "0 * * * *"}
    query:
      connection: shop
      sql: "SELECT id, amount FROM sales WHERE at >= :from AND at < :to ORDER BY id"
    read: {fields: {id: {type: integer, required: true}, amount: {type: decimal, required: true}}}
    send:
      - {to: api, path: /sales, key: =id, body: {sale: =id, amount: =amount}}
      - to: out
        each: window
        as: csv
        name: "sales-{window.to:%%H%%M}.csv"
        marker: "{name}.done"
        columns: [{title: sale, value: =id}, {title: amount, value: =amount}]
`

// Sales around the full hours 9, 10 and 11: windows are half-open.
var sales = []string{
	"1, '10.10', '2026-06-01 07:59:59'", "2, '20.20', '2026-06-01 08:00:00'", "3, '30.30', '2026-06-01 08:59:59'",
	"4, '40.40', '2026-06-01 09:00:00'", "5, '50.50', '2026-06-01 09:30:00'", "6, '60.60', '2026-06-01 10:00:00'",
}

func TestRowsAreExportedHourly(t *testing.T) {
	t.Parallel()
	t.Run("from SQLite", func(t *testing.T) {
		t.Parallel()
		path := t.TempDir() + "/shop.db"
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range append([]string{"CREATE TABLE sales (id INTEGER, amount TEXT, at TEXT)"}, inserts()...) {
			if _, err := db.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		exported(t, "sqlite:"+path)
	})
	t.Run("from PostgreSQL", func(t *testing.T) {
		t.Parallel()
		p := testenv.PostgreSQL(t)
		p.Exec(t, "waybill", "CREATE TABLE sales (id bigint, amount numeric(10,2), at timestamptz); SET timezone = 'UTC'; "+strings.Join(inserts(), ";"))
		exported(t, p.DSN)
	})
}

func inserts() (list []string) {
	for _, s := range sales {
		list = append(list, "INSERT INTO sales VALUES ("+s+")")
	}
	return list
}

// exported runs the hours 9 and 10, and 9 once more.
func exported(t *testing.T, url string) {
	a := newAPI(t)
	h := newHouse(t, fmt.Sprintf(exports, url, a.URL))
	for _, at := range []string{"09:00", "10:00", "09:00"} {
		h.runs(0, "run", "export", "--at", "2026-06-01T"+at+":00Z")
	}
	want := []string{`/sales {"sale":2,"amount":20.20}`, `/sales {"sale":3,"amount":30.30}`, `/sales {"sale":4,"amount":40.40}`, `/sales {"sale":5,"amount":50.50}`}
	got := a.arrived()
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the API got %q, want %q", got, want)
	}
	files := map[string]string{}
	list, err := os.ReadDir(h.path("out"))
	h.must(err)
	for _, f := range list {
		b, err := os.ReadFile(h.path("out/" + f.Name()))
		h.must(err)
		files[f.Name()] = string(b)
	}
	if len(files) != 4 {
		t.Errorf("files: %q", files)
	}
	for name, text := range map[string]string{
		"sales-0900.csv": "sale,amount\r\n2,20.20\r\n3,30.30\r\n", "sales-0900.csv.done": "",
		"sales-1000.csv": "sale,amount\r\n4,40.40\r\n5,50.50\r\n", "sales-1000.csv.done": "",
	} {
		if b, there := files[name]; !there || strings.ReplaceAll(b, "\r\n", "\n") != strings.ReplaceAll(text, "\r\n", "\n") {
			t.Errorf("%s: %q, want %q", name, b, text)
		}
	}
	if e := h.look().entries(t, "export"); len(e) != 2 || e[0].State != ledger.Delivered || e[0].Messages != 3 || !e[1].Since.Equal(e[0].Till) {
		t.Errorf("ticks: %+v", e)
	}
}
