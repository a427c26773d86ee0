package jobs

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"waybill/ledger"
)

// door asks for admission of a file of partner acme, of which the first 64 KiB are shown.
func (s *Set) door(name, text string) string {
	err := s.Admit(context.Background(), ledger.Arrival{Source: "in", Path: "acme/" + name, Partner: "acme", Size: int64(len(text))}, []byte(text[:min(len(text), headMost)]))
	if err == nil {
		return ""
	}
	return err.Error()
}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

func zipped(text string) string {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return string(z.EncodeAll([]byte(text), nil))
}

// workbook is a small xlsx file.
func workbook(t *testing.T) string {
	t.Helper()
	const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, part := range [][2]string{
		{"_rels/.rels", `<Relationships><Relationship Id="r1" Type="` + kind + `officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		{"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="` + strings.TrimSuffix(kind, "/") + `"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="r1" Type="` + kind + `worksheet" Target="sheet.xml"/></Relationships>`},
		{"xl/sheet.xml", `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>no</t></is></c></row><row r="2"><c r="A2"><v>1</v></c></row></sheetData></worksheet>`},
	} {
		w, err := z.Create(part[0])
		if err == nil {
			_, err = w.Write([]byte(part[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// doorJob is a job that takes one name.
func doorJob(files, read string) string {
	return fmt.Sprintf("receive: {source: in, files: %q}\n%s\nsend: [{to: erp, each: file}]\n", files, read)
}

// doors are jobs by format.
func doors() map[string]string {
	return map[string]string{
		"csv":      `read: {format: csv, delimiter: ";", fields: {no: {required: true}, qty: {type: integer}}}`,
		"loose":    `read: {format: csv, delimiter: ";", columns: {missing: ignore}, fields: {no: {required: true}, qty: {type: integer}}}`,
		"ansi":     `read: {format: csv, encoding: iso-8859-1, delimiter: ";", fields: {no: {}}}`,
		"gz":       "unpack: gzip\nread: {format: csv, delimiter: \";\", fields: {no: {}}}",
		"zst":      "unpack: zstd\nread: {format: csv, delimiter: \";\", fields: {no: {}}}",
		"bz2":      "unpack: bzip2\nread: {format: csv, delimiter: \";\", fields: {no: {}}}",
		"json":     `read: {format: json, records: data.items, fields: {no: {}, at: {from: $.at}}}`,
		"document": `read: {format: json}`,
		"ndjson":   `read: {format: ndjson, fields: {no: {}}}`,
		"lenient":  "read: {format: ndjson, fields: {no: {}}}\ncheck: {allow_rejects: 1}",
		"xml":      `read: {format: xml, records: /Orders/Order, fields: {no: {from: No}, at: {from: /Orders/At}}}`,
		"fixed":    `read: {format: fixed, fields: {no: {from: 1-3}}}`,
		"xlsx":     `read: {format: xlsx, fields: {no: {}}}`,
		"none":     `read: none`,
	}
}

func doorSet(t *testing.T) *Set {
	t.Helper()
	var list []string
	for name, read := range doors() {
		list = append(list, name, doorJob("*."+name, read))
	}
	return (&plant{t: t}).set(list...)
}

func TestWhatIsPlainlyNotTheFormatIsTurnedAway(t *testing.T) {
	t.Parallel()
	s := doorSet(t)
	long := strings.Repeat("A-1;1\n", 30_000)
	pdf := "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
	for _, c := range []struct{ name, text, want string }{
		{"a.csv", "no;count\n1;2\n", `line 1: no column "qty" for field qty; the titles are "no", "count"; expected is CSV in utf-8`},
		{"a.csv", "no,qty\n" + long, `no column "no"`},
		{"a.csv", pdf, "PDF document"},
		{"a.csv", "PK\x03\x04" + long, "zip archive"},
		{"a.csv", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + long, "old Excel"},
		{"a.csv", packed(long), "the bytes are compressed with gzip; expected is CSV in utf-8"},
		{"a.csv", "no;qty\n" + long[:40_002] + "\xe9;1\n" + long, "0xe9 is not valid UTF-8; expected is CSV in utf-8"},
		{"a.csv", "n\x00o\x00;\x00q\x00t\x00y\x00\n\x00", "looks like UTF-16 without a byte order mark; expected"},
		{"a.loose", "number;qty\n", `no column "no"`},
		{"a.ansi", "no\nA\x81\n", "0x81 stands for nothing in iso-8859-1; expected is CSV in iso-8859-1"},
		{"a.gz", "no\n1\n", "not compressed with gzip; expected is CSV in utf-8, compressed with gzip"},
		{"a.gz", packed("number\n1\n"), `no column "no"`},
		{"a.gz", packed(long)[:40], "truncated"},
		{"a.zst", "no\n1\n", "not compressed with zstd; expected is CSV in utf-8, compressed with zstd"},
		{"a.zst", zipped("number\n1\n"), `no column "no"`},
		{"a.bz2", packed("no\n1\n"), "not compressed with bzip2; expected is CSV in utf-8, compressed with bzip2"},
		{"a.json", "no;qty\n" + long, "line 1, column 1"},
		{"a.json", "<a/>", "expected is JSON in utf-8"},
		{"a.json", `{"data": {"orders": []}}`, "there is no data.items"},
		{"a.document", "hello", "expected is JSON"},
		{"a.ndjson", "no;qty\n" + long, "line 1"},
		{"a.ndjson", "[\n{}\n]\n", "line 1"},
		{"a.ndjson", "[1]\n", "the record is not an object"},
		{"a.xml", "no;qty\n" + long, "expected is XML"},
		{"a.xml", "{}", "expected is XML"},
		{"a.fixed", pdf, "PDF document"},
		{"a.xlsx", "no;qty\n" + long, "not an xlsx workbook"},
		{"a.xlsx", pdf, "not an xlsx workbook"},
	} {
		if got := s.door(c.name, c.text); !strings.Contains(got, c.want) || strings.Contains(got, "encoding:") || strings.Contains(got, "unpack") {
			t.Errorf("%s, %.20q: %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

func TestWhatMayBeGoodIsLetIn(t *testing.T) {
	t.Parallel()
	s := doorSet(t)
	random := make([]byte, 150_000)
	rand.NewChaCha8([32]byte{}).Read(random)
	noise := hex.EncodeToString(random) // of which the head of the packed file is a part
	for _, c := range []struct{ name, text string }{
		{"a.csv", ""}, {"a.csv", "\xef\xbb\xbf \r\n"}, // identity.empty says what becomes of them
		{"a.json", ""}, {"a.gz", ""}, {"a.xlsx", ""}, {"a.xml", "\n"},
		{"a.zst", zipped("no;qty\n" + noise)}, {"a.gz", packed("no;qty\n" + noise)},
		{"a.csv", "no;qty\n;many\n"},       // a record: reported with all others
		{"a.csv", "qty;x;no\n1;2;3;4;5\n"}, // too
		{"a.loose", "no\n1\n"},             // qty may be missing
		{"a.lenient", "{}\nhello\n"},       // allowed
		{"a.lenient", "hello\n{}\n"},       // too
		{"a.ndjson", "{\"no\": 1\n{}\n"},   // begins like an object
		{"a.document", "[1, 2]"},           // and so may a single value be a record
		{"a.none", "%PDF-1.7"},             // nobody reads it
		{"a.nobody", "%PDF-1.7"},           // nobody takes it
	} {
		if got := s.door(c.name, c.text); got != "" {
			t.Errorf("%s, %.20q: %s", c.name, c.text, got)
		}
	}
}

// TestAFileThatAJobTakesIsNeverTurnedAway cuts good files anywhere: what is not seen may always be good.
func TestAFileThatAJobTakesIsNeverTurnedAway(t *testing.T) {
	t.Parallel()
	s := doorSet(t)
	book := workbook(t)
	csv := "no;qty\n\"é;\"\"1\";2\n☃;3\n"
	for name, text := range map[string]string{
		"csv": csv, "loose": "\xef\xbb\xbf" + csv, "ansi": "no\n\xe9\n", "gz": packed(csv),
		"json":     `{"at": "☃", "data": {"x": [1, {"é": null}], "items": [{"no": "\u00e9"}, {"no": 2}]}, "more": true}`,
		"document": ` [{"no": 1e5}, {"a": [[]]}] `,
		"ndjson":   "{\"no\": \"☃\"}\r\n\n{\"no\": 2}\n",
		"xml":      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- ☃ --><Orders a='1'><x/><Order><No>é&amp;</No><![CDATA[ ]]></Order><At>1</At></Orders>\n<!-- -->",
		"fixed":    "A☃C1\nDEF2\n", "xlsx": book, "none": "x",
	} {
		a := ledger.Arrival{Source: "in", Path: "acme/a." + name, Partner: "acme", Size: int64(len(text))}
		for n := range len(text) + 1 {
			if err := s.Admit(t.Context(), a, []byte(text[:n])); err != nil {
				t.Errorf("%s, %d of %d bytes: %v", name, n, len(text), err)
			}
		}
	}
}

func TestOnlyWhatNoJobTakesIsTurnedAway(t *testing.T) {
	t.Parallel()
	one := doorJob("*", `read: {format: csv, fields: {no: {required: true}}}`)
	two := doorJob("*", `read: {format: csv, fields: {number: {required: true}}}`)
	s := (&plant{t: t}).set("one", one, "two", two)
	for _, text := range []string{"no\n1\n", "number\n1\n"} {
		if got := s.door("a", text); got != "" {
			t.Errorf("%q: %s", text, got)
		}
	}
	if got := s.door("a", "x\n1\n"); !strings.Contains(got, `no column "no"`) || !strings.Contains(got, `; or line 1: no column "number"`) {
		t.Errorf("neither: %q", got)
	}
	s = (&plant{t: t}).set("one", one, "raw", doorJob("*", "read: none"))
	if got := s.door("a", "x\n1\n"); got != "" {
		t.Errorf("a job reads nothing: %s", got)
	}
}

func BenchmarkAdmit(b *testing.B) {
	s := (&plant{t: b}).set("csv", doorJob("*.csv", doors()["csv"]), "gz", doorJob("*.gz", doors()["gz"]))
	text := "no;qty\n" + strings.Repeat("A-1;1\n", 1_000_000)
	for name, text := range map[string]string{"csv": text, "gz": packed(text)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := s.door("a."+name, text); got != "" {
					b.Fatal(got)
				}
			}
		})
	}
}
