package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A tree is a JSON value in its order, its scalars as their JSON text.
type tree struct {
	kind  byte // '{', '[' or 0 for a scalar
	text  string
	keys  []string
	items []tree
}

func (t *tree) get(key string) *tree {
	if i := slices.Index(t.keys, key); i >= 0 && t.kind == '{' {
		return &t.items[i]
	}
	return nil
}

// parse reads one JSON value; ok is false for what is none.
func parse(text []byte) (t tree, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	t, err := value(d)
	if err != nil {
		return tree{}, false
	}
	_, err = d.Token()
	return t, errors.Is(err, io.EOF)
}

func value(d *json.Decoder) (tree, error) {
	token, err := d.Token()
	if err != nil {
		return tree{}, err
	}
	switch v := token.(type) {
	case json.Delim:
		return container(d, byte(v))
	case json.Number:
		return tree{text: v.String()}, nil
	case string:
		return tree{text: quote(v)}, nil
	case nil:
		return tree{text: "null"}, nil
	}
	return tree{text: fmt.Sprint(token)}, nil // a boolean
}

func container(d *json.Decoder, kind byte) (tree, error) {
	t := tree{kind: kind}
	for d.More() {
		if kind == '{' {
			key, err := d.Token()
			if err != nil {
				return t, err
			}
			t.keys = append(t.keys, key.(string)) // the decoder sees to it
		}
		item, err := value(d)
		if err != nil {
			return t, err
		}
		t.items = append(t.items, item)
	}
	_, err := d.Token()
	return t, err
}

// quote is a text as JSON has it, without escapes that nobody needs.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text can be encoded
	text := strings.TrimSuffix(b.String(), "\n")
	if !strings.ContainsFunc(text, unseen) {
		return text
	}
	var seen strings.Builder
	for _, r := range text {
		if unseen(r) {
			fmt.Fprintf(&seen, `\u%04x`, r)
		} else {
			seen.WriteRune(r)
		}
	}
	return seen.String()
}

// unseen reports whether a character is one that JSON may hold as it is, and YAML may not.
func unseen(r rune) bool {
	return r >= 0x7f && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff
}

// unquote undoes quote.
func unquote(s string) string {
	var text string
	_ = json.Unmarshal([]byte(s), &text) // quote made it
	return text
}

// treeOf is what a person wrote. A plain number, true, false or null is what JSON has; all else is text, as are 0010 and +1.
func treeOf(n *yaml.Node) tree {
	switch n.Kind {
	case yaml.DocumentNode:
		return treeOf(n.Content[0])
	case yaml.MappingNode:
		t := tree{kind: '{'}
		for i := 0; i+1 < len(n.Content); i += 2 {
			t.keys = append(t.keys, n.Content[i].Value)
			t.items = append(t.items, treeOf(n.Content[i+1]))
		}
		return t
	case yaml.SequenceNode:
		t := tree{kind: '['}
		for _, item := range n.Content {
			t.items = append(t.items, treeOf(item))
		}
		return t
	}
	if written := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0; written && bare(n.Value) {
		return tree{text: n.Value}
	}
	return tree{text: quote(n.Value)}
}

// bare reports whether a plain text stands for a number, a boolean or null.
func bare(s string) bool {
	return s != "" && strings.IndexByte("-0123456789tfn", s[0]) >= 0 && json.Valid([]byte(s))
}

// append writes the tree as JSON in one line.
func (t *tree) append(b []byte) []byte {
	if t.kind == 0 {
		return append(b, t.text...)
	}
	b = append(b, t.kind)
	for i := range t.items {
		if i > 0 {
			b = append(b, ", "...)
		}
		if t.kind == '{' {
			b = append(append(b, quote(t.keys[i])...), ": "...)
		}
		b = t.items[i].append(b)
	}
	return append(b, t.kind+2) // the bracket that closes
}

func (t *tree) String() string { return string(t.append(nil)) }
