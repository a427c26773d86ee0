package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// login opens an SFTP session with the server's own key.
func login(t *testing.T, s *SSHD) (*sftp.Client, error) {
	t.Helper()
	text, err := os.ReadFile(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", s.Addr, &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKeys["ssh-ed25519"]), HostKeyAlgorithms: []string{"ssh-ed25519"},
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	return sftp.NewClient(c)
}

func TestOpenSSHServesItsFolderAndEndsWithItsConnections(t *testing.T) {
	t.Parallel()
	s := OpenSSH(t)
	s.Write(t, "out/a.csv", "a;b")
	c, err := login(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if i, err := c.Stat("out/a.csv"); err != nil || i.Size() != 3 {
		t.Fatalf("a.csv: %v, %v", i, err)
	}
	if err := c.Rename("out/a.csv", "out/b.csv"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(s.Folder, "out/b.csv")); err != nil || string(b) != "a;b" {
		t.Fatalf("b.csv: %q, %v", b, err)
	}
	if s.Connections() == 0 {
		t.Fatal("no process serves the connection")
	}
	s.Kill(t)
	if _, err := c.Stat("out/b.csv"); err == nil {
		t.Fatal("a killed server answered")
	}
	if _, err := login(t, s); err == nil {
		t.Fatal("a killed server took a connection")
	}
	s.Start(t)
	if _, err := login(t, s); err != nil {
		t.Fatal(err)
	}
}
