package ledger

import (
	"strings"
	"testing"

	"waybill/store"
)

// The time of these statements must not grow with the ledger.
func TestStatementsOfEveryFileScanNoTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	for name, query := range map[string]string{
		"prior":     priorQuery,
		"claimers":  claimersQuery,
		"namesakes": namesakesQuery,
		"samebytes": samebytesQuery,
		"take":      takeQuery,
		"settle":    settleQuery(store.In(40)),
		"known":     remarkableQuery(100),
		"closable":  closableQuery,
		"nextdue":   nextDueQuery,
		"head":      headQuery,
		"likeness":  likenessQuery(8),
		"dropped":   droppedQuery,
		"waiting":   waitingQuery,
		"ending":    endingQuery,
		"in place":  inPlaceQuery,
		"supersede": supersedeQuery,
		"mailboxes": mailboxesQuery,
		"landed":    landedQuery,
		"retention": oldEntriesQuery,
	} {
		args := make([]any, strings.Count(query, "?"))
		for i := range args {
			args[i] = 1
		}
		plan, err := collect(r.db.Reader(ctx), func(scan func(...any) error) (string, error) {
			var id, parent, unused int
			var detail string
			err := scan(&id, &parent, &unused, &detail)
			return detail, err
		}, "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "nextdue" && !strings.Contains(plan[0], "(job=? AND due>?)") {
			t.Errorf("%s looks at every entry that waits: %s", name, strings.Join(plan, "\n"))
		}
		if name == "dropped" && !strings.Contains(strings.Join(plan, "\n"), "files_waiting") {
			t.Errorf("%s does not use its index:\n%s", name, strings.Join(plan, "\n"))
		}
		if name == "mailboxes" {
			if !strings.Contains(plan[0], "files_waiting") {
				t.Errorf("%s looks at every file: %s", name, plan[0])
			}
			continue // what waits is what is counted
		}
		if name == "supersede" && !strings.Contains(strings.Join(plan, "\n"), "entries_file") {
			t.Errorf("%s looks at all that is held:\n%s", name, strings.Join(plan, "\n"))
		}
		for _, step := range plan {
			whole := strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "given") && !strings.Contains(step, "json_each") && !strings.Contains(step, "CONSTANT") && !strings.Contains(step, "SUBQUERY") && !strings.Contains(step, "(subquery")
			if whole && step != "SCAN f" && step != "SCAN g" || strings.Contains(step, "TEMP B-TREE") && name != "known" && name != "waiting" || strings.Contains(step, "AUTOMATIC") {
				t.Errorf("%s: %s in\n%s", name, step, strings.Join(plan, "\n"))
			}
		}
	}
}
