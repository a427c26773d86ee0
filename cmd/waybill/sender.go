package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"time"

	"waybill/config"
	"waybill/jobs"
	"waybill/outbox"
)

// senderOptions are those of the destination that acknowledgements go to. What one mailbox does not take waits for a month.
func senderOptions() outbox.Options {
	return outbox.Options{Concurrency: 8, Retry: outbox.Retry{Attempts: 10_000, Longest: time.Minute, GiveUp: 30 * 24 * time.Hour}}.WithDefaults()
}

// sender adds the destination that acknowledgements go to, the mailboxes of the partners, where a job acknowledges.
func (b *builder) sender() {
	if config.Find(b.c.Destinations, jobs.Sender) != nil {
		b.mistake("destinations."+jobs.Sender, "is what acknowledgements go to, the mailboxes of the partners: give this destination another name")
	}
	if !slices.ContainsFunc(b.out.jobs.Plans, (*jobs.Plan).Acknowledges) {
		return
	}
	o := senderOptions()
	b.out.destinations = append(b.out.destinations, outbox.Destination{Name: jobs.Sender, Target: newMailboxTarget(b.out.mailboxFolder(), b.now), Options: o})
}

// mailboxFolder is where the mailboxes of the partners lie.
func (l *landscape) mailboxFolder() string { return mailboxesIn(l.data()) }

// mailboxes makes the folder of the mailboxes where acknowledgements go there. What fails shows again when one is written.
func (l *landscape) mailboxes(log *slog.Logger) {
	if !l.delivers(jobs.Sender) {
		return
	}
	if err := os.MkdirAll(l.mailboxFolder(), 0o700); err != nil {
		log.Error("cannot make the folder of the mailboxes", "error", err)
	}
}

// delivers reports whether there is a destination of that name, acknowledgements included.
func (l *landscape) delivers(name string) bool {
	return slices.ContainsFunc(l.destinations, func(d outbox.Destination) bool { return d.Name == name })
}

// An ackView is an acknowledgement as --json shows it.
type ackView struct {
	Of        string    `json:"of"`              // accepted, rejected, held, duplicate
	State     string    `json:"state"`           // owed, waiting, retrying, delivered, dead
	Where     string    `json:"where,omitempty"` // below the folder of the mailboxes
	At        time.Time `json:"at"`              // of the state it tells of
	Written   time.Time `json:"written,omitzero"`
	LastError string    `json:"last_error,omitempty"`
}

// acknowledged returns what the sender of an entry was told, or is to be told.
func (i *instance) acknowledged(ctx context.Context, entry int64) (list []ackView, err error) {
	batches, err := i.outbox.Batches(ctx, outbox.Beside(entry))
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		messages, err := i.outbox.Messages(ctx, b, 0, b.Count)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			var a jobs.Acknowledgement
			_ = json.Unmarshal(m.Body, &a) // what a job says otherwise tells nothing here
			v := ackView{Of: string(a.State), State: m.State, Where: m.Header(":name"), At: a.Time, Written: m.Answered, LastError: m.LastError}
			if m.Receipt != nil {
				v.Where = m.Receipt.Text
			}
			list = append(list, v)
		}
	}
	owed, err := i.ledger.OwedOf(ctx, entry)
	for _, o := range owed {
		list = append(list, ackView{Of: string(o.After), State: "owed", At: o.At})
	}
	return list, err
}

func (p *program) wayAcknowledged(w *way) error {
	if len(w.Acknowledged) == 0 {
		return nil
	}
	rows := [][]string{{"\nacknowledged as", "AT", "STATE", "WRITTEN", "FILE"}}
	for _, a := range w.Acknowledged {
		file := shown(a.Where, 200)
		if a.LastError != "" {
			file += ": " + shown(a.LastError, 200)
		}
		rows = append(rows, []string{"  " + a.Of, clock(a.At), a.State, clock(a.Written), file})
	}
	return p.table(rows)
}
