package e2e_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"waybill/formats"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/spool"
	"waybill/store"
	"waybill/watcher"
	"waybill/watcher/local"
)

// accepting is a destination that confirms everything.
type accepting struct{}

func (accepting) Deliver(_ context.Context, ms []outbox.Message, done func(int, outbox.Receipt, error)) error {
	for i := range ms {
		done(i, outbox.Receipt{Status: 201}, nil)
	}
	return nil
}

type bodies struct{ *spool.Spool }

func (b bodies) Open(ctx context.Context, id int64) (io.ReadCloser, error) { return b.Reader(ctx, id) }

// TestASmallFileCostsAtMostTwelveRowWrites counts the whole way: noticed, landed, worked, accepted, delivered, finished, closed.
func TestASmallFileCostsAtMostTwelveRowWrites(t *testing.T) {
	t.Parallel()
	const files, most = 200, 12
	h := newHouse(t, "")
	db, err := store.Open(t.Context(), store.Options{Folder: h.path("data"), AcceptDataLoss: true})
	h.must(err)
	kept, err := spool.Open(db, filepath.Join(h.path("data"), "spool"), spool.Options{})
	h.must(err)
	log := slog.New(slog.DiscardHandler)
	book := ledger.New(db, kept, ledger.Options{Log: log})
	out, err := outbox.New(db, outbox.Config{Bodies: bodies{kept}})
	h.must(err)
	out.SetDestinations([]outbox.Destination{{Name: "api", Target: accepting{}, Options: outbox.Options{}.WithDefaults()}})
	plan, problems := jobs.Compile("orders", jobs.Options{
		Receive: &jobs.Receive{Source: "drop", Files: []string{"*.csv"}},
		Read: &jobs.Read{Options: formats.Options{Format: "csv", Delimiter: ";"}, Fields: []jobs.Field{
			{Name: "no", Required: new(true)}, {Name: "qty", Type: "integer"}, {Name: "site"}}},
		Send: []jobs.Send{{To: "api", Key: []string{"=no"}}},
	}, jobs.Environment{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	worker := jobs.NewWorker(jobs.Config{DB: db, Ledger: book, Spool: kept, Outbox: out, Log: log, Now: time.Now}, &jobs.Set{Plans: []*jobs.Plan{plan}})
	settings := watcher.Settings{Done: "move", Failed: "move", Settle: watcher.Settling{Looks: 1, Pause: time.Millisecond}}
	source, err := local.New(local.Options{Path: h.path("drop")}, settings, time.Now, log)
	h.must(err)
	closable, end := db.Watch(ledger.TopicClosable)
	watch := watcher.New("drop", source, book, book, watcher.Options{Poll: 100 * time.Millisecond, Closable: closable, Now: time.Now, Log: log,
		Wanted: func(path string) bool { return plan.Takes("drop", path) }})

	before := changes(t, db)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{func(ctx context.Context) error { return worker.Run(ctx, 0) }, watch.Run, func(ctx context.Context) error { return out.Run(ctx, time.Second) }} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		wg.Wait()
		end()
		h.must(db.Close())
	})
	for i := range files {
		h.drop(fmt.Sprintf("%03d.csv", i), orders(10*i, 3))
	}
	h.until("all files are closed", func() bool {
		var n int
		h.must(db.Reader(t.Context()).QueryRow(`SELECT count(*) FROM files WHERE state = 'closed' AND reason LIKE '%done%'`).Scan(&n))
		return n == files
	})
	each := float64(changes(t, db)-before) / files
	t.Logf("%.2f row writes a file", each)
	if each > most {
		t.Errorf("a small file costs %.2f row writes, at most %d", each, most)
	}
	if each < 5 {
		t.Errorf("%.2f row writes a file cannot be: they are not counted rightly", each)
	}
}

// changes is how many rows the writer has changed so far.
func changes(t *testing.T, db *store.DB) (n int64) {
	t.Helper()
	if err := db.Tx(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(`SELECT total_changes()`).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}
