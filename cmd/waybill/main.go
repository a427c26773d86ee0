// Command waybill watches drop folders and schedules, and turns each file or tick into messages that are
// delivered once. This package chooses and wires: one file per command, and build.go, which makes what the configuration says out
// of the other packages. It alone knows all kinds of sources, destinations and formats (registry.go).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"
	_ "time/tzdata" // zones, where the machine has none

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/jobs/convert"
	"waybill/ledger"
)

// version is set when a release is built (-ldflags "-X main.version=…").
var version = "dev"

// Exit codes, also in docs/commands.md and `waybill help`.
const (
	exitDone    = 0 // all delivered, or nothing to do because it already was
	exitError   = 1
	exitUsage   = 2 // wrong arguments or configuration
	exitRejects = 3 // rejects or dead letters
	exitHeld    = 4
	exitPending = 5 // not yet delivered
)

func main() {
	if code, is := convert.Child(); is { // before anything else: it is another program
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program as a function.
func run(ctx context.Context, args []string, in io.Reader, out, diag io.Writer) int {
	p := &program{in: in, out: out, diag: diag, now: time.Now}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(diag)
	err := root.ExecuteContext(ctx)
	pprof.StopCPUProfile()
	var status exit
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		if status.err != nil {
			fmt.Fprintf(diag, "waybill: %v\n", status.err)
		}
		return status.code
	}
	fmt.Fprintf(diag, "waybill: %v\n", err)
	return exitError
}

// exit is an error that says how the process is to end; without err, what there was to say has been said.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string { return fmt.Sprint(e.err) }

func usage(format string, args ...any) error { return exit{exitUsage, fmt.Errorf(format, args...)} }

// program is what every command has: streams, clock and the flags of all commands.
type program struct {
	in        io.Reader
	out, diag io.Writer
	now       func() time.Time

	file       string // --config
	data       string // --data
	json       bool   // --json
	acceptLoss bool   // --accept-data-loss
	profile    string // --profile
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "waybill",
		Short: "Turns dropped files and schedules into messages, each once",
		Long: `Waybill watches drop folders and schedules, translates what comes into API calls, broker messages
and files, and keeps a ledger so that each file happens once.

Exit codes: 0 done, 1 error, 2 wrong arguments or configuration, 3 rejects or dead letters,
4 held, 5 accepted but not yet delivered.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		Args:              known,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		CompletionOptions: cobra.CompletionOptions{},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; see waybill %s --help", err, c.Name())
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&p.file, "config", "c", "waybill.yaml", "configuration file")
	flags.StringVar(&p.data, "data", "", "data folder, instead of the configuration's")
	flags.BoolVar(&p.json, "json", false, "print JSON, for scripts")
	flags.BoolVar(&p.acceptLoss, "accept-data-loss", false, "go on although the data folder may lose what was confirmed (tests, trials)")
	flags.StringVar(&p.profile, "profile", "", "write a CPU profile to this file, for the developers")
	_ = flags.MarkHidden("profile") // the flag is there
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return p.startProfile() }
	for _, add := range p.commands() {
		root.AddCommand(add)
	}
	return root
}

// known refuses what is no command.
func known(c *cobra.Command, list []string) error {
	if len(list) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usage("there is no command %q, %s; see waybill --help", ledger.Shown(list[0]), config.Suggest(list[0], names, "commands"))
}

// startProfile begins the CPU profile that --profile asks for.
func (p *program) startProfile() error {
	if p.profile == "" {
		return nil
	}
	f, err := os.Create(p.profile)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// args wraps a check of arguments so that its failure is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, list []string) error {
		if err := check(c, list); err != nil {
			return usage("%w; see waybill %s --help", err, c.Name())
		}
		return nil
	}
}

// load reads the configuration and builds what it says. Mistakes are printed, all of them.
func (p *program) load(ctx context.Context) (*landscape, error) {
	c, mistakes, err := p.read(ctx, config.System())
	if err != nil {
		return nil, exit{exitUsage, err}
	}
	if c == nil {
		return nil, p.mistakes(mistakes)
	}
	l, more := build(c, p.now)
	if mistakes = append(mistakes, more...); len(mistakes) > 0 {
		_ = l.close() // nothing has used it
		return nil, p.mistakes(mistakes.Sort())
	}
	return l, nil
}

// read reads the configuration. One with mistakes is there too, to look for more of them, unless nothing of it could be read.
func (p *program) read(ctx context.Context, env config.Environment) (*config.Config, config.Problems, error) {
	c, err := config.Load(ctx, p.file, registry(), env)
	var mistakes config.Problems
	if err != nil && !errors.As(err, &mistakes) {
		return nil, nil, err
	}
	if c != nil && p.data != "" {
		c.Data = p.data
	}
	return c, mistakes, nil
}

func (p *program) mistakes(list config.Problems) error {
	n := "one mistake"
	if len(list) > 1 {
		n = fmt.Sprintf("%d mistakes", len(list))
	}
	return exit{exitUsage, fmt.Errorf("the configuration has %s:\n%w", n, list)}
}

// build information for version and the log.
func buildVersion() string {
	if version != "dev" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}
