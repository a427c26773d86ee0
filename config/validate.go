package config

import (
	"errors"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"
)

// validate lets a decoded struct refuse itself.
func (l *loader) validate(at place, v reflect.Value) {
	checked, ok := v.Addr().Interface().(interface{ Validate() error })
	if !ok {
		return
	}
	hurt := l.hurt(at.node)
	for _, err := range parts(checked.Validate()) {
		n, rest := at.owner, ""
		var located interface{ Path() string }
		switch {
		case errors.As(err, &located) && located.Path() != "":
			n, rest = find(at.node, at.owner, located.Path())
		case hurt:
			continue // what is wrong with the whole may follow from the part of it that was not understood
		}
		l.report(n, lacking(rest, err.Error()), "")
	}
}

// hurt reports whether a key or a value of a mapping was not understood.
func (l *loader) hurt(n *yaml.Node) bool {
	return slices.ContainsFunc(n.Content, func(part *yaml.Node) bool { return l.damaged.wrong[part] })
}

func parts(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
