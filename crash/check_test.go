package crash_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"waybill/ledger"
	"waybill/outbox"
	"waybill/spool"
	"waybill/store"
)

// Bounds of what one crash may repeat at a destination with unknown: repeat: outcomes are stored every 250 ms or
// 200 messages; what arrives while they are being stored and what is on its way comes on top, in each of its three passes.
const repeatsPerCrash = 3 * (200 + 200 + 16)

// check proves that what is there is what was to come, and returns the key of each body and the number of repeats.
func (l *landscape) check() (keys map[string]string, repeats int) {
	l.t.Helper()
	keys, repeats = l.checkArrivals()
	l.checkFolders()
	l.look(func(ctx context.Context, db *store.DB, book *ledger.Ledger, kept *spool.Spool) {
		l.checkRepeats(ctx, db, repeats)
		l.checkEntries(ctx, book)
		l.checkRows(ctx, db)
		l.checkBytes(ctx, db, kept)
		if _, err := book.Verify(ctx); err != nil {
			l.t.Error(err)
		}
	})
	return keys, repeats
}

// checkArrivals compares the receiver's log with what was to be sent.
func (l *landscape) checkArrivals() (keys map[string]string, repeats int) {
	l.t.Helper()
	keys = map[string]string{}
	hashes := map[string]string{}
	asked := map[string]int{}
	for _, a := range l.out.arrivals() {
		if path, ok := l.want[a.Body]; !ok || path != a.Path {
			l.t.Errorf("%s got %.100s under key %s, which nobody was to send", a.Path, a.Body, a.Key)
		}
		if a.Key == "" {
			l.t.Errorf("%s got %.100s without a key", a.Path, a.Body)
		}
		if h, known := hashes[a.Key]; known && h != a.Hash {
			l.t.Errorf("key %s came with two bodies", a.Key)
		} else if known {
			repeats++
		}
		if k, known := keys[a.Body]; known && k != a.Key {
			l.t.Errorf("%.100s came under two keys, %s and %s", a.Body, k, a.Key)
		}
		hashes[a.Key], keys[a.Body] = a.Hash, a.Key
		if a.Path == "/asked" {
			if asked[a.Key]++; asked[a.Key] == 2 {
				l.t.Errorf("%.100s came twice to the destination that can be asked", a.Body)
			}
		}
	}
	lost := 0
	for body := range l.want {
		if _, ok := keys[body]; !ok {
			if lost++; lost <= 3 {
				l.t.Errorf("lost: %.100s", body)
			}
		}
	}
	if lost > 3 {
		l.t.Errorf("lost: %d messages in all, of %d", lost, len(l.want))
	}
	if most := l.kills * repeatsPerCrash; repeats > most {
		l.t.Errorf("%d messages came again after %d crashes, at most %d", repeats, l.kills, most)
	}
	return keys, repeats
}

// checkRepeats compares the repeats that the receiver has seen with what the program says: never more, and none to be feared where
// nothing was killed.
func (l *landscape) checkRepeats(ctx context.Context, db *store.DB, seen int) {
	l.t.Helper()
	out, err := outbox.New(db, outbox.Config{})
	l.must(err)
	doubts, err := out.Doubts(ctx)
	l.must(err)
	var unknown int
	l.must(db.Reader(ctx).QueryRow(`SELECT COALESCE(sum(repeats), 0) FROM batches WHERE destination = (SELECT id FROM names WHERE kind = 'destination' AND name = 'api')`).Scan(&unknown))
	feared := doubts["api"].Total
	if seen > feared+unknown {
		l.t.Errorf("%d messages came again; the program speaks of %d after crashes at most and %d that nobody answered", seen, feared, unknown)
	}
	if crashes := len(doubts["api"].List); crashes > l.kills {
		l.t.Errorf("the program has noted %d crashes, there were %d", crashes, l.kills)
	}
	l.feared = feared
}

// checkFolders compares where the files are with where they should be.
func (l *landscape) checkFolders() {
	l.t.Helper()
	same := func(what string, got, want []string) {
		l.t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			l.t.Errorf("%s (- missing, + too much):\n%s", what, d)
		}
	}
	same("drop/done", l.names("drop/done"), slices.Sorted(maps.Keys(l.done)))
	same("drop/failed", l.names("drop/failed"), slices.Sorted(maps.Keys(l.failed)))
	same("drop", l.names("drop"), nil)
	same("events", l.names("events"), nil) // they are deleted
	var written []string
	sales := map[string]bool{}
	for _, name := range l.names("out") {
		if strings.HasPrefix(name, "sales-") {
			l.sold(name, sales)
			continue
		}
		written = append(written, name)
	}
	if d := cmp.Diff(l.sales, sales); d != "" {
		l.t.Errorf("rows of the export (- missing, + too much):\n%s", d)
	}
	want := map[string]string{}
	for name, text := range l.orders {
		if twin := l.twins[name]; twin != "" && slices.Contains(written, twin) {
			name = twin
		}
		want[name] = text
		want[name+".done"] = ""
	}
	same("out", written, slices.Sorted(maps.Keys(want)))
	for name, text := range want {
		if got, err := os.ReadFile(l.path("out", name)); err == nil && strings.ReplaceAll(string(got), "\r\n", "\n") != text {
			l.t.Errorf("out/%s has %d bytes that are not what was to be written", name, len(got))
		}
	}
}

// sold adds the rows of one exported file, none of which may stand in another.
func (l *landscape) sold(name string, rows map[string]bool) {
	l.t.Helper()
	text, err := os.ReadFile(l.path("out", name))
	l.must(err)
	for row := range strings.Lines(string(text)) {
		var r struct{ ID string }
		if err := json.Unmarshal([]byte(row), &r); err != nil {
			l.t.Errorf("out/%s: %q: %v", name, row, err)
		}
		if rows[r.ID] {
			l.t.Errorf("row %s was written twice", r.ID)
		}
		rows[r.ID] = true
	}
}

// names lists what lies in a folder, hidden files among it, folders not.
func (l *landscape) names(folder string) (names []string) {
	l.t.Helper()
	list, err := os.ReadDir(l.path(folder))
	if os.IsNotExist(err) {
		return nil
	}
	l.must(err)
	for _, e := range list {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// checkEntries compares the ledger with what was dropped, and each entry's history with what may have happened once.
func (l *landscape) checkEntries(ctx context.Context, book *ledger.Ledger) {
	l.t.Helper()
	list, err := book.List(ctx, ledger.Filter{Limit: 1000})
	l.must(err)
	got := map[string]int{}
	for _, e := range list {
		if e.Kind == ledger.OfTick {
			if e.State != ledger.Delivered {
				l.t.Errorf("tick #%d is %s: %s", e.ID, e.State, e.Reason)
			}
			continue
		}
		name := e.Name
		for of, twin := range l.twins { // whichever was first
			if name == twin && e.State == ledger.Delivered {
				name = of
			} else if name == of && e.Verdict == ledger.Suspect {
				name = twin
			}
		}
		got[fmt.Sprintf("%s %s %s", e.Job, name, e.State)]++
		history, err := book.History(ctx, e.ID)
		l.must(err)
		times := map[string]int{}
		for _, h := range history {
			times[h.Kind]++
		}
		for _, kind := range []string{"accepted", "delivered", "rejected", "failed"} {
			if times[kind] > 1 {
				l.t.Errorf("#%d was %s %d times", e.ID, kind, times[kind])
			}
		}
	}
	want := maps.Clone(l.entries)
	for _, twin := range l.twins {
		want["orders "+twin+" duplicate"]++
	}
	if d := cmp.Diff(want, got); d != "" {
		l.t.Errorf("entries (- missing, + too much):\n%s", d)
	}
}

// checkRows looks for what a crash may have left behind in the database.
func (l *landscape) checkRows(ctx context.Context, db *store.DB) {
	l.t.Helper()
	r := db.Reader(ctx)
	var verdict string
	l.must(r.QueryRow("PRAGMA integrity_check").Scan(&verdict))
	if verdict != "ok" {
		l.t.Errorf("integrity check: %s", verdict)
	}
	for what, query := range map[string]string{
		"batches that are not done":         `SELECT count(*) FROM batches WHERE state <> 'done' OR settled <> 0`,
		"payloads without a batch":          `SELECT count(*) FROM payloads WHERE batch NOT IN (SELECT id FROM batches)`,
		"batches without an entry":          `SELECT count(*) FROM batches WHERE parent NOT IN (SELECT id FROM entries)`,
		"dead letters":                      `SELECT count(*) FROM dead_letters`,
		"files that are not closed":         `SELECT count(*) FROM files WHERE state <> 'closed'`,
		"keys of an attempt that was ended": `SELECT count(*) FROM keys WHERE token <> 0`,
	} {
		var n int
		l.must(r.QueryRow(query).Scan(&n))
		if n != 0 {
			l.t.Errorf("%d %s", n, what)
		}
	}
	var messages, entries int64
	l.must(r.QueryRow(`SELECT COALESCE(sum(count), 0) FROM batches`).Scan(&messages))
	l.must(r.QueryRow(`SELECT COALESCE(sum(messages), 0) FROM entries WHERE state = 'delivered'`).Scan(&entries))
	if messages != entries {
		l.t.Errorf("the outbox has %d messages, the entries %d", messages, entries)
	}
}

// checkBytes compares the bytes kept with their digests.
func (l *landscape) checkBytes(ctx context.Context, db *store.DB, kept *spool.Spool) {
	l.t.Helper()
	rows, err := db.Reader(ctx).Query(`SELECT id, digest FROM objects`)
	l.must(err)
	digests := map[int64][]byte{}
	for rows.Next() {
		var id int64
		var digest []byte
		l.must(rows.Scan(&id, &digest))
		digests[id] = digest
	}
	l.must(rows.Err())
	l.must(rows.Close())
	for id, digest := range digests {
		in, err := kept.Reader(ctx, id)
		if err != nil {
			l.t.Errorf("object %d: %v", id, err)
			continue
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, in); err != nil {
			l.t.Errorf("object %d: %v", id, err)
		}
		l.must(in.Close())
		if got := sum.Sum(nil); string(got) != string(digest) {
			l.t.Errorf("object %d hashes to %s, not %s", id, hex.EncodeToString(got), hex.EncodeToString(digest))
		}
	}
}
