package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waybill/ledger"
)

const numberedJob = `
receive: {source: in}
identity: {by: name+content, redelivery: process, suspect: process}
read:
  format: fixed
  kind: 1
  header: {kind: H, fields: {account: {from: 2-4}, number: {from: 5-8, type: integer}}}
  fields: {x: {from: 2-}}
check: {sequence: {value: =header.number, per: =header.account, first: 1, MORE}}
send: [{to: erp, key: [=header.account, =header.number, =record.number], body: {n: =header.number, x: =x}}]
`

func numbered(more string) string { return strings.Replace(numberedJob, "MORE", more, 1) }

func statement(account string, number int) string {
	return fmt.Sprintf("H%s%04d\nLx\n", account, number)
}

func (p *plant) sequence(t *testing.T) string {
	t.Helper()
	var list []string
	rows, err := p.db.Reader(t.Context()).Query(`SELECT per, value, entry FROM sequences ORDER BY per`)
	p.must(err)
	defer func() { p.must(rows.Close()) }()
	for rows.Next() {
		var per string
		var value, entry int64
		p.must(rows.Scan(&per, &value, &entry))
		list = append(list, fmt.Sprintf("%s %d #%d", per, value, entry))
	}
	p.must(rows.Err())
	return strings.Join(list, ", ")
}

// lands lands and works a file, and says what became of it.
func (p *plant) lands(path, text string) (id int64, became string) {
	id = p.land1(path, text)
	e := p.work(id)
	return id, strings.TrimSuffix(fmt.Sprintf("#%d %s: %s", id, e.State, e.Reason), ": ")
}

func TestAMissingNumberHoldsTheFilesBehindItUntilItComes(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", numbered(""))
	for _, c := range []struct {
		path   string
		number int
		want   string
	}{
		{"a", 1, "#1 accepted"},
		{"b", 4, "#2 held: numbers 2 to 3 of ABC are missing before 4: the last was 1 (#1); approve takes it now and goes on from 4; else it goes on by itself when what is missing has been accepted"},
		{"c", 3, "#3 held: number 2 of ABC is missing before 3: the last was 1 (#1); approve takes it now and goes on from 3; else it goes on by itself when what is missing has been accepted"},
		{"d", 1, "#4 rejected: number 1 of ABC came before: the last was 1 (#1)"},
		{"e", 0, "#5 rejected: number 0 of ABC is old: the last was 1 (#1)"},
	} {
		if _, got := p.lands(c.path, statement("ABC", c.number)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	if _, got := p.lands("f", statement("XYZ", 3)); !strings.Contains(got, "held: numbers 1 to 2 of XYZ are missing before 3: the first is 1;") {
		t.Error(got)
	}
	if got := p.sequence(t); got != "ABC 1 #1" {
		t.Error(got)
	}
	if _, got := p.lands("g", statement("ABC", 2)); got != "#7 accepted" {
		t.Error(got)
	}
	if e := p.entry(3); e.State != ledger.Received || e.Reason != "" { // its number is the next
		t.Errorf("%s: %s", e.State, e.Reason)
	}
	if e := p.entry(2); e.State != ledger.Held {
		t.Errorf("%s: %s", e.State, e.Reason)
	}
	p.work(3)
	p.work(2)
	if got := p.sequence(t); got != "ABC 4 #2" {
		t.Error(got)
	}
	p.is(1, `SELECT COUNT(*) FROM awaited`) // that of XYZ
	p.is(2, `SELECT COUNT(*) FROM events WHERE kind = 'resume'`)
}

func TestApprovalTakesANumberOutOfOrder(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", numbered("old: hold, repeat: hold"))
	p.lands("a", statement("ABC", 1))
	gap, got := p.lands("b", statement("ABC", 5))
	if !strings.Contains(got, "held") {
		t.Fatal(got)
	}
	p.must(p.ledger.Approve(t.Context(), gap, "me"))
	if e := p.work(gap); e.State != ledger.Accepted || p.sequence(t) != "ABC 5 #2" {
		t.Errorf("%s %s, %s", e.State, e.Reason, p.sequence(t))
	}
	old, got := p.lands("c", statement("ABC", 3))
	if want := "#3 held: number 3 of ABC is old: the last was 5 (#2); approve takes it all the same, and the sequence stays at 5"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.must(p.ledger.Approve(t.Context(), old, "me"))
	if e := p.work(old); e.State != ledger.Accepted || p.sequence(t) != "ABC 5 #2" {
		t.Errorf("%s %s, %s", e.State, e.Reason, p.sequence(t))
	}
	if _, got := p.lands("d", statement("ABC", 5)); !strings.Contains(got, "held: number 5 of ABC came before: the last was 5 (#2)") {
		t.Error(got)
	}
}

func TestAReplayAndACorrectionDoNotMoveASequence(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", numbered(""))
	stop := p.run()
	for n := range 3 {
		p.await(p.land1(fmt.Sprint(n), statement("ABC", n+1)), ledger.Delivered)
	}
	for _, rerender := range []bool{false, true} {
		e, err := p.ledger.Replay(t.Context(), 1, "me", rerender)
		p.must(err)
		p.await(e.ID, ledger.Delivered)
	}
	if e := p.await(p.land1("1", "HABC0002\nLcorrected\n"), ledger.Rejected); e.Verdict != ledger.Correction || e.Reason != "number 2 of ABC is old: the last was 3 (#3)" {
		t.Errorf("%s: %s", e.Verdict, e.Reason)
	}
	rejected := p.land1("9", "HABC0003\nLx\n")
	p.await(rejected, ledger.Rejected)
	if e, err := p.ledger.Replay(t.Context(), rejected, "me", true); err != nil {
		t.Error(err)
	} else if got := p.await(e.ID, ledger.Rejected); !strings.Contains(got.Reason, "came before") { // it never counted, so it is judged again
		t.Error(got.Reason)
	}
	stop()
	if got := p.sequence(t); got != "ABC 3 #3" {
		t.Error(got)
	}
}

func TestNumbersOutOfOrderAreProcessedIfTheJobSaysSo(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", numbered("gap: process, repeat: process, old: process"))
	for i, n := range []int{3, 3, 2, 7} {
		if _, got := p.lands(fmt.Sprint(i), statement("ABC", n)); !strings.HasSuffix(got, " accepted") {
			t.Errorf("%d: %s", n, got)
		}
	}
	if got := p.sequence(t); got != "ABC 7 #4" {
		t.Error(got)
	}
}

// Files of the same accounts land in any order while they are worked: each account's are accepted in the order of their numbers.
func TestFilesOfOneSequenceThatComeAtOnceAreAcceptedInOrder(t *testing.T) {
	t.Parallel()
	const accounts, numbers = 3, 12
	p := newPlant(t, "statements", numbered(""))
	type file struct{ account, number int }
	var all []file
	for a := range accounts {
		for n := range numbers {
			all = append(all, file{a, n + 1})
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	p.run()
	for _, f := range all {
		p.land1(fmt.Sprintf("%d-%d", f.account, f.number), statement(fmt.Sprintf("AC%d", f.account), f.number))
	}
	p.until(func() bool {
		return p.count(`SELECT COUNT(*) FROM entries WHERE state = 'delivered'`) == accounts*numbers
	}, func() string {
		return fmt.Sprintf("%v: %d of %d are delivered, %s", all, p.count(`SELECT COUNT(*) FROM entries WHERE state = 'delivered'`), len(all), p.sequence(t))
	})
	for a := range accounts {
		prefix := fmt.Sprintf("%d-", a)
		p.is(0, `SELECT COUNT(*) FROM entries a JOIN entries b ON a.name LIKE ? AND b.name LIKE ? AND CAST(SUBSTR(a.name, 3) AS INTEGER) < CAST(SUBSTR(b.name, 3) AS INTEGER) AND a.accepted > b.accepted`, prefix+"%", prefix+"%")
	}
	p.is(0, `SELECT COUNT(*) FROM awaited`)
}

func TestATrialIsToldWhatItsNumberWouldDoAndDoesNotCount(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", numbered(""))
	land := func(number int) ledger.Entry {
		_, entries, err := p.ledger.Land(t.Context(), ledger.Arrival{Source: "in", Path: fmt.Sprint(number), Version: fmt.Sprint(number), Trial: true}, strings.NewReader(statement("ABC", number)))
		p.must(err)
		return p.work(entries[0].ID)
	}
	if e := land(1); e.State != ledger.Delivered {
		t.Errorf("%s %s", e.State, e.Reason)
	}
	if e := land(2); e.State != ledger.Delivered || !strings.Contains(e.Reason, "it would be held: number 1 of ABC is missing before 2") {
		t.Errorf("%s %s", e.State, e.Reason)
	}
	if got := p.sequence(t); got != "" {
		t.Error(got)
	}
	p.is(0, `SELECT COUNT(*) FROM awaited`)
}

// What another run counts between judging an entry and accepting it makes the entry be judged anew.
func TestASequenceThatMovedMeanwhileIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", numbered(""))
	plan := p.worker.Jobs().Plans[0]
	first, second := p.land1("a", statement("ABC", 1)), p.land1("b", statement("ABC", 1))
	entries, err := p.ledger.ClaimOnly(t.Context(), first, second)
	p.must(err)
	var done []*piece
	for _, e := range entries {
		d, err := p.worker.work(t.Context(), plan, e, nearby{})
		p.must(err)
		done = append(done, d)
	}
	for i, d := range done {
		p.worker.accept(t.Context(), []*piece{d})
		p.ledger.Release(entries[i])
	}
	if e := p.entry(second); e.State != ledger.Received || e.Attempts != 1 {
		t.Errorf("%s after %d attempts (%s)", e.State, e.Attempts, e.Reason)
	}
	if got := p.sequence(t); got != "ABC 1 #1" {
		t.Error(got)
	}
}

const numberedBlocks = `
receive: {source: in}
read:
  format: fixed
  kind: 1
  block: {header: {kind: H, fields: {account: {from: 2-4}, number: {from: 5-8, type: integer}}}}
  records: {line: {kind: L, fields: {x: {from: 2-}}}}
check: {sequence: {value: =header.number, per: [=header.account, =file.name], MORE}}
send: [{to: erp, for: line, body: {n: =header.number, x: =x}}]
`

func TestEachBlockMayHaveItsNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ more, file, want string }{
		{"gap: hold", statement("ABC", 4) + statement("XYZ", 9) + statement("ABC", 5), "accepted|ABC/f 4 5|XYZ/f 9 9"},
		{"gap: hold", statement("ABC", 4) + statement("ABC", 6), "held: number 5 of ABC/f is missing before 6: the last in this file was 4; approve takes it as it is"},
		{"gap: reject", statement("ABC", 4) + statement("ABC", 8), "rejected: line 3: numbers 5 to 7 of ABC/f are missing before 8: the last in this file was 4"},
		{"gap: process", statement("ABC", 4) + statement("ABC", 8), "accepted|ABC/f 4 8"},
		{"gap: hold", statement("ABC", 4) + statement("ABC", 4), "rejected: line 3: number 4 of ABC/f came before: the last in this file was 4"},
		{"old: process", statement("ABC", 4) + statement("ABC", 2), "accepted|ABC/f 4 4"},
	} {
		p := compile(t, strings.Replace(numberedBlocks, "MORE", c.more, 1))
		in := input("f", c.file)
		var asked []Number
		in.Sequence = func(_ context.Context, numbers []Number) (Judgement, error) {
			asked = slices.Clone(numbers)
			return Judgement{}, nil
		}
		o, err := p.Run(t.Context(), in, func(*Rendered) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSuffix(fmt.Sprintf("%s: %s", o.State, o.Reason), ": ")
		for _, n := range asked {
			got += fmt.Sprintf("|%s %d %d", n.Per, n.First, n.Last)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.more, d)
		}
	}
}

func TestWhatIsWrongWithASequenceIsTold(t *testing.T) {
	t.Parallel()
	const rest = `
receive: {source: in}
read: {format: csv, fields: {x: {}}}
send: [{to: erp}]
check: {sequence: `
	for _, c := range []struct{ sequence, want string }{
		{`{value: =header.number}`, "check.sequence.value: unknown name header"},
		{`{value: 7}`, `check.sequence.value: "7" is a plain text, which would be the same every time: write =7 for the field`},
		{`{value: =file.name}`, "check.sequence.value: is text, not an integer: write integer(…) around a text"},
		{`{value: =x}`, "check.sequence.value: unknown name x"},
		{`{value: '=integer(file.stem)', per: =partner.nam}`, "check.sequence.per: partner has no field nam, did you mean name?"},
	} {
		_, problems := Compile("j", parseOptions(t, rest+c.sequence+"}"), Environment{})
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want) {
			t.Errorf("%v, want %s", problems, c.want)
		}
	}
	job := strings.Replace(rest, "receive: {source: in}", "schedule: {cron: '0 * * * *'}\nquery: {connection: c, sql: select 1}", 1)
	job = strings.Replace(job, "format: csv, ", "", 1)
	job = strings.Replace(job, "{to: erp}", "{to: erp, key: '=x ?? \"\"'}", 1)
	if _, problems := Compile("j", parseOptions(t, job+"{value: =entry.number}}"), Environment{}); len(problems) != 1 || problems[0].Path != "check.sequence" {
		t.Error(problems)
	}
}

func TestTheSenderIsNotToldToApproveANumber(t *testing.T) {
	t.Parallel()
	d := piece{outcome: ledger.Outcome{State: ledger.Held, Reason: "number 2 is missing before 3: the last was 1 (#1)" + orApprove + " now"}}
	d.tellSequence()
	if after, told := d.news(); after != ledger.Held || told != "number 2 is missing before 3: the last was 1 (#1)" {
		t.Errorf("%s: %s", after, told)
	}
}

// What a person let go on waits for no number any more: one that comes later is nothing to it, also when it is held for something else by then.
func TestAnApprovedGapIsNotWaitedForAnyMore(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "statements", numbered(""))
	p.lands("a", statement("ABC", 1))
	id, _ := p.lands("b", statement("ABC", 4))
	p.is(1, `SELECT COUNT(*) FROM awaited WHERE entry = ?`, id)
	p.must(p.ledger.Approve(t.Context(), id, "anna"))
	p.is(0, `SELECT COUNT(*) FROM awaited`)
	if e := p.work(id); e.State != ledger.Accepted {
		t.Errorf("%s: %s", e.State, e.Reason)
	}
}
