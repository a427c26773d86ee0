package crash_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// partnered is a landscape in miniature: a partner drops orders over SFTP and is told what became of them.
const partnered = `
data: %s
log: {level: info, format: json}
sftp_server: {listen: "%s"}
partners:
  wagon: {keys: "%s"}
sources:
  wagon: {mailboxes: {partner: wagon}}
destinations:
  api: {http: {url: "%s/api"}, retry: {attempts: 4, pause: 20ms, longest: 200ms}}
jobs:
  orders:
    receive: {source: wagon, files: "*.csv"}
    identity: {by: content, suspect: skip}
    read: {format: csv, fields: {order_no: {required: true}, quantity: {type: integer}}}
    send: [{to: api, path: /orders, key: =order_no, body: {order: =order_no}}]
    acknowledge: [{after: [accepted, rejected, held, duplicate], to: sender}]
`

// telling lists the steps at which partners are told.
var telling = map[string]bool{"ledger/owed": true, "jobs/acknowledging": true, "jobs/acknowledged": true}

// TestKilledWhileAPartnerIsTold kills the daemon at each step at which a partner is told what became of a file, for the first
// time and later. Each file must be told of once.
func TestKilledWhileAPartnerIsTold(t *testing.T) {
	t.Parallel()
	for name := range telling {
		for _, at := range []string{name, name + ":3"} {
			t.Run(at, func(t *testing.T) {
				t.Parallel()
				toldOnce(t, at)
			})
		}
	}
}

func toldOnce(t *testing.T, at string) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	l := &landscape{t: t, folder: t.TempDir()}
	l.data = l.path("data")
	l.out = newReceiver(t, l.folder)
	l.out.Start()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	l.must(err)
	address := free.Addr().String()
	l.must(free.Close())
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	l.must(os.WriteFile(l.path("waybill.yaml"), fmt.Appendf(nil, partnered, l.data, address, public, l.out.URL), 0o600))

	uploads := []struct{ name, text string }{
		{"one.csv", "order_no,quantity\nA-1,1\nA-2,2\n"},
		{"twin.csv", "order_no,quantity\nA-1,1\nA-2,2\n"},
		{"bad.csv", "order_no,quantity\nA-3,many\n"},
		{"two.csv", "order_no,quantity\nA-4,4\n"},
	}
	p := l.serve(at)
	for _, u := range uploads {
		// Who gets no answer asks whether the file has come before he sends it again.
		for !l.landed(u.name) {
			if p.over() {
				p = l.revived(p)
			}
			if err := upload(address, signer, u.name, u.text); err == nil && !l.landed(u.name) {
				t.Fatalf("%s was confirmed and has not landed", u.name)
			}
		}
	}
	want := map[string]ledger.State{"one": ledger.Accepted, "twin": ledger.Duplicate, "bad": ledger.Rejected, "two": ledger.Accepted}
	p.until(func() bool {
		if p.over() {
			p = l.revived(p)
		}
		return len(l.names("data/mailboxes/wagon/out")) >= len(want) && l.told()
	})
	p.stop()
	if l.kills != 1 {
		t.Fatalf("the daemon was killed %d times", l.kills)
	}
	got := map[string]ledger.State{}
	for _, name := range l.names("data/mailboxes/wagon/out") {
		text, err := os.ReadFile(l.path("data/mailboxes/wagon/out", name))
		l.must(err)
		var ack struct{ State ledger.State }
		if err := json.Unmarshal(text, &ack); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		stem, _, _ := strings.Cut(name, ".")
		if _, again := got[stem]; again {
			t.Errorf("the partner was told of %s twice: %v", stem, l.names("data/mailboxes/wagon/out"))
		}
		got[stem] = ack.State
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("told (- missing, + too much):\n%s", d)
	}
	bodies := map[string]string{}
	for _, a := range l.out.arrivals() {
		bodies[a.Body] = a.Path
	}
	if len(bodies) != 3 {
		t.Errorf("orders that arrived: %v", slices.Sorted(maps.Keys(bodies)))
	}
}

// revived starts the daemon again after it was killed.
func (l *landscape) revived(p *process) *process {
	l.t.Helper()
	if !p.killed() {
		l.t.Fatalf("the daemon ended by itself:\n%s", p.tail())
	}
	l.kills++
	return l.serve("")
}

// landed reports whether the ledger has a file of that name.
func (l *landscape) landed(name string) bool {
	l.t.Helper()
	n := 0
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
		l.must(db.Reader(ctx).QueryRow(`SELECT count(*) FROM files WHERE CAST(path AS TEXT) = ?`, "wagon/"+name).Scan(&n))
	})
	return n > 0
}

// told reports whether nobody is owed word any more and nothing waits.
func (l *landscape) told() bool {
	l.t.Helper()
	n := 0
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
		l.must(db.Reader(ctx).QueryRow(`SELECT (SELECT count(*) FROM owed) + (SELECT count(*) FROM batches WHERE state <> 'done')
			+ (SELECT count(*) FROM entries WHERE state IN ('received', 'working', 'accepted'))`).Scan(&n))
	})
	return n == 0
}

// upload brings one file over a connection of its own. An error means that nobody knows whether it was kept.
func upload(address string, signer ssh.Signer, name, text string) error {
	conn, err := ssh.Dial("tcp", address, &ssh.ClientConfig{User: "wagon", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 5 * time.Second}) //nolint:gosec // it is on this machine
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	c, err := sftp.NewClient(conn)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	f, err := c.Create("in/" + name)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Close())
}
