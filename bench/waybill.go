package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// binary is the program under test; `make bench` builds it first.
func binary() (string, error) {
	path := os.Getenv("WAYBILL")
	if path == "" {
		path = "./waybill"
	}
	return filepath.Abs(path)
}

// landscape writes a configuration with a drop folder into folder and returns its path.
func landscape(folder, destination, job string) (string, error) {
	return landscapeWith(folder, "sources:\n  drop: {folder: {path: "+filepath.Join(folder, "in")+"}}\n", destination, job)
}

// landscapeWith is landscape with other sources.
func landscapeWith(folder, sources, destination, job string) (string, error) {
	for _, sub := range []string{"in", "out"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o700); err != nil {
			return "", err
		}
	}
	text := "data: " + filepath.Join(folder, "data") + "\n" + sources + "destinations:\n" + destination + job
	path := filepath.Join(folder, "waybill.yaml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// once runs `waybill run orders FILE` and returns how long it took.
func once(config, file string, wantCode int, more ...string) (float64, error) {
	bin, err := binary()
	if err != nil {
		return 0, err
	}
	args := append([]string{"run", "orders", file, "--config", config, "--accept-data-loss", "--json"}, more...)
	cmd := exec.Command(bin, append(args, profile()...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start).Seconds()
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		return 0, fmt.Errorf("waybill run ended with %d, not %d (%w): %s", code, wantCode, err, out)
	}
	return took, nil
}

// profile asks waybill for a CPU profile when WAYBILL_PROFILE names a file.
func profile() []string {
	if path := os.Getenv("WAYBILL_PROFILE"); path != "" {
		return []string{"--profile", path}
	}
	return nil
}

// accept runs a CSV up to the outbox; its destination is not there.
func accept(folder string, rows int64) (measurement, error) {
	file, err := csvFile(folder, rows)
	if err != nil {
		return measurement{}, err
	}
	config, err := landscape(folder, "  erp: {http: {url: \"http://127.0.0.1:1/\"}}\n", csvJob("      - to: erp\n        path: /orders\n        key: =order_no\n"+csvBody))
	if err != nil {
		return measurement{}, err
	}
	const accepted = 5
	took, err := once(config, file, accepted, "--wait", "1ms")
	return measurement{Units: rows, Seconds: took}, err
}

// toFile runs a CSV through to one NDJSON file.
func toFile(folder string, rows int64) (measurement, error) {
	file, err := csvFile(folder, rows)
	if err != nil {
		return measurement{}, err
	}
	config, err := landscape(folder, "  out: {file: {folder: "+filepath.Join(folder, "out")+"}}\n",
		csvJob("      - to: out\n        each: file\n        as: ndjson\n        name: \"{file.stem}.ndjson\"\n"+csvBody))
	if err != nil {
		return measurement{}, err
	}
	took, err := once(config, file, 0)
	return measurement{Units: rows, Seconds: took}, err
}

// toHTTP runs a CSV through to one request a record.
func toHTTP(folder string, rows int64) (measurement, error) {
	file, err := csvFile(folder, rows)
	if err != nil {
		return measurement{}, err
	}
	sink, err := startSink()
	if err != nil {
		return measurement{}, err
	}
	defer sink.stop()
	config, err := landscape(folder, fmt.Sprintf("  erp: {http: {url: %q}, concurrency: %d}\n", sink.url, connections),
		csvJob("      - to: erp\n        path: /orders\n        key: =order_no\n"+csvBody))
	if err != nil {
		return measurement{}, err
	}
	took, err := once(config, file, 0)
	if err != nil {
		return measurement{}, err
	}
	g, err := sink.wait(rows)
	if err == nil && g.Count != rows {
		err = fmt.Errorf("%d requests for %d records", g.Count, rows)
	}
	return measurement{Units: rows, Seconds: took}, err
}

const jsonJob = `jobs:
  orders:
    receive: {source: drop, files: "*.json"}
    read:
      format: json
      fields:
        order_no:   {from: order_no, required: true, pattern: '^A-\d+$'}
        customer:   {from: customer, required: true}
        quantity:   {from: quantity, type: integer, min: 1, required: true}
        unit_price: {from: unit_price, type: decimal, required: true}
        note:       {from: note}
    send:
      - to: erp
        path: /orders
        key: =order_no
        body: {orderId: =order_no, customer: =customer, quantity: =quantity, unitPrice: =unit_price, note: =note}
`

// A served daemon.
type served struct {
	cmd  *exec.Cmd
	sink *sink
	in   string
}

// serve starts a sink and the daemon on a drop folder for JSON orders, and waits until it is ready.
func serve(folder string) (*served, error) {
	return serveWith(folder, func(destination string) (string, error) { return landscape(folder, destination, jsonJob) })
}

// serveWith is serve with the configuration that write writes.
func serveWith(folder string, write func(destination string) (string, error)) (*served, error) {
	sink, err := startSink()
	if err != nil {
		return nil, err
	}
	s := &served{sink: sink, in: filepath.Join(folder, "in")}
	config, err := write(fmt.Sprintf("  erp: {http: {url: %q}, concurrency: %d}\n", sink.url, connections))
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	bin, err := binary()
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.cmd = exec.Command(bin, append([]string{"serve", "--config", config, "--accept-data-loss"}, profile()...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, untilReady(log)
}

// untilReady reads the daemon's log up to the line that says so, and goes on emptying it.
func untilReady(log interface{ Read([]byte) (int, error) }) error {
	var text strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(text.String(), `"ready"`) {
		n, err := log.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			return fmt.Errorf("the daemon ended: %s", text.String())
		}
	}
	go func() {
		for {
			if _, err := log.Read(buf); err != nil {
				return
			}
		}
	}()
	return nil
}

func (s *served) stop() error {
	var err error
	if s.cmd != nil && s.cmd.Process != nil {
		err = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
	}
	s.sink.stop()
	return err
}

// drop renames n small files into the watched folder and waits until all are delivered.
func drop(folder string, n int64) (measurement, error) {
	s, err := serve(folder)
	if err != nil {
		return measurement{}, err
	}
	ready := filepath.Join(folder, "ready")
	if err := os.MkdirAll(ready, 0o700); err != nil {
		return measurement{}, errors.Join(err, s.stop())
	}
	if err := dropFiles(ready, n); err != nil {
		return measurement{}, errors.Join(err, s.stop())
	}
	names, err := os.ReadDir(ready)
	if err != nil {
		return measurement{}, errors.Join(err, s.stop())
	}
	start := time.Now()
	for _, name := range names {
		if err := os.Rename(filepath.Join(ready, name.Name()), filepath.Join(s.in, name.Name())); err != nil {
			return measurement{}, errors.Join(err, s.stop())
		}
	}
	g, err := s.sink.wait(n)
	took := time.Unix(0, g.Last).Sub(start).Seconds()
	if err == nil && g.Count != n {
		err = fmt.Errorf("%d requests for %d files", g.Count, n)
	}
	return measurement{Units: n, Seconds: took}, errors.Join(err, s.stop())
}

// latency drops one file after the other, each when the one before has arrived, and measures from rename to request.
func latency(folder string, n int) (measurement, error) {
	s, err := serve(folder)
	if err != nil {
		return measurement{}, err
	}
	m, err := s.latencies(n, func(i int, text []byte) (time.Time, error) {
		name := filepath.Join(s.in, fmt.Sprintf("order_%d.json", i))
		if err := os.WriteFile(name+".part", text, 0o600); err != nil {
			return time.Time{}, err
		}
		dropped := time.Now()
		return dropped, os.Rename(name+".part", name)
	})
	return m, errors.Join(err, s.stop())
}

// latencies has drop bring one file after the other, each when the one before has arrived, and measures from the instant that it returns to
// the request.
func (s *served) latencies(n int, drop func(i int, text []byte) (time.Time, error)) (measurement, error) {
	var ms []float64
	start := time.Now()
	for i := range n {
		dropped, err := drop(i, fmt.Appendf(nil, `{"order_no":"A-%07d","customer":"c","quantity":1,"unit_price":1.5}`, i))
		if err != nil {
			return measurement{}, err
		}
		g, err := s.sink.wait(int64(i + 1))
		if err != nil {
			return measurement{}, err
		}
		ms = append(ms, float64(g.Last-dropped.UnixNano())/1e6)
	}
	slices.Sort(ms)
	at := func(q float64) float64 { return ms[min(len(ms)-1, int(math.Ceil(q*float64(len(ms))))-1)] }
	return measurement{Units: int64(n), Seconds: time.Since(start).Seconds(), P50: at(0.5), P99: at(0.99)}, nil
}
