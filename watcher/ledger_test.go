package watcher_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
	"waybill/watcher"
	"waybill/watcher/local"
)

// jobs routes every .csv to one job.
type jobs struct{}

func (jobs) Route(a ledger.Arrival) []ledger.Policy {
	if !strings.HasSuffix(a.Path, ".csv") {
		return nil
	}
	return []ledger.Policy{{Job: "orders", Identity: "content", Actions: map[ledger.Verdict]ledger.Action{
		ledger.Fresh: ledger.ToProcess, ledger.Redelivery: ledger.ToSkip, ledger.Suspect: ledger.ToHold, ledger.Correction: ledger.ToProcess, ledger.Empty: ledger.ToProcess,
	}}}
}

// A depot is a yard with the real ledger.
type depot struct {
	t   testing.TB
	dir string
	*watcher.Watcher
	*ledger.Ledger
	db     *store.DB
	source watcher.Source
}

func newDepot(t testing.TB) *depot {
	t.Helper()
	d := &depot{t: t, dir: t.TempDir()}
	data := t.TempDir()
	var err error
	d.db, err = store.Open(context.Background(), store.Options{Folder: data, Now: time.Now, AcceptDataLoss: true})
	must(t, err)
	t.Cleanup(func() { must(t, d.db.Close()) })
	s, err := spool.Open(d.db, filepath.Join(data, "spool"), spool.Options{Now: time.Now})
	must(t, err)
	d.Ledger = ledger.New(d.db, s, ledger.Options{Router: jobs{}, Now: time.Now})
	log := slog.New(slog.DiscardHandler)
	src, err := local.New(local.Options{Path: d.dir}, watcher.Settings{}, time.Now, log)
	must(t, err)
	d.source = src
	woken, forget := d.db.Watch(ledger.TopicClosable)
	t.Cleanup(forget)
	d.Watcher = watcher.New("drop", src, d.Ledger, d.Ledger, watcher.Options{Now: time.Now, Log: log, Closable: woken})
	return d
}

// work ends every entry that waits, as state says.
func (d *depot) work(state func(ledger.Entry) ledger.State) {
	d.t.Helper()
	for {
		list, err := d.Claim(context.Background(), "orders", 100)
		must(d.t, err)
		if len(list) == 0 {
			return
		}
		for _, e := range list {
			must(d.t, d.db.Tx(context.Background(), func(tx *store.Tx) error {
				return d.Accept(tx, e, ledger.Outcome{State: state(e), Reason: "as told"})
			}))
			d.Release(e)
		}
	}
}

func (d *depot) why(path string) string {
	d.t.Helper()
	list, err := d.Why(context.Background(), path)
	must(d.t, err)
	if len(list) == 0 {
		return "unknown"
	}
	return list[0].File.State + ": " + list[0].File.Reason
}

func TestWithTheLedgerAFileGoesFromTheDropToTheArchive(t *testing.T) {
	t.Parallel()
	d := newDepot(t)
	write := func(name, text string) { must(t, os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600)) }
	for i := range 100 {
		write(fmt.Sprintf("%d.csv", i), fmt.Sprint("text ", i))
	}
	big := strings.Repeat("0123456789", 100_000)
	write("bad.csv", big)
	open, err := os.Create(filepath.Join(d.dir, "open.csv"))
	must(t, err)
	write("-rf\xff\n.csv", "odd")
	ctx := context.Background()
	must(t, d.ScanOnce(ctx))
	if got := d.why("open.csv"); got != "seen: somebody has it open for writing" {
		t.Errorf("open.csv is %s", got)
	}
	d.work(func(e ledger.Entry) ledger.State {
		if e.Name == "bad.csv" {
			return ledger.Rejected
		}
		return ledger.Delivered
	})
	must(t, d.CloseOnce(ctx))
	for name, want := range map[string]string{"7.csv": "closed: done/7.csv", "bad.csv": "closed: failed/bad.csv", "-rf\xff\n.csv": "closed: done/-rf\xff\n.csv"} {
		if got := d.why(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"failed/bad.csv", "failed/bad.csv.rejects.json", "done/99.csv"} {
		if _, err := os.Stat(filepath.Join(d.dir, name)); err != nil {
			t.Error(err)
		}
	}
	must(t, open.Close())
	write("7.csv", "text 7") // sent again
	must(t, d.ScanOnce(ctx))
	d.work(func(ledger.Entry) ledger.State { return ledger.Delivered })
	must(t, d.CloseOnce(ctx))
	if _, err := os.Stat(filepath.Join(d.dir, "done/7.1.csv")); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(d.dir, "*.csv"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

func BenchmarkDropToLedger(b *testing.B) {
	d := newDepot(b)
	total, dropped := 0, 0
	for b.Loop() {
		b.StopTimer()
		for range 2000 {
			must(b, os.WriteFile(filepath.Join(d.dir, fmt.Sprintf("%d.csv", dropped)), fmt.Append(nil, "text ", dropped), 0o600))
			dropped++
		}
		b.StartTimer()
		must(b, d.ScanOnce(context.Background()))
		total += 2000
	}
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkRescanWithTheLedger(b *testing.B) {
	d := newDepot(b)
	const n = 10_000
	for i := range n {
		must(b, os.WriteFile(filepath.Join(d.dir, fmt.Sprintf("%d.csv", i)), fmt.Append(nil, "text ", i), 0o600))
	}
	must(b, d.ScanOnce(context.Background()))
	b.Run("asking", func(b *testing.B) { // as once an hour, and for files beyond what is remembered
		before := cpu(b)
		for b.Loop() {
			d.Recheck()
			must(b, d.ScanOnce(context.Background()))
		}
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/n, "cpu-ns/file")
	})
	b.Run("knowing", func(b *testing.B) {
		before := cpu(b)
		for b.Loop() {
			must(b, d.ScanOnce(context.Background()))
		}
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/n, "cpu-ns/file")
	})
}
