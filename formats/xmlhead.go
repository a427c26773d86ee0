package formats

import (
	"bytes"
	"fmt"
	"strings"
)

const declarationMost = 1 << 10 // bytes in which an XML declaration ends

// sniffXML knows UTF-16 without a byte order mark by the first two characters of a declaration (XML 1.0, appendix F).
func sniffXML(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("<\x00?\x00")):
		return utf16le
	case bytes.HasPrefix(head, []byte("\x00<\x00?")):
		return utf16be
	}
	return ""
}

// declared returns the encoding that the XML declaration at the start of text names, "" when it names none. Whether it is well
// formed is seen later.
func declared(text []byte) string {
	text = text[:min(len(text), declarationMost)]
	if sniffXML(text) != "" {
		text = bytes.ReplaceAll(text, []byte{0}, nil)
	}
	if !bytes.HasPrefix(text, []byte("<?xml")) {
		return ""
	}
	end := bytes.Index(text, []byte("?>"))
	if end < 0 {
		return ""
	}
	_, rest, found := bytes.Cut(text[:end], []byte("encoding"))
	rest = bytes.TrimLeft(rest, " \t\r\n=")
	if !found || len(rest) < 2 || rest[0] != '"' && rest[0] != '\'' {
		return ""
	}
	name, _, _ := bytes.Cut(rest[1:], rest[:1])
	return string(name)
}

// declaredCharset is the encoding that an XML file declares; seen is "" when it declares none. found is what its first bytes are
// already known to be in, by a byte order mark or the look of them.
func declaredCharset(text []byte, found string) (c charset, seen string, err error) {
	said := declared(text)
	switch {
	case said == "" && found == "" && bytes.HasPrefix(text, []byte("\x4C\x6F\xA7\x94")):
		return c, "", &FileError{Line: 1, Reason: "the file looks like EBCDIC: say encoding: cp037, cp500 or cp1047"}
	case said == "":
		return c, "", nil
	}
	c, known := findCharset(said)
	if !known {
		return c, "", &FileError{Line: 1, Reason: fmt.Sprintf("the file declares the encoding %q, which is not known here: say encoding: and which it really is in", cut([]byte(said)))}
	}
	if found == "" {
		if c.wide != noOrder || c.ebcdic {
			return c, "", contradiction(said, "its bytes are not", UTF8)
		}
		return c, "as the file declares", nil
	}
	f, _ := findCharset(found)
	if !sameCharset(said, f) {
		return c, "", contradiction(said, "starts as "+strings.ToUpper(found)+" does", found)
	}
	return f, "by its first bytes and as it declares", nil
}

func contradiction(said, but, really string) error {
	return &FileError{Line: 1, Reason: fmt.Sprintf("the file declares the encoding %q but %s: if the declaration is stale, say encoding: %s", cut([]byte(said)), but, really)}
}

// sameCharset tells whether a name means the encoding, or UTF-16 in any order where it is that.
func sameCharset(name string, c charset) bool {
	n, known := findCharset(name)
	return known && (n.name == c.name || n.wide != noOrder && c.wide != noOrder && (n.wide == marked || n.wide == c.wide))
}
