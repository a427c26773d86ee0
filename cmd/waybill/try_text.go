package main

import (
	"fmt"

	"waybill/jobs"
	"waybill/ledger"
	"waybill/outbox"
)

// trial prints what a trial came to: for a person, or as one line of JSON.
func (p *program) trial(t jobs.Trial) error {
	if p.json {
		return p.print(t)
	}
	switch t.State {
	case ledger.Rejected:
		fmt.Fprintf(p.out, "%s would be rejected by %s: %s\n", t.File, t.Job, safe(short(t.Reason, 500)))
	case ledger.Held:
		fmt.Fprintf(p.out, "%s would be held by %s: %s\n", t.File, t.Job, safe(short(t.Reason, 500)))
	default:
		fmt.Fprintf(p.out, "%s would be accepted by %s\n", t.File, t.Job)
	}
	fmt.Fprintf(p.out, "%s, %s, %d rejected\n", count(t.Records, "record"), count(t.Messages, "message"), t.Rejected)
	for _, f := range t.Findings {
		fmt.Fprintf(p.out, "  %s\n", safe(f))
	}
	if len(t.Rejects) > 0 {
		fmt.Fprintln(p.out, "\nrejected")
		if err := p.rejects(t.Rejects); err != nil {
			return err
		}
	}
	for _, m := range t.Shown {
		of := "whole file"
		if m.Record > 0 {
			of = fmt.Sprintf("record %d", m.Record)
		}
		fmt.Fprintf(p.out, "\n%s to %s\n", of, m.Destination)
		p.trialMessage(m)
	}
	for _, n := range t.Told {
		fmt.Fprintf(p.out, "\nacknowledged in the sender's mailbox as %s\n", shown(n.Name, 300))
		if n.Body == nil {
			n.Body = []byte(n.Text)
		}
		fmt.Fprint(p.out, indent(pretty(n.Body), "  "))
	}
	return nil
}

func (p *program) trialMessage(m jobs.TrialMessage) {
	shownMessage := outbox.Message{Key: m.Key, Ref: m.Ref, Body: m.Body}
	if m.Body == nil {
		shownMessage.Body = []byte(m.Text)
	}
	for _, name := range sorted(m.Headers) {
		shownMessage.Headers = append(shownMessage.Headers, outbox.Header{Name: name, Value: m.Headers[name]})
	}
	p.key(shownMessage, "  ")
	p.content(shownMessage.Headers, shownMessage.Body, "  ")
	if m.Answer != nil {
		p.answered(m.Answer, "  ")
	}
}
