package jobs

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// parseOptions decodes a job as package config would, near enough for tests: document order, single elements of lists,
// defaults, scalars in place of mappings.
func parseOptions(t testing.TB, text string) Options {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	var o Options
	fillIn(t, reflect.ValueOf(&o).Elem(), n.Content[0], "")
	return o
}

// parseInto decodes another mapping in the same way.
func parseInto[T any](t testing.TB, text string) (o T) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	fillIn(t, reflect.ValueOf(&o).Elem(), n.Content[0], "")
	return o
}

func fillIn(t testing.TB, v reflect.Value, n *yaml.Node, one string) {
	t.Helper()
	if v.Type() == reflect.TypeFor[yaml.Node]() {
		v.Set(reflect.ValueOf(*n))
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			t.Fatal(err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(t, v.Elem(), n, "")
	case reflect.Struct:
		fillStruct(t, v, n)
	case reflect.Slice:
		items := n.Content
		if n.Kind == yaml.ScalarNode && one == "true" {
			items = []*yaml.Node{n}
		}
		step := 1
		keyed := n.Kind == yaml.MappingNode
		if keyed {
			step = 2
		}
		for i := 0; i < len(items); i += step {
			e := reflect.New(v.Type().Elem()).Elem()
			fillIn(t, e, items[i+step-1], "")
			if keyed {
				e.Field(0).SetString(items[i].Value)
			}
			v.Set(reflect.Append(v, e))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := 0; i < len(n.Content); i += 2 {
			v.SetMapIndex(reflect.ValueOf(n.Content[i].Value), reflect.ValueOf(n.Content[i+1].Value))
		}
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		v.SetBool(n.Value == "true")
	default:
		fillNumber(t, v, n.Value)
	}
}

func fillNumber(t testing.TB, v reflect.Value, text string) {
	t.Helper()
	if v.Type() == reflect.TypeFor[time.Duration]() {
		if days, ok := strings.CutSuffix(text, "d"); ok {
			text = days + "h" // near enough
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		v.SetInt(int64(d))
		return
	}
	var i int64
	if _, err := fmt.Sscan(text, &i); err != nil {
		t.Fatal(err)
	}
	v.SetInt(i)
}

func fillStruct(t testing.TB, v reflect.Value, n *yaml.Node) {
	t.Helper()
	known, items := map[string]bool{}, false
	var each func(v reflect.Value)
	each = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case option == "inline":
				each(v.Field(i))
			case option == "scalar" && n.Kind == yaml.ScalarNode:
				v.Field(i).SetString(n.Value)
			case option == "items" && n.Kind == yaml.MappingNode:
				fillIn(t, v.Field(i), n, "")
				items = true
			case name == "" || name == "-":
			default:
				known[name] = true
				value := child(n, name)
				if preset, ok := f.Tag.Lookup("default"); ok && value == nil {
					value = &yaml.Node{Kind: yaml.ScalarNode, Value: preset}
				}
				if value != nil {
					fillIn(t, v.Field(i), value, f.Tag.Get("one"))
				}
			}
		}
	}
	each(v)
	for i := 0; n.Kind == yaml.MappingNode && !items && i < len(n.Content); i += 2 {
		if !known[n.Content[i].Value] {
			t.Fatalf("unknown key %s in %s", n.Content[i].Value, v.Type())
		}
	}
}
