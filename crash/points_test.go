package crash_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// A death is where a case's processes are to die, one after the other ("name" or "name:n").
type death struct {
	at    []string
	fresh bool // begins without a ledger
}

func (d death) String() string { return strings.Join(d.at, " then ") }

// reachedAfter names the steps that are passed only by a process that finds what a killed one left behind.
var reachedAfter = map[string]string{
	"outbox/discarded": "outbox/staged",
	"outbox/asking":    "outbox/marked:2",
}

// apart are steps that tests of their own kill a process at: watcher/sftpd/kill_test.go, acknowledge_test.go, archive_test.go, set_test.go, statement_test.go.
var apart = regexp.MustCompile(`^sftpd/|^spool/adopt|^ledger/owed$|^jobs/acknowledg|^jobs/unpacked$|^ledger/members|^ledger/gathering$|^store/statement$`)

// points collects the named steps from the program's source, so that a new one is tested without being listed here.
func points(t *testing.T) []string {
	t.Helper()
	literal, any := regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`), regexp.MustCompile(`failpoint\.Hit\(`)
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		names := literal.FindAllSubmatch(text, -1)
		if len(any.FindAll(text, -1)) != len(names) {
			t.Errorf("%s: a failpoint without a literal name", path)
		}
		for _, n := range names {
			if !apart.Match(n[1]) {
				found[string(n[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

// TestKilledAtEveryNamedStep kills the daemon at the first passage of each named step, and at a sample of later ones.
func TestKilledAtEveryNamedStep(t *testing.T) {
	t.Parallel()
	names := slices.DeleteFunc(points(t), func(n string) bool { return strings.HasPrefix(n, "sftp/") }) // see remote_test.go
	if len(names) < 30 {
		t.Fatalf("only %d named steps: %v", len(names), names)
	}
	passages, keys := unharmed(t)
	deaths := plan(t, names, passages)
	var repeats, most atomic.Int64
	t.Run("death", func(t *testing.T) {
		for _, d := range deaths {
			t.Run(d.String(), func(t *testing.T) {
				t.Parallel()
				n := int64(d.die(t, keys))
				repeats.Add(n)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
			})
		}
	})
	t.Logf("%d named steps, %d deaths, %d messages repeated, at most %d after one", len(names), len(deaths), repeats.Load(), most.Load())
}

// unharmed runs the landscape without any death and returns how often each step was passed, and the key of each body.
func unharmed(t *testing.T) (passages map[string]int, keys map[string]string) {
	t.Helper()
	l := newLandscape(t)
	l.out.Start()
	l.due()
	l.usual()
	l.round("WAYBILL_FAILPOINT_LOG=" + l.path("passages"))
	keys, _ = l.check()
	text, err := os.ReadFile(l.path("passages"))
	l.must(err)
	passages = map[string]int{}
	for name := range strings.Lines(string(text)) {
		passages[strings.TrimSpace(name)]++
	}
	return passages, keys
}

// plan says which deaths are died: each step at its first passage, migrations at all, and a sample of others.
func plan(t *testing.T, names []string, passages map[string]int) (deaths []death) {
	t.Helper()
	var often []string
	for _, name := range names {
		switch first := reachedAfter[name]; {
		case strings.HasPrefix(name, "store/migrat"):
			deaths = append(deaths, death{at: []string{name}, fresh: true})
		case first != "":
			deaths = append(deaths, death{at: []string{first, name}})
		case passages[name] == 0:
			t.Errorf("%s is never passed: let the landscape pass it, or say in reachedAfter what comes before it", name)
		default:
			deaths = append(deaths, death{at: []string{name}})
		}
		if passages[name] > 1 {
			often = append(often, name)
		}
	}
	for n := 2; n <= 5; n++ {
		deaths = append(deaths, death{at: []string{fmt.Sprintf("store/migrating:%d", n)}, fresh: true})
	}
	chance := seeded(t)
	for range dose(t, 20) {
		name := often[chance.IntN(len(often))]
		d := death{at: []string{fmt.Sprintf("%s:%d", name, 2+chance.IntN(passages[name]-1))}}
		if chance.IntN(3) == 0 { // and the next process dies early, too
			d.at = append(d.at, often[chance.IntN(len(often))])
		}
		deaths = append(deaths, d)
	}
	return deaths
}

// die runs the landscape with its deaths and returns the number of repeats.
func (d death) die(t *testing.T, keys map[string]string) int {
	l := newLandscape(t)
	l.out.Start()
	if !d.fresh {
		l.due()
	}
	l.usual()
	for i, at := range d.at {
		// A first passage is sure, and so is the one that it takes to reach another; of later ones there may be fewer than last time.
		_, sampled := strings.CutPrefix(at, strings.Split(at, ":")[0]+":")
		l.dies(at, !sampled && i == len(d.at)-1 && (len(d.at) == 1 || reachedAfter[at] != ""))
	}
	l.round()
	got, repeats := l.check()
	for body, key := range got {
		if keys[body] != key {
			t.Errorf("%.100s has key %s, without a crash it has %s", body, key, keys[body])
			break
		}
	}
	return repeats
}

// dies runs the daemon until it has died at a step. Where that is not sure, it may also drain and be stopped.
func (l *landscape) dies(at string, sure bool) {
	l.t.Helper()
	p := l.serve(at)
	drained := false
	p.until(func() bool {
		drained = !p.over() && l.partner() && l.drained()
		return p.over() || drained
	})
	if drained { // what is committed is seen before the step behind it is reached: it may still die there
		p.until(func() bool { return p.over() || p.ready() })
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		p.until(p.over)
	}
	switch killed := p.killed(); {
	case !killed && !drained:
		l.t.Fatalf("the daemon ended by itself:\n%s", p.tail())
	case !killed:
		if sure {
			l.t.Errorf("%s was never reached", at)
		}
		return
	}
	l.kills++
	if !eventually(patience, l.out.quiet) {
		l.t.Fatal("the receiver still talks to a dead process")
	}
}

// partner delivers one file again once the first has been taken away. It reports whether all has been dropped.
func (l *landscape) partner() bool {
	if l.done["small1.1.csv"] {
		return true
	}
	if !l.gone("drop", "small1.csv") {
		return false
	}
	l.again("small1", 5, 0)
	return true
}

// round runs the daemon until all is done.
func (l *landscape) round(env ...string) {
	l.t.Helper()
	p := l.serve("", env...)
	p.until(func() bool {
		if p.over() {
			l.t.Fatalf("the daemon ended by itself:\n%s", p.tail())
		}
		return l.partner() && l.drained()
	})
	p.stop()
}
