package sftpd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program runs a client and returns what it printed. A missing one skips the test by name.
func program(t testing.TB, stdin, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED, %s is not installed", name)
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
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

// landed checks what came of a name.
func (r *rig) landed(name string, want []byte) {
	r.t.Helper()
	if got, ok := r.content("acme/" + name); !ok || got != string(want) {
		r.t.Errorf("%s: landed %t, %d bytes, not %d", name, ok, len(got), len(want))
	}
}

// broken leaves the first n bytes of an upload behind.
func (r *rig) broken(path string, content []byte) {
	r.t.Helper()
	c, cut := r.dial()
	f, err := c.Create(path)
	r.must(err)
	_, err = f.Write(content)
	r.must(err)
	cut()
}

func TestOpenSSH(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sftp := openSSH(r)
	small, large := r.file("small.csv", pattern(100)), r.file("large.csv", pattern(3<<20))
	r.broken("/in/resumed.csv", pattern(1<<20))
	r.must(os.WriteFile(filepath.Join(r.data, "mailboxes/acme/out/ack.json"), []byte("{}"), 0o600))
	ack := filepath.Join(t.TempDir(), "ack")
	out, err := sftp("put " + small + " in/\nput -p " + large + " in/\nls -la in\ndf in\nmkdir in/sub\nput -p " + small + " in/sub/x.part\n" +
		"rename in/sub/x.part in/sub/x.csv\nls -l in/sub\nreput " + large + " in/resumed.csv\nget out/ack.json " + ack + "\nrm out/ack.json\n" +
		"put " + small + " in/gone.csv\nrm in/gone.csv\n-chmod 644 in/small.csv\ncd in\npwd\ncd ..\nput " + small + " in/empty.part\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, say := range []string{"small.csv", "large.csv", "3145728", "x.csv", "working directory: /in"} {
		if !strings.Contains(out, say) {
			t.Errorf("%s is not in\n%s", say, out)
		}
	}
	r.landed("small.csv", pattern(100))
	r.landed("large.csv", pattern(3<<20))
	r.landed("sub/x.csv", pattern(100))
	r.landed("resumed.csv", pattern(3<<20))
	if n := r.noted("picked up"); n != 1 {
		t.Errorf("picked up is noted %d times", n)
	}
}

func TestOpenSSHIsToldWhyOnItsStandardError(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *FilesOptions) { o.Admit = strict{} })
	out, err := openSSH(r)("put " + r.file("bad.csv", []byte("nonsense")) + " in/\n")
	if err == nil || !strings.Contains(out, "/in/bad.csv: column line is missing") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestScp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	port, key := r.listen()
	r.broken("/in/large.csv", pattern(2<<20)) // longer than what comes now, and in the way
	args := append([]string{"-s", "-p", "-P", port, "-i", key}, sshOptions...)
	for _, f := range []string{r.file("small.csv", pattern(100)), r.file("large.csv", pattern(1<<20)), r.file("empty.csv", nil)} {
		if out, err := program(t, "", "scp", append(args, f, "acme@127.0.0.1:in/")...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	r.landed("small.csv", pattern(100))
	r.landed("large.csv", pattern(1<<20))
	r.landed("empty.csv", nil)
}

func TestLftp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	port, key := r.listen()
	whole := pattern(1 << 20)
	r.broken("/in/resumed.csv", whole[:400_000])
	tree := t.TempDir()
	r.must(os.MkdirAll(filepath.Join(tree, "deep/er"), 0o700))
	for _, n := range []string{"a.csv", "deep/b.csv", "deep/er/c.csv"} {
		r.must(os.WriteFile(filepath.Join(tree, n), []byte(n), 0o600))
	}
	script := "set sftp:auto-confirm yes; set net:max-retries 1; set cmd:fail-exit yes; " +
		"set sftp:connect-program 'ssh -a -x -i " + key + " " + strings.Join(sshOptions, " ") + "'; " +
		"open -u acme,x -p " + port + " sftp://127.0.0.1; put " + r.file("plain.csv", whole) + " -o in/plain.csv; " +
		"reput " + r.file("resumed.csv", whole) + " -o in/resumed.csv; mirror -R " + tree + " in/tree; cls -l in; " +
		"set xfer:use-temp-file yes; set xfer:temp-file-name *.part; put " + r.file("safe.csv", whole) + " -o in/safe.csv; bye"
	out, err := program(t, "", "lftp", "-c", script)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.landed("plain.csv", whole)
	r.landed("resumed.csv", whole)
	r.landed("safe.csv", whole)
	for _, n := range []string{"a.csv", "deep/b.csv", "deep/er/c.csv"} {
		r.landed("tree/"+n, []byte(n))
	}
}

func TestPsftp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	port, _ := r.listen()
	whole := pattern(1 << 20)
	r.broken("/in/resumed.csv", whole[:400_000])
	batch := r.file("batch", []byte("put "+r.file("plain.csv", whole)+" in/plain.csv\nreput "+r.file("resumed.csv", whole)+" in/resumed.csv\n"+
		"put "+r.file("x", whole[:10])+" in/x.tmp\nmv in/x.tmp in/x.csv\nls in\nchmod 600 in/plain.csv\nquit\n"))
	out, err := program(t, "", "psftp", "-batch", "-hostkey", r.hostKey, "-P", port, "-pw", "x", "-b", batch, "acme@127.0.0.1")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.landed("plain.csv", whole)
	r.landed("resumed.csv", whole)
	r.landed("x.csv", whole[:10])
}

// python runs a script with the interpreter of the system, which has the packages of the system.
func python(t *testing.T, needs, script string) {
	t.Helper()
	if out, err := exec.Command("/usr/bin/python3", "-W", "ignore", "-c", "import "+needs).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, python3-%s is not installed: %s", needs, out)
	}
	if out, err := program(t, script, "/usr/bin/python3", "-W", "ignore", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestParamiko(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *FilesOptions) { o.Admit = strict{} })
	port, _ := r.listen()
	whole := pattern(1 << 20)
	path := r.file("plain.csv", whole)
	r.broken("/in/resumed.csv", whole[:400_000])
	python(t, "paramiko", `
import paramiko, os
t = paramiko.Transport(("127.0.0.1", `+port+`))
t.connect(username="acme", password="x")
c = paramiko.SFTPClient.from_transport(t)
c.put("`+path+`", "in/plain.csv")            # looks for it afterwards
c.put("`+path+`", "in/other.filepart")
c.utime("in/other.filepart", (1, 1)); c.chmod("in/other.filepart", 0o644)
c.posix_rename("in/other.filepart", "in/other.csv")
b = open("`+path+`", "rb").read()
with c.open("in/resumed.csv", "ab") as f:
    f.set_pipelined(True)
    assert f.tell() == 400000, f.tell()
    f.write(b[f.tell():])
open("`+path+`.bad", "wb").write(b"nonsense")
try:
    c.put("`+path+`.bad", "in/bad.csv")       # its close hides what the server says, but then it looks for the file
    raise SystemExit("a bad file was taken")
except IOError as e:
    pass
assert "plain.csv" in c.listdir("in"), c.listdir("in")
assert c.normalize("in/../in") == "/in"
try:
    c.stat("in/none"); raise SystemExit("there is none")
except FileNotFoundError:
    pass
t.close()
`)
	r.landed("plain.csv", whole)
	r.landed("other.csv", whole)
	r.landed("resumed.csv", whole)
}

func TestAsyncssh(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *FilesOptions) { o.Admit = strict{} })
	port, _ := r.listen()
	whole := pattern(1 << 20)
	path := r.file("plain.csv", whole)
	r.broken("/in/resumed.csv", whole[:400_000])
	python(t, "asyncssh", `
import asyncio, asyncssh
async def main():
    async with asyncssh.connect("127.0.0.1", `+port+`, username="acme", password="x", known_hosts=None, client_keys=None, config=None) as conn:
        async with conn.start_sftp_client() as c:
            await c.put("`+path+`", "in/plain.csv", preserve=True)
            await asyncio.gather(*[c.put("`+path+`", "in/many%d.csv" % i) for i in range(20)])
            async with c.open("in/resumed.csv", "ab") as f:
                await f.write(open("`+path+`", "rb").read()[400000:])
            try:
                async with c.open("in/bad.csv", "wb") as f:
                    await f.write(b"nonsense")
                raise SystemExit("a bad file was taken")
            except asyncssh.SFTPError as e:
                assert "column line is missing" in str(e), e
            await c.statvfs("in")
            assert "plain.csv" in await c.listdir("in")
asyncio.run(main())
`)
	r.landed("plain.csv", whole)
	r.landed("resumed.csv", whole)
	for _, n := range []string{"many0.csv", "many19.csv"} {
		r.landed(n, whole)
	}
}
