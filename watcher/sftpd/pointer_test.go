package sftpd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"waybill/store"
)

// bound lets the database grow by some pages only.
func (r *rig) bound(more int64) {
	r.t.Helper()
	r.must(r.db.Tx(r.t.Context(), func(tx *store.Tx) error {
		var pages int64
		if err := tx.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
			return err
		}
		return tx.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", pages+more)).Scan(&pages)
	}))
}

// The spool has the file already when the ledger finds no room for its row.
func TestARenameWhoseRowFindsNoRoomLeavesTheFileUnderItsName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, _ := r.dial()
	body := pattern(200_000)
	r.must(send(c, "/in/a.csv.part", body))
	r.bound(0)
	var err error
	for i := 0; err == nil && i < 10_000; i++ { // what is left in its pages
		err = send(c, fmt.Sprintf("/in/%d.csv", i), pattern(60_000))
	}
	r.refuses("a file that has no room", err, "no room at the moment")
	for i := 0; ; i++ {
		if err := c.Rename("/in/a.csv.part", "/in/a.csv"); err != nil {
			r.refuses("rename", err, "no room at the moment")
			break
		}
		if i == 1000 {
			t.Fatal("there is always room")
		}
		r.must(send(c, "/in/a.csv.part", append(body, byte(i), byte(i>>8))))
	}
	path := filepath.Join(r.data, "mailboxes", "acme", "in", "a.csv.part")
	var st unix.Stat_t
	r.must(unix.Stat(path, &st))
	if st.Nlink != 1 {
		t.Errorf("it has %d names", st.Nlink)
	}
	if list, err := os.ReadDir(r.files.pointers()); err != nil || len(list) > 0 {
		t.Errorf("pointers are left: %v, %v", list, err)
	}
	before := len(r.entries())
	r.bound(10_000)
	r.must(c.Rename("/in/a.csv.part", "/in/a.csv"))
	if got := len(r.entries()); got != before+1 {
		t.Errorf("%d entries, were %d", got, before)
	}
}

// A name that another file has by now is not taken away, and what is no pointer is left alone.
func TestAPointerTakesAwayOnlyWhatHasLanded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, cut := r.dial()
	r.must(send(c, "/in/a.csv", pattern(200_000)))
	r.must(send(c, "/in/a.csv.part", pattern(100)))
	cut()
	var name string
	r.must(r.db.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT name FROM objects WHERE name IS NOT NULL`).Scan(&name)
	}))
	marks := r.files.pointers()
	r.must(os.Symlink("acme/in/a.csv.part", filepath.Join(marks, name)))
	r.must(os.Symlink("nobody/in/x", filepath.Join(marks, fmt.Sprintf("%032x", 1))))
	r.must(os.Symlink("../../etc/passwd", filepath.Join(marks, fmt.Sprintf("%032x", 2))))
	r.must(os.WriteFile(filepath.Join(marks, "notes.txt"), nil, 0o600))
	r.must(os.Symlink("/etc/passwd", filepath.Join(marks, "passwd")))
	r.must(os.Mkdir(filepath.Join(marks, "folder"), 0o700))
	r.must(os.WriteFile(filepath.Join(marks, fresh()), []byte(`{"Partner":"acme","Li`), 0o600)) // killed while it was written
	r.must(r.files.settle(t.Context()))
	if _, err := r.part("in/a.csv.part"); err != nil {
		t.Errorf("another file was taken away: %v", err)
	}
	if list, err := os.ReadDir(marks); err != nil || len(list) != 3 {
		t.Errorf("%v, %v", list, err)
	}
	if got, _ := r.content("acme/a.csv"); got != string(pattern(200_000)) {
		t.Errorf("%d bytes", len(got))
	}
}

// What stands in the way of settling one file is told, and stops neither the start nor the others.
func TestAStrangePointerDoesNotStopTheStart(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := newRig(t, func(o *FilesOptions) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	c, cut := r.dial()
	r.must(send(c, "/in/a.csv", pattern(100)))
	r.must(send(c, "/in/a.csv.part", pattern(100)))
	r.must(send(c, "/in/b.csv.part", pattern(100)))
	cut()
	var version string
	r.must(r.db.Tx(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(`SELECT version FROM files`).Scan(&version) }))
	point := func(lies, partner string) {
		info, err := os.Stat(filepath.Join(r.data, "mailboxes", "acme", lies))
		r.must(err)
		st := info.Sys().(*syscall.Stat_t)
		text, err := json.Marshal(landing{Partner: partner, Source: "partners", Path: []byte("a.csv"), Lies: []byte(lies), Inode: st.Ino, Changed: st.Ctim.Nano()})
		r.must(err)
		r.must(os.WriteFile(filepath.Join(r.files.pointers(), version), text, 0o600))
	}
	for _, stray := range []string{"0", "notes", "zz"} {
		r.must(os.Symlink("/etc/passwd", filepath.Join(r.files.pointers(), stray)))
	}
	// The pointer is one of a file that had its name later: it has another inode, or changed since.
	point("in/b.csv.part", "acme")
	r.must(os.Remove(filepath.Join(r.data, "mailboxes", "acme", "in", "b.csv.part")))
	r.must(os.WriteFile(filepath.Join(r.data, "mailboxes", "acme", "in", "b.csv.part"), pattern(100), 0o600))
	r.must(r.files.settle(t.Context()))
	if _, err := r.part("in/b.csv.part"); err != nil {
		t.Errorf("another file was taken away: %v", err)
	}
	point("in/a.csv.part", "../acme")
	r.must(r.files.settle(t.Context()))
	if _, err := r.part("in/a.csv.part"); err != nil {
		t.Errorf("a path that leads out: %v", err)
	}
	point("in/a.csv.part", "acme")
	r.must(r.files.settle(t.Context()))
	if _, err := r.part("in/a.csv.part"); err == nil {
		t.Error("it is still there")
	}
	if n := strings.Count(log.String(), "passwd") + strings.Count(log.String(), "is no name"); n == 0 {
		t.Errorf("nothing is told:\n%s", log.String())
	}
}
