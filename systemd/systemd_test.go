// Package systemd holds what a service needs: unit, user and folders. It has no code, only the tests of these files.
package systemd_test

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tool skips a test, saying by name what is not tested, where a program is missing.
func tool(t *testing.T, name, untested string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed, so it is NOT TESTED that %s", name, untested)
	}
}

func buildBinary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "waybill")
	c := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "waybill/cmd/waybill")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

func TestTheSandboxIsTight(t *testing.T) {
	t.Parallel()
	tool(t, "systemd-analyze", "the unit's exposure is 1.5 or less")
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", "./waybill.service").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	level := regexp.MustCompile(`Overall exposure level for waybill.service: ([0-9.]+)`).FindSubmatch(out)
	if level == nil {
		t.Fatalf("no exposure level is told:\n%s", out)
	}
	t.Logf("exposure %s", level[1])
}

func TestSystemdReadsTheFiles(t *testing.T) {
	t.Parallel()
	tool(t, "systemd-analyze", "systemd understands every line of the unit")
	folder := t.TempDir()
	text, err := os.ReadFile("waybill.service")
	if err != nil {
		t.Fatal(err)
	}
	// The program is not installed here; another stands for it. What is commented out must be right as well.
	text = bytes.ReplaceAll(text, []byte("/usr/bin/waybill"), []byte("/bin/true"))
	text = bytes.ReplaceAll(text, []byte("\n#Load"), []byte("\nLoad"))
	unit := filepath.Join(folder, "waybill.service")
	if err := os.WriteFile(unit, text, 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := os.ReadFile("waybill.socket")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "waybill.socket"), socket, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", unit, filepath.Join(folder, "waybill.socket")).CombinedOutput(); err != nil || bytes.Contains(out, []byte("waybill.s")) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestTheServiceGetsItsUserAndFolders(t *testing.T) {
	t.Parallel()
	tool(t, "systemd-sysusers", "the service's user is made")
	tool(t, "systemd-tmpfiles", "the service's folders are made")
	if out, err := exec.CommandContext(t.Context(), "systemd-sysusers", "--dry-run", absolute(t, "waybill.sysusers")).CombinedOutput(); err != nil {
		t.Errorf("systemd-sysusers: %v\n%s", err, out)
	}
	if os.Geteuid() != 0 {
		t.Skip("not root, so it is NOT TESTED what systemd-tmpfiles makes")
	}
	// Below another root, where the service's user is root himself.
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"passwd": "root:x:0:0::/:\nwaybill:x:0:0::/:\n", "group": "root:x:0:\nwaybill:x:0:\n"} {
		if err := os.WriteFile(filepath.Join(root, "etc", file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "systemd-tmpfiles", "--create", "--root="+root, absolute(t, "waybill.tmpfiles")).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-tmpfiles: %v\n%s", err, out)
	}
	for folder, mode := range map[string]os.FileMode{"etc/waybill": 0o750, "etc/waybill/credentials": 0o700} {
		info, err := os.Stat(filepath.Join(root, folder))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", folder, info, err)
		}
	}
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	full, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return full
}

const landscape = `
data: data
sources: {in: {folder: {path: in}}}
destinations: {out: {file: {folder: out}}}
jobs:
  copy: {receive: {source: in}, read: none, send: [{to: out, each: file, name: "{file.name}"}]}
`

// A listener is systemd's side of sd_notify(3).
type listener struct {
	t     *testing.T
	conn  *net.UnixConn
	heard []string
}

func listen(t *testing.T) *listener {
	t.Helper()
	// The path of a socket holds 107 bytes; t.TempDir may be longer.
	folder, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &listener{t: t, conn: conn}
}

// hears waits for a message with the line, and returns the whole message.
func (l *listener) hears(line string) string {
	l.t.Helper()
	if err := l.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		l.t.Fatal(err)
	}
	for {
		b := make([]byte, 4096)
		n, err := l.conn.Read(b)
		if err != nil {
			l.t.Fatalf("%q is not said (%v), but %q", line, err, l.heard)
		}
		said := string(b[:n])
		l.heard = append(l.heard, said)
		for have := range strings.SplitSeq(said, "\n") {
			if have == line {
				return said
			}
		}
	}
}

func TestTheDaemonSpeaksWithSystemd(t *testing.T) {
	t.Parallel()
	binary, l, folder := buildBinary(t), listen(t), t.TempDir()
	for _, name := range []string{"in", "out"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(folder, "waybill.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(landscape)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, binary, "serve", "--accept-data-loss", "--config", conf)
	c.Dir = folder
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+l.conn.LocalAddr().String(), "WATCHDOG_USEC=600000")
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = c.Wait() // a second time after the good case
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", log.String())
		}
	}()
	l.hears("READY=1")
	if !slices.Contains(l.heard, "STATUS=0 messages wait, 0 dead letters") {
		l.hears("STATUS=0 messages wait, 0 dead letters")
	}
	// Fed for longer than it was told to allow: three thirds of 600 ms.
	for range 4 {
		l.hears("WATCHDOG=1")
	}
	reload := func() {
		t.Helper()
		if err := c.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if said := l.hears("RELOADING=1"); !regexp.MustCompile(`(?m)^MONOTONIC_USEC=[1-9]\d+$`).MatchString(said) {
			t.Errorf("RELOADING=1 comes without the time: %q", said)
		}
		l.hears("READY=1")
	}
	reload()
	write("jobs: [what is this")
	reload() // refused, and ready all the same: the old configuration stays in force
	l.hears("WATCHDOG=1")
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	l.hears("STOPPING=1")
	if err := c.Wait(); err != nil {
		t.Errorf("stopped by SIGTERM: %v", err)
	}
	if !strings.Contains(log.String(), "the old one stays in force") {
		t.Error("the log does not say that the broken configuration was refused")
	}
}

// Go's runtime raises the limit of open files when it starts and lives with a refusal; the unit sets the limit.
var refusedAnyway = []string{"prlimit64", "setrlimit"}

func TestTheSandboxAllowsWhatTheDaemonDoes(t *testing.T) {
	t.Parallel()
	tool(t, "systemd-analyze", "the system calls of the daemon pass the unit's filter")
	tool(t, "strace", "the system calls of the daemon pass the unit's filter")
	allowed := filter(t)
	trace := filepath.Join(t.TempDir(), "trace")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	// The demo is the main job from end to end, faults included.
	out, err := exec.CommandContext(ctx, "strace", "-f", "-qq", "-o", trace, buildBinary(t), "demo", "--once").CombinedOutput()
	if bytes.Contains(out, []byte("PTRACE_TRACEME")) || bytes.Contains(out, []byte("ptrace(")) {
		t.Skipf("strace may not trace here, so it is NOT TESTED that the daemon's system calls pass the filter: %s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	used := traced(t, trace)
	if !used["fsync"] && !used["fdatasync"] || !used["fcntl"] || len(used) < 40 {
		t.Errorf("these are not all calls of a daemon at work: %v", used)
	}
	for name := range used {
		if !allowed[name] && !slices.Contains(refusedAnyway, name) {
			t.Errorf("the unit's SystemCallFilter would refuse %s", name)
		}
	}
}

// traced reads which system calls strace has seen.
func traced(t *testing.T, trace string) map[string]bool {
	t.Helper()
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	call := regexp.MustCompile(`^\d+ +([a-z_0-9]+)\(`)
	used := map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := call.FindStringSubmatch(lines.Text()); m != nil {
			used[m[1]] = true
		}
	}
	return used
}

const convertingLandscape = `
data: data
sources: {in: {folder: {path: in}}}
destinations: {out: {file: {folder: out}}}
jobs:
  lines:
    receive: {source: in}
    read: {convert: {command: [/bin/sh, -c, "echo no; cat"]}, format: csv, fields: {no: {}}}
    send: [{to: out, each: file, name: "{file.name}"}]
`

// What the filter refuses, a converter would run without (Landlock), or not at all.
func TestTheSandboxAllowsWhatKeepsAConverterWithinItsBounds(t *testing.T) {
	t.Parallel()
	tool(t, "systemd-analyze", "the system calls around a converter pass the unit's filter")
	tool(t, "strace", "the system calls around a converter pass the unit's filter")
	allowed, folder := filter(t), t.TempDir()
	conf, trace := filepath.Join(folder, "waybill.yaml"), filepath.Join(folder, "trace")
	for name, text := range map[string]string{"waybill.yaml": convertingLandscape, "one.csv": "1\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "strace", "-f", "-qq", "-o", trace, buildBinary(t), "try", "lines", filepath.Join(folder, "one.csv"), "--config", conf)
	out, err := c.CombinedOutput()
	if bytes.Contains(out, []byte("PTRACE_TRACEME")) || bytes.Contains(out, []byte("ptrace(")) {
		t.Skipf("strace may not trace here, so it is NOT TESTED that the calls around a converter pass the filter: %s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	used := traced(t, trace)
	for _, name := range []string{"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "prlimit64"} {
		used[name] = true // also where this kernel is without
	}
	if !used["prctl"] || !used["execve"] || !used["wait4"] {
		t.Errorf("no converter has run: %v", used)
	}
	for name := range used {
		if !allowed[name] && name != "setrlimit" {
			t.Errorf("the unit's SystemCallFilter would refuse %s", name)
		}
	}
}

// What docs/operations.md says of converters in the sandbox.
func TestTheSandboxIsWhatTheDocumentsSayOfConverters(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("waybill.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"MemoryDenyWriteExecute=yes", "ProcSubset=pid", "ProtectHome=yes", "SystemCallArchitectures=native", "MemoryMax=1G", "MemoryHigh=900M", "TasksMax=512", "OOMPolicy=continue", "RestrictNamespaces=yes"} {
		if !bytes.Contains(unit, []byte("\n"+line+"\n")) {
			t.Errorf("the unit has no %s", line)
		}
	}
	tool(t, "systemd-analyze", "the unit's filter refuses what the documents say")
	allowed := filter(t)
	for _, name := range []string{"sched_setaffinity", "setpriority", "mbind", "mincore", "seccomp", "pkey_mprotect", "ptrace", "perf_event_open", "mount", "chroot"} {
		if allowed[name] {
			t.Errorf("the unit's SystemCallFilter lets %s pass", name)
		}
	}
}

// filter works out which system calls the unit's filter lets pass, as systemd does: line by line.
func filter(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "syscall-filter", "--no-pager").Output()
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string][]string{}
	name := ""
	for line := range strings.Lines(string(out)) {
		item := strings.TrimSpace(line)
		switch {
		case item == "" || strings.HasPrefix(item, "#"):
		case strings.HasPrefix(line, "@"):
			name = item
		default:
			sets[name] = append(sets[name], item)
		}
	}
	var expand func(item string) []string
	expand = func(item string) (all []string) {
		if !strings.HasPrefix(item, "@") {
			return []string{item}
		}
		if len(sets[item]) == 0 {
			t.Fatalf("systemd knows no set %s", item)
		}
		for _, inner := range sets[item] {
			all = append(all, expand(inner)...)
		}
		return all
	}
	text, err := os.ReadFile("waybill.service")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllSubmatch(text, -1) {
		for item := range strings.FieldsSeq(string(m[2])) {
			for _, call := range expand(item) {
				allowed[call] = len(m[1]) == 0
			}
		}
	}
	// What a program cannot do without is always let pass when a list of allowed calls is given.
	for _, call := range expand("@default") {
		allowed[call] = true
	}
	if len(allowed) < 100 {
		t.Fatalf("only %d calls are known", len(allowed))
	}
	return allowed
}
