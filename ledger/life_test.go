package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/store"
)

func TestClaimsAreExclusiveUntilReleased(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	for i := range 5 {
		r.one(fmt.Sprint("f", i), fmt.Sprint(i))
	}
	a, b := r.claim("orders", 3), r.claim("orders", 10)
	if len(a) != 3 || len(b) != 2 || a[0].ID > a[1].ID || b[0].ID < a[2].ID {
		t.Fatalf("claims %v and %v", a, b)
	}
	if c := r.claim("orders", 10); len(c) != 0 {
		t.Errorf("claimed twice: %v", c)
	}
	r.Release(a[1])
	c := r.claim("orders", 10)
	if len(c) != 1 || c[0].ID != a[1].ID || c[0].Token <= b[1].Token || c[0].Attempts != 0 {
		t.Errorf("after the release: %v", c)
	}
	r.Release(a[1]) // an old claim frees nothing
	if d := r.claim("orders", 10); len(d) != 0 {
		t.Errorf("a stale release freed %v", d)
	}
	if d := r.claim("other", 10); len(d) != 0 {
		t.Errorf("entries of another job: %v", d)
	}
}

func TestRestartFreesAllClaimsUnderHigherTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	r.one("a", "a")
	old := r.claim("orders", 1)[0]
	r.tx(func(tx *store.Tx) error { return r.Working(tx, old) })
	again := r.restarted()
	e := again.claim("orders", 1)[0]
	if e.State != Working || e.Token <= old.Token {
		t.Fatalf("after the restart %+v, before %+v", e, old)
	}
	again.tx(func(tx *store.Tx) error { return again.Working(tx, e) })
	// What is left of the old process can do no harm, though its memory says the claim holds.
	for name, do := range map[string]func(tx *store.Tx) error{
		"working": func(tx *store.Tx) error { return r.Working(tx, old) },
		"accept":  func(tx *store.Tx) error { return r.Accept(tx, old, Outcome{State: Accepted}) },
	} {
		if err := r.db.Tx(ctx, do); !errors.Is(err, ErrGone) {
			t.Errorf("%s under the old token: %v", name, err)
		}
	}
	again.tx(func(tx *store.Tx) error { return again.Accept(tx, e, Outcome{State: Accepted}) })
}

func TestCancelledWhileWorkedIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	id := r.one("a", "a").ID
	e := r.claim("orders", 1)[0]
	r.tx(func(tx *store.Tx) error { return r.Working(tx, e) })
	if err := r.Cancel(ctx, id, "ops"); err != nil {
		t.Fatal(err)
	}
	if err := r.db.Tx(ctx, func(tx *store.Tx) error { return r.Working(tx, e) }); !errors.Is(err, ErrGone) {
		t.Errorf("Working: %v", err)
	}
	if err := r.db.Tx(ctx, func(tx *store.Tx) error { return r.Accept(tx, e, Outcome{State: Accepted}) }); !errors.Is(err, ErrGone) {
		t.Errorf("Accept: %v", err)
	}
	if err := r.Retry(ctx, e, r.clock.now(), "x"); err != nil {
		t.Error(err)
	}
	if got := r.entry(id); got.State != Cancelled || got.Identity != "" || got.Attempts != 0 {
		t.Errorf("%+v", got)
	}
	if got := r.fileState(e.File); got != "closable failed" {
		t.Errorf("file %s", got)
	}
}

func TestOneOfASetMayBeGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	for i := range 4 {
		r.one(fmt.Sprint("f", i), fmt.Sprint(i))
	}
	es := r.claim("orders", 4)
	if err := r.Cancel(ctx, es[1].ID, "ops"); err != nil {
		t.Fatal(err)
	}
	outcomes := []Outcome{{State: Accepted, Messages: 2}, {State: Accepted}, {State: Rejected, Reason: "bad"}, {State: Delivered}}
	var list []Worked
	for i, e := range es {
		list = append(list, Worked{e, outcomes[i]})
	}
	r.tx(func(tx *store.Tx) error {
		gone, err := r.AcceptAll(tx, list)
		if len(gone) != 1 || gone[0].ID != es[1].ID {
			t.Errorf("gone %v", gone)
		}
		return err
	})
	for i, want := range []State{Accepted, Cancelled, Rejected, Delivered} {
		if got := r.entry(es[i].ID).State; got != want {
			t.Errorf("#%d is %s, want %s", es[i].ID, got, want)
		}
	}
	if n := r.count(`SELECT COUNT(*) FROM events WHERE kind = 'accepted'`); n != 1 {
		t.Errorf("%d events for the set, want one", n)
	}
	for i, want := range []string{"accepted", "cancel", "rejected", "accepted"} {
		h, err := r.History(ctx, es[i].ID)
		if err != nil || len(h) != 1 || h[0].Kind != want {
			t.Errorf("history of #%d: %+v, %v; want %s", es[i].ID, h, err, want)
		}
	}
}

func TestRetryWaitsAndCountsAnAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders", Hold: "approval"})
	id := r.one("a", "a").ID
	if err := r.Approve(ctx, id, "ana; x"); err != nil {
		t.Fatal(err)
	}
	e := r.claim("orders", 1)[0]
	if !e.Approved(HoldApproval) || e.Approved(HoldVerdict) {
		t.Errorf("reason %q does not tell that it was approved", e.Reason)
	}
	for i := range 2 {
		due := r.clock.now().Add(time.Minute)
		if err := r.Retry(ctx, e, due, "no connection"); err != nil {
			t.Fatal(err)
		}
		r.Release(e)
		if es := r.claim("orders", 1); len(es) != 0 {
			t.Fatalf("claimed before it is due: %v", es)
		}
		if got, err := r.NextDue(ctx, "orders"); !got.Equal(due) || err != nil {
			t.Errorf("NextDue %v, %v; want %v", got, err, due)
		}
		r.clock.add(time.Minute)
		e = r.claim("orders", 1)[0]
		if e.Attempts != i+1 || !e.Approved(HoldApproval) || e.Reason != "approved by ana, x; no connection" {
			t.Errorf("after retry %d: %+v", i+1, e)
		}
	}
}

func TestFileIsClosableOnceAllItsEntriesHaveEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "a"}, Policy{Job: "b"}, Policy{Job: "c", Actions: map[Verdict]Action{Empty: ToSkip}})
	f, es := r.land(arrival("x.csv", "1"), "  ")
	if es[2].State != Duplicate {
		t.Fatalf("%+v", es[2])
	}
	woken, stop := r.db.Watch(TopicClosable)
	defer stop()
	r.work(es[0].ID, Outcome{State: Accepted, Messages: 1})
	r.work(es[1].ID, Outcome{State: Rejected, Reason: "no", Rejected: 2, Rejects: []Reject{
		{Record: 3, Line: 4, Field: "qty", Value: "1O\x1b", Reason: "not an integer"}, {Reason: "too bad"}}})
	if got := r.fileState(f.ID); got != "landed " {
		t.Errorf("one entry to go: %s", got)
	}
	r.finish(Finish{Entry: es[0].ID, Dead: 2})
	if got := r.fileState(f.ID); got != "closable failed" {
		t.Errorf("all ended: %s", got)
	}
	select {
	case <-woken:
	case <-time.After(2 * time.Minute):
		t.Error("nobody was told")
	}
	list, err := r.Closable(ctx, "drop", 10)
	if err != nil || len(list) != 1 || !list[0].Failed || list[0].ReportName != "x.csv.rejects.json" {
		t.Fatalf("%+v, %v", list, err)
	}
	text, err := list[0].Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var rep Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if len(rep.Entries) != 2 || rep.Entries[0].Dead != 2 || len(rep.Entries[1].Rejects) != 2 || rep.Entries[1].Rejects[0].Value != `1O\u001b` {
		t.Errorf("report %s", text)
	}
	r.finish(Finish{Entry: es[0].ID}) // the dead letters were resent
	if e := r.entry(es[0].ID); e.State != Delivered || e.Dead != 0 {
		t.Errorf("%+v", e)
	}
	if err := r.Closed(ctx, []ClosedFile{{ID: f.ID, Where: "failed/x.csv"}}); err != nil {
		t.Fatal(err)
	}
	if got := r.fileState(f.ID); got != "closed failed/x.csv" {
		t.Errorf("closed: %s", got)
	}
	if list, err := r.Closable(ctx, "drop", 10); len(list) != 0 || err != nil {
		t.Errorf("still closable: %v, %v", list, err)
	}
}

func TestFileThatCannotBeTakenAwaySaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	e := r.one("a", "a")
	r.work(e.ID, Outcome{State: Delivered})
	if err := r.Closed(ctx, []ClosedFile{{ID: e.File, Err: "permission denied"}}); err != nil {
		t.Fatal(err)
	}
	if got := r.fileState(e.File); got != "closed left where it was: permission denied" {
		t.Error(got)
	}
}

func TestFinishMayBeRepeatedAndPassesOverOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	var all []Finish
	r.many(450)
	for _, part := range [][]Entry{r.claim("orders", 200), r.claim("orders", 200), r.claim("orders", 200)} {
		var list []Worked
		for i, e := range part {
			if i%10 != 0 {
				list = append(list, Worked{e, Outcome{State: Accepted}})
			}
			all = append(all, Finish{Entry: e.ID})
		}
		r.tx(func(tx *store.Tx) error { _, err := r.AcceptAll(tx, list); return err })
	}
	all = append(all, Finish{Entry: 10_000}, Finish{Entry: 10_001, Dead: 1})
	r.finish(all...)
	events := r.count(`SELECT COUNT(*) FROM events WHERE kind = 'delivered'`)
	r.finish(all...)
	if n := r.count(`SELECT COUNT(*) FROM entries WHERE state = 'delivered'`); n != 405 {
		t.Errorf("%d delivered, want 405", n)
	}
	if n := r.count(`SELECT COUNT(*) FROM files WHERE state = 'closable'`); n != 405 {
		t.Errorf("%d files closable, want 405", n)
	}
	if n := r.count(`SELECT COUNT(*) FROM events WHERE kind = 'delivered'`); n != events || n != 3 {
		t.Errorf("%d events, %d the first time; want one per set of 200", n, events)
	}
}

func TestRejectsAreCutAndReplacedWhenWorkedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	id := r.one("a", "a").ID
	many := make([]Reject, 1200)
	for i := range many {
		many[i] = Reject{Record: int64(i + 1), Value: strings.Repeat("é", 300), Reason: "bad"}
	}
	r.work(id, Outcome{State: Held, Reason: "look at this", Rejected: 1200, Rejects: many})
	got, err := r.Rejects(ctx, id)
	if err != nil || len(got) != 1000 || got[999].Record != 1000 || got[0].Value != strings.Repeat("é", 200)+"…" {
		t.Errorf("%d rejects, %v", len(got), err)
	}
	if err := r.Approve(ctx, id, "ops"); err != nil {
		t.Fatal(err)
	}
	r.work(id, Outcome{State: Accepted, Rejected: 1, Rejects: []Reject{{Record: 7, Reason: "x"}}})
	if got, err := r.Rejects(ctx, id); err != nil || len(got) != 1 || got[0].Record != 7 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCommandsOnEntriesCheckTheState(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	e := r.one("a", "a")
	var wrong *StateError
	if err := r.Approve(ctx, e.ID, "ops"); !errors.As(err, &wrong) || wrong.State != Received {
		t.Errorf("approve a received one: %v", err)
	}
	if _, err := r.Replay(ctx, e.ID, "ops", false); !errors.As(err, &wrong) {
		t.Errorf("replay a received one: %v", err)
	}
	r.work(e.ID, Outcome{State: Accepted})
	if err := r.Cancel(ctx, e.ID, "ops"); !errors.As(err, &wrong) || wrong.State != Accepted {
		t.Errorf("cancel an accepted one: %v", err)
	}
	for name, err := range map[string]error{"approve": r.Approve(ctx, 99, "ops"), "cancel": r.Cancel(ctx, 99, "ops")} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s an unknown one: %v", name, err)
		}
	}
}

func TestReplayIsTheNextRunWithTheFirstIdentity(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	first := r.one("a", "a")
	r.work(first.ID, Outcome{State: Delivered})
	second, err := r.Replay(ctx, first.ID, "ops", false)
	if err != nil || second.Run != 2 || second.Origin != first.ID || second.Identity != first.Identity || second.File != first.File || second.Rerender() {
		t.Fatalf("%+v, %v", second, err)
	}
	if _, err := r.Replay(ctx, first.ID, "ops", false); err == nil {
		t.Error("replayed while run 2 is on its way")
	}
	claimed := r.claim("orders", 1)[0]
	if claimed.ID != second.ID || claimed.Identity != first.Identity {
		t.Errorf("claimed %+v", claimed)
	}
	r.Release(claimed)
	r.work(second.ID, Outcome{State: Delivered})
	third, err := r.Replay(ctx, second.ID, "ops", true)
	if err != nil || third.Run != 3 || third.Origin != first.ID || !third.Rerender() {
		t.Errorf("%+v, %v", third, err)
	}
	if runs, err := r.Replays(ctx, first.ID); len(runs) != 2 || err != nil {
		t.Errorf("runs %v, %v", runs, err)
	}
}

func TestReplayOfARejectedFileClaimsItsIdentityAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	first := r.one("a", "a")
	r.work(first.ID, Outcome{State: Rejected})
	second, err := r.Replay(ctx, first.ID, "ops", false)
	if err != nil || second.Identity != first.Identity {
		t.Fatalf("%+v, %v", second, err)
	}
	if e := r.one("b", "a"); e.Verdict != Suspect || e.Twin != second.ID {
		t.Errorf("the same bytes meanwhile: %+v", e)
	}
	r.work(second.ID, Outcome{State: Delivered})
	if got := r.fileState(first.File); got != "closable done" {
		t.Errorf("file %s: the replay made it good", got)
	}

	other := r.one("c", "c")
	r.work(other.ID, Outcome{State: Rejected})
	taken := r.one("d", "c")
	if _, err := r.Replay(ctx, other.ID, "ops", false); err == nil || !strings.Contains(err.Error(), fmt.Sprint("#", taken.ID)) {
		t.Errorf("replay of what was taken meanwhile: %v", err)
	}
}

func TestTickIsMadeOnceAndWindowsHaveNoGaps(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	start := r.clock.now()
	window := func(due time.Time) func(time.Time) (time.Time, time.Time) {
		return func(mark time.Time) (time.Time, time.Time) {
			if mark.IsZero() {
				mark = due.Add(-time.Hour)
			}
			return mark, due.Add(-2 * time.Minute)
		}
	}
	var last Entry
	for i := range 3 {
		due := start.Add(time.Duration(i) * time.Hour)
		e, made, err := r.Tick(ctx, "export", due, window(due))
		if err != nil || !made || e.Kind != OfTick {
			t.Fatalf("%+v, %v, %v", e, made, err)
		}
		if i > 0 && !e.Since.Equal(last.Till) {
			t.Errorf("window [%v, %v) after [%v, %v)", e.Since, e.Till, last.Since, last.Till)
		}
		again, made, err := r.restarted().Tick(ctx, "export", due, window(due))
		if err != nil || made || again != r.entry(e.ID) {
			t.Errorf("the same tick again: %+v, %v, %v", again, made, err)
		}
		last = e
	}
	m, err := r.Mark(ctx, "export", WindowMark)
	if err != nil || !m.At.Equal(last.Till) {
		t.Errorf("mark %v, %v", m, err)
	}
	r.work(last.ID, Outcome{State: Rejected, Reason: "query failed"})
	re, err := r.Replay(ctx, last.ID, "ops", true)
	if err != nil || !re.Since.Equal(last.Since) || !re.Till.Equal(last.Till) || re.Identity != last.Identity {
		t.Errorf("replayed tick %+v, %v", re, err)
	}
	if e, made, err := r.Tick(ctx, "plain", start, func(time.Time) (a, b time.Time) { return }); err != nil || !made || !e.Since.IsZero() || !r.entry(e.ID).Till.IsZero() {
		t.Errorf("tick without window: %+v, %v, %v", e, made, err)
	}
}

func TestAReplayWithoutBytesIsRefusedWhenItMustReadThem(t *testing.T) {
	t.Parallel()
	for _, state := range []State{Delivered, Rejected} {
		r := newRig(t, orders())
		e := r.one("a", "1")
		r.work(e.ID, Outcome{State: state})
		if err := r.Closed(ctx, []ClosedFile{{ID: e.File, Where: "done"}}); err != nil {
			t.Fatal(err)
		}
		r.clock.add(time.Hour)
		if p, err := r.Prune(ctx, Retain{Files: time.Minute}); p.Objects != 1 || err != nil {
			t.Fatalf("%+v, %v", p, err)
		}
		var refused *StateError
		if _, err := r.Replay(ctx, e.ID, "ops", true); !errors.As(err, &refused) || !strings.Contains(refused.Need, "drop the file again") {
			t.Errorf("%s: reading it anew gave %v", state, err)
		}
		// What was sent may be there still.
		if _, err := r.Replay(ctx, e.ID, "ops", false); (err == nil) != (state == Delivered) || err != nil && !errors.As(err, &refused) {
			t.Errorf("%s: sending it again gave %v", state, err)
		}
	}
}

func TestAReplayToBeRenderedAnewIsThatAlsoAfterItWasHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	first := r.one("a", "1")
	r.work(first.ID, Outcome{State: Delivered})
	for _, rerender := range []bool{true, false} {
		e, err := r.Replay(ctx, first.ID, "ops", rerender)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r.work(e.ID, Outcome{State: Held, Hold: HoldEmpty, Reason: "no records"})
			if held := r.entry(e.ID); rerender && held.Reason != rerenderedBy+"ops; no records" || !rerender && held.Reason != "no records" {
				t.Errorf("held because %s", held.Reason)
			}
			if err := r.Approve(ctx, e.ID, "ana"); err != nil {
				t.Fatal(err)
			}
			if got := r.entry(e.ID); got.Rerender() != rerender || !got.Approved(HoldEmpty) || got.Approved("") {
				t.Errorf("rerender %t: approved it says %q", rerender, got.Reason)
			}
		}
		r.work(e.ID, Outcome{State: Delivered})
	}
}

func TestApprovingLetsPassWhatAnEntryIsHeldForAndNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders", Hold: "waits for approval"})
	id := r.one("a", "a").ID
	for i, c := range []struct {
		hold string
		let  []string
	}{
		{HoldApproval, []string{HoldApproval}},
		{"gap", []string{HoldApproval, "gap"}},
		{"", []string{HoldApproval, "gap"}}, // a failure is nothing that could pass
		{"gap", []string{HoldApproval, "gap"}},
		{"table units", []string{HoldApproval, "gap", "table units"}},
	} {
		if i > 0 {
			r.work(id, Outcome{State: Held, Hold: c.hold, Reason: "look at it"})
		}
		if e := r.entry(id); e.Hold != c.hold {
			t.Errorf("held for %q, want %q", e.Hold, c.hold)
		}
		if err := r.Approve(ctx, id, "ana"); err != nil {
			t.Fatal(err)
		}
		e := r.entry(id)
		if e.Hold != "" || e.Let != strings.Join(c.let, "\n") {
			t.Errorf("approved: held for %q, let pass %q", e.Hold, e.Let)
		}
		for _, hold := range []string{HoldApproval, HoldVerdict, HoldEmpty, "gap", "table units", "table", ""} {
			if got, want := e.Approved(hold), slices.Contains(c.let, hold); got != want {
				t.Errorf("after %v: %q approved: %t", c.let, hold, got)
			}
		}
	}
	r.work(id, Outcome{State: Delivered})
	again, err := r.Replay(ctx, id, "ana", true)
	if err != nil || again.Approved(HoldApproval) || again.Approved("gap") {
		t.Errorf("a replay is approved because the run before was: %+v, %v", again, err)
	}
}
