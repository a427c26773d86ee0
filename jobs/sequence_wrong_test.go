package jobs

import (
	"strings"
	"testing"

	"waybill/ledger"
)

const unkeyedBlocks = `
receive: {source: in}
read:
  format: fixed
  kind: 1
  block: {header: {kind: B, fields: {number: {from: 2-3, type: integer}}}}
  fields: {x: {from: 2-}}
check: {sequence: {value: =header.number}}
send: [{to: erp, key: [=header.number, =record.number], body: {x: =x}}]
`

// Whoever approves a gap has not approved a block that came before: that would send its records twice.
func TestApprovalOfAGapDoesNotTakeARepeatBehindIt(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", unkeyedBlocks)
	for _, c := range []struct{ path, file, want string }{
		{"a", "B01\nLa\nB03\nLb\nB03\nLb\n", "#1 rejected: line 5: number 3 came before: the last in this file was 3"},
		{"b", "B01\nLa\nB03\nLb\n", "#2 held: number 2 is missing before 3: the last in this file was 1; approve takes it as it is"},
	} {
		if _, got := p.lands(c.path, c.file); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	p.must(p.ledger.Approve(t.Context(), 2, "me"))
	if e := p.work(2); e.State != ledger.Accepted || p.sequence(t) != " 3 #2" {
		t.Errorf("%s: %s, %s", e.State, e.Reason, p.sequence(t))
	}
}

func TestTheNumberOfAnApprovedFileWithoutRecordsCounts(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", strings.Replace(numbered(""), "identity: {", "identity: {empty: hold, ", 1))
	if _, got := p.lands("a", "HABC0001\n"); got != "#1 held: no records" {
		t.Fatal(got)
	}
	p.must(p.ledger.Approve(t.Context(), 1, "me"))
	if e := p.work(1); e.State != ledger.Delivered || p.sequence(t) != "ABC 1 #1" {
		t.Errorf("%s: %s, %q", e.State, e.Reason, p.sequence(t))
	}
	if _, got := p.lands("b", statement("ABC", 2)); got != "#2 accepted" {
		t.Error(got)
	}
}

// Another process may accept the missing number while this one judges: an entry held for it then would wait for ever.
func TestNobodyWaitsForANumberThatHasCome(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", numbered(""))
	p.lands("a", statement("ABC", 1))
	second, third := p.land1("b", statement("ABC", 2)), p.land1("c", statement("ABC", 3))
	entries, err := p.ledger.ClaimOnly(t.Context(), third)
	p.must(err)
	done, err := p.worker.work(t.Context(), p.worker.Jobs().Plan("statements"), entries[0], nearby{})
	p.must(err)
	if done.outcome.State != ledger.Held {
		t.Fatal(done.outcome)
	}
	p.work(second)
	p.worker.accept(t.Context(), []*piece{done})
	p.ledger.Release(entries[0])
	if e := p.entry(third); e.State != ledger.Received {
		t.Fatalf("%s: %s", e.State, e.Reason)
	}
	p.must(p.ledger.Retry(t.Context(), p.entry(third), p.now(), ""))
}

// A sum that no integer holds is the file's fault: an error would have it worked again and again.
func TestASumThatIsTooLargeRejectsTheFile(t *testing.T) {
	t.Parallel()
	const big = "9000000000000000000"
	for name, more := range map[string]string{
		"without checks": "",
		"numbered":       "check: {sequence: {value: =1}}",
		"checked":        "check: {file: [{that: '=totals.sum > 0'}]}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := compile(t, "receive: {source: in}\nread: {format: csv, fields: {n: {type: integer}}, totals: {sum: {sum: n}}}\n"+more+
				"\nsend: [{to: erp, body: {n: =n}}]\n")
			o, err := plan.Run(t.Context(), input("f.csv", "n\n"+big+"\n"+big+"\n"), func(*Rendered) error { return nil })
			if err != nil || o.State != ledger.Rejected || !strings.Contains(o.Reason, "make the field a decimal") {
				t.Errorf("%s: %s, %v", o.State, o.Reason, err)
			}
		})
	}
}
