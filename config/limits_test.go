package config

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sizable makes files of about so many bytes that are large in one way each.
func sizable(size int) map[string]string {
	repeat := func(part string) string { return strings.Repeat(part, size/len(part)) }
	numbered := func(head, format string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; b.Len() < size-100; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	return map[string]string{
		"brackets":        repeat("["),
		"braces":          repeat("{a: "),
		"dashes":          repeat("- "),
		"indentation":     repeat("a:\n "),
		"one line":        "zone: " + repeat("x"),
		"unknown keys":    numbered("", "k%d: {a: b}\n"),
		"duplicates":      repeat("zone: x\n"),
		"items":           numbered("sources:\n", "  s%d: {folder: {path: /a}}\n"),
		"jobs that use":   numbered("jobs:\n  j: {send: []}\n", "  j%d: {use: j}\n"),
		"chain of use":    numbered("jobs:\n  j: {send: []}\n", "  k%[1]d: {use: k%[1]d1}\n"),
		"mentions":        numbered("jobs:\n", "  j%d: {receive: {source: nothing}, send: []}\n"),
		"vars":            numbered("vars:\n", "  v%d: \"${env:HOST}\"\n"),
		"references":      "zone: \"" + repeat("${var:x}") + "\"\n",
		"secrets":         numbered("connections:\n", "  c%d: {url: secret%[1]d}\n"),
		"secrets, wrong":  numbered("connections:\n", "  c%d: {url: secret%[1]d, x: y}\n"),
		"aliases":         "a: &a x\n" + repeat("- *a\n"),
		"flow list":       "sources: [" + repeat("a, ") + "]",
		"keys of a var":   "vars: {" + numbered("", "v%d: x, ") + "}",
		"long unknown":    repeat("x") + ": y",
		"userinfo":        "zone: " + repeat("a://b:c@"),
		"userinfo, wrong": "zone: " + repeat("a://b:c"),
		"block scalar":    "zone: |\n" + repeat("  x\n"),
	}
}

// Eight times the file may take about eight times as long: a file of the largest size is answered soon, whatever it holds.
// Quadratic time would be 64 times as long. It is the processor's time of this thread that counts, so that a busy machine changes nothing.
func TestTimeGrowsWithTheFile(t *testing.T) {
	t.Parallel()
	const size = 4 << 10
	small, large := sizable(size), sizable(8*size)
	took := func(text string) time.Duration {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		start := worked(t)
		if _, problems, err := load(text, nil); err != nil && len(problems) == 0 {
			t.Error(err)
		}
		return worked(t) - start
	}
	for name := range small {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				short, long := took(small[name]), took(large[name])
				if long < time.Second/2 || long < 24*short {
					return
				}
				t.Logf("%v, then %v", short, long)
			}
			t.Error("time grows faster than the file")
		})
	}
}

// worked is the processor's time that this thread has taken.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The largest file that is read at all, near its limit.
func TestTheLargestFileLoads(t *testing.T) {
	t.Parallel()
	text := "zone: UTC\n" + strings.Repeat("# comment\n", (maxFile-10)/10)
	if c := mustLoad(t, text, nil); c.Zone != "UTC" {
		t.Error(c.Zone)
	}
	if _, problems, _ := load(text+"# a comment more\n", nil); len(problems) != 1 {
		t.Errorf("one more line: %v", problems)
	}
}
