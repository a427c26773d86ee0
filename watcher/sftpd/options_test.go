package sftpd

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func rsaKey(t *testing.T, bits int) ssh.PublicKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return publicOf(t, k)
}

func TestKeysThatAreNoneAreRefusedWithARemedy(t *testing.T) {
	t.Parallel()
	line := func(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }
	ed := line(edKey(t).PublicKey())
	dsa := "ssh-dss AAAAB3NzaC1kc3MAAACBAKR5j4jz1vDKFVXmMYcmSxlJpC4vKGPRm1Xs8mQ1yYHVgqgDl1a2gdfdVfQFKmQ0aU0wqDfZ"
	for text, want := range map[string]string{
		"":                                 "not a public key",
		"nonsense":                         "not a public key",
		dsa:                                "not a public key",
		"-----BEGIN OPENSSH PRIVATE KEY--": "a private key",
		ed + "\n" + ed:                     "several lines",
		`from="10.0.0.1" ` + ed:            "networks",
		line(rsaKey(t, 1024)):              "1024 bits is too weak",
	} {
		var k Key
		if err := k.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %s", text, err, want)
		}
	}
	var k Key
	if err := k.UnmarshalText([]byte("  " + ed + " ops@acme \n")); err != nil || k.Comment != "ops@acme" {
		t.Errorf("%v, %q", err, k.Comment)
	}
}

func TestPartnersWithMistakesAreRefusedWhereTheyStand(t *testing.T) {
	t.Parallel()
	weak := Key{PublicKey: rsaKey(t, 2048)}
	ed := Key{PublicKey: edKey(t).PublicKey()}
	for name, c := range map[string]struct {
		p          Partner
		path, text string
	}{
		"weak key":       {Partner{Keys: []Key{ed, weak}}, "keys[1]", "2048 bits is too weak"},
		"twice":          {Partner{Keys: []Key{ed, ed}}, "keys[1]", "already"},
		"weak authority": {Partner{Authorities: []Authority{{Key: weak}}}, "authorities[0].key", "too weak"},
		"plain password": {Partner{Password: "secret"}, "password", "waybill partner password"},
		"dear password":  {Partner{Password: strings.Replace(cheap("x"), "m=8192", "m=1048576", 1)}, "password", "memory from 8192 to 65536"},
		"cheap password": {Partner{Password: strings.Replace(cheap("x"), "m=8192", "m=8", 1)}, "password", "memory from 8192"},
		"nobody":         {Partner{}, "", "nobody can log in"},
		"quota":          {Partner{Keys: []Key{ed}, Files: -1}, "files", "less than nothing"},
		"drop":           {Partner{Keys: []Key{ed}, Folders: []PickUps{{Path: "in", Right: "drop"}}}, `folders["in"]`, "come from sources"},
		"above":          {Partner{Keys: []Key{ed}, Folders: []PickUps{{Path: "../x", Right: "pick-up"}}}, `folders["../x"]`, "no path below"},
		"inside":         {Partner{Keys: []Key{ed}, Folders: []PickUps{{Path: "a/b"}, {Path: "a"}}}, `folders["a"]`, "not apart"},
	} {
		err := c.p.Validate()
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got string
		for _, part := range err.(interface{ Unwrap() []error }).Unwrap() {
			if l, ok := part.(located); ok {
				got = l.path
			}
		}
		if got != c.path {
			t.Errorf("%s: at %q, want %q", name, got, c.path)
		}
	}
	for name, p := range map[string]Partner{
		"legacy":   {Keys: []Key{weak}, Profile: Legacy},
		"disabled": {Disabled: true},
		"password": {Password: cheap("x")},
	} {
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNetworksAndDaysAreReadStrictly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "203.0.113.0/24": "203.0.113.0/24", "2001:db8::/48": "2001:db8::/48", "::ffff:192.0.2.1": "192.0.2.1/32",
		"203.0.113.7/24": "", "nowhere": "", "fe80::1%eth0": "", "::ffff:192.0.2.0/120": "",
	} {
		var n Network
		if err := n.UnmarshalText([]byte(text)); (err == nil) != (want != "") || want != "" && n.String() != want {
			t.Errorf("%s: %v, %v", text, n, err)
		}
	}
	var e Expiry
	if err := e.UnmarshalText([]byte("2027-06-30")); err != nil || e.over(time.Date(2027, 6, 30, 23, 59, 59, 0, time.UTC)) || !e.over(time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", e, err)
	}
	if err := e.UnmarshalText([]byte("2027-06-30T18:00:00+02:00")); err != nil || !e.over(time.Date(2027, 6, 30, 16, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", e, err)
	}
	if err := e.UnmarshalText([]byte("tomorrow")); err == nil {
		t.Error("tomorrow")
	}
	if (Expiry{}).over(time.Now()) {
		t.Error("never is over")
	}
}

func TestServerOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"2022", "localhost:2022", ":port", ":70000", "1.2.3:22", ": 22"} {
		o := options()
		o.Listen = []string{address}
		if err := o.Validate(); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
	o := options()
	o.Listen = []string{":2022", "127.0.0.1:0", "[::1]:2022"}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}

func TestHashesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	text, err := HashPassword([]byte("a good password"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseHash(text)
	if err != nil || string(h.of([]byte("a good password"))) != string(h.sum) || string(h.of([]byte("a bad password"))) == string(h.sum) {
		t.Errorf("%v", err)
	}
	for _, password := range []string{"short", strings.Repeat("x", 257)} {
		if _, err := HashPassword([]byte(password), rand.Reader); err == nil {
			t.Errorf("%d bytes are taken", len(password))
		}
	}
	for _, bad := range []string{"", "$", "$argon2i$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", strings.Replace(text, "v=19", "v=16", 1), text + "$", text[:len(text)-40]} {
		if _, err := parseHash(bad); err == nil {
			t.Errorf("%.30q is taken", bad)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(cheap("x"))
	f.Add("$argon2id$v=19$m=1,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err == nil && (h.memory > mostMemory || h.time > mostTime || h.threads > mostThreads || len(h.sum) < 16 || len(h.salt) < 8) {
			t.Errorf("%q is taken: %+v", text, h)
		}
	})
}

func TestHostKeysSurviveARestart(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "hostkeys")
	first, err := MakeHostKeys(folder)
	if err != nil {
		t.Fatal(err)
	}
	again, err := MakeHostKeys(folder)
	if err != nil {
		t.Fatal(err)
	}
	for i := range first {
		if first[i].Fingerprint() != again[i].Fingerprint() {
			t.Errorf("another key: %s, then %s", first[i].Fingerprint(), again[i].Fingerprint())
		}
		info, err := os.Stat(first[i].File)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if len(first) != 2 || first[0].PublicKey().Type() != ssh.KeyAlgoED25519 || rsaBits(first[1].PublicKey()) != 3072 {
		t.Errorf("%v", first)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := os.Chmod(first[0].File, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeHostKeys(folder); err == nil || !strings.Contains(err.Error(), "others may read it") {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := os.WriteFile(first[0].File, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(first[0].File, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeHostKeys(folder); err == nil || !strings.Contains(err.Error(), "not a private key") {
		t.Errorf("a key that is damaged is replaced: %v", err)
	}
}

func TestMailboxesOfASourceAreChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    Mailboxes
		good bool
	}{
		"group":   {Mailboxes{Group: "g", Folder: "in"}, true},
		"partner": {Mailboxes{Partner: "p", Folder: "orders/in", Test: "orders/test"}, true},
		"both":    {Mailboxes{Group: "g", Partner: "p", Folder: "in"}, false},
		"none":    {Mailboxes{Folder: "in"}, false},
		"same":    {Mailboxes{Group: "g", Folder: "in", Test: "in"}, false},
		"inside":  {Mailboxes{Group: "g", Folder: "in", Test: "in/test"}, false},
		"hidden":  {Mailboxes{Group: "g", Folder: ".in"}, false},
		"above":   {Mailboxes{Group: "g", Folder: "../in"}, false},
		"root":    {Mailboxes{Group: "g", Folder: "/in"}, false},
		"slashes": {Mailboxes{Group: "g", Folder: "a//b"}, false},
		"control": {Mailboxes{Group: "g", Folder: "a\nb"}, false},
		"empty":   {Mailboxes{Group: "g"}, false},
	} {
		if err := c.m.Validate(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if fmt.Sprint(Overlap("in", "inner"), Overlap("a", "a/b"), Overlap("a/b", "a")) != "false true true" {
		t.Error("overlap")
	}
}
