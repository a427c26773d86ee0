package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A sink is a receiver in a process of its own that answers 201 to everything.
type sink struct {
	cmd *exec.Cmd
	url string
}

func startSink() (*sink, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-piece", "sink")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start the sink: %w", err)
	}
	return &sink{cmd, strings.TrimSpace(line)}, nil
}

func (s *sink) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// serveSink is the sink's process. It counts what it gets, and remembers when, by Idempotency-Key or by the order's number.
func serveSink() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var count atomic.Int64
	var mu sync.Mutex
	last := time.Now()
	fmt.Printf("http://%s\n", l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		_, _ = io.Copy(io.Discard, r.Body)
		count.Add(1)
		mu.Lock()
		last = now
		mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"received":true}`)
	})
	mux.HandleFunc("GET /got", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(w).Encode(got{count.Load(), last.UnixNano()})
	})
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: mux}
	return srv.Serve(l)
}

// got is what a sink has received: how many, and when the last came.
type got struct {
	Count int64 `json:"count"`
	Last  int64 `json:"last"` // Unix nanoseconds
}

// wait returns when the sink has received n.
func (s *sink) wait(n int64) (got, error) {
	tick := time.NewTicker(10 * time.Millisecond) // the sink itself notes when the last came: asking more often only takes processor time from what is measured
	defer tick.Stop()
	end := time.NewTimer(5 * time.Minute)
	defer end.Stop()
	for {
		resp, err := http.Get(s.url + "/got")
		if err != nil {
			return got{}, err
		}
		var g got
		err = json.NewDecoder(resp.Body).Decode(&g)
		_ = resp.Body.Close()
		if err != nil || g.Count >= n {
			return g, err
		}
		select {
		case <-tick.C:
		case <-end.C:
			return g, fmt.Errorf("only %d of %d arrived", g.Count, n)
		}
	}
}
