package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"waybill/ledger"
	"waybill/store"
)

func (p *program) reload() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon load its configuration anew, if it is valid",
		Long: `Has the daemon load its configuration anew and put it in force, if it is valid and takes nothing away that has work pending, and says what changed.
Otherwise the one in force stays, and the reason is said here.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			i, err := p.reading(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = i.close() }() // the command stands in the ledger
			return i.reload(c.Context(), wait)
		},
	}
	c.Flags().DurationVar(&wait, "wait", 30*time.Second, "wait no longer than this for the daemon's answer")
	return c
}

func (i *instance) reload(ctx context.Context, wait time.Duration) error {
	holder, busy, err := store.ExecutorOf(i.db.Folder())
	switch {
	case err != nil:
		return err
	case !busy:
		return fmt.Errorf("no daemon is at work on %s: waybill serve reads the configuration when it starts", i.db.Folder())
	case holder.Command != serveCommand:
		return fmt.Errorf("no daemon is at work on %s, but %q (process %d): start waybill serve when that has ended", i.db.Folder(), holder.Command, holder.PID)
	}
	id, err := i.ledger.Command(ctx, "reload", "configuration", nil, by())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	done, err := i.ledger.Await(ctx, id)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the daemon (process %d) has not answered within %s: it will still reload when it gets there; its log and waybill status tell more", holder.PID, wait)
	}
	if err != nil {
		return err
	}
	if done.State == ledger.CommandFailed {
		return exit{exitUsage, fmt.Errorf("the configuration in force stays: %s", safe(done.Result))}
	}
	if i.p.json {
		return i.p.print(map[string]string{"reloaded": done.Result})
	}
	_, err = fmt.Fprintf(i.p.out, "the configuration was loaded anew: %s\n", safe(done.Result))
	return err
}
