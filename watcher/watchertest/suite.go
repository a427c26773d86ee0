package watchertest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"waybill/watcher"
)

// A Fixture makes places.
type Fixture struct {
	// Start makes an empty place whose source looks into folders below it as well. A file is ready at the first look.
	Start func(t *testing.T, s watcher.Settings) *Place
}

// Run checks the contract, one subtest a clause.
func Run(t *testing.T, f Fixture) {
	for _, clause := range []struct {
		name string
		test func(p *Place)
		watcher.Settings
	}{
		{"files of all sizes are read whole", readWhole, watcher.Settings{}},
		{"neither temporary files nor closed ones are listed", listsOnlyWhatIsNew, watcher.Settings{}},
		{"folders that nothing is moved to are ordinary", listsDone, deleting},
		{"a place that is gone is away and is listed again", comesBack, watcher.Settings{}},
		{"a file that is gone does not exist", openGone, watcher.Settings{}},
		{"another version is not read", openAnother, watcher.Settings{}},
		{"a closed file is moved and nothing is overwritten", moves, watcher.Settings{}},
		{"a closed file keeps its folder", keepsFolder, watcher.Settings{}},
		{"a report is laid beside a failed file and overwrites nothing", lays, watcher.Settings{}},
		{"closing may be repeated after a crash", repeats, watcher.Settings{}},
		{"another version is not moved", closesOnlyWhatWasRead, watcher.Settings{}},
		{"another version is not deleted", closesOnlyWhatWasRead, deleting},
		{"a deleted file leaves no trace", deletes, deleting},
		{"a file that is left is not touched", leaves, watcher.Settings{Done: "leave"}},
		{"names of any bytes are read and moved", takesAnyName, watcher.Settings{}},
	} {
		t.Run(clause.name, func(t *testing.T) {
			t.Parallel()
			clause.test(f.Start(t, clause.Settings))
		})
	}
}

var (
	deleting = watcher.Settings{Done: "delete", Failed: "delete"}
	done     = watcher.Closing{Fate: watcher.Done}
	failed   = watcher.Closing{Fate: watcher.Failed, Report: []byte(`{"rejects": 1}`), ReportName: "a.csv.rejects.json"}
)

func readWhole(p *Place) {
	for _, n := range []int{0, 1, 31, 32, 33, 4096, 32<<10 - 1, 32 << 10, 32<<10 + 1, 3 << 20} {
		text := strings.Repeat("waybill\n", n/8+1)[:n]
		p.Write("a.csv", text)
		f := p.Listed("a.csv")
		if f.Size != int64(n) || f.Skip != "" {
			p.T.Errorf("listed with %d bytes, want %d, %s", f.Size, n, f.Skip)
		}
		if got, err := p.Content(f); err != nil || got != text {
			p.T.Errorf("%d bytes: read %d, %v", n, len(got), err)
		}
	}
}

func listsOnlyWhatIsNew(p *Place) {
	for _, name := range []string{".a.csv", "a.part", "b.csv.filepart", "c.tmp", "d.!ut", "E.PART", ".hidden/x.csv", "done/x.csv", "failed/x.csv", "sub/done/y.csv", "sub/deep/z.csv", "a.csv"} {
		p.Write(name, "x")
	}
	files := p.All()
	for _, name := range []string{"a.csv", "sub/done/y.csv", "sub/deep/z.csv"} {
		if files[name].Path == "" {
			p.T.Errorf("%s is not listed", name)
		}
	}
	if len(files) != 3 {
		p.T.Errorf("listed %v", files)
	}
}

func listsDone(p *Place) {
	p.Write("done/x.csv", "x")
	p.Listed("done/x.csv")
}

func comesBack(p *Place) {
	p.must(os.Rename(p.Dir, p.Dir+".aside"))
	if _, errs := p.Look(); len(errs) != 1 || !errors.Is(errs[0], watcher.ErrAway) || !errors.Is(errs[0], fs.ErrNotExist) {
		p.T.Errorf("got %v, want that the source is away", errs)
	}
	p.must(os.Rename(p.Dir+".aside", p.Dir))
	p.Write("a.csv", "x")
	p.Listed("a.csv")
}

func openGone(p *Place) {
	p.Write("a.csv", "x")
	f := p.Listed("a.csv")
	p.must(os.Remove(p.Path("a.csv")))
	if _, err := p.Content(f); !errors.Is(err, fs.ErrNotExist) {
		p.T.Errorf("opened: %v", err)
	}
	if s, ok := p.Source.(watcher.Stater); ok {
		if _, err := s.Stat(context.Background(), "a.csv"); !errors.Is(err, fs.ErrNotExist) {
			p.T.Errorf("looked at: %v", err)
		}
	}
}

func openAnother(p *Place) {
	for _, sizes := range [][2]int{{4, 5}, {5, 4}, {100_000, 90_000}, {90_000, 100_000}, {5, 0}, {0, 5}} {
		p.Write("a.csv", strings.Repeat("x", sizes[0]))
		f := p.Listed("a.csv")
		p.Write("a.csv", strings.Repeat("y", sizes[1]))
		if text, err := p.Content(f); !errors.Is(err, watcher.ErrChanged) {
			p.T.Errorf("%d bytes that became %d: read %d, %v", sizes[0], sizes[1], len(text), err)
		}
	}
}

func moves(p *Place) {
	names := []string{"done/a.csv", "done/a.1.csv", "done/a.2.csv", "done/a.3.csv", "done/a.4.csv"}
	for i, want := range names {
		p.Write("a.csv", strings.Repeat("x", i+1))
		if where := p.CloseNow(p.Listed("a.csv"), done); where != want {
			p.T.Errorf("moved to %s, want %s", where, want)
		}
		p.Gone("a.csv")
	}
	for i, name := range names {
		if text := p.Read(name); len(text) != i+1 {
			p.T.Errorf("%s holds %q", name, text)
		}
	}
}

func keepsFolder(p *Place) {
	p.Write("x/y/a.csv", "x")
	if where := p.CloseNow(p.Listed("x/y/a.csv"), done); where != "done/x/y/a.csv" {
		p.T.Errorf("moved to %s", where)
	}
	p.Read("done/x/y/a.csv")
}

func lays(p *Place) {
	p.Write("failed/a.csv.rejects.json", "somebody else's")
	for i, want := range []string{"failed/a.csv", "failed/a.1.csv"} {
		p.Write("a.csv", strings.Repeat("x", i+1))
		f := p.Listed("a.csv")
		for range 2 { // the second time it was done already
			if where := p.CloseNow(f, failed); where != want {
				p.T.Errorf("moved to %s, want %s", where, want)
			}
		}
	}
	if text := p.Read("failed/a.csv.rejects.json"); text != "somebody else's" {
		p.T.Errorf("overwritten by %q", text)
	}
	for _, name := range []string{"failed/a.csv.rejects.1.json", "failed/a.1.csv.rejects.json"} {
		if text := p.Read(name); text != string(failed.Report) {
			p.T.Errorf("the report is %q", text)
		}
	}
	if names, err := os.ReadDir(p.Path("failed")); err != nil || len(names) != 5 {
		p.T.Errorf("in failed: %v, %v", names, err)
	}
}

func repeats(p *Place) {
	p.Write("failed/a.csv", "older")
	p.Write("a.csv", "x")
	f := p.Listed("a.csv")
	p.CloseNow(f, watcher.Closing{Fate: watcher.Failed}) // killed before the report
	for range 2 {
		if where := p.CloseNow(f, failed); where != "failed/a.1.csv" {
			p.T.Errorf("said to be at %q", where)
		}
	}
	p.Read("failed/a.1.csv.rejects.json")
	p.Gone("failed/a.1.csv.rejects.1.json")
	p.must(os.Remove(p.Path("failed/a.1.csv")))
	if where := p.CloseNow(f, failed); where != "" {
		p.T.Errorf("said to be at %q, but somebody took it", where)
	}
}

func closesOnlyWhatWasRead(p *Place) {
	p.Write("a.csv", "read")
	f := p.Listed("a.csv")
	p.Write("b.csv", "not read")
	p.must(os.Rename(p.Path("b.csv"), p.Path("a.csv")))
	if where, err := p.Source.Close(context.Background(), f, done); !errors.Is(err, watcher.ErrChanged) {
		p.T.Errorf("got %q, %v", where, err)
	}
	if text := p.Read("a.csv"); text != "not read" {
		p.T.Errorf("holds %q", text)
	}
}

func deletes(p *Place) {
	p.Write("a.csv", "x")
	f := p.Listed("a.csv")
	for range 2 {
		if where := p.CloseNow(f, failed); where != "" {
			p.T.Errorf("said to be at %q", where)
		}
	}
	if left, err := os.ReadDir(p.Dir); err != nil || len(left) > 0 {
		p.T.Errorf("left: %v, %v", left, err)
	}
}

func leaves(p *Place) {
	p.Write("a.csv", "x")
	if where := p.CloseNow(p.Listed("a.csv"), done); where != "a.csv" {
		p.T.Errorf("said to be at %q", where)
	}
	p.Read("a.csv")
}

func takesAnyName(p *Place) {
	for _, name := range []string{"-rf", "new\nline.csv", "bad\xff\xfe.csv", "rtl\u202egpj.csv", "\x1b[31mred.csv", " ", "CON", strings.Repeat("x", 246) + ".csv", "a;rm -rf *", "naïve.csv", "*?[a]"} {
		for _, text := range []string{"first", "another"} {
			p.Write(name, text)
			f := p.Listed(name)
			if ok, reason, _, err := p.Source.Ready(context.Background(), f); !ok || err != nil {
				p.T.Errorf("%q: not ready: %s, %v", name, reason, err)
			}
			if got, err := p.Content(f); got != text || err != nil {
				p.T.Errorf("%q: read %q, %v", name, got, err)
			}
			if where := p.CloseNow(f, done); p.Read(where) != text {
				p.T.Errorf("%q: moved to %q", name, where)
			}
		}
	}
	if left := p.All(); len(left) > 0 {
		p.T.Errorf("left: %v", left)
	}
}
