package jobs

import (
	"path/filepath"
	"testing"

	"waybill/ledger"
	"waybill/store"
)

// kept counts the files in the spool.
func (p *plant) kept() int {
	p.t.Helper()
	list, err := filepath.Glob(filepath.Join(p.folder, "spool", "??", "*"))
	p.must(err)
	return len(list)
}

// The members of an archive that comes to nothing give their space back at once, not when the spool is swept.
func TestTheMembersOfAnArchiveThatIsNotAcceptedAreGoneAtOnce(t *testing.T) {
	t.Parallel()
	large := orderLines(1, 20_000)
	archive := zipOf(t, "a.csv", large, "b.csv", large+"\n", "c.csv", large+"\n\n")
	const members = 3
	for name, test := range map[string]struct {
		during func(p *plant, id int64, member int) // a member is being put into the spool
		after  func(p *plant, id int64)             // all are there
		kept   int                                  // files, with that of the archive where it is too large for a row
		state  ledger.State
	}{
		"cancelled when all are there": {after: func(p *plant, id int64) { p.must(p.ledger.Cancel(t.Context(), id, "anna")) }, state: ledger.Cancelled},
		"cancelled while it is unpacked": {during: func(p *plant, id int64, member int) {
			if member == 3 {
				if p.kept() < 2 {
					t.Error("no member was there when it was cancelled")
				}
				p.must(p.ledger.Cancel(t.Context(), id, "anna"))
			}
		}, state: ledger.Cancelled},
		"its transaction fails": {after: func(p *plant, id int64) {
			p.must(p.db.Tx(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`CREATE TRIGGER broken BEFORE INSERT ON files BEGIN SELECT RAISE(ABORT, 'broken'); END`)
				return err
			}))
		}, state: ledger.Received},
		"a panic": {during: func(_ *plant, _ int64, member int) {
			if member == 3 {
				panic("broken")
			}
		}, state: ledger.Received},
		"accepted": {state: ledger.Accepted, kept: members},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, "orders", zippedLines)
			id := p.land1("day.zip", archive)
			landed := p.kept()
			claimed, err := p.ledger.ClaimOnly(t.Context(), id)
			p.must(err)
			member := 0
			p.ledger.SetRoom(func(int64) error {
				if member++; test.during != nil {
					test.during(p, id, member)
				}
				return nil
			})
			done, err := p.worker.work(t.Context(), p.worker.Jobs().Plans[0], claimed[0], nearby{})
			if err != nil {
				p.worker.failed(t.Context(), claimed[0], err)
			} else {
				if got := p.kept(); got != landed+members {
					t.Errorf("%d files are kept, want %d", got, landed+members)
				}
				if test.after != nil {
					test.after(p, id)
				}
				p.worker.accept(t.Context(), []*piece{done})
			}
			p.ledger.Release(claimed[0])
			if e := p.entry(id); e.State != test.state {
				t.Errorf("it is %s: %s", e.State, e.Reason)
			}
			if got := p.kept(); got != landed+test.kept {
				t.Errorf("%d files are kept, want %d", got, landed+test.kept)
			}
		})
	}
}
