package jobs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/store"
)

func TestWhatPanicsEachTimeIsHeldInTheEnd(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", rows)
	asked := 0
	p.ask = func(time.Time, time.Time) (*Rows, error) {
		asked++
		return rowsOf(10, func(int) { panic("the plan has a hole") }), nil
	}
	id := p.tick("orders").ID
	for i := 1; i < panicsMost; i++ {
		if e := p.work(id); e.State != ledger.Received || e.Attempts != i {
			t.Fatalf("after %d panics the entry is %s, attempts %d", i, e.State, e.Attempts)
		}
		p.ahead.Add(int64(time.Hour))
	}
	e := p.work(id)
	if e.State != ledger.Held || asked != panicsMost || !strings.Contains(e.Reason, "the plan has a hole") || strings.Contains(e.Reason, "goroutine") {
		t.Errorf("after %d panics the entry is %s: %s", asked, e.State, e.Reason)
	}
	p.must(p.ledger.Approve(t.Context(), id, "anna"))
	if e := p.work(id); e.State != ledger.Held || asked != panicsMost+1 {
		t.Errorf("approved, and asked %d times, the entry is %s", asked, e.State)
	}
}

func TestADamagedFileIsHeld(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"missing": os.Remove,
		"shorter": func(path string) error { return os.Truncate(path, 100_000) },
		"broken in the middle": func(path string) error { // which reads like a mistake of whoever wrote it
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] = '"'
			return os.WriteFile(path, b, 0o600)
		},
		"changed": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)-2] ^= 1 // another digit
			return os.WriteFile(path, b, 0o600)
		},
	} {
		p := newPlant(t, "orders", lines)
		id := p.land1("1.csv", orderLines(1, 20_000))
		kept, err := filepath.Glob(filepath.Join(p.folder, "spool", "??", "*"))
		if err != nil || len(kept) != 1 {
			t.Fatal(kept, err)
		}
		p.must(damage(kept[0]))
		if e := p.work(id); e.State != ledger.Held || !strings.Contains(e.Reason, "is damaged") {
			t.Errorf("%s: the entry is %s: %s", name, e.State, e.Reason)
		}
		p.is(0, `SELECT count(*) FROM batches`)
		p.must(p.ledger.Cancel(t.Context(), id, "anna"))
	}
}

func TestAReplayThatFindsNeitherMessagesNorBytesIsHeld(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", lines)
	stop := p.run()
	id := p.land1("1.csv", orderLines(1, 3))
	p.await(id, ledger.Delivered)
	stop()
	p.must(p.ledger.Closed(t.Context(), []ledger.ClosedFile{{ID: p.entry(id).File}}))
	p.ahead.Add(int64(48 * time.Hour))
	p.prune(1)
	_, err := p.ledger.Prune(t.Context(), ledger.Retain{Files: time.Minute})
	p.must(err)
	again, err := p.ledger.Replay(t.Context(), id, "anna", false)
	p.must(err)
	if e := p.work(again.ID); e.State != ledger.Held || !strings.Contains(e.Reason, "have the file sent again") {
		t.Errorf("the replay is %s: %s", e.State, e.Reason)
	}
}

func TestFailuresOfTheSurroundingsAreTriedForEver(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("connection refused"), store.ErrFull, store.ErrBusy} {
		if why := hopeless(ledger.Entry{Attempts: 1000}, err); why != "" {
			t.Errorf("%v holds the entry: %s", err, why)
		}
	}
}

func TestAPanicHoldsWithItsFirstLine(t *testing.T) {
	t.Parallel()
	why := hopeless(ledger.Entry{Attempts: panicsMost}, &panicError{value: "index out of range\ngoroutine 7 [running]:\n"})
	if !strings.Contains(why, ": index out of range: mend the job") {
		t.Error(why)
	}
}
