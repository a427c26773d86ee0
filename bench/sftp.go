package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"waybill/watcher/sftpd"
)

// A partner is logged in to the embedded server of a daemon.
type partner struct {
	*served
	conn   *ssh.Client
	client *sftp.Client
}

// servePartner starts the daemon with its SFTP server for JSON orders, and logs in.
func servePartner(folder string) (*partner, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	host, err := sftpd.MakeHostKeys(filepath.Join(folder, "data", "hostkeys"))
	if err != nil {
		return nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		return nil, err
	}
	sources := fmt.Sprintf("sftp_server: {listen: %q}\npartners:\n  bench: {keys: %q}\nsources:\n  drop: {mailboxes: {partner: bench, folder: in}}\n",
		address, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))
	s, err := serveWith(folder, func(destination string) (string, error) { return landscapeWith(folder, sources, destination, jsonJob) })
	if err != nil {
		return nil, err
	}
	p := &partner{served: s}
	p.conn, err = ssh.Dial("tcp", address, &ssh.ClientConfig{User: "bench", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(host[0].PublicKey()), HostKeyAlgorithms: []string{host[0].PublicKey().Type()}, Timeout: 5 * time.Second})
	if err == nil {
		p.client, err = sftp.NewClient(p.conn)
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return p, nil
}

// sftpLatency is latency over SFTP, from when CLOSE is sent.
func sftpLatency(folder string, n int) (measurement, error) {
	p, err := servePartner(folder)
	if err != nil {
		return measurement{}, err
	}
	m, err := p.latencies(n, func(i int, text []byte) (time.Time, error) {
		f, err := p.client.Create(fmt.Sprintf("in/order_%d.json", i))
		if err != nil {
			return time.Time{}, err
		}
		if _, err := f.Write(text); err != nil {
			return time.Time{}, errors.Join(err, f.Close())
		}
		closing := time.Now()
		return closing, f.Close()
	})
	return m, errors.Join(err, p.client.Close(), p.stop())
}
