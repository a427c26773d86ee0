package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A place is a node to be decoded.
type place struct {
	node   *yaml.Node
	owner  *yaml.Node // the key it belongs to, for problems of what is not there
	field  field      // what the tags say
	list   string     // the key of the list that the node is an element of
	stored bool       // inside a job: values end up in stored messages
	kinds  []string   // further keys that are known here, handled by the caller
	keys   []string   // a mapping of these might stand here as well
}

func (l *loader) decode(c *Config) {
	c.Vars = l.vars
	if key, section := get(c.root, "vars"); section != nil && !l.bad[section] {
		var vars []variable
		l.value(place{node: section, owner: key}, reflect.ValueOf(&vars).Elem())
		for _, v := range vars {
			if _, n := get(section, v.Name); c.sound(n) {
				l.vars[v.Name] = v.Text
			}
		}
	}
	t := top{Data: l.env.dataFolder()}
	l.value(place{node: c.root, owner: c.root}, reflect.ValueOf(&t).Elem())
	c.Data, c.Zone, c.Retain, c.Log = t.Data, t.Zone, t.Retain, t.Log
	c.SFTPServer = l.setting(c.root, "sftp_server", l.registry.SFTPServer)
	c.Partners = l.section(c.root, "partners", Union{}, l.registry.Partner)
	c.Connections = l.section(c.root, "connections", Union{}, l.registry.Connection)
	c.Tables = l.section(c.root, "tables", Union{}, l.registry.Table)
	c.Sources = l.section(c.root, "sources", l.registry.Source, nil)
	c.Destinations = l.section(c.root, "destinations", l.registry.Destination, nil)
	c.Jobs = l.section(c.root, "jobs", Union{}, l.registry.Job)
}

// setting decodes a key of the top level into what make makes; nil when it is not there.
func (l *loader) setting(root *yaml.Node, name string, make func() any) any {
	key, node := get(root, name)
	if node == nil || l.bad[node] {
		return nil
	}
	if make == nil {
		l.notYet(key)
		return nil
	}
	made := make()
	l.value(place{node: node, owner: key}, reflect.ValueOf(made).Elem())
	return made
}

// section decodes the items of a section, each into what single makes, or as a union when single is nil.
func (l *loader) section(root *yaml.Node, name string, u Union, single func() any) []Item {
	_, section := get(root, name)
	if section == nil || l.bad[section] {
		return nil
	}
	if section.Kind != yaml.MappingNode {
		l.report(section, fmt.Sprintf("%s is %s, not a mapping", name, kindOf(section)), "write one key per item")
		return nil
	}
	var items []Item
	for key, value := range pairs(section) {
		if l.bad[key] || l.bad[value] {
			continue
		}
		if !itemName.MatchString(key.Value) {
			l.report(key, fmt.Sprintf("%q cannot be a name", key.Value), "names are up to 63 letters, digits, _ and -, and begin with a letter or digit")
		}
		it := Item{Name: key.Value, Digest: digest(value)}
		at := place{node: value, owner: key, stored: name == "jobs"}
		if single != nil {
			it.Options = single()
			l.value(at, reflect.ValueOf(it.Options).Elem())
		} else {
			l.union(at, u, &it)
		}
		items = append(items, it)
	}
	return items
}

// union decodes an item that has exactly one kind beside its common keys.
func (l *loader) union(at place, u Union, it *Item) {
	if at.node.Kind != yaml.MappingNode {
		l.report(at.node, fmt.Sprintf("%q is %s, not a mapping", it.Name, kindOf(at.node)), "its kind is one of "+strings.Join(u.kinds(), ", "))
		return
	}
	common := l.derive(at.node)
	common.Content = nil
	var first *yaml.Node
	later := false
	for key, value := range pairs(at.node) {
		kind := u.Kinds[key.Value]
		switch {
		case slices.Contains(u.Later, key.Value):
			l.notYet(key)
			later = true
		case kind == nil || l.bad[key]:
			common.Content = append(common.Content, key, value)
		case first != nil:
			l.report(key, fmt.Sprintf("%q has two kinds, %s and %s", it.Name, first.Value, key.Value), "make two items of it")
		default:
			first = key
			it.Kind, it.Options = key.Value, kind()
			l.value(place{node: value, owner: key, stored: at.stored}, reflect.ValueOf(it.Options).Elem())
		}
	}
	if first == nil && !later && !l.hasUnknown(common, u) {
		l.report(at.owner, fmt.Sprintf("%q has no kind", it.Name), "write one of "+strings.Join(u.kinds(), ", "))
	}
	at.node, at.kinds = common, u.kinds()
	into := reflect.ValueOf(new(struct{}))
	if u.Common != nil {
		it.Common = u.Common()
		into = reflect.ValueOf(it.Common)
	}
	l.value(at, into.Elem())
}

// hasUnknown reports whether a key looks like a misspelt kind: one problem is enough then.
func (l *loader) hasUnknown(common *yaml.Node, u Union) bool {
	var known []string
	if u.Common != nil {
		known = l.plans.of(reflect.TypeOf(u.Common()).Elem()).names()
	}
	for key := range pairs(common) {
		if l.bad[key] || !slices.Contains(known, key.Value) && slices.Contains(u.kinds(), nearest(key.Value, append(u.kinds(), known...))) {
			return true
		}
	}
	return false
}

// value decodes a node into v by the shape of its type.
func (l *loader) value(at place, v reflect.Value) {
	if at.field.as == "secret" && at.node.Kind == yaml.ScalarNode && !onlyReferences(at.node.Value) {
		l.hidden[at.node] = true
		l.hide(at.node.Value)
	}
	if l.bad[at.node] {
		return
	}
	switch l.plans.shape(v.Type()) {
	case rawShape:
		if at.field.as != "section" && at.field.as != "setting" { // these are decoded by themselves
			v.Set(reflect.ValueOf(*l.raw(at)))
		}
	case pointerShape:
		v.Set(reflect.New(v.Type().Elem()))
		l.value(at, v.Elem())
	case structShape:
		l.structure(at, v)
	case listShape:
		l.list(at, v)
	case entriesShape:
		l.entries(at, v)
	case tableShape:
		l.table(at, v)
	default:
		l.scalar(at, v)
	}
}

func (l *loader) structure(at place, v reflect.Value) {
	p := l.plans.of(v.Type())
	before := l.flaws
	switch {
	case at.node.Kind == yaml.ScalarNode && p.scalar != nil:
		l.fill(p, v, nil)
		l.value(place{node: at.node, owner: at.owner, field: *p.scalar, stored: at.stored, keys: p.names()}, v.FieldByIndex(p.scalar.index))
	case at.node.Kind != yaml.MappingNode:
		l.hidden[at.node] = p.secrets
		l.mismatch(at, "a mapping", suggest("", p.names(), "its keys"))
		return
	case p.items != nil:
		l.value(place{node: at.node, owner: at.owner, field: *p.items, stored: at.stored}, v.FieldByIndex(p.items.index))
	default:
		l.members(at, p, v)
	}
	if l.flaws == before {
		l.validate(at, v)
	}
}

// members decodes the keys of a mapping, and reports those that are missing.
func (l *loader) members(at place, p *plan, v reflect.Value) {
	given, meant := map[string]bool{}, map[string]bool{}
	for key, value := range pairs(at.node) {
		meant[key.Value] = true
		if l.bad[key] {
			continue
		}
		given[key.Value] = true
		if _, known := p.field(key.Value); !known && !l.full() {
			meant[nearest(key.Value, p.names())] = true
		}
		l.member(at, p, v, key, value)
	}
	l.fill(p, v, given)
	for _, f := range p.fields {
		if f.required && !l.partial[at.node] && !meant[f.name] {
			l.at(l.files[at.owner], at.owner.Line, at.owner.Column, fmt.Sprintf("key %q is missing", f.name), "")
			l.lacks(at.node, f.name)
		}
	}
}

// member decodes one key of a mapping into its field.
func (l *loader) member(at place, p *plan, v reflect.Value, key, value *yaml.Node) {
	f, known := p.field(key.Value)
	switch {
	case known:
		l.value(place{node: value, owner: key, field: f, stored: at.stored}, v.FieldByIndex(f.index))
	case slices.Contains(p.later, key.Value), at.node.Kind == yaml.MappingNode && v.Type() == topType && slices.Contains(l.registry.Later, key.Value):
		l.notYet(key)
	default:
		if p.secrets {
			l.hidden[value] = true // a misspelt password
		}
		what := "known keys"
		if len(p.fields) == 0 && len(at.kinds) > 0 {
			what = "kinds"
		}
		l.unknown(key, append(slices.Clone(at.kinds), p.names()...), what)
	}
}

// lacks notes that a key is missing from a mapping.
func (l *loader) lacks(n *yaml.Node, name string) {
	if l.damaged.missing[n] == nil {
		l.damaged.missing[n] = map[string]bool{}
	}
	l.damaged.missing[n][name] = true
}

func (l *loader) unknown(key *yaml.Node, known []string, what string) {
	if !l.full() {
		l.damaged.meant[key] = nearest(key.Value, known)
	}
	l.report(key, fmt.Sprintf("unknown key %q", key.Value), l.suggest(key.Value, known, what))
}

func (l *loader) notYet(key *yaml.Node) {
	l.damaged.meant[key] = key.Value
	l.report(key, key.Value+": not yet in this version", "")
}

// fill sets the defaults of keys that are not given.
func (l *loader) fill(p *plan, v reflect.Value, given map[string]bool) {
	for _, f := range p.fields {
		if given[f.name] {
			continue
		}
		into := v.FieldByIndex(f.index)
		switch {
		case f.preset != nil:
			l.preset(f, into)
		case f.typ.Kind() == reflect.Struct && l.plans.shape(f.typ) == structShape:
			l.fill(l.plans.of(f.typ), into, nil)
		}
	}
}

// preset decodes the text of a default tag. A default that does not fit its field is a mistake in the program.
func (l *loader) preset(f field, v reflect.Value) {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: *f.preset, Style: yaml.DoubleQuotedStyle, Line: 1, Column: 1}
	before := len(l.mistakes)
	f.ref = ""
	l.files[n] = &file{name: "default"}
	if f.one || v.Kind() != reflect.Slice {
		l.value(place{node: n, owner: n, field: f}, v)
	}
	if len(l.mistakes) > before {
		panic(fmt.Sprintf("config: default of key %q: %s", f.name, l.mistakes[before].text))
	}
	delete(l.files, n)
}

func (l *loader) list(at place, v reflect.Value) {
	elements := at.node.Content
	if at.node.Kind != yaml.SequenceNode {
		if !at.field.one {
			l.mismatch(at, "a list", l.listed(at, v.Type().Elem()))
			return
		}
		elements = []*yaml.Node{at.node}
	}
	v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
	for i, e := range elements {
		element := place{node: e, owner: at.owner, field: at.field.element(), stored: at.stored}
		if at.node.Kind == yaml.SequenceNode {
			element.owner, element.list = e, at.owner.Value
		}
		l.value(element, v.Index(i))
	}
}

// listed says how a list is written: with the keys that each of its elements must have, where they are mappings.
func (l *loader) listed(at place, element reflect.Type) string {
	if at.list == "" && l.plans.shape(element) == structShape && (at.node.Kind == yaml.MappingNode || l.plans.of(element).scalar == nil) {
		var keys []string
		for _, f := range l.plans.of(element).fields {
			if f.required && (f.as == "value" || f.as == "expression") {
				keys = append(keys, f.name+": =…")
			} else if f.required {
				keys = append(keys, f.name+": …")
			}
		}
		if len(keys) > 0 {
			return fmt.Sprintf("write %s: [{%s}]", at.owner.Value, strings.Join(keys, ", "))
		}
	}
	return "write [ ] around it"
}

// element is what the tags of a list say of one element.
func (f field) element() field {
	f.one = false
	return f
}

// entries decodes a mapping into a slice, in the order of the file.
func (l *loader) entries(at place, v reflect.Value) {
	if at.node.Kind != yaml.MappingNode {
		l.mismatch(at, "a mapping", "write one key per element")
		return
	}
	p := l.plans.of(v.Type().Elem())
	v.Set(reflect.MakeSlice(v.Type(), 0, len(at.node.Content)/2))
	first := index(at.node)
	for key, value := range pairs(at.node) {
		e := reflect.New(v.Type().Elem()).Elem()
		if l.bad[key] {
			if name := e.FieldByIndex(p.key.index); key.Value != "" && first[key.Value].key == key && name.Kind() == reflect.String {
				name.SetString(key.Value) // others may refer to it
				l.fill(p, e, nil)
				v.Set(reflect.Append(v, e))
			}
			continue
		}
		l.value(place{node: l.keyText(key), owner: key, field: *p.key}, e.FieldByIndex(p.key.index))
		l.value(place{node: value, owner: key, field: at.field.element(), stored: at.stored}, e)
		v.Set(reflect.Append(v, e))
	}
}

// keyText makes a key decodable as a text: references are not resolved in keys, and null is a name like any other.
func (l *loader) keyText(key *yaml.Node) *yaml.Node {
	n := l.derive(key)
	n.Style, n.Value = yaml.DoubleQuotedStyle, strings.ReplaceAll(key.Value, "${", "$${")
	return n
}

func (l *loader) table(at place, v reflect.Value) {
	if at.node.Kind != yaml.MappingNode {
		l.mismatch(at, "a mapping", "")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for key, value := range pairs(at.node) {
		if l.bad[key] {
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		l.value(place{node: value, owner: key, field: at.field.element(), stored: at.stored}, e)
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), e)
	}
}

func (l *loader) mismatch(at place, want, remedy string) {
	l.report(at.node, fmt.Sprintf("%s is %s, not %s", l.subject(at), kindOf(at.node), want), remedy)
}

// subject names the key a node belongs to.
func (l *loader) subject(at place) string {
	if at.list != "" {
		return fmt.Sprintf("an element of %q", at.list)
	}
	return fmt.Sprintf("%q", at.owner.Value)
}
