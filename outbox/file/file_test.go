package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"waybill/outbox"
	"waybill/outbox/outboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func clock() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func start(t testing.TB, o Options) *Target {
	t.Helper()
	target, problems := New(o, Limits{Concurrency: 4}, clock)
	if len(problems) > 0 {
		t.Fatalf("New: %v", problems)
	}
	return target
}

func message(key, name, body string, more ...outbox.Header) outbox.Message {
	return outbox.Message{Key: key, Headers: append([]outbox.Header{{Name: ":name", Value: name}}, more...), Body: []byte(body), Size: int64(len(body))}
}

// one delivers a single message and returns the name it got.
func one(t testing.TB, target *Target, m outbox.Message) (string, error) {
	t.Helper()
	o := outboxtest.Deliver(t.Context(), t, target, []outbox.Message{m})
	err, reported := o.Err(0)
	if !reported {
		t.Fatal("the message was not reported")
	}
	return o.Receipt(0).Text, err
}

// must is one for a message that has to arrive under the name want.
func must(t testing.TB, target *Target, m outbox.Message, want string) {
	t.Helper()
	if got, err := one(t, target, m); err != nil || got != want {
		t.Errorf("message %s arrived as %q (%v), want %q", m.Key, got, err, want)
	}
}

// list returns every file below folder with its content, hidden ones included.
func list(t testing.TB, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		all[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantFiles(t testing.TB, folder string, want map[string]string) {
	t.Helper()
	got := list(t, folder)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("files: %q, want %q", got, want)
	}
}

func TestTargetKeepsTheContract(t *testing.T) {
	t.Parallel()
	for _, exists := range []string{existsNumber, existsSame, existsReplace} {
		t.Run(exists, func(t *testing.T) {
			t.Parallel()
			outboxtest.Run(t, outboxtest.Fixture{Start: func(t *testing.T) outboxtest.Side {
				folder := filepath.Join(t.TempDir(), "out")
				if err := os.Mkdir(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				move := func(from, to string) func() {
					return func() {
						if err := os.Rename(from, to); err != nil {
							t.Fatal(err)
						}
					}
				}
				return outboxtest.Side{
					Target: start(t, Options{Folder: folder, Exists: exists}),
					Message: func(n int) outbox.Message {
						return message(fmt.Sprintf("k%d", n), fmt.Sprintf("%d/k%d.json", n%3, n), fmt.Sprintf(`{"n":%d}`, n), outbox.Header{Name: ":marker", Value: fmt.Sprintf("done/k%d.ok", n)})
					},
					Refused: func(n int) outbox.Message { return message("bad", "../escape.json", "{}") },
					Effects: func() map[string]int {
						effects := map[string]int{}
						for name := range list(t, folder) {
							if base, ok := strings.CutSuffix(filepath.Base(name), ".json"); ok {
								effects[base]++
							} else if filepath.Ext(name) != ".ok" {
								t.Errorf("%s was left behind", name)
							}
						}
						return effects
					},
					Down: move(folder, folder+".away"),
					Up:   move(folder+".away", folder),
				}
			}})
		})
	}
}

func TestTakenNames(t *testing.T) {
	t.Parallel()
	t.Run("number finds the next free name", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		target := start(t, Options{Folder: folder})
		must(t, target, message("a", "orders.csv", "1"), "orders.csv")
		must(t, target, message("b", "orders.csv", "2"), "orders.1.csv")
		must(t, target, message("c", "orders.csv", "3"), "orders.2.csv")
		must(t, target, message("d", "orders.csv.gz", "4"), "orders.csv.gz")
		must(t, target, message("e", "orders.csv.gz", "5"), "orders.1.csv.gz")
		must(t, target, message("f", "README", "6"), "README")
		must(t, target, message("g", "README", "7"), "README.1")
		wantFiles(t, folder, map[string]string{"orders.csv": "1", "orders.1.csv": "2", "orders.2.csv": "3", "orders.csv.gz": "4", "orders.1.csv.gz": "5", "README": "6", "README.1": "7"})
	})
	t.Run("number gives two messages of the same bytes a file each, and a repeat none", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		target := start(t, Options{Folder: folder})
		must(t, target, message("a", "p.csv", "same"), "p.csv")
		must(t, target, message("b", "p.csv", "same"), "p.1.csv")
		must(t, target, message("b", "p.csv", "same"), "p.1.csv")
		must(t, target, message("a", "p.csv", "same"), "p.csv")
		wantFiles(t, folder, map[string]string{"p.csv": "same", "p.1.csv": "same"})
	})
	t.Run("a repeat is recognised by its bytes where no key is kept", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		write(t, filepath.Join(folder, "p.csv"), "same")
		target := start(t, Options{Folder: folder})
		m := message("a", "p.csv", "same")
		m.Repeat = true
		must(t, target, m, "p.csv")
		m.Body[0] = 'S'
		must(t, target, m, "p.1.csv")
	})
	t.Run("same-or-fail", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		write(t, filepath.Join(folder, "p.csv"), "same")
		target := start(t, Options{Folder: folder, Exists: existsSame})
		must(t, target, message("a", "p.csv", "same"), "p.csv")
		if _, err := one(t, target, message("b", "p.csv", "other")); err == nil || outbox.FaultOf(err) != outbox.FaultRefused {
			t.Errorf("other bytes: %v, want a refusal", err)
		}
		if _, err := one(t, target, message("b", "p.csv", "OTHR")); err == nil || outbox.FaultOf(err) != outbox.FaultRefused {
			t.Errorf("other bytes of the same length: %v, want a refusal", err)
		}
		wantFiles(t, folder, map[string]string{"p.csv": "same"})
	})
	t.Run("replace, said by the message", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		write(t, filepath.Join(folder, "p.csv"), "old")
		target := start(t, Options{Folder: folder})
		must(t, target, message("a", "p.csv", "new", outbox.Header{Name: ":exists", Value: existsReplace}), "p.csv")
		wantFiles(t, folder, map[string]string{"p.csv": "new"})
	})
	t.Run("what is no file takes the name, too", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(folder, "p.csv"), 0o700), os.Symlink("nowhere", filepath.Join(folder, "p.1.csv")), os.Symlink("/etc/passwd", filepath.Join(folder, "p.2.csv"))); err != nil {
			t.Fatal(err)
		}
		must(t, start(t, Options{Folder: folder}), message("a", "p.csv", "x"), "p.3.csv")
	})
	t.Run("twenty at once", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		target := start(t, Options{Folder: folder})
		var ms []outbox.Message
		for n := range 20 {
			ms = append(ms, message(fmt.Sprint(n), "p.csv", fmt.Sprint(n)))
		}
		o := outboxtest.Deliver(t.Context(), t, target, ms)
		names := map[string]bool{}
		for i := range ms {
			if err, _ := o.Err(i); err != nil {
				t.Error(err)
			}
			names[o.Receipt(i).Text] = true
		}
		if got := list(t, folder); len(names) != 20 || len(got) != 20 {
			t.Errorf("%d names, %d files", len(names), len(got))
		}
	})
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMarkerFollowsTheFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	target := start(t, Options{Folder: folder})
	marker := outbox.Header{Name: ":marker", Value: "orders.csv.ok"}
	must(t, target, message("a", "orders.csv", "1", marker), "orders.csv")
	must(t, target, message("b", "orders.csv", "2", marker), "orders.1.csv")
	must(t, target, message("c", "x/orders.csv", "3", outbox.Header{Name: ":marker", Value: "ready/orders.done"}), "x/orders.csv")
	wantFiles(t, folder, map[string]string{"orders.csv": "1", "orders.csv.ok": "", "orders.1.csv": "2", "orders.1.csv.ok": "", "x/orders.csv": "3", "ready/orders.done": ""})
	if err := os.Remove(filepath.Join(folder, "orders.csv.ok")); err != nil { // as if killed between file and marker
		t.Fatal(err)
	}
	must(t, target, message("a", "orders.csv", "1", marker), "orders.csv")
	if _, there := list(t, folder)["orders.csv.ok"]; !there {
		t.Error("the repeat did not add the marker")
	}
	_, err := one(t, target, message("d", "d.csv", "4", outbox.Header{Name: ":marker", Value: "orders.csv"}))
	if err == nil || outbox.FaultOf(err) != outbox.FaultRefused {
		t.Errorf("a marker over a file: %v, want a refusal", err)
	}
	for _, c := range [][4]string{
		{"a.csv.ok", "a.csv", "a.1.csv", "a.1.csv.ok"}, {"a.ok", "a.csv", "a.1.csv", "a.1.ok"}, {"a.ok", "a.csv", "a.csv", "a.ok"},
		{"READY", "a.csv", "a.1.csv", "READY"}, {"x/a.ok", "x/a.csv.gz", "x/a.2.csv.gz", "x/a.2.ok"},
	} {
		if got := markerOf(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("marker %s of %s as %s: %s, want %s", c[0], c[1], c[2], got, c[3])
		}
	}
}

func TestNamesThatLeadElsewhereAreRefused(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	folder := filepath.Join(outside, "out")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.Symlink(outside, filepath.Join(folder, "link"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "plain"), "x")
	target := start(t, Options{Folder: folder})
	for _, name := range []string{
		"", "/etc/x", "../x", "a/../../x", "a//b", ".hidden", "a/.b", "a/", ".", "..", "a\x00b", "a\nb", "a\x1b[31m",
		strings.Repeat("x", 256), "link/x.csv", "plain/x.csv",
	} {
		_, err := one(t, target, message("k", name, "x"))
		if err == nil || outbox.FaultOf(err) != outbox.FaultRefused {
			t.Errorf("%.20q: %v, want a refusal", name, err)
		}
		_, err = one(t, target, message("k", "good.csv", "x", outbox.Header{Name: ":marker", Value: name}))
		if name != "" && (err == nil || outbox.FaultOf(err) != outbox.FaultRefused) {
			t.Errorf("marker %.20q: %v, want a refusal", name, err)
		}
	}
	if got := list(t, outside); len(got) != 2 {
		t.Errorf("files: %q", got)
	}
}

// TestNoNameLeavesTheFolder is the jail as a property: whatever the name, nothing appears outside.
func TestNoNameLeavesTheFolder(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	folder := filepath.Join(outside, "a", "out")
	if err := errors.Join(os.MkdirAll(folder, 0o700), os.Symlink("..", filepath.Join(folder, "up"))); err != nil {
		t.Fatal(err)
	}
	target := start(t, Options{Folder: folder})
	rapid.Check(t, func(r *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"..", ".", "", "up", "a", "x.csv", "\x00", "é", "a\\..\\b"}), 1, 6).Draw(r, "parts")
		_, err := one(t, target, message("k", strings.Join(parts, "/"), "x"))
		if err != nil && outbox.FaultOf(err) == outbox.FaultStopped {
			r.Errorf("a name stopped the destination: %v", err)
		}
		if _, err := os.Stat(filepath.Join(outside, "a", "x.csv")); err == nil {
			r.Error("a file left the folder")
		}
	})
	entries, err := os.ReadDir(filepath.Join(outside, "a"))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the folder: %v %v", entries, err)
	}
}

func TestModeAndGroupAreSet(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	group := os.Getgid()
	target := start(t, Options{Folder: folder, Mode: "0664", Group: fmt.Sprint(group)})
	must(t, target, message("a", "sub/orders.csv", "x", outbox.Header{Name: ":marker", Value: "sub/orders.ok"}), "sub/orders.csv")
	for name, want := range map[string]fs.FileMode{"sub": 0o775, "sub/orders.csv": 0o664, "sub/orders.ok": 0o664} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want || int(info.Sys().(*syscall.Stat_t).Gid) != group {
			t.Errorf("%s: mode %o, want %o; group %d", name, got, want, info.Sys().(*syscall.Stat_t).Gid)
		}
	}
}

func TestLargeBodyIsStreamedAndItsLengthChecked(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	target := start(t, Options{Folder: folder})
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	m := message("a", "big.bin", "")
	m.Size = int64(len(body))
	m.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	must(t, target, m, "big.bin")
	if got, err := os.ReadFile(filepath.Join(folder, "big.bin")); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	gone := errors.New("object is gone")
	for name, open := range map[string]func() (io.ReadCloser, error){
		"too short": func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body[1:])), nil },
		"too long": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(body), strings.NewReader("x"))), nil
		},
		"cannot be open": func() (io.ReadCloser, error) { return nil, gone },
		"breaks off": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("x"), broken{gone})), nil
		},
		"breaks off late": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{gone})), nil
		},
	} {
		m.Key, m.Headers[0].Value, m.Open = name, name+".bin", open
		if _, err := one(t, target, m); err == nil || outbox.FaultOf(err) != outbox.FaultUnavailable {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
	if got := list(t, folder); len(got) != 1 {
		t.Errorf("%d files were left", len(got))
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestCancelledCopyLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	target := start(t, Options{Folder: folder})
	ctx, cancel := context.WithCancel(t.Context())
	m := message("a", "big.bin", "")
	m.Size = 1 << 40
	m.Open = func() (io.ReadCloser, error) { return io.NopCloser(&canceller{cancel: cancel, after: 5}), nil }
	other := message("b", "other.bin", "")
	other.Size, other.Open = m.Size, m.Open
	o := outboxtest.Deliver(ctx, t, target, []outbox.Message{m, other})
	for i := range 2 {
		if err, _ := o.Err(i); !errors.Is(err, context.Canceled) {
			t.Errorf("message %d: %v, want context.Canceled", i, err)
		}
	}
	wantFiles(t, folder, map[string]string{})
}

type canceller struct {
	cancel func()
	after  int
}

func (c *canceller) Read(p []byte) (int, error) {
	if c.after--; c.after == 0 {
		c.cancel()
	}
	return len(p), nil
}

func TestLeftoverOfAKilledAttemptIsTakenOver(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	target := start(t, Options{Folder: folder})
	f, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	left, err := (&opened{root: f}).temporary("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := left.file.WriteString("half of somethi"); err != nil {
		t.Fatal(err)
	}
	if _, err := one(t, target, message("a", "p.csv", "whole")); !errors.Is(err, errBusy) || outbox.FaultOf(err) != outbox.FaultUnavailable {
		t.Errorf("while its writer lives: %v, want %v", err, errBusy)
	}
	if err := left.file.Close(); err != nil { // as the kernel does for a killed process
		t.Fatal(err)
	}
	must(t, target, message("a", "p.csv", "whole"), "p.csv")
	wantFiles(t, folder, map[string]string{"p.csv": "whole"})

	// Published by a link, killed before the hidden name went: it must not be written to again.
	if err := os.Link(filepath.Join(folder, "p.csv"), filepath.Join(folder, left.name)); err != nil {
		t.Fatal(err)
	}
	must(t, target, message("a", "other.csv", "new"), "other.csv")
	wantFiles(t, folder, map[string]string{"p.csv": "whole", "other.csv": "new"})
}

type opened = folder

func TestFoldersThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	write(t, plain, "x")
	full := t.TempDir()
	for name, c := range map[string]struct {
		folder string
		want   outbox.Fault
		says   string
	}{
		"missing":      {"/nonexistent/out", outbox.FaultUnavailable, "mount its share"},
		"not a folder": {plain, outbox.FaultStopped, "not a folder"},
	} {
		_, err := one(t, start(t, Options{Folder: c.folder}), message("a", "p.csv", "x"))
		if err == nil || outbox.FaultOf(err) != c.want || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.folder) {
			t.Errorf("%s: %v, want fault %d saying %q", name, err, c.want, c.says)
		}
	}
	target := start(t, Options{Folder: full})
	w := &writer{t: target}
	for errno, says := range map[error]string{syscall.ENOSPC: "free space", syscall.EDQUOT: "free space", syscall.EACCES: "service's user", syscall.EROFS: "mount it for writing", syscall.EIO: "look at"} {
		err := w.judge("p.csv", &fs.PathError{Op: "write", Path: "p.csv", Err: errno})
		if outbox.FaultOf(err) != outbox.FaultUnavailable || !strings.Contains(err.Error(), says) || !errors.Is(err, errno) {
			t.Errorf("%v: %v, want unavailable saying %q", errno, err, says)
		}
	}
}

func TestFullDiskIsUnavailableAndLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs the right to mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	target := start(t, Options{Folder: folder})
	must(t, target, message("a", "small.csv", "x"), "small.csv")
	big := message("b", "big.csv", strings.Repeat("x", 1<<20))
	_, err := one(t, target, big)
	if !errors.Is(err, syscall.ENOSPC) || outbox.FaultOf(err) != outbox.FaultUnavailable {
		t.Errorf("%v, want unavailable", err)
	}
	wantFiles(t, folder, map[string]string{"small.csv": "x"})
}

func TestConfigurationMistakesAreAllTold(t *testing.T) {
	t.Parallel()
	target, problems := New(Options{Mode: "rw", Group: "no such group", Exists: "overwrite"}, Limits{}, clock)
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	if want := []string{"file.folder", "file.mode", "file.group", "file.exists"}; target != nil || !slices.Equal(paths, want) {
		t.Errorf("problems: %v", problems)
	}
	for _, mode := range []string{"0400", "1777", "0888", "-1"} {
		if _, problems := New(Options{Folder: "/x", Mode: mode}, Limits{}, clock); len(problems) != 1 {
			t.Errorf("mode %s: %v", mode, problems)
		}
	}
}
