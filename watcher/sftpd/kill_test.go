package sftpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"
)

// TestServeUntilKilled is the process that TestKilledAtEachStep kills. It speaks SFTP on a socket without SSH.
func TestServeUntilKilled(t *testing.T) {
	dir := os.Getenv("WAYBILL_TEST_MAILBOXES")
	if dir == "" {
		t.Skip("it is started by TestKilledAtEachStep")
	}
	r := newRigIn(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	fmt.Println("listening on", l.Addr())
	for {
		conn, err := l.Accept()
		r.must(err)
		go func() { _ = r.files.Serve(context.Background(), r.session(), conn) }()
	}
}

// child starts that process, to be killed at a step, and returns its address and a function that waits for its end.
func child(t *testing.T, program, dir, at string) (addr string, wait func()) {
	t.Helper()
	cmd := exec.Command(program, "-test.run", "^TestServeUntilKilled$")
	cmd.Env = append(os.Environ(), "WAYBILL_TEST_MAILBOXES="+dir, "WAYBILL_FAILPOINT="+at)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "listening on ") {
		t.Fatalf("the server did not start: %q, %v", line, err)
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on ")), func() {
		timer.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// inSpool counts the files of the spool.
func (r *rig) inSpool() (n int) {
	r.must(filepath.WalkDir(filepath.Join(r.data, "spool"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	}))
	return n
}

// elsewhere has path be a folder on another file system.
func elsewhere(t *testing.T, path string) {
	t.Helper()
	memory, err := os.MkdirTemp("/dev/shm", "waybill")
	if err != nil {
		t.Skipf("there is no other file system: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	var here, there unix.Stat_t
	if err := errors.Join(unix.Stat(filepath.Dir(path), &here), unix.Stat(memory, &there), os.Symlink(memory, path)); err != nil {
		t.Fatal(err)
	}
	if here.Dev == there.Dev {
		t.Skip("/dev/shm is no other file system: NOT TESTED that mailboxes may lie on one")
	}
}

// TestKilledAtEachStep kills the server at each step between the first byte of an upload and the answer to its CLOSE. Whatever the step, the file has landed
// whole or not at all, what was sent is there to be gone on with unless it had gone into the spool, and sending it again lands it.
func TestKilledAtEachStep(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	t.Parallel()
	program := filepath.Join(t.TempDir(), "server")
	if out, err := exec.Command("go", "test", "-c", "-tags", "failpoint", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for at, want := range map[string]struct{ landed, part, renames bool }{
		"sftpd/keeping":        {part: true}, // CLOSE of the temporary name
		"sftpd/kept":           {part: true},
		"spool/adopting":       {part: true},
		"sftpd/pointed":        {part: true, renames: true}, // of the rename; the file has its name until it has landed
		"spool/adopted":        {part: true, renames: true},
		"sftpd/landing":        {part: true, renames: true},
		"ledger/landing":       {part: true, renames: true},
		"ledger/landed":        {landed: true},
		"sftpd/landed":         {landed: true},
		"sftpd/erased":         {landed: true},
		"small sftpd/pointed":  {part: true, renames: true}, // of a small file, which is copied into the database
		"small sftpd/landing":  {part: true, renames: true},
		"small ledger/landing": {part: true, renames: true},
		"small ledger/landed":  {landed: true},
		"small sftpd/landed":   {landed: true},
		"small sftpd/erased":   {landed: true},
		"apart sftpd/landing":  {part: true}, // of a large one on another file system, which is copied into the spool
		"apart sftpd/landed":   {landed: true},
		"spool/adopted:2":      {},           // of the upload under its own name
		"sftpd/never":          {part: true}, // killed in the middle of the bytes
		"spool/adopting:2":     {part: true}, // of the upload under its own name
	} {
		t.Run(at, func(t *testing.T) {
			whole := pattern(300_000)
			at, small := strings.CutPrefix(at, "small ")
			if small {
				whole = pattern(3000)
			}
			dir := t.TempDir()
			at, apart := strings.CutPrefix(at, "apart ")
			if apart {
				elsewhere(t, filepath.Join(dir, "mailboxes"))
			}
			addr, wait := child(t, program, dir, at)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c, err := sftp.NewClientPipe(conn, conn)
			if err != nil {
				t.Fatal(err)
			}
			name := "/in/a.csv.part"
			switch at {
			case "sftpd/never":
				name = "/in/a.csv"
				f, err := c.Create(name)
				if err == nil {
					_, err = f.Write(whole[:200_000])
				}
				if err != nil {
					t.Fatal(err)
				}
			case "spool/adopting:2", "spool/adopted:2":
				name = "/in/a.csv"
				if err := send(c, "/in/first.csv", pattern(100_000)); err != nil {
					t.Fatal(err)
				}
				fallthrough
			default:
				err := send(c, name, whole)
				if err == nil {
					err = c.PosixRename(name, "/in/a.csv")
				}
				if err == nil {
					t.Fatal("it was not killed")
				}
			}
			wait()
			_ = c.Close()

			r := newRigIn(t, dir)
			got, landed := r.content("acme/a.csv")
			if landed != want.landed || landed && got != string(whole) {
				t.Errorf("landed %t, %d bytes", landed, len(got))
			}
			if _, err := r.part(name[1:]); (err == nil) != want.part {
				t.Errorf("the part: %v", err)
			}
			if list, err := os.ReadDir(r.files.pointers()); err != nil || len(list) > 0 {
				t.Errorf("pointers are left: %v, %v", list, err)
			}
			again, _ := r.dial()
			if n := r.inSpool(); want.renames && n > 0 {
				t.Errorf("%d files lie in the spool", n)
			}
			switch {
			case want.renames:
				r.must(again.PosixRename(name, "/in/a.csv"))
			case at == "sftpd/never":
				f, err := again.OpenFile(name, os.O_WRONLY|os.O_APPEND)
				r.must(err)
				info, err := f.Stat()
				r.must(err)
				if info.Size() != 200_000 {
					t.Errorf("%d bytes are there to be gone on with", info.Size())
				}
				_, err = f.WriteAt(whole[info.Size():], info.Size())
				r.must(err)
				r.must(f.Close())
			default:
				r.must(send(again, "/in/a.csv", whole))
			}
			if got, _ := r.content("acme/a.csv"); got != string(whole) {
				t.Errorf("sent again: %d bytes landed", len(got))
			}
		})
	}
}
