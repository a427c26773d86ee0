package sftp

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"waybill/testenv"
	"waybill/watcher"
)

// serveAgent is an SSH agent with the keys of ring, until it is stopped or the test ends.
func serveAgent(t testing.TB, ring agent.Agent) (socket string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "wb-agent-") // the path of a socket has 107 bytes at most, and t.TempDir has the name of the test in it
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "agent")
	l, err := net.Listen("unix", socket)
	must(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, c)
			_ = c.Close()
		}
	}()
	stop = sync.OnceFunc(func() { must(t, l.Close()); <-served })
	t.Cleanup(stop)
	return socket, stop
}

// An agent that is not there, or has no keys yet, is no login that was refused: nothing was offered, and the account is in no danger.
func TestAnAgentThatIsAwayIsNoRefusedLogin(t *testing.T) {
	t.Parallel()
	host := newKey(t)
	f := newFake(t, answering(newTree(nil).answer), host)
	f.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	ring := agent.NewKeyring()
	socket, stop := serveAgent(t, ring)
	o := f.options(host.PublicKey())
	o.Login.Password, o.Login.Agent = "", socket
	b := source(t, o, usual())
	clock := newHand()
	b.on(clock)
	if text := b.unlistable().Error(); !strings.Contains(text, "it has no keys") || strings.Contains(text, "refused") || strings.Contains(text, "account") {
		t.Errorf("got %s", text)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	must(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	clock.forward(5 * time.Second)
	b.listable()
	stop()
	o.Login.Agent = socket + "-none"
	b = source(t, o, usual())
	b.on(clock)
	if text := b.unlistable().Error(); !strings.Contains(text, "SSH agent "+o.Login.Agent) || strings.Contains(text, "refused") {
		t.Errorf("got %s", text)
	}
}

// OpenSSH ends a connection at the sixth try, and counts each key that is offered.
func TestManyKeysLeaveATryForThePassword(t *testing.T) {
	t.Parallel()
	host := newKey(t)
	f := newFake(t, answering(newTree(nil).answer), host)
	var offers atomic.Int32
	f.config.MaxAuthTries = 6
	f.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		offers.Add(1)
		return nil, errors.New("unknown key")
	}
	ring := agent.NewKeyring()
	_, own, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	must(t, ring.Add(agent.AddedKey{PrivateKey: own})) // which is no other than the one of the configuration
	for range 8 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		must(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	}
	signer, err := ssh.NewSignerFromKey(own)
	must(t, err)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"u"}, ValidBefore: ssh.CertTimeInfinity}
	must(t, cert.SignCert(rand.Reader, newKey(t)))
	o := f.options(host.PublicKey())
	o.Login.Key, o.Login.Certificate = armoured(t, own, ""), string(ssh.MarshalAuthorizedKey(cert))
	o.Login.Agent, _ = serveAgent(t, ring)
	source(t, o, brisk()).listable()
	if n := offers.Load(); n != mostKeys {
		t.Errorf("%d keys were offered, want %d", n, mostKeys)
	}
}

// readable gives a file to who owns the folder it is in.
func readable(t testing.TB, path string, content []byte) string {
	t.Helper()
	must(t, os.WriteFile(path, content, 0o644))
	must(t, os.Chmod(path, 0o644)) // whatever the umask is
	return path
}

// Jump host, certificates of users and of hosts, and an agent: what each can by itself, all at once, at OpenSSH's servers.
func TestAJumpHostCertificatesAndAnAgentTogether(t *testing.T) {
	t.Parallel()
	users, hosts := newKey(t), newKey(t)
	authority := readable(t, filepath.Join(openFolder(t), "users.pub"), ssh.MarshalAuthorizedKey(users.PublicKey()))
	jump, s := testenv.OpenSSH(t, "TrustedUserCAKeys "+authority), testenv.OpenSSH(t, "TrustedUserCAKeys "+authority)

	// The server proves itself by a certificate, and nothing else is known of it.
	proof := &ssh.Certificate{Key: s.HostKeys[ssh.KeyAlgoED25519], CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	must(t, proof.SignCert(rand.Reader, hosts))
	dir := filepath.Dir(s.Key)
	config, err := os.ReadFile(filepath.Join(dir, "sshd_config"))
	must(t, err)
	line := "HostCertificate " + readable(t, filepath.Join(dir, "host-cert.pub"), ssh.MarshalAuthorizedKey(proof))
	must(t, os.WriteFile(filepath.Join(dir, "sshd_config"), append([]byte(line+"\n"), config...), 0o644))
	s.Kill(t)
	s.Start(t)

	// At the jump host it is a certificate of an RSA key that only an agent has, behind keys that nobody knows.
	ring := agent.NewKeyring()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	must(t, ring.Add(agent.AddedKey{PrivateKey: stranger}))
	certified := func(key ssh.Signer, name string) *ssh.Certificate {
		c := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{name}, ValidBefore: ssh.CertTimeInfinity,
			Permissions: ssh.Permissions{Extensions: map[string]string{"permit-port-forwarding": ""}}}
		must(t, c.SignCert(rand.Reader, users))
		return c
	}
	held, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(held)
	must(t, err)
	must(t, ring.Add(agent.AddedKey{PrivateKey: held, Certificate: certified(signer, jump.User)}))
	socket, _ := serveAgent(t, ring)

	// At the server it is a certificate of the configuration, with the same agent beside it.
	_, own, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	if signer, err = ssh.NewSignerFromKey(own); err != nil {
		t.Fatal(err)
	}
	b := onServer(t, s, brisk(), func(o *Options, _ *watcher.Settings) {
		o.Login.Key, o.Login.Certificate = armoured(t, own, ""), string(ssh.MarshalAuthorizedKey(certified(signer, s.User)))
		o.Login.Agent = socket
		j := login(t, jump)
		o.Jump = &Jump{Address: j.Address, Login: Login{User: jump.User, Agent: socket}, HostKey: j.HostKey}
	}, known(t, "@cert-authority [127.0.0.1]:* "+strings.TrimSpace(string(ssh.MarshalAuthorizedKey(hosts.PublicKey())))+"\n"))
	b.Write("a.csv", noise(100_000))
	f := b.Listed("a.csv")
	if text, err := b.Content(f); err != nil || text != noise(100_000) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	b.CloseNow(f, done)
	if log := jump.Log(t); !strings.Contains(log, "Accepted publickey") || !strings.Contains(log, "RSA-CERT") {
		t.Errorf("the jump host was not entered with the certificate of the agent:\n%s", log)
	}
	if log := s.Log(t); !strings.Contains(log, "ED25519-CERT") {
		t.Errorf("the server was not entered with the certificate of the configuration:\n%s", log)
	}
	jump.Kick() // and the way is made again
	b.listable()
}

// openFolder is a folder that any user may enter.
func openFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

// A partner changes the key of his server while waybill is at work: the source stops, and goes on once the new key is written beside the old one.
func TestAHostKeyThatIsRotatedStopsTheSourceUntilItIsWritten(t *testing.T) {
	t.Parallel()
	s := testenv.OpenSSH(t)
	before := s.HostKeys[ssh.KeyAlgoED25519]
	pinned := func(keys ...ssh.PublicKey) change {
		return func(o *Options, settings *watcher.Settings) {
			var lines []string
			for _, k := range keys {
				lines = append(lines, knownhosts.Line([]string{s.Addr}, k))
			}
			known(t, strings.Join(lines, "\n")+"\n")(o, settings)
		}
	}
	b := onServer(t, s, brisk(), pinned(before))
	b.Write("a.csv", "a")
	b.listable()

	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	now, err := ssh.NewSignerFromKey(key)
	must(t, err)
	s.Kill(t)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(s.Key), ssh.KeyAlgoED25519), []byte(armoured(t, key, "")), 0o600))
	s.Start(t)
	var text string
	for range 1000 { // the connection that is gone is noticed first, and the server may not answer at once
		if text = b.unlistable().Error(); strings.Contains(text, "has changed") {
			break
		}
		pause(20 * time.Millisecond) // until it is due again
	}
	for _, want := range []string{"has changed", ssh.FingerprintSHA256(before), ssh.FingerprintSHA256(now.PublicKey()), "ask the partner"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	both := onServer(t, s, brisk(), pinned(before, now.PublicKey()))
	both.listable()
	both.Listed("a.csv")
}
