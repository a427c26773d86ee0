package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/formats"
)

func TestMain(m *testing.M) {
	if code, is := Child(); is {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// bench is where a test runs converters.
type bench struct {
	t      *testing.T
	folder string // of the programs
	place  Place
}

func newBench(t *testing.T) *bench {
	t.Parallel()
	return &bench{t: t, folder: t.TempDir(), place: Place{Folder: filepath.Join(t.TempDir(), "converting")}}
}

// script makes a converter of a program for sh.
func (b *bench) script(text string, o Options) *Converter {
	b.t.Helper()
	return b.program("#!/bin/sh\n"+text, o)
}

func (b *bench) program(text string, o Options) *Converter {
	b.t.Helper()
	name := filepath.Join(b.folder, "program")
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		b.t.Fatal(err)
	}
	o.Command = append([]string{name}, o.Command...)
	c, problems := New(o, func(path string) string { return path })
	if len(problems) > 0 {
		b.t.Fatal(problems)
	}
	return c
}

func blob(text string) formats.Blob {
	return formats.Blob{Name: "orders.csv", Reader: strings.NewReader(text), Size: int64(len(text))}
}

// run converts and gives all that came out.
func (b *bench) run(c *Converter, in formats.Blob) (string, error) {
	b.t.Helper()
	return b.runIn(context.Background(), c, in)
}

func (b *bench) runIn(ctx context.Context, c *Converter, in formats.Blob) (string, error) {
	b.t.Helper()
	done, err := c.Run(ctx, in, b.place)
	list, dirErr := os.ReadDir(b.place.Folder)
	if dirErr != nil || len(list) > 0 {
		b.t.Errorf("left in the folder: %v, %v", list, dirErr)
	}
	if err != nil {
		if done != nil {
			b.t.Error("with an error there is a result")
		}
		return "", err
	}
	defer done.Close()
	out, err := io.ReadAll(done.Blob.Reader)
	if err != nil || done.Out != int64(len(out)) || done.Blob.Size != done.Out || done.Blob.ReaderAt == nil {
		b.t.Errorf("%d bytes, said to be %d, %v", len(out), done.Out, err)
	}
	return string(out), nil
}

// refused checks that an error lies with the file, by its limit and words.
func refused(t *testing.T, err error, limit string, words ...string) {
	t.Helper()
	var bad *formats.FileError
	if !errors.As(err, &bad) {
		t.Fatalf("%v (%T), not a fault of the file", err, err)
	}
	if bad.Limit != limit || bad.Place() != "" {
		t.Errorf("limit %q, place %q: want %q and none", bad.Limit, bad.Place(), limit)
	}
	for _, w := range append(words, "convert: /") {
		if !strings.Contains(bad.Reason, w) {
			t.Errorf("%s\nwithout %q", bad.Reason, w)
		}
	}
}

// ours checks that an error does not lie with the file.
func ours(t *testing.T, err error, words ...string) {
	t.Helper()
	var bad *formats.FileError
	if err == nil || errors.As(err, &bad) {
		t.Fatalf("%v (%T), which is no fault of ours", err, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nwithout %q", err, w)
		}
	}
}

func TestAProgramConvertsStdin(t *testing.T) {
	b := newBench(t)
	out, err := b.run(b.script("tr a-z A-Z", Options{}), blob("no;quantity\n1;2\n"))
	if err != nil || out != "NO;QUANTITY\n1;2\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestAProgramConvertsAFile(t *testing.T) {
	b := newBench(t)
	in := blob("abc")
	in.Name = "in/-rf $(id) .XLS"
	c := b.script(`case "$2" in */input.XLS) ;; *) exit 9 ;; esac; cat; cat "$2"; pwd > out; cat out; echo "$1 $HOME $TMPDIR"; ls`, Options{Command: []string{"--in={file}", "{file}"}})
	out, err := b.run(c, in)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out, "\n")
	dir := strings.TrimPrefix(lines[0], "abc")
	if want := fmt.Sprintf("--in=%s/input.XLS %s %s", dir, dir, dir); lines[1] != want || strings.Join(lines[2:], " ") != "input.XLS out " || filepath.Dir(dir) != b.place.Folder {
		t.Errorf("%q\nwant %q", lines, want)
	}
}

func TestTheEnvironmentIsEmptyButForWhatIsNamed(t *testing.T) {
	t.Setenv("WAYBILL_TEST_SECRET", "hush")
	folder := t.TempDir()
	b := &bench{t: t, folder: folder, place: Place{Folder: filepath.Join(folder, "converting")}}
	out, err := b.run(b.program("#!/bin/cat /proc/self/environ\n", Options{Env: map[string]string{"TZ": "Europe/Paris", "LANG": "de_DE.UTF-8"}}), blob(""))
	var names []string
	out, _, _ = strings.Cut(out, "#!")
	list := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for _, v := range list {
		name, _, _ := strings.Cut(v, "=")
		names = append(names, name)
	}
	if got := strings.Join(names, " "); err != nil || got != "LANG PATH TZ HOME TMPDIR" || list[0] != "LANG=de_DE.UTF-8" || list[2] != "TZ=Europe/Paris" {
		t.Errorf("%s\n%v", out, err)
	}
}

func TestALargeOutputIsKeptWholeInFlatMemory(t *testing.T) {
	b := newBench(t)
	const million = 64
	c := b.script("head -c "+strconv.Itoa(million<<20)+" /dev/zero", Options{})
	done, err := c.Run(context.Background(), blob("x"), b.place)
	if err != nil {
		t.Fatal(err)
	}
	defer done.Close()
	n, err := io.Copy(io.Discard, done.Blob.Reader)
	if err != nil || n != million<<20 || len(done.spill.head) != 0 || done.spill.file == nil {
		t.Errorf("%d bytes, %d of them in memory, %v", n, len(done.spill.head), err)
	}
}

func TestAnExitCodeRejectsTheFile(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.script(`echo half; printf 'line 3: no such sheet\nsecond\033[31m\n' >&2; exit 7`, Options{}), blob("x"))
	refused(t, err, "", "ended with exit code 7; it said: line 3: no such sheet / second\\x1b[31m")
}

func TestASignalRejectsTheFile(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.script(`kill -SEGV $$`, Options{}), blob("x"))
	refused(t, err, "", "was ended by signal 11 (segmentation fault)")
}

func TestWhatSomebodyElseKilledIsTriedAgain(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.script(`kill -KILL $$`, Options{}), blob("x"))
	ours(t, err, "was killed by somebody else")
}

func TestTimeIsUp(t *testing.T) {
	b := newBench(t)
	for name, text := range map[string]string{
		"sleeps":                     "echo half; sleep 100",
		"ignores SIGTERM":            `trap "" TERM INT HUP; while :; do sleep 1; done`,
		"closes stdout and goes on":  "exec >&-; sleep 100",
		"closes all and goes on":     "exec >&- 2>&- <&-; sleep 100",
		"never reads stdin":          "sleep 100",
		"its child holds stdout":     "sleep 100 & exec sleep 100",
		"writes and goes on":         "while :; do echo x; sleep 0.01; done",
		"goes into another session":  "setsid sleep 100; sleep 100",
		"goes into other processes":  "(sleep 100 &) ; (setsid sleep 100 &) ; sleep 100",
		"stops itself":               "kill -STOP $$",
		"reads and never is content": "cat > /dev/null; sleep 100",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			begun := time.Now()
			_, err := b.run(b.script(text, Options{Timeout: time.Second}), blob(strings.Repeat("0123456789", 100_000)))
			refused(t, err, "convert.timeout", "has not ended within 1s", "raise read.convert.timeout")
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			b.none()
		})
	}
	_ = b
}

// none checks that no process is left that was started in the folder.
func (b *bench) none() {
	b.t.Helper()
	if list := inside(b.place.Folder); len(list) > 0 {
		b.t.Errorf("processes are left: %v", list)
	}
}

// inside lists the processes whose folder is within a folder.
func inside(folder string) (list []string) {
	all, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil
	}
	for _, link := range all {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, folder) {
			cmd, _ := os.ReadFile(filepath.Dir(link) + "/cmdline")
			list = append(list, filepath.Base(filepath.Dir(link))+" "+strings.ReplaceAll(string(cmd), "\x00", " "))
		}
	}
	return list
}

func TestWhatAProgramLeavesRunningIsEnded(t *testing.T) {
	b := newBench(t)
	out, err := b.run(b.script(`(setsid sleep 100 &); sleep 100 & (trap "" TERM; exec sleep 100) & echo done`, Options{}), blob("x"))
	if err != nil || out != "done\n" {
		t.Errorf("%q, %v", out, err)
	}
	b.none()
}

func TestMoreProcessesThanAreAllowedEndTheProgram(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.script(`i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done; wait`, Options{Timeout: 20 * time.Second}), blob("x"))
	refused(t, err, "convert.processes", "had more than 64 processes at once")
	b.none()
}

func TestAForkBombIsEnded(t *testing.T) {
	b := newBench(t)
	// Each doubles itself eight times at most: also where nothing ends it, it ends.
	_, err := b.run(b.script(`f() { if [ $1 -gt 0 ]; then f $(($1-1)) & f $(($1-1)) & fi; sleep 5; }; f 7; wait`, Options{Timeout: 20 * time.Second}), blob("x"))
	refused(t, err, "convert.processes", "had more than 64 processes at once")
	b.none()
}

func TestOutputThatNeverEndsIsCut(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.script("yes", Options{Size: 8 << 20}), blob("x"))
	refused(t, err, "convert.size", "wrote more than 8MiB")
}

func TestAFileOfItsOwnHasTheSizeToo(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.script("exec head -c 2000000 /dev/zero > big", Options{Size: 1 << 20}), blob("x"))
	refused(t, err, "convert.size", "made a file of more than 1MiB")
}

// hog finds a program that takes memory.
func hog(t *testing.T) string {
	t.Helper()
	for _, p := range []struct{ name, text string }{
		{"perl", "#!/usr/bin/env perl\nmy $s = 'x' x (400*1024*1024); print length($s);"},
		{"python3", "#!/usr/bin/env python3\nprint(len(b'x' * (400 << 20)))"},
	} {
		if path, err := exec.LookPath(p.name); err == nil && exec.Command(path, "-e", "1").Run() == nil || p.name == "python3" && err == nil {
			return p.text
		}
	}
	t.Skip("neither perl nor python3 is installed")
	return ""
}

func TestMemoryIsBounded(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.program(hog(t), Options{Memory: 128 << 20}), blob("x"))
	refused(t, err, "convert.memory", "raise read.convert.memory (128MiB)")
	out, err := b.run(b.program(hog(t), Options{Memory: 2 << 30}), blob("x"))
	if err != nil || strings.TrimSpace(out) != strconv.Itoa(400<<20) {
		t.Errorf("with enough: %q, %v", out, err)
	}
}

func TestAProgramThatWritesBeforeItReads(t *testing.T) {
	b := newBench(t)
	in := strings.Repeat("0123456789", 500_000)
	out, err := b.run(b.script("head -c 5000000 /dev/zero; cat", Options{}), blob(in))
	if err != nil || len(out) != 10_000_000 || !strings.HasSuffix(out, in) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestAProgramNeedNotReadAll(t *testing.T) {
	b := newBench(t)
	out, err := b.run(b.script("head -n 1", Options{}), blob("title\n"+strings.Repeat("0123456789", 500_000)))
	if err != nil || out != "title\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// A file that is cut off shows it at its end, which a program that is content with the beginning never sees.
func TestAFileThatIsCutOffIsNeverTaken(t *testing.T) {
	b := newBench(t)
	for _, text := range []string{"head -c 10", "cat", `cat "$1"`} {
		cut := &formats.FileError{Offset: 48, Reason: "gzip: truncated"}
		in := formats.Blob{Name: "x", Size: -1, Reader: io.MultiReader(strings.NewReader(strings.Repeat("0123456789", 100_000)), failing{cut})}
		o := Options{}
		if strings.Contains(text, "$1") {
			o.Command = []string{"{file}"}
		}
		if _, err := b.run(b.script(text, o), in); !errors.Is(err, error(cut)) {
			t.Errorf("%s: %v", text, err)
		}
		in.Reader = failing{syscall.EIO}
		_, err := b.run(b.script(text, o), in)
		ours(t, err, "input/output error")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestMuchOnStderrIsToldByItsEnd(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.script(`head -c 20000000 /dev/zero >&2; echo "the last word é" >&2; exit 1`, Options{}), blob("x"))
	refused(t, err, "", "it said: …\\x00", "the last word é")
	if len(err.Error()) > 5*tailMost {
		t.Errorf("%d bytes of words", len(err.Error()))
	}
}

func TestSecretsAreNotTold(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 100, tailMost - 8, tailMost - 4, tailMost, keptMost - 4, keptMost + 10} {
		said := tail{}
		fmt.Fprint(&said, "hush-hush ", strings.Repeat("x", before), " hush-hush")
		if got := said.text(map[string]string{"KEY": "hush-hush"}); strings.Contains(got, "hush") || !strings.HasSuffix(got, " ***") || len(got) > tailMost+8 {
			t.Errorf("%d: %s", before, got)
		}
	}
}

func TestBoundsAreThoseOfTheProgramFromItsFirstStep(t *testing.T) {
	b := newBench(t)
	out, err := b.run(b.program("#!/bin/cat /proc/self/limits\n", Options{Memory: 100 << 20, Size: 1 << 20, Timeout: 9 * time.Second}), blob("x"))
	if err != nil {
		t.Fatal(err)
	}
	// Memory, and the second figures, to which it may raise the first, follow at once.
	for what, want := range map[string]string{
		"Max file size": "1048576", "Max core file size": "0", "Max open files": "256", "Max stack size": "8388608",
	} {
		if got := limit(out, what); got[0] != want {
			t.Errorf("%s is %s, not %s", what, got, want)
		}
	}
	out, err = b.run(b.script("sleep 0.3; cat /proc/self/limits", Options{Memory: 100 << 20, Size: 1 << 20}), blob("x"))
	if got := limit(out, "Max data size"); err != nil || got[0] != "104857600" || got[1] != "104857600" {
		t.Errorf("later it is %s, %v", got, err)
	}
	if got := limit(out, "Max open files"); got[1] != "256" {
		t.Errorf("later it is %s", got)
	}
}

// limit finds a line of /proc/self/limits.
func limit(text, what string) []string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, what); ok {
			return strings.Fields(rest)
		}
	}
	return []string{"nothing", "nothing"}
}

func TestTheNetworkIsNotThere(t *testing.T) {
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip("perl is not installed")
	}
	if socketFilter("amd64") == nil {
		t.Skip("not on this architecture")
	}
	b := newBench(t)
	out, err := b.run(b.program(`#!/usr/bin/env perl
use Socket;
for my $f (AF_INET, AF_INET6, AF_UNIX) { print socket(my $s, $f, SOCK_STREAM, 0) ? "there" : "gone: $!", "\n"; }
print socketpair(my $x, my $y, AF_UNIX, SOCK_STREAM, PF_UNSPEC) ? "there" : "gone: $!", "\n";
`, Options{}), blob("x"))
	gone := "gone: Address family not supported by protocol\n"
	if err != nil || out != gone+gone+"there\nthere\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestNothingIsWrittenElsewhere(t *testing.T) {
	b := newBench(t)
	if _, err := os.Stat("/sys/kernel/security"); err != nil {
		t.Skip("nothing is known of the kernel's security modules")
	}
	other := filepath.Join(b.folder, "other")
	out, err := b.run(b.script(fmt.Sprintf(`echo x > here && mkdir sub && mv here sub/there && ln -s %s link; echo x > link; echo x > %s; rm %s/program; echo x > /dev/null && cat sub/there`, other, other, b.folder), Options{}), blob("x"))
	if err != nil || out != "x\n" {
		t.Fatalf("%q, %v", out, err)
	}
	if _, err := os.Stat(other); !landlocked() {
		t.Skip("the kernel has no Landlock")
	} else if err == nil {
		t.Error("it wrote elsewhere")
	}
	if _, err := os.Stat(filepath.Join(b.folder, "program")); err != nil {
		t.Errorf("it removed a file that is not its own: %v", err)
	}
}

func landlocked() bool { return landlockVersion() > 0 }

func landlockVersion() int {
	version, _, no := syscall.Syscall(444, 0, 0, 1)
	if no != 0 {
		return 0
	}
	return int(version)
}

func TestACancelledRunLeavesNothing(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	c := b.script("(setsid sleep 100 &); echo begun >&2; sleep 100", Options{})
	go func() {
		for len(inside(b.place.Folder)) < 2 && ctx.Err() == nil {
			tick := time.NewTimer(5 * time.Millisecond)
			<-tick.C
		}
		cancel()
	}()
	if _, err := b.runIn(ctx, c, blob("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	b.none()
}

// Who ends the keeper leaves the program alone for a moment at most, and nobody waits for it.
func TestAKeeperThatIsKilled(t *testing.T) {
	b := newBench(t)
	c := b.script(`sleep 0.2; kill -KILL $PPID; sleep 100`, Options{Timeout: 20 * time.Second})
	_, err := b.run(c, blob("x"))
	ours(t, err, "was ended by somebody else")
	b.none()
}

// What such a program has put into a session of its own has lost everybody who could end it.
func TestAKeeperThatIsKilledLeavesNoOtherSession(t *testing.T) {
	b := newBench(t)
	for name, more := range map[string]string{"in its folder": "", "elsewhere": "cd /; "} {
		c := b.script(more+`(setsid sleep 971 &); sleep 0.3; kill -KILL $PPID; sleep 100`, Options{Timeout: 20 * time.Second})
		_, err := b.run(c, blob("x"))
		ours(t, err, "was ended by somebody else")
		if list := strays(b.place.Folder); len(list) > 0 {
			t.Errorf("%s: %v are left", name, list)
		}
		for _, path := range environs(t, "TMPDIR="+b.place.Folder) {
			t.Errorf("%s: %s is left", name, path)
		}
	}
	b.none()
}

// environs lists the processes that were told what a text begins.
func environs(t *testing.T, begin string) (list []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(begin)) {
			list = append(list, path)
		}
	}
	return list
}

func TestWhoHasTheOutputOpenIsNotWaitedFor(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan *os.File, 1)
	go func() {
		defer close(held)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			for _, line := range inside(b.place.Folder) {
				pid, _, _ := strings.Cut(line, " ")
				if f, err := os.OpenFile("/proc/"+pid+"/fd/1", os.O_WRONLY, 0); err == nil {
					held <- f
					return
				}
			}
		}
	}()
	_, err := b.runIn(ctx, b.script("echo x; sleep 1", Options{Timeout: 20 * time.Second}), blob("x"))
	cancel()
	if f := <-held; f == nil {
		t.Fatal("the output was not got hold of")
	} else {
		_ = f.Close()
	}
	ours(t, err, "another process has its output open")
}

// zeros is a file that never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Such a file is not tried for ever.
func TestAFileThatIsNotReadInTimeIsRefused(t *testing.T) {
	b := newBench(t)
	_, err := b.run(b.script("exit 0", Options{Timeout: time.Second}), formats.Blob{Name: "x", Size: -1, Reader: zeros{}})
	refused(t, err, "convert.timeout", "has not ended within 1s")
}

func TestAFullDiskIsNoFaultOfTheFile(t *testing.T) {
	b := newBench(t)
	small := t.TempDir()
	if err := syscall.Mount("waybill-test", small, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no small file system can be mounted (%v), so it is NOT TESTED that a full disk does not reject files", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	b.place.Folder = filepath.Join(small, "converting")
	_, err := b.run(b.script("head -c 10000000 /dev/zero > big", Options{}), blob("x"))
	ours(t, err, "the disk with its folder was full", "the file waits")
}

func TestNothingThatWaybillHasOpenIsTheirs(t *testing.T) {
	b := newBench(t)
	name := filepath.Join(b.folder, "secret")
	if err := os.WriteFile(name, []byte("hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(name, syscall.O_RDWR, 0) // and not closed on exec
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	out, err := b.run(b.script("ls -l /proc/self/fd", Options{}), blob("x"))
	if err != nil || strings.Contains(out, name) || !strings.Contains(out, "pipe:") {
		t.Errorf("%s\n%v", out, err)
	}
}

func TestItGoesBeforeWaybillWhenMemoryRunsOut(t *testing.T) {
	b := newBench(t)
	out, err := b.run(b.script("cat /proc/self/oom_score_adj", Options{}), blob("x"))
	if err != nil || out != "900\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestSignalsDoNotGetOut(t *testing.T) {
	if landlockVersion() < 6 {
		t.Skip("the kernel's Landlock does not bound signals, so it is NOT TESTED that a program cannot end waybill")
	}
	b := newBench(t)
	other := exec.Command("sleep", "100")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := b.run(b.script(fmt.Sprintf("kill -0 %d || echo kept; kill -0 $$ && sleep 100 & kill $! && echo its own", other.Process.Pid), Options{}), blob("x"))
	if err != nil || out != "kept\nits own\n" {
		t.Errorf("%q, %v", out, err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = other.Wait() // killed
}

// asService runs a test as an ordinary user with the capability that the unit gives, and reports whether this is that run.
func asService(t *testing.T) bool {
	t.Helper()
	if os.Getenv("WAYBILL_TEST_SERVICE") != "" {
		return true
	}
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root, so it is NOT TESTED what a converter gets from the service's capability")
	}
	program := filepath.Join(t.TempDir(), "tests") // the user may not come where they are built
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(program, text, 0o700)
	}
	const nobody, lease = 65534, 28
	if err = errors.Join(err, os.Chmod(program, 0o755), os.Chmod(filepath.Dir(program), 0o777), os.Chmod(filepath.Dir(filepath.Dir(program)), 0o711)); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	c.Dir, c.Env = "/", append(os.Environ(), "WAYBILL_TEST_SERVICE=1", "TMPDIR="+filepath.Dir(program))
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: []uintptr{lease}}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("%s did not run:\n%s", t.Name(), out)
	}
	return false
}

// Its program is the same user: by tracing it, it would be free of all bounds.
func TestTheKeeperIsClosedToItsProgram(t *testing.T) {
	if !asService(t) {
		return
	}
	b := newBench(t)
	out, err := b.run(b.script("ls /proc/$PPID/fd && echo seen; cat /proc/$PPID/environ && echo seen; ls /proc/$$/fd > list && echo its own", Options{}), blob("x"))
	if err != nil || out != "its own\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestWhatTheServiceManagerGivesIsTakenAway(t *testing.T) {
	if !asService(t) {
		return
	}
	if own, err := os.ReadFile("/proc/self/status"); err != nil || !bytes.Contains(own, []byte("CapAmb:\t0000000010000000\n")) {
		t.Fatalf("the test has no capability itself: %s, %v", own, err)
	}
	b := newBench(t)
	out, err := b.run(b.script("grep -E '^(CapPrm|CapAmb|NoNewPrivs)' /proc/self/status", Options{}), blob("x"))
	if err != nil || out != "CapPrm:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestChildrenAreFoundWithoutTheKernelsList(t *testing.T) {
	t.Parallel()
	c := exec.Command("sleep", "100")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	found := childrenByParent(os.Getpid())
	if !slices.Contains(found, c.Process.Pid) || slices.Contains(found, os.Getpid()) {
		t.Errorf("%v without %d", found, c.Process.Pid)
	}
	if err := c.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = c.Wait() // killed
}

func TestAProgramThatHasGoneIsOurTrouble(t *testing.T) {
	b := newBench(t)
	c := b.script("cat", Options{})
	if err := os.Remove(c.path); err != nil {
		t.Fatal(err)
	}
	_, err := b.run(c, blob("x"))
	ours(t, err, "cannot be started", "no such file", "the file waits")
	if err := os.WriteFile(c.path, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = b.run(c, blob("x"))
	ours(t, err, "cannot be started", "exec format error")
}

func TestManyAtOnce(t *testing.T) {
	b := newBench(t)
	c := b.script("cat; echo $$", Options{})
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			done, err := c.Run(context.Background(), blob("abc"), b.place)
			if err != nil {
				t.Error(err)
				return
			}
			defer done.Close()
			if done.In != 3 || done.Out < 5 {
				t.Errorf("%d bytes in, %d out", done.In, done.Out)
			}
		})
	}
	wg.Wait()
}

func TestWhatIsLeftIsCleared(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(folder, "convert-1/sub/deep"), 0o700), os.WriteFile(filepath.Join(folder, "convert-1/sub/x"), []byte("x"), 0o600),
		os.Chmod(filepath.Join(folder, "convert-1/sub"), 0), os.Chmod(filepath.Join(folder, "convert-1"), 0)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Clear(folder), Clear(filepath.Join(folder, "not there"))); err != nil {
		t.Fatal(err)
	}
	if list, err := os.ReadDir(folder); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestMistakesInTheSettings(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := []string{"/bin/sh"}
	for want, o := range map[string]Options{
		"command: is missing":                                 {},
		"command[0]: awk is not beside the configuration":     {Command: []string{"awk"}},
		"command[0]: the program cannot be found: stat /no":   {Command: []string{"/no/such"}},
		"command[0]: " + folder + " is no file":               {Command: []string{folder}},
		"command[0]: " + plain + " may not be run: chmod":     {Command: []string{plain}},
		"timeout: 1ms is out of bounds":                       {Command: good, Timeout: time.Millisecond},
		"memory: 1MiB is out of bounds: from 16MiB to":        {Command: good, Memory: 1 << 20},
		"size: -1B is out of bounds":                          {Command: good, Size: -1},
		`env: "A=B" is no variable: a name has no =, and nei`: {Command: good, Env: map[string]string{"A=B": ""}},
	} {
		_, problems := New(o, func(path string) string { return filepath.Join(folder, filepath.Base(path)) })
		if strings.HasPrefix(o.path(), "/") {
			_, problems = New(o, func(path string) string { return path })
		}
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want) {
			t.Errorf("%v\nwant %s", problems, want)
		}
	}
}

func (o Options) path() string {
	if len(o.Command) == 0 {
		return ""
	}
	return o.Command[0]
}

func TestNamesAreNotTheSenders(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"orders.xls": "input.xls", "a/b.TXT": "input.TXT", "-rf": "input", "x.tar.gz": "input.gz", "x.": "input", ".x/../..": "input", "x.$(id)": "input", "x.é": "input", "x.123456789": "input",
	} {
		if got := inputName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func FuzzWhatIsSaid(f *testing.F) {
	f.Add([]byte("a\nb\x1b[0m"), "secret")
	f.Fuzz(func(t *testing.T, said []byte, secret string) {
		var whole, parts tail
		_, _ = whole.Write(said)
		for chunk := range bytes.Lines(said) {
			_, _ = parts.Write(chunk)
		}
		secrets := map[string]string{"KEY": secret}
		got := whole.text(secrets)
		if got != parts.text(secrets) {
			t.Fatalf("%q\n%q", got, parts.text(secrets))
		}
		for _, r := range got {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Fatalf("%q", got)
			}
		}
	})
}
