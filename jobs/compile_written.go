package jobs

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"waybill/formats"
	"waybill/jobs/expression"
)

// written is one part of a file that is written: one kind of its rows, its header or its trailer.
type written struct {
	part    int          // for the encoder
	of      *segment     // the records that its rows are made of; nil: the file as a whole
	when    *source      // which of them, or of the elements of each; nil: all
	each    *instruction // the list whose elements become rows; nil: a record is one
	columns []column
	shown   int   // how many of the columns are written; totals look at the others. 0: the row is one value, the body
	totals  []int // to which its rows add
}

// column is one column of a written file.
type column struct {
	value  *source
	format string
	kind   expression.Kind
}

// parts is the first key of a file of several parts that is set; "" when none is.
func (o *Send) parts() string {
	switch {
	case o.Header != nil:
		return "header"
	case len(o.Records.Kinds) > 0, o.Records.Path != "":
		return "records"
	case o.Trailer != nil:
		return "trailer"
	case len(o.Totals) > 0:
		return "totals"
	}
	return ""
}

// written compiles the parts of a file, and how they are written.
func (c *compiler) written(path, as string, o *Send, r *route, body *yaml.Node) {
	var parts []formats.WrittenPart
	switch {
	case len(o.Records.Kinds) > 0:
		if len(o.Columns) > 0 {
			c.problem(path+".columns", "do not go with records, each kind of which has its own")
		}
		if body != nil {
			c.problem(path+".body", "does not go with records, each kind of which has columns")
		}
		for i := range o.Records.Kinds {
			parts = append(parts, c.kindOfRows(path, as, i, o, r))
		}
	case formats.Tabular(as) && len(o.Columns) == 0:
		c.problem(path+".columns", "are missing: %s needs them", as)
		return
	default:
		r.rows = []written{{of: r.of}}
		parts = []formats.WrittenPart{{Columns: c.columns(c.record, path, as, o.Columns, &r.rows[0])}}
	}
	section := func(role formats.Role, o *WrittenSection, s *scope) *written {
		if o == nil {
			return nil
		}
		w := &written{part: len(parts)}
		parts = append(parts, formats.WrittenPart{Role: role, Kind: o.Kind, Columns: c.columns(s, path+"."+role.String(), as, o.Columns, w)})
		return w
	}
	totals := c.rowTotals(path, o, r)
	r.head = section(formats.Header, o.Header, c.edges(r))
	r.tail = section(formats.Trailer, o.Trailer, c.edges(r, totals))
	c.encoder(path, as, o, r, parts)
}

// edges is where the names of a header or a trailer are looked up: those that mean the same for all records of a file and, in a message of one record, its own.
func (c *compiler) edges(r *route, names ...expression.Field) *scope {
	if r.each != "record" {
		return c.bare(slices.DeleteFunc(append(c.fileNames(), names...), func(f expression.Field) bool { return f.Name == "record" }))
	}
	known := c.names
	defer func() { c.names = known }()
	c.names = append(slices.Clone(known), names...)
	return c.recordScope(r.of)
}

// encoder makes what writes the parts of a file.
func (c *compiler) encoder(path, as string, o *Send, r *route, parts []formats.WrittenPart) {
	writing := o.Writing
	writing.Format, writing.Files, writing.List = as, c.env.Files, o.Records.Path
	var problems []formats.Problem
	if len(parts) > 1 || parts[0].Name != "" || writing.List != "" {
		r.encoder, problems = formats.NewPartsEncoder(writing, parts)
		r.shaper, _ = r.encoder.(shaper)
	} else {
		var e formats.Encoder
		e, problems = formats.NewEncoder(writing, parts[0].Columns)
		r.shaper, _ = e.(shaper)
		r.encoder = formats.Parted(e)
	}
	for _, p := range problems {
		c.problem(path+"."+p.Path, "%s", p.Text)
	}
	if len(problems) > 0 {
		return
	}
	if checker, ok := r.encoder.(formats.RowChecker); ok {
		r.rowCheck = checker.CheckRows()
		c.constantRows(path, o, r)
	}
	if r.each == "record" && r.empty && r.head == nil && r.tail == nil {
		s := &sheet{room: c.plan.room()}
		if err := r.encoder.EncodeParts(s, func(func(formats.Row, error) bool) {}); err == nil && len(s.text) == 0 {
			c.problem(path+".no_rows", "would send an empty message: only titles, a header or a trailer are there without rows")
		}
	}
}

// constantRows tells now of rows that are the same each time, and that cannot be written.
func (c *compiler) constantRows(path string, o *Send, r *route) {
	check := func(at string, columns []Column, w *written) {
		var row []formats.Value
		for _, column := range w.columns[:w.shown] {
			if column.value.fixed {
				row = append(row, formats.Value{Kind: formats.Text, Bytes: column.value.literal})
			}
		}
		if len(row) < len(columns) || r.rowCheck == nil {
			return
		}
		if err := r.rowCheck(w.part, row); err != nil {
			c.problem(at+".columns", "%s", err)
		}
	}
	if o.Header != nil {
		check(path+".header", o.Header.Columns, r.head)
	}
	if o.Trailer != nil {
		check(path+".trailer", o.Trailer.Columns, r.tail)
	}
	if len(o.Records.Kinds) == 0 {
		check(path, o.Columns, &r.rows[0])
	}
	for i, k := range o.Records.Kinds {
		check(path+".records."+k.Name, k.Columns, &r.rows[i])
	}
}

// columns compiles the columns of a part, and returns them as the encoder is to have them.
func (c *compiler) columns(s *scope, path, as string, list []Column, w *written) (shown []formats.Column) {
	for i := range list {
		shown = append(shown, list[i].Column)
		if made, ok := c.column(s, fmt.Sprintf("%s.columns[%d]", path, i), as, &list[i]); ok {
			w.columns = append(w.columns, made)
		}
	}
	w.shown = len(w.columns)
	return shown
}

// kindOfRows compiles one of several kinds of rows.
func (c *compiler) kindOfRows(path, as string, i int, o *Send, r *route) formats.WrittenPart {
	k := &o.Records.Kinds[i]
	at := path + ".records." + k.Name
	w := written{part: i, of: r.of}
	if r.each == "record" {
		if k.For != "" {
			c.problem(at+".for", "does not go with a message, all rows of which are made of one record: write for beside to")
		}
	} else if w.of = c.plan.reader.kindNamed(k.Name); w.of == nil || k.For != "" {
		w.of = c.partOf(at, "for", k.For)
	}
	part := formats.WrittenPart{Name: k.Name, Kind: k.Kind}
	if s := c.rowScope(at, k, &w); s == nil {
		for _, column := range k.Columns {
			part.Columns = append(part.Columns, column.Column)
		}
	} else {
		if k.When != "" {
			w.when = c.condition(s, at+".when", k.When)
		}
		part.Columns = c.columns(s, at, as, k.Columns, &w)
		if n := len(c.plan.routes); !slices.Contains(w.of.routes, n) {
			w.of.routes = append(w.of.routes, n)
		}
	}
	r.rows = append(r.rows, w)
	return part
}

// rowScope is where the names of a kind of rows are looked up; nil when it is not known what they are made of.
func (c *compiler) rowScope(at string, k *WrittenKind, w *written) *scope {
	if w.of == nil {
		return nil
	}
	s := c.recordScope(w.of)
	if k.Each == "" {
		return s
	}
	if _, err := s.expression.Expr(k.Each); err != nil { // here the = is not left out
		c.fail(at+".each", err)
		return nil
	}
	w.each = &instruction{}
	return c.each(s, at+".each", k.Each, w.each)
}

// rowTotals compiles the figures over the rows of a file, and returns the name that its trailer knows them by.
func (c *compiler) rowTotals(path string, o *Send, r *route) expression.Field {
	all := expression.Field{Name: "totals", Type: expression.Type{Kind: expression.KindObject, Fields: []expression.Field{}}}
	if len(o.Totals) > 0 && o.Trailer == nil && c.whole(path+".trailer") {
		c.problem(path+".totals", "are for the trailer, which is missing")
	}
	for i := range o.Totals {
		t := &o.Totals[i]
		at := path + ".totals." + t.Name
		if !c.totalName(at, t.Name) {
			continue
		}
		key, one := t.says()
		var made *total
		switch {
		case !c.whole(at):
		case !one:
			c.problem(at, "is one of sum: COLUMN, min: COLUMN, max: COLUMN, hash: COLUMN and count: KIND")
		case key == "count":
			made = c.countRows(at, t, o, r)
		default:
			made = c.figureOfRows(at, key, t, o, r)
		}
		if made == nil { // of what it is nothing is known, so that its name is no second mistake
			all.Type.Fields = append(all.Type.Fields, expression.Field{Name: t.Name, Type: expression.Of(expression.KindAny)})
			continue
		}
		made.name = t.Name
		r.totals = append(r.totals, *made)
		typ := expression.Of(made.kind)
		typ.Optional = made.does == least || made.does == greatest // of no rows there is none
		all.Type.Fields = append(all.Type.Fields, expression.Field{Name: t.Name, Type: typ})
	}
	if !c.whole(path + ".totals") {
		all.Type = expression.Of(expression.KindAny)
	}
	return all
}

func (c *compiler) countRows(at string, t *Total, o *Send, r *route) *total {
	if t.Of != "" {
		c.problem(at+".of", "goes with a column; count names the kind itself")
	}
	c.whereHashed(at, t)
	k := slices.Index(o.kinds(), t.Count) // one that is itself called records is meant before all of them, as in read
	if k < 0 && t.Count != allRecords {
		c.problem(at+".count", "there is no kind of rows %s; there are %s", t.Count, strings.Join(append(o.kinds(), allRecords), ", "))
		return nil
	}
	for i := range r.rows {
		if i == k || k < 0 {
			r.rows[i].totals = append(r.rows[i].totals, len(r.totals))
		}
	}
	return &total{field: -1, kind: expression.KindInteger}
}

// over is the field, or the column, that a total is over.
func (t *Total) over() string { return t.Sum + t.Min + t.Max + t.Hash } // of which there is one

// kinds are the names of the kinds of rows.
func (o *Send) kinds() (names []string) {
	for _, k := range o.Records.Kinds {
		names = append(names, k.Name)
	}
	return names
}

// figureOfRows compiles a total over a column.
func (c *compiler) figureOfRows(at, key string, t *Total, o *Send, r *route) *total {
	k, columns := 0, o.Columns
	if len(o.Records.Kinds) > 0 {
		if k = slices.Index(o.kinds(), t.Of); k < 0 {
			if there := strings.Join(o.kinds(), ", "); t.Of == "" {
				c.problem(at+".of", "is missing: say which kind of rows has the column, one of %s", there)
			} else {
				c.problem(at+".of", "there is no kind of rows %s; there are %s", t.Of, there)
			}
			return nil
		}
		columns = o.Records.Kinds[k].Columns
	} else if t.Of != "" {
		c.problem(at+".of", "goes with several kinds of rows, and records names none: leave it out")
		return nil
	}
	w := &r.rows[k]
	title := t.over()
	if len(columns) == 0 && len(o.Records.Kinds) == 0 { // what is written is a body: the total is over a field of its record
		if c.record.index(title) < 0 {
			c.problem(at+"."+key, "there is no field %s", title)
			return nil
		}
		of, ok := c.column(c.record, at+"."+key, "", &Column{Value: "=" + title})
		if !ok {
			return nil
		}
		w.columns = append(w.columns, of)
		return c.figureOfColumn(at, key, t, r, w, len(w.columns)-1)
	}
	named := func(o Column) bool { return o.Title == title }
	i := slices.IndexFunc(columns, named)
	switch {
	case i < 0:
		c.problem(at+"."+key, "there is no column %q", title)
		return nil
	case slices.ContainsFunc(columns[i+1:], named):
		c.problem(at+"."+key, "there are two columns %q: give them titles of their own", title)
		return nil
	case w.shown < len(columns):
		return nil // a column that is wrong has been told
	}
	return c.figureOfColumn(at, key, t, r, w, i)
}

// figureOfColumn compiles a total over the i-th column.
func (c *compiler) figureOfColumn(at, key string, t *Total, r *route, w *written, i int) *total {
	is, of := totalled[key], w.columns[i]
	if !slices.Contains(is.kinds, of.kind) {
		c.problem(at+"."+key, "%s is %s: %s", t.over(), of.kind.Noun(), is.says)
		return nil
	}
	if of.format != "" { // which is for people: its least value is that of what it is made of
		of.format, i = "", len(w.columns)
		w.columns = append(w.columns, of)
	}
	made := &total{does: is.does, field: i, kind: of.kind}
	if c.whereHashed(at, t); made.does == hashes {
		made.kind, made.over = expression.KindInteger, c.remainder(at, t)
	}
	w.totals = append(w.totals, len(r.totals))
	return made
}
