package main

import "github.com/spf13/cobra"

func (p *program) resume() *cobra.Command {
	return &cobra.Command{
		Use:   "resume NAME…",
		Short: "End a pause of destinations, jobs or sources",
		Long: `Ends a pause, also one that a destination was put into because it said that the configuration is wrong (a refused password, a redirect):
mend that first.`,
		Example: "  waybill resume shop",
		Args:    args(cobra.MinimumNArgs(1)),

		ValidArgsFunction: p.completeSubject,
		RunE: func(c *cobra.Command, names []string) error {
			return p.onSubjects(c.Context(), names, func(i *instance, subject string) (bool, error) {
				return i.resume(c.Context(), subject)
			}, "%s goes on", "%s was not paused")
		},
	}
}
