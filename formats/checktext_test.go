package formats

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestCheckTextReadsToTheEndAndSaysWhatItStartsWith(t *testing.T) {
	t.Parallel()
	broken := errors.New("cable cut")
	for _, c := range []struct {
		name, text string
		o          Options
		end        error
		first      rune
		want       string
	}{
		{"plain", " \n<a/>", Options{Format: "xml"}, nil, '<', ""},
		{"mark", "\xef\xbb\xbf\t☃", Options{Format: "csv"}, nil, '☃', ""},
		{"utf-16", "\xff\xfe \x00<\x00", Options{Format: "xml"}, nil, '<', ""},
		{"ebcdic", "\x40\x4c", Options{Format: "xml", Encoding: "cp037"}, nil, '<', ""},
		{"nothing", "", Options{Format: "csv"}, nil, 0, ""},
		{"far away", strings.Repeat(" ", 500_000) + "x\xff", Options{Format: "csv"}, nil, 'x', "0xff is not valid UTF-8"},
		{"not in the encoding", "a\x81", Options{Format: "csv", Encoding: "iso-8859-1"}, nil, 'a', "stands for nothing"},
		{"cut in a character", "a\xe2\x98", Options{Format: "csv"}, broken, 'a', "cable cut"},
		{"ends in a character", "a\xe2\x98", Options{Format: "csv"}, nil, 'a', "not valid UTF-8"},
	} {
		r := io.Reader(strings.NewReader(c.text))
		if c.end != nil {
			r = io.MultiReader(r, iotest.ErrReader(c.end))
		}
		first, err := CheckText(Blob{Reader: r, Size: -1}, c.o)
		if first != c.first || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", c.name, first, err)
		}
	}
}
