package sftpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// The names of these tests are the numbers of the hostile inputs that waybill promises to bear.

// raw connects without a word.
func (h *house) raw(from string) net.Conn {
	h.t.Helper()
	d := net.Dialer{}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.DialContext(h.t.Context(), "tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// ends waits until the other side has ended the connection, and returns what came.
func ends(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_, err := io.Copy(&b, c)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Fatalf("the connection is not ended; %d bytes came", b.Len())
	}
	return b.String()
}

func Test46WhoSaysNothingIsSentAway(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *Config) { c.Options.LoginTime = time.Second; c.Options.Exempt = nil })
	silent, slow := h.raw(""), h.raw("127.0.0.2")
	if _, err := slow.Write([]byte("S")); err != nil {
		t.Fatal(err)
	}
	if got := ends(t, silent); !strings.HasPrefix(got, "SSH-2.0-waybill\r\n") {
		t.Errorf("%q", got)
	}
	ends(t, slow)
	h.journal.wait(t, "login refused", func(d map[string]any) bool { return d["reason"] == "too slow" })
	for range 2 { // 10 s each
		for end := time.Now().Add(patience); ; {
			h.server.penalties.mu.Lock()
			p := h.server.penalties.by[block(address("127.0.0.1"))]
			h.server.penalties.mu.Unlock()
			if !p.until.IsZero() {
				break
			}
			if time.Now().After(end) {
				t.Fatal("no penalty")
			}
			runtime.Gosched()
		}
	}
}

func Test46ABannerWithoutEndIsCut(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	for name, text := range map[string]string{
		"no newline":         strings.Repeat("A", 1<<20),
		"lines without end":  strings.Repeat("hello\n", 1<<18),
		"a version too long": "SSH-2.0-" + strings.Repeat("A", 1<<20) + "\n",
		"HTTP":               "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x\n", 2000),
		"protocol 1":         "SSH-1.5-old\n" + strings.Repeat("\x00", 1<<16),
		"a packet too long":  "SSH-2.0-x\r\n\xff\xff\xff\xff" + strings.Repeat("\x00", 1<<16),
		"a packet of zeros":  "SSH-2.0-x\r\n" + strings.Repeat("\x00", 1<<16),
	} {
		c := h.raw("")
		go func() { _, _ = io.WriteString(c, text) }() // it is cut
		got := ends(t, c)
		if len(got) > 4096 {
			t.Errorf("%s: %d bytes came back", name, len(got))
		}
	}
}

// an offer is a signer of a key that is not there: its client asks whether it would be taken, and never signs.
type offer struct{ key ssh.PublicKey }

func (o offer) PublicKey() ssh.PublicKey { return o.key }

func (o offer) Algorithms() []string { return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoED25519} }

func (o offer) SignWithAlgorithm(io.Reader, []byte, string) (*ssh.Signature, error) {
	return nil, errors.New("no private key")
}

func (o offer) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	return nil, errors.New("no private key")
}

func Test47HugeKeysAreRefused(t *testing.T) {
	t.Parallel()
	rsaOf := func(bits int) ssh.PublicKey {
		n := make([]byte, bits/8)
		_, _ = rand.Read(n) // never fails
		n[0] |= 0x80
		n[len(n)-1] |= 1
		w := ssh.Marshal(struct {
			Name string
			E, N []byte
		}{ssh.KeyAlgoRSA, []byte{1, 0, 1}, append([]byte{0}, n...)})
		key, err := ssh.ParsePublicKey(w)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	var members []Member
	keys := map[int]ssh.PublicKey{}
	for _, bits := range []int{1024, 2048, 3064, 8200, 16384} {
		keys[bits] = rsaOf(bits)
		// Even if it got into the configuration.
		members = append(members, partner(fmt.Sprintf("p%d", bits), nil, keys[bits]))
	}
	h := open(t, nil, members...)
	for bits, key := range keys {
		if got := h.refused(fmt.Sprintf("p%d", bits), with(offer{key})); !strings.Contains(got, "unable to authenticate") {
			t.Errorf("%d bits: %s", bits, got)
		}
	}
	if d := h.journal.wait(t, "login refused", func(d map[string]any) bool { return d["partner"] == "p16384" }); !strings.Contains(fmt.Sprint(d["why"]), "16384 bits is too long") {
		t.Errorf("%v", d)
	}
}

// A holder offers a victim's key, of which it has no private half, before its own.
func Test48WhoOffersAKeyIsNotWhoHoldsIt(t *testing.T) {
	t.Parallel()
	victim, own := edKey(t), edKey(t)
	h := open(t, nil, partner("acme", nil, victim.PublicKey(), own.PublicKey()), partner("mallory", nil, own.PublicKey()))
	c, err := h.dial("acme", ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return []ssh.Signer{own}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	if d := h.journal.wait(t, "login", nil); d["fingerprint"] != ssh.FingerprintSHA256(own.PublicKey()) {
		t.Errorf("the login is of another key: %v", d)
	}
	// The packets themselves: ask about the victim's key, then sign with one's own.
	e := &examiner{s: h.server, ctx: t.Context(), address: address("127.0.0.1"), end: func() {}}
	config := e.config()
	m := metadata{user: "acme"}
	if _, err := config.PublicKeyCallback(m, victim.PublicKey()); err != nil {
		t.Fatal(err)
	}
	asked, err := config.PublicKeyCallback(m, own.PublicKey())
	if err != nil || proven(asked) != nil {
		t.Errorf("an offer proves a login: %v, %v", asked, err)
	}
	p, err := config.VerifiedPublicKeyCallback(m, own.PublicKey(), asked, ssh.KeyAlgoED25519)
	if err != nil || proven(p).fingerprint != ssh.FingerprintSHA256(own.PublicKey()) {
		t.Errorf("%v, %v", p, err)
	}
	if _, err := config.VerifiedPublicKeyCallback(metadata{user: "mallory"}, victim.PublicKey(), asked, ssh.KeyAlgoED25519); err == nil {
		t.Error("a key that is verified for another name logs in")
	}
}

type metadata struct {
	ssh.ConnMetadata
	user string
}

func (m metadata) User() string        { return m.user }
func (metadata) ClientVersion() []byte { return []byte("SSH-2.0-test") }

func Test48ManyOffersAreTooMany(t *testing.T) {
	t.Parallel()
	keys := make([]ssh.Signer, 30)
	members := make([]ssh.PublicKey, len(keys))
	for i := range keys {
		k := edKey(t)
		keys[i], members[i] = offer{k.PublicKey()}, k.PublicKey()
	}
	// Each is right, and is never signed with.
	h := open(t, nil, partner("acme", nil, members...))
	e := &examiner{s: h.server, ctx: t.Context(), address: address("127.0.0.1")}
	ended := false
	e.end = func() { ended = true }
	config := e.config()
	for i, k := range keys {
		_, err := config.PublicKeyCallback(metadata{user: "acme"}, k.PublicKey())
		if (err != nil) != (i >= mostAttempts) || ended != (i >= mostAttempts) {
			t.Fatalf("offer %d: %v, ended %v", i+1, err, ended)
		}
	}
	var strangers []ssh.Signer
	for range 10 {
		strangers = append(strangers, edKey(t))
	}
	if got := h.refused("acme", with(strangers...)); !strings.Contains(got, "too many authentication failures") && !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
		t.Errorf("ten wrong keys: %s", got)
	}
}

// sign makes a certificate.
func sign(t *testing.T, ca ssh.Signer, key ssh.Signer, change func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	c := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.UserCert, KeyId: "id", ValidPrincipals: []string{"acme"}, ValidBefore: ssh.CertTimeInfinity}
	change(c)
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func Test49RestrictionsOfCertificatesAreKept(t *testing.T) {
	t.Parallel()
	ca, key := edKey(t), edKey(t)
	h := open(t, nil, partner("acme", func(p *Partner) { p.Authorities = []Authority{{Key: Key{PublicKey: ca.PublicKey()}}} }))
	from := func(addresses string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": addresses} }
	}
	for name, change := range map[string]func(*ssh.Certificate){
		"another address":      from("192.0.2.0/24"),
		"no address":           from(""),
		"not an address":       from("localhost"),
		"another command":      func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "rm -rf /"} },
		"no principal":         func(c *ssh.Certificate) { c.ValidPrincipals = nil },
		"a host's":             func(c *ssh.Certificate) { c.CertType = ssh.HostCert },
		"no longer":            func(c *ssh.Certificate) { c.ValidBefore = uint64(newClock().now().Unix()) },
		"not yet":              func(c *ssh.Certificate) { c.ValidAfter = uint64(newClock().now().Unix()) + 1 },
		"for ever and a day":   func(c *ssh.Certificate) { c.ValidAfter = 1 << 63 },
		"a touch that is none": func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"verify-required": ""} },
	} {
		h.refused("acme", with(sign(t, ca, key, change)))
		_ = name
	}
	for name, change := range map[string]func(*ssh.Certificate){
		"plain":        func(*ssh.Certificate) {},
		"this address": from("192.0.2.0/24,127.0.0.1"),
		"SFTP":         func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "internal-sftp"} },
	} {
		c, err := h.dial("acme", with(sign(t, ca, key, change)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		works(t, c)
	}
	forged := sign(t, ca, key, func(*ssh.Certificate) {})
	forged.PublicKey().(*ssh.Certificate).KeyId = "forged"
	h.refused("acme", with(forged))
}

func Test50PasswordsAreHashedAFewAtATime(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	var mu sync.Mutex
	now, most := 0, 0
	begun, release := make(chan struct{}, 1000), make(chan struct{})
	p.work = func(phc, []byte) []byte {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		begun <- struct{}{}
		<-release
		mu.Lock()
		now--
		mu.Unlock()
		return nil
	}
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for range 500 {
		wg.Go(func() {
			_, err := p.check(t.Context(), phc{sum: []byte{1}}, nil)
			errs <- err
		})
	}
	for range 500 - passwordsAtOnce - passwordsWaiting { // those that find no place do not wait
		if err := <-errs; !errors.Is(err, errBusy) {
			t.Fatal(err)
		}
	}
	close(release)
	wg.Wait()
	if most != passwordsAtOnce || len(begun) != passwordsAtOnce+passwordsWaiting {
		t.Errorf("%d at once, %d in all", most, len(begun))
	}
	ctx, cancel := context.WithCancel(t.Context())
	p.working <- struct{}{}
	p.working <- struct{}{}
	cancel()
	if _, err := p.check(ctx, phc{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func Test51OnlySFTPIsSpoken(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, nil, partner("acme", nil, key.PublicKey()))
	c, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com", "x11", "auth-agent@openssh.com", "forwarded-tcpip", ""} {
		_, _, err := c.OpenChannel(kind, nil)
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
			t.Errorf("channel %q: %v", kind, err)
		}
	}
	for _, request := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "no-such-thing"} {
		if ok, _, err := c.SendRequest(request, true, ssh.Marshal(struct {
			Host string
			Port uint32
		}{"", 0})); ok || err != nil {
			t.Errorf("request %s: %v, %v", request, ok, err)
		}
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) []byte { return ssh.Marshal(struct{ S string }{s}) }
	for request, payload := range map[string][]byte{
		"exec": text("id"), "shell": nil, "pty-req": text("xterm"), "env": text("LD_PRELOAD"), "x11-req": nil, "auth-agent-req@openssh.com": nil, "signal": text("KILL"),
	} {
		if ok, err := s.SendRequest(request, true, payload); ok || err != nil {
			t.Errorf("%s: %v, %v", request, ok, err)
		}
	}
	for _, subsystem := range []string{"shell", "", "sftp\x00", "SFTP", "netconf"} {
		if ok, err := s.SendRequest("subsystem", true, text(subsystem)); ok || err != nil {
			t.Errorf("subsystem %q: %v, %v", subsystem, ok, err)
		}
	}
	if ok, err := s.SendRequest("subsystem", true, text("sftp")); !ok || err != nil {
		t.Errorf("subsystem sftp: %v, %v", ok, err)
	}
	if ok, err := s.SendRequest("subsystem", true, text("sftp")); ok || err != nil {
		t.Errorf("a second subsystem on one channel: %v, %v", ok, err)
	}
	_ = s.Close()
	works(t, c)
}

func Test52ChannelsAreBounded(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, nil, partner("acme", nil, key.PublicKey()))
	c, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	taken, refusals := 0, 0
	for range 10_000 {
		_, requests, err := c.OpenChannel("session", nil)
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			refusals++
			continue
		}
		if err != nil {
			break // ended
		}
		go ssh.DiscardRequests(requests)
		taken++
	}
	if taken != 10 || refusals != 100 {
		t.Errorf("%d channels, then %d refused", taken, refusals)
	}
	if d := h.journal.wait(t, "logout", nil); d["reason"] != "too many channels were refused" {
		t.Errorf("%v", d)
	}
}

func Test52AStormOfRequestsAndKeysIsBorne(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, nil, partner("acme", nil, key.PublicKey()))
	conn := h.raw("")
	c, channels, requests, err := ssh.NewClientConn(conn, h.address, &ssh.ClientConfig{User: "acme", Auth: []ssh.AuthMethod{with(key)},
		HostKeyCallback: ssh.FixedHostKey(h.keys[0].PublicKey()), HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		Config: ssh.Config{RekeyThreshold: 256}}) // new keys after each few packets
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, channels, requests)
	for range 200 {
		if ok, _, err := client.SendRequest("storm", true, make([]byte, 200)); ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
	}
	works(t, client)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	_ = client.Wait()
}

// A client without strict key exchange could be robbed of packets; one that asks for it must get it.
func Test53KeyExchangeIsStrict(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	for _, at := range []string{h.address, h.legacy} {
		kex := kexinit(t, at)
		if !slices.Contains(kex[0], "kex-strict-s-v00@openssh.com") {
			t.Errorf("%s: no strict key exchange: %v", at, kex[0])
		}
	}
	got := kexinit(t, h.address)
	for i, want := range [][]string{
		{"mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org"},
		{"ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"},
		ciphers(doesAES()), ciphers(doesAES()),
		{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"},
		{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"},
		{"none"}, {"none"},
	} {
		names := slices.DeleteFunc(got[i], func(n string) bool { return strings.HasPrefix(n, "kex-strict") || n == "ext-info-s" })
		slices.Sort(names)
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("list %d: %v, want %v", i, names, want)
		}
	}
}

func TestChaCha20IsOfferedWhereTheProcessorHasNoAES(t *testing.T) {
	t.Parallel()
	const chacha = "chacha20-poly1305@openssh.com"
	aes := []string{"aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr"}
	if got := ciphers(true); !slices.Equal(got, aes) {
		t.Error(got)
	}
	if got := ciphers(false); !slices.Equal(got, append(aes, chacha)) {
		t.Error(got)
	}
}

// Packets slipped in before the keys are agreed on end a strict key exchange.
func Test53APacketSlippedInEndsTheConnection(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	c := h.raw("")
	var b bytes.Buffer
	b.WriteString("SSH-2.0-test\r\n")
	packet := func(payload []byte) {
		padding := 8 - (len(payload)+5)%8 + 8
		_ = binary.Write(&b, binary.BigEndian, uint32(len(payload)+padding+1)) // never fails
		b.WriteByte(byte(padding))
		b.Write(payload)
		b.Write(make([]byte, padding))
	}
	packet(append([]byte{2}, 0, 0, 0, 0)) // IGNORE before KEXINIT: one packet that a man in the middle adds
	list := func(names string) []byte { return ssh.Marshal(struct{ S string }{names}) }
	kex := append([]byte{20}, make([]byte, 16)...)
	for _, names := range []string{"curve25519-sha256,kex-strict-c-v00@openssh.com", "ssh-ed25519", "aes256-gcm@openssh.com", "aes256-gcm@openssh.com", "", "", "none", "none", "", ""} {
		kex = append(kex, list(names)...)
	}
	packet(append(kex, 0, 0, 0, 0, 0))
	if _, err := c.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	ends(t, c)
}

// kexinit reads the algorithms that a server offers.
func kexinit(t *testing.T, address string) (lists [][]string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "SSH-2.0-test\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:4])-1)
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	for rest := body[17:]; len(lists) < 8; {
		n := binary.BigEndian.Uint32(rest)
		lists = append(lists, strings.Split(string(rest[4:4+n]), ","))
		rest = rest[4+n:]
	}
	return lists
}

func TestAPeerThatDoesNotAnswerIsEnded(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, func(c *Config) {
		c.Limits.Look = 5 * time.Millisecond
		c.Options.Idle = 1000 * time.Hour // it is ended for another reason
	}, partner("acme", nil, key.PublicKey()))
	near, far := net.Pipe()
	tcp := h.raw("")
	deaf := make(chan struct{})
	go func() { // what the server says is kept back from the client once it is deaf
		buffer := make([]byte, 32<<10)
		for {
			n, err := tcp.Read(buffer)
			if err != nil {
				_ = far.Close()
				return
			}
			select {
			case <-deaf:
			default:
				_, _ = far.Write(buffer[:n])
			}
		}
	}()
	go func() { _, _ = io.Copy(tcp, far) }()
	c, channels, requests, err := ssh.NewClientConn(near, h.address, &ssh.ClientConfig{User: "acme", Auth: []ssh.AuthMethod{with(key)},
		HostKeyCallback: ssh.FixedHostKey(h.keys[0].PublicKey()), HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, channels, requests)
	works(t, client)
	close(deaf)
	for len(h.journal.all("logout")) == 0 {
		h.clock.add(time.Minute)
		select {
		case <-h.journal.more:
		case <-time.After(20 * time.Millisecond): // until it is looked again
		}
	}
	if d := h.journal.wait(t, "logout", nil); d["reason"] != "the peer does not answer" {
		t.Errorf("%v", d)
	}
	_ = client.Close()
	_ = client.Wait()
}

func TestASessionInWhichNothingMovesIsEnded(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, func(c *Config) { c.Limits.Look = 5 * time.Millisecond }, partner("acme", nil, key.PublicKey()))
	c, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	for range 10 {
		h.clock.add(59 * time.Second)
		works(t, c) // it moves
	}
	for len(h.journal.all("logout")) == 0 { // a look may just now have seen the last bytes
		h.clock.add(10 * time.Minute)
		select {
		case <-h.journal.more:
		case <-time.After(20 * time.Millisecond):
		}
	}
	if d := h.journal.wait(t, "logout", nil); d["reason"] != "nothing moved for 10m0s" {
		t.Errorf("%v", d)
	}
}

func TestAPeerThatDoesNotReadIsEnded(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	l := &line{Conn: near, limit: 20 * time.Millisecond}
	if _, err := l.Write([]byte("nobody reads this")); err == nil {
		t.Error("written")
	}
	if _, err := far.Write([]byte("x")); err == nil {
		t.Error("the connection is still there")
	}
}
