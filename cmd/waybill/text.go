package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"waybill/ledger"
)

// safe returns text of several lines, such as a body, as it may be put before a person: what is not printable is escaped,
// so that nothing a partner sends can steer a terminal. Unlike [ledger.Shown] it keeps lines, tabs and backslashes, and what is JSON stays the same JSON.
func safe(s string) string {
	bad := func(r rune) bool { return r != '\n' && r != '\t' && (r == utf8.RuneError || !unicode.IsPrint(r)) }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !bad(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return b.String()
}

// shown is a text of a partner in one line.
func shown(s string, most int) string { return short(ledger.Shown(s), most) }

// indent puts a margin before every line.
func indent(text, margin string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(margin + line)
	}
	if !strings.HasSuffix(text, "\n") {
		b.WriteByte('\n')
	}
	return b.String()
}

// count puts a number before a noun: 1 message, 2 messages.
func count[N int | int64](n N, one string) string {
	many := one + "s"
	if strings.HasSuffix(one, "y") {
		many = one[:len(one)-1] + "ies"
	}
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// recordOf is the number of a record in a table; none stands for the whole file.
func recordOf(n int64) string {
	if n == 0 {
		return "whole file"
	}
	return strconv.FormatInt(n, 10)
}

// ofRecord is a record in a sentence.
func ofRecord(n int64) string {
	if n == 0 {
		return "whole file"
	}
	return "record " + recordOf(n)
}
