package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	served "github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"waybill/testenv"
	"waybill/watcher"
)

// R7: connections are cut at every byte. SSH hands on whole packets only, so there are two places to cut at: below SSH, which
// costs a login each time, and above it, where the protocol is spoken over a bare pipe, at every byte in the time of a test.

// A cutter is a way to a server that can be cut. Directions are 0, to the server, and 1, from it.
type cutter interface {
	CutNext(direction int, after int64)
	Kick()
	Passed() [2]int64
}

// A pipe is a way without SSH to servers that serve makes. It is a cutter.
type pipe struct {
	serve func() io.ReadWriteCloser // ends when it is closed

	mu     sync.Mutex
	cut    [2]int64
	last   *end
	passed [2]atomic.Int64
}

// An end is ours, of one connection.
type end struct {
	io.ReadWriteCloser
	left   [2]int64 // until it is cut; less than 0: never
	passed *[2]atomic.Int64
}

func (e *end) Write(p []byte) (int, error) {
	n := len(p)
	if e.left[0] >= 0 {
		n = int(min(int64(n), e.left[0]))
		e.left[0] -= int64(n)
	}
	n, err := e.ReadWriteCloser.Write(p[:n])
	e.passed[0].Add(int64(n))
	if e.left[0] == 0 {
		_ = e.Close()
	}
	return n, err
}

func (e *end) Read(p []byte) (int, error) {
	if e.left[1] >= 0 {
		p = p[:min(int64(len(p)), e.left[1])]
	}
	n, err := e.ReadWriteCloser.Read(p)
	e.passed[1].Add(int64(n))
	if e.left[1] >= 0 {
		if e.left[1] -= int64(n); e.left[1] == 0 {
			_ = e.Close()
			err = io.EOF
		}
	}
	return n, err
}

func (p *pipe) connect(_ context.Context, _ []*hop, t timing, _ func() time.Time) (*conn, error) {
	p.mu.Lock()
	e := &end{ReadWriteCloser: p.serve(), left: [2]int64{-1, -1}, passed: &p.passed}
	for direction, n := range p.cut {
		p.passed[direction].Store(0)
		if n > 0 {
			e.left[direction] = n
		}
	}
	p.cut, p.last = [2]int64{}, e
	p.mu.Unlock()
	c := &conn{}
	var err error
	c.session, err = open(e, e, t.patience, func() { _ = e.Close() })
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p *pipe) CutNext(direction int, after int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = [2]int64{}
	p.cut[direction] = after
}

func (p *pipe) Kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil {
		_ = p.last.Close()
	}
}

func (p *pipe) Passed() [2]int64 { return [2]int64{p.passed[0].Load(), p.passed[1].Load()} }

// inProcess serves a folder by pkg/sftp.
func inProcess(t testing.TB, folder string) *pipe {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return &pipe{serve: func() io.ReadWriteCloser {
		ours, theirs := net.Pipe()
		s, err := served.NewServer(theirs, served.WithServerWorkingDirectory(folder))
		if err != nil {
			panic(err)
		}
		wg.Go(func() { _ = s.Serve(); _ = s.Close() })
		return ours
	}}
}

// A program is OpenSSH's SFTP server, on pipes.
type program struct {
	io.Reader
	io.WriteCloser
	stop func()
}

func (p *program) Close() error { p.stop(); return nil }

// byOpenSSH serves a folder by OpenSSH's sftp-server.
func byOpenSSH(t testing.TB, folder string) *pipe {
	const bin = "/usr/lib/openssh/sftp-server"
	if _, err := os.Stat(bin); err != nil {
		t.Skipf("SKIPPED, %s is not installed", bin)
	}
	return &pipe{serve: func() io.ReadWriteCloser {
		cmd := exec.Command(bin, "-d", folder)
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			panic(err)
		}
		return &program{out, in, sync.OnceFunc(func() {
			_ = in.Close() // it ends then; what it has read it carries out first
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait()
		})}
	}}
}

// over is a source at the far end of a pipe.
func over(t testing.TB, p *pipe, changes ...change) *bench {
	t.Helper()
	tm := brisk()
	tm.first, tm.longest = 20*time.Microsecond, 100*time.Microsecond
	o := Options{Address: "pipe", Login: Login{User: "u", Password: "x"}, Folder: "out", HostKey: []string{ssh.FingerprintSHA256(newKey(t).PublicKey())}}
	return connecting(t, o, tm, p.connect, changes...)
}

// places are where to cut, given how many bytes pass in each direction: one in step of them, or at most n picked at random.
func places(total [2]int64, step int64, n int) (list [][2]int64) {
	for direction, bytes := range total {
		for at := int64(1); at < bytes; at += step {
			list = append(list, [2]int64{int64(direction), at})
		}
	}
	if n > 0 && len(list) > n {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = list[:n]
	}
	return list
}

// every is usual, or 1 when all places are asked for.
func every(usual int64) int64 {
	if testenv.EveryCut() {
		return 1
	}
	return usual
}

// dose is usual, or much when all places are asked for.
func dose(usual, much int) int {
	if testenv.EveryCut() {
		return much
	}
	return usual
}

// R7: whatever byte a fetch is cut at, in either direction, the file arrives whole. Over a pipe 64 KiB, below SSH a small file, and 10 MiB
// from OpenSSH at places picked at random.
func TestR7AFetchCutAtAnyByteArrivesWhole(t *testing.T) {
	t.Parallel()
	t.Run("pipe", func(t *testing.T) {
		text := noise(64 << 10)
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "out"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "out", "a.csv"), []byte(text), 0o600))
		cutFetch(t, text, every(20), 0, func() (*bench, cutter) { p := inProcess(t, dir); return over(t, p), p })
	})
	t.Run("below SSH", func(t *testing.T) {
		host, text := newKey(t), noise(1<<10)
		o := newFake(t, answering(newTree(map[string]string{"out/a.csv": text}).answer), host).options(host.PublicKey())
		cutFetch(t, text, every(31), 0, func() (*bench, cutter) {
			p := testenv.NewProxy(t, o.Address)
			return source(t, o, brisk(), func(o *Options, _ *watcher.Settings) { o.Address = p.Addr() }), p
		})
	})
	t.Run("OpenSSH", func(t *testing.T) {
		text := noise(10 << 20)
		s := testenv.OpenSSH(t)
		s.Write(t, "out/a.csv", text)
		cutFetch(t, text, 1, dose(30, 500), func() (*bench, cutter) { return behind(t, s, brisk()) })
	})
}

func cutFetch(t *testing.T, text string, step int64, most int, way func() (*bench, cutter)) {
	b, p := way()
	f := b.Listed("a.csv")
	p.Kick() // the next connection is counted from its first byte
	if got, err := b.insist(f); err != nil || got != text {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	total := p.Passed()
	if total[1] < int64(len(text)) {
		t.Fatalf("only %d bytes passed", total[1])
	}
	begin := time.Now()
	list := places(total, step, most)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		b, p := way()
		wg.Go(func() {
			for !t.Failed() {
				i := int(next.Add(1)) - 1
				if i >= len(list) {
					return
				}
				p.CutNext(int(list[i][0]), list[i][1])
				p.Kick()
				if got, err := b.insist(f); err != nil || got != text {
					t.Errorf("cut %v: %d bytes, %v", list[i], len(got), err)
				}
				if n := len(b.server.ahead) + len(b.server.files); n > 0 {
					t.Errorf("cut %v: %d places are still taken", list[i], n)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("cut at %d of %d places in %s", len(list), total[0]+total[1], time.Since(begin).Round(time.Second/10))
}

// again calls f until it succeeds: what breaks is the watcher's to come again for.
func (b *bench) again(f func() error) (err error) {
	for range 50 {
		if err = f(); err == nil {
			break
		}
		pause(2 * b.server.timing.first)
	}
	return err
}

// insist reads f.
func (b *bench) insist(f watcher.File) (text string, err error) {
	err = b.again(func() (err error) { text, err = b.Content(f); return err })
	return text, err
}

func pause(d time.Duration) { <-time.After(d) }

// R7, and reported failure 11: a rename, a removal, a report, or the answer to any of them, is lost.
func TestReported11AClosingCutAnywhereMovesTheFileOnceAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]change{"move": recursive, "delete": deleting} {
		t.Run(name+", pipe", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "out"), 0o700))
			p := byOpenSSH(t, dir)
			b, direct := over(t, p, how), over(t, byOpenSSH(t, dir), how)
			for _, b := range []*bench{b, direct} {
				b.Place.Dir = filepath.Join(dir, "out")
			}
			cutClose(t, name, b, direct, p, every(7), 0)
		})
		t.Run(name+", OpenSSH", func(t *testing.T) {
			t.Parallel()
			s := testenv.OpenSSH(t)
			b, p := behind(t, s, brisk(), how)
			cutClose(t, name, b, onServer(t, s, brisk(), how), p, 1, dose(30, 250))
		})
	}
}

func cutClose(t *testing.T, name string, b, direct *bench, p cutter, step int64, most int) {
	measure := func() [2]int64 {
		b.Write("a.csv", "x")
		f := direct.Listed("a.csv")
		p.Kick()
		must(t, b.again(func() error { _, err := b.Close(t.Context(), f, failed); return err }))
		return p.Passed()
	}
	measure()
	total := measure()
	list := places(total, step, most)
	begin := time.Now()
	for n, place := range list {
		for _, sub := range []string{"failed", "done"} {
			must(t, os.RemoveAll(b.Path(sub)))
		}
		text := fmt.Sprint(n, place)
		b.Write("a.csv", text)
		f := direct.Listed("a.csv")
		p.CutNext(int(place[0]), place[1])
		p.Kick()
		var where string
		must(t, b.again(func() (err error) { where, err = b.Close(t.Context(), f, failed); return err }))
		left, err := os.ReadDir(b.Dir)
		must(t, err)
		switch {
		case name == "delete" && (where != "" || len(left) > 0):
			t.Fatalf("cut %v: %q, left %v", place, where, left)
		case name == "move":
			if where != "failed/a.csv" || b.Read(where) != text || b.Read("failed/a.csv.rejects.json") != string(failed.Report) || exists(b.Path("a.csv")) {
				t.Fatalf("cut %v: moved to %q", place, where)
			}
			names, err := os.ReadDir(b.Path("failed"))
			must(t, err)
			for _, e := range names {
				if e.Name() != "a.csv" && e.Name() != "a.csv.rejects.json" && !strings.HasPrefix(e.Name(), ".waybill-") {
					t.Fatalf("cut %v: %s was left", place, e.Name())
				}
			}
		}
	}
	t.Logf("cut at %d of %d places in %s", len(list), total[0]+total[1], time.Since(begin).Round(time.Second/10))
}
