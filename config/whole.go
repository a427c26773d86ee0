package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// damage is what of the tree was not understood.
type damage struct {
	wrong   map[*yaml.Node]bool            // nodes that a mistake was reported of
	meant   map[*yaml.Node]string          // keys that are wrong: which known key was meant, where that can be told
	missing map[*yaml.Node]map[string]bool // keys that mappings should have, reported
}

// Whole reports whether all that stands at path was understood, so that what is wrong with its meaning is no mere consequence
// of a mistake that Load has found. A path to what is not there asks whether it might have been meant by something that was
// not understood. With a configuration without mistakes it is always true.
func (c *Config) Whole(path string) bool {
	n := c.root
	for path = strings.TrimPrefix(path, "."); path != ""; path = strings.TrimPrefix(path, ".") {
		if c.damaged.wrong[n] || c.partial[n] {
			return false
		}
		key, next, rest := step(n, path)
		if next == nil {
			return c.gapless(n, path)
		}
		if key != nil && c.damaged.wrong[key] || c.bad[next] {
			return false
		}
		n, path = next, rest
	}
	return c.sound(n)
}

// sound reports whether nothing is wrong with a node, nor with anything in it.
func (c *Config) sound(n *yaml.Node) bool {
	if c.damaged.wrong[n] || c.bad[n] || c.partial[n] || len(c.damaged.missing[n]) > 0 {
		return false
	}
	for _, part := range n.Content {
		if !c.sound(part) {
			return false
		}
	}
	return true
}

// gapless reports whether what a mapping lacks was not meant by one of its keys that are wrong.
func (c *Config) gapless(n *yaml.Node, path string) bool {
	if n.Kind != yaml.MappingNode {
		return c.sound(n)
	}
	name := path
	if end := strings.IndexAny(path, ".["); end > 0 {
		name = path[:end]
	}
	if c.damaged.missing[n][name] {
		return false
	}
	for key := range pairs(n) {
		if meant := c.damaged.meant[key]; c.damaged.wrong[key] && (meant == "" || meant == name) {
			return false
		}
	}
	return true
}
