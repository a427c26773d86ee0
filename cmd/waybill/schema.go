package main

import (
	"github.com/spf13/cobra"

	"waybill/config"
)

func (p *program) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := p.out.Write(config.Schema(registry()))
			return err
		},
	}
}
