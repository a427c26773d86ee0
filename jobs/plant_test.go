package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/jobs/convert"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/spool"
	"waybill/store"
)

func TestMain(m *testing.M) {
	if code, is := convert.Child(); is {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// plant is all of waybill behind landing: a real database, spool, ledger, outbox and worker, with a destination in memory.
type plant struct {
	t      testing.TB
	now    func() time.Time
	ahead  atomic.Int64 // of the clock
	folder string
	db     *store.DB
	spool  *spool.Spool
	ledger *ledger.Ledger
	outbox *outbox.Outbox
	worker *Worker
	erp    *inbox
	sender *inbox // mailboxes
	ask    func(from, to time.Time) (*Rows, error)
	landed atomic.Int64
}

// inbox is a destination in memory.
type inbox struct {
	mu     sync.Mutex
	got    []outbox.Message // with Body, also of objects
	refuse func(m *outbox.Message) error
}

func (d *inbox) Deliver(_ context.Context, ms []outbox.Message, done func(int, outbox.Receipt, error)) error {
	for i := range ms {
		m := ms[i]
		m.Body = bytes.Clone(m.Body)
		if m.Object != 0 {
			body, err := readAll(m.Open)
			if err != nil {
				done(i, outbox.Receipt{}, err)
				continue
			}
			m.Body = body
		}
		d.mu.Lock()
		var err error
		if d.refuse != nil {
			err = d.refuse(&m)
		}
		if err == nil {
			d.got = append(d.got, m)
		}
		d.mu.Unlock()
		done(i, outbox.Receipt{Status: 201}, err)
	}
	return nil
}

func readAll(open func() (io.ReadCloser, error)) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// bodies returns what has arrived, and keys under which keys.
func (d *inbox) bodies() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.got {
		list = append(list, string(m.Body))
	}
	return list
}

func (d *inbox) keys() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.got {
		list = append(list, m.Key)
	}
	return list
}

type plantBodies struct{ *spool.Spool }

func (b plantBodies) Open(ctx context.Context, id int64) (io.ReadCloser, error) {
	return b.Reader(ctx, id)
}

// newPlant makes a plant with jobs, given as name and configuration in turn.
func newPlant(t testing.TB, jobs ...string) *plant {
	t.Helper()
	p := &plant{t: t, folder: t.TempDir(), erp: &inbox{}, sender: &inbox{}}
	p.now = func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }
	p.open(p.set(jobs...))
	t.Cleanup(func() { p.must(p.db.Close()) })
	return p
}

func (p *plant) set(jobs ...string) *Set {
	p.t.Helper()
	s := &Set{}
	for i := 0; i < len(jobs); i += 2 {
		plan, problems := Compile(jobs[i], parseOptions(p.t, jobs[i+1]), Environment{Config: "cfg", Destinations: map[string]string{"erp": "http", "files": "file"}})
		if len(problems) > 0 {
			p.t.Fatalf("job %s: %v", jobs[i], problems)
		}
		s.Plans = append(s.Plans, plan)
	}
	return s
}

// open opens what a process has open.
func (p *plant) open(set *Set) {
	p.t.Helper()
	var err error
	p.db, err = store.Open(context.Background(), store.Options{Folder: p.folder, AcceptDataLoss: true, Now: p.now})
	p.must(err)
	p.spool, err = spool.Open(p.db, filepath.Join(p.folder, "spool"), spool.Options{Now: p.now})
	p.must(err)
	p.wire(set)
}

// wire makes the stages over the open database, without claims in memory: what a restart finds.
func (p *plant) wire(set *Set) {
	p.t.Helper()
	var err error
	p.ledger = ledger.New(p.db, p.spool, ledger.Options{Now: p.now})
	p.outbox, err = outbox.New(p.db, outbox.Config{Bodies: plantBodies{p.spool}, Now: p.now})
	p.must(err)
	o := outbox.Options{Retry: outbox.Retry{Pause: time.Millisecond, Longest: 10 * time.Millisecond}}.WithDefaults()
	p.outbox.SetDestinations([]outbox.Destination{
		{Name: Sender, Target: p.sender, Options: o},
		{Name: "erp", Target: p.erp, Options: o, Judge: set.Judge}, {Name: "files", Target: p.erp, Options: o, Judge: set.Judge},
	})
	p.worker = NewWorker(Config{DB: p.db, Ledger: p.ledger, Spool: p.spool, Outbox: p.outbox, Log: slog.New(slog.DiscardHandler), Now: p.now,
		Ask: func(_ context.Context, _, _ string, from, to time.Time) (*Rows, func() error, error) {
			rows, err := p.ask(from, to)
			return rows, func() error { return nil }, err
		}}, set)
}

// run runs the stages until the test ends, or stop is called.
func (p *plant) run() (stop func()) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.check(p.worker.Run(ctx, 0)) })
	wg.Go(func() { p.check(p.outbox.Run(ctx, time.Second)) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	p.t.Cleanup(stop)
	return stop
}

func (p *plant) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) check(err error) {
	if err != nil {
		p.t.Error(err)
	}
}

// land lands a file and returns its entries.
func (p *plant) land(path, text string) []ledger.Entry {
	p.t.Helper()
	_, entries, err := p.ledger.Land(p.t.Context(), ledger.Arrival{Source: "in", Path: path, Version: fmt.Sprint("v", p.landed.Add(1))}, strings.NewReader(text))
	p.must(err)
	return entries
}

// land1 lands a file that one job takes.
func (p *plant) land1(path, text string) int64 {
	p.t.Helper()
	entries := p.land(path, text)
	if len(entries) != 1 {
		p.t.Fatalf("%s belongs to %d jobs", path, len(entries))
	}
	return entries[0].ID
}

// work works an entry as `waybill run` does, and returns it as it is then.
func (p *plant) work(id int64) ledger.Entry {
	p.t.Helper()
	p.must(p.worker.Work(p.t.Context(), id))
	return p.entry(id)
}

func (p *plant) entry(id int64) ledger.Entry {
	p.t.Helper()
	e, err := p.ledger.Entry(context.Background(), id)
	p.must(err)
	return e
}

// await waits until an entry is in one of states.
func (p *plant) await(id int64, states ...ledger.State) ledger.Entry {
	p.t.Helper()
	p.until(func() bool { return slices.Contains(states, p.entry(id).State) }, func() string {
		e := p.entry(id)
		return fmt.Sprintf("#%d is %s (%s), not %v", id, e.State, e.Reason, states)
	})
	return p.entry(id)
}

// patience is how long anything may take before it counts as never.
const patience = 2 * time.Minute

// until waits until something holds; say tells what is instead.
func (p *plant) until(holds func() bool, say func() string) {
	p.t.Helper()
	limit, tick := time.NewTimer(patience), time.NewTicker(2*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			p.t.Fatal(say())
		}
	}
}

// count runs a statement that gives one number.
func (p *plant) count(query string, args ...any) (n int64) {
	p.t.Helper()
	p.must(p.db.Reader(context.Background()).QueryRow(query, args...).Scan(&n))
	return n
}

// is fails the test when a query gives another number.
func (p *plant) is(want int64, query string, args ...any) {
	p.t.Helper()
	if got := p.count(query, args...); got != want {
		p.t.Errorf("%s: %d, want %d", query, got, want)
	}
}

// orderLines makes a file of rows A-1…A-n.
func orderLines(from, to int) string {
	var b strings.Builder
	b.WriteString("no;qty\n")
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "A-%d;%d\n", i, i)
	}
	return b.String()
}
