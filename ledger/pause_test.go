package ledger

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPauseHoldsUntilItIsEndedAlsoForOtherProcesses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	must := func(want bool) func(bool, error) {
		return func(got bool, err error) {
			t.Helper()
			if err != nil || got != want {
				t.Fatalf("got %t, %v, want %t", got, err, want)
			}
		}
	}
	must(true)(r.Pause(ctx, "job/orders", "paused by anna", "anna"))
	must(false)(r.Pause(ctx, "job/orders", "paused by ben", "ben"))
	must(true)(r.Pause(ctx, "source/drop", "paused by ben", "ben"))
	other := r.restarted()
	must(true)(other.IsPaused(ctx, "job/orders"))
	must(false)(other.IsPaused(ctx, "job/other"))
	all, err := other.AllPaused(ctx)
	if err != nil {
		t.Fatal(err)
	}
	now := r.clock.now()
	for i := range all {
		all[i].Since = all[i].Since.UTC()
	}
	want := []Paused{{Subject: "job/orders", Why: "paused by anna", Since: now}, {Subject: "source/drop", Why: "paused by ben", Since: now}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	must(true)(other.Resume(ctx, "job/orders", "ben"))
	must(false)(other.Resume(ctx, "job/orders", "ben"))
	must(false)(r.IsPaused(ctx, "job/orders"))
	if _, err := r.Verify(ctx); err != nil {
		t.Error(err)
	}
}

func TestSameFindsTheEntriesOfTheSameBytes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t, Policy{Job: "orders", Actions: map[Verdict]Action{Suspect: ToHold}})
	a, b := r.one("a.csv", "same"), r.one("b.csv", "same")
	r.one("c.csv", "other")
	f, err := r.FileOf(ctx, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.Same(ctx, f.Digest)
	if err != nil || len(list) != 2 || list[0].ID != b.ID || list[1].ID != a.ID {
		t.Errorf("got %v, %v, want #%d and #%d", list, err, b.ID, a.ID)
	}
}

func TestReasonsOfRejectsKeepTheirBackslashes(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"})
	e := r.one("a.csv", "x")
	r.work(e.ID, Outcome{State: Rejected, Rejected: 1, Rejects: []Reject{{Record: 1, Line: 2, Field: "no", Value: `\x1b[31m`, Reason: "does not match ^A-\\d+$\x1b"}}})
	list, err := r.Rejects(context.Background(), e.ID)
	want := []Reject{{Record: 1, Line: 2, Field: "no", Value: `\x1b[31m`, Reason: `does not match ^A-\d+$\u001b`}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
