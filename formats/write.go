package formats

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// Writing says how a file, or a message, is written.
type Writing struct {
	Format     string            `yaml:"as" doc:"how it is laid out: json, xml, form, text, protobuf, csv, tsv, fixed or xlsx for a message; csv, tsv, json, ndjson, xml, fixed, xlsx or protobuf for a file of all records"`
	Encoding   string            `yaml:"encoding" doc:"utf-8 (default) or any that is read"`
	Unmappable string            `yaml:"unmappable" doc:"a character that the encoding lacks: reject (default) or replace, by a question mark; xml writes it by its number"`
	Delimiter  string            `yaml:"delimiter" doc:"csv: the ASCII character between two cells; left out: a comma"`
	Quote      string            `yaml:"quote" doc:"csv, tsv: the ASCII character around cells that need it; left out: \""`
	Lines      string            `yaml:"lines" doc:"csv, tsv, fixed: how lines end, crlf (default) or lf; fixed: or none"`
	Titles     string            `yaml:"titles" doc:"csv, tsv, xlsx: whether the first line holds the column titles, write (default) or skip"`
	Formulas   string            `yaml:"formulas" doc:"csv, tsv, xlsx: text that a spreadsheet would run as a formula: guard (default), by a leading apostrophe (xlsx: by the cell's style), or keep"`
	Decimal    string            `yaml:"decimal" doc:"csv, tsv, fixed: decimal mark of numbers, a point by default"`
	Unit       string            `yaml:"unit" doc:"fixed: what widths count, characters (default) or bytes as the file has them"`
	Sheet      string            `yaml:"sheet" doc:"xlsx: name of the sheet, Sheet1 by default"`
	Root       string            `yaml:"root" doc:"xml: name of the element around all"`
	Element    string            `yaml:"element" doc:"xml, of all records: name of the element that each record becomes"`
	Namespaces map[string]string `yaml:"namespaces" doc:"xml: prefixes of names, and the namespaces they stand for; \"\" is for names without a prefix"`
	Schema     string            `yaml:"schema" doc:"protobuf: the .proto file that describes the messages"`
	Message    string            `yaml:"message" doc:"protobuf: the name of the message; left out: the only one of the schema"`
	List       string            `yaml:"-"` // json: the member that holds the records of a file of several parts; "": records
	Files      Files             // reads what Schema names
}

// A Column is one column of a file to be written.
type Column struct {
	Title  string `yaml:"title" required:"true" doc:"its title"`
	Format string `yaml:"format" doc:"date, time, datetime: how it is written, in strftime's terms; xlsx: how dates and numbers are shown, in a spreadsheet's terms: dd.mm.yyyy hh:mm, #,##0.00"`
	Width  int    `yaml:"width" doc:"fixed: how many columns it takes; xlsx: how wide it is, in characters; left out: as the first rows need"`
	Align  string `yaml:"align" enum:"left,right" doc:"fixed: where the value stands; left out: numbers right, all else left"`
	Fill   string `yaml:"fill" doc:"fixed: the ASCII character that fills the rest, a blank by default"`
}

// A Checker is an Encoder that can tell beforehand what cannot be written: then it is the record that is refused, and not the file
// that breaks off. Checks makes a function for one goroutine; its error is a *ValueError.
type Checker interface {
	Checks() func(column int, v Value) error
}

// A ValueError tells why a value cannot be written. No later attempt can mend that.
type ValueError struct {
	Field  string // where it was to stand: the title of a column, or names parted by points
	Value  string // cut
	Reason string
}

func (e *ValueError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

const (
	guard   = "guard"
	keep    = "keep"
	write   = "write"
	skip    = "skip"
	lf      = "lf"
	crlf    = "crlf"
	replace = "replace"
)

// Validate tells what is wrong with the settings of a file.
func (w Writing) Validate() []Problem {
	f, ps := find(w.Format)
	if f == nil {
		ps[0].Path = "as"
		if message, _ := findMessage(w.Format); message != nil {
			ps[0].Text = w.Format + " goes with each: record; a file is one of " + strings.Join(written(), ", ")
		}
		return ps
	}
	if f.encoder == nil {
		return []Problem{{"as", fmt.Sprintf("%s is not written yet: today there are %s", w.Format, strings.Join(written(), ", "))}}
	}
	return append(w.allowed(f.name, f.writes), f.checkWriting(w)...)
}

// written lists the formats that files are written in.
func written() (names []string) {
	for _, f := range all() {
		if f.encoder != nil {
			names = append(names, f.name)
		}
	}
	return names
}

// allowed sees that no key is set which has no meaning, and that those that several formats share are right.
func (w Writing) allowed(name string, keys []string) (ps []Problem) {
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"encoding", w.Encoding != "" && !strings.EqualFold(w.Encoding, UTF8)}, {"unmappable", w.Unmappable != ""}, {"delimiter", w.Delimiter != ""},
		{"quote", w.Quote != ""}, {"lines", w.Lines != ""}, {"titles", w.Titles != ""}, {"formulas", w.Formulas != ""}, {"decimal", w.Decimal != ""},
		{"unit", w.Unit != ""}, {"sheet", w.Sheet != ""}, {"root", w.Root != ""}, {"element", w.Element != ""}, {"namespaces", len(w.Namespaces) > 0},
		{"schema", w.Schema != ""}, {"message", w.Message != ""}, {"records", w.List != ""},
	} {
		if k.set && !slices.Contains(keys, k.name) {
			ps = append(ps, Problem{k.name, "does not go with " + name})
		}
	}
	if len(ps) > 0 {
		return ps
	}
	ps = checkEncoding("encoding", w.Encoding)
	ps = append(ps, oneOf("unmappable", w.Unmappable, reject, replace)...)
	if w.Decimal != "" && w.Decimal != "." && w.Decimal != "," {
		ps = append(ps, Problem{"decimal", fmt.Sprintf("%q is no decimal mark: write a point or a comma", w.Decimal)})
	}
	return ps
}

// plainOnly are the columns by their titles, of a format that knows nothing more of a column.
func plainOnly(name string, columns []Column) (titles []string, ps []Problem) {
	for i, c := range columns {
		titles = append(titles, c.Title)
		for _, k := range []struct {
			key string
			set bool
		}{{"width", c.Width != 0}, {"align", c.Align != ""}, {"fill", c.Fill != ""}} {
			if k.set {
				ps = append(ps, Problem{fmt.Sprintf("columns[%d].%s", i, k.key), "does not go with " + name})
			}
		}
	}
	return titles, ps
}

const writeSize = 32 << 10

// A rowWriter gathers rows into writes of a good size.
type rowWriter struct {
	w      io.Writer
	buf    []byte
	recode *recoder // nil: UTF-8
}

// flush writes what was gathered, once there is enough of it.
func (r *rowWriter) flush(all bool) error {
	if len(r.buf) < writeSize && !all || len(r.buf) == 0 {
		return nil
	}
	text := r.buf
	if r.recode != nil {
		text = r.recode.recode(text)
	}
	_, err := r.w.Write(text)
	r.buf = r.buf[:0]
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

// each writes every row, by means of add.
func (r *rowWriter) each(rows iter.Seq2[[]Value, error], width int, add func(n int64, row []Value) error) error {
	n := int64(0)
	for row, err := range rows {
		if err != nil {
			return err
		}
		n++
		if len(row) != width {
			return fmt.Errorf("write row %d: it has %d values for %d columns", n, len(row), width)
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

// A textChecker sees that text can be written in an encoding.
type textChecker struct{ recode *recoder } // nil: UTF-8

func newTextChecker(encoding string, replaces bool) textChecker {
	if encoding == "" || strings.EqualFold(encoding, UTF8) {
		return textChecker{}
	}
	return textChecker{newRecoder(encoding, replaces)}
}

// text is a text that can be written, valid until the next call.
func (c textChecker) text(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, &ValueError{Value: cut(text), Reason: "the text is not valid UTF-8"}
	}
	if c.recode == nil {
		return text, nil
	}
	out, bad := c.recode.writable(text)
	if bad != 0 {
		return nil, &ValueError{Value: cut(text), Reason: fmt.Sprintf("the character %q has no place in %s; say encoding: utf-8, or unmappable: replace", bad, c.recode.charset.name)}
	}
	return out, nil
}
