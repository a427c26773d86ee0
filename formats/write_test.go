package formats

import (
	"bytes"
	"iter"
	"strings"
	"testing"
)

func rowsOf(rows ...[]Value) iter.Seq2[[]Value, error] {
	return func(yield func([]Value, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func val(k Kind, s string) Value { return Value{Kind: k, Bytes: []byte(s)} }

func TestWritten(t *testing.T) {
	t.Parallel()
	row := []Value{val(Text, "=1+1"), val(Number, "-5.10"), val(Null, ""), val(Absent, ""), val(Bool, "true"), val(Tree, `{"a": "x"}`)}
	for name, c := range map[string]struct {
		w       Writing
		columns []string
		rows    iter.Seq2[[]Value, error]
		want    string
	}{
		"csv": {Writing{Format: "csv"}, strings.Split("t,n,u,b,o,j", ","), rowsOf(row),
			"t,n,u,b,o,j\r\n'=1+1,-5.10,,,true,\"{\"\"a\"\": \"\"x\"\"}\"\r\n"},
		"csv as asked": {Writing{Format: "csv", Delimiter: ";", Quote: "'", Lines: "lf", Titles: "skip", Formulas: "keep"}, []string{"a", "b"},
			rowsOf([]Value{val(Text, "=1;'"), val(Text, " x")}), "'=1;''';' x'\n"},
		"formulas": {Writing{Format: "csv", Lines: "lf"}, []string{"=t"}, rowsOf(
			[]Value{val(Text, "+1")}, []Value{val(Text, "-1")}, []Value{val(Text, "@x")}, []Value{val(Text, "\tx")},
			[]Value{val(Text, "\rx")}, []Value{val(Number, "-1")}, []Value{val(Text, "a=b")}),
			"'=t\n'+1\n'-1\n'@x\n\"'\tx\"\n\"'\rx\"\n-1\na=b\n"},
		"one empty cell":     {Writing{Format: "csv", Lines: "lf"}, []string{"a"}, rowsOf([]Value{val(Text, "")}, []Value{val(Null, "")}), "a\n\"\"\n\"\"\n"},
		"no byte order mark": {Writing{Format: "csv", Lines: "lf", Titles: "skip"}, []string{"a", "b"}, rowsOf([]Value{val(Text, "\ufeffx"), val(Text, "\ufeff")}), "\"\ufeffx\",\"\ufeff\"\n"},
		"tsv":                {Writing{Format: "tsv", Lines: "lf"}, []string{"a", "b"}, rowsOf([]Value{val(Text, "x\ty"), val(Text, "1,2")}), "a\tb\n\"x\ty\"\t1,2\n"},
		"windows-1252":       {Writing{Format: "csv", Lines: "lf", Encoding: "windows-1252"}, []string{"Qté"}, rowsOf([]Value{val(Text, "€")}), "Qt\xe9\n\x80\n"},
		"replaced":           {Writing{Format: "csv", Lines: "lf", Encoding: "windows-1252", Unmappable: "replace"}, []string{"a"}, rowsOf([]Value{val(Text, "Ж\u0081")}), "a\n??\n"},
		"json":               {Writing{Format: "json"}, strings.Split("t,n,u,b,o,j", ","), rowsOf(row, row[:6]), "[\n{\"t\":\"=1+1\",\"n\":-5.10,\"u\":null,\"o\":true,\"j\":{\"a\":\"x\"}},\n{\"t\":\"=1+1\",\"n\":-5.10,\"u\":null,\"o\":true,\"j\":{\"a\":\"x\"}}\n]\n"},
		"json, no rows":      {Writing{Format: "json"}, []string{"a"}, rowsOf(), "[]\n"},
		"ndjson":             {Writing{Format: "ndjson"}, []string{"é\""}, rowsOf([]Value{val(Text, "\n\x01\\é")}, []Value{val(Absent, "")}), "{\"é\\\"\":\"\\n\\u0001\\\\é\"}\n{}\n"},
		"ndjson, none":       {Writing{Format: "ndjson"}, []string{"a"}, rowsOf(), ""},
		"records":            {Writing{Format: "ndjson"}, nil, rowsOf([]Value{val(Tree, "{\"a\":\n1}")}, []Value{val(Text, "x")}), "{\"a\":1}\n\"x\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, ps := NewEncoder(c.w, titled(c.columns...))
			if ps != nil {
				t.Fatal(ps)
			}
			var out bytes.Buffer
			if err := e.Encode(&out, c.rows); err != nil || out.String() != c.want {
				t.Errorf("%q, %v\nwant %q", out.String(), err, c.want)
			}
		})
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w    Writing
		row  []Value
		want string
	}{
		"unmappable":     {Writing{Format: "csv", Encoding: "windows-1252"}, []Value{val(Text, "Ж")}, `write row 1, column "a": the character 'Ж' has no place in windows-1252; say encoding: utf-8, or unmappable: replace`},
		"not utf-8":      {Writing{Format: "csv"}, []Value{val(Text, "\xff")}, `write row 1, column "a": the text is not valid UTF-8`},
		"nul":            {Writing{Format: "csv"}, []Value{val(Text, "\x00")}, `write row 1, column "a": the text holds a NUL character, which csv cannot`},
		"width":          {Writing{Format: "csv"}, nil, "write row 1: it has 0 values for 1 columns"},
		"bad number":     {Writing{Format: "json"}, []Value{val(Number, "01")}, `write row 1: member "a": "01" is not JSON: at 0: a number must not start with 0`},
		"bad tree":       {Writing{Format: "ndjson"}, []Value{val(Tree, "{} x")}, `write row 1: member "a": "{} x" is not JSON: at 3: text after the end of the value`},
		"text not utf-8": {Writing{Format: "json"}, []Value{val(Text, "\xff")}, `write row 1: member "a": the text is not valid UTF-8`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, ps := NewEncoder(c.w, titled("a"))
			if ps != nil {
				t.Fatal(ps)
			}
			if err := e.Encode(&bytes.Buffer{}, rowsOf(c.row)); err == nil || err.Error() != c.want {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

func TestTroubleInWritingIsReported(t *testing.T) {
	t.Parallel()
	e, ps := NewEncoder(Writing{Format: "csv"}, titled("a"))
	if ps != nil {
		t.Fatal(ps)
	}
	err := e.Encode(&bytes.Buffer{}, func(yield func([]Value, error) bool) { yield(nil, errGone) })
	if err != errGone {
		t.Errorf("from the rows: %v", err)
	}
	if err := e.Encode(goneWriter{}, rowsOf([]Value{val(Text, "x")})); err == nil || !strings.Contains(err.Error(), "write rows: the disk is gone") {
		t.Errorf("from the writer: %v", err)
	}
}

type goneWriter struct{}

func (goneWriter) Write([]byte) (int, error) { return 0, errGone }

func TestProblemsOfWriting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w       Writing
		columns []string
		want    string
	}{
		"format":     {Writing{Format: "camt"}, nil, "as: camt is not there yet"},
		"no columns": {Writing{Format: "csv"}, nil, "columns: missing"},
		"json keys":  {Writing{Format: "json", Delimiter: ";"}, []string{"a"}, "delimiter: does not go with json"},
		"encoding":   {Writing{Format: "csv", Encoding: "koi9-r"}, []string{"a"}, `encoding: unknown encoding "koi9-r", did you mean "koi8-r"?`},
		"lines":      {Writing{Format: "csv", Lines: "cr"}, []string{"a"}, `lines: "cr" is not known here`},
		"quote":      {Writing{Format: "csv", Quote: "none"}, []string{"a"}, "quote: none would leave"},
		"tsv":        {Writing{Format: "tsv", Delimiter: ";"}, []string{"a"}, "delimiter: does not go with tsv"},
		"two names":  {Writing{Format: "json"}, []string{"a", "a"}, "columns[1].title: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, ps := NewEncoder(c.w, titled(c.columns...)); len(ps) != 1 || !strings.HasPrefix(ps[0].String(), c.want) {
				t.Errorf("%v, want %s", ps, c.want)
			}
		})
	}
}

// A file that begins with U+FEFF as text keeps it, and its encoding is not told by it.
func TestTextAtTheStartIsNoByteOrderMark(t *testing.T) {
	t.Parallel()
	e, ps := NewEncoder(Writing{Format: "csv", Titles: "skip"}, titled("a"))
	if ps != nil {
		t.Fatal(ps)
	}
	var out bytes.Buffer
	if err := e.Encode(&out, rowsOf([]Value{val(Text, "\ufeffx")})); err != nil {
		t.Fatal(err)
	}
	none := 0
	d, ps := New(Options{Format: "csv", Titles: &none, Delimiter: ","}, []Want{{Name: "a", Column: "1"}})
	if ps != nil {
		t.Fatal(ps)
	}
	for rec, err := range d.Decode(Blob{Reader: &out, Size: int64(out.Len())}) {
		if err != nil || string(rec.Cells[0].Bytes) != "\ufeffx" {
			t.Errorf("%v, %v: it came back as %q", rec, err, rec.Cells[0].Bytes)
		}
	}
}
