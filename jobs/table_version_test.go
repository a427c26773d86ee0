package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"waybill/formats"
	"waybill/ledger"
)

// ticking rewrites the file of a table, on a file system whose clock has not ticked meanwhile.
type ticking struct {
	t    *testing.T
	tb   *Table
	path string
	at   time.Time
}

func (k *ticking) write(text string) {
	k.t.Helper()
	if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	k.tb.reading.Lock()
	defer k.tb.reading.Unlock()
	is, err := os.Stat(k.path)
	if err != nil {
		k.t.Fatal(err)
	}
	if k.tb.file.is != nil { // nothing but the bytes tells it from what was read
		k.tb.file.is = is
	}
}

func (k *ticking) look() string {
	k.t.Helper()
	if err := k.tb.Refresh(k.t.Context()); err != nil {
		return err.Error()
	}
	v, err := k.tb.find(nil, "A")
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

func TestATableThatIsRewrittenWithinOneTickOfTheFileSystemIsReadAgain(t *testing.T) {
	t.Parallel()
	tb, path := table(t, "u.csv", "code,name\nA,1\n", "by: code\nvalue: name")
	k := &ticking{t: t, tb: tb, path: path, at: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)} // the date is nothing to it
	tb.now = func() time.Time { return k.at }
	if got := k.look(); got != "1" {
		t.Fatal(got)
	}
	for i, wait := range []time.Duration{0, time.Second, tableSettled - time.Second - 1} {
		k.at = k.at.Add(wait)
		k.write(fmt.Sprintf("code,name\nA,%d\n", i+2))
		if got, want := k.look(), fmt.Sprint(i+2); got != want {
			t.Errorf("look %d found %s", i, got)
		}
	}
	if tb.file.sure {
		t.Error("it was trusted too early")
	}
	k.at = k.at.Add(1)
	k.look()
	if !tb.file.sure {
		t.Error("it is never trusted")
	}
	rows := tb.rows.Load()
	if k.look(); tb.rows.Load() != rows {
		t.Error("read again for nothing")
	}
}

func TestATableWhoseTimesWereSetBackIsReadAgain(t *testing.T) {
	t.Parallel()
	tb, path := table(t, "u.csv", "code,name\nA,1\n", "by: code\nvalue: name")
	k := &ticking{t: t, tb: tb, path: path}
	tb.now = func() time.Time { return k.at }
	k.look()
	k.at = k.at.Add(time.Hour)
	k.look()
	if !tb.file.sure {
		t.Fatal("it is not trusted")
	}
	was := tb.file.is.ModTime()
	if err := os.WriteFile(path, []byte("code,name\nA,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, was, was); err != nil { // as rsync and cp -p do
		t.Fatal(err)
	}
	if got := k.look(); got != "2" {
		t.Error(got)
	}
}

func TestATableThatWasOnlyTouchedIsNotDecodedAgain(t *testing.T) {
	t.Parallel()
	tb, path := table(t, "u.csv", "code,name\nA,1\n", "by: code\nvalue: name")
	k := &ticking{t: t, tb: tb, path: path}
	k.look()
	rows := tb.rows.Load()
	if err := os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if k.look(); tb.rows.Load() != rows {
		t.Error("decoded again for nothing")
	}
}

// changing changes the table while a job reads its records.
type changing struct {
	formats.Decoder
	then func(record int64)
}

func (c changing) Decode(b formats.Blob) iter.Seq2[*formats.Record, error] {
	return func(yield func(*formats.Record, error) bool) {
		for rec, err := range c.Decoder.Decode(b) {
			if err == nil {
				c.then(rec.Number)
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func TestARunSeesOneVersionOfEachTable(t *testing.T) {
	t.Parallel()
	tb, path := table(t, "u.csv", "code,name\nKAR,old\nf,\n", "by: code")
	p := compileWith(t, tb, lookupJob)
	p.reader.decoder = changing{p.reader.decoder, func(n int64) {
		if n != 2 {
			return
		}
		if err := os.WriteFile(path, []byte("code,name\nKAR,new\nf,\nf2,\nf3,\n"), 0o600); err != nil {
			t.Error(err)
		}
		if _, err := p.Snapshot(context.Background()); err != nil { // another entry begins
			t.Error(err)
		}
	}}
	const file = "no,unit\n1,KAR\n2,KAR\n3,KAR\n"
	if got, want := brief(t, p, file), `accepted 3 of 3: {"no":"1","unit":"old","file":"?"} {"no":"2","unit":"old","file":"?"} {"no":"3","unit":"old","file":"?"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := brief(t, p, file); strings.Contains(got, "old") {
		t.Errorf("the next run has the old one still: %s", got)
	}
}

func TestTheHistoryOfAnEntryNamesTheTablesItWentBy(t *testing.T) {
	t.Parallel()
	const old, now = "code,name\nKAR,old\nf,\n", "code,name\nKAR,new\nf,\nf2,\nf3,\n"
	tb, path := table(t, "u.csv", old, "by: code\nmissing: hold")
	p := newPlant(t)
	p.worker.SetJobs(&Set{Plans: []*Plan{compileWith(t, tb, lookupJob)}})
	digest := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "units " + hex.EncodeToString(sum[:8])
	}
	is := func(id int64, kind, want string) {
		t.Helper()
		list, err := p.ledger.History(t.Context(), id)
		p.must(err)
		for _, e := range list {
			if e.Kind == kind && e.Detail["tables"] == want {
				return
			}
		}
		t.Errorf("#%d: %+v, want %s with %s", id, list, kind, want)
	}
	first := p.land1("f", "no,unit\n1,KAR\n")
	p.work(first)
	is(first, "accepted", digest(old))
	p.must(os.WriteFile(path, []byte(now), 0o600))
	second, third := p.land1("f2", "no,unit\n2,KAR\n"), p.land1("f3", "no,unit\n3,KAR\n")
	p.must(p.worker.Work(t.Context(), second, third))
	is(second, "accepted", digest(now))
	is(third, "accepted", digest(now))
	fourth := p.land1("f4", "no,unit\n4,X\n")
	if e := p.work(fourth); e.State != ledger.Held {
		t.Errorf("%s %s", e.State, e.Reason)
	}
	is(fourth, "held", digest(now))
}
