package xlsx

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Number formats are written as English spreadsheets have them, whatever the language of who reads the file: there the decimal mark of
// the code is a point, that between thousands a comma, and the letters are those of dd.mm.yyyy hh:mm. Everybody sees his own marks.

var (
	strftimeLike = regexp.MustCompile(`%[-:]?[A-Za-z]`)
	codeWords    = regexp.MustCompile(`(?i)general|am/pm|a/p|e[+-]`)
)

// CheckCode sees that a spreadsheet takes a number format: one with a wrong code is called damaged.
func CheckCode(code string) error {
	bare, err := codeLetters(code)
	switch {
	case len(utf16.Encode([]rune(code))) > 255:
		return errors.New("is longer than 255 characters, and no spreadsheet takes that")
	case strftimeLike.MatchString(code):
		return fmt.Errorf("%q is a format of strftime: write it in a spreadsheet's terms, as dd.mm.yyyy hh:mm", code)
	case err != nil:
		return fmt.Errorf("%q is no number format: %w", code, err)
	case strings.Count(bare, ";") > 3:
		return fmt.Errorf("%q is no number format: it has more than four parts", code)
	}
	for _, r := range codeWords.ReplaceAllString(bare, "") {
		switch {
		case r > unicode.MaxASCII && unicode.IsLetter(r):
			return fmt.Errorf("%q is no number format: the letter %q is not one of y m d h s; text stands in double quotes", code, r)
		case unicode.IsControl(r), r < unicode.MaxASCII && unicode.IsLetter(r) && !strings.ContainsRune("ymdhsgeb", unicode.ToLower(r)):
			return fmt.Errorf("%q is no number format: %q means nothing in it; text stands in double quotes", code, r)
		}
	}
	return nil
}

// codeLetters takes off what is shown as it is: quoted and escaped text, and what stands in brackets.
func codeLetters(code string) (string, error) {
	var b strings.Builder
	rs := []rune(code)
	for i := 0; i < len(rs); i++ {
		closing := rune(0)
		switch rs[i] {
		case '\\', '_', '*':
			if i++; i == len(rs) {
				return "", fmt.Errorf("nothing follows its last %q", rs[i-1])
			}
			continue
		case '"':
			closing = '"'
		case '[':
			closing = ']'
		default:
			b.WriteRune(rs[i])
			continue
		}
		for from := i; ; {
			if i++; i == len(rs) {
				return "", fmt.Errorf("its %q is not closed", rs[from])
			}
			if rs[i] == closing {
				break
			}
		}
	}
	return b.String(), nil
}
