package formats

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// text finds out how the head of a file is encoded, and returns it as UTF-8.
func (f *Finding) text(head []byte, all bool) ([]byte, error) {
	bom, said, err := startOf(head)
	if err != nil {
		return nil, err
	}
	whole := head
	if !all {
		whole = head[:len(head)-cutCharacter(head)]
	}
	o := Options{}
	if bytes.HasPrefix(bytes.TrimLeft(head[bom:], " \t\r\n"), []byte("<")) || sniffXML(head) != "" {
		o.Format = "xml"
		if _, seen, err := DetectEncoding(o, head); err == nil && seen == "as the file declares" {
			o.Encoding = declared(head[bom:])
		}
	}
	why := ""
	switch {
	case said != "":
		o.Encoding, why = said, "by its byte order mark"
	case sniffXML(head) != "":
		o.Encoding, why = sniffXML(head), "by its first bytes"
	case o.Encoding != "":
		why = "as the file declares"
	case bytes.IndexByte(head, 0) >= 0 && zeros(head) != "":
		o.Encoding, why = zeros(head), "there is no byte order mark, but its NUL bytes stand as in that"
	case utf8.Valid(whole):
		o.Encoding, why = UTF8, "all of it is valid UTF-8"
		if isASCII(whole) {
			why = "all of it is ASCII, which is the same in nearly every encoding"
		}
	default:
		o.Encoding, why = likeliest(whole)
	}
	c, known := findCharset(o.Encoding)
	if !known {
		f.found("encoding", "the file declares %q, which is not known here", cut([]byte(o.Encoding)))
		return whole, nil
	}
	f.Encoding = c.name
	f.found("encoding", "%s", why)
	return decoded(whole, c.name)
}

// decoded is text as UTF-8, as far as it can be read so.
func decoded(head []byte, encoding string) ([]byte, error) {
	o := Options{Encoding: encoding, Limits: Limits{}.WithDefaults()}
	w := open(Blob{Reader: bytes.NewReader(head), Size: -1}, o, &bench{})
	for w.more() {
	}
	var bad *FileError
	if err := w.cause(); err != nil && !errors.As(err, &bad) {
		return nil, err
	}
	return bytes.Clone(w.data()), nil
}

// likeliest is the encoding in which the bytes make the best words: letters beside letters, and capital letters in front of small ones.
func likeliest(head []byte) (encoding, why string) {
	if spaces := bytes.Count(head, []byte{0x40}); spaces*20 > len(head) && bytes.Count(head, []byte{' '})*100 < len(head) {
		return "cp037", "its blanks are those of EBCDIC; which of its kinds it is cannot be seen, cp037 is the commonest"
	}
	best, most := Windows1252, -1<<31
	for _, name := range []string{Windows1252, "windows-1251", "cp850", "windows-1250", "koi8-r", "cp866", "shift_jis", "gb18030", "euc-kr", "big5"} {
		text, err := decoded(head, name)
		if err != nil || len(text) == 0 {
			continue
		}
		if score := wordScore(text); score > most {
			best, most = name, score
		}
	}
	i := invalidAt(head)
	return best, fmt.Sprintf("byte %#02x is not valid UTF-8; %s makes the best words of it: %s", head[i], best, textAt(head, i, best))
}

// textAt shows the text about a byte.
func textAt(head []byte, i int, encoding string) string {
	from := max(0, i-12)
	text, err := decoded(head[from:min(len(head), i+12)], encoding)
	if err != nil {
		return ""
	}
	line := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, string(text))
	return fmt.Sprintf("%q", strings.TrimSpace(line))
}

// wordScore tells how much a text looks like words, by its characters beyond ASCII.
func wordScore(text []byte) int {
	score := 0
	before := ' '
	rest := text
	for len(rest) > 0 {
		r, n := utf8.DecodeRune(rest)
		rest = rest[n:]
		next, _ := utf8.DecodeRune(rest)
		if r >= utf8.RuneSelf {
			score += runeScore(before, r, next)
		}
		before = r
	}
	return score
}

// commonest are letters that texts in the languages at hand are full of.
const commonest = "éèàçùêâîôëïüöäßñáíóúãõåæøœоеаинтсрвлкмдпуł°€№’"

func runeScore(before, r, next rune) int {
	letterBefore, letterNext := unicode.IsLetter(before), unicode.IsLetter(next)
	foreign := unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r)
	switch {
	case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Co, r):
		return -20
	case foreign && (letterBefore && before < utf8.RuneSelf || letterNext && next < utf8.RuneSelf):
		return -6 // a letter of another script inside a word of ASCII letters
	case !unicode.IsLetter(r) && letterBefore && letterNext && r != '’' && r != '\u00a0':
		return -6 // a sign inside a word
	case !unicode.IsLetter(r):
		return 0
	case unicode.IsUpper(r) && unicode.IsLower(before), unicode.IsLower(r) && unicode.IsUpper(before) && unicode.IsUpper(next):
		return -3
	case strings.ContainsRune(commonest, unicode.ToLower(r)):
		return 4
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
		return 2
	}
	return 1
}
