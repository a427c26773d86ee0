package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		if err := role(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

func open(t testing.TB, folder string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{Folder: folder, AcceptDataLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func mark(tx *Tx, name string, at int) error {
	_, err := tx.Exec("INSERT INTO marks (job, name, at) VALUES ('t', ?, ?)", name, at)
	return err
}

func marks(t testing.TB, db *DB) map[string]int {
	t.Helper()
	rows, err := db.Reader(t.Context()).Query("SELECT name, at FROM marks WHERE job = 't'")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	got := map[string]int{}
	for rows.Next() {
		var name string
		var at int
		if err := rows.Scan(&name, &at); err != nil {
			t.Fatal(err)
		}
		got[name] = at
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEachCallerOfAGroupLearnsItsOwnOutcome(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	refused := errors.New("refused")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	check := func(name string, ctx context.Context, want error, fn func(*Tx) error) {
		wg.Go(func() {
			if err := db.Tx(ctx, fn); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		})
	}
	for i := range 200 {
		check("good", t.Context(), nil, func(tx *Tx) error { return mark(tx, fmt.Sprintf("good%d", i), i) })
		check("fails", t.Context(), refused, func(tx *Tx) error {
			return errors.Join(mark(tx, fmt.Sprintf("bad%d", i), i), refused)
		})
		check("conflicts", t.Context(), ErrConflict, func(tx *Tx) error {
			_ = mark(tx, fmt.Sprintf("twice%d", i), i)
			_ = mark(tx, fmt.Sprintf("twice%d", i), i)
			return nil // even a function that swallows the error learns it
		})
		check("cancelled", cancelled, context.Canceled, func(tx *Tx) error { return mark(tx, "cancelled", i) })
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach its caller")
				}
			}()
			_ = db.Tx(t.Context(), func(tx *Tx) error {
				_ = mark(tx, fmt.Sprintf("panic%d", i), i)
				panic("planned")
			})
		})
	}
	wg.Wait()
	got := marks(t, db)
	if len(got) != 200 {
		t.Fatalf("%d rows are there, want the 200 good ones only", len(got))
	}
	for i := range 200 {
		if got[fmt.Sprintf("good%d", i)] != i {
			t.Fatalf("good%d is missing", i)
		}
	}
}

func TestASecondExecutorIsToldWhoHoldsTheLock(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	one, two := open(t, folder), open(t, folder)
	x, err := one.TryExecutor("waybill serve")
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := two.TryExecutor("waybill run"); !errors.As(err, &held) || held.Holder.Command != "waybill serve" {
		t.Fatalf("got %v, want the holder's name", err)
	}
	x.Release()
	if _, err := two.TryExecutor("waybill run"); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherProcessesWriteWakesTheExecutor(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	one, two := open(t, folder), open(t, folder)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := one.FollowOthers(ctx); err != nil {
			t.Error(err)
		}
	})
	woken, end := one.Watch("anything")
	defer end()
	// The first look only notes the version, so write until one is noticed.
	for i, seen := 0, false; !seen; i++ {
		if err := two.Tx(t.Context(), func(tx *Tx) error { return mark(tx, fmt.Sprint(i), i) }); err != nil {
			t.Fatal(err)
		}
		select {
		case <-woken:
			seen = true
		default:
		}
	}
	cancel()
	wg.Wait()
}

func BenchmarkTx(b *testing.B) {
	db := open(b, b.TempDir())
	b.SetParallelism(64)
	b.ReportAllocs()
	var n struct {
		sync.Mutex
		i int
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n.Lock()
			n.i++
			i := n.i
			n.Unlock()
			if err := db.Tx(b.Context(), func(tx *Tx) error { return mark(tx, fmt.Sprint(i), i) }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestALedgerOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("TestALedgerOfAnotherUserIsRefused: only root can give a file away")
	}
	folder := t.TempDir()
	if err := open(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(folder, "ledger.db"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{Folder: folder, AcceptDataLoss: true})
	if err == nil || !strings.Contains(err.Error(), "belongs to nobody") {
		t.Fatalf("got %v", err)
	}
}

func TestNobodyElseCanReadTheLedger(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	files := []string{"ledger.db", "ledger.db-wal", "ledger.db-shm"}
	closed := func(when string) {
		t.Helper()
		for _, name := range files {
			info, err := os.Stat(filepath.Join(folder, name))
			if err != nil {
				t.Error(err)
			} else if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s is %v", when, name, info.Mode())
			}
		}
	}
	write := func(db *DB, name string) {
		t.Helper()
		if err := db.Tx(t.Context(), func(tx *Tx) error { return mark(tx, name, 1) }); err != nil {
			t.Fatal(err)
		}
	}
	write(open(t, folder), "one")
	closed("new")
	for _, name := range files {
		if err := os.Chmod(filepath.Join(folder, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, folder)
	closed("opened again")
	write(db, "two")
}

func TestASetIsOneArgument(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	for _, set := range [][]int64{nil, {3}, {-1, 0, 3, 1 << 62}} {
		rows, err := db.Reader(t.Context()).Query(`SELECT value FROM json_each('[-1,0,3,4,4611686018427387904]') WHERE value NOT IN `+Each, Numbers(set))
		if err != nil {
			t.Fatal(err)
		}
		var left []int64
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(set, id) {
				t.Errorf("%d is in %v", id, set)
			}
			left = append(left, id)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(left)+len(set) != 5 {
			t.Errorf("without %v: %v, %v", set, left, err)
		}
	}
}

func TestAnInsertReturnsTheRowsNumber(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	for want := int64(1); want <= 3; want++ {
		err := db.Tx(t.Context(), func(tx *Tx) error {
			id, err := tx.Insert(`INSERT INTO objects (size, digest, made) VALUES (0, x'', 0)`)
			if id != want {
				t.Errorf("row %d, want %d", id, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
