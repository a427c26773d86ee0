package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"waybill/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func open(t testing.TB) (*Spool, *store.DB, *clock) {
	t.Helper()
	c := &clock{t: time.Now()}
	db, err := store.Open(t.Context(), store.Options{Folder: t.TempDir(), AcceptDataLoss: true, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := Open(db, filepath.Join(db.Folder(), "spool"), Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return s, db, c
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

func keep(t testing.TB, s *Spool, b []byte) Object {
	t.Helper()
	in, err := s.Receive(t.Context(), bytes.NewReader(b), 0)
	if err != nil {
		t.Fatal(err)
	}
	var o Object
	err = s.db.Tx(t.Context(), func(tx *store.Tx) error {
		var err error
		o, err = in.Commit(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// files lists what lies in the spool, temporary files with their folder.
func files(t testing.TB, s *Spool) []string {
	t.Helper()
	kept, err := filepath.Glob(filepath.Join(s.folder, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestObjectsOfAnySizeComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	inFiles := 0
	for _, n := range []int{0, 1, 1000, Inline - 1, Inline, Inline + 1, 3*Inline + 17, 2 << 20} {
		want := random(n)
		o := keep(t, s, want)
		if sum := sha256.Sum256(want); !bytes.Equal(o.Digest, sum[:]) || o.Size != int64(n) {
			t.Errorf("%d bytes: object %+v, want digest %x", n, o, sum)
		}
		if n > Inline {
			inFiles++
		}
		r, err := s.Reader(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(struct{ io.Reader }{r}, want); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		at := make([]byte, n/2)
		if _, err := r.ReadAt(at, int64(n-n/2)); err != nil && err != io.EOF || !bytes.Equal(at, want[n-n/2:]) {
			t.Errorf("%d bytes: ReadAt differs, err %v", n, err)
		}
		if err := r.Verify(); err != nil || r.Size() != int64(n) {
			t.Errorf("%d bytes: Verify: %v, Size %d", n, err, r.Size())
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := files(t, s); len(got) != inFiles {
		t.Errorf("files %v, want %d: only objects above Inline have one", got, inFiles)
	}
}

func TestReceiveTakesReadsOfAnyShape(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	for _, n := range []int{0, 10, Inline, Inline + 1, 200_000} {
		want := sha256.Sum256(random(n))
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"halves":          iotest.HalfReader,
			"data with EOF":   iotest.DataErrReader,
			"one at a time":   iotest.OneByteReader,
			"straightforward": func(r io.Reader) io.Reader { return r },
		} {
			in, err := s.Receive(t.Context(), wrap(bytes.NewReader(random(n))), int64(n))
			if err != nil {
				t.Fatalf("%d bytes, %s: %v", n, name, err)
			}
			if !bytes.Equal(in.Digest, want[:]) || in.Size != int64(n) {
				t.Errorf("%d bytes, %s: got size %d, digest %x", n, name, in.Size, in.Digest)
			}
			in.Abandon()
		}
	}
	if left := files(t, s); len(left) != 0 {
		t.Errorf("abandoned objects left %v", left)
	}
}

func TestFailedReceiveLeavesNothing(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	broken := errors.New("line dropped")
	for _, n := range []int{0, 100, Inline, Inline + 1, 500_000} {
		for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
			r := io.MultiReader(bytes.NewReader(random(n)), iotest.ErrReader(cause))
			if _, err := s.Receive(t.Context(), r, 0); !errors.Is(err, cause) {
				t.Errorf("after %d bytes: %v, want %v", n, err, cause)
			}
		}
		if n == 0 {
			continue
		}
		var large *TooLargeError
		if _, err := s.Receive(t.Context(), bytes.NewReader(random(n)), int64(n-1)); !errors.As(err, &large) || large.Max != int64(n-1) {
			t.Errorf("%d bytes with a limit of one less: %v", n, err)
		}
	}
	if left := files(t, s); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// stopper cancels after some bytes.
type stopper struct {
	io.Reader
	left   int
	cancel context.CancelFunc
}

func (s *stopper) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p[:min(len(p), 1000)])
	if s.left -= n; s.left <= 0 {
		s.cancel()
	}
	return n, err
}

func TestCancelledReceiveLeavesNothing(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	for _, after := range []int{1, Inline - 1, Inline + 1, 300_000} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.Receive(ctx, &stopper{bytes.NewReader(random(500_000)), after, cancel}, 0)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d bytes: %v", after, err)
		}
	}
	if left := files(t, s); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestWriterBuildsWhatReceiveWould(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	for _, n := range []int{0, 100, Inline, Inline + 1, 300_000} {
		b := random(n)
		w := s.Create(t.Context())
		for p := b; len(p) > 0; {
			k := min(len(p), 777)
			if _, err := w.Write(p[:k]); err != nil {
				t.Fatal(err)
			}
			p = p[k:]
		}
		in, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); !bytes.Equal(in.Digest, sum[:]) || in.Size != int64(n) {
			t.Errorf("%d bytes: size %d digest %x", n, in.Size, in.Digest)
		}
		in.Abandon()
	}
	w := s.Create(t.Context())
	if _, err := w.Write(random(Inline + 1)); err != nil {
		t.Fatal(err)
	}
	w.Abandon()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("writing after Abandon succeeds")
	}
	if left := files(t, s); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	s, db, _ := open(t)
	damage := map[string]func(t *testing.T, o Object){
		"a flipped bit in a file": func(t *testing.T, o Object) { rewrite(t, s, o, func(b []byte) []byte { b[100] ^= 1; return b }) },
		"a truncated file":        func(t *testing.T, o Object) { rewrite(t, s, o, func(b []byte) []byte { return b[:len(b)-1] }) },
		"a missing file":          func(t *testing.T, o Object) { rewrite(t, s, o, func([]byte) []byte { return nil }) },
	}
	for name, do := range damage {
		o := keep(t, s, random(100_000))
		do(t, o)
		checkCorrupt(t, s, name, o)
	}
	o := keep(t, s, random(100))
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE objects SET bytes = ? WHERE id = ?`, random(99), o.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	checkCorrupt(t, s, "other bytes in the database", o)
}

func rewrite(t *testing.T, s *Spool, o Object, change func([]byte) []byte) {
	t.Helper()
	var name string
	if err := s.db.Reader(t.Context()).QueryRow(`SELECT name FROM objects WHERE id = ?`, o.ID).Scan(&name); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	if b = change(b); b == nil {
		err = os.Remove(s.path(name))
	} else {
		err = os.WriteFile(s.path(name), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func checkCorrupt(t *testing.T, s *Spool, name string, o Object) {
	t.Helper()
	r, err := s.Reader(t.Context(), o.ID)
	if err == nil {
		_, err = io.Copy(io.Discard, struct{ io.Reader }{r})
		_ = r.Close()
	}
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.Object != o.ID {
		t.Errorf("%s: %v, want a CorruptError of object %d", name, err, o.ID)
	}
}

func TestVerifyAfterReadingAtOffsetsFindsDamage(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	o := keep(t, s, random(100_000))
	rewrite(t, s, o, func(b []byte) []byte { b[99_999] ^= 1; return b })
	r, err := s.Reader(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.ReadAt(make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if err := r.Verify(); !errors.As(err, &corrupt) {
		t.Errorf("Verify: %v", err)
	}
}

func TestVerifyAfterReadingHalfFindsDamageInIt(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	o := keep(t, s, random(300_000))
	rewrite(t, s, o, func(b []byte) []byte { b[100_000] ^= 1; return b })
	r, err := s.Reader(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 150_000)); err != nil { // a parser stops here: what it read is no JSON
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if err := r.Verify(); !errors.As(err, &corrupt) {
		t.Errorf("Verify: %v", err)
	}
}

func TestSweepTakesOnlyOldUnnamedFiles(t *testing.T) {
	t.Parallel()
	s, db, c := open(t)
	kept := keep(t, s, random(100_000))
	removed := keep(t, s, random(100_001))
	if err := db.Tx(t.Context(), func(tx *store.Tx) error { return s.Remove(tx, removed.ID) }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(t.Context(), bytes.NewReader(random(100_002)), 0); err != nil { // as if killed before the commit
		t.Fatal(err)
	}
	w := s.Create(t.Context()) // as if killed while writing
	t.Cleanup(w.Abandon)
	if _, err := w.Write(random(100_003)); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(s.folder, temporary, "notes.txt")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("Sweep of fresh files: %d, %v; want 0", n, err)
	}
	c.add(25 * time.Hour)
	if n, err := s.Sweep(t.Context()); n != 3 || err != nil {
		t.Errorf("Sweep a day later: %d, %v; want 3", n, err)
	}
	if left := files(t, s); len(left) != 2 {
		t.Errorf("left %v, want the kept object and the foreign file", left)
	}
	r, err := s.Reader(t.Context(), kept.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
}

func TestCommitNoticesThatTheSweepTookTheFile(t *testing.T) {
	t.Parallel()
	s, db, c := open(t)
	in, err := s.Receive(t.Context(), bytes.NewReader(random(100_000)), 0)
	if err != nil {
		t.Fatal(err)
	}
	c.add(30 * 24 * time.Hour) // the clock jumps
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Fatalf("Sweep: %d, %v", n, err)
	}
	err = db.Tx(t.Context(), func(tx *store.Tx) error { _, err := in.Commit(tx); return err })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Commit: %v, want that the file is gone", err)
	}
}

func TestOnlyWhatNoRowHasIsWithdrawn(t *testing.T) {
	t.Parallel()
	s, db, _ := open(t)
	for _, fails := range []error{store.ErrFull, nil} {
		in, err := s.Receive(t.Context(), bytes.NewReader(random(100_000)), 0)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := in.Commit(tx)
			return errors.Join(err, fails)
		})
		if !errors.Is(err, fails) {
			t.Fatal(err)
		}
		if err := in.Withdraw(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(s.path(in.name))
		if gone := errors.Is(err, os.ErrNotExist); gone != (fails != nil) {
			t.Errorf("after %v the file: %v", fails, err)
		}
	}
}

func TestCommittedObjectIsNotAbandoned(t *testing.T) {
	t.Parallel()
	s, db, _ := open(t)
	in, err := s.Receive(t.Context(), bytes.NewReader(random(100_000)), 0)
	if err != nil {
		t.Fatal(err)
	}
	undo := errors.New("undo")
	if err := db.Tx(t.Context(), func(tx *store.Tx) error { _, _ = in.Commit(tx); return undo }); !errors.Is(err, undo) {
		t.Fatal(err)
	}
	in.Abandon()
	if left := files(t, s); len(left) != 1 {
		t.Errorf("left %v, want the file: whether its row is on disk only the sweep can tell", left)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			o := keep(t, s, random(60_000+i*1000))
			r, err := s.Reader(t.Context(), o.ID)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			if err := r.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestOpenAgainFindsTheSameObjects(t *testing.T) {
	t.Parallel()
	s, db, _ := open(t)
	o := keep(t, s, random(100_000))
	again, err := Open(db, s.folder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := again.Reader(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
	if _, err := again.Reader(t.Context(), o.ID+1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown object: %v", err)
	}
}

func TestSyncErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	cause := errors.New("input/output error")
	err := fmt.Errorf("land: %w", &SyncError{Path: "/spool/tmp/1", Err: cause})
	var sync *SyncError
	if !errors.As(err, &sync) || !errors.Is(err, cause) {
		t.Errorf("%v does not unwrap", err)
	}
}

func TestAFailedSyncStopsTheProcess(t *testing.T) {
	t.Parallel()
	for _, folder := range []bool{false, true} {
		s, db, _ := open(t)
		keep(t, s, random(2*Inline))
		s.sync = func(f *os.File) error {
			if info, err := f.Stat(); err != nil || info.IsDir() == folder {
				return errors.Join(err, syscall.EIO)
			}
			return f.Sync()
		}
		_, err := s.Receive(t.Context(), bytes.NewReader(random(3*Inline)), 0)
		var failed *SyncError
		if !errors.As(err, &failed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("folder %t: receiving gave %v", folder, err)
		}
		select {
		case <-db.Failed():
		default:
			t.Errorf("folder %t: the database goes on", folder)
		}
		if err := db.Err(); !errors.Is(err, syscall.EIO) {
			t.Errorf("folder %t: the database failed with %v", folder, err)
		}
		err = db.Tx(t.Context(), func(*store.Tx) error { return nil })
		if !errors.As(err, &failed) {
			t.Errorf("folder %t: a later transaction gave %v", folder, err)
		}
	}
}

func TestNoRoomIsToldAsTheLedgerTellsIt(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		err := fmt.Errorf("land: %w", failed(&os.PathError{Op: "write", Path: "/spool/tmp/4699", Err: errno}))
		if !errors.Is(err, store.ErrFull) || !errors.Is(err, errno) || err.Error() != "land: "+store.ErrFull.Error() {
			t.Error(err)
		}
	}
	if err := failed(syscall.EIO); errors.Is(err, store.ErrFull) || !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

func TestAFullDiskWhileWritingIsErrFull(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	w := s.Create(t.Context())
	if _, err := w.Write(random(Inline + 1)); err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full:", err)
	}
	t.Cleanup(func() { _ = full.Close() })
	w.out.file = full
	if _, err := w.Write(random(4 * Inline)); !errors.Is(err, store.ErrFull) {
		t.Errorf("%v", err)
	}
	w.Abandon()
}

// The time of a file's bytes is what its sender says: a file that is about to get its row may look years old.
func TestSweepAsksWhenAFileCameNotHowOldItSaysToBe(t *testing.T) {
	t.Parallel()
	s, db, _ := open(t)
	path := filepath.Join(t.TempDir(), "a.part")
	content := random(100_000)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := s.Adopt(t.Context(), f, nil, func(to string) error { return os.Rename(path, to) })
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if err := db.Tx(t.Context(), func(tx *store.Tx) error { _, err := in.Commit(tx); return err }); err != nil {
		t.Error(err)
	}
}

// What is killed before it has taken the name away leaves a file that the sweep knows as one of the spool's own.
func TestAFileWithoutANameHasHadOneThatIsSwept(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	f, err := s.Temp()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() != 0o600 || !isName(filepath.Base(f.Name())) || filepath.Base(filepath.Dir(f.Name())) != temporary {
		t.Errorf("%s, %v, %v", f.Name(), info, err)
	}
	if _, err := os.Stat(f.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
