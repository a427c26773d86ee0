package formats

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"

	"waybill/formats/jsonvalue"
)

// jsonDocument writes rows as a list in an object. The other members of that object are those of the header, before the list, and those of
// the trailer, behind it.
type jsonDocument struct {
	rows           jsonEncoder // the parts
	before, behind []byte      // the list: its name, and the objects around it, opened and closed
}

func newJSONParted(w Writing, parts []WrittenPart) (PartsEncoder, []Problem) {
	members, ps := besides(parts, "a member")
	for _, p := range parts {
		switch {
		case p.Kind != "":
			ps = append(ps, Problem{p.path() + "kind", "does not go with json, where header and trailer are members beside the list of records"})
		case p.Role == Body && p.Name != "":
			ps = append(ps, Problem{"records." + p.Name, "does not go with json, whose list has records of one kind: write records: NAME for the member that holds it"})
		}
	}
	before, behind, top, bad := jsonList(cmp.Or(w.List, "records"))
	if ps = append(ps, bad...); members[top] {
		ps = append(ps, Problem{"records", fmt.Sprintf("%q, which holds the list of records, is a member of header or trailer too: name another one", top)})
	}
	e, bad := newRowsEncoder(w, parts, jsonEncoder{next: ",\n"})
	if ps = append(ps, bad...); len(ps) > 0 {
		return nil, ps
	}
	return &jsonDocument{*e, before, behind}, nil
}

// jsonList is what stands before and behind a list at a path, of whose members top is the outmost.
func jsonList(path string) (before, behind []byte, top string, ps []Problem) {
	steps, _, err := parsePath(path)
	if err != nil {
		return nil, nil, "", []Problem{{"records", err.Error()}}
	}
	if len(steps) == 0 || slices.ContainsFunc(steps, func(s step) bool { return s.at >= 0 }) {
		return nil, nil, "", []Problem{{"records", fmt.Sprintf("%q is no member that could hold the list of records: write its name, as items or data.items", path)}}
	}
	for i, s := range steps {
		if i > 0 {
			before, behind = append(before, '{'), append(behind, '}')
		}
		before = append(jsonvalue.AppendString(before, []byte(s.name)), ':')
	}
	return append(before, '['), append([]byte("]"), behind...), steps[0].name, nil
}

// CheckParts tells beforehand what cannot be written.
func (e *jsonDocument) CheckParts() func(part, column int, v Value) error { return e.rows.CheckParts() }

// EncodeParts writes the rows.
func (e *jsonDocument) EncodeParts(w io.Writer, rows iter.Seq2[Row, error]) error {
	out := rowWriter{w: w}
	p := newJSONParser(Limits{MaxField: 1 << 30}.WithDefaults())
	begun, listed, some := false, false, false
	begin := func() { // the document, and the list
		if !begun {
			out.buf = append(out.buf, '{')
		}
		if !listed {
			out.buf = append(out.buf, e.before...)
		}
		begun, listed = true, true
	}
	end := func() {
		begin()
		if some {
			out.buf = append(out.buf, '\n')
		}
		out.buf = append(out.buf, e.behind...)
	}
	ended := false
	err := out.parts(rows, e.rows.width, func(n int64, row Row) (err error) {
		part := &e.rows.parts[row.Part]
		switch part.role {
		case Header:
			begun = true
			if out.buf, err = part.object(out.buf, p, row.Values); err == nil {
				out.buf = joined(out.buf, "\n")
			}
		case Trailer:
			end()
			ended = true
			from := len(out.buf)
			if out.buf, err = part.object(out.buf, p, row.Values); err == nil && len(out.buf) > from+len("{}") {
				out.buf[from] = ',' // in place of the brace
				out.buf = out.buf[:len(out.buf)-1]
			} else if err == nil {
				out.buf = out.buf[:from]
			}
		default:
			if begin(); some {
				out.buf = append(out.buf, ',')
			}
			some = true
			out.buf, err = part.row(append(out.buf, '\n'), p, row.Values)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", rowName(part.role, n), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !ended {
		end()
	}
	out.buf = append(out.buf, "}\n"...)
	return out.flush(true)
}

// joined opens a whole object again, for more members behind those it has.
func joined(object []byte, then string) []byte {
	object = object[:len(object)-1]
	if object[len(object)-1] == '{' {
		return object
	}
	return append(append(object, ','), then...)
}
