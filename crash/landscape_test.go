package crash_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// configuration is the landscape: CSV to an API and to a file, JSON to an API that can be asked, rows of a query to both. The retry
// pauses are short so that a case is.
const configuration = `
data: %s
log: {level: info, format: json}
connections:
  shop: {url: "sqlite:%s"}
sources:
  drop: {folder: {path: drop}, poll: 1s}
  events: {folder: {path: events}, done: delete, poll: 1s}
destinations:
  api:
    http: {url: "%s/api"}
    concurrency: 16
    retry: {attempts: 4, pause: 20ms, longest: 200ms}
  asked:
    http: {url: "%s/asked"}
    concurrency: 4
    retry: {attempts: 4, pause: 20ms, longest: 200ms}
    unknown: {ask: {get: "/seen/{key}", applied: '=response.status == 200'}}
  out: {file: {folder: out}}
jobs:
  orders:
    receive: {source: drop, files: "*.csv"}
    identity: {by: content, suspect: skip}
    read:
      format: csv
      fields:
        order_no: {required: true}
        quantity: {type: integer, min: 1, required: true}
        note: {}
    send:
      - {to: api, path: /orders, key: =order_no, body: {order: =order_no, quantity: =quantity, note: =note}}
      - to: out
        each: file
        as: csv
        name: "{file.stem}.csv"
        marker: "{name}.done"
        columns: [{title: order, value: =order_no}, {title: quantity, value: =quantity}]
        trailer: {columns: [{title: rows, value: =totals.rows}, {title: quantity, value: =totals.quantity}]}
        totals: {rows: {count: records}, quantity: {sum: quantity}}
  events:
    receive: {source: events, files: "*.json"}
    read: {format: json, records: events}
    send: [{to: asked, body: {id: =id, text: =text}}]
  export:
    schedule: {cron: "* * * * *"}
    query:
      connection: shop
      sql: "SELECT id, amount, at FROM sales WHERE at >= :from AND at < :to ORDER BY id"
    send:
      - {to: api, path: /sales, key: =id, body: {sale: =id, amount: =amount}}
      - {to: out, each: window, as: ndjson, name: "sales-{window.to:%%H%%M%%S}.ndjson"}
`

// A landscape is a configuration in a folder, the other side, and what is to come of it.
type landscape struct {
	t      testing.TB
	folder string
	data   string
	out    *receiver

	want    map[string]string // body of each message that is to arrive → path
	orders  map[string]string // file written by the job orders → its content
	twins   map[string]string // file → another that has its bytes: one of the two is worked
	sales   map[string]bool   // rows that are to be written
	done    map[string]bool   // names in drop/done in the end
	failed  map[string]bool   // names in drop/failed
	entries map[string]int    // "job name state" → how many
	kills   int
	feared  int // repeats that the program thinks possible; check sets it
}

// newLandscape makes one. Its receiver does not listen yet, but has an address.
func newLandscape(t testing.TB) *landscape {
	t.Helper()
	l := &landscape{
		t: t, folder: t.TempDir(), want: map[string]string{}, orders: map[string]string{}, twins: map[string]string{},
		sales: map[string]bool{}, done: map[string]bool{}, failed: map[string]bool{}, entries: map[string]int{},
	}
	l.data = filepath.Join(l.folder, "data")
	for _, sub := range []string{"drop", "events", "out", "partner"} {
		l.must(os.Mkdir(filepath.Join(l.folder, sub), 0o700))
	}
	l.out = newReceiver(t, l.folder)
	l.shop()
	l.configure()
	return l
}

// bare makes one with a configuration of its own, in which the data folder and the receiver's URL stand in this order, and folders. Its receiver listens.
func bare(t testing.TB, configuration string, folders ...string) *landscape {
	t.Helper()
	l := &landscape{t: t, folder: t.TempDir()}
	l.data = filepath.Join(l.folder, "data")
	for _, sub := range folders {
		l.must(os.Mkdir(l.path(sub), 0o700))
	}
	l.out = newReceiver(t, l.folder)
	l.out.Start()
	l.must(os.WriteFile(l.path("waybill.yaml"), fmt.Appendf(nil, configuration, l.data, l.out.URL), 0o600))
	return l
}

// die serves until each step in turn, where the daemon is killed.
func (l *landscape) die(at []string) {
	l.t.Helper()
	for _, name := range at {
		p := l.serve(name)
		p.until(p.over)
		if !p.killed() {
			l.t.Fatalf("%s was never reached:\n%s", name, p.tail())
		}
	}
}

func (l *landscape) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *landscape) path(parts ...string) string {
	return filepath.Join(append([]string{l.folder}, parts...)...)
}

// configure writes the configuration.
func (l *landscape) configure() {
	l.t.Helper()
	url := "http://" + l.out.Listener.Addr().String()
	text := fmt.Sprintf(configuration, l.data, l.path("shop.db"), url, url)
	l.must(os.WriteFile(l.path("waybill.yaml"), []byte(text), 0o600))
}

// shop makes the database that the job export asks: five minutes ago something was sold.
func (l *landscape) shop() {
	l.t.Helper()
	db, err := sql.Open("sqlite", l.path("shop.db"))
	l.must(err)
	defer func() { l.must(db.Close()) }()
	_, err = db.Exec(`PRAGMA synchronous = OFF; CREATE TABLE sales (id TEXT, amount INTEGER, at TEXT)`)
	l.must(err)
	at := time.Now().Add(-5 * time.Minute).UTC().Format(time.DateTime)
	for i := range 20 {
		_, err := db.Exec(`INSERT INTO sales VALUES (?, ?, ?)`, fmt.Sprintf("S-%d", i), i, at)
		l.must(err)
	}
}

// due makes the ledger and notes in it that the export ran ten minutes ago, so that it is due at the start. Without it the
// export finds nothing, and the program finds no ledger.
func (l *landscape) due() {
	l.t.Helper()
	l.look(func(ctx context.Context, db *store.DB, book *ledger.Ledger, _ *spool.Spool) {
		l.must(db.Tx(ctx, func(tx *store.Tx) error {
			return book.SetMark(tx, "export", ledger.WindowMark, ledger.Mark{At: time.Now().Add(-10 * time.Minute).Truncate(time.Minute)})
		}))
	})
	for i := range 20 {
		l.want[fmt.Sprintf(`{"sale":"S-%d","amount":%d}`, i, i)] = "/api/sales"
		l.sales[fmt.Sprintf("S-%d", i)] = true
	}
}

// look opens the ledger beside whoever works with it.
func (l *landscape) look(do func(ctx context.Context, db *store.DB, book *ledger.Ledger, kept *spool.Spool)) {
	l.t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{Folder: l.data, AcceptDataLoss: true, Readers: 2})
	l.must(err)
	defer func() { l.must(db.Close()) }()
	kept, err := spool.Open(db, filepath.Join(l.data, "spool"), spool.Options{Now: time.Now})
	l.must(err)
	do(ctx, db, ledger.New(db, kept, ledger.Options{Node: "test", Now: time.Now}), kept)
}

// put brings a whole file to its folder at once, as a careful partner does.
func (l *landscape) put(folder, name, text string) {
	l.t.Helper()
	temp := l.path("partner", folder+"-"+name)
	l.must(os.WriteFile(temp, []byte(text), 0o600))
	l.must(os.Rename(temp, l.path(folder, name)))
}

// An order file has rows A-NAME-0 … with a note of some characters.
func orderFile(name string, rows, note int) string {
	var b strings.Builder
	b.WriteString("order_no,quantity,note\n")
	for i := range rows {
		fmt.Fprintf(&b, "A-%s-%d,%d,%s\n", name, i, i+1, strings.Repeat("n", note))
	}
	return b.String()
}

// expectOrders notes what is to come of an order file.
func (l *landscape) expectOrders(name string, rows, note int) {
	csv := "order,quantity\n"
	for i := range rows {
		body := fmt.Sprintf(`{"order":"A-%s-%d","quantity":%d`, name, i, i+1)
		if note > 0 {
			body += `,"note":"` + strings.Repeat("n", note) + `"`
		}
		l.want[body+"}"] = "/api/orders"
		csv += fmt.Sprintf("A-%s-%d,%d\n", name, i, i+1)
	}
	l.orders[name+".csv"] = csv + fmt.Sprintf("%d,%d\n", rows, rows*(rows+1)/2) // its trailer: work that was cut off and done again counts once
	l.done[name+".csv"] = true
	l.entries["orders "+name+".csv delivered"]++
}

// order drops an order file.
func (l *landscape) order(name string, rows, note int) {
	l.t.Helper()
	l.expectOrders(name, rows, note)
	l.put("drop", name+".csv", orderFile(name, rows, note))
}

// twin drops the bytes of an order file under another name: one of the two is worked.
func (l *landscape) twin(name, of string, rows, note int) {
	l.t.Helper()
	l.twins[of+".csv"] = name + ".csv"
	l.done[name+".csv"] = true
	l.put("drop", name+".csv", orderFile(of, rows, note))
}

// wrong drops an order file that is to be rejected.
func (l *landscape) wrong(name string) {
	l.t.Helper()
	l.failed[name+".csv"], l.failed[name+".csv.rejects.json"] = true, true
	l.entries["orders "+name+".csv rejected"]++
	l.put("drop", name+".csv", "order_no,quantity,note\nA-"+name+"-0,1,\nA-"+name+"-1,none,\n")
}

// again drops an order file once more, when the first has been taken away.
func (l *landscape) again(name string, rows, note int) {
	l.t.Helper()
	l.done[name+".1.csv"] = true
	l.entries["orders "+name+".csv duplicate"]++
	l.put("drop", name+".csv", orderFile(name, rows, note))
}

// event drops a JSON file of n events with texts of some characters.
func (l *landscape) event(name string, n, text int) {
	l.t.Helper()
	var parts []string
	for i := range n {
		part := fmt.Sprintf(`{"id":"E-%s-%d","text":"%s"}`, name, i, strings.Repeat("t", text))
		parts = append(parts, part)
		l.want[part] = "/asked"
	}
	l.entries["events "+name+".json delivered"]++
	l.put("events", name+".json", `{"events":[`+strings.Join(parts, ",\n")+`]}`)
}

// The usual round of files: inline and spooled ones, one of several batches, a twin, a bad one.
func (l *landscape) usual() {
	l.t.Helper()
	for i := range 4 {
		l.order(fmt.Sprintf("small%d", i), 5, 0)
	}
	l.twin("twin", "small0", 5, 0)
	l.order("large", 1050, 60)
	l.wrong("bad")
	l.event("few", 8, 10)
	l.event("spooled", 12, 7000)
}
