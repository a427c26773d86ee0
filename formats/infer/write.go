package infer

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// YAML writes the proposal as the block `read` of a job, indented so far, its evidence in comments.
func (p *Proposal) YAML(indent int) []byte {
	w := &writer{}
	w.line(indent, "read:", "")
	o := p.Options
	key := func(name, value string) {
		if value != "" {
			w.line(indent+2, name+": "+Text(value), p.Why[name])
		}
	}
	key("format", o.Format)
	key("encoding", o.Encoding)
	key("delimiter", o.Delimiter)
	key("quote", o.Quote)
	if o.Titles != nil {
		key("titles", strconv.Itoa(*o.Titles))
	}
	if o.Skip > 0 {
		key("skip", strconv.Itoa(o.Skip))
	}
	if o.Length > 0 {
		key("length", strconv.Itoa(o.Length))
	}
	key("ends", o.Ends)
	key("kind", o.Kind)
	if len(o.Ignore) > 0 {
		w.line(indent+2, "ignore: ["+quoted(o.Ignore[0])+"]", p.Why["ignore"])
	}
	key("records", o.Records)
	key("decimal", p.Decimal)
	if p.Only != "" {
		w.line(indent+2, "only: '"+p.Only+"'", p.Why["only"])
	}
	around := indent + 2
	if p.Blocks {
		w.line(around, "block:", "header and trailer come again and again")
		around += 2
	}
	w.around(around, "header", p.HeaderKind, p.Header, "what stands once around the records: header.NAME in expressions")
	w.around(around, "trailer", p.TrailerKind, p.Trailer, "what stands behind them: trailer.NAME in checks of the file")
	if len(p.Kinds) > 0 {
		w.line(indent+2, "records:", "")
		for _, k := range p.Kinds {
			w.line(indent+4, k.Name+":", "")
			w.line(indent+6, "kind: "+quoted(k.Text), "")
			w.line(indent+6, "fields:", "")
			w.fields(indent+8, k.Fields)
		}
	}
	if len(p.Fields) > 0 {
		w.line(indent+2, "fields:", "")
		w.fields(indent+4, p.Fields)
	}
	return w.bytes()
}

// around writes what stands around the records.
func (w *writer) around(indent int, name, kind string, fields []*Field, why string) {
	if len(fields) == 0 {
		return
	}
	w.line(indent, name+":", why)
	if kind != "" {
		w.line(indent+2, "kind: "+quoted(kind), "")
	}
	w.line(indent+2, "fields:", "")
	w.once = true // where a field must be there unless it says otherwise
	w.fields(indent+4, fields)
	w.once = false
}

// A writer writes lines with comments beside them, which are brought into line at the end.
type writer struct {
	lines [][2]string
	once  bool // fields of a header or trailer
}

func (w *writer) line(indent int, text, comment string) {
	w.lines = append(w.lines, [2]string{strings.Repeat(" ", indent) + text, comment})
}

// commentAt is how far right comments stand at most: they do not follow a single long line.
const commentAt = 90

func (w *writer) bytes() []byte {
	column := 0
	for _, l := range w.lines {
		if n := utf8.RuneCountInString(l[0]); l[1] != "" && n <= commentAt {
			column = max(column, n)
		}
	}
	var b bytes.Buffer
	for _, l := range w.lines {
		b.WriteString(l[0])
		if l[1] != "" {
			b.WriteString(strings.Repeat(" ", max(0, column-utf8.RuneCountInString(l[0]))) + "  # " + Comment(l[1]))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Comment is what a comment says, kept in its line: what a file holds is no configuration. What cannot be printed is a blank.
func Comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

func (w *writer) fields(indent int, list []*Field) {
	for _, f := range list {
		var parts []string
		add := func(name, value string) {
			if value != "" {
				parts = append(parts, name+": "+Text(value))
			}
		}
		add("from", f.From)
		add("column", f.Column)
		add("type", f.Type)
		add("format", f.Format)
		add("decimal", f.Decimal)
		add("thousands", f.Thousands)
		add("true_is", f.TrueIs)
		add("false_is", f.FalseIs)
		if f.Required && !w.once {
			parts = append(parts, "required: true")
		}
		if !f.Required && w.once {
			parts = append(parts, "required: false")
		}
		if len(f.Fields) == 0 {
			w.line(indent, f.Name+": {"+strings.Join(parts, ", ")+"}", f.Why)
			continue
		}
		w.line(indent, f.Name+":", f.Why)
		for _, part := range parts {
			w.line(indent+2, part, "")
		}
		w.line(indent+2, "fields:", "")
		w.fields(indent+4, f.Fields)
	}
}

// plainText needs no quotes, in a flow mapping neither.
var plainText = regexp.MustCompile(`^[\p{L}_/][\p{L}\p{N}_/.-]*$`)

// Text is a text as YAML has it.
func Text(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return `"` + s + `"`
	}
	if plainText.MatchString(s) || wholeNumber.MatchString(s) && len(s) < 5 {
		return s
	}
	return quoted(s)
}

// quoted is a text in quotes.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\t':
			b.WriteString(`\t`)
		case r > 0xffff && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		case !unicode.IsPrint(r): // also what turns the direction of the text around it
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "${", "$${") + `"`
}
