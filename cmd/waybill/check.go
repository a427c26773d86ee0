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
				return p.wrong(err)
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
			if p.json {
				return p.print(checkView{File: p.file, Right: true, Jobs: len(l.config.Jobs), Sources: len(l.config.Sources),
					Destinations: len(l.config.Destinations), Mistakes: []mistakeView{}})
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

// A checkView is what `waybill check --json` prints.
type checkView struct {
	File         string        `json:"file"`
	Right        bool          `json:"right"`
	Jobs         int           `json:"jobs,omitempty"`
	Sources      int           `json:"sources,omitempty"`
	Destinations int           `json:"destinations,omitempty"`
	Mistakes     []mistakeView `json:"mistakes"`
}

type mistakeView struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// wrong prints the mistakes as JSON if asked for that; everything else is said as ever.
func (p *program) wrong(err error) error {
	var mistakes config.Problems
	if !p.json || !errors.As(withoutCode(err), &mistakes) {
		return err
	}
	v := checkView{File: p.file}
	for _, m := range mistakes {
		v.Mistakes = append(v.Mistakes, mistakeView{File: m.File, Line: m.Line, Column: m.Column, Text: m.Text, Remedy: m.Remedy})
	}
	if err := p.print(v); err != nil {
		return err
	}
	return exit{code: exitUsage}
}

// A changeView is a difference as --json shows it.
type changeView struct {
	What    string     `json:"what"`
	Section string     `json:"section"`
	Name    string     `json:"name,omitempty"`
	From    string     `json:"from,omitempty"`
	Edits   []editView `json:"edits,omitempty"`
	Warning string     `json:"warning,omitempty"`
}

type editView struct {
	Path string `json:"path"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

func viewOfChange(ch config.Change, all []config.Change) changeView {
	v := changeView{What: ch.What, Section: ch.Section, Name: ch.Name, From: ch.From, Warning: warning(ch, all)}
	for _, e := range ch.Edits {
		v.Edits = append(v.Edits, editView{e.Path, e.Old, e.New})
	}
	return v
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
	if p.json {
		for _, ch := range changes {
			if err := p.print(viewOfChange(ch, changes)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(p.out, "nothing differs")
		return err
	}
	for _, ch := range changes {
		fmt.Fprintf(p.out, "%s %s %s\n", ch.What, ch.Section, ch.Name)
		for _, e := range ch.Edits {
			fmt.Fprintf(p.out, "    %s: %s → %s\n", e.Path, orNothing(e.Old), orNothing(e.New))
		}
		if w := warning(ch, changes); w != "" {
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
