package jobs

import (
	"time"

	"waybill/formats"
	"waybill/jobs/expression"
)

// cells renders the columns of one row.
func (r *run) cells(at int, w *written, f *frame) (made spot, err error) {
	p, check := r.pending, r.checks[at]
	made.from = len(p.cells)
	for i := range w.columns {
		c := &w.columns[i]
		from := len(p.bytes)
		kind, err := r.cell(c, f)
		if err != nil {
			return made, err
		}
		if check != nil && i < w.shown {
			if err := check(w.part, i, formats.Value{Kind: kind, Bytes: p.bytes[from:]}); err != nil {
				return made, err
			}
		}
		p.cells = append(p.cells, cell{kind, spot{from, len(p.bytes)}})
	}
	made.to = len(p.cells)
	if bad := r.p.routes[at].rowCheck; bad != nil {
		err = bad(w.part, r.values(made)[:w.shown])
	}
	return made, err
}

// cell appends the text of a column to the pending bytes and returns its kind.
func (r *run) cell(c *column, f *frame) (kind formats.Kind, err error) {
	p := r.pending
	if s := c.value; s.fixed || s.ref != nil && c.format == "" && !s.ref.field().nested() {
		there := false
		p.bytes, there, err = r.appendText(p.bytes, s, f)
		switch {
		case !there:
			return formats.Absent, err
		case s.fixed:
			return formats.Text, err
		}
		return kindOfCell(s.ref.field().kind), err
	}
	v, err := r.eval(c.value, f)
	if err != nil || v == nil {
		return formats.Absent, err
	}
	if c.format != "" {
		p.bytes, err = expression.Format(p.bytes, c.format, v)
		return formats.Text, err
	}
	switch v.(type) {
	case []any, map[string]any:
		p.bytes, err = expression.AppendJSON(p.bytes, v)
		return formats.Tree, err
	case int64, float64, expression.Decimal:
		kind = formats.Number
	case bool:
		kind = formats.Bool
	case expression.Date, expression.TimeOfDay, time.Time:
		kind = formats.Date
	default:
		kind = formats.Text
	}
	p.bytes, err = expression.AppendText(p.bytes, v)
	return kind, err
}

// checks are functions that tell, by route, what its file cannot hold.
func (p *Plan) checks() []func(part, column int, v formats.Value) error {
	list := make([]func(part, column int, v formats.Value) error, len(p.routes))
	for i, route := range p.routes {
		if checker, ok := route.encoder.(formats.PartsChecker); ok {
			list[i] = checker.CheckParts()
		}
	}
	return list
}

func kindOfCell(k expression.Kind) formats.Kind {
	switch k {
	case expression.KindInteger, expression.KindDecimal, expression.KindNumber:
		return formats.Number
	case expression.KindBoolean:
		return formats.Bool
	case expression.KindDate, expression.KindTime, expression.KindDateTime:
		return formats.Date
	}
	return formats.Text
}
