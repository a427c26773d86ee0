package jobs

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"waybill/formats"
	"waybill/jobs/expression"
)

// shaped sees that what a body is laid out as can hold it: its names, and where it has lists.
func (c *compiler) shaped(path string, n *yaml.Node, l shaper, shape formats.Shape) {
	if l == nil {
		return
	}
	namer, _ := l.(formats.Namer)
	c.shapedNode(path, n, namer, shape, 0, false)
}

func (c *compiler) shapedNode(path string, n *yaml.Node, namer formats.Namer, shape formats.Shape, depth int, listed bool) {
	switch n.Kind {
	case yaml.SequenceNode:
		switch {
		case shape == formats.OneValue:
			c.problem(path, "is a list, where as: text takes one value")
			return
		case depth == 0:
			c.problem(path, "is a list: name it inside a mapping")
			return
		case listed:
			c.problem(path, "is a list in a list, which has no place here")
			return
		}
		for i, item := range n.Content {
			c.shapedNode(fmt.Sprintf("%s[%d]", path, i), item, namer, shape, depth, true)
		}
	case yaml.MappingNode:
		c.shapedMapping(path, n, namer, shape, depth, listed)
	case yaml.ScalarNode:
		if shape == formats.FlatTree && depth == 0 {
			c.problem(path, "is one value, where as: form takes a mapping of names and values")
		}
	}
}

func (c *compiler) shapedMapping(path string, n *yaml.Node, namer formats.Namer, shape formats.Shape, depth int, listed bool) {
	switch each := child(n, "=each"); {
	case shape == formats.OneValue:
		c.problem(path, "is a mapping, where as: text takes one value")
		return
	case shape == formats.FlatTree && depth > 0:
		c.problem(path, "is a mapping inside a form, which has no place for it")
		return
	case each != nil && depth == 0:
		c.problem(path+".=each", "makes a list, and a document is one element: name it inside a mapping")
		return
	case each != nil && listed:
		c.problem(path+".=each", "makes a list in a list, which has no place here")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if strings.HasPrefix(key, "=") {
			continue
		}
		at := path + "." + key
		if namer != nil {
			if err := namer.Name(key); err != nil {
				c.problem(at, "%s", err)
				continue
			}
		}
		if shape == formats.ElementTree && (key == "#text" || strings.HasPrefix(key, "@")) && value.Kind != yaml.ScalarNode {
			c.problem(at, "is one value in XML, not a list or a mapping")
			continue
		}
		c.shapedNode(at, value, namer, shape, depth+1, false)
	}
}

// child is the value of a key of a mapping, nil when it has none.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// recordShaped is shaped for a record that is its own body.
func (c *compiler) recordShaped(path string, l shaper, shape formats.Shape) {
	switch {
	case l == nil:
	case shape == formats.OneValue:
		c.problem(path+".body", "is missing: as: text takes one value")
	default:
		namer, _ := l.(formats.Namer)
		c.fieldsShaped(path, c.record.fields, namer, shape == formats.FlatTree)
	}
}

func (c *compiler) fieldsShaped(path string, fields []field, namer formats.Namer, flat bool) {
	for i := range fields {
		f := &fields[i]
		if namer != nil {
			if err := namer.Name(f.name); err != nil {
				c.problem(path+".body", "is missing, and the field %s cannot be written as it is: %s", f.name, err)
			}
		}
		if flat && (f.kind == expression.KindObject || f.kind == expression.KindList && len(f.fields) > 0) {
			c.problem(path+".body", "is missing, and a form has no place for the field %s, which is %s", f.name, f.kind.Noun())
		}
		c.fieldsShaped(path, f.fields, namer, flat)
	}
}
