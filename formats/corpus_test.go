package formats

import (
	"bytes"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

var update = flag.Bool("update", false, "write what the readers give to the .want files; then read the difference")

// An Unpacking takes files out of what they are packed in; the package that does imports this one.
type Unpacking func(b Blob, kinds []string) iter.Seq2[Blob, error]

// Corpus reads each file of testdata, and of packings, as the file beside it says, FILE.want:
// the settings in its first line, the fields wanted in the second, then what each record gives, and in
// the last line how it ends. A file must give the same however its bytes arrive.
func Corpus(t *testing.T, inside Unpacking) {
	wants, err := filepath.Glob("testdata/*/*.want")
	if err != nil || len(wants) < 40 {
		t.Fatalf("%d files in the corpus, there should be at least 40 (%v)", len(wants), err)
	}
	packed, err := filepath.Glob("unpack/testdata/*.want")
	if err != nil || len(packed) < 8 {
		t.Fatalf("%d archives in the corpus, there should be at least 8 (%v)", len(packed), err)
	}
	for _, file := range append(wants, packed...) {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			t.Parallel()
			corpusFile(t, file, inside)
		})
	}
}

func corpusFile(t *testing.T, file string, inside Unpacking) {
	expected, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(strings.TrimSuffix(file, ".want"))
	if err != nil {
		t.Fatal(err)
	}
	head := strings.SplitN(string(expected), "\n", 3)
	d, unpack := corpusDecoder(t, head[0], head[1])
	for _, c := range []struct {
		how  string
		blob Blob
	}{
		{"at once", Blob{Reader: bytes.NewReader(data), ReaderAt: bytes.NewReader(data), Size: int64(len(data))}},
		{"byte by byte", Blob{Reader: iotest.OneByteReader(bytes.NewReader(data)), ReaderAt: bytes.NewReader(data), Size: -1}},
		{"with EOF", Blob{Reader: iotest.DataErrReader(bytes.NewReader(data)), ReaderAt: bytes.NewReader(data), Size: -1}},
	} {
		how, blob := c.how, c.blob
		got := head[0] + "\n" + head[1] + "\n" + outcome(d, inside(blob, unpack), unpack)
		if *update && how == "at once" {
			if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
			expected = []byte(got)
		}
		if got != string(expected) {
			t.Errorf("%s:\n%s\nwant:\n%s", how, got, expected)
		}
	}
}

func outcome(d Decoder, files iter.Seq2[Blob, error], unpack []string) string {
	var out strings.Builder
	for inner, err := range files {
		if err != nil {
			fmt.Fprintf(&out, "refused: %s\n", err)
			break
		}
		if slices.ContainsFunc(unpack, func(kind string) bool { return kind == "zip" || kind == "tar" }) {
			fmt.Fprintf(&out, "member %s\n", inner.Name)
		}
		lines, err := read(d, inner)
		for _, l := range lines {
			fmt.Fprintln(&out, l)
		}
		if err != nil {
			fmt.Fprintf(&out, "refused: %s\n", err)
		} else {
			fmt.Fprintln(&out, "end")
		}
	}
	return out.String()
}

func corpusNumber(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// corpusDecoder reads `read: csv delimiter=;` and `fields: a, b=x.y, lines[]=l:no/sku`.
func corpusDecoder(t *testing.T, settings, fields string) (Decoder, []string) {
	t.Helper()
	words := strings.Fields(strings.TrimPrefix(settings, "read: "))
	o := Options{Format: words[0]}
	var unpack []string
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "sheet":
			o.Sheet = value
		case "skip":
			o.Skip = corpusNumber(t, value)
		case "footer":
			o.Footer = corpusNumber(t, value)
		case "comment":
			o.Comment = value
		case "delimiter":
			o.Delimiter = value
		case "quote":
			o.Quote = value
		case "encoding":
			o.Encoding = value
		case "records":
			o.Records = value
		case "hidden":
			o.Hidden = value
		case "namespaces":
			prefix, uri, _ := strings.Cut(value, "=")
			o.Namespaces = map[string]string{prefix: uri}
		case "extra":
			o.Columns.Extra = value
		case "missing":
			o.Columns.Missing = value
		case "unpack":
			unpack = strings.Split(value, ",")
		case "unit":
			o.Unit = value
		case "ends":
			o.Ends = value
		case "short":
			o.TooShort = value
		case "length":
			o.Length = corpusNumber(t, value)
		case "schema":
			o.Schema, o.Files = value, os.ReadFile
		case "unknown":
			o.Unknown = value
		case "titles":
			n := corpusNumber(t, value)
			o.Titles = &n
		default:
			t.Fatalf("unknown setting %q", w)
		}
	}
	var wants []Want
	for f := range strings.SplitSeq(strings.TrimSpace(strings.TrimPrefix(fields, "fields:")), ", ") {
		switch {
		case f == "":
		case o.Format == "xml", o.Format == "edifact":
			wants = append(wants, pathWant(f))
		default:
			wants = append(wants, corpusWant(f))
		}
	}
	return decoder(t, o, wants...), unpack
}

// pathWant reads `name=from|from`, and `name[]=from {name=from; name=from}` for a list, {} without [] for an object.
func pathWant(f string) Want {
	f, inner, nested := strings.Cut(f, " {")
	name, from, named := strings.Cut(f, "=")
	w := Want{Name: strings.TrimSuffix(name, "[]"), List: strings.HasSuffix(name, "[]")}
	if !named {
		from = w.Name
	}
	w.From = strings.Split(from, "|")
	w.Object = nested && !w.List
	if nested {
		for f := range strings.SplitSeq(strings.TrimSuffix(inner, "}"), "; ") {
			w.Fields = append(w.Fields, pathWant(f))
		}
	}
	return w
}

func corpusWant(f string) Want {
	name, from, named := strings.Cut(f, "=")
	w := Want{Name: strings.TrimSuffix(name, "[]"), List: strings.HasSuffix(name, "[]")}
	if !named {
		from = name
	}
	from, inner, _ := strings.Cut(from, ":")
	if column, ok := strings.CutPrefix(from, "column "); ok {
		w.Column = column
		return w
	}
	w.From = strings.Split(from, "|")
	if inner != "" {
		for f := range strings.SplitSeq(inner, "/") {
			w.Fields = append(w.Fields, Want{Name: f, From: []string{f}})
		}
	}
	return w
}
