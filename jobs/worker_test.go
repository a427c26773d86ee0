package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/formats"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/store"
)

const lines = `
receive: {source: in, files: "*.csv"}
read: {format: csv, delimiter: ";", fields: {no: {required: true}, qty: {type: integer, required: true}}}
send: [{to: erp, path: /orders, key: =no, body: {no: =no, qty: =qty}}]
`

const both = `
receive: {source: in, files: "*.csv"}
read: {format: csv, delimiter: ";", fields: {no: {required: true}, qty: {type: integer, required: true}}}
check: {unique: {key: =no}}
send:
  - {to: erp, path: /orders, key: =no, body: {no: =no, qty: =qty}}
  - {to: files, each: file, as: ndjson, name: "{file.stem}.ndjson"}
`

const lists = `
receive: {source: in, files: "*.csv"}
read: {format: csv, delimiter: ";", fields: {no: {required: true}, qty: {type: integer, required: true}}}
send: [{to: files, each: file, as: ndjson, name: "{file.stem}.ndjson", body: {no: =no, qty: =qty}}]
`

const rows = `
schedule: {cron: "0 * * * *"}
query: {connection: shop, sql: "select 1"}
send: [{to: erp, path: /orders, key: =no}]
`

// rowsOf gives n rows of one column, and calls at before each.
func rowsOf(n int, at func(i int)) *Rows {
	return &Rows{Columns: []string{"no"}, All: func(yield func([]formats.Cell, error) bool) {
		for i := range n {
			at(i)
			if !yield([]formats.Cell{{Kind: formats.Text, Bytes: fmt.Appendf(nil, "A-%d", i)}}, nil) {
				return
			}
		}
	}}
}

// rowsNamed gives rows of one column.
func rowsNamed(names ...string) *Rows {
	return &Rows{Columns: []string{"no"}, All: func(yield func([]formats.Cell, error) bool) {
		for _, name := range names {
			if !yield([]formats.Cell{{Kind: formats.Text, Bytes: []byte(name)}}, nil) {
				return
			}
		}
	}}
}

// tick makes the tick that was due at the last full hour.
func (p *plant) tick(job string) ledger.Entry {
	p.t.Helper()
	e, err := p.worker.Tick(p.t.Context(), p.worker.Jobs().Plan(job), p.now().Truncate(time.Hour))
	p.must(err)
	return e
}

func TestSmallFilesAreAcceptedInSets(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines)
	var ids []int64
	for i := range 100 {
		ids = append(ids, p.land1(fmt.Sprintf("%d.csv", i), orderLines(i*10, i*10+2)))
	}
	p.run()
	for _, id := range ids {
		if e := p.await(id, ledger.Delivered, ledger.Failed); e.State != ledger.Delivered || e.Records != 3 || e.Messages != 3 {
			t.Errorf("#%d is %s with %d records, %d messages", id, e.State, e.Records, e.Messages)
		}
	}
	got := p.erp.keys()
	slices.Sort(got)
	if len(got) != 300 || len(slices.Compact(got)) != 300 {
		t.Errorf("%d messages arrived, want 300, each once", len(got))
	}
	if n := p.count(`SELECT count(*) FROM events WHERE kind = 'accepted'`); n > 20 {
		t.Errorf("100 files were accepted in %d sets", n)
	}
	p.is(100, `SELECT count(*) FROM files WHERE state = 'closable' AND reason = 'done'`)
}

func TestABigEntryIsStagedAndShownAsWorkingAndAcceptedWhole(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", rows)
	half, on := make(chan struct{}), make(chan struct{})
	p.ask = func(time.Time, time.Time) (*Rows, error) {
		return rowsOf(5500, func(i int) {
			if i == 3500 {
				close(half)
				<-on
			}
		}), nil
	}
	e := p.tick("orders")
	p.run()
	<-half
	p.until(func() bool { return p.count(`SELECT count(*) FROM batches WHERE state = 'staged'`) == 3 }, func() string {
		return "the first 3,000 messages are not staged"
	})
	if e := p.entry(e.ID); e.State != ledger.Working {
		t.Errorf("half way the entry is %s", e.State)
	}
	if n := len(p.erp.keys()); n > 0 {
		t.Errorf("%d messages went out before the entry was accepted", n)
	}
	close(on)
	done := p.await(e.ID, ledger.Delivered)
	if done.Messages != 5500 || len(p.erp.keys()) != 5500 {
		t.Errorf("%d messages, %d arrived, want 5500", done.Messages, len(p.erp.keys()))
	}
	p.is(6, `SELECT count(*) FROM batches WHERE state = 'done'`)
}

func TestOfARejectedFileNothingIsLeftButItsReport(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", both)
	id := p.land1("bad.csv", orderLines(1, 1200)+"A-x;many\n")
	e := p.work(id)
	if e.State != ledger.Rejected || e.Rejects != 1 || e.Messages != 0 {
		t.Errorf("the entry is %s with %d rejects and %d messages", e.State, e.Rejects, e.Messages)
	}
	rejects, err := p.ledger.Rejects(t.Context(), id)
	p.must(err)
	if len(rejects) != 1 || rejects[0].Line != 1202 || rejects[0].Field != "qty" || rejects[0].Value != "many" {
		t.Errorf("rejects: %+v", rejects)
	}
	for _, table := range []string{"batches", "payloads", "keys", "outputs"} {
		p.is(0, `SELECT count(*) FROM `+table)
	}
	p.is(1, `SELECT count(*) FROM objects`) // the file's own bytes
	p.is(1, `SELECT count(*) FROM files WHERE state = 'closable' AND reason = 'failed'`)
	if again := p.work(p.land1("good.csv", orderLines(1, 1200))); again.State != ledger.Accepted || again.Messages != 1201 {
		t.Errorf("the keys of the rejected file count: %s, %d messages", again.State, again.Messages)
	}
}

func TestAFileWithoutRecordsIsHeldUntilItIsApproved(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines+"identity: {empty: hold}")
	blank, titles := p.land1("blank.csv", " \n"), p.land1("titles.csv", "no;qty\n")
	p.run()
	for _, id := range []int64{blank, titles} {
		e := p.await(id, ledger.Held)
		if e.Verdict != ledger.Empty {
			t.Errorf("%s: verdict %s", e.Name, e.Verdict)
		}
		p.must(p.ledger.Approve(t.Context(), id, "anna"))
		p.await(id, ledger.Delivered, ledger.Rejected)
	}
}

func TestAJobThatAsksForApprovalWaitsForIt(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines+"approve: true")
	id := p.land1("1.csv", orderLines(1, 3))
	if e := p.work(id); e.State != ledger.Held {
		t.Fatalf("the entry is %s", e.State)
	}
	p.run()
	p.must(p.ledger.Approve(t.Context(), id, "anna"))
	if e := p.await(id, ledger.Delivered); e.Messages != 3 {
		t.Errorf("%d messages", e.Messages)
	}
}

func TestAnEntryCancelledWhileItIsWorkedLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 4500} { // nothing staged yet, and much
		p := newPlant(t, "orders", rows)
		var id int64
		p.ask = func(time.Time, time.Time) (*Rows, error) {
			return rowsOf(n, func(i int) {
				if i == n-1 {
					p.check(p.ledger.Cancel(context.Background(), id, "anna"))
				}
			}), nil
		}
		id = p.tick("orders").ID
		if e := p.work(id); e.State != ledger.Cancelled || e.Attempts != 0 {
			t.Errorf("%d rows: the entry is %s after %d attempts (%s)", n, e.State, e.Attempts, e.Reason)
		}
		p.is(0, `SELECT count(*) FROM batches`)
		p.is(0, `SELECT count(*) FROM payloads`)
	}
}

func TestAReplaySendsTheSameAndARerenderedOneUnderKeysOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines)
	p.run()
	id := p.land1("1.csv", orderLines(1, 2300))
	p.await(id, ledger.Delivered)
	first := p.erp.keys()
	p.erp.got = nil
	again, err := p.ledger.Replay(t.Context(), id, "anna", false)
	p.must(err)
	if e := p.await(again.ID, ledger.Delivered); e.Messages != 2300 || e.Records != 2300 || e.Run != 2 {
		t.Errorf("the replay is run %d with %d records, %d messages", e.Run, e.Records, e.Messages)
	}
	if second := p.erp.keys(); !alike(first, second) {
		t.Errorf("a replay sent %d other keys", len(second))
	}
	p.erp.got = nil
	anew, err := p.ledger.Replay(t.Context(), id, "anna", true)
	p.must(err)
	p.await(anew.ID, ledger.Delivered)
	third := p.erp.keys()
	if len(third) != 2300 || slices.ContainsFunc(third, func(k string) bool { return slices.Contains(first, k) }) {
		t.Errorf("rendered anew %d messages went out, some under old keys", len(third))
	}
}

func alike(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

func TestAReplayOfWhichRetentionRemovedAPartReadsTheFileAgain(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines)
	stop := p.run()
	id := p.land1("1.csv", orderLines(1, 2300))
	p.await(id, ledger.Delivered)
	first := p.erp.keys()
	stop()
	p.must(p.db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE batches SET finished = 1 WHERE id = 1`)
		return err
	}))
	if n, err := p.outbox.Prune(t.Context(), 24*time.Hour); n != 1 || err != nil {
		t.Fatalf("%d batches were pruned, %v", n, err)
	}
	p.erp.got = nil
	p.run()
	again, err := p.ledger.Replay(t.Context(), id, "anna", false)
	p.must(err)
	p.await(again.ID, ledger.Delivered)
	if !alike(first, p.erp.keys()) {
		t.Errorf("the replay sent %d messages, not the same %d", len(p.erp.keys()), len(first))
	}
}

func TestWorkThatPanicsIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", rows)
	asked := 0
	p.ask = func(time.Time, time.Time) (*Rows, error) {
		asked++
		return rowsOf(2500, func(i int) {
			if asked == 1 && i == 2400 {
				panic("the plan has a hole")
			}
		}), nil
	}
	id := p.tick("orders").ID
	e := p.work(id)
	if e.State != ledger.Received || e.Attempts != 1 || !strings.Contains(e.Reason, "the plan has a hole") || !e.Due.After(p.now()) {
		t.Errorf("after the panic the entry is %s, attempts %d, due in %s: %s", e.State, e.Attempts, e.Due.Sub(p.now()), e.Reason)
	}
	p.is(0, `SELECT count(*) FROM batches`)
	if e := p.work(id); e.Attempts != 1 || asked != 1 {
		t.Error("it was tried again before it was due")
	}
	p.ahead.Add(int64(time.Minute))
	if e := p.work(id); e.State != ledger.Accepted || e.Messages != 2500 {
		t.Errorf("then the entry is %s with %d messages", e.State, e.Messages)
	}
}

func TestAQueryThatFailsIsAskedAgainForTheSameWindow(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", rows)
	type window struct{ from, to time.Time }
	var asked []window
	p.ask = func(from, to time.Time) (*Rows, error) {
		asked = append(asked, window{from, to})
		switch len(asked) {
		case 1:
			return nil, errors.New("connection refused")
		case 2:
			return &Rows{Columns: []string{"no"}, All: func(yield func([]formats.Cell, error) bool) {
				yield(nil, errors.New("connection lost"))
			}}, nil
		}
		return rowsOf(3, func(int) {}), nil
	}
	id := p.tick("orders").ID
	var pauses []time.Duration
	for _, want := range []string{"connection refused", "connection lost"} {
		e := p.work(id)
		if e.State != ledger.Received || !strings.Contains(e.Reason, want) {
			t.Errorf("the entry is %s (%s), want received (%s)", e.State, e.Reason, want)
		}
		pauses = append(pauses, e.Due.Sub(p.now()))
		p.ahead.Add(int64(time.Hour))
	}
	if pauses[1] <= pauses[0] {
		t.Errorf("pauses do not grow: %v", pauses)
	}
	if e := p.work(id); e.State != ledger.Accepted || e.Messages != 3 || e.Attempts != 2 {
		t.Errorf("the entry is %s with %d messages after %d attempts", e.State, e.Messages, e.Attempts)
	}
	if len(asked) != 3 || asked[0] != asked[1] || asked[1] != asked[2] {
		t.Errorf("windows: %v", asked)
	}
}

func TestAFileOfTwoJobsIsClosedWhenBothAreDone(t *testing.T) {
	t.Parallel()
	strict := strings.Replace(lines, "qty: {type: integer", "qty: {type: integer, max: 10", 1)
	p := newPlant(t, "first", lines, "second", strict)
	for _, c := range []struct{ text, fate string }{{orderLines(1, 3), "done"}, {orderLines(1, 30), "failed"}} {
		entries := p.land(c.fate+".csv", c.text)
		if len(entries) != 2 {
			t.Fatalf("%d entries", len(entries))
		}
		state := func() int64 {
			return p.count(`SELECT count(*) FROM files WHERE id = ? AND state = 'closable' AND reason = ?`, entries[0].File, c.fate)
		}
		for i, e := range entries {
			if state() != 0 {
				t.Errorf("%s: closable with %d of 2 entries done", c.fate, i)
			}
			stop := p.run2(e.ID)
			p.await(e.ID, ledger.Delivered, ledger.Rejected)
			stop()
		}
		if state() != 1 {
			t.Errorf("both are done, but the file is not closable as %s", c.fate)
		}
	}
}

// run2 works one entry, delivers it and settles it, as `waybill run` does.
func (p *plant) run2(id int64) (stop func()) {
	p.t.Helper()
	p.work(id)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.check(p.outbox.Run(ctx, time.Second))
	}()
	p.until(func() bool {
		_, err := p.worker.Settle(ctx)
		p.must(err)
		return p.entry(id).State != ledger.Accepted
	}, func() string { return "it does not settle" })
	return func() { cancel(); <-ended }
}

func TestAFileThatAJobWritesGoesWithItsLastMessage(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "lists", lists)
	stop := p.run()
	id := p.land1("1.csv", orderLines(1, 20_000)) // in a file of the spool
	p.await(id, ledger.Delivered)
	again, err := p.ledger.Replay(t.Context(), id, "anna", false)
	p.must(err)
	p.await(again.ID, ledger.Delivered)
	got := p.erp.bodies()
	if len(got) != 2 || got[0] != got[1] || strings.Count(got[0], "\n") != 20_000 {
		t.Fatalf("%d files arrived", len(got))
	}
	stop()
	p.is(2, `SELECT count(*) FROM objects`)
	p.is(2, `SELECT count(*) FROM outputs`)
	p.must(p.db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE batches SET finished = 1 WHERE parent = ?`, id)
		return err
	}))
	p.prune(1) // the run that was first; its replay refers to the file still
	p.is(2, `SELECT count(*) FROM objects`)
	if body, err := p.message(again.ID); err != nil || body != got[0] {
		t.Errorf("the replay's message cannot be read any more: %v", err)
	}
	p.ahead.Add(int64(48 * time.Hour))
	p.prune(1)
	p.is(1, `SELECT count(*) FROM objects`)
	p.is(0, `SELECT count(*) FROM outputs`)
}

func (p *plant) prune(want int64) {
	p.t.Helper()
	if n, err := p.outbox.Prune(p.t.Context(), 24*time.Hour); n != want || err != nil {
		p.t.Errorf("%d batches were pruned, %v; want %d", n, err, want)
	}
}

// message returns the body of the only message of an entry.
func (p *plant) message(id int64) (string, error) {
	p.t.Helper()
	batches, err := p.outbox.Batches(p.t.Context(), id)
	p.must(err)
	ms, err := p.outbox.Messages(p.t.Context(), batches[0], 0, 1)
	p.must(err)
	r, err := p.spool.Reader(p.t.Context(), ms[0].Object)
	if err != nil {
		return "", err
	}
	defer func() { p.check(r.Close()) }()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestAReplayWhoseFileIsGoneIsRejectedWithTheReason(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "raw", `{receive: {source: in}, read: none, send: [{to: files, each: file, name: "{file.name}"}]}`)
	stop := p.run()
	id := p.land1("1.bin", "some bytes")
	p.await(id, ledger.Delivered)
	stop()
	p.must(p.ledger.Closed(t.Context(), []ledger.ClosedFile{{ID: p.entry(id).File}}))
	p.ahead.Add(int64(time.Hour))
	_, err := p.ledger.Prune(t.Context(), ledger.Retain{Files: time.Minute})
	p.must(err)
	again, err := p.ledger.Replay(t.Context(), id, "anna", false)
	p.must(err)
	if e := p.work(again.ID); e.State != ledger.Rejected || !strings.Contains(e.Reason, "removed by retention") {
		t.Errorf("the replay is %s (%s)", e.State, e.Reason)
	}
}

func TestWhatAKilledProcessLeftOfAnEntryIsRemoved(t *testing.T) {
	t.Parallel()
	for _, cancelled := range []bool{false, true} {
		p := newPlant(t, "both", both)
		id := p.land1("1.csv", orderLines(1, 1100))
		claimed, err := p.ledger.ClaimOnly(t.Context(), id)
		p.must(err)
		if _, err := p.worker.work(t.Context(), p.worker.Jobs().Plans[0], claimed[0], nearby{}); err != nil { // and not accepted
			t.Fatal(err)
		}
		p.is(1, `SELECT count(*) FROM batches WHERE state = 'staged'`)
		p.is(2, `SELECT count(*) FROM objects`)
		p.wire(p.worker.Jobs()) // started again
		p.prune(0)
		p.is(2, `SELECT count(*) FROM objects`) // it will be worked again
		want := int64(1)
		if cancelled {
			p.must(p.ledger.Cancel(t.Context(), id, "anna"))
			p.prune(0)
			p.is(0, `SELECT count(*) FROM batches`)
		} else {
			if e := p.work(id); e.State != ledger.Accepted || e.Messages != 1101 {
				t.Errorf("worked again it is %s with %d messages", e.State, e.Messages)
			}
			p.is(0, `SELECT count(*) FROM batches WHERE state = 'staged'`)
			p.is(1100, `SELECT count(*) FROM keys`)
			want = 2
		}
		p.is(want, `SELECT count(*) FROM objects`)
		p.is(want-1, `SELECT count(*) FROM outputs`)
		if other := p.work(p.land1("2.csv", orderLines(1, 10))); cancelled && other.Messages != 11 || !cancelled && other.Messages != 0 {
			t.Errorf("cancelled %t: the same orders again gave %d messages", cancelled, other.Messages)
		}
	}
}

var _ outbox.Target = (*inbox)(nil)
