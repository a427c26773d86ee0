package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"waybill/jobs"
	"waybill/outbox"
)

func (p *program) deadResend() *cobra.Command {
	var o choice
	var body string
	c := &cobra.Command{
		Use:   "resend [N…]",
		Short: "Put dead letters back into the outbox",
		Long: `Puts dead letters back into the outbox, with their bytes and keys as they were, so that a receiver that has one of them after all recognises
it. With --body one is sent with a corrected body instead; it then gets a key of its own, made of the old key, the run and the
new body.`,
		Example: "  waybill dead resend 3\n  waybill dead resend --destination shop --yes\n  waybill dead resend 3 --body corrected.json",
		RunE: func(c *cobra.Command, list []string) error {
			if body != "" && len(list) != 1 {
				return usage("--body corrects one dead letter: name it")
			}
			return p.onDead(c.Context(), o, list, "send %s again", func(i *instance, d outbox.DeadLetter) (string, error) {
				r := outbox.Resend{ID: d.ID, Note: i.noted(o.note)}
				if body != "" {
					if err := i.correct(c.Context(), d, body, &r); err != nil {
						return "", err
					}
				}
				return i.resend(c.Context(), d, r, o.note)
			})
		},
	}
	o.flags(c)
	c.Flags().StringVar(&body, "body", "", "file with the corrected body")
	return c
}

// correct gives r a corrected body, and the key that goes with it.
func (i *instance) correct(ctx context.Context, d outbox.DeadLetter, name string, r *outbox.Resend) error {
	body, err := os.ReadFile(name)
	if err != nil {
		return exit{exitUsage, err}
	}
	_, m, err := i.outbox.DeadMessage(ctx, d.ID)
	if err != nil {
		return err
	}
	if m.Object == 0 && (bytes.Equal(m.Body, body) || bytes.Equal(m.Body, bytes.TrimSuffix(body, []byte("\n")))) {
		return nil // nothing is corrected, but for the line end of an editor: the key stays
	}
	if err := fits(name, body, m); err != nil {
		return err
	}
	e, err := i.ledger.Entry(ctx, d.Parent)
	if err != nil {
		return err
	}
	r.Body = body
	r.Key = jobs.CorrectedKey(m.Key, e.Run, body)
	return nil
}

// fits refuses a corrected body that cannot be meant: an empty one, and what is no JSON where the message is.
func fits(name string, body []byte, m outbox.Message) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return usage("%s is empty: nothing is sent", name)
	}
	is := m.Object == 0 && json.Valid(m.Body)
	for _, h := range m.Headers {
		if strings.EqualFold(strings.TrimPrefix(h.Name, ":"), "content-type") {
			is = is || strings.Contains(strings.ToLower(h.Value), "json")
		}
	}
	if !is {
		return nil
	}
	var value any
	err := json.Unmarshal(body, &value)
	var bad *json.SyntaxError
	if errors.As(err, &bad) {
		line := 1 + bytes.Count(body[:max(bad.Offset-1, 0)], []byte("\n"))
		return usage("%s is no JSON, as the message is: %w at byte %d, line %d; nothing is sent", name, err, bad.Offset, line)
	}
	return nil
}

func (i *instance) resend(ctx context.Context, d outbox.DeadLetter, r outbox.Resend, note string) (string, error) {
	more := map[string]any{}
	if r.Key != "" {
		more["corrected"] = r.Key
	}
	r.Also = i.event("resend", d, note, more)
	if err := i.outbox.Resend(ctx, r); err != nil {
		return "", fmt.Errorf("resend dead letter %d: %w", d.ID, err)
	}
	i.idle("it is sent")
	if r.Key != "" {
		return fmt.Sprintf("%d waits for %s again, corrected, under key %s", d.ID, d.Destination, r.Key), nil
	}
	return fmt.Sprintf("%d waits for %s again", d.ID, d.Destination), nil
}
