package formats

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode"
)

// A WrittenPart is one part of a file to be written: its records, or one of several kinds of them, or its header or trailer. It is what a Part
// is to a file that is read.
type WrittenPart struct {
	Role    Role   // Body, Header or Trailer
	Name    string // of one of several kinds of records
	Kind    string // what tells its rows from others: it stands before their columns, see NewPartsEncoder
	Columns []Column
}

// path is where the part stands in the settings, with a point at its end.
func (p WrittenPart) path() string { return Part{Role: p.Role, Name: p.Name}.path() }

// name is what messages call it.
func (p WrittenPart) name() string {
	if p.Role == Body && p.Name != "" {
		return p.Name
	}
	return p.Role.String()
}

// kindTitle is what the column, or the member, of the kind is called.
const kindTitle = "kind"

// A Row is one row of a file of several parts.
type Row struct {
	Part   int // by index of the parts that NewPartsEncoder was given
	Values []Value
}

// A PartsEncoder writes rows of several parts as one file, in flat memory. That of the header comes first, that of the trailer last, each once.
type PartsEncoder interface {
	EncodeParts(w io.Writer, rows iter.Seq2[Row, error]) error
}

// A PartsChecker is to a PartsEncoder what a Checker is to an Encoder. CheckParts may return nil.
type PartsChecker interface {
	CheckParts() func(part, column int, v Value) error
}

// A RowChecker is a PartsEncoder that can tell beforehand which row cannot be written although each of its values can. CheckRows may return nil; its function
// may be used by many goroutines.
type RowChecker interface {
	CheckRows() func(part int, row []Value) error
}

// NewPartsEncoder is NewEncoder for a file of several parts. Their kinds are the first cell of a row (csv, tsv), the first columns of a line (fixed, as many as
// the longest has) or a first member "kind" (ndjson). Paths of problems start with that of the part: "columns[0].width", "header.columns[0].width",
// "records.NAME.columns[0].width".
func NewPartsEncoder(w Writing, parts []WrittenPart) (PartsEncoder, []Problem) {
	if ps := w.Validate(); len(ps) > 0 {
		return nil, ps
	}
	f, _ := find(w.Format)
	if only := parts[0]; f.partsEncoder == nil && len(parts) == 1 && only.Role == Body && only.Kind == "" { // the one kind has a name, and the file is none the wiser
		e, ps := f.encoder(w, only.Columns)
		if ps = only.in(ps); len(ps) > 0 {
			return nil, ps
		}
		return Parted(e), nil
	}
	if f.partsEncoder == nil {
		var names []string
		for _, f := range all() {
			if f.partsEncoder != nil {
				names = append(names, f.name)
			}
		}
		i := max(0, slices.IndexFunc(parts, func(p WrittenPart) bool { return p.Role != Body || p.Name != "" }))
		return nil, []Problem{{strings.TrimSuffix(parts[i].path(), "."), fmt.Sprintf("does not go with %s: files with it are %s", f.name, strings.Join(names, ", "))}}
	}
	if ps := checkKinds(w, parts); len(ps) > 0 {
		return nil, ps
	}
	return f.partsEncoder(w, parts)
}

// checkKinds sees that a reader can go by the kinds of the parts: where there is one every record has one, and that of no other part.
func checkKinds(w Writing, parts []WrittenPart) (ps []Problem) {
	check := newTextChecker(w.Encoding, false) // a kind of which a part is replaced could be that of other rows
	whose := map[string]WrittenPart{}
	for _, p := range parts {
		if p.Kind == "" {
			continue
		}
		at := p.path() + "kind"
		other, taken := whose[p.Kind]
		_, err := check.text([]byte(p.Kind))
		switch {
		case err != nil:
			ps = append(ps, Problem{at, fmt.Sprintf("%q has a character that %s lacks: no reader could go by it", p.Kind, w.Encoding)})
		case p.Kind != strings.TrimSpace(p.Kind) || strings.ContainsFunc(p.Kind, unicode.IsControl):
			ps = append(ps, Problem{at, fmt.Sprintf("%q cannot tell a row: a reader goes by plain text without blanks around it", p.Kind)})
		case taken && (p.Role != Body || other.Role != Body):
			ps = append(ps, Problem{at, fmt.Sprintf("%q is that of %s already", p.Kind, other.name())})
		}
		whose[p.Kind] = p
	}
	if len(whose) == 0 {
		return nil
	}
	for _, p := range parts {
		switch {
		case p.Role != Body || p.Kind != "":
		case p.Name != "":
			ps = append(ps, Problem{p.path() + "kind", "missing: other rows have one, so that each row begins with its kind"})
		default:
			ps = append(ps, Problem{"columns", "have no kind, as other rows do: write them below records.NAME, with kind"})
		}
	}
	return ps
}

// besides are the titles of header and trailer where they stand in one object or element, in which there can be but one of a name.
func besides(parts []WrittenPart, what string) (titles map[string]bool, ps []Problem) {
	titles = map[string]bool{}
	for _, p := range parts {
		if p.Role == Body {
			continue
		}
		for i, c := range p.Columns { // one that is there twice in its own part is told by newRowsEncoder
			if p.Role == Trailer && titles[c.Title] {
				ps = append(ps, Problem{fmt.Sprintf("%scolumns[%d].title", p.path(), i), fmt.Sprintf("%q is %s of the header already", c.Title, what)})
			}
		}
		for _, c := range p.Columns {
			titles[c.Title] = true
		}
	}
	return titles, ps
}

// kinded reports whether the rows of a file begin with their kinds.
func kinded(parts []WrittenPart) bool {
	return slices.ContainsFunc(parts, func(p WrittenPart) bool { return p.Kind != "" })
}

// onlyRows are rows of a file of one part.
func onlyRows(rows iter.Seq2[[]Value, error]) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for values, err := range rows {
			if !yield(Row{Values: values}, err) {
				return
			}
		}
	}
}

// rowName names a row for messages; n is its number among the records.
func rowName(role Role, n int64) string {
	if role != Body {
		return role.String()
	}
	return fmt.Sprintf("row %d", n)
}

// parts writes every row, by means of add. The roles and the widths are those of the parts.
func (r *rowWriter) parts(rows iter.Seq2[Row, error], of func(part int) (role Role, width int), add func(n int64, row Row) error) error {
	n := int64(0)
	for row, err := range rows {
		if err != nil {
			return err
		}
		role, width := of(row.Part)
		if role == Body {
			n++
		}
		if len(row.Values) != width {
			return fmt.Errorf("write %s: it has %d values for %d columns", rowName(role, n), len(row.Values), width)
		}
		if err := add(n, row); err != nil {
			return err
		}
		if err := r.flush(false); err != nil {
			return err
		}
	}
	return nil
}

// in puts the path of a part before those of the problems of its columns.
func (p WrittenPart) in(problems []Problem) []Problem {
	for i := range problems {
		problems[i].Path = p.path() + problems[i].Path
	}
	return problems
}

// onlyPart writes a file of one part by an encoder that knows of no others.
type onlyPart struct{ Encoder }

// Parted makes an encoder of one part a PartsEncoder, for rows of part 0.
func Parted(e Encoder) PartsEncoder {
	if p, ok := e.(PartsEncoder); ok {
		return p
	}
	return onlyPart{e}
}

// EncodeParts writes the rows.
func (e onlyPart) EncodeParts(w io.Writer, rows iter.Seq2[Row, error]) error {
	return e.Encode(w, func(yield func([]Value, error) bool) {
		for row, err := range rows {
			if !yield(row.Values, err) {
				return
			}
		}
	})
}

// CheckParts tells beforehand what cannot be written; it is nil when nothing is known.
func (e onlyPart) CheckParts() func(part, column int, v Value) error {
	checker, ok := e.Encoder.(Checker)
	if !ok {
		return nil
	}
	check := checker.Checks()
	return func(_, column int, v Value) error { return check(column, v) }
}
