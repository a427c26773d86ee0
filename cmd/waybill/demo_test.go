package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// buildBinary builds the program as it is shipped, or with the race detector if the tests have it.
func buildBinary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "waybill")
	arguments, env := []string{"build", "-o", binary}, append(os.Environ(), "CGO_ENABLED=0")
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		arguments, env = append(arguments, "-race"), append(os.Environ(), "CGO_ENABLED=1")
	}
	c := exec.CommandContext(t.Context(), "go", append(arguments, ".")...)
	c.Env = env
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// TestTheProgram runs the real binary as a person would; it is built once for them all.
func TestTheProgram(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	t.Run("demo", func(t *testing.T) { demoTests(t, binary) })
	t.Run("documents", func(t *testing.T) { documentTests(t, binary) })
}

func demoTests(t *testing.T, binary string) {
	t.Parallel()
	t.Run("once ends with 0 when all is as expected", func(t *testing.T) {
		t.Parallel()
		folder := filepath.Join(t.TempDir(), "it's a folder") // a name that shells and YAML stumble over
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, binary, "demo", "--once", "--folder", folder).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, want := range []string{"all is as expected: 12 orders", "skipped", "rejected whole", "dead letter 1", "1 repeat recognised"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("nothing is said of %q", want)
			}
		}
		if t.Failed() {
			t.Logf("%s", out)
		}
		lines, err := readReceived(filepath.Join(folder, "received.log"))
		if err != nil || len(lines) < 16 {
			t.Errorf("the receiver's log has %d lines (%v)", len(lines), err)
		}
	})
	t.Run("a temporary folder is removed, and it must not be one with something in it", func(t *testing.T) {
		t.Parallel()
		temporary := t.TempDir()
		c := exec.CommandContext(t.Context(), binary, "demo", "--once")
		c.Env = append(os.Environ(), "TMPDIR="+temporary)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
		if err := os.WriteFile(filepath.Join(temporary, "mine"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c = exec.CommandContext(t.Context(), binary, "demo", "--once", "--folder", temporary)
		out, _ := c.CombinedOutput()
		if c.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(out), "is not empty") {
			t.Errorf("exit code %d: %s", c.ProcessState.ExitCode(), out)
		}
	})
	t.Run("goes on until Ctrl-C and leaves no process behind", func(t *testing.T) {
		t.Parallel()
		interruptDemo(t, binary)
	})
}

// interruptDemo sends SIGINT once the first file was delivered and checks what is left.
func interruptDemo(t *testing.T, binary string) {
	folder := filepath.Join(t.TempDir(), "demo")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, binary, "demo", "--folder", folder, "--every", "300ms")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var diag bytes.Buffer
	c.Stderr = &diag
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	told := &strings.Builder{}
	lines := bufio.NewScanner(io.TeeReader(out, told))
	receiver := ""
	for interrupted := false; lines.Scan(); {
		if _, rest, ok := strings.Cut(lines.Text(), "(process "); ok {
			receiver, _, _ = strings.Cut(rest, ")")
		}
		if strings.Contains(told.String(), "delivered: all 4") && strings.Contains(told.String(), " dead list ") && !interrupted {
			interrupted = true
			if err := c.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v\n%s\n%s", err, told, diag.String())
	}
	if !strings.Contains(told.String(), "everything is kept in "+folder) {
		t.Errorf("it is not said where things are:\n%s", told)
	}
	if _, err := os.Stat("/proc/" + receiver); receiver == "" || err == nil {
		t.Errorf("the receiver (process %q) is still there", receiver)
	}
	// What it left is a whole ledger that the commands read.
	list, err := exec.CommandContext(t.Context(), binary, "list", "--json", "--config", filepath.Join(folder, "waybill.yaml"), "--accept-data-loss").Output()
	if err != nil || !strings.Contains(string(list), `"state":"delivered"`) {
		t.Errorf("list: %v\n%s", err, list)
	}
}

func TestTheReceiverKnowsRepeatsAndBadDays(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, order := range []string{"A-1001", "A-1002", "A-1003", "A-1004", "B-2001", "B-2002"} {
		did, _ := badDay(demoSeed, order)
		again, _ := badDay(demoSeed, order)
		if did != again {
			t.Errorf("%s: %s, then %s", order, did, again)
		}
		seen[did] = true
	}
	for _, did := range []string{didApply, didBusy, didHang, didLose} {
		if !seen[did] {
			t.Errorf("with this seed the fixed set does not meet %q: choose another", did)
		}
	}
}

// The oracle of --once must itself be able to say no.
func TestTheDemosCheckSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)
	c := &script{stage: &stage{folder: t.TempDir()}, good: newOrders(1001, 2, day)}
	right := func() []receivedLine {
		return []receivedLine{
			{Key: "k1", Hash: "a", Order: "A-1001", Total: "3746.70", Did: didApply},
			{Key: "k2", Hash: "b", Order: "A-1002", Total: "2469", Did: didLose},
			{Key: "k2", Hash: "b", Order: "A-1002", Total: "2469", Did: didRepeat},
		}
	}
	if wrong := c.effects(right()); len(wrong) > 0 {
		t.Fatalf("what is right is called wrong: %q", wrong)
	}
	for _, tc := range []struct {
		name, say string
		spoil     func([]receivedLine) []receivedLine
	}{
		{"lost", "A-1001 was booked 0 times", func(l []receivedLine) []receivedLine { return l[1:] }},
		{"twice", "A-1002 was booked 2 times", func(l []receivedLine) []receivedLine { l[2].Did = didApply; return l }},
		{"other total", "with a total of 3746.71, not 3746.70", func(l []receivedLine) []receivedLine { l[0].Total = "3746.71"; return l }},
		{"other bytes", "key k2 came with two contents", func(l []receivedLine) []receivedLine { l[2].Hash = "c"; return l }},
		{"not ordered", "A-9 was booked, but nobody", func(l []receivedLine) []receivedLine {
			return append(l, receivedLine{Key: "k9", Order: "A-9", Total: "1", Did: didApply})
		}},
	} {
		if wrong := strings.Join(c.effects(tc.spoil(right())), "\n"); !strings.Contains(wrong, tc.say) {
			t.Errorf("%s: %q does not say %q", tc.name, wrong, tc.say)
		}
	}
	if wrong := faults(right()); len(wrong) != 3 {
		t.Errorf("a receiver that was never busy, hung or refusing is called bad enough: %q", wrong)
	}
	if wrong := slices.Concat(c.places(nil), c.letters()); len(wrong) != 6 {
		t.Errorf("an empty ledger and mail that nobody got are called complete: %q", wrong)
	}
}
