package formats

import (
	"slices"
	"strings"
	"testing"
)

func ptr(n int) *int { return &n }

func TestProblemsOfOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o     Options
		wants []Want
		want  []string // how each problem starts
	}{
		"no format":            {Options{}, nil, []string{"format: missing: write one of csv, tsv, json, ndjson, xml, fixed"}},
		"unknown format":       {Options{Format: "cvs"}, nil, []string{`format: unknown format "cvs", did you mean "csv"?`}},
		"later format":         {Options{Format: "camt"}, nil, []string{"format: camt is not there yet"}},
		"later encoding":       {Options{Format: "csv", Encoding: "ISO-2022-JP"}, nil, []string{"encoding: ISO-2022-JP is not read yet"}},
		"unknown encoding":     {Options{Format: "csv", Encoding: "windows-1521"}, nil, []string{`encoding: unknown encoding "windows-1521", did you mean "windows-1251"?`}},
		"keys of others":       {Options{Format: "json", Delimiter: ";", Titles: ptr(1)}, nil, []string{"delimiter: does not go with format json, only with csv", "titles: does not go with format json, only with csv, tsv"}},
		"records of csv":       {Options{Format: "csv", Records: "$.x"}, nil, []string{"records: does not go with format csv, only with json, xml"}},
		"tsv delimiter":        {Options{Format: "tsv", Delimiter: ";"}, nil, []string{"delimiter: does not go"}},
		"wide delimiter":       {Options{Format: "csv", Delimiter: "||"}, nil, []string{`delimiter: "||" cannot stand between cells`}},
		"newline":              {Options{Format: "csv", Delimiter: "\n"}, nil, []string{"delimiter: "}},
		"same":                 {Options{Format: "csv", Delimiter: `"`}, nil, []string{"quote: the same character as the delimiter"}},
		"titles":               {Options{Format: "csv", Titles: ptr(-1)}, nil, []string{"titles: -1 is no line"}},
		"columns":              {Options{Format: "csv", Columns: Columns{Extra: "drop", Missing: "skip"}}, nil, []string{`columns.extra: "drop" is not known here: write ignore or reject`, "columns.missing: "}},
		"limits":               {Options{Format: "csv", Limits: Limits{MaxRecord: -1, MaxDepth: 1 << 40}}, nil, []string{"limits.max_record: -1 is out of bounds", "limits.max_depth: "}},
		"path":                 {Options{Format: "json", Records: "$.a..b"}, nil, []string{`records: "$.a..b" is no path`}},
		"title without titles": {Options{Format: "csv", Titles: ptr(0)}, columns("a"), []string{"fields.a.from: there are no titles"}},
		"column":               {Options{Format: "csv"}, []Want{{Name: "a", Column: "c1"}}, []string{`fields.a.column: "c1" is no column`}},
		"column 0":             {Options{Format: "csv"}, []Want{{Name: "a", Column: "0"}}, []string{`fields.a.column: "0" is no column`}},
		"column beyond":        {Options{Format: "csv"}, []Want{{Name: "a", Column: "ZZZ"}}, []string{"fields.a.column: column ZZZ lies beyond max_columns"}},
		"list of csv":          {Options{Format: "csv"}, []Want{{Name: "a", From: []string{"x"}, List: true, Fields: columns("b")}}, []string{"fields.a: a row of csv holds no lists"}},
		"wants' paths": {Options{Format: "json"}, []Want{{Name: "a", From: []string{"x["}}, {Name: "l", List: true, From: []string{"l"}, Fields: []Want{{Name: "f", From: []string{"$.x"}}}}},
			[]string{`fields.a.from: "x[" is no path`, `fields.l.fields.f.from: "$.x" starts at the document`}},
		"around the records": {Options{Format: "json", Records: "$.data.items"}, []Want{{Name: "a", From: []string{"$.data"}}}, []string{`fields.a.from: "$.data" holds the records`}},
		"xml paths":          {Options{Format: "xml", Records: "//a"}, nil, []string{`records: "//a" holds //`}},
		"xml path": {Options{Format: "xml", Records: "/a/b"}, []Want{{Name: "a", From: []string{"../x"}}, {Name: "b", From: []string{"text()"}}, {Name: "c", From: []string{"p:x"}},
			{Name: "d", From: []string{"x[0]"}}, {Name: "e", From: []string{"x[y]"}}, {Name: "f", From: []string{"@"}}, {Name: "g", From: []string{"/a/b/c"}}, {Name: "h", From: []string{"/a"}},
			{Name: "i", From: []string{"1"}}, {Name: "j", From: []string{"a/"}}, {Name: "k", Column: "C"}, {Name: "l", List: true, From: []string{"l", "m"}, Fields: []Want{{Name: "f", From: []string{"/x"}}}},
			{Name: "m", From: []string{"@x"}, Object: true, Fields: columns("y")}},
			[]string{`fields.a.from: "../x" holds ..`, `fields.b.from: "text()" holds a function`, `fields.c.from: "p:x" has the prefix "p": say which namespace`, `fields.d.from: "x[0]" counts from 1`,
				`fields.e.from: "x[y]" is no path`, `fields.f.from: "@" is no path`, `fields.g.from: "/a/b/c" holds the records, or is part of them`, `fields.h.from: "/a" holds the records`,
				`fields.i.from: "1" is no path`, `fields.j.from: "a/" is no path`, "fields.k.column: xml has no columns", `fields.l.fields.f.from: "/x" starts at the document`, `fields.m.from: "@x" leads to an attribute`}},
		"fixed":       {Options{Format: "fixed", Ends: "none", TooShort: "pad", Unit: "bytes", Encoding: "utf-16"}, nil, []string{"length: missing", "short: pad does not go with ends: none", "unit: bytes does not go with utf-16"}},
		"fixed words": {Options{Format: "fixed", Ends: "crlf", TooShort: "x", Unit: "y", Length: -1}, nil, []string{`unit: "y"`, `ends: "crlf"`, `short: "x"`, "length: -1"}},
		"fixed places": {Options{Format: "fixed", Length: 10}, []Want{{Name: "a", From: []string{"A"}}, {Name: "b", From: []string{"9-11"}}, {Name: "c", Column: "3"}, {Name: "d", From: []string{"1"}, List: true, Fields: columns("x")}},
			[]string{`fields.a.from: "A" is no place`, `fields.b.from: "9-11" lies beyond length`, "fields.c.column: goes with csv", "fields.d: a line of fixed width holds no lists"}},
		"not of csv":     {Options{Format: "csv", Length: 3}, nil, []string{"length: does not go with format csv, only with fixed"}},
		"xml records":    {Options{Format: "xml", Records: "/a/@b"}, nil, []string{`records: "/a/@b" leads to no element`}},
		"xml tests":      {Options{Format: "xml", Records: "/a/b[1]"}, nil, []string{`records: "/a/b[1]" has a test in brackets`}},
		"xml namespaces": {Options{Format: "xml", Namespaces: map[string]string{"a b": "u", "x": ""}}, nil, []string{"namespaces.a b: a prefix is a name", "namespaces.x: "}},
		"not of json":    {Options{Format: "json", Namespaces: map[string]string{"a": "u"}}, nil, []string{"namespaces: does not go with format json, only with xml"}},
		"column of json": {Options{Format: "ndjson"}, []Want{{Name: "a", Column: "C"}}, []string{"fields.a.column: json has no columns"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, ps := New(c.o, c.wants)
			if len(ps) != len(c.want) {
				t.Fatalf("problems %v, want %q", ps, c.want)
			}
			for i, p := range ps {
				if !strings.HasPrefix(p.String(), c.want[i]) {
					t.Errorf("problem %q, want %q", p, c.want[i])
				}
			}
		})
	}
}

func TestNamesAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	if got := Names(); !slices.Equal(got, []string{"csv", "tsv", "json", "ndjson", "xml", "fixed", "xlsx", "edifact", "protobuf", "avro"}) {
		t.Errorf("formats %v", got)
	}
}

func TestDetectEncoding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ encoding, head, want string }{
		{"", "a,b", "utf-8, no byte order mark"},
		{"", "\xef\xbb\xbfa", "utf-8, by its byte order mark"},
		{"windows-1252", "a", "windows-1252, as configured"},
		{"windows-1252", "a;caf\xe9", "windows-1252, as configured"},
		{"windows-1252", "a;café", "windows-1252, as configured, although the text is UTF-8: is it right?"},
		{"utf-8", "a", "utf-8, as configured"},
		{"", "\xff\xfea\x00", "utf-16le, by its byte order mark"},
		{"utf-16", "\xff\xfea\x00", "utf-16le, by its byte order mark"},
		{"CP1251", "a", "windows-1251, as configured"},
		{"utf-8", "\xff\xfea\x00", "offset 0: the file starts with the byte order mark of UTF-16LE, but is said to be in utf-8: leave encoding out"},
	} {
		enc, seen, err := DetectEncoding(Options{Encoding: c.encoding}, []byte(c.head))
		got := enc + ", " + seen
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q %q: %s", c.encoding, c.head, got)
		}
	}
}
