package sftpd

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// Critical options that are understood: the library keeps to source-address, and force-command is refused unless it is SFTP.
const (
	sourceAddress = "source-address"
	forceCommand  = "force-command"
)

// certificate checks a certificate that the partner called name offers, and returns the restrictions that it carries.
func (p *Partner) certificate(name string, c *ssh.Certificate, now time.Time) (map[string]string, error) {
	at := slices.IndexFunc(p.Authorities, func(a Authority) bool { return same(a.Key, c.SignatureKey) })
	if at < 0 {
		return nil, errors.New("certificate of an authority that is not the partner's")
	}
	a := p.Authorities[at]
	principals := a.Principals
	if len(principals) == 0 {
		principals = []string{name}
	}
	// A certificate for everybody is for nobody here, as with OpenSSH's TrustedUserCAKeys.
	i := slices.IndexFunc(principals, func(s string) bool { return slices.Contains(c.ValidPrincipals, s) })
	switch {
	case i < 0:
		return nil, fmt.Errorf("certificate %q names none of the principals %q, but %q", c.KeyId, principals, c.ValidPrincipals)
	case c.CertType != ssh.UserCert:
		return nil, fmt.Errorf("certificate %q is not one of a user", c.KeyId)
	case c.Signature == nil || c.Signature.Format == ssh.KeyAlgoRSA:
		return nil, fmt.Errorf("certificate %q is signed with SHA-1", c.KeyId)
	}
	if command, ok := c.CriticalOptions[forceCommand]; ok && command != "internal-sftp" {
		return nil, fmt.Errorf("certificate %q is for the command %q, not for SFTP", c.KeyId, command)
	}
	checker := ssh.CertChecker{
		SupportedCriticalOptions: []string{sourceAddress, forceCommand},
		IsUserAuthority:          func(key ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), a.Key.Marshal()) },
		Clock:                    func() time.Time { return now },
	}
	if err := checker.CheckCert(principals[i], c); err != nil {
		return nil, fmt.Errorf("certificate %q: %w", c.KeyId, err)
	}
	k := Key{PublicKey: c.Key}
	if err := k.check(leastRSA); err != nil {
		return nil, fmt.Errorf("certificate %q: %w", c.KeyId, err)
	}
	restrictions := map[string]string{}
	if from, ok := c.CriticalOptions[sourceAddress]; ok {
		restrictions[sourceAddress] = from
	}
	return restrictions, nil
}
