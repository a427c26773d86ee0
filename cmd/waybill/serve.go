package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/store"
	"waybill/watcher"
	"waybill/watcher/sftp"
)

// serveCommand is how the daemon calls itself to other processes.
const serveCommand = "waybill serve"

// grace is how long running work may take to finish once the daemon is told to stop.
const grace = 20 * time.Second

func (p *program) serve() *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Runs the daemon until it is told to stop (SIGTERM or Ctrl-C): it watches, works and delivers. SIGHUP, or waybill reload, loads the
configuration anew if it is valid. Under systemd it reports that it is ready, its status, and feeds the watchdog.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return p.runServe(c.Context(), wait) },
	}
	c.Flags().BoolVar(&wait, "wait", false, "when another process is at work in the data folder, wait for it to end")
	return c
}

func (p *program) runServe(ctx context.Context, wait bool) error {
	l, err := p.load(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before it began
		}
		return err
	}
	log := p.logger(l.config.Log)
	i, err := p.open(ctx, l.data(), log)
	if err != nil {
		return errors.Join(err, l.close())
	}
	d := &daemon{instance: i, land: &swap{cur: l}, watchers: map[string]*watching{}, servers: sftp.NewServers(p.now)}
	err = d.execute(ctx, wait)
	return errors.Join(err, i.close(), d.land.now().close())
}

// A daemon is the running stages.
type daemon struct {
	*instance
	land   *swap
	worker *jobs.Worker

	servers   *sftp.Servers                   // that sources poll; what is known of them outlives a reload
	sftp      *sftpServer                     // nil: none
	pausedNow atomic.Pointer[map[string]bool] // sources, by name

	reloading sync.Mutex // one reload at a time, whoever asks for it

	mu       sync.Mutex
	watchers map[string]*watching // by source
	wg       sync.WaitGroup       // of the watchers
}

// watching is one running watcher.
type watching struct {
	watcher *watcher.Watcher
	stop    context.CancelFunc
	ended   chan struct{} // closed when it has stopped
	digest  string        // of the source's configuration
}

// execute takes the executor's lock and runs all stages until ctx ends or one fails.
func (d *daemon) execute(ctx context.Context, wait bool) error {
	x, err := d.acquire(ctx, wait)
	if err != nil {
		return err
	}
	defer x.Release()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	// Intake stops first; what runs may finish; then the rest ends.
	stages, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	var wg sync.WaitGroup
	stage := func(name string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(stages); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	intake, stopIntake := context.WithCancel(stages)
	stage("work", func(ctx context.Context) error { return d.worker.Run(ctx, grace) })
	stage("deliver", func(ctx context.Context) error { return d.outbox.Run(ctx, grace) })
	stage("follow other processes", d.db.FollowOthers)
	stage("carry out commands", func(ctx context.Context) error { return d.commands(ctx, intake) })
	stage("keep house", d.housekeeping)
	stage("look for what has not come", d.overdue)
	stage("tell what happens", d.herald)
	stage("keep room on the disk", d.keepRoom)
	d.strays(ctx)
	d.watch(intake)
	d.serveSFTP(intake, cancel)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	d.notify("READY=1")
	stage("tell status", d.tell)
	d.log.Info("ready", "version", buildVersion(), "data", d.db.Folder(), "jobs", len(d.land.now().jobs.Plans))
	d.until(ctx, stages, intake, hup)
	d.notify("STOPPING=1")
	d.mu.Lock()
	stopIntake() // from here on watch starts nothing
	d.mu.Unlock()
	d.wg.Wait()
	cancel(nil)
	wg.Wait()
	if err := d.db.Err(); err != nil {
		return err
	}
	if err := context.Cause(stages); !errors.Is(err, context.Canceled) {
		return err
	}
	d.log.Info("stopped")
	return nil
}

// prepare makes what the stages work with, under the names of the configuration.
func (d *daemon) prepare(ctx context.Context) (err error) {
	l := d.land.now()
	if err := d.adopt(ctx, l, func() {}); err != nil {
		return err
	}
	d.worker = d.instance.worker(d.land)
	d.regather(ctx) // once arrivals go by the jobs of now: without any, nothing would want its files
	l.mailboxes(d.log)
	d.outbox.SetDestinations(l.destinations)
	d.sftp, err = d.openSFTP(ctx)
	return err
}

// until returns when ctx ends or a stage fails; meanwhile it reloads at SIGHUP.
func (d *daemon) until(ctx, stages, intake context.Context, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-stages.Done():
			return
		case <-d.db.Failed():
			return
		case <-hup:
			if _, err := d.reload(intake); err != nil {
				d.log.Error("the new configuration is not loaded, the old one stays in force", "error", err)
			}
		}
	}
}

// acquire takes the executor's lock, waiting for it if told so.
func (d *daemon) acquire(ctx context.Context, wait bool) (*store.Executor, error) {
	told := false
	for {
		x, err := d.db.TryExecutor(serveCommand)
		var held *store.HeldError
		if !errors.As(err, &held) || !wait {
			if err != nil {
				return nil, fmt.Errorf("%w: stop it, or start with --wait", err)
			}
			return x, nil
		}
		if !told {
			d.log.Info("waiting for another process to end", "holder", held.Error())
			told = true
		}
		timer := time.NewTimer(200 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

// watch starts a watcher for each source that has none yet, and stops those whose source is gone, changed or paused.
func (d *daemon) watch(ctx context.Context) {
	paused, err := d.pausedSources(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.Error("cannot tell which sources are paused, what is watched stays as it is", "error", err)
		}
		return
	}
	d.pausedNow.Store(&paused)
	l := d.land.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	keep := map[string]string{}
	for _, item := range l.config.Sources {
		if !paused[item.Name] {
			keep[item.Name] = l.watchedAs(item)
		}
	}
	for name, w := range d.watchers {
		if keep[name] != w.digest {
			w.stop()
			delete(d.watchers, name)
		}
	}
	for _, item := range l.config.Sources {
		if w := d.watchers[item.Name]; w != nil {
			w.watcher.Recheck() // a job may take now what none took
			continue
		}
		if paused[item.Name] {
			continue
		}
		src, err := l.source(item, d.servers, d.p.now, d.log)
		if err != nil {
			d.log.Error("cannot watch a source", "source", item.Name, "error", err)
			continue
		}
		closable, end := d.db.Watch(ledger.TopicClosable)
		w := watcher.New(item.Name, src, d.ledger, d.ledger, watcher.Options{
			Poll: item.Common.(*watcher.Settings).Poll, Companions: l.companions(item.Name), Closable: closable,
			Wanted: func(path string) bool { return d.wanted(item.Name, path) }, Now: d.p.now, Log: d.log,
		})
		child, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		d.watchers[item.Name] = &watching{watcher: w, stop: stop, ended: ended, digest: keep[item.Name]}
		d.wg.Go(func() {
			defer close(ended)
			defer end()
			if err := w.Run(child); err != nil {
				d.log.Error("a source is not watched", "source", item.Name, "error", err)
			}
		})
	}
}

// pausedSources are the names of the sources from which nothing is to be taken now.
func (d *daemon) pausedSources(ctx context.Context) (map[string]bool, error) {
	all, err := d.ledger.AllPaused(ctx)
	names := map[string]bool{}
	for _, p := range all {
		if name, ok := strings.CutPrefix(p.Subject, "source/"); ok {
			names[name] = true
		}
	}
	return names, err
}

// wanted reports whether a job takes the name.
func (d *daemon) wanted(source, path string) bool {
	l := d.land.now()
	if item := config.Find(l.config.Sources, source); item == nil || item.Common.(*watcher.Settings).Drain {
		return false
	}
	for _, p := range l.jobs.Plans {
		if p.Wants(source, path) {
			return true
		}
	}
	return false
}

// reload loads the configuration anew and puts it in force, if it is valid and takes nothing away that has work pending.
func (d *daemon) reload(intake context.Context) (string, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.notify("RELOADING=1\nMONOTONIC_USEC=" + monotonic())
	defer d.notify("READY=1")
	l, err := d.p.load(intake)
	if err != nil {
		return "", err
	}
	if err := d.mayReplace(intake, l); err != nil {
		return "", errors.Join(err, l.close())
	}
	was := d.land.now()
	changes := describe(was.config, l.config)
	d.unwatch(was.config, l.config)
	l.mailboxes(d.log)
	err = d.adopt(context.WithoutCancel(intake), l, func() {
		d.land.set(l)
		d.worker.SetJobs(l.jobs)
		d.outbox.SetDestinations(l.destinations)
	})
	if err == nil {
		d.regather(context.WithoutCancel(intake))
	}
	d.watch(intake)
	if err != nil {
		return "", errors.Join(err, l.close())
	}
	if d.sftp != nil {
		d.sftp.SetRoster(l.roster)
	}
	changes += d.restarts(l)
	d.log.Info("the configuration was loaded anew", "changes", changes)
	// Deliveries under way finish with the old targets, so these are closed a little later.
	time.AfterFunc(2*grace, func() { _ = was.close() })
	return changes, nil
}
