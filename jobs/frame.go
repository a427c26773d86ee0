package jobs

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"waybill/jobs/expression"
	"waybill/ledger"
)

// frame is what names mean at one place of the run: a record, or inside =each an element of one of its lists.
type frame struct {
	fields   []field
	row      []value
	up       *frame
	position int64
	open     map[string]any // of a record without declared fields
	raw      []byte         // its JSON text

	cache []any // values for expressions, made when first asked for
	made  []bool
	whole map[string]any
}

// turn points the frame at another row.
func (f *frame) turn(fields []field, row []value) {
	f.fields, f.row, f.whole, f.open, f.raw = fields, row, nil, nil, nil
	if len(f.made) != len(fields) {
		f.made, f.cache = make([]bool, len(fields)), make([]any, len(fields))
		return
	}
	clear(f.made)
}

// any is the value of field i as expressions see it.
func (f *frame) any(i int) (any, error) {
	if f.made[i] {
		return f.cache[i], nil
	}
	v, err := f.row[i].any(&f.fields[i])
	if err != nil {
		return nil, err
	}
	f.cache[i], f.made[i] = v, true
	return v, nil
}

// object is the whole frame, as `up` is seen.
func (f *frame) object() (map[string]any, error) {
	if f.open != nil {
		return f.open, nil
	}
	if f.whole != nil {
		return f.whole, nil
	}
	whole := make(map[string]any, len(f.fields)+1)
	for i := range f.fields {
		v, err := f.any(i)
		if err != nil {
			return nil, err
		}
		whole[f.fields[i].name] = v
	}
	if f.up != nil {
		up, err := f.up.object()
		if err != nil {
			return nil, err
		}
		whole["up"], whole["position"] = up, f.position
	}
	f.whole = whole
	return whole, nil
}

// any is a checked value as expressions see it; nil when it is absent.
func (v value) any(f *field) (any, error) {
	if !v.set {
		return nil, nil
	}
	if f.tree {
		return decodeJSON(v.text)
	}
	switch f.kind {
	case expression.KindInteger:
		return strconv.ParseInt(string(v.text), 10, 64)
	case expression.KindDecimal:
		return expression.ParseDecimal(v.text)
	case expression.KindNumber:
		return strconv.ParseFloat(string(v.text), 64)
	case expression.KindBoolean:
		return len(v.text) == 4, nil
	case expression.KindDate, expression.KindTime, expression.KindDateTime:
		return v.time(f.kind)
	case expression.KindBytes:
		return base64.StdEncoding.DecodeString(string(v.text))
	case expression.KindList:
		list := make([]any, len(v.rows))
		for i, row := range v.rows {
			o, err := object(f.fields, row)
			if err != nil {
				return nil, err
			}
			list[i] = o
		}
		return list, nil
	case expression.KindObject:
		return object(f.fields, v.rows[0])
	}
	return string(v.text), nil
}

func object(fields []field, row []value) (map[string]any, error) {
	o := make(map[string]any, len(fields))
	for i := range fields {
		v, err := row[i].any(&fields[i])
		if err != nil {
			return nil, err
		}
		o[fields[i].name] = v
	}
	return o, nil
}

func (v value) time(k expression.Kind) (any, error) {
	t, err := time.Parse(isoForm(k), string(v.text))
	switch {
	case err != nil:
		return nil, err
	case k == expression.KindDate:
		return expression.DateOf(t), nil
	case k == expression.KindTime:
		return expression.TimeOf(t), nil
	}
	return t, nil
}

// canonical is the text of a value that an expression gave, for a field of kind k; the converse of any.
func canonical(dst []byte, v any, k expression.Kind) ([]byte, error) {
	v, err := expression.Coerce(v, expression.Of(k))
	if err != nil {
		return dst, err
	}
	return expression.AppendText(dst, v)
}

// need is a name that a program uses: a field of the frame, or with field -1 something beside it.
type need struct {
	name  string
	field int
}

type needs []need

// env is what a program sees. The map is used again by the next call.
func (r *run) env(n needs, f *frame) (map[string]any, error) {
	clear(r.scratch)
	if r.in.Tables != nil {
		r.scratch[snapshotName] = r.in.Tables
	}
	for _, d := range n {
		v, err := r.name(d, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		r.scratch[d.name] = v
	}
	return r.scratch, nil
}

func (r *run) name(d need, f *frame) (any, error) {
	if d.field >= 0 {
		return f.any(d.field)
	}
	switch d.name {
	case "record":
		return r.recordObject(), nil
	case "position":
		return f.position, nil
	case "up":
		if err := r.opened(f.up); err != nil {
			return nil, err
		}
		return f.up.object()
	}
	if v, ok := r.beside[d.name]; ok {
		return v, nil
	}
	if err := r.opened(f); err != nil {
		return nil, err
	}
	return f.open[d.name], nil
}

func (r *run) recordObject() map[string]any {
	if r.record["number"] != r.number {
		r.record = map[string]any{"number": r.number, "line": r.line}
	}
	return r.record
}

// beside are the names beside the fields.
func (p *Plan) beside(in *Input) map[string]any {
	e, f := &in.Entry, &in.File
	b := map[string]any{
		"entry": map[string]any{"number": e.ID, "run": int64(e.Run), "job": e.Job, "received": p.zoned(e.Received)},
	}
	if p.options.Schedule != nil {
		b["window"] = map[string]any{"from": p.zoned(e.Since), "to": p.zoned(e.Till)}
	}
	if p.files == nil {
		return b
	}
	name, folder, parent := fileNames(f)
	parts, _ := p.files.parts(ledger.Arrival{Path: f.Archive(), Partner: f.Partner}.Within(), p.zone)
	b["file"] = map[string]any{
		"name": name, "stem": strings.TrimSuffix(name, path.Ext(name)), "folder": folder, "part": parts, "source": f.Source,
		"size": f.Size, "digest": hex.EncodeToString(f.Digest), "received": p.zoned(f.Landed),
		"parent": parent,
	}
	vars := make(map[string]any, len(in.Partner.Vars))
	for k, v := range in.Partner.Vars {
		vars[k] = v
	}
	b["partner"] = map[string]any{"name": in.Partner.Name, "vars": vars}
	return b
}

func (p *Plan) zoned(t time.Time) time.Time { return t.In(p.zone) }
