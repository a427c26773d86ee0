package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) cancel() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "cancel N…",
		Short: "End entries whose messages were not released yet",
		Long: `Ends entries that are held, received or working, and frees what makes their files known: the same file can come again.
Messages that are released cannot be called back; waybill pause holds up their destination.`,
		Example: "  waybill cancel 12 --reason \"sent by mistake\"",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			return p.numbered(c.Context(), list, func(i *instance, ids []int64) error {
				who := by()
				if reason != "" {
					who += ": " + reason
				}
				return p.each(ids, func(id int64) (string, error) {
					return fmt.Sprintf("#%d is cancelled", id), entryError(i.ledger.Cancel(c.Context(), id, who), id)
				})
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, kept with the entry")
	return c
}
