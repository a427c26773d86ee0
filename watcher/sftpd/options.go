package sftpd

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Options are the keys of sftp_server.
type Options struct {
	Listen       []string      `yaml:"listen" one:"true" default:":2022" doc:"addresses to listen on; sockets that systemd passes, named sftp, take their place"`
	LegacyListen []string      `yaml:"legacy_listen" one:"true" doc:"further addresses, for old clients: algorithms of 2010 are offered there, and only partners with profile: legacy may log in"`
	HostKeys     []string      `yaml:"host_keys" one:"true" doc:"private keys that prove whose server this is, when partners know one already; left out: an ed25519 and an rsa key, made at the first start in the data folder"`
	LoginTime    time.Duration `yaml:"login_time" default:"20s" doc:"from the connection to the login, at most"`
	Logins       int           `yaml:"logins" default:"100" doc:"connections that have not logged in yet, at most; the address with the most gives way"`
	PerAddress   int           `yaml:"logins_per_address" default:"10" doc:"of these, from one address (IPv6: one /64)"`
	Idle         time.Duration `yaml:"idle" default:"10m" doc:"a session in which nothing moves for so long is ended"`
	Sessions     int           `yaml:"sessions" default:"10" doc:"sessions of one partner at a time"`
	Exempt       []Network     `yaml:"exempt" one:"true" doc:"addresses that failed logins do not lock out for a while, such as a proxy's or a monitor's"`
}

// Validate refuses what cannot be meant.
func (o *Options) Validate() error {
	var errs []error
	for i, a := range o.Listen {
		errs = append(errs, checkListen(fmt.Sprintf("listen[%d]", i), a))
	}
	for i, a := range o.LegacyListen {
		errs = append(errs, checkListen(fmt.Sprintf("legacy_listen[%d]", i), a))
	}
	atLeast := func(key string, value, least int64, text string) {
		if value < least {
			errs = append(errs, at(key, "%s is at least %s", key, text))
		}
	}
	atLeast("login_time", int64(o.LoginTime), int64(time.Second), "1s")
	atLeast("idle", int64(o.Idle), int64(time.Second), "1s")
	atLeast("logins", int64(o.Logins), 1, "1")
	atLeast("logins_per_address", int64(o.PerAddress), 1, "1")
	atLeast("sessions", int64(o.Sessions), 1, "1")
	return errors.Join(errs...)
}

func checkListen(key, address string) error {
	colon := strings.LastIndexByte(address, ':')
	if colon < 0 {
		return at(key, "%q has no port: write for example :2022 or 127.0.0.1:2022", address)
	}
	host := strings.Trim(address[:colon], "[]")
	if _, err := netip.ParseAddr(host); host != "" && err != nil {
		return at(key, "%q is no address to listen on: write for example :2022 or 127.0.0.1:2022", address)
	}
	if _, err := strconv.ParseUint(address[colon+1:], 10, 16); err != nil {
		return at(key, "%q has no port: write for example :2022 or 127.0.0.1:2022", address)
	}
	return nil
}

// located is a mistake at a key below what is validated.
type located struct {
	path string
	text string
}

func (l located) Error() string { return l.text }
func (l located) Path() string  { return l.path }

func at(path, format string, args ...any) error { return located{path, fmt.Sprintf(format, args...)} }

// A Network is a block of addresses, or one address.
type Network struct{ netip.Prefix }

// UnmarshalText reads 203.0.113.0/24, 203.0.113.7 or 2001:db8::/48.
func (n *Network) UnmarshalText(text []byte) error {
	s := string(text)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		n.Prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is neither an address nor a network: write for example 203.0.113.7 or 203.0.113.0/24", s)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has bits behind its length: write %s, or the address alone", s, p.Masked())
	}
	if p.Addr().Is4In6() {
		return fmt.Errorf("%q is an IPv4 network written as IPv6: write it as IPv4", s)
	}
	n.Prefix = p
	return nil
}

// admitted reports whether a network holds the address; without networks every address is right.
func admitted(networks []Network, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return len(networks) == 0
}

// Mailboxes are the keys of a source that partners drop into.
type Mailboxes struct {
	Group     string `yaml:"group" doc:"the partners of this group; or write partner"`
	Partner   string `yaml:"partner" ref:"partners" doc:"one partner; or write group"`
	Folder    string `yaml:"folder" default:"in" doc:"the folder of their mailboxes that they drop into"`
	Test      string `yaml:"test" doc:"a folder for trying: what is dropped there is checked and acknowledged in full, and nothing of it is delivered"`
	Unmatched string `yaml:"unmatched" enum:"refuse,keep" default:"refuse" doc:"what becomes of a file whose name no job takes: refuse tells its sender when it is closed; keep has it lie in the folder until retention removes it"`
}

// KeepUnmatched is the value of unmatched that keeps what no job takes.
const KeepUnmatched = "keep"

// Validate wants one of group and partner, and folders that can be.
func (m *Mailboxes) Validate() error {
	var errs []error
	if (m.Group == "") == (m.Partner == "") {
		errs = append(errs, errors.New("write either group or partner: whose mailboxes are they?"))
	}
	errs = append(errs, checkFolder("folder", m.Folder))
	if m.Test != "" {
		errs = append(errs, checkFolder("test", m.Test))
		if Overlap(m.Folder, m.Test) {
			errs = append(errs, at("test", "%q and the folder %q are not apart", m.Test, m.Folder))
		}
	}
	return errors.Join(errs...)
}

// Takes reports whether the partner's mailbox is one of these.
func (m *Mailboxes) Takes(partner string, o *Partner) bool {
	return m.Partner == partner && partner != "" || m.Group != "" && m.Group == o.Group
}

// checkFolder refuses what cannot be the path of a folder below a mailbox.
func checkFolder(key, folder string) error {
	const remedy = `write for example in, or orders/in`
	switch {
	case folder == "":
		return at(key, "%s is empty: %s", key, remedy)
	case len(folder) > 255 || !utf8.ValidString(folder) || strings.ContainsFunc(folder, func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' }):
		return at(key, "%q cannot be a folder: up to 255 visible characters, %s", folder, remedy)
	case folder[0] == '/' || path.Clean(folder) != folder || folder == "." || folder == ".." || strings.HasPrefix(folder, "../"):
		return at(key, "%q is no path below the mailbox: %s", folder, remedy)
	}
	for part := range strings.SplitSeq(folder, "/") {
		if part[0] == '.' {
			return at(key, "%q is hidden: no part of a folder begins with a dot", folder)
		}
	}
	return nil
}

// Overlap reports whether two folders are one, or one lies in the other.
func Overlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
