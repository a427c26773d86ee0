package sftpd

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// publicOf is the public half of a private key.
func publicOf(t *testing.T, private crypto.Signer) ssh.PublicKey {
	t.Helper()
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// privates are keys of the kinds that are taken.
func privates(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]crypto.Signer{"ed25519": ed}
	for name, curve := range map[string]elliptic.Curve{"ecdsa-256": elliptic.P256(), "ecdsa-384": elliptic.P384(), "ecdsa-521": elliptic.P521()} {
		if list[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	if list["rsa-3072"], err = rsa.GenerateKey(rand.Reader, 3072); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestOpenSSHLogsInWithEachKindOfKey(t *testing.T) {
	t.Parallel()
	keys := privates(t)
	var public []ssh.PublicKey
	for _, k := range keys {
		public = append(public, publicOf(t, k))
	}
	h := open(t, nil, partner("acme", nil, public...)) // several at a time: one is rotated
	for name, k := range keys {
		t.Run(name, func(t *testing.T) {
			local := filepath.Join(t.TempDir(), "orders.csv")
			if err := os.WriteFile(local, []byte("no;sku\n1;A\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := h.openssh("put "+local+" /"+name+".csv\nls -l /\n", nil, "-i", keyFile(t, k), "-o", "User=acme")
			if err != nil || !strings.Contains(out, name+".csv") {
				t.Fatalf("%v\n%s", err, out)
			}
			fingerprint := ssh.FingerprintSHA256(publicOf(t, k))
			d := h.journal.wait(t, "login", func(d map[string]any) bool { return d["fingerprint"] == fingerprint })
			if d["partner"] != "acme" || d["method"] != "publickey" || !strings.HasPrefix(d["client"].(string), "SSH-2.0-OpenSSH") || d["address"] == "" {
				t.Errorf("login: %v", d)
			}
		})
	}
	d := h.journal.wait(t, "logout", nil)
	if d["in"].(int64) == 0 || d["out"].(int64) == 0 || d["channels"] != 1 {
		t.Errorf("logout: %v", d)
	}
}

// askpass is a program that answers OpenSSH's question for a password.
func askpass(t *testing.T, password string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "askpass")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+password+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{"SSH_ASKPASS=" + path, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0"}
}

// cheap is a hash that costs as little as one may.
func cheap(password string) string {
	h := phc{memory: 8 << 10, time: 1, threads: 1, salt: []byte("12345678"), sum: make([]byte, 32)}
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=8192,t=1,p=1$%s$%s", enc(h.salt), enc(h.of([]byte(password))))
}

func TestOpenSSHLogsInWithAPassword(t *testing.T) {
	t.Parallel()
	hash, err := HashPassword([]byte("correct horse battery"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, nil, partner("acme", func(p *Partner) { p.Password = hash }))
	if out, err := h.openssh("ls /\n", askpass(t, "correct horse battery"), "-o", "User=acme", "-o", "PubkeyAuthentication=no"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if d := h.journal.wait(t, "login", nil); d["method"] != "password" {
		t.Errorf("login: %v", d)
	}
	out, err := h.openssh("ls /\n", askpass(t, "wrong"), "-o", "User=acme", "-o", "PubkeyAuthentication=no")
	if err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("a wrong password: %v\n%s", err, out)
	}
	if d := h.journal.wait(t, "login refused", nil); d["why"] != "wrong password" || d["partner"] != "acme" {
		t.Errorf("refused: %v", d)
	}
}

// A certificate is signed by OpenSSH's ssh-keygen and used by OpenSSH's sftp.
func TestOpenSSHLogsInWithACertificate(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("OpenSSH's ssh-keygen is not installed, so it is NOT TESTED that certificates log in")
	}
	folder := t.TempDir()
	keygen := func(args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "ssh-keygen", args...)
		c.Dir = folder
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, name := range []string{"ca", "other", "user"} {
		keygen("-q", "-t", "ed25519", "-N", "", "-f", name)
	}
	read := func(name string) Key {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		var k Key
		if err := k.UnmarshalText(text); err != nil {
			t.Fatal(err)
		}
		return k
	}
	ca := read("ca.pub")
	h := open(t, func(c *Config) { c.Now = time.Now },
		partner("acme", func(p *Partner) { p.Authorities = []Authority{{Key: ca}} }),
		partner("bolt", func(p *Partner) { p.Authorities = []Authority{{Key: ca, Principals: []string{"suppliers"}}} }))
	try := func(user string, sign ...string) (string, error) {
		t.Helper()
		keygen(append([]string{"-q"}, append(sign, "user.pub")...)...)
		return h.openssh("ls /\n", nil, "-i", filepath.Join(folder, "user"), "-o", "CertificateFile="+filepath.Join(folder, "user-cert.pub"), "-o", "User="+user)
	}
	for name, sign := range map[string][]string{
		"acme": {"-s", "ca", "-I", "acme-1", "-n", "acme", "-V", "+1h"},
		"bolt": {"-s", "ca", "-I", "bolt-1", "-n", "suppliers,other", "-V", "+1h", "-O", "source-address=127.0.0.0/8"},
	} {
		if out, err := try(name, sign...); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if d := h.journal.wait(t, "login", func(d map[string]any) bool { return d["partner"] == "bolt" }); d["method"] != "certificate" || d["fingerprint"] != ca.Fingerprint() {
		t.Errorf("login: %v", d)
	}
	for name, sign := range map[string][]string{
		"another authority":      {"-s", "other", "-I", "x", "-n", "acme", "-V", "+1h"},
		"another principal":      {"-s", "ca", "-I", "x", "-n", "bolt", "-V", "+1h"},
		"no principal":           {"-s", "ca", "-I", "x", "-V", "+1h"},
		"expired":                {"-s", "ca", "-I", "x", "-n", "acme", "-V", "-2h:-1h"},
		"not yet":                {"-s", "ca", "-I", "x", "-n", "acme", "-V", "+1h:+2h"},
		"a host's":               {"-s", "ca", "-h", "-I", "x", "-n", "acme", "-V", "+1h"},
		"another command":        {"-s", "ca", "-I", "x", "-n", "acme", "-V", "+1h", "-O", "force-command=/bin/sh"},
		"another address":        {"-s", "ca", "-I", "x", "-n", "acme", "-V", "+1h", "-O", "source-address=192.0.2.0/24"},
		"an unknown restriction": {"-s", "ca", "-I", "x", "-n", "acme", "-V", "+1h", "-O", "critical:moon@example.com=full"},
	} {
		if out, err := try("acme", sign...); err == nil || !strings.Contains(out, "Permission denied") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// refused tries a login that must fail, and returns what the client is told.
func (h *house) refused(user string, auth ...ssh.AuthMethod) string {
	h.t.Helper()
	c, err := h.dial(user, auth...)
	if err == nil {
		_ = c.Close()
		h.t.Fatalf("%s is let in", user)
	}
	return err.Error()
}

func TestWhoMayNotLogInGetsOneAnswerForOneHash(t *testing.T) {
	t.Parallel()
	right, other := edKey(t), edKey(t)
	secret := cheap("the right password")
	with2 := func(change func(*Partner)) func(*Partner) {
		return func(p *Partner) { p.Password = secret; change(p) }
	}
	h := build(t, nil,
		partner("fine", with2(func(*Partner) {}), right.PublicKey()),
		partner("keys-only", nil, right.PublicKey()),
		partner("disabled", with2(func(p *Partner) { p.Disabled = true }), right.PublicKey()),
		partner("expired", with2(func(p *Partner) { p.Expires.Time = newClock().now() }), right.PublicKey()),
		partner("elsewhere", with2(func(p *Partner) { p.Networks = []Network{network("192.0.2.0/24")} }), right.PublicKey()))
	var hashed atomic.Int32
	h.server.passwords.work = func(p phc, password []byte) []byte {
		hashed.Add(1)
		return p.of(password)
	}
	h.start()
	byKey := h.refused("fine", with(other))
	byPassword := h.refused("fine", ssh.Password("not the right one"))
	hashed.Store(0)
	for i, name := range []string{"nobody", "disabled", "expired", "elsewhere", "", "no\x00body"} {
		for _, password := range []string{"the right password", "not the right one"} {
			if got := h.refused(name, ssh.Password(password)); got != byPassword {
				t.Errorf("%q, password: %s, want %s", name, got, byPassword)
			}
		}
		if got := h.refused(name, with(right)); got != byKey {
			t.Errorf("%q, key: %s, want %s", name, got, byKey)
		}
		if n, want := int(hashed.Load()), 2*(i+1); n != want {
			t.Errorf("%q: %d passwords were hashed, want %d", name, n, want)
		}
	}
	if got := h.refused("keys-only", ssh.Password("the right password")); got != byPassword || hashed.Load() != 13 {
		t.Errorf("keys only: %s, %d hashed", got, hashed.Load())
	}
	if got := h.refused("fine", ssh.Password(strings.Repeat("x", 257))); got != byPassword || hashed.Load() != 13 {
		t.Errorf("a long password: %s, %d hashed", got, hashed.Load())
	}
	for _, auth := range []ssh.AuthMethod{with(right), ssh.Password("the right password")} {
		c, err := h.dial("fine", auth)
		if err != nil {
			t.Fatal(err)
		}
		works(t, c)
	}
	if d := h.journal.wait(t, "login refused", func(d map[string]any) bool { return d["partner"] == `no\u0000body` }); d["why"] != "unknown partner" {
		t.Errorf("refused: %v", d)
	}
}

// Whose agent has keys for other servers is asked for his password all the same; and passwords are guessed three times at most.
func TestKeysForOthersLeaveTriesForAPassword(t *testing.T) {
	t.Parallel()
	h := open(t, nil, partner("acme", func(p *Partner) { p.Password = cheap("correct horse battery") }))
	asked := 0
	login := func(keys int, passwords ...string) string {
		var strangers []ssh.Signer
		for range keys {
			strangers = append(strangers, edKey(t))
		}
		asked = 0
		next := ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
			asked++
			return passwords[min(asked, len(passwords))-1], nil
		}), 10)
		c, err := h.dial("acme", with(strangers...), next)
		if err != nil {
			return err.Error()
		}
		_ = c.Close()
		return ""
	}
	for keys := range mostTries {
		if got := login(keys, "correct horse battery"); got != "" {
			t.Errorf("after %d keys: %s", keys, got)
		}
	}
	if got := login(0, "wrong", "wrong", "wrong", "correct horse battery"); got == "" || asked != mostPasswords+1 {
		t.Errorf("%d passwords: %q", asked, got)
	}
}

func TestWithoutPasswordsNoneIsAskedFor(t *testing.T) {
	t.Parallel()
	h := open(t, nil, partner("acme", nil, edKey(t).PublicKey()))
	if got := h.refused("acme", ssh.Password("anything at all")); strings.Contains(got, "password") {
		t.Errorf("told: %s", got)
	}
}

func TestOldClientsLogInWhereTheyMay(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(small)
	if err != nil {
		t.Fatal(err)
	}
	sha1, err := ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, nil,
		partner("old", func(p *Partner) { p.Profile = Legacy }, signer.PublicKey()),
		partner("new", nil, signer.PublicKey()))
	try := func(address, user string) error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{with(sha1)},
			HostKeyCallback: ssh.FixedHostKey(h.keys[1].PublicKey()), HostKeyAlgorithms: []string{ssh.KeyAlgoRSA},
			Config: ssh.Config{KeyExchanges: []string{ssh.InsecureKeyExchangeDH14SHA1}, Ciphers: []string{ssh.CipherAES128CTR}, MACs: []string{ssh.HMACSHA1}}})
		if err != nil {
			_ = conn.Close()
			return err
		}
		client := ssh.NewClient(c, channels, requests)
		defer func() { _ = client.Close(); _ = client.Wait() }()
		works(t, client)
		return nil
	}
	if err := try(h.legacy, "old"); err != nil {
		t.Errorf("an old client at legacy_listen: %v", err)
	}
	if d := h.journal.wait(t, "login", nil); d["legacy"] != true || d["partner"] != "old" {
		t.Errorf("login: %v", d)
	}
	if err := try(h.legacy, "new"); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("a partner that is not legacy: %v", err)
	}
	var negotiation *ssh.AlgorithmNegotiationError
	if err := try(h.address, "old"); !errors.As(err, &negotiation) {
		t.Errorf("an old client at listen: %v", err)
	}
	// His client may be new and his key too short: that is taken where it is noted.
	if got := h.refused("old", with(signer)); !strings.Contains(got, "unable to authenticate") {
		t.Errorf("a short key at listen: %s", got)
	}
	if d := h.journal.wait(t, "login refused", func(d map[string]any) bool { return d["partner"] == "old" }); !strings.Contains(fmt.Sprint(d["why"]), "2048 bits is too weak") {
		t.Errorf("refused: %v", d)
	}
	if s := h.server.Status(); s.Legacy != 1 || len(s.LegacyListen) != 1 {
		t.Errorf("status: %+v", s)
	}
}

func TestSessionsOfOnePartnerAreBounded(t *testing.T) {
	t.Parallel()
	key, other := edKey(t), edKey(t)
	h := open(t, func(c *Config) { c.Options.Sessions = 3 }, partner("acme", nil, key.PublicKey()), partner("bolt", nil, other.PublicKey()))
	var open []*ssh.Client
	for range 3 {
		c, err := h.dial("acme", with(key))
		if err != nil {
			t.Fatal(err)
		}
		works(t, c)
		open = append(open, c)
	}
	c, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.NewSession()
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != ssh.ResourceShortage || !strings.Contains(refused.Message, "3 are open") {
		t.Errorf("the fourth: %v", err)
	}
	_ = c.Close()
	if c, err = h.dial("bolt", with(other)); err != nil {
		t.Fatal(err)
	}
	works(t, c)
	_ = open[0].Close()
	h.journal.wait(t, "logout", nil)
	if c, err = h.dial("acme", with(key)); err != nil {
		t.Fatal(err)
	}
	works(t, c)
}

// A partner who has all his sessions and logs in on and on does not gather connections that wait to be told so.
func TestConnectionsThatAreNotServedAreBounded(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, func(c *Config) { c.Options.Sessions, c.Options.PerAddress = 1, 100 }, partner("acme", nil, key.PublicKey()))
	dial := func() *ssh.Client {
		c, err := h.dial("acme", with(key))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	works(t, dial())
	ended := make(chan struct{}, mostHearing+1)
	for range mostHearing + 1 {
		c := dial()
		go func() {
			_ = c.Wait()
			ended <- struct{}{}
		}()
	}
	select {
	case <-ended: // one was too many
	case <-time.After(hearing / 2):
		t.Errorf("more than %d are kept", mostHearing)
	}
	h.journal.wait(t, "login refused", func(d map[string]any) bool { return d["reason"] == "not served" })
}

func TestAReloadEndsSessionsThatMayNotGoOn(t *testing.T) {
	t.Parallel()
	stays, old, gone, off, moved := edKey(t), edKey(t), edKey(t), edKey(t), edKey(t)
	staying := partner("stays", nil, stays.PublicKey(), old.PublicKey())
	moving := partner("moved", nil, moved.PublicKey())
	h := open(t, nil, staying, moving, partner("gone", nil, gone.PublicKey()), partner("off", nil, off.PublicKey()))
	clients := map[string]*ssh.Client{}
	for name, key := range map[string]ssh.Signer{"stays": stays, "gone": gone, "off": off, "moved": moved} {
		c, err := h.dial(name, with(key))
		if err != nil {
			t.Fatal(err)
		}
		works(t, c)
		clients[name] = c
	}
	rotated, err := h.dial("stays", with(old))
	if err != nil {
		t.Fatal(err)
	}
	works(t, rotated)
	for _, s := range h.files.sessions() {
		if s.Account.Name == "moved" {
			h.files.mu.Lock()
			h.files.busy[s.ID] = true
			h.files.mu.Unlock()
		}
	}
	h.server.SetRoster(NewRoster([]Member{
		partner("stays", nil, stays.PublicKey()),
		partner("off", func(p *Partner) { p.Disabled = true }, off.PublicKey()),
		NewMember("moved", moving.Partner, []Folder{{Path: "elsewhere", Right: Drop, Source: "drop"}}),
	}))
	for name, why := range map[string]string{"gone": "unknown partner", "off": "disabled", "stays": "the key was removed"} {
		if d := h.journal.wait(t, "logout", func(d map[string]any) bool { return d["partner"] == name }); d["reason"] != why {
			t.Errorf("%s: %v", name, d)
		}
	}
	works(t, clients["stays"])
	works(t, clients["moved"]) // an upload is in progress
	h.files.mu.Lock()
	clear(h.files.busy)
	h.files.mu.Unlock()
	if d := h.journal.wait(t, "logout", func(d map[string]any) bool { return d["partner"] == "moved" }); d["reason"] != "the configuration has changed" {
		t.Errorf("moved: %v", d)
	}
	works(t, clients["stays"])
}

func TestAnAccessThatEndsEndsItsSession(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, func(c *Config) { c.Limits.Look = 5 * time.Millisecond },
		partner("acme", func(p *Partner) { p.Expires.Time = newClock().now().Add(time.Minute) }, key.PublicKey()))
	c, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	h.clock.add(time.Minute)
	if d := h.journal.wait(t, "logout", nil); d["reason"] != "expired" {
		t.Errorf("logout: %v", d)
	}
	h.refused("acme", with(key))
}

func TestTheServerEndsGracefully(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, nil, partner("acme", nil, key.PublicKey()))
	idle, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	works(t, idle)
	busy, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sftp.NewClient(busy)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create("/big")
	if err != nil {
		t.Fatal(err)
	}
	served := h.files.sessions()
	h.files.mu.Lock()
	h.files.busy[served[len(served)-1].ID] = true
	h.files.mu.Unlock()
	h.stop()
	if d := h.journal.wait(t, "logout", nil); d["reason"] != "the server ends" {
		t.Errorf("the idle one: %v", d)
	}
	if _, err := net.Dial("tcp", h.address); err == nil {
		t.Error("it still listens")
	}
	if _, err := f.Write([]byte("the rest")); err != nil {
		t.Errorf("the upload in progress: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("the upload in progress: %v", err)
	}
	select {
	case <-h.ended:
		t.Error("it has not waited")
	default:
	}
	h.files.mu.Lock()
	clear(h.files.busy)
	h.files.mu.Unlock()
	<-h.ended
}

func TestGraceEnds(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	files := newMemory()
	s, err := New(Config{Options: options(), HostKeys: open(t, nil).keys, Roster: NewRoster([]Member{partner("acme", nil, key.PublicKey())}), Files: files,
		Journal: newJournal(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), []string{"127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, l, nil, 50*time.Millisecond) }()
	h := &house{t: t, address: l[0].Addr().String(), keys: s.HostKeys}
	c, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	files.mu.Lock()
	files.busy[files.served[0].ID] = true // for ever
	files.mu.Unlock()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
