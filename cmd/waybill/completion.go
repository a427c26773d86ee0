package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"waybill/config"
)

// completeJob completes the name of a job, then names of files.
func (p *program) completeJob(c *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return p.namesOf(c.Context(), begun, func(c *config.Config) [][]config.Item { return [][]config.Item{c.Jobs} })
}

// completeSubject completes what can be paused.
func (p *program) completeSubject(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.namesOf(c.Context(), begun, func(c *config.Config) [][]config.Item { return [][]config.Item{c.Destinations, c.Jobs, c.Sources} })
}

func (p *program) namesOf(ctx context.Context, begun string, items func(*config.Config) [][]config.Item) (names []string, _ cobra.ShellCompDirective) {
	loaded, err := p.peek(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, list := range items(loaded) {
		for _, item := range list {
			if strings.HasPrefix(item.Name, begun) {
				names = append(names, item.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
