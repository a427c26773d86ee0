package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"waybill/config"
	"waybill/jobs"
	"waybill/jobs/query"
	"waybill/outbox"
	"waybill/outbox/amqp"
	"waybill/outbox/file"
	"waybill/outbox/rest"
	"waybill/watcher"
	"waybill/watcher/local"
	"waybill/watcher/sftp"
	"waybill/watcher/sftpd"
)

// A landscape is what a configuration says, compiled: nothing of it runs yet.
type landscape struct {
	config       *config.Config
	jobs         *jobs.Set
	destinations []outbox.Destination
	connections  map[string]*query.Connection
	roster       *sftpd.Roster
	sftp         *sftpd.Options // nil: no embedded server
	unread       bool           // the configuration could not be read; see program.acting
}

// tables compiles what lookup looks into.
func (b *builder) tables() {
	b.lookups = map[string]*jobs.Table{}
	zone, err := time.LoadLocation(b.c.Zone)
	if err != nil {
		zone = time.UTC // reported elsewhere
	}
	for _, item := range b.c.Tables {
		o := *item.Options.(*jobs.TableOptions)
		b.lookups[item.Name] = nil // it is known all the same
		if !b.c.Whole("tables." + item.Name) {
			continue
		}
		t, problems := jobs.NewTable(item.Name, o, b.absolute(o.File), zone, b.now)
		for _, p := range problems {
			b.mistake("tables."+item.Name+"."+p.Path, p.Text)
		}
		b.lookups[item.Name] = t
	}
}

// readTables reads them, so that what is wrong with them is known before anything starts.
func (b *builder) readTables() {
	for _, item := range b.c.Tables {
		if t := b.lookups[item.Name]; t != nil {
			if err := t.Refresh(context.Background()); err != nil {
				b.mistake("tables."+item.Name+".file", strings.TrimPrefix(err.Error(), "table "+item.Name+": "))
			}
		}
	}
}

// builder compiles a configuration and gathers all mistakes.
type builder struct {
	c        *config.Config
	now      func() time.Time
	out      *landscape
	mistakes config.Problems
	lookups  map[string]*jobs.Table // nil: not understood
	blind    bool                   // secrets were not read
}

// build compiles a configuration, also one with mistakes, to find more of them. With mistakes the landscape is good for
// nothing but to be closed.
func build(c *config.Config, now func() time.Time) (*landscape, config.Problems) {
	b := &builder{c: c, now: now, out: &landscape{config: c, jobs: &jobs.Set{}, connections: map[string]*query.Connection{}}}
	b.connections()
	b.sources()
	b.tables()
	b.readTables()
	b.jobs()
	b.destinations()
	b.partners()
	b.out.sftp, _ = c.SFTPServer.(*sftpd.Options)
	return b.out, b.mistakes
}

// mistake reports what is wrong at a path, unless it may only follow from what was not understood there.
func (b *builder) mistake(path, text string) {
	if !b.c.Whole(path) {
		return
	}
	b.mistakes = append(b.mistakes, b.c.Locate(path, text))
}

func (b *builder) connections() {
	for _, item := range b.c.Connections {
		o := *item.Options.(*query.Options)
		if path, ok := strings.CutPrefix(o.URL, "sqlite:"); ok && !strings.HasPrefix(path, "/") {
			o.URL = "sqlite:" + b.absolute(path)
		}
		if isBroker(o.URL) {
			continue // destinations of kind amqp read its URL
		}
		c, err := query.Open(o)
		if err != nil {
			b.mistake("connections."+item.Name+".url", err.Error())
			continue
		}
		b.out.connections[item.Name] = c
	}
}

func isBroker(url string) bool {
	return len(url) >= 4 && url[:4] == "amqp"
}

// sources looks for mistakes; the sources themselves are made when they are watched.
func (b *builder) sources() {
	for _, item := range b.c.Sources {
		o, ok := item.Options.(*sftp.Options)
		if !ok {
			continue
		}
		_, problems := remote(b.c, *o, *item.Common.(*watcher.Settings), nil, slog.New(slog.DiscardHandler))
		at := "sources." + item.Name + ".sftp."
		for _, p := range problems {
			if p.Path == "key" && !b.c.Whole(at+"password") {
				continue // without a key it needs the password that was not understood
			}
			b.mistake(at+p.Path, p.Text)
		}
	}
}

// remote makes a source of kind sftp, with the files that its options name.
func remote(c *config.Config, o sftp.Options, s watcher.Settings, servers *sftp.Servers, log *slog.Logger) (*sftp.Source, []sftp.Problem) {
	var files sftp.Files
	var problems []sftp.Problem
	read := func(at, path string) (text []byte) {
		if path == "" {
			return nil
		}
		text, err := os.ReadFile(absolute(c, path))
		if err != nil {
			problems = append(problems, sftp.Problem{Path: at, Text: err.Error()})
		}
		return append(make([]byte, 0, len(text)), text...) // not nil: it is named
	}
	files.KnownHosts = read("known_hosts", o.KnownHosts)
	if o.Jump != nil {
		files.JumpKnownHosts = read("jump.known_hosts", o.Jump.KnownHosts)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return sftp.New(o, files, s, servers, log)
}

func (b *builder) jobs() {
	zone, err := time.LoadLocation(b.c.Zone)
	if err != nil {
		b.mistake("zone", fmt.Sprintf("%q is no zone: write for example Europe/Paris", b.c.Zone))
		zone = time.UTC
	}
	kinds, formerly, sources := map[string]string{}, map[string]string{}, map[string]string{}
	for _, d := range b.c.Destinations {
		kinds[d.Name] = d.Kind
		if o, ok := d.Common.(*outbox.Options); ok && o.Formerly != "" {
			formerly[d.Name] = o.Formerly
		}
	}
	for _, s := range b.c.Sources {
		sources[s.Name] = s.Kind
	}
	b.out.jobs.Partners = partnerVars(b.c)
	for _, item := range b.c.Jobs {
		o := *item.Options.(*jobs.Options)
		for i, send := range o.Send {
			if _, known := kinds[send.To]; !known {
				kinds[send.To] = "" // it is no mistake, or reported where it stands
			}
			if d := config.Find(b.c.Destinations, send.To); drains(d) && !o.Drain {
				b.mistake(fmt.Sprintf("jobs.%s.send[%d].to", item.Name, i), "destination "+send.To+" drains: send elsewhere, or let the job drain too")
			}
		}
		b.companionOnce(item.Name, o.Receive)
		plan, problems := jobs.Compile(item.Name, o,
			jobs.Environment{Zone: zone, Blind: b.blind, Destinations: kinds, Formerly: formerly, Sources: sources, Tables: b.lookups, Config: item.Digest, Absolute: b.absolute, Files: b.read, Whole: b.wholeBelow("jobs." + item.Name)})
		for _, p := range problems {
			b.mistake("jobs."+item.Name+"."+p.Path, p.Text)
		}
		if plan != nil {
			b.out.jobs.Plans = append(b.out.jobs.Plans, plan)
		}
	}
}

// read reads a file that the configuration names, from where that lies.
func (b *builder) read(path string) ([]byte, error) { return os.ReadFile(b.absolute(path)) }

func drains(destination *config.Item) bool {
	if destination == nil {
		return false
	}
	o, ok := destination.Common.(*outbox.Options)
	return ok && o.Drain
}

// wholeBelow tells of paths below a path whether what stands there was understood.
func (b *builder) wholeBelow(path string) func(string) bool {
	return func(rest string) bool { return b.c.Whole(path + "." + rest) }
}

func (b *builder) destinations() {
	for _, item := range b.c.Destinations {
		if item.Common == nil || item.Options == nil {
			continue // not understood
		}
		o := item.Common.(*outbox.Options).WithDefaults()
		target := b.target(item, o)
		b.out.destinations = append(b.out.destinations, outbox.Destination{
			Name: item.Name, Target: target, Options: o, Judge: b.out.jobs.Judge,
		})
	}
	b.sender()
}

// target makes the target of a destination, by its kind.
func (b *builder) target(item config.Item, o outbox.Options) outbox.Target {
	at := "destinations." + item.Name + "."
	if o.Unknown.Ask != nil && item.Kind != "http" {
		b.mistake(at+"unknown.ask", "goes with http: "+item.Kind+" cannot be asked; write repeat or hold")
		return nil
	}
	switch k := item.Options.(type) {
	case *rest.Options:
		question := b.question(at, o.Unknown.Ask)
		options := *k
		b.files(&options.TLS.CA)
		t, problems := rest.New(options, rest.Limits{Timeout: o.Timeout, Concurrency: o.Concurrency}, question, b.now)
		for _, p := range problems {
			b.mistake(at+p.Path, p.Text)
		}
		if t == nil {
			return nil // and not a target that holds nothing
		}
		return t
	case *amqp.Options:
		options := *k
		if !b.c.Whole(at+"amqp.connection") || options.Connection != "" && !b.c.Whole("connections."+options.Connection+".url") {
			return nil // and no url is no further mistake
		}
		if options.Connection != "" {
			options.URL = b.brokerURL(at, options.Connection)
		}
		b.files(&options.TLS.CA, &options.TLS.Cert, &options.TLS.Key)
		t, problems := amqp.New(options, amqp.Limits{Timeout: o.Timeout}, b.now)
		for _, p := range problems {
			b.mistake(at+p.Path, p.Text)
		}
		if t == nil {
			return nil // and not a target that holds nothing
		}
		return t
	case *file.Options:
		options := *k
		b.files(&options.Folder)
		t, problems := file.New(options, file.Limits{Concurrency: o.Concurrency}, b.now)
		for _, p := range problems {
			b.mistake(at+p.Path, p.Text)
		}
		if t == nil {
			return nil // and not a target that holds nothing
		}
		return t
	}
	panic("waybill: a kind of destination in the registry has no case in build.go: " + item.Kind)
}

func (b *builder) brokerURL(at, connection string) string {
	c := config.Find(b.c.Connections, connection)
	if c == nil {
		return "" // reported where the reference stands
	}
	url := c.Options.(*query.Options).URL
	if !isBroker(url) {
		b.mistake(at+"amqp.connection", "connection "+connection+" leads to no broker: its url begins with amqp:// or amqps://")
	}
	return url
}

func (b *builder) question(at string, ask *outbox.Ask) *rest.Question {
	if ask == nil {
		return nil
	}
	applied, err := jobs.CompileAnswer(ask.Applied)
	if err != nil {
		b.mistake(at+"unknown.ask.applied", err.Error())
		return nil
	}
	return &rest.Question{Get: ask.Get, Applied: applied}
}

// files makes the paths that are set absolute.
func (b *builder) files(paths ...*string) {
	for _, p := range paths {
		if *p != "" {
			*p = b.absolute(*p)
		}
	}
}

// absolute is a path of the configuration, which starts where the configuration lies.
func (b *builder) absolute(path string) string { return absolute(b.c, path) }

func absolute(c *config.Config, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	full, err := filepath.Abs(filepath.Join(c.Folder, path))
	if err != nil {
		return path
	}
	return full
}

// source makes the source of an item, by its kind.
func (l *landscape) source(item config.Item, servers *sftp.Servers, now func() time.Time, log *slog.Logger) (watcher.Source, error) {
	switch k := item.Options.(type) {
	case *sftp.Options:
		src, problems := remote(l.config, *k, *item.Common.(*watcher.Settings), servers, log.With("source", item.Name))
		if len(problems) > 0 {
			return nil, fmt.Errorf("sftp: %s %s", problems[0].Path, problems[0].Text)
		}
		return src, nil
	case *local.Options:
		o := *k
		o.Path = absolute(l.config, o.Path)
		return local.New(o, *item.Common.(*watcher.Settings), now, log.With("source", item.Name))
	case *sftpd.Mailboxes:
		return sftpd.Source{}, nil
	}
	panic("waybill: a kind of source in the registry has no case in build.go: " + item.Kind)
}

// ask runs the query of a job on one of the connections.
func (l *landscape) ask(ctx context.Context, connection, text string, from, to time.Time) (*jobs.Rows, func() error, error) {
	c := l.connections[connection]
	if c == nil {
		return nil, nil, fmt.Errorf("there is no connection %s", connection)
	}
	r, err := c.Rows(ctx, text, from, to)
	if err != nil {
		return nil, nil, err
	}
	return &jobs.Rows{Columns: r.Columns, All: r.Rows}, r.Close, nil
}

// close ends connections and targets.
func (l *landscape) close() error {
	var errs []error
	for _, c := range l.connections {
		errs = append(errs, c.Close())
	}
	for _, d := range l.destinations {
		if c, ok := d.Target.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// data is the folder of the ledger, absolute.
func (l *landscape) data() string {
	folder, err := filepath.Abs(l.config.Data)
	if err != nil {
		return l.config.Data
	}
	return cmp.Or(folder, l.config.Data)
}
