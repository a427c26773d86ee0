package jobs

import (
	"strings"
	"testing"

	"waybill/ledger"
)

// What a whole set is held for is approved like that of a single file.
func TestASetThatIsHeldOnceItIsWholeIsApprovedOnce(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", strings.Replace(togetherJob, "check:\n  file: [{that: '=totals.lines == header.lines and totals.sum == trailer.sum', say: the counts differ}]\n", "", 1)+"identity: {empty: hold}\n")
	p.part("1", "head", threeFiles["head"])
	p.part("1", "lines", "")
	e := p.part("1", "end", threeFiles["end"])
	if e.State != ledger.Held || e.Hold != ledger.HoldEmpty {
		t.Errorf("%s for %q: %s", e.State, e.Hold, e.Reason)
	}
	p.must(p.ledger.Approve(t.Context(), e.ID, "me"))
	if e := p.work(e.ID); e.State != ledger.Delivered {
		t.Errorf("%s: %s", e.State, e.Reason)
	}
}

// A second file that would be the same part of a set is no newer version of the first one, which would be lost.
func TestTwoFilesThatWouldBeTheSamePartAreNotTakenForOne(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", strings.Replace(togetherJob, "{no}_lines.csv", "{no}_lines*.csv", 1))
	first := p.part("1", "lines", threeFiles["lines"])
	other := p.part("1", "lines_b", "sku,amount\nX,1\n")
	if want := "1_lines.csv has come before it for the same files, see #1: name them so that each belongs to one"; other.State != ledger.Rejected || other.Reason != want {
		t.Errorf("#%d is %s: %s", other.ID, other.State, other.Reason)
	}
	p.part("1", "head", threeFiles["head"])
	e := p.part("1", "end", threeFiles["end"])
	if e = p.work(e.ID); e.ID != first.ID || e.State != ledger.Accepted || e.Name != "1_lines.csv" {
		t.Errorf("#%d %s is %s: %s", e.ID, e.Name, e.State, e.Reason)
	}
	p.is(1, `SELECT COUNT(*) FROM files WHERE state = 'closable' AND reason = 'failed'`)
}

// Folders that a pattern leaves open keep sets apart, too.
func TestSetsOfFoldersThatAPatternLeavesOpenNeverMeet(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", strings.NewReplacer("{no}_lines", "*/{no}_lines", "{no}_head", "*/{no}_head", "{no}_end", "*/{no}_end").Replace(togetherJob))
	for i, name := range []string{"a/1_head.csv", "b/1_lines.csv", "c/1_end.csv"} {
		if entries := p.land(name, "a,b\n1,2\n"); len(entries) != 1 || entries[0].ID != int64(i+1) || entries[0].State != ledger.Held {
			t.Errorf("%s: %+v", name, entries)
		}
	}
	if entries := p.land("a/1_lines.csv", "a\n"); len(entries) != 1 || entries[0].ID != 1 {
		t.Errorf("%+v", entries)
	}
}

// Jobs that share mailboxes do not wait for files of each other.
func TestACompanionInAMailboxWaitsOnlyForFilesOfItsJob(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		files, companion, path string
		want                   bool
	}{
		{`"day_*.csv"`, "{stem}.ctl", "acme/day_1.ctl", true},
		{`"day_*.csv"`, "{stem}.ctl", "acme/order_1.ctl", false},
		{`"day_*.{kind}"`, "{stem}.ctl", "acme/day_1.ctl", true},
		{`"day_*"`, "{stem}.ctl", "acme/day_1.ctl", true},
		{`"day_*.csv"`, "*.ctl", "acme/day_1.csv.ctl", true},
		{`"day_*.csv"`, "*.ctl", "acme/order_1.csv.ctl", false},
		{`["order_*.txt", "day_*.csv"]`, "{stem}.ctl", "acme/day_1.ctl", true},
	} {
		plan, problems := Compile("days", parseOptions(t, strings.NewReplacer(`"*.csv"`, test.files, "{stem}.ctl", test.companion).Replace(controlledJob)),
			Environment{Sources: map[string]string{"in": "mailboxes"}, Destinations: map[string]string{"erp": "http"}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got := plan.Wants("in", test.path); got != test.want {
			t.Errorf("%s, %s: %s is wanted: %t", test.files, test.companion, test.path, got)
		}
	}
}
