// Command bench measures the whole of waybill beside floors: the shortest honest program that does only the
// unavoidable part of the same work. Each measurement is a process of its own (this program again), so that peak memory is
// that of one piece of work. It prints the median of several runs and the ratio to the floor of the same run.
//
//	go run ./bench                 all of them, as `make bench` does
//	go run ./bench -only P1,P3 -n 5 -scale 0.1
//
// The numbers P1 to P10 are those of docs/performance.md; a letter behind one tells the format.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A measurement is what one process did.
type measurement struct {
	Units   int64   `json:"units"`   // records, messages or files
	Bytes   int64   `json:"bytes"`   // read
	Seconds float64 `json:"seconds"` // of the work itself, without its preparation
	P50     float64 `json:"p50"`     // milliseconds, of latencies
	P99     float64 `json:"p99"`
	peak    int64   // resident bytes
}

// A scenario is one line of the table: a piece of work and its floor.
type scenario struct {
	name  string
	what  string
	work  string // names of the pieces in pieces
	floor string
	reach string
	lower string // a floor below the floor: shown, and not what reach speaks of
}

func scenarios() []scenario {
	return []scenario{
		{"P1", "1,000,000-row CSV → checked, mapped, accepted", "accept", "encode", "time ≤ 1.5 × floor, ≤ 64 MiB", "encode-by-hand"},
		{"P2", "the same, delivered into one file", "file", "encode", "time ≤ 2 × floor", "encode-by-hand"},
		{"P3", "100,000 records → HTTP, one request each", "http", "http-floor", "rate ≥ 85 % of floor", ""},
		{"P5", "10,000 JSON files, drop → ledger → HTTP", "drop", "drop-floor", "rate ≥ 45 % of floor", ""},
		{"P6", "latency from rename to delivered request, idle", "latency", "", "p50 ≤ 10 ms, p99 ≤ 50 ms", ""},
		{"P6s", "latency from SFTP close to delivered request, idle", "sftp-latency", "", "p50 ≤ 10 ms, p99 ≤ 50 ms", ""},
		{"P9", "2 GB CSV against 20 MB: resident memory", "accept-large", "accept-small", "± 16 MiB", ""},
		{"P10", "XML, 250,000 records in 60 MB → accepted (floor: xmllint --stream)", "accept-xml", "xmllint", "time ≤ 1.5 × floor", ""},
		{"P10x", "XLSX, 200,000 rows × 10 → accepted (floor: inflate, look at every byte)", "accept-xlsx", "inflate", "time ≤ 8 × floor, ≤ 64 MiB", ""},
		{"P10xs", "the same, with shared texts", "accept-xlsx-shared", "inflate-shared", "time ≤ 8 × floor, ≤ 64 MiB", ""},
		{"P10n", "NDJSON, 1,000,000 records → accepted", "ndjson-accept", "ndjson-floor", "time ≤ 2 × floor", ""},
		{"P10j", "JSON array, 1,000,000 records → accepted", "json-accept", "json-floor", "time ≤ 2 × floor", ""},
		{"P10f", "fixed width, 1,000,000 records → accepted", "dat-accept", "dat-floor", "time ≤ 2 × floor", ""},
		{"P10p", "Protobuf, 1,000,000 records → accepted", "pb-accept", "pb-floor", "time ≤ 2 × floor", ""},
		{"P9n", "2 GB NDJSON against 20 MB: resident memory", "ndjson-accept-large", "ndjson-accept-small", "± 16 MiB", ""},
		{"P9m", "2 GB XML against 20 MB: resident memory", "accept-xml-large", "accept-xml-small", "± 16 MiB", ""},
		{"P9x", "XLSX of 256 MiB against 20 MB of sheet: resident memory", "accept-xlsx-large", "accept-xlsx-small", "± 16 MiB", ""},
	}
}

func main() {
	only := flag.String("only", "", "numbers of the measurements, separated by commas; all by default")
	runs := flag.Int("n", 5, "runs of each; the median is shown")
	scale := flag.Float64("scale", 1, "size of the work, 1 as in docs/performance.md")
	child := flag.String("piece", "", "for internal use: do one piece of work and print its measurement")
	folder := flag.String("folder", "", "where data lies; a temporary folder by default")
	flag.Parse()
	var err error
	if *child != "" {
		err = piece(*child, *folder, *scale)
	} else {
		err = all(*only, *runs, *scale, *folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// all measures every scenario and prints the table.
func all(only string, runs int, scale float64, folder string) error {
	if folder == "" {
		made, err := os.MkdirTemp("", "waybill-bench")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(made) }()
		folder = made
	}
	fmt.Printf("%-5s %-50s %12s %12s %8s %9s  %s\n", "", "work", "waybill", "floor", "ratio", "resident", "reach")
	for _, s := range scenarios() {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.name) {
			continue
		}
		if err := measure(s, runs, scale, folder); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// measure runs work and floor in turn, so that both see the same machine.
func measure(s scenario, runs int, scale float64, folder string) error {
	var work, floor, lower []measurement
	for range runs {
		m, err := process(s.work, folder, scale)
		if err != nil {
			return err
		}
		work = append(work, m)
		if s.floor == "" {
			continue
		}
		if m, err = process(s.floor, folder, scale); err != nil {
			return err
		}
		floor = append(floor, m)
		if s.lower == "" {
			continue
		}
		if m, err = process(s.lower, folder, scale); err != nil {
			return err
		}
		lower = append(lower, m)
	}
	w := median(work)
	switch {
	case strings.HasPrefix(s.name, "P6"):
		fmt.Printf("%-5s %-50s %9.1f ms %9.1f ms %8s %5d MiB  %s\n", s.name, s.what+" (p50, p99)", w.P50, w.P99, "", w.peak>>20, s.reach)
	case strings.HasPrefix(s.name, "P9"):
		f := median(floor)
		fmt.Printf("%-5s %-50s %8d MiB %8d MiB %+6d M %5d MiB  %s\n", s.name, s.what, w.peak>>20, f.peak>>20, (w.peak-f.peak)>>20, w.peak>>20, s.reach)
	case strings.HasPrefix(s.reach, "rate"):
		f := median(floor)
		a, b := float64(w.Units)/w.Seconds, float64(f.Units)/f.Seconds
		fmt.Printf("%-5s %-50s %10.0f/s %10.0f/s %7.0f%% %5d MiB  %s\n", s.name, s.what, a, b, 100*a/b, w.peak>>20, s.reach)
	default:
		f := median(floor)
		fmt.Printf("%-5s %-50s %10.2f s %10.2f s %7.2fx %5d MiB  %s\n", s.name, s.what, w.Seconds, f.Seconds, w.Seconds/f.Seconds, w.peak>>20, s.reach)
	}
	if len(lower) > 0 {
		l := median(lower)
		fmt.Printf("     %-50s %12s %10.2f s %7.2fx\n", "  beside rows written by hand, without encoding/json", "", l.Seconds, w.Seconds/l.Seconds)
	}
	return nil
}

// median is the measurement whose time is the median, with the largest peak of all.
func median(ms []measurement) measurement {
	slices.SortFunc(ms, func(a, b measurement) int { return int((a.Seconds - b.Seconds) * 1e6) })
	m := ms[len(ms)/2]
	for _, o := range ms {
		m.peak = max(m.peak, o.peak)
	}
	return m
}

// process does one piece of work in a process of its own.
func process(name, folder string, scale float64) (measurement, error) {
	self, err := os.Executable()
	if err != nil {
		return measurement{}, err
	}
	work, err := os.MkdirTemp(folder, name)
	if err != nil {
		return measurement{}, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.Symlink(folder, filepath.Join(work, "shared")); err != nil {
		return measurement{}, err
	}
	cmd := exec.Command(self, "-piece", name, "-folder", work, "-scale", fmt.Sprint(scale))
	cmd.Stderr = os.Stderr
	// The child's own processes (a receiver) end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return measurement{}, fmt.Errorf("%s: %w", name, err)
	}
	m := measurement{}
	if err := json.Unmarshal(out, &m); err != nil {
		return m, fmt.Errorf("%s printed %q: %w", name, out, err)
	}
	if m.Seconds == 0 {
		m.Seconds = time.Since(started).Seconds()
	}
	m.peak = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return m, nil
}
