package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"waybill/formats"
	"waybill/formats/infer"
	"waybill/formats/unpack"
)

// understand says how the file is read: what was found where the job leaves it open, how to write that into the configuration, and
// what looks as if the job said it wrong. What is wrong with the file the trial itself says.
func (t *trial) understand(open func() (formats.Blob, func())) {
	read := t.plan.Options().Read
	if read == nil || read.Short == "none" || read.Format == "protobuf" || read.Convert != nil { // of which the first bytes tell nothing
		return
	}
	b, end := open()
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(b.Reader, head)
	end()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return // the trial itself says what is wrong with the file
	}
	head = head[:n]
	u := &understood{trial: t, format: read.Format, options: read.Options, decimal: read.Decimal}
	if u.encoding(head); u.failed {
		return
	}
	u.found, err = unpack.Detect(formats.Blob{Name: b.Name, Reader: bytes.NewReader(head), Size: b.Size})
	if err != nil {
		return // as above
	}
	if u.found.Format != "" && u.found.Format != u.format && !u.tabular(u.found.Format) {
		t.find("the file looks like %s (%s), and is read as %s", u.found.Format, u.because("format"), u.format)
	}
	if u.format == "csv" {
		u.delimiter(head)
	}
	u.decimals()
	if u.tabular(u.format) {
		b, end := open()
		u.titles(b)
		end()
	}
	if len(u.freeze) > 0 {
		t.find("to freeze what was found, write under read: {%s}", strings.Join(u.freeze, ", "))
	}
}

// understood is what is known of how a file is read.
type understood struct {
	*trial
	format  string
	options formats.Options
	decimal string
	found   formats.Finding
	freeze  []string // keys that the job leaves out, as they would be written
	failed  bool
}

// tabular reports whether files of a format have rows of cells.
func (u *understood) tabular(format string) bool {
	return format == "csv" || format == "tsv" || format == "xlsx"
}

func (u *understood) because(key string) string {
	for _, e := range u.found.Evidence {
		if e.Key == key {
			return e.Text
		}
	}
	return ""
}

func (u *understood) encoding(head []byte) {
	if u.format == "xlsx" || u.format == "avro" { // no text
		return
	}
	encoding, seen, err := formats.DetectEncoding(u.options, head)
	if err != nil {
		u.failed = true
		return
	}
	u.find("encoding: %s (%s)", encoding, seen)
	if u.options.Encoding == "" && seen != "as the file declares" {
		u.freeze = append(u.freeze, "encoding: "+encoding)
	}
}

// delimiter says which delimiter is used, and when the line of the titles, or the first of the table, looks as if it were another.
func (u *understood) delimiter(head []byte) {
	used := u.options.Delimiter
	if used == "" {
		used = ","
		u.freeze = append(u.freeze, `delimiter: ","`)
	}
	line, where := u.tableHead(head)
	have := bytes.Count(line, []byte(used))
	u.find("delimiter: %q, %s in %s", used, count(have, "time"), where)
	for _, other := range []string{",", ";", "\t", "|"} {
		if n := bytes.Count(line, []byte(other)); other != used && have == 0 && n > 0 {
			u.find("%s has no %q but %s %q: is read.delimiter right?", where, used, count(n, "time"), other)
			return
		}
	}
	if d := u.found.Delimiter; u.found.Format == "csv" && d != "" && d != used {
		u.find("%q cuts the file into rows of one length better than %q: is read.delimiter right?", d, used)
	}
}

// tableHead is the line in which the table begins: that of the titles where the job says it, else the first that is not passed over.
func (u *understood) tableHead(head []byte) (line []byte, where string) {
	number := 1 + u.options.Skip
	if t := u.options.Titles; t != nil && *t > 0 {
		number = *t
	}
	n := 0
	for line = range bytes.Lines(head) {
		if n++; n == number {
			break
		}
	}
	if n == 1 {
		return line, "the first line"
	}
	return line, fmt.Sprintf("line %d", n)
}

// decimals says which decimal mark numbers have, where there are some that show it.
func (u *understood) decimals() {
	found := u.found.Decimal
	used := u.decimal
	if used == "" {
		used = "."
	}
	switch {
	case found == "" && u.decimal == "":
	case found == "" || found == used:
		u.find("decimal: %q", used)
		if u.decimal == "" {
			u.freeze = append(u.freeze, fmt.Sprintf("decimal: %q", used))
		}
	default:
		u.find("decimal: %q, but the file has %s: is read.decimal right?", used, u.because("decimal"))
	}
}

// titles says which line holds the titles, and which of them no field names.
func (u *understood) titles(b formats.Blob) {
	c, ok := u.plan.Columns(b)
	if !ok {
		return
	}
	switch at := c.TitlesIn; {
	case at == 0 && u.options.Titles != nil:
		u.find("titles: none, columns go by number")
	case at > 0:
		u.find("titles: line %d", at)
		if u.options.Titles == nil {
			u.freeze = append(u.freeze, fmt.Sprintf("titles: %d", at))
		}
	}
	if f := u.found; f.Format == u.format && f.Titles > 0 && c.TitlesIn > 0 && f.Titles != c.TitlesIn {
		u.find("line %d looks like the titles (%s): is read.titles right?", f.Titles, u.because("titles"))
	}
	if len(c.Unnamed) == 0 {
		return
	}
	shown := make([]string, 0, len(c.Unnamed))
	for _, name := range c.Unnamed {
		if len(shown) == 20 {
			shown = append(shown, fmt.Sprintf("and %d more", len(c.Unnamed)-20))
			break
		}
		shown = append(shown, infer.Text(name))
	}
	u.find("columns that no field names: %s", strings.Join(shown, ", "))
}
