package sftpd

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
