package main

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
)

// TestADaemonThatNotesNothingIsNotSaidToBeWell has a daemon that wrote its status once, and looks later and later.
func TestADaemonThatNotesNothingIsNotSaidToBeWell(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var out, diag bytes.Buffer
	p := &program{out: &out, diag: &diag, now: func() time.Time { return now }, acceptLoss: true, data: folder}
	i, err := p.open(t.Context(), folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = i.close() }()
	x, err := i.db.TryExecutor(serveCommand)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Release()
	for part, v := range map[string]any{"node": map[string]string{"version": "1"}, "destination/erp": map[string]string{"state": "healthy"}} {
		if err := i.ledger.SetStatus(t.Context(), part, v); err != nil {
			t.Fatal(err)
		}
	}
	status := func() string {
		out.Reset()
		s, err := i.status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.statusText(s); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	now = now.Add(2 * time.Minute)
	if text := status(); !strings.Contains(text, "erp          healthy") || strings.Contains(text, "noted nothing") {
		t.Errorf("after two minutes, in which nothing may have changed, status says:\n%s", text)
	}
	now = now.Add(2 * time.Minute)
	text := status()
	if !strings.Contains(text, "has noted nothing since "+clock(now.Add(-4*time.Minute))+": it cannot write, or hangs") || strings.Contains(text, "healthy") {
		t.Errorf("after four minutes of silence status says:\n%s", text)
	}
}

func TestADiskWithoutRoomIsFull(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, c := range []struct {
		free, total, freeNodes, nodes uint64
		says                          string
	}{
		{0, 10 * gib, 5, 9, "is full (0 KiB free)"},
		{1<<20 - 1, gib, 5, 9, "is full (1023 KiB free)"},
		{9 << 20, 10 * gib, 5, 9, "is full (9216 KiB free)"},
		{11 << 20, 10 * gib, 5, 9, ""},
		{65 << 20, 10_000 * gib, 5, 9, ""},
		{gib, 10 * gib, 0, 9, "no inodes free"},
		{gib, 10 * gib, 0, 0, ""}, // it has none to count
		{0, 0, 0, 0, ""},
	} {
		got := crowded("/data", c.free, c.total, c.freeNodes, c.nodes)
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%d of %d bytes, %d of %d inodes free: %q, want %q", c.free, c.total, c.freeNodes, c.nodes, got, c.says)
		}
	}
}

// TestWhereAFileIsThatCouldNotBeMoved is about the words only: who may do everything can move every file.
func TestWhereAFileIsThatCouldNotBeMoved(t *testing.T) {
	t.Parallel()
	f := ledger.File{Source: "drop", Path: "a/b.csv", State: ledger.FileClosed, Reason: leftWhere + "rename: read-only file system"}
	if got, want := whereOf(f, "/srv/drop"), "left where it is, /srv/drop/a/b.csv (could not be moved: rename: read-only file system)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	f.Reason = "done/a/b.csv"
	if got, want := whereOf(f, "/srv/drop"), "/srv/drop/done/a/b.csv"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := whereOf(f, ""), "done/a/b.csv"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	f = ledger.File{Source: "drop", Path: "b.csv", State: ledger.FileClosable, Reason: "done"}
	if got, want := whereOf(f, "/srv/no such folder"), "at its source, about to be moved to done (cannot be moved yet: /srv/no such folder cannot be written: no such file or directory)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := whereOf(f, t.TempDir()), "at its source, about to be moved to done"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
