package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// blobOf makes a blob that only streams.
func blobOf(s string) Blob { return Blob{Name: "t", Reader: strings.NewReader(s), Size: int64(len(s))} }

// seekable makes a blob that can also be read at any place.
func seekable(s string) Blob {
	b := blobOf(s)
	b.ReaderAt = strings.NewReader(s)
	return b
}

func decoder(t testing.TB, o Options, wants ...Want) Decoder {
	t.Helper()
	d, ps := New(o, wants)
	if len(ps) > 0 {
		t.Fatalf("New: %v", ps)
	}
	return d
}

// show renders cells: kinds are told apart as JSON would, text in quotes, nothing as ∅.
func show(cells []Cell) string {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch c.Kind {
		case Absent:
			b.WriteString("∅")
		case Text:
			fmt.Fprintf(&b, "%q", c.Bytes)
		case Nested:
			b.WriteByte('[')
			for k, row := range c.Rows {
				if k > 0 {
					b.WriteString(" | ")
				}
				b.WriteString(show(row))
			}
			b.WriteByte(']')
		case Null, Number, Bool, Tree, Date:
			b.Write(c.Bytes)
		}
	}
	return b.String()
}

// read decodes a blob into one line a record, one a record error, and the final error.
func read(d Decoder, b Blob) (lines []string, end error) {
	for rec, err := range d.Decode(b) {
		var bad *RecordError
		switch {
		case errors.As(err, &bad):
			lines = append(lines, "reject "+bad.Error())
		case err != nil:
			return lines, err
		default:
			lines = append(lines, show(rec.Cells))
		}
	}
	return lines, nil
}

// drip gives a few bytes at a time.
type drip struct {
	r io.Reader
	n int
}

func (d drip) Read(p []byte) (int, error) { return d.r.Read(p[:min(d.n, len(p))]) }

// dose is n, or with the race detector, which makes reading ten times as slow and finds nothing by more of the same, few: too few, perhaps, to show
// what the test is for. So the Makefile runs it once more without the race detector, which it knows by its name.
func dose(t *testing.T, n, few int) int {
	t.Helper()
	if makefile, err := os.ReadFile("../Makefile"); err != nil {
		t.Fatal(err)
	} else if m := regexp.MustCompile(`test -run '([^']+)'`).FindSubmatch(makefile); m == nil || !regexp.MustCompile(string(m[1])).MatchString(t.Name()) {
		t.Fatalf("make test never runs the whole dose of %s: name it so that it does", t.Name())
	}
	info, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return few
	}
	return n
}

func columns(names ...string) []Want {
	var ws []Want
	for _, n := range names {
		ws = append(ws, Want{Name: n, From: []string{n}})
	}
	return ws
}

func lines(n int, head, line string) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for range n {
		b.WriteString(line)
	}
	return b.Bytes()
}

// titled are columns of which no more is said than their titles.
func titled(titles ...string) (columns []Column) {
	for _, t := range titles {
		columns = append(columns, Column{Title: t})
	}
	return columns
}
