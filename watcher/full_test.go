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

	"golang.org/x/sys/unix"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
	"waybill/watcher"
	"waybill/watcher/local"
	"waybill/watcher/watchertest"
)

func TestWithTheLedgerOnAFullDiskFilesWaitAndLandOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	data, drop, logs, now := t.TempDir(), t.TempDir(), &watchertest.Logbook{}, watchertest.NewClock()
	if err := unix.Mount("tmpfs", data, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("SKIPPED, a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(data, unix.MNT_DETACH) })
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{Folder: data, Now: now.Now, AcceptDataLoss: true})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	s, err := spool.Open(db, filepath.Join(data, "spool"), spool.Options{Now: now.Now})
	must(t, err)
	book := ledger.New(db, s, ledger.Options{Router: jobs{}, Now: now.Now})
	log := slog.New(slog.NewTextHandler(logs, nil))
	src, err := local.New(local.Options{Path: drop}, watcher.Settings{}, now.Now, log)
	must(t, err)
	w := watcher.New("drop", src, book, book, watcher.Options{Now: now.Now, Log: log})
	const files = 40
	for i := range files {
		must(t, os.WriteFile(filepath.Join(drop, fmt.Sprintf("%d.csv", i)), []byte(strings.Repeat(fmt.Sprintln(i), 100_000)), 0o600))
	}
	look := func(times int) {
		for range times {
			must(t, w.ScanOnce(ctx))
			now.Pass(time.Second)
		}
	}
	look(200)
	if got := logs.Count("level=WARN"); got != 1 || logs.Count("again") != 0 || logs.Count("/spool/tmp/") != 0 {
		t.Errorf("%d warnings:\n%s", got, logs.Text())
	}
	if status := w.Status(); status.Error != ledger.ErrFull.Error() || status.Landed == 0 || status.Landed == files {
		t.Errorf("status %+v", status)
	}
	must(t, unix.Mount("tmpfs", data, "tmpfs", unix.MS_REMOUNT, "size=64m"))
	look(100)
	if status := w.Status(); status.Error != "" || status.Landed != files {
		t.Errorf("status %+v", status)
	}
	if logs.Count("level=WARN") != 1 || logs.Count("there is room for files again") != 1 {
		t.Error(logs.Text())
	}
}
