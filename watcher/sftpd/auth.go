package sftpd

import (
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// What one connection may try. An agent offers its keys before anybody is asked for a password, so keys have more tries, as many as with OpenSSH; an attempt is
// anything asked at all.
const (
	mostPasswords = 3 // that are wrong
	mostTries     = 6 // keys and passwords that are wrong
	mostAttempts  = 20
)

// A login is how a connection has proved who it is.
type login struct {
	member      *Member
	method      string // "publickey", "certificate", "password"
	fingerprint string // of the key, or of the certificate's authority
	key         ssh.PublicKey
	hash        string // of the password
	restriction string // source-address of a certificate
}

// still reports whether a roster that took this one's place would let the same proof log in.
func (l *login) still(r *Roster, a netip.Addr, legacy bool, now time.Time) string {
	m := r.Find(l.member.Account.Name)
	if why := m.refusal(a, legacy, now); why != "" {
		return why
	}
	switch l.method {
	case "password":
		if m.Partner.Password != l.hash {
			return "the password was changed"
		}
	case "certificate":
		c, ok := l.key.(*ssh.Certificate)
		if !ok {
			return "not a certificate"
		}
		if _, err := m.Partner.certificate(m.Account.Name, c, now); err != nil {
			return err.Error()
		}
	default:
		if !m.Partner.knows(l.key) {
			return "the key was removed"
		}
	}
	return ""
}

func (p *Partner) knows(key ssh.PublicKey) bool {
	for _, k := range p.Keys {
		if same(k, key) {
			return true
		}
	}
	return false
}

// errNo is all that a peer learns: it is the same for an unknown name, a wrong key or password, and a partner who may not log in.
var errNo = errors.New("permission denied")

// errEnough ends a connection that asks too often.
var errEnough = errors.New("too many attempts")

// An examiner looks at what one connection offers. The library calls it on one goroutine.
type examiner struct {
	s       *Server
	ctx     context.Context
	address netip.Addr
	legacy  bool
	end     func() // closes the connection

	attempts  int
	guesses   int    // passwords that were wrong
	user      string // of the last attempt
	client    string
	why       []string // what was refused, for the log
	attempted bool     // something was offered
	known     bool     // for a partner's name
}

// config is the library's configuration for this connection.
func (e *examiner) config() *ssh.ServerConfig {
	c := e.s.algorithms(e.legacy)
	c.MaxAuthTries = mostTries
	c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if err := e.attempt(m); err != nil {
			return nil, err
		}
		l, err := e.offered(m.User(), key)
		if err != nil {
			return nil, err
		}
		return l.permissions(nil), nil
	}
	// Who somebody is comes from the key that signed, looked up anew: an offer proves nothing (CVE-2024-45337).
	c.VerifiedPublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
		l, err := e.offered(m.User(), key)
		if err != nil {
			return nil, err
		}
		return l.permissions(l), nil
	}
	if len(e.s.roster.Load().passwords) > 0 {
		c.PasswordCallback = func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if err := e.attempt(m); err != nil {
				return nil, err
			}
			if e.guesses == mostPasswords {
				_ = e.refuse("too many passwords")
				e.end()
				return nil, errEnough
			}
			l, err := e.password(m.User(), password)
			if err != nil {
				e.guesses++
				return nil, err
			}
			return l.permissions(l), nil
		}
	}
	c.AuthLogCallback = func(m ssh.ConnMetadata, method string, err error) {
		e.user, e.client = m.User(), string(m.ClientVersion())
		if method != "none" && err != nil {
			e.attempted = true
		}
	}
	return c
}

// loginKey is where the permissions carry the login.
type loginKey struct{}

// permissions carry a certificate's restrictions, for the library to keep to, and the login once it is proved.
func (l *login) permissions(proved *login) *ssh.Permissions {
	p := &ssh.Permissions{}
	if l.restriction != "" {
		p.CriticalOptions = map[string]string{sourceAddress: l.restriction}
	}
	if proved != nil {
		p.ExtraData = map[any]any{loginKey{}: proved}
	}
	return p
}

// proven is the login in the permissions of a connection that the library has let in.
func proven(p *ssh.Permissions) *login {
	if p == nil {
		return nil
	}
	l, _ := p.ExtraData[loginKey{}].(*login)
	return l
}

func (e *examiner) attempt(m ssh.ConnMetadata) error {
	e.user, e.client, e.attempted = m.User(), string(m.ClientVersion()), true
	if e.attempts++; e.attempts > mostAttempts {
		_ = e.refuse(errEnough.Error())
		e.end()
		return errEnough
	}
	return nil
}

func (e *examiner) refuse(why string) error {
	if !slices.Contains(e.why, why) {
		e.why = append(e.why, why)
	}
	return errNo
}

// offered judges a key: it says nothing of who holds it.
func (e *examiner) offered(user string, key ssh.PublicKey) (*login, error) {
	m, now := e.s.roster.Load().Find(user), e.s.now()
	if why := m.refusal(e.address, e.legacy, now); why != "" {
		e.known = e.known || m != nil
		return nil, e.refuse(why)
	}
	e.known = true
	if c, ok := key.(*ssh.Certificate); ok {
		restrictions, err := m.Partner.certificate(user, c, now)
		if err != nil {
			return nil, e.refuse(err.Error())
		}
		l := &login{member: m, method: "certificate", key: key, fingerprint: ssh.FingerprintSHA256(c.SignatureKey)}
		l.restriction = restrictions[sourceAddress]
		if _, restricted := restrictions[sourceAddress]; restricted && l.restriction == "" {
			return nil, e.refuse("certificate for no address")
		}
		return l, nil
	}
	k := Key{PublicKey: key}
	least := leastRSA
	if e.legacy { // where it is noted; refusal lets partners with old clients in there, and nobody else
		least = leastRSALegacy
	}
	if err := k.check(least); err != nil {
		return nil, e.refuse(err.Error())
	}
	if !m.Partner.knows(key) {
		return nil, e.refuse("unknown key " + k.Fingerprint())
	}
	return &login{member: m, method: "publickey", key: key, fingerprint: k.Fingerprint()}, nil
}

// password judges a password. Whoever is named, and whether he may log in or not, one hash is worked out.
func (e *examiner) password(user string, password []byte) (*login, error) {
	if len(password) > MostPassword {
		return nil, e.refuse("a password that is too long")
	}
	roster, now := e.s.roster.Load(), e.s.now()
	m := roster.Find(user)
	why := m.refusal(e.address, e.legacy, now)
	e.known = e.known || m != nil
	h := roster.dummy(e.s.seed, user)
	if why == "" && m.Partner.Password == "" {
		why = "has no password"
	}
	if why == "" {
		var err error
		if h, err = parseHash(m.Partner.Password); err != nil {
			why = err.Error()
		}
	}
	if err := e.slow(user); err != nil {
		return nil, e.refuse("ended while waiting")
	}
	right, err := e.s.passwords.check(e.ctx, h, password)
	if err != nil {
		return nil, e.refuse(err.Error())
	}
	if why == "" && !right {
		why = "wrong password"
	}
	e.s.slowness.tried(user, why == "")
	if why != "" {
		return nil, e.refuse(why)
	}
	return &login{member: m, method: "password", hash: m.Partner.Password}, nil
}

// slow waits as long as the name has to.
func (e *examiner) slow(user string) error {
	wait := e.s.slowness.wait(user)
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
}

// dummy is what is worked out for a name that has no password: it costs as much as one of those that have, always the
// same for the same name.
func (r *Roster) dummy(seed maphash.Seed, user string) phc {
	if len(r.passwords) == 0 {
		return phc{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, hashSalt), sum: make([]byte, hashLength)}
	}
	h := r.passwords[maphash.String(seed, user)%uint64(len(r.passwords))]
	h.sum = make([]byte, len(h.sum))
	return h
}

// cost is the penalty of a connection that ended without a login.
func (e *examiner) cost(slow bool) time.Duration {
	switch {
	case slow:
		return penaltySlow
	case !e.attempted:
		return penaltyNothing
	case e.known:
		return penaltyFailed
	}
	return penaltyUnknown
}
