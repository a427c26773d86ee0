package formats

import (
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"waybill/formats/jsonvalue"
)

// jsonEncoder writes rows as objects: one a line, or in one list. Without columns a row is one value.
type jsonEncoder struct {
	parts []jsonPart
	open  string
	next  string // between two rows
	close string
	empty string // the file without rows
}

// A jsonPart is one part of a file that is written.
type jsonPart struct {
	role   Role
	lead   []byte   // the first member: the kind
	names  [][]byte // of the members, quoted, with the colon
	titles []string // the names as they are
}

func checkJSONWriting(Writing) []Problem { return nil }

func newJSONEncoder(w Writing, columns []Column) (Encoder, []Problem) {
	e, ps := newRowsEncoder(w, []WrittenPart{{Columns: columns}}, jsonEncoder{open: "[\n", next: ",\n", close: "\n]\n", empty: "[]\n"})
	return e, ps
}

func newNDJSONEncoder(w Writing, columns []Column) (Encoder, []Problem) {
	e, ps := newRowsEncoder(w, []WrittenPart{{Columns: columns}}, jsonEncoder{next: "\n", close: "\n"})
	return e, ps
}

func newNDJSONParted(w Writing, parts []WrittenPart) (PartsEncoder, []Problem) {
	e, ps := newRowsEncoder(w, parts, jsonEncoder{next: "\n", close: "\n"})
	return e, ps
}

func newRowsEncoder(w Writing, parts []WrittenPart, e jsonEncoder) (*jsonEncoder, []Problem) {
	var ps []Problem
	for _, p := range parts {
		seen := map[string]bool{}
		part := jsonPart{role: p.Role}
		if p.Kind != "" {
			seen[kindTitle] = true
			part.lead = jsonvalue.AppendString([]byte(`"`+kindTitle+`":`), []byte(p.Kind))
		}
		titles, bad := plainOnly(w.Format, p.Columns)
		for i, c := range titles {
			if seen[c] || !utf8.ValidString(c) {
				bad = append(bad, Problem{fmt.Sprintf("columns[%d].title", i), fmt.Sprintf("%q cannot name a second member, nor one that is not UTF-8", c)})
				break
			}
			seen[c] = true
			part.names, part.titles = append(part.names, append(jsonvalue.AppendString(nil, []byte(c)), ':')), append(part.titles, c)
		}
		if len(titles) == 0 && (p.Role != Body || p.Name != "") {
			bad = append(bad, Problem{"columns", "missing: they are " + made(w.Format)})
		}
		ps = append(ps, p.in(bad)...)
		e.parts = append(e.parts, part)
	}
	return &e, ps
}

// made says what the columns of a part are where they are no cells.
func made(format string) string {
	if format == "xml" {
		return "elements, and in a header attributes of the root element, that stand around the records"
	}
	return "members of the object"
}

// Encode writes the rows.
func (e *jsonEncoder) Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error {
	return e.EncodeParts(w, onlyRows(rows))
}

// EncodeParts writes the rows.
func (e *jsonEncoder) EncodeParts(w io.Writer, rows iter.Seq2[Row, error]) error {
	out := rowWriter{w: w}
	p := newJSONParser(Limits{MaxField: 1 << 30}.WithDefaults())
	some := false
	err := out.parts(rows, e.width, func(n int64, row Row) error {
		if some {
			out.buf = append(out.buf, e.next...)
		} else {
			out.buf = append(out.buf, e.open...)
		}
		some = true
		part := &e.parts[row.Part]
		var err error
		if out.buf, err = part.row(out.buf, p, row.Values); err != nil {
			return fmt.Errorf("write %s: %w", rowName(part.role, n), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if some {
		out.buf = append(out.buf, e.close...)
	} else {
		out.buf = append(out.buf, e.empty...)
	}
	return out.flush(true)
}

// Checks tells beforehand what cannot be written.
func (e *jsonEncoder) Checks() func(column int, v Value) error {
	check := e.CheckParts()
	return func(column int, v Value) error { return check(0, column, v) }
}

// CheckParts tells beforehand what cannot be written: text that is none, as the name of a file may be.
func (e *jsonEncoder) CheckParts() func(part, column int, v Value) error {
	return func(part, column int, v Value) error {
		if utf8.Valid(v.Bytes) {
			return nil
		}
		return &ValueError{Field: e.parts[part].titles[column], Value: cut(v.Bytes), Reason: "the text is not valid UTF-8"}
	}
}

// width is how many values a row of a part has.
func (e *jsonEncoder) width(part int) (Role, int) {
	return e.parts[part].role, max(1, len(e.parts[part].names))
}

// row appends one row: its members, or the one value that it is.
func (e *jsonPart) row(buf []byte, p *jsonParser, row []Value) ([]byte, error) {
	if len(e.names) == 0 {
		return appendValue(buf, p, row[0])
	}
	return e.object(buf, p, row)
}

func (e *jsonPart) object(buf []byte, p *jsonParser, row []Value) ([]byte, error) {
	buf = append(append(buf, '{'), e.lead...)
	first := len(e.lead) == 0
	for i, v := range row {
		if v.Kind == Absent {
			continue
		}
		if !first {
			buf = append(buf, ',')
		}
		first = false
		buf = append(buf, e.names[i]...)
		var err error
		if buf, err = appendValue(buf, p, v); err != nil {
			return nil, fmt.Errorf("member %s %w", e.names[i], err)
		}
	}
	return append(buf, '}'), nil
}

// appendValue writes a value. Numbers and trees come as written: what is no JSON must not spoil the file.
func appendValue(buf []byte, p *jsonParser, v Value) ([]byte, error) {
	switch v.Kind {
	case Null, Absent:
		return append(buf, "null"...), nil
	case Verbatim:
		return append(buf, v.Bytes...), nil
	case Text, Date:
		if !utf8.Valid(v.Bytes) {
			return nil, &ValueError{Value: cut(v.Bytes), Reason: "the text is not valid UTF-8"}
		}
		return jsonvalue.AppendString(buf, v.Bytes), nil
	}
	if err := p.judged(v.Bytes); err != nil {
		return nil, err
	}
	if !utf8.Valid(v.Bytes) {
		return nil, &ValueError{Value: cut(v.Bytes), Reason: "the text is not valid UTF-8"}
	}
	if p.blanks > 0 { // a line feed would end the line of ndjson
		return append(buf, p.compact(v.Bytes, p.blanks)...), nil
	}
	return append(buf, v.Bytes...), nil
}
