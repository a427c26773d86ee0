package formats

import (
	"bytes"
	"fmt"
	"strings"
)

const declarationMost = 1 << 10 // bytes in which an XML declaration ends

// sniffXML knows UTF-16 and UTF-32 without a byte order mark by the first two characters of a declaration (XML 1.0, appendix F).
func sniffXML(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("<\x00?\x00")):
		return utf16le
	case bytes.HasPrefix(head, []byte("\x00<\x00?")):
		return utf16be
	case bytes.HasPrefix(head, []byte("<\x00\x00\x00?\x00\x00\x00")):
		return utf32le
	case bytes.HasPrefix(head, []byte("\x00\x00\x00<\x00\x00\x00?")):
		return utf32be
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
// already known to be in, by a byte order mark or the look of them. A declaration is what somebody forgets when he writes a file anew in UTF-8,
// and the text of another would be read without a fault, each of its letters as two.
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
		if c.single != nil && looksUTF8(text) {
			return c, "", contradiction(said, "its text is UTF-8", UTF8+" (and if it is right, "+c.name+")")
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

// sameCharset tells whether a name means the encoding, or UTF-16 or UTF-32 in any order where it is that.
func sameCharset(name string, c charset) bool {
	n, known := findCharset(name)
	return known && (n.name == c.name || n.wide != noOrder && c.wide != noOrder && n.quad == c.quad && (n.wide == marked || n.wide == c.wide))
}

// declaration passes the XML declaration, if the text starts with one, and sees that it is well formed. What it says of the
// encoding was looked at before.
func (p *xmlParser) declaration() int {
	const start, what = "<?xml", "the XML declaration"
	if rest := p.buf; len(rest) < len(start)+1 {
		if strings.HasPrefix(start, string(rest[:min(len(rest), len(start))])) && !p.final {
			return p.end(0, what)
		}
		return 0
	}
	if string(p.buf[:len(start)]) != start || xmlClass[p.buf[len(start)]]&xmlSpaces == 0 {
		return 0
	}
	end := bytes.Index(p.buf[:min(len(p.buf), declarationMost)], []byte("?>"))
	if end < 0 {
		if len(p.buf) >= declarationMost {
			return p.failAt(0, "the XML declaration does not end within %d bytes", declarationMost)
		}
		return p.end(0, what)
	}
	p.buf = p.buf[:end+2]
	said := p.pseudo(len(start))
	if said == nil {
		return -1
	}
	names := []string{"version", "encoding", "standalone"}
	at := 0
	for _, s := range said {
		for at < len(names) && names[at] != s[0] {
			at++
		}
		switch {
		case at == len(names):
			return p.failAt(0, "an XML declaration holds version, encoding and standalone, in this order, not %q there", cut([]byte(s[0])))
		case s[0] == "version" && s[1] != "1.0":
			return p.failAt(0, "the file is in XML %s, which is not read: only 1.0 is", cut([]byte(s[1])))
		case s[0] == "standalone" && s[1] != "yes" && s[1] != "no":
			return p.failAt(0, "standalone is yes or no, not %q", cut([]byte(s[1])))
		}
		at++
	}
	if len(said) == 0 || said[0][0] != "version" {
		return p.failAt(0, "the XML declaration says no version")
	}
	return end + 2
}

// pseudo reads what the declaration says from i to its end; nil when it is not well formed.
func (p *xmlParser) pseudo(i int) [][2]string {
	said := [][2]string{}
	for {
		before := i
		if i = p.space(i); p.buf[i] == '?' {
			return said
		}
		if i == before {
			p.failAt(i, "unexpected %s in the XML declaration", shown(p.buf[i:]))
			return nil
		}
		from := i
		if i = p.name(i, "what the XML declaration says"); i < 0 {
			return nil
		}
		name := string(p.buf[from:i])
		if i = p.equals(i, 0); i < 0 {
			return nil
		}
		var a xmlAttr
		if i = p.value(i, &a); i < 0 {
			return nil
		}
		said = append(said, [2]string{name, string(a.value)})
	}
}
