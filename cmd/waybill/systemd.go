package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/outbox/file"
	"waybill/watcher"
	"waybill/watcher/local"
)

func (p *program) systemd() *cobra.Command {
	c := &cobra.Command{
		Use:   "systemd",
		Short: "What the service needs of systemd",
		Args:  args(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return usage("name what is wanted: waybill systemd dropin") },
	}
	c.AddCommand(p.systemdDropin())
	return c
}

func (p *program) systemdDropin() *cobra.Command {
	var state, output string
	c := &cobra.Command{
		Use:   "dropin",
		Short: "Print the drop-in that opens the configuration's folders to the sandboxed service",
		Long: `The service may write below its state folder only. This prints a drop-in for its unit that adds the folders of sources and
file destinations outside of it:

  waybill systemd dropin -c /etc/waybill/waybill.yaml --output /etc/systemd/system/waybill.service.d/folders.conf
  systemctl daemon-reload && systemctl restart waybill

Secrets are not needed for it.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := config.Load(c.Context(), p.file, registry(), withoutSecrets(config.System()))
			var mistakes config.Problems
			if errors.As(err, &mistakes) {
				return p.mistakes(mistakes)
			}
			if err != nil {
				return exit{exitUsage, err}
			}
			text := dropin(writable(conf), state)
			if output == "" {
				_, err = p.out.Write(text)
				return err
			}
			return writeDropin(output, text)
		},
	}
	c.Flags().StringVar(&state, "state", "/var/lib/waybill", "the service's state folder")
	c.Flags().StringVarP(&output, "output", "o", "", "write it to this file instead")
	return c
}

// withoutSecrets puts a text in place of systemd's credentials, which only the service itself can read.
func withoutSecrets(e config.Environment) config.Environment {
	if e.CredentialsFolder != "" {
		return e
	}
	e.CredentialsFolder = "/run/credentials/waybill.service"
	read := e.ReadFile
	e.ReadFile = func(path string) ([]byte, error) {
		if filepath.Dir(path) == e.CredentialsFolder {
			return []byte("secret"), nil
		}
		return read(path)
	}
	return e
}

// writable lists the folders that the daemon writes to, absolute.
func writable(c *config.Config) (folders []string) {
	if filepath.IsAbs(c.Data) { // else it lies below the service's working folder
		folders = append(folders, c.Data)
	}
	for _, item := range c.Sources {
		o, ok := item.Options.(*local.Options)
		s := item.Common.(*watcher.Settings)
		if ok && (s.Done != "leave" || s.Failed != "leave") {
			folders = append(folders, absolute(c, o.Path))
		}
	}
	for _, item := range c.Destinations {
		if o, ok := item.Options.(*file.Options); ok {
			folders = append(folders, absolute(c, o.Folder))
		}
	}
	return folders
}

// dropin makes the text of the drop-in. A folder below another, or below the state folder, needs no line of its own.
func dropin(folders []string, state string) []byte {
	for i, f := range folders {
		folders[i] = filepath.Clean(f)
	}
	slices.Sort(folders)
	var b bytes.Buffer
	b.WriteString("# Written by `waybill systemd dropin` from the configuration: write it anew when its folders change.\n" +
		"# A folder that is missing when the service starts is left out (the dash): restart the service once it is there.\n[Service]\n")
	var kept []string
	for _, f := range slices.Compact(folders) {
		if below(f, state) || slices.ContainsFunc(kept, func(k string) bool { return below(f, k) }) {
			continue
		}
		kept = append(kept, f)
	}
	if slices.ContainsFunc(kept, hidden) {
		b.WriteString("# The sandbox hides home folders whole; hidden behind an empty file system, single ones can be shown.\nProtectHome=tmpfs\n")
	}
	for _, f := range kept {
		directive := "ReadWritePaths"
		if hidden(f) || below(f, "/tmp") || below(f, "/var/tmp") {
			directive = "BindPaths"
		}
		fmt.Fprintf(&b, "%s=%s\n", directive, unitPath(f))
	}
	return b.Bytes()
}

// hidden reports whether ProtectHome=yes hides a folder.
func hidden(path string) bool {
	return below(path, "/home") || below(path, "/root") || below(path, "/run/user")
}

// below reports whether path is folder or lies in it.
func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

// unitPath writes a path as units have it (systemd.syntax(7)): quoted, with C escapes and doubled percent signs. The
// dash lets the service start without it.
func unitPath(path string) string {
	var b strings.Builder
	b.WriteString(`"-`)
	for _, c := range []byte(path) {
		switch {
		case c == '%':
			b.WriteString("%%")
		case c < ' ' || c == '"' || c == '\\' || c == ':' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteString(`"`)
	return b.String()
}

// writeDropin writes the file whole or not at all; systemd reads only names that end in .conf.
func writeDropin(name string, text []byte) error {
	if filepath.Ext(name) != ".conf" {
		return usage("%s does not end in .conf, so systemd would not read it", name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	part := name + ".part"
	if err := os.WriteFile(part, text, 0o644); err != nil {
		return err
	}
	return os.Rename(part, name)
}
