package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A text is a scalar with its references resolved.
type text struct {
	value      string
	references []string // as written; a text that has some is never shown
	secret     bool     // one of them reads a file or a credential
}

// A piece is a run of plain text, or one reference.
type piece struct {
	plain      string
	kind, name string
}

func (p piece) String() string { return "${" + p.kind + ":" + p.name + "}" }

// pieces takes a text apart; $${ stands for ${.
func pieces(s string) (all []piece, bad string) {
	for s != "" {
		at := strings.Index(s, "${")
		switch {
		case at < 0:
			return append(all, piece{plain: s}), ""
		case at > 0 && s[at-1] == '$':
			all = append(all, piece{plain: s[:at-1] + "${"})
			s = s[at+2:]
			continue
		case at > 0:
			all = append(all, piece{plain: s[:at]})
		}
		inner, rest, closed := strings.Cut(s[at+2:], "}")
		kind, name, _ := strings.Cut(inner, ":")
		if !closed || name == "" || kind != "env" && kind != "file" && kind != "credential" && kind != "var" {
			return all, s[at:min(len(s), at+2+len(inner)+len("}"))]
		}
		all = append(all, piece{kind: kind, name: name})
		s = rest
	}
	return all, ""
}

// onlyReferences reports whether a text shows nothing but where its value comes from.
func onlyReferences(s string) bool {
	all, bad := pieces(s)
	for _, p := range all {
		if p.kind == "" {
			return false
		}
	}
	return bad == ""
}

// text reads a scalar as its field wants it; false when there is nothing to decode, and that is reported.
func (l *loader) text(at place) (text, bool) {
	if at.field.as != "node" && plain(at.node) && isNull(at.node.Value) && !slices.Contains(at.field.enum, at.node.Value) {
		l.report(at.node, at.node.Value+" is no value", "leave the key out, or quote it for the text")
		return text{}, false
	}
	if l.fixed {
		return text{value: at.node.Value}, true
	}
	if !l.rule(at) {
		return text{}, false
	}
	all, bad := pieces(at.node.Value)
	if bad != "" {
		l.report(at.node, fmt.Sprintf("%q is no reference", bad), `write ${env:NAME}, ${file:/path}, ${credential:name} or ${var:name}, or $${ for the text ${`)
		return text{}, false
	}
	var t text
	for _, p := range all {
		value := p.plain
		if p.kind != "" {
			t.references = append(t.references, p.String())
			secret := p.kind == "file" || p.kind == "credential"
			t.secret = t.secret || secret
			var fine bool
			if value, fine = l.reference(at, p, secret); !fine {
				return text{}, false
			}
		}
		t.value += value
	}
	if written := at.node.Value; at.field.expressive() && !strings.HasPrefix(written, "=") && strings.HasPrefix(t.value, "=") {
		t.value = "=" + t.value // what a reference yields is text, never an expression
	}
	return t, true
}

// errElsewhere says that a reference fails for a mistake that is reported where it stands.
var errElsewhere = errors.New("reported elsewhere")

func isNull(s string) bool { return s == "null" || s == "Null" || s == "NULL" }

// expressive reports whether a text that begins with = is an expression here.
func (f field) expressive() bool { return f.as == "value" || f.as == "expression" || f.as == "node" }

// rule checks the form of values and expressions as far as the file alone shows it.
func (l *loader) rule(at place) bool {
	s := at.node.Value
	expression := strings.HasPrefix(s, "=") && !strings.HasPrefix(s, "==")
	switch {
	case at.field.as == "expression" && !expression:
		remedy := "an expression begins with ="
		if plainPath.MatchString(s) {
			remedy = "write =" + s
		}
		l.report(at.node, fmt.Sprintf("%q is a fixed text, where an expression belongs", s), remedy)
	case at.field.expressive() && expression && plain(at.node) && !plainPath.MatchString(s[1:]):
		l.report(at.node, fmt.Sprintf("the expression %q has no quotes", s), `only a path such as =order.no may stand without; put it in single quotes or a block`)
	default:
		return true
	}
	return false
}

// reference reads what p names and fits it to where it stands.
func (l *loader) reference(at place, p piece, secret bool) (string, bool) {
	stored := at.stored && (at.field.expressive() || at.field.as == "template")
	switch {
	case at.field.as == "var" && p.kind != "env":
		l.report(at.node, p.String()+" in vars", "vars are shown, and may refer to the environment only; write the reference where it is needed")
		return "", false
	case secret && stored:
		l.report(at.node, p.String()+": a secret may not stand here", "messages are stored; put it into the destination or its connection")
		return "", false
	}
	value, err := l.lookup(at, p)
	if errors.Is(err, errElsewhere) {
		l.damaged.wrong[at.node] = true
		l.flaws++
		return "", false
	}
	if err != nil {
		l.report(at.node, p.String()+": "+err.Error(), "")
		return "", false
	}
	if p.kind != "var" {
		l.hide(value)
	}
	switch written := at.node.Value; {
	case at.field.as == "template":
		value = strings.NewReplacer("{", "{{", "}", "}}").Replace(value)
	case at.field.expressive() && strings.HasPrefix(written, "=") && !strings.HasPrefix(written, "==") && strings.ContainsAny(value, "\"'`\\\n"):
		l.report(at.node, p.String()+": its value holds a quote, a backslash or a line break", "it cannot stand inside an expression")
		return "", false
	}
	return value, true
}

// lookup reads the value of a reference.
func (l *loader) lookup(at place, p piece) (string, error) {
	switch p.kind {
	case "var":
		value, ok := l.vars[p.name]
		if !ok {
			_, vars := get(l.tree, "vars")
			if _, there := get(vars, p.name); there != nil || l.incomplete("vars") {
				return "", errElsewhere
			}
			return "", fmt.Errorf("no such var, %s", l.suggest(p.name, names(vars), "vars"))
		}
		return value, nil
	case "env":
		value, ok := l.env.LookupEnv(p.name)
		if !ok {
			return "", fmt.Errorf("the environment variable is not set")
		}
		return value, nil
	case "credential":
		if l.env.CredentialsFolder == "" {
			return "", fmt.Errorf("there is no credentials folder; systemd makes one for LoadCredential=%s:/path, or set CREDENTIALS_DIRECTORY", p.name)
		}
		if p.name != filepath.Base(p.name) || p.name == ".." || p.name == "." {
			return "", fmt.Errorf("a credential's name has no slash")
		}
		return l.secretFile(filepath.Join(l.env.CredentialsFolder, p.name))
	}
	name := p.name
	if !filepath.IsAbs(name) {
		name = filepath.Join(l.files[at.node].folder, name)
	}
	return l.secretFile(name)
}

// secretFile reads a file without the line break at its end, which editors and echo leave there.
func (l *loader) secretFile(name string) (string, error) {
	data, err := l.env.ReadFile(name)
	if err != nil {
		return "", err
	}
	if len(data) > maxFile {
		return "", fmt.Errorf("the file has more than 1 MiB")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// raw copies a node for someone else to decode: references resolved, comments gone.
func (l *loader) raw(at place) *yaml.Node {
	n := at.node
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
	if at.field.as != "expression" && at.field.as != "template" {
		at.field.as = "node"
	}
	if n.Kind == yaml.ScalarNode && !l.bad[n] {
		t, _ := l.text(at)
		c.Value = t.value
	}
	for i, child := range n.Content {
		inner := at
		inner.node = child
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			c.Content = append(c.Content, &yaml.Node{Kind: child.Kind, Style: child.Style, Tag: child.Tag, Value: child.Value, Line: child.Line, Column: child.Column})
			continue
		}
		c.Content = append(c.Content, l.raw(inner))
	}
	return c
}

// userinfo is what a URL may hold before its host.
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#"']*)@`)

// maskURLs hides the userinfo of URLs. References in it may be seen.
func maskURLs(s string) string {
	return userinfo.ReplaceAllStringFunc(s, func(m string) string {
		parts := userinfo.FindStringSubmatch(m)
		if strings.Trim(reference.ReplaceAllString(parts[2], ""), ":*") == "" {
			return m
		}
		return parts[1] + "***@"
	})
}

var reference = regexp.MustCompile(`\$\{[a-z]+:[^}]*\}`)
