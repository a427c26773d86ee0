package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/watcher/sftpd"
)

func (p *program) partner() *cobra.Command {
	c := &cobra.Command{
		Use:   "partner",
		Short: "Add, check and change the partners of the SFTP server",
		Long: `Partners are accounts on the embedded SFTP server. They stand in the configuration: these commands read and write it there, and never
write one that is not valid. A running daemon takes a change over with waybill reload.`,
		Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what: waybill partner list, check, history, add, password, disable or enable")
		},
	}
	c.AddCommand(p.partnerList(), p.partnerCheck(), p.partnerHistory(), p.partnerAdd(), p.partnerPassword(),
		p.partnerAble("disable", "Keep a partner from logging in; his files stay", true),
		p.partnerAble("enable", "Let a partner who was disabled log in again", false))
	return c
}

// A partnerView is one partner as --json shows it.
type partnerView struct {
	Name     string           `json:"name"`
	Group    string           `json:"group,omitempty"`
	State    string           `json:"state"` // active, disabled or expired
	Keys     []keyView        `json:"keys,omitempty"`
	Password bool             `json:"password,omitempty"`
	Certs    []string         `json:"authorities,omitempty"` // fingerprints
	Networks []string         `json:"networks,omitempty"`
	Expires  time.Time        `json:"expires,omitzero"`
	Profile  string           `json:"profile"`
	Folders  []partnerFolder  `json:"folders"`
	Contact  string           `json:"contact,omitempty"`
	Findings []partnerFinding `json:"findings,omitempty"`
}

type keyView struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Comment     string `json:"comment,omitempty"`
}

type partnerFolder struct {
	Path   string   `json:"path"`
	Right  string   `json:"right"`
	Source string   `json:"source,omitempty"`
	Test   bool     `json:"test,omitempty"`
	Jobs   []string `json:"jobs,omitempty"` // with the names they take
}

// A partnerFinding is what a partner would stumble over, and what to do.
type partnerFinding struct {
	What string `json:"what"`
	Do   string `json:"do"`
}

// view gathers what is to be told of a partner.
func (l *landscape) partnerView(m *sftpd.Member, now time.Time) partnerView {
	o := m.Partner
	v := partnerView{Name: m.Account.Name, Group: o.Group, State: "active", Password: o.Password != "", Profile: o.Profile, Contact: o.Contact.Email, Expires: o.Expires.Time}
	switch {
	case o.Disabled:
		v.State = "disabled"
	case !o.Expires.IsZero() && !now.Before(o.Expires.Time):
		v.State = "expired"
	}
	for i := range o.Keys {
		v.Keys = append(v.Keys, keyView{o.Keys[i].Type(), o.Keys[i].Fingerprint(), o.Keys[i].Comment})
	}
	for i := range o.Authorities {
		v.Certs = append(v.Certs, o.Authorities[i].Key.Fingerprint())
	}
	for _, n := range o.Networks {
		v.Networks = append(v.Networks, n.String())
	}
	for _, f := range m.Account.Folders {
		pf := partnerFolder{Path: f.Path, Right: string(f.Right), Source: f.Source, Test: f.Trial}
		for _, plan := range l.jobs.Plans {
			if r := plan.Options().Receive; r != nil && f.Source != "" && r.Source == f.Source {
				pf.Jobs = append(pf.Jobs, plan.Name()+" ("+strings.Join(r.Files, ", ")+")")
			}
		}
		v.Folders = append(v.Folders, pf)
	}
	return v
}

func (p *program) partnerList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the partners, and the fingerprints of the server's host keys",
		Args:    args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := p.load(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = l.close() }() // nothing was used
			rows := [][]string{{"PARTNER", "GROUP", "STATE", "KEYS", "PASSWORD", "NETWORKS", "DROPS INTO", "PICKS UP FROM"}}
			for _, item := range l.config.Partners {
				v := l.partnerView(l.roster.Find(item.Name), p.now())
				if p.json {
					if err := p.print(v); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, v.row())
			}
			if p.json {
				return nil
			}
			if len(rows) == 1 {
				fmt.Fprintln(p.out, "there are no partners: waybill partner add makes one")
			} else if err := p.table(rows); err != nil {
				return err
			}
			return p.hostKeysText(l)
		},
	}
}

func (v partnerView) row() []string {
	var drops, picks []string
	for _, f := range v.Folders {
		if f.Right == string(sftpd.PickUp) {
			picks = append(picks, f.Path)
		} else {
			drops = append(drops, f.Path)
		}
	}
	password := "no"
	if v.Password {
		password = "yes"
	}
	networks := strings.Join(v.Networks, " ")
	if networks == "" {
		networks = "all"
	}
	return []string{v.Name, v.Group, v.State, fmt.Sprint(len(v.Keys) + len(v.Certs)), password, networks, strings.Join(drops, " "), strings.Join(picks, " ")}
}

// hostKeysText tells the fingerprints that partners compare.
func (p *program) hostKeysText(l *landscape) error {
	if l.sftp == nil {
		_, err := fmt.Fprintln(p.out, "\nthere is no sftp_server in the configuration: nobody can connect")
		return err
	}
	paths := sftpd.MadeHostKeys(hostKeys(l.data()))
	if len(l.sftp.HostKeys) > 0 {
		paths = nil
		for _, path := range l.sftp.HostKeys {
			paths = append(paths, absolute(l.config, path))
		}
	}
	if len(paths) == 0 {
		_, err := fmt.Fprintf(p.out, "\nthe server has no host keys yet: the first start of waybill serve makes them in %s\n", hostKeys(l.data()))
		return err
	}
	keys, err := sftpd.ReadHostKeys(paths)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.out, "\nhost keys, for partners to compare:")
	for _, k := range keys {
		fmt.Fprintf(p.out, "  %s %s\n", k.PublicKey().Type(), k.Fingerprint())
	}
	return nil
}

// member finds a partner by name.
func (l *landscape) member(name string) (*sftpd.Member, error) {
	if m := l.roster.Find(name); m != nil {
		return m, nil
	}
	var names []string
	for _, item := range l.config.Partners {
		names = append(names, item.Name)
	}
	return nil, usage("there is no partner %q, %s", name, config.Suggest(name, names, "partners"))
}

func (p *program) partnerCheck() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use:   "check NAME",
		Short: "Tell what a partner would meet: access, keys, folders, and which jobs take his files",
		Long: `Tells what a partner would meet: whether he may log in now, with which keys, what he sees, and which jobs take what he drops. What would
be in his way is told with what to do, and ends the command with 1.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			l, err := p.load(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = l.close() }() // nothing was used
			m, err := l.member(list[0])
			if err != nil {
				return err
			}
			v := l.partnerView(m, p.now())
			if v.Findings, err = l.findings(m, v, from); err != nil {
				return err
			}
			if err := p.checked(v); err != nil {
				return err
			}
			if len(v.Findings) > 0 {
				return exit{code: exitError}
			}
			return nil
		},
	}
	c.Flags().StringVar(&from, "from", "", "check that he may connect from this address as well")
	return c
}

// findings are what would be in a partner's way.
func (l *landscape) findings(m *sftpd.Member, v partnerView, from string) (list []partnerFinding, err error) {
	found := func(what, do string) { list = append(list, partnerFinding{what, do}) }
	if l.sftp == nil {
		found("there is no sftp_server", "write sftp_server: {listen: \":2022\"}")
	}
	switch v.State {
	case "disabled":
		found("he is disabled", "waybill partner enable "+v.Name)
	case "expired":
		found("his access ended "+clock(v.Expires), "write another day into expires")
	}
	if from != "" {
		a, err := netip.ParseAddr(from)
		if err != nil {
			return nil, usage("--from %q is no address", from)
		}
		if !m.Partner.Admits(a) {
			found(from+" is not in his networks", "add it to networks, or have him connect from one of them")
		}
	}
	if m.Partner.Profile == sftpd.Legacy && l.sftp != nil && len(l.sftp.LegacyListen) == 0 {
		found("profile: legacy, but the server has no legacy_listen", "write sftp_server.legacy_listen, unless systemd passes a socket named sftp-legacy, or leave the profile out")
	}
	drops := 0
	for _, f := range v.Folders {
		if f.Right != string(sftpd.Drop) {
			continue
		}
		drops++
		if len(f.Jobs) == 0 {
			found("no job takes what he drops into "+f.Path, "write receive: {source: "+f.Source+"} into a job")
		}
	}
	if drops == 0 {
		group := "partner: " + v.Name
		if v.Group != "" {
			group = "group: " + v.Group
		}
		found("he has no folder to drop into", "write a source with mailboxes: {"+group+", folder: in}, or leave it if he only picks up")
	}
	return list, nil
}

// checked prints what a partner would meet.
func (p *program) checked(v partnerView) error {
	if p.json {
		return p.print(v)
	}
	fmt.Fprintf(p.out, "%s is %s", v.Name, v.State)
	if !v.Expires.IsZero() && v.State == "active" {
		fmt.Fprintf(p.out, " until %s", clock(v.Expires))
	}
	from := "any address"
	if len(v.Networks) > 0 {
		from = strings.Join(v.Networks, ", ")
	}
	fmt.Fprintf(p.out, ", and may connect from %s\n", from)
	for _, k := range v.Keys {
		fmt.Fprintf(p.out, "  key        %s %s %s\n", k.Type, k.Fingerprint, safe(k.Comment))
	}
	for _, f := range v.Certs {
		fmt.Fprintf(p.out, "  authority  %s\n", f)
	}
	if v.Password {
		fmt.Fprintln(p.out, "  password   yes")
	}
	for _, f := range v.Folders {
		switch {
		case f.Right == string(sftpd.PickUp):
			fmt.Fprintf(p.out, "  folder     %s: picks up\n", f.Path)
		case f.Test:
			fmt.Fprintf(p.out, "  folder     %s: tries, nothing is delivered: source %s, %s\n", f.Path, f.Source, jobsOf(f))
		default:
			fmt.Fprintf(p.out, "  folder     %s: drops: source %s, %s\n", f.Path, f.Source, jobsOf(f))
		}
	}
	for _, f := range v.Findings {
		fmt.Fprintf(p.out, "%s: %s\n", f.What, f.Do)
	}
	return nil
}

func jobsOf(f partnerFolder) string {
	if len(f.Jobs) == 0 {
		return "no job"
	}
	return "jobs " + strings.Join(slices.Sorted(slices.Values(f.Jobs)), ", ")
}

// partnerFile is where a partner that is added stands.
func (p *program) partnerFile(name string) string {
	return filepath.Join(filepath.Dir(p.file), "partners.d", name+".yaml")
}
