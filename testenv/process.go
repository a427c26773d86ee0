// Package testenv starts the real servers that tests talk to: a RabbitMQ broker, an OpenSSH server
// and a PostgreSQL server, as ordinary processes on free loopback ports with
// everything they write in a temporary folder. Nothing of the machine's own
// installation is touched, so that several can run at once, as any user.
//
// A server is stopped when the test that asked for it ends. To share one, ask
// for it in a parent test and use it in subtests. Where the program is not installed
// the test is skipped and says what to install; scripts/test-deps.sh does it.
//
// Only tests import this package.
package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = 90 * time.Second // a loaded machine with two cores takes 20 s
	stopLimit  = 30 * time.Second
	lookEvery  = 100 * time.Millisecond
)

// leash runs its arguments and ends them with the signal that it reads from
// standard input, or the one in $1 when that closes, so that no server outlives a test
// binary that was killed. It reaps the server, which a successor may look for by its id.
const leash = `sig=$1; shift; exec 3<&0
"$@" </dev/null 3<&- & p=$!
(read -r s <&3; kill -s "${s:-$sig}" $p) 2>/dev/null & w=$!
wait $p; r=$?; kill $w 2>/dev/null; exit $r`

// A process is a server's leash and process group.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	exited chan struct{} // closed when it has ended
	err    error         // how; read after exited
}

// command says how a server is started.
type command struct {
	args   []string
	env    []string
	log    string              // file for its output
	stop   string              // signal for an orderly stop
	nobody *syscall.Credential // user to run as, nil for our own
}

// start runs c on a leash.
func start(c command) (*process, error) {
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd := exec.Command("/bin/sh", append([]string{"-c", leash, "leash", c.stop}, c.args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, out, out
	cmd.Dir = filepath.Dir(c.log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.nobody}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.args[0], err)
	}
	p := &process{cmd: cmd, stdin: stdin, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop ends the process in order, or with SIGKILL when that takes too long.
func (p *process) stop() error {
	_ = p.stdin.Close()
	select {
	case <-p.exited:
		p.sweep()
		return nil
	case <-time.After(stopLimit):
		p.kill()
		return fmt.Errorf("did not stop within %v and was killed", stopLimit)
	}
}

// kill ends the process and all that it has started at once, as a crash would, and waits until they are gone: PostgreSQL's and sshd's
// children stand in sessions of their own and live on, those of sshd to serve a client that has just come back.
func (p *process) kill() {
	var all []int
	for more := true; more; { // one that is stopped starts no other
		more = false
		for _, pid := range descendants(p.cmd.Process.Pid) {
			if !slices.Contains(all, pid) {
				_ = syscall.Kill(pid, syscall.SIGSTOP) // fails when it has ended, as the next does
				all, more = append(all, pid), true
			}
		}
	}
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	select {
	case <-p.exited:
	case <-time.After(stopLimit):
	}
	p.sweep()
	tick := time.NewTicker(lookEvery / 10)
	defer tick.Stop()
	for limit := time.After(stopLimit); slices.ContainsFunc(all, alive); {
		select {
		case <-limit:
			return // what is started next will say what is in its way
		case <-tick.C:
		}
	}
}

// descendants returns the ids of the processes that a process has started, of those that they have, and so on, parents first.
func descendants(of int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	children := map[int][]int{}
	for _, path := range stats {
		if pid, state, parent, ok := readStat(path); ok && state != "Z" {
			children[parent] = append(children[parent], pid)
		}
	}
	list := slices.Clone(children[of])
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list
}

// alive reports whether a process runs: one that has ended and that nobody has asked about does not.
func alive(pid int) bool {
	_, state, _, ok := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return ok && state != "Z"
}

// readStat reads the first words of a process's stat, see proc_pid_stat(5).
func readStat(path string) (pid int, state string, parent int, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, "", 0, false // it has ended
	}
	before, after, ok := bytes.Cut(b, []byte(" (")) // the name, which may hold anything, ends at the last bracket
	if !ok {
		return 0, "", 0, false
	}
	after = after[bytes.LastIndexByte(after, ')')+1:]
	n, err := fmt.Sscanf(string(before)+string(after), "%d %s %d", &pid, &state, &parent)
	return pid, state, parent, n == 3 && err == nil
}

// sweep kills what is left of the group.
func (p *process) sweep() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

// wait calls ready until it succeeds, the process ends or the time is up.
func (p *process) wait(ready func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("ended while starting: %w", errors.Join(p.err, err))
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v: %w", startLimit, err)
		case <-tick.C:
		}
	}
}

// folder makes a temporary folder with a short path that any user may enter;
// it goes when the test ends.
func folder(t testing.TB, prefix string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		t.Fatalf("make a folder for the server: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("remove the server's folder: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open the server's folder: %v", err)
	}
	return dir
}

// Servers listen below the ports that Linux hands out by itself (net.ipv4.ip_local_port_range, 32768 and up): else, while a server is
// stopped, its port may become that of some other test's listener, and the server's clients talk to that.
const (
	firstPort = 15000
	lastPort  = 32000
)

// Listen listens on a loopback port that nobody else takes while the listener is closed; the caller closes it.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	var err error
	for range 100 {
		var l net.Listener
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort)))
		if err == nil {
			return l
		}
	}
	t.Fatalf("find a free port: %v", err)
	return nil
}

// ports returns n free loopback ports.
func ports(t testing.TB, n int) []int {
	t.Helper()
	var out []int
	for range n {
		l := Listen(t)
		defer func() { _ = l.Close() }() // all at the end: no port twice
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}

// program finds a program by name on PATH, else by the patterns; of several the
// last in order (the newest version). It skips the test when there is none.
func program(t testing.TB, name, pack string, patterns ...string) string {
	t.Helper()
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	t.Skipf("SKIPPED, %s is not installed: run scripts/test-deps.sh (Debian package %s)", name, pack)
	return ""
}

// tail returns the last lines of a log, to explain a server that does not start.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
