package formats

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// A sheetOf makes workbooks by hand, as the programs that write them do not agree on much.
type bookOf struct {
	sheet   string // rows, or a whole part when it starts with <
	strings string // si elements
	formats string // numFmt elements; styles 1, 2, … show formats 164, 165, …
	since04 bool
	parts   map[string]string // more, or instead
	store   bool
}

func (b bookOf) bytes(t testing.TB) []byte {
	t.Helper()
	const ns = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
	const rel = `http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	xfs := `<xf numFmtId="0"/>`
	for i := range strings.Count(b.formats, "<numFmt ") {
		xfs += fmt.Sprintf(`<xf numFmtId="%d"/>`, 164+i)
	}
	date := ""
	if b.since04 {
		date = `<workbookPr date1904="1"/>`
	}
	sheet := b.sheet
	if !strings.Contains(sheet, "worksheet") {
		sheet = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><worksheet ` + ns + `><sheetData>` + sheet + `</sheetData></worksheet>`
	}
	parts := map[string]string{
		"[Content_Types].xml":        `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>`,
		"_rels/.rels":                `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + rel + `officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml":            `<workbook ` + ns + `>` + date + `<sheets><sheet name="Orders" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + rel + `worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="` + rel + `sharedStrings" Target="sharedStrings.xml"/><Relationship Id="rId3" Type="` + rel + `styles" Target="/xl/styles.xml"/></Relationships>`,
		"xl/styles.xml":              `<styleSheet ` + ns + `><numFmts>` + b.formats + `</numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs>` + xfs + `</cellXfs></styleSheet>`,
		"xl/sharedStrings.xml":       `<sst ` + ns + `>` + b.strings + `</sst>`,
		"xl/worksheets/sheet1.xml":   sheet,
	}
	for name, text := range b.parts {
		parts[name] = text
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range sortedKeys(parts) {
		if parts[name] == "" {
			continue
		}
		method := zip.Deflate
		if b.store {
			method = zip.Store
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = io.WriteString(w, parts[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// xlsxRead reads a workbook and gives records with the number of their row in front, rejects, and the end.
func xlsxRead(t testing.TB, data []byte, o Options, wants ...Want) (lines []string, end error) {
	t.Helper()
	o.Format = "xlsx"
	for rec, err := range decoder(t, o, wants...).Decode(Blob{Reader: bytes.NewReader(data), ReaderAt: bytes.NewReader(data), Size: int64(len(data))}) {
		var bad *RecordError
		switch {
		case errors.As(err, &bad):
			lines = append(lines, "reject "+bad.Error())
		case err != nil:
			return lines, err
		default:
			lines = append(lines, fmt.Sprintf("%d: %s", rec.Line, show(rec.Cells)))
		}
	}
	return lines, nil
}

const orderTitles = `<row r="1"><c r="A1" t="inlineStr"><is><t>No</t></is></c><c r="B1" t="inlineStr"><is><t> Qty </t></is></c></row>`

func TestXLSXHoldsWhatTheCellsMean(t *testing.T) {
	t.Parallel()
	sheet := func(cell string) string { return orderTitles + `<row r="2">` + cell + `</row>` }
	for name, c := range map[string]struct {
		book bookOf
		want string
	}{
		"shared":               {bookOf{sheet: sheet(`<c r="A2" t="s"><v>1</v></c>`), strings: `<si><t>a</t></si><si><t xml:space="preserve"> b </t></si>`}, `2: " b " ∅`},
		"rich":                 {bookOf{sheet: sheet(`<c r="A2" t="s"><v>0</v></c>`), strings: `<si><r><rPr><b/></rPr><t>A-</t></r><r><t>1&amp;2</t></r><rPh sb="0" eb="1"><t>no</t></rPh><phoneticPr fontId="1"/></si>`}, `2: "A-1&2" ∅`},
		"escaped":              {bookOf{sheet: sheet(`<c r="A2" t="inlineStr"><is><t>a_x000D_b_x005F_x0041__xD83D__xDE00__x0000_</t></is></c>`)}, `2: "a\rb_x0041_😀_x0000_" ∅`},
		"cdata":                {bookOf{sheet: sheet(`<c r="A2" t="inlineStr"><is><t><![CDATA[<&>]]><!-- no -->&#x41;&#66;</t></is></c>`)}, `2: "<&>AB" ∅`},
		"no places":            {bookOf{sheet: `<row><c t="inlineStr"><is><t>No</t></is></c></row><row/><row><c><v>7</v></c><c><v>8</v></c></row>`}, `3: 7 ∅`},
		"number":               {bookOf{sheet: sheet(`<c r="A2"><v>19.9</v></c><c r="B2" t="n"><v>-0.50</v></c>`)}, `2: 19.9 -0.50`},
		"17 digits":            {bookOf{sheet: sheet(`<c r="A2"><v>19.899999999999999</v></c><c r="B2"><v>0.30000000000000004</v></c>`)}, `2: 19.9 0.3`},
		"exponent":             {bookOf{sheet: sheet(`<c r="A2"><v>1.5E-3</v></c><c r="B2"><v>4E+5</v></c>`)}, `2: 0.0015 400000`},
		"20 digits":            {bookOf{sheet: sheet(`<c r="A2"><v>12345678901234567890</v></c><c r="B2"><v>1</v></c>`)}, `2: 12345678901234567890 1`},
		"20 digits as a float": {bookOf{sheet: sheet(`<c r="A2"><v>1.23456789012346E+19</v></c>`)}, `reject line 2: field No: A2: precision: the last digits of 1.23456789012346E+19 are lost, a spreadsheet keeps 15: have the column written as text`},
		"boolean":              {bookOf{sheet: sheet(`<c r="A2" t="b"><v>1</v></c><c r="B2" t="b"><v>0</v></c>`)}, `2: true false`},
		"error":                {bookOf{sheet: sheet(`<c r="B2" t="e"><v>#N/A</v></c>`)}, `reject line 2: field Qty: B2: the cell holds the error #N/A`},
		"formula":              {bookOf{sheet: sheet(`<c r="A2"><f>1+1</f><v>2</v></c><c r="B2" t="str"><f>"x"</f><v></v></c>`)}, `2: 2 ""`},
		"formula, no value":    {bookOf{sheet: sheet(`<c r="A2"><f>1+1</f></c>`)}, `reject line 2: field No: A2: the formula has no value kept with it: open and save the file with a spreadsheet program`},
		"link formula":         {bookOf{sheet: sheet(`<c r="A2"><f>[1]Sheet1!A1</f><v>5</v></c><c r="B2"><f>cmd|' /C calc'!A0</f><v>6</v></c>`)}, `2: 5 6`},
		"index out of range":   {bookOf{sheet: sheet(`<c r="A2" t="s"><v>7</v></c>`), strings: `<si><t>a</t></si>`}, `reject line 2: field No: A2: the cell refers to text 7 of the workbook, which has 1`},
		"styled only":          {bookOf{sheet: sheet(`<c r="A2" s="1"/>`) + `<row r="9"><c r="A9"><v>1</v></c></row>`}, `9: 1 ∅`},
		"iso date":             {bookOf{sheet: sheet(`<c r="A2" t="d"><v>2026-11-21</v></c><c r="B2" t="d"><v>2026-11-21T08:15:00</v></c>`)}, `2: 2026-11-21 2026-11-21T08:15:00`},
		"prefixed": {bookOf{sheet: `<x:worksheet xmlns:x="http://purl.oclc.org/ooxml/spreadsheetml/main"><x:sheetData><x:row><x:c t="inlineStr"><x:is><x:t>No</x:t></x:is></x:c></x:row>` +
			`<x:row r='2'><x:c r='A2' t='str'><x:v>x</x:v></x:c></x:row></x:sheetData></x:worksheet>`}, `2: "x" ∅`},
		"strict": {bookOf{sheet: sheet(`<c r="A2"><v>1</v></c>`), parts: map[string]string{
			"_rels/.rels": `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="a" Type="http://purl.oclc.org/ooxml/officeDocument/relationships/officeDocument" Target="/xl/workbook.xml"/></Relationships>`}}, `2: 1 ∅`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := xlsxRead(t, c.book.bytes(t), Options{Columns: Columns{Missing: "ignore"}}, columns("No", "Qty")...)
			if err != nil || strings.Join(got, "\n") != c.want {
				t.Errorf("%s, %v\nwant %s", strings.Join(got, "\n"), err, c.want)
			}
		})
	}
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
