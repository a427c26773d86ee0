package expression

import (
	"errors"
	"fmt"
	"strings"
)

// numberFunctions work on integers and decimals, exactly.
var numberFunctions = map[string]function{
	"decimal": {use: "decimal(text)", params: []kindSet{texts | numbers}, least: 1, gives: KindDecimal, run: makeDecimal},
	"integer": {use: "integer(text)", params: []kindSet{texts | numbers}, least: 1, gives: KindInteger, run: makeInteger},
	"round":   {use: "round(number, places)", params: []kindSet{numbers, integers}, least: 1, gives: KindDecimal, check: checkPlaces, run: round},
	"floor":   {use: "floor(number)", params: []kindSet{numbers}, least: 1, gives: KindDecimal, run: onDecimal(Decimal.Floor)},
	"ceil":    {use: "ceil(number)", params: []kindSet{numbers}, least: 1, gives: KindDecimal, run: onDecimal(Decimal.Ceil)},
	"abs":     {use: "abs(number)", params: []kindSet{numbers}, least: 1, typed: sameNumber, run: abs},
	"min":     {use: "min(a, b)", params: []kindSet{numbers | moments | lists}, least: 1, variadic: true, typed: commonType, check: checkCommon, run: extreme(-1)},
	"max":     {use: "max(a, b)", params: []kindSet{numbers | moments | lists}, least: 1, variadic: true, typed: commonType, check: checkCommon, run: extreme(1)},
	"sum":     {use: "sum(list, number)", params: []kindSet{lists}, least: 1, typed: sumType, check: checkNumbers, run: sumOf},
	"mean":    {use: "mean(list)", params: []kindSet{lists}, least: 1, gives: KindDecimal, check: checkNumbers, run: mean},
}

func onDecimal(f func(Decimal) Decimal) func(*run, []any) (any, error) {
	return func(_ *run, args []any) (any, error) {
		d, err := toDecimal(args[0])
		if err != nil {
			return nil, err
		}
		return f(d), nil
	}
}

func makeDecimal(_ *run, args []any) (any, error) {
	d, err := anyDecimal(args[0])
	if err != nil {
		return nil, err
	}
	return d, nil
}

// anyDecimal reads a decimal from a number or from text, of which spaces around
// it are no part.
func anyDecimal(v any) (Decimal, error) {
	if text, ok := v.(string); ok {
		return ParseDecimal(strings.TrimSpace(text))
	}
	return toDecimal(v)
}

func makeInteger(_ *run, args []any) (any, error) {
	d, err := anyDecimal(args[0])
	if err != nil {
		return nil, err
	}
	i, ok := d.Int64()
	if !ok {
		return nil, fmt.Errorf("%s is not a whole number that fits in 64 bits: write integer(round(…))", d)
	}
	return i, nil
}

func checkPlaces(args []term) error {
	if len(args) == 2 {
		if places, ok := args[1].constant.(int64); ok {
			return placesWithin(places)
		}
	}
	return nil
}

func placesWithin(places int64) error {
	if places < -maxDigits || places > maxDigits {
		return fmt.Errorf("round keeps from %d to %d places, not %d", -maxDigits, maxDigits, places)
	}
	return nil
}

// round rounds half away from zero: 2.5 to 3, -2.5 to -3.
func round(_ *run, args []any) (any, error) {
	d, err := toDecimal(args[0])
	if err != nil {
		return nil, err
	}
	places := int64(0)
	if len(args) == 2 {
		places = num(args[1])
	}
	if err := placesWithin(places); err != nil {
		return nil, err
	}
	return d.Round(int(places)), nil
}

func sameNumber(args []term) Type { return arithmeticType(args[0].typ, args[0].typ) }

func abs(_ *run, args []any) (any, error) {
	if i, ok := args[0].(int64); ok {
		if i < 0 {
			return negate(i)
		}
		return i, nil
	}
	d, err := toDecimal(args[0])
	if err != nil {
		return nil, err
	}
	return d.Abs(), nil
}

// commonType is the type of a result that is one of the arguments, or of the
// elements of a list that is the only one.
func commonType(args []term) Type {
	if len(args) == 1 && args[0].typ.Kind == KindList {
		return args[0].typ.elem().present()
	}
	typ := args[0].typ
	for _, a := range args[1:] {
		typ = unify(typ, a.typ)
	}
	return typ
}

func checkCommon(args []term) error {
	for _, a := range args[1:] {
		if !comparable(args[0].typ, a.typ) {
			return fmt.Errorf("%s and %s have no order", args[0].typ.Kind.Noun(), a.typ.Kind.Noun())
		}
	}
	if typ := commonType(args); typ.Kind == KindList || !((numbers | moments | texts).has(typ.Kind) || typ.Kind == KindAny) {
		return fmt.Errorf("%s has no order", typ.Kind.Noun())
	}
	return nil
}

// extreme is min and max: of the arguments, or of the list that is the only
// one. Mixed numbers give a decimal.
func extreme(sign int) func(*run, []any) (any, error) {
	return func(r *run, args []any) (any, error) {
		if list, ok := args[0].([]any); ok && len(args) == 1 {
			args = list
		}
		if len(args) == 0 {
			return nil, errors.New("an empty list has neither least nor greatest element")
		}
		best, mixed := normal(args[0]), false
		for _, v := range args[1:] {
			if err := r.step(); err != nil {
				return nil, err
			}
			v = normal(v)
			order, err := compare(v, best)
			if err != nil {
				return nil, err
			}
			mixed = mixed || kindOf(v) != kindOf(best)
			if order*sign > 0 {
				best = v
			}
		}
		if best == nil {
			return nil, errAbsent
		}
		if mixed {
			return Coerce(best, Of(KindDecimal))
		}
		return best, nil
	}
}

func sumType(args []term) Type {
	elem := args[0].typ.elem()
	return arithmeticType(elem, elem)
}

func checkNumbers(args []term) error {
	switch elem, list := args[0].typ.elem(), orValue(args[0]); {
	case elem.Kind == KindObject:
		return fmt.Errorf("numbers are needed, and each element is an object: write sum(%s, .field)", list)
	case elem.Kind != KindAny && !elem.numeric():
		return fmt.Errorf("numbers are needed, and each element is %s: write sum(%s, decimal(#))", elem.Kind.Noun(), list)
	case elem.Kind != KindAny && elem.Optional:
		return fmt.Errorf("elements of the list may be absent: write sum(%s, # ?? 0)", list)
	}
	return nil
}

func sumOf(r *run, args []any) (any, error) {
	list, _ := args[0].([]any)
	total := any(int64(0))
	for _, v := range list {
		err := r.step()
		if err == nil {
			total, err = operations["+"].apply(total, normal(v))
		}
		if err != nil {
			return nil, err
		}
	}
	return total, nil
}

func mean(r *run, args []any) (any, error) {
	list, _ := args[0].([]any)
	if len(list) == 0 {
		return nil, errors.New("an empty list has no mean")
	}
	total, err := sumOf(r, args)
	if err != nil {
		return nil, err
	}
	return operations["/"].apply(total, int64(len(list)))
}
