package jobs

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waybill/formats"
	"waybill/ledger"
)

const controlledJob = `
receive:
  source: in
  files: "*.csv"
  companion: {name: "{stem}.ctl", format: csv, delimiter: ";", columns: {missing: ignore}, fields: {count: {type: integer, min: 0}, total: {type: decimal}, day: {type: date, required: false}}}
read:
  format: csv
  fields: {no: {required: true}, amount: {type: decimal, required: true}}
  totals: {lines: {count: records}, sum: {sum: amount}}
check:
  file:
    - {that: '=totals.lines == companion.count and totals.sum == companion.total', say: "the control file counts otherwise"}
send:
  - {to: erp, path: "/days/{companion.count}", key: =no, body: {no: =no, of: =companion.count, day: =companion.day}}
`

// beside makes what belongs to a file of texts, by role.
func beside(texts ...string) map[string]Beside {
	all := map[string]Beside{}
	for i := 0; i < len(texts); i += 3 {
		all[texts[i]] = Beside{Name: texts[i+1], Blob: formats.Blob{Name: texts[i+1], Reader: strings.NewReader(texts[i+2]), Size: int64(len(texts[i+2]))}}
	}
	return all
}

func TestWhatACompanionSaysIsKnownToChecksAndMessages(t *testing.T) {
	t.Parallel()
	in := input("day.csv", "no,amount\nA,1.50\nB,2\n")
	in.Beside = beside("companion", "day.ctl", "count;total\n2;3.50\n")
	o, got := runs(t, compile(t, controlledJob), in)
	if o.State != ledger.Accepted || !strings.Contains(got, `{"no":"A","of":2}`) || !strings.Contains(got, ":path=/days/2") {
		t.Errorf("%s\n%s", show(o), got)
	}
}

func TestACompanionThatIsWrongRejectsItsFileAndIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ companion, file, want string }{
		"counts otherwise": {"count;total\n3;3.50\n", "no,amount\nA,1.50\nB,2\n", "the control file counts otherwise"},
		"no record":        {"count;total\n", "no,amount\nA,1\n", "companion: it has no record (day.ctl)"},
		"empty":            {"", "no,amount\nA,1\n", "companion: it has no record (day.ctl)"},
		"two records":      {"count;total\n1;1\n2;2\n", "no,amount\nA,1\n", "companion: a second record begins here, and it has one (day.ctl, line 3)"},
		"no number":        {"count;total\n1O;1\n", "no,amount\nA,1\n", "companion.count: is not an integer of at most 64 bits (day.ctl, line 2)"},
		"out of bounds":    {"count;total\n-1;1\n", "no,amount\nA,1\n", "companion.count: is less than 0 (day.ctl, line 2)"},
		"nothing there":    {"count;total\n;1\n", "no,amount\nA,1\n", "companion.count: is missing (day.ctl, line 2)"},
		"no such column":   {"count\n1\n", "no,amount\nA,1\n", "companion: no column \"total\" for field total*"},
		"no text":          {"count;total\n\xff;1\n", "no,amount\nA,1\n", "* (day.ctl*)"},
		"an empty file":    {"count;total\n2;3.50\n", "", "the control file counts otherwise"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input("day.csv", test.file)
			in.Beside = beside("companion", "day.ctl", test.companion)
			o, _ := runs(t, compile(t, controlledJob), in)
			ok := o.Reason == test.want
			if begin, end, any := strings.Cut(test.want, "*"); any {
				ok = strings.HasPrefix(o.Reason, begin) && strings.HasSuffix(strings.TrimSuffix(o.Reason, ")"), strings.TrimSuffix(strings.TrimSuffix(end, ")"), "*"))
				ok = ok || strings.Contains(o.Reason, "(day.ctl")
			}
			if o.State != ledger.Rejected || !ok {
				t.Errorf("%s\nwant %s", show(o), test.want)
			}
		})
	}
}

func TestAFileWhoseCompanionIsNotThereIsRejected(t *testing.T) {
	t.Parallel()
	o, _ := runs(t, compile(t, controlledJob), input("day.csv", "no,amount\nA,1\n"))
	if o.State != ledger.Rejected || o.Reason != "its companion is not there: drop both again" {
		t.Error(show(o))
	}
}

// Whatever a companion holds, the file is accepted or rejected, and what is wrong names the companion.
func FuzzCompanion(f *testing.F) {
	for _, text := range []string{"count;total\n1;1\n", "count;total\n", "", "\xef\xbb\xbfcount;total\r\n1;1\r\n", "count;total\n1;1;\n\n\n2;2", "total;count\n1e9;00\n", "count;total\n\"1;1", "\x00"} {
		f.Add([]byte(text))
	}
	plan := compile(f, controlledJob)
	f.Fuzz(func(t *testing.T, text []byte) {
		in := input("day.csv", "no,amount\nA,1\n")
		in.Beside = beside("companion", "day.ctl", string(text))
		o, err := plan.Run(context.Background(), in, func(*Rendered) error { return nil })
		switch {
		case err != nil:
			t.Fatal(err)
		case o.State == ledger.Accepted, o.Reason == "the control file counts otherwise":
		case o.State != ledger.Rejected || !strings.Contains(o.Reason, "day.ctl"):
			t.Fatal(show(o))
		}
	})
}

func TestMistakesOfACompanion(t *testing.T) {
	t.Parallel()
	for companion, want := range map[string][]string{
		`{name: "*.md5", format: csv, fields: {count: {}}}`:                      {"receive.companion.name: *.md5 holds a digest, which is compared anyway: leave format and fields out"},
		`{name: "*.ctl", format: csv}`:                                           {"receive.companion.fields: are missing: say what is to be read of it"},
		`{name: "*.ctl", format: cvs, fields: {count: {}}}`:                      {`receive.companion.format: *`},
		`{name: "*.ctl", fields: {count: {}}}`:                                   {`receive.companion.format: *`},
		`{name: "*.ctl", format: csv, fields: {count: {type: boolean, min: 1}}}`: {"receive.companion.fields.count.min: min and max go with numbers, dates and times, not with boolean; for text there is length"},
	} {
		_, problems := Compile("x", parseOptions(t, "receive: {source: in, companion: "+companion+"}\nread: {format: csv, fields: {companion_: {}}}\nsend: [{to: erp}]\n"), Environment{})
		if got := texts(problems); !slices.EqualFunc(got, want, func(got, want string) bool {
			begin, any := strings.CutSuffix(want, "*")
			return got == want || any && strings.HasPrefix(got, begin)
		}) {
			t.Errorf("%s: %s", companion, cmp.Diff(want, got))
		}
	}
}

func texts(problems []Problem) (list []string) {
	for _, p := range problems {
		list = append(list, p.Path+": "+p.Text)
	}
	return list
}

func (p *plant) landBeside(path, text, companion, says string) ledger.Entry {
	p.t.Helper()
	_, entries, err := p.ledger.Land(p.t.Context(), ledger.Arrival{Source: "in", Path: path, Version: fmt.Sprint("v", p.landed.Add(1)), Companions: []ledger.Companion{
		{Role: ledger.RoleCompanion, Path: companion, Version: "v" + fmt.Sprint(len(says)), Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(says)), nil
		}}}}, strings.NewReader(text))
	p.must(err)
	if len(entries) != 1 {
		p.t.Fatalf("%s belongs to %d jobs", path, len(entries))
	}
	return entries[0]
}

// The companion is kept with its file: a replay reads it once more, and it goes when its file does.
func TestACompanionIsKeptWithItsFileAndGoesWithIt(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "days", controlledJob)
	e := p.work(p.landBeside("day.csv", "no,amount\nA,1\n", "day.ctl", "count;total\n1;1\n").ID)
	if e.State != ledger.Accepted {
		t.Fatal(e.State, e.Reason)
	}
	files, err := p.ledger.Companions(t.Context(), e)
	p.must(err)
	if f := files["companion"]; f.Path != "day.ctl" || f.Size != 16 || len(f.Digest) != 32 || f.State != ledger.FileLanded {
		t.Errorf("%+v", f)
	}
	p.run()
	p.await(e.ID, ledger.Delivered)
	again, err := p.ledger.Replay(t.Context(), e.ID, "me", true)
	p.must(err)
	p.await(again.ID, ledger.Delivered)
	list, err := p.ledger.Closable(t.Context(), "in", 10)
	p.must(err)
	var closed []ledger.ClosedFile
	var paths []string
	for _, c := range list {
		paths, closed = append(paths, c.File.Path), append(closed, ledger.ClosedFile{ID: c.File.ID})
	}
	if diff := cmp.Diff([]string{"day.ctl", "day.csv"}, paths); diff != "" {
		t.Error("the companion is closed first:", diff)
	}
	p.must(p.ledger.Closed(t.Context(), closed))
	if got := p.erp.bodies(); len(got) != 2 || got[0] != got[1] {
		t.Error(got)
	}
	p.ahead.Add(int64(time.Hour))
	pruned, err := p.ledger.Prune(t.Context(), ledger.Retain{Files: time.Minute})
	p.must(err)
	if pruned.Objects != 2 {
		t.Errorf("%+v", pruned)
	}
	p.is(0, `SELECT COUNT(*) FROM files WHERE object IS NOT NULL`)
	if _, err := p.ledger.Replay(t.Context(), e.ID, "me", true); err == nil {
		t.Error("a replay needs bytes that are gone")
	}
	p.ahead.Add(int64(1000 * 24 * time.Hour))
	for range 2 { // the replay first
		_, err = p.ledger.Prune(t.Context(), ledger.Retain{Files: time.Minute, Entries: time.Hour})
		p.must(err)
	}
	p.is(0, `SELECT COUNT(*) FROM companions`)
}

// A rejected file frees its identity: with a right companion the same file comes again.
func TestTheSameFileComesAgainWithARightCompanion(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "days", controlledJob)
	const text = "no,amount\nA,1\n"
	if e := p.work(p.landBeside("day.csv", text, "day.ctl", "count;total\n22;1\n").ID); e.State != ledger.Rejected {
		t.Fatal(e.State, e.Reason)
	}
	p.is(2, `SELECT COUNT(*) FROM files WHERE state = 'closable' AND reason = 'failed'`)
	e := p.work(p.landBeside("day.csv", text, "day.ctl", "count;total\n1;1\n").ID)
	if e.State != ledger.Accepted || e.Verdict != ledger.Fresh {
		t.Error(e.State, e.Verdict, e.Reason)
	}
	if e := p.landBeside("day.csv", text, "day.ctl", "count;total\n333;1\n"); e.State != ledger.Duplicate {
		t.Error(e.State, e.Reason)
	}
	p.is(1, `SELECT COUNT(*) FROM files WHERE path = CAST('day.ctl' AS BLOB) AND state = 'landed'`)
}

// Done: leave leaves the companion where it is: the next version of its file is vouched for by the same one.
func TestACompanionThatWasLeftBelongsToTheNextFileToo(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "days", controlledJob)
	p.run()
	for i, text := range []string{"no,amount\nA,1\n", "no,amount\nB,1\n"} {
		e := p.landBeside("day.csv", text, "day.ctl", "count;total\n1;1\n")
		p.await(e.ID, ledger.Delivered)
		p.is(int64(i+1), `SELECT COUNT(*) FROM companions`)
		p.is(1, `SELECT COUNT(*) FROM files WHERE path = CAST('day.ctl' AS BLOB) AND state = 'closable' AND object IS NOT NULL`)
	}
	if len(p.erp.bodies()) != 2 {
		t.Error(p.erp.bodies())
	}
}
