package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) approve() *cobra.Command {
	return &cobra.Command{
		Use:     "approve N…",
		Short:   "Let held entries go on",
		Long:    "Lets held entries go on: what they are held for now does not hold them again; anything else that is found in them later does. waybill list --state held shows them.",
		Example: "  waybill approve 12 13",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			return p.numbered(c.Context(), list, func(i *instance, ids []int64) error {
				err := p.each(ids, func(id int64) (string, error) {
					return fmt.Sprintf("#%d goes on", id), entryError(i.ledger.Approve(c.Context(), id, by()), id)
				})
				if err == nil {
					i.idle("it is worked")
				}
				return err
			})
		},
	}
}
