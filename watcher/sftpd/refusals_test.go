package sftpd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/store"
)

// refusedAs returns the reasons of the uploads that were noted as refused.
func (r *rig) refusedAs() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.notes {
		if n.kind == "refused" {
			list = append(list, fmt.Sprint(n.detail["path"], " ", n.detail["reason"]))
		}
	}
	return list
}

func TestAPausedSourceRefusesUploadsWhenTheyAreOpened(t *testing.T) {
	t.Parallel()
	var paused atomic.Bool
	r := newRig(t, func(o *FilesOptions) {
		o.Paused = func(source string) bool { return source == "partners" && paused.Load() }
	})
	c, _ := r.dial()
	f, err := c.Create("/in/begun.csv")
	r.must(err)
	_, err = f.Write(pattern(100))
	r.must(err)
	r.must(send(c, "/in/whole.csv.part", pattern(100)))
	paused.Store(true)
	_, err = c.Create("/in/a.csv")
	r.refuses("open", err, "it is paused: send it again later")
	_, err = c.Create("/in/a.csv.part")
	r.refuses("open under a temporary name", err, "it is paused")
	r.refuses("rename", c.Rename("/in/whole.csv.part", "/in/whole.csv"), "it is paused")
	r.must(c.Rename("/in/whole.csv.part", "/in/other.csv.part")) // that takes nothing
	r.must(f.Close())                                            // it was begun before
	r.must(send(c, "/orders/in/a.csv", pattern(100)))            // of another source
	if _, err := c.ReadDir("/in"); err != nil {
		t.Error(err)
	}
	want := "/in/a.csv nothing is taken into this folder at the moment, it is paused: send it again later"
	if got := r.refusedAs(); len(got) != 3 || got[0] != want {
		t.Errorf("noted %q", got)
	}
	paused.Store(false)
	r.must(c.Rename("/in/other.csv.part", "/in/whole.csv"))
	r.must(send(c, "/in/a.csv", pattern(100)))
	if n := len(r.entries()); n != 4 {
		t.Errorf("%d entries, want 4", n)
	}
}

// Who is refused for what is the case here is told of as one who is refused for what he sends.
func TestWhatIsRefusedForNowIsNoted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.account.Quota = Quota{Files: 2}
	c, _ := r.dial()
	f, err := c.Create("/in/big.csv")
	r.must(err)
	r.full(true)
	_, err = c.Create("/in/a.csv")
	r.refuses("open", err, "no room at the moment")
	_, err = f.Write(pattern(10))
	r.refuses("write", err, "no room at the moment")
	r.refuses("close", f.Close(), "no room at the moment")
	r.full(false)
	r.must(send(c, "/in/1.csv", pattern(10)))
	r.must(send(c, "/in/2.csv.part", pattern(10)))
	_, err = c.Create("/in/3.csv")
	r.refuses("open", err, "it may hold 2 files")
	r.must(send(c, "/in/2.csv.part", pattern(20))) // in its place
	r.account.Quota = Quota{Bytes: 40}
	c, _ = r.dial()
	f, err = c.Create("/in/4.csv")
	r.must(err)
	_, err = f.Write(pattern(11)) // 10 wait, 20 lie there: the last byte is too much
	r.refuses("write", err, "it may hold 40 bytes")
	r.refuses("close", f.Close(), "it may hold 40 bytes")
	list := r.refusedAs()
	if len(list) != 4 || list[0] != "/in/a.csv "+noRoom || list[1] != "/in/big.csv "+noRoom || !strings.HasPrefix(list[2], "/in/3.csv the mailbox is full") ||
		!strings.HasPrefix(list[3], "/in/4.csv the mailbox is full") {
		t.Errorf("noted %q", list)
	}
	if n := len(r.entries()); n != 1 {
		t.Errorf("%d entries: what is to be sent again is not rejected", n)
	}
}

// A program that sends the same wrong file again and again must not fill the ledger.
func TestRefusalsOfAFloodAreOneRow(t *testing.T) {
	t.Parallel()
	clock := newClock()
	r := newRig(t, func(o *FilesOptions) { o.Now = clock.now })
	r.account.Quota = Quota{FileSize: 10}
	c, _ := r.dial()
	const flood = rationBurst + 50
	for i := range flood {
		r.refuses("close", send(c, fmt.Sprintf("/in/%d.csv", i), pattern(100)), "larger than the limit")
	}
	rejected := func() (n int) {
		r.must(r.db.Tx(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM entries`).Scan(&n) }))
		return n
	}
	if n := rejected(); n != rationBurst {
		t.Errorf("%d entries, want %d", n, rationBurst)
	}
	r.files.SumUp(t.Context())
	r.files.SumUp(t.Context())
	var sums []note
	for _, n := range r.notes {
		if n.detail["count"] != nil {
			sums = append(sums, n)
		}
	}
	if len(sums) != 1 || sums[0].detail["count"] != 50 || sums[0].detail["partner"] != "acme" {
		t.Errorf("%v", sums)
	}
	clock.add(rationEvery)
	for range 2 {
		r.refuses("close", send(c, "/in/again.csv", pattern(100)), "larger than the limit")
	}
	if n := rejected(); n != rationBurst+1 {
		t.Errorf("%d entries after %s, want one more than %d", n, rationEvery, rationBurst)
	}
	clock.add(24 * time.Hour)
	r.files.SumUp(t.Context())
	r.files.SumUp(t.Context())
	if n := len(r.files.ration.by); n != 0 {
		t.Errorf("%d partners are still known a day later", n)
	}
}

// What somebody who is gone has not picked up may be the only copy.
func TestTheMailboxOfWhoIsGoneIsToldOfAndNotTakenAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, cut := r.dial()
	r.must(send(c, "/in/a.csv", pattern(100_000)))
	r.must(c.Mkdir("/in/deep"))
	r.must(send(c, "/in/deep/b.csv.part", pattern(100)))
	cut()
	box := filepath.Join(r.data, "mailboxes", "acme")
	left, err := LeftOver(t.Context(), r.files.Folder, []*Account{&r.account})
	if err != nil || len(left) != 0 {
		t.Errorf("he is not gone: %v, %v", left, err)
	}
	check := func(files, bytes int64) {
		t.Helper()
		if _, err := r.files.Sweep(t.Context(), nil); err != nil {
			t.Error(err)
		}
		left, err := LeftOver(t.Context(), r.files.Folder, nil)
		switch {
		case err != nil:
			t.Error(err)
		case files == 0 && len(left) == 0:
		case len(left) != 1 || left[0] != (Left{"acme", files, bytes, box}):
			t.Errorf("%+v", left)
		}
	}
	check(1, 100)
	if _, err := os.Stat(filepath.Join(box, "in", "deep", "b.csv.part")); err != nil {
		t.Error(err)
	}
	r.must(os.Remove(filepath.Join(box, "in", "deep", "b.csv.part")))
	check(0, 0)
	if _, err := os.Stat(box); !os.IsNotExist(err) {
		t.Errorf("the empty mailbox is still there: %v", err)
	}
	if got, _ := r.content("acme/a.csv"); got != string(pattern(100_000)) {
		t.Error("what has landed is gone")
	}
	again, _ := r.dial()
	r.must(send(again, "/in/c.csv", pattern(10)))
	r.account.Name = "other"
	check(0, 0)
	if _, err := again.Stat("/in"); err != nil {
		t.Errorf("the mailbox of one who is connected was cleared: %v", err)
	}
}
