package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// The encodings, as the configuration writes them.
const (
	UTF8        = "utf-8"
	Windows1252 = "windows-1252"
)

var laterEncodings = []string{"utf-16", "utf-16le", "utf-16be", "windows-1250", "windows-1251", "iso-8859-1", "iso-8859-2",
	"iso-8859-5", "iso-8859-15", "koi8-r", "cp437", "cp850", "cp866", "macintosh", "ebcdic", "ibm-037", "gb18030", "shift_jis"}

func isWindows1252(name string) bool { return strings.EqualFold(name, Windows1252) }

func checkEncoding(path, name string) []Problem {
	lower := strings.ToLower(name)
	known := []string{UTF8, Windows1252}
	switch {
	case name == "" || slices.Contains(known, lower):
		return nil
	case slices.Contains(laterEncodings, lower):
		return []Problem{{path, fmt.Sprintf("%s is not there yet: today there are %s", name, strings.Join(known, " and "))}}
	}
	return []Problem{{path, fmt.Sprintf("unknown encoding %q%s: there are %s", name, meant(lower, append(known, laterEncodings...)), strings.Join(known, " and "))}}
}

// Detect tells from the first bytes of a file how it is encoded, and in words what was seen. It errs
// for what cannot be read.
func Detect(o Options, head []byte) (encoding, seen string, err error) {
	bom, err := startOf(head)
	switch {
	case err != nil:
		return "", "", err
	case isWindows1252(o.Encoding):
		return Windows1252, "as configured", nil
	case bom > 0:
		return UTF8, "by its byte order mark", nil
	case o.Encoding != "":
		return UTF8, "as configured", nil
	}
	return UTF8, "no byte order mark", nil
}

// startOf measures the byte order mark and knows what is no text at all.
func startOf(head []byte) (int, error) {
	for _, s := range []struct {
		magic  string
		reason string
	}{
		{"\xEF\xBB\xBF", ""},
		{"\xFF\xFE", "the file is in UTF-16, which is not read yet: ask for UTF-8"},
		{"\xFE\xFF", "the file is in UTF-16, which is not read yet: ask for UTF-8"},
		{"\x1F\x8B", "the bytes are compressed with gzip: add gzip to unpack"},
		{"PK\x03\x04", "the file is a zip archive (or xlsx), which is not read yet"},
	} {
		switch {
		case !bytes.HasPrefix(head, []byte(s.magic)):
		case s.reason == "":
			return len(s.magic), nil
		default:
			return 0, &FileError{Offset: 0, Reason: s.reason}
		}
	}
	return 0, nil
}

// A windows1252Reader turns windows-1252 into UTF-8. Offsets in its errors are those of the bytes read.
type windows1252Reader struct {
	r     io.Reader
	in    [4 << 10]byte
	out   []byte // what was turned and not yet given
	room  []byte // that out lies in
	read  int64  // bytes read
	err   error  // what follows after out
	begun bool
}

func (c *windows1252Reader) Read(p []byte) (int, error) {
	if len(c.out) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.fill()
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// fill reads and turns the next bytes.
func (c *windows1252Reader) fill() {
	var n int
	if c.begun {
		n, c.err = c.r.Read(c.in[:])
	} else {
		n, c.err = io.ReadFull(c.r, c.in[:]) // whole, so that a byte order mark is not seen in part
		if errors.Is(c.err, io.ErrUnexpectedEOF) {
			c.err = io.EOF
		}
		c.begun = true
		bom, err := startOf(c.in[:n])
		if err == nil && bom > 0 {
			err = &FileError{Offset: 0, Reason: "the file starts with the byte order mark of UTF-8, but is said to be in windows-1252: leave encoding out"}
		}
		if err != nil {
			n, c.err = 0, err
		}
	}
	out := c.room[:0]
	for i, b := range c.in[:n] {
		if b < utf8.RuneSelf {
			out = append(out, b)
			continue
		}
		if undefined1252(b) {
			c.err = &FileError{Offset: c.read + int64(i), Reason: fmt.Sprintf("byte 0x%02x stands for nothing in windows-1252; is the file in another encoding?", b)}
			break
		}
		out = utf8.AppendRune(out, charmap.Windows1252.DecodeByte(b))
	}
	c.read += int64(n)
	c.out, c.room = out, out
}

// undefined1252 knows the five bytes that windows-1252 leaves open (charmap turns them into control characters).
func undefined1252(b byte) bool {
	return b == 0x81 || b == 0x8D || b == 0x8F || b == 0x90 || b == 0x9D
}

// A recoder writes UTF-8 as windows-1252.
type recoder struct {
	replace bool // write ? for what the encoding lacks
	out     []byte
}

// recode returns text in windows-1252, valid until the next call, or the first character that has no place there.
func (c *recoder) recode(text []byte) ([]byte, rune) {
	c.out = c.out[:0]
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			c.out = append(c.out, text[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		b, ok := charmap.Windows1252.EncodeRune(r)
		if !ok || undefined1252(b) {
			if !c.replace {
				return nil, r
			}
			b = '?'
		}
		c.out = append(c.out, b)
		i += n
	}
	return c.out, 0
}
