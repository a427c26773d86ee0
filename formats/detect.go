package formats

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"waybill/formats/avro"
)

// A Finding is what the beginning of a file looks like, in the terms of Options. It is a guess with its reasons: a person decides.
type Finding struct {
	Unpack    []string   // packings around the file, the outermost first, where somebody took them off
	Format    string     // "" when the file looks like none of the formats
	Encoding  string     // "" where the format is no text
	Delimiter string     // csv
	Quote     string     // csv, tsv: around cells; "" when no cell stands in quotes
	Titles    int        // csv, tsv: the line that holds the titles, 0 for none
	Skip      int        // csv, tsv: lines above the table when it has no titles
	Columns   []string   // csv, tsv: titles, or the numbers of the columns
	Decimal   string     // csv, tsv, fixed: "." or ",", "" when no number decides it
	Length    int        // fixed: characters of a line, or of a record
	Ends      string     // fixed: "none" where records have no line ends
	Records   string     // json, xml: the path of what stands there several times, "" when nothing does
	Evidence  []Evidence // what each of these was known by, in the order in which it was found
}

// An Evidence is the reason for one guess.
type Evidence struct {
	Key  string // of Options: "format", "delimiter", …
	Text string // in words
}

const detectMost = 64 << 10 // bytes that are looked at

// Detect looks at the beginning of a file that is not packed, as Head reads it. An error is that of a file that can never be read.
func Detect(head []byte, all bool) (f Finding, err error) {
	err = f.look(head, all)
	return f, err
}

// PackedAs names the packing that a file begins as, "" for none. A workbook is no archive.
func PackedAs(head []byte) string {
	if kind := encryptedAs(head); kind != "" {
		return kind
	}
	if len(head) >= 512 && string(head[257:262]) == "ustar" {
		return "tar"
	}
	for _, p := range []struct{ magic, name string }{
		{"\x1F\x8B", "gzip"},
		{"\x28\xB5\x2F\xFD", "zstd"},
		{"BZh", "bzip2"},
		{"PK\x03\x04", "zip"},
	} {
		if p.name == "zip" && isWorkbook(zipNames(head)) {
			break
		}
		if bytes.HasPrefix(head, []byte(p.magic)) {
			return p.name
		}
	}
	return ""
}

// encryptedAs names the encryption that a file begins as: "pgp", "age" or none. No text begins with the bytes of a binary message: the version behind
// its tag and length is a control character.
func encryptedAs(head []byte) string {
	for _, p := range []struct{ magic, name string }{
		{"-----BEGIN PGP MESSAGE-----", "pgp"},
		{"age-encryption.org/", "age"},
		{"-----BEGIN AGE ENCRYPTED FILE-----", "age"},
		{"\x84", "pgp"}, // a session key for a public key, with a length of one byte
		{"\x85", "pgp"}, // of two
		{"\xC1", "pgp"},
		{"\x8C", "pgp"}, // for a passphrase
		{"\xC3", "pgp"},
	} {
		rest, is := bytes.CutPrefix(head, []byte(p.magic))
		switch {
		case !is:
		case len(p.magic) > 1:
			return p.name
		case pgpVersion(head[0], rest):
			return p.name
		}
	}
	return ""
}

// pgpVersion tells whether the version of an encrypted session key stands where it should.
func pgpVersion(tag byte, rest []byte) bool {
	at := 1
	if tag == 0x85 || tag == 0xC1 && len(rest) > 0 && rest[0] >= 192 {
		at = 2
	}
	if len(rest) < at+2 {
		return false
	}
	if version := rest[at]; tag == 0x8C || tag == 0xC3 {
		return version >= 4 && version <= 6 && rest[at+1] < ' '
	} else {
		return version == 3 || version == 6 && tag == 0xC1
	}
}

func (f *Finding) found(key, format string, args ...any) {
	f.Evidence = append(f.Evidence, Evidence{key, fmt.Sprintf(format, args...)})
}

// look finds out what the head of a file is.
func (f *Finding) look(head []byte, all bool) error {
	if names := zipNames(head); len(names) > 0 {
		if isWorkbook(names) {
			f.Format = "xlsx"
			f.found("format", "a zip archive with the parts of a workbook")
			return nil
		}
		f.found("format", "a zip archive, the first file in it is %s", names[0])
		return nil
	}
	switch {
	case bytes.HasPrefix(head, []byte(avro.Magic)):
		f.Format = "avro"
		f.found("format", "the bytes begin as those of an Avro container file, which brings its schema along")
		return nil
	case bytes.HasPrefix(head, []byte("PAR1")):
		f.found("format", "a Parquet file, which is not read: let it be exported as Avro, NDJSON or CSV")
		return nil
	}
	text, err := f.text(head, all)
	if err != nil {
		return err
	}
	body := bytes.TrimLeft(text, " \t\r\n")
	switch {
	case len(body) == 0:
		f.found("format", "there is nothing in the file")
	case f.markup(body), f.json(body, all), f.interchange(body), f.table(text, all), f.columns(text, all):
	default:
		if bytes.ContainsAny(body, "\x00\x01\x02\x03\x04\x05\x06\x08") {
			f.found("format", "it is no text, but bytes that no format begins with; Protobuf cannot be told by looking: say format: protobuf and its schema")
			return nil
		}
		f.found("format", "%s", cmp.Or(brokenJSON(body, all), "no format is like it"))
	}
	return nil
}

// brokenJSON says of text that begins as JSON where it is none, "" where it does not begin so.
func brokenJSON(text []byte, all bool) string {
	if text[0] != '{' && text[0] != '[' {
		return ""
	}
	p := newJSONParser(Limits{}.WithDefaults())
	p.reset(text, all)
	if end := p.value(0, nil, nil, 0); end > 0 {
		return "it begins with a JSON value, but what stands behind that in the same line is read by no format: ask for one value a line (NDJSON), or for an array"
	}
	line, column := bytes.Count(text[:p.fail.at], []byte("\n"))+1, p.fail.at-bytes.LastIndexByte(text[:p.fail.at], '\n')
	return fmt.Sprintf("it begins as JSON, but in line %d, column %d: %s", line, column, p.fail.reason)
}

// isWorkbook tells whether a zip archive with these files is one.
func isWorkbook(names []string) bool {
	begins := func(folder string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, folder) })
	}
	return begins("xl/") || begins("[Content_Types].xml") && !begins("word/") && !begins("ppt/")
}

// zipNames reads the names of the files at the beginning of a zip archive.
func zipNames(head []byte) (names []string) {
	if !bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return nil
	}
	for rest := head; ; {
		i := bytes.Index(rest, []byte("PK\x03\x04"))
		if i < 0 || len(rest)-i < 30 || len(names) > 1000 {
			return names
		}
		rest = rest[i:]
		n := int(rest[26]) | int(rest[27])<<8
		if len(rest) < 30+n {
			return names
		}
		names = append(names, string(rest[30:30+n]))
		rest = rest[30+n:]
	}
}

// markup knows XML.
func (f *Finding) markup(text []byte) bool {
	if text[0] != '<' {
		return false
	}
	if low := bytes.ToLower(text[:min(len(text), 15)]); bytes.HasPrefix(low, []byte("<!doctype html")) || bytes.HasPrefix(low, []byte("<html")) {
		f.found("format", "a web page (HTML), which is no data: was an error page saved?")
		return true
	}
	f.Format = "xml"
	f.found("format", "the text begins with <")
	f.Records = repeatedElement(text)
	if f.Records != "" {
		f.found("records", "the first element that stands there several times is %s", f.Records)
	}
	return true
}

// json knows JSON, and tells it from one value a line.
func (f *Finding) json(text []byte, all bool) bool {
	if text[0] != '{' && text[0] != '[' {
		return false
	}
	l := Limits{}.WithDefaults()
	p := newJSONParser(l)
	p.reset(text, all)
	end := p.value(0, nil, nil, 0)
	if end < 0 && !p.short {
		return false
	}
	if end > 0 {
		if rest := bytes.TrimLeft(text[end:], " \t\r\n"); len(rest) > 0 {
			if text[0] != rest[0] || !bytes.ContainsRune(text[end:len(text)-len(rest)], '\n') {
				return false
			}
			f.Format = "ndjson"
			f.found("format", "each line holds a JSON value of its own")
			return true
		}
	}
	f.Format = "json"
	f.found("format", "the text begins with %q and is JSON", text[:1])
	if text[0] == '{' {
		if f.Records = firstList(text); f.Records != "" {
			f.found("records", "the first list of objects is %s", f.Records)
		}
	}
	return true
}

// interchange knows EDIFACT, by its first segment.
func (f *Finding) interchange(text []byte) bool {
	switch {
	case bytes.HasPrefix(text, []byte("UNA")) && len(text) > 9 && bytes.HasPrefix(bytes.TrimLeft(text[9:], "\r\n"), []byte("UNB")),
		bytes.HasPrefix(text, []byte("UNB+")), bytes.HasPrefix(text, []byte("UNH+")):
		f.Format = "edifact"
		f.found("format", "the text begins with the segment %s", text[:3])
		return true
	case bytes.HasPrefix(text, []byte("ISA*")):
		f.found("format", "the text begins as an X12 interchange, which is not read")
		return true
	}
	return false
}
