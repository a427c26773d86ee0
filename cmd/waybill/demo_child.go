package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A child is the receiver's process.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer // closing it ends the process
	quiet chan struct{}
	port  int
	key   string
}

// startReceiver starts this program again as the receiver. It has a process group of its own, so that Ctrl-C in the terminal
// does not take it away from under the daemon. What it does is told.
func startReceiver(ctx context.Context, log, keyFile string, t *teller) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	c := &child{
		cmd: exec.CommandContext(context.WithoutCancel(ctx), self, "demo-receiver", "--log", log, "--key-file", keyFile),
		key: key, quiet: make(chan struct{}),
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	c.port, err = strconv.Atoi(lines.Text())
	go func() {
		defer close(c.quiet)
		listen(lines, t)
	}()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("it names no port but says %q", lines.Text()), c.stop())
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// listen tells what the receiver says it does, until it ends.
func listen(lines *bufio.Scanner, t *teller) {
	for lines.Scan() {
		var l receivedLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.say("receiver", "%s", lines.Text())
			continue
		}
		t.say("receiver", "%s", l.told())
	}
}

// told is the line in plain words.
func (l receivedLine) told() string {
	switch l.Did {
	case didApply:
		return l.Order + " booked"
	case didLose:
		return l.Order + " booked, but the answer is an error (500): it will come again"
	case didRepeat:
		return l.Order + " came again under the same key: recognised, not booked twice"
	case didBusy:
		return l.Order + " not now (503), come back in a second"
	case didHang:
		return l.Order + " gets no answer at all"
	case didRefuse:
		return l.Order + " refused for good (422)"
	}
	return strings.TrimSpace(l.Order + " " + l.Did)
}

// stock has the receiver put an article into its catalogue.
func (c *child) stock(ctx context.Context, article string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("http://127.0.0.1:%d/articles/%s", c.port, article), nil)
	if err != nil {
		return err
	}
	q.Header.Set("X-API-Key", c.key)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	if a.StatusCode != http.StatusNoContent {
		err = fmt.Errorf("the receiver answered %s", a.Status)
	}
	return errors.Join(err, a.Body.Close())
}

// stop ends the process and waits for it.
func (c *child) stop() error {
	_ = c.stdin.Close() // a second time changes nothing
	patience := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer patience.Stop()
	<-c.quiet
	return c.cmd.Wait()
}
