package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Locate gives a problem that another package found its place. The path runs from the top, jobs.orders.send[0].body.total;
// a key may also be written ["a key"]. Where the path leads to nothing, the nearest key above is shown, and a text that says that something is missing says
// what: the rest of the path.
func (c *Config) Locate(path, text string) Problem {
	n, rest := find(c.root, c.root, path)
	return c.problem(mistake{c.files[n], n.Line, n.Column, lacking(rest, text), ""})
}

// lacking names what a text says to be missing, which has no place to be shown at.
func lacking(rest, text string) string {
	if rest != "" && (strings.HasPrefix(text, "is missing") || strings.HasPrefix(text, "are missing")) {
		return fmt.Sprintf("key %q %s", rest, text)
	}
	return text
}

// LocateAt is Locate for a problem at a byte offset of the text that stands at path, such as an expression.
func (c *Config) LocateAt(path string, offset int, text string) Problem {
	n, _ := find(c.root, c.root, path)
	line, column := c.files[n].position(n, offset)
	return c.problem(mistake{c.files[n], line, column, text, ""})
}

// position tells where a byte of a scalar stands in its file, as far as quoting lets it; else where the scalar begins.
func (f *file) position(n *yaml.Node, offset int) (line, column int) {
	line, column = n.Line, n.Column
	if n.Kind != yaml.ScalarNode || offset < 0 || offset > len(n.Value) || line > len(f.lines) {
		return line, column
	}
	before := n.Value[:offset]
	if n.Style&yaml.LiteralStyle != 0 {
		below := line + 1 + strings.Count(before, "\n")
		if line+1 > len(f.lines) || below > len(f.lines) {
			return line, column
		}
		before = before[strings.LastIndexByte(before, '\n')+1:]
		margin := len(f.lines[line]) - len(strings.TrimLeft(f.lines[line], " "))
		return below, margin + utf8.RuneCountInString(before) + 1
	}
	runes := []rune(f.lines[line-1])
	start := column - 1
	if !plain(n) {
		start++
	}
	if start > len(runes) || !strings.HasPrefix(string(runes[start:]), n.Value) {
		return line, column
	}
	return line, start + utf8.RuneCountInString(before) + 1
}

// find follows a path below n: to a text, or to the key of a mapping or list. Where it leads to nothing, it answers the
// key of the last node it found, and the rest of the path.
func find(n, owner *yaml.Node, path string) (at *yaml.Node, left string) {
	for path = strings.TrimPrefix(path, "."); path != ""; path = strings.TrimPrefix(path, ".") {
		key, next, rest := step(n, path)
		if next == nil {
			return owner, path
		}
		if key != nil {
			owner = key
		} else {
			owner = next
		}
		n, path = next, rest
	}
	if n.Kind != yaml.ScalarNode {
		return owner, "" // the key says more than where its first line begins
	}
	return n, ""
}

// step takes the first part off a path: an index of a list, or the longest key that fits.
func step(n *yaml.Node, path string) (key, next *yaml.Node, rest string) {
	if n.Kind == yaml.MappingNode {
		for k, v := range pairs(n) {
			for _, form := range []string{k.Value, "[" + strconv.Quote(k.Value) + "]"} {
				after, ok := strings.CutPrefix(path, form)
				if ok && (after == "" || after[0] == '.' || after[0] == '[') && (next == nil || len(after) < len(rest)) {
					key, next, rest = k, v, after
				}
			}
		}
		if after, ok := strings.CutPrefix(path, "[0]"); ok && next == nil {
			return nil, n, after // stands for a list of one element
		}
		return key, next, rest
	}
	inner, after, closed := strings.Cut(path, "]")
	index, err := strconv.Atoi(strings.TrimPrefix(inner, "["))
	switch {
	case !closed || err != nil || index < 0 || path[0] != '[':
		return nil, nil, ""
	case n.Kind == yaml.SequenceNode && index < len(n.Content):
		return nil, n.Content[index], after
	case n.Kind == yaml.ScalarNode && index == 0:
		return nil, n, after // stands for a list of one element
	}
	return nil, nil, ""
}
