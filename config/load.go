package config

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// loader is the state of one Load.
type loader struct {
	*origins
	ctx      context.Context
	tree     *yaml.Node // the effective one
	main     string     // path of the main file
	env      Environment
	registry Registry
	plans    plans
	mistakes []mistake
	flaws    int                 // mistakes, those included that are reported elsewhere
	bad      map[*yaml.Node]bool // reported already
	partial  map[*yaml.Node]bool // mappings of which a part could not be had: what is missing there is no mistake of its own
	aliases  map[string]bool     // aliases reported already, by file and name
	vars     map[string]string
	mentions []mention
	damaged  damage
	lacking  bool // a file that belongs to the configuration could not be had: what is in it may be referred to
	fixed    bool // texts are what they are: there are neither references nor expressions
}

// A mention is a text that must name an item.
type mention struct {
	node    *yaml.Node
	section string
	name    string
}

// Load reads path and what it includes, and decodes all of it. A configuration with mistakes is none: the error is then of
// type Problems and has them all. What could be decoded is returned beside it, unless nothing could, and is good for one
// thing: to look for mistakes in what it means, where it is Whole, so that a person gets all of them at once. The returned
// configuration is never changed again.
func Load(ctx context.Context, path string, r Registry, env Environment) (*Config, error) {
	l := &loader{ctx: ctx, main: path, env: env, registry: r, plans: plans{}, vars: map[string]string{}}
	l.bad, l.partial, l.aliases = map[*yaml.Node]bool{}, map[*yaml.Node]bool{}, map[string]bool{}
	l.damaged = damage{map[*yaml.Node]bool{}, map[*yaml.Node]string{}, map[*yaml.Node]map[string]bool{}}
	l.origins = newOrigins(l.plans.secretWords(r))
	data, err := env.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c := &Config{File: path, Folder: filepath.Dir(path), origins: l.origins, damaged: l.damaged, bad: l.bad, partial: l.partial}
	if root := l.parse(path, c.Folder, data); root != nil {
		c.root = l.gather(root)
		l.tree = c.root
		l.expand(c.root)
		l.decode(c)
		l.resolve(c)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	l.seal()
	if len(l.mistakes) == 0 {
		return c, nil
	}
	if c.root == nil || l.full() {
		c = nil
	}
	return c, l.all()
}

func (l *loader) report(n *yaml.Node, text, remedy string) {
	l.damaged.wrong[n] = true
	l.at(l.files[n], n.Line, n.Column, text, remedy)
}

func (l *loader) at(f *file, line, column int, text, remedy string) {
	l.flaws++
	if !l.full() {
		l.mistakes = append(l.mistakes, mistake{f, line, column, text, remedy})
	}
}

// full reports whether there are more mistakes than anyone reads.
func (l *loader) full() bool { return len(l.mistakes) >= 1000 }

// suggest is suggest, as long as someone reads it.
func (l *loader) suggest(word string, known []string, what string) string {
	if l.full() {
		return ""
	}
	return suggest(word, known, what)
}

func (l *loader) all() Problems {
	var ps Problems
	for _, m := range l.mistakes {
		ps = append(ps, l.problem(m))
	}
	return ps.Sort()
}

// gather makes one tree of the main file and those it includes: the named sections are merged item by item.
func (l *loader) gather(main *yaml.Node) *yaml.Node {
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: main.Line, Column: main.Column}
	l.files[root] = l.files[main]
	var include *yaml.Node
	for key, value := range pairs(main) {
		if key.Value == "include" && !l.bad[key] {
			include = value
		}
		if isSection(key.Value) && value.Kind == yaml.MappingNode {
			value = l.derive(value) // grows
		}
		root.Content = append(root.Content, key, value)
	}
	if include == nil || l.bad[include] {
		return root
	}
	for _, path := range l.included(include) {
		data, err := l.env.ReadFile(path)
		if err != nil {
			l.report(include, "include: "+err.Error(), "")
			l.lacking = true
			continue
		}
		if l.ctx.Err() != nil {
			break
		}
		part := l.parse(path, filepath.Dir(path), data)
		if part == nil {
			l.lacking = true
			continue
		}
		l.merge(root, part)
	}
	return root
}

// included lists the files that the globs name, in order, each once.
func (l *loader) included(n *yaml.Node) []string {
	var paths []string
	elements := n.Content
	if n.Kind == yaml.ScalarNode {
		elements = []*yaml.Node{n}
	}
	main := l.files[n]
	for _, e := range elements {
		if e.Kind != yaml.ScalarNode || l.bad[e] {
			l.lacking = true
			continue // the decoder reports it
		}
		pattern := e.Value
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(main.folder, pattern)
		}
		found, err := l.env.Glob(pattern)
		l.lacking = l.lacking || err != nil || len(found) == 0 && !strings.ContainsAny(pattern, `*?[`)
		switch {
		case err != nil:
			l.report(e, fmt.Sprintf("include %q: %v", e.Value, err), "")
		case len(found) == 0 && !strings.ContainsAny(pattern, `*?[`):
			l.report(e, fmt.Sprintf("include %q: no such file", e.Value), "")
		}
		slices.Sort(found)
		for _, path := range found {
			if path != filepath.Clean(main.name) && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// merge adds the items of an included file to the tree.
func (l *loader) merge(root, part *yaml.Node) {
	for key, value := range pairs(part) {
		switch {
		case l.bad[key] || l.bad[value]:
		case key.Value == "include":
			l.report(key, "an included file cannot include others", "name them in the main file")
		case !isSection(key.Value):
			l.misplaced(key)
		case value.Kind != yaml.MappingNode:
			l.report(value, fmt.Sprintf("%s is %s, not a mapping", key.Value, kindOf(value)), "write one key per item")
		default:
			l.mergeSection(root, key, value)
		}
	}
}

// misplaced reports a key that an included file cannot have.
func (l *loader) misplaced(key *yaml.Node) {
	p := l.plans.of(topType)
	_, known := p.field(key.Value)
	switch {
	case known:
		l.report(key, fmt.Sprintf("key %q in an included file", key.Value), "it may stand in the main file only")
	case slices.Contains(p.later, key.Value), slices.Contains(l.registry.Later, key.Value):
		l.notYet(key)
	default:
		l.unknown(key, sections(), "keys of an included file")
	}
}

func (l *loader) mergeSection(root, key, value *yaml.Node) {
	_, all := get(root, key.Value)
	if all == nil {
		root.Content = append(root.Content, key, l.derive(value))
		return
	}
	if all.Kind != yaml.MappingNode {
		return // the decoder reports it
	}
	known := index(all)
	for name, item := range pairs(value) {
		if first := known[name.Value].key; first != nil && !l.bad[name] {
			l.report(name, fmt.Sprintf("duplicate name %q in %s", name.Value, key.Value),
				fmt.Sprintf("the first stands at %s:%d:%d", l.files[first].name, first.Line, first.Column))
			continue
		}
		all.Content = append(all.Content, name, item) // duplicates within the file itself are reported already
	}
}

// derive copies a mapping or list, not what is in it, and keeps its place.
func (l *loader) derive(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = slices.Clone(n.Content)
	l.files[&c] = l.files[n]
	l.partial[&c] = l.partial[n]
	return &c
}

// resolve checks that every mention names an item, and what items say of their former names.
func (l *loader) resolve(c *Config) {
	known := map[string]map[string]entry{}
	for _, name := range sections() {
		_, section := get(c.root, name)
		known[name] = index(section)
		l.formerly(section, known[name])
	}
	for _, m := range l.mentions {
		if _, ok := known[m.section][m.name]; !ok && !l.incomplete(m.section) {
			_, section := get(c.root, m.section)
			l.report(m.node, fmt.Sprintf("%q is not one of the %s", m.node.Value, m.section), l.suggest(m.name, names(section), m.section))
		}
	}
}

// incomplete reports whether a section may lack items because something could not be read: what refers to them is no mistake then.
func (l *loader) incomplete(section string) bool {
	key, value := get(l.tree, section)
	if key != nil {
		return l.lacking || l.bad[key] || l.bad[value] || l.partial[value] || value.Kind != yaml.MappingNode
	}
	known := l.plans.of(topType).names()
	for other := range pairs(l.tree) { // one that is mistyped
		if near := nearest(other.Value, known); !slices.Contains(known, other.Value) && (near == "" || near == section) {
			return true
		}
	}
	return l.lacking
}

func (l *loader) formerly(section *yaml.Node, known map[string]entry) {
	heirs := map[string]*yaml.Node{}
	for _, item := range pairs(section) {
		_, old := get(item, "formerly")
		if old == nil || old.Kind != yaml.ScalarNode || l.bad[old] {
			continue
		}
		if key := known[old.Value].key; key != nil {
			l.report(old, fmt.Sprintf("formerly: %q still stands in line %d", old.Value, key.Line), "one of the two has to go")
		}
		if first := heirs[old.Value]; first != nil {
			l.report(old, fmt.Sprintf("formerly: %q is claimed in line %d already", old.Value, first.Line), "one of the two has to go")
		}
		heirs[old.Value] = old
	}
}

func names(section *yaml.Node) []string {
	var all []string
	for key := range pairs(section) {
		all = append(all, key.Value)
	}
	return all
}
