package sftp

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"waybill/watcher/wire"
)

// smallestRSA is the length below which an RSA key is refused.
const smallestRSA = 2048

// mostKeys bounds how many keys are offered in one login, those of an agent last: servers count each as a try, and OpenSSH's default ends the connection at
// the sixth, which is left for the password.
const mostKeys = 5

// mostRounds bounds how often a server may ask in one login, be it for nothing.
const mostRounds = 10

// A Login says who waybill is to a server.
type Login struct {
	User        string `yaml:"user" required:"true" doc:"who waybill is there"`
	Key         string `yaml:"key" as:"secret" doc:"private key as OpenSSH keeps it (ed25519, ECDSA, RSA of 2048 bits or more): ${credential:…} or ${file:…}"`
	Passphrase  string `yaml:"passphrase" as:"secret" doc:"what the key is encrypted with"`
	Certificate string `yaml:"certificate" doc:"certificate of the key (ssh-ed25519-cert-v01@openssh.com AAAA…): ${file:…}"`
	Agent       string `yaml:"agent" doc:"socket of an SSH agent whose keys are offered"`
	Password    string `yaml:"password" as:"secret" doc:"for servers that ask for one, also by keyboard-interactive; keys are better"`
}

// A Problem is a mistake in the options, at a path below them.
type Problem struct{ Path, Text string }

// A credential proves who we are.
type credential struct {
	user     string
	signers  []ssh.Signer
	agent    string
	password string
}

// newCredential reads the keys of l.
func newCredential(l Login) (*credential, []Problem) {
	c := &credential{user: l.User, agent: l.Agent, password: l.Password}
	if l.User == "" {
		return nil, []Problem{{"user", "user is missing: write who waybill is on that server"}}
	}
	if l.Key == "" && l.Agent == "" && l.Password == "" {
		return nil, []Problem{{"key", "key is missing: write a private key, ${credential:…}, or a password"}}
	}
	if l.Key == "" {
		switch {
		case l.Certificate != "":
			return nil, []Problem{{"certificate", "certificate belongs to a key, which is missing"}}
		case l.Passphrase != "":
			return nil, []Problem{{"passphrase", "passphrase belongs to a key, which is missing"}}
		}
		return c, nil
	}
	signer, problem := parseKey(l.Key, l.Passphrase)
	if problem != nil {
		return nil, []Problem{*problem}
	}
	if l.Certificate != "" {
		certified, err := certify(signer, l.Certificate)
		if err != nil {
			return nil, []Problem{{"certificate", err.Error()}}
		}
		c.signers = append(c.signers, certified)
	}
	c.signers = append(c.signers, signer)
	return c, nil
}

// parseKey reads a private key.
func parseKey(text, passphrase string) (ssh.Signer, *Problem) {
	bad := func(where, what string) (ssh.Signer, *Problem) { return nil, &Problem{where, what} }
	if strings.HasPrefix(text, "PuTTY-User-Key-File") {
		return bad("key", "is a key of PuTTY: convert it with puttygen KEY.ppk -O private-openssh-new -o KEY")
	}
	pem := []byte(strings.TrimSpace(text) + "\n")
	raw, err := ssh.ParseRawPrivateKey(pem)
	missing := new(ssh.PassphraseMissingError)
	switch {
	case errors.As(err, &missing) && passphrase == "":
		return bad("passphrase", "passphrase is missing: the key is encrypted")
	case errors.As(err, &missing):
		raw, err = ssh.ParseRawPrivateKeyWithPassphrase(pem, []byte(passphrase))
		if err != nil {
			return bad("passphrase", "does not open the key: "+err.Error())
		}
	case err != nil:
		return bad("key", "cannot be read: "+err.Error()+": a private key begins with -----BEGIN OPENSSH PRIVATE KEY-----")
	case passphrase != "":
		return bad("passphrase", "is not needed: the key is not encrypted")
	}
	if k, ok := raw.(*rsa.PrivateKey); ok && k.N.BitLen() < smallestRSA {
		return bad("key", fmt.Sprintf("is RSA of %d bits, which can be broken: make an ed25519 key", k.N.BitLen()))
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return bad("key", err.Error())
	}
	if signer.PublicKey().Type() == "ssh-dss" {
		return bad("key", "is DSA, which can be broken: make an ed25519 key")
	}
	signer, err = modern(signer)
	if err != nil {
		return bad("key", err.Error())
	}
	return signer, nil
}

// modern keeps an RSA key, also a certified one, from signing with SHA-1, which the library falls back to when a server does not say what it knows.
func modern(s ssh.Signer) (ssh.Signer, error) {
	switch s.PublicKey().Type() {
	case ssh.KeyAlgoRSA, ssh.CertAlgoRSAv01:
	default:
		return s, nil
	}
	a, ok := s.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("an RSA key that can sign with SHA-1 only")
	}
	return ssh.NewSignerWithAlgorithms(a, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
}

// certify joins a key and its certificate.
func certify(s ssh.Signer, text string) (ssh.Signer, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	cert, ok := key.(*ssh.Certificate)
	switch {
	case !ok:
		return nil, errors.New("is a public key and no certificate: ssh-keygen -s signs one")
	case cert.CertType != ssh.UserCert:
		return nil, errors.New("is a certificate for hosts, not for users")
	case !bytes.Equal(cert.Key.Marshal(), s.PublicKey().Marshal()):
		return nil, fmt.Errorf("belongs to the key %s, not to %s", ssh.FingerprintSHA256(cert.Key), ssh.FingerprintSHA256(s.PublicKey()))
	}
	return ssh.NewCertSigner(cert, s)
}

// An offer is one login with a credential. It notes whether anything was offered: what follows may have counted as a try.
type offer struct {
	c       *credential
	offered bool
	denied  bool     // the password was refused
	asked   error    // what the server asked that cannot be answered
	agent   net.Conn // nil: none, or not used
	stop    func() bool
}

// methods are the ways to log in, best first. A password is offered once, however many ways there are to ask for it: a
// wrong one would count twice.
func (o *offer) methods(ctx context.Context) []ssh.AuthMethod {
	var list []ssh.AuthMethod
	if len(o.c.signers) > 0 || o.c.agent != "" {
		list = append(list, ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return o.keys(ctx) }))
	}
	if o.c.password == "" {
		return list
	}
	told, rounds := false, 0
	return append(list,
		ssh.PasswordCallback(func() (string, error) {
			told, o.offered = true, true
			return o.c.password, nil
		}),
		ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
			rounds++
			switch {
			case rounds > mostRounds:
				o.asked = errors.New("the server does not stop asking")
				return nil, o.asked
			case len(questions) == 0:
				return nil, nil
			case told:
				o.denied = true
				return nil, errors.New("the password was refused")
			case len(questions) > 1 || echos[0]:
				o.asked = fmt.Errorf("the server asks %q, and waybill can only tell a password", wire.Cut(strings.Join(questions, " ")))
				return nil, o.asked
			}
			told, o.offered = true, true
			return []string{o.c.password}, nil
		}))
}

// keys are those of the configuration and of the agent.
func (o *offer) keys(ctx context.Context) ([]ssh.Signer, error) {
	list := slices.Clone(o.c.signers)
	if o.c.agent != "" {
		more, err := o.ask(ctx)
		if err != nil {
			o.asked = fmt.Errorf("SSH agent %s: %w", o.c.agent, err)
		}
		for _, s := range more {
			has := slices.ContainsFunc(list, func(l ssh.Signer) bool { return bytes.Equal(l.PublicKey().Marshal(), s.PublicKey().Marshal()) })
			if s, err := modern(s); err == nil && !has && len(list) < mostKeys {
				list = append(list, s)
			}
		}
	}
	if len(list) > 0 {
		o.offered = true
	}
	return list, nil
}

// ask asks the agent for its keys.
func (o *offer) ask(ctx context.Context) ([]ssh.Signer, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", o.c.agent)
	if err != nil {
		return nil, err
	}
	o.agent = conn // it signs later
	o.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	list, err := agent.NewClient(conn).Signers()
	if err == nil && len(list) == 0 {
		err = errors.New("it has no keys: ssh-add adds one")
	}
	return list, err
}

// close ends the conversation with the agent.
func (o *offer) close() {
	if o.agent != nil {
		o.stop()
		_ = o.agent.Close() // nothing is said to it any more
	}
}
