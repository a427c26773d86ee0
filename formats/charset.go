package formats

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// The encodings that are named in code, as the configuration writes them.
const (
	UTF8        = "utf-8"
	Windows1252 = "windows-1252"
)

var laterEncodings = []string{"iso-2022-jp", "iso-2022-kr", "hz-gb-2312"}

// Encodings lists the encodings that are read and written.
func Encodings() []string {
	var names []string
	for _, c := range charsets() {
		names = append(names, c.name)
	}
	return names
}

func checkEncoding(path, name string) []Problem {
	if name == "" {
		return nil
	}
	if _, known := findCharset(name); known {
		return nil
	}
	for _, l := range laterEncodings {
		if plainName(l) == plainName(name) {
			return []Problem{{path, name + " is not read yet: ask for utf-8"}}
		}
	}
	return []Problem{{path, fmt.Sprintf("unknown encoding %q%s: there are utf-8, utf-16, the windows, iso-8859, cp and koi8 families and more, as the manual lists them", name, meant(name, Encodings()))}}
}

// DetectEncoding tells from the first bytes of a file how it is encoded, and in words what was seen. It errs
// for what cannot be read.
func DetectEncoding(o Options, head []byte) (encoding, seen string, err error) {
	c, skip, seen, err := detect(o, head)
	if err != nil {
		return "", "", err
	}
	if o.Encoding != "" && skip == 0 {
		seen = "as configured"
	}
	if o.Encoding != "" && c.single != nil && !c.ebcdic && looksUTF8(head[skip:]) {
		seen += ", although the text is UTF-8: is it right?"
	}
	if o.Format == "xml" && o.Encoding != "" {
		if said := declared(head[skip:]); said != "" && !sameCharset(said, c) {
			seen += ", although the file declares " + said
		}
	}
	if level := declaredLevel(head[skip:]); o.Format == "edifact" && o.Encoding != "" && level != "" {
		if name, _ := levelCharset(level); name != c.name && name != usASCII {
			seen += ", although UNB declares " + level
		}
	}
	return c.name, seen, nil
}

// detect finds out how a file is encoded: by its byte order mark, as configured, or as an XML file declares. What contradicts each
// other is refused; but what is configured counts for more than what is declared, so that a declaration that nobody kept right
// can be overruled. skip is the length of the byte order mark.
func detect(o Options, head []byte) (c charset, skip int, seen string, err error) {
	skip, said, err := startOf(head)
	if err != nil {
		return c, 0, "", err
	}
	if o.Encoding != "" {
		c, _ = findCharset(o.Encoding) // checked before
		c, err = c.marked(said, head)
		return c, skip, bySaid(said), err
	}
	found := said
	if o.Format == "xml" {
		if found == "" {
			found = sniffXML(head)
		}
		if c, seen, err = declaredCharset(head[skip:], found); err != nil || seen != "" {
			return c, skip, seen, err
		}
	}
	if o.Format == "edifact" {
		if c, seen, err = levelOf(head[skip:], found); err != nil || seen != "" {
			return c, skip, seen, err
		}
	}
	if found == "" || found == UTF8 { // nearly always
		return charset{name: UTF8}, skip, bySaid(said), nil
	}
	c, _ = findCharset(found)
	return c, skip, bySaid(said), nil
}

func bySaid(said string) string {
	if said == "" {
		return "no byte order mark"
	}
	return "by its byte order mark"
}

// marked sees that a byte order mark agrees with the encoding that is configured, and returns that with its byte order.
func (c charset) marked(said string, head []byte) (charset, error) {
	switch {
	case said == c.name, said == "" && c.wide != marked:
		return c, nil
	case c.wide == marked && strings.HasPrefix(said, c.name):
		c, _ = findCharset(said)
		return c, nil
	case said == "":
		hint := c.name + "le or " + c.name + "be"
		if order := zeros(head); order != "" {
			hint = order
		}
		return c, &FileError{Offset: 0, Reason: "the file has no byte order mark, which " + c.name + " needs: say encoding: " + hint}
	}
	return c, &FileError{Offset: 0, Reason: fmt.Sprintf("the file starts with the byte order mark of %s, but is said to be in %s: leave encoding out", strings.ToUpper(said), c.name)}
}

// zeros guesses which of UTF-16 and UTF-32 a text is, and in which byte order, from where its NUL bytes stand: letters of most scripts stand beside blanks and line ends.
func zeros(head []byte) string {
	head = head[:min(len(head), 512)]
	switch {
	case quads(head, binary.LittleEndian):
		return utf32le
	case quads(head, binary.BigEndian):
		return utf32be
	}
	var even, odd int
	for i, b := range head {
		switch {
		case b != 0:
		case i%2 == 0:
			even++
		default:
			odd++
		}
	}
	switch {
	case odd > even:
		return utf16le
	case even > odd:
		return utf16be
	}
	return ""
}

// quads tells whether the bytes are characters of UTF-32. Two units of UTF-16 are none, unless one of them is a control character that stands in no text.
func quads(head []byte, order binary.ByteOrder) bool {
	for i := 0; i+4 <= len(head); i += 4 {
		if u := order.Uint32(head[i:]); u == 0 || u >= 4<<16 { // characters in use are in the planes 0 to 3
			return false
		}
	}
	return len(head) >= 4
}

// startOf measures the byte order mark, tells which encoding it is of, and knows what is no text at all.
func startOf(head []byte) (bom int, said string, err error) {
	for _, s := range []struct {
		magic  string
		said   string
		reason string
	}{
		{"\xEF\xBB\xBF", UTF8, ""},
		{"\xFF\xFE\x00\x00", utf32le, ""}, // UTF-16 would begin with a NUL
		{"\x00\x00\xFE\xFF", utf32be, ""},
		{"\xFF\xFE", utf16le, ""},
		{"\xFE\xFF", utf16be, ""},
		{"\x1F\x8B", "", "the bytes are compressed with gzip: add gzip to unpack"},
		{"\x28\xB5\x2F\xFD", "", "the bytes are compressed with zstd: add zstd to unpack"},
		{"BZh91AY&SY", "", "the bytes are compressed with bzip2: add bzip2 to unpack"},
		{"PK\x03\x04", "", "the file is a zip archive, or a workbook: add zip to unpack, or say format: xlsx"},
		{"%PDF-", "", "the file is a PDF document, which is not read"},
		{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "", "the file is an old Excel, Word or other Office document, which is not read: ask for text or xlsx"},
	} {
		switch {
		case !bytes.HasPrefix(head, []byte(s.magic)):
		case s.reason == "":
			return len(s.magic), s.said, nil
		default:
			return 0, "", &FileError{Offset: 0, Reason: s.reason}
		}
	}
	if kind := encryptedAs(head); kind != "" {
		return 0, "", &FileError{Offset: 0, Reason: fmt.Sprintf("the file is encrypted with %s: add %s to unpack, and its keys to the job", kind, kind)}
	}
	return 0, "", nil
}
