package formats

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestOffsetsFarIntoTheFile(t *testing.T) {
	t.Parallel()
	const rows = 20_000
	for name, c := range map[string]struct {
		o               Options
		head, text, bad string
	}{
		"csv":          {Options{Format: "csv"}, "a\n", "é1234\n", "\xff"},
		"windows-1252": {Options{Format: "csv", Encoding: "windows-1252"}, "a\n", "1\xe9345\n", "\x81"},
		"ndjson":       {Options{Format: "ndjson"}, "", `{"a":"é"}` + "\n", "\xff"},
		"json":         {Options{Format: "json"}, "[", `{"a":"é"},`, "\xff"},
		"json syntax":  {Options{Format: "json"}, "[", `{"a":"é"},`, "x"},
		"quoted":       {Options{Format: "csv"}, "a\n", "\"é\n1\"\n", "\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.o.Raw = true
			text := c.head + strings.Repeat(c.text, rows) + c.bad
			n := 0
			for rec, err := range decoder(t, c.o).Decode(Blob{Reader: strings.NewReader(text), Size: 0}) {
				var f *FileError
				switch {
				case errors.As(err, &f):
					if want := len(text) - len(c.bad); f.Offset != int64(want) {
						t.Errorf("%v: offset %d, want %d", f, f.Offset, want)
					}
				case err != nil:
					t.Fatal(err)
				case c.o.Encoding == "" && !strings.HasPrefix(text[rec.Offset:], string(rec.Raw)):
					t.Fatalf("record %d is said to be at %d", rec.Number, rec.Offset)
				default:
					n++
				}
			}
			if n != rows {
				t.Errorf("%d records", n)
			}
		})
	}
}

func TestAFaultInADocumentIsToldByLineAndColumn(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*windowSize)
	many := strings.Repeat("{\"a\":\n \"é\"},\r\n", 50_000)
	for text, want := range map[string]string{
		"[\n  {\"a\": 1},\n]":                "line 3, column 1",
		"[\n {\"é\": ]}":                     "line 2, column 8",
		"\xef\xbb\xbf[x]":                    "line 1, column 2",
		"[1,\n2]\n\n  3":                     "line 4, column 3",
		"[1,\n\"a\xff\"]":                    "line 2, column 3",
		"[1,\n":                              "line 2, column 1",
		"{\"b\":1,\n\"b\":2,\"records\":[]}": "line 2, column 1",
		"[" + many + "\n  x]":                "line 100002, column 3",
		"[\"" + long + "\",\n x]":            "line 2, column 2",
		"[\"" + long + "\", x]":              fmt.Sprintf("offset %d", len(long)+5),
	} {
		o := Options{Format: "json"}
		if strings.Contains(text, "records") {
			o.Records = "records"
		}
		f := fileError(t, decoder(t, o), Blob{Reader: strings.NewReader(text), Size: -1})
		if f.Place() != want {
			t.Errorf("%.20q…: %v, want %s", text, f, want)
		}
	}
}

func TestTheOpeningQuoteIsNamedWhenAnotherStandsBeyondMaxRecord(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "csv", Limits: Limits{MaxRecord: 100}})
	f := fileError(t, d, blobOf("a,b\n1,\"x\n"+strings.Repeat("y\n", 100)+"\",2\n3,4\n"))
	wantLimit(t, f, "max_record")
	if f.Line != 2 || !strings.Contains(f.Reason, "a quote is opened here") {
		t.Errorf("%v", f)
	}
}

func TestNumbersAcrossTheEndOfTheWindow(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "json"})
	for pad := range 8 {
		const records = 2_000
		text := strings.Repeat(" ", pad) + "[" + strings.Repeat("123456,", records) + "7]"
		got, err := read(d, Blob{Reader: strings.NewReader(text), Size: 0})
		if err != nil || len(got) != records+1 || strings.Count(fmt.Sprint(got), "123456") != records {
			t.Errorf("pad %d: %d records, %v", pad, len(got), err)
		}
	}
}
