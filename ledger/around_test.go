package ledger

import (
	"strings"
	"testing"
)

// TestTheFilesBeforeAndBehindOneOfItsNameAreFound: of the same job, source, name and partner, first runs only, and none that is only tried.
func TestTheFilesBeforeAndBehindOneOfItsNameAreFound(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"}, Policy{Job: "copies"})
	land := func(a Arrival, content string) (first int64) {
		t.Helper()
		_, list, err := r.Land(t.Context(), a, strings.NewReader(content))
		if err != nil || len(list) != 2 {
			t.Fatalf("%d entries, %v", len(list), err)
		}
		for _, e := range list {
			r.work(e.ID, Outcome{State: Rejected, Reason: "bad"})
			if e.Job == "orders" {
				first = e.ID
			}
		}
		return first
	}
	mailbox := func(partner, version string, trial bool) Arrival {
		a := arrival("a.csv", version)
		a.Partner, a.Trial = partner, trial
		return a
	}
	one := land(arrival("a.csv", "1"), "1")
	land(arrival("b.csv", "1"), "2")
	land(mailbox("acme", "2", false), "3")
	tried := land(mailbox("", "3", true), "4")
	two := land(arrival("a.csv", "4"), "5")
	if _, err := r.Replay(t.Context(), two, "ops", false); err != nil {
		t.Fatal(err)
	}
	three := land(arrival("a.csv", "5"), "6")
	for _, c := range []struct{ id, before, after int64 }{{one, 0, two}, {two, one, three}, {three, two, 0}, {tried, 0, 0}, {999, 0, 0}} {
		before, after, err := r.Around(t.Context(), c.id)
		if err != nil || before != c.before || after != c.after {
			t.Errorf("around #%d stand #%d and #%d, not #%d and #%d (%v)", c.id, before, after, c.before, c.after, err)
		}
	}
}
