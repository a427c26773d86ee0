package formats

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostile reads a workbook that must be refused, soon: what hostile files cost a process, in seconds of a processor, is measured in e2e.
func hostile(t *testing.T, data []byte, o Options, limit, reason string, wants ...Want) {
	t.Helper()
	begun := time.Now()
	lines, err := xlsxRead(t, data, o, wants...)
	var f *FileError
	if !errors.As(err, &f) || f.Limit != limit || !strings.Contains(f.Error(), reason) {
		t.Errorf("%d records, %v, want %s (limit %q)", len(lines), err, reason, limit)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func zipOf(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range files {
		w, err := z.Create(f[0])
		must(t, err)
		_, err = io.WriteString(w, f[1])
		must(t, err)
	}
	must(t, z.Close())
	return out.Bytes()
}

func TestHostile02NestedArchivesAreNoWorkbooks(t *testing.T) {
	t.Parallel()
	inner := zipOf(t, [2]string{"x", "y"})
	hostile(t, zipOf(t, [2]string{"a.zip", string(inner)}), Options{}, "", "a zip archive with a.zip in it, not an xlsx workbook")
}

func TestHostile03OverlappingEntriesAreRefused(t *testing.T) {
	t.Parallel()
	data := bookOf{sheet: orderTitles}.bytes(t)
	at := bytes.LastIndex(data, []byte("PK\x05\x06")) // let the last entry's directory point at the first's bytes
	last := bytes.LastIndex(data[:at], []byte("PK\x01\x02"))
	first := bytes.Index(data, []byte("PK\x01\x02"))
	copy(data[last+42:last+46], data[first+42:first+46])
	hostile(t, data, Options{}, "", "entries of the zip file overlap")
}

func TestHostile03ManyEntriesAreRefused(t *testing.T) {
	t.Parallel()
	var files [][2]string
	for i := range 1001 {
		files = append(files, [2]string{fmt.Sprint(i), ""})
	}
	hostile(t, zipOf(t, files...), Options{}, "", "more than 1000 entries")
	var entry bytes.Buffer // a directory of 9 MB, which is not read to its end
	entry.WriteString("PK\x03\x04" + strings.Repeat("\x00", 26))
	head := "PK\x01\x02" + strings.Repeat("\x00", 42)
	const n = 200_000
	entry.WriteString(strings.Repeat(head, n))
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], n&0xffff)
	binary.LittleEndian.PutUint16(end[10:], n&0xffff)
	binary.LittleEndian.PutUint32(end[12:], uint32(n*len(head)))
	binary.LittleEndian.PutUint32(end[16:], 30)
	entry.Write(end)
	hostile(t, entry.Bytes(), Options{}, "", "more than 1000 entries")
}

func TestHostile04NamesThatLeadOutAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../../x", "/etc/x", `C:\x`, `..\x`, "a\x00b"} {
		hostile(t, zipOf(t, [2]string{"xl/workbook.xml", "<a/>"}, [2]string{name, ""}), Options{}, "", "leads out of the file")
	}
}

func TestHostile05DeclaredSizesThatLie(t *testing.T) {
	t.Parallel()
	for _, size := range []uint64{10, 1 << 20} {
		text := `<worksheet><sheetData>` + orderTitles + `<row r="2"><c r="A2"><v>1</v></c></row></sheetData></worksheet>`
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		for name, text := range map[string]string{"xl/workbook.xml": `<workbook><sheets><sheet name="a" r:id="r"/></sheets></workbook>`, "xl/_rels/workbook.xml.rels": `<R><Relationship Id="r" Type="/worksheet" Target="s.xml"/></R>`} {
			w, err := z.Create(name)
			must(t, err)
			_, err = io.WriteString(w, text)
			must(t, err)
		}
		w, err := z.CreateRaw(&zip.FileHeader{Name: "xl/s.xml", Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(text)), CompressedSize64: uint64(len(text)), UncompressedSize64: size})
		must(t, err)
		_, err = io.WriteString(w, text)
		must(t, err)
		must(t, z.Close())
		hostile(t, out.Bytes(), Options{}, "", "damaged")
	}
}

func TestHostile05DamagedBytes(t *testing.T) {
	t.Parallel()
	data := bookOf{sheet: orderTitles + `<row r="2"><c r="A2"><v>1</v></c></row>`, store: true}.bytes(t)
	at := bytes.Index(data, []byte("<v>1</v>"))
	data[at+3] = '2'
	hostile(t, data, Options{}, "", "its checksum does not agree")
	hostile(t, data[:len(data)/2], Options{}, "", "damaged")
}

func TestHostile06TwoEntriesWithOneName(t *testing.T) {
	t.Parallel()
	for _, twin := range []string{"xl/workbook.xml", "XL/Workbook.xml", `xl\workbook.xml`} {
		hostile(t, zipOf(t, [2]string{"xl/workbook.xml", "<a/>"}, [2]string{twin, "<a/>"}), Options{}, "", "two entries bear the name")
	}
}

func TestHostile07EncryptedFiles(t *testing.T) {
	t.Parallel()
	data := bookOf{sheet: orderTitles}.bytes(t)
	for at := 0; ; {
		i := bytes.Index(data[at:], []byte("PK\x01\x02"))
		if i < 0 {
			break
		}
		at += i + 8
		data[at] |= 1
	}
	hostile(t, data, Options{}, "", "is encrypted")
	compound := make([]byte, 2048)
	copy(compound, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	compound[30] = 9
	hostile(t, compound, Options{}, "", ".xls")
	copy(compound[512:], "E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")
	hostile(t, compound, Options{}, "", "the workbook is encrypted")
	for i := range 52 { // any header must do
		compound[8+i%44] = 0xff
		hostile(t, compound, Options{}, "", "encrypted")
	}
}

func TestHostile11CellsInTheLastColumn(t *testing.T) {
	t.Parallel()
	var rows strings.Builder
	rows.WriteString(orderTitles)
	for i := range 20_000 {
		fmt.Fprintf(&rows, `<row r="%d"><c r="XFD%d"/></row>`, i+2, i+2)
	}
	hostile(t, bookOf{sheet: rows.String()}.bytes(t), Options{}, "max_sheet_cells", "max_sheet_cells, 50000000", columns("No")...)
	hostile(t, bookOf{sheet: `<row r="1"><c r="XFD1"><v>1</v></c></row>`}.bytes(t), Options{}, "max_columns", "row 1 reaches to column XFD")
}

func TestHostile12RowsAndCellsOutOfBounds(t *testing.T) {
	t.Parallel()
	for sheet, reason := range map[string]string{
		`<row r="2147483647"><c><v>1</v></c></row>`:                                      "line 2147483647: xl/worksheets/sheet1.xml: row 2147483647 stands behind row 0; rows count upwards to 1048576",
		`<row r="9999999999999999999"/>`:                                                 "is no number of a row",
		`<row r="-1"/>`:                                                                  "is no number of a row",
		`<row r="2"/><row r="2"/>`:                                                       "row 2 stands behind row 2",
		`<row r="3"/><row r="2"/>`:                                                       "row 2 stands behind row 3",
		`<row r="1"><c r="B1"/><c r="A1"/></row>`:                                        `the cell "A1" stands in row 1 behind B1`,
		`<row r="1"><c r="A1"/><c r="A1"/></row>`:                                        `the cell "A1" stands in row 1 behind A1`,
		`<row r="1"><c r="A2"/></row>`:                                                   `the cell "A2" stands in row 1`,
		`<row r="1"><c r="XFE1"/></row>`:                                                 `the cell "XFE1"`,
		`<row r="1"><c r="ZZZZZZZZ1"/></row>`:                                            `the cell "ZZZZZZZZ1"`,
		`<row r="1"><c r="A99999999999999"/></row>`:                                      `the cell "A99999999999999"`,
		`<row r="1"><c r="A1" t="inlineStr"><is><t>` + "\x01</t></is></c>":               "no text of XML",
		`<row r="1"><c r="A1" t="str"><v>` + "\xff</v></c></row>":                        "no text of XML",
		`<row r="1"><c r="A1" t="str"><v>&nbsp;</v></c></row>`:                           "no text of XML",
		`<row r="1"><c r="A1" t="str"><v>&#0;</v></c></row>`:                             "no text of XML",
		`<row r="1"></c></row>`:                                                          "</c> stands where </row> should",
		`<row r="1"`:                                                                     "a < inside a tag",
		strings.Repeat("<a>", 200):                                                       "more than 100 deep",
		`<row r="1"><c t="str"><v>` + strings.Repeat("x", 1<<20+9000) + `</v></c></row>`: "longer than max_field",
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			limit := ""
			if strings.Contains(reason, "max_field") {
				limit = "max_field"
			}
			hostile(t, bookOf{sheet: sheetAround(sheet), store: true}.bytes(t), Options{}, limit, reason)
		})
	}
}

func sheetAround(rows string) string {
	return "<worksheet><sheetData>" + rows + "</sheetData></worksheet>"
}

func TestHostile13LargeParts(t *testing.T) {
	t.Parallel()
	media := make([]byte, 50<<20)
	rnd := rand.NewChaCha8([32]byte{})
	_, _ = rnd.Read(media)
	book := bookOf{sheet: orderTitles + `<row r="2"><c r="A2"><v>1</v></c></row>`, parts: map[string]string{"xl/media/image1.png": string(media)}, store: true}
	if got, err := xlsxRead(t, book.bytes(t), Options{}, columns("No")...); err != nil || fmt.Sprint(got) != "[2: 1]" {
		t.Errorf("what is not needed is not read: %v, %v", got, err)
	}
	long := "<!--" + strings.Repeat(" ", 900<<10) + "-->"
	hostile(t, bookOf{sheet: orderTitles, parts: map[string]string{"xl/styles.xml": "<styleSheet>" + strings.Repeat(long, 20) + "</styleSheet>"}, store: true}.bytes(t), Options{}, "max_part", "xl/styles.xml unpacks to more than max_part, 16MiB")
	hostile(t, bookOf{sheet: sheetAround(strings.Repeat(long, 10)), store: true}.bytes(t), Options{Limits: Limits{MaxSheet: 8 << 20}}, "max_sheet", "max_sheet, 8MiB")
	hostile(t, bookOf{sheet: sheetAround(strings.Repeat(long, 3))}.bytes(t), Options{}, "max_ratio", "more than 200 times its size")
	text := strings.Repeat("<si><t>"+strings.Repeat("x", 1000)+"</t></si>", 2000)
	hostile(t, bookOf{sheet: `<row><c t="s"><v>0</v></c></row>`, strings: text, store: true}.bytes(t), Options{Limits: Limits{MaxStrings: 1 << 20}}, "max_strings", "max_strings, 1MiB")
}

// TestHostile13ASheetInFlatMemory reads a sheet of 54 MB without keeping any of it.
func TestHostile13ASheetInFlatMemory(t *testing.T) {
	rows := dose(t, 200_000, 40_000)
	row := `<row><c t="inlineStr"><is><t>` + strings.Repeat("abcdefgh", 30) + `</t></is></c></row>`
	data := bookOf{sheet: sheetAround(strings.Repeat(row, rows)), store: true}.bytes(t)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	most, n := uint64(0), 0
	zero := 0
	for _, err := range decoder(t, Options{Format: "xlsx", Titles: &zero}).Decode(Blob{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}) {
		must(t, err)
		if n++; n%(rows/10) == 0 {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if n != rows || most > before.HeapAlloc+16<<20 {
		t.Errorf("%d records, %d MiB more", n, (most-before.HeapAlloc)>>20)
	}
}

func TestHostile14IndexOutOfRangeRejectsTheRow(t *testing.T) {
	t.Parallel()
	for _, index := range []string{"1", "-1", "999999999999999999999", "x", "4294967296"} {
		got, err := xlsxRead(t, bookOf{sheet: orderTitles + `<row r="2"><c r="A2" t="s"><v>` + index + `</v></c></row><row r="3"><c r="A3"><v>5</v></c></row>`, strings: "<si><t>a</t></si>"}.bytes(t), Options{}, columns("No")...)
		if err != nil || len(got) != 2 || !strings.HasPrefix(got[0], "reject line 2: field No: A2: the cell refers to text "+index) || got[1] != "3: 5" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestHostile15MacrosAndLinks(t *testing.T) {
	t.Parallel()
	types := `<Types><Override PartName="/xl/workbook.xml" ContentType="application/vnd.ms-excel.sheet.macroEnabled.main+xml"/></Types>`
	for _, parts := range []map[string]string{{"[Content_Types].xml": types}, {"xl/vbaProject.bin": "x"}, {"xl/VBAProject.BIN": "x"}} {
		book := bookOf{sheet: orderTitles + `<row r="2"><c r="A2"><v>1</v></c></row>`, parts: parts}
		hostile(t, book.bytes(t), Options{}, "", "macros: allow")
		if got, err := xlsxRead(t, book.bytes(t), Options{Macros: "allow"}, columns("No")...); err != nil || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
	}
	hostile(t, bookOf{parts: map[string]string{"xl/workbook.bin": "x"}}.bytes(t), Options{}, "", ".xlsb")
	hostile(t, bookOf{sheet: orderTitles, parts: map[string]string{"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="rId1" Type="x/worksheet" TargetMode="External" Target="http://127.0.0.1/sheet.xml"/></Relationships>`}}.bytes(t),
		Options{}, "", `names the sheet "Orders", but does not hold it`)
}

func TestHostile16EpochsAndDaysThatNeverWere(t *testing.T) {
	t.Parallel()
	cell := func(v string) string { return orderTitles + `<row r="2"><c r="A2" s="1"><v>` + v + `</v></c></row>` }
	for _, c := range []struct {
		value   string
		since04 bool
		want    string
	}{
		{"44087", false, "2: 2020-09-13"}, {"44087", true, "2: 2024-09-14"}, {"1", false, "2: 1900-01-01"}, {"59", false, "2: 1900-02-28"}, {"61", false, "2: 1900-03-01"},
		{"60", false, "reject line 2: field No: A2: 1900-02-29 is a day that never was"}, {"0", true, "2: 1904-01-01"}, {"60", true, "2: 1904-03-01"},
		{"0", false, "reject line 2: field No: A2: 0 is no date: days are counted from 1"}, {"-1", false, "reject line 2: field No: A2: -1 is no date: days are counted from 0 to the year 9999"},
		{"2958465", false, "2: 9999-12-31"}, {"2958466", false, "reject line 2: field No: A2: 2958466 is no date: days are counted from 0 to the year 9999"},
		{"1E300", false, "reject line 2: field No: A2: 1E300 is no date: days are counted from 0 to the year 9999"}, {"NaN", false, "reject line 2: field No: A2: NaN is no date: days are counted from 0 to the year 9999"},
	} {
		got, err := xlsxRead(t, bookOf{sheet: cell(c.value), since04: c.since04, formats: `<numFmt numFmtId="164" formatCode="[$-419]dd/mm/yyyy;@"/>`}.bytes(t), Options{}, columns("No")...)
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s, since 1904 %v: %v, %v, want %s", c.value, c.since04, got, err, c.want)
		}
	}
}

func TestHostile18DocumentTypesAreRefused(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"xl/workbook.xml", "xl/styles.xml", "xl/sharedStrings.xml", "xl/worksheets/sheet1.xml", "_rels/.rels", "[Content_Types].xml"} {
		book := bookOf{sheet: `<row><c t="s"><v>0</v></c></row>`, parts: map[string]string{part: `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`}}
		hostile(t, book.bytes(t), Options{}, "", part+": a document type (DOCTYPE), which is refused")
	}
}

func TestHostile39EmptyFiles(t *testing.T) {
	t.Parallel()
	hostile(t, nil, Options{}, "", "the file is empty")
	hostile(t, []byte("No;Qty\n"), Options{}, "", "no zip file")
	for _, sheet := range []string{"", orderTitles, "<row/><row/>"} {
		if got, err := xlsxRead(t, bookOf{sheet: sheetAround(sheet)}.bytes(t), Options{}); err != nil || len(got) != 0 {
			t.Errorf("%q: %v, %v", sheet, got, err)
		}
	}
}

func TestXLSXPartsInOtherEncodingsAreRefused(t *testing.T) {
	t.Parallel()
	hostile(t, bookOf{sheet: `<?xml version="1.0" encoding="UTF-16"?>` + sheetAround("")}.bytes(t), Options{}, "", "only UTF-8 is read")
	if got, err := xlsxRead(t, bookOf{sheet: "\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>" + sheetAround(orderTitles+`<row><c><v>1</v></c></row>`)}.bytes(t), Options{}); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}
