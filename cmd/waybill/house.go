package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"waybill/config"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/store"
)

// notify tells systemd, if it started this process (sd_notify(3)).
func (d *daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Warn("cannot notify systemd", "error", err)
	}
}

// monotonic is the time that systemd wants with RELOADING=1, in microseconds.
func monotonic() string {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return "0"
	}
	return strconv.FormatInt(t.Nano()/1000, 10)
}

// describe says in one line what differs between two configurations.
func describe(old, new *config.Config) string {
	var parts []string
	for _, c := range config.Diff(old, new) {
		parts = append(parts, strings.TrimSpace(c.What+" "+c.Section+" "+c.Name))
	}
	if len(parts) == 0 {
		return "nothing changed"
	}
	return strings.Join(parts, ", ")
}

// commands carries out what other processes ask of this one.
func (d *daemon) commands(ctx, intake context.Context) error {
	woken, end := d.db.Watch(ledger.TopicControls)
	defer end()
	for {
		list, err := d.ledger.Commands(ctx, "reload", "watch")
		if err != nil && ctx.Err() == nil {
			d.log.Error("cannot look for commands", "error", err)
		}
		for _, c := range list {
			result, err := d.carryOut(intake, c)
			if err := d.ledger.Done(context.WithoutCancel(ctx), c.ID, result, err); err != nil {
				d.log.Error("cannot answer a command", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.db.Failed():
			return d.db.Err()
		case <-woken:
		}
	}
}

func (d *daemon) carryOut(intake context.Context, c ledger.Command) (result string, err error) {
	if c.Kind == "watch" { // a source was paused or resumed
		d.watch(intake)
		return "", nil
	}
	return d.reload(intake)
}

// houseEvery is how often retention and the sweep run.
const houseEvery = time.Hour

// housekeeping removes what retention lets go and what nothing refers to.
func (d *daemon) housekeeping(ctx context.Context) error {
	tick := time.NewTicker(houseEvery)
	defer tick.Stop()
	for {
		retain := d.land.now().config.Retain
		if pruned, err := d.ledger.Prune(ctx, ledger.Retain{Files: retain.Files, Entries: retain.Entries, Identities: retain.Identities.Duration}); err != nil && ctx.Err() == nil {
			d.log.Error("cannot remove what retention lets go", "error", err)
		} else if pruned != (ledger.Pruned{}) {
			d.log.Info("retention", "removed", fmt.Sprintf("%+v", pruned))
		}
		if n, err := d.outbox.Prune(ctx, retain.Messages); err != nil && ctx.Err() == nil {
			d.log.Error("cannot remove delivered messages", "error", err)
		} else if n > 0 {
			d.log.Info("retention", "batches", n)
		}
		if n, err := d.worker.Expire(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("cannot remove keys whose time is over", "error", err)
		} else if n > 0 {
			d.log.Info("retention", "keys", n)
		}
		if n, err := d.spool.Sweep(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("cannot sweep the spool", "error", err)
		} else if n > 0 {
			d.log.Info("swept", "files", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// A destinationStatus is what `waybill status` shows of a destination.
type destinationStatus struct {
	outbox.Health
	Waiting int64     `json:"waiting"`
	Oldest  time.Time `json:"oldest,omitzero"`
	Dead    int64     `json:"dead"`
	Paused  string    `json:"paused,omitempty"`

	MayRepeat int       `json:"may_repeat,omitempty"` // messages that crashes may have had it get twice, at most
	Crashed   time.Time `json:"crashed,omitzero"`     // when a process last took over from one that was killed while it delivered
}

// statusShare bounds what telling the status may cost: with a long backlog counting takes its time.
const statusShare = 20

// tell keeps the status rows that `waybill status` reads, systemd's status line, and the watchdog fed.
func (d *daemon) tell(ctx context.Context) error {
	every := time.Second
	if w, err := sd.SdWatchdogEnabled(false); err == nil && w > 0 {
		every = min(every, w/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	line, next := "", time.Time{}
	for {
		// The watchdog is fed only while the ledger's writer answers: a daemon that cannot write must be restarted.
		if err := d.db.Tx(ctx, func(*store.Tx) error { return nil }); err == nil {
			d.notify("WATCHDOG=1")
		}
		if start := d.p.now(); !start.Before(next) {
			now, err := d.statuses(ctx)
			if err != nil && ctx.Err() == nil {
				d.log.Error("cannot tell the status", "error", err)
			}
			if err == nil && now != line {
				line = now
				d.notify("STATUS=" + line)
			}
			end := d.p.now()
			next = end.Add(min(time.Minute, max(every/2, statusShare*end.Sub(start))))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *daemon) statuses(ctx context.Context) (line string, err error) {
	waiting, err := d.outbox.Waiting(ctx)
	if err != nil {
		return "", err
	}
	var messages, dead int64
	var bad []string
	for name, h := range d.outbox.Healths() {
		w := waiting[name]
		s := destinationStatus{Health: h, Waiting: w.Messages, Oldest: w.Oldest, Dead: w.Dead}
		if s.Paused, err = d.outbox.Paused(ctx, name); err != nil {
			return "", err
		}
		if s.Paused != "" {
			s.State, s.Reason = "paused", s.Paused
		}
		if s.State != "healthy" {
			bad = append(bad, name+" "+s.State)
		}
		messages += w.Messages
		dead += w.Dead
		if err := d.ledger.SetStatus(ctx, "destination/"+name, s); err != nil {
			return "", err
		}
	}
	sources, err := d.sourceStatuses(ctx)
	if err != nil {
		return "", err
	}
	for name, s := range sources {
		if s.Error != "" {
			bad = append(bad, name+": "+s.Error)
		}
		if err := d.ledger.SetStatus(ctx, "source/"+name, s); err != nil {
			return "", err
		}
	}
	full := d.room.paused()
	if full != "" {
		bad = append(bad, full)
	}
	if d.sftp != nil {
		if err := d.ledger.SetStatus(ctx, "sftp", d.sftp.Status()); err != nil {
			return "", err
		}
	}
	slices.Sort(bad)
	line = fmt.Sprintf("%d messages wait, %d dead letters", messages, dead)
	if len(bad) > 0 {
		line += "; " + strings.Join(bad, "; ")
	}
	text, err := json.Marshal(map[string]string{"version": buildVersion(), "line": line, "full": full})
	if err != nil {
		return "", err
	}
	return line, d.ledger.SetStatus(ctx, "node", json.RawMessage(text))
}
