package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestManyMayOpenANewFolderAtOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			db, err := Open(t.Context(), Options{Folder: folder, AcceptDataLoss: true})
			if err != nil {
				t.Error(err)
				return
			}
			err = db.Tx(t.Context(), func(tx *Tx) error { return mark(tx, fmt.Sprint(i), i) })
			if err := errors.Join(err, db.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := marks(t, open(t, folder)); len(got) != 8 {
		t.Errorf("%d of 8 wrote", len(got))
	}
}

func TestALedgerOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := open(t, folder)
	if err := db.writer.exec("PRAGMA user_version = 9"); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{Folder: folder, AcceptDataLoss: true})
	if err == nil || !strings.Contains(err.Error(), "version 9") || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got %v, want it to name the version and the remedy", err)
	}
}

func TestADatabaseOfAnotherProgramIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := open(t, folder)
	if err := db.writer.exec("PRAGMA application_id = 7"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Folder: folder, AcceptDataLoss: true}); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("got %v", err)
	}
}

func TestAnOldLedgerIsNotMigratedWhileAnotherExecutes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := open(t, folder)
	if _, err := db.TryExecutor("waybill serve"); err != nil {
		t.Fatal(err)
	}
	if err := db.writer.exec("PRAGMA user_version = 0"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Folder: folder, AcceptDataLoss: true}); err == nil || !strings.Contains(err.Error(), `"waybill serve"`) {
		t.Errorf("got %v, want it to name who executes", err)
	}
}

func TestAKilledExecutorsNameDoesNotKeepOthersFromWaiting(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "executor.lock"), []byte(`{"pid":1,"command":"killed"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := Open(t.Context(), Options{Folder: folder, AcceptDataLoss: true})
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
