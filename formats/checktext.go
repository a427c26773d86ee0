package formats

import (
	"bytes"
	"unicode/utf8"
)

// CheckText reads a blob as the text that the options say it is, without looking at what is in it. It returns the first character that is no white space, 0 when there is
// none, and what is wrong with the bytes: a *FileError, or the reader's error.
func CheckText(b Blob, o Options) (first rune, err error) {
	o.Limits = o.Limits.WithDefaults()
	w := open(b, o, &bench{})
	for w.more() {
		if text := bytes.TrimLeft(w.data(), " \t\r\n"); first == 0 && len(text) > 0 {
			first, _ = utf8.DecodeRune(text)
		}
		w.start = w.end
	}
	return first, w.cause()
}
