package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"waybill/spool"
	"waybill/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// routes is a Router of fixed answers.
type routes []Policy

func (r routes) Route(Arrival) []Policy { return r }

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// rig is a ledger in a folder of its own.
type rig struct {
	*Ledger
	t     testing.TB
	db    *store.DB
	clock *clock
}

func newRig(t testing.TB, policies ...Policy) *rig {
	t.Helper()
	c := &clock{t: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
	db, err := store.Open(context.Background(), store.Options{Folder: t.TempDir(), AcceptDataLoss: true, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := spool.Open(db, filepath.Join(db.Folder(), "spool"), spool.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{Ledger: New(db, s, Options{Router: routes(policies), Now: c.now}), t: t, db: db, clock: c}
}

// restarted is the ledger as another process would have it.
func (r *rig) restarted() *rig {
	c := *r
	c.Ledger = New(r.db, r.spool, Options{Router: *r.router.Load(), Now: r.clock.now})
	return &c
}

func arrival(path, version string) Arrival {
	return Arrival{Source: "drop", Path: path, Version: version, Size: 3, ModTime: time.Unix(1_700_000_000, 5)}
}

func (r *rig) land(a Arrival, content string) (File, []Entry) {
	r.t.Helper()
	f, es, err := r.Land(context.Background(), a, strings.NewReader(content))
	if err != nil {
		r.t.Fatal(err)
	}
	return f, es
}

// one lands a file that must give one entry.
func (r *rig) one(path, content string) Entry {
	r.t.Helper()
	_, es := r.land(arrival(path, path+content), content)
	if len(es) != 1 {
		r.t.Fatalf("%d entries, want 1", len(es))
	}
	return es[0]
}

// many lands n files of different bytes, many at once so that they share commits.
func (r *rig) many(n int) {
	r.t.Helper()
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := i; j < n; j += 32 {
				if _, _, err := r.Land(context.Background(), arrival(fmt.Sprint("f", j), "v"), strings.NewReader(fmt.Sprint(j))); err != nil {
					r.t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func (r *rig) tx(fn func(tx *store.Tx) error) {
	r.t.Helper()
	if err := r.db.Tx(context.Background(), fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) claim(job string, n int) []Entry {
	r.t.Helper()
	es, err := r.Claim(context.Background(), job, n)
	if err != nil {
		r.t.Fatal(err)
	}
	return es
}

// work claims the entry, and accepts it with o.
func (r *rig) work(id int64, o Outcome) {
	r.t.Helper()
	es, err := r.ClaimOnly(context.Background(), id)
	if err != nil || len(es) != 1 {
		r.t.Fatalf("claim #%d: %v, %v", id, es, err)
	}
	defer r.Release(es[0])
	r.tx(func(tx *store.Tx) error { return r.Accept(tx, es[0], o) })
}

func (r *rig) finish(results ...Finish) {
	r.t.Helper()
	r.tx(func(tx *store.Tx) error { return r.Finish(tx, results) })
}

func (r *rig) entry(id int64) Entry {
	r.t.Helper()
	e, err := r.Entry(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (r *rig) fileState(id int64) string {
	r.t.Helper()
	f, err := r.File(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return f.State + " " + f.Reason
}

func (r *rig) count(query string, args ...any) (n int64) {
	r.t.Helper()
	if err := r.db.Reader(context.Background()).QueryRow(query, args...).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

var ctx = context.Background()

func orders() Policy { return Policy{Job: "orders"} }

func TestLandedFileHasItsBytesAndOneEntryPerJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"}, Policy{Job: "audit", Hold: "waits for approval"})
	a := arrival("in/a\x1b[31m\xff.csv", "v1")
	f, es := r.land(a, "one;two\n")
	if len(es) != 2 || es[0].State != Received || es[1].State != Held || es[1].Reason != "waits for approval" {
		t.Fatalf("entries %+v", es)
	}
	if es[0].Name != `in/a\u001b[31m\xff.csv` {
		t.Errorf("shown name %q", es[0].Name)
	}
	for _, e := range es {
		if got := r.entry(e.ID); got != e {
			t.Errorf("read back %+v\nwant %+v", got, e)
		}
	}
	got, err := r.FileOf(ctx, es[1].ID)
	if err != nil || got.Path != a.Path || !got.ModTime.Equal(a.ModTime) || got.State != FileLanded || got.ID != f.ID {
		t.Errorf("file %+v, %v", got, err)
	}
	o, err := r.spool.Reader(ctx, f.Object)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if b, err := io.ReadAll(o); string(b) != "one;two\n" || err != nil {
		t.Errorf("bytes %q, %v", b, err)
	}
}

func TestLandingAgainAnswersAsTheFirstTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	for _, size := range []int{10, 100_000} {
		a := arrival(fmt.Sprint("file", size), "v1")
		content := strings.Repeat("x", size)
		f1, e1 := r.land(a, content)
		r.work(e1[0].ID, Outcome{State: Delivered})
		f2, e2 := r.restarted().land(a, content)
		if f1.ID != f2.ID || f1.Object != f2.Object || len(e2) != 1 || e2[0].ID != e1[0].ID || e2[0].State != Delivered {
			t.Errorf("second time %+v %+v", f2, e2)
		}
	}
	if n := r.count(`SELECT COUNT(*) FROM objects`); n != 2 {
		t.Errorf("%d objects, want 2", n)
	}
	if left, _ := filepath.Glob(filepath.Join(r.db.Folder(), "spool", "*", "*")); len(left) != 1 {
		t.Errorf("files in the spool: %v, want the first landing's only", left)
	}
}

func TestFailedReadingLeavesNoTrace(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	changed := errors.New("the file changed while it was read")
	for _, n := range []int{0, 10, 70_000} {
		broken := io.MultiReader(strings.NewReader(strings.Repeat("x", n)), iotest.ErrReader(changed))
		if _, _, err := r.Land(ctx, arrival("a.csv", "v1"), broken); !errors.Is(err, changed) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	stopped, cancel := context.WithCancel(ctx)
	reads := 0
	r1 := readerFunc(func(p []byte) (int, error) {
		if reads++; reads == 3 {
			cancel()
		}
		return copy(p, strings.Repeat("y", 30_000)), nil
	})
	if _, _, err := r.Land(stopped, arrival("a.csv", "v1"), r1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if n := r.count(`SELECT (SELECT COUNT(*) FROM files) + (SELECT COUNT(*) FROM entries) + (SELECT COUNT(*) FROM objects)`); n != 0 {
		t.Errorf("%d rows left", n)
	}
	if left, _ := filepath.Glob(filepath.Join(r.db.Folder(), "spool", "*", "*")); len(left) != 0 {
		t.Errorf("left in the spool: %v", left)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTooLargeFileIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	r.max = 100
	var large *spool.TooLargeError
	if _, _, err := r.Land(ctx, arrival("a", "1"), bytes.NewReader(make([]byte, 101))); !errors.As(err, &large) {
		t.Errorf("%v", err)
	}
	r.land(arrival("a", "1"), strings.Repeat("x", 100))
}

func TestSmallFileCostsThreeRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	r.one("first", "1")
	r.tx(func(tx *store.Tx) error { return r.Record(tx, Event{Kind: "started"}) }) // the first event also names the node
	changes := func() (n int64) {
		r.tx(func(tx *store.Tx) error { return tx.QueryRow(`SELECT total_changes()`).Scan(&n) })
		return n
	}
	before := changes()
	e := r.one("second", "2")
	if n := changes() - before; n != 3 {
		t.Errorf("landing wrote %d rows, want 3", n)
	}
	c := r.claim("orders", 10)
	before = changes()
	r.tx(func(tx *store.Tx) error { return r.Accept(tx, c[1], Outcome{State: Accepted, Records: 1, Messages: 1}) })
	r.finish(Finish{Entry: e.ID})
	if err := r.Closed(ctx, []ClosedFile{{ID: e.File, Where: "done/second"}}); err != nil {
		t.Fatal(err)
	}
	if n := changes() - before; n > 6 {
		t.Errorf("accepting, finishing and closing wrote %d rows, want at most 6: two of them events", n)
	}
}

func TestFileNobodyTakesIsKeptWithoutEntry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := arrival("notes.txt", "v1")
	f, es := r.land(a, "hello")
	if len(es) != 0 || f.State != FileLanded || f.Reason != NoJob || f.Object == 0 {
		t.Errorf("file %+v, entries %v", f, es)
	}
	if unknown, err := r.Unknown(ctx, "drop", []Arrival{a}); len(unknown) != 0 || err != nil {
		t.Errorf("Unknown: %v, %v", unknown, err)
	}
	r.SetRouter(routes{orders()})
	if unknown, err := r.Unknown(ctx, "drop", []Arrival{a}); len(unknown) != 1 || err != nil {
		t.Errorf("Unknown after a job took the name: %v, %v", unknown, err)
	}
	f2, es := r.land(a, "hello")
	if f2.ID != f.ID || len(es) != 1 || es[0].State != Received || r.fileState(f.ID) != "landed " {
		t.Errorf("landed again: %+v %+v", f2, es)
	}
	if n := r.count(`SELECT COUNT(*) FROM objects`); n != 1 {
		t.Errorf("%d objects, want 1", n)
	}
}

func TestConcurrentLandingsOfTheSameBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders", Actions: map[Verdict]Action{Suspect: ToSkip}})
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			a := arrival(fmt.Sprint("same", i%3), fmt.Sprint("v", i/3))
			if _, _, err := r.Land(ctx, a, strings.NewReader("the same")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.count(`SELECT COUNT(*) FROM entries WHERE state = 'received'`); n != 1 {
		t.Errorf("%d received, want one winner", n)
	}
	if n := r.count(`SELECT COUNT(*) FROM entries e WHERE state = 'duplicate' AND twin = (SELECT id FROM entries WHERE state = 'received')`); n != 23 {
		t.Errorf("%d duplicates of the winner, want 23", n)
	}
}
