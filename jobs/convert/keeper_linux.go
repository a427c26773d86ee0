package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	processesMost = 64                    // of one program at once
	look          = 50 * time.Millisecond // how often they are counted
	openMost      = 256                   // files that a process may have open
	stackMost     = 8 << 20
)

// mayRun reports whether this process may run the file.
func mayRun(path string) bool { return unix.Access(path, unix.X_OK) == nil }

// Child is the keeper, where this process is one: main calls it before anything else, and ends with its code.
func Child() (code int, is bool) {
	if len(os.Args) != 2 || os.Args[0] != keeperName || os.Args[1] != keeperFlag {
		return 0, false
	}
	runtime.LockOSThread() // the program dies with the thread that has started it, and what it may not do is the thread's
	k := &keeper{control: os.NewFile(3, "control"), report: os.NewFile(4, "report")}
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	// Also what waybill was started with and has not marked: sockets of a service manager, files of a shell.
	_ = unix.CloseRange(5, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // Linux 5.11
	if err := k.keep(); err != nil {
		k.tell(report{Trouble: err.Error()})
		return 1, true
	}
	return 0, true
}

// A keeper starts the program and ends it.
type keeper struct {
	control, report *os.File
	pid             int
	ended           atomic.Bool // the program has: its number may be another's
	many            atomic.Bool
}

func (k *keeper) tell(r report) { _ = json.NewEncoder(k.report).Encode(r) } // who is not there to read it does not miss it

func (k *keeper) keep() error {
	var t task
	if err := json.NewDecoder(k.control).Decode(&t); err != nil {
		return fmt.Errorf("waybill has gone: %w", err)
	}
	// Who loses his parent comes to the keeper.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the one to whom orphans fall: %w", err)
	}
	// When memory runs out, this goes before waybill. It is said before writing is confined, and where that is not to be had, the kernel goes by size.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("900"), 0)
	// The program is the same user: it must not look into the keeper or, where nothing else forbids it, trace it and act by it, free of all bounds.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keep it out of its keeper: %w", err)
	}
	if err := confine(t.Dir); err != nil {
		return err
	}
	if err := k.start(t); err != nil {
		return err
	}
	k.letGo()
	go func() {
		_, _ = io.Copy(io.Discard, k.control) // until waybill closes it, or is no more
		k.kill()
	}()
	go k.count()
	k.tell(k.wait())
	return nil
}

// start starts the program within its bounds. They hold from its first instruction on, because it has them from the keeper, which takes them on itself
// for that moment; so that the keeper is free of them again, it keeps the right to raise them, and takes that from the program as soon as there is one.
// Memory alone it cannot take on itself, of which it has more already than some programs may have: that bound follows at once.
func (k *keeper) start(t task) error {
	unix.Umask(0o077)
	bounds := t.bounds()
	for i := range bounds {
		b := &bounds[i]
		err := syscall.Getrlimit(b.which, &b.was)
		if err == nil && b.which != unix.RLIMIT_DATA { // and not unix's: syscall is to know that open files are bounded, else it undoes it at fork
			err = syscall.Setrlimit(b.which, &syscall.Rlimit{Cur: min(b.most, b.was.Max), Max: b.was.Max})
		}
		if err != nil {
			return fmt.Errorf("bound its %s: %w", b.what, err)
		}
	}
	attr := &syscall.ProcAttr{Dir: t.Dir, Env: t.Env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}}
	var err error
	if k.pid, err = syscall.ForkExec(t.Path, t.Args, attr); err != nil {
		return err
	}
	k.tell(report{Group: k.pid})
	for _, b := range bounds {
		_ = syscall.Setrlimit(b.which, &b.was) // as it was
	}
	if err = k.seal(bounds); err != nil {
		k.kill()
	}
	return err
}

// seal bounds the program for good, and what it may have started by now: whatever any of them starts from then on has the bounds of its parent.
func (k *keeper) seal(bounds []bound) error {
	sealed := map[int]bool{}
	for more := true; more; {
		more = false
		for _, pid := range append([]int{k.pid}, descendants(processesMost)...) {
			if sealed[pid] {
				continue
			}
			sealed[pid], more = true, true
			for _, b := range bounds {
				most := min(b.most, b.was.Max)
				err := unix.Prlimit(pid, b.which, &unix.Rlimit{Cur: most, Max: most}, nil)
				if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
					return fmt.Errorf("bound its %s: %w", b.what, err)
				}
			}
		}
	}
	return nil
}

// A bound is one of a process and of all that it starts.
type bound struct {
	what  string
	which int
	most  uint64
	was   syscall.Rlimit // of the keeper
}

// bounds are those of a program. Memory is what a process may write to (RLIMIT_DATA); address space is not bounded, since many a program
// reserves far more than it takes.
func (t task) bounds() []bound {
	return []bound{
		{what: "memory", which: unix.RLIMIT_DATA, most: uint64(t.Memory)}, {what: "stack", which: unix.RLIMIT_STACK, most: stackMost},
		{what: "time", which: unix.RLIMIT_CPU, most: uint64(t.CPU)}, {what: "file size", which: unix.RLIMIT_FSIZE, most: uint64(t.Size)},
		{what: "open files", which: unix.RLIMIT_NOFILE, most: openMost}, {what: "core", which: unix.RLIMIT_CORE, most: 0},
	}
}

// letGo gives the program's ends of its pipes up, so that they close when it ends.
func (k *keeper) letGo() {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	for fd := range 3 {
		if err == nil {
			err = unix.Dup3(null, fd, unix.O_CLOEXEC)
		}
		if err != nil {
			_ = unix.Close(fd) // nothing is read or written here anyway
		}
	}
}

// kill ends the program and its group at once; what has left the group comes to the keeper then.
func (k *keeper) kill() {
	if !k.ended.Load() {
		_ = syscall.Kill(-k.pid, syscall.SIGKILL)
		_ = syscall.Kill(k.pid, syscall.SIGKILL) // it may have gone into another group
	}
}

// wait waits for the program, ends all it has left, and returns how it ended.
func (k *keeper) wait() report {
	r := report{Group: k.pid}
	for {
		var status syscall.WaitStatus
		var used syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &used)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil: // nobody is left
			r.Many = k.many.Load()
			return r
		}
		r.Peak = max(r.Peak, used.Maxrss<<10)
		if pid == k.pid {
			_ = syscall.Kill(-k.pid, syscall.SIGKILL)
			k.ended.Store(true)
			r.Ended, r.Code = true, status.ExitStatus()
			if status.Signaled() {
				r.Signal = int(status.Signal())
			}
		}
		if r.Ended {
			for _, child := range children(os.Getpid()) {
				_ = syscall.Kill(child, syscall.SIGKILL)
			}
		}
	}
}

// count ends a program that has too many processes. The bound of the kernel (RLIMIT_NPROC) would count all that the user has, elsewhere too.
func (k *keeper) count() {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for range tick.C {
		if len(descendants(processesMost)) > processesMost {
			k.many.Store(true)
			k.kill()
		}
	}
}
