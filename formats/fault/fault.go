// Package fault is what is said when a file is refused: why and where (FileError), how large is too large (Bytes), and how a text of the file, a
// count or a name that was perhaps another is shown. It is beneath all packages that read files, which are told apart by what they read.
package fault

import (
	"fmt"
	"unicode/utf8"
)

// RatioFrom is from how many unpacked bytes on max_ratio counts: a small file may well be all blanks.
const RatioFrom = 1 << 20

// A FileError tells why a file cannot be read further: it is rejected as a whole.
type FileError struct {
	Line   int64  // 0: not known
	Column int64  // characters in the line, from 1; 0: not known
	Offset int64  // byte offset, -1: not known
	Limit  string // the setting whose limit was passed, "" when none
	Reason string
	Err    error // the cause, if any

	Incomplete bool // the file ends where it cannot: the rest may be still to come
}

func (e *FileError) Error() string {
	if place := e.Place(); place != "" {
		return place + ": " + e.Reason
	}
	return e.Reason
}

// Place says where it is: "line 2, column 7", "line 2", "offset 48", or "" when that is not known.
func (e *FileError) Place() string {
	switch {
	case e.Line > 0 && e.Column > 0:
		return fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	case e.Line > 0:
		return fmt.Sprintf("line %d", e.Line)
	case e.Offset >= 0:
		return fmt.Sprintf("offset %d", e.Offset)
	}
	return ""
}

func (e *FileError) Unwrap() error { return e.Err }

// Cut shortens a text of the file for an error, to 200 bytes.
func Cut[T ~string | ~[]byte](text T) string {
	const most = 200
	if len(text) <= most {
		return string(text)
	}
	short := []byte(text[:most])
	return string(short[:most-Partial(short)])
}

// Partial counts the bytes at the end that are the start of a character whose rest is to come.
func Partial(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n:]; utf8.RuneStart(c[0]) {
			if utf8.FullRune(c) {
				return 0
			}
			return n
		}
	}
	return 0
}

// Counted is "1 column" or "3 columns".
func Counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
