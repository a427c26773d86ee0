package infer

import (
	"bytes"
	"encoding/json"
)

// A value is one JSON value in its order.
type value struct {
	kind  kind
	text  string
	keys  []string
	items []value
}

type kind byte

const (
	null kind = iota
	text
	number
	boolean
	object
	list
	moment // a date, a time or both, as the format says itself
)

// valueOf reads JSON that a decoder has looked at.
func valueOf(b []byte) (value, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return next(d)
}

func next(d *json.Decoder) (value, error) {
	token, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch v := token.(type) {
	case json.Delim:
		return inside(d, v == '{')
	case json.Number:
		return value{kind: number, text: v.String()}, nil
	case string:
		return value{kind: text, text: v}, nil
	case bool:
		if v {
			return value{kind: boolean, text: "true"}, nil
		}
		return value{kind: boolean, text: "false"}, nil
	}
	return value{}, nil
}

func inside(d *json.Decoder, named bool) (v value, err error) {
	v.kind = list
	if named {
		v.kind = object
	}
	for d.More() {
		if named {
			key, err := d.Token()
			if err != nil {
				return v, err
			}
			v.keys = append(v.keys, key.(string)) // the decoder sees to it
		}
		item, err := next(d)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
	}
	_, err = d.Token()
	return v, err
}
