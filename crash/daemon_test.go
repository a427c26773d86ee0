package crash_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/spool"
	"waybill/store"
)

// patience is how long anything may take before it counts as never.
const patience = 2 * time.Minute

// A process is one run of the program.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	log    string
	exited chan struct{}

	forgotten int // bytes of the log
}

// begin starts the program in the landscape's folder. env is added to the environment.
func (l *landscape) begin(env []string, args ...string) *process {
	l.t.Helper()
	p, err := l.launch(env, args...)
	l.must(err)
	return p
}

// launch is begin for any goroutine.
func (l *landscape) launch(env []string, args ...string) (*process, error) {
	path, err := binary()
	if err != nil {
		return nil, err
	}
	log, err := os.CreateTemp(l.folder, args[0]+"-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	p := &process{t: l.t, log: log.Name(), exited: make(chan struct{})}
	p.cmd = exec.Command(path, append(args, "--config", l.path("waybill.yaml"), "--accept-data-loss")...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = l.folder, log, log
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is asked later
		close(p.exited)
	}()
	l.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
	})
	return p, nil
}

// serve starts the daemon; at is the failpoint where it is to die, "" for none.
func (l *landscape) serve(at string, env ...string) *process {
	l.t.Helper()
	if at != "" {
		env = append(env, "WAYBILL_FAILPOINT="+at)
	}
	return l.begin(env, "serve")
}

// over reports whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// killed reports whether it ended by SIGKILL. Any other end but that or the one that was asked for fails the test.
func (p *process) killed() bool {
	p.t.Helper()
	<-p.exited
	w, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && w.Signaled() && w.Signal() == syscall.SIGKILL {
		return true
	}
	if !p.cmd.ProcessState.Success() {
		p.t.Fatalf("the program ended by itself (%v):\n%s", p.cmd.ProcessState, p.tail())
	}
	return false
}

// ready reports whether the daemon has said that it is.
func (p *process) ready() bool {
	log, err := os.ReadFile(p.log)
	return err == nil && bytes.Contains(log, []byte(`"msg":"ready"`))
}

// stop asks the daemon to end, which it must do in order.
func (p *process) stop() {
	p.t.Helper()
	p.until(func() bool { return p.over() || p.ready() })
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if p.until(func() bool { return p.over() }); p.killed() {
		p.t.Fatalf("the program was killed while it stopped:\n%s", p.tail())
	}
}

// kill ends it as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// until waits for something to be true.
func (p *process) until(what func() bool) {
	p.t.Helper()
	if !eventually(patience, what) {
		p.t.Fatalf("waited %v in vain; the program says:\n%s", patience, p.tail())
	}
}

// eventually looks every few milliseconds until what is true or the time is up.
func eventually(limit time.Duration, what func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		if what() {
			return true
		}
		select {
		case <-tick.C:
		case <-end.C:
			return what()
		}
	}
}

// tail is the end of what the program wrote.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// waiting lists what lies in a folder for the program to take: not temporary names, not where it moves files to.
func (l *landscape) waiting(folder string) (names []string) {
	l.t.Helper()
	list, err := os.ReadDir(l.path(folder))
	l.must(err)
	for _, e := range list {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// drained reports whether all that was dropped has come to its end.
func (l *landscape) drained() bool {
	l.t.Helper()
	if len(l.waiting("drop"))+len(l.waiting("events")) > 0 {
		return false
	}
	if _, err := os.Stat(filepath.Join(l.data, "ledger.db")); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	empty := false
	l.look(func(ctx context.Context, db *store.DB, book *ledger.Ledger, _ *spool.Spool) {
		var open, files, ticks int
		r := db.Reader(ctx)
		l.must(r.QueryRow(`SELECT count(*) FROM entries WHERE state IN ('held', 'received', 'working', 'accepted')`).Scan(&open))
		l.must(r.QueryRow(`SELECT count(*) FROM files WHERE source IN (SELECT id FROM names WHERE kind = 'source' AND name IN ('drop', 'events')) AND state <> 'closed'`).Scan(&files))
		l.must(r.QueryRow(`SELECT count(*) FROM entries WHERE job = (SELECT id FROM names WHERE kind = 'job' AND name = 'export') AND messages > 0`).Scan(&ticks))
		empty = open == 0 && files == 0 && (ticks > 0 || len(l.sales) == 0)
	})
	return empty
}

// gone reports whether the program has taken a file away.
func (l *landscape) gone(folder, name string) bool {
	_, err := os.Lstat(l.path(folder, name))
	return errors.Is(err, fs.ErrNotExist)
}

// deadline is when anything has taken too long.
func deadline(t testing.TB) <-chan time.Time {
	timer := time.NewTimer(patience)
	t.Cleanup(func() { timer.Stop() })
	return timer.C
}

// says reports whether the program has written a text since forget was called.
func (p *process) says(text string) bool {
	log, err := os.ReadFile(p.log)
	return err == nil && bytes.Contains(log[min(p.forgotten, len(log)):], []byte(text))
}

// lines counts what the program has written.
func (p *process) lines() int {
	log, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return bytes.Count(log, []byte("\n"))
}

// forget passes over what the program has written so far.
func (p *process) forget() {
	if info, err := os.Stat(p.log); err == nil {
		p.forgotten = int(info.Size())
	}
}

// states counts the entries of a job in a state.
func (l *landscape) states(job, state string) (n int) {
	l.t.Helper()
	l.look(func(ctx context.Context, db *store.DB, _ *ledger.Ledger, _ *spool.Spool) {
		l.must(db.Reader(ctx).QueryRow(`SELECT count(*) FROM entries WHERE job = (SELECT id FROM names WHERE kind = 'job' AND name = ?) AND state = ?`, job, state).Scan(&n))
	})
	return n
}
