package jobs

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waybill/ledger"
	"waybill/store"
)

// Jobs of sets that are named alike and differ in what they wait for.
var (
	withoutTrailer = strings.NewReplacer(`    trailer: {files: "{no}_end.csv", format: csv, fields: {sum: {type: decimal}}}`+"\n", "", " and totals.sum == trailer.sum", "").Replace(togetherJob)
	alone          = "receive: {source: in, files: \"{no}_lines.csv\"}\nread: {format: csv, fields: {sku: {required: true}}}\nsend: [{to: erp, key: [=file.part.no, =sku], body: {sku: =sku}}]\n"
)

// loaded puts other jobs in force, as a reload or a restart does, and returns what became of what waits for files.
func (p *plant) loaded(jobs ...string) []ledger.Entry {
	p.t.Helper()
	set := p.set(jobs...)
	p.wire(set)
	look := func() (list []ledger.Entry) {
		p.must(p.ledger.Regather(p.t.Context(), func(job string) bool { return set.Plan(job) != nil && !set.Plan(job).options.Drain },
			func(e ledger.Entry) { list = append(list, e) }))
		return list
	}
	list := look()
	if more := look(); len(more) > 0 {
		p.t.Errorf("looked at once more it changes again: %+v", more)
	}
	return list
}

func TestWhatAJobNeedsNoMoreIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	type file struct{ which, state, reason string }
	for name, test := range map[string]struct {
		come []string
		job  string
		want string // state and reason of the entry
		left []file
	}{
		"complete now": {[]string{"lines", "head"}, withoutTrailer, "accepted ", []file{{"head", "landed", ""}, {"lines", "landed", ""}}},
		"complete but for a part nobody wants": {[]string{"head", "lines"}, alone, "accepted ",
			[]file{{"head", "landed", "no job takes this name"}, {"lines", "landed", ""}}},
		"one is still missing": {[]string{"end", "lines"}, withoutTrailer, "held waits for 1_head.csv", []file{{"end", "landed", "no job takes this name"}, {"lines", "landed", ""}}},
		"nothing of it is wanted": {[]string{"end", "head"}, alone, "cancelled no job takes its files together any more",
			[]file{{"end", "closable", "failed"}, {"head", "closable", "failed"}}},
		"only what nobody wants has come": {[]string{"end"}, withoutTrailer, "cancelled no job takes its files together any more", []file{{"end", "closable", "failed"}}},
		"all as it was":                   {[]string{"end", "head"}, togetherJob, "held waits for 1_lines.csv", []file{{"end", "landed", ""}, {"head", "landed", ""}}},
		"it takes nothing new":            {[]string{"end", "head"}, alone + "drain: true\n", "held waits for 1_lines.csv", []file{{"end", "landed", ""}, {"head", "landed", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, "orders", togetherJob)
			for _, which := range test.come {
				p.part("1", which, threeFiles[which])
			}
			list := p.loaded("orders", test.job)
			e := p.entry(1)
			if e.State == ledger.Received {
				e = p.work(1)
			}
			if got := string(e.State) + " " + e.Reason; got != test.want {
				t.Errorf("it is %s, want %s", got, test.want)
			}
			if unchanged := name == "all as it was" || name == "it takes nothing new"; unchanged != (len(list) == 0) {
				t.Errorf("%d were changed", len(list))
			}
			var left []file
			for _, f := range test.left {
				var got file
				p.must(p.db.Reader(t.Context()).QueryRow(`SELECT ?, state, reason FROM files WHERE path = ?`, f.which, []byte("1_"+f.which+".csv")).Scan(&got.which, &got.state, &got.reason))
				left = append(left, got)
			}
			if diff := cmp.Diff(test.left, left, cmp.AllowUnexported(file{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A part that another job takes by itself now comes to that one.
func TestAPartThatIsTakenByItselfNowComesToThatJob(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", togetherJob)
	p.part("1", "end", threeFiles["end"])
	p.part("1", "head", threeFiles["head"])
	p.loaded("orders", withoutTrailer, "ends", strings.ReplaceAll(alone, "_lines", "_end"))
	_, entries, err := p.ledger.Land(t.Context(), ledger.Arrival{Source: "in", Path: "1_end.csv", Version: "v1"}, strings.NewReader("sku\nA\n"))
	p.must(err)
	if len(entries) != 1 || entries[0].Job != "ends" || entries[0].State != ledger.Received {
		t.Errorf("%+v", entries)
	}
	if e := p.part("1", "lines", threeFiles["lines"]); e.ID != 1 || e.State != ledger.Received {
		t.Errorf("#%d is %s: %s", e.ID, e.State, e.Reason)
	}
}

// Where the parts in braces are other ones, what belongs together is found by them.
func TestSetsAreFoundByThePartsInBracesOfNow(t *testing.T) {
	t.Parallel()
	swapped := func(a, b string) string {
		return strings.NewReplacer("{no}", "{"+a+"}-{"+b+"}", "file.part.no", "file.part.no, =file.part.day").Replace(togetherJob)
	}
	p := newPlant(t, "orders", swapped("no", "day"))
	p.part("1-2", "head", threeFiles["head"])
	p.part("2-1", "head", threeFiles["head"]+"\n")
	if list := p.loaded("orders", swapped("day", "no")); len(list) != 0 { // each has the key now that the other one had
		t.Errorf("%+v", list)
	}
	p.part("2-1", "lines", threeFiles["lines"])
	if e := p.part("2-1", "end", threeFiles["end"]); e.ID != 2 || e.State != ledger.Received {
		t.Errorf("#%d is %s: %s", e.ID, e.State, e.Reason)
	}
	p.is(1, `SELECT COUNT(*) FROM incomplete WHERE length(key) = 16`)
}

// A job that takes over the entries of another one may wait for the same files.
func TestAJobRenamedOntoOneThatWaitsForTheSameFilesHasOneSetOfThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		old, now []string
		want     []string // entries, by number
	}{
		"each has another file":             {[]string{"1_head"}, []string{"1_end"}, []string{"cancelled its files are those of #2, which waits for the same", "held waits for 1_lines.csv"}},
		"all have come now":                 {[]string{"1_head", "1_lines"}, []string{"1_end"}, []string{"cancelled its files are those of #2, which waits for the same", "received "}},
		"both have the file that is worked": {[]string{"1_lines"}, []string{"1_lines", "1_end"}, []string{"cancelled its files are those of #2, which waits for the same", "held waits for 1_head.csv"}},
		"other names for the same part": {[]string{"1_lines_b"}, []string{"1_lines"}, []string{"rejected 1_lines.csv belongs to #2, which waits for the same files: send those of this one again under names that tell them apart",
			"held waits for 1_head.csv and 1_end.csv"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := strings.Replace(togetherJob, "{no}_lines.csv", "{no}_lines*.csv", 1)
			p := newPlant(t, "old", job)
			for _, f := range test.old {
				p.land(f+".csv", f)
			}
			p.wire(p.set("orders", job))
			for _, f := range test.now {
				p.land(f+".csv", f)
			}
			items := []ledger.Named{{Kind: ledger.Job, Name: "orders", Formerly: "old"}}
			p.must(p.ledger.Adopt(t.Context(), items, func(*store.Tx, ledger.Named) error { return nil }, func(ledger.Origins) {}))
			p.loaded("orders", job)
			var got []string
			for i := range test.want {
				e := p.entry(int64(i + 1))
				if e.Job != "orders" {
					t.Error(e.Job)
				}
				got = append(got, string(e.State)+" "+strings.ReplaceAll(e.Reason, "lines*", "lines"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			p.is(0, `SELECT COUNT(*) FROM incomplete i JOIN names n ON n.id = i.job WHERE n.name <> 'orders'`)
			p.is(0, `SELECT COUNT(*) FROM (SELECT file FROM companions GROUP BY file HAVING COUNT(*) > 1)`)
		})
	}
}

// What one of two entries has that nobody wants any more is neither closed as if it had been read nor forgotten when they become one.
func TestEntriesThatBecomeOneLeaveWhatNobodyWantsWhereItLies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		old, now []string
		state    ledger.State
		kept     int64
	}{
		"of the one that ends":        {[]string{"1_head", "1_end"}, []string{"1_lines"}, ledger.Received, 2},
		"of the one that goes on":     {[]string{"1_head"}, []string{"1_lines", "1_end"}, ledger.Received, 2},
		"all of the one that goes on": {[]string{"1_head"}, []string{"1_end"}, ledger.Held, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, "old", togetherJob)
			for _, f := range test.old {
				p.land(f+".csv", threeFiles[f[2:]])
			}
			p.wire(p.set("orders", togetherJob))
			for _, f := range test.now {
				p.land(f+".csv", threeFiles[f[2:]])
			}
			items := []ledger.Named{{Kind: ledger.Job, Name: "orders", Formerly: "old"}}
			p.must(p.ledger.Adopt(t.Context(), items, func(*store.Tx, ledger.Named) error { return nil }, func(ledger.Origins) {}))
			p.loaded("orders", withoutTrailer)
			if e := p.entry(2); e.State != test.state {
				t.Errorf("it is %s: %s", e.State, e.Reason)
			}
			p.is(1, `SELECT COUNT(*) FROM files WHERE path = CAST('1_end.csv' AS BLOB) AND state = 'landed' AND reason = ?`, ledger.NoJob)
			p.is(test.kept, `SELECT COUNT(*) FROM files WHERE state = 'landed' AND reason = ''`)
		})
	}
}

func TestOfTwoFilesForOnePartTheOneThatStaysIsClosedWithItsEntry(t *testing.T) {
	t.Parallel()
	job := strings.Replace(togetherJob, "{no}_head.csv", "{no}_head*.csv", 1)
	p := newPlant(t, "old", job)
	p.land("1_head_b.csv", "b")
	p.land("1_end.csv", "end")
	p.wire(p.set("orders", job))
	p.land("1_head.csv", "a")
	items := []ledger.Named{{Kind: ledger.Job, Name: "orders", Formerly: "old"}}
	p.must(p.ledger.Adopt(t.Context(), items, func(*store.Tx, ledger.Named) error { return nil }, func(ledger.Origins) {}))
	p.loaded("orders", strings.Replace(withoutTrailer, "{no}_head.csv", "{no}_head*.csv", 1))
	p.is(1, `SELECT COUNT(*) FROM entries WHERE state = 'rejected'`)
	p.is(1, `SELECT COUNT(*) FROM files WHERE path = CAST('1_head_b.csv' AS BLOB) AND state = 'closable' AND reason = 'failed'`)
	p.is(1, `SELECT COUNT(*) FROM files WHERE path = CAST('1_end.csv' AS BLOB) AND state = 'landed' AND reason = ?`, ledger.NoJob)
}

// What a partner has sent is listed by no source once more: a part of his that is another entry's now goes there at once.
func TestAPartThatAPartnerHasSentGoesWhereItBelongsNow(t *testing.T) {
	t.Parallel()
	single := "receive: {source: in, files: [\"{no}_lines.csv\", \"{no}_end.csv\"]}\nread: {format: csv, fields: {sku: {}}}\nsend: [{to: erp, key: [=file.part.no, =file.name], body: {sku: =sku}}]\n"
	other := strings.ReplaceAll(alone, "_lines", "_end")
	for name, test := range map[string]struct {
		jobs []string
		want []string // state and job of the entries
	}{
		"to its own job, by itself": {[]string{"orders", single}, []string{"orders received", "orders received"}},
		"to another one":            {[]string{"orders", alone, "ends", other}, []string{"orders received", "ends received"}},
		"to nobody":                 {[]string{"orders", alone}, []string{"orders received"}},
		"to one that waits as well": {[]string{"orders", alone, "ends", strings.NewReplacer(`"{no}_end.csv"`, `"{no}_lines.csv"`, `"{no}_lines.csv"`, `"{no}_end.csv"`,
			"and totals.sum == trailer.sum", "").Replace(togetherJob)}, []string{"orders received", "ends held"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, "orders", togetherJob)
			if first, second := p.drop("acme", "1_end.csv", threeFiles["end"]), p.drop("acme", "1_lines.csv", threeFiles["lines"]); first != 1 || second != 1 {
				t.Fatal(first, second)
			}
			p.loaded(test.jobs...)
			var got []string
			for i := range p.count(`SELECT COUNT(*) FROM entries`) {
				e := p.entry(i + 1)
				got = append(got, e.Job+" "+string(e.State))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			p.is(0, `SELECT COUNT(*) FROM files WHERE state <> 'landed'`)
			if len(got) > 1 {
				p.is(0, `SELECT COUNT(*) FROM files WHERE reason <> '' OR closed IS NOT NULL OR object IS NULL`)
			}
		})
	}
}

func TestAnEntryThatWentIntoAnotherOneIsNotReplayed(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "old", togetherJob)
	p.part("1", "head", threeFiles["head"])
	p.wire(p.set("orders", togetherJob))
	p.part("1", "end", threeFiles["end"])
	items := []ledger.Named{{Kind: ledger.Job, Name: "orders", Formerly: "old"}}
	p.must(p.ledger.Adopt(t.Context(), items, func(*store.Tx, ledger.Named) error { return nil }, func(ledger.Origins) {}))
	p.loaded("orders", togetherJob)
	_, err := p.ledger.Replay(t.Context(), 1, "anna", false)
	if err == nil || err.Error() != "replay #1: replay #1: it is cancelled: its files are those of #2, which waits for the same: replay that one" {
		t.Error(err)
	}
}

// A process may die between the two looks, and between two sets of the second: the next one goes on where it was.
func TestWhatWaitsForFilesIsLookedAtWholeHoweverOftenThatIsBrokenOff(t *testing.T) {
	t.Parallel()
	const sets = 450 // three sets of 200
	p := newPlant(t, "orders", togetherJob)
	for i := range sets {
		no := fmt.Sprint(i)
		p.part(no, "lines", threeFiles["lines"]+no)
		p.part(no, "head", threeFiles["head"]+no)
	}
	set := p.set("orders", withoutTrailer)
	p.wire(set)
	told := map[int64]int{}
	for breaks := range 6 { // after as many transactions
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		err := p.ledger.Regather(ctx, func(string) bool {
			if asked++; asked == (breaks+1)*200 {
				cancel() // the next one is not begun
			}
			return true
		}, func(e ledger.Entry) { told[e.ID]++ })
		cancel()
		if done := asked < (breaks+1)*200; done != (err == nil) {
			t.Errorf("broken off at %d: %v", asked, err)
		}
	}
	p.is(sets, `SELECT COUNT(*) FROM entries WHERE state = 'received'`)
	p.is(0, `SELECT COUNT(*) FROM incomplete`)
	for id := range int64(sets) {
		if told[id+1] != 1 {
			t.Fatalf("#%d was told of %d times", id+1, told[id+1])
		}
	}
}

// As where they come one after the other: whose files are not taken is told.
func TestWhoseFilesAreThoseOfAnotherEntryUnderOtherNamesIsTold(t *testing.T) {
	t.Parallel()
	job := strings.Replace(togetherJob, "{no}_lines.csv", "{no}_lines*.csv", 1) + "acknowledge: [{after: [rejected], to: sender}]\n"
	p := newPlant(t, "old", job)
	p.drop("acme", "1_lines_b.csv", "b")
	p.wire(p.set("orders", job))
	p.drop("acme", "1_lines.csv", "a")
	p.drop("other", "1_lines.csv", "c")
	items := []ledger.Named{{Kind: ledger.Job, Name: "orders", Formerly: "old"}}
	p.must(p.ledger.Adopt(t.Context(), items, func(*store.Tx, ledger.Named) error { return nil }, func(ledger.Origins) {}))
	p.loaded("orders", job)
	p.is(1, `SELECT COUNT(*) FROM entries WHERE state = 'rejected'`)
	p.is(1, `SELECT COUNT(*) FROM owed WHERE entry = 1 AND after = 'rejected' AND reason LIKE '%send those of this one again%'`)
	p.is(1, `SELECT COUNT(*) FROM owed`)
	p.is(1, `SELECT COUNT(*) FROM files WHERE path = CAST('acme/1_lines_b.csv' AS BLOB) AND state = 'closable' AND reason = 'failed'`)
}
