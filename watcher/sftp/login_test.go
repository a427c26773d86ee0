package sftp

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
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"waybill/testenv"
	"waybill/watcher"
)

// armoured is a private key as OpenSSH keeps it.
func armoured(t testing.TB, key crypto.PrivateKey, passphrase string) string {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	must(t, err)
	return string(pem.EncodeToMemory(block))
}

// listable fails the test unless the source can be listed.
func (b *bench) listable() {
	b.t.Helper()
	if _, errs := b.Look(); len(errs) > 0 {
		b.t.Error(errs)
	}
}

// unlistable is why it cannot be.
func (b *bench) unlistable() error {
	b.t.Helper()
	_, errs := b.Look()
	if len(errs) != 1 || !errors.Is(errs[0], watcher.ErrAway) {
		b.t.Fatalf("got %v, want one error that the source is away", errs)
	}
	return errs[0]
}

func TestKeysOfAllKindsLogIn(t *testing.T) {
	t.Parallel()
	s := testenv.OpenSSH(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for name, key := range map[string]crypto.PrivateKey{"ed25519": ed, "ecdsa": ec, "rsa": rs} {
		signer, err := ssh.NewSignerFromKey(key)
		must(t, err)
		s.Authorize(t, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
		for _, passphrase := range []string{"", "open sesame"} {
			b := onServer(t, s, brisk(), func(o *Options, _ *watcher.Settings) {
				o.Login.Key, o.Login.Passphrase = armoured(t, key, passphrase), passphrase
			})
			if b.listable(); t.Failed() {
				t.Fatalf("%s, passphrase %q", name, passphrase)
			}
		}
	}
	if log := s.Log(t); strings.Contains(log, "ssh-rsa ") || !strings.Contains(log, "RSA SHA256:") {
		t.Error("RSA logged in in another way than expected")
	}
}

func TestACertificateLogsIn(t *testing.T) {
	t.Parallel()
	ca := newKey(t)
	file := filepath.Join(t.TempDir(), "ca.pub")
	must(t, os.WriteFile(file, ssh.MarshalAuthorizedKey(ca.PublicKey()), 0o644))
	must(t, os.Chmod(filepath.Dir(file), 0o755))
	must(t, os.Chmod(filepath.Dir(filepath.Dir(file)), 0o755))
	s := testenv.OpenSSH(t, "TrustedUserCAKeys "+file)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{s.User}, ValidBefore: ssh.CertTimeInfinity}
	must(t, cert.SignCert(rand.Reader, ca))
	with := func(o *Options, _ *watcher.Settings) {
		o.Login.Key, o.Login.Certificate = armoured(t, key, ""), string(ssh.MarshalAuthorizedKey(cert))
	}
	onServer(t, s, brisk(), with).listable()
	without := onServer(t, s, brisk(), with, func(o *Options, _ *watcher.Settings) { o.Login.Certificate = "" })
	if err := without.unlistable(); !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestAKeyOfAnAgentLogsIn(t *testing.T) {
	t.Parallel()
	s := testenv.OpenSSH(t)
	ring := agent.NewKeyring()
	for range 2 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		must(t, ring.Add(agent.AddedKey{PrivateKey: key}))
		if signer, err := ssh.NewSignerFromKey(key); err == nil {
			s.Authorize(t, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
		}
	}
	socket, stop := serveAgent(t, ring)
	b := onServer(t, s, brisk(), func(o *Options, _ *watcher.Settings) { o.Login.Key, o.Login.Agent = "", socket })
	b.listable()
	stop()
	b = onServer(t, s, brisk(), func(o *Options, _ *watcher.Settings) { o.Login.Key, o.Login.Agent = "", socket })
	if err := b.unlistable(); !strings.Contains(err.Error(), "SSH agent") {
		t.Errorf("got %v", err)
	}
}

func TestAPasswordLogsInAlsoByKeyboardInteractive(t *testing.T) {
	t.Parallel()
	host := newKey(t)
	f := newFake(t, answering(newTree(nil).answer), host)
	source(t, f.options(host.PublicKey()), brisk()).listable()
	for _, asks := range [][]string{{"Password: "}, {"Password: ", "Code: "}} {
		f := newFake(t, answering(newTree(nil).answer), host)
		f.config.PasswordCallback = nil
		f.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			got, err := ask("", "", asks, make([]bool, len(asks)))
			if err != nil || got[0] != "right" {
				return nil, fmt.Errorf("%v: %w", got, err)
			}
			return nil, nil
		}
		b := source(t, f.options(host.PublicKey()), brisk())
		if len(asks) == 1 {
			b.listable()
		} else if err := b.unlistable(); !strings.Contains(err.Error(), "Code") {
			t.Errorf("got %v", err)
		}
	}
}

// A wrong password is told once, and then not again for a long time, whoever asks.
func TestAWrongPasswordNeverLocksTheAccount(t *testing.T) {
	t.Parallel()
	host := newKey(t)
	f := newFake(t, answering(newTree(nil).answer), host)
	f.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		if got, err := ask("", "", []string{"Password: "}, []bool{false}); err == nil && len(got) == 1 {
			f.logins.Add(1)
		}
		return nil, errors.New("wrong")
	}
	o := f.options(host.PublicKey())
	o.Login.Password = "wrong"
	b := source(t, o, usual())
	clock := newHand()
	b.on(clock)
	day := 24 * 60
	for minute := range day {
		clock.forward(time.Minute)
		if err := b.unlistable(); minute == 0 && !strings.Contains(err.Error(), "not tried again before") {
			t.Errorf("the status does not say when it is tried again: %v", err)
		}
		if n := f.logins.Load(); minute < 15 && n != 1 || minute < 60 && n > 2 {
			t.Fatalf("%d tries after %d minutes", n, minute)
		}
	}
	if n := f.logins.Load(); n > 9 {
		t.Errorf("%d tries in a day", n)
	}
	// Another password is another matter.
	o.Login.Password = "right"
	src, problems := New(o, Files{}, watcher.Settings{}, b.servers, b.Source.log)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	defer src.Leave()
	for _, err := range src.List(context.Background()) {
		t.Error(err)
	}
}

// Sources that lead to different servers by one jump host, or to one server with different settings, share the budget of the login.
func TestAWrongPasswordIsTriedOnceHoweverManySourcesHaveIt(t *testing.T) {
	t.Parallel()
	host := newKey(t)
	f := newFake(t, answering(newTree(nil).answer), host)
	o := f.options(host.PublicKey())
	o.Login.Password = "wrong"
	b := source(t, o, usual())
	clock := newHand()
	b.on(clock)
	variants := []Options{o}
	for i := range 10 {
		to := f.options(host.PublicKey())
		to.Address, to.Jump = fmt.Sprintf("sftp%d.example", i), &Jump{Address: o.Address, Login: o.Login, HostKey: o.HostKey}
		more := o
		more.Files = 1 + i
		variants = append(variants, to, more)
	}
	var all sync.WaitGroup
	for _, o := range variants {
		src, problems := New(o, Files{}, watcher.Settings{}, b.servers, b.Source.log)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		defer src.Leave()
		all.Go(func() {
			for _, err := range src.List(context.Background()) {
				if err == nil || !strings.Contains(err.Error(), "the login is refused") || !strings.Contains(err.Error(), "not tried again before") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	all.Wait()
	if n := f.logins.Load(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	clock.forward(16 * time.Minute)
	b.unlistable()
	if n := f.logins.Load(); n != 2 {
		t.Errorf("%d logins after a quarter of an hour, want 2", n)
	}
}

// Reported failure 10: a server with several keys of which one is known (golang/go#29286).
func TestReported10TheRightKeyIsFoundWhateverKindItIs(t *testing.T) {
	t.Parallel()
	s := testenv.OpenSSH(t)
	stranger := newKey(t).PublicKey()
	for kind, key := range s.HostKeys {
		for name, pin := range map[string]change{
			"fingerprint": func(o *Options, _ *watcher.Settings) { o.HostKey = []string{ssh.FingerprintSHA256(key)} },
			"one of two": func(o *Options, _ *watcher.Settings) {
				o.HostKey = []string{ssh.FingerprintSHA256(stranger), ssh.FingerprintSHA256(key)}
			},
			"public key":  func(o *Options, _ *watcher.Settings) { o.HostKey = []string{string(ssh.MarshalAuthorizedKey(key))} },
			"known_hosts": known(t, knownhosts.Line([]string{s.Addr}, key)),
			"hashed":      known(t, knownhosts.HashHostname(knownhosts.Normalize(s.Addr))+" "+strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))),
		} {
			b := onServer(t, s, brisk(), pin)
			if b.listable(); t.Failed() {
				t.Fatalf("%s of %s", name, kind)
			}
		}
	}
	all, err := os.ReadFile(s.KnownHosts)
	must(t, err)
	onServer(t, s, brisk(), known(t, string(all))).listable()
	onServer(t, s, brisk(), func(o *Options, _ *watcher.Settings) {
		o.HostKey = []string{ssh.FingerprintSHA256(stranger)}
	}).unlistable()
}

// known writes a known_hosts.
func known(t testing.TB, text string) change {
	return func(o *Options, _ *watcher.Settings) {
		o.HostKey, o.KnownHosts = nil, filepath.Join(t.TempDir(), "known_hosts")
		must(t, os.WriteFile(o.KnownHosts, []byte("# a comment\n\nother.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqHG1qHG1qHG1qHG1qHG1qHG1qHG1qHG1qHG1qHG1qH\n"+text), 0o600))
	}
}

func TestAChangedHostKeyStopsTheSourceAndNothingIsOffered(t *testing.T) {
	t.Parallel()
	before, now := newKey(t), newKey(t)
	f := newFake(t, answering(newTree(nil).answer), now)
	b := source(t, f.options(before.PublicKey()), brisk())
	text := b.unlistable().Error()
	for _, want := range []string{ssh.FingerprintSHA256(before.PublicKey()), ssh.FingerprintSHA256(now.PublicKey()), "has changed", "ask the partner"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in: %s", want, text)
		}
	}
	conns := f.conns.Load()
	for range 5 {
		b.unlistable()
	}
	if f.conns.Load() != conns || f.logins.Load() > 0 {
		t.Errorf("%d connections more, %d logins", f.conns.Load()-conns, f.logins.Load())
	}
}

// A server whose new key is of another kind has none that it could be asked for: it must be told of all the same.
func TestAHostKeyThatChangedToAnotherKindIsTold(t *testing.T) {
	t.Parallel()
	ec := func(curve elliptic.Curve) ssh.Signer {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		must(t, err)
		s, err := ssh.NewSignerFromKey(key)
		must(t, err)
		return s
	}
	for name, keys := range map[string][2]ssh.Signer{
		"ed25519 to ECDSA": {newKey(t), ec(elliptic.P256())},
		"ECDSA to ed25519": {ec(elliptic.P256()), newKey(t)},
		"P-256 to P-384":   {ec(elliptic.P256()), ec(elliptic.P384())},
	} {
		before, now := keys[0].PublicKey(), keys[1]
		f := newFake(t, answering(newTree(nil).answer), now)
		for _, pin := range []change{
			func(o *Options, _ *watcher.Settings) { o.HostKey = []string{string(ssh.MarshalAuthorizedKey(before))} },
			known(t, knownhosts.Line([]string{f.l.Addr().String()}, before)+"\n"),
		} {
			b := source(t, f.options(), brisk(), pin)
			text := b.unlistable().Error()
			for _, want := range []string{ssh.FingerprintSHA256(before), ssh.FingerprintSHA256(now.PublicKey()), "has changed", "ask the partner"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: %q is missing in: %s", name, want, text)
				}
			}
		}
		if f.logins.Load() > 0 {
			t.Errorf("%s: %d logins", name, f.logins.Load())
		}
	}
}

// A server that shows the key that is pinned in a certificate only is the one that is meant; and a password that is wrong there counts as anywhere.
func TestAPinnedKeyInACertificateIsThatKey(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	must(t, cert.SignCert(rand.Reader, newKey(t)))
	host, err := ssh.NewCertSigner(cert, key)
	must(t, err)
	f := newFake(t, answering(newTree(nil).answer), host)
	o := f.options(key.PublicKey())
	source(t, o, brisk()).listable()
	before := f.logins.Load()
	o.Login.Password = "wrong"
	b := source(t, o, usual())
	b.on(newHand())
	for range 5 {
		if text := b.unlistable().Error(); !strings.Contains(text, "the login is refused") || !strings.Contains(text, "not tried again before") {
			t.Errorf("got %s", text)
		}
	}
	if n := f.logins.Load() - before; n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func TestKnownHostsKnowsRevocationAndAuthorities(t *testing.T) {
	t.Parallel()
	ca, key := newKey(t), newKey(t)
	line := func(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }
	certified := func(principal string, until uint64) ssh.Signer {
		cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{principal}, ValidBefore: until}
		must(t, cert.SignCert(rand.Reader, ca))
		s, err := ssh.NewCertSigner(cert, key)
		must(t, err)
		return s
	}
	good := certified("127.0.0.1", ssh.CertTimeInfinity)
	for _, c := range []struct {
		name, lines string
		host        ssh.Signer
		want        string // "" for a connection
	}{
		{"plain", "[127.0.0.1]:* " + line(key.PublicKey()), key, ""},
		{"revoked", "[127.0.0.1]:* " + line(key.PublicKey()) + "\n@revoked * " + line(key.PublicKey()), key, "is revoked"},
		{"authority", "@cert-authority [127.0.0.?]:* " + line(ca.PublicKey()), good, ""},
		{"authority of another host", "@cert-authority [10.*]:* " + line(ca.PublicKey()) + "\n* " + line(newKey(t).PublicKey()), good, "has changed"},
		{"authority revoked", "@cert-authority * " + line(ca.PublicKey()) + "\n@revoked * " + line(ca.PublicKey()), good, "is revoked"},
		{"certified key revoked", "@cert-authority * " + line(ca.PublicKey()) + "\n@revoked * " + line(key.PublicKey()), good, "is revoked"},
		{"certificate of another", "@cert-authority * " + line(ca.PublicKey()), certified("example.com", ssh.CertTimeInfinity), "certificate"},
		{"certificate run out", "@cert-authority * " + line(ca.PublicKey()), certified("127.0.0.1", 1), "expired"},
		{"an authority is no host key", "@cert-authority * " + line(key.PublicKey()), key, "has changed"},
		{"not this one", "*,![127.0.0.1]:* " + line(key.PublicKey()) + "\n* " + line(ca.PublicKey()), key, "has changed"},
	} {
		f := newFake(t, answering(newTree(nil).answer), c.host)
		b := source(t, f.options(), brisk(), known(t, c.lines+"\n"))
		if c.want == "" {
			if b.listable(); t.Failed() {
				t.Fatal(c.name)
			}
		} else if err := b.unlistable(); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestThroughAJumpHost(t *testing.T) {
	t.Parallel()
	jump, s := testenv.OpenSSH(t), testenv.OpenSSH(t)
	through := func(pin ssh.PublicKey) change {
		return func(o *Options, _ *watcher.Settings) {
			j := login(t, jump)
			o.Jump = &Jump{Address: j.Address, Login: j.Login, HostKey: []string{ssh.FingerprintSHA256(pin)}}
		}
	}
	b := onServer(t, s, brisk(), through(jump.HostKeys[ssh.KeyAlgoED25519]))
	b.Write("a.csv", noise(200_000))
	f := b.Listed("a.csv")
	if text, err := b.Content(f); err != nil || text != noise(200_000) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	b.CloseNow(f, done)
	jump.Kick() // and the way is made again
	b.listable()
	closed := testenv.OpenSSH(t, "AllowTcpForwarding no")
	open := jump
	jump = closed
	if err := onServer(t, s, brisk(), through(jump.HostKeys[ssh.KeyAlgoED25519])).unlistable(); !strings.Contains(err.Error(), "must permit forwarding") {
		t.Errorf("got %v", err)
	}
	jump = open
	wrong := onServer(t, s, brisk(), through(newKey(t).PublicKey()))
	if err := wrong.unlistable(); !strings.Contains(err.Error(), "jump host") || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("got %v", err)
	}
}

func TestSHA1IsNotSpoken(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"KexAlgorithms diffie-hellman-group14-sha1", "MACs hmac-sha1\nCiphers aes128-ctr", "HostKeyAlgorithms ssh-rsa"} {
		s := testenv.OpenSSH(t, line)
		b := onServer(t, s, brisk(), func(o *Options, _ *watcher.Settings) {
			o.HostKey = append(o.HostKey, ssh.FingerprintSHA256(s.HostKeys[ssh.KeyAlgoRSA]))
		})
		if err := b.unlistable(); !strings.Contains(err.Error(), "no common algorithm") {
			t.Errorf("%s: got %v", line, err)
		}
	}
	s := testenv.OpenSSH(t, "PubkeyAcceptedAlgorithms ssh-rsa")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	s.Authorize(t, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	b := onServer(t, s, brisk(), func(o *Options, _ *watcher.Settings) { o.Login.Key = armoured(t, key, "") })
	if err := b.unlistable(); !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestOptionsThatCannotWorkAreRefusedByPlace(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	_, ed, err2 := ed25519.GenerateKey(rand.Reader)
	must(t, errors.Join(err, err2))
	good, secret := armoured(t, ed, ""), armoured(t, ed, "secret")
	pin := ssh.FingerprintSHA256(newKey(t).PublicKey())
	var weak bytes.Buffer
	if block, err := ssh.MarshalPrivateKey(small, ""); err == nil {
		must(t, pem.Encode(&weak, block))
	}
	for _, c := range []struct {
		change func(*Options)
		at     string
		want   string
	}{
		{func(o *Options) { o.Address = "" }, "address", "missing"},
		{func(o *Options) { o.Address = "sftp://a/b" }, "address", "URL"},
		{func(o *Options) { o.Address = "u@a" }, "address", "no host"},
		{func(o *Options) { o.Login.User = "" }, "user", "missing"},
		{func(o *Options) { o.Login.Key = "" }, "key", "missing"},
		{func(o *Options) { o.Login.Key = "x" }, "key", "cannot be read"},
		{func(o *Options) { o.Login.Key = "PuTTY-User-Key-File-3: ssh-ed25519" }, "key", "puttygen"},
		{func(o *Options) { o.Login.Key = weak.String() }, "key", "1024 bits"},
		{func(o *Options) { o.Login.Key = secret }, "passphrase", "encrypted"},
		{func(o *Options) { o.Login.Key, o.Login.Passphrase = secret, "wrong" }, "passphrase", "does not open"},
		{func(o *Options) { o.Login.Passphrase = "x" }, "passphrase", "not encrypted"},
		{func(o *Options) { o.Login.Certificate = string(ssh.MarshalAuthorizedKey(newKey(t).PublicKey())) }, "certificate", "no certificate"},
		{func(o *Options) { o.Login = Login{User: "u", Password: "p", Certificate: "x"} }, "certificate", "key"},
		{func(o *Options) { o.HostKey = nil }, "host_key", "missing"},
		{func(o *Options) { o.HostKey = []string{pin, "MD5:00"} }, "host_key[1]", "MD5"},
		{func(o *Options) { o.HostKey = []string{"SHA256:abc"} }, "host_key[0]", "no fingerprint"},
		{func(o *Options) { o.HostKey = []string{"yes"} }, "host_key[0]", "neither"},
		{func(o *Options) { o.Include = []string{"[a"} }, "include[0]", "no pattern"},
		{func(o *Options) { o.Order = "newest" }, "order", "unknown"},
		{func(o *Options) { o.Depth = -1 }, "depth", "less"},
		{func(o *Options) { o.Jump = &Jump{Address: "j", Login: o.Login} }, "jump.host_key", "missing"},
	} {
		o := Options{Address: "a", Login: Login{User: "u", Key: good}, HostKey: []string{pin}}
		if _, problems := New(o, Files{}, watcher.Settings{}, nil, nil); len(problems) > 0 {
			t.Fatalf("what is right is refused: %v", problems)
		}
		c.change(&o)
		_, problems := New(o, Files{}, watcher.Settings{}, nil, nil)
		if len(problems) != 1 || problems[0].Path != c.at || !strings.Contains(problems[0].Text, c.want) {
			t.Errorf("%s, %s: got %v", c.at, c.want, problems)
		}
	}
	o := Options{Address: "a", Login: Login{User: "u", Key: good}}
	if _, problems := New(o, Files{KnownHosts: []byte("b ssh-ed25519 AAAA")}, watcher.Settings{}, nil, nil); len(problems) == 0 || problems[0].Path != "known_hosts" {
		t.Errorf("got %v", problems)
	}
}
