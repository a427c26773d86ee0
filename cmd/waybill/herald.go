package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"waybill/ledger"
)

// heraldEvery is how often the daemon looks for events that belong into its log.
const heraldEvery = time.Second

// herald logs what the ledger's events tell an operator: entries that came to be held or failed, and what people did,
// in this process or from another.
func (d *daemon) herald(ctx context.Context) error {
	tick := time.NewTicker(heraldEvery)
	defer tick.Stop()
	var last int64
	for begun := false; ; {
		var err error
		if begun {
			last, err = d.announce(ctx, last)
		} else {
			last, err = d.ledger.LastEvent(ctx)
			begun = err == nil
		}
		if err != nil && ctx.Err() == nil {
			d.log.Error("cannot follow the ledger's events", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.db.Failed():
			return d.db.Err()
		case <-tick.C:
		}
	}
}

// announce logs what came after the event last and returns the newest.
func (d *daemon) announce(ctx context.Context, last int64) (int64, error) {
	const page = 500
	for {
		events, err := d.ledger.Events(ctx, last, page)
		if err != nil {
			return last, err
		}
		for _, e := range events {
			d.announceOne(ctx, e)
			last = e.ID
		}
		if len(events) < page {
			return last, nil
		}
	}
}

func (d *daemon) announceOne(ctx context.Context, e ledger.Event) {
	level, text := loudness(e.Kind)
	if text == "" {
		return
	}
	var fields []any
	if e.Entry != 0 {
		fields = append(fields, "entry", e.Entry)
		if entry, err := d.ledger.Entry(ctx, e.Entry); err == nil {
			switch held := e.Kind == string(ledger.Held); {
			case held && entry.State != ledger.Held:
				level, text = slog.LevelInfo, "was held, and has gone on"
			case held && entry.Hold == ledger.HoldFiles:
				level, text = slog.LevelInfo, "held until the files that belong to it have come"
			}
			fields = append(fields, "job", entry.Job, "file", entry.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		if name != "args" && name != "command" {
			fields = append(fields, name, e.Detail[name])
		}
	}
	d.log.Log(ctx, level, text, fields...)
}

// loudness is how an event is logged; without a text it is not. Rejected entries and retries are logged where they happen.
func loudness(kind string) (slog.Level, string) {
	switch kind {
	case string(ledger.Failed):
		return slog.LevelWarn, "failed: it has dead letters (waybill show, waybill dead list)"
	case string(ledger.Held):
		return slog.LevelWarn, "held: somebody has to decide (waybill show, waybill approve or cancel)"
	case "login refused":
		return slog.LevelWarn, "login refused"
	case "refused":
		return slog.LevelWarn, "an upload was refused"
	case "upload broken":
		return slog.LevelWarn, "an upload broke off: it waits for its partner to go on with it"
	case "pause", "resume", "approve", "cancel", "replay", "resend", "discard", "resolve", "rename", "reload":
		return slog.LevelInfo, "asked for: " + kind
	}
	return 0, ""
}
