package sftpd

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Partner is what the configuration says of one.
type Partner struct {
	Group       string            `yaml:"group" doc:"sources and jobs name partners by it"`
	Keys        []Key             `yaml:"keys" one:"true" doc:"public keys as in authorized_keys; several may overlap while one is rotated"`
	Password    string            `yaml:"password" as:"secret" doc:"hash of a password, made by waybill partner password; left out: keys only"`
	Authorities []Authority       `yaml:"authorities" one:"true" doc:"certificate authorities whose certificates log in"`
	Networks    []Network         `yaml:"networks" one:"true" doc:"addresses that may log in; left out: all"`
	Quota       int64             `yaml:"quota" as:"size" default:"10GiB" doc:"bytes in the mailbox: unfinished, waiting to be processed, waiting to be picked up; 0B: no limit"`
	Files       int64             `yaml:"files" default:"100000" doc:"files in the mailbox; 0: no limit"`
	MaxFile     int64             `yaml:"max_file" as:"size" default:"2GiB" doc:"bytes of one file; 0B: no limit"`
	Folders     []PickUps         `yaml:"folders" doc:"folders to pick up from; left out: out. Folders to drop into come from sources of kind mailboxes"`
	Expires     Expiry            `yaml:"expires" doc:"last day of the access (2027-06-30, in UTC), or the instant at which it ends (RFC 3339)"`
	Disabled    bool              `yaml:"disabled" doc:"may not log in"`
	Profile     string            `yaml:"profile" enum:"modern,legacy" default:"modern" doc:"legacy: an old client, which may log in at legacy_listen with old algorithms and an RSA key of 2048 bits; that is noted at each login"`
	Vars        map[string]string `yaml:"vars" doc:"texts for expressions: partner.vars.name"`
	Contact     Contact           `yaml:"contact" doc:"whom to tell"`
}

// Legacy is the profile of partners with old clients.
const Legacy = "legacy"

// Contact is whom to tell.
type Contact struct {
	Email    string `yaml:"email" doc:"address of a person"`
	Language string `yaml:"language" doc:"language of what is written to that person, such as fr"`
}

// PickUps is one folder of a partner, and what may be done there.
type PickUps struct {
	Path  string `yaml:",key"`
	Right string `yaml:",scalar" enum:"pick-up,drop" doc:"pick-up: look, download, delete"`
}

// Bits an RSA key may have. Longer ones cost too much to check.
const (
	leastRSA       = 3072
	leastRSALegacy = 2048
	mostRSA        = 8192
)

// A Key is one public key.
type Key struct {
	ssh.PublicKey
	Comment string
}

// UnmarshalText reads a line of authorized_keys without options.
func (k *Key) UnmarshalText(text []byte) error {
	line := strings.TrimSpace(string(text))
	if strings.ContainsAny(line, "\r\n") {
		return errors.New("several lines: one key is one line, in quotes")
	}
	if strings.Contains(line, "PRIVATE KEY") {
		return errors.New("a private key: here stands the public one, the line of the file that ends in .pub")
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return fmt.Errorf("%.40q is not a public key: write the line of the file that ends in .pub, such as ssh-ed25519 AAAA… ops@partner", line)
	}
	if len(options) > 0 {
		return fmt.Errorf("%q: options before a key are not known here: addresses stand in networks", options[0])
	}
	*k = Key{key, comment}
	return k.check(leastRSALegacy) // a partner that is not legacy wants more
}

// check refuses keys that are too weak, too costly, or no keys of users.
func (k *Key) check(least int) error {
	switch k.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case "ssh-dss":
		return errors.New("a DSA key is too weak: ask for an ed25519 key (ssh-keygen -t ed25519)")
	case ssh.KeyAlgoRSA:
		bits := rsaBits(k.PublicKey)
		switch {
		case bits < least:
			return fmt.Errorf("an RSA key of %d bits is too weak: ask for an ed25519 key, or RSA of %d bits or more", bits, least)
		case bits > mostRSA:
			return fmt.Errorf("an RSA key of %d bits is too long: %d is the most, ed25519 is better", bits, mostRSA)
		}
		return nil
	}
	if _, ok := k.PublicKey.(*ssh.Certificate); ok {
		return errors.New("a certificate: here stands the key of a person; whoever signs certificates stands in authorities")
	}
	return fmt.Errorf("keys of type %s are not known here: ask for an ed25519 key", k.Type())
}

// Fingerprint is what people compare.
func (k *Key) Fingerprint() string { return ssh.FingerprintSHA256(k.PublicKey) }

func rsaBits(key ssh.PublicKey) int {
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok {
			return r.N.BitLen()
		}
	}
	return 0
}

func same(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// An Authority signs certificates that log in.
type Authority struct {
	Key        Key      `yaml:"key" required:"true" doc:"its public key"`
	Principals []string `yaml:"principals" one:"true" doc:"a certificate must name one of these; left out: the partner's name"`
}

// An Expiry is when an access ends. The zero value is never.
type Expiry struct{ time.Time }

// UnmarshalText reads a day, whose end is meant, or an instant.
func (e *Expiry) UnmarshalText(text []byte) error {
	if day, err := time.Parse(time.DateOnly, string(text)); err == nil {
		e.Time = day.AddDate(0, 0, 1)
		return nil
	}
	instant, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a day nor an instant: write for example 2027-06-30 or 2027-06-30T18:00:00+02:00", text)
	}
	e.Time = instant
	return nil
}

// over reports whether the access has ended.
func (e Expiry) over(now time.Time) bool { return !e.IsZero() && !now.Before(e.Time) }

// Validate refuses weak keys, texts that are no hash, and partners nobody can be.
func (p *Partner) Validate() error {
	var errs []error
	least := leastRSA
	if p.Profile == Legacy {
		least = leastRSALegacy
	}
	for i := range p.Keys {
		path := fmt.Sprintf("keys[%d]", i)
		if err := p.Keys[i].check(least); err != nil {
			errs = append(errs, at(path, "%v", err))
		}
		for j := range i {
			if same(p.Keys[i], p.Keys[j]) {
				errs = append(errs, at(path, "this key stands there already: once is enough"))
			}
		}
	}
	for i := range p.Authorities {
		if err := p.Authorities[i].Key.check(leastRSA); err != nil {
			errs = append(errs, at(fmt.Sprintf("authorities[%d].key", i), "%v", err))
		}
	}
	if p.Password != "" {
		if _, err := parseHash(p.Password); err != nil {
			errs = append(errs, at("password", "password: %v", err))
		}
	}
	if len(p.Keys) == 0 && len(p.Authorities) == 0 && p.Password == "" && !p.Disabled {
		errs = append(errs, errors.New("nobody can log in: write keys, authorities or password, or disabled: true"))
	}
	for key, n := range map[string]int64{"quota": p.Quota, "files": p.Files, "max_file": p.MaxFile} {
		if n < 0 {
			errs = append(errs, at(key, "%s cannot be less than nothing; 0 is no limit", key))
		}
	}
	return errors.Join(append(errs, p.checkFolders()...)...)
}

func (p *Partner) checkFolders() (errs []error) {
	for i, f := range p.Folders {
		path := fmt.Sprintf("folders[%q]", f.Path)
		if err := checkFolder("folders", f.Path); err != nil {
			errs = append(errs, at(path, "%v", err))
		}
		if Right(f.Right) == Drop {
			errs = append(errs, at(path, "folders to drop into come from sources: write a source with mailboxes: {partner: …, folder: %s}", f.Path))
		}
		for _, other := range p.Folders[:i] {
			if Overlap(f.Path, other.Path) {
				errs = append(errs, at(path, "%q and %q are not apart", f.Path, other.Path))
			}
		}
	}
	return errs
}

// PickUp are the paths of the folders to pick up from.
func (p *Partner) PickUp() []string {
	if p.Folders == nil {
		return []string{"out"}
	}
	var list []string
	for _, f := range p.Folders {
		list = append(list, f.Path)
	}
	return list
}

// A Member is one partner, compiled.
type Member struct {
	Partner *Partner
	Account *Account
}

// A Roster is all partners. It is not changed once it is made.
type Roster struct {
	members   map[string]*Member
	passwords []phc // of those who have one: what a try for an unknown name costs
}

// NewRoster makes one of its members, whose names differ.
func NewRoster(members []Member) *Roster {
	r := &Roster{members: map[string]*Member{}}
	for _, m := range members {
		r.members[m.Account.Name] = &m
		if h, err := parseHash(m.Partner.Password); err == nil {
			r.passwords = append(r.passwords, h)
		}
	}
	return r
}

// legacies is how many partners may log in with old clients.
func (r *Roster) legacies() (n int) {
	for _, m := range r.members {
		if m.Partner.Profile == Legacy && !m.Partner.Disabled {
			n++
		}
	}
	return n
}

// refusal says why a member may not log in from an address now; "" when he may. It is for the log, never for the peer.
func (m *Member) refusal(a netip.Addr, legacy bool, now time.Time) string {
	switch {
	case m == nil:
		return "unknown partner"
	case m.Partner.Disabled:
		return "disabled"
	case m.Partner.Expires.over(now):
		return "expired"
	case !admitted(m.Partner.Networks, a):
		return "address not in networks"
	case legacy && m.Partner.Profile != Legacy:
		return "profile is not legacy"
	}
	return ""
}

// account makes the account of a partner from its folders to drop into.
func account(name string, p *Partner, drops []Folder) *Account {
	a := &Account{Name: name, Quota: Quota{Bytes: p.Quota, Files: p.Files, FileSize: p.MaxFile}, Folders: drops}
	for _, path := range p.PickUp() {
		a.Folders = append(a.Folders, Folder{Path: path, Right: PickUp})
	}
	return a
}

// NewMember compiles one partner with the folders that sources give him to drop into.
func NewMember(name string, p *Partner, drops []Folder) Member {
	return Member{Partner: p, Account: account(name, p, drops)}
}

// Find returns a member by name; nil when there is none.
func (r *Roster) Find(name string) *Member { return r.members[name] }

// Accounts are those of all members, in no order.
func (r *Roster) Accounts() []*Account {
	list := make([]*Account, 0, len(r.members))
	for _, m := range r.members {
		list = append(list, m.Account)
	}
	return list
}

// String names who it is, for %v.
func (m *Member) String() string {
	return cmp.Or(m.Account.Name, "nobody")
}

// Admits reports whether the partner may connect from an address.
func (p *Partner) Admits(a netip.Addr) bool { return admitted(p.Networks, a) }
