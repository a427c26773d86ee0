package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// held is a port that somebody else holds open for the program, as systemd does.
func (d *door) held() *os.File {
	d.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	d.address = l.Addr().String()
	socket, err := l.(*net.TCPListener).File()
	d.must(err)
	d.must(l.Close()) // the socket lives on in its copy, as in systemd's hands
	d.t.Cleanup(func() { _ = socket.Close() })
	return socket
}

// on starts the program with a socket that was opened for it.
func (d *door) on(socket *os.File) *daemon {
	d.t.Helper()
	// LISTEN_PID is the number of the process itself, which only it knows before it runs.
	run := d.command("serve")
	run.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, run.Args...)
	var err error
	run.Path, err = exec.LookPath("sh")
	d.must(err)
	run.ExtraFiles = []*os.File{socket}
	run.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=sftp")
	return d.start(run)
}

// A restart drops no upload in progress, and no attempt to connect: what is being sent is sent to its end, and who comes meanwhile waits for the next process.
func TestARestartDropsNoUploadAndNoConnection(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	socket := d.held()
	s := d.on(socket)
	c := d.session()
	f, err := c.Create("/in/large.csv")
	d.must(err)
	half := []byte(strings.Repeat("half of it\n", 20_000))
	_, err = f.Write(half)
	d.must(err)

	d.must(s.cmd.Process.Signal(syscall.SIGTERM))
	d.until("the process takes no connections any more", func() bool { return deaf(s) })
	waiting := make(chan error, 1)
	go func() { // is in the queue of the socket, of which nobody takes it now
		client, err := d.login("127.0.0.1")
		if err == nil {
			err = client.Close()
		}
		waiting <- err
	}()
	_, err = f.Write(half)
	d.must(err)
	d.must(f.Close())
	d.until("the process has ended", func() bool { return errors.Is(s.cmd.Process.Signal(syscall.Signal(0)), os.ErrProcessDone) })

	next := d.on(socket)
	if err := <-waiting; err != nil {
		t.Errorf("who connected during the restart: %v", err)
	}
	next.until("the file is delivered", func() bool {
		got, err := os.ReadFile(d.path("out/large.csv"))
		return err == nil && string(got) == string(half)+string(half)
	})
}

// deaf reports whether a process has closed its copy of the listening socket, and has one session.
func deaf(d *daemon) bool {
	dir := fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid)
	list, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	sockets := 0
	for _, e := range list {
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	return sockets <= 1 // that of the session
}

// A partner takes files back at the moment in which they are accepted: each is either withdrawn and not delivered, or told to be taken and delivered.
func TestAFileIsEitherWithdrawnOrDelivered(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	s := d.open()
	const files, programs = 100, 4
	var mu sync.Mutex
	withdrawn := map[string]bool{}
	var wg sync.WaitGroup
	for p := range programs {
		c := d.session()
		wg.Go(func() {
			for i := range files {
				name := fmt.Sprintf("o_%d_%d.csv", p, i)
				if err := put(c, "/in/"+name, []byte(name)); err != nil {
					t.Errorf("upload %s: %v", name, err)
					return
				}
				timer := time.NewTimer(time.Duration(i%8) * 250 * time.Microsecond)
				<-timer.C
				err := c.Remove("/in/" + name)
				if err != nil && !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("withdraw %s: %v", name, err)
				}
				mu.Lock()
				withdrawn[name] = err == nil
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	back := 0
	for name, yes := range withdrawn {
		if yes {
			back++
		} else {
			s.until(name+" is delivered", func() bool { return d.there("out/" + name) })
		}
	}
	t.Logf("%d of %d were withdrawn", back, len(withdrawn))
	d.until("nothing is open", func() bool {
		return !strings.Contains(d.runs(0, "list", "--state", "received,working,accepted", "--json"), "{")
	})
	for name, yes := range withdrawn {
		if yes && d.there("out/"+name) {
			t.Errorf("%s was withdrawn and delivered", name)
		}
	}
}
