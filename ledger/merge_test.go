package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/store"
)

// However many rows a job and its source have, a rename writes to none of them.
func TestARenameLeavesTheRowsAsTheyAre(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	e := r.one("a.csv", "a")
	rows := func() string {
		var s string
		if err := r.db.Reader(ctx).QueryRow(`SELECT e.job || ' ' || e.source || ' ' || f.source || ' ' || e.identity FROM entries e JOIN files f ON f.id = e.file WHERE e.id = ?`, e.ID).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := rows()
	r.adopt(Named{Job, "purchases", "orders"}, Named{Source, "inbox", "drop"})
	if after := rows(); after != before {
		t.Errorf("%s, want %s", after, before)
	}
	got := r.entry(e.ID)
	f, err := r.FileOf(ctx, e.ID)
	if err != nil || got.Job != "purchases" || got.Source != "inbox" || f.Source != "inbox" {
		t.Errorf("%+v, %+v, %v", got, f, err)
	}
}

// Something may have had a name before what is renamed to it, for longer or not for so long.
func TestWhatIsRenamedToANameThatWasInUseKeepsTheEntriesOfBoth(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"old", "new"} {
		t.Run(first+" came first", func(t *testing.T) {
			t.Parallel()
			second := map[string]string{"old": "new", "new": "old"}[first]
			r := newRig(t)
			var ids []int64
			take := func(name, file, content string) {
				r.SetRouter(routes{Policy{Job: name}})
				a := arrival(file, content)
				a.Source = name
				_, es := r.land(a, content)
				r.work(es[0].ID, Outcome{State: Delivered})
				ids = append(ids, es[0].ID)
			}
			take(first, "one", "1")
			take(first, "both", "b")
			take(second, "two", "2")
			take(second, "both", "b")
			r.adopt(Named{Job, "new", "old"}, Named{Source, "new", "old"})
			for _, id := range ids {
				if e := r.entry(id); e.Job != "new" || e.Source != "new" {
					t.Errorf("%+v", e)
				}
			}
			if n := r.count(`SELECT COUNT(*) FROM entries WHERE identity IS NOT NULL`); n != 3 {
				t.Errorf("%d entries have an identity, want one of those that both have", n)
			}
			r.SetRouter(routes{Policy{Job: "new"}})
			for i, content := range []string{"1", "b", "2"} {
				a := arrival([]string{"one", "both", "two"}[i], "later")
				a.Source = "new"
				if _, es := r.land(a, content); es[0].State != Duplicate {
					t.Errorf("%s: %+v, want it known", content, es)
				}
			}
			list, err := r.List(ctx, Filter{Jobs: []string{"new"}, Source: "new"})
			if err != nil || len(list) != 7 {
				t.Errorf("%d entries, %v", len(list), err)
			}
			r.SetRouter(routes{Policy{Job: "old"}})
			a := arrival("one", "anew")
			a.Source = "old"
			if _, es := r.land(a, "1"); es[0].State != Received || es[0].Verdict != Fresh {
				t.Errorf("what has the old name now: %+v, want it to know nothing of that", es)
			}
		})
	}
}

// The executor keeps numbers in memory: never one that a rename, or a transaction that came to nothing, has made wrong.
func TestNumbersAreThoseOfTheNamesOfNow(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	x, err := r.db.TryExecutor("test")
	if err != nil {
		t.Fatal(err)
	}
	defer x.Release()
	number := func(name string) (id int64) {
		r.tx(func(tx *store.Tx) (err error) {
			id, err = tx.Number(Job, name)
			return err
		})
		return id
	}
	_ = r.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Number(Job, "never"); err != nil {
			t.Error(err)
		}
		return fmt.Errorf("no")
	})
	a := number("a")
	if n := number("never"); n == 0 || n == a {
		t.Errorf("never has %d, a has %d", n, a)
	}
	if a != number("a") {
		t.Error("a name has got another number")
	}
	r.adopt(Named{Job, "b", "a"})
	if b := number("b"); b != a {
		t.Errorf("b has %d, as a it had %d", b, a)
	}
	if again := number("a"); again == a {
		t.Error("what has the name now has the number of what had it")
	}
	if n := r.count(`SELECT COUNT(*) FROM names WHERE kind = 'job'`); n != 3 {
		t.Errorf("%d names", n)
	}
}

// A reload may rename a job and its source while an archive is unpacked: its members go where the archive went.
func TestMembersGoByTheNamesOfNow(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	e := r.one("a.zip", "zip")
	f, err := r.FileOf(ctx, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	claimed := r.claim("orders", 1)[0]
	in, err := r.spool.Keep(ctx, []byte("member"))
	if err != nil {
		t.Fatal(err)
	}
	r.adopt(Named{Job, "purchases", "orders"}, Named{Source, "inbox", "drop"})
	r.tx(func(tx *store.Tx) error {
		if err := r.Accept(tx, claimed, Outcome{State: Accepted}); err != nil {
			return err
		}
		_, err := r.LandMembers(tx, claimed, f, orders(), Unpacked{Members: []Member{{Name: "a.csv", Incoming: in}}})
		return err
	})
	r.Release(claimed)
	list, err := r.Members(ctx, r.entry(e.ID))
	if err != nil || len(list) != 1 || list[0].Job != "purchases" || list[0].Source != "inbox" {
		t.Fatalf("%+v, %v; want a member of purchases, from inbox", list, err)
	}
	if due := r.claim("purchases", 1); len(due) != 1 || due[0].ID != list[0].ID {
		t.Errorf("%+v waits to be worked, want the member", due)
	}
	if n := r.count(`SELECT COUNT(*) FROM names WHERE name IN ('orders', 'drop')`); n != 0 {
		t.Errorf("%d numbers for names that nothing has", n)
	}
}

// An upload that has begun under the old name of its source goes on: what it brings, and what its session sees, is the source's as it is called now.
func TestWhatComesByAnOldNameIsTheSourcesOfNow(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	upload := func(path string) Arrival {
		a := arrival("acme/"+path, path)
		a.Partner = "acme"
		return a
	}
	r.land(upload("a.csv"), "a")
	r.adopt(Named{Source, "inbox", "drop"})
	f, es := r.land(upload("b.csv"), "b")
	if f.Source != "inbox" || es[0].Source != "inbox" || r.entry(es[0].ID).Source != "inbox" {
		t.Errorf("landed as %+v, %+v", f, es)
	}
	if es, err := r.Refuse(ctx, upload("c.csv"), "too large", nil); err != nil || len(es) != 1 || es[0].Source != "inbox" {
		t.Errorf("refused as %+v, %v", es, err)
	}
	for _, source := range []string{"drop", "inbox"} {
		m := Mailbox{Source: source, Partner: "acme"}
		list, err := r.Dropped(ctx, m, "", "", 10)
		if err != nil || len(list) != 2 {
			t.Errorf("%s: %+v, %v", source, list, err)
		}
		if u, err := r.Use(ctx, m, ""); err != nil || u.Files != 2 {
			t.Errorf("%s: %+v, %v", source, u, err)
		}
		if _, err := r.Waits(ctx, m, "a.csv"); err != nil {
			t.Errorf("%s: %v", source, err)
		}
		for _, ledger := range []*rig{r, r.restarted()} {
			if landed, err := ledger.HasLanded(ctx, m, "a.csv", "a.csv"); err != nil || !landed {
				t.Errorf("%s: a.csv has landed: %v, %v", source, landed, err)
			}
		}
	}
	if err := r.Withdraw(ctx, Mailbox{Source: "drop", Partner: "acme"}, "b.csv", "acme", nil); err != nil {
		t.Error(err)
	}
	if n := r.count(`SELECT COUNT(*) FROM names WHERE name = 'drop'`); n != 0 {
		t.Error("the old name has a number again")
	}
	r.adopt(Named{Source, "drop", ""}) // another has it now
	if f, _ := r.land(upload("d.csv"), "d"); f.Source != "drop" {
		t.Errorf("landed as %+v", f)
	}
}

// A command may read a large file for a while, or wait for its turn, while the daemon is told of other names.
func TestAnotherProcessWritesUnderNoNameOfBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	r.one("a", "a")
	db, err := store.Open(ctx, store.Options{Folder: r.db.Folder(), AcceptDataLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	x, err := db.TryExecutor("test")
	if err != nil {
		t.Fatal(err)
	}
	defer x.Release()
	daemon := New(db, r.spool, Options{Router: routes{orders()}, Now: r.clock.now})
	if err := daemon.Adopt(ctx, []Named{{Job, "purchases", "orders"}}, noRows, func(Origins) {}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Land(ctx, arrival("b", "b"), strings.NewReader("b")); !errors.Is(err, errRenamed) {
		t.Errorf("a file landed: %v", err)
	}
	window := func(m time.Time) (time.Time, time.Time) { return m, m }
	if _, made, err := r.Tick(ctx, "orders", r.clock.now(), window); made || !errors.Is(err, errRenamed) {
		t.Errorf("a tick was made: %v", err)
	}
	if n := r.count(`SELECT COUNT(*) FROM names WHERE name = 'orders'`); n != 0 {
		t.Error("the old name has a number again")
	}
	if _, err := r.Origins(ctx); err != nil {
		t.Fatal(err)
	}
	r.SetRouter(routes{Policy{Job: "purchases"}})
	if e := r.one("b", "b"); e.Job != "purchases" {
		t.Errorf("%+v", e)
	}
}
