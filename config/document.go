package config

import (
	"fmt"
	"path/filepath"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// A Document is a file beside the configuration that is decoded as strictly, into a type of its own. Its texts are what they
// are: ${…} and a leading = mean nothing in it.
type Document struct {
	root *yaml.Node
	*origins
}

// ReadDocument decodes a file into what into points to, whose tags are those of the package comment. A file with mistakes is
// none: the error is then of type Problems and has them all.
func ReadDocument(path string, into any, env Environment) (*Document, error) {
	l := &loader{main: path, env: env, plans: plans{}, fixed: true}
	l.bad, l.partial, l.aliases = map[*yaml.Node]bool{}, map[*yaml.Node]bool{}, map[string]bool{}
	l.damaged = damage{map[*yaml.Node]bool{}, map[*yaml.Node]string{}, map[*yaml.Node]map[string]bool{}}
	l.origins = newOrigins(nil)
	data, err := env.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	d := &Document{origins: l.origins}
	if d.root = l.parse(path, filepath.Dir(path), data); d.root != nil {
		l.tree = d.root
		l.value(place{node: d.root, owner: d.root}, reflect.ValueOf(into).Elem())
	}
	l.seal()
	if len(l.mistakes) > 0 {
		return nil, l.all()
	}
	return d, nil
}

// Locate gives a problem with what stands at a path of the document its place; see Config.Locate.
func (d *Document) Locate(path, text string) Problem {
	n, rest := find(d.root, d.root, path)
	return d.problem(mistake{d.files[n], n.Line, n.Column, lacking(rest, text), ""})
}

// Span tells in which lines a key of the top level stands with its value, from 1, and the line behind them; 0 and 0 when the key is not
// there. It ends where the next key begins, with the comments above that.
func (d *Document) Span(key string) (from, to int) {
	f := d.files[d.root]
	k, _ := get(d.root, key)
	if k == nil {
		return 0, 0
	}
	to = len(f.lines) + 1
	for other := range pairs(d.root) {
		if other.Line > k.Line {
			to = min(to, other.Line)
		}
	}
	return k.Line, to
}
