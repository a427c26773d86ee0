package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"waybill/jobs"
	"waybill/ledger"
)

//go:embed demo/waybill.yaml
var demoLandscape embed.FS

// demoSeed decides which orders meet a fault at the receiver. With it, the fixed set of --once meets each kind.
const demoSeed = 113

func (p *program) demo() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole way of dropped files, with nothing to install",
		Long: `Writes a configuration into a temporary folder, starts a receiving API as a process of its own, runs the daemon, and
drops order files over SFTP as partners would: good ones, a bad one, one that was sent before. The receiver is out of order now
and then. What happens is told line by line, until Ctrl-C; meanwhile you may drop files of your own, with the line that is shown.

With --once a fixed set of files is dropped; when all is settled, what the receiver's own log says is compared with what was
ordered. Exit code 0: all is as expected; 1: it is not, and what differs was said.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return p.runDemo(c.Context(), o) },
	}
	c.Flags().StringVar(&o.folder, "folder", "", "new or empty folder to work in; it is kept (left out: a temporary one, removed at the end)")
	c.Flags().BoolVar(&o.once, "once", false, "drop one fixed set of files, wait until all is settled, check it, and end")
	c.Flags().BoolVar(&o.keep, "keep", false, "keep the temporary folder")
	c.Flags().DurationVar(&o.every, "every", 4*time.Second, "time between two files")
	return c
}

type demoOptions struct {
	folder     string
	once, keep bool
	every      time.Duration
}

// runDemo sets the stage, plays, and clears up.
func (p *program) runDemo(ctx context.Context, o demoOptions) (err error) {
	if o.every <= 0 {
		return usage("--every %s is no pause: write for example 4s", o.every)
	}
	folder, err := demoFolder(o.folder)
	if err != nil {
		return err
	}
	t := p.teller()
	defer func() { err = errors.Join(err, clearUp(t, folder, o, err)) }()
	s, err := p.setStage(ctx, folder, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.receiver.stop()) }()
	defer func() { err = errors.Join(err, s.book.close()) }()
	return s.play(ctx, o)
}

// demoFolder makes the folder of the demo, absolute.
func demoFolder(name string) (string, error) {
	if name == "" {
		return os.MkdirTemp("", "waybill-demo-")
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(name, 0o700); err != nil {
		return "", err
	}
	found, err := os.ReadDir(name)
	if err == nil && len(found) > 0 {
		return "", usage("%s is not empty: name a new folder", name)
	}
	return name, err
}

// clearUp removes a temporary folder, unless there is something in it to look at.
func clearUp(t *teller, folder string, o demoOptions, failure error) error {
	if o.folder != "" || o.keep || failure != nil {
		t.line("everything is kept in %s", folder)
		return nil
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	t.line("the folder %s is removed (--keep, or --folder, keeps it)", folder)
	return nil
}

// A stage is a running demo.
type stage struct {
	p        *program // of the daemon: its configuration, its log
	folder   string
	tell     *teller
	receiver *child
	book     *instance // reads the ledger beside the daemon, as the commands do
	day      time.Time

	port              int    // of the SFTP server
	hostKey           string // its fingerprint
	password          string // of supplier, hashed
	supplier, kitchen *demoPartner

	looking sync.Mutex
	known   map[int64]ledger.State // by entry: what was told last
	read    []jobs.Acknowledgement // by the partners
}

// setStage makes folders and configuration and starts the receiver.
func (p *program) setStage(ctx context.Context, folder string, t *teller) (*stage, error) {
	s := &stage{folder: folder, tell: t, day: p.now()}
	for _, name := range []string{"accounts", "data"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(s.path("erp.key"), []byte("demo-key-1f7a\n"), 0o600); err != nil {
		return nil, err
	}
	r, err := startReceiver(ctx, s.path("received.log"), s.path("erp.key"), t)
	if err != nil {
		return nil, fmt.Errorf("start the receiver: %w", err)
	}
	s.receiver = r
	if err := errors.Join(s.invite(), s.writeConfig()); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	daemon := *p
	daemon.file, daemon.data, daemon.json = s.path("waybill.yaml"), "", false
	s.p = &daemon
	s.book, err = daemon.open(ctx, s.path("data"), slog.New(slog.DiscardHandler))
	if err != nil && !daemon.acceptLoss {
		// A temporary folder often lies in memory; a demo need not survive a power cut.
		daemon.acceptLoss = true
		var again error
		if s.book, again = daemon.open(ctx, s.path("data"), slog.New(slog.DiscardHandler)); again != nil {
			return nil, errors.Join(err, r.stop())
		}
		t.line("note: %v (so the demo does)", err)
	}
	if err != nil && s.book == nil {
		return nil, errors.Join(err, r.stop())
	}
	return s, nil
}

func (s *stage) path(name string) string { return filepath.Join(s.folder, filepath.FromSlash(name)) }

// writeConfig fills in what differs from demo to demo.
func (s *stage) writeConfig() error {
	t, err := template.New("waybill.yaml").Delims("<<", ">>").Funcs(template.FuncMap{
		"text":      strconv.Quote, // a double-quoted text of Go is one of YAML
		"reference": func(path string) string { return "${file:" + path + "}" },
	}).ParseFS(demoLandscape, "demo/waybill.yaml")
	if err != nil {
		return err
	}
	var b strings.Builder
	err = t.Execute(&b, map[string]any{"Data": s.path("data"), "Port": s.receiver.port, "KeyFile": s.path("erp.key"),
		"SFTP": s.port, "Password": s.password, "Supplier": s.supplier.public, "Robots": s.kitchen.public})
	if err != nil {
		return err
	}
	return os.WriteFile(s.path("waybill.yaml"), []byte(b.String()), 0o600)
}

// play runs the daemon, tells what happens, and lets the partners act.
func (s *stage) play(ctx context.Context, o demoOptions) (err error) {
	log, err := os.OpenFile(s.path("daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	s.p.diag, s.p.out = log, io.Discard
	s.introduce()

	running, stop := context.WithCancelCause(ctx)
	served := make(chan error, 1)
	go func() {
		err := s.p.runServe(running, false)
		stop(errDaemonEnded)
		served <- err
	}()
	showing, enough := context.WithCancel(context.WithoutCancel(ctx))
	var shown sync.WaitGroup
	shown.Go(func() { s.follow(showing) })
	shown.Go(func() { s.mail(running) })
	if o.once {
		err = s.once(running)
	} else {
		err = s.live(running, o.every)
	}
	if ctx.Err() != nil {
		s.tell.line("")
		s.tell.line("stopping: what is under way may finish")
	}
	stop(nil)
	end := <-served
	enough()
	shown.Wait()
	s.supplier.close()
	s.kitchen.close()
	if end != nil {
		end = fmt.Errorf("the daemon: %w (its log: %s)", end, s.path("daemon.log"))
	}
	return errors.Join(err, end)
}

var errDaemonEnded = errors.New("the daemon ended")

// introduce says what there is and what may be tried beside it.
func (s *stage) introduce() {
	t := s.tell
	t.line("waybill demo: two partners drop order files over SFTP, on port %d of this machine", s.port)
	t.line("each order goes by HTTP to a receiver (process %d) that fails now and then; the daemon's log is %s", s.receiver.pid(), s.path("daemon.log"))
	t.line("")
}

// suggest says which commands to try next, ready to be pasted. bad is a file that was rejected.
func (s *stage) suggest(bad string) {
	self := "waybill"
	if exe, err := os.Executable(); err == nil {
		self = quoteShell(exe)
	}
	with := "--config " + quoteShell(s.path("waybill.yaml"))
	if s.p.acceptLoss {
		with += " --accept-data-loss"
	}
	t := s.tell
	t.line("")
	t.line("try these in another terminal:")
	for _, c := range [][2]string{
		{"status", "what waits, what is well"}, {"list", "every file, and what became of it"}, {"show 2", "the whole way of one"},
		{"why " + bad, "why a file is where it is"}, {"trace A-1001", "where is this order, what was answered"},
		{"dead list", "what the receiver refused"}, {"dead resend 1", "send it again, once its article is known there"},
	} {
		t.line("  %s %s %-20s # %s", self, with, c[0], c[1])
	}
	t.line("or edit %s, which is in windows-1252, and drop it (password: %s; the host key is %s):", s.path(mineName), supplierPassword, s.hostKey)
	t.line("  sftp -P %d -o PubkeyAuthentication=no %s@localhost   # then: put %s in/; the demo reads out/ as well, and tells here what it says", s.port, supplierPartner, s.path(mineName))
	t.line("")
}

// quoteShell writes a word as a shell reads it.
func quoteShell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
