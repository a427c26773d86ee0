package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// What a caller of a group does. Each first writes a row of its own name.
const (
	behaves    = "behaves"
	refuses    = "returns an error"
	panics     = "panics"
	leaves     = "is cancelled while it waits"
	conflicts  = "writes a row twice"
	swallows   = "writes a row twice and says nothing"
	mistakes   = "has an error in its SQL and says nothing"
	fills      = "fills the disk with one row"
	fillsMany  = "fills the disk with a set of rows" // the engine rolls back that statement only
	fillsFalls = "fills the disk and panics"
)

var errRefused = errors.New("refused")

// An attacker is one caller.
type attacker struct {
	name, kind string
	err        error
	recovered  any
}

func (a *attacker) run(tx *Tx) error {
	if err := mark(tx, a.name, 1); err != nil {
		return err
	}
	switch a.kind {
	case refuses:
		return errRefused
	case panics:
		panic(errRefused)
	case conflicts:
		return mark(tx, a.name, 1)
	case swallows:
		_ = mark(tx, a.name, 1)
	case mistakes:
		_, _ = tx.Exec("INSERT INTO nowhere VALUES (1)")
		_ = mark(tx, a.name+" after", 1)
	case fills, fillsFalls:
		_, err := tx.Exec("INSERT INTO marks (job, name, text) VALUES ('t', ?, zeroblob(3000000) || '')", a.name+" much")
		if a.kind == fillsFalls {
			panic(errRefused)
		}
		return err
	case fillsMany:
		_, _ = tx.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
			INSERT INTO marks (job, name, text) SELECT 't', ? || i, hex(zeroblob(2000)) FROM n`, a.name+" many ")
	}
	return nil
}

// attack hands all callers to the writer while it is kept busy, so that they make one group, and waits for their outcomes.
func attack(db *DB, all []*attacker) {
	begun, go_ := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = db.Tx(context.Background(), func(*Tx) error { close(begun); <-go_; return errRefused })
	})
	<-begun
	for i, a := range all {
		ctx, cancel := context.WithCancel(context.Background())
		wg.Go(func() {
			defer cancel()
			defer func() { a.recovered = recover() }()
			a.err = db.Tx(ctx, a.run)
		})
		for queued := 0; queued <= i; {
			db.writer.mu.Lock()
			queued = len(db.writer.queue)
			db.writer.mu.Unlock()
			runtime.Gosched()
		}
		if a.kind == leaves {
			cancel()
		}
	}
	close(go_)
	wg.Wait()
}

// judge compares what a caller was told with what is in the database. whole says that the group may have failed as one.
func (a *attacker) judge(t *rapid.T, there map[string]int, whole bool) {
	_, kept := there[a.name]
	said := a.err == nil && a.recovered == nil
	if kept != said {
		t.Fatalf("%s, which %s, was told %v (panic: %t), but its row is there: %t", a.name, a.kind, a.err, a.recovered != nil, kept)
	}
	for name := range there {
		if name != a.name && strings.HasPrefix(name, a.name+" ") {
			t.Fatalf("%s, which %s, left %s", a.name, a.kind, name)
		}
	}
	if (a.recovered != nil) != (a.kind == panics || a.kind == fillsFalls) && !(whole && a.recovered == nil) {
		t.Fatalf("%s, which %s, panicked with %v", a.name, a.kind, a.recovered)
	}
	want := map[string]error{refuses: errRefused, leaves: context.Canceled, conflicts: ErrConflict, swallows: ErrConflict, fills: ErrFull, fillsMany: ErrFull}[a.kind]
	switch {
	case whole && errors.Is(a.err, ErrFull), a.recovered != nil:
	case a.kind == behaves && a.err != nil, want != nil && !errors.Is(a.err, want), a.kind == mistakes && a.err == nil:
		t.Fatalf("%s, which %s, was told %v", a.name, a.kind, a.err)
	}
}

// Tried by hand with bugs planted in the writer, each of which it finds: a caller that was cancelled is run all the same, a panic does not
// roll back its savepoint; and the next test: that the engine has rolled back the whole transaction is not noticed.
func TestEachOutcomeIsTrueWhateverOthersOfTheGroupDo(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	under(t, db, []string{behaves, behaves, refuses, panics, leaves, conflicts, swallows, mistakes}, false, func() {}, func() {})
}

func TestEachOutcomeIsTrueWhenTheDatabaseIsFull(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	most := func(pages string) func() {
		return func() {
			if err := onWriter(db, "PRAGMA max_page_count = "+pages); err != nil {
				t.Fatal(err)
			}
		}
	}
	under(t, db, []string{behaves, behaves, behaves, refuses, panics, leaves, swallows, fills, fillsMany, fillsFalls}, false, most("200"), most("1073741823"))
}

// onWriter runs a statement that returns a row on the writer's connection while nothing else does.
func onWriter(db *DB, query string) error {
	return db.Tx(context.Background(), func(tx *Tx) error {
		var n int64
		return tx.QueryRow(query).Scan(&n)
	})
}

// under attacks db with callers of the given kinds, between tight, which takes its space away, and loose, which gives it back.
// Where space may be lacking for anybody, a whole group may fail with ErrFull.
func under(t *testing.T, db *DB, kinds []string, lacking bool, tight, loose func()) {
	t.Helper()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		var all []*attacker
		whole := lacking
		for i, kind := range rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 25).Draw(rt, "kinds") {
			all = append(all, &attacker{name: fmt.Sprintf("g%d-%02d", n, i), kind: kind})
			whole = whole || kind == fills || kind == fillsMany || kind == fillsFalls
		}
		n++
		tight()
		attack(db, all)
		loose()
		there := marks(t, db)
		for _, a := range all {
			a.judge(rt, there, whole)
		}
		if err := db.Err(); err != nil {
			rt.Fatalf("the database has given up: %v", err)
		}
		// And it goes on: what failed for want of space can be done now.
		after := &attacker{name: fmt.Sprintf("g%d-after", n), kind: behaves}
		attack(db, []*attacker{after})
		after.judge(rt, marks(t, db), false)
		clear(rt, db)
	})
}

// clear empties the table, so that an iteration costs no more than the one before.
func clear(t *rapid.T, db *DB) {
	if err := db.Tx(context.Background(), func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM marks WHERE job = 't'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// tmpfs mounts a small file system, or skips the test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED, a file system of %s cannot be mounted here: %v", size, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return folder
}

func TestEachOutcomeIsTrueWhenTheDiskIsFull(t *testing.T) {
	t.Parallel()
	folder := tmpfs(t, "6m")
	db := open(t, folder)
	// The log is taken up at 16 MiB: it would fill this disk by itself, whoever gives room back.
	if err := onWriter(db, "PRAGMA wal_autocheckpoint = 200"); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(folder, "ballast")
	tight := func() {
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		for block := make([]byte, 64<<10); err == nil; {
			_, err = f.Write(block)
		}
		if full := errors.Is(err, unix.ENOSPC); !full || f.Close() != nil {
			t.Fatalf("fill the disk: %v", err)
		}
	}
	loose := func() {
		// A process that another test is just starting may hold the file for a moment: emptied, it gives its room back all the same.
		if err := errors.Join(os.Truncate(ballast, 0), os.Remove(ballast)); err != nil {
			t.Fatal(err)
		}
	}
	// Even who behaves may find no space, so all may fail as one.
	under(t, db, []string{behaves, behaves, refuses, panics, leaves, swallows, fillsMany, fillsMany}, true, tight, loose)
}

func TestEverySettingHoldsOnEveryConnection(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Options{Folder: t.TempDir(), AcceptDataLoss: true, Readers: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	want := map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0", "cell_size_check": "1", "mmap_size": "0",
		"journal_size_limit": "67108864", "wal_autocheckpoint": "4000", "temp_store": "2", "busy_timeout": "5000",
	}
	names := slices.Sorted(maps.Keys(want))
	for i := range 5 { // each is kept, so that the next is another
		c, err := db.readers.pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		for _, name := range append(names, "query_only") {
			var got string
			if err := c.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil && name != "mmap_size" {
				t.Fatal(err)
			}
			if w := want[name]; got != w && (name != "query_only" || got != "1") && (name != "mmap_size" || got != "") {
				t.Errorf("reader %d: %s is %q, want %q", i, name, got, w)
			}
		}
	}
	err = db.Tx(t.Context(), func(tx *Tx) error {
		for _, name := range names {
			var got string
			if err := tx.QueryRow("PRAGMA " + name).Scan(&got); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if got != want[name] && (name != "mmap_size" || got != "") {
				t.Errorf("writer: %s is %q, want %q", name, got, want[name])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
