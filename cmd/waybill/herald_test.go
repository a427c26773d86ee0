package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/store"
)

func TestTheLogTellsOfFailedAndHeldEntriesAndOfWhatPeopleDo(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := &program{out: io.Discard, diag: io.Discard, now: time.Now, acceptLoss: true}
	i, err := p.open(t.Context(), t.TempDir(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := i.close(); err != nil {
			t.Error(err)
		}
	}()
	d := &daemon{instance: i}
	last, err := i.ledger.LastEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = i.db.Tx(t.Context(), func(tx *store.Tx) error {
		job, err := tx.Number(ledger.Job, "j")
		if err != nil {
			return err
		}
		for _, state := range []string{"'held', 'files'", "'received', ''"} {
			id, err := tx.Insert(`INSERT INTO entries (kind, job, name, received, verdict, state, hold) VALUES ('file', ?, 'n', 0, 'new', `+state+`)`, job)
			if err != nil {
				return err
			}
			if err := i.ledger.Record(tx, ledger.Event{Kind: "held", Entry: id, Detail: map[string]any{"reason": "waits"}}); err != nil {
				return err
			}
		}
		for _, e := range []ledger.Event{
			{Kind: "failed", Detail: map[string]any{"dead": 2}},
			{Kind: "held", Detail: map[string]any{"reason": "same bytes"}},
			{Kind: "delivered"},
			{Kind: "login"},
			{Kind: "login refused", Detail: map[string]any{"partner": "wagon-lits", "why": "wrong password"}},
			{Kind: "refused", Detail: map[string]any{"partner": "wagon-lits", "path": "/in/a.csv"}},
			{Kind: "upload broken", Detail: map[string]any{"partner": "wagon-lits", "path": "/in/b.csv"}},
			{Kind: "pause", Detail: map[string]any{"by": "eve", "subject": "destination/erp"}},
		} {
			if err := i.ledger.Record(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	next, err := d.announce(t.Context(), last)
	if err != nil || next == last {
		t.Fatalf("%v, went on to %d", err, next)
	}
	for _, want := range []string{"level=WARN msg=\"failed", "dead=2", "level=WARN msg=\"held", "same bytes",
		"level=INFO msg=\"held until the files that belong to it have come", "level=INFO msg=\"was held, and has gone on", "asked for: pause", "by=eve",
		"level=WARN msg=\"login refused\"", "wrong password", "level=WARN msg=\"an upload was refused\"", "level=WARN msg=\"an upload broke off"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "delivered") || strings.Contains(log.String(), "msg=login\n") {
		t.Errorf("the log tells of what is ordinary:\n%s", log.String())
	}
}
