package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) replay() *cobra.Command {
	var rerender bool
	c := &cobra.Command{
		Use:   "replay N",
		Short: "Send what an entry sent once more, or read its file anew",
		Long: `Makes the next run of an entry that has come to an end. It sends the stored messages once more under their old keys, so that a receiver
that knows them takes them as repeated. Where the entry sent nothing (it was rejected) its file is read anew.
With --rerender the file is read and mapped anew with the configuration of now; these messages get new keys.`,
		Example: "  waybill replay 12\n  waybill replay 12 --rerender",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			ids, err := numbers(list)
			if err != nil {
				return err
			}
			i, l, err := p.acting(c.Context())
			if err != nil {
				return err
			}
			defer func() { _, _ = i.close(), l.close() }() // what was done is durable
			e, err := i.ledger.Replay(c.Context(), ids[0], by(), rerender)
			if err != nil {
				return entryError(err, ids[0])
			}
			i.idle("it is worked")
			if p.json {
				return p.print(viewOf(e))
			}
			_, err = fmt.Fprintf(p.out, "#%d is run %d of #%d (%s)\n", e.ID, e.Run, e.Origin, e.Name)
			return err
		},
	}
	c.Flags().BoolVar(&rerender, "rerender", false, "read and map the file anew; the messages get new keys")
	return c
}
