package formats

import "testing"

func TestTextOfAnyEncodingIsMadeReadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, encoding string
		all            bool
		want           string
	}{
		{"é\n", "", true, "é\n"},
		{"\ufeffé", "utf-8", true, "\ufeffé"},
		{"\xe9", "", true, "no"},
		{"a\xc3", "", true, "no"},
		{"a\xc3", "", false, "a"},
		{"a\xe2\x82", "", false, "a"},
		{"a\xff", "", false, "no"},
		{"a\xe9;\x80", "windows-1252", true, "aé;€"},
		{"\x81", "windows-1252", true, "no"},
		{"\xef\xbb\xbfa", "windows-1252", true, "ï»¿a"},
		{"\xc1\xc2\x15", "cp037", true, "AB\n"},
		{"\xff\xfea\x00\xe9\x00", "utf-16", true, "aé"},
		{"\xff\xfea\x00\xe9", "utf-16", true, "no"},
		{"\xff\xfea\x00\xe9", "utf-16", false, "a"},
		{"a\x00", "utf-16le", true, "a"},
		{"a\x00", "utf-16", true, "no"}, // of which byte order
		{"\xff\xfe\x00\x00a\x00\x00\x00", "utf-32", true, "a"},
		{"\x82\xa0", "shift_jis", true, "あ"},
		{"a", "klingon", true, "no"},
		{"", "", true, ""},
		{"", "cp037", true, ""},
	} {
		got, ok := Readable([]byte(c.text), c.encoding, c.all)
		if !ok {
			got = "no"
		}
		if got != c.want {
			t.Errorf("%q in %s: %q, want %q", c.text, c.encoding, got, c.want)
		}
	}
}
