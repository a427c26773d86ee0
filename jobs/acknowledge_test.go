package jobs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/formats"
	"waybill/ledger"
	"waybill/outbox"
)

const told = lines + `
acknowledge:
  - {after: [accepted, rejected, held, duplicate], to: sender, folder: out, name: "{file.stem}.{entry.number}.ack.json"}
`

// drop lands a file of a partner in his drop folder.
func (p *plant) drop(partner, path, text string) int64 { return p.dropped(partner, path, text, false) }

func (p *plant) dropped(partner, path, text string, trial bool) int64 {
	p.t.Helper()
	_, entries, err := p.ledger.Land(p.t.Context(), ledger.Arrival{Source: "in", Path: partner + "/" + path, Version: fmt.Sprint("v", p.landed.Add(1)),
		Partner: partner, Trial: trial}, strings.NewReader(text))
	p.must(err)
	if len(entries) != 1 {
		p.t.Fatalf("%s of %s belongs to %d jobs", path, partner, len(entries))
	}
	return entries[0].ID
}

// acks waits for the acknowledgements of an entry, and returns them in the order in which they were made.
func (p *plant) acks(entry int64, n int) (list []Acknowledgement, names []string) {
	p.t.Helper()
	get := func() []outbox.Message {
		p.sender.mu.Lock()
		defer p.sender.mu.Unlock()
		return slices.Clone(p.sender.got)
	}
	read := func() bool {
		list, names = nil, nil
		for _, m := range get() {
			var a Acknowledgement
			p.must(json.Unmarshal(m.Body, &a))
			if a.Entry == entry {
				list, names = append(list, a), append(names, m.Header(":name"))
			}
		}
		return len(list) >= n
	}
	p.until(read, func() string {
		return fmt.Sprintf("#%d has %d acknowledgements, not %d: %+v; %s", entry, len(list), n, list, p.entry(entry).Reason)
	})
	p.until(func() bool {
		return p.count(`SELECT count(*) FROM owed`)+p.count(`SELECT count(*) FROM batches WHERE parent < 0 AND state <> 'done'`) == 0
	}, func() string { return "acknowledgements are still owed or on their way" })
	read()
	if len(list) != n {
		p.t.Errorf("#%d has %d acknowledgements, want %d: %+v", entry, len(list), n, list)
	}
	return list, names
}

// ack is the only acknowledgement of an entry.
func (p *plant) ack(entry int64) Acknowledgement {
	p.t.Helper()
	list, _ := p.acks(entry, 1)
	return list[0]
}

func TestTheSenderIsToldOnceOfEachState(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", told)
	p.run()
	good := p.drop("acme", "monday/o.csv", orderLines(1, 3))
	p.await(good, ledger.Delivered)
	list, names := p.acks(good, 1)
	a := list[0]
	e := p.entry(good)
	want := Acknowledgement{Version: 1, State: ledger.Accepted, Partner: "acme", Job: "orders", Entry: good, Run: 1, Verdict: ledger.Fresh,
		Text:   "monday/o.csv was accepted: 3 records.",
		File:   Subject{Name: "o.csv", Folder: "monday", Size: 25, SHA256: a.File.SHA256, Received: e.Received.UTC()},
		Counts: Counts{Records: 3, Messages: 3}, Time: a.Time}
	if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", want) || len(a.File.SHA256) != 64 || a.Time.Sub(e.Accepted).Abs() > time.Second {
		t.Errorf("accepted:\n%+v, want\n%+v", a, want)
	}
	if want := fmt.Sprintf("acme/out/o.%d.ack.json", good); names[0] != want {
		t.Errorf("its name is %s, want %s", names[0], want)
	}

	bad := p.drop("acme", "bad.csv", "no;qty\nA-1;many\nA-2;2\n")
	a = p.ack(bad)
	if a.State != ledger.Rejected || len(a.Rejects) != 1 || a.Rejects[0].Line != 2 || a.Rejects[0].Field != "qty" || a.Rejects[0].Value != "many" ||
		a.Counts != (Counts{Records: 2, Rejects: 1}) || !strings.Contains(a.Text, "rejected") || a.Reason == "" {
		t.Errorf("rejected: %+v", a)
	}

	again := p.drop("acme", "monday/o.csv", orderLines(1, 3))
	a = p.ack(again)
	if a.State != ledger.Duplicate || a.Verdict != ledger.Redelivery || a.Twin == nil || a.Twin.Entry != good || a.Twin.File != "monday/o.csv" {
		t.Errorf("duplicate: %+v, %+v", a, a.Twin)
	}

	held := p.drop("acme", "other.csv", orderLines(1, 3))
	a = p.ack(held)
	if a.State != ledger.Held || a.Verdict != ledger.Suspect || a.Twin == nil || a.Twin.Entry != good || a.Counts != (Counts{}) {
		t.Errorf("held: %+v", a)
	}
	p.must(p.ledger.Approve(t.Context(), held, "anna"))
	p.await(held, ledger.Delivered)
	list, _ = p.acks(held, 2)
	if list[1].State != ledger.Accepted || list[1].Counts.Records != 3 {
		t.Errorf("held, then approved: %+v", list[1])
	}
	p.is(0, `SELECT count(*) FROM files WHERE state = 'landed'`)
}

func TestWhoHasNoSenderOrIsNotToBeToldIsOwedNothing(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines+`acknowledge: [{after: rejected, to: sender}]`)
	p.run()
	p.await(p.drop("acme", "a.csv", orderLines(1, 1)), ledger.Delivered)
	p.await(p.land1("b.csv", "no;qty\nA-1;many\n"), ledger.Rejected)
	bad := p.drop("acme", "c.csv", "no;qty\nA-1;many\n")
	p.ack(bad)
	if n := len(p.sender.bodies()); n != 1 {
		t.Errorf("%d acknowledgements", n)
	}
	p.is(1, `SELECT COALESCE(max(seq), 0) FROM sqlite_sequence WHERE name = 'owed'`)
}

func TestATrialIsWorkedInFullAndNothingIsSent(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", strings.Replace(both, "check:", "identity: {suspect: hold}\ncheck:", 1)+strings.TrimPrefix(told, lines))
	p.run()
	state := func(trial int64, want ledger.State) Acknowledgement {
		t.Helper()
		a := p.ack(trial)
		if !a.Test || a.State != want || !strings.Contains(a.Text, "test") {
			t.Errorf("#%d: %+v, want %s", trial, a, want)
		}
		return a
	}
	first := p.dropped("acme", "o.csv", orderLines(1, 1200), true)
	if e := p.await(first, ledger.Delivered); e.Reason != nothingSent || e.Records != 1200 || e.Identity != "" || !e.Trial {
		t.Errorf("%+v", e)
	}
	if a := state(first, ledger.Accepted); a.Counts != (Counts{Records: 1200, Messages: 1201}) {
		t.Errorf("counts: %+v", a.Counts)
	}
	for _, query := range []string{`SELECT count(*) FROM batches WHERE parent > 0`, `SELECT count(*) FROM keys`, `SELECT count(*) FROM outputs`} {
		p.is(0, query)
	}
	second := p.dropped("acme", "o.csv", orderLines(1, 1200), true)
	if a := state(second, ledger.Accepted); a.Verdict != ledger.Fresh {
		t.Errorf("a trial was taken for another's twin: %+v", a)
	}
	real := p.drop("acme", "o.csv", orderLines(1, 1200))
	p.await(real, ledger.Delivered)
	if a := p.ack(real); a.Test || a.State != ledger.Accepted || a.Verdict != ledger.Fresh {
		t.Errorf("%+v", a)
	}
	if n := len(p.erp.keys()); n != 1201 {
		t.Errorf("%d messages arrived, want those of the one real file", n)
	}
	if a := state(p.dropped("acme", "o.csv", orderLines(1, 1200), true), ledger.Duplicate); a.Twin.Entry != real {
		t.Errorf("%+v", a)
	}
	other := p.dropped("acme", "other.csv", orderLines(1, 1200), true)
	if a := state(other, ledger.Held); a.Verdict != ledger.Suspect || !strings.Contains(a.Reason, fmt.Sprintf("#%d", real)) {
		t.Errorf("%+v", a)
	}
	if e := p.entry(other); e.State != ledger.Delivered || !strings.Contains(e.Reason, "would be held") {
		t.Errorf("#%d is %s: %s", other, e.State, e.Reason)
	}
	// A key that a real file has is known to a trial, which keeps none itself.
	a := state(p.dropped("acme", "key.csv", "no;qty\nA-1;7\nA-9999;1\n", true), ledger.Rejected)
	if len(a.Rejects) != 1 || !strings.Contains(a.Rejects[0].Reason, "key was there before") {
		t.Errorf("%+v", a)
	}
	p.is(1200, `SELECT count(*) FROM keys`)
	again, err := p.ledger.Replay(t.Context(), first, "anna", true)
	p.must(err)
	if e := p.await(again.ID, ledger.Delivered, ledger.Rejected); !e.Trial {
		t.Errorf("the replay of a trial: %+v", e)
	}
	if n := len(p.erp.keys()); n != 1201 {
		t.Errorf("the replay of a trial sent %d messages", n-1201)
	}
}

func TestAReplayIsToldOfOnlyWhenItComesToSomethingElse(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", told)
	stop := p.run()
	good, bad := p.drop("acme", "good.csv", orderLines(1, 1)), p.drop("acme", "bad.csv", "no;qty\nA-1;many\n")
	p.await(good, ledger.Delivered)
	p.await(bad, ledger.Rejected)
	p.ack(good)
	p.ack(bad)
	replay := func(id int64) int64 {
		e, err := p.ledger.Replay(t.Context(), id, "anna", true)
		p.must(err)
		p.await(e.ID, ledger.Delivered, ledger.Rejected)
		return e.ID
	}
	p.acks(replay(good), 0)
	p.acks(replay(bad), 0)
	stop() // else a loop of the old job may take it
	p.worker.SetJobs(p.set("orders", strings.Replace(told, "qty: {type: integer", "qty: {type: string", 1)))
	p.run()
	mended := replay(bad)
	if a := p.ack(mended); a.State != ledger.Accepted || a.Run != 3 || a.ReplayOf != bad {
		t.Errorf("%+v", a)
	}
}

func TestWhatIsOwedWhenAJobStopsAcknowledgingIsWaived(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", told)
	id := p.drop("acme", "a.csv", orderLines(1, 1))
	p.work(id)
	p.is(1, `SELECT count(*) FROM owed`)
	p.worker.SetJobs(&Set{}) // the job is gone, perhaps for a while
	p.must(p.worker.Acknowledge(t.Context()))
	p.is(1, `SELECT count(*) FROM owed`)
	p.worker.SetJobs(p.set("orders", lines))
	p.must(p.worker.Acknowledge(t.Context()))
	p.is(0, `SELECT count(*) FROM owed`)
	p.is(1, `SELECT count(*) FROM events WHERE kind = 'unacknowledged'`)
	p.is(0, `SELECT count(*) FROM batches WHERE parent < 0`)
}

func TestAnAcknowledgementThatCannotBeWrittenIsNothingToTheEntry(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", told)
	p.sender.refuse = func(*outbox.Message) error { return outbox.Refused(fmt.Errorf("no such name")) }
	p.run()
	id := p.drop("acme", "a.csv", orderLines(1, 1))
	p.await(id, ledger.Delivered)
	p.until(func() bool { return p.count(`SELECT count(*) FROM dead_letters WHERE parent < 0`) == 1 }, func() string { return "there is no dead letter" })
	p.until(func() bool { return p.count(`SELECT count(*) FROM batches WHERE settled = 1`) == 0 }, func() string { return "its lot is not seen to" })
	if e := p.entry(id); e.State != ledger.Delivered || e.Dead != 0 {
		t.Errorf("#%d is %s with %d dead letters", id, e.State, e.Dead)
	}
	p.is(1, `SELECT count(*) FROM files WHERE state = 'closable' AND reason = 'done'`)
	dead, err := p.outbox.DeadLetters(t.Context(), outbox.DeadFilter{Parent: id})
	p.must(err)
	if len(dead) != 1 || dead[0].Parent != id || !dead[0].Beside {
		t.Fatalf("%+v", dead)
	}
	p.sender.mu.Lock()
	p.sender.refuse = nil
	p.sender.mu.Unlock()
	p.must(p.outbox.Resend(t.Context(), outbox.Resend{ID: dead[0].ID}))
	p.ack(id)
}

func TestVarsOfThePartnerAndThePathBelowHisFolderAreWhatTheJobSees(t *testing.T) {
	t.Parallel()
	set := `
receive: {source: in, files: ["sub/{day:%Y%m%d}-*.csv", "x.csv"]}
read: {format: csv, delimiter: ";", fields: {no: {required: true}}}
send: [{to: erp, path: "/sites/{partner.vars.site}/orders", body: {no: =no, by: =partner.name, stem: =file.stem, folder: =file.folder, day: =file.part.day}}]
`
	p := newPlant(t, "orders", set)
	s := p.set("orders", set)
	s.Partners = map[string]map[string]string{"acme": {"site": "W1"}, "bolt": {"site": "W2"}}
	p.worker.SetJobs(s)
	p.run()
	p.await(p.drop("acme", "sub/20261121-a.csv", "no\n1\n"), ledger.Delivered)
	p.await(p.drop("bolt", "x.csv", "no\n1\n"), ledger.Delivered)
	var got []string
	for _, m := range p.erp.got {
		got = append(got, m.Header(":path")+" "+string(m.Body))
	}
	want := []string{`/sites/W1/orders {"no":"1","by":"acme","stem":"20261121-a","folder":"sub","day":"2026-11-21"}`,
		`/sites/W2/orders {"no":"1","by":"bolt","stem":"x","folder":""}`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	_, entries, err := p.ledger.Land(t.Context(), ledger.Arrival{Source: "in", Path: "sub/20261121-a.csv", Version: "v", Partner: "sub"}, strings.NewReader(""))
	if err != nil || len(entries) != 0 {
		t.Errorf("a partner called as a folder of the pattern: %v, %v", entries, err)
	}
}

func TestTwoPartnersMayUseTheSameOrderNumbers(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", strings.Replace(lines, "send:", "check: {unique: {key: =no}}\nsend:", 1))
	p.run()
	for _, partner := range []string{"acme", "bolt", "acme"} {
		p.await(p.drop(partner, "o.csv", orderLines(1, 3)), ledger.Delivered, ledger.Duplicate)
	}
	got := p.erp.keys()
	slices.Sort(got)
	if len(got) != 6 || len(slices.Compact(got)) != 6 {
		t.Errorf("keys: %v", got)
	}
}

// Whatever partners send, what becomes of the files of one is what would have become of them without the others.
func TestPartnersAreStrictlyApart(t *testing.T) {
	t.Parallel()
	apart(t)
}

func TestNoNameLeadsOutOfTheFolder(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string]string{
		"{file.stem}.json": "o", "{file.name}": "o.tmp", "{outcome.reason}.json": "", "{file.stem}.{outcome.state}.json": strings.Repeat("x", 240),
		"{file.stem}{partner.name}": ".hidden",
	} {
		p := newPlant(t, "orders", lines+fmt.Sprintf("acknowledge: [{after: accepted, to: sender, name: %q}]", name))
		plan := p.worker.Jobs().Plan("orders")
		in := Input{Entry: ledger.Entry{ID: 7, Partner: "acme", Received: time.Now()}, File: ledger.File{Path: "acme/" + parts, Partner: "acme"}, Partner: Partner{Name: "acme"}}
		a := tidingsOf(&in, ledger.Accepted, "a/b/../..", time.Now())
		list, err := plan.acknowledgements(&a, &in, 1)
		if err != nil || len(list) != 1 {
			t.Fatal(err)
		}
		rest, ok := strings.CutPrefix(list[0].Header(":name"), "acme/out/")
		if !ok || strings.Contains(rest, "/") || temporary(rest) || len(rest) > nameMost || rest == "" {
			t.Errorf("%s of %.20s makes %s", name, parts, list[0].Header(":name"))
		}
	}
}

func TestMistakesInAcknowledge(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{after: accepted, to: erp}`:                                      "acknowledge[0].to: write sender",
		`{to: sender}`:                                                    "acknowledge[0].after: is missing",
		`{after: accepted, to: sender, folder: ../x}`:                     "acknowledge[0].folder:",
		`{after: accepted, to: sender, folder: /x}`:                       "acknowledge[0].folder:",
		`{after: accepted, to: sender, folder: x.tmp}`:                    "acknowledge[0].folder:",
		`{after: accepted, to: sender, name: "a/b.json"}`:                 "acknowledge[0].name: has a /",
		`{after: accepted, to: sender, name: "{file.stem}.filepart"}`:     "acknowledge[0].name: is a temporary name",
		`{after: accepted, to: sender, name: ".{file.stem}"}`:             "acknowledge[0].name: is a temporary name",
		`{after: accepted, to: sender, name: "{no}.json"}`:                "acknowledge[0].name:",
		`{after: accepted, to: sender, name: "{record.number}.ack.json"}`: "acknowledge[0].name:",
	} {
		_, problems := Compile("orders", parseOptions(t, lines+"acknowledge: ["+text+"]"), Environment{})
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want) {
			t.Errorf("%s: %v, want %s", text, problems, want)
		}
	}
	env := Environment{Sources: map[string]string{"in": "folder"}}
	if _, problems := Compile("orders", parseOptions(t, told), env); len(problems) != 1 || !strings.Contains(problems[0].Text, "have no sender") {
		t.Errorf("a folder: %v", problems)
	}
	if _, problems := Compile("orders", parseOptions(t, rows+strings.TrimPrefix(told, lines)), Environment{}); len(problems) != 1 {
		t.Errorf("a schedule: %v", problems)
	}
}

func TestAJobMaySayTheBodyItself(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines+`
acknowledge:
  - after: [accepted, rejected, duplicate]
    to: sender
    name: "{file.stem}.{outcome.state}.json"
    body:
      file: =file.name
      to: =partner.name
      ok: '=outcome.state == "accepted"'
      lines: {=each: outcome.faults, line: =line, why: =reason}
      of: '=outcome.twin?.number'
      share: '=1 / (outcome.records - 2)'
`)
	p.run()
	body := func(id int64) string {
		t.Helper()
		p.until(func() bool {
			return p.count(`SELECT count(*) FROM batches WHERE parent = ? AND state = 'done'`, -id) == 1
		}, func() string { return "nothing came" })
		p.sender.mu.Lock()
		defer p.sender.mu.Unlock()
		return strings.Join(strings.Fields(string(p.sender.got[len(p.sender.got)-1].Body)), "")
	}
	good := p.drop("acme", "o.csv", orderLines(1, 3))
	if got, want := body(good), `{"file":"o.csv","to":"acme","ok":true,"lines":[],"share":1}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := body(p.drop("acme", "o.csv", orderLines(1, 3))), fmt.Sprintf(`{"file":"o.csv","to":"acme","ok":false,"lines":[],"of":%d,"share":-0.5}`, good); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// What cannot be made is told in the plain shape, and keeps nobody else waiting.
	if got := body(p.drop("acme", "bad.csv", "no;qty\nA-1;many\nA-2;2\n")); !strings.Contains(got, `"acknowledgement":1,"state":"rejected"`) {
		t.Errorf("%s", got)
	}
}

func TestWhatIsRefusedAtTheDoorIsAcknowledged(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", told)
	p.run()
	list, err := p.ledger.Refuse(t.Context(), ledger.Arrival{Source: "in", Path: "acme/sub/big.csv", Version: "v", Size: 1 << 40, Partner: "acme", Trial: true}, "too large", nil)
	p.must(err)
	if len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	a := p.ack(list[0].ID)
	if a.State != ledger.Rejected || !a.Test || a.Partner != "acme" || a.File.Name != "big.csv" || a.File.Folder != "sub" || a.File.Size != 1<<40 || a.File.SHA256 != "" ||
		!strings.Contains(a.Reason, "too large") || a.File.Received.IsZero() {
		t.Errorf("%+v", a)
	}
	list, err = p.ledger.Refuse(t.Context(), ledger.Arrival{Source: "in", Path: "acme/no.txt", Version: "v", Partner: "acme"}, "no such name", nil)
	if err != nil || len(list) != 0 {
		t.Errorf("a file that no job takes: %+v, %v", list, err)
	}
	p.is(0, `SELECT count(*) FROM owed`)
}

func TestTryShowsWhatTheSenderWouldGet(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", told)
	in := Input{Entry: ledger.Entry{Partner: "acme", Received: p.now()}, Partner: Partner{Name: "acme"}, File: ledger.File{Path: "o.csv"},
		Blob: formats.Blob{Name: "o.csv", Reader: strings.NewReader("no;qty\nA-1;many\n"), Size: 16}}
	out, err := p.worker.Jobs().Plan("orders").Try(t.Context(), in, 1)
	p.must(err)
	if len(out.Told) != 1 || out.Told[0].Name != "out/o.0.ack.json" || !strings.Contains(string(out.Told[0].Body), `"state": "rejected"`) ||
		!strings.Contains(string(out.Told[0].Body), `"field": "qty"`) {
		t.Errorf("%+v", out)
	}
}
