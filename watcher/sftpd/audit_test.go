package sftpd

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What ssh-audit of Debian 12 (2.5.0, of 2021) does not know yet.
var unknownToAudit = []string{"mlkem768x25519-sha256", "kex-strict-s-v00@openssh.com"}

// audited is one algorithm in ssh-audit's JSON: a name alone, or more, as the version goes.
type audited struct {
	Algorithm string `json:"algorithm"`
	Notes     struct {
		Fail []string `json:"fail"`
		Warn []string `json:"warn"`
	} `json:"notes"`
}

func (a *audited) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, &a.Algorithm)
	}
	type plain audited
	return json.Unmarshal(text, (*plain)(a))
}

func TestS2SSHAuditFindsNothing(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("ssh-audit")
	if err != nil {
		t.Skip("ssh-audit is not installed, so it is NOT TESTED that it finds nothing")
	}
	h := open(t, nil)
	host, port, _ := net.SplitHostPort(h.address)
	c := exec.CommandContext(t.Context(), program, "--json", "-p", port, host)
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := c.Output()
	if len(out) == 0 {
		t.Fatalf("ssh-audit: %v", err)
	}
	var report struct {
		Kex []audited `json:"kex"`
		Key []audited `json:"key"`
		Enc []audited `json:"enc"`
		Mac []audited `json:"mac"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(report.Kex) < 3 || len(report.Key) < 3 || len(report.Enc) < len(ciphers(doesAES())) || len(report.Mac) < 2 {
		t.Fatalf("this is not all:\n%s", out)
	}
	for _, list := range [][]audited{report.Kex, report.Key, report.Enc, report.Mac} {
		for _, a := range list {
			if (len(a.Notes.Fail) > 0 || len(a.Notes.Warn) > 0) && !slices.Contains(unknownToAudit, a.Algorithm) {
				t.Errorf("%s: %+v", a.Algorithm, a.Notes)
			}
		}
	}
	// The text has the judgement in all versions.
	c = exec.CommandContext(t.Context(), program, "--no-colors", "--level=warn", "-p", port, host)
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	text, _ := c.CombinedOutput() // its status repeats what it says
	for line := range strings.Lines(string(text)) {
		known := !slices.ContainsFunc(unknownToAudit, func(name string) bool { return strings.Contains(line, name) })
		known = known || !strings.Contains(line, "unknown algorithm")
		if known && (strings.Contains(line, "[fail]") || strings.Contains(line, "[warn]")) {
			t.Error(strings.TrimSpace(line))
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}

// A flood of connections that never log in, from a few addresses and from many, does not keep a partner out.
func TestS1AFloodDoesNotKeepAPartnerOut(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	key := edKey(t)
	h := open(t, func(c *Config) { c.Options.LoginTime = 10 * time.Second }, partner("acme", nil, key.PublicKey()))
	stop := make(chan struct{})
	var flood sync.WaitGroup
	silent := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
		c, err := d.Dial("tcp", h.address)
		if err != nil {
			return nil
		}
		return c
	}
	// 200 that say nothing, from 40 addresses; what is sent away comes again.
	for i := range 200 {
		flood.Go(func() {
			from := "127.0.1." + strconv.Itoa(1+i%40)
			for {
				c := silent(from)
				if c != nil {
					_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
					buffer := make([]byte, 256)
					for {
						if _, err := c.Read(buffer); err != nil {
							break
						}
					}
					_ = c.Close()
				}
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	// Hostile handshakes, about 50 a second: each pays for a key exchange and a wrong key.
	flood.Go(func() {
		wrong := edKey(t)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if c, err := h.dialFrom("127.0.2."+strconv.Itoa(1+i%200), h.address, "acme", with(wrong)); err == nil {
				_ = c.Close()
				t.Error("a wrong key logs in")
			}
		}
	})
	var took []time.Duration
	most := 0
	for range 40 {
		start := time.Now()
		c, err := h.dialFrom("127.0.3.1", h.address, "acme", with(key))
		if err != nil {
			t.Errorf("the partner: %v", err)
			break
		}
		took = append(took, time.Since(start))
		works(t, c)
		_ = c.Close()
		most = max(most, h.server.Status().LoggingIn)
	}
	close(stop)
	h.end() // ends what is silent
	flood.Wait()
	slices.Sort(took)
	if len(took) > 0 {
		t.Logf("%d logins: median %s, slowest %s; at most %d were logging in", len(took), took[len(took)/2], took[len(took)-1], most)
	}
	if len(took) < 40 || most > 100 {
		t.Errorf("%d logins, at most %d logging in", len(took), most)
	}
	if notes := len(h.journal.all("login refused")); notes > 3*(denialsEach+1) {
		t.Errorf("%d refusals are noted one by one", notes)
	}
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, func(c *Config) { c.Options.PerAddress = 3 }, partner("acme", nil, key.PublicKey()))
	for range 3 {
		c := h.raw("")
		if _, err := c.Read(make([]byte, 1)); err != nil { // it has its place
			t.Fatal(err)
		}
	}
	if got := ends(t, h.raw("")); !strings.HasPrefix(got, "Not allowed at this time") {
		t.Errorf("the fourth: %q", got)
	}
	c, err := h.dialFrom("127.0.0.2", h.address, "acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
}

func TestAFullGateMakesRoomForWhoHasFewest(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, func(c *Config) { c.Options.Logins = 4; c.Options.Exempt = nil }, partner("acme", nil, key.PublicKey()))
	var crowd []net.Conn
	for range 4 {
		c := h.raw("127.0.0.5")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, c)
	}
	c, err := h.dialFrom("127.0.0.6", h.address, "acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	ends(t, crowd[0])
	if d := h.journal.wait(t, "login refused", nil); d["reason"] != "gave way to other connections" {
		t.Errorf("%v", d)
	}
	h.end()
	if n := len(h.server.penalties.by); n != 0 {
		t.Error("who gave way has a penalty")
	}
}
