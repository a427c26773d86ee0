package jobs

import (
	"strings"
	"testing"
	"time"

	"waybill/formats"
	"waybill/ledger"
	"waybill/store"
)

// uniqueJob is a job with check.unique as said.
func uniqueJob(say string) string { return lines + "check: {unique: {key: =no" + say + "}}" }

func TestAKeyOfAnEarlierFileIsSkippedRejectedOrProcessed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		say, text string
		state     ledger.State
		messages  int64
	}{
		{"", "A-1;1\nA-9;9\n", ledger.Accepted, 1},
		{", same: process", "A-1;1\nA-9;9\n", ledger.Accepted, 2},
		{", same: reject", "A-1;1\nA-9;9\n", ledger.Rejected, 0},
		{"", "A-1;100\nA-9;9\n", ledger.Rejected, 0},
		{", other: process", "A-1;100\nA-9;9\n", ledger.Accepted, 2},
		{", other: skip", "A-1;100\nA-9;9\n", ledger.Accepted, 1},
		{", other: skip", "A-9;9\nA-9;9\nA-9;10\n", ledger.Accepted, 1},            // within one file
		{", other: process", "A-9;9\nA-9;10\nA-9;10\nA-9;9\n", ledger.Accepted, 3}, // each against the one before
	} {
		p := newPlant(t, "orders", uniqueJob(c.say))
		first := p.land1("1.csv", orderLines(1, 5))
		p.work(first)
		e := p.work(p.land1("2.csv", "no;qty\n"+c.text))
		if e.State != c.state || e.Messages != c.messages {
			t.Errorf("unique%s, %q: %s with %d messages (%s), want %s with %d", c.say, c.text, e.State, e.Messages, e.Reason, c.state, c.messages)
		}
		if c.state != ledger.Rejected {
			continue
		}
		rejects, err := p.ledger.Rejects(t.Context(), e.ID)
		p.must(err)
		if len(rejects) != 1 || rejects[0].Line != 2 || !strings.Contains(rejects[0].Reason, "(#1)") {
			t.Errorf("unique%s: rejects %+v", c.say, rejects)
		}
	}
}

func TestKeysOfARejectedFileDoNotCount(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", uniqueJob(""))
	if e := p.work(p.land1("1.csv", orderLines(1, 600)+"A-bad;x\n")); e.State != ledger.Rejected {
		t.Fatalf("the first is %s", e.State)
	}
	if e := p.work(p.land1("1.csv", orderLines(1, 600))); e.State != ledger.Accepted || e.Messages != 600 {
		t.Errorf("the corrected file is %s with %d messages", e.State, e.Messages)
	}
}

func TestContentThatWasReplacedByARejectedFileIsKnownAgain(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", uniqueJob(", other: process"))
	p.work(p.land1("1.csv", orderLines(1, 5)))
	if e := p.work(p.land1("2.csv", "no;qty\nA-1;7\nA-bad;x\n")); e.State != ledger.Rejected {
		t.Fatalf("the second is %s", e.State)
	}
	if e := p.work(p.land1("3.csv", "no;qty\nA-1;1\nA-8;8\n")); e.Messages != 1 {
		t.Errorf("%d messages, want A-8 alone", e.Messages)
	}
	if e := p.work(p.land1("4.csv", "no;qty\nA-1;7\n")); e.Messages != 1 {
		t.Errorf("the changed order gave %d messages", e.Messages)
	}
	if e := p.work(p.land1("5.csv", "no;qty\nA-1;7\nA-10;10\n")); e.Messages != 1 {
		t.Errorf("the changed order came again: %d messages, want A-10 alone", e.Messages)
	}
}

func TestAReplayRenderedAnewMeetsItsOwnKeys(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", uniqueJob(", same: reject"))
	stop := p.run()
	id := p.land1("1.csv", orderLines(1, 300))
	p.await(id, ledger.Delivered)
	again, err := p.ledger.Replay(t.Context(), id, "anna", true)
	p.must(err)
	if e := p.await(again.ID, ledger.Delivered, ledger.Rejected); e.State != ledger.Delivered || e.Messages != 300 {
		t.Errorf("the replay is %s with %d messages (%s)", e.State, e.Messages, e.Reason)
	}
	third, err := p.ledger.Replay(t.Context(), id, "anna", true)
	p.must(err)
	if e := p.await(third.ID, ledger.Delivered, ledger.Rejected); e.State != ledger.Delivered {
		t.Errorf("the replay after it is %s (%s)", e.State, e.Reason)
	}
	stop()
	if e := p.work(p.land1("2.csv", orderLines(300, 301))); e.State != ledger.Rejected {
		t.Errorf("another file with a key of it is %s", e.State)
	}
}

func TestKeysOutliveTheirEntryAndEndWithTheirTime(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		say  string
		left int64
	}{{", for: 720h", 0}, {", for: 0s", 5}} { // 0 is for ever
		p := newPlant(t, "orders", uniqueJob(c.say))
		stop := p.run()
		for i, text := range []string{orderLines(1, 5), orderLines(6, 8) + "A-bad;x\n"} {
			id := p.land1([]string{"1.csv", "2.csv"}[i], text)
			f := p.await(id, ledger.Delivered, ledger.Rejected).File
			p.must(p.ledger.Closed(t.Context(), []ledger.ClosedFile{{ID: f}}))
		}
		stop()
		p.ahead.Add(int64(20 * day))
		pruned, err := p.ledger.Prune(t.Context(), ledger.Retain{Files: day, Entries: day})
		p.must(err)
		if pruned.Entries != 2 {
			t.Fatalf("%d entries were pruned", pruned.Entries)
		}
		if e := p.work(p.land1("3.csv", "no;qty\nA-1;1\nA-6;6\n")); e.Messages != 1 {
			t.Errorf("unique%s: %d messages, want A-6 alone, which was only in a rejected file", c.say, e.Messages)
		}
		p.ahead.Add(int64(20 * day))
		n, err := p.worker.Expire(t.Context())
		p.must(err)
		if n != 5-c.left {
			t.Errorf("unique%s: %d keys ended, want %d", c.say, n, 5-c.left)
		}
		want := int64(1) // only the latter is new when keys stay for ever
		if c.left == 0 {
			want = 2
		}
		if e := p.work(p.land1("4.csv", "no;qty\nA-5;5\nA-20;20\n")); e.Messages != want {
			t.Errorf("unique%s: after 40 days %d messages, want %d", c.say, e.Messages, want)
		}
	}
}

func TestARowOfOverlappingWindowsGoesOutOnceAndAgainWhenItChanged(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", `
schedule: {cron: "0 * * * *"}
query: {connection: shop, sql: "select 1", window: {back: 2h, key: =no}}
read: {fields: {no: {required: true}, qty: {required: true}}}
send: [{to: erp, path: /orders, key: =no}]
`)
	var table []string
	p.ask = func(time.Time, time.Time) (*Rows, error) {
		return &Rows{Columns: []string{"no", "qty"}, All: func(yield func([]formats.Cell, error) bool) {
			for _, row := range table {
				no, qty, _ := strings.Cut(row, ";")
				if !yield([]formats.Cell{{Kind: formats.Text, Bytes: []byte(no)}, {Kind: formats.Text, Bytes: []byte(qty)}}, nil) {
					return
				}
			}
		}}, nil
	}
	for i, step := range []struct {
		rows string
		want int64
	}{{"A-1;1 A-2;2", 2}, {"A-1;1 A-2;2", 0}, {"A-1;1 A-2;3", 1}, {"A-1;1 A-2;3 A-3;3", 1}, {"A-2;3", 0}, {"A-2;2", 1}} {
		table = strings.Fields(step.rows)
		if e := p.work(p.tick("orders").ID); e.Messages != step.want {
			t.Errorf("window %d with %s: %d messages (%s %s), want %d", i+1, step.rows, e.Messages, e.State, e.Reason, step.want)
		}
		p.ahead.Add(int64(time.Hour))
	}
}

func TestAReplayMeetsTheKeysOfARunThatRetentionHasRemoved(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	p := newPlant(t, "orders", uniqueJob(", for: 0s"))
	stop := p.run()
	id := p.land1("1.csv", orderLines(1, 3))
	p.must(p.ledger.Closed(t.Context(), []ledger.ClosedFile{{ID: p.await(id, ledger.Delivered).File}}))
	p.ahead.Add(int64(20 * day))
	replay := func(of int64) ledger.Entry {
		e, err := p.ledger.Replay(t.Context(), of, "anna", true)
		p.must(err)
		return p.await(e.ID, ledger.Delivered)
	}
	second := replay(id)
	if second.Messages != 3 {
		t.Fatalf("%d messages: %s", second.Messages, second.Reason)
	}
	if _, err := p.ledger.Prune(t.Context(), ledger.Retain{Files: 90 * day, Entries: 10 * day}); err != nil {
		t.Fatal(err)
	}
	if n := p.count(`SELECT count(*) FROM entries WHERE id = 1`); n != 0 {
		p.must(p.db.Tx(t.Context(), func(tx *store.Tx) error { // as retention does with the run of a file that has gone
			_, err := tx.Exec(`DELETE FROM entries WHERE id = 1`)
			return err
		}))
	}
	if third := replay(second.ID); third.Messages != 3 {
		t.Errorf("%d messages: %s", third.Messages, third.Reason)
	}
	stop()
	for text, want := range map[string]string{
		"no;qty\nA-1;1\nA-2;2\n":             "nothing to send: each record was taken before, with the same content (check.unique)",
		"no;qty\nA-3;3\n":                    "nothing to send: each record was taken before, with the same content (check.unique)",
		"no;qty\nA-1;1\nA-2;2\nA-9;x\nA-3;3": "",
	} {
		e := p.work(p.land1("again.csv", text))
		if want == "" {
			if e.State != ledger.Rejected {
				t.Errorf("%s: %s", e.State, e.Reason)
			}
		} else if e.State != ledger.Delivered || e.Reason != want {
			t.Errorf("%s: %s, want %s", e.State, e.Reason, want)
		}
	}
}
