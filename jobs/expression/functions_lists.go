package expression

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// listFunctions work on lists and objects, and make new ones.
var listFunctions = map[string]function{
	"len":     {use: "len(list)", params: []kindSet{lists | objects | texts | 1<<KindBytes}, least: 1, gives: KindInteger, run: length},
	"first":   {use: "first(list)", params: []kindSet{lists}, least: 1, typed: oneOf, run: first},
	"last":    {use: "last(list)", params: []kindSet{lists}, least: 1, typed: oneOf, run: last},
	"reverse": {use: "reverse(list)", params: []kindSet{lists}, least: 1, typed: sameList, run: reverse},
	"sort":    {use: "sort(list)", params: []kindSet{lists}, least: 1, typed: sameList, check: checkSortable, run: sorted},
	"uniq":    {use: "uniq(list)", params: []kindSet{lists}, least: 1, typed: sameList, run: uniq},
	"take":    {use: "take(list, n)", params: []kindSet{lists, integers}, least: 2, typed: sameList, run: take},
	"flatten": {use: "flatten(list of lists)", params: []kindSet{lists}, least: 1, typed: innerList, run: flatten},
	"keys":    {use: "keys(object)", params: []kindSet{objects}, least: 1, typed: givesTexts, run: keys},
	"values":  {use: "values(object)", params: []kindSet{objects}, least: 1, gives: KindList, run: values},
}

func length(_ *run, args []any) (any, error) {
	switch v := args[0].(type) {
	case []any:
		return int64(len(v)), nil
	case map[string]any:
		return int64(len(v)), nil
	case []byte:
		return int64(len(v)), nil
	}
	return int64(utf8.RuneCountInString(str(args[0]))), nil
}

func oneOf(args []term) Type    { return args[0].typ.elem().optional() }
func sameList(args []term) Type { return args[0].typ }

func innerList(args []term) Type {
	if elem := args[0].typ.elem(); elem.Kind == KindList {
		return elem
	}
	return Of(KindList)
}

func first(_ *run, args []any) (any, error) {
	if list, _ := args[0].([]any); len(list) > 0 {
		return normal(list[0]), nil
	}
	return nil, nil
}

func last(_ *run, args []any) (any, error) {
	if list, _ := args[0].([]any); len(list) > 0 {
		return normal(list[len(list)-1]), nil
	}
	return nil, nil
}

// copied is a copy of the list, accounted for.
func copied(r *run, v any) ([]any, error) {
	list, _ := v.([]any)
	if err := r.takeElements(len(list)); err != nil {
		return nil, err
	}
	return append(make([]any, 0, len(list)), list...), nil
}

func reverse(r *run, args []any) (any, error) {
	list, err := copied(r, args[0])
	if err != nil {
		return nil, err
	}
	slices.Reverse(list)
	return list, nil
}

func checkSortable(args []term) error {
	if elem := args[0].typ.elem(); elem.Kind != KindAny && !(numbers | texts | moments).has(elem.Kind) {
		return fmt.Errorf("%s has no order: write sortBy(%s, .field)", elem.Kind.Noun(), orValue(args[0]))
	}
	return nil
}

func sorted(r *run, args []any) (any, error) {
	list, err := copied(r, args[0])
	if err != nil {
		return nil, err
	}
	var wrong error
	slices.SortStableFunc(list, func(a, b any) int {
		order, err := compare(normal(a), normal(b))
		wrong = cmp.Or(wrong, err)
		return order
	})
	if wrong != nil {
		return nil, wrong
	}
	return list, nil
}

// uniq keeps the first of each value. Scalars are told apart by their text and
// sort, so that a long list costs no more than its length.
func uniq(r *run, args []any) (any, error) {
	list, _ := args[0].([]any)
	kept, seen := []any{}, map[string]bool{}
	for _, v := range list {
		name, err := identity(v)
		if err == nil {
			err = r.take(64 + len(name))
		}
		if err != nil {
			return nil, err
		}
		if !seen[name] {
			seen[name] = true
			kept = append(kept, v)
		}
	}
	return kept, nil
}

// identity is text that is the same for values that are equal.
func identity(v any) (string, error) {
	v = normal(v)
	if d, err := toDecimal(v); err == nil {
		return "0" + fromWide(stripZeros(d.d())).String(), nil
	}
	b, err := AppendJSON([]byte{byte('a' + kindOf(v))}, v)
	return string(b), err
}

func take(_ *run, args []any) (any, error) {
	list, _ := args[0].([]any)
	if num(args[1]) < 0 {
		return nil, errors.New("take cannot take a negative number of elements")
	}
	n := min(num(args[1]), int64(len(list)))
	return list[:n:n], nil
}

func flatten(r *run, args []any) (any, error) {
	list, _ := args[0].([]any)
	flat := []any{}
	for _, v := range list {
		inner, ok := normal(v).([]any)
		if !ok {
			inner = []any{v}
		}
		if err := r.takeElements(len(inner)); err != nil {
			return nil, err
		}
		flat = append(flat, inner...)
	}
	return flat, nil
}

// keys are in alphabetical order, and values in that of their keys.
func keys(r *run, args []any) (any, error) {
	object, _ := args[0].(map[string]any)
	if err := r.takeElements(2 * len(object)); err != nil {
		return nil, err
	}
	return normalList(slices.Sorted(maps.Keys(object))), nil
}

func values(r *run, args []any) (any, error) {
	object, _ := args[0].(map[string]any)
	if err := r.takeElements(2 * len(object)); err != nil {
		return nil, err
	}
	list := make([]any, 0, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		list = append(list, normal(object[name]))
	}
	return list, nil
}
