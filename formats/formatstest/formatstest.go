// Package formatstest is what tests of formats have in common: files that do not end, and seeds of fuzz targets. It knows no format.
package formatstest

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Endless repeats a text, as long as Left is above zero; it counts what was taken.
type Endless struct {
	Text  []byte
	Left  int64
	Taken int64
}

func (e *Endless) Read(p []byte) (int, error) {
	if e.Left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && e.Left > 0 {
		at := int(e.Taken % int64(len(e.Text)))
		k := copy(p[n:min(len(p), n+int(min(e.Left, 1<<30)))], e.Text[at:])
		n += k
		e.Taken += int64(k)
		e.Left -= int64(k)
	}
	return n, nil
}

// Seeds adds the files of a corpus.
func Seeds(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in %s: %v", pattern, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}
