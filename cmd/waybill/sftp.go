package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"waybill/ledger"
	"waybill/store"
	"waybill/watcher"
	"waybill/watcher/sftpd"
)

// A journal keeps what happens at the SFTP server in the ledger.
type journal struct {
	db     *store.DB
	ledger *ledger.Ledger
}

func (j journal) Note(ctx context.Context, kind string, detail map[string]any) error {
	return j.db.Tx(ctx, func(tx *store.Tx) error {
		return j.ledger.Record(tx, ledger.Event{Kind: kind, Detail: detail})
	})
}

// An sftpServer is the embedded server, with its sockets open.
type sftpServer struct {
	*sftpd.Server
	files         *sftpd.Files
	plain, legacy []net.Listener
}

// hostKeys is the folder in which the first start puts the keys it makes.
func hostKeys(data string) string { return filepath.Join(data, "hostkeys") }

// openSFTP makes the embedded server of the landscape and opens its sockets; nil when there is none.
func (d *daemon) openSFTP(ctx context.Context) (*sftpServer, error) {
	l := d.land.now()
	if l.sftp == nil {
		return nil, nil
	}
	keys, err := l.hostKeys(d.db.Folder())
	if err != nil {
		return nil, fmt.Errorf("sftp_server: %w", err)
	}
	j := journal{d.db, d.ledger}
	files, err := sftpd.NewFiles(ctx, sftpd.FilesOptions{Folder: l.mailboxFolder(), Ledger: d.ledger, Spool: d.spool,
		Admit: d.land, Paused: d.isPaused, Journal: j, Now: d.p.now, Log: d.log})
	if err != nil {
		return nil, fmt.Errorf("sftp_server: %w", err)
	}
	s, err := sftpd.New(sftpd.Config{Options: *l.sftp, HostKeys: keys, Roster: l.roster, Files: files, Journal: j, Now: d.p.now, Log: d.log})
	if err != nil {
		return nil, err
	}
	o := &sftpServer{Server: s, files: files}
	if o.plain, o.legacy, err = passed(); err != nil {
		return nil, err
	}
	if len(o.plain) == 0 {
		if o.plain, err = sftpd.Listen(ctx, l.sftp.Listen); err != nil {
			return nil, err
		}
	}
	if len(o.legacy) == 0 {
		if o.legacy, err = sftpd.Listen(ctx, l.sftp.LegacyListen); err != nil {
			return nil, errors.Join(err, o.close())
		}
	}
	for _, k := range keys {
		d.log.Info("host key", "type", k.PublicKey().Type(), "fingerprint", k.Fingerprint(), "file", k.File)
	}
	for _, a := range o.plain {
		d.log.Info("SFTP", "listen", a.Addr().String())
	}
	for _, a := range o.legacy {
		d.log.Warn("SFTP with algorithms for old clients", "legacy_listen", a.Addr().String())
	}
	return o, nil
}

// isPaused reports whether an operator has paused a source.
func (d *daemon) isPaused(source string) bool {
	names := d.pausedNow.Load()
	return names != nil && (*names)[source]
}

// restarts says what of a configuration is in force only after a restart: the SFTP server goes on as it was begun. "" is nothing.
func (d *daemon) restarts(l *landscape) string {
	const how = "; sftp_server: that needs a restart (systemctl restart waybill), "
	switch {
	case d.sftp == nil && l.sftp != nil:
		return how + "no server runs until then"
	case d.sftp != nil && l.sftp == nil:
		return how + "the server goes on until then"
	case d.sftp != nil && !reflect.DeepEqual(d.sftp.Options, *l.sftp):
		return how + "the server goes on with the settings of its start until then"
	}
	return ""
}

// sourceStatuses tells of all sources.
func (d *daemon) sourceStatuses(ctx context.Context) (map[string]watcher.Status, error) {
	d.mu.Lock()
	sources := map[string]watcher.Status{}
	for name, w := range d.watchers {
		sources[name] = w.watcher.Status()
	}
	d.mu.Unlock()
	return sources, d.mailboxStatuses(ctx, sources)
}

// mailboxStatuses tells of the sources that partners drop into: what their folders show, and what has landed.
func (d *daemon) mailboxStatuses(ctx context.Context, sources map[string]watcher.Status) error {
	var landed map[string]int64
	if d.sftp != nil {
		landed = d.sftp.files.Landed()
	}
	var waiting map[string]ledger.Use
	for _, item := range d.land.now().config.Sources {
		if _, ok := item.Options.(*sftpd.Mailboxes); !ok {
			continue
		}
		if waiting == nil {
			var err error
			if waiting, err = d.ledger.Mailboxes(ctx); err != nil {
				return err
			}
		}
		s := sources[item.Name] // a paused one has no watcher
		s.Source = item.Name
		s.Seen, s.Waiting, s.Landed = int(waiting[item.Name].Files), int(waiting[item.Name].Files), landed[item.Name]
		sources[item.Name] = s
	}
	return nil
}

// close closes the sockets of a server that does not run.
func (s *sftpServer) close() error {
	var errs []error
	for _, l := range append(s.plain[:len(s.plain):len(s.plain)], s.legacy...) {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// hostKeys are those that the configuration names, or those in the data folder, which are made when they are missing.
func (l *landscape) hostKeys(data string) ([]sftpd.HostKey, error) {
	if len(l.sftp.HostKeys) == 0 {
		return sftpd.MakeHostKeys(hostKeys(data))
	}
	var paths []string
	for _, path := range l.sftp.HostKeys {
		paths = append(paths, absolute(l.config, path))
	}
	return sftpd.ReadHostKeys(paths)
}

// passed are the sockets that systemd has opened for this process (FileDescriptorName= in the unit of the socket).
func passed() (plain, legacy []net.Listener, err error) {
	all, err := activation.ListenersWithNames()
	if err != nil {
		return nil, nil, fmt.Errorf("take the sockets of systemd: %w", err)
	}
	for name, list := range all {
		switch name {
		case "sftp", "waybill.socket":
			plain = append(plain, list...)
		case "sftp-legacy":
			legacy = append(legacy, list...)
		default:
			err = errors.Join(err, fmt.Errorf("systemd passes a socket named %q: FileDescriptorName= is sftp or sftp-legacy", name))
		}
	}
	return plain, legacy, err
}

// serveSFTP runs the embedded server until intake ends.
func (d *daemon) serveSFTP(intake context.Context, failed context.CancelCauseFunc) {
	if d.sftp == nil {
		return
	}
	d.wg.Go(func() {
		_ = d.sftp.files.Run(intake, func() []*sftpd.Account { return d.land.now().roster.Accounts() })
	}) // ends without an error
	d.wg.Go(func() {
		if err := d.sftp.Run(intake, d.sftp.plain, d.sftp.legacy, grace); err != nil {
			failed(fmt.Errorf("serve SFTP: %w", err))
		}
		d.sftp.files.SumUp(context.WithoutCancel(intake)) // with what was done while sessions ended
	})
}

// statusSFTP prints what the embedded server is doing.
func (p *program) statusSFTP(s *sftpd.Status) error {
	if s == nil {
		return nil
	}
	fmt.Fprintf(p.out, "\nSFTP at %s: %s, %s, %d refused", cmp.Or(strings.Join(s.Listen, ", "), "no address yet"), count(s.Open, "session"), count(s.Logins, "login"), s.Refused)
	if s.LockedOut > 0 {
		fmt.Fprintf(p.out, ", locked out for a while: %d", s.LockedOut)
	}
	fmt.Fprintln(p.out)
	if len(s.LegacyListen) > 0 {
		fmt.Fprintf(p.out, "  with algorithms for old clients at %s, for %s\n", strings.Join(s.LegacyListen, ", "), count(s.Legacy, "partner"))
	}
	for _, key := range s.HostKeys {
		fmt.Fprintf(p.out, "  host key %s\n", key)
	}
	if len(s.Sessions) == 0 {
		return nil
	}
	rows := [][]string{{"PARTNER", "ADDRESS", "SINCE", "IN", "OUT", "CLIENT"}}
	for _, x := range s.Sessions {
		rows = append(rows, []string{x.Partner, x.Address, clock(x.Since), strconv.FormatInt(x.In, 10), strconv.FormatInt(x.Out, 10), shown(x.Client, 60)})
	}
	return p.table(rows)
}
