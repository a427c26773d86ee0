package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"waybill/outbox"
)

func (p *program) resolve() *cobra.Command {
	var note string
	c := &cobra.Command{
		Use:   "resolve N delivered|resend|discard",
		Short: "Decide about a message of which nobody knows whether it arrived",
		Long: `Decides about a dead letter of kind unknown: its bytes went out and no answer came (unknown: hold). Ask the receiver first, then say
delivered (it has the message), resend (it has not; it goes out again under its old key) or discard (it is not wanted any more).
N is the number of the dead letter, see waybill dead list --kind unknown.`,
		Example:   "  waybill resolve 3 delivered --note \"seen in their list of orders\"",
		Args:      args(cobra.ExactArgs(2)),
		ValidArgs: []string{"delivered", "resend", "discard"},
		RunE: func(c *cobra.Command, list []string) error {
			return p.numbered(c.Context(), list[:1], func(i *instance, ids []int64) error {
				d, err := i.deadLetter(c.Context(), ids[0])
				if err != nil {
					return err
				}
				if d.Kind != "unknown" {
					return fmt.Errorf("dead letter %d is not of kind unknown but %s: use waybill dead resend %d or waybill dead discard %d", d.ID, d.Kind, d.ID, d.ID)
				}
				err = p.each(ids, func(id int64) (string, error) {
					switch list[1] {
					case "delivered":
						return i.discard(c.Context(), d, "delivered", note)
					case "discard":
						return i.discard(c.Context(), d, "discarded", note)
					case "resend":
						return i.resend(c.Context(), d, outbox.Resend{ID: id, Note: i.noted(note)}, note)
					}
					return "", usage("%q is no decision: say delivered, resend or discard", list[1])
				})
				return errors.Join(err, i.settle(c.Context()))
			})
		},
	}
	c.Flags().StringVar(&note, "note", "", "how it was found out, kept with the dead letter")
	return c
}
