package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
)

// What happened to an item.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
	Renamed = "renamed" // formerly: names the old item; Edits tell what changed besides
)

// A Change is one difference between two configurations.
type Change struct {
	Section string // jobs, …; or a setting of the top level: data, zone, retain, log
	Name    string // of the item; "" for a setting
	What    string // Added, Removed, Changed or Renamed
	From    string // the former name, when Renamed
	Edits   []Edit // when Changed or Renamed
}

// An Edit is one difference within an item. Old and New are short, and secrets in them masked; "" where there is nothing.
type Edit struct {
	Path     string // below the item
	Old, New string
}

// Diff tells what differs between two configurations, as written; a reference whose value changed is no difference.
func Diff(old, new *Config) []Change {
	var changes []Change
	for _, name := range settings() {
		_, was := get(old.root, name)
		_, is := get(new.root, name)
		d := differ{old, new, nil}
		d.nodes("", was, is)
		switch {
		case len(d.edits) == 0:
		case was == nil:
			changes = append(changes, Change{Section: name, What: Added, Edits: d.edits})
		case is == nil:
			changes = append(changes, Change{Section: name, What: Removed, Edits: d.edits})
		default:
			changes = append(changes, Change{Section: name, What: Changed, Edits: d.edits})
		}
	}
	for _, section := range sections() {
		changes = append(changes, diffSection(old, new, section)...)
	}
	return changes
}

func settings() []string {
	var names []string
	for _, name := range (plans{}).of(topType).names() {
		if name != "include" && !isSection(name) {
			names = append(names, name)
		}
	}
	return names
}

func diffSection(old, new *Config, section string) []Change {
	var changes []Change
	_, before := get(old.root, section)
	_, after := get(new.root, section)
	renamed := map[string]bool{}
	for key, is := range pairs(after) {
		name := key.Value
		from := name
		_, was := get(before, name)
		if _, formerly := get(is, "formerly"); was == nil && formerly != nil {
			if _, was = get(before, formerly.Value); was != nil {
				from = formerly.Value
				renamed[from] = true
			}
		}
		d := differ{old, new, nil}
		d.nodes("", was, is)
		switch {
		case was == nil:
			changes = append(changes, Change{Section: section, Name: name, What: Added})
		case from != name:
			changes = append(changes, Change{Section: section, Name: name, What: Renamed, From: from, Edits: d.edits})
		case len(d.edits) > 0:
			changes = append(changes, Change{Section: section, Name: name, What: Changed, Edits: d.edits})
		}
	}
	for key := range pairs(before) {
		if is, _ := get(after, key.Value); is == nil && !renamed[key.Value] {
			changes = append(changes, Change{Section: section, Name: key.Value, What: Removed})
		}
	}
	return changes
}

type differ struct {
	old, new *Config
	edits    []Edit
}

// nodes compares two nodes, either of which may be nil.
func (d *differ) nodes(path string, was, is *yaml.Node) {
	switch {
	case was == nil && is == nil:
	case was == nil:
		d.edits = append(d.edits, Edit{path, "", brief(d.new, is)})
	case is == nil:
		d.edits = append(d.edits, Edit{path, brief(d.old, was), ""})
	case sum(was) == sum(is):
	case was.Kind == yaml.MappingNode && is.Kind == yaml.MappingNode:
		d.mappings(path, was, is)
	case was.Kind == yaml.SequenceNode && is.Kind == yaml.SequenceNode && len(was.Content) == len(is.Content):
		for i := range was.Content {
			d.nodes(fmt.Sprintf("%s[%d]", path, i), was.Content[i], is.Content[i])
		}
	default:
		d.edits = append(d.edits, Edit{path, brief(d.old, was), brief(d.new, is)})
	}
}

func (d *differ) mappings(path string, was, is *yaml.Node) {
	before := len(d.edits)
	below := path
	if below != "" {
		below += "."
	}
	for key, value := range pairs(was) {
		_, now := get(is, key.Value)
		d.nodes(below+key.Value, value, now)
	}
	for key, value := range pairs(is) {
		if first, _ := get(was, key.Value); first == nil {
			d.nodes(below+key.Value, nil, value)
		}
	}
	if len(d.edits) == before && !slices.Equal(names(was), names(is)) {
		d.edits = append(d.edits, Edit{path, "another order", "this order"})
	}
}

// brief shows a node in a few characters.
func brief(c *Config, n *yaml.Node) string {
	const longest = 80
	n = c.shown(n)
	switch {
	case n.Kind == yaml.MappingNode:
		return "{…}"
	case n.Kind == yaml.SequenceNode:
		return "[…]"
	}
	if text := []rune(n.Value); len(text) > longest {
		return string(text[:longest]) + "…"
	}
	return n.Value
}
