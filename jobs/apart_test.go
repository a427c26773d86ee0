package jobs

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"waybill/ledger"
)

// apart drops the same few files as several partners into one job, and compares what becomes of them with what becomes of the
// files of each partner alone.
func apart(t *testing.T) {
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > 8 && !t.Failed() {
			return // each builds ledgers of its own
		}
		by := rapid.SampledFrom([]string{"content", "name", "name+content", "name+size+mtime"}).Draw(rt, "by")
		job := told + fmt.Sprintf("identity: {by: %s}\ncheck: {unique: {key: =no}}\n", by)
		type sent struct{ partner, path, text string }
		var all []sent
		for range rapid.IntRange(2, 12).Draw(rt, "files") {
			from := rapid.IntRange(1, 3).Draw(rt, "from")
			all = append(all, sent{
				rapid.SampledFrom([]string{"acme", "bolt", "acme/bolt"}).Draw(rt, "partner"),
				rapid.SampledFrom([]string{"a.csv", "b.csv", "bolt/a.csv"}).Draw(rt, "path"), orderLines(from, from+1),
			})
		}
		become := func(of string) map[string][]string {
			p := newPlant(t, "orders", job)
			got := map[string][]string{}
			for _, s := range all {
				if of != "" && s.partner != of {
					continue
				}
				e := p.entry(p.drop(s.partner, s.path, s.text))
				if e.State == ledger.Received {
					e = p.work(e.ID)
				}
				twin := ""
				if e.Twin != 0 {
					twin = p.entry(e.Twin).Partner
				}
				got[s.partner] = append(got[s.partner], fmt.Sprint(e.State, e.Verdict, twin, e.Messages, e.Rejects))
				if twin != "" && twin != s.partner {
					rt.Fatalf("the twin of a file of %s is of %s", s.partner, twin)
				}
			}
			return got
		}
		together := become("")
		for partner, got := range together {
			if alone := become(partner)[partner]; !slices.Equal(got, alone) {
				rt.Fatalf("%s, with others: %q\nalone: %q", partner, got, alone)
			}
		}
	})
}
