// Package crash_test kills the real program at every named step and at random moments, restarts it, and proves from
// outside, by what a receiver wrote down and by what lies in the folders, that nothing was lost and nothing happened twice.
//
// The binary is built once, with the tag failpoint. A case is a landscape in a temporary folder (landscape_test.go), a
// receiver (receiver_test.go) and a series of processes (daemon_test.go); when it has drained, check_test.go joins the dropped files,
// the ledger, the folders and the receiver's log.
//
// WAYBILL_CRASH_DOSE multiplies the number of sampled and random kills; WAYBILL_CRASH_SEED chooses others.
package crash_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "waybill-crash")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildFolder = folder
	atOnce()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

var buildFolder string

// atOnce has more cases run at a time than there are processors, unless -parallel says how many: for half of its time each waits for a
// poll, a back-off or a sync.
func atOnce() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))) // a number
	}
}

// binary builds the program as it is shipped, but with failpoints, once.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildFolder, "waybill")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "failpoint", "-o", path, "../cmd/waybill")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build waybill with failpoints: %w\n%s", err, out)
	}
	return path, nil
})

// dose is n, or as many times that as WAYBILL_CRASH_DOSE says.
func dose(t testing.TB, n int) int {
	t.Helper()
	text := os.Getenv("WAYBILL_CRASH_DOSE")
	if text == "" {
		return n
	}
	times, err := strconv.Atoi(text)
	if err != nil || times < 1 {
		t.Fatalf("WAYBILL_CRASH_DOSE is %q: write how many times the usual dose, from 1", text)
	}
	return n * times
}

// seeded is a source of chance that a failed run can be repeated with.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv("WAYBILL_CRASH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("WAYBILL_CRASH_SEED: %v", err)
		}
	}
	t.Logf("WAYBILL_CRASH_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to be repeatable, not secret
}
