package jobs

import (
	"strings"
	"testing"

	"waybill/ledger"
)

// Whoever approves a file as it lands has seen none of what is found in it later.
func TestApprovalAtLandingIsNoneOfWhatIsFoundLater(t *testing.T) {
	t.Parallel()
	units, _ := table(t, "u.csv", "code,name\nKAR,Karton\nb,\n", "by: code\nmissing: hold")
	sites, _ := table(t, "s.csv", "code,name\nKAR,Karton\n", "by: code\nmissing: hold")
	sites.name = "sites"
	const twoTables = `
receive: {source: in}
read: {format: csv, fields: {no: {required: true}, unit: {required: true}}}
check: {allow_rejects: 2}
send: [{to: erp, key: =no, body: {no: =no, unit: '=lookup("units", unit).name', site: '=lookup("sites", unit).name'}}]
`
	part, _, _ := strings.Cut(ediFile, "UNZ")
	for _, c := range []struct {
		name, job, before, file string
		want                    []string // what it comes to, approved each time
	}{
		{"a gap", numbered(""), statement("ABC", 1), statement("ABC", 3), []string{"held: number 2 of ABC is missing", "accepted: "}},
		{"gaps of several, named together, within and before", strings.Replace(unkeyedBlocks, "{value: =header.number}", "{value: =header.number, first: 2}", 1), "", "B04\nLa\nB06\nLb\nB09\nLc\n",
			[]string{"held: number 5 is missing before 6: the last in this file was 4; numbers 7 to 8 are missing before 9: the last in this file was 6; approve takes it as it is",
				"held: numbers 2 to 3 are missing before 4: the first is 2; approve takes it now", "accepted: "}},
		{"an old number", numbered("old: hold"), statement("ABC", 1) + statement("ABC", 2), statement("ABC", 1), []string{"held: number 1 of ABC is old", "accepted: "}},
		{"a row of a table, then of another", twoTables, "", "no,unit\n1,KAR\n2,X\n3,b\n", []string{`held: table units has no "X"`, `held: table sites has no "b"`, "accepted: "}},
		{"an interchange that was cut off", ediJob, "", part, []string{"held: " + incomplete, "rejected: "}},
		{"no records", strings.Replace(lines, `, files: "*.csv"`, "", 1) + "\nidentity: {empty: hold}", "", "no;qty\n", []string{"held: no records", "delivered: no records"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := parseOptions(t, c.job)
			o.Approve = true
			plan, problems := Compile("orders", o, Environment{Config: "cfg", Tables: map[string]*Table{"units": units, "sites": sites}})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			p := newPlant(t)
			p.worker.SetJobs(&Set{Plans: []*Plan{plan}})
			for text := range strings.SplitSeq(c.before, "H") {
				if text == "" {
					continue
				}
				first := p.land1("before"+text, "H"+text)
				p.must(p.ledger.Approve(t.Context(), first, "anna"))
				if e := p.work(first); e.State != ledger.Accepted {
					t.Fatalf("%s: %s", e.State, e.Reason)
				}
			}
			id := p.land1("b.edi", c.file)
			if e := p.entry(id); e.State != ledger.Held || e.Hold != ledger.HoldApproval {
				t.Fatalf("%s for %s", e.State, e.Hold)
			}
			for _, want := range c.want {
				p.must(p.ledger.Approve(t.Context(), id, "anna"))
				e := p.work(id)
				if got := string(e.State) + ": " + e.Reason; !strings.HasPrefix(got, want) {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
}

// One approval lets pass what its reason names, so that names all of a kind.
func TestAllMissingNumbersOfAFileAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	var h held
	texts := func(n int) string {
		h = held{}
		for range n {
			h.add(gap, func() string { return "x" }, 7)
			h.add(old, func() string { return "y" }, 8)
		}
		return h.judgement().Reason
	}
	for n, want := range map[int]string{
		1:  "x; approve takes it now and goes on from 7; else it goes on by itself when what is missing has been accepted",
		2:  "x; x; approve takes it now and goes on behind them; else it goes on by itself when what is missing has been accepted",
		24: strings.Repeat("x; ", 21) + "and 3 more like these; approve takes it now and goes on behind them; else it goes on by itself when what is missing has been accepted",
	} {
		if got := texts(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
