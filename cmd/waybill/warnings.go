package main

import (
	"slices"
	"strings"

	"waybill/config"
)

// warning says what a change would do to identities and keys: files that are known become new, orders that were sent
// get new keys. all are the changes it is one of.
func warning(c config.Change, all []config.Change) string {
	if c.Section != "jobs" && c.Section != "destinations" {
		return ""
	}
	if c.What == config.Removed || c.What == config.Added {
		return ""
	}
	follows := func(e config.Edit) bool { // keys stay those of the oldest name
		return strings.HasSuffix(e.Path, ".to") && slices.ContainsFunc(all, func(d config.Change) bool {
			return d.Section == "destinations" && d.What == config.Renamed && d.From == e.Old && d.Name == e.New
		})
	}
	for _, e := range c.Edits {
		switch {
		case follows(e):
		case strings.HasPrefix(e.Path, "identity.by"):
			return "files that are known today would be new again"
		case strings.HasPrefix(e.Path, "send") && (strings.Contains(e.Path, ".key") || strings.HasSuffix(e.Path, ".to")):
			return "messages would get new keys: what is sent again would not be recognised by its receiver"
		case strings.HasPrefix(e.Path, "send") && strings.Contains(e.Path, ".body"):
			return "the key of a message depends on its body: changed bodies get new keys"
		}
	}
	return ""
}
