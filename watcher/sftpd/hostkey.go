package sftpd

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// A HostKey is one of those that prove whose server this is.
type HostKey struct {
	ssh.Signer
	File string
}

// Fingerprint is what partners compare at their first connection.
func (k HostKey) Fingerprint() string { return ssh.FingerprintSHA256(k.PublicKey()) }

// made are the keys that the first start makes, in the order in which they are offered.
func made() []string { return []string{"ed25519", "rsa"} }

// rsaHostBits are those of the key that is made.
const rsaHostBits = 3072

// MakeHostKeys returns the host keys of a folder, and makes those that are missing. What it returns is on disk.
func MakeHostKeys(folder string) ([]HostKey, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of host keys: %w", err)
	}
	var paths []string
	for _, kind := range made() {
		path := filepath.Join(folder, kind)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := makeHostKey(path, kind); err != nil {
				return nil, fmt.Errorf("make the host key %s: %w", path, err)
			}
		}
		paths = append(paths, path)
	}
	return ReadHostKeys(paths)
}

// MadeHostKeys are the paths of those keys in the folder that are there.
func MadeHostKeys(folder string) (paths []string) {
	for _, kind := range made() {
		path := filepath.Join(folder, kind)
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// makeHostKey writes a new key: beside its place, synced, then renamed, then the folder.
func makeHostKey(path, kind string) (err error) {
	var private any
	if kind == "rsa" {
		private, err = rsa.GenerateKey(rand.Reader, rsaHostBits)
	} else {
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "waybill host key")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+kind+".*") // 0600
	if err != nil {
		return err
	}
	temporary := f.Name()
	_, err = f.Write(pem.EncodeToMemory(block))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// ReadHostKeys reads private keys. A file that others may read is refused: whoever has read it can pretend to be this server.
func ReadHostKeys(paths []string) ([]HostKey, error) {
	var keys []HostKey
	for _, path := range paths {
		key, err := readHostKey(path)
		if err != nil {
			return nil, fmt.Errorf("host key %s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func readHostKey(path string) (HostKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return HostKey{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return HostKey{}, fmt.Errorf("others may read it (mode %04o): chmod 600, and make a new one if somebody has", info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return HostKey{}, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		return HostKey{}, errors.New("it has a passphrase: nobody is there to type it at a start, remove it with ssh-keygen -p")
	}
	if err != nil {
		return HostKey{}, fmt.Errorf("not a private key in the format of OpenSSH or PEM: %w", err)
	}
	switch signer.PublicKey().Type() {
	case ssh.KeyAlgoED25519:
		return HostKey{signer, path}, nil
	case ssh.KeyAlgoRSA:
		if bits := rsaBits(signer.PublicKey()); bits < leastRSA || bits > mostRSA {
			return HostKey{}, fmt.Errorf("an RSA key of %d bits: from %d to %d are taken", bits, leastRSA, mostRSA)
		}
		return HostKey{signer, path}, nil
	}
	return HostKey{}, fmt.Errorf("a key of type %s: ed25519 and rsa are taken", signer.PublicKey().Type())
}

// signer is the key with the algorithms it may sign with.
func (k HostKey) signer(legacy bool) (ssh.Signer, error) {
	if k.PublicKey().Type() != ssh.KeyAlgoRSA {
		return k.Signer, nil
	}
	s, ok := k.Signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("host key %s cannot sign with SHA-2", k.File)
	}
	algorithms := []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	if legacy {
		algorithms = append(algorithms, ssh.KeyAlgoRSA)
	}
	return ssh.NewSignerWithAlgorithms(s, algorithms)
}
