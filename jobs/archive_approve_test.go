package jobs

import (
	"testing"

	"waybill/ledger"
)

// Who approves a corrected archive has seen that it was corrected, and not what its members are beside that.
func TestAnApprovedArchiveLetsPassOnlyWhatItWasHeldFor(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines+"\nidentity: {correction: hold, empty: hold}\n")
	p.run()
	a := orderLines(1, 2)
	p.await(p.land1("day.zip", zipOf(t, "a.csv", a, "b.csv", orderLines(3, 4))), ledger.Delivered)
	id := p.land1("day.zip", zipOf(t, "a.csv", a, "b.csv", orderLines(3, 5), "c.csv", ""))
	if e := p.entry(id); e.State != ledger.Held || e.Hold != ledger.HoldVerdict {
		t.Fatalf("%+v", e)
	}
	p.must(p.ledger.Approve(t.Context(), id, "ann"))
	const want = "day.zip/a.csv duplicate, day.zip/b.csv delivered, day.zip/c.csv held"
	p.until(func() bool { return p.states(id) == want }, func() string { return p.states(id) })
	if n := len(p.erp.bodies()); n != 7 {
		t.Errorf("%d messages", n)
	}
}
