package sftp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// pins are what is known of a server's host keys. A server that shows none of them is not talked to.
type pins struct {
	address      string   // as in known_hosts: host, or [host]:port
	fingerprints []string // SHA256:…, of keys of any kind
	keys         []ssh.PublicKey
	authorities  []ssh.PublicKey
	revoked      []ssh.PublicKey
}

// An otherKeyError says that a server showed a host key that is not the one that is pinned.
type otherKeyError struct {
	address string
	known   []string // fingerprints
	got     []ssh.PublicKey
	revoked bool
}

// Error implements error.
func (e *otherKeyError) Error() string {
	got := make([]string, 0, len(e.got))
	for _, k := range e.got {
		got = append(got, described(k))
	}
	now := strings.Join(got, ", ")
	if e.revoked {
		return fmt.Sprintf("host key of %s is revoked: %s: nothing is sent there; ask the partner for the key that holds now", e.address, now)
	}
	return fmt.Sprintf("host key of %s has changed: known %s, now %s: somebody may stand in between, so nothing is sent there; "+
		"ask the partner, by another way than this server, whether the new key is theirs, and only then write it as host_key", e.address, strings.Join(e.known, ", "), now)
}

// described is a key as people compare it.
func described(k ssh.PublicKey) string {
	if c, ok := k.(*ssh.Certificate); ok {
		return ssh.FingerprintSHA256(c.Key) + " (" + c.Key.Type() + ", certified by " + ssh.FingerprintSHA256(c.SignatureKey) + ")"
	}
	return ssh.FingerprintSHA256(k) + " (" + k.Type() + ")"
}

// newPins reads host_key and known_hosts. text is the content of the file, nil for none.
func newPins(address string, hostKeys []string, text []byte) (*pins, []Problem) {
	p := &pins{address: knownhosts.Normalize(address)}
	var problems []Problem
	for i, line := range hostKeys {
		if err := p.add(line); err != nil {
			problems = append(problems, Problem{fmt.Sprintf("host_key[%d]", i), err.Error()})
		}
	}
	if text != nil {
		if err := p.read(text); err != nil {
			problems = append(problems, Problem{"known_hosts", err.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if len(p.fingerprints)+len(p.keys)+len(p.authorities) == 0 {
		if text != nil {
			return nil, []Problem{{"known_hosts", "knows nothing of " + p.address + ": ask the partner for the host key and add it, or write its fingerprint as host_key"}}
		}
		return nil, []Problem{{"host_key", "host_key is missing: write the fingerprint of the server's key, SHA256:…, that the partner tells you, or known_hosts"}}
	}
	return p, nil
}

// add takes one host_key: a fingerprint or a public key.
func (p *pins) add(line string) error {
	line = strings.TrimSpace(line)
	if sum, ok := strings.CutPrefix(line, "SHA256:"); ok {
		if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(sum, "=")); err != nil || len(b) != 32 {
			return fmt.Errorf("%q is no fingerprint: it is SHA256: and 43 characters, as ssh-keygen -l prints it", line)
		}
		p.fingerprints = append(p.fingerprints, strings.TrimRight(line, "="))
		return nil
	}
	if strings.HasPrefix(line, "MD5:") || strings.Count(line, ":") == 15 {
		return errors.New("an MD5 fingerprint can be forged: write the SHA256 one, as ssh-keygen -l prints it")
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("%q is neither a fingerprint (SHA256:…) nor a public key (ssh-ed25519 AAAA…)", line)
	}
	p.keys = append(p.keys, key)
	return nil
}

// read takes the lines of a known_hosts that speak of this server.
func (p *pins) read(text []byte) error {
	for number, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		marker, hosts, key, _, _, err := ssh.ParseKnownHosts(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", number+1, err)
		}
		if marker == "revoked" { // for every server
			p.revoked = append(p.revoked, key)
			continue
		}
		if !p.meant(hosts) {
			continue
		}
		if marker == "cert-authority" {
			p.authorities = append(p.authorities, key)
		} else {
			p.keys = append(p.keys, key)
		}
	}
	return nil
}

// meant reports whether patterns of a known_hosts line name this server.
func (p *pins) meant(patterns []string) bool {
	yes := false
	for _, pattern := range patterns {
		name, not := strings.CutPrefix(pattern, "!")
		if strings.HasPrefix(name, "|1|") {
			yes = yes || p.hashed(name)
			continue
		}
		if wildcard(name, p.address) || wildcard("["+name+"]:22", "["+p.address+"]:22") {
			if not {
				return false
			}
			yes = true
		}
	}
	return yes
}

// hashed reports whether |1|salt|hash stands for this server.
func (p *pins) hashed(name string) bool {
	parts := strings.Split(name, "|")
	if len(parts) != 4 {
		return false
	}
	salt, err1 := base64.StdEncoding.DecodeString(parts[2])
	sum, err2 := base64.StdEncoding.DecodeString(parts[3])
	mac := hmac.New(sha1.New, salt) // the format; it hides names and proves nothing
	mac.Write([]byte(p.address))
	return err1 == nil && err2 == nil && hmac.Equal(mac.Sum(nil), sum)
}

// wildcard matches * and ?, without regard to case.
func wildcard(pattern, name string) bool {
	for ; pattern != ""; pattern, name = pattern[1:], name[1:] {
		if pattern[0] == '*' {
			for i := range len(name) + 1 {
				if wildcard(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if name == "" || pattern[0] != '?' && !strings.EqualFold(pattern[:1], name[:1]) {
			return false
		}
	}
	return name == ""
}

// known are the fingerprints of what is pinned.
func (p *pins) known() []string {
	list := slices.Clone(p.fingerprints)
	for _, k := range p.keys {
		list = append(list, described(k))
	}
	for _, k := range p.authorities {
		list = append(list, "certified by "+ssh.FingerprintSHA256(k))
	}
	return list
}

// check is the host key callback.
func (p *pins) check(address string, remote net.Addr, key ssh.PublicKey, now func() time.Time) error {
	other := &otherKeyError{address: p.address, known: p.known(), got: []ssh.PublicKey{key}}
	has := func(list []ssh.PublicKey, k ssh.PublicKey) bool {
		return slices.ContainsFunc(list, func(l ssh.PublicKey) bool { return bytes.Equal(l.Marshal(), k.Marshal()) })
	}
	plain := key
	if cert, ok := key.(*ssh.Certificate); ok {
		if has(p.revoked, cert.SignatureKey) || has(p.revoked, cert.Key) {
			other.revoked = true
			return other
		}
		if has(p.authorities, cert.SignatureKey) {
			checker := ssh.CertChecker{
				IsHostAuthority: func(k ssh.PublicKey, _ string) bool { return has(p.authorities, k) },
				Clock:           now,
			}
			if err := checker.CheckHostKey(address, remote, key); err != nil {
				return fmt.Errorf("host certificate of %s: %w", p.address, err)
			}
			return nil
		}
		plain = cert.Key
	}
	switch {
	case has(p.revoked, plain):
		other.revoked = true
		return other
	case has(p.keys, plain), slices.Contains(p.fingerprints, ssh.FingerprintSHA256(plain)):
		return nil
	}
	return other
}

// kinds are the algorithms of host keys, by kind of key.
func kinds() [][]string {
	return [][]string{
		{ssh.KeyAlgoED25519},
		{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521},
		{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
	}
}

// certified are those of certificates.
func certified() []string {
	return []string{ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}
}

// offers are the host key algorithms to ask for, one handshake after the other until the server shows what is pinned.
// A server has keys of several kinds and shows the one that was negotiated: asked for another kind it would show a key that
// is right and unknown (golang/go#29286). What is pinned tells the kind; a fingerprint does not, so then each
// kind is asked for in turn.
func (p *pins) offers() [][]string {
	kinds := kinds()
	var exact []string
	if len(p.authorities) > 0 {
		exact = certified()
	}
	for _, k := range p.keys {
		if k.Type() == ssh.KeyAlgoRSA {
			exact = append(exact, kinds[2]...)
		} else {
			exact = append(exact, k.Type())
		}
	}
	var list [][]string
	if len(exact) > 0 {
		list = append(list, exact)
	}
	if len(p.fingerprints) > 0 {
		list = append(list, kinds...)
	}
	return list
}
