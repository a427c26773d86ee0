package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// told is a landscape in miniature: orders in the mailbox of a partner, who is told what became of them.
const told = `
data: %s
log: {level: info, format: json}
sftp_server: {listen: "127.0.0.1:0"}
partners:
  acme: {group: suppliers, vars: {site: W1}, keys: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl acme"}
sources:
  suppliers: {mailboxes: {group: suppliers, folder: in, test: test}}
destinations:
  api: {http: {url: "%s/api"}, retry: {attempts: 4, pause: 20ms, longest: 200ms}}
jobs:
  orders:
    receive: {source: suppliers, files: "*.csv"}
    read: {format: csv, fields: {order_no: {required: true}, quantity: {type: integer}}}
    send: [{to: api, path: "/{partner.vars.site}/orders", key: =order_no, body: {order: =order_no}}]
    acknowledge: [{after: [accepted, rejected, held, duplicate], to: sender}]
`

// acknowledging tells the steps between a state and the file that tells of it; the last two die once more on the way.
var acknowledging = [][]string{
	{"ledger/owed"}, {"jobs/accepting"}, {"jobs/acknowledging"}, {"jobs/acknowledged"}, {"outbox/released"}, {"file/written"}, {"file/synced"}, {"file/renamed"},
	{"file/folder-synced"}, {"outbox/checkpointing"}, {"outbox/stored"}, {"outbox/checkpointed"}, {"jobs/settling"},
	{"jobs/acknowledging", "file/renamed"}, {"ledger/owed", "jobs/acknowledged"},
}

// TestKilledWhileAcknowledging kills the daemon between a state and what it owes, between that and the lot, and between the lot and
// the file: the partner finds each acknowledgement once.
func TestKilledWhileAcknowledging(t *testing.T) {
	t.Parallel()
	for _, at := range acknowledging {
		t.Run(strings.Join(at, " then "), func(t *testing.T) {
			t.Parallel()
			toldDeath(t, at)
		})
	}
}

// acme lands what the partner drops, as the server would, and says what he is to be told of each entry.
func (l *landscape) acme() map[int64][]string {
	l.t.Helper()
	want := map[int64][]string{}
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, kept *spool.Spool) {
		policy := ledger.Policy{Job: "orders", Owes: []ledger.State{ledger.Held, ledger.Duplicate, ledger.Rejected}}
		book := ledger.New(db, kept, ledger.Options{Node: "test", Router: routed{policy}})
		for i, f := range []struct {
			name, text, state string
			trial             bool
		}{
			{"good.csv", "order_no,quantity\nA-1,1\n", "accepted", false}, {"large.csv", "order_no,quantity\n" + strings.Repeat("A-2,2\n", 1500), "accepted", false},
			{"bad.csv", "order_no,quantity\nA-3,many\n", "rejected", false}, {"good.csv", "order_no,quantity\nA-1,1\n", "duplicate", false},
			{"twin.csv", "order_no,quantity\nA-1,1\n", "held", false}, {"try.csv", "order_no,quantity\nA-4,1\n", "accepted", true},
		} {
			_, entries, err := book.Land(ctx, ledger.Arrival{Source: "suppliers", Path: "acme/" + f.name, Version: fmt.Sprint(i), Partner: "acme", Trial: f.trial},
				strings.NewReader(f.text))
			l.must(err)
			want[entries[0].ID] = []string{f.state}
		}
	})
	return want
}

// routed is a router of one answer.
type routed []ledger.Policy

func (r routed) Route(ledger.Arrival) []ledger.Policy { return r }

func toldDeath(t *testing.T, at []string) {
	l := bare(t, told)
	l.serve("").stop() // makes the ledger
	want := l.acme()
	l.die(at)
	p := l.serve("")
	p.until(func() bool {
		pending := 1
		l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
			l.must(db.Reader(ctx).QueryRow(`SELECT (SELECT count(*) FROM owed) + (SELECT count(*) FROM batches WHERE state <> 'done' OR settled = 1)
				+ (SELECT count(*) FROM entries WHERE state IN ('received', 'working', 'accepted'))`).Scan(&pending))
		})
		return pending == 0
	})
	p.stop()
	got := map[int64][]string{}
	list, err := os.ReadDir(filepath.Join(l.data, "mailboxes", "acme", "out"))
	l.must(err)
	for _, e := range list {
		text, err := os.ReadFile(filepath.Join(l.data, "mailboxes", "acme", "out", e.Name()))
		l.must(err)
		var a struct {
			State string
			Entry int64
			File  struct{ Name string }
		}
		l.must(json.Unmarshal(text, &a))
		if name := fmt.Sprintf("%s.%d.ack.json", strings.TrimSuffix(a.File.Name, ".csv"), a.Entry); e.Name() != name {
			t.Errorf("%s, want %s", e.Name(), name)
		}
		got[a.Entry] = append(got[a.Entry], a.State)
	}
	for id, states := range want {
		if !slices.Equal(got[id], states) {
			t.Errorf("#%d was told %v, want %v", id, got[id], states)
		}
	}
	if at[0] == "ledger/owed" {
		l.shows(slices.Sorted(maps.Keys(want))[0])
	}
	if len(got) != len(want) {
		t.Errorf("%d entries were told of, want %d", len(got), len(want))
	}
	for _, a := range l.out.arrivals() {
		if a.Path != "/api/W1/orders" {
			t.Errorf("an order went to %s", a.Path)
		}
		if strings.Contains(a.Body, "A-4") {
			t.Error("what was only to be tried was sent")
		}
	}
}

// shows proves that an operator sees what the sender was told.
func (l *landscape) shows(entry int64) {
	l.t.Helper()
	p := l.begin(nil, "show", fmt.Sprint(entry), "--json")
	<-p.exited
	text, err := os.ReadFile(p.log)
	l.must(err)
	var w struct {
		Partner          string
		Acknowledgements []struct{ Of, State, Where string }
	}
	if err := json.Unmarshal(text, &w); err != nil || len(w.Acknowledgements) != 1 || w.Partner != "acme" {
		l.t.Fatalf("%v: %s", err, text)
	}
	if a := w.Acknowledgements[0]; a.Of != "accepted" || a.State != "delivered" || a.Where != fmt.Sprintf("acme/out/good.%d.ack.json", entry) {
		l.t.Errorf("%+v", a)
	}
}
