package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"waybill/jobs"
	"waybill/watcher/sftpd"
)

// Partners of the demo. The first is also the one as whom people may drop files of their own.
const (
	supplierPartner  = "demo"
	robotsPartner    = "robots"
	supplierPassword = "waybill-demo"
)

// A demoPartner drops files into the daemon's SFTP server, and picks up its acknowledgements there, as a program of a partner's would:
// over one connection that it keeps. Its methods may be called concurrently.
type demoPartner struct {
	name    string
	address string
	config  *ssh.ClientConfig
	public  string // its key, as the configuration has it

	mu     sync.Mutex
	client *sftp.Client // nil: not connected
	conn   *ssh.Client
}

// newDemoPartner makes a partner with a key of its own, who knows the server's.
func newDemoPartner(name, address string, host ssh.PublicKey) (*demoPartner, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	return &demoPartner{name: name, address: address, public: string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey()))),
		config: &ssh.ClientConfig{User: name, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(host),
			HostKeyAlgorithms: []string{host.Type()}, Timeout: 5 * time.Second}}, nil
}

// with calls do with a connection. Where it was lost, or nobody listens yet, it is made again, until ctx ends.
func (d *demoPartner) with(ctx context.Context, do func(*sftp.Client) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := d.connect(ctx)
		if err == nil {
			if err = do(d.client); err == nil {
				return nil
			}
			var refused *sftp.StatusError
			if errors.As(err, &refused) {
				return err // it was answered: that is no matter of the connection
			}
			d.hangUp()
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func (d *demoPartner) connect(ctx context.Context) error {
	if d.client != nil {
		return nil
	}
	socket, err := (&net.Dialer{Timeout: d.config.Timeout}).DialContext(ctx, "tcp", d.address)
	if err != nil {
		return err
	}
	conn, channels, requests, err := ssh.NewClientConn(socket, d.address, d.config)
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	d.conn = ssh.NewClient(conn, channels, requests)
	if d.client, err = sftp.NewClient(d.conn); err != nil {
		d.client = nil
		return errors.Join(err, d.conn.Close())
	}
	return nil
}

// hangUp ends the connection, d.mu being held.
func (d *demoPartner) hangUp() {
	if d.client != nil {
		_ = d.client.Close() // the server may have ended it before
		_ = d.conn.Close()
		d.client = nil
	}
}

func (d *demoPartner) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangUp()
}

// put uploads a file. When it returns nil the server has kept it: that is what the answer to CLOSE means.
func (d *demoPartner) put(ctx context.Context, name string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := d.with(ctx, func(c *sftp.Client) error {
		f, err := c.Create("in/" + name)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return fmt.Errorf("%s puts %s: %w", d.name, name, err)
	}
	return nil
}

// pickUp takes the acknowledgements that are there.
func (d *demoPartner) pickUp(ctx context.Context) (list []jobs.Acknowledgement, err error) {
	err = d.with(ctx, func(c *sftp.Client) error {
		list = nil
		files, err := c.ReadDir("out")
		if err != nil {
			return err
		}
		for _, f := range files {
			var a jobs.Acknowledgement
			text, err := download(c, path.Join("out", f.Name()))
			if err != nil {
				return err
			}
			if err := json.Unmarshal(text, &a); err != nil {
				return fmt.Errorf("%s: %w", f.Name(), err)
			}
			if err := c.Remove(path.Join("out", f.Name())); err != nil {
				return err
			}
			list = append(list, a)
		}
		return nil
	})
	return list, err
}

func download(c *sftp.Client, name string) ([]byte, error) {
	f, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	return text, errors.Join(err, f.Close())
}

// waiting lists what the drop folder shows.
func (d *demoPartner) waiting(ctx context.Context) (names []string, err error) {
	err = d.with(ctx, func(c *sftp.Client) error {
		names = nil
		files, err := c.ReadDir("in")
		for _, f := range files {
			names = append(names, f.Name())
		}
		return err
	})
	return names, err
}

// invite makes the partners of the stage, and what the configuration says of them.
func (s *stage) invite() error {
	keys, err := sftpd.MakeHostKeys(hostKeys(s.path("data")))
	if err != nil {
		return err
	}
	s.hostKey = keys[0].Fingerprint()
	if s.port, err = freePort(); err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	if s.supplier, err = newDemoPartner(supplierPartner, address, keys[0].PublicKey()); err != nil {
		return err
	}
	if s.kitchen, err = newDemoPartner(robotsPartner, address, keys[0].PublicKey()); err != nil {
		return err
	}
	mine, err := csvFile([]demoOrder{newOrder(9001, s.day)}, false)
	if err == nil {
		err = os.WriteFile(s.path(mineName), mine, 0o600)
	}
	if err != nil {
		return err
	}
	s.password, err = sftpd.HashPassword([]byte(supplierPassword), rand.Reader)
	return err
}

// mineName is a file that whoever looks on may drop.
const mineName = "orders_mine.csv"

// freePort is one that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// mailEvery is how often the partners look for acknowledgements.
const mailEvery = 300 * time.Millisecond

// mail has the partners pick up their acknowledgements until ctx ends, and tells what they read.
func (s *stage) mail(ctx context.Context) {
	tick := time.NewTicker(mailEvery)
	defer tick.Stop()
	for {
		for _, d := range []*demoPartner{s.supplier, s.kitchen} {
			list, err := d.pickUp(ctx)
			if err != nil && ctx.Err() == nil {
				s.tell.say(d.name, "cannot pick up acknowledgements: %v", err)
			}
			for _, a := range list {
				s.tell.say(d.name, "reads in out/: %s", a.Text)
			}
			s.looking.Lock()
			s.read = append(s.read, list...)
			s.looking.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// acknowledged are the states that the partners have read of a file, in order.
func (s *stage) acknowledged(name string) (states []string) {
	s.looking.Lock()
	defer s.looking.Unlock()
	for _, a := range s.read {
		if a.File.Name == name {
			states = append(states, string(a.State))
		}
	}
	return states
}
