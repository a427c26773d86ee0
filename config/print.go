package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"
)

// Print shows what was understood, as YAML: included files merged, jobs expanded, references as written, secrets masked.
// Loading the result gives the same configuration, but for masked secrets.
func (c *Config) Print() ([]byte, error) {
	text, err := yaml.Dump(c.shown(without(c.root, "include")), yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithUnicode(true))
	if err != nil {
		return nil, fmt.Errorf("print configuration: %w", err)
	}
	return text, nil
}

// shown copies a node without what must not be seen; comments may hold anything, so they go too.
func (c *Config) shown(n *yaml.Node) *yaml.Node {
	s := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value}
	switch {
	case c.hidden[n]:
		return &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Tag: "!!str", Value: "***"}
	case n.Kind == yaml.ScalarNode:
		s.Value = c.scrub(n.Value)
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			s.Content = append(s.Content, &yaml.Node{Kind: child.Kind, Style: child.Style, Tag: child.Tag, Value: child.Value})
			continue
		}
		s.Content = append(s.Content, c.shown(child))
	}
	return s
}

// digest is the SHA-256 of what an item says: not its formatting, nor its references' values, nor what governs only the change
// from one configuration to the next.
func digest(n *yaml.Node) string { return sum(without(n, "formerly", "drain")) }

func sum(n *yaml.Node) string {
	h := sha256.New()
	canonical(h, n)
	return hex.EncodeToString(h.Sum(nil))
}

// canonical writes a node so that no two different ones are written alike.
func canonical(w io.Writer, n *yaml.Node) {
	// The tag tells true from "true": a body may mean different things by them.
	fmt.Fprintf(w, "%d %s %d %d:%s\n", n.Kind, n.ShortTag(), len(n.Content), len(n.Value), n.Value)
	for _, c := range n.Content {
		canonical(w, c)
	}
}
