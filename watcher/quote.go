package watcher

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns a path fit for logs and terminals: what cannot be seen or would move the cursor or turn the writing
// direction is escaped as in Go source (\n, \x1b, \u202e), bytes that are no UTF-8 as \xff, and the backslash doubled, so
// that no two paths look the same.
func Quote(path string) string {
	plain := func(r rune) bool { return r != '\\' && r != utf8.RuneError && unicode.IsPrint(r) }
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	const digits = "0123456789abcdef"
	var b strings.Builder
	for len(path) > 0 {
		r, n := utf8.DecodeRuneInString(path)
		switch {
		case r == utf8.RuneError && n == 1, r < 0x20, r == 0x7f: // no UTF-8, or control
			b.WriteString(`\x`)
			b.WriteByte(digits[path[0]>>4])
			b.WriteByte(digits[path[0]&15])
		case r == '\\':
			b.WriteString(`\\`)
		case plain(r):
			b.WriteRune(r)
		default:
			escapeRune(&b, r, digits)
		}
		path = path[n:]
	}
	return b.String()
}

// escapeRune writes r as \uXXXX or \UXXXXXXXX.
func escapeRune(b *strings.Builder, r rune, digits string) {
	head, shift := `\u`, 12
	if r > 0xffff {
		head, shift = `\U`, 28
	}
	b.WriteString(head)
	for ; shift >= 0; shift -= 4 {
		b.WriteByte(digits[r>>shift&15])
	}
}
