package watcher_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/local"
	"waybill/watcher/watchertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A book is a ledger in memory: what is landed is closable at once.
type book struct {
	mu      sync.Mutex
	changed chan struct{} // closed and renewed at every change
	files   []*bookFile
	known   map[[2]string]*bookFile
	notes   map[string]ledger.Waiting
	noted   int
	ended   int   // files that are closed
	rounds  int   // calls of Closed
	unknown int   // calls
	refuse  error // of Land
	full    bool  // no room for notes, nor for files of more than room bytes
	room    int64
	fails   func(string) bool // which files end failed; nil: none
	wake    chan struct{}
}

type bookFile struct {
	ledger.File
	text   string
	closed *ledger.ClosedFile
}

func newBook() *book {
	return &book{changed: make(chan struct{}), known: map[[2]string]*bookFile{}, notes: map[string]ledger.Waiting{}, wake: make(chan struct{}, 1)}
}

// touch tells those who await a change; mu is held.
func (b *book) touch() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *book) Land(_ context.Context, a ledger.Arrival, r io.Reader) (ledger.File, []ledger.Entry, error) {
	text, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full && int64(len(text)) > b.room {
		err = fmt.Errorf("land %s from %s: %w", a.Path, a.Source, ledger.ErrFull)
	}
	if err = errors.Join(b.refuse, err); err != nil {
		return ledger.File{}, nil, err
	}
	key := [2]string{a.Path, a.Version}
	if f := b.known[key]; f != nil {
		return f.File, nil, nil
	}
	sum := sha256.Sum256(text)
	f := &bookFile{text: string(text), File: ledger.File{ID: int64(len(b.files) + 1), Source: a.Source, Path: a.Path, Version: a.Version, Size: a.Size, ModTime: a.ModTime, Digest: sum[:]}}
	b.files = append(b.files, f)
	b.known[key] = f
	delete(b.notes, a.Path)
	b.touch()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return f.File, nil, nil
}

func (b *book) Unknown(_ context.Context, _ string, seen []ledger.Arrival) (list []ledger.Arrival, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unknown++
	for _, a := range seen {
		if b.known[[2]string{a.Path, a.Version}] == nil {
			list = append(list, a)
		}
	}
	b.touch()
	return list, nil
}

func (b *book) Waiting(_ context.Context, _ string, notes []ledger.Waiting) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return fmt.Errorf("note waiting files: %w", ledger.ErrFull)
	}
	for _, n := range notes {
		b.notes[n.Arrival.Path] = n
		b.noted++
	}
	b.touch()
	return nil
}

func (b *book) Closable(_ context.Context, _ string, n int) (list []ledger.Closable, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.files {
		if f.closed == nil && len(list) < n {
			c := ledger.Closable{File: f.File, Failed: b.fails != nil && b.fails(f.Path), ReportName: filepath.Base(f.Path) + ".rejects.json"}
			c.Report = func(context.Context) ([]byte, error) { return []byte("report on " + f.Path), nil }
			list = append(list, c)
		}
	}
	return list, nil
}

func (b *book) Closed(_ context.Context, list []ledger.ClosedFile) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rounds++
	for _, c := range list {
		if b.files[c.ID-1].closed == nil {
			b.ended++
		}
		b.files[c.ID-1].closed = &c
	}
	b.touch()
	return nil
}

// patience is how long anything may take before it counts as never.
const patience = 2 * time.Minute

// await returns when is holds, which is asked whenever the book changes. It waits as long as files land and are closed.
func (b *book) await(t testing.TB, what string, is func() bool) {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	for reached := 0; ; {
		b.mu.Lock()
		ok, changed, now := is(), b.changed, len(b.files)+b.closed()
		b.mu.Unlock()
		if ok {
			return
		}
		if now > reached {
			reached = now
			end.Reset(patience)
		}
		select {
		case <-changed:
		case <-end.C:
			b.mu.Lock()
			defer b.mu.Unlock()
			t.Fatalf("waited in vain: %s; %d files, notes %.2000s", what, len(b.files), fmt.Sprint(b.notes))
		}
	}
}

// closed is how many files are closed; mu is held.
func (b *book) closed() int { return b.ended }

// texts are the contents landed under path, in order.
func (b *book) texts(path string) (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.files {
		if f.Path == path {
			list = append(list, f.text)
		}
	}
	return list
}

// reason is why path waits, "" when it does not.
func (b *book) reason(path string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.notes[path].Reason
}

// A hooked source is a folder whose steps a test can get at.
type hooked struct {
	*local.Source
	open  func(f watcher.File) error
	close func(f watcher.File) error
	wrap  func(f watcher.File, r io.ReadCloser) io.ReadCloser
}

func (h *hooked) Open(ctx context.Context, f watcher.File) (io.ReadCloser, error) {
	if h.open != nil {
		if err := h.open(f); err != nil {
			return nil, err
		}
	}
	r, err := h.Source.Open(ctx, f)
	if err == nil && h.wrap != nil {
		r = h.wrap(f, r)
	}
	return r, err
}

func (h *hooked) Close(ctx context.Context, f watcher.File, how watcher.Closing) (string, error) {
	if h.close != nil {
		if err := h.close(f); err != nil {
			return "", err
		}
	}
	return h.Source.Close(ctx, f, how)
}

// A mute source has no hints.
type mute struct{ watcher.Source }

// A yard is a folder, its source, a book and a watcher between them.
type yard struct {
	t     testing.TB
	dir   string
	src   *hooked
	book  *book
	clock *watchertest.Clock
	log   *watchertest.Logbook
	*watcher.Watcher
}

func newYard(t testing.TB, change ...func(*watcher.Options)) *yard {
	t.Helper()
	y := &yard{t: t, dir: t.TempDir(), book: newBook(), log: &watchertest.Logbook{}, clock: watchertest.NewClock()}
	log := slog.New(slog.NewTextHandler(y.log, nil))
	src, err := local.New(local.Options{Path: y.dir}, watcher.Settings{}, y.clock.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	y.src = &hooked{Source: src}
	o := watcher.Options{Now: y.clock.Now, Log: log, Closable: y.book.wake}
	for _, c := range change {
		c(&o)
	}
	y.Watcher = watcher.New("drop", y.src, y.book, y.book, o)
	return y
}

// start runs the watcher until the returned function is called.
func start(t *testing.T, w *watcher.Watcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (y *yard) path(name string) string { return filepath.Join(y.dir, name) }

func (y *yard) write(name, text string) {
	y.t.Helper()
	if err := os.WriteFile(y.path(name), []byte(text), 0o644); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) scan() {
	y.t.Helper()
	if err := y.ScanOnce(context.Background()); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) closeAll() {
	y.t.Helper()
	if err := y.CloseOnce(context.Background()); err != nil {
		y.t.Fatal(err)
	}
}

// has fails the test unless each of names is there.
func (y *yard) has(names ...string) {
	y.t.Helper()
	for _, n := range names {
		if _, err := os.Lstat(y.path(n)); err != nil {
			y.t.Error(err)
		}
	}
}
