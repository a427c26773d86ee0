package sftp

import (
	"context"
	"errors"
	"os"
	"testing"

	"waybill/watcher"
)

func TestWhatWasMovedByMistakeIsPutBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Write("a.csv", "read")
	f := b.Listed("a.csv")
	b.Write("done/a.csv", "unread") // it took the place of the other between look and rename
	b.Write("a.csv", "newer still") // and the partner was quick
	conn, _, err := b.server.get(t.Context())
	must(t, err)
	c := closing{s: b.Source, ctx: t.Context(), on: conn.session, f: f, how: done}
	if err := c.putBack("done/a.csv"); !errors.Is(err, watcher.ErrChanged) {
		t.Errorf("got %v", err)
	}
	if b.Read("a.csv") != "newer still" || b.Read("a.1.csv") != "unread" {
		t.Error("lost or overwritten")
	}
	b.Gone("done/a.csv")
}

func TestAFolderThatMayNotBeWrittenKeepsItsFiles(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{"read-only folder": "", "read-only archive": "done"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Write("a.csv", "x")
			b.Write("b.csv", "x")
			b.Write("done/other.csv", "x")
			files := b.All()
			must(t, os.Chmod(b.Path(folder), 0o555))
			t.Cleanup(func() { _ = os.Chmod(b.Path(folder), 0o755) })
			for name, f := range files {
				where, err := b.Close(context.Background(), f, done)
				if where != name || !errors.Is(err, watcher.ErrLeft) {
					t.Errorf("got %q, %v", where, err)
				}
			}
			if n := b.log.Count("left where they are"); n != 1 {
				t.Errorf("warned %d times, want once", n)
			}
		})
	}
}
