package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"waybill/ledger"
)

// table makes a table of a file with this name and text.
func table(t testing.TB, name, text, options string) (*Table, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tb, problems := NewTable("units", parseInto[TableOptions](t, "file: "+name+"\n"+options), path, nil, time.Now)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return tb, path
}

func TestATableIsLookedUpByItsKeys(t *testing.T) {
	t.Parallel()
	const csv = "code;name;factor\nST;Stück;1\nKAR;Karton;12.50\n4711;\"a;b\";\n"
	const typed = "delimiter: ;\nfields: {code: {required: true}, name: {}, factor: {type: decimal, default: 1}}\n"
	for _, c := range []struct{ name, file, text, options, key, want string }{
		{"a row", "u.csv", csv, "by: code\ndelimiter: ;", "KAR", "map[code:KAR factor:12.50 name:Karton]"},
		{"a row with an empty cell", "u.csv", csv, "by: code\ndelimiter: ;", "4711", "map[code:4711 factor:<nil> name:a;b]"},
		{"a column", "u.csv", csv, "by: code\nvalue: name\ndelimiter: ;", "ST", "Stück"},
		{"a typed row", "u.csv", csv, "by: code\n" + typed, "4711", "map[code:4711 factor:1 name:a;b]"},
		{"a typed column", "u.csv", csv, "by: code\nvalue: factor\n" + typed, "KAR", "12.50"},
		{"not there", "u.csv", csv, "by: code\ndelimiter: ;", "X", `table units has no "X"`},
		{"not there is nothing", "u.csv", csv, "by: code\ndelimiter: ;\nmissing: null", "X", "<nil>"},
		{"documents", "u.json", `{"rows": [{"id": 7, "n": [1.50]}, {"id": "A", "n": null}]}`, "by: id\nrecords: rows", "7", "map[id:7 n:[1.50]]"},
		{"a member of documents", "u.json", `[{"id": 7, "n": [1.50]}]`, "by: id\nvalue: n\nrecords: $", "7", "[1.50]"},
		{"ndjson", "u.ndjson", "{\"id\": true, \"n\": 1}\n", "by: id\nvalue: n", "true", "1"},
		{"xml", "u.xml", "<u><r c='A'><n>1</n></r><r c='B'><n>2</n></r></u>", "by: c\nvalue: n\nrecords: /u/r\nfields: {c: {from: '@c'}, n: {type: integer}}", "B", "2"},
		{"another ending", "u.txt", "A\tx\n", "by: a\nvalue: b\nformat: tsv\ntitles: 0\nfields: {a: {column: A}, b: {column: B}}", "A", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tb, _ := table(t, c.file, c.text, c.options)
			if err := tb.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			v, err := tb.find(nil, c.key)
			got := fmt.Sprint(v)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestWhatIsWrongWithATableIsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, text, options, want string }{
		{"twice", "u.csv", "code,name\nA,1\nB,2\nA,3\n", "by: code", `table units: u.csv: line 4: "A" stands there twice`},
		{"no key", "u.csv", "code,name\nA,1\n,2\n", "by: code", "table units: u.csv: line 3: field code: is missing"},
		{"no such column", "u.csv", "code,name\nA,1\n", "by: cod", "table units: u.csv: line 2: there is no column cod; there are code, name"},
		{"no such value", "u.csv", "code,name\nA,1\n", "by: code\nvalue: x", "table units: u.csv: line 2: there is no column x; there are code, name"},
		{"a bad row", "u.csv", "code,name\nA,1,2\n", "by: code", "table units: u.csv: line 2: "},
		{"a bad type", "u.csv", "code,n\nA,x\n", "by: code\nfields: {code: {}, n: {type: integer}}", "table units: u.csv: line 2: field n: is not an integer"},
		{"no object", "u.json", "[1]", "by: code\nrecords: $", "table units: u.json: line 1: is no object"},
		{"no member", "u.json", `{"a": 1}`, "by: code", "table units: u.json: line 1: code is missing"},
		{"a list as key", "u.json", `{"a": [1]}`, "by: a", "table units: u.json: line 1: a: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tb, _ := table(t, c.file, c.text, c.options)
			if err := tb.Refresh(t.Context()); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	for _, c := range []struct{ options, want string }{
		{"file: u.csv\nby: x\nvalue: y\nfields: {code: {}}", "[by: there is no field x value: there is no field y]"},
		{"file: u.dat\nby: x", `[file: its ending ".dat" says not how it is laid out: write format]`},
		{"file: u.csv\nformat: cvs\nby: x", `[format: *`},
		{"file: u.json\nby: x\nfields: {x: {type: raw}, y: {value: =x}, z: {type: list, fields: {a: {}}}}",
			"[by: x is a value: a key is a text or a number fields.y.value: does not go with tables: their fields are read fields.z.fields: do not go with tables: take the list or the object as raw]"},
	} {
		o := parseInto[TableOptions](t, c.options)
		_, problems := NewTable("u", o, o.File, nil, time.Now)
		if want, open := strings.CutSuffix(c.want, "*"); fmt.Sprint(problems) != c.want && !(open && strings.HasPrefix(fmt.Sprint(problems), want)) {
			t.Errorf("%s: %v", c.options, problems)
		}
	}
	gone, path := table(t, "u.csv", "code\nA\n", "by: code")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := gone.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	if _, err := gone.find(nil, "A"); err == nil {
		t.Error("found in a table that was never read")
	}
}

func TestATableIsReadAgainWhenItsFileHasChanged(t *testing.T) {
	t.Parallel()
	tb, path := table(t, "u.csv", "code,name\nA,1\n", "by: code\nvalue: name")
	look := func() string {
		t.Helper()
		if err := tb.Refresh(t.Context()); err != nil {
			return err.Error()
		}
		v, err := tb.find(nil, "A")
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(v)
	}
	first := look()
	before, changed := tb.rows.Load(), tb.file.is.ModTime()
	if look(); tb.rows.Load() != before {
		t.Error("read again for nothing")
	}
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := changed.Add(age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write("code,name\nA,2\n", -time.Hour) // the same size; a time that goes back counts too
	second := look()
	write("code,name\nA\n", time.Hour)
	third := look()
	v, err := tb.find(nil, "A") // what was read before is still there
	write("code,name\nA,4\n", 2*time.Hour)
	if got, want := fmt.Sprint(first, " ", second, " ", third[:len("table units")], " ", v, err, " ", look()), "1 2 table units 2<nil> 4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestATableIsBoundedInMemory(t *testing.T) {
	t.Parallel()
	s := newTableRows()
	s.seen, s.fields, s.row = mostRows, []field{{name: "c", cell: 0}}, make([]value, 1)
	s.seen = mostRows
	if err := s.tooLarge(); err != nil {
		t.Error(err)
	}
	s.seen++
	if s.tooLarge() == nil {
		t.Error("a row too many")
	}
	s.seen, s.bytes = 1, make([]byte, mostTable+1)
	if s.tooLarge() == nil {
		t.Error("a byte too many")
	}
}

// Keys that share their hash are told apart all the same.
func TestKeysOfATableAreToldApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newTableRows()
		s.fields = []field{{name: "v"}}
		if rapid.Bool().Draw(t, "one hash") {
			s.hash = func([]byte) uint64 { return 1 }
		}
		keys := rapid.SliceOfDistinct(rapid.String(), rapid.ID[string]).Draw(t, "keys")
		for i, k := range keys {
			at := len(s.bytes)
			s.bytes = appendPacked(appendPacked(s.bytes, []byte(k)), fmt.Appendf(nil, "%d", i))
			if err := s.index([]byte(k), uint32(at)); err != nil {
				t.Fatal(err)
			}
			if err := s.index([]byte(k), uint32(at)); err == nil {
				t.Fatalf("%q twice", k)
			}
		}
		for i, k := range keys {
			v, found, err := s.find(&Table{}, k)
			if want := fmt.Sprintf("map[v:%d]", i); err != nil || !found || fmt.Sprint(v) != want {
				t.Fatalf("%q: %v %t %v, want %s", k, v, found, err, want)
			}
		}
	})
}

const lookupJob = `
receive: {source: in}
read: {format: csv, fields: {no: {required: true}, unit: {}}}
check: {allow_rejects: 1}
send: [{to: erp, key: =no, when: '=no != "9"', body: {no: =no, unit: '=lookup("units", unit ?? "ST").name', file: '=lookup("units", file.stem).name ?? "?"'}}]
`

func compileWith(t testing.TB, tb *Table, job string) *Plan {
	t.Helper()
	p, problems := Compile("orders", parseOptions(t, job), Environment{Config: "cfg", Tables: map[string]*Table{"units": tb}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

func TestRecordsLookThingsUp(t *testing.T) {
	t.Parallel()
	const file = "no,unit\n1,KAR\n2,\n3,X\n9,X\n"
	for _, c := range []struct{ missing, want string }{
		{"reject", `accepted 2 of 4: {"no":"1","unit":"Karton","file":"?"} {"no":"2","unit":"Stück","file":"?"}|3/4 send[0].body.unit: =lookup("units", unit ?? "ST").name: column 2: table units has no "X"`},
		{"null", `accepted 3 of 4: {"no":"1","unit":"Karton","file":"?"} {"no":"2","unit":"Stück","file":"?"} {"no":"3","file":"?"}`},
		{"hold", `held 0 of 3: table units has no "X" (line 4): add it to u.csv; approve takes it with the table as it is then, and rejects records whose key is still missing`},
	} {
		tb, _ := table(t, "u.csv", "code,name\nKAR,Karton\nST,Stück\nf,\n", "by: code\nmissing: "+c.missing)
		p := compileWith(t, tb, lookupJob)
		if _, err := p.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, brief(t, p, file)); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.missing, d)
		}
	}
}

func TestAnEntryThatIsHeldForARowGoesOnWithIt(t *testing.T) {
	t.Parallel()
	tb, path := table(t, "u.csv", "code,name\nKAR,Karton\nf,\n", "by: code\nmissing: hold")
	plan := compileWith(t, tb, lookupJob)
	p := newPlant(t)
	set := &Set{Plans: []*Plan{plan}}
	p.worker.SetJobs(set)
	id := p.land1("f", "no,unit\n1,KAR\n2,X\n")
	if e := p.work(id); e.State != ledger.Held || !strings.HasPrefix(e.Reason, `table units has no "X" (line 3): add it to u.csv`) {
		t.Fatalf("%s %s", e.State, e.Reason)
	}
	if err := os.WriteFile(path, []byte("code,name\nKAR,Karton\nf,\nX,Neu\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must(p.ledger.Approve(t.Context(), id, "me"))
	if e := p.work(id); e.State != ledger.Accepted || e.Messages != 2 {
		t.Fatalf("%s %s", e.State, e.Reason)
	}
	again := p.land1("f2", "no,unit\n3,Y\n")
	if e := p.work(again); e.State != ledger.Held {
		t.Fatalf("%s %s", e.State, e.Reason)
	}
	p.must(p.ledger.Approve(t.Context(), again, "me"))
	if e := p.work(again); e.State != ledger.Delivered || e.Rejects != 1 {
		t.Errorf("%s %s, %d rejects", e.State, e.Reason, e.Rejects)
	}
	if err := os.Remove(path); err != nil { // an outage is not an error
		t.Fatal(err)
	}
	third := p.land1("f3", "no,unit\n4,KAR\n")
	if e := p.work(third); e.State != ledger.Received || e.Attempts != 1 || !strings.Contains(e.Reason, "table units") {
		t.Errorf("%s %s", e.State, e.Reason)
	}
}

func BenchmarkLookup(b *testing.B) {
	var text strings.Builder
	text.WriteString("code,name,factor\n")
	for i := range 100_000 {
		fmt.Fprintf(&text, "C%06d,name %d,1.5\n", i, i)
	}
	tb, _ := table(b, "u.csv", text.String(), "by: code\nvalue: name")
	if err := tb.Refresh(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := range b.N {
		if _, err := tb.find(nil, fmt.Sprintf("C%06d", i%100_000)); err != nil {
			b.Fatal(err)
		}
	}
}
