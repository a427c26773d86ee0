package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"waybill/formats"
)

// A form is how a file seems to be laid out, with the evidence by key of the configuration.
type form struct {
	formats.Options
	why map[string]string
}

// formOf looks at the beginning of a file.
func formOf(name string, b formats.Blob) (form, error) {
	f := form{why: map[string]string{}}
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(b.Reader, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return f, fmt.Errorf("read %s: %w", name, err)
	}
	head = head[:n]
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	switch {
	case len(text) == 0:
		return f, usage("%s is empty: there is nothing to go by", name)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		f.Format, f.why["format"] = "xlsx", "it begins as a zip archive does"
	case text[0] == '<':
		f.Format, f.why["format"] = "xml", "the text begins with <"
	case text[0] == '{' || text[0] == '[':
		f.json(text)
	default:
		f.table(head)
	}
	return f, nil
}

func (f *form) json(text []byte) {
	f.Format, f.why["format"] = "json", fmt.Sprintf("the text begins with %c", text[0])
	first, rest, more := bytes.Cut(text, []byte("\n"))
	if first = bytes.TrimSpace(first); more && text[0] == '{' && bytes.HasSuffix(first, []byte("}")) && bytes.HasPrefix(bytes.TrimSpace(rest), []byte("{")) {
		f.Format, f.why["format"] = "ndjson", "each line begins with {"
	}
}

func (f *form) table(head []byte) {
	if !utf8.Valid(head[:len(head)-min(len(head), 4)]) && !bytes.HasPrefix(head, []byte("\xff\xfe")) && !bytes.HasPrefix(head, []byte("\xfe\xff")) {
		f.Encoding, f.why["encoding"] = formats.Windows1252, "the bytes are not UTF-8; which encoding it is cannot be told from them"
	}
	f.Format = "csv"
	line, _, _ := bytes.Cut(head, []byte("\n"))
	most, delimiter := 0, ","
	for _, d := range []string{",", ";", "\t", "|"} {
		if n := bytes.Count(line, []byte(d)); n > most {
			most, delimiter = n, d
		}
	}
	f.Delimiter, f.why["delimiter"] = delimiter, fmt.Sprintf("%s in the first line", count(most, "time"))
	if delimiter == "\t" {
		f.Format, f.Delimiter = "tsv", ""
	}
	if strings.IndexAny(string(line), "0123456789") == 0 {
		none := 0
		f.Titles, f.why["titles"] = &none, "the first line begins with a digit"
	}
}
