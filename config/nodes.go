package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile is the most bytes a configuration file, or a file that a reference names, may have.
const maxFile = 1 << 20

// parse reads one file into a mapping node, or reports why it cannot and returns nil.
func (l *loader) parse(name, folder string, data []byte) *yaml.Node {
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	f := &file{name: name, folder: folder, lines: splitLines(string(data))}
	if len(data) > maxFile {
		f.lines = nil // its first line may be all of it
		l.at(f, 1, 1, "the file has more than 1 MiB", "split it with include")
		return nil
	}
	if line, column, bad := misfit(data); bad != "" {
		l.at(f, line, column, bad, "save the file as UTF-8 text")
		return nil
	}
	loader, err := yaml.NewLoader(strings.NewReader(string(data)), yaml.WithUniqueKeys(false)) // duplicates are found here, with both places
	if err != nil {
		l.at(f, 1, 1, err.Error(), "")
		return nil
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		l.at(f, 1, 1, "the file is empty", "")
		return nil
	case err != nil:
		l.syntax(f, err)
		return nil
	}
	switch err := loader.Load(&second); {
	case err == nil:
		l.at(f, max(second.Line, 1), max(second.Column, 1), "a second document begins here", "one file holds one document")
	case !errors.Is(err, io.EOF):
		l.syntax(f, err)
	}
	return l.root(f, &doc)
}

func (l *loader) root(f *file, doc *yaml.Node) *yaml.Node {
	if len(doc.Content) != 1 {
		l.at(f, 1, 1, "the file is empty", "")
		return nil
	}
	root := doc.Content[0]
	l.check(f, root)
	if root.Kind != yaml.MappingNode {
		if f.name != l.main {
			f.lines = nil // who knows what a glob has caught: show nothing of it
		}
		if !l.bad[root] {
			remedy := `write sections such as "jobs:"`
			if l.fixed {
				remedy = ""
			}
			l.report(root, "the file is "+kindOf(root)+", not a mapping", remedy)
		}
		return nil
	}
	return root
}

// check reports everything of YAML that the language does without, and notes where each node stands.
func (l *loader) check(f *file, n *yaml.Node) {
	l.files[n] = f
	n.Line, n.Column = max(n.Line, 1), max(n.Column, 1)
	switch {
	case n.Kind == yaml.AliasNode:
		l.bad[n] = true
		id := f.name + "\x00" + n.Value
		if l.aliases[id] {
			return
		}
		l.aliases[id] = true
		l.report(n, fmt.Sprintf("alias %q is not allowed", "*"+n.Value), `quote a text that begins with "*"; a job takes over another with use:, texts repeat with vars:`)
		return
	case n.Anchor != "":
		l.report(n, fmt.Sprintf("anchor %q is not allowed", "&"+n.Anchor), `quote a text that begins with "&"; a job takes over another with use:, texts repeat with vars:`)
	}
	if n.Style&yaml.TaggedStyle != 0 || n.Tag == "!" {
		l.spoil(n, fmt.Sprintf("tag %q is not allowed", n.Tag), `quote a text that begins with "!"`)
	}
	switch n.Kind {
	case yaml.MappingNode:
		l.checkMapping(f, n)
	case yaml.SequenceNode:
		for _, c := range n.Content {
			l.check(f, c)
			l.checkNull(c, nil)
		}
	}
}

func (l *loader) checkMapping(f *file, n *yaml.Node) {
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for key, value := range pairs(n) {
		l.check(f, key)
		l.check(f, value)
		l.checkNull(value, key)
		switch {
		case key.Kind != yaml.ScalarNode:
			if !l.bad[key] {
				l.spoil(key, "a key is "+kindOf(key), "keys are texts")
			}
		case plain(key) && key.Value == "<<":
			l.spoil(key, "merge keys are not allowed", "a job takes over another with use:")
			l.partial[n] = true
		case plain(key) && key.Value == "":
			l.spoil(key, "a key is missing before the colon", "")
		case first[key.Value] != nil:
			l.spoil(key, fmt.Sprintf("duplicate key %q", key.Value), "the first stands in line "+strconv.Itoa(first[key.Value].Line))
		default:
			first[key.Value] = key
		}
	}
}

// checkNull reports a value that is not there. The word null is text here; whether text may stand there is for the decoder to say.
func (l *loader) checkNull(n, key *yaml.Node) {
	switch {
	case n.Kind != yaml.ScalarNode || !plain(n) || l.bad[n]:
	case n.Value == "~":
		l.spoil(n, `"~" is no value`, `leave the key out, or quote it for the text`)
	case n.Value != "":
	case key == nil:
		l.spoil(n, "a list element has no value", `write "" for an empty text`)
	case strings.Contains(key.Value, ":"):
		l.spoil(key, fmt.Sprintf("key %q has no value", key.Value), "a blank must follow the colon")
	default:
		l.spoil(key, fmt.Sprintf("key %q has no value", key.Value), `leave it out, or write "" for an empty text`)
		l.bad[n] = true
	}
}

// spoil reports a node and keeps the decoder from reporting it again.
func (l *loader) spoil(n *yaml.Node, text, remedy string) {
	l.bad[n] = true
	l.damaged.meant[n] = n.Value
	l.report(n, text, remedy)
}

var trailingPosition = regexp.MustCompile(`\s*\(value: \d+\)$`)

// syntax reports what the parser refused, in terms of what a person most likely did.
func (l *loader) syntax(f *file, err error) {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		l.at(f, 1, 1, err.Error(), "")
		return
	}
	line, column := f.clamp(le.Mark.Line, le.Mark.Column)
	text, remedy := trailingPosition.ReplaceAllString(le.Message, ""), ""
	var rest string
	if line <= len(f.lines) {
		runes := []rune(f.lines[line-1])
		rest = string(runes[min(column-1, len(runes)):])
		if i := strings.IndexByte(f.lines[line-1], '\t'); i >= 0 && strings.TrimSpace(f.lines[line-1][:i]) == "" {
			l.at(f, line, i+1, "a tab in the indentation", "indent with blanks")
			return
		}
	}
	switch {
	case strings.HasPrefix(text, "unknown anchor"):
		text, remedy = fmt.Sprintf("alias %q is not allowed", firstWord(rest)), `quote a text that begins with "*"`
	case strings.HasPrefix(text, "mapping values are not allowed"):
		text, remedy = `": " inside a text, or wrong indentation`, "put the text in single quotes, or indent its line as its neighbours"
	case strings.HasPrefix(text, "found character that cannot start"):
		text, remedy = fmt.Sprintf("a text cannot begin with %q", firstRune(rest)), "put it in single quotes"
	case strings.HasPrefix(text, "found unknown escape"):
		remedy = "in double quotes a backslash stands for an escape; use single quotes"
	case strings.HasPrefix(text, "found incompatible YAML document"):
		text, remedy = "a YAML directive", "leave it out"
	case strings.HasPrefix(text, "did not find expected ',' or"):
		text = fmt.Sprintf("%s, opened in line %d, is not closed", bracket(le.ContextMsg), le.ContextMark.Line)
		remedy = "quote texts that hold one of , [ ] { }"
	case rest == "" && strings.Contains(le.ContextMsg, "flow node"):
		text = "the file ends inside a [ or {"
	case strings.HasPrefix(text, "did not find expected node content"):
		text, remedy = "a value is missing", `write "" for an empty text`
	case strings.HasPrefix(text, "did not find expected key"):
		remedy = "check the indentation, and the quotes before"
	case le.ContextMsg != "":
		text = le.ContextMsg + ": " + text
	}
	l.at(f, line, column, text, remedy)
}

// clamp moves a place behind the end of the text to its last character.
func (f *file) clamp(line, column int) (int, int) {
	line, column = max(line, 1), max(column, 1)
	for line > len(f.lines) || line > 1 && line == len(f.lines) && strings.TrimSpace(f.lines[line-1]) == "" {
		line--
		column = max(utf8.RuneCountInString(strings.TrimRight(f.lines[line-1], " \t"))+1, 1)
	}
	return line, column
}

func bracket(context string) string {
	if strings.Contains(context, "mapping") {
		return "a {"
	}
	return "a ["
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return strings.TrimRight(word, ",]}")
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

// misfit finds the first byte that no YAML text may hold; the parser would not tell where it stands.
func misfit(data []byte) (line, column int, what string) {
	line, column = 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return line, column, fmt.Sprintf("byte 0x%02X is not UTF-8", data[0])
		case r < 0x20 && r != '\t' && r != '\n' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff, r == 0xfeff:
			return line, column, fmt.Sprintf("character U+%04X is not allowed", r)
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		data = data[size:]
	}
	return line, column, ""
}

var lineBreak = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]") // what the parser counts as one

func splitLines(text string) []string { return lineBreak.Split(text, -1) }

// pairs iterates over the keys and values of a mapping.
func pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// get finds a key of a mapping; both are nil when it is not there.
func get(n *yaml.Node, name string) (key, value *yaml.Node) {
	for k, v := range pairs(n) {
		if k.Value == name && k.Kind == yaml.ScalarNode {
			return k, v
		}
	}
	return nil, nil
}

// An entry is a key of a mapping with its value.
type entry struct{ key, value *yaml.Node }

// index is for many calls of get.
func index(n *yaml.Node) map[string]entry {
	all := map[string]entry{}
	for k, v := range pairs(n) {
		if _, known := all[k.Value]; !known && k.Kind == yaml.ScalarNode {
			all[k.Value] = entry{k, v}
		}
	}
	return all
}

// plain reports whether a scalar stands without quotes and is no block.
func plain(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a text"
}
