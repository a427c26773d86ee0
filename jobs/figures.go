package jobs

import (
	"encoding/base64"
	"errors"
	"fmt"

	"waybill/jobs/expression"
)

// mostFigures bounds what is kept of one file for its acknowledgement, bytes. What is longer is left out, so that the names are absent.
const mostFigures = 64 << 10

// around are the names that an acknowledgement knows of what stands around the records. A file that was not read so far has none of it.
func (n *claims) around() []expression.Field {
	var names []expression.Field
	names = named(names, "header", n.header)
	names = named(names, "trailer", n.trailer)
	names = named(names, "totals", n.totals)
	for i := range names {
		names[i].Type.Optional = true
	}
	return names
}

// figured is what stood around the records, as far as the file was read, and the totals of a file that was read to its end. It is kept only where the job
// may tell somebody.
func (r *run) figured() string {
	a := &r.around
	if len(r.p.told) == 0 || len(r.p.notices) == 0 || r.in.Partner.Name == "" {
		return ""
	}
	all := map[string]any{}
	if a.header != nil {
		all["header"] = a.header
	}
	if a.trailer != nil {
		all["trailer"] = a.trailer
	}
	if totals, err := r.figures(a.totals); err == nil && a.whole && len(totals) > 0 { // else that is what the file was rejected for
		all["totals"] = totals
	}
	text, err := expression.AppendJSON(nil, all)
	if err != nil || len(all) == 0 || len(text) > mostFigures {
		return ""
	}
	return string(text)
}

// figuresOf makes names of what figured has kept. What the configuration of now has otherwise is absent.
func (p *Plan) figuresOf(text string, names map[string]any) error {
	kept := map[string]any{}
	if text != "" {
		v, err := decodeJSON([]byte(text))
		if err != nil {
			return fmt.Errorf("what stood around the records: %w", err)
		}
		kept, _ = v.(map[string]any)
	}
	var bad error
	for _, of := range p.told {
		v, err := typed(kept[of.Name], of.Type)
		if err != nil {
			v, bad = nil, errors.Join(bad, fmt.Errorf("what stood around the records was kept under another configuration: %s: %w", of.Name, err))
		}
		names[of.Name] = v
	}
	return bad
}

// typed makes a value of a type of what its JSON was read as. A member that the configuration of now does not know stays as it is, one that it knows otherwise is an error.
func typed(v any, t expression.Type) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch text, is := v.(string); t.Kind {
	case expression.KindDate, expression.KindTime, expression.KindDateTime:
		if is {
			return value{set: true, text: []byte(text)}.time(t.Kind)
		}
	case expression.KindBytes:
		if is {
			return base64.StdEncoding.DecodeString(text)
		}
	case expression.KindObject:
		o, is := v.(map[string]any)
		for _, f := range t.Fields {
			if !is {
				break
			}
			inner, err := typed(o[f.Name], f.Type)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			o[f.Name] = inner
		}
	case expression.KindList:
		list, _ := v.([]any)
		for i := range list {
			inner, err := typed(list[i], expression.Type{Kind: expression.KindObject, Fields: t.Fields})
			if err != nil || t.Fields == nil {
				return v, err
			}
			list[i] = inner
		}
	}
	return expression.Coerce(v, t)
}
