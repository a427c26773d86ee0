package ledger

import (
	"errors"
	"slices"
	"testing"
)

func TestWhatIsOnlyTriedWaitsApart(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"})
	a := arrival("acme/o.csv", "1")
	a.Partner = "acme"
	b := a
	b.Version, b.Trial = "2", true
	f, real := r.land(a, "x")
	g, trial := r.land(b, "x")
	if f.ID == g.ID || real[0].Identity == "" || trial[0].Identity != "" || !trial[0].Trial || trial[0].State != Duplicate || trial[0].Twin != real[0].ID {
		t.Errorf("%+v\n%+v", real, trial)
	}
	for trial, want := range map[bool]int64{false: f.ID, true: g.ID} {
		m := Mailbox{Source: "drop", Partner: "acme", Trial: trial}
		w, err := r.Waits(ctx, m, "o.csv")
		list, err2 := r.Dropped(ctx, m, "", "", 10)
		u, err3 := r.Use(ctx, m, "")
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		if w.ID != want || len(list) != 1 || list[0].ID != want || u.Files != 1 {
			t.Errorf("trial %v: %+v, %+v, %+v", trial, w, list, u)
		}
	}
	if err := r.Withdraw(ctx, Mailbox{Source: "drop", Partner: "acme"}, "o.csv", "partner acme", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Waits(ctx, Mailbox{Source: "drop", Partner: "acme", Trial: true}, "o.csv"); err != nil {
		t.Errorf("withdrawing the one took the other: %v", err)
	}
}

func TestWhatIsOwedIsWrittenWithTheStateItTellsOf(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders", Owes: []State{Held, Duplicate}}, Policy{Job: "quiet"}, Policy{Job: "asks", Hold: "asked", Owes: []State{Held}})
	land := func(a Arrival) []Entry {
		_, es := r.land(a, "x")
		return es
	}
	one := land(arrival("a", "1"))
	two := land(arrival("a", "2"))
	three := land(arrival("b", "3"))
	land(arrival("b", "3")) // again: the same landing
	list, err := r.Owed(ctx, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, o := range list {
		got = append(got, o.Entry)
		of, err := r.OwedOf(ctx, o.Entry)
		if err != nil || len(of) != 1 || of[0] != o {
			t.Errorf("%+v, %v", of, err)
		}
	}
	if want := []int64{one[2].ID, two[0].ID, three[0].ID, three[2].ID}; !slices.Equal(got, want) {
		t.Errorf("owed for %v, want %v: %+v", got, want, list)
	}
}
