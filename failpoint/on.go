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
	log  *os.File // nil: none is asked for
	want string
	nth  int
}

// Hit appends name to the file WAYBILL_FAILPOINT_LOG, at each passage, and, when WAYBILL_FAILPOINT is
// "name" or "name:n", kills the process at the first or n-th passage.
func Hit(name string) {
	state.Lock()
	defer state.Unlock()
	if state.seen == nil {
		begin()
	}
	state.seen[name]++
	if state.log != nil {
		_, _ = state.log.WriteString(name + "\n")
	}
	if state.want == name && state.seen[name] == state.nth {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more may run while the signal is on its way
	}
}

// begin reads what is asked for.
func begin() {
	state.seen = map[string]int{}
	if path := os.Getenv("WAYBILL_FAILPOINT_LOG"); path != "" {
		state.log, _ = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	}
	want, nth, _ := strings.Cut(os.Getenv("WAYBILL_FAILPOINT"), ":")
	state.want, state.nth = want, 1
	if n, err := strconv.Atoi(nth); err == nil {
		state.nth = n
	}
}
