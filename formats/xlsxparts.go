package formats

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	mainNamespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
	relNamespace  = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
	partHead      = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
)

type writtenPart struct{ name, text string }

// parts are what a workbook needs beside its sheet.
func (e *xlsxEncoder) parts() []writtenPart {
	return []writtenPart{
		{"[Content_Types].xml", partHead + `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
			`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>` +
			`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>` +
			`<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>` +
			`<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>`},
		{"_rels/.rels", partHead + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
			`<Relationship Id="rId1" Type="` + relNamespace + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		{"xl/workbook.xml", partHead + `<workbook xmlns="` + mainNamespace + `" xmlns:r="` + relNamespace + `">` +
			`<sheets><sheet name="` + string(appendXMLText(nil, []byte(e.sheet))) + `" sheetId="1" r:id="rId1"/></sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", partHead + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
			`<Relationship Id="rId1" Type="` + relNamespace + `/worksheet" Target="worksheets/sheet1.xml"/>` +
			`<Relationship Id="rId2" Type="` + relNamespace + `/styles" Target="styles.xml"/></Relationships>`},
		{"xl/styles.xml", e.writtenStyles()},
	}
}

// columnCodes is the number of the first number format of a column.
const columnCodes = 200

// writtenStyles are the styles in the order of their constants, then those of the columns.
func (e *xlsxEncoder) writtenStyles() string {
	var codes, xfs strings.Builder
	code := func(id int, code string) { fmt.Fprintf(&codes, `<numFmt numFmtId="%d" formatCode="%s"/>`, id, code) }
	xf := func(format int, more string) {
		fmt.Fprintf(&xfs, `<xf numFmtId="%d" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"%s/>`, format, more)
	}
	code(164, "yyyy\\-mm\\-dd")
	code(165, "hh:mm:ss")
	code(166, "yyyy\\-mm\\-dd\\ hh:mm:ss")
	xf(0, "")
	xfs.WriteString(`<xf numFmtId="0" fontId="1" fillId="2" borderId="0" xfId="0" applyFont="1" applyFill="1"/>`)
	xf(164, "")
	xf(165, "")
	xf(166, "")
	xf(49, ` quotePrefix="1"`)
	for n := 1; n <= decimals; n++ {
		code(166+n, "0."+strings.Repeat("0", n))
		xf(166+n, "")
	}
	for n, c := range e.codes {
		code(columnCodes+n, string(escapeXML(nil, []byte(c), true)))
		xf(columnCodes+n, "")
	}
	return partHead + `<styleSheet xmlns="` + mainNamespace + `">` +
		fmt.Sprintf(`<numFmts count="%d">%s</numFmts>`, 3+decimals+len(e.codes), codes.String()) +
		`<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>` +
		`<fills count="3"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill><fill><patternFill patternType="solid"><fgColor rgb="FFDDE3EA"/></patternFill></fill></fills>` +
		`<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>` +
		`<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>` +
		fmt.Sprintf(`<cellXfs count="%d">%s</cellXfs>`, styleDecimals+decimals+len(e.codes), xfs.String()) +
		`<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>`
}

// A lentWriter gives its writer back when it is closed.
type lentWriter struct {
	*flate.Writer
	pool *sync.Pool
}

func (l lentWriter) Close() error {
	err := l.Writer.Close()
	l.pool.Put(l.Writer)
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

// compressor lends a writer, as good as new.
func (e *xlsxEncoder) compressor(w io.Writer) (io.WriteCloser, error) {
	if f, ok := e.deflate.Get().(*flate.Writer); ok {
		f.Reset(w)
		return lentWriter{f, e.deflate}, nil
	}
	f, err := flate.NewWriter(w, flate.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("write rows: %w", err)
	}
	return lentWriter{f, e.deflate}, nil
}
