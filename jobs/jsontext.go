package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"waybill/jobs/expression"
)

// decodeJSON reads one JSON value into the values of expressions: numbers are int64 or Decimal, never a float.
func decodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON value")
	}
	return exact(v)
}

func exact(v any) (any, error) {
	var err error
	switch t := v.(type) {
	case json.Number:
		return numeral(string(t))
	case []any:
		for i := range t {
			if t[i], err = exact(t[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range t {
			if t[k], err = exact(t[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func numeral(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	return expression.ParseDecimal(s)
}

// clip cuts text to 200 characters and escapes what a terminal or a log must not get.
func clip(text []byte) string {
	const most = 200
	out := make([]byte, 0, min(len(text), most)+8)
	for n := 0; len(text) > 0 && n < most; n++ {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 || !strconv.IsPrint(r) {
			q := strconv.QuoteToASCII(string(text[:size]))
			out = append(out, q[1:len(q)-1]...)
		} else {
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	if len(text) > 0 {
		out = append(out, "…"...)
	}
	return string(out)
}
