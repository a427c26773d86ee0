package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/store"
)

// busy is a ledger with some history.
func busy(t *testing.T) *rig {
	r := newRig(t, orders())
	for i := range 6 {
		e := r.one(fmt.Sprint("f", i), fmt.Sprint(i))
		r.work(e.ID, Outcome{State: Accepted})
		r.finish(Finish{Entry: e.ID, Dead: int64(i % 2)})
		r.clock.add(time.Minute)
	}
	return r
}

func TestChainFindsEveryEdit(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]string{
		"changed detail":  `UPDATE events SET detail = '{"dead":2}' WHERE id = 4`,
		"changed time":    `UPDATE events SET at = at + 1 WHERE id = 4`,
		"changed kind":    `UPDATE events SET kind = 'approve' WHERE id = 4`,
		"changed entry":   `UPDATE events SET entry = entry + 1 WHERE id = 4`,
		"entry taken off": `UPDATE events SET entry = NULL WHERE id = 4`,
		"entries added":   `UPDATE events SET entries = '[1,2]' WHERE id = 4`,
		"changed hash":    `UPDATE events SET hash = zeroblob(32) WHERE id = 4`,
		"removed":         `DELETE FROM events WHERE id = 4`,
		"removed first":   `DELETE FROM events WHERE id = 1`,
		"inserted":        `INSERT INTO events (id, at, node, kind, detail, hash) SELECT 100, at, node, kind, detail, hash FROM events WHERE id = 4`,
		"swapped":         `UPDATE events SET id = CASE id WHEN 4 THEN -5 ELSE -4 END WHERE id IN (4, 5)`,
		"other node":      `UPDATE events SET node = 'elsewhere' WHERE id = 4`,
	} {
		r := busy(t)
		heads, err := r.Verify(ctx)
		if err != nil || len(heads) != 1 || heads[0].Events != 12 {
			t.Fatalf("untouched: %+v, %v", heads, err)
		}
		r.tx(func(tx *store.Tx) error {
			if _, err := tx.Exec(edit); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE events SET id = -id WHERE id < 0`)
			return err
		})
		var broken *BrokenError
		if _, err := r.Verify(ctx); !errors.As(err, &broken) {
			t.Errorf("%s: not found: %v", name, err)
		}
	}
}

func TestCutOffTailShowsInTheHead(t *testing.T) {
	t.Parallel()
	r := busy(t)
	before, err := r.Verify(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r.tx(func(tx *store.Tx) error { _, err := tx.Exec(`DELETE FROM events WHERE id > 9`); return err })
	after, err := r.Verify(ctx)
	if err != nil || after[0] == before[0] || after[0].Last != 9 {
		t.Errorf("%+v, then %+v, %v", before, after, err)
	}
}

func TestChainSurvivesRollbacksAndOtherProcesses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	undo := errors.New("undo")
	for i := range 5 {
		if err := r.db.Tx(ctx, func(tx *store.Tx) error { _ = r.Record(tx, Event{Kind: "lost"}); return undo }); !errors.Is(err, undo) {
			t.Fatal(err)
		}
		other := r.restarted()
		r.tx(func(tx *store.Tx) error { return r.Record(tx, Event{Kind: "mine", Entry: int64(i)}) })
		r.tx(func(tx *store.Tx) error { return other.Record(tx, Event{Kind: "other", Entries: []int64{1, 2}}) })
		r.tx(func(tx *store.Tx) error { return r.Record(tx, Event{Kind: "node", Node: "b"}) })
	}
	heads, err := r.Verify(ctx)
	if err != nil || len(heads) != 2 || heads[0].Node != "b" || heads[0].Events != 5 || heads[1].Events != 10 {
		t.Errorf("%+v, %v", heads, err)
	}
}

func TestALedgerIsOneNodeWhateverItsMachineIsCalled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, machine := range []string{"c0ffee", "decade", "facade"} {
		l := New(r.db, r.spool, Options{Node: machine, Now: r.clock.now})
		r.tx(func(tx *store.Tx) error { return l.Record(tx, Event{Kind: "started"}) })
	}
	heads, err := r.Verify(ctx)
	if err != nil || len(heads) != 1 || heads[0].Node != "c0ffee" || heads[0].Events != 3 {
		t.Errorf("%+v, %v", heads, err)
	}
}

func TestRetentionTakesOnlyWhatIsClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	closeFile := func(e Entry) {
		if err := r.Closed(ctx, []ClosedFile{{ID: e.File, Where: "done"}}); err != nil {
			t.Fatal(err)
		}
	}
	done := r.one("done", "done")
	r.work(done.ID, Outcome{State: Accepted, Rejected: 1, Rejects: []Reject{{Record: 1, Reason: "x"}}})
	r.finish(Finish{Entry: done.ID})
	closeFile(done)
	r.clock.add(time.Minute)
	failed := r.one("failed", "failed")
	r.work(failed.ID, Outcome{State: Accepted})
	r.finish(Finish{Entry: failed.ID, Dead: 1})
	closeFile(failed)
	unclosed := r.one("unclosed", "unclosed")
	r.work(unclosed.ID, Outcome{State: Delivered})
	pending := r.one("pending", "pending")
	r.work(pending.ID, Outcome{State: Delivered})
	closeFile(pending)
	r.tx(func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO batches (parent, token, destination, route, seq, first, count, state, made) VALUES (?, 1, 1, 'r', 0, 0, 1, 'ready', 0)`, pending.ID)
		return err
	})
	open := r.one("open", "open")
	if err := r.Waiting(ctx, "drop", []Waiting{{Arrival: arrival("waits", "1"), Reason: "growing"}}); err != nil {
		t.Fatal(err)
	}
	keep := Retain{Files: 10 * 24 * time.Hour, Entries: 400 * 24 * time.Hour}

	if p, err := r.Prune(ctx, keep); p != (Pruned{}) || err != nil {
		t.Errorf("at once: %+v, %v", p, err)
	}
	r.clock.add(11 * 24 * time.Hour)
	if p, err := r.Prune(ctx, keep); p != (Pruned{Objects: 2, Files: 1}) || err != nil {
		t.Errorf("after 11 days: %+v, %v; want the bytes of done and pending, and the file that waits", p, err)
	}
	r.clock.add(400 * 24 * time.Hour)
	p, err := r.Prune(ctx, keep)
	if err != nil || p.Entries != 2 || p.Files != 1 || p.Events != 2 {
		t.Errorf("after 411 days: %+v, %v; want the entries done and unclosed, one file, and the events up to the first entry left", p, err)
	}
	if _, err := r.Entry(ctx, done.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("done: %v", err)
	}
	for _, e := range []Entry{failed, pending, open} {
		r.entry(e.ID)
	}
	if n := r.count(`SELECT COUNT(*) FROM rejects`); n != 0 {
		t.Errorf("%d rejects left", n)
	}
	if _, err := r.Verify(ctx); err != nil {
		t.Errorf("the chain after its beginning was removed: %v", err)
	}
	if e := r.one("done", "done"); e.Verdict != Redelivery || e.Twin != done.ID || e.State != Duplicate {
		t.Errorf("a file of last year: %+v, want it known by its identity", e)
	}
	if p, err := r.Prune(ctx, keep); p != (Pruned{}) || err != nil {
		t.Errorf("again: %+v, %v", p, err)
	}
}

func TestRetentionGoesThroughManyInChunks(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	r.many(450)
	for es := r.claim("orders", 200); len(es) > 0; es = r.claim("orders", 200) {
		var list []Worked
		for _, e := range es {
			list = append(list, Worked{e, Outcome{State: Delivered}})
		}
		r.tx(func(tx *store.Tx) error { _, err := r.AcceptAll(tx, list); return err })
	}
	list, err := r.Closable(ctx, "drop", 1000)
	if err != nil || len(list) != 450 {
		t.Fatal(len(list), err)
	}
	var closed []ClosedFile
	for _, c := range list {
		closed = append(closed, ClosedFile{ID: c.File.ID})
	}
	if err := r.Closed(ctx, closed); err != nil {
		t.Fatal(err)
	}
	r.clock.add(1000 * time.Hour)
	p, err := r.Prune(ctx, Retain{Files: time.Hour, Entries: time.Hour})
	if err != nil || p != (Pruned{Objects: 450, Entries: 450, Files: 450, Events: 3}) {
		t.Errorf("%+v, %v", p, err)
	}
	if n := r.count(`SELECT COUNT(*) FROM identities`); n != 450 {
		t.Errorf("%d identities kept", n)
	}
}

func TestFileStillListedKeepsItsRow(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	a := arrival("left", "v")
	f, es := r.land(a, "x")
	r.work(es[0].ID, Outcome{State: Delivered})
	if err := r.Closed(ctx, []ClosedFile{{ID: f.ID, Where: "left"}}); err != nil {
		t.Fatal(err)
	}
	r.clock.add(1000 * 24 * time.Hour)
	if unknown, err := r.Unknown(ctx, "drop", []Arrival{a}); len(unknown) != 0 || err != nil {
		t.Fatal(unknown, err)
	}
	if p, err := r.Prune(ctx, Retain{Files: time.Hour, Entries: time.Hour}); p.Files != 0 || p.Entries != 1 || err != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if unknown, err := r.Unknown(ctx, "drop", []Arrival{a}); len(unknown) != 0 || err != nil {
		t.Errorf("a file left in place became new: %v, %v", unknown, err)
	}
}

func TestUnknownTellsNewFromKnownInAnyNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	for _, n := range []int{1, 9, 10, 11, 101, 1203} {
		var all []Arrival
		want := map[string]bool{}
		for i := range n {
			a := arrival(fmt.Sprint(n, "/", i), "v1")
			all = append(all, a)
			switch i % 4 {
			case 0, 1:
				want[a.Path] = true
			default:
				r.tx(func(tx *store.Tx) error {
					source, err := tx.Number(Source, "drop")
					if err != nil {
						return err
					}
					_, err = tx.Exec(`INSERT INTO files (source, path, version, size, mtime, state, seen) VALUES (?, ?, 'v1', 0, 0, 'landed', ?)`,
						source, []byte(a.Path), store.Millis(r.clock.now()))
					return err
				})
			}
			if i%4 == 1 { // waits
				if err := r.Waiting(ctx, "drop", []Waiting{{Arrival: a, Reason: "growing"}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := r.Unknown(ctx, "drop", all)
		if err != nil || len(got) != len(want) {
			t.Errorf("%d files: %d unknown, %v; want %d", n, len(got), err, len(want))
		}
		for _, a := range got {
			if !want[a.Path] {
				t.Errorf("%s is known", a.Path)
			}
		}
		if other, err := r.Unknown(ctx, "elsewhere", all); len(other) != n || err != nil {
			t.Errorf("another source knows %d of %d, %v", n-len(other), n, err)
		}
	}
}

func TestKnownFilesCostNoWritesButOnceADay(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	var all []Arrival
	for i := range 30 {
		a := arrival(fmt.Sprint("f", i), "v")
		r.land(a, fmt.Sprint(i))
		all = append(all, a)
	}
	changes := func() (n int64) {
		r.tx(func(tx *store.Tx) error { return tx.QueryRow(`SELECT total_changes()`).Scan(&n) })
		return n
	}
	for i, want := range []int64{0, 0, 30, 0} {
		if i == 2 {
			r.clock.add(25 * time.Hour)
		}
		before := changes()
		if unknown, err := r.Unknown(ctx, "drop", all); len(unknown) != 0 || err != nil {
			t.Fatal(unknown, err)
		}
		if n := changes() - before; n != want {
			t.Errorf("look %d wrote %d rows, want %d", i, n, want)
		}
	}
}

func TestWaitingFileHasOneRowThatBecomesTheLandedOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	note := func(version, reason string, until time.Duration) int64 {
		before := r.count(`SELECT COALESCE(SUM(seen), 0) FROM files`)
		r.clock.add(time.Second)
		w := Waiting{Arrival: arrival("a", version), Reason: reason, Until: r.clock.now().Add(until)}
		if err := r.Waiting(ctx, "drop", []Waiting{w}); err != nil {
			t.Fatal(err)
		}
		return r.count(`SELECT COALESCE(SUM(seen), 0) FROM files`) - before
	}
	note("v1", "growing", time.Second)
	if note("v1", "growing", time.Second) != 0 {
		t.Error("wrote a row although nothing changed")
	}
	if note("v2", "growing", time.Second) == 0 || note("v2", "waits for a.done", time.Minute) == 0 || note("v2", "waits for a.done", time.Hour) == 0 {
		t.Error("did not write what changed")
	}
	if n := r.count(`SELECT COUNT(*) FROM files`); n != 1 {
		t.Errorf("%d rows for one file", n)
	}
	why, err := r.Why(ctx, "/srv/drop/a")
	if err != nil || len(why) != 1 || !strings.Contains(why[0].Says, "waits for a.done") || !strings.Contains(why[0].Says, "2026-11-21T10:00:") {
		t.Errorf("why: %+v, %v", why, err)
	}
	f, es := r.land(arrival("a", "v3"), "x")
	if n := r.count(`SELECT COUNT(*) FROM files`); n != 1 || es[0].Verdict != Fresh {
		t.Errorf("%d rows after landing, entry %+v", n, es[0])
	}
	if note("v3", "late", 0) != 0 || r.fileState(f.ID) != "landed " {
		t.Error("a landed file waits again")
	}
	r.clock.add(time.Second)
	if note("v4", "growing", 0) == 0 {
		t.Error("a new version does not wait")
	}
	r.land(arrival("a", "v4"), "y")
	if n := r.count(`SELECT COUNT(*) FROM files WHERE state = 'landed'`); n != 2 {
		t.Errorf("%d landed versions, want 2", n)
	}
}

func TestWhyFindsAFileByWhatAPersonKnows(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	r.one("in/2026/orders.csv", "1")
	r.one("orders.csv", "2")
	r.land(Arrival{Source: "zeta", Path: "in/2026/orders.csv", Version: "z"}, "3")
	for path, want := range map[string]int{
		"in/2026/orders.csv":           2,
		"/srv/drop/in/2026/orders.csv": 2,
		"./orders.csv":                 1,
		"/somewhere/else/orders.csv":   1,
		"nothing.csv":                  0,
		"":                             0,
	} {
		got, err := r.Why(ctx, path)
		if err != nil || len(got) != want {
			t.Errorf("why %q: %d, %v; want %d", path, len(got), err, want)
		}
	}
	r.one("deep/down/last.csv", "4")
	if got, err := r.Why(ctx, "last.csv"); err != nil || len(got) != 1 || len(got[0].Entries) != 1 || got[0].Says != "landed" {
		t.Errorf("by its last name: %+v, %v", got, err)
	}
}

func TestListFiltersAndPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	start := r.clock.now()
	for i := range 40 {
		r.SetRouter(routes{{Job: fmt.Sprint("job", i%3)}})
		e := r.one(fmt.Sprintf("f%02d_100%%.csv", i), fmt.Sprint(i))
		if i%2 == 0 {
			r.work(e.ID, Outcome{State: Rejected, Reason: "Bad Line"})
		}
		r.clock.add(time.Minute)
	}
	for name, c := range map[string]struct {
		f    Filter
		want int
	}{
		"all":       {Filter{}, 40},
		"limit":     {Filter{Limit: 7}, 7},
		"job":       {Filter{Jobs: []string{"job0"}}, 14},
		"jobs":      {Filter{Jobs: []string{"job0", "job1", "none"}}, 27},
		"state":     {Filter{States: []State{Rejected}}, 20},
		"states":    {Filter{States: []State{Rejected, Received}, Jobs: []string{"job2"}}, 13},
		"source":    {Filter{Source: "drop"}, 40},
		"no source": {Filter{Source: "x"}, 0},
		"since":     {Filter{Since: start.Add(30 * time.Minute)}, 10},
		"since end": {Filter{Since: start.Add(300 * time.Minute)}, 0},
		"text":      {Filter{Text: "bad line"}, 20},
		"percent":   {Filter{Text: "100%"}, 40},
		"no wild":   {Filter{Text: "f%csv"}, 0},
		"before":    {Filter{Before: 11}, 10},
		"after":     {Filter{After: 30}, 10},
	} {
		got, err := r.List(ctx, c.f)
		if err != nil || len(got) != c.want {
			t.Errorf("%s: %d, %v; want %d", name, len(got), err, c.want)
		}
		for i := 1; i < len(got); i++ {
			if (got[i].ID > got[i-1].ID) != (c.f.After != 0) {
				t.Errorf("%s: out of order", name)
				break
			}
		}
	}
	counts, err := r.Counts(ctx, start.Add(30*time.Minute))
	var open, ended int64
	for _, c := range counts {
		if c.State == Received {
			open += c.N
		} else {
			ended += c.N
		}
	}
	if err != nil || open != 20 || ended != 5 {
		t.Errorf("counts %+v, %v", counts, err)
	}
}

func TestCommandIsCarriedOutAndAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, err := r.Command(ctx, "pause", "dev-materiels", map[string]any{"for": "1h"}, "ana")
	if err != nil {
		t.Fatal(err)
	}
	bad, err := r.Command(ctx, "resend", "#3", nil, "ana")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := r.Commands(ctx, "pause", "resume"); err != nil || len(list) != 1 || string(list[0].Args) != `{"for":"1h"}` || list[0].By != "ana" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := r.Commands(ctx); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	answered := make(chan error, 1)
	go func() {
		c, err := r.Await(ctx, id)
		if err == nil && (c.Result != "paused" || c.Err() != nil) {
			err = fmt.Errorf("%+v", c)
		}
		answered <- err
	}()
	if err := r.Done(ctx, id, "paused", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := r.Done(ctx, bad, "", errors.New("no such entry")); err != nil {
		t.Fatal(err)
	}
	if err := r.Done(ctx, bad, "second thoughts", nil); err != nil {
		t.Fatal(err)
	}
	if c, err := r.Await(ctx, bad); err != nil || c.Err() == nil || !strings.Contains(c.Err().Error(), "no such entry") {
		t.Errorf("%+v, %v", c, err)
	}
	waiting, err := r.Command(ctx, "run", "x", nil, "ana")
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := r.Await(short, waiting); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestStatusIsReplacedByPart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, v := range []int{1, 2, 2} {
		if err := r.SetStatus(ctx, "job/orders", map[string]int{"running": v}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.SetStatus(ctx, "node", "up"); err != nil {
		t.Fatal(err)
	}
	list, err := r.Statuses(ctx)
	if err != nil || len(list) != 2 || string(list[0].Text) != `{"running":2}` {
		t.Errorf("%+v, %v", list, err)
	}
}
