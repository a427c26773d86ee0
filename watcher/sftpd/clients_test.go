package sftpd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program runs a client and returns what it printed. A missing one skips the test by name.
func program(t testing.TB, stdin, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED, %s is not installed", name)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var sshOptions = []string{"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-F", "none"}

func openSSH(r *rig) func(batch string) (string, error) {
	port, key := r.listen()
	return func(batch string) (string, error) {
		args := append([]string{"-b", "-", "-P", port, "-i", key}, sshOptions...)
		return program(r.t, batch, "sftp", append(args, "acme@127.0.0.1")...)
	}
}

// file writes a file for a client to send.
func (r *rig) file(name string, content []byte) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), name)
	r.must(os.WriteFile(path, content, 0o600))
	return path
}

func TestOpenSSHUploadsSmallAndLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sftp := openSSH(r)
	small, large := r.file("small.csv", pattern(100)), r.file("large.csv", pattern(5<<20))
	out, err := sftp("put " + small + " in/\nput -p " + large + " in/\nls -la in\ndf in\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"small.csv", "large.csv"} {
		if !strings.Contains(out, name) {
			t.Errorf("%s is not in the listing:\n%s", name, out)
		}
	}
	if got, _ := r.content("acme/small.csv"); got != string(pattern(100)) {
		t.Errorf("small: %d bytes", len(got))
	}
	if got, _ := r.content("acme/large.csv"); got != string(pattern(5<<20)) {
		t.Errorf("large: %d bytes", len(got))
	}
	t.Log(out)
}
