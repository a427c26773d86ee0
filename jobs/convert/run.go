package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"waybill/formats"
)

// A Converted file is what a program made of one.
type Converted struct {
	Blob    formats.Blob // its bytes, which can be read at any place
	Program string
	In, Out int64  // bytes
	Said    string // the end of stderr, for people
	spill   *spill
}

// Close gives the bytes up.
func (c *Converted) Close() { c.spill.close() }

// Run converts a file. What lies with the file is a *formats.FileError; of any other error the next try may be good. When it returns,
// nothing of the program is left, neither processes nor files.
func (c *Converter) Run(ctx context.Context, in formats.Blob, at Place) (done *Converted, err error) {
	release, err := turn(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	dir, err := at.make()
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := remove(dir); e != nil && err != nil { // after a good end what is left is no reason to do it again: the next start removes it
			err = errors.Join(err, e)
		}
	}()
	r := &running{c: c, dir: dir, out: &spill{most: int64(c.o.Size), make: at.Temp}}
	if r.out.make == nil {
		r.out.make = formats.TempFile
	}
	if err := r.run(ctx, in); err != nil {
		r.out.close()
		return nil, err
	}
	return &Converted{Blob: r.out.blob(in), Program: c.path, In: r.fed.n, Out: r.out.size, Said: r.said.text(c.o.Env), spill: r.out}, nil
}

// turns bounds how many programs run at once in this process: each may take a processor, and its memory.
var turns = make(chan struct{}, max(2, runtime.NumCPU()))

func turn(ctx context.Context) (release func(), err error) {
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// running is one run of the program.
type running struct {
	c   *Converter
	dir string
	out *spill
	fed counted // what it was given
	fedErr,
	outErr error
	said tail

	keeper  *exec.Cmd
	ours    []io.Closer // ends of pipes
	theirs  []io.Closer
	stdin   *os.File // nil: it reads a file
	stdout  *os.File
	stderr  *os.File
	control *os.File // closing it ends the program
	report  *os.File
	end     report
}

// counted counts what is read, until ctx ends.
type counted struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (c *counted) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

const (
	keeperName = "waybill-converter" // what the keeper is called, and by what it knows what it is
	keeperFlag = "--keep"            // no other program of this executable knows it
	patience   = 10 * time.Second    // how long the keeper may take to end what it keeps
)

// A task is what the keeper is told.
type task struct {
	Path   string
	Args   []string
	Env    []string
	Dir    string
	Memory int64
	Size   int64
	CPU    int64 // seconds of each process
}

// A report is what the keeper tells.
type report struct {
	Group   int    // of processes, once it has started
	Trouble string // why the program could not be started
	Ended   bool   // what follows is known
	Code    int
	Signal  int
	Peak    int64 // bytes of memory of the process that took most
	Many    bool  // it was ended since it had too many processes
}

func (r *running) run(ctx context.Context, in formats.Blob) error {
	r.fed = counted{ctx: ctx, r: in.Reader}
	input, err := r.input(in.Name)
	if err == nil {
		err = r.start()
	}
	if err != nil {
		r.closeAll()
		return err
	}
	limited, cancel := context.WithTimeout(ctx, r.c.o.Timeout)
	defer cancel()
	r.fed.ctx = limited
	late := time.AfterFunc(patience+r.c.o.Timeout, func() { _ = r.keeper.Process.Kill() })
	defer late.Stop()
	kill := sync.OnceFunc(func() {
		_ = r.control.Close()
		late.Reset(patience)
	})
	defer context.AfterFunc(limited, kill)()
	err = json.NewEncoder(r.control).Encode(task{
		Path: r.c.path, Args: r.c.arguments(input), Env: append(r.c.env, "HOME="+r.dir, "TMPDIR="+r.dir), Dir: r.dir,
		Memory: int64(r.c.o.Memory), Size: int64(r.c.o.Size), CPU: int64(r.c.o.Timeout/time.Second+1) * int64(runtime.NumCPU()),
	})
	if err != nil {
		kill()
	}
	r.attend(kill)
	timedOut := errors.Is(limited.Err(), context.DeadlineExceeded)
	err = errors.Join(err, r.wait())
	r.closeAll()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.verdict(timedOut, err)
}

// input makes the file that the program reads, if it reads one, and returns its path.
func (r *running) input(name string) (string, error) {
	if !r.c.file {
		return "", nil
	}
	path := filepath.Join(r.dir, inputName(name))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("convert: %w", err)
	}
	to := &spilled{f: f}
	_, err = io.Copy(to, &r.fed)
	var bad *formats.FileError
	if err = errors.Join(err, f.Close()); err != nil && !errors.As(err, &bad) {
		err = fmt.Errorf("convert: make the file for %s: %w", r.c.path, err)
	}
	return path, err
}

// spilled hides what else a file can do, so that nothing but Read is asked of where the bytes come from.
type spilled struct{ f *os.File }

func (s *spilled) Write(p []byte) (int, error) { return s.f.Write(p) }

// start starts the keeper.
func (r *running) start() (err error) {
	r.keeper = exec.Command("/proc/self/exe", keeperFlag)
	r.keeper.Args[0] = keeperName
	r.keeper.Dir, r.keeper.Env = "/", []string{"GOMAXPROCS=2"}
	r.keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C in a terminal is for waybill, which ends it
	pipe := func(ours, theirs **os.File, reads bool) {
		if err != nil {
			return
		}
		var from, to *os.File
		if from, to, err = os.Pipe(); err != nil {
			return
		}
		*ours, *theirs = from, to
		if !reads {
			*ours, *theirs = to, from
		}
		r.ours, r.theirs = append(r.ours, *ours), append(r.theirs, *theirs)
	}
	var stdin, stdout, stderr, control, report *os.File
	if !r.c.file {
		pipe(&r.stdin, &stdin, false)
	}
	pipe(&r.stdout, &stdout, true)
	pipe(&r.stderr, &stderr, true)
	pipe(&r.control, &control, false)
	pipe(&r.report, &report, true)
	if err == nil {
		if stdin != nil {
			r.keeper.Stdin = stdin
		}
		r.keeper.Stdout, r.keeper.Stderr, r.keeper.ExtraFiles = stdout, stderr, []*os.File{control, report}
		err = r.keeper.Start()
	}
	for _, f := range r.theirs {
		_ = f.Close() // the keeper has its own
	}
	if err != nil {
		return fmt.Errorf("convert: start the process that keeps %s within its bounds: %w", r.c.path, err)
	}
	return nil
}

func (r *running) closeAll() {
	for _, f := range r.ours {
		_ = f.Close() // some are closed already; nothing written here is kept
	}
}

// attend gives the program its file and takes what it writes, until all its ends are closed.
func (r *running) attend(kill func()) {
	var wg sync.WaitGroup
	if r.stdin != nil {
		wg.Go(func() {
			if r.fedErr = r.feed(); r.fedErr != nil {
				kill()
			}
		})
	}
	wg.Go(func() {
		if r.outErr = r.out.take(r.stdout); r.outErr != nil {
			kill()
			_, _ = io.Copy(io.Discard, r.stdout) // until it has ended
		}
	})
	wg.Go(func() { _, _ = io.Copy(&r.said, r.stderr) }) // what cannot be read of it is not told
	from := json.NewDecoder(r.report)
	for !r.end.Ended {
		if err := from.Decode(&r.end); err != nil {
			break // the keeper has ended: whether it told all is seen by what it told
		}
	}
	kill()
	if !r.end.Ended {
		r.lost()
	}
	// Nothing of the program is left, so its ends are closed, but for those that it has given away.
	given := time.AfterFunc(drain, r.closeAll)
	wg.Wait()
	if !given.Stop() && errors.Is(r.outErr, os.ErrClosed) {
		r.outErr = errGiven
	}
}

// drain is how long what a program wrote may still come once it has ended: it lies in pipes.
const drain = 5 * time.Second

var errGiven = errors.New("it has ended, but another process has its output open and may still write")

// feed writes the file to stdin. A program need not read all of it, but all of it is read here: that it is cut off may show only at its end.
func (r *running) feed() error {
	_, err := io.Copy(&spilled{r.stdin}, &r.fed)
	if errors.Is(err, syscall.EPIPE) {
		_, err = io.Copy(io.Discard, &r.fed)
	}
	_ = r.stdin.Close() // which the program sees as the end
	return err
}

// lost ends what can be ended of a program whose keeper is no more, and waits for none of it.
func (r *running) lost() {
	if r.end.Group > 0 {
		_ = syscall.Kill(-r.end.Group, syscall.SIGKILL)
	}
	endStrays(r.dir)
	r.closeAll()
}

// wait waits for the keeper, which has ended or is about to.
func (r *running) wait() error {
	var ended *exec.ExitError
	if err := r.keeper.Wait(); err != nil && !(errors.As(err, &ended) && r.end.Ended) {
		return fmt.Errorf("the process that keeps it within its bounds: %w", err)
	}
	return nil
}
