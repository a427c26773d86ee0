//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

var state struct {
	sync.Mutex
	seen map[string]int
}

// Hit appends name to the file WAYBILL_FAILPOINT_LOG and, when WAYBILL_FAILPOINT is "name" or
// "name:n", kills the process at the first or n-th passage.
func Hit(name string) {
	state.Lock()
	defer state.Unlock()
	if state.seen == nil {
		state.seen = map[string]int{}
	}
	state.seen[name]++
	if log := os.Getenv("WAYBILL_FAILPOINT_LOG"); log != "" && state.seen[name] == 1 {
		if f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			_, _ = f.WriteString(name + "\n")
			_ = f.Close()
		}
	}
	want, nth, found := strings.Cut(os.Getenv("WAYBILL_FAILPOINT"), ":")
	n := 1
	if found {
		if v, err := strconv.Atoi(nth); err == nil {
			n = v
		}
	}
	if want == name && state.seen[name] == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more may run while the signal is on its way
	}
}
