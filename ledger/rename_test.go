package ledger

import (
	"errors"
	"testing"
	"time"

	"waybill/store"
)

func noRows(*store.Tx, Named) error { return nil }

func (r *rig) adopt(items ...Named) (known Origins) {
	r.t.Helper()
	if err := r.Adopt(ctx, items, noRows, func(o Origins) { known = o }); err != nil {
		r.t.Fatal(err)
	}
	return known
}

func TestARenamedSourceAndJobKeepTheirIdentities(t *testing.T) {
	t.Parallel()
	for by, again := range map[string]string{ByName: "other", ByNameContent: "same", ByContent: "same"} {
		r := newRig(t, Policy{Job: "orders", Identity: by, Actions: map[Verdict]Action{Correction: ToSkip}})
		e := r.one("a.csv", "same")
		r.work(e.ID, Outcome{State: Delivered})
		if err := r.Closed(ctx, []ClosedFile{{ID: e.File}}); err != nil {
			t.Fatal(err)
		}
		renames := []Named{{Source, "inbox", "drop"}, {Job, "purchases", "orders"}}
		r.adopt(renames...)
		r.SetRouter(routes{Policy{Job: "purchases", Identity: by, Actions: map[Verdict]Action{Correction: ToSkip}}})
		known := r.adopt(renames...) // nothing changes the second time
		if known.Of(Source, "inbox") != "drop" || known.Of(Job, "purchases") != "orders" || known.Of(Job, "else") != "else" {
			t.Errorf("%s: oldest names %v", by, known)
		}
		for _, when := range []string{"its entry is there", "only its identity is there"} {
			a := arrival("a.csv", when)
			a.Source = "inbox"
			_, es := r.land(a, again)
			if len(es) != 1 || es[0].State != Duplicate || es[0].Twin != e.ID || es[0].Job != "purchases" {
				t.Errorf("%s: %s: %+v, want a duplicate of #%d", by, when, es, e.ID)
			}
			r.clock.add(1000 * 24 * time.Hour)
			if _, err := r.Prune(ctx, Retain{Files: time.Hour, Entries: time.Hour}); err != nil {
				t.Fatal(err)
			}
			if n := r.count(`SELECT COUNT(*) FROM entries`); n != 0 {
				t.Fatalf("%d entries are left", n)
			}
		}
	}
}

func TestChainsOfNamesLeadToTheOldest(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	r.adopt(Named{Job, "a", ""})
	r.adopt(Named{Job, "b", "a"})
	r.adopt(Named{Job, "c", "b"})
	r.adopt(Named{Job, "c", ""})
	known := r.adopt(Named{Job, "c", ""}, Named{Job, "a", ""}, Named{Job, "b", ""})
	if known.Of(Job, "c") != "a" || known.Of(Job, "a") != "a~2" || known.Of(Job, "b") != "b" {
		t.Errorf("%v", known)
	}
	again, err := r.restarted().Origins(ctx)
	if err != nil || again.Of(Job, "c") != "a" || again.Of(Job, "a") != "a~2" {
		t.Errorf("after a restart: %v, %v", again, err)
	}
	if known = r.adopt(Named{Job, "a", ""}, Named{Job, "back", "c"}); known.Of(Job, "back") != "a" {
		t.Errorf("and on: %v", known)
	}
}

func TestWhatMarksSayFollowsItsJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	due := r.clock.now()
	window := func(mark time.Time) (time.Time, time.Time) { return mark, due }
	if _, made, err := r.Tick(ctx, "hourly", due, window); err != nil || !made {
		t.Fatal(made, err)
	}
	if _, err := r.Pause(ctx, "job/hourly", "holiday", "me"); err != nil {
		t.Fatal(err)
	}
	r.adopt(Named{Job, "export", "hourly"})
	if m, err := r.Mark(ctx, "export", WindowMark); err != nil || !m.At.Equal(due) {
		t.Errorf("the window has not followed: %v, %v", m, err)
	}
	if paused, err := r.IsPaused(ctx, "job/export"); err != nil || !paused {
		t.Errorf("the pause has not followed: %v", err)
	}
	// A loop of the job as it was is late.
	e, made, err := r.Tick(ctx, "hourly", due, window)
	if err != nil || made || e.Job != "export" {
		t.Errorf("the tick was made again: %+v, %v", e, err)
	}
}

func TestNamesThatCannotBeTakenOverChangeNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	e := r.one("a", "a")
	broken := errors.New("broken")
	err := r.Adopt(ctx, []Named{{Job, "new", "orders"}}, func(*store.Tx, Named) error { return broken }, func(Origins) { t.Error("swapped") })
	if !errors.Is(err, broken) || r.entry(e.ID).Job != "orders" {
		t.Errorf("%v, %+v", err, r.entry(e.ID))
	}
	if o, err := r.Origins(ctx); len(o) != 0 || err != nil {
		t.Errorf("%v, %v", o, err)
	}
}

func TestIdentitiesAreFreedWhenTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	left := arrival("left", "v")
	f, es := r.land(left, "left")
	r.work(es[0].ID, Outcome{State: Delivered})
	if err := r.Closed(ctx, []ClosedFile{{ID: f.ID, Where: "left"}}); err != nil {
		t.Fatal(err)
	}
	e := r.one("a", "a")
	r.work(e.ID, Outcome{State: Delivered})
	dead := r.one("dead", "dead")
	r.work(dead.ID, Outcome{State: Accepted})
	r.finish(Finish{Entry: dead.ID, Dead: 1})
	removed := r.one("removed", "removed")
	r.work(removed.ID, Outcome{State: Delivered})
	if _, _, err := r.Tick(ctx, "orders", r.clock.now(), func(m time.Time) (time.Time, time.Time) { return m, r.clock.now() }); err != nil {
		t.Fatal(err)
	}
	r.tx(func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO identities SELECT job, identity, id, finished FROM entries WHERE id = ?`, removed.ID)
		if err == nil {
			_, err = tx.Exec(`DELETE FROM entries WHERE id = ?`, removed.ID)
		}
		return err
	})
	keep := Retain{Identities: 30 * 24 * time.Hour}
	r.clock.add(29 * 24 * time.Hour)
	if p, err := r.Prune(ctx, keep); err != nil || p.Identities != 0 {
		t.Errorf("before its time: %+v, %v", p, err)
	}
	r.clock.add(2 * 24 * time.Hour)
	if p, err := r.Prune(ctx, keep); err != nil || p.Identities != 3 {
		t.Errorf("%+v, %v; want those of left, a and removed", p, err)
	}
	for _, name := range []string{"a", "removed"} {
		if _, again := r.land(arrival(name, "later"), name); again[0].State != Received || again[0].Verdict != Fresh {
			t.Errorf("%s: %+v, want it new", name, again)
		}
	}
	if _, again := r.land(arrival("dead", "later"), "dead"); again[0].State != Duplicate {
		t.Errorf("what has open dead letters: %+v, want it known", again)
	}
	if unknown, err := r.Unknown(ctx, "drop", []Arrival{left}); err != nil || len(unknown) != 0 {
		t.Errorf("what still lies in the folder: %v, %v, want it known", unknown, err)
	}
	if _, again := r.land(left, "left"); again[0].ID != es[0].ID {
		t.Errorf("%+v", again)
	}
	if n := r.count(`SELECT COUNT(*) FROM entries WHERE identity LIKE 'tick:%'`); n != 1 {
		t.Error("the identity of a tick is gone")
	}
}
