package crash_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// archived is a landscape in miniature: archives of orders in a folder.
const archived = `
data: %s
log: {level: info, format: json}
sources:
  drop: {folder: {path: drop}, poll: 1s}
destinations:
  api: {http: {url: "%s/api"}, retry: {attempts: 4, pause: 20ms, longest: 200ms}}
jobs:
  orders:
    receive: {source: drop, files: "*.zip"}
    unpack: zip
    members: ["*.csv"]
    read: {format: csv, fields: {order_no: {required: true}, quantity: {type: integer}}}
    send: [{to: api, path: /orders, key: =order_no, body: {order: =order_no}}]
`

// unpacking are the steps from the archive to its end; the last ones die once more on the way.
var unpacking = [][]string{
	{"spool/written"}, {"spool/renamed"}, {"jobs/unpacked"}, {"jobs/accepting"}, {"ledger/members"}, {"ledger/members-landed"}, {"jobs/accepted"}, {"jobs/accepted:2"},
	{"jobs/settling"}, {"ledger/members-ended"}, {"ledger/finished"}, {"ledger/closing"}, {"ledger/members-landed", "jobs/unpacked"},
	{"jobs/unpacked", "jobs/accepted", "ledger/members-ended"},
}

// TestKilledWhileUnpacking kills the daemon between an archive and the end of its members: each of them is there once, and each order arrives.
func TestKilledWhileUnpacking(t *testing.T) {
	t.Parallel()
	for _, at := range unpacking {
		t.Run(strings.Join(at, " then "), func(t *testing.T) {
			t.Parallel()
			unpackDeath(t, at)
		})
	}
}

func unpackDeath(t *testing.T, at []string) {
	l := bare(t, archived, "drop", "events")
	large := "order_no,quantity,note\n" + strings.Repeat("L-1,2,"+strings.Repeat("n", 60)+"\n", 1500) // two batches, too large to be kept in the ledger
	l.pack("drop/one.zip", "a.csv", "order_no,quantity\nA-1,1\nA-2,1\n", "read.me", "x", "sub/b.csv", "order_no,quantity\nB-1,1\n", "large.csv", large)
	l.pack("drop/two.zip", "c.csv", "order_no,quantity\nC-1,1\n", "bad.csv", "order_no,quantity\nD-1,many\n")
	l.die(at)
	p := l.serve("")
	p.until(func() bool {
		return l.gone("drop", "one.zip") && l.gone("drop", "two.zip") && l.drained()
	})
	p.stop()
	bodies := map[string]bool{}
	for _, a := range l.out.arrivals() {
		bodies[a.Body] = true
	}
	for _, order := range []string{"A-1", "A-2", "B-1", "C-1", "L-1"} {
		if !bodies[fmt.Sprintf(`{"order":%q}`, order)] {
			t.Errorf("order %s never arrived: %v", order, bodies)
		}
	}
	if len(bodies) != 5 {
		t.Errorf("%d orders arrived: %v", len(bodies), bodies)
	}
	l.look(func(ctx context.Context, db *store.DB, book *ledger.Ledger, _ *spool.Spool) {
		list, err := book.List(ctx, ledger.Filter{})
		l.must(err)
		var got []string
		for _, e := range list {
			got = append(got, e.Name+" "+string(e.State))
		}
		slices.Sort(got)
		want := "one.zip delivered, one.zip/a.csv delivered, one.zip/large.csv delivered, one.zip/sub/b.csv delivered, two.zip delivered, two.zip/bad.csv rejected, two.zip/c.csv delivered"
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s\nwant %s", s, want)
		}
		var closed int
		l.must(db.Reader(ctx).QueryRow(`SELECT count(*) FROM files WHERE state = 'closed'`).Scan(&closed))
		if closed != 7 {
			t.Errorf("%d files are closed, want 7", closed)
		}
	})
	for _, name := range []string{"drop/done/one.zip", "drop/failed/two.zip", "drop/failed/two.zip.rejects.json"} {
		if _, err := os.Stat(l.path(name)); err != nil {
			t.Error(err)
		}
	}
}

// pack writes an archive of names and texts, under its name all at once.
func (l *landscape) pack(name string, parts ...string) {
	l.t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		l.must(err)
		_, err = w.Write([]byte(parts[i+1]))
		l.must(err)
	}
	l.must(z.Close())
	l.must(os.WriteFile(l.path(name+".part"), b.Bytes(), 0o600))
	l.must(os.Rename(l.path(name+".part"), l.path(name)))
}
