package jobs

import (
	"errors"

	"waybill/formats"
	"waybill/formats/jsonvalue"
)

// Records without declared fields: what the format gives is what expressions see and what goes out.

// openObject is the record at hand as expressions see it; nil when it is no object.
func (r *run) openObject() (map[string]any, error) {
	rec := r.source
	if rec == nil {
		return nil, nil
	}
	if rec.Names == nil {
		if len(rec.Cells) == 0 {
			return nil, nil
		}
		v, err := anyOf(rec.Cells[0])
		o, _ := v.(map[string]any)
		return o, err
	}
	o := make(map[string]any, len(rec.Names))
	for i, name := range rec.Names {
		if i >= len(rec.Cells) {
			break
		}
		v, err := anyOf(rec.Cells[i])
		if err != nil {
			return nil, err
		}
		o[name] = v
	}
	return o, nil
}

func anyOf(c formats.Cell) (any, error) {
	switch c.Kind {
	case formats.Text, formats.Date:
		return string(c.Bytes), nil
	case formats.Number:
		return numeral(string(c.Bytes))
	case formats.Bool:
		return string(c.Bytes) == "true", nil
	case formats.Tree:
		return decodeJSON(c.Bytes)
	}
	return nil, nil
}

// opened makes sure that the frame knows the names of a record without declared fields.
func (r *run) opened(f *frame) error {
	if f != r.base || f.open != nil || !r.p.reader.open {
		return nil
	}
	o, err := r.openObject()
	if o == nil {
		o = map[string]any{}
	}
	f.open = o
	return err
}

// openJSON appends the record at hand as JSON, as the format gave it.
func (r *run) openJSON(dst []byte) ([]byte, error) {
	rec := r.source
	if rec.Names == nil {
		if len(rec.Cells) == 0 {
			return dst, errors.New("the record is empty")
		}
		return appendCell(dst, rec.Cells[0]), nil
	}
	dst = append(dst, '{')
	for i, name := range rec.Names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsonvalue.AppendString(dst, []byte(name)), ':')
		dst = appendCell(dst, rec.Cells[i])
	}
	return append(dst, '}'), nil
}

func appendCell(dst []byte, c formats.Cell) []byte {
	switch c.Kind {
	case formats.Text, formats.Date:
		return jsonvalue.AppendString(dst, c.Bytes)
	case formats.Number, formats.Bool, formats.Tree:
		return append(dst, c.Bytes...)
	}
	return append(dst, "null"...)
}
