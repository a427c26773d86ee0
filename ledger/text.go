package ledger

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// valueLimit is how many characters of a rejected value are kept.
const valueLimit = 200

// Shown returns s as it may be put before a person: control characters, marks that turn the direction of writing,
// invisible characters and what is not UTF-8 are escaped as in Go. The result is one line of valid UTF-8. A backslash is escaped too, so that
// different names stay different.
func Shown(s string) string { return escape(s, true) }

// onLine is Shown for a text that was made for people, in which what came from elsewhere is escaped already: backslashes stay as they are.
func onLine(s string) string { return escape(s, false) }

func escape(s string, backslash bool) string {
	plain := true
	for _, r := range s {
		if r == '\\' && backslash || r == utf8.RuneError || !unicode.IsPrint(r) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\\' && backslash:
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n--; n < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// within returns a path below the folder of a partner.
func within(partner, path string) string {
	if partner == "" {
		return path
	}
	return strings.TrimPrefix(path, partner+"/")
}

// base returns what follows the last slash.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
