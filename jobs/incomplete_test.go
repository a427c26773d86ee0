package jobs

import (
	"strings"
	"testing"
	"time"

	"waybill/ledger"
)

const ediTold = `
receive: {source: in, files: "*.edi"}
read: {format: edifact, within: 2h, fields: {no: {from: BGM.2, required: true}}}
send: [{to: erp, key: =no, body: {no: =no}}]
acknowledge: [{after: [held, rejected, accepted], to: sender}]
`

// ediPart is ediFile as an upload leaves it that was cut off.
var ediPart, _, _ = strings.Cut(ediFile, "UNZ")

// expire looks for what was held for its time, when the clock is ahead so far.
func (p *plant) expire(ahead time.Duration) []ledger.Entry {
	p.t.Helper()
	p.ahead.Store(int64(ahead))
	list, err := p.ledger.Expire(p.t.Context())
	p.must(err)
	return list
}

func TestAFileThatWasCutOffIsRejectedWhenItsTimeHasPassedAlsoAcrossARestart(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", ediTold)
	id := p.drop("acme", "o.edi", ediPart)
	if e := p.work(id); e.State != ledger.Held || e.Due.Sub(p.now()).Round(time.Minute) != 2*time.Hour {
		t.Fatalf("%s until %s: %s", e.State, e.Due, e.Reason)
	}
	if list := p.expire(time.Hour); len(list) != 0 {
		t.Errorf("before its time: %v", list)
	}
	p.must(p.db.Close())
	p.open(p.set("orders", ediTold))
	list := p.expire(2*time.Hour + time.Second)
	e := p.entry(id)
	const want = `the file is incomplete: line 2, column 1: interchange "77" has no UNZ, as when an upload is cut off; nothing came in its place in time`
	if len(list) != 1 || e.State != ledger.Rejected || e.Reason != want || e.Identity != "" || e.Rejects != 1 || e.Finished.IsZero() || !e.Due.IsZero() {
		t.Errorf("%d ended; %+v", len(list), e)
	}
	if list := p.expire(3 * time.Hour); len(list) != 0 {
		t.Errorf("once more: %v", list)
	}
	p.is(1, `SELECT COUNT(*) FROM files WHERE state = 'closable' AND reason = 'failed'`)
	p.is(1, `SELECT COUNT(*) FROM rejects WHERE reason LIKE 'the file is incomplete%'`)
	p.run()
	acks, _ := p.acks(id, 2)
	if acks[0].State != ledger.Held || acks[1].State != ledger.Rejected || !strings.Contains(acks[1].Text, "nothing came in its place") {
		t.Errorf("%+v", acks)
	}
	if e := p.await(p.drop("acme", "o.edi", ediPart), ledger.Held); e.Verdict != ledger.Fresh {
		t.Errorf("its identity is free, but it is %s", e.Verdict)
	}
}

// Whose file came again, whole, has been told of that one.
func TestACorrectionTakesThePlaceOfAFileThatWasCutOff(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", ediTold)
	p.run()
	first := p.drop("acme", "o.edi", ediPart)
	p.await(first, ledger.Held)
	stranger := p.drop("other", "o.edi", ediPart)
	p.await(stranger, ledger.Held)
	whole := p.drop("acme", "o.edi", ediFile)
	if e := p.await(whole, ledger.Delivered); e.Verdict != ledger.Correction || e.Twin != first {
		t.Errorf("%s of #%d", e.Verdict, e.Twin)
	}
	if list := p.expire(time.Minute); len(list) != 1 || list[0].ID != first || list[0].State != ledger.Rejected || !strings.HasSuffix(list[0].Reason, "; #3 came in its place") {
		t.Errorf("%+v", list)
	}
	if list := p.expire(3 * time.Hour); len(list) != 1 || list[0].ID != stranger || !strings.HasSuffix(list[0].Reason, "nothing came in its place in time") {
		t.Errorf("%+v", list)
	}
	p.acks(stranger, 2)
	if acks, _ := p.acks(first, 1); acks[0].State != ledger.Held {
		t.Errorf("%+v", acks)
	}
}

func TestWhatAPersonDecidesOfAFileThatWasCutOffHolds(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", ediTold, "others", strings.NewReplacer("2h", "0s", "*.edi", "*.old").Replace(ediTold), "days", strings.NewReplacer(" within: 2h,", "", "*.edi", "*.day").Replace(ediTold))
	approved, cancelled, kept, day := p.land1("a.edi", ediPart), p.land1("b.edi", ediPart+" "), p.land1("a.old", ediPart), p.land1("a.day", ediPart)
	for _, id := range []int64{approved, cancelled, kept, day} {
		if e := p.work(id); e.Hold != "incomplete" && id != cancelled { // the second is a suspect
			t.Fatalf("%s: %s", e.State, e.Reason)
		}
	}
	p.must(p.ledger.Approve(t.Context(), approved, "anna"))
	p.must(p.ledger.Cancel(t.Context(), cancelled, "anna"))
	if list := p.expire(23 * time.Hour); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if list := p.expire(25 * time.Hour); len(list) != 1 || list[0].ID != day {
		t.Errorf("%+v", list)
	}
	if e := p.work(approved); e.State != ledger.Rejected || strings.Contains(e.Reason, "in its place") {
		t.Errorf("%s: %s", e.State, e.Reason)
	}
}

func TestWithinIsForFilesThatTellWhereTheyEnd(t *testing.T) {
	t.Parallel()
	_, problems := Compile("x", parseOptions(t, "receive: {source: in}\nread: {format: csv, within: 2h, fields: {a: {}}}\nsend: [{to: erp}]\n"), Environment{})
	if got := texts(problems); len(got) != 1 || got[0] != "read.within: goes with edifact and avro: a file of another format does not tell that it was cut off" {
		t.Error(got)
	}
}

// A trial under the same name is nothing to a file that was cut off.
func TestATrialDoesNotTakeThePlaceOfAFileThatWasCutOff(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", ediTold)
	id := p.drop("acme", "o.edi", ediPart)
	p.work(id)
	trial := p.dropped("acme", "o.edi", ediFile, true)
	if list := p.expire(time.Minute); len(list) != 0 {
		t.Errorf("before its time: %+v", list)
	}
	if e := p.work(trial); e.State != ledger.Delivered {
		t.Errorf("%s: %s", e.State, e.Reason)
	}
	if list := p.expire(2*time.Hour + time.Second); len(list) != 1 || list[0].ID != id || !strings.HasSuffix(list[0].Reason, "nothing came in its place in time") {
		t.Errorf("%+v", list)
	}
	p.is(1, `SELECT COUNT(*) FROM owed WHERE entry = ? AND after = 'rejected'`, id)
}

// A job that drains tells of what it still has as any other does.
func TestTheSenderOfAFileThatWasCutOffIsToldAlsoWhenTheJobTakesNothingNew(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", ediTold)
	id := p.drop("acme", "o.edi", ediPart)
	p.work(id)
	p.wire(p.set("orders", ediTold+"drain: true\n"))
	if list := p.expire(2*time.Hour + time.Second); len(list) != 1 {
		t.Errorf("%+v", list)
	}
	p.is(1, `SELECT COUNT(*) FROM owed WHERE entry = ? AND after = 'rejected'`, id)
	if entries := p.land("o.edi", ediFile); len(entries) != 0 {
		t.Errorf("it takes %+v", entries)
	}
}

// The whole file may have come while the other one was still being read, or waited for that.
func TestAFileThatIsFoundToBeCutOffAfterTheWholeOneCameIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", ediTold)
	part, whole := p.drop("acme", "o.edi", ediPart), p.drop("acme", "o.edi", ediFile)
	p.work(whole)
	if e := p.work(part); e.State != ledger.Held {
		t.Errorf("%s: %s", e.State, e.Reason)
	}
	if list := p.expire(time.Minute); len(list) != 1 || list[0].ID != part || !strings.HasSuffix(list[0].Reason, "; #2 came in its place") {
		t.Errorf("%+v", list)
	}
}
