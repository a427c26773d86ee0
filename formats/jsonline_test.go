package formats

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRecordsOfADocumentHaveTheirLine(t *testing.T) {
	t.Parallel()
	text := "{\"l\":\n[{\"no\":\"1\"},\n {\"no\":\n\"2\"}, {\"no\":[]},\n\n{\"no\":\"4\"}]}"
	d, ps := New(Options{Format: "json", Records: "l"}, []Want{{Name: "no", From: []string{"no"}}})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		var lines []int64
		for rec, err := range d.Decode(Blob{Reader: r, Size: -1}) {
			var bad *RecordError
			switch {
			case errors.As(err, &bad):
				lines = append(lines, bad.Line)
			case err != nil:
				t.Fatal(err)
			default:
				lines = append(lines, rec.Line)
			}
		}
		if len(lines) != 4 || lines[0] != 2 || lines[1] != 3 || lines[2] != 4 || lines[3] != 6 {
			t.Errorf("lines %v, want 2 3 4 6", lines)
		}
	}
}
