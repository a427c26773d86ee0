package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"waybill/config"
)

func (p *program) check() *cobra.Command {
	var show bool
	var against string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and say every mistake",
		Long:  "Checks the configuration as serve would before anything starts, and says every mistake with its place.",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := p.load(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = l.close() }() // nothing was used
			switch {
			case show:
				text, err := l.config.Print()
				if err != nil {
					return err
				}
				_, err = p.out.Write(text)
				return err
			case against != "":
				return p.compare(c, against, l.config)
			}
			_, err = fmt.Fprintf(p.out, "%s is right: %s, %s, %s\n", p.file,
				count(len(l.config.Jobs), "job"), count(len(l.config.Sources), "source"), count(len(l.config.Destinations), "destination"))
			return err
		},
	}
	c.Flags().BoolVar(&show, "print", false, "print what was understood: included files merged, secrets masked")
	c.Flags().StringVar(&against, "diff", "", "print what differs from another configuration file (the one in force), and what that changes")
	c.MarkFlagsMutuallyExclusive("print", "diff")
	return c
}

// compare prints the differences between the configuration in the file old and c, and warns where identities or keys would change.
func (p *program) compare(cmd *cobra.Command, old string, c *config.Config) error {
	was, err := config.Load(cmd.Context(), old, registry(), config.System())
	var mistakes config.Problems
	if errors.As(err, &mistakes) {
		return p.mistakes(mistakes)
	}
	if err != nil {
		return exit{exitUsage, err}
	}
	changes := config.Diff(was, c)
	if len(changes) == 0 {
		_, err := fmt.Fprintln(p.out, "nothing differs")
		return err
	}
	for _, ch := range changes {
		fmt.Fprintf(p.out, "%s %s %s\n", ch.What, ch.Section, ch.Name)
		for _, e := range ch.Edits {
			fmt.Fprintf(p.out, "    %s: %s → %s\n", e.Path, orNothing(e.Old), orNothing(e.New))
		}
		if w := warning(ch); w != "" {
			fmt.Fprintf(p.out, "    warning: %s\n", w)
		}
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}
