package testenv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// SSHD is an OpenSSH server with the sftp subsystem. It runs as an ordinary user, who alone may log in, by key: without
// root there are no passwords and no chroot, so tests of passwords need a server of their own.
type SSHD struct {
	Addr       string                   // host:port of its listener
	User       string                   // who may log in
	Folder     string                   // where a session begins
	Key        string                   // path of a private key that may log in (ed25519, not encrypted)
	KnownHosts string                   // path of a known_hosts with all its host keys
	HostKeys   map[string]ssh.PublicKey // by algorithm: ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa

	dir    string
	bin    string
	nobody *syscall.Credential
	server *process // nil while stopped
}

// hostKeys are made once: RSA takes its time.
var hostKeys = sync.OnceValues(func() ([]crypto.PrivateKey, error) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	rs, err := rsa.GenerateKey(rand.Reader, 3072)
	return []crypto.PrivateKey{ed, ec, rs}, err
})

// OpenSSH starts a server and waits until it answers; it is stopped when the test ends. The lines are added to its
// configuration and win over what stands there (sshd takes the first value of a keyword).
func OpenSSH(t testing.TB, lines ...string) *SSHD {
	t.Helper()
	bin := program(t, "sshd", "openssh-server", "/usr/sbin/sshd")
	dir := folder(t, "wb-ssh-")
	// Under a name of its own it gets PAM's rules for unknown programs, and none that print the news of the day. PAM
	// there must be: without it accounts that have no password count as locked.
	link := filepath.Join(dir, "sshd-of-a-test")
	if err := os.Symlink(bin, link); err != nil {
		t.Fatalf("name sshd: %v", err)
	}
	bin = link
	s := &SSHD{
		dir: dir, bin: bin, Addr: fmt.Sprintf("127.0.0.1:%d", ports(t, 1)[0]),
		Folder: filepath.Join(dir, "files"), Key: filepath.Join(dir, "client"),
		KnownHosts: filepath.Join(dir, "known_hosts"), HostKeys: map[string]ssh.PublicKey{},
	}
	s.nobody, s.User = ordinary(t)
	if err := s.configure(lines); err != nil {
		t.Fatalf("configure sshd: %v", err)
	}
	t.Cleanup(func() {
		if s.server != nil {
			s.Kill(t)
		}
	})
	s.Start(t)
	return s
}

// ordinary returns the user to run as when we are root, and its name.
func ordinary(t testing.TB) (*syscall.Credential, string) {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatalf("who am I: %v", err)
	}
	if os.Getuid() != 0 {
		return nil, u.Username
	}
	if u, err = user.Lookup("nobody"); err != nil {
		t.Skipf("SKIPPED, there is no user nobody to run sshd as: %v", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32) // numbers on every Unix
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, u.Username
}

// configure writes keys and configuration.
func (s *SSHD) configure(lines []string) error {
	if err := os.Mkdir(s.Folder, 0o777); err != nil {
		return err
	}
	_, client, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(s.Key, client, ""); err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(client)
	if err != nil {
		return err
	}
	keys, err := hostKeys()
	if err != nil {
		return err
	}
	conf := append(slices.Clone(lines),
		"ListenAddress "+s.Addr, "PidFile none", "UsePAM yes", "UseDNS no", "StrictModes no", "LogLevel VERBOSE",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PrintMotd no", "MaxStartups 200", "MaxSessions 50",
		"AuthorizedKeysFile "+filepath.Join(s.dir, "authorized_keys"),
		"Subsystem sftp internal-sftp -d "+s.Folder)
	var known bytes.Buffer
	for _, k := range keys {
		host, err := ssh.NewSignerFromKey(k)
		if err != nil {
			return err
		}
		kind := host.PublicKey().Type()
		s.HostKeys[kind] = host.PublicKey()
		path := filepath.Join(s.dir, kind)
		if err := writeKey(path, k, ""); err != nil {
			return err
		}
		h, p, _ := strings.Cut(s.Addr, ":")
		fmt.Fprintf(&known, "[%s]:%s %s", h, p, ssh.MarshalAuthorizedKey(host.PublicKey()))
		conf = append(conf, "HostKey "+path)
	}
	for name, text := range map[string][]byte{
		s.KnownHosts:                            known.Bytes(),
		filepath.Join(s.dir, "authorized_keys"): ssh.MarshalAuthorizedKey(signer.PublicKey()),
		filepath.Join(s.dir, "sshd_config"):     []byte(strings.Join(conf, "\n") + "\n"),
		s.log():                                 nil,
	} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return s.own(s.dir)
}

// own gives everything below path to the server's user.
func (s *SSHD) own(path string) error {
	if s.nobody == nil {
		return nil
	}
	return filepath.Walk(path, func(name string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(s.nobody.Uid), int(s.nobody.Gid))
	})
}

// writeKey writes a private key in OpenSSH's format, encrypted if there is a passphrase.
func writeKey(path string, key crypto.PrivateKey, passphrase string) error {
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

func (s *SSHD) log() string { return filepath.Join(s.dir, "server.log") }

// Log returns what the server has logged so far.
func (s *SSHD) Log(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(s.log())
	if err != nil {
		t.Fatalf("read sshd's log: %v", err)
	}
	return string(b)
}

// Authorize lets one more key log in: a line of authorized_keys.
func (s *SSHD) Authorize(t testing.TB, line string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.dir, "authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatalf("authorize a key: %v", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := fmt.Fprintln(f, strings.TrimSpace(line)); err != nil {
		t.Fatalf("authorize a key: %v", err)
	}
}

// Write puts a file where its clients see it as name, as one of them would: written aside, then renamed.
func (s *SSHD) Write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(s.Folder, name)
	err := os.MkdirAll(filepath.Dir(path), 0o777)
	for d := filepath.Dir(path); err == nil && s.nobody != nil && d != s.dir; d = filepath.Dir(d) {
		err = os.Chown(d, int(s.nobody.Uid), int(s.nobody.Gid))
	}
	if err == nil {
		err = os.WriteFile(path+".part", []byte(text), 0o644)
	}
	if err == nil && s.nobody != nil {
		err = os.Chown(path+".part", int(s.nobody.Uid), int(s.nobody.Gid))
	}
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		t.Fatalf("write %s: %v", name, err)
	}
}

// Start starts a stopped server on the same port.
func (s *SSHD) Start(t testing.TB) {
	t.Helper()
	if s.server != nil {
		t.Fatal("sshd is running already")
	}
	p, err := start(command{
		args: []string{s.bin, "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config")},
		env:  []string{"PATH=" + os.Getenv("PATH")}, log: s.log(), stop: "TERM", nobody: s.nobody,
	})
	if err != nil {
		t.Fatalf("start sshd: %v", err)
	}
	s.server = p
	if err := p.wait(s.ready); err != nil {
		t.Fatalf("start sshd: %v\n%s", err, tail(s.log()))
	}
}

// ready waits for the server's first line.
func (s *SSHD) ready(ctx context.Context) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	line := make([]byte, 4)
	if _, err := c.Read(line); err != nil || string(line) != "SSH-" {
		return fmt.Errorf("it says %q: %w", line, err)
	}
	return nil
}

// Kill ends the server and its connections with SIGKILL, as a crash of the machine would.
func (s *SSHD) Kill(t testing.TB) {
	t.Helper()
	if s.server == nil {
		t.Fatal("sshd is stopped already")
	}
	s.server.kill()
	s.server = nil
}

// Kick ends the connections with SIGKILL; the server takes new ones.
func (s *SSHD) Kick() { s.signal(syscall.SIGKILL, false) }

// Pause has the server and its connections stop where they are, without a word to anybody, until Resume.
func (s *SSHD) Pause() { s.signal(syscall.SIGSTOP, true) }

// Resume ends Pause.
func (s *SSHD) Resume() { s.signal(syscall.SIGCONT, true) }

// Connections is how many processes serve connections now.
func (s *SSHD) Connections() int { return len(s.family()) - 1 }

// signal sends sig to the processes of connections, which each have a session of their own, and the listener's.
func (s *SSHD) signal(sig syscall.Signal, listener bool) {
	for i, pid := range s.family() {
		if i > 0 || listener {
			_ = syscall.Kill(pid, sig) // it may have ended
		}
	}
}

// family is the listening process and those that it started, in this order.
func (s *SSHD) family() []int {
	for _, pid := range descendants(s.server.cmd.Process.Pid) { // the leash's: sshd and the shell that waits to end it
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.TrimSpace(string(name)) == "sshd-of-a-test" {
			return append([]int{pid}, descendants(pid)...)
		}
	}
	return nil
}

// MakeFolder makes a folder where its clients see it as name.
func (s *SSHD) MakeFolder(t testing.TB, name string) {
	t.Helper()
	path := filepath.Join(s.Folder, name)
	err := os.MkdirAll(path, 0o777)
	if err == nil {
		err = s.own(path)
	}
	if err != nil {
		t.Fatalf("make folder %s: %v", name, err)
	}
}
