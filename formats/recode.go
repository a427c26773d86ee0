package formats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// A turner turns the bytes of one encoding into UTF-8. It appends what src holds to dst and says how much of src that
// took; the rest of a character may be to come unless last. What stands for nothing it leaves, and says what is wrong with it.
type turner interface {
	turn(dst, src []byte, last bool) (out []byte, used int, bad string)
}

// turner makes the turner of an encoding that is not UTF-8.
func (c charset) turner() turner {
	switch {
	case c.quad:
		return quadTurner{big: c.wide == big}
	case c.wide != noOrder:
		return wideTurner{big: c.wide == big}
	case c.multi != nil:
		return &multiTurner{charset: c, decoder: c.multi.NewDecoder()}
	}
	t := &singleTurner{charset: c}
	for b := range t.glyphs {
		if r, ok := c.decode(byte(b)); ok {
			g := &t.glyphs[b]
			g.n = uint8(utf8.EncodeRune(g.text[:], r))
		}
	}
	return t
}

// A glyph is what one byte stands for, as UTF-8.
type glyph struct {
	text [3]byte
	n    uint8 // 0: nothing
}

type singleTurner struct {
	charset charset
	glyphs  [256]glyph
}

func (t *singleTurner) turn(dst, src []byte, _ bool) ([]byte, int, string) {
	const ascii = 0x8080808080808080
	plain := !t.charset.ebcdic
	for i := 0; i < len(src); {
		if plain { // what is ASCII is copied at a stroke
			from := i
			for i+8 <= len(src) && binary.LittleEndian.Uint64(src[i:])&ascii == 0 {
				i += 8
			}
			dst = append(dst, src[from:i]...)
		}
		for end := min(i+8, len(src)); i < end; i++ {
			g := &t.glyphs[src[i]]
			switch g.n {
			case 0:
				return dst, i, t.nothing(src[i])
			case 1:
				dst = append(dst, g.text[0])
			case 2:
				dst = append(dst, g.text[0], g.text[1])
			default:
				dst = append(dst, g.text[0], g.text[1], g.text[2])
			}
		}
	}
	return dst, len(src), ""
}

func (t *singleTurner) nothing(b byte) string {
	hint := "is the file in another encoding?"
	switch t.charset.name {
	case "iso-8859-1", "iso-8859-15":
		hint = "is the file in windows-1252?"
	case "iso-8859-2":
		hint = "is the file in windows-1250?"
	case "iso-8859-5":
		hint = "is the file in windows-1251?"
	case usASCII:
		hint = "say which encoding it is in"
	}
	return fmt.Sprintf("byte 0x%02x stands for nothing in %s; %s", b, t.charset.name, hint)
}

type wideTurner struct{ big bool }

func (t wideTurner) unit(b []byte) rune {
	if t.big {
		return rune(b[0])<<8 | rune(b[1])
	}
	return rune(b[1])<<8 | rune(b[0])
}

func (t wideTurner) turn(dst, src []byte, last bool) ([]byte, int, string) {
	i := 0
	for i+2 <= len(src) {
		r := t.unit(src[i:])
		if !utf16.IsSurrogate(r) {
			dst = utf8.AppendRune(dst, r)
			i += 2
			continue
		}
		if i+4 > len(src) && !last {
			return dst, i, ""
		}
		pair := utf8.RuneError
		if i+4 <= len(src) {
			pair = utf16.DecodeRune(r, t.unit(src[i+2:]))
		}
		if pair == utf8.RuneError {
			return dst, i, fmt.Sprintf("0x%04x is half of a character of UTF-16, the other half is missing", r)
		}
		dst = utf8.AppendRune(dst, pair)
		i += 4
	}
	if last && i < len(src) {
		return dst, i, "the text ends in the middle of a unit of UTF-16: truncated?"
	}
	return dst, i, ""
}

type quadTurner struct{ big bool }

func (t quadTurner) turn(dst, src []byte, last bool) ([]byte, int, string) {
	i := 0
	for ; i+4 <= len(src); i += 4 {
		u := binary.LittleEndian.Uint32(src[i:])
		if t.big {
			u = binary.BigEndian.Uint32(src[i:])
		}
		if !utf8.ValidRune(rune(u)) {
			return dst, i, fmt.Sprintf("0x%08x is no character of UTF-32; is the file in another encoding?", u)
		}
		dst = utf8.AppendRune(dst, rune(u))
	}
	if last && i < len(src) {
		return dst, i, "the text ends in the middle of a character of UTF-32: truncated?"
	}
	return dst, i, ""
}

// A multiTurner reads the encodings of East Asia by the tables of x/text, which write U+FFFD for what they do not know.
type multiTurner struct {
	charset charset
	decoder transform.Transformer
	room    [2 << 10]byte
}

func (t *multiTurner) turn(dst, src []byte, last bool) ([]byte, int, string) {
	used := 0
	for used < len(src) {
		piece := src[used:min(len(src), used+len(t.room)/4)]
		n, m, err := t.decoder.Transform(t.room[:], piece, last && len(piece) == len(src)-used)
		if lost(t.room[:n]) {
			return t.slowly(dst, src, used, last)
		}
		dst = append(dst, t.room[:n]...)
		used += m
		if m == 0 || err != nil && !errors.Is(err, transform.ErrShortSrc) {
			break
		}
	}
	return dst, used, ""
}

// slowly turns one character after the other, to find the one that stands for nothing.
func (t *multiTurner) slowly(dst, src []byte, from int, last bool) ([]byte, int, string) {
	for used := from; used < len(src); {
		length := 0
		for k := 1; k <= min(4, len(src)-used) && length == 0; k++ {
			n, m, _ := t.decoder.Transform(t.room[:], src[used:used+k], last && k == len(src)-used)
			if m == 0 {
				continue
			}
			if lost(t.room[:n]) {
				return dst, used, fmt.Sprintf("byte 0x%02x begins no character of %s; is the file in another encoding?", src[used], t.charset.name)
			}
			dst = append(dst, t.room[:n]...)
			length = m
		}
		if length == 0 {
			return dst, used, ""
		}
		used += length
	}
	return dst, len(src), ""
}

func lost(b []byte) bool {
	for i := 0; i+2 < len(b); i++ {
		if b[i] == 0xEF && b[i+1] == 0xBF && b[i+2] == 0xBD {
			return true
		}
	}
	return false
}

// A recoded reader turns text in another encoding into UTF-8. Offsets in its errors are those of the bytes read.
type recoded struct {
	r    io.Reader
	o    Options // until the first bytes have been looked at
	turn turner
	in   [4 << 10]byte
	kept int    // bytes of in that wait for the rest of their character
	out  []byte // what was turned and not yet given
	room []byte // that out lies in
	read int64  // offset of what comes next
	err  error  // what follows after out
}

func (c *recoded) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
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
func (c *recoded) fill() {
	from := 0
	var n int
	if c.turn == nil {
		n, c.err = io.ReadFull(c.r, c.in[:]) // whole, so that a byte order mark is not seen in part
		if errors.Is(c.err, io.ErrUnexpectedEOF) {
			c.err = io.EOF
		}
		if from = c.begin(n); from < 0 {
			return
		}
	} else {
		n, c.err = c.r.Read(c.in[c.kept:])
		n += c.kept
	}
	src := c.in[from:n]
	out, used, bad := c.turn.turn(c.room[:0], src, errors.Is(c.err, io.EOF))
	switch {
	case bad != "":
		c.err = &FileError{Offset: c.read + int64(from+used), Reason: bad}
	case c.err == nil || !errors.Is(c.err, io.EOF):
		c.kept = copy(c.in[:], src[used:])
	}
	c.read += int64(from + used)
	c.out, c.room = out, out
}

// begin looks at the first bytes and says where the text starts, -1 where there is none to be had.
func (c *recoded) begin(n int) int {
	if n == 0 && c.err != nil {
		return -1
	}
	cs, skip, _, err := detect(c.o, c.in[:n])
	if err != nil {
		c.err = err
		return -1
	}
	c.turn = cs.turner()
	return skip
}

// A recoder writes UTF-8 in another encoding.
type recoder struct {
	charset  charset
	encoder  transform.Transformer // of charset.multi
	replace  bool                  // write ? for what the encoding lacks
	numbered bool                  // of XML: recode writes what the encoding lacks by its number
	text     []byte
	out      []byte
	begun    bool
}

func newRecoder(name string, replace bool) *recoder {
	c, _ := findCharset(name) // checked before
	r := &recoder{charset: c, replace: replace}
	if c.multi != nil {
		r.encoder = c.multi.NewEncoder()
	}
	return r
}

// writable returns text with what the encoding lacks replaced, valid until the next call, or the first character that has no place there.
func (c *recoder) writable(text []byte) ([]byte, rune) {
	if c.charset.utf8() || c.charset.wide != noOrder {
		return text, 0
	}
	c.text = c.text[:0]
	changed := false
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(text[i:])
		}
		var ok bool
		if c.out, ok = c.put(c.out[:0], r); ok {
			c.text = append(c.text, text[i:i+n]...)
		} else if !c.replace {
			return nil, r
		} else {
			c.text = append(c.text, '?')
			changed = true
		}
		i += n
	}
	if !changed {
		return text, 0
	}
	return c.text, 0
}

// recode returns text, all of which is writable, in the encoding. It is valid until the next call.
func (c *recoder) recode(text []byte) []byte {
	if c.charset.utf8() {
		return text
	}
	c.out = c.out[:0]
	if !c.begun && c.charset.wide == marked {
		c.out, _ = c.put(c.out, '\ufeff')
	}
	c.begun = true
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		before := len(c.out)
		var ok bool
		if c.out, ok = c.put(c.out, r); !ok && c.numbered {
			c.out = fmt.Appendf(c.out[:before], "&#%d;", r)
		}
		i += n
	}
	return c.out
}

// put appends a character, false when the encoding lacks it.
func (c *recoder) put(dst []byte, r rune) ([]byte, bool) {
	cs := &c.charset
	switch {
	case cs.quad && cs.wide == big:
		return binary.BigEndian.AppendUint32(dst, uint32(r)), true
	case cs.quad:
		return binary.LittleEndian.AppendUint32(dst, uint32(r)), true
	case cs.wide != noOrder:
		var pair [2]uint16
		for _, u := range utf16.AppendRune(pair[:0], r) {
			if cs.wide == big {
				dst = binary.BigEndian.AppendUint16(dst, u)
			} else {
				dst = binary.LittleEndian.AppendUint16(dst, u)
			}
		}
		return dst, true
	case r < utf8.RuneSelf && !cs.ebcdic:
		return append(dst, byte(r)), true
	case c.encoder != nil:
		var text, out [8]byte
		n, _, err := c.encoder.Transform(out[:], utf8.AppendRune(text[:0], r), true)
		return append(dst, out[:n]...), err == nil
	case cs.ebcdic && r == '\n':
		return append(dst, 0x15), true
	}
	for _, x := range cs.swap {
		if x.r == r {
			return append(dst, x.b), true
		}
	}
	b, ok := cs.single.EncodeRune(r)
	if !ok {
		return dst, false
	}
	back, ok := cs.decode(b)
	return append(dst, b), ok && back == r
}
