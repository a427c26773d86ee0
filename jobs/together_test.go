package jobs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"waybill/ledger"
)

const togetherJob = `
receive:
  source: in
  files: "{no}_lines.csv"
  within: 2h
  together:
    header: {files: "{no}_head.csv", format: csv, fields: {customer: {}, lines: {type: integer}}}
    trailer: {files: "{no}_end.csv", format: csv, fields: {sum: {type: decimal}}}
read:
  format: csv
  fields: {sku: {required: true}, amount: {type: decimal, required: true}}
  totals: {lines: {count: records}, sum: {sum: amount}}
check:
  file: [{that: '=totals.lines == header.lines and totals.sum == trailer.sum', say: the counts differ}]
send: [{to: erp, path: "/{header.customer}", key: [=file.part.no, =sku], body: {customer: =header.customer, sku: =sku}}]
`

var threeFiles = map[string]string{
	"head":  "customer,lines\nC-1,2\n",
	"lines": "sku,amount\nA,1.50\nB,2\n",
	"end":   "sum\n3.50\n",
}

// part lands one of the files of a set.
func (p *plant) part(no, which, text string) ledger.Entry {
	p.t.Helper()
	entries := p.land(no+"_"+which+".csv", text)
	if len(entries) != 1 {
		p.t.Fatalf("%s_%s.csv belongs to %d entries", no, which, len(entries))
	}
	return entries[0]
}

func orders(list []string) (all [][]string) {
	if len(list) < 2 {
		return [][]string{list}
	}
	for i, first := range list {
		for _, rest := range orders(slices.Delete(slices.Clone(list), i, i+1)) {
			all = append(all, append([]string{first}, rest...))
		}
	}
	return all
}

func TestFilesThatBelongTogetherMakeOneEntryInWhateverOrderTheyCome(t *testing.T) {
	t.Parallel()
	for _, order := range orders([]string{"head", "lines", "end"}) {
		t.Run(strings.Join(order, ", "), func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, "orders", togetherJob)
			var first ledger.Entry
			for i, which := range order {
				e := p.part("4711", which, threeFiles[which])
				if i == 0 {
					first = e
				}
				var missing []string
				for _, name := range []string{"lines", "head", "end"} {
					if slices.Contains(order[i+1:], name) {
						missing = append(missing, "4711_"+name+".csv")
					}
				}
				want, why := ledger.Held, "waits for "+strings.Join(missing, " and ")
				if len(missing) == 0 {
					want, why = ledger.Received, ""
				}
				if e.ID != first.ID || e.State != want || e.Reason != why {
					t.Errorf("after %s: #%d is %s: %q, want %s: %q", which, e.ID, e.State, e.Reason, want, why)
				}
			}
			if e := p.work(first.ID); e.State != ledger.Accepted || e.Name != "4711_lines.csv" || e.Messages != 2 || e.Verdict != ledger.Fresh {
				t.Errorf("%s %s %s", e.State, e.Reason, e.Name)
			}
			p.run()
			p.await(first.ID, ledger.Delivered)
			if diff := cmp.Diff([]string{`{"customer":"C-1","sku":"A"}`, `{"customer":"C-1","sku":"B"}`}, p.erp.bodies()); diff != "" {
				t.Error(diff)
			}
			p.is(3, `SELECT COUNT(*) FROM files WHERE state = 'closable' AND reason = 'done'`)
			p.is(0, `SELECT COUNT(*) FROM incomplete`)
		})
	}
}

// all drops a whole set and works it.
func (p *plant) all(no string, texts map[string]string) ledger.Entry {
	p.t.Helper()
	var e ledger.Entry
	for _, which := range []string{"head", "lines", "end"} {
		e = p.part(no, which, texts[which])
	}
	if e.State == ledger.Received {
		return p.await(e.ID, ledger.Accepted, ledger.Delivered, ledger.Rejected)
	}
	return e
}

func with(texts map[string]string, which, text string) map[string]string {
	all := map[string]string{}
	for k, v := range texts {
		all[k] = v
	}
	all[which] = text
	return all
}

func TestASetIsJudgedAsAWhole(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", togetherJob)
	p.run()
	first := p.all("4711", threeFiles)
	for _, test := range []struct {
		name  string
		no    string
		texts map[string]string
		want  string
	}{
		{"the same once more", "4711", threeFiles, "duplicate redelivery: same name and bytes as #1 (4711_lines.csv)"},
		{"one of them corrected, and all sent once more", "4711", with(threeFiles, "head", "customer,lines\nC-2,2\n"), "accepted correction: "},
		{"the correction once more", "4711", with(threeFiles, "head", "customer,lines\nC-2,2\n"), "duplicate redelivery: same name and bytes as #3 (4711_lines.csv)"},
		{"the same under another number", "4712", threeFiles, "held suspect: same bytes as #1 (4711_lines.csv) under another name"},
		{"a header that is wrong", "4713", with(threeFiles, "head", "customer,lines\nC-1,two\n"), "rejected new: header.lines: is not an integer of at most 64 bits (4713_head.csv, line 2)"},
		{"which comes again", "4713", with(threeFiles, "lines", "sku,amount\nA,1.5\nB,2\n"), "accepted new: "},
		{"counts that differ", "4714", with(threeFiles, "end", "sum\n3\n"), "rejected new: the counts differ"},
	} {
		e := p.all(test.no, test.texts)
		if e.State == ledger.Delivered {
			e.State = ledger.Accepted
		}
		if got := fmt.Sprintf("%s %s: %s", e.State, e.Verdict, e.Reason); got != test.want {
			t.Errorf("%s: #%d is %s, want %s", test.name, e.ID, got, test.want)
		}
	}
	p.await(first.ID, ledger.Delivered)
	p.until(func() bool { return p.count(`SELECT COUNT(*) FROM files WHERE state = 'landed'`) == 3 }, func() string { return "files stay open" }) // of what is held
	p.is(6, `SELECT COUNT(*) FROM files WHERE state = 'closable' AND reason = 'failed'`)
}

func TestWhatComesAgainBeforeItsSetIsCompleteTakesTheOthersPlace(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", togetherJob)
	first := p.part("1", "head", "customer,lines\nC-0,2\n")
	p.part("1", "head", threeFiles["head"])
	p.part("1", "lines", "sku,amount\nX,1\n")
	p.part("1", "lines", threeFiles["lines"])
	p.is(2, `SELECT COUNT(*) FROM files WHERE state = 'closable' AND reason = 'done'`)
	e := p.part("1", "end", threeFiles["end"])
	if e.ID != first.ID {
		t.Errorf("#%d, not #%d", e.ID, first.ID)
	}
	if e := p.work(e.ID); e.State != ledger.Accepted {
		t.Error(e.State, e.Reason)
	}
	p.is(1, `SELECT COUNT(*) FROM entries`)
	p.is(2, `SELECT COUNT(*) FROM events WHERE kind = 'replaced'`)
}

func TestWhatWaitsForOthersIsNotApprovedAndCanBeCancelled(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", togetherJob)
	e := p.part("1", "head", threeFiles["head"])
	if err := p.ledger.Approve(t.Context(), e.ID, "me"); err == nil || !strings.Contains(err.Error(), "waits for 1_lines.csv and 1_end.csv: drop that, or cancel the entry") {
		t.Error(err)
	}
	p.must(p.ledger.Cancel(t.Context(), e.ID, "me"))
	p.is(1, `SELECT COUNT(*) FROM files WHERE state = 'closable' AND reason = 'failed'`)
	if next := p.part("1", "lines", threeFiles["lines"]); next.ID == e.ID || next.State != ledger.Held {
		t.Errorf("#%d is %s", next.ID, next.State)
	}
	again, err := p.ledger.Replay(t.Context(), e.ID, "me", true)
	p.must(err)
	if e := p.work(again.ID); e.State != ledger.Rejected || !strings.Contains(e.Reason, "never came") {
		t.Error(e.State, e.Reason)
	}
}

func TestItIsToldOnceThatAFileHasNotCome(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", togetherJob)
	e := p.part("1", "head", threeFiles["head"])
	for hours, want := range []int{0, 0, 1, 0} {
		p.ahead.Store(int64(time.Duration(hours)*time.Hour + time.Minute))
		told, err := p.ledger.Overdue(t.Context())
		p.must(err)
		if len(told) != want || want == 1 && told[0].ID != e.ID {
			t.Errorf("after %d hours: told of %d", hours, len(told))
		}
	}
	p.is(1, `SELECT COUNT(*) FROM events WHERE kind = 'overdue'`)
	p.part("1", "lines", threeFiles["lines"])
	if e := p.part("1", "end", threeFiles["end"]); e.State != ledger.Received {
		t.Error(e.State, e.Reason)
	}
}

// What another partner, another folder or another source has never completes a set.
func TestSetsOfPartnersAndFoldersNeverMeet(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", togetherJob)
	n := 0
	for _, a := range []ledger.Arrival{
		{Path: "1_head.csv"}, {Path: "sub/1_lines.csv"}, {Path: "acme/1_end.csv", Partner: "acme"}, {Path: "other/1_lines.csv", Partner: "other"},
		{Path: "acme/1_lines.csv", Partner: "acme", Trial: true}, {Path: "2_lines.csv"},
	} {
		n++
		a.Source, a.Version = "in", fmt.Sprint(n)
		_, entries, err := p.ledger.Land(t.Context(), a, strings.NewReader("a,b\n1,2\n"))
		p.must(err)
		if len(entries) != 1 || entries[0].ID != int64(n) || entries[0].State != ledger.Held {
			t.Errorf("%s: %+v", a.Path, entries)
		}
	}
}

// Whatever comes in whatever order, each set of three is one entry, and no file belongs to two.
func TestSetsAreNeitherHalfNorTwice(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", strings.Replace(togetherJob, "{no}", "{no}", 1))
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		have, whole := map[string]map[string]bool{}, 0
		before := p.count(`SELECT COUNT(*) FROM entries WHERE state = 'received'`)
		for range rapid.IntRange(1, 14).Draw(rt, "files") {
			no := fmt.Sprintf("%d-%s", round, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "set"))
			which := rapid.SampledFrom([]string{"head", "lines", "end"}).Draw(rt, "file")
			p.part(no, which, fmt.Sprint(p.landed.Load(), no, which))
			if have[no] == nil {
				have[no] = map[string]bool{}
			}
			if have[no][which] = true; len(have[no]) == 3 {
				whole++
				delete(have, no)
			}
		}
		if got := p.count(`SELECT COUNT(*) FROM entries WHERE state = 'received'`) - before; got != int64(whole) {
			rt.Fatalf("%d entries, not %d", got, whole)
		}
		if n := p.count(`SELECT COUNT(*) FROM (SELECT file FROM companions GROUP BY file HAVING COUNT(*) > 1)`); n > 0 {
			rt.Fatalf("%d files belong to two entries", n)
		}
		if n := p.count(`SELECT COUNT(*) FROM entries e WHERE e.state = 'received' AND (SELECT COUNT(*) FROM companions c WHERE c.entry = e.id AND c.file <> e.file) <> 2`); n > 0 {
			rt.Fatalf("%d entries are not whole", n)
		}
	})
}

func TestMistakesOfWhatIsTakenTogether(t *testing.T) {
	t.Parallel()
	const read = "\nread: {format: csv, fields: {sku: {}}}\nsend: [{to: erp}]\n"
	for job, want := range map[string]string{
		`receive: {source: in, files: "{no}_lines.csv", together: {}}` + read:                                                                                      "receive.together: names no other file: write header or trailer",
		`receive: {source: in, files: "*_lines.csv", together: {header: {files: "{no}_head.csv", format: csv, fields: {a: {}}}}}` + read:                           `receive.together.header.files: "{no}_head.csv" has not the parts in braces that "*_lines.csv" of receive.files has: they tell which files belong together`,
		`receive: {source: in, files: "*_lines.csv", together: {header: {files: "*_head.csv", format: csv, fields: {a: {}}}}}` + read:                              `receive.together.header.files: "*_head.csv" has no part in braces that it shares with receive.files: write for example {no}_head.csv`,
		`receive: {source: in, files: "{no}_lines.csv", together: {header: {files: "heads/{no}.csv", format: csv, fields: {a: {}}}}}` + read:                       `receive.together.header.files: "heads/{no}.csv" names folders and "{no}_lines.csv" of receive.files does not, or the other way round`,
		`receive: {source: in, files: "{no}_lines.csv", within: 2h}` + read:                                                                                        "receive.within: goes with together, and with a companion that is read in mailboxes",
		`receive: {source: in, files: "*/{no}_l", together: {header: {files: "heads/{no}_h", format: csv, fields: {a: {}}}}}` + read:                               `receive.together.header.files: "heads/{no}_h" and "*/{no}_l" of receive.files are in folders that * or ? leaves open: name the same folders, or write {name} for them`,
		"identity: {by: name+size+mtime}\n" + `receive: {source: in, files: "{no}_l", together: {header: {files: "{no}_h", format: csv, fields: {a: {}}}}}` + read: "identity.by: name+size+mtime is of one file, and several are taken together: write content, name or name+content",
	} {
		_, problems := Compile("x", parseOptions(t, job), Environment{})
		if got := texts(problems); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %s", job, cmp.Diff([]string{want}, got))
		}
	}
}

// In a mailbox a control file is a file like any other: whichever comes first waits for the other.
func TestInAMailboxFileAndCompanionWaitForEachOther(t *testing.T) {
	t.Parallel()
	const head, ctl = "no,amount\nA,1\n", "count;total\n1;1\n"
	for name, test := range map[string]struct{ companion, first, second, says string }{
		"file first":      {"{stem}.ctl", "day.csv", "day.ctl", ctl},
		"companion first": {"{stem}.ctl", "day.ctl", "day.csv", ctl},
		"behind its name": {"*.ctl", "day.csv.ctl", "day.csv", ctl},
		"too large":       {"{stem}.ctl", "day.csv", "day.ctl", ctl + strings.Repeat("\n", ledger.CompanionMost)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t)
			plan, problems := Compile("days", parseOptions(t, strings.Replace(controlledJob, "{stem}.ctl", test.companion, 1)),
				Environment{Sources: map[string]string{"in": "mailboxes"}, Destinations: map[string]string{"erp": "http"}})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			p.wire(&Set{Plans: []*Plan{plan}})
			land := func(name string) ledger.Entry {
				text := head
				if strings.HasSuffix(name, ".ctl") {
					text = test.says
				}
				_, entries, err := p.ledger.Land(t.Context(), ledger.Arrival{Source: "in", Path: "acme/" + name, Partner: "acme", Version: fmt.Sprint(p.landed.Add(1))}, strings.NewReader(text))
				p.must(err)
				return entries[0]
			}
			if e := land(test.first); e.State != ledger.Held || !strings.HasPrefix(e.Reason, "waits for ") {
				t.Errorf("%s: %s", e.State, e.Reason)
			}
			e := land(test.second)
			if e.State != ledger.Received {
				t.Fatal(e.State, e.Reason)
			}
			e = p.work(e.ID)
			if len(test.says) > 100 {
				if e.State != ledger.Rejected || e.Reason != "companion: it has more than 64 KiB (day.ctl)" {
					t.Errorf("%s: %s", e.State, e.Reason)
				}
				return
			}
			if e.State != ledger.Accepted || e.Name != "acme/day.csv" {
				t.Errorf("%s %s: %s", e.Name, e.State, e.Reason)
			}
			land(test.first) // once more, as a pair
			if e := land(test.second); e.State != ledger.Duplicate {
				t.Errorf("%s: %s", e.State, e.Reason)
			}
		})
	}
}

// What a partner takes back takes the set apart that waits for it.
func TestWhatIsWithdrawnTakesItsSetWithIt(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", togetherJob)
	for i, name := range []string{"1_head.csv", "1_lines.csv"} {
		_, _, err := p.ledger.Land(t.Context(), ledger.Arrival{Source: "in", Path: "acme/" + name, Partner: "acme", Version: fmt.Sprint(i)}, strings.NewReader("a\n"))
		p.must(err)
	}
	p.must(p.ledger.Withdraw(t.Context(), ledger.Mailbox{Source: "in", Partner: "acme"}, "1_head.csv", "acme", nil))
	p.is(1, `SELECT COUNT(*) FROM entries WHERE state = 'cancelled'`)
	p.is(0, `SELECT COUNT(*) FROM files WHERE state = 'landed'`)
	p.is(0, `SELECT COUNT(*) FROM incomplete`)
}
