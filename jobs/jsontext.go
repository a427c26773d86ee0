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

const hexDigits = "0123456789abcdef"

// appendString appends text as a JSON string. Nothing but what JSON demands is escaped.
func appendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, text[start:]...), '"')
}

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
