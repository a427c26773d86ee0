package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"waybill/ledger"
)

//go:embed start
var startFolder embed.FS

func (p *program) start() *cobra.Command {
	return &cobra.Command{
		Use:   "init [FOLDER]",
		Short: "Write a first configuration that runs, with a test case",
		Long: `Writes waybill.yaml with one job, commented, a sample file and a test case into a new or empty folder (left out: the current one), and
says what to do next. Nothing that is there is written over.

Where you have a sample file of your own, waybill infer proposes a job for it instead.`,
		Example: "  waybill init orders\n  waybill infer orders_1.csv > waybill.yaml",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, list []string) error {
			folder := "."
			if len(list) > 0 {
				folder = list[0]
			}
			return p.runInit(folder)
		},
	}
}

// runInit writes the folder and says how to go on.
func (p *program) runInit(folder string) error {
	if err := emptyFolder(folder); err != nil {
		return err
	}
	names, err := writeStart(folder)
	if err != nil {
		return fmt.Errorf("write the first configuration: %w", err)
	}
	if p.json {
		return p.print(map[string]any{"folder": folder, "files": names})
	}
	for _, name := range names {
		fmt.Fprintf(p.out, "wrote %s\n", ledger.Shown(filepath.Join(folder, name)))
	}
	fmt.Fprintln(p.out, "\nNext:")
	if folder != "." {
		fmt.Fprintf(p.out, "  cd %s\n", ledger.Shown(folder))
	}
	fmt.Fprint(p.out, "  waybill test                                   # runs the cases below tests\n"+
		"  waybill try orders tests/orders/orders_1.csv   # prints what would be sent\n"+
		"  waybill run orders tests/orders/orders_1.csv   # does it, once\n"+
		"\nFor a file of your own: waybill infer FILE proposes a job that reads it.\n")
	return nil
}

// emptyFolder makes a folder, or sees that there is nothing in it but what version control keeps there.
func emptyFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return exit{exitUsage, err}
	}
	found, err := os.ReadDir(folder)
	if err != nil {
		return exit{exitUsage, err}
	}
	for _, item := range found {
		if item.Name() != ".git" {
			return usage("%s is not empty, it holds %s: name a new folder, waybill init FOLDER", ledger.Shown(folder), ledger.Shown(item.Name()))
		}
	}
	return nil
}

// writeStart writes what stands below start, and makes the folders that the configuration names.
func writeStart(folder string) (names []string, err error) {
	const mode = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	err = fs.WalkDir(startFolder, "start", func(path string, item fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel("start", path)
		if err != nil {
			return err
		}
		if item.IsDir() {
			return os.MkdirAll(filepath.Join(folder, name), 0o755)
		}
		text, err := startFolder.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(folder, name), mode, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		names = append(names, name)
		return errors.Join(err, f.Close())
	})
	slices.Sort(names)
	for _, name := range []string{"drop", "out"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(folder, name), 0o755))
	}
	return names, err
}
